/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All tree blocks that are reached from a root, each once, by level and address, and which block leads to which.
 *
 * Levels are taken from the top down: the pointers to a level's blocks are sorted by address, blocks that several parents
 * share are met once, and the whole level is read in order of address, in runs, by all threads, every copy.
 */
#ifndef BTRKIT_CHECK_BLOCK_TABLE_H
#define BTRKIT_CHECK_BLOCK_TABLE_H

#include "check/check.h"

#define BLOCK_NONE UINT32_MAX

/* A pointer to a block, by a parent or a root. */
struct block_pointer {
	u64 logical;
	u64 generation; /* 0: not known */
	struct key first_key; /* as the parent has it */
	struct key limit; /* every key below sorts before it; KEY_MAX: no limit */
	u64 tree; /* through which it was met */
	u32 parent; /* index in the level above; BLOCK_NONE: a root */
	u32 slot; /* there, counted from the first that is followed; of a root its index */
};

enum block_state { BLOCK_UNREAD, BLOCK_GOOD, BLOCK_BAD };

/* A block. */
struct block_record {
	u64 logical;
	u64 generation;
	u64 owner; /* of its header */
	u64 tree; /* through which it was met first */
	u32 first_child; /* into children[] of its level; nodes only */
	u32 nr_children;
	u8 state; /* enum block_state */
	bool is_reached_by_owner; /* from the root of the tree that its header names */
};

struct block_level {
	ARRAY(struct block_pointer) pointers; /* gathered; freed when the level has been made */
	ARRAY(struct block_record) blocks; /* by address */
	ARRAY(u32) children; /* indexes of blocks one level below, parent by parent, in key order */
};

struct block_table {
	struct block_level level[LEVEL_MAX];
};

int block_table_new(struct block_table **ret_table);
void block_table_free(struct block_table *table);

/* Note a pointer to a block of @level. */
int block_table_point(struct block_table *table, u8 level, const struct block_pointer *pointer, struct diag *d);

/* Sort the pointers of @level, merge those to one block, tell parents and roots their children's indexes. */
int block_table_make_level(struct check *check, u8 level, struct diag *d);

/*
 * Read blocks of @level, all copies, in order of address; call @visit in a worker for each that has a good copy. Blocks
 * for which @wanted says no are left alone.
 */
struct block_sweep {
	bool (*wanted)(const struct check *check, const struct block_record *record);
	/* @block is nodesize bytes with a good shape. Problems are reported, not returned. */
	int (*visit)(void *ctx, unsigned worker, u32 index, const u8 *block, struct diag *d);
	void *ctx;
};
int block_table_sweep(struct check *check, u8 level, const struct block_sweep *sweep, struct diag *d);

#endif
