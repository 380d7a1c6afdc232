/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The single references behind sums that differ. The leaves of the extent tree and of the subvolumes are read once more,
 * and of the groups in question all references are kept, sorted and compared.
 */
#include <stdio.h>

#include "check/block_table.h"
#include "check/references.h"

typedef unsigned long long ull;

static bool is_extent_leaf(const struct check *check, const struct block_record *record)
{
	(void)check;
	return record->state == BLOCK_GOOD && record->tree == EXTENT_TREE_OBJECTID;
}

static bool has_file_extents(const struct check *check, const struct block_record *record)
{
	(void)check;
	return record->state == BLOCK_GOOD &&
	       (tree_id_is_subvol(record->tree) || record->tree == DATA_RELOC_TREE_OBJECTID ||
		record->tree == TREE_RELOC_OBJECTID || record->tree == ROOT_TREE_OBJECTID);
}

static int visit_recorded(void *ctx, unsigned worker, u32 index, const u8 *leaf, struct diag *d)
{
	struct check *check = ctx;
	const struct block_check_params *params = block_cache_check_params(check->fs->cache);
	u64 where = check->blocks->level[0].blocks.items[index].logical, last_logical = 0, last_len = 0;

	(void)worker;
	(void)d;
	for (u32 slot = 0; slot < block_nritems(leaf); slot++) {
		const struct key key = leaf_key(leaf, slot);

		if (block_check_item(params, leaf, slot, NULL) < 0)
			continue;
		if (key.type == EXTENT_ITEM_KEY || key.type == METADATA_ITEM_KEY) {
			last_logical = key.objectid;
			last_len = key.type == METADATA_ITEM_KEY ? check_nodesize(check) : key.offset;
			recorded_inline_references(check, NULL, &key, leaf_item_data(leaf, slot), leaf_item_bytes(leaf, slot),
						   where);
		} else if (key.type >= TREE_BLOCK_REF_KEY && key.type <= SHARED_DATA_REF_KEY) {
			recorded_keyed_reference(check, NULL, &key, leaf_item_data(leaf, slot),
						 last_logical == key.objectid ? last_len : extent_length(check, key.objectid),
						 where);
		}
	}
	return 0;
}

static int visit_found(void *ctx, unsigned worker, u32 index, const u8 *leaf, struct diag *d)
{
	struct check *check = ctx;
	const struct block_check_params *params = block_cache_check_params(check->fs->cache);
	bool is_full = check_is_full_backref(check, check->blocks->level[0].blocks.items[index].logical);

	(void)worker;
	(void)d;
	for (u32 slot = 0; slot < block_nritems(leaf); slot++) {
		const struct key key = leaf_key(leaf, slot);

		if (key.type == EXTENT_DATA_KEY && block_check_item(params, leaf, slot, NULL) == 0)
			found_data_reference(check, NULL, leaf, is_full, &key, leaf_item_data(leaf, slot));
	}
	return 0;
}

/* --- Comparing ---------------------------------------------------------------------------------------------------------- */

static int compare_u64(u64 a, u64 b)
{
	return a < b ? -1 : a > b;
}

static int by_reference(const void *a, const void *b)
{
	const struct reference *x = &((const struct counted_reference *)a)->reference;
	const struct reference *y = &((const struct counted_reference *)b)->reference;
	int order = compare_u64(x->logical, y->logical);

	order = order ? order : compare_u64(x->type, y->type);
	order = order ? order : compare_u64(x->root, y->root);
	order = order ? order : compare_u64(x->objectid, y->objectid);
	order = order ? order : compare_u64(x->offset, y->offset);
	return order ? order : compare_u64(x->len, y->len);
}

static void describe(const struct reference *reference, char buf[160])
{
	switch (reference->type & 0xff) {
	case EXTENT_DATA_REF_KEY:
		snprintf(buf, 160, "file %llu of subvolume %llu at %llu", (ull)reference->objectid, (ull)reference->root,
			 (ull)reference->offset);
		break;
	case SHARED_DATA_REF_KEY:
		snprintf(buf, 160, "leaf %llu", (ull)reference->root);
		break;
	case SHARED_BLOCK_REF_KEY:
		snprintf(buf, 160, "block %llu, as a block of level %u", (ull)reference->root, (unsigned)(reference->type >> 8));
		break;
	default:
		snprintf(buf, 160, "tree %lld, as a block of level %u", (long long)reference->root,
			 (unsigned)(reference->type >> 8));
	}
}

/* Who has an extent of data, as far as references to it were found: the extent tree may not know. */
static void list_users(struct check *check, const struct counted_reference *first, const struct counted_reference *end,
		       struct extent_users *users)
{
	for (const struct counted_reference *item = first; item < end; item++) {
		const struct reference *ref = &item->reference;
		u8 type = ref->type & 0xff;

		/* Without memory for them the paths are fewer. */
		if (item->count < 0 && type == EXTENT_DATA_REF_KEY)
			(void)array_push(&users->list, (struct extent_user){ ref->objectid, ref->offset, ref->logical });
		else if (item->count < 0 && type == SHARED_DATA_REF_KEY && check->finder.view)
			(void)extent_users_of_leaf(&check->finder, ref->root, ref->logical, users);
	}
}

