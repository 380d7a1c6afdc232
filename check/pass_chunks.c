/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proves that chunks, the superblock's chunk array, device extents and devices say the same: every stripe has its device
 * extent and the reverse, nothing overlaps or lies outside its device, and what each device says is used is the sum.
 */
#include "check/check.h"
#include "kernel-shared/format/super_check.h"
#include "kernel-shared/volume/profile.h"

typedef unsigned long long ull;

struct stripe {
	u64 devid, physical, len, logical;
};

struct stripes {
	ARRAY(struct stripe) list; /* of chunks, by device and place */
	ARRAY(struct stripe) extents; /* of the device tree */
};

static int by_place(const void *a, const void *b)
{
	const struct stripe *x = a, *y = b;

	if (x->devid != y->devid)
		return x->devid < y->devid ? -1 : 1;
	return x->physical < y->physical ? -1 : x->physical > y->physical;
}

static void complain_odd(struct check *check, u64 tree, const struct key *key, const char *what)
{
	complain(check, ITEM_FIELD_ODD, AT(.tree = tree, .has_key = true, .key = *key), (long long)tree,
		 (long long)key->objectid, key->type, (ull)key->offset, what);
}

static const struct device *device_of(const struct check *check, u64 devid)
{
	return device_set_find(check->fs->volume->devices, devid, NULL);
}

static bool device_is_of_seed(const struct check *check, const struct device *device)
{
	return memcmp(device->fsid, super_metadata_fsid(&check->fs->super), UUID_SIZE) != 0;
}

/* --- Gathering ---------------------------------------------------------------------------------------------------------- */

static int gather_stripes(struct check *check, struct stripes *stripes)
{
	const struct chunk_map *chunks = check->fs->volume->chunks;

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++)
			if (array_push(&stripes->list, (struct stripe){ chunk->stripe[s].devid, chunk->stripe[s].physical,
									 chunk->stripe_bytes, chunk->logical }) < 0)
				return -ENOMEM;
	}
	if (stripes->list.len)
		qsort(stripes->list.items, stripes->list.len, sizeof(*stripes->list.items), by_place);
	return 0;
}

/* In the order of the tree, which is that of devices and places. */
static int gather_extents(struct check *check, struct stripes *stripes)
{
	struct cursor cursor;
	struct tree tree;
	int err = 0;

	if (fs_tree(check->fs, DEV_TREE_OBJECTID, &tree, NULL) < 0) {
		if (check->fs->partial_why)
			return 1;
		complain(check, TREE_MISSING, AT(.tree = DEV_TREE_OBJECTID), "device");
		return 1;
	}
	cursor = cursor_init(&tree);
	for (err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);
		const struct disk_dev_extent *item = cursor_data(&cursor);

		if (key.type == DEV_EXTENT_KEY &&
		    array_push(&stripes->extents, (struct stripe){ key.objectid, key.offset, le64_get(item->length),
								   le64_get(item->chunk_offset) }) < 0) {
			err = -ENOMEM;
			break;
		}
		if (key.type == DEV_REPLACE_KEY && (key.offset || cursor_data_bytes(&cursor) != sizeof(struct disk_dev_replace_item)))
			complain_odd(check, DEV_TREE_OBJECTID, &key, "no replacement of a device can look like this");
		if (key.objectid == 0 && key.type == DEV_REPLACE_KEY &&
		    cursor_data_bytes(&cursor) >= sizeof(struct disk_dev_replace_item)) {
			const struct disk_dev_replace_item *replace = cursor_data(&cursor);

			if (le64_get(replace->replace_state) == DEV_REPLACE_STARTED ||
			    le64_get(replace->replace_state) == DEV_REPLACE_SUSPENDED)
				complain(check, UNFINISHED, AT(.devid = le64_get(replace->src_devid)),
					 "the replacement of a device");
		}
	}
	cursor_done(&cursor);
	if (err < 0 && err != -ENOMEM)
		return 1; /* a damaged device tree is complained of where its blocks are read */
	return err < 0 ? err : 0;
}

/* --- Comparing ------------------------------------------------------------------------------------------------------------ */

