/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For unit tests: a tree that can be changed without a transaction, of small nodes so that it is deep, in a volume in
 * memory. Blocks are taken one after the other; those that are freed are counted and used again.
 */
#ifndef BTRKIT_TESTS_UNIT_COUNTING_SOURCE_H
#define BTRKIT_TESTS_UNIT_COUNTING_SOURCE_H

#include "tests/unit/memory_volume.h"
#include "kernel-shared/tree/edit.h"

#define COUNTED_NODESIZE 4096
#define COUNTED_GENERATION 30

struct counting_source {
	struct block_source source;
	struct block_cache *cache;
	struct block_identity id;
	u64 next;
	ARRAY(u64) idle;
	u64 nr_used, nr_cows;
	u64 fail_at; /* the allocation that fails; 0: none */
};

struct counted_tree {
	struct memory_volume memory;
	struct block_cache *cache;
	struct counting_source source;
	struct tree_root root;
};

static inline int source_alloc(struct block_source *source, struct tree_root *root, u8 level,
			       struct tree_block **ret_block, struct diag *d)
{
	struct counting_source *s = container_of(source, struct counting_source, source);
	u64 logical;

	if (s->fail_at && --s->fail_at == 0)
		return diag_fail(d, -ENOSPC, "no space, as wanted");
	if (s->idle.len)
		logical = s->idle.items[--s->idle.len];
	else {
		logical = s->next;
		s->next += COUNTED_NODESIZE;
	}
	s->nr_used++;
	return block_new(s->cache, &s->id, logical, root->tree.id, level, ret_block, d);
}

static inline int source_free(struct block_source *source, struct tree_root *root, struct tree_block *block,
			      struct diag *d)
{
	struct counting_source *s = container_of(source, struct counting_source, source);

	(void)root;
	(void)d;
	assert_true(block->is_dirty);
	assert_int_equal(array_push(&s->idle, block->logical), 0);
	s->nr_used--;
	block_drop_dirty(block);
	return 0;
}

static inline int source_cow(struct block_source *source, struct tree_root *root, struct tree_block *block, bool is_root,
			     struct tree_block **ret_copy, struct diag *d)
{
	struct counting_source *s = container_of(source, struct counting_source, source);
	int err = source_alloc(source, root, block->level, ret_copy, d);
	u8 *bytes;

	(void)is_root;
	if (err)
		return err;
	assert_false(block->is_dirty);
	bytes = block_bytes(*ret_copy);
	memcpy(bytes + sizeof(struct disk_header), block->data + sizeof(struct disk_header),
	       COUNTED_NODESIZE - sizeof(struct disk_header));
	le32_put(&((struct disk_header *)bytes)->nritems, block->nritems);
	block_changed(*ret_copy);
	s->nr_used--;
	s->nr_cows++;
	return 0;
}

static const struct block_source_ops counting_ops = { source_alloc, source_cow, source_free };

static inline struct block_check_params counted_check(u32 csum_bytes)
{
	return (struct block_check_params){ COUNTED_NODESIZE, 4096, csum_bytes, COUNTED_GENERATION };
}

/* An empty tree. @csum_bytes: of the checksums that are in it; its blocks have CRC-32C. */
static inline void counted_tree_make(struct counted_tree *t, u64 tree_id, u32 csum_bytes)
{
	const struct block_check_params check = counted_check(csum_bytes);
	const struct csum_kind *csum = csum_kind_by_type(CSUM_TYPE_CRC32C);
	const u8 fsid[UUID_SIZE] = "a filesystem id";
	struct tree_block *leaf;

	memset(t, 0, sizeof(*t));
	memory_volume_make(&t->memory, "single", 1, 8 * MIB);
	t->memory.volume->nodesize = COUNTED_NODESIZE;
	assert_int_equal(block_cache_new(t->memory.volume, &check, csum, fsid, 8 * COUNTED_NODESIZE, &t->cache), 0);
	t->source = (struct counting_source){
		.source = { &counting_ops, COUNTED_GENERATION },
		.cache = t->cache,
		.id = { .nodesize = COUNTED_NODESIZE, .csum = csum, .generation = COUNTED_GENERATION },
		.next = MEMORY_VOLUME_LOGICAL,
	};
	memcpy(t->source.id.fsid, fsid, UUID_SIZE);
	t->root = (struct tree_root){ .tree = { .cache = t->cache, .id = tree_id }, .source = &t->source.source };
	assert_int_equal(source_alloc(&t->source.source, &t->root, 0, &leaf, NULL), 0);
	t->root.tree.root_logical = leaf->logical;
	t->root.tree.generation = COUNTED_GENERATION;
	block_put(leaf);
}

static inline void counted_tree_done(struct counted_tree *t)
{
	block_cache_drop_dirty(t->cache);
	block_cache_free(t->cache);
	array_done(&t->source.idle);
	memory_volume_done(&t->memory);
}

struct counted_visit {
	struct block_check_params check;
	u64 nr_blocks;
};

static inline int counted_visit_block(void *ctx, struct tree_block *block, struct diag *d)
{
	struct counted_visit *visit = ctx;

	visit->nr_blocks++;
	return block_check(&visit->check, block->data, block->logical, d);
}

/* Every block is sound, and these and no others are in use. */
static inline void counted_tree_check(struct counted_tree *t, u32 csum_bytes)
{
	struct counted_visit visit = { .check = counted_check(csum_bytes) };
	const struct tree_walk walk = { .visit = counted_visit_block, .ctx = &visit };
	struct diag d = { 0 };
	int err = tree_walk(&t->root.tree, &walk, &d);

	assert_string_equal(d.text, "");
	assert_int_equal(err, 0);
	assert_int_equal(visit.nr_blocks, t->source.nr_used);
}

/* Blocks become clean as after a commit, so that the next changes copy them. */
static inline void counted_tree_settle(struct counted_tree *t)
{
	struct tree_block *const *dirty = block_cache_sort_dirty(t->cache);
	struct diag d = { 0 };

	for (size_t i = 0; i < block_cache_nr_dirty(t->cache); i++) {
		block_finish_dirty(t->cache, dirty[i], &d);
		assert_string_equal(d.text, "");
		assert_int_equal(volume_write(t->memory.volume, dirty[i]->logical, dirty[i]->data, COUNTED_NODESIZE, NULL), 0);
	}
	block_cache_settle_dirty(t->cache, COUNTED_GENERATION);
	t->root.shape++;
	t->source.idle.len = 0; /* what is on disk is not used again */
}

#endif
