/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A data extent for which there is no place as a whole: it goes to several, cut anywhere between sectors, if it is not
 * compressed. What files do not refer to goes nowhere.
 *
 *	extent:		|--------------------------------|	of which one file extent has   [-----------)
 *	pieces:		|------a------|        |----b----|	then become two:               [---a)(--b--)
 *
 * Each file extent that refers to more than one piece becomes as many. A leaf that has no room for them becomes several
 * leaves, and so do nodes above it, up to a new root; whoever shares one of them shares all.
 */
#include "kernel-shared/format/leaf_edit.h"
#include "kernel-shared/relocate/move_extents.h"
#include "kernel-shared/space/sector_bits.h"

typedef unsigned long long ull;

/* Places for one extent, at most: who has to scatter it more has no space. */
#define PIECES_MAX 2048

/* --- Pieces ---------------------------------------- */

int moving_batch_cover(struct moving_batch *batch, const struct leaf_data_ref *ref, struct diag *d)
{
	const struct moving *moving = batch->moving;
	const struct moving_extent *extent = &moving->extents.items[batch->first];

	if (!ref->is_plain)
		return diag_fail(d, -EOPNOTSUPP, "extent %llu: is compressed, and cannot be cut", (ull)ref->logical);
	if (ref->extent_offset % moving->sectorsize || ref->num_bytes % moving->sectorsize || ref->num_bytes == 0 ||
	    ref->num_bytes > ref->len || ref->extent_offset > ref->len - ref->num_bytes)
		return diag_fail(d, -EUCLEAN, "extent %llu of %llu bytes: is referred to from %llu on for %llu bytes",
				 (ull)ref->logical, (ull)ref->len, (ull)ref->extent_offset, (ull)ref->num_bytes);
	if (!batch->covered)
		batch->covered = calloc(sector_bits_words(extent->nr_sectors), sizeof(u64));
	if (!batch->covered)
		return diag_no_memory(d, "a data extent");
	sector_bits_set(batch->covered, (u32)(ref->extent_offset / moving->sectorsize),
			(u32)(ref->num_bytes / moving->sectorsize));
	return 0;
}

/* A place for as much of the sectors [from, end) as there is in one piece: half of it, or a quarter, ... */
static int place_piece(struct moving_batch *batch, const struct extent_info *info, u32 from, u32 end, u32 *ret_end,
		       struct diag *d)
{
	const struct moving *moving = batch->moving;
	const struct moving_extent *extent = &moving->extents.items[batch->first];
	struct extent_piece piece = { .from = extent->logical + (u64)from * moving->sectorsize };
	u32 want = end - from, min = want;
	u64 len = 0;
	int err;

	do {
		diag_clear(d);
		err = txn_move_data(moving->txn, (u64)want * moving->sectorsize, (u64)min * moving->sectorsize, info,
				    &piece.to, &len, d);
		min /= 2;
	} while (err == -ENOSPC && min);
	if (err)
		return err;
	piece.nr_sectors = (u32)(len / moving->sectorsize);
	*ret_end = from + piece.nr_sectors;
	if (batch->pieces.len == PIECES_MAX)
		return diag_fail(d, -ENOSPC, "extent %llu: there is no space for it in less than %u pieces",
				 (ull)extent->logical, PIECES_MAX);
	return array_push(&batch->pieces, piece) < 0 ? diag_no_memory(d, "a data extent") : 0;
}

int moving_batch_place_pieces(struct moving_batch *batch, const struct extent_info *info, struct diag *d)
{
	u32 nr_sectors = batch->moving->extents.items[batch->first].nr_sectors, at = 0;
	int err = 0;

	while (batch->covered && !err && (at = sector_bits_find(batch->covered, at, nr_sectors, true)) < nr_sectors) {
		u32 end = sector_bits_find(batch->covered, at, nr_sectors, false);

		while (at < end && !err)
			err = place_piece(batch, info, at, end, &at, d);
	}
	return err;
}

/* --- Blocks that become several ---------------------------------------- */

struct output {
	struct rewriting *it;
	u32 last; /* of the parts, plus 1 */
	u32 limit_bytes; /* when the next one is begun */
	u32 used_bytes;
};

/* So that all of them are filled alike. */
static void plan_output(struct output *out, u64 total_bytes, u32 largest_bytes)
{
	u32 capacity = leaf_data_bytes(out->it->batch->moving->nodesize);
	u64 nr = (total_bytes + capacity - 1) / capacity;

	/* What does not divide evenly may take one more. */
	out->limit_bytes = nr <= 1 ? capacity : (u32)MIN(total_bytes / nr + largest_bytes, (u64)capacity);
}

