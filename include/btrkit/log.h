/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log of a filesystem that was not unmounted: what was fsynced after the last commit. A mount replays it; here one can
 * see what that would do, read what the files would hold, and throw the log away.
 *
 *	err = btrkit_log_open(fs, &log, &error);
 *	if (err == 0)
 *		btrkit_log_inode_for_each(log, show_inode, NULL, &error);
 *	btrkit_log_close(log);
 *
 * A log that was opened does not change: any number of threads may look, as long as the filesystem is open.
 */
#ifndef BTRKIT_LOG_H
#define BTRKIT_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/file.h>
#include <btrkit/fs.h>

#ifdef __cplusplus
extern "C" {
#endif

struct btrkit_log;

/*
 * Read the log of @fs and work out what its replay would do. Damage to the log does not fail: it is told as losses.
 * -ENOENT: there is no log.
 */
BTRKIT_API int btrkit_log_open(struct btrkit_fs *fs, struct btrkit_log **ret_log, struct btrkit_error *error);
BTRKIT_API void btrkit_log_close(struct btrkit_log *log); /* NULL allowed */

struct btrkit_log_info {
	uint64_t logical; /* of the root block of the tree of log trees */
	uint64_t generation; /* of the transaction that was never committed */
	uint64_t nr_blocks; /* that can be read */
	uint64_t nr_subvols, nr_inodes, nr_steps;
	uint64_t nr_losses; /* 0: Linux would replay all of it, and so on */
};
/* @ret_info is filled up to @struct_size, sizeof(*ret_info). */
BTRKIT_API void btrkit_log_get_info(const struct btrkit_log *log, struct btrkit_log_info *ret_info, size_t struct_size);

/* --- By subvolume and inode ------------------------------------------------------------------------------------ */

struct btrkit_log_subvol {
	uint64_t id;
	const char *path; /* from the top of the filesystem; NULL: there is no such subvolume, or nothing leads to it */
	uint64_t nr_blocks; /* of its log */
	uint64_t nr_items; /* in them */
	bool is_missing; /* nothing of it can be replayed */
};
/* Call @fn for each subvolume that has a log, by id. A result other than 0 ends it and is returned. */
typedef int (*btrkit_log_subvol_fn)(void *arg, const struct btrkit_log_subvol *subvol);
BTRKIT_API int btrkit_log_subvol_for_each(const struct btrkit_log *log, btrkit_log_subvol_fn fn, void *arg,
					  struct btrkit_error *error);

struct btrkit_log_inode {
	struct btrkit_inode inode;
	bool is_new; /* replay makes it */
	bool is_removed; /* no name will lead to it: it goes, with its contents */
	bool is_changed; /* some field of its item changes; always with is_new */
	const struct btrkit_stat *before, *after; /* before: NULL when it is new */
	/*
	 * One path before and after, from the top of the filesystem; after, other directories may have been renamed, too.
	 * NULL: it has none.
	 */
	const char *path_before, *path_after;
	uint64_t nr_linked, nr_unlinked; /* names */
	uint64_t nr_extents; /* inserted; of holes only what is dropped is counted */
	uint64_t data_bytes; /* of these, in the file */
	uint64_t nr_dropped; /* ranges whose old contents go */
	uint64_t nr_xattrs_set, nr_xattrs_deleted;
	uint64_t nr_losses;
};
/* Call @fn for each inode that replay changes, by subvolume and number. A result other than 0 ends it and is returned. */
typedef int (*btrkit_log_inode_fn)(void *arg, const struct btrkit_log_inode *inode);
BTRKIT_API int btrkit_log_inode_for_each(const struct btrkit_log *log, btrkit_log_inode_fn fn, void *arg,
					 struct btrkit_error *error);

/* --- Step by step ------------------------------------------------------------------------------------------------ */

enum btrkit_log_action {
	BTRKIT_LOG_CREATE, /* make the inode: stat */
	BTRKIT_LOG_SET, /* set its fields: stat */
	BTRKIT_LOG_LINK, /* dir, index, name lead to it */
	BTRKIT_LOG_UNLINK, /* and no longer */
	BTRKIT_LOG_DROP, /* what lies at [offset, +len) goes; len UINT64_MAX: to the end */
	BTRKIT_LOG_EXTENT, /* put range there */
	BTRKIT_LOG_SET_XATTR, /* name, value */
	BTRKIT_LOG_DELETE_XATTR, /* name */
	BTRKIT_LOG_SET_LINKS, /* its link count: nlink */
	BTRKIT_LOG_ORPHAN, /* nothing leads to it: it is to be removed */
};

struct btrkit_log_step {
	enum btrkit_log_action action;
	const char *action_name; /* "create", "set", "link", ... */
	struct btrkit_inode inode;
	const struct btrkit_stat *stat;
	uint64_t dir, index;
	const char *name; /* NUL-terminated */
	size_t name_len;
	const void *value;
	size_t value_len;
	uint64_t offset, len;
	struct btrkit_file_range range;
	uint32_t nlink;
};
/* Call @fn for each step in the order of the replay. A result other than 0 ends it and is returned. */
typedef int (*btrkit_log_step_fn)(void *arg, const struct btrkit_log_step *step);
BTRKIT_API int btrkit_log_step_for_each(const struct btrkit_log *log, btrkit_log_step_fn fn, void *arg);

/* The same of the steps that are about @inode. */
BTRKIT_API int btrkit_log_inode_step_for_each(const struct btrkit_log *log, const struct btrkit_inode *inode,
					      btrkit_log_step_fn fn, void *arg);

/* As btrkit_path(), of an inode as it is after replay. -EUCLEAN also where its directories lie within each other. */
BTRKIT_API int btrkit_log_path(const struct btrkit_log *log, const struct btrkit_inode *inode, char *buf, size_t cap,
			       struct btrkit_error *error);

/* --- What cannot be honoured ------------------------------------------------------------------------------------- */

enum btrkit_log_loss_kind {
	BTRKIT_LOG_LOSS_BLOCK, /* a block of the log is damaged, or not where it may be */
	BTRKIT_LOG_LOSS_SUBVOL, /* the subvolume is not there, or damaged where the log would change it */
	BTRKIT_LOG_LOSS_ITEM, /* an item that no log may hold */
	BTRKIT_LOG_LOSS_EXTENT, /* data outside of the data chunks */
	BTRKIT_LOG_LOSS_TAKEN, /* data where something else is */
	BTRKIT_LOG_LOSS_CSUM, /* data without checksums */
	BTRKIT_LOG_LOSS_INCOMPLETE, /* what belongs to an inode is in a part of the log that is damaged */
	BTRKIT_LOG_LOSS_UNNAMED, /* a new inode to which no name leads */
};

struct btrkit_log_loss {
	enum btrkit_log_loss_kind kind;
	const char *kind_name; /* "block", "subvolume", "item", ... */
	uint64_t subvol, ino; /* 0: not of one */
	uint64_t logical; /* of a block or an extent; 0: of none */
	const char *text; /* what, and why */
};
typedef int (*btrkit_log_loss_fn)(void *arg, const struct btrkit_log_loss *loss);
BTRKIT_API int btrkit_log_loss_for_each(const struct btrkit_log *log, btrkit_log_loss_fn fn, void *arg);

/* --- Contents ------------------------------------------------------------------------------------------------------ */

/*
 * Open a regular file or symbolic link of the log, to be read as it would be after replay: the log's extents over the committed
 * ones. @is_log_only: the committed ones read as holes. -ENOENT: the log does not have this inode.
 */
BTRKIT_API int btrkit_log_file_open(const struct btrkit_log *log, const struct btrkit_inode *inode, bool is_log_only,
				    struct btrkit_file **ret_file, struct btrkit_error *error);

/* --- Replaying it ------------------------------------------------------------------------------------------------------ */

/*
 * Do what a mount would do: the steps of the log, in one transaction, after which there is no log. A log that cannot be honoured
 * entirely is refused whole, with -EUCLEAN and the first loss, unless @do_skip_bad: then the losses are told to @fn (may be NULL)
 * before anything is written, and the rest is replayed. @options as for btrkit_fs_open(), which opens only what is neither mounted
 * nor in use.
 * -ENOENT: there is no log; -EBUSY; -EROFS, -EOPNOTSUPP: the filesystem must not, or cannot, be changed; -ENODEV: a device is
 * missing; -ENOSPC. Whatever fails, the log is still there, unless it is the superblocks that could not be written.
 */
BTRKIT_API int btrkit_log_replay(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
				 bool do_skip_bad, btrkit_log_loss_fn fn, void *arg, struct btrkit_error *error);

/* --- Throwing it away ------------------------------------------------------------------------------------------------ */

/*
 * Clear the log on the devices at @paths: all superblocks are written anew, without it. What was fsynced after the last commit is
 * gone then. @options as for btrkit_fs_open(), which opens only what is neither mounted nor in use; of a filesystem whose
 * trees are damaged, superblocks that can be read are enough. -ENOENT: there is no log; -EBUSY; -EROFS: a feature that is not
 * known forbids writing; -ENODEV: a device is missing, whose superblocks would keep the log.
 */
BTRKIT_API int btrkit_log_clear(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
				struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
