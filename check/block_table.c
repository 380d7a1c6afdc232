/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check/block_table.h"

typedef unsigned long long ull;

int block_table_new(struct block_table **ret_table)
{
	*ret_table = calloc(1, sizeof(**ret_table));
	return *ret_table ? 0 : -ENOMEM;
}

void block_table_free(struct block_table *table)
{
	for (unsigned l = 0; table && l < LEVEL_MAX; l++) {
		array_done(&table->level[l].pointers);
		array_done(&table->level[l].blocks);
		array_done(&table->level[l].children);
	}
	free(table);
}

int block_table_point(struct block_table *table, u8 level, const struct block_pointer *pointer, struct diag *d)
{
	return array_push(&table->level[level].pointers, *pointer) < 0 ? diag_no_memory(d, "the table of blocks") : 0;
}

static int by_address(const void *a, const void *b)
{
	const struct block_pointer *x = a, *y = b;

	if (x->logical != y->logical)
		return x->logical < y->logical ? -1 : 1;
	if (x->tree != y->tree)
		return x->tree < y->tree ? -1 : 1;
	if (x->parent != y->parent)
		return x->parent < y->parent ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Two pointers to one block that say different things of it: one of them is wrong. */
static void compare_pointers(struct check *check, const struct block_pointer *first, const struct block_pointer *other,
			     u8 level)
{
	if (first->generation && other->generation && first->generation != other->generation)
		complain(check, POINTERS_DISAGREE, AT(.tree = other->tree, .logical = other->logical),
			 (ull)other->logical, level, "generation", (ull)first->generation, (ull)other->generation);
	if (first->parent != BLOCK_NONE && other->parent != BLOCK_NONE &&
	    key_compare(&first->first_key, &other->first_key) != 0)
		complain(check, POINTERS_DISAGREE, AT(.tree = other->tree, .logical = other->logical),
			 (ull)other->logical, level, "first key, objectid", (ull)first->first_key.objectid,
			 (ull)other->first_key.objectid);
	/* Trees of subvolumes share; no others do. */
	if (first->tree != other->tree && !(tree_id_is_subvol(first->tree) && tree_id_is_subvol(other->tree)) &&
	    first->tree != TREE_RELOC_OBJECTID && other->tree != TREE_RELOC_OBJECTID)
		complain(check, BLOCK_IN_TWO_TREES, AT(.tree = other->tree, .logical = other->logical), (ull)other->logical,
			 (long long)first->tree, (long long)other->tree);
}

static void tell_parent(struct check *check, u8 level, const struct block_pointer *pointer, u32 index)
{
	struct block_level *above;

	if (pointer->parent == BLOCK_NONE) {
		check->roots.items[pointer->slot].root_block = index;
		return;
	}
	above = &check->blocks->level[level + 1];
	above->children.items[above->blocks.items[pointer->parent].first_child + pointer->slot] = index;
}

int block_table_make_level(struct check *check, u8 level, struct diag *d)
{
	struct block_level *at = &check->blocks->level[level];
	struct block_pointer *first = NULL;

	if (at->pointers.len == 0)
		return 0;
	qsort(at->pointers.items, at->pointers.len, sizeof(*at->pointers.items), by_address);
	array_for_each(&at->pointers, pointer) {
		bool is_new = !first || first->logical != pointer->logical;

		if (is_new) {
			const struct block_record record = { .logical = pointer->logical, .generation = pointer->generation,
							     .tree = pointer->tree };

			if (at->blocks.len == BLOCK_NONE - 1 || array_push(&at->blocks, record) < 0)
				return diag_no_memory(d, "the table of blocks");
			first = pointer;
		} else {
			compare_pointers(check, first, pointer, level);
			if (key_compare(&pointer->limit, &first->limit) < 0)
				first->limit = pointer->limit;
		}
		tell_parent(check, level, pointer, (u32)at->blocks.len - 1);
	}
	return 0;
}
