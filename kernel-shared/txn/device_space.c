/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Room on devices that no chunk takes, and the rules that say which of it may be taken. */
#include "kernel-shared/txn/txn_state.h"

typedef unsigned long long ull;

/* --- Rules ---------------------------------------- */

struct txn_device *txn_device_of(struct txn *txn, u64 devid)
{
	array_for_each (&txn->devices, device)
		if (le64_get(device->item.devid) == devid && !device->is_removed)
			return device;
	return NULL;
}

bool txn_has_device(const struct txn *txn, u64 devid)
{
	array_for_each (&txn->devices, device)
		if (le64_get(device->item.devid) == devid && !device->is_removed)
			return true;
	return false;
}

u64 txn_device_bytes(const struct txn *txn, u64 devid)
{
	array_for_each (&txn->devices, device)
		if (le64_get(device->item.devid) == devid && !device->is_removed)
			return le64_get(device->item.total_bytes);
	return 0;
}

const struct disk_dev_item *txn_device_item(const struct txn *txn, u64 devid)
{
	array_for_each (&txn->devices, device)
		if (le64_get(device->item.devid) == devid && !device->is_removed)
			return &device->committed_item;
	return NULL;
}

int txn_limit_device(struct txn *txn, u64 devid, u64 end_bytes, struct diag *d)
{
	struct txn_device *device = txn_device_of(txn, devid);

	if (!device)
		return diag_fail(d, -ENOENT, "there is no device %llu", (ull)devid);
	device->limit_bytes = end_bytes;
	return 0;
}

static struct profile_rule *rule_of(struct txn *txn, u64 type)
{
	struct profile_rule *rule = &txn->rules.profiles[type == BLOCK_GROUP_DATA     ? 0
							 : type == BLOCK_GROUP_SYSTEM ? 1
										      : 2];

	rule->type = type;
	return rule;
}

void txn_set_profile(struct txn *txn, u64 type, u64 profile)
{
	struct profile_rule *rule = rule_of(txn, type);

	rule->profile = profile;
	rule->is_set = true;
}

void txn_reset_profile(struct txn *txn, u64 type)
{
	rule_of(txn, type)->is_set = false;
}

int txn_close_group(struct txn *txn, u64 logical, bool is_closed, struct diag *d)
{
	struct block_group *group = block_groups_find(&txn->groups, logical);

	if (!group || group->logical != logical)
		return diag_fail(d, -ENOENT, "there is no block group %llu", (ull)logical);
	block_groups_close(&txn->groups, group, is_closed);
	return 0;
}

/* Where on a device new chunks end. */
static u64 usable_end(const struct txn_device *device)
{
	u64 end = MIN(le64_get(device->item.total_bytes), device->limit_bytes);

	return device->device->dev && !device->is_seed && !device->is_removed
		       ? MIN(end, device->device->dev->size_bytes)
		       : 0;
}

bool txn_stripe_may_stay(struct txn *txn, const struct chunk_stripe *stripe, u64 stripe_bytes)
{
	const struct txn_device *device = txn_device_of(txn, stripe->devid);

	return device && stripe->physical + stripe_bytes <= usable_end(device);
}

u64 txn_length_within(struct txn *txn, const struct chunk *chunk)
{
	u64 stripe_bytes = chunk->stripe_bytes;

	for (u16 s = 0; s < chunk->num_stripes; s++) {
		const struct txn_device *device = txn_device_of(txn, chunk->stripe[s].devid);
		u64 end = device ? usable_end(device) : 0;

		stripe_bytes = MIN(stripe_bytes, end - MIN(end, chunk->stripe[s].physical));
	}
	return stripe_bytes == chunk->stripe_bytes ? chunk->length : stripe_bytes / STRIPE_LEN_BYTES * chunk_row_bytes(chunk);
}

/* --- Holes ---------------------------------------- */

