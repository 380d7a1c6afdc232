/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of an inode from a run of its items, and how runs of neighbouring leaves are put together.
 *
 * A leaf holds the end of one inode, whole inodes, and the beginning of another. The whole ones are judged at once; the
 * two ends wait as parts until the fold meets the neighbour. A node's fact is the fold of its children's, so that leaves
 * that snapshots share are looked at once.
 */
#ifndef BTRKIT_CHECK_INODE_PART_H
#define BTRKIT_CHECK_INODE_PART_H

#include "check/block_table.h"

enum {
	PART_HAS_DIR_ITEMS = 1 << 0,
	PART_HAS_INLINE = 1 << 1,
	PART_HAS_REGULAR = 1 << 2,
	PART_HAS_VERITY = 1 << 3,
	PART_IS_OWN_PARENT = 1 << 4, /* the top directory's ".." */
	PART_IS_SPOILED = 1 << 5, /* one of its items is bad, and was complained of, or it is deleted: no judging by the rest */
	PART_HAS_COMPRESSED_INLINE = 1 << 6,
};

struct inode_part {
	u64 ino; /* 0: no part */
	u64 leaf; /* where its first item is */
	u64 tree; /* through which that leaf was met */
	bool has_item;
	u16 kinds; /* PART_* */
	u32 mode, nlink;
	u64 size, nbytes, flags;

	u64 nr_names; /* in INODE_REF and INODE_EXTREF items */
	u64 parent; /* the directory of one of them */
	u64 dir_name_bytes; /* of DIR_ITEM and DIR_INDEX entries */
	u64 found_nbytes;
	u64 inline_bytes; /* ram_bytes of an inline extent */
	bool has_extents;
	u64 data_end; /* of data that is not just reserved */
	u64 first_extent, last_extent_end; /* file offsets */
	u64 gap_bytes; /* between extents */
	u64 first_gap;
	u64 csum_needed_bytes, csum_found_bytes; /* of data that has to have checksums unless flags say otherwise */
	u64 csum_missing_logical;
	u64 compressed_bare_bytes; /* compressed data without checksums */
	u64 prealloc_csum_bytes; /* checksums of preallocated space */
};

/* Order-free sums over a tree; those of names must come in equal pairs. */
struct fs_sums {
	u64 index_names; /* of DIR_INDEX: directory, index, name, inode */
	u64 ref_names; /* the same from INODE_REF and INODE_EXTREF */
	u64 index_entries; /* of DIR_INDEX: directory, name, location, type */
	u64 item_entries; /* the same from DIR_ITEM */
	u64 entry_types; /* of DIR_INDEX: inode, type */
	u64 inode_types; /* the same from inodes, once for each name */
	u64 subvol_names; /* of DIR_INDEX: directory, index, name, subvolume; the root tree has the same */
	u64 nr_inodes;
};

/*
 * What could not be read is a part, too, which is no inode: what it stands next to may go on in it, and cannot be judged.
 * With that, joining is associative: which neighbours are joined first does not matter.
 */
#define HOLE_INO UINT64_MAX

struct fs_fact {
	struct inode_part head; /* of the first inode; of the only one if !has_cut */
	struct inode_part tail; /* of the last inode */
	bool has_cut; /* there is more than one inode */
	bool is_unknown; /* there is a hole in it: the sums are not of all */
	struct fs_sums sums;
};
#define FS_FACT_HOLE ((struct fs_fact){ .head.ino = HOLE_INO, .is_unknown = true })

/* Add the items of a leaf that is whole, and was met as @record says. */
void fs_fact_of_leaf(struct check *check, unsigned worker, const u8 *leaf, const struct block_record *record,
		     struct fs_fact *ret_fact);

/* *left becomes the fact of both, *left before @right in key order. Inodes that are complete now are judged. */
void fs_fact_join(struct check *check, struct fs_fact *left, const struct fs_fact *right);

/* Judge what is left at both ends of a whole tree. */
void fs_fact_finish(struct check *check, struct fs_fact *fact);

/* Judge a complete inode; adds to the sums what depends on the whole of it. */
void inode_judge(struct check *check, const struct inode_part *part, struct fs_sums *sums);

/* Merge @next, which continues @part's inode. */
void inode_part_merge(struct check *check, struct inode_part *part, const struct inode_part *next);

/* What is hashed for names; no padding. */
struct hashed_name {
	u64 dir, index, ino, name;
};
struct hashed_entry {
	u64 dir, name, objectid, offset;
	u64 type; /* location type << 8 | entry type */
};
struct hashed_type {
	u64 ino, type;
};

#endif