static void judge_stripe(struct check *check, const struct stripe *stripe, const struct stripe *before)
{
	const struct device *device = device_of(check, stripe->devid);

	if (!device)
		complain(check, STRIPE_WITHOUT_DEVICE, AT(.devid = stripe->devid, .logical = stripe->logical),
			 (ull)stripe->logical, (ull)stripe->devid);
	else if (stripe->physical > device->total_bytes || stripe->len > device->total_bytes - stripe->physical)
		complain(check, STRIPE_OUTSIDE_DEVICE,
			 AT(.devid = stripe->devid, .logical = stripe->logical, .physical = stripe->physical),
			 (ull)stripe->logical, (ull)stripe->physical, (ull)(stripe->physical + stripe->len), (ull)stripe->devid,
			 (ull)device->total_bytes);
	if (before && before->devid == stripe->devid && before->physical + before->len > stripe->physical)
		complain(check, STRIPES_OVERLAP,
			 AT(.devid = stripe->devid, .logical = stripe->logical, .physical = stripe->physical),
			 (ull)before->logical, (ull)stripe->logical, (ull)stripe->devid, (ull)stripe->physical);
}

static void judge_extent(struct check *check, const struct stripe *extent)
{
	const struct device *device = device_of(check, extent->devid);

	if (device && (extent->physical > device->total_bytes || extent->len > device->total_bytes - extent->physical))
		complain(check, DEV_EXTENT_OUTSIDE, AT(.devid = extent->devid, .physical = extent->physical),
			 (ull)extent->devid, (ull)extent->physical, (ull)(extent->physical + extent->len),
			 (ull)device->total_bytes);
}

/* Both lists are sorted alike. */
static void compare(struct check *check, const struct stripes *stripes)
{
	size_t s = 0, e = 0;

	while (s < stripes->list.len || e < stripes->extents.len) {
		const struct stripe *stripe = s < stripes->list.len ? &stripes->list.items[s] : NULL;
		const struct stripe *extent = e < stripes->extents.len ? &stripes->extents.items[e] : NULL;
		int order = !stripe ? 1 : !extent ? -1 : by_place(stripe, extent);

		if (order < 0) {
			complain(check, DEV_EXTENT_MISSING,
				 AT(.devid = stripe->devid, .physical = stripe->physical, .logical = stripe->logical),
				 (ull)stripe->logical, (ull)stripe->devid, (ull)stripe->physical);
		} else if (order > 0) {
			complain(check, DEV_EXTENT_WITHOUT_CHUNK,
				 AT(.devid = extent->devid, .physical = extent->physical, .logical = extent->logical),
				 (ull)extent->devid, (ull)extent->physical, (ull)extent->logical);
		} else if (stripe->len != extent->len || stripe->logical != extent->logical) {
			complain(check, DEV_EXTENT_DIFFERS,
				 AT(.devid = extent->devid, .physical = extent->physical, .logical = extent->logical),
				 (ull)extent->devid, (ull)extent->physical, (ull)extent->len, (ull)extent->logical,
				 (ull)stripe->len, (ull)stripe->logical);
		}
		s += order <= 0;
		e += order >= 0;
	}
}

/* --- Devices ---------------------------------------------------------------------------------------------------------------- */

static void judge_dev_item(struct check *check, const struct disk_dev_item *item, u64 used_bytes)
{
	u64 devid = le64_get(item->devid), total = le64_get(item->total_bytes);
	const struct device *device = device_of(check, devid);
	u32 sectorsize = check_sectorsize(check);

	if (le64_get(item->bytes_used) != used_bytes && !check->fs->partial_why)
		complain(check, DEVICE_USED_WRONG, AT(.devid = devid), (ull)devid, (ull)le64_get(item->bytes_used),
			 (ull)used_bytes);
	if (total % sectorsize)
		complain(check, DEVICE_SIZE_UNALIGNED, AT(.devid = devid), (ull)devid, (ull)total);
	if (le64_get(item->type) || le64_get(item->start_offset) ||
	    (le32_get(item->sector_size) != sectorsize && le32_get(item->sector_size) != 512))
		complain_odd(check, CHUNK_TREE_OBJECTID, &(const struct key){ DEV_ITEMS_OBJECTID, DEV_ITEM_KEY, devid },
			     "type, start_offset or sector_size");
	if (!device || !device->dev)
		return;
	if (total > device->dev->size_bytes)
		complain(check, DEVICE_TOO_SMALL, AT(.devid = devid), (ull)devid, (ull)total, (ull)device->dev->size_bytes);
	/* A seed keeps its superblock, while the filesystem that grew from it frees what it had there. */
	if (!device_is_of_seed(check, device) &&
	    (device->total_bytes != total || device->bytes_used != le64_get(item->bytes_used)))
		complain(check, DEVICE_ITEMS_DIFFER, AT(.devid = devid), (ull)devid);
	if (memcmp(device->fsid, item->fsid, UUID_SIZE) != 0)
		complain(check, DEVICE_UUID_WRONG, AT(.devid = devid), (ull)devid);
	if (memcmp(device->uuid, item->uuid, UUID_SIZE) != 0)
		complain(check, DEVICE_UUID_WRONG, AT(.devid = devid), (ull)devid);
}

