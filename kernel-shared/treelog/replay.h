/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a log means: the one place that knows Linux's replay. It goes through the log in the order that counts and, by a table
 * of operations, asks for the state of the subvolumes so far and changes it, one file operation after the other. A plan
 * answers from memory and keeps a list (plan.h); a transaction would do it.
 *
 * The order: over all logs, the last subvolume's first, inodes with the deletions that they entail; then directory entries;
 * then names, attributes and extents, and the link counts of what was touched.
 * Source: observed on crash images that Linux replayed.
 */
#ifndef BTRKIT_KERNEL_SHARED_TREELOG_REPLAY_H
#define BTRKIT_KERNEL_SHARED_TREELOG_REPLAY_H

#include "kernel-shared/treelog/treelog.h"

/* An entry of a directory: at @index, under the name, is @ino. */
struct replay_entry {
	u64 dir, index, ino;
	u8 type; /* FT_* */
	bool is_subvol; /* @ino is a subvolume's id */
	bool is_extref; /* its reference is, or belongs, in an INODE_EXTREF item; of a name, not of an entry */
	u16 name_len;
	u8 name[NAME_LEN_MAX];
};

struct replay_entries {
	ARRAY(struct replay_entry) list;
};

struct replay_xattr {
	u16 name_len;
	u8 name[NAME_LEN_MAX];
};

struct replay_xattrs {
	ARRAY(struct replay_xattr) list;
};

/*
 * All return 0 or a negative errno. Those that look return 1 where there is nothing of the kind. -EUCLEAN and -EIO mean that
 * the subvolume is damaged there: the item is lost, and replay goes on if lose() lets it.
 */
struct replay_ops {
	/* What follows is about this subvolume. */
	int (*begin)(void *ctx, const struct treelog_subvol *subvol, struct diag *d);

	/* --- The state so far --- */
	int (*find_inode)(void *ctx, u64 ino, struct disk_inode_item *ret_item, struct diag *d);
	/* An entry by name or by index. */
	int (*find_name)(void *ctx, u64 dir, const u8 *name, u16 name_len, struct replay_entry *ret_entry, struct diag *d);
	int (*find_index)(void *ctx, u64 dir, u64 index, struct replay_entry *ret_entry, struct diag *d);
	/* The first entry with an index of at least @from. */
	int (*next_entry)(void *ctx, u64 dir, u64 from, struct replay_entry *ret_entry, struct diag *d);
	/* Append all names of an inode, a top directory's ".." not among them. */
	int (*list_names)(void *ctx, u64 ino, struct replay_entries *names, struct diag *d);
	int (*list_xattrs)(void *ctx, u64 ino, struct replay_xattrs *xattrs, struct diag *d);
	/* Is there an EXTENT_DATA item at exactly @file_offset, of exactly these bytes? */
	int (*has_extent)(void *ctx, u64 ino, u64 file_offset, const void *data, u32 bytes, bool *ret_has, struct diag *d);

	/* Has the item's data all checksums that it needs, or none if it is only reserved? Else 1, and the loss was told. */
	int (*judge_data)(void *ctx, u64 ino, const struct treelog_item *item, struct diag *d);

	/* --- What changes it --- */
	/* Make an inode, or set all fields of one; nbytes, and a directory's size, are what they were. */
	int (*put_inode)(void *ctx, u64 ino, const struct disk_inode_item *item, bool is_new, struct diag *d);
	/* All else, its change time too, stays as it is by then. */
	int (*set_size)(void *ctx, u64 ino, u64 size_bytes, struct diag *d);
	/* Reference, both directory items, and the directory's size; link counts come with set_nlink(). */
	int (*link)(void *ctx, const struct replay_entry *entry, struct diag *d);
	/* The inode's change time becomes the time of the replay. */
	int (*unlink)(void *ctx, const struct replay_entry *entry, struct diag *d);
	/* Sector-aligned; @to UINT64_MAX: to the end. */
	int (*drop_extents)(void *ctx, u64 ino, u64 from, u64 to, struct diag *d);
	/* Insert the item, with its extent, that may be new, and its checksums. Nothing is there any more. */
	int (*insert_extent)(void *ctx, u64 ino, const struct treelog_item *item, struct diag *d);
	int (*set_xattr)(void *ctx, u64 ino, const u8 *name, u16 name_len, const u8 *value, u16 value_len, struct diag *d);
	int (*delete_xattr)(void *ctx, u64 ino, const u8 *name, u16 name_len, struct diag *d);
	int (*set_nlink)(void *ctx, u64 ino, u32 nlink, struct diag *d);
	/* No name leads to it any more. */
	int (*add_orphan)(void *ctx, u64 ino, struct diag *d);

	/* Something cannot be honoured. 0: go on without it; else replay ends with this error. */
	int (*lose)(void *ctx, enum btrkit_log_loss_kind kind, u64 ino, const char *text, struct diag *d);
};

/* Replay @log through @ops. What the log itself lost (log->losses) is not told again. */
int treelog_replay(const struct treelog *log, const struct replay_ops *ops, void *ctx, struct diag *d);

#endif
