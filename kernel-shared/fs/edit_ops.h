/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What <btrkit/edit.h> offers, inside: each operation looks first whether it can be done, then calls edit_changing(), and from
 * there on a failure ends the transaction (see edit_finish()).
 */
#ifndef BTRKIT_KERNEL_SHARED_FS_EDIT_OPS_H
#define BTRKIT_KERNEL_SHARED_FS_EDIT_OPS_H

#include <btrkit/edit.h>

#include "kernel-shared/fs/edit_items.h"

struct btrkit_edit {
	struct btrkit_fs *fs;
	struct btrkit_edit_options options;
	struct btrkit_time now; /* of the running operation */
	bool is_changing; /* the running operation has begun to change something */
	bool is_broken; /* the transaction was aborted, and its user may not know it */
};

/* Called first of all. -ESHUTDOWN. */
int edit_begin(struct btrkit_edit *edit, struct diag *d);
/* And last; returns what the public function returns. */
int edit_finish(struct btrkit_edit *edit, int err, const struct diag *d, struct btrkit_error *error);

static inline void edit_changing(struct btrkit_edit *edit)
{
	edit->is_changing = true;
}

/* What was begun has left no trace: the failure is an ordinary one. */
static inline void edit_unchanged(struct btrkit_edit *edit)
{
	edit->is_changing = false;
}

/* --- Looking (edit_look.c) ------------------------------------------------------------------------------------------- */

/* A subvolume that is not being deleted, and its root item. -ENOENT. */
int edit_any_subvol(struct btrkit_edit *edit, u64 id, struct subvol_edit *ret_subvol, struct disk_root_item *ret_item,
		    struct diag *d);
/* One that may be changed. -ENOENT, -EROFS. */
int edit_subvol(struct btrkit_edit *edit, u64 id, struct subvol_edit *ret_subvol, struct diag *d);
/* An inode in one. -ENOENT, -EROFS, -EPERM. */
int edit_inode(struct btrkit_edit *edit, const struct btrkit_inode *inode, struct subvol_edit *ret_subvol,
	       struct disk_inode_item *ret_item, struct diag *d);
/* The same, and -ENOTDIR. */
int edit_dir(struct btrkit_edit *edit, const struct btrkit_inode *dir, struct subvol_edit *ret_subvol, struct diag *d);
/* One whose contents may be changed: -EISDIR, -EINVAL, -EPERM. */
int edit_file(struct btrkit_edit *edit, const struct btrkit_inode *inode, struct subvol_edit *ret_subvol,
	      struct disk_inode_item *ret_item, struct diag *d);
/* A name that may be given to something. -EINVAL, -ENAMETOOLONG. */
int edit_name(const char *bytes, size_t len, struct name *ret_name, struct diag *d);

/* What has a name in a directory. */
struct named {
	struct subvol_edit dir_subvol;
	u64 dir;
	struct name name;
	struct key location;
	u8 type; /* FT_* */
	u64 index; /* in the directory */
	bool is_subvol; /* location is that of a subvolume, whose name this is */
	bool is_dangling; /* location is that of a subvolume that is not there, or has its name elsewhere */
};
/* 0; 1: there is no such name, and ret_named->dir_subvol, dir and name are set. */
int edit_find(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *bytes, size_t len,
	      struct named *ret_named, struct diag *d);

/* --- Names (edit_link.c) ------------------------------------------------------------------------------------------------ */

/* A name that is free in a directory, and the index for it. -EEXIST, -EOVERFLOW. */
int edit_find_free(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		   struct named *ret_named, struct diag *d);
/*
 * Giving what @named->location and type say the name and index that @named says takes two steps. First the reference in what
 * is named. -EMLINK, allowed: nothing is changed.
 */
int edit_put_reference(struct btrkit_edit *edit, struct named *named, struct diag *d);
/* Then the entry in the directory, where nothing may have the name (dir_item_check_room()). */
int edit_put_entry(struct named *named, struct diag *d);
/* Take it away. The inode's link count is the caller's. */
int edit_take_name(struct named *named, struct diag *d);
/* Inode @ino has one name less: it goes with the last. */
int edit_drop_link(struct subvol_edit *subvol, u64 ino, struct diag *d);
/* The item of a new inode. */
void edit_fill_inode(const struct subvol_edit *subvol, const struct btrkit_node_attr *attr, struct disk_inode_item *ret_item);

int edit_create(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		const struct btrkit_node_attr *attr, const char *target, size_t target_len,
		struct btrkit_inode *ret_inode, struct diag *d);
int edit_link(struct btrkit_edit *edit, const struct btrkit_inode *inode, const struct btrkit_inode *dir,
	      const char *name, size_t name_len, struct diag *d);
int edit_unlink(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		bool is_rmdir, struct diag *d);
/* edit_rename.c */
int edit_rename(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		const struct btrkit_inode *new_dir, const char *new_name, size_t new_name_len, unsigned flags,
		struct diag *d);

