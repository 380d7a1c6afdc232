/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The walk: directories, links and special files are made here, in one thread; regular files are made here, too, and
 * filled in batches by the workers.
 *
 * Names come from a disk that may be damaged or made to deceive: each is used as one component below a directory's
 * descriptor, and links in the destination are never followed.
 */
#include <btrkit/subvol.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmds/restore.h"
#include "common/cli/report.h"

#define BATCH_FILES 256
/* Directories that may be open within each other: each takes a descriptor. */
#define DEPTH_MAX 4096

/* --- What was met before -------------------------------------------------------------------------------------- */

struct met_inode {
	struct btrkit_inode inode;
	char *path; /* of its first name */
};

static int compare_met(const void *a, const void *b)
{
	const struct met_inode *left = a, *right = b;

	if (left->inode.subvol != right->inode.subvol)
		return left->inode.subvol < right->inode.subvol ? -1 : 1;
	return left->inode.ino < right->inode.ino ? -1 : left->inode.ino > right->inode.ino;
}

static const struct met_inode *find_met(const struct restore *r, const struct btrkit_inode *inode)
{
	const struct met_inode wanted = { .inode = *inode };
	void *const *found = tfind(&wanted, &r->links, compare_met);

	return found ? *found : NULL;
}

static int remember(struct restore *r, const struct btrkit_inode *inode, const char *path)
{
	struct met_inode *met = malloc(sizeof(*met));

	if (!met)
		return -ENOMEM;
	*met = (struct met_inode){ *inode, strdup(path) };
	if (met->path && tsearch(met, &r->links, compare_met))
		return 0;
	free(met->path);
	free(met);
	return -ENOMEM;
}

static void forget(void *of)
{
	struct met_inode *met = of;

	free(met->path);
	free(met);
}

/* --- Directories and files that are being made ------------------------------------------------------------------ */

static void dir_put(struct restore *r, struct restored_dir *dir)
{
	if (!dir || --dir->refs)
		return;
	if (dir->fd >= 0 && dir->keeps_metadata)
		restore_metadata_fd(r, dir->fd, &dir->st, dir->path[0] ? dir->path : ".");
	if (dir->fd >= 0)
		close(dir->fd);
	free(dir->path);
	free(dir);
}

static int fill_one(void *ctx, unsigned worker, u64 i, struct diag *d)
{
	struct restore *r = ctx;

	(void)d;
	restore_fill(r, worker, &r->pending.items[i]);
	return 0;
}

/* Fill the files that wait. -ECANCELED after a signal. */
static int flush_pending(struct restore *r)
{
	struct diag d = { 0 };
	int err = pool_for_each(r->pool, r->pending.len, fill_one, r, &d);

	array_for_each(&r->pending, file) {
		if (close(file->fd) < 0)
			restore_complain(r, "%s: %s", file->path, strerror(errno));
		free(file->path);
		dir_put(r, file->dir);
	}
	r->pending.len = 0;
	return err;
}

static char *path_below(const struct restored_dir *dir, const char *name)
{
	char *path;

	return asprintf(&path, "%s%s%s", dir->path, dir->path[0] ? "/" : "", name) < 0 ? NULL : path;
}

static void list_path(const struct restore *r, const char *path)
{
	if (!r->command->verbosity && (!r->command->is_dry_run || r->command->is_json))
		return;
	print_escaped(stdout, path, strlen(path));
	putchar('\n');
}

/* --- Single files ----------------------------------------------------------------------------------------------- */

static int make_file(struct restore *r, struct restored_dir *dir, const char *name, const struct btrkit_stat *st,
		     const char *path)
{
	int flags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC | (r->command->may_overwrite ? O_TRUNC : O_EXCL);
	int fd = openat(dir->fd, name, flags, 0600);
	struct pending_file file = { .dir = dir, .fd = fd, .st = *st };

	if (fd < 0) {
		restore_complain(r, "%s: cannot be made: %s", path, strerror(errno));
		return 0;
	}
	r->nr_files++;
	file.path = strdup(path);
	if (!file.path || array_push(&r->pending, file) < 0) {
		free(file.path);
		close(fd);
		return -ENOMEM;
	}
	dir->refs++;
	return r->pending.len == BATCH_FILES ? flush_pending(r) : 0;
}

static void make_symlink(struct restore *r, const struct restored_dir *dir, const char *name,
			 const struct btrkit_stat *st, const char *path)
{
	struct btrkit_error error = { 0 };
	char target[PATH_MAX];

	if (btrkit_readlink(r->fs, &st->inode, target, sizeof(target), &error) < 0) {
		restore_complain(r, "%s: %s", path, error.text);
	} else if (symlinkat(target, dir->fd, name) < 0) {
		restore_complain(r, "%s: cannot be made: %s", path, strerror(errno));
	} else {
		r->nr_others++;
		restore_metadata_at(r, dir->fd, name, st, path);
	}
}

