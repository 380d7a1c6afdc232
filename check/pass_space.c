/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compares what the sweeps have summed: recorded and found references, used space of block groups, free space. Only groups
 * that differ are looked into.
 */
#include "check/block_table.h"
#include "check/references.h"
#include "check/space_cache.h"

typedef unsigned long long ull;

/* --- Free space tree ---------------------------------------------------------------------------------------------------- */

struct free_space {
	struct check *check;
	size_t group; /* of the last info item; SIZE_MAX: none */
	u64 start, end; /* of it */
	u64 ignored_end; /* of items that belong to no group, which were complained of as a whole */
	u32 extent_count, counted;
	bool is_bitmap;
	u64 last_end; /* of the last free range */
	bool *has_info; /* by group */
};

static void close_group(struct free_space *space)
{
	if (space->group != SIZE_MAX && space->extent_count != space->counted)
		complain(space->check, FREE_SPACE_COUNT_WRONG,
			 AT(.tree = FREE_SPACE_TREE_OBJECTID, .logical = space->start), (ull)space->start, space->extent_count,
			 space->counted);
	space->group = SIZE_MAX;
}

/* What mkfs.btrfs leaves is of its first chunks, before all others; addresses there are never given out again. */
static void complain_no_group(struct check *check, const struct key *key)
{
	const struct chunk_map *chunks = check->fs->volume->chunks;
	const struct place *place =
		AT(.tree = FREE_SPACE_TREE_OBJECTID, .logical = key->objectid, .has_key = true, .key = *key);

	if (chunk_map_count(chunks) && key->objectid < chunk_map_at(chunks, 0)->logical)
		complain(check, FREE_SPACE_WITHOUT_GROUP, place, (ull)key->objectid, (ull)key->offset);
	else
		complain(check, FREE_SPACE_OUTSIDE, place, (ull)key->objectid, (ull)key->offset);
}

static void open_group(struct free_space *space, const struct key *key, const struct disk_free_space_info *info)
{
	const struct chunk *chunk;
	size_t group = check_group_of(space->check, key->objectid);

	close_group(space);
	chunk = group == SIZE_MAX ? NULL : chunk_map_at(space->check->fs->volume->chunks, group);
	if (!chunk || chunk->logical != key->objectid || chunk->length != key->offset) {
		complain_no_group(space->check, key);
		space->ignored_end = key->objectid + key->offset;
		return;
	}
	space->group = group;
	space->start = key->objectid;
	space->end = key->objectid + key->offset;
	space->extent_count = le32_get(info->extent_count);
	space->is_bitmap = le32_get(info->flags) & FREE_SPACE_USING_BITMAPS;
	space->counted = 0;
	space->last_end = 0;
	space->has_info[group] = true;
}

static void add_free(struct free_space *space, u64 start, u64 end)
{
	struct check *check = space->check;

	/* Ranges that meet are one, in bitmaps; as extents they must not. */
	if (space->last_end != start || space->counted == 0)
		space->counted++;
	else if (!space->is_bitmap)
		complain(check, FREE_SPACE_NOT_MERGED, AT(.tree = FREE_SPACE_TREE_OBJECTID, .logical = start), (ull)start);
	space->last_end = end;
	check->groups[space->group].space += check_hash(check, &start, sizeof(start)) - check_hash(check, &end, sizeof(end));
}

static void read_bitmap(struct free_space *space, const struct key *key, const u8 *bits)
{
	u32 sectorsize = check_sectorsize(space->check);
	u64 nr = key->offset / sectorsize, begin = 0;
	bool was_free = false;

	for (u64 i = 0; i <= nr; i++) {
		bool is_free = i < nr && (bits[i / 8] >> i % 8 & 1);

		if (is_free && !was_free)
			begin = i;
		if (!is_free && was_free)
			add_free(space, key->objectid + begin * sectorsize, key->objectid + i * sectorsize);
		was_free = is_free;
	}
}

