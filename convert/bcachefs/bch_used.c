/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * In use is what something refers to: slots of superblocks, buckets of the journal, nodes of btrees, extents of all snapshots. What is
 * cached, and what no key points to, is free.
 */
#include "convert/bcachefs/bch_used.h"

#include <inttypes.h>

#include "common/base/checked.h"
#include "convert/bcachefs/bch_check_key.h"
#include "convert/bcachefs/bch_extent.h"

struct range {
	u64 start, end;
};

struct used {
	struct bch_fs *fs;
	unsigned device; /* index of the member whose ranges are wanted */
	u64 device_bytes;
	ARRAY(struct range) ranges;
};

static int add(struct used *used, u64 physical, u64 len, const char *what, struct diag *d)
{
	u32 block_bytes = used->fs->super->block_bytes;
	struct range range;

	if (len == 0)
		return 0;
	if (!range_fits(physical, len, used->device_bytes))
		return diag_fail(d, -EUCLEAN, "%s at %" PRIu64 " reaches beyond the end of the device", what, physical);
	range = (struct range){ round_down_u64(physical, block_bytes), round_up_u64(physical + len, block_bytes) };
	return array_push(&used->ranges, range) < 0 ? diag_no_memory(d, "space in use") : 0;
}

/* Slots of superblocks as one list has them. */
static int add_slots(struct used *used, const struct disk_bch_layout *layout, struct diag *d)
{
	u64 len, sector;
	int err = 0;

	if (layout->size_max_bits > 20 || layout->nr_copies > BCH_SUPER_COPIES_MAX)
		return diag_fail(d, -EUCLEAN, "the layout of superblocks is damaged");
	len = (u64)BCH_SECTOR_BYTES << layout->size_max_bits;
	for (unsigned i = 0; !err && i < layout->nr_copies; i++) {
		sector = le64_get(layout->sector[i]);
		if (sector > used->device_bytes / BCH_SECTOR_BYTES)
			return diag_fail(d, -EUCLEAN, "superblock copy %u is beyond the end of the device", i);
		err = add(used, sector * BCH_SECTOR_BYTES, len, "a superblock", d);
	}
	return err;
}

/* The list of slots, what it has, and the places that are looked at without a list: the first, and where a good one was found. */
static int add_supers(struct used *used, struct diag *d)
{
	const struct bch_super *super = used->fs->devices[used->device].super;
	u64 len = MAX(round_up_u64(super->raw_bytes, BCH_SECTOR_BYTES), (u64)BCH_SECTOR_BYTES);
	int err = add(used, BCH_LAYOUT_SECTOR * BCH_SECTOR_BYTES, BCH_SECTOR_BYTES, "the layout of superblocks", d);

	if (!err)
		err = add_slots(used, &((const struct disk_bch_super *)super->raw)->layout, d);
	if (!err)
		err = add(used, BCH_SUPER_SECTOR * BCH_SECTOR_BYTES, len, "a superblock", d);
	return err ? err : add(used, super->sector * BCH_SECTOR_BYTES, len, "a superblock", d);
}

static int add_journal(struct used *used, struct diag *d)
{
	const struct bch_super *super = used->fs->devices[used->device].super;
	u64 bucket_bytes = used->fs->super->members.items[used->device].bucket_bytes;

	array_for_each(&super->journal, range) {
		u64 start, len;
		int err;

		if (!checked_mul(range->start, bucket_bytes, &start) || !checked_mul(range->nr, bucket_bytes, &len))
			return diag_fail(d, -EUCLEAN, "the journal is beyond the end of the device");
		err = add(used, start, len, "the journal", d);
		if (err)
			return err;
	}
	return 0;
}

static int add_node(void *ctx, const struct bch_node_visit *visit, struct diag *d)
{
	struct used *used = ctx;
	char name[16];

	/* Below it there may be anything. */
	if (!visit->node)
		return diag_fail(d, -EUCLEAN, "a node of the btree %s cannot be read: %s", bch_btree_name(visit->btree, name),
				 visit->replica_bad[0] ? visit->replica_bad[0]->text : "no replica");
	for (unsigned i = 0; i < visit->ptr->nr_replicas; i++) {
		int err = visit->ptr->replica[i].device == used->device ?
				  add(used, visit->ptr->replica[i].physical, used->fs->super->node_bytes, "a node", d) :
				  0;

		if (err)
			return err;
	}
	return 0;
}

