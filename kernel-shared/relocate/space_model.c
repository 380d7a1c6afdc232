/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/space_model.h"

#include "kernel-shared/relocate/off_seed.h"
#include "kernel-shared/volume/volume.h"

typedef unsigned long long ull;

/* --- Making ---------------------------------------- */

static int add_devices(struct space_model *model, const struct btrkit_fs *fs, struct diag *d)
{
	array_for_each (&fs->volume->devices->devices, device) {
		struct model_device row = { .devid = device->devid, .total_bytes = device->total_bytes };

		if (!txn_has_device(fs->txn, device->devid))
			continue;
		row.is_seed = device_fsid_is_seed(&fs->super, device->fsid);
		if (device->dev && !row.is_seed)
			row.end_bytes = MIN(device->total_bytes, device->dev->size_bytes);
		memcpy(row.uuid, device->uuid, UUID_SIZE);
		if (array_push(&model->devices, row) < 0)
			return diag_no_memory(d, "the plan");
	}
	return 0;
}

int space_model_init(struct space_model *model, struct btrkit_fs *fs, struct diag *d)
{
	int err;

	*model = (struct space_model){ .fs = fs };
	err = chunk_map_copy(fs->volume->chunks, &model->chunks, d);
	if (!err)
		err = add_devices(model, fs, d);
	for (size_t i = 0; !err && i < chunk_map_count(model->chunks); i++) {
		struct model_group group = { .logical = chunk_map_at(model->chunks, i)->logical };

		err = txn_group_used_bytes(fs->txn, group.logical, &group.used_bytes, d);
		if (!err && array_push(&model->groups, group) < 0)
			err = diag_no_memory(d, "the plan");
	}
	return err;
}

int space_model_copy(const struct space_model *from, struct space_model *ret_model, struct diag *d)
{
	int err;

	*ret_model = (struct space_model){ .fs = from->fs, .is_cut = from->is_cut, .put_aside_bytes = from->put_aside_bytes };
	err = chunk_map_copy(from->chunks, &ret_model->chunks, d);
	if (!err && (array_reserve(&ret_model->devices, from->devices.len) < 0 ||
		     array_reserve(&ret_model->groups, from->groups.len) < 0))
		err = diag_no_memory(d, "the plan");
	if (err)
		return err;
	array_for_each (&from->devices, device)
		ret_model->devices.items[ret_model->devices.len++] = *device;
	array_for_each (&from->groups, group)
		ret_model->groups.items[ret_model->groups.len++] = *group;
	return 0;
}

void space_model_done(struct space_model *model)
{
	chunk_map_free(model->chunks);
	model->chunks = NULL;
	array_done(&model->devices);
	array_done(&model->groups);
}

/* --- Looking ---------------------------------------- */

struct model_device *space_model_device(struct space_model *model, u64 devid)
{
	array_for_each (&model->devices, device)
		if (device->devid == devid)
			return device;
	return NULL;
}

static struct model_group *group_of(struct space_model *model, u64 logical)
{
	array_for_each (&model->groups, group)
		if (group->logical == logical)
			return group;
	return NULL;
}

u64 space_model_allocated(const struct space_model *model, u64 devid)
{
	return chunk_map_allocated_on(model->chunks, devid);
}

u64 space_model_end(const struct space_model *model, u64 devid)
{
	return chunk_map_end_on(model->chunks, devid);
}

static bool is_for_data(const struct chunk *chunk)
{
	return !(chunk->type & (BLOCK_GROUP_METADATA | BLOCK_GROUP_SYSTEM));
}

/* Without metadata that can be written nothing can be committed. */
static int largest_first(const void *a, const void *b, void *arg)
{
	const struct space_model *model = arg;
	const struct chunk *x = chunk_map_find(model->chunks, *(const u64 *)a);
	const struct chunk *y = chunk_map_find(model->chunks, *(const u64 *)b);

	if (model->is_cut && is_for_data(x) != is_for_data(y))
		return is_for_data(x) ? 1 : -1;
	if (x->stripe_bytes != y->stripe_bytes)
		return x->stripe_bytes > y->stripe_bytes ? -1 : 1;
	return x->logical < y->logical ? -1 : x->logical > y->logical;
}

