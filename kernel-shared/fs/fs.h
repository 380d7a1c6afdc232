/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of an open filesystem, for kernel-shared/ only: it owns the layers below and hands out trees.
 *
 * After opening, nothing changes but the table of known roots, which has its own lock; unless it is opened to be changed: then
 * there is a transaction, whose changes everybody sees at once, and one thread only.
 */
#ifndef BTRKIT_KERNEL_SHARED_FS_FS_H
#define BTRKIT_KERNEL_SHARED_FS_FS_H

#include <btrkit/fs.h>

#include "common/base/array.h"
#include "kernel-shared/tree/tree.h"

/* The user's function for notes. */
struct fs_note {
	btrkit_note_fn fn; /* may be NULL */
	void *arg;
};

struct fs_options {
	int super_mirror; /* told of in messages only: the set was opened with it */
	u64 tree_root, chunk_root; /* 0: the superblock's */
	bool use_backup_roots;
	bool refuse_missing;
	bool ignore_data_csums;
	bool is_writable;     /* begin a transaction; the devices are writable */
	bool may_be_degraded; /* it may be changed though devices are missing; see struct txn_target
			       */
	size_t cache_bytes;
	struct fs_note note;
	bool knows_log; /* the caller tells of a log himself */
	/* For a checker: open also what has no readable chunk or root tree; fs->partial_why then says why it is not whole. */
	bool may_be_partial;
};

struct txn;
struct foreign_ops;

struct fs_root {
	struct tree tree;
	u64 top_dir;
};

struct btrkit_fs {
	const struct foreign_ops *foreign; /* NULL: it is Btrfs; else nothing below counts but note and is_read_only */
	void *foreign_ctx; /* owned */
	struct disk_super super;
	const struct csum_kind *csum;
	struct volume *volume; /* owned, with devices and chunks */
	struct block_cache *cache; /* owned */
	struct tree chunk_tree;
	struct tree root_tree;
	struct tree csum_tree;
	bool has_csum_tree; /* false: it cannot be found, data cannot be verified */
	bool is_read_only; /* unknown compat_ro features */
	bool ignore_data_csums;
	bool may_be_degraded;
	bool may_reach_beyond; /* as in struct txn_target; set before changes begin */
	bool is_sprouting; /* see struct txn_target */
	u64 default_subvol;
	struct fs_note note;
	struct txn *txn; /* owned; NULL: it was opened for reading */
	bool is_edited; /* there is a struct btrkit_edit */
	char *partial_why; /* NULL: it is whole. Else trees may be missing, and only the superblock can be relied on */

	pthread_mutex_t roots_lock; /* guards roots */
	ARRAY(struct fs_root) roots; /* of subvolumes that were asked for, by id */
};

/* Open the filesystem on @devices, which is taken over, also when it fails. */
int fs_open_devices(struct device_set *devices, const struct fs_options *options, struct btrkit_fs **ret_fs,
		    struct diag *d);
DEFINE_FREEP(struct btrkit_fs *, btrkit_fs_close)

/* btrkit_fs_open() for those inside. */
int fs_open_paths(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
		  bool may_be_partial, struct btrkit_fs **ret_fs, struct diag *d);

/* --- A view (view.c) ------------------------------------------------------------------------------------------ */

/*
 * The same filesystem with a cache of its own that hands out blocks whose items may be bad: see block_cache_accept_bad_items().
 * For trees, cursors, names and paths only. @fs must outlive it; no note is told.
 */
int fs_view_new(struct btrkit_fs *fs, size_t cache_bytes, struct btrkit_fs **ret_view);
void fs_view_free(struct btrkit_fs *view);

/*
 * Begin a transaction, on devices that are writable; fs->txn is set. @has_log_plan as for txn_new(). -EROFS, -EOPNOTSUPP,
 * -EBUSY, -EUCLEAN: it cannot be changed, the text says why.
 */
int fs_begin_changes(struct btrkit_fs *fs, bool has_log_plan, struct diag *d);
/* Forget what is not committed, and what was remembered of trees: as after opening for reading. */
void fs_end_changes(struct btrkit_fs *fs);
/* Look up the default subvolume anew. */
void fs_load_default_subvol(struct btrkit_fs *fs, struct diag *d);

/*
 * The same with the devices writable, but without a transaction: for the replay of a log, which begins it with
 * fs_begin_changes() when its plan is whole.
 */
int fs_open_for_log(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
		    struct btrkit_fs **ret_fs, struct diag *d);

/* -EOPNOTSUPP: it is another filesystem (foreign.h), so that only files can be read. */
int fs_check_is_btrfs(const struct btrkit_fs *fs, struct diag *d);

/* --- Trees (roots.c) --------------------------------------------------------------------------------------- */

/* A tree by its id: root, chunk, or one that the root tree knows. -ENOENT: there is none. */
int fs_tree(struct btrkit_fs *fs, u64 id, struct tree *ret_tree, struct diag *d);

/* The tree of a subvolume and its top directory, remembered. -ENOENT. */
int fs_subvol_root(struct btrkit_fs *fs, u64 id, struct fs_root *ret_root, struct diag *d);

/* The ROOT_ITEM of tree @id; a shorter one of old kernels is filled up with zeroes. -ENOENT. */
int fs_root_item(struct btrkit_fs *fs, u64 id, struct disk_root_item *ret_item, struct diag *d);
/* The same from the item that a cursor in the root tree stands on. */
void root_item_unpack(const struct cursor *cursor, struct disk_root_item *ret_item);

/*
 * Call @fn for each tree whose root item is in @roots, of @id alone unless that is 0; @offset is that of the item's key. A
 * result other than 0 ends it and is returned. With @id 0, items that cannot be read are told of and left out.
 */
typedef int (*fs_tree_fn)(void *ctx, const struct tree *tree, u64 offset, struct diag *d);
int fs_for_each_root_item(const struct tree *roots, u64 id, fs_tree_fn fn, void *ctx, struct diag *d);
/* The same of the tree that leads to the log trees, and of these. Nothing where there is no log. */
int fs_for_each_log(struct btrkit_fs *fs, fs_tree_fn fn, void *ctx, struct diag *d);

/* --- Diagnoses at the public door -------------------------------------------------------------------------- */

/* A fresh diag whose notes go to the user's function; @note must outlive it. */
void fs_diag_init(const struct fs_note *note, struct diag *d);

/* Hand a failure out: fill @error (may be NULL) from @d and return @err. A success leaves @error alone. */
int fs_error(struct btrkit_error *error, const struct diag *d, int err);

#endif