static int add_extent(struct used *used, u8 btree, const struct bch_key *key, struct diag *d)
{
	struct bch_extent extent;
	size_t head = key->type == BCH_KEY_REFLINK_V ? sizeof(le64) : 0;
	char pos[BCH_POS_TEXT_MAX];
	int err;

	if (key->type == BCH_KEY_STRIPE)
		return diag_fail(d, -EOPNOTSUPP, "stripe %s: erasure coding is not supported", bch_pos_text(&key->pos, pos));
	/* Of what is not known, nobody knows where it lies. */
	if (!bch_key_belongs(btree, key->type))
		return diag_fail(d, -EUCLEAN, "extent %s: a key of a kind (%u) that does not belong there", bch_pos_text(&key->pos, pos),
				 key->type);
	if (key->type != BCH_KEY_EXTENT && key->type != BCH_KEY_REFLINK_V)
		return 0;
	if (key->value_bytes < head)
		return diag_fail(d, -EUCLEAN, "extent %s: its value is cut off", bch_pos_text(&key->pos, pos));
	err = bch_extent_get(used->fs, key->value + head, key->value_bytes - head, key->size_sectors, &extent, d);
	if (!err && extent.has_stripes)
		err = diag_fail(d, -EOPNOTSUPP, "it is erasure coded");
	if (err)
		return diag_context(d, err, "extent %s", bch_pos_text(&key->pos, pos));
	for (unsigned i = 0; !err && i < extent.nr_replicas; i++)
		if (!extent.replica[i].is_cached && extent.replica[i].device == used->device)
			err = add(used, extent.replica[i].physical, (u64)extent.replica[i].crc.csize_sectors * BCH_SECTOR_BYTES,
				  "an extent", d);
	return err;
}

static int add_extents(struct used *used, u8 btree, struct diag *d)
{
	_cleanup_(bch_cursor_done) struct bch_cursor cursor;
	struct bch_key key;
	int err;

	bch_cursor_init(&cursor, used->fs, btree);
	for (err = bch_cursor_seek(&cursor, &BCH_POS_MIN, &key, d); !err; err = bch_cursor_next(&cursor, &key, d)) {
		err = add_extent(used, btree, &key, d);
		if (err)
			break;
	}
	return err < 0 ? err : 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct range *left = a, *right = b;

	return left->start < right->start ? -1 : left->start > right->start;
}

static int tell(struct used *used, source_range_fn fn, void *ctx, struct diag *d)
{
	struct range now = { 0, 0 };

	array_sort(&used->ranges, compare_ranges);
	array_for_each(&used->ranges, range) {
		if (range->start <= now.end && now.end) {
			now.end = MAX(now.end, range->end);
			continue;
		}
		if (now.end) {
			int err = fn(ctx, now.start, now.end - now.start, d);

			if (err)
				return err;
		}
		now = *range;
	}
	return now.end ? fn(ctx, now.start, now.end - now.start, d) : 0;
}

static int gather(struct used *used, struct diag *d)
{
	int err = add_supers(used, d);

	if (!err)
		err = add_journal(used, d);
	for (unsigned btree = 0; !err && btree < BCH_BTREES_MAX; btree++)
		if (used->fs->roots[btree].is_there)
			err = bch_btree_for_each_node(used->fs, (u8)btree, add_node, used, d);
	if (!err)
		err = add_extents(used, BCH_EXTENTS, d);
	if (!err)
		err = add_extents(used, BCH_REFLINK, d);
	return err ?: add_extents(used, BCH_STRIPES, d);
}

static int find_device(const struct bch_fs *fs, u32 given, unsigned *ret_device, struct diag *d)
{
	for (unsigned i = 0; i < BCH_DEVICES_MAX; i++) {
		if (!fs->devices[i].dev || fs->devices[i].given != given)
			continue;
		if (i >= fs->super->members.len)
			return diag_fail(d, -EUCLEAN, "the superblock has no member %u", i);
		*ret_device = i;
		return 0;
	}
	return diag_fail(d, -EINVAL, "there is no device %u", given);
}

int bch_used_ranges(struct bch_fs *fs, u32 given, source_range_fn fn, void *ctx, struct diag *d)
{
	struct used used = { .fs = fs };
	int err = find_device(fs, given, &used.device, d);

	if (err)
		return err;
	used.device_bytes = fs->devices[used.device].dev->size_bytes;
	err = gather(&used, d);
	if (!err)
		err = tell(&used, fn, ctx, d);
	array_done(&used.ranges);
	return err;
}