static u64 used_on(const struct stripes *stripes, u64 devid)
{
	u64 sum = 0;

	array_for_each(&stripes->list, stripe)
		if (stripe->devid == devid)
			sum += stripe->len;
	return sum;
}

/* What Linux writes always the same, and mostly does not look at. */
static void judge_chunk_fields(struct check *check, const struct key *key, const struct disk_chunk *item)
{
	if (le64_get(item->owner) != EXTENT_TREE_OBJECTID)
		complain_odd(check, CHUNK_TREE_OBJECTID, key, "its owner is not the extent tree");
	if (le32_get(item->sector_size) != check_sectorsize(check))
		problem_report_item(&check->sink, CHUNK_ITEM_KEY,
				    AT(.tree = CHUNK_TREE_OBJECTID, .logical = key->offset, .has_key = true, .key = *key),
				    "a chunk's sector size is not the filesystem's");
	if (le32_get(item->io_align) != STRIPE_LEN_BYTES && le32_get(item->io_align) != check_sectorsize(check))
		complain_odd(check, CHUNK_TREE_OBJECTID, key, "io_align");
	if (le32_get(item->io_width) != STRIPE_LEN_BYTES && le32_get(item->io_width) != check_sectorsize(check))
		complain_odd(check, CHUNK_TREE_OBJECTID, key, "io_width");
	if (le16_get(item->sub_stripes) > 2)
		complain_odd(check, CHUNK_TREE_OBJECTID, key, "sub_stripes");
}

static void judge_devices(struct check *check, const struct stripes *stripes)
{
	struct cursor cursor = cursor_init(&check->fs->chunk_tree);
	const struct disk_super *super = &check->fs->super;
	u64 nr = 0, total = 0;
	int err;

	for (err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		const struct disk_dev_item *item = cursor_data(&cursor);

		const struct key key = cursor_key(&cursor);

		if (key.type == CHUNK_ITEM_KEY && cursor_data_bytes(&cursor) >= sizeof(struct disk_chunk))
			judge_chunk_fields(check, &key, cursor_data(&cursor));
		if (key.type != DEV_ITEM_KEY)
			continue;
		nr++;
		total += le64_get(item->total_bytes);
		judge_dev_item(check, item, used_on(stripes, le64_get(item->devid)));
	}
	cursor_done(&cursor);
	if (err < 0)
		return;
	if (nr != le64_get(super->num_devices))
		complain(check, SUPER_NUM_DEVICES_WRONG, AT(0), (ull)le64_get(super->num_devices), (ull)nr);
	if (total != le64_get(super->total_bytes))
		complain(check, SUPER_TOTAL_BYTES_WRONG, AT(0), (ull)le64_get(super->total_bytes), (ull)total);
	if (le64_get(super->total_bytes) % check_sectorsize(check))
		complain(check, SUPER_SIZE_UNALIGNED, AT(0), (ull)le64_get(super->total_bytes));
}

/* --- The superblock's own chunks ----------------------------------------------------------------------------------------- */

static bool chunk_is_on_seed(const struct check *check, const struct chunk *chunk)
{
	for (u16 i = 0; i < chunk->num_stripes; i++) {
		const struct device *device = device_of(check, chunk->stripe[i].devid);

		if (device && device_is_of_seed(check, device))
			return true;
	}
	return false;
}

