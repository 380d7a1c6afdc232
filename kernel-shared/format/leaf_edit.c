/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/format/leaf_edit.h"

static struct disk_header *header_of(u8 *block)
{
	return (struct disk_header *)block;
}

static struct disk_item *items_of(u8 *block)
{
	return (struct disk_item *)(block + sizeof(struct disk_header));
}

static u8 *data_of(u8 *block)
{
	return block + sizeof(struct disk_header);
}

static struct disk_key_ptr *ptrs_of(u8 *block)
{
	return (struct disk_key_ptr *)(block + sizeof(struct disk_header));
}

static void set_nritems(u8 *block, u32 nritems)
{
	le32_put(&header_of(block)->nritems, nritems);
}

/* Where the data of the items before @slot begins; all of the items from @slot on lies below it. */
static u32 data_end(const u8 *block, u32 nodesize, u32 slot)
{
	return slot ? le32_get(leaf_item(block, slot - 1)->offset) : leaf_data_bytes(nodesize);
}

u32 leaf_range_bytes(const u8 *block, u32 slot, u32 count)
{
	u32 low, high;

	if (count == 0)
		return 0;
	low = le32_get(leaf_item(block, slot + count - 1)->offset);
	high = le32_get(leaf_item(block, slot)->offset) + leaf_item_bytes(block, slot);
	return high - low + count * (u32)sizeof(struct disk_item);
}

u32 leaf_used_bytes(const u8 *block)
{
	return leaf_range_bytes(block, 0, block_nritems(block));
}

/* Move the data of the items from @slot on by @bytes, down (they grow away from the end) or up. */
static void shift_data(u8 *block, u32 nodesize, u32 slot, u32 bytes, bool is_down)
{
	u32 nritems = block_nritems(block);
	u32 low = data_end(block, nodesize, nritems), high = data_end(block, nodesize, slot);
	u32 by = is_down ? 0 - bytes : bytes; /* modulo 2^32 */
	struct disk_item *item = items_of(block) + slot, *end = items_of(block) + nritems;

	memmove(data_of(block) + (u32)(low + by), data_of(block) + low, high - low);
	for (; item < end; item++)
		le32_put(&item->offset, le32_get(item->offset) + by);
}

void *leaf_insert(u8 *block, u32 nodesize, u32 slot, const struct key *key, u32 size)
{
	u32 nritems = block_nritems(block), offset = data_end(block, nodesize, slot) - size;
	struct disk_item *item = items_of(block) + slot;

	shift_data(block, nodesize, slot, size, true);
	memmove(item + 1, item, (nritems - slot) * sizeof(*item));
	key_pack(&item->key, key);
	le32_put(&item->offset, offset);
	le32_put(&item->size, size);
	set_nritems(block, nritems + 1);
	return data_of(block) + offset;
}

void leaf_remove(u8 *block, u32 nodesize, u32 slot, u32 count)
{
	u32 nritems = block_nritems(block);
	u32 bytes = leaf_range_bytes(block, slot, count) - count * (u32)sizeof(struct disk_item);
	struct disk_item *item = items_of(block) + slot;

	shift_data(block, nodesize, slot + count, bytes, false);
	memmove(item, item + count, (nritems - slot - count) * sizeof(*item));
	set_nritems(block, nritems - count);
}

/*
 * Data lies end to end from the back, so the item's own data has to move with that of the items after it, for its front to
 * stay its front.
 */
void leaf_resize(u8 *block, u32 nodesize, u32 slot, u32 size)
{
	struct disk_item *item = items_of(block) + slot;
	u32 old = le32_get(item->size), offset = le32_get(item->offset);

	if (size > old) {
		shift_data(block, nodesize, slot, size - old, true);
		memset(data_of(block) + offset - (size - old) + old, 0, size - old);
	} else if (size < old) {
		u32 low = data_end(block, nodesize, block_nritems(block));

		/* All from the lowest byte to the end of what is kept moves up. */
		memmove(data_of(block) + low + (old - size), data_of(block) + low, offset + size - low);
		for (u32 i = slot; i < block_nritems(block); i++)
			le32_put(&items_of(block)[i].offset, le32_get(items_of(block)[i].offset) + (old - size));
	}
	le32_put(&item->size, size);
}