/* --- Attributes (edit_attr.c) -------------------------------------------------------------------------------------------- */

int edit_set_attr(struct btrkit_edit *edit, const struct btrkit_inode *inode, unsigned mask,
		  const struct btrkit_node_attr *attr, struct diag *d);
int edit_set_xattr(struct btrkit_edit *edit, const struct btrkit_inode *inode, const char *name, const void *value,
		   size_t value_len, struct diag *d);
int edit_remove_xattr(struct btrkit_edit *edit, const struct btrkit_inode *inode, const char *name, struct diag *d);

/* --- Contents ------------------------------------------------------------------------------------------------------------ */

/* edit_write.c */
int edit_write(struct btrkit_edit *edit, const struct btrkit_inode *inode, u64 offset, u64 len, btrkit_fill_fn fill,
	       void *arg, struct diag *d);
/*
 * Have the first sector's data in an extent of its own, whatever it was in, for what cannot be done with inline data;
 * @item follows. Nothing is done for other files.
 */
int edit_uninline(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item,
		  struct diag *d);
/*
 * Of a file with inline data: that becomes its first @size bytes, zeroes where it had less, inline or not. Of other files
 * nothing is done. The size in @item is the caller's to change.
 */
int edit_resize_inline(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item,
		       u64 size, bool *ret_did, struct diag *d);
/* Bytes [at, at + len) of a file; what is behind its end reads as zeroes. */
int edit_read(struct btrkit_edit *edit, const struct btrkit_inode *inode, u64 at, void *buf, size_t len, struct diag *d);
/*
 * What is in [at, at + len), which lies in one sector, becomes zeroes, if there is an extent with data. Inline data is left
 * alone.
 */
int edit_zero_in_sector(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item, u64 at,
			u64 len, struct diag *d);
/* The same in two sectors, or in none if there is no space. */
int edit_zero_in_sectors(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item, u64 at,
			 u64 len, u64 other_at, u64 other_len, struct diag *d);
void edit_add_nbytes(struct disk_inode_item *item, u64 added, u64 dropped);
/* edit_truncate.c */
int edit_truncate(struct btrkit_edit *edit, const struct btrkit_inode *inode, u64 size, struct diag *d);
/* Make the file's end @size, which is not before it, with a hole behind the old end; @item follows, and is not written. */
int edit_grow(struct btrkit_edit *edit, struct subvol_edit *subvol, u64 ino, struct disk_inode_item *item, u64 size,
	      struct diag *d);
int edit_punch_hole(struct btrkit_edit *edit, const struct btrkit_inode *inode, u64 offset, u64 len, struct diag *d);
int edit_preallocate(struct btrkit_edit *edit, const struct btrkit_inode *inode, u64 offset, u64 len, bool is_size_kept,
		     struct diag *d);
/* edit_clone.c */
int edit_clone(struct btrkit_edit *edit, const struct btrkit_inode *from, u64 from_offset, u64 len,
	       const struct btrkit_inode *inode, u64 offset, struct diag *d);

/* --- Subvolumes (edit_subvol.c) ------------------------------------------------------------------------------------------- */

int edit_subvol_create(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		       const struct btrkit_node_attr *attr, u64 *ret_id, struct diag *d);
int edit_snapshot(struct btrkit_edit *edit, u64 source, const struct btrkit_inode *dir, const char *name, size_t name_len,
		  bool is_read_only, u64 *ret_id, struct diag *d);
int edit_subvol_delete(struct btrkit_edit *edit, u64 id, struct diag *d);
int edit_set_default(struct btrkit_edit *edit, u64 id, struct diag *d);
int edit_set_read_only(struct btrkit_edit *edit, u64 id, bool is_read_only, struct diag *d);
int edit_set_label(struct btrkit_edit *edit, const char *label, struct diag *d);

/* edit_roots.c: ROOT_REF and ROOT_BACKREF, the names of subvolumes. */
int root_refs_add(struct txn *txn, u64 id, u64 parent, u64 dir, u64 index, const struct name *name, struct diag *d);
int root_refs_remove(struct txn *txn, u64 id, u64 parent, struct diag *d);
/* Does subvolume @parent name @id in @dir as @name? *ret_index. 1: no. */
int root_ref_find(struct btrkit_fs *fs, u64 id, u64 parent, u64 dir, const struct name *name, u64 *ret_index,
		  struct diag *d);
/* The uuid tree's entry that leads from @uuid to subvolume @id; @type: UUID_KEY_*. Nothing where there is no uuid tree. */
int uuid_entry_add(struct txn *txn, const u8 *uuid, u8 type, u64 id, struct diag *d);
int uuid_entry_remove(struct txn *txn, const u8 *uuid, u8 type, u64 id, struct diag *d);

#endif