static int add_hole(struct device_holes *holes, u64 from, u64 end, struct diag *d)
{
	from = (from + STRIPE_LEN_BYTES - 1) / STRIPE_LEN_BYTES * STRIPE_LEN_BYTES;
	if (end <= from)
		return 0;
	if (array_push(&holes->holes, (struct hole){ from, end - from }) < 0)
		return diag_no_memory(d, "device space");
	return 0;
}

/*
 * The chunk map knows all stripes, also those whose device extents are not in the device tree yet. What chunks have
 * given up in this transaction is still in use on disk.
 */
struct taken {
	u64 from, end;
};
struct taken_list {
	ARRAY(struct taken) list;
};

static int take_range(struct taken_list *taken, u64 physical, u64 len, struct diag *d)
{
	return array_push(&taken->list, (struct taken){ physical, physical + len }) < 0
		       ? diag_no_memory(d, "device space")
		       : 0;
}

static int take_stripes(const struct chunk *chunk, u64 devid, struct taken_list *taken, struct diag *d)
{
	int err = 0;

	for (u16 s = 0; s < chunk->num_stripes && !err; s++)
		if (chunk->stripe[s].devid == devid)
			err = take_range(taken, chunk->stripe[s].physical, chunk->stripe_bytes, d);
	return err;
}

static int by_from(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static int find_holes(const struct txn *txn, const struct txn_device *device, bool is_off_supers,
		      struct device_holes *holes, struct diag *d)
{
	const struct chunk_map *chunks = txn->target.volume->chunks;
	struct taken_list taken = { 0 };
	u64 devid = le64_get(device->item.devid), at = DEVICE_RANGE_RESERVED_BYTES;
	u64 end = usable_end(device);
	int err = 0;

	holes->devid = devid;
	memcpy(holes->uuid, device->item.uuid, UUID_SIZE);
	for (size_t i = 0; i < chunk_map_count(chunks) && !err; i++)
		err = take_stripes(chunk_map_at(chunks, i), devid, &taken, d);
	for (size_t i = 0; i < txn->changed_chunks.len && !err; i++)
		err = take_stripes(txn->changed_chunks.items[i].old, devid, &taken, d);
	for (unsigned mirror = 1; is_off_supers && mirror < SUPER_MIRROR_MAX && !err; mirror++)
		err = take_range(&taken, super_mirror_physical(mirror), STRIPE_LEN_BYTES, d);
	array_sort(&taken.list, by_from);
	for (size_t i = 0; i < taken.list.len && !err; i++) {
		err = add_hole(holes, at, MIN(taken.list.items[i].from, end), d);
		at = MAX(at, taken.list.items[i].end);
	}
	if (!err)
		err = add_hole(holes, at, end, d);
	array_done(&taken.list);
	return err;
}

int txn_device_holes(struct txn *txn, u64 devid, struct device_holes *ret_holes, struct diag *d)
{
	const struct txn_device *device = txn_device_of(txn, devid);

	*ret_holes = (struct device_holes){ 0 };
	if (!device)
		return diag_fail(d, -ENOENT, "there is no device %llu", (ull)devid);
	return find_holes(txn, device, false, ret_holes, d);
}

int txn_all_holes(struct txn *txn, bool is_off_supers, struct all_holes *ret_holes, struct diag *d)
{
	int err = 0;

	*ret_holes =
		(struct all_holes){ .devices = calloc(MAX(txn->devices.len, (size_t)1), sizeof(*ret_holes->devices)) };
	if (!ret_holes->devices)
		return diag_no_memory(d, "device space");
	array_for_each (&txn->devices, device) {
		if (usable_end(device) == 0)
			continue;
		ret_holes->total_bytes += le64_get(device->item.total_bytes);
		err = find_holes(txn, device, is_off_supers, &ret_holes->devices[ret_holes->nr++], d);
		if (err)
			break;
	}
	return err;
}

void all_holes_done(struct all_holes *holes)
{
	for (size_t i = 0; i < holes->nr; i++)
		array_done(&holes->devices[i].holes);
	free(holes->devices);
}