void leaf_set_key(u8 *block, u32 slot, const struct key *key)
{
	key_pack(&items_of(block)[slot].key, key);
}

/* Put copies of @count items of @from, from @from_slot on, before @slot of @to. */
static void copy_items(const u8 *from, u32 from_slot, u32 count, u8 *to, u32 slot, u32 nodesize)
{
	u32 nritems = block_nritems(to);
	u32 bytes = leaf_range_bytes(from, from_slot, count) - count * (u32)sizeof(struct disk_item);
	u32 from_low = data_end(from, nodesize, from_slot + count), to_high = data_end(to, nodesize, slot);
	struct disk_item *item = items_of(to) + slot;

	shift_data(to, nodesize, slot, bytes, true);
	memmove(item + count, item, (nritems - slot) * sizeof(*item));
	memcpy(item, leaf_item(from, from_slot), count * sizeof(*item));
	memcpy(data_of(to) + to_high - bytes, from + sizeof(struct disk_header) + from_low, bytes);
	for (u32 i = 0; i < count; i++)
		le32_put(&item[i].offset, le32_get(item[i].offset) - from_low + to_high - bytes);
	set_nritems(to, nritems + count);
}

void leaf_move_right(u8 *from, u8 *to, u32 nodesize, u32 count)
{
	u32 first = block_nritems(from) - count;

	if (count == 0)
		return;
	copy_items(from, first, count, to, 0, nodesize);
	leaf_remove(from, nodesize, first, count);
}

void leaf_move_left(u8 *from, u8 *to, u32 nodesize, u32 count)
{
	if (count == 0)
		return;
	copy_items(from, 0, count, to, block_nritems(to), nodesize);
	leaf_remove(from, nodesize, 0, count);
}

/* --- Nodes ----------------------------------------------------------------------------------------------------- */

void node_set(u8 *block, u32 slot, u64 blockptr, u64 generation)
{
	le64_put(&ptrs_of(block)[slot].blockptr, blockptr);
	le64_put(&ptrs_of(block)[slot].generation, generation);
}

void node_set_key(u8 *block, u32 slot, const struct key *key)
{
	key_pack(&ptrs_of(block)[slot].key, key);
}

void node_insert(u8 *block, u32 slot, const struct key *key, u64 blockptr, u64 generation)
{
	u32 nritems = block_nritems(block);
	struct disk_key_ptr *ptr = ptrs_of(block) + slot;

	memmove(ptr + 1, ptr, (nritems - slot) * sizeof(*ptr));
	key_pack(&ptr->key, key);
	node_set(block, slot, blockptr, generation);
	set_nritems(block, nritems + 1);
}

void node_remove(u8 *block, u32 slot, u32 count)
{
	u32 nritems = block_nritems(block);
	struct disk_key_ptr *ptr = ptrs_of(block) + slot;

	memmove(ptr, ptr + count, (nritems - slot - count) * sizeof(*ptr));
	set_nritems(block, nritems - count);
}

void node_move_right(u8 *from, u8 *to, u32 count)
{
	u32 nr_from = block_nritems(from), nr_to = block_nritems(to);

	memmove(ptrs_of(to) + count, ptrs_of(to), nr_to * sizeof(struct disk_key_ptr));
	memcpy(ptrs_of(to), ptrs_of(from) + nr_from - count, count * sizeof(struct disk_key_ptr));
	set_nritems(from, nr_from - count);
	set_nritems(to, nr_to + count);
}

void node_move_left(u8 *from, u8 *to, u32 count)
{
	u32 nr_to = block_nritems(to);

	memcpy(ptrs_of(to) + nr_to, ptrs_of(from), count * sizeof(struct disk_key_ptr));
	set_nritems(to, nr_to + count);
	node_remove(from, 0, count);
}