static int begin_block(struct output *out, struct diag *d)
{
	struct rewriting *it = out->it;
	struct moving_batch *batch = it->batch;
	u32 nodesize = batch->moving->nodesize, *link;
	bool is_first = !it->to;
	int err;

	if (it->to)
		block_changed(it->to);
	block_put(it->to);
	it->to = NULL;
	err = txn_move_block(batch->moving->txn, it->from, it->block->is_full, &it->to, d);
	if (err)
		return err;
	le32_put(&((struct disk_header *)block_bytes(it->to))->nritems, 0);
	memset(block_bytes(it->to) + sizeof(struct disk_header), 0, nodesize - sizeof(struct disk_header));
	block_changed(it->to);
	it->to_parent = it->block->is_full ? it->to->logical : 0;
	out->used_bytes = 0;
	if (is_first) {
		it->block->to = it->to->logical;
		return 0;
	}
	if (array_push(&batch->parts, (struct moving_part){ .to = it->to->logical }) < 0)
		return diag_no_memory(d, "tree blocks to be moved");
	link = out->last ? &batch->parts.items[out->last - 1].more : &it->block->more;
	*link = out->last = (u32)batch->parts.len;
	return 0;
}

/* Room for something of @bytes. */
static int make_room(struct output *out, u32 bytes, struct diag *d)
{
	int err = !out->it->to || out->used_bytes + bytes > out->limit_bytes ? begin_block(out, d) : 0;

	out->used_bytes += bytes;
	return err;
}

static int end_output(struct output *out, struct diag *d)
{
	int err = out->it->to ? 0 : begin_block(out, d);

	if (out->it->to)
		block_changed(out->it->to);
	block_put(out->it->to);
	out->it->to = NULL;
	return err;
}

/* --- Leaves ---------------------------------------- */

/* Is it a file extent of the extent that is split? */
static bool is_to_be_split(const struct moving_batch *batch, const u8 *leaf, u32 slot, struct leaf_data_ref *ret_ref,
			   bool *ret_is_data)
{
	*ret_is_data = leaf_data_ref_get(leaf, slot, ret_ref);
	return *ret_is_data && ret_ref->logical == batch->moving->extents.items[batch->first].logical;
}

/* The first piece that a file extent has a part of, and the one after the last. */
static size_t first_piece(const struct moving_batch *batch, const struct leaf_data_ref *ref)
{
	u64 begin = ref->logical + ref->extent_offset;

	return array_lower_bound(&batch->pieces, it,
				 it->from + (u64)it->nr_sectors * batch->moving->sectorsize <= begin);
}

static size_t end_piece(const struct moving_batch *batch, const struct leaf_data_ref *ref)
{
	u64 end = ref->logical + ref->extent_offset + ref->num_bytes;

	return array_lower_bound(&batch->pieces, it, it->from < end);
}

static int copy_item(struct output *out, u32 slot, struct leaf_data_ref *ref, struct diag *d)
{
	const struct rewriting *it = out->it;
	const struct key key = leaf_key(it->from->data, slot);
	u32 size = leaf_item_bytes(it->from->data, slot);
	int err = make_room(out, size + (u32)sizeof(struct disk_item), d);

	if (err)
		return err;
	memcpy(leaf_append(block_bytes(it->to), it->batch->moving->nodesize, &key, size),
	       leaf_item_data(it->from->data, slot), size);
	if (!ref || !it->to_parent)
		return 0;
	err = rewriting_drop_data(it, ref, d);
	return err ? err : rewriting_add_data(it, ref, d);
}

/* What a file extent has of a piece. */
static int put_part(struct output *out, u32 slot, const struct leaf_data_ref *ref, const struct extent_piece *piece,
		    struct diag *d)
{
	const struct rewriting *it = out->it;
	u64 begin = ref->logical + ref->extent_offset, end = begin + ref->num_bytes;
	u64 piece_bytes = (u64)piece->nr_sectors * it->batch->moving->sectorsize;
	u64 from = MAX(begin, piece->from), until = MIN(end, piece->from + piece_bytes);
	struct disk_file_extent_item item;
	struct key key = leaf_key(it->from->data, slot);
	struct leaf_data_ref new;
	int err = make_room(out, sizeof(item) + sizeof(struct disk_item), d);

