/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit edit put` and get: files of the host go in and come out. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "cmds/edit.h"
#include "common/base/array.h"
#include "common/base/cleanup.h"

static int host_fail(struct edit_session *session, const char *path)
{
	return session_fail(session, -errno, "%s: %s", path, strerror(errno));
}

/* --- Contents --------------------------------------------------------------------------------------------------------------- */

struct host_file {
	struct edit_session *session;
	int fd;
	const char *path;
};

static int fill_from_file(void *arg, uint64_t at, void *buf, size_t len)
{
	const struct host_file *file = arg;

	for (size_t done = 0; done < len;) {
		ssize_t n = pread(file->fd, (u8 *)buf + done, len - done, (off_t)(at + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ESTALE; /* it has become shorter */
		done += (size_t)n;
	}
	return 0;
}

/* The ranges of data, with holes between them left out. */
static int put_ranges(struct host_file *file, const struct btrkit_inode *inode, u64 size)
{
	struct edit_session *session = file->session;
	int err = 0;

	for (u64 at = 0; at < size && !err;) {
		off_t data = lseek(file->fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			break;
		hole = data < 0 ? -1 : lseek(file->fd, data, SEEK_HOLE);
		if (data < 0 || hole < 0) { /* not known there: all is data */
			data = (off_t)at;
			hole = (off_t)size;
		}
		hole = MIN(hole, (off_t)size);
		if (data >= hole)
			break;
		err = btrkit_edit_write_from(session->edit, inode, (u64)data, (u64)(hole - data), fill_from_file, file,
					     &session->error);
		at = (u64)hole;
	}
	if (!err)
		err = btrkit_edit_truncate(session->edit, inode, size, &session->error);
	return err;
}

/* What comes until its end, from a pipe. */
static int put_stream(struct edit_session *session, const struct btrkit_inode *inode, int fd, const char *path)
{
	u8 *buf = session_buf(session);
	size_t used;
	u64 at = 0;

	if (!buf)
		return -ENOMEM;
	do {
		int err;

		for (used = 0; used < EDIT_BUF_BYTES;) {
			ssize_t n = read(fd, buf + used, EDIT_BUF_BYTES - used);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return host_fail(session, path);
			if (n == 0)
				break;
			used += (size_t)n;
		}
		err = used ? btrkit_edit_write(session->edit, inode, at, buf, used, &session->error) : 0;
		if (err)
			return err;
		at += used;
	} while (used == EDIT_BUF_BYTES);
	return 0;
}

static int put_contents(struct edit_session *session, const struct btrkit_inode *inode, const char *path)
{
	_close_ int fd = -1;
	struct host_file file = { session, -1, path };
	struct stat st;

	if (strcmp(path, "-") == 0)
		return put_stream(session, inode, STDIN_FILENO, "standard input");
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, &st) < 0)
		return host_fail(session, path);
	file.fd = fd;
	return put_ranges(&file, inode, (u64)st.st_size);
}

/* --- Attributes -------------------------------------------------------------------------------------------------------------- */

static void attr_of_host(const struct stat *st, struct btrkit_node_attr *ret_attr)
{
	*ret_attr = (struct btrkit_node_attr){
		.mode = st->st_mode,
		.uid = st->st_uid,
		.gid = st->st_gid,
		.rdev_major = major(st->st_rdev),
		.rdev_minor = minor(st->st_rdev),
		.atime = { st->st_atim.tv_sec, (u32)st->st_atim.tv_nsec },
		.mtime = { st->st_mtim.tv_sec, (u32)st->st_mtim.tv_nsec },
	};
}

static int put_xattrs(struct edit_session *session, const struct btrkit_inode *inode, const char *path)
{
	char names[65536];
	ssize_t len = llistxattr(path, names, sizeof(names));
	u8 *buf = session_buf(session);
	int err = buf ? 0 : -ENOMEM;

	if (len < 0)
		return errno == EOPNOTSUPP ? 0 : host_fail(session, path);
	for (const char *name = names; name < names + len && !err; name += strlen(name) + 1) {
		ssize_t value_len = lgetxattr(path, name, buf, EDIT_BUF_BYTES);

		if (value_len < 0)
			return host_fail(session, path);
		err = session_copy_xattr(session, inode, name, buf, (size_t)value_len);
	}
	return err;
}

/* --- put ------------------------------------------------------------------------------------------------------------------------ */

/* A file of the host that has several names, and where it is now. */
struct put_link {
	dev_t dev;
	ino_t ino;
	struct btrkit_inode inode;
};
struct put {
	const struct edit_command *command;
	ARRAY(struct put_link) links;
	struct btrkit_node_attr owner; /* as the options say */
	unsigned owner_mask;
};

static void put_done(struct put *put)
{
	array_done(&put->links);
}

static const struct put_link *find_link(const struct put *put, const struct stat *st)
{
	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return NULL;
	array_for_each(&put->links, link)
		if (link->dev == st->st_dev && link->ino == st->st_ino)
			return link;
	return NULL;
}

static int put_path(struct edit_session *session, struct put *put, const char *path, const struct edit_place *to);

static int put_dir(struct edit_session *session, struct put *put, const char *path, const struct btrkit_inode *dir)
{
	struct dirent **entries;
	int nr = scandir(path, &entries, NULL, alphasort), err = 0;

	if (nr < 0)
		return host_fail(session, path);
	for (int i = 0; i < nr; i++) {
		const char *name = entries[i]->d_name;
		char inner[PATH_MAX];
		struct edit_place to;

		if (!err && strcmp(name, ".") != 0 && strcmp(name, "..") != 0) {
			if (snprintf(inner, sizeof(inner), "%s/%s", path, name) >= (int)sizeof(inner))
				err = session_fail(session, -ENAMETOOLONG, "%s/%s: the path is too long", path, name);
			if (!err)
				err = session_place_in(session, dir, name, strlen(name), &to);
			if (!err)
				err = put_path(session, put, inner, &to);
		}
		free(entries[i]);
	}
	free(entries);
	return err;
}

static int make_link(struct edit_session *session, const char *path, const struct edit_place *to,
		     const struct btrkit_node_attr *attr, struct btrkit_inode *ret_inode)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, sizeof(target));

	if (len < 0)
		return host_fail(session, path);
	return btrkit_edit_symlink(session->edit, &to->dir, to->name, to->name_len, target, (size_t)len, attr, ret_inode,
				   &session->error);
}

/* What stands in the way goes, but for a directory that is put over another, and a file that gets other contents. */
static int clear_way(struct edit_session *session, const struct edit_place *to, u32 mode, bool *ret_is_kept)
{
	*ret_is_kept = to->has_inode && S_ISDIR(to->stat.mode) && S_ISDIR(mode);
	if (!to->has_inode || *ret_is_kept)
		return 0;
	if (S_ISREG(to->stat.mode) && S_ISREG(mode)) {
		*ret_is_kept = true;
		return btrkit_edit_truncate(session->edit, &to->inode, 0, &session->error);
	}
	if (S_ISDIR(to->stat.mode) || S_ISDIR(mode))
		return session_fail(session, S_ISDIR(mode) ? -ENOTDIR : -EISDIR, "%.*s: is %s directory", (int)to->name_len, to->name,
				 S_ISDIR(mode) ? "no" : "a");
	return btrkit_edit_unlink(session->edit, &to->dir, to->name, to->name_len, &session->error);
}

static int make_new(struct edit_session *session, struct put *put, const char *path, const struct edit_place *to,
		    const struct btrkit_node_attr *attr, struct btrkit_inode *ret_inode)
{
	unsigned exact = (put->owner_mask & BTRKIT_SET_GID) | (put->command->mode ? BTRKIT_SET_MODE : 0);
	int err;

	if (strcmp(path, "-") == 0)
		return session_create(session, to, attr, exact, ret_inode);
	err = S_ISLNK(attr->mode) ? make_link(session, path, to, attr, ret_inode)
				  : btrkit_edit_create(session->edit, &to->dir, to->name, to->name_len, attr, ret_inode,
						       &session->error);
	return err ? err : session_make_exact(session, ret_inode, attr);
}

static int put_inode(struct edit_session *session, struct put *put, const char *path, const struct edit_place *to,
		     const struct btrkit_node_attr *attr)
{
	bool is_stream = strcmp(path, "-") == 0, is_kept;
	unsigned mask = BTRKIT_SET_MODE | BTRKIT_SET_UID | BTRKIT_SET_GID;
	struct btrkit_inode inode = to->inode;
	int err = clear_way(session, to, attr->mode, &is_kept);

	if (!err && !is_kept)
		err = make_new(session, put, path, to, attr, &inode);
	if (!err && S_ISREG(attr->mode))
		err = put_contents(session, &inode, path);
	if (!err && !is_stream)
		err = put_xattrs(session, &inode, path);
	if (!err && S_ISDIR(attr->mode))
		err = put_dir(session, put, path, &inode);
	if (err)
		return err;
	if (is_stream) /* it says nothing of owner, mode and times */
		mask = is_kept ? put->owner_mask | (put->command->mode ? BTRKIT_SET_MODE : 0) : 0;
	else
		mask |= BTRKIT_SET_ATIME | BTRKIT_SET_MTIME;
	if (S_ISLNK(attr->mode))
		mask &= ~(unsigned)BTRKIT_SET_MODE;
	return mask ? btrkit_edit_set_attr(session->edit, &inode, mask, attr, &session->error) : 0;
}

static int put_path(struct edit_session *session, struct put *put, const char *path, const struct edit_place *to)
{
	struct stat st = { .st_mode = S_IFREG | 0644 };
	struct btrkit_node_attr attr;
	const struct put_link *link;
	struct edit_place made;
	int err;

	if (strcmp(path, "-") != 0 && lstat(path, &st) < 0)
		return host_fail(session, path);
	if (S_ISDIR(st.st_mode) && !put->command->is_recursive)
		return session_fail(session, -EISDIR, "%s: is a directory; -r puts it with all that is in it", path);
	link = find_link(put, &st);
	if (link && !to->has_inode)
		return btrkit_edit_link(session->edit, &link->inode, &to->dir, to->name, to->name_len, &session->error);
	attr_of_host(&st, &attr);
	if (put->owner_mask & BTRKIT_SET_UID)
		attr.uid = put->owner.uid;
	if (put->owner_mask & BTRKIT_SET_GID)
		attr.gid = put->owner.gid;
	if (put->command->mode && !put->command->is_recursive)
		attr.mode = (attr.mode & S_IFMT) | put->owner.mode;
	err = put_inode(session, put, path, to, &attr);
	if (err || st.st_nlink < 2 || S_ISDIR(st.st_mode))
		return err;
	err = session_place_in(session, &to->dir, to->name, to->name_len, &made);
	if (!err && array_push(&put->links, (struct put_link){ st.st_dev, st.st_ino, made.inode }) < 0)
		err = session_fail(session, -ENOMEM, "out of memory");
	return err;
}

static int run_put(struct edit_session *session, const struct edit_command *command, char **operands)
{
	_cleanup_(put_done) struct put put = { .command = command };
	struct btrkit_inode inode;
	struct edit_place to;
	int mask = session_parse_owner(session, command->owner, &put.owner);
	int err = mask < 0 ? mask : session_parse_mode(session, command->mode, 0, &put.owner.mode);

	put.owner_mask = (unsigned)mask;
	if (!err)
		err = strcmp(operands[0], "-") == 0 ? session_place(session, operands[1], &to)
						    : session_place_for(session, operands[1], operands[0], &to);
	/* A link in the way leads to the file that is meant. */
	if (!err && to.has_inode && S_ISLNK(to.stat.mode) && session_find(session, operands[1], true, &inode) == 0) {
		to.inode = inode;
		err = btrkit_stat(session->fs, &inode, &to.stat, &session->error);
	}
	return err ? err : put_path(session, &put, operands[0], &to);
}

static const struct option_row put_rows[] = {
	{ 'r', "recursive", NULL, OPTION_FLAG, EDIT_AT(is_recursive), "a directory with all that is in it", false },
	{ 'm', "mode", "MODE", OPTION_STRING, EDIT_AT(mode), "permissions in octal digits (those of FILE); not with -r", false },
	{ 'o', "owner", "UID[:GID]", OPTION_STRING, EDIT_AT(owner), "owner and group, by numbers (those of FILE)", false },
	EDIT_ROWS,
};
const struct option_table edit_put_option_table = {
	.command = "btrkit edit put",
	.usage = "[options] FILE PATH DEVICE...",
	.summary = "Put a file of the host, with its attributes, at PATH; into PATH if that is a directory.\n"
		   "FILE -: standard input, with a mode of 644 and the owner 0:0 if it is new.",
	.rows = put_rows,
	.nr_rows = ARRAY_LEN(put_rows),
};
const struct edit_statement statement_put = { &edit_put_option_table, 2, false, run_put };

/* --- get ------------------------------------------------------------------------------------------------------------------------- */

static int write_all(struct edit_session *session, int fd, const u8 *buf, size_t len, const char *path)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return host_fail(session, path);
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int get_contents(struct edit_session *session, struct btrkit_file *file, int fd, const char *path)
{
	u8 *buf = session_buf(session);
	size_t got = EDIT_BUF_BYTES;
	int err = buf ? 0 : -ENOMEM;

	for (u64 at = 0; !err && got == EDIT_BUF_BYTES; at += got) {
		err = btrkit_file_read(file, at, buf, EDIT_BUF_BYTES, &got, &session->error);
		if (!err)
			err = write_all(session, fd, buf, got, path);
	}
	return err;
}

static int run_get(struct edit_session *session, const struct edit_command *command, char **operands)
{
	bool is_stdout = strcmp(operands[1], "-") == 0;
	struct btrkit_file *file = NULL;
	struct btrkit_inode inode;
	_close_ int fd = -1;
	int err = session_find(session, operands[0], true, &inode);

	(void)command;
	if (!err)
		err = btrkit_file_open(session->fs, &inode, &file, &session->error);
	if (!err && !is_stdout) {
		fd = open(operands[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
		if (fd < 0)
			err = host_fail(session, operands[1]);
	}
	if (!err)
		err = get_contents(session, file, is_stdout ? STDOUT_FILENO : fd, is_stdout ? "standard output" : operands[1]);
	btrkit_file_close(file);
	if (!err && fd >= 0 && close(take_fd(fd)) < 0)
		err = host_fail(session, operands[1]);
	return err;
}

static const struct option_row get_rows[] = {
	{ 0, "subvol", "SUBVOL", OPTION_STRING, EDIT_AT(subvol), "PATH begins in this subvolume: an id, a path, or default", false },
	EDIT_OPEN_ROWS,
};
const struct option_table edit_get_option_table = {
	.command = "btrkit edit get",
	.usage = "[options] PATH FILE DEVICE...",
	.summary = "Write the contents of PATH to FILE (-: standard output). With attributes, see btrkit restore.",
	.rows = get_rows,
	.nr_rows = ARRAY_LEN(get_rows),
};
const struct edit_statement statement_get = { &edit_get_option_table, 2, true, run_get };
