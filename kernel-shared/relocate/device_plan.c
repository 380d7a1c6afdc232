/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/device_plan.h"

#include <uuid/uuid.h>

static int add_row(struct btrkit_device_plan *plan, struct btrkit_device_change *row, const u8 *uuid, const char *path,
		   struct diag *d)
{
	char *copy = path ? strdup(path) : NULL;

	uuid_unparse_lower(uuid, row->uuid);
	row->path = copy;
	if ((path && !copy) || array_push(&plan->devices, *row) < 0) {
		free(copy);
		return diag_no_memory(d, "the plan");
	}
	return 0;
}

int device_plan_new(const struct btrkit_fs *fs, const char *operation, struct btrkit_device_plan **ret_plan, struct diag *d)
{
	_cleanup_(btrkit_device_plan_freep) struct btrkit_device_plan *plan = calloc(1, sizeof(*plan));
	int err = 0;

	if (!plan)
		return diag_no_memory(d, "the plan");
	plan->info.operation = operation;
	uuid_unparse_lower(fs->super.fsid, plan->info.fsid);
	array_for_each (&fs->volume->devices->devices, device) {
		struct btrkit_device_change row = { .devid = device->devid };

		if (!txn_has_device(fs->txn, device->devid))
			continue;
		row.total_bytes_before = row.total_bytes_after = device->total_bytes;
		row.allocated_bytes_before = row.allocated_bytes_after =
			chunk_map_allocated_on(fs->volume->chunks, device->devid);
		err = add_row(plan, &row, device->uuid, device->dev ? device->dev->name : NULL, d);
		if (err)
			return err;
	}
	*ret_plan = take_ptr(plan);
	return 0;
}

struct btrkit_device_change *device_plan_find(struct btrkit_device_plan *plan, u64 devid)
{
	array_for_each (&plan->devices, row)
		if (row->devid == devid)
			return row;
	return NULL;
}

enum evacuate_order device_plan_order(const struct btrkit_device_plan *plan, u64 devid)
{
	enum evacuate_order order = EVACUATE_WHOLE_FIRST;

	array_for_each (&plan->orders, row)
		if (row->devid == devid)
			order = row->order;
	return order;
}

int device_plan_add_device(struct btrkit_device_plan *plan, u64 devid, const u8 *uuid, const char *path, u64 total_bytes,
			   struct diag *d)
{
	struct btrkit_device_change row = { .devid = devid, .is_new = true, .total_bytes_after = total_bytes };

	return add_row(plan, &row, uuid, path, d);
}

int device_plan_set_path(struct btrkit_device_plan *plan, u64 devid, const char *path, struct diag *d)
{
	struct btrkit_device_change *row = device_plan_find(plan, devid);
	char *copy = strdup(path);

	if (!copy || !row) {
		free(copy);
		return diag_no_memory(d, "the plan");
	}
	free((char *)row->path);
	row->path = copy;
	return 0;
}

static const char *way_name(enum relocate_way way)
{
	static const char *const names[] = {
		[RELOCATE_NOTHING] = "nothing", [RELOCATE_REMOVE] = "remove", [RELOCATE_SHORTEN] = "shorten",
		[RELOCATE_DROP] = "drop",	[RELOCATE_CHUNK] = "move",    [RELOCATE_EXTENTS] = "extents",
	};

	return names[way];
}

/* What a step moves, or verifies. */
static u64 moved_bytes(const char *way, u64 used_bytes)
{
	return way == way_name(RELOCATE_SHORTEN) ? 0 : used_bytes;
}

int device_plan_add_step(struct btrkit_device_plan *plan, const struct chunk *chunk, const struct relocate_step *step,
			 struct diag *d)
{
	const struct btrkit_device_step row = {
		.way = way_name(step->way),
		.kind = chunk_kind_name(chunk->type),
		.profile = chunk->profile->shown,
		.logical = chunk->logical,
		.length = chunk->length,
		.used_bytes = step->used_bytes,
		.written_bytes = step->written_bytes,
	};

	if (array_push(&plan->steps, row) < 0)
		return diag_no_memory(d, "the plan");
	plan->info.move_bytes += moved_bytes(row.way, row.used_bytes);
	plan->info.write_bytes += step->written_bytes;
	return 0;
}

void device_plan_mark_done(struct btrkit_device_plan *plan, u64 logical, const struct relocate_step *step)
{
	array_for_each (&plan->steps, row) {
		if (row->logical != logical || row->is_done)
			continue;
		row->is_done = true;
		/* It had gone with others, or was where it may be. */
		if (step->way == RELOCATE_NOTHING)
			continue;
		plan->info.move_bytes -= moved_bytes(row->way, row->used_bytes);
		plan->info.write_bytes += step->written_bytes - row->written_bytes;
		row->way = way_name(step->way);
		plan->info.move_bytes += moved_bytes(row->way, step->used_bytes);
		row->used_bytes = step->used_bytes;
		row->written_bytes = step->written_bytes;
	}
}

void device_plan_set_after(struct btrkit_device_plan *plan, const struct chunk_map *chunks)
{
	array_for_each (&plan->devices, row)
		row->allocated_bytes_after = chunk_map_allocated_on(chunks, row->devid);
}

/* --- The public door ---------------------------------------- */

void btrkit_device_plan_free(struct btrkit_device_plan *plan)
{
	if (!plan)
		return;
	array_for_each (&plan->devices, row)
		free((char *)row->path);
	array_done(&plan->devices);
	array_done(&plan->steps);
	array_done(&plan->orders);
	free(plan);
}

void btrkit_device_plan_get_info(const struct btrkit_device_plan *plan, struct btrkit_device_plan_info *ret_info,
				 size_t struct_size)
{
	struct btrkit_device_plan_info info = plan->info;

	info.nr_devices = plan->devices.len;
	info.nr_steps = plan->steps.len;
	array_for_each (&plan->steps, step)
		info.nr_steps_done += step->is_done;
	memcpy(ret_info, &info, MIN(struct_size, sizeof(info)));
}

int btrkit_device_plan_device_at(const struct btrkit_device_plan *plan, size_t index,
				 struct btrkit_device_change *ret_change)
{
	if (index >= plan->devices.len)
		return -ENOENT;
	*ret_change = plan->devices.items[index];
	return 0;
}

int btrkit_device_plan_step_at(const struct btrkit_device_plan *plan, size_t index, struct btrkit_device_step *ret_step)
{
	if (index >= plan->steps.len)
		return -ENOENT;
	*ret_step = plan->steps.items[index];
	return 0;
}