/* Of a reference that tells of a file, that one stands in the place. */
static struct place place_of(const struct reference *reference, const struct extent_users *users)
{
	struct place place = { .logical = reference->logical };
	u8 type = reference->type & 0xff;

	if (type == EXTENT_DATA_REF_KEY || type == SHARED_DATA_REF_KEY) {
		place.extent = reference->logical;
		place.users = users->list.items;
		place.nr_users = users->list.len;
	} else {
		place.block = reference->logical;
	}
	if (type == EXTENT_DATA_REF_KEY) {
		place.tree = reference->root;
		place.inode = reference->objectid;
	}
	return place;
}

static void report_difference(struct check *check, const struct counted_reference *item, s64 count,
			      const struct extent_users *users)
{
	const struct place place = place_of(&item->reference, users);
	char text[160];

	describe(&item->reference, text);
	if (count < 0 && check->is_extent_tree_short)
		return; /* it may be recorded in what cannot be read */
	if (count < 0)
		complain(check, REFERENCE_NOT_RECORDED, &place, (ull)item->reference.logical, (ull)item->reference.len, text,
			 (long long)-count);
	else if (check->is_incomplete)
		complain(check, REFERENCE_NOT_SEEN, &place, (ull)item->reference.logical, (ull)item->reference.len, text,
			 (long long)count);
	else
		complain(check, REFERENCE_NOT_FOUND, &place, (ull)item->reference.logical, (ull)item->reference.len, text,
			 (long long)count);
}

/* All references of one extent, [first, end). */
static void compare_extent(struct check *check, const struct counted_reference *first, const struct counted_reference *end,
			   const struct extent_users *users)
{
	bool is_recorded = false, is_found = false;
	char text[160];

	for (const struct counted_reference *item = first; item < end; item++) {
		is_recorded = is_recorded || item->count > 0;
		is_found = is_found || item->count < 0;
	}
	describe(&first->reference, text);
	if (!is_recorded && check->is_extent_tree_short)
		return;
	if (!is_recorded) {
		const struct place place = place_of(&first->reference, users);

		complain(check, EXTENT_MISSING, &place, (ull)first->reference.logical, (ull)first->reference.len, text);
		return;
	}
	if (!is_found && !check->is_incomplete) {
		complain(check, EXTENT_LEAKED, AT(.logical = first->reference.logical), (ull)first->reference.logical,
			 (ull)first->reference.len);
		return;
	}
	for (const struct counted_reference *item = first; item < end;) {
		const struct counted_reference *next = item;
		s64 count = 0;

		for (; next < end && by_reference(item, next) == 0; next++)
			count += next->count;
		if (count)
			report_difference(check, item, count, users);
		item = next;
	}
}

static bool is_in_order(const struct counted_reference *first, const struct counted_reference *end)
{
	while (first < end) {
		const struct counted_reference *next = first;
		s64 count = 0;

		for (; next < end && by_reference(first, next) == 0; next++)
			count += next->count;
		if (count)
			return false;
		first = next;
	}
	return true;
}

static void compare_all(struct check *check, const struct reference_list *found)
{
	const struct counted_reference *items = found->list.items, *end = items + found->list.len;

	while (items < end) {
		const struct counted_reference *next = items;

		while (next < end && next->reference.logical == items->reference.logical)
			next++;
		if (!is_in_order(items, next)) {
			struct extent_users users = { 0 };

			list_users(check, items, next, &users);
			compare_extent(check, items, next, &users);
			array_done(&users.list);
		}
		items = next;
	}
}

int detail_references(struct check *check, struct diag *d)
{
	const struct block_sweep recorded = { .wanted = is_extent_leaf, .visit = visit_recorded, .ctx = check };
	const struct block_sweep found = { .wanted = has_file_extents, .visit = visit_found, .ctx = check };
	struct reference_list list = { 0 };
	int err;

	check->detail = &list;
	check->sink.is_muted = true;
	err = block_table_sweep(check, 0, &recorded, d);
	if (!err)
		err = block_table_sweep(check, 0, &found, d);
	if (!err)
		err = found_block_references(check, d);
	check->detail = NULL;
	check->sink.is_muted = false;
	if (!err && check->is_detail_short)
		err = diag_no_memory(d, "the references of damaged block groups");
	if (!err && list.list.len) {
		qsort(list.list.items, list.list.len, sizeof(*list.list.items), by_reference);
		compare_all(check, &list);
	}
	array_done(&list.list);
	return err;
}
