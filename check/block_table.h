/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * All tree blocks that are reached from a root, each once, by level and address, and which block leads to which.
 *
 * Levels are taken from the top down: the pointers to a level's blocks are sorted by address, blocks that several parents
 * share are met once, and the whole level is read in order of address, in runs, by all threads, every copy. Of each level
 * there are two lists, both in that order: its blocks, and the pointers that lead to each. Nothing looks into them but by
 * reading them from the beginning, a batch at a time.
 */
#ifndef BTRKIT_CHECK_BLOCK_TABLE_H
#define BTRKIT_CHECK_BLOCK_TABLE_H

#include "check/check.h"

#define BLOCK_NONE UINT32_MAX
#define ROOT_NONE UINT32_MAX

/* A pointer to a block, by a parent or a root. */
struct block_pointer {
	u64 logical;
	u64 generation; /* 0: not known */
	struct key first_key; /* as the parent has it */
	struct key limit; /* every key below sorts before it; KEY_MAX: no limit */
	u32 root; /* through which it was met: index in check->roots */
	u32 parent; /* index in the level above; BLOCK_NONE: a root */
	u32 slot; /* there */
	u32 owner_root; /* the parent is in the tree that it names as its owner: its root; else ROOT_NONE */
};

enum block_state { BLOCK_UNREAD, BLOCK_GOOD, BLOCK_BAD };

/* One of the pointers to a block, as the fold of what is known of the block needs it. */
struct block_link {
	u32 parent; /* BLOCK_NONE: a root */
	u32 slot : 31; /* of a root its index */
	u32 is_of_deleted : 1; /* the parent, or the root, is only in deleted subvolumes */
	u32 owner_root;
};

/* A block, while it is in a batch. */
struct block_record {
	u64 logical;
	u64 generation;
	u64 tree; /* through which it was met first */
	struct key first_key, limit;
	u32 root; /* the same tree, as an index */
	u32 index; /* in its level */
	bool is_root; /* met first as a root: first_key is not known */
	u32 first_link, nr_links; /* in the batch */
	/* Known when it has been read. */
	u8 state; /* enum block_state */
	u64 owner; /* of its header */
	u32 owner_root; /* it is in the tree that its header names; ROOT_NONE: not for sure */
};

/* Blocks that are read together. */
struct block_batch {
	u8 level;
	ARRAY(struct block_record) blocks;
	ARRAY(struct block_link) links;
};

int block_table_new(struct check *check, struct block_table **ret_table);
void block_table_free(struct block_table *table);

/* Note pointers to blocks of @level; by any thread. */
int block_table_point(struct block_table *table, u8 level, const struct block_pointer *pointers, size_t nr, struct diag *d);

/* Sort the pointers of @level, and merge those to one block. */
int block_table_make_level(struct check *check, u8 level, struct diag *d);

/* Blocks of @level. */
u64 block_table_count(const struct block_table *table, u8 level);

/* Reads the table from the beginning, a batch after the other. */
struct block_batches {
	struct check *check;
	bool (*wanted)(const struct check *check, const struct block_record *record); /* NULL: all */
	struct block_batch batch;
	struct sequence_reader blocks, links;
};
struct block_batches block_batches_of(struct check *check, u8 level,
				      bool (*wanted)(const struct check *check, const struct block_record *record));
/* The next one into ->batch. 1: there is none. */
int block_batches_next(struct block_batches *batches, struct diag *d);
void block_batches_done(struct block_batches *batches);

/*
 * Read blocks of @level, all copies, in order of address; call @visit in a worker for each that has a good copy. Blocks
 * for which @wanted says no are left alone.
 */
struct block_sweep {
	bool (*wanted)(const struct check *check, const struct block_record *record);
	/* @block is nodesize bytes with a good shape; @n is its place in the batch. Problems are reported, not returned. */
	int (*visit)(void *ctx, unsigned worker, size_t n, const struct block_record *record, const u8 *block, struct diag *d);
	/* In the caller's thread, after all blocks of the batch. NULL: nothing. */
	int (*after)(void *ctx, const struct block_batch *batch, struct diag *d);
	void *ctx;
};
int block_table_sweep(struct check *check, u8 level, const struct block_sweep *sweep, struct diag *d);

/* Blocks in a batch at most: how large what @visit leaves for @after has to be. */
size_t block_batch_max(const struct check *check);

/* The first slot of a node that leads anywhere: what lies before it in a subvolume that is being deleted is gone. */
u32 node_first_slot(const struct check *check, const struct block_record *record, const u8 *node, u8 level);

/* A block of a subvolume or of the checksum tree that cannot be read; in check->lost_blocks. */
struct lost_block {
	u64 logical, tree;
	struct key first_key, limit;
	u8 level;
};

/* --- Blocks that are not for sure in the tree that their header names ------------------------------------------------ */

struct block_suspect {
	u64 logical, tree, owner;
	struct key first_key;
	u8 level;
};
/* Sorted by address, when all levels have been read; the caller frees them. */
int block_table_take_suspects(struct block_table *table, struct sorter **ret_suspects, struct diag *d);
int block_table_suspect(struct block_table *table, const struct block_suspect *suspect, struct diag *d);

#endif
