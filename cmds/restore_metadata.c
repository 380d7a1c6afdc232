/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owners, modes, extended attributes, times and flags. The order matters: a change of owner drops set-id bits and
 * capabilities, an ACL changes the mode, everything changes the times, and flags may forbid any further change.
 */
#include <btrkit/content.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "cmds/restore.h"
#include "common/cli/report.h"

/* Where metadata goes: an open file, or a name whose last component is not followed. */
struct place {
	struct restore *r;
	int fd; /* -1: by name */
	int dir_fd;
	const char *name;
	const char *path; /* for messages */
};

/* false: it belongs to somebody else now. */
static bool set_owner(const struct place *at, const struct btrkit_stat *st)
{
	int result = at->fd >= 0 ? fchown(at->fd, st->uid, st->gid) :
				   fchownat(at->dir_fd, at->name, st->uid, st->gid, AT_SYMLINK_NOFOLLOW);

	if (result == 0)
		return true;
	if (errno != EPERM || geteuid() == 0) {
		restore_complain(at->r, "%s: cannot set owner %u:%u: %s", at->path, st->uid, st->gid, strerror(errno));
	} else if (!atomic_exchange(&at->r->has_said_owner, true)) {
		report_warning(at->r->command->open.name, "owners are not restored: only root can set them");
	}
	return false;
}

/* Set-id bits without the owner whom they mean would lend the rights of somebody else: whoever extracts. */
static u32 permissions(const struct btrkit_stat *st, bool is_owner_set)
{
	u32 set_id = S_ISDIR(st->mode) ? 0 : S_ISUID | S_ISGID;

	return st->mode & 07777 & ~(is_owner_set ? 0 : set_id);
}

static int set_xattr(const struct place *at, const char *name, const void *value, size_t len)
{
	char proc[64 + NAME_MAX + 1];

	if (at->fd >= 0)
		return fsetxattr(at->fd, name, value, len, 0);
	/* There is no lsetxattrat(): the directory is reached through its descriptor. */
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d/%s", at->dir_fd, at->name);
	return lsetxattr(proc, name, value, len, 0);
}

static int give_xattr(void *arg, const char *name, size_t name_len, const void *value, size_t value_len)
{
	const struct place *at = arg;
	char text[XATTR_NAME_MAX + 1];

	if (name_len > XATTR_NAME_MAX) {
		restore_complain(at->r, "%s: attribute name of %zu bytes", at->path, name_len);
		return 0;
	}
	memcpy(text, name, name_len);
	text[name_len] = '\0';
	if (set_xattr(at, text, value, value_len) == 0)
		return 0;
	if (errno == EOPNOTSUPP && strncmp(text, "btrfs.", 6) == 0)
		return 0; /* properties of Btrfs mean nothing elsewhere */
	if (errno == EPERM && geteuid() != 0) {
		if (!atomic_exchange(&at->r->has_said_xattr, true))
			report_warning(at->r->command->open.name, "attributes such as %s are not restored: only root can set them",
				       text);
		return 0;
	}
	restore_complain(at->r, "%s: cannot set attribute %s: %s", at->path, text, strerror(errno));
	return 0;
}

static void set_xattrs(const struct place *at, const struct btrkit_stat *st)
{
	struct btrkit_error error = { 0 };

	if (btrkit_xattr_for_each(at->r->fs, &st->inode, give_xattr, (void *)(uintptr_t)at, &error) < 0)
		restore_lose(at->r, "%s: %s", at->path, error.text);
}

static void set_times(const struct place *at, const struct btrkit_stat *st)
{
	const struct timespec times[2] = { { st->atime.sec, st->atime.nsec }, { st->mtime.sec, st->mtime.nsec } };
	int result = at->fd >= 0 ? futimens(at->fd, times) :
				   utimensat(at->dir_fd, at->name, times, AT_SYMLINK_NOFOLLOW);

	if (result < 0)
		restore_complain(at->r, "%s: cannot set times: %s", at->path, strerror(errno));
}

static const struct {
	u32 on_disk;
	int flag;
	bool is_early; /* only while the file is empty */
} flags[] = {
	{ BTRKIT_INODE_NODATACOW, FS_NOCOW_FL, true },	   { BTRKIT_INODE_NOCOMPRESS, FS_NOCOMP_FL, true },
	{ BTRKIT_INODE_SYNC, FS_SYNC_FL, false },	   { BTRKIT_INODE_IMMUTABLE, FS_IMMUTABLE_FL, false },
	{ BTRKIT_INODE_APPEND, FS_APPEND_FL, false },	   { BTRKIT_INODE_NODUMP, FS_NODUMP_FL, false },
	{ BTRKIT_INODE_NOATIME, FS_NOATIME_FL, false },	   { BTRKIT_INODE_DIRSYNC, FS_DIRSYNC_FL, false },
};

static void set_flags(struct restore *r, int fd, const struct btrkit_stat *st, bool is_early, const char *path)
{
	int had = 0, wanted = 0;

	if (!r->command->do_set_flags)
		return;
	for (size_t i = 0; i < ARRAY_LEN(flags); i++)
		if ((st->flags & flags[i].on_disk) && flags[i].is_early == is_early)
			wanted |= flags[i].flag;
	if (!wanted)
		return;
	if (ioctl(fd, FS_IOC_GETFLAGS, &had) == 0) {
		wanted |= had;
		if (ioctl(fd, FS_IOC_SETFLAGS, &wanted) == 0)
			return;
	}
	if (!is_early) /* copy on write is Btrfs's own affair */
		restore_complain(r, "%s: cannot set inode flags: %s", path, strerror(errno));
}

void restore_early_flags(struct restore *r, int fd, const struct btrkit_stat *st)
{
	set_flags(r, fd, st, true, "");
}

void restore_metadata_fd(struct restore *r, int fd, const struct btrkit_stat *st, const char *path)
{
	const struct place at = { .r = r, .fd = fd, .path = path };
	u32 mode = permissions(st, set_owner(&at, st));

	if (fchmod(fd, mode) < 0)
		restore_complain(r, "%s: cannot set mode %o: %s", path, mode, strerror(errno));
	set_xattrs(&at, st);
	set_times(&at, st);
	set_flags(r, fd, st, false, path);
}

void restore_metadata_at(struct restore *r, int dir_fd, const char *name, const struct btrkit_stat *st, const char *path)
{
	const struct place at = { .r = r, .fd = -1, .dir_fd = dir_fd, .name = name, .path = path };
	u32 mode = permissions(st, set_owner(&at, st));

	/* Symbolic links have no mode of their own. */
	if (!S_ISLNK(st->mode) && fchmodat(dir_fd, name, mode, 0) < 0)
		restore_complain(r, "%s: cannot set mode %o: %s", path, mode, strerror(errno));
	set_xattrs(&at, st);
	set_times(&at, st);
}
