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
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cmds/restore.h"
#include "common/cli/report.h"

#define BATCH_FILES 256
#define LARGE_FILE_BYTES ((u64)16 * MIB)
/* Directories that may be open within each other: each takes a descriptor and its path. */
#define DEPTH_MAX 4096
#define PATH_BYTES_MAX 65536

/* --- Directories and files that are being made ------------------------------------------------------------------ */

static void dir_put(struct restore *r, struct restored_dir *dir)
{
	if (!dir || --dir->refs)
		return;
	if (dir->fd >= 0 && dir->gets_metadata)
		restore_metadata_fd(r, dir->fd, &dir->st, dir->path[0] ? dir->path : ".");
	if (dir->fd >= 0)
		close(dir->fd);
	free(dir->path);
	free(dir);
}

static int open_one(void *ctx, unsigned worker, u64 i, struct diag *d)
{
	struct restore *r = ctx;

	(void)worker, (void)d;
	restore_open(r, &r->pending.items[i]);
	return 0;
}

static int fill_one(void *ctx, unsigned worker, u64 i, struct diag *d)
{
	struct restore *r = ctx;

	(void)d;
	restore_fill(r, worker, &r->pending.items[i]);
	return 0;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static u64 large_bytes(const struct pending_file *file)
{
	return file->st.size >= LARGE_FILE_BYTES ? file->st.size : 0;
}

/*
 * Directories have their names in the order of a hash; in that of inodes, data mostly lies one behind the other. Large files come
 * first: one that came last would keep one worker busy, and the others waiting.
 */
static int compare_pending(const void *a, const void *b)
{
	const struct btrkit_inode *x = &((const struct pending_file *)a)->st.inode, *y = &((const struct pending_file *)b)->st.inode;
	u64 large_x = large_bytes(a), large_y = large_bytes(b);

	if (large_x != large_y)
		return large_x > large_y ? -1 : 1;
	if (x->subvol != y->subvol)
		return x->subvol < y->subvol ? -1 : 1;
	return x->ino < y->ino ? -1 : x->ino > y->ino;
}

/* Fill the files that wait. -ECANCELED after a signal: those that were not filled go away again. */
static int flush_pending(struct restore *r)
{
	struct diag d = { 0 };
	int err;

	array_sort(&r->pending, compare_pending);
	err = pool_for_each(r->pool, r->pending.len, open_one, r, &d) ?: pool_for_each(r->pool, r->pending.len, fill_one, r, &d);
	array_for_each(&r->pending, file) {
		btrkit_file_close(file->from);
		free(file->why);
		if (close(file->fd) < 0)
			restore_complain(r, "%s: %s", file->path, strerror(errno));
		if (!file->is_filled) {
			(void)unlinkat(file->dir->fd, last_name(file->path), 0); /* if it cannot go, it is short */
			r->nr_files--;
		}
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
	int fd = openat(dir->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct pending_file file = { .dir = dir, .fd = fd, .st = *st };

	if (fd < 0) {
		restore_complain(r, "%s: cannot be made: %s", path, strerror(errno));
		return 0;
	}
	file.path = strdup(path);
	if (!file.path || array_push(&r->pending, file) < 0) {
		free(file.path);
		close(fd);
		return -ENOMEM;
	}
	r->nr_files++;
	dir->refs++;
	return 0;
}

static void make_symlink(struct restore *r, const struct restored_dir *dir, const char *name,
			 const struct btrkit_stat *st, const char *path)
{
	char target[PATH_MAX];

	if (btrkit_readlink(r->fs, &st->inode, target, sizeof(target), &r->error) < 0) {
		restore_lose(r, "%s: %s", path, r->error.text);
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

static void count_other(struct restore *r, u32 mode)
{
	r->nr_files += S_ISREG(mode);
	r->nr_others += !S_ISREG(mode);
}

static int make_by_kind(struct restore *r, struct restored_dir *dir, const char *name, const struct btrkit_stat *st,
			const char *path)
{
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
		restore_lose(r, "%s: unknown kind of file (mode %o)", path, st->mode);
		return 0;
	}
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

/* The first name of a file, whose others become links to it. What could not be made is no file to link to. */
static int make_first_name(struct restore *r, struct restored_dir *dir, const char *name, const struct btrkit_stat *st,
			   const char *path)
{
	u64 before = r->nr_files + r->nr_others;
	int err = 0;

	if (r->command->is_dry_run)
		count_other(r, st->mode);
	else
		err = make_by_kind(r, dir, name, st, path);
	if (!err && st->nlink > 1 && r->nr_files + r->nr_others > before)
		err = restore_remember(r, &st->inode, path);
	return err;
}

static bool is_pending(const struct restore *r, const struct btrkit_inode *inode)
{
	array_for_each(&r->pending, file)
		if (file->st.inode.subvol == inode->subvol && file->st.inode.ino == inode->ino)
			return true;
	return false;
}

/* A file that waits to be filled may yet go away: it gets further names only when it is whole. */
static int make_further_name(struct restore *r, const struct restored_dir *dir, const char *name,
			     const struct btrkit_stat *st, const char *path, const char *first)
{
	int err = is_pending(r, &st->inode) ? flush_pending(r) : 0;

	if (err)
		return err;
	err = r->command->is_dry_run ? 0 : restore_link(r, first, dir->fd, name);
	if (err)
		restore_complain(r, "%s: cannot be linked to %s: %s", path, first, strerror(-err));
	else
		r->nr_links++;
	return 0;
}

static int make_other(struct restore *r, struct restored_dir *dir, const char *name, const struct btrkit_stat *st,
		      const char *path)
{
	const char *first = st->nlink > 1 ? restore_met(r, &st->inode) : NULL;
	int err;

	remove_existing(r, dir, name, path);
	if (first)
		return make_further_name(r, dir, name, st, path, first);
	err = make_first_name(r, dir, name, st, path);
	return !err && r->pending.len >= BATCH_FILES ? flush_pending(r) : err;
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
	dir->gets_metadata = true;
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
	bool is_there = !btrkit_inode_is_empty_dir(&st->inode);
	struct restored_dir *dir;
	int err = 0;

	if (is_there && restore_met(r, &st->inode)) {
		restore_lose(r, "%s: directory with two names, the other is %s", path, restore_met(r, &st->inode));
		return 0;
	}
	if (depth == DEPTH_MAX || strlen(path) > PATH_BYTES_MAX) {
		restore_complain(r, "%s: nested too deep", path);
		return 0;
	}
	if (is_there)
		err = restore_remember(r, &st->inode, path);
	if (!err)
		err = make_dir(r, parent, name, st, path, &dir);
	if (err || !dir)
		return err;
	r->nr_dirs++;
	if (is_there)
		err = walk_dir(r, dir, depth + 1);
	dir_put(r, dir);
	return err;
}

static bool is_usable_name(const char *name, size_t len)
{
	return len > 0 && strlen(name) == len && !memchr(name, '/', len) && strcmp(name, ".") != 0 &&
	       strcmp(name, "..") != 0;
}

/*
 * What an entry leads to. A directory whose inode cannot be read is still gone into, and an empty one stands for a
 * subvolume that is not there; -errno: there is nothing to extract.
 */
static int stat_entry(struct restore *r, const struct btrkit_inode *inode, u32 type, const char *path,
		      struct btrkit_stat *ret_stat)
{
	int err = btrkit_stat(r->fs, inode, ret_stat, &r->error);

	if (!err)
		return 0;
	restore_lose(r, "%s: %s", path, r->error.text);
	if (type == S_IFDIR) {
		*ret_stat = (struct btrkit_stat){ .inode = *inode, .mode = S_IFDIR | 0700, .nlink = 1 };
		ret_stat->uid = geteuid();
		ret_stat->gid = getegid();
		return 0;
	}
	return err;
}

static int take_entry(struct restore *r, struct restored_dir *dir, const struct btrkit_dir_entry *entry, unsigned depth)
{
	_free_ char *path = path_below(dir, entry->name);
	struct btrkit_stat st;

	if (!path)
		return -ENOMEM;
	if (restore_is_cancelled(r))
		return -ECANCELED;
	if (!is_usable_name(entry->name, entry->name_len)) {
		restore_lose(r, "%s: a name that cannot be", path);
		return 0;
	}
	if ((entry->is_subvol || btrkit_inode_is_empty_dir(&entry->inode)) && r->command->no_subvols)
		return 0;
	if (stat_entry(r, &entry->inode, entry->type, path, &st) < 0)
		return 0;
	list_path(r, path);
	if (S_ISDIR(st.mode))
		return enter_dir(r, dir, entry->name, &st, path, depth);
	return make_other(r, dir, entry->name, &st, path);
}

static int walk_dir(struct restore *r, struct restored_dir *dir, unsigned depth)
{
	const char *shown = dir->path[0] ? dir->path : "/";
	struct btrkit_dir_entry entry;
	struct btrkit_dir *open = NULL;
	int err = btrkit_dir_open(r->fs, &dir->inode, &open, &r->error), result = 0;

	if (!err)
		btrkit_dir_skip_damage(open);
	while (!err && !result && (err = btrkit_dir_next(open, &entry, &r->error)) == 0)
		result = take_entry(r, dir, &entry, depth);
	if (err < 0)
		restore_lose(r, "%s: %s", shown, r->error.text);
	if (open && btrkit_dir_nr_skipped(open))
		restore_lose(r, "%s: parts of the directory cannot be read, files may be missing", shown);
	btrkit_dir_close(open);
	return result;
}

static int new_top(struct restore *r, const struct btrkit_stat *st, struct restored_dir **ret_dir)
{
	struct restored_dir *dir = calloc(1, sizeof(*dir));

	if (!dir || !(dir->path = strdup(""))) {
		free(dir);
		return -ENOMEM;
	}
	dir->inode = st->inode;
	dir->st = *st;
	dir->refs = 1;
	dir->fd = r->command->is_dry_run ? -1 : fcntl(r->dest_fd, F_DUPFD_CLOEXEC, 0);
	*ret_dir = dir;
	return 0;
}

int restore_tree(struct restore *r, const struct btrkit_inode *inode, const char *name)
{
	struct restored_dir *top;
	struct btrkit_stat st;
	int err;

	if (stat_entry(r, inode, S_IFDIR, "/", &st) < 0)
		return 0;
	err = new_top(r, &st, &top);
	if (err)
		return err;
	if (S_ISDIR(st.mode)) {
		top->gets_metadata = !r->keeps_dest;
		err = restore_remember(r, &st.inode, "/");
		if (!err)
			err = walk_dir(r, top, 1);
	} else {
		list_path(r, name);
		err = make_other(r, top, name, &st, name);
	}
	if (!err || r->pending.len) {
		int flush_err = flush_pending(r);

		err = err ? err : flush_err;
	}
	dir_put(r, top);
	array_done(&r->pending);
	restore_forget_all(r);
	return err;
}