static void make_special(struct restore *r, const struct restored_dir *dir, const char *name,
			 const struct btrkit_stat *st, const char *path)
{
	dev_t device = makedev(st->rdev_major, st->rdev_minor);

	if (mknodat(dir->fd, name, (st->mode & S_IFMT) | 0600, device) < 0) {
		restore_complain(r, "%s: cannot be made: %s", path, strerror(errno));
		return;
	}
	r->nr_others++;
	restore_metadata_at(r, dir->fd, name, st, path);
}

/* 1: it was another name of a file that is there. */
static int try_link(struct restore *r, const struct restored_dir *dir, const char *name, const struct btrkit_stat *st,
		    const char *path)
{
	const struct met_inode *met = st->nlink > 1 ? find_met(r, &st->inode) : NULL;

	if (!met)
		return st->nlink > 1 ? remember(r, &st->inode, path) : 0;
	if (!r->command->is_dry_run && linkat(r->dest_fd, met->path, dir->fd, name, 0) < 0)
		restore_complain(r, "%s: cannot be linked to %s: %s", path, met->path, strerror(errno));
	else
		r->nr_links++;
	return 1;
}

static void remove_existing(struct restore *r, const struct restored_dir *dir, const char *name, const char *path)
{
	struct stat st;

	if (!r->command->may_overwrite || r->command->is_dry_run ||
	    fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISDIR(st.st_mode))
		return;
	if (unlinkat(dir->fd, name, 0) < 0)
		restore_complain(r, "%s: cannot be replaced: %s", path, strerror(errno));
}

static int make_other(struct restore *r, struct restored_dir *dir, const char *name, const struct btrkit_stat *st,
		      const char *path)
{
	int err;

	remove_existing(r, dir, name, path);
	err = try_link(r, dir, name, st, path);
	if (err)
		return err < 0 ? err : 0;
	if (r->command->is_dry_run) {
		r->nr_files += S_ISREG(st->mode);
		r->nr_others += !S_ISREG(st->mode);
		return 0;
	}
	switch (st->mode & S_IFMT) {
	case S_IFREG:
		return make_file(r, dir, name, st, path);
	case S_IFLNK:
		make_symlink(r, dir, name, st, path);
		return 0;
	case S_IFIFO:
	case S_IFSOCK:
	case S_IFCHR:
	case S_IFBLK:
		make_special(r, dir, name, st, path);
		return 0;
	default:
		restore_complain(r, "%s: unknown kind of file (mode %o)", path, st->mode);
		return 0;
	}
}

/* --- Directories -------------------------------------------------------------------------------------------------- */

static int walk_dir(struct restore *r, struct restored_dir *dir, unsigned depth);