static void read_free_item(struct free_space *space, const struct cursor *cursor)
{
	const struct key key = cursor_key(cursor);
	struct diag why = { 0 };

	if (block_check_item(block_cache_check_params(space->check->fs->cache), cursor->path[0].block->data,
			     cursor->path[0].slot, &why) < 0)
		return; /* complained of where leaves are read */
	if (key.type == FREE_SPACE_INFO_KEY) {
		open_group(space, &key, cursor_data(cursor));
		return;
	}
	if (space->group == SIZE_MAX && key.objectid + key.offset <= space->ignored_end)
		return;
	if (space->group == SIZE_MAX || key.objectid < space->start || key.objectid + key.offset > space->end ||
	    (key.type == FREE_SPACE_BITMAP_KEY) != space->is_bitmap ||
	    (key.type != FREE_SPACE_BITMAP_KEY && key.type != FREE_SPACE_EXTENT_KEY)) {
		complain(space->check, FREE_SPACE_ITEM_MISFIT,
			 AT(.tree = FREE_SPACE_TREE_OBJECTID, .logical = key.objectid, .has_key = true, .key = key),
			 (ull)key.objectid, key.type, (ull)key.offset);
		return;
	}
	if (key.type == FREE_SPACE_BITMAP_KEY)
		read_bitmap(space, &key, cursor_data(cursor));
	else
		add_free(space, key.objectid, key.objectid + key.offset);
}

static int read_free_space(struct check *check, bool *has_info, struct diag *d)
{
	struct free_space space = { .check = check, .group = SIZE_MAX, .has_info = has_info };
	struct diag quiet = { 0 };
	struct cursor cursor;
	struct tree tree;
	int err = fs_tree(check->fs, FREE_SPACE_TREE_OBJECTID, &tree, &quiet);

	if (err == -ENOMEM)
		return diag_copy(d, &quiet);
	if (err < 0) {
		complain(check, TREE_MISSING, AT(.tree = FREE_SPACE_TREE_OBJECTID), "free space");
		return 1;
	}
	cursor = cursor_init(&tree);
	cursor.do_skip_damage = true;
	for (err = cursor_first(&cursor, &quiet); err == 0; err = cursor_next(&cursor, &quiet))
		read_free_item(&space, &cursor);
	close_group(&space);
	cursor_done(&cursor);
	/* What could not be looked at is not missing. */
	if (err == -ENOMEM)
		return diag_no_memory(d, "free space");
	return cursor.nr_skipped ? 1 : 0;
}

/* A free space tree that is not marked valid is built anew by Linux. */
static int judge_free_space(struct check *check, struct diag *d)
{
	u64 wanted = COMPAT_RO_FREE_SPACE_TREE | COMPAT_RO_FREE_SPACE_TREE_VALID;
	_free_ bool *has_info = calloc(MAX(check->nr_groups, (size_t)1), sizeof(*has_info));
	int err;

	if (!has_info)
		return diag_no_memory(d, "free space");
	if ((le64_get(check->fs->super.compat_ro_flags) & wanted) != wanted)
		return 0;
	err = read_free_space(check, has_info, d);
	if (err)
		return err < 0 ? err : 0;
	for (size_t i = 0; i < check->nr_groups && !err; i++) {
		const struct chunk *chunk = chunk_map_at(check->fs->volume->chunks, i);
		u64 end = chunk->logical + chunk->length;
		u64 whole = check_hash(check, &chunk->logical, sizeof(u64)) - check_hash(check, &end, sizeof(u64));

		if (!has_info[i])
			complain(check, FREE_SPACE_INFO_MISSING, AT(.tree = FREE_SPACE_TREE_OBJECTID, .logical = chunk->logical),
				 (ull)chunk->logical);
		else if (check->groups[i].space != whole)
			err = detail_free_space(check, i, d);
	}
	return err;
}

