/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/build/tree_builder.h"
#include "kernel-shared/format/block_check.h"

typedef unsigned long long ull;

#define RUN_BYTES MIB

/* One level while it is being written: a run of blocks that lie next to each other, of which the last is open. */
struct level {
	u8 *run;
	u64 run_logical; /* address of the first block in the run */
	u32 nr_closed; /* complete blocks in the run */
	u32 cap; /* blocks that the run has room for */
	bool has_open;
	u64 nr_blocks; /* begun so far */
	struct key first_key; /* of the open block */
};

struct tree_builder {
	struct tree_builder_options options;
	struct level level[LEVEL_MAX];
	struct key last_key;
	u64 nr_items;
};

u64 tree_place_logical(const struct tree_place *place, const struct tree_shape *shape, u32 nodesize, u8 level,
		       u64 index)
{
	for (u8 below = 0; below < level; below++)
		index += shape->blocks[below];
	return linear_space_logical(place->space, place->linear + index * nodesize, NULL);
}

static u32 nodesize_of(const struct tree_builder *builder)
{
	return builder->options.id->nodesize;
}

int tree_builder_new(const struct tree_builder_options *options, struct tree_builder **ret_builder, struct diag *d)
{
	_cleanup_(tree_builder_freep) struct tree_builder *builder = calloc(1, sizeof(*builder));
	u32 nodesize = options->id->nodesize;

	if (!builder)
		return diag_no_memory(d, "a tree builder");
	builder->options = *options;
	for (u8 l = 0; l < options->shape.nr_levels; l++) {
		struct level *level = &builder->level[l];

		level->cap = (u32)MIN(options->shape.blocks[l], RUN_BYTES / nodesize);
		level->run = malloc((size_t)level->cap * nodesize);
		if (!level->run)
			return diag_no_memory(d, "a tree builder");
	}
	*ret_builder = take_ptr(builder);
	return 0;
}

void tree_builder_free(struct tree_builder *builder)
{
	if (!builder)
		return;
	for (unsigned l = 0; l < LEVEL_MAX; l++)
		free(builder->level[l].run);
	free(builder);
}

static int wrong_shape(struct tree_builder *builder, const char *what, struct diag *d)
{
	return diag_fail(d, -EINVAL, "tree %llu: its items are not those that it was sized for (%s)",
			 (ull)builder->options.owner, what);
}

/* Check and write the closed blocks of a run. */
static int flush_run(struct tree_builder *builder, struct level *level, struct diag *d)
{
	const struct block_identity *id = builder->options.id;
	const struct block_check_params params = {
		.nodesize = id->nodesize,
		.sectorsize = builder->options.sectorsize,
		.csum_size_bytes = id->csum->size_bytes,
		.super_generation = id->generation,
	};
	u32 count = level->nr_closed;

	if (count == 0)
		return 0;
	for (u32 i = 0; i < count; i++) {
		u8 *block = level->run + (size_t)i * id->nodesize;
		int err = block_check(&params, block, level->run_logical + (u64)i * id->nodesize, d);

		if (err)
			return err;
		block_finish(block, id->nodesize, id->csum);
	}
	level->nr_closed = 0;
	return volume_write(builder->options.volume, level->run_logical, level->run, (size_t)count * id->nodesize, d);
}

static u8 *open_block(struct tree_builder *builder, struct level *level)
{
	return level->run + (size_t)level->nr_closed * nodesize_of(builder);
}

/* Begin the next block of a level. */
static int begin_block(struct tree_builder *builder, u8 l, const struct key *first_key, struct diag *d)
{
	struct level *level = &builder->level[l];
	u32 nodesize = nodesize_of(builder);
	u64 logical;

	if (l >= builder->options.shape.nr_levels || level->nr_blocks == builder->options.shape.blocks[l])
		return wrong_shape(builder, "too many blocks", d);
	logical = tree_place_logical(&builder->options.place, &builder->options.shape, nodesize, l, level->nr_blocks);
	if (level->nr_closed == level->cap ||
	    logical != level->run_logical + (u64)level->nr_closed * nodesize) {
		int err = flush_run(builder, level, d);

		if (err)
			return err;
		level->run_logical = logical;
	}
	block_init(open_block(builder, level), builder->options.id, logical, builder->options.owner, l);
	if (l == 0 && builder->options.ret_leaf_keys)
		builder->options.ret_leaf_keys[level->nr_blocks] = *first_key;
	level->has_open = true;
	level->nr_blocks++;
	level->first_key = *first_key;
	return 0;
}