/* Chunks of the array that the tree does not have were refused when the filesystem was opened; here is the reverse. */
static int judge_chunk_array(struct check *check)
{
	_cleanup_(chunk_map_freep) struct chunk_map *array = NULL;
	struct diag why = { 0 };

	if (chunk_map_new(&array) < 0 || sys_chunk_array_read(array, &check->fs->super, &why) == -ENOMEM)
		return -ENOMEM;
	if (why.err)
		complain(check, CHUNK_ARRAY_BAD, AT(0), why.text);
	for (size_t i = 0; i < chunk_map_count(check->fs->volume->chunks) && !why.err; i++) {
		const struct chunk *chunk = chunk_map_at(check->fs->volume->chunks, i);
		const struct chunk *listed = chunk_map_find(array, chunk->logical);

		/* A seed's need not be: where a filesystem grew from it, all of the chunk tree has moved away. */
		if ((chunk->type & BLOCK_GROUP_SYSTEM) && !chunk_is_on_seed(check, chunk) && !(listed && listed->logical == chunk->logical))
			complain(check, CHUNK_NOT_IN_ARRAY, AT(.logical = chunk->logical), (ull)chunk->logical);
	}
	for (size_t i = 0; i < chunk_map_count(array) && !why.err; i++) {
		const struct chunk *listed = chunk_map_at(array, i);
		const struct key key = { FIRST_CHUNK_TREE_OBJECTID, CHUNK_ITEM_KEY, listed->logical };
		struct cursor cursor = cursor_init(&check->fs->chunk_tree);

		if (cursor_find(&cursor, &key, NULL) == 1)
			complain(check, CHUNK_ONLY_IN_ARRAY, AT(.logical = listed->logical), (ull)listed->logical);
		cursor_done(&cursor);
	}
	return 0;
}

static void judge_chunk(struct check *check, const struct chunk *chunk)
{
	u64 incompat = le64_get(check->fs->super.incompat_flags);

	if (chunk->profile->incompat && !(incompat & chunk->profile->incompat))
		complain(check, FEATURE_BIT_MISSING, AT(.logical = chunk->logical), chunk->profile->shown);
	if ((chunk->type & BLOCK_GROUP_TYPE_MASK) == (BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA) &&
	    !(incompat & INCOMPAT_MIXED_GROUPS))
		complain(check, FEATURE_BIT_MISSING, AT(.logical = chunk->logical), "mixed block groups");
	for (u16 i = 0; i < chunk->num_stripes; i++) {
		const struct device *device = device_of(check, chunk->stripe[i].devid);

		if (device && memcmp(device->uuid, chunk->stripe[i].dev_uuid, UUID_SIZE) != 0)
			complain(check, STRIPE_DEVICE_UUID_WRONG, AT(.logical = chunk->logical, .devid = device->devid),
				 (ull)chunk->logical, (ull)device->devid);
	}
	for (u16 i = 0; i < chunk->num_stripes; i++)
		for (u16 j = 0; j < i; j++)
			if (chunk->stripe[i].devid == chunk->stripe[j].devid && chunk->profile->dev_stripes < 2)
				complain(check, STRIPES_ON_ONE_DEVICE, AT(.logical = chunk->logical, .devid = chunk->stripe[i].devid),
					 (ull)chunk->logical, (ull)chunk->stripe[i].devid);
}

int pass_chunks(struct check *check, struct diag *d)
{
	struct stripes stripes = { 0 };
	int err = gather_stripes(check, &stripes);

	for (size_t i = 0; i < stripes.list.len; i++)
		judge_stripe(check, &stripes.list.items[i], i ? &stripes.list.items[i - 1] : NULL);
	if (!err)
		err = gather_extents(check, &stripes);
	/* Of a chunk tree that is not whole, what is missing is not compared. */
	if (err == 0 && !check->fs->partial_why)
		compare(check, &stripes);
	array_for_each(&stripes.extents, extent)
		judge_extent(check, extent);
	judge_devices(check, &stripes);
	if (err >= 0)
		err = judge_chunk_array(check);
	for (size_t i = 0; i < chunk_map_count(check->fs->volume->chunks); i++)
		judge_chunk(check, chunk_map_at(check->fs->volume->chunks, i));
	array_done(&stripes.list);
	array_done(&stripes.extents);
	return err < 0 ? diag_no_memory(d, "the chunks") : 0;
}
