/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check/block_table.h"

typedef unsigned long long ull;

/* What a batch takes at most, with what is known of each of its blocks. */
#define BATCH_SHARE 16
#define BATCH_RECORD_BYTES 1024
#define BATCH_MIN 256
#define BATCH_MAX 8192

/* As they are kept. */
struct stored_pointer {
	u64 logical, generation;
	u32 root, parent, slot, owner_root;
	struct disk_key first_key, limit;
} __attribute__((packed));

struct stored_block {
	u64 logical, generation;
	u32 root, nr_links;
	struct disk_key first_key, limit;
	u8 is_root;
} __attribute__((packed));

struct block_level {
	struct sorter *pointers; /* gathered; freed when the level has been made */
	struct sequence *blocks; /* struct stored_block, by address */
	struct sequence *links; /* struct block_link, block by block */
};

struct block_table {
	struct block_level level[LEVEL_MAX];
	struct sorter *suspects;
};

static int by_address(const void *a, const void *b)
{
	const struct stored_pointer *x = a, *y = b;

	if (x->logical != y->logical)
		return x->logical < y->logical ? -1 : 1;
	if (x->root != y->root)
		return x->root < y->root ? -1 : 1;
	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static int by_suspect(const void *a, const void *b)
{
	const struct block_suspect *x = a, *y = b;

	return x->logical < y->logical ? -1 : x->logical > y->logical;
}

/* Leaves are by far the most. */
int block_table_new(struct check *check, struct block_table **ret_table)
{
	struct block_table *table = calloc(1, sizeof(*table));
	u64 memory = check->memory_bytes;
	int err = table ? 0 : -ENOMEM;

	for (unsigned l = 0; l < LEVEL_MAX && !err; l++) {
		struct block_level *level = &table->level[l];

		err = sorter_new(&check->spill, sizeof(struct stored_pointer), memory / 4, by_address, &level->pointers);
		if (!err)
			err = sequence_new(&check->spill, sizeof(struct stored_block), memory / (l ? 32 : 4), &level->blocks);
		if (!err)
			err = sequence_new(&check->spill, sizeof(struct block_link), memory / (l ? 64 : 16), &level->links);
	}
	if (!err)
		err = sorter_new(&check->spill, sizeof(struct block_suspect), memory / 16, by_suspect, &table->suspects);
	if (err)
		block_table_free(table);
	else
		*ret_table = table;
	return err;
}

void block_table_free(struct block_table *table)
{
	for (unsigned l = 0; table && l < LEVEL_MAX; l++) {
		sorter_free(table->level[l].pointers);
		sequence_free(table->level[l].blocks);
		sequence_free(table->level[l].links);
	}
	if (table)
		sorter_free(table->suspects);
	free(table);
}

u64 block_table_count(const struct block_table *table, u8 level)
{
	return sequence_count(table->level[level].blocks);
}

int block_table_suspect(struct block_table *table, const struct block_suspect *suspect, struct diag *d)
{
	return table->suspects ? sorter_add(table->suspects, suspect, 1, d) : 0;
}

int block_table_take_suspects(struct block_table *table, struct sorter **ret_suspects, struct diag *d)
{
	*ret_suspects = take_ptr(table->suspects);
	return sorter_sort(*ret_suspects, d);
}

/* --- Making a level ------------------------------------------------------------------------------------------------------ */

int block_table_point(struct block_table *table, u8 level, const struct block_pointer *pointers, size_t nr, struct diag *d)
{
	struct stored_pointer stored[64];
	int err = 0;

	while (nr > 0 && !err) {
		size_t some = MIN(nr, ARRAY_LEN(stored));

		for (size_t i = 0; i < some; i++) {
			const struct block_pointer *pointer = &pointers[i];

			stored[i] = (struct stored_pointer){ .logical = pointer->logical,
							     .generation = pointer->generation,
							     .root = pointer->root,
							     .parent = pointer->parent,
							     .slot = pointer->slot,
							     .owner_root = pointer->owner_root };
			key_pack(&stored[i].first_key, &pointer->first_key);
			key_pack(&stored[i].limit, &pointer->limit);
		}
		err = sorter_add(table->level[level].pointers, stored, some, d);
		pointers += some;
		nr -= some;
	}
	return err;
}

static u64 tree_of(const struct check *check, u32 root)
{
	return check->roots.items[root].is_reloc ? TREE_RELOC_OBJECTID : check->roots.items[root].id;
}

/* Two pointers to one block that say different things of it: one of them is wrong. */
static void compare_pointers(struct check *check, const struct stored_pointer *first, const struct stored_pointer *other,
			     u8 level)
{
	const struct key first_key = key_unpack(&first->first_key), other_key = key_unpack(&other->first_key);
	u64 first_tree = tree_of(check, first->root), other_tree = tree_of(check, other->root);

	if (first->generation && other->generation && first->generation != other->generation)
		complain(check, POINTERS_DISAGREE, AT(.tree = other_tree, .logical = other->logical),
			 (ull)other->logical, level, "generation", (ull)first->generation, (ull)other->generation);
	if (first->parent != BLOCK_NONE && other->parent != BLOCK_NONE && key_compare(&first_key, &other_key) != 0)
		complain(check, POINTERS_DISAGREE, AT(.tree = other_tree, .logical = other->logical),
			 (ull)other->logical, level, "first key, objectid", (ull)first_key.objectid, (ull)other_key.objectid);
	/* Trees of subvolumes share; no others do. */
	if (first_tree != other_tree && !(tree_id_is_subvol(first_tree) && tree_id_is_subvol(other_tree)) &&
	    first_tree != TREE_RELOC_OBJECTID && other_tree != TREE_RELOC_OBJECTID)
		complain(check, BLOCK_IN_TWO_TREES, AT(.tree = other_tree, .logical = other->logical), (ull)other->logical,
			 (long long)first_tree, (long long)other_tree);
}

static int finish_block(struct block_level *at, const struct stored_pointer *first, u32 nr_links, struct diag *d)
{
	const struct stored_block block = { .logical = first->logical,
					    .generation = first->generation,
					    .root = first->root,
					    .nr_links = nr_links,
					    .first_key = first->first_key,
					    .limit = first->limit,
					    .is_root = first->parent == BLOCK_NONE };

	if (sequence_count(at->blocks) == BLOCK_NONE - 1)
		return diag_fail(d, -E2BIG, "there are more tree blocks than can be counted");
	return sequence_append(at->blocks, &block, d);
}

int block_table_make_level(struct check *check, u8 level, struct diag *d)
{
	struct block_level *at = &check->blocks->level[level];
	struct stored_pointer first = { 0 };
	const void *record;
	u32 nr_links = 0;
	int err = sorter_sort(at->pointers, d);

	while (!err && (err = sorter_next(at->pointers, &record, d)) == 0) {
		const struct stored_pointer *pointer = record;
		const struct block_link link = { .parent = pointer->parent,
						 .slot = pointer->slot & INT32_MAX,
						 .is_of_deleted = root_is_deleted(&check->roots.items[pointer->root]),
						 .owner_root = pointer->owner_root };
		const struct key limit = key_unpack(&pointer->limit), first_limit = key_unpack(&first.limit);

		if (nr_links && pointer->logical == first.logical) {
			compare_pointers(check, &first, pointer, level);
			if (key_compare(&limit, &first_limit) < 0)
				first.limit = pointer->limit;
		} else {
			if (nr_links)
				err = finish_block(at, &first, nr_links, d);
			first = *pointer;
			nr_links = 0;
		}
		nr_links++;
		if (!err)
			err = sequence_append(at->links, &link, d);
	}
	if (err == 1)
		err = nr_links ? finish_block(at, &first, nr_links, d) : 0;
	sorter_free(at->pointers);
	at->pointers = NULL;
	return err;
}

/* --- Batches ----------------------------------------------------------------------------------------------------------------- */

size_t block_batch_max(const struct check *check)
{
	u64 most = check->memory_bytes / BATCH_SHARE / BATCH_RECORD_BYTES;

	return (size_t)MIN(MAX(most, (u64)BATCH_MIN), (u64)BATCH_MAX);
}

struct block_batches block_batches_of(struct check *check, u8 level,
				      bool (*wanted)(const struct check *check, const struct block_record *record))
{
	return (struct block_batches){ .check = check,
				       .wanted = wanted,
				       .batch.level = level,
				       .blocks = sequence_read_from(check->blocks->level[level].blocks, 0),
				       .links = sequence_read_from(check->blocks->level[level].links, 0) };
}

void block_batches_done(struct block_batches *batches)
{
	array_done(&batches->batch.blocks);
	array_done(&batches->batch.links);
	sequence_reader_done(&batches->blocks);
	sequence_reader_done(&batches->links);
}

static int add_to_batch(struct block_batches *batches, struct block_record *record, struct diag *d)
{
	struct block_batch *batch = &batches->batch;
	const void *link;
	int err = 0;

	record->first_link = (u32)batch->links.len;
	for (u32 i = 0; i < record->nr_links && !err; i++) {
		err = sequence_next(&batches->links, &link, d);
		if (!err && array_push(&batch->links, *(const struct block_link *)link) < 0)
			err = diag_no_memory(d, "the table of blocks");
	}
	if (!err && array_push(&batch->blocks, *record) < 0)
		err = diag_no_memory(d, "the table of blocks");
	return err;
}

int block_batches_next(struct block_batches *batches, struct diag *d)
{
	size_t most = block_batch_max(batches->check);
	struct block_batch *batch = &batches->batch;
	const void *next;
	int err = 0;

	batch->blocks.len = batch->links.len = 0;
	while (!err && batch->blocks.len < most && batch->links.len < 4 * most) {
		u32 index = (u32)batches->blocks.next;
		const struct stored_block *stored;
		struct block_record record;

		err = sequence_next(&batches->blocks, &next, d);
		if (err)
			break;
		stored = next;
		record = (struct block_record){ .logical = stored->logical,
						.generation = stored->generation,
						.tree = tree_of(batches->check, stored->root),
						.first_key = key_unpack(&stored->first_key),
						.limit = key_unpack(&stored->limit),
						.root = stored->root,
						.index = index,
						.is_root = stored->is_root,
						.nr_links = stored->nr_links,
						.owner_root = ROOT_NONE };
		if (batches->wanted && !batches->wanted(batches->check, &record))
			batches->links.next += record.nr_links;
		else
			err = add_to_batch(batches, &record, d);
	}
	return err == 1 && batch->blocks.len ? 0 : err;
}
