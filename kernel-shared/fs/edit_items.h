/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The items of a subvolume's tree, changed one kind at a time: what files are made of, below what a user would call an
 * operation. Nothing here looks after the counts of other items: whoever takes a name away sees to the inode's link count and
 * the directory's size.
 *
 * After an error that is not allowed by the comment, the transaction has to be aborted. No cursor may stand in the tree while
 * it is changed.
 */
#ifndef BTRKIT_KERNEL_SHARED_FS_EDIT_ITEMS_H
#define BTRKIT_KERNEL_SHARED_FS_EDIT_ITEMS_H

#include <btrkit/time.h>

#include "kernel-shared/fs/fs.h"
#include "kernel-shared/fs/file_extent.h"
#include "kernel-shared/txn/txn.h"

/* A subvolume that is changed. A value: several of one subvolume may be alive. */
struct subvol_edit {
	struct btrkit_fs *fs;
	struct txn *txn;
	struct tree_root *root;
	u64 id;
	u64 generation; /* of what is made */
	u32 sectorsize;
	struct btrkit_time now; /* for the times that a change sets */
};

/* Of a filesystem that was opened for changes. -ENOENT: there is no such subvolume. */
int subvol_edit_init(struct btrkit_fs *fs, u64 id, const struct btrkit_time *now, struct subvol_edit *ret_edit,
		     struct diag *d);

/* The tree as it is now. */
static inline const struct tree *subvol_tree(const struct subvol_edit *edit)
{
	return &edit->root->tree;
}

/* Does the filesystem have all of these INCOMPAT_* features? */
bool subvol_has_feature(const struct subvol_edit *edit, u64 incompat);

static inline void time_pack(struct disk_timespec *to, const struct btrkit_time *from)
{
	le64_put(&to->sec, (u64)from->sec);
	le32_put(&to->nsec, from->nsec);
}

/* --- Entries that share an item (edit_packed.c) ------------------------------------------------------------------- */

/*
 * DIR_ITEM, XATTR_ITEM, INODE_REF and INODE_EXTREF hold one or more entries, one behind the other. Append one: the item is
 * made if there is none. -EOVERFLOW, allowed, with nothing changed: no leaf can hold so much.
 */
int packed_append(struct tree_root *root, const struct key *key, const void *entry, u32 bytes, struct diag *d);
/* Take @bytes at @at out of the item; an item without entries goes. */
int packed_remove(struct tree_root *root, const struct key *key, u32 at, u32 bytes, struct diag *d);

/* --- Inodes (edit_inode.c) ------------------------------------------------------------------------------------------ */

/* The number for a new inode: one more than the highest of all. -ENOSPC: there are no more, allowed. */
int inode_next_number(const struct subvol_edit *edit, u64 *ret_ino, struct diag *d);
/* -EEXIST. */
int inode_insert(struct subvol_edit *edit, u64 ino, const struct disk_inode_item *item, struct diag *d);
/*
 * Write the item of an inode that exists, with this transaction as its transid, and tell the subvolume's root item of the
 * change. -ENOENT.
 */
int inode_update(struct subvol_edit *edit, u64 ino, struct disk_inode_item *item, struct diag *d);
/* The ctime, the sequence; @is_content: and mtime. For inode_update(). */
void inode_touch(const struct subvol_edit *edit, struct disk_inode_item *item, bool is_content);
/* Every item with the objectid @ino, and what its extents refer to. Names elsewhere that lead to it are the caller's. */
int inode_delete_items(struct subvol_edit *edit, u64 ino, struct diag *d);

/* Inodes without a name that a crash must not leave behind. Adding one that is there, or taking away none, is no error. */
int orphan_add(struct subvol_edit *edit, u64 ino, struct diag *d);
int orphan_remove(struct subvol_edit *edit, u64 ino, struct diag *d);

/* --- Names in a directory (edit_names.c) ------------------------------------------------------------------------------ */

/* A name, which need not end in NUL. */
struct name {
	const char *bytes;
	u32 len;
};

struct dir_entry {
	struct key location; /* an INODE_ITEM of this tree, or the ROOT_ITEM of a subvolume */
	u64 transid;
	u8 type; /* FT_* */
};

/* The entry of a DIR_ITEM. 1: @dir has no such name. */
int dir_entry_find(const struct tree *tree, u64 dir, const struct name *name, struct dir_entry *ret_entry, struct diag *d);
/* That of the DIR_INDEX item at @index: its name into @ret_name, NAME_LEN_MAX bytes, *ret_len. 1: there is none. */
int dir_index_read(const struct tree *tree, u64 dir, u64 index, struct dir_entry *ret_entry, char *ret_name, u32 *ret_len,
		   struct diag *d);
/* The index of a name, looked for among all. 1: @dir has no such name. */
int dir_index_find(const struct tree *tree, u64 dir, const struct name *name, u64 *ret_index, struct diag *d);
/* Is there room for one more name with its hash? -EOVERFLOW. */
int dir_item_check_room(const struct tree *tree, u64 dir, const struct name *name, struct diag *d);
int dir_is_empty(const struct tree *tree, u64 dir, bool *ret_is_empty, struct diag *d);
/* The index for a new name: behind all others, at least 2. */
int dir_next_index(const struct tree *tree, u64 dir, u64 *ret_index, struct diag *d);