	if (err)
		return err;
	key.offset += from - begin;
	memcpy(&item, leaf_item_data(it->from->data, slot), sizeof(item));
	le64_put(&item.disk_bytenr, piece->to);
	le64_put(&item.disk_num_bytes, piece_bytes);
	le64_put(&item.ram_bytes, piece_bytes);
	le64_put(&item.offset, from - piece->from);
	le64_put(&item.num_bytes, until - from);
	memcpy(leaf_append(block_bytes(it->to), it->batch->moving->nodesize, &key, sizeof(item)), &item, sizeof(item));
	new = (struct leaf_data_ref){ .logical = piece->to,
				      .len = piece_bytes,
				      .objectid = key.objectid,
				      .offset = key.offset - (from - piece->from) };
	return rewriting_add_data(it, &new, d);
}

static int split_item(struct output *out, u32 slot, const struct leaf_data_ref *ref, struct diag *d)
{
	const struct moving_batch *batch = out->it->batch;
	size_t end = end_piece(batch, ref);
	int err = rewriting_drop_data(out->it, ref, d);

	for (size_t i = first_piece(batch, ref); i < end && !err; i++)
		err = put_part(out, slot, ref, &batch->pieces.items[i], d);
	return err;
}

int rewriting_split_leaf(struct rewriting *it, struct diag *d)
{
	const struct tree_block *from = it->from;
	struct output out = { .it = it };
	struct leaf_data_ref ref;
	u64 total = 0;
	u32 largest = 0;
	bool is_data;
	int err = 0;

	for (u32 slot = 0; slot < from->nritems; slot++) {
		u32 bytes = leaf_item_bytes(from->data, slot) + (u32)sizeof(struct disk_item);
		u64 nr = 1;

		if (is_to_be_split(it->batch, from->data, slot, &ref, &is_data))
			nr = end_piece(it->batch, &ref) - first_piece(it->batch, &ref);
		total += nr * bytes;
		largest = MAX(largest, bytes);
	}
	plan_output(&out, total, largest);
	for (u32 slot = 0; slot < from->nritems && !err; slot++) {
		if (is_to_be_split(it->batch, from->data, slot, &ref, &is_data))
			err = split_item(&out, slot, &ref, d);
		else
			err = copy_item(&out, slot, is_data ? &ref : NULL, d);
	}
	if (err) {
		block_put(it->to);
		return err;
	}
	return end_output(&out, d);
}

/* --- Nodes ---------------------------------------- */

static int put_child(struct output *out, const struct key *key, u64 logical, u64 generation, bool is_new,
		     struct diag *d)
{
	const struct rewriting *it = out->it;
	int err = make_room(out, sizeof(struct disk_key_ptr), d);

	if (err)
		return err;
	node_append(block_bytes(it->to), key, logical, generation);
	return is_new || it->to_parent ? rewriting_add_child(it, logical, d) : 0;
}

static int put_children(struct output *out, u32 slot, struct diag *d)
{
	const struct rewriting *it = out->it;
	const struct moving_batch *batch = it->batch;
	u64 logical = node_blockptr(it->from->data, slot), generation = node_generation(it->from->data, slot);
	const struct moving_block *known = moving_batch_find(batch, logical);
	const struct key key = node_key(it->from->data, slot);
	bool is_moving = known && known->is_moving;
	int err = is_moving || it->from_parent ? rewriting_drop_child(it, logical, d) : 0;

	if (!err)
		err = put_child(out, &key, is_moving ? known->to : logical, generation, is_moving, d);
	for (u32 more = is_moving ? known->more : 0; more && !err; more = batch->parts.items[more - 1].more) {
		u64 to = batch->parts.items[more - 1].to;
		const struct key first_key = rewritten_first_key(batch, to);

		err = put_child(out, &first_key, to, generation, true, d);
	}
	return err;
}

static u32 nr_children(const struct moving_batch *batch, u64 logical)
{
	const struct moving_block *known = moving_batch_find(batch, logical);
	u32 nr = 1;

	for (u32 more = known ? known->more : 0; more; more = batch->parts.items[more - 1].more)
		nr++;
	return nr;
}

int rewriting_split_node(struct rewriting *it, struct diag *d)
{
	const struct tree_block *from = it->from;
	struct output out = { .it = it };
	u64 total = 0;
	int err = 0;

	for (u32 slot = 0; slot < from->nritems; slot++)
		total += nr_children(it->batch, node_blockptr(from->data, slot)) * sizeof(struct disk_key_ptr);
	plan_output(&out, total, sizeof(struct disk_key_ptr));
	for (u32 slot = 0; slot < from->nritems && !err; slot++)
		err = put_children(&out, slot, d);
	if (err) {
		block_put(it->to);
		return err;
	}
	return end_output(&out, d);
}
