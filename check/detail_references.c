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
	return record->tree == EXTENT_TREE_OBJECTID;
}

static bool has_file_extents(const struct check *check, const struct block_record *record)
{
	(void)check;
	return tree_id_is_subvol(record->tree) || record->tree == DATA_RELOC_TREE_OBJECTID ||
	       record->tree == TREE_RELOC_OBJECTID || record->tree == ROOT_TREE_OBJECTID;
}

static int visit_recorded(void *ctx, unsigned worker, size_t n, const struct block_record *record, const u8 *leaf,
			  struct diag *d)
{
	struct check *check = ctx;
	const struct block_check_params *params = block_cache_check_params(check->fs->cache);
	u64 last_logical = 0, last_len = 0;

	(void)worker;
	(void)n;
	(void)d;
	for (u32 slot = 0; slot < block_nritems(leaf); slot++) {
		const struct key key = leaf_key(leaf, slot);

		if (block_check_item(params, leaf, slot, NULL) < 0)
			continue;
		if (key.type == EXTENT_ITEM_KEY || key.type == METADATA_ITEM_KEY) {
			last_logical = key.objectid;
			last_len = key.type == METADATA_ITEM_KEY ? check_nodesize(check) : key.offset;
			recorded_inline_references(check, NULL, &key, leaf_item_data(leaf, slot), leaf_item_bytes(leaf, slot),
						   record->logical);
		} else if (key.type >= TREE_BLOCK_REF_KEY && key.type <= SHARED_DATA_REF_KEY) {
			recorded_keyed_reference(check, NULL, &key, leaf_item_data(leaf, slot),
						 last_logical == key.objectid ? last_len : extent_length(check, key.objectid));
		}
	}
	return 0;
}