/*
 * A DIR_ITEM entry. -EEXIST: the name is there; -EOVERFLOW: there is no room for more names with its hash; both allowed,
 * nothing is changed then.
 */
int dir_item_add(struct subvol_edit *edit, u64 dir, const struct name *name, const struct key *location, u8 type,
		 struct diag *d);
/* A DIR_INDEX item. -EEXIST: the index is taken. */
int dir_index_add(struct subvol_edit *edit, u64 dir, u64 index, const struct name *name, const struct key *location,
		  u8 type, struct diag *d);
/* -ENOENT, allowed. */
int dir_item_remove(struct subvol_edit *edit, u64 dir, const struct name *name, struct diag *d);
int dir_index_remove(struct subvol_edit *edit, u64 dir, u64 index, struct diag *d);

/* --- What an inode is called (edit_refs.c) ---------------------------------------------------------------------------- */

/*
 * The index of the name in INODE_REF or INODE_EXTREF. 1: inode @ino is not called that in @dir.
 */
int inode_ref_find(const struct tree *tree, u64 ino, u64 dir, const struct name *name, u64 *ret_index, struct diag *d);
/*
 * To the INODE_REF of @dir; when that is full, with the extended-iref feature, to an INODE_EXTREF.
 * -EMLINK, allowed: there is no room for more names.
 */
int inode_ref_add(struct subvol_edit *edit, u64 ino, u64 dir, const struct name *name, u64 index, struct diag *d);
/* Wherever it is. -ENOENT, allowed. *ret_index (may be NULL): the index that it had. */
int inode_ref_remove(struct subvol_edit *edit, u64 ino, u64 dir, const struct name *name, u64 *ret_index, struct diag *d);

/* --- Extended attributes (edit_xattr.c) ------------------------------------------------------------------------------- */

/*
 * Set an attribute, replacing its value. -ENOSPC, allowed: name and value, with others of the same hash, do not fit into
 * one item.
 */
int xattr_set(struct subvol_edit *edit, u64 ino, const struct name *name, const void *value, u32 value_len,
	      struct diag *d);
/* Would xattr_set() fail with -ENOSPC? */
int xattr_check_room(const struct tree *tree, u64 ino, const struct name *name, u32 value_len, struct diag *d);
/* -ENODATA, allowed. */
int xattr_remove(struct subvol_edit *edit, u64 ino, const struct name *name, struct diag *d);
/* Does @ino have it? 1: no. *ret_len of the value, which is copied up to @cap bytes into @buf. */
int xattr_find(const struct tree *tree, u64 ino, const struct name *name, void *buf, u32 cap, u32 *ret_len,
	       struct diag *d);

/* --- File extents (edit_extents.c) ------------------------------------------------------------------------------------ */

/*
 * Take what lies in [start, end) out of file @ino; both are multiples of sectors, and @end may be FILE_END. References to
 * data extents are dropped, and added where an item is cut in two:
 *
 *	item:      |------------------------|      disk extent E, offset into it o
 *	dropped:        [         )
 *	left:      |----|         |---------|      E with o and E with o + (end - item start); one reference more
 *
 * An item that lies inside goes, with its reference; one that is cut at one end keeps it, because a reference counts from
 * where the extent's first byte would be in the file. An inline extent goes whole; if only a part of it is in the range (one
 * longer than a sector), -EOPNOTSUPP. Holes that are explicit are cut in the same way.
 * *ret_dropped_bytes: what the inode's nbytes has to become less by.
 * Source: observed on filesystems that Linux has written to, and on logs that it replayed.
 */
#define FILE_END (UINT64_MAX - (UINT64_MAX % SECTORSIZE_MAX))
int file_drop_extents(struct subvol_edit *edit, u64 ino, u64 start, u64 end, u64 *ret_dropped_bytes, struct diag *d);

/* What goes into an EXTENT_DATA item that is not inline. */
struct extent_item {
	u64 disk_bytenr, disk_num_bytes; /* logical; 0: a hole */
	u64 extent_offset, num_bytes, ram_bytes;
	u64 generation; /* 0: this transaction's */
	u8 type; /* FILE_EXTENT_REG, FILE_EXTENT_PREALLOC */
	u8 compression;
};
/*
 * Put in an item at @file_offset, where nothing may be, with a reference to its data. @is_new: the data was allocated in this
 * transaction, and has no reference so far.
 */
int file_insert_extent(struct subvol_edit *edit, u64 ino, u64 file_offset, const struct extent_item *item, bool is_new,
		       struct diag *d);
/* An inline extent of @bytes that decompress to @ram_bytes; nothing may be at the file's beginning. */
int file_insert_inline(struct subvol_edit *edit, u64 ino, const void *data, u32 bytes, u64 ram_bytes, u8 compression,
		       struct diag *d);
/*
 * Without the no-holes feature, explicit holes wherever [start, end) has no extent; with it, nothing. Multiples of sectors.
 */
int file_fill_holes(struct subvol_edit *edit, u64 ino, u64 start, u64 end, struct diag *d);

/* What is at @at: 0, a copy of the extent or hole up to @end; its inline_data is not set. */
int file_extent_at(const struct subvol_edit *edit, u64 ino, u64 at, u64 end, struct file_extent *ret_extent,
		   struct diag *d);

#endif
