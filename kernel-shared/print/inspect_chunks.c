/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chunks with what is used in each, from the block group items. */
#include "kernel-shared/fs/fs.h"
#include "kernel-shared/print/show.h"

/* The tree that has the block group items, or -ENOENT. */
static int block_group_tree(struct btrkit_fs *fs, struct tree *ret_tree, struct diag *d)
{
	bool is_own_tree = le64_get(fs->super.compat_ro_flags) & COMPAT_RO_BLOCK_GROUP_TREE;

	return fs_tree(fs, is_own_tree ? BLOCK_GROUP_TREE_OBJECTID : EXTENT_TREE_OBJECTID, ret_tree, d);
}

struct block_groups {
	struct cursor cursor;
	bool is_there;
	bool has_told; /* that some cannot be read */
};

static void tell_unreadable(struct block_groups *groups, struct diag *d)
{
	if (!groups->has_told)
		diag_note(d, DIAG_WARNING, "what is used of the chunks cannot be told: %s", d->text);
	groups->has_told = true;
	diag_clear(d);
}

/* Where block groups cannot be read, their chunks are still shown: without a fill. */
static bool find_used(struct block_groups *groups, const struct chunk *chunk, u64 *ret_used, struct diag *d)
{
	const struct key key = { chunk->logical, BLOCK_GROUP_ITEM_KEY, chunk->length };
	const struct disk_block_group_item *item;
	int err = groups->is_there ? cursor_find(&groups->cursor, &key, d) : 1;

	if (err < 0)
		tell_unreadable(groups, d);
	if (err || cursor_data_bytes(&groups->cursor) < sizeof(*item))
		return false;
	item = cursor_data(&groups->cursor);
	*ret_used = le64_get(item->used);
	return true;
}

static int give_chunk(const struct chunk *chunk, struct block_groups *groups, btrkit_chunk_fn fn, void *arg, struct diag *d)
{
	struct btrkit_chunk shown = {
		.logical = chunk->logical,
		.length = chunk->length,
		.kind = chunk_kind_name(chunk->type),
		.profile = chunk->profile->shown,
		.nr_stripes = chunk->num_stripes,
	};
	_free_ struct btrkit_chunk_stripe *stripes = calloc(chunk->num_stripes, sizeof(*stripes));

	if (!stripes)
		return diag_no_memory(d, "a chunk");
	for (u16 i = 0; i < chunk->num_stripes; i++)
		stripes[i] = (struct btrkit_chunk_stripe){ chunk->stripe[i].devid, chunk->stripe[i].physical,
							   chunk->stripe_bytes };
	shown.stripes = stripes;
	shown.has_used = find_used(groups, chunk, &shown.used_bytes, d);
	return fn(arg, &shown);
}

int btrkit_chunk_for_each(struct btrkit_fs *fs, btrkit_chunk_fn fn, void *arg, struct btrkit_error *error)
{
	struct block_groups groups = { 0 };
	const struct chunk_map *chunks;
	struct tree tree;
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	err = fs_check_is_btrfs(fs, &d);
	if (err)
		return fs_error(error, &d, err);
	chunks = fs->volume->chunks;
	groups.is_there = block_group_tree(fs, &tree, &d) == 0;
	if (groups.is_there)
		groups.cursor = cursor_init(&tree);
	else
		tell_unreadable(&groups, &d);
	for (size_t i = 0; i < chunk_map_count(chunks) && !err; i++)
		err = give_chunk(chunk_map_at(chunks, i), &groups, fn, arg, &d);
	cursor_done(&groups.cursor);
	return fs_error(error, &d, err);
}