static int visit_found(void *ctx, unsigned worker, size_t n, const struct block_record *record, const u8 *leaf, struct diag *d)
{
	struct check *check = ctx;
	const struct block_check_params *params = block_cache_check_params(check->fs->cache);
	bool is_full = check_is_full_backref(check, worker, record->logical);

	(void)n;
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

/* So many users of an extent are kept for one problem. */
#define USERS_MAX 4096

/* Who has an extent of data, as far as references to it were found: the extent tree may not know. */
static void add_user(struct check *check, const struct counted_reference *item, struct extent_users *users)
{
	const struct reference *ref = &item->reference;
	u8 type = ref->type & 0xff;

	/* Without memory for them the paths are fewer. */
	if (users->list.len >= USERS_MAX)
		return;
	if (item->count < 0 && type == EXTENT_DATA_REF_KEY)
		(void)array_push(&users->list, (struct extent_user){ ref->objectid, ref->offset, ref->logical });
	else if (item->count < 0 && type == SHARED_DATA_REF_KEY && check->finder.view)
		(void)extent_users_of_leaf(&check->finder, ref->root, ref->logical, users);
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

/* What is known of an extent before its references are looked at one by one. */
struct extent_view {
	u64 end; /* of its references in the list */
	bool is_recorded, is_found;
	bool is_wrong; /* some are not recorded as they were found */
	struct extent_users users;
	u64 nr_not_seen; /* references that may be in what cannot be read */
};

static void report_difference(struct check *check, const struct counted_reference *item, s64 count,
			      struct extent_view *view)
{
	const struct place place = place_of(&item->reference, &view->users);
	char text[160];

	describe(&item->reference, text);
	if (count < 0 && check->is_extent_tree_short)
		return; /* it may be recorded in what cannot be read */
	if (count < 0)
		complain(check, REFERENCE_NOT_RECORDED, &place, (ull)item->reference.logical, (ull)item->reference.len, text,
			 (long long)-count);
	else if (check->is_incomplete)
		view->nr_not_seen += (u64)count;
	else
		complain(check, REFERENCE_NOT_FOUND, &place, (ull)item->reference.logical, (ull)item->reference.len, text,
			 (long long)count);
}

/* Look ahead from the reader's place to the end of the extent there. 1: there is none. */
static int view_extent(struct sequence_reader *ahead, struct extent_view *ret_view, struct diag *d)
{
	struct extent_view view = { 0 };
	struct counted_reference last;
	bool is_first = true;
	const void *next;
	int err;

	while ((err = sequence_next(ahead, &next, d)) == 0) {
		const struct counted_reference *item = next;

		if (!is_first && item->reference.logical != last.reference.logical) {
			ahead->next--;
			break;
		}
		if (is_first || by_reference(&last, item) != 0) {
			view.is_wrong = view.is_wrong || (!is_first && last.count);
			last = *item;
		} else {
			last.count += item->count;
		}
		is_first = false;
		view.is_recorded = view.is_recorded || item->count > 0;
		view.is_found = view.is_found || item->count < 0;
	}
	view.is_wrong = view.is_wrong || (!is_first && last.count);
	view.end = ahead->next;
	*ret_view = view;
	return err < 0 ? err : is_first;
}

static int view_users(struct check *check, struct sequence_reader *reader, struct extent_view *view, struct diag *d)
{
	u64 first = reader->next;
	const void *next;
	int err = 0;

	while (reader->next < view->end && view->users.list.len < USERS_MAX && (err = sequence_next(reader, &next, d)) == 0)
		add_user(check, next, &view->users);
	reader->next = first;
	return err;
}

/* True: what is wrong with the extent has been said as a whole. */
static bool judge_extent(struct check *check, const struct counted_reference *first, const struct extent_view *view)
{
	char text[160];

	describe(&first->reference, text);
	if (!view->is_recorded && check->is_extent_tree_short)
		return true;
	if (!view->is_recorded) {
		const struct place place = place_of(&first->reference, &view->users);

		complain(check, EXTENT_MISSING, &place, (ull)first->reference.logical, (ull)first->reference.len, text);
		return true;
	}
	if (!view->is_found && !check->is_incomplete) {
		complain(check, EXTENT_LEAKED, AT(.logical = first->reference.logical), (ull)first->reference.logical,
			 (ull)first->reference.len);
		return true;
	}
	return false;
}

/* The references of an extent: equal ones are counted together. */
static int compare_extent(struct check *check, struct sequence_reader *reader, struct extent_view *view, struct diag *d)
{
	struct counted_reference sum = { 0 };
	bool has_sum = false;
	const void *next;
	int err = 0;

	while (reader->next < view->end && (err = sequence_next(reader, &next, d)) == 0) {
		const struct counted_reference *item = next;

		if (has_sum && by_reference(&sum, item) == 0) {
			sum.count += item->count;
			continue;
		}
		if (!has_sum && judge_extent(check, item, view)) {
			reader->next = view->end;
			return 0;
		}
		if (has_sum && sum.count)
			report_difference(check, &sum, sum.count, view);
		sum = *item;
		has_sum = true;
	}
	if (has_sum && sum.count)
		report_difference(check, &sum, sum.count, view);
	return err;
}

static int compare_all(struct check *check, const struct sequence *list, struct diag *d)
{
	struct sequence_reader reader = sequence_read_from(list, 0), ahead = sequence_read_from(list, 0);
	u64 nr_not_seen = 0, nr_extents = 0;
	struct extent_view view;
	int err;

	while ((err = view_extent(&ahead, &view, d)) == 0) {
		if (!view.is_wrong) {
			reader.next = view.end;
			continue;
		}
		err = view_users(check, &reader, &view, d);
		if (!err)
			err = compare_extent(check, &reader, &view, d);
		array_done(&view.users.list);
		nr_not_seen += view.nr_not_seen;
		nr_extents += view.nr_not_seen > 0;
		if (!err)
			err = check->sink.err;
		if (!err && atomic_load(&check->cancel->is_requested))
			err = diag_fail(d, -ECANCELED, "cancelled");
		if (err)
			break;
	}
	if (nr_not_seen)
		complain(check, REFERENCE_NOT_SEEN, AT(.tree = EXTENT_TREE_OBJECTID), (ull)nr_not_seen, (ull)nr_extents);
	sequence_reader_done(&reader);
	sequence_reader_done(&ahead);
	return err < 0 ? err : 0;
}

/* Sorted, and so that it can be read twice. */
static int sort_references(struct check *check, struct sorter *sorter, struct sequence **ret_list, struct diag *d)
{
	const void *record;
	int err = sorter_sort(sorter, d);

	if (!err && sequence_new(&check->spill, sizeof(struct counted_reference), check->memory_bytes / 8, ret_list) < 0)
		err = diag_no_memory(d, "references");
	while (!err && (err = sorter_next(sorter, &record, d)) == 0)
		err = sequence_append(*ret_list, record, d);
	return err < 0 ? err : 0;
}

static int gather(struct check *check, struct diag *d)
{
	const struct block_sweep recorded = { .wanted = is_extent_leaf, .visit = visit_recorded, .ctx = check };
	const struct block_sweep found = { .wanted = has_file_extents, .visit = visit_found, .ctx = check };
	int err;

	check->sink.is_muted = true;
	err = block_table_sweep(check, 0, &recorded, d);
	if (!err)
		err = block_table_sweep(check, 0, &found, d);
	if (!err)
		err = found_block_references(check, d);
	check->sink.is_muted = false;
	if (!err && check->detail_err)
		err = diag_fail(d, check->detail_err, "%s: the references of damaged block groups: %s", check->spill.dir,
				strerror(-check->detail_err));
	return err;
}

int detail_references(struct check *check, struct diag *d)
{
	struct sequence *list = NULL;
	struct sorter *sorter;
	int err;

	if (sorter_new(&check->spill, sizeof(struct counted_reference), check->memory_bytes / 8, by_reference, &sorter) < 0)
		return diag_no_memory(d, "references");
	check->detail = sorter;
	err = gather(check, d);
	check->detail = NULL;
	if (!err)
		err = sort_references(check, sorter, &list, d);
	sorter_free(sorter);
	if (!err)
		err = compare_all(check, list, d);
	sequence_free(list);
	return err;
}