/* Complete the open block of a level and make it known to the level above. */
static int close_block(struct tree_builder *builder, u8 l, struct diag *d)
{
	struct level *level = &builder->level[l], *above;
	struct key first_key = level->first_key;
	u64 logical = level->run_logical + (u64)level->nr_closed * nodesize_of(builder);
	int err = 0;

	level->has_open = false;
	level->nr_closed++;
	if (l == tree_shape_root_level(&builder->options.shape))
		return 0;
	above = &builder->level[l + 1];
	if (above->has_open && block_nritems(open_block(builder, above)) == node_max_ptrs(nodesize_of(builder)))
		err = close_block(builder, (u8)(l + 1), d);
	if (!err && !above->has_open)
		err = begin_block(builder, (u8)(l + 1), &first_key, d);
	if (!err)
		node_append(open_block(builder, above), &first_key, logical, builder->options.id->generation);
	return err;
}

int tree_builder_reserve(struct tree_builder *builder, const struct key *key, u32 item_bytes, void **ret_data,
			 struct diag *d)
{
	struct level *leaves = &builder->level[0];
	u32 nodesize = nodesize_of(builder);
	int err = 0;

	if (builder->nr_items && key_compare(key, &builder->last_key) <= 0)
		return diag_fail(d, -EINVAL, "tree %llu: item (%llu %u %llu) comes after (%llu %u %llu)",
				 (ull)builder->options.owner, (ull)key->objectid, key->type, (ull)key->offset,
				 (ull)builder->last_key.objectid, builder->last_key.type,
				 (ull)builder->last_key.offset);
	if (item_bytes > leaf_item_max_bytes(nodesize))
		return diag_fail(d, -EINVAL, "tree %llu: item (%llu %u %llu) of %u bytes is too large",
				 (ull)builder->options.owner, (ull)key->objectid, key->type, (ull)key->offset, item_bytes);
	if (leaves->has_open && leaf_free_bytes(open_block(builder, leaves), nodesize) < (int)item_bytes)
		err = close_block(builder, 0, d);
	if (!err && !leaves->has_open)
		err = begin_block(builder, 0, key, d);
	if (err)
		return err;
	builder->last_key = *key;
	builder->nr_items++;
	*ret_data = leaf_append(open_block(builder, leaves), nodesize, key, item_bytes);
	return 0;
}

int tree_builder_add(struct tree_builder *builder, const struct key *key, const void *data, u32 item_bytes,
		     struct diag *d)
{
	void *to;
	int err = tree_builder_reserve(builder, key, item_bytes, &to, d);

	if (!err && item_bytes)
		memcpy(to, data, item_bytes);
	return err;
}

int tree_builder_finish(struct tree_builder *builder, u64 *ret_root_logical, struct diag *d)
{
	const struct tree_shape *shape = &builder->options.shape;
	int err = 0;

	if (builder->nr_items == 0)
		err = begin_block(builder, 0, &KEY_MIN, d);
	for (u8 l = 0; l < shape->nr_levels && !err; l++)
		if (builder->level[l].has_open)
			err = close_block(builder, l, d);
	for (u8 l = 0; l < shape->nr_levels && !err; l++) {
		if (builder->level[l].nr_blocks != shape->blocks[l])
			return wrong_shape(builder, "too few blocks", d);
		err = flush_run(builder, &builder->level[l], d);
	}
	if (err)
		return err;
	if (builder->nr_items != shape->nr_items)
		return wrong_shape(builder, "too few items", d);
	*ret_root_logical = tree_place_logical(&builder->options.place, shape, nodesize_of(builder),
					       tree_shape_root_level(shape), 0);
	return 0;
}