/* --- Block groups ---------------------------------------------------------------------------------------------------------- */

static void judge_group(struct check *check, struct cursor *cursor, size_t i)
{
	const struct chunk *chunk = chunk_map_at(check->fs->volume->chunks, i);
	const struct key key = { chunk->logical, BLOCK_GROUP_ITEM_KEY, chunk->length };
	const struct disk_block_group_item *item;
	int err = cursor_find(cursor, &key, NULL);

	if (err < 0)
		return;
	if (err == 1) {
		complain(check, GROUP_MISSING, AT(.logical = chunk->logical), (ull)chunk->logical, (ull)chunk->length);
		return;
	}
	item = cursor_data(cursor);
	if (le64_get(item->used) != check->groups[i].used_bytes && !check->is_extent_tree_short)
		complain(check, GROUP_USED_WRONG, AT(.logical = chunk->logical), (ull)chunk->logical,
			 (ull)le64_get(item->used), (ull)check->groups[i].used_bytes);
	if (le64_get(item->flags) != chunk->type)
		complain(check, GROUP_TYPE_WRONG, AT(.logical = chunk->logical), (ull)chunk->logical,
			 (ull)le64_get(item->flags), (ull)chunk->type);
}

/* Block group items that no chunk stands behind, and items in the tree that is not theirs. */
static void judge_group_items(struct check *check, const struct tree *tree)
{
	const struct chunk_map *chunks = check->fs->volume->chunks;
	struct cursor cursor = cursor_init(tree);

	cursor.do_skip_damage = true;
	for (int err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);
		const struct chunk *chunk;

		if (key.type != BLOCK_GROUP_ITEM_KEY)
			continue;
		chunk = chunk_map_find(chunks, key.objectid);
		if (!chunk || chunk->logical != key.objectid || chunk->length != key.offset)
			complain(check, GROUP_WITHOUT_CHUNK, AT(.logical = key.objectid, .has_key = true, .key = key),
				 (ull)key.objectid, (ull)key.offset);
	}
	cursor_done(&cursor);
}

/* In the extent tree, only the places where chunks begin are looked at: that is where such items can be. */
static int judge_groups(struct check *check)
{
	bool has_own_tree = le64_get(check->fs->super.compat_ro_flags) & COMPAT_RO_BLOCK_GROUP_TREE;
	u64 id = has_own_tree ? BLOCK_GROUP_TREE_OBJECTID : EXTENT_TREE_OBJECTID, total = 0;
	struct cursor cursor;
	struct tree tree;

	if (fs_tree(check->fs, id, &tree, NULL) < 0) {
		if (has_own_tree) /* the extent tree was missed before */
			complain(check, TREE_MISSING, AT(.tree = id), "block group");
		return 0;
	}
	cursor = cursor_init(&tree);
	for (size_t i = 0; i < check->nr_groups; i++) {
		judge_group(check, &cursor, i);
		total += check->groups[i].used_bytes;
	}
	cursor_done(&cursor);
	judge_group_items(check, &tree);
	/* Another root tree than the superblock's is older. */
	if (total != le64_get(check->fs->super.bytes_used) && !check->is_extent_tree_short && !check->options->open.tree_root)
		complain(check, SUPER_BYTES_USED_WRONG, AT(0), (ull)le64_get(check->fs->super.bytes_used), (ull)total);
	return 0;
}

int pass_space(struct check *check, struct diag *d)
{
	int err = found_block_references(check, d);
	bool is_different = false;

	for (size_t i = 0; i < check->nr_groups; i++) {
		check->groups[i].wants_detail = check->groups[i].refs != 0;
		is_different = is_different || check->groups[i].wants_detail;
	}
	if (!err && is_different)
		err = detail_references(check, d);
	if (!err)
		err = judge_groups(check);
	if (!err)
		err = judge_free_space(check, d);
	if (!err)
		err = judge_space_caches(check, d);
	return err;
}