/* *ret_dir: NULL when it was reported why there is none. */
static int make_dir(struct restore *r, struct restored_dir *parent, const char *name, const struct btrkit_stat *st,
		    const char *path, struct restored_dir **ret_dir)
{
	struct restored_dir *dir = calloc(1, sizeof(*dir));

	if (!dir || !(dir->path = strdup(path))) {
		free(dir);
		return -ENOMEM;
	}
	dir->inode = st->inode;
	dir->st = *st;
	dir->refs = 1;
	dir->fd = -1;
	dir->keeps_metadata = true;
	*ret_dir = dir;
	if (r->command->is_dry_run)
		return 0;
	if (mkdirat(parent->fd, name, 0700) < 0 && (errno != EEXIST || !r->command->may_overwrite))
		restore_complain(r, "%s: cannot be made: %s", path, strerror(errno));
	else if ((dir->fd = openat(parent->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		restore_complain(r, "%s: cannot be opened: %s", path, strerror(errno));
	if (dir->fd < 0) {
		dir_put(r, dir);
		*ret_dir = NULL;
	}
	return 0;
}

static int enter_dir(struct restore *r, struct restored_dir *parent, const char *name, const struct btrkit_stat *st,
		     const char *path, unsigned depth)
{
	struct restored_dir *dir;
	int err;

	if (st->inode.ino != BTRKIT_EMPTY_DIR && find_met(r, &st->inode)) {
		restore_complain(r, "%s: directory with two names, the other is %s", path, find_met(r, &st->inode)->path);
		return 0;
	}
	if (depth == DEPTH_MAX) {
		restore_complain(r, "%s: nested too deep", path);
		return 0;
	}
	err = st->inode.ino == BTRKIT_EMPTY_DIR ? 0 : remember(r, &st->inode, path);
	if (!err)
		err = make_dir(r, parent, name, st, path, &dir);
	if (err || !dir)
		return err;
	r->nr_dirs++;
	if (st->inode.ino != BTRKIT_EMPTY_DIR)
		err = walk_dir(r, dir, depth + 1);
	dir_put(r, dir);
	return err;
}

static bool is_usable_name(const char *name, size_t len)
{
	return len > 0 && strlen(name) == len && !memchr(name, '/', len) && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

/* What Linux shows for a subvolume that is not there. */
static struct btrkit_stat empty_dir_stat(const struct btrkit_dir_entry *entry)
{
	return (struct btrkit_stat){ .inode = entry->inode, .mode = S_IFDIR | 0755, .nlink = 1 };
}

static int take_entry(struct restore *r, struct restored_dir *dir, const struct btrkit_dir_entry *entry, unsigned depth)
{
	_free_ char *path = path_below(dir, entry->name);
	struct btrkit_error error = { 0 };
	struct btrkit_stat st = empty_dir_stat(entry);

	if (!path)
		return -ENOMEM;
	if (!is_usable_name(entry->name, entry->name_len)) {
		restore_complain(r, "%s: a name that cannot be", path);
		return 0;
	}
	if ((entry->is_subvol || entry->inode.ino == BTRKIT_EMPTY_DIR) && r->command->no_subvols)
		return 0;
	if (entry->inode.ino != BTRKIT_EMPTY_DIR && btrkit_stat(r->fs, &entry->inode, &st, &error) < 0) {
		restore_complain(r, "%s: %s", path, error.text);
		return 0;
	}
	list_path(r, path);
	if (S_ISDIR(st.mode))
		return enter_dir(r, dir, entry->name, &st, path, depth);
	return make_other(r, dir, entry->name, &st, path);
}

static int walk_dir(struct restore *r, struct restored_dir *dir, unsigned depth)
{
	struct btrkit_error error = { 0 };
	struct btrkit_dir_entry entry;
	struct btrkit_dir *open = NULL;
	int err = btrkit_dir_open(r->fs, &dir->inode, &open, &error), result = 0;

	if (!err)
		btrkit_dir_skip_damage(open);
	while (!err && !result && (err = btrkit_dir_next(open, &entry, &error)) == 0)
		result = take_entry(r, dir, &entry, depth);
	if (err < 0)
		restore_complain(r, "%s: %s", dir->path[0] ? dir->path : "/", error.text);
	if (open && btrkit_dir_nr_skipped(open))
		restore_complain(r, "%s: parts of the directory cannot be read, files may be missing",
				 dir->path[0] ? dir->path : "/");
	btrkit_dir_close(open);
	return result;
}

/* The destination itself stands for the directory that is extracted: its owner, mode and times come last. */
static int walk_top(struct restore *r, const struct btrkit_stat *st)
{
	struct restored_dir *dir = calloc(1, sizeof(*dir));
	int err;

	if (!dir || !(dir->path = strdup(""))) {
		free(dir);
		return -ENOMEM;
	}
	dir->inode = st->inode;
	dir->st = *st;
	dir->refs = 1;
	dir->keeps_metadata = true;
	dir->fd = r->command->is_dry_run ? -1 : fcntl(r->dest_fd, F_DUPFD_CLOEXEC, 0);
	err = remember(r, &st->inode, "/");
	if (!err)
		err = walk_dir(r, dir, 1);
	if (!err)
		err = flush_pending(r);
	dir_put(r, dir);
	return err;
}

static int restore_single(struct restore *r, const struct btrkit_stat *st, const char *name)
{
	struct restored_dir *dir = calloc(1, sizeof(*dir));
	int err;

	if (!dir || !(dir->path = strdup(""))) {
		free(dir);
		return -ENOMEM;
	}
	dir->refs = 1;
	dir->fd = r->command->is_dry_run ? -1 : fcntl(r->dest_fd, F_DUPFD_CLOEXEC, 0);
	list_path(r, name);
	err = make_other(r, dir, name, st, name);
	if (!err)
		err = flush_pending(r);
	dir_put(r, dir);
	return err;
}

int restore_tree(struct restore *r, const struct btrkit_inode *inode, const char *name)
{
	struct btrkit_error error = { 0 };
	struct btrkit_stat st;
	int err = btrkit_stat(r->fs, inode, &st, &error);

	if (err) {
		restore_complain(r, "%s", error.text);
		return 0;
	}
	err = S_ISDIR(st.mode) ? walk_top(r, &st) : restore_single(r, &st, name);
	if (err && r->pending.len)
		(void)flush_pending(r); /* the first failure is the one to report */
	array_done(&r->pending);
	tdestroy(r->links, forget);
	r->links = NULL;
	return err;
}