int space_model_beyond(const struct space_model *model, u64 devid, u64 end_bytes, struct group_list *ret_groups, struct diag *d)
{
	*ret_groups = (struct group_list){ 0 };
	for (size_t i = 0; i < chunk_map_count(model->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(model->chunks, i);

		if (chunk_end_on(chunk, devid) > end_bytes && array_push(&ret_groups->logical, chunk->logical) < 0)
			return diag_no_memory(d, "the plan");
	}
	if (ret_groups->logical.len)
		qsort_r(ret_groups->logical.items, ret_groups->logical.len, sizeof(u64), largest_first, (void *)model);
	return 0;
}

static u64 used_of(const struct space_model *model, u64 logical)
{
	array_for_each (&model->groups, group)
		if (group->logical == logical)
			return group->used_bytes;
	return 0;
}

static int least_used_first(const void *a, const void *b, void *arg)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b, x_used = used_of(arg, x), y_used = used_of(arg, y);

	if (x_used != y_used)
		return x_used < y_used ? -1 : 1;
	return x < y ? -1 : x > y;
}

void space_model_sort_by_use(const struct space_model *model, struct group_list *groups)
{
	if (groups->logical.len)
		qsort_r(groups->logical.items, groups->logical.len, sizeof(u64), least_used_first, (void *)model);
}

/* --- Room ---------------------------------------- */

struct taken {
	u64 from, end;
};
struct taken_list {
	ARRAY(struct taken) list;
};

static int by_from(const void *a, const void *b)
{
	const struct taken *x = a, *y = b;

	return x->from < y->from ? -1 : x->from > y->from;
}

static int gather_taken(const struct space_model *model, u64 devid, struct taken_list *taken)
{
	for (size_t i = 0; i < chunk_map_count(model->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(model->chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++) {
			u64 from = chunk->stripe[s].physical;

			if (chunk->stripe[s].devid == devid &&
			    array_push(&taken->list, (struct taken){ from, from + chunk->stripe_bytes }) < 0)
				return -ENOMEM;
		}
	}
	for (unsigned mirror = 1; mirror < SUPER_MIRROR_MAX; mirror++) {
		u64 from = super_mirror_physical(mirror);

		if (array_push(&taken->list, (struct taken){ from, from + STRIPE_LEN_BYTES }) < 0)
			return -ENOMEM;
	}
	array_sort(&taken->list, by_from);
	return 0;
}

static int add_hole(struct device_holes *holes, u64 from, u64 end)
{
	from = (from + STRIPE_LEN_BYTES - 1) / STRIPE_LEN_BYTES * STRIPE_LEN_BYTES;
	return end <= from ? 0 : array_push(&holes->holes, (struct hole){ from, end - from });
}

static int find_holes(const struct space_model *model, const struct model_device *device, struct device_holes *holes)
{
	struct taken_list taken = { 0 };
	u64 at = DEVICE_RANGE_RESERVED_BYTES;
	int err = gather_taken(model, device->devid, &taken);

	holes->devid = device->devid;
	memcpy(holes->uuid, device->uuid, UUID_SIZE);
	for (size_t i = 0; i < taken.list.len && !err; i++) {
		err = add_hole(holes, at, MIN(taken.list.items[i].from, device->end_bytes));
		at = MAX(at, taken.list.items[i].end);
	}
	if (!err)
		err = add_hole(holes, at, device->end_bytes);
	array_done(&taken.list);
	return err;
}

struct all_room {
	struct device_holes *devices;
	size_t nr;
	u64 total_bytes; /* of the devices */
};

static void all_room_done(struct all_room *room)
{
	for (size_t i = 0; i < room->nr; i++)
		array_done(&room->devices[i].holes);
	free(room->devices);
}

static int find_room(const struct space_model *model, struct all_room *ret_room, struct diag *d)
{
	int err = 0;

	*ret_room = (struct all_room){ .devices = calloc(MAX(model->devices.len, (size_t)1), sizeof(*ret_room->devices)) };
	if (!ret_room->devices)
		return diag_no_memory(d, "the plan");
	array_for_each (&model->devices, device) {
		if (device->end_bytes == 0)
			continue;
		ret_room->total_bytes += device->total_bytes;
		err = find_holes(model, device, &ret_room->devices[ret_room->nr++]);
		if (err < 0)
			return diag_no_memory(d, "the plan");
	}
	return 0;
}

int space_model_room(const struct space_model *model, u64 *ret_bytes, struct diag *d)
{
	_cleanup_(all_room_done) struct all_room room = { 0 };
	int err = find_room(model, &room, d);

	*ret_bytes = 0;
	for (size_t i = 0; i < room.nr; i++)
		array_for_each (&room.devices[i].holes, hole)
			*ret_bytes += hole->len;
	return err;
}

/* --- Moving ---------------------------------------- */

/*
 * Data is split as space allows, but for compressed extents, which are short. Of metadata more is in use while it moves than before
 * and after, and it grows by what the splitting of data adds.
 */
#define DATA_RESERVE_PART 256
#define METADATA_RESERVE_PART 16

static bool is_last_for_data(const struct space_model *model, const struct chunk *chunk)
{
	for (size_t i = 0; i < chunk_map_count(model->chunks); i++) {
		const struct chunk *other = chunk_map_at(model->chunks, i);

		if (other->logical != chunk->logical && (other->type & BLOCK_GROUP_DATA))
			return false;
	}
	return chunk->type & BLOCK_GROUP_DATA;
}

static bool is_of_seed(const struct space_model *model, const struct chunk *chunk)
{
	array_for_each (&model->devices, device)
		for (u16 s = 0; s < chunk->num_stripes; s++)
			if (device->is_seed && device->devid == chunk->stripe[s].devid)
				return true;
	return false;
}

/* A seed's chunks get what can be had on the filesystem's own devices. */
static u64 type_after(const struct space_model *model, const struct chunk *chunk)
{
	u64 nr = 0;

	if (!is_of_seed(model, chunk))
		return chunk->type;
	array_for_each (&model->devices, device)
		nr += device->end_bytes > 0;
	return (chunk->type & BLOCK_GROUP_TYPE_MASK) | profile_off_seed(chunk, nr);
}

static bool stripe_may_stay(const struct space_model *model, const struct chunk *chunk, u16 s)
{
	array_for_each (&model->devices, device)
		if (device->devid == chunk->stripe[s].devid)
			return chunk->stripe[s].physical + chunk->stripe_bytes <= device->end_bytes;
	return false;
}

bool space_model_is_misplaced(const struct space_model *model, const struct chunk *chunk)
{
	for (u16 s = 0; s < chunk->num_stripes; s++)
		if (!stripe_may_stay(model, chunk, s))
			return true;
	return false;
}

static int place(const struct space_model *model, const struct chunk *old, struct chunk **ret_chunk, struct diag *d)
{
	_cleanup_(all_room_done) struct all_room room = { 0 };
	_free_ bool *may_stay = calloc(old->num_stripes, sizeof(*may_stay));
	int err = may_stay ? find_room(model, &room, d) : diag_no_memory(d, "the plan");

	if (err)
		return err;
	for (u16 s = 0; s < old->num_stripes; s++)
		may_stay[s] = stripe_may_stay(model, old, s);
	return place_chunk_again(old, may_stay, type_after(model, old), room.devices, room.nr, ret_chunk, d);
}

static u64 count_written(const struct chunk *from, const struct chunk *to, u64 used_bytes)
{
	u64 nr_new = 0;

	for (u16 s = 0; s < to->num_stripes; s++) {
		bool is_kept = false;

		for (u16 o = 0; o < from->num_stripes; o++)
			is_kept |= from->stripe[o].devid == to->stripe[s].devid &&
				   from->stripe[o].physical == to->stripe[s].physical;
		nr_new += !is_kept;
	}
	return used_bytes / profile_data_stripes(to->profile, to->num_stripes) * nr_new;
}

static int take_place(struct space_model *model, const struct chunk *from, struct relocate_step *step, struct diag *d)
{
	struct chunk *copy = chunk_dup(step->to);

	if (!copy)
		return diag_no_memory(d, "the plan");
	step->written_bytes = count_written(from, copy, step->used_bytes);
	step->way = RELOCATE_CHUNK;
	free(chunk_map_swap(model->chunks, copy));
	return 0;
}

/* --- Shortening ---------------------------------------- */

/* So much of it lies before the devices' ends, in whole rows. */
static u64 length_within(const struct space_model *model, const struct chunk *chunk)
{
	u64 stripe_bytes = chunk->stripe_bytes;

	for (u16 s = 0; s < chunk->num_stripes; s++) {
		u64 end = 0;

		array_for_each (&model->devices, device)
			if (device->devid == chunk->stripe[s].devid)
				end = device->end_bytes;
		stripe_bytes = MIN(stripe_bytes, end - MIN(end, chunk->stripe[s].physical));
	}
	return stripe_bytes / STRIPE_LEN_BYTES * chunk_row_bytes(chunk);
}

/* Metadata goes anywhere, as long as there are commits to which its block groups are open. */
static bool stays_as_it_is(const struct space_model *model, const struct model_group *group, const struct chunk *chunk)
{
	return model->fs && !group->is_filled && (model->is_cut || is_for_data(chunk));
}

int space_model_shorten(struct space_model *model, u64 logical, u64 length, struct diag *d)
{
	const struct chunk *chunk = chunk_map_find(model->chunks, logical);
	const struct model_group *group = group_of(model, logical);
	struct chunk *shorter;
	u64 used_end;
	int err;

	if (!chunk || !group || length == 0 || length >= chunk->length || group->used_bytes > length ||
	    !stays_as_it_is(model, group, chunk))
		return 1;
	err = txn_group_used_end(model->fs->txn, logical, &used_end, d);
	if (err)
		return err;
	if (used_end > length)
		return 1;
	shorter = chunk_dup_shorter(chunk, length);
	if (!shorter)
		return diag_no_memory(d, "the plan");
	chunk_map_remove(model->chunks, logical);
	chunk_map_put_back(model->chunks, shorter);
	return 0;
}

/* Its address may become that of another. */
static void drop_group(struct space_model *model, u64 logical)
{
	size_t nr = 0;

	chunk_map_remove(model->chunks, logical);
	array_for_each (&model->groups, group)
		if (group->logical != logical)
			model->groups.items[nr++] = *group;
	model->groups.len = nr;
}

/* --- Emptying ---------------------------------------- */

/* What may be put into a block group: not all that is free, as space_model_move() says. */
static u64 fillable_bytes(const struct chunk *chunk, u64 used_bytes)
{
	u64 most = chunk->length - chunk->length / (is_for_data(chunk) ? DATA_RESERVE_PART : METADATA_RESERVE_PART);

	return most - MIN(most, used_bytes);
}

/* Of what other block groups have free, those that lie where they may, or those that do not. */
static u64 fill_others(struct space_model *model, u64 type, bool is_misplaced, u64 without, u64 bytes)
{
	array_for_each (&model->groups, group) {
		const struct chunk *chunk = chunk_map_find(model->chunks, group->logical);
		u64 part;

		if (!chunk || group->logical == without || chunk->type != type || is_of_seed(model, chunk) ||
		    space_model_is_misplaced(model, chunk) != is_misplaced)
			continue;
		part = MIN(bytes, fillable_bytes(chunk, group->used_bytes));
		group->used_bytes += part;
		group->is_filled |= part > 0;
		bytes -= part;
	}
	return bytes;
}

/* One that was not there, and that is not known to the filesystem. */
static int add_chunk(struct space_model *model, u64 type, u64 *ret_bytes, struct diag *d)
{
	const struct chunk *last = chunk_map_at(model->chunks, chunk_map_count(model->chunks) - 1);
	_cleanup_(all_room_done) struct all_room room = { 0 };
	_free_ struct chunk *chunk = NULL;
	int err = find_room(model, &room, d);

	if (!err)
		err = place_chunk(type, last->logical + last->length, room.total_bytes, room.devices, room.nr, &chunk, d);
	if (!err)
		err = chunk_map_add(model->chunks, chunk, d);
	if (!err && array_push(&model->groups, (struct model_group){ .logical = chunk->logical, .is_filled = true }) < 0)
		err = diag_no_memory(d, "the plan");
	if (!err)
		*ret_bytes = chunk->length;
	return err;
}

/* Into other block groups, then into new ones, and if need be into what has to move itself, and goes on with what it got. */
static int scatter_bytes(struct space_model *model, u64 type, u64 without, u64 bytes, struct diag *d)
{
	u64 left = fill_others(model, type, false, without, bytes), got;
	int err = 0;

	while (left && !err) {
		err = add_chunk(model, type, &got, d);
		if (!err)
			left = fill_others(model, type, false, without, left);
	}
	if (err != -ENOSPC || model->is_cut || fill_others(model, type, true, without, left))
		return err;
	diag_clear(d);
	return 0;
}

/* What commits keep for themselves of metadata has to be found before the first block moves; new block groups make it more. */
static u64 to_put_aside(const struct space_model *model, u64 type)
{
	u64 total = 0, wanted;

	if (!model->fs || !(type & BLOCK_GROUP_METADATA))
		return 0;
	for (size_t i = 0; i < chunk_map_count(model->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(model->chunks, i);

		total += chunk->type & BLOCK_GROUP_METADATA ? chunk->length : 0;
	}
	wanted = txn_commit_reserve_bytes(total, model->fs->volume->nodesize);
	return wanted - MIN(wanted, model->put_aside_bytes);
}

static int scatter(struct space_model *model, const struct chunk *from, struct relocate_step *step, struct diag *d)
{
	u64 type = type_after(model, from), logical = from->logical, aside = to_put_aside(model, type), bytes = step->used_bytes;
	int err;

	do {
		err = scatter_bytes(model, type, logical, bytes + aside, d);
		model->put_aside_bytes += aside;
		aside = to_put_aside(model, type);
		bytes = 0;
	} while (!err && aside);
	step->way = RELOCATE_EXTENTS;
	step->written_bytes = step->used_bytes * profile_by_flags(type & BLOCK_GROUP_PROFILE_MASK)->copies;
	if (!err)
		drop_group(model, logical);
	return err;
}

int space_model_move(struct space_model *model, u64 logical, bool may_scatter, struct relocate_step *ret_step, struct diag *d)
{
	const struct chunk *from = chunk_map_find(model->chunks, logical);
	const struct model_group *group = group_of(model, logical);
	int err;

	*ret_step = (struct relocate_step){ .logical = logical };
	if (!from || !group)
		return diag_fail(d, -ENOENT, "there is no block group %llu", (ull)logical);
	ret_step->used_bytes = group->used_bytes;
	if (group->used_bytes == 0 && !is_last_for_data(model, from)) {
		ret_step->way = RELOCATE_REMOVE;
		drop_group(model, logical);
		return 0;
	}
	err = type_after(model, from) == from->type ? space_model_shorten(model, logical, length_within(model, from), d) : 1;
	if (err <= 0) {
		ret_step->way = RELOCATE_SHORTEN;
		return err;
	}
	err = place(model, from, &ret_step->to, d);
	if (!err)
		return take_place(model, from, ret_step, d);
	if (err != -ENOSPC && err != -ERANGE)
		return err;
	if (!may_scatter)
		return -ENOSPC;
	diag_clear(d);
	return scatter(model, from, ret_step, d);
}
