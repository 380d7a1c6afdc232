/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plan of a restripe: what is done with each chunk, and, on paper, whether there is room for it when its turn comes. Chunks for
 * which there is none wait for those that give space back.
 */
#include <stdio.h>

#include "kernel-shared/device/super.h"
#include "kernel-shared/relocate/restripe.h"

typedef unsigned long long ull;

/* A chunk that is fuller than this is not worth emptying extent by extent: it moves as it is. */
#define FULL_PERCENT 90

void restripe_plan_done(struct restripe_plan *plan)
{
	array_done(&plan->steps);
	array_done(&plan->devices);
}

int restripe_list_chunks(struct txn *txn, const struct chunk_map *chunks, struct restripe_chunk **ret_list, struct diag *d)
{
	size_t nr = chunk_map_count(chunks);
	_free_ struct restripe_chunk *list = calloc(MAX(nr, (size_t)1), sizeof(*list));

	if (!list)
		return diag_no_memory(d, "a list of chunks");
	for (size_t i = 0; i < nr; i++) {
		int err;

		list[i].chunk = chunk_map_at(chunks, i);
		err = txn_group_used_bytes(txn, list[i].chunk->logical, &list[i].used_bytes, d);
		if (err)
			return err;
	}
	*ret_list = take_ptr(list);
	return 0;
}

/* --- What is wanted of a chunk ---------------------------------------- */

static bool has_usage(const struct restripe_filter *filter)
{
	return filter->flags & (BALANCE_ARGS_USAGE | BALANCE_ARGS_USAGE_RANGE);
}

/*
 * Another profile, or other devices: as little as possible is done. What has the profile already, and was asked for without "soft", is
 * written anew as it is. Where nothing is converted, chunks that are not full are emptied, so that free space comes back in whole chunks.
 */
static struct restripe_step decide(const struct btrkit_restripe_options *options, const struct restripe_filter *filter,
				   const struct restripe_chunk *at)
{
	const struct chunk *chunk = at->chunk;
	u64 now = chunk->type & BLOCK_GROUP_PROFILE_MASK;
	struct restripe_step step = {
		.logical = chunk->logical,
		.length = chunk->length,
		.used_bytes = at->used_bytes,
		.type = chunk->type,
		.profile = (filter->flags & BALANCE_ARGS_CONVERT) ? restripe_profile_of_bit(filter->target) : now,
		.way = RELOCATE_CHUNK,
	};
	bool is_as_it_is = (filter->flags & BALANCE_ARGS_CONVERT) || chunk->length / 100 * FULL_PERCENT <= at->used_bytes;

	if (at->used_bytes == 0)
		step.way = RELOCATE_REMOVE;
	else if (step.profile != now || (options->nr_devids && !has_usage(filter)))
		step.may_keep = !options->do_copy;
	else if (!(chunk->type & BLOCK_GROUP_SYSTEM) && (has_usage(filter) || !is_as_it_is))
		step.way = RELOCATE_EXTENTS;
	return step;
}

/* Of a kind of which no chunk would be left, one stays: it says what profile the kind has. */
static void keep_last(struct restripe_plan *plan, const struct restripe_chunk *list, size_t nr, u64 type)
{
	struct restripe_step *largest = NULL;

	for (size_t i = 0; i < nr; i++)
		if ((list[i].chunk->type & BLOCK_GROUP_TYPE_MASK) == type && (!list[i].is_chosen || list[i].used_bytes))
			return;
	array_for_each (&plan->steps, step)
		if ((step->type & BLOCK_GROUP_TYPE_MASK) == type && (!largest || step->length > largest->length))
			largest = step;
	if (!largest)
		return;
	largest->is_kept_empty = true;
	largest->may_keep = true;
	largest->way = RELOCATE_CHUNK;
}

static int choose(struct btrkit_fs *fs, const struct btrkit_restripe_options *options,
		  const struct restripe_filters *filters, struct restripe_plan *plan, struct restripe_chunk **ret_list,
		  struct diag *d)
{
	size_t nr = chunk_map_count(fs->volume->chunks);
	int err = restripe_list_chunks(fs->txn, fs->volume->chunks, ret_list, d);

	if (err)
		return err;
	plan->sums.counts.expected = restripe_choose(filters, *ret_list, nr);
	for (size_t i = nr; i-- > 0;) {
		const struct restripe_chunk *at = &(*ret_list)[i];
		const struct restripe_filter *filter = &filters->kind[restripe_kind_of(at->chunk->type)];

		if (at->is_chosen && array_push(&plan->steps, decide(options, filter, at)) < 0)
			return diag_no_memory(d, "the plan");
	}
	keep_last(plan, *ret_list, nr, BLOCK_GROUP_DATA);
	keep_last(plan, *ret_list, nr, BLOCK_GROUP_METADATA);
	keep_last(plan, *ret_list, nr, BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA);
	return 0;
}

/* --- Paper ---------------------------------------- */

struct paper {
	struct device_holes *holes; /* of devices that may be used */
	size_t nr;
	u64 total_bytes;
	struct restripe_plan *plan;
	const struct btrkit_restripe_options *options;
	const struct chunk_map *chunks;
	u64 room[3]; /* for extents in chunks of data, system, metadata: of those that stay, and new ones */
	ARRAY(u64) emptied; /* chunks whose space has not come back yet, as they are emptied together */
};

static void paper_done(struct paper *paper)
{
	for (size_t i = 0; i < paper->nr; i++)
		array_done(&paper->holes[i].holes);
	free(paper->holes);
	array_done(&paper->emptied);
}

static u64 *room_for(struct paper *paper, u64 type)
{
	return &paper->room[type & BLOCK_GROUP_DATA ? 0 : type & BLOCK_GROUP_SYSTEM ? 1 : 2];
}

/* Take [from, end) out of the holes. */
static int cut(struct device_holes *device, u64 from, u64 end, struct diag *d)
{
	for (size_t i = 0; i < device->holes.len; i++) {
		struct hole *hole = &device->holes.items[i];
		u64 hole_end = hole->physical + hole->len;

		if (hole_end <= from || end <= hole->physical)
			continue;
		hole->len = from > hole->physical ? from - hole->physical : 0;
		if (hole_end > end && array_push(&device->holes, (struct hole){ end, hole_end - end }) < 0)
			return diag_no_memory(d, "device space");
	}
	return 0;
}

static int by_physical(const void *a, const void *b)
{
	const struct hole *x = a, *y = b;

	return x->physical < y->physical ? -1 : x->physical > y->physical;
}

/* In order, neighbours as one, no empty ones, and superblocks left out. */
static int tidy(struct device_holes *device, struct diag *d)
{
	size_t kept = 0;
	int err = 0;

	for (unsigned mirror = 1; mirror < SUPER_MIRROR_MAX && !err; mirror++)
		err = cut(device, super_mirror_physical(mirror), super_mirror_physical(mirror) + STRIPE_LEN_BYTES, d);
	array_sort(&device->holes, by_physical);
	for (size_t i = 0; i < device->holes.len; i++) {
		const struct hole *hole = &device->holes.items[i];
		struct hole *last = kept ? &device->holes.items[kept - 1] : NULL;

		if (hole->len && last && last->physical + last->len == hole->physical)
			last->len += hole->len;
		else if (hole->len)
			device->holes.items[kept++] = *hole;
	}
	device->holes.len = kept;
	return err;
}

static int paper_init(struct paper *paper, struct btrkit_fs *fs, struct diag *d)
{
	const struct device_set *set = fs->volume->devices;

	paper->holes = calloc(MAX(set->devices.len, (size_t)1), sizeof(*paper->holes));
	if (!paper->holes)
		return diag_no_memory(d, "device space");
	for (size_t i = 0; i < set->devices.len; i++) {
		const struct device *device = &set->devices.items[i];
		struct device_holes *holes = &paper->holes[paper->nr];
		int err;

		if (!device->dev || device_fsid_is_seed(&fs->super, device->fsid) ||
		    !restripe_may_use(paper->options, device->devid))
			continue;
		paper->nr++;
		err = txn_device_holes(fs->txn, device->devid, holes, d);
		if (!err)
			err = tidy(holes, d);
		if (err)
			return err;
		paper->total_bytes += device->total_bytes;
	}
	return 0;
}

static struct device_holes *holes_of(struct paper *paper, u64 devid)
{
	for (size_t i = 0; i < paper->nr; i++)
		if (paper->holes[i].devid == devid)
			return &paper->holes[i];
	return NULL;
}

/* Room in chunks that nobody works on; what is emptied goes there first. */
static void count_room(struct paper *paper, const struct restripe_chunk *list, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (!list[i].is_chosen && list[i].used_bytes < list[i].chunk->length)
			*room_for(paper, list[i].chunk->type) += list[i].chunk->length - list[i].used_bytes;
}

static bool has_stripe(const struct chunk *chunk, const struct chunk_stripe *stripe)
{
	for (u16 s = 0; chunk && s < chunk->num_stripes; s++)
		if (chunk->stripe[s].devid == stripe->devid && chunk->stripe[s].physical == stripe->physical)
			return true;
	return false;
}

static void count_on_device(struct paper *paper, u64 devid, s64 bytes)
{
	array_for_each (&paper->plan->devices, device)
		if (device->devid == devid)
			device->after_bytes += (u64)bytes;
}

/* Stripes of @chunk that @other does not have are taken from the holes, or given back. */
static int account(struct paper *paper, const struct chunk *chunk, const struct chunk *other, bool is_taken, struct diag *d)
{
	int err = 0;

	for (u16 s = 0; s < chunk->num_stripes && !err; s++) {
		const struct chunk_stripe *stripe = &chunk->stripe[s];
		struct device_holes *holes = holes_of(paper, stripe->devid);

		if (has_stripe(other, stripe))
			continue;
		count_on_device(paper, stripe->devid, is_taken ? (s64)chunk->stripe_bytes : -(s64)chunk->stripe_bytes);
		if (!holes)
			continue;
		if (is_taken)
			err = cut(holes, stripe->physical, stripe->physical + chunk->stripe_bytes, d);
		else if (array_push(&holes->holes, (struct hole){ stripe->physical, chunk->stripe_bytes }) < 0)
			err = diag_no_memory(d, "device space");
		if (!err)
			err = tidy(holes, d);
	}
	return err;
}

/* --- Steps on paper ---------------------------------------- */

static enum relocate_way way_of(const struct chunk *from, const struct chunk *to)
{
	for (u16 s = 0; s < to->num_stripes; s++)
		if (!has_stripe(from, &to->stripe[s]))
			return RELOCATE_CHUNK;
	return from->type == to->type && from->num_stripes == to->num_stripes ? RELOCATE_NOTHING : RELOCATE_DROP;
}

static u64 written_bytes(const struct restripe_step *step, const struct chunk *from, const struct chunk *to)
{
	u16 data_stripes = profile_data_stripes(to->profile, to->num_stripes);
	u64 each = (step->used_bytes + data_stripes - 1) / data_stripes, nr = 0;

	for (u16 s = 0; s < to->num_stripes; s++)
		nr += !has_stripe(from, &to->stripe[s]);
	return nr * each;
}

/* -ENOSPC, -ERANGE: it cannot move as it is. */
static int place_on_paper(struct paper *paper, struct restripe_step *step, const struct chunk *chunk, struct diag *d)
{
	_free_ bool *may_stay = calloc(chunk->num_stripes, sizeof(*may_stay));
	_free_ struct chunk *to = NULL;
	int err;

	if (!may_stay)
		return diag_no_memory(d, "a chunk");
	for (u16 s = 0; s < chunk->num_stripes && step->may_keep; s++)
		may_stay[s] = holes_of(paper, chunk->stripe[s].devid) != NULL;
	err = place_chunk_again(chunk, may_stay, (chunk->type & BLOCK_GROUP_TYPE_MASK) | step->profile, paper->holes,
				paper->nr, &to, d);
	if (err)
		return err;
	step->way = way_of(chunk, to);
	step->written_bytes = written_bytes(step, chunk, to);
	err = account(paper, to, chunk, true, d);
	return err ? err : account(paper, chunk, to, false, d);
}

static int give_back(struct paper *paper, struct diag *d)
{
	int err = 0;

	array_for_each (&paper->emptied, logical)
		err = err ? err : account(paper, chunk_map_find(paper->chunks, *logical), NULL, false, d);
	paper->emptied.len = 0;
	return err;
}

/* -ENOSPC. */
static int empty_on_paper(struct paper *paper, struct restripe_step *step, const struct chunk *chunk, struct diag *d)
{
	u64 *room = room_for(paper, chunk->type);
	int err = 0;

	while (*room < step->used_bytes && !err) {
		_free_ struct chunk *fresh = NULL;

		err = place_chunk((chunk->type & BLOCK_GROUP_TYPE_MASK) | step->profile, 0, paper->total_bytes, paper->holes,
				  paper->nr, &fresh, d);
		if (err == -ENOSPC && paper->emptied.len) {
			diag_clear(d);
			err = give_back(paper, d);
			continue;
		}
		if (!err)
			err = account(paper, fresh, NULL, true, d);
		if (!err)
			*room += fresh->length;
	}
	if (err)
		return err;
	*room -= step->used_bytes;
	step->way = RELOCATE_EXTENTS;
	step->written_bytes = step->used_bytes * profile_by_flags(step->profile)->copies;
	return array_push(&paper->emptied, chunk->logical) < 0 ? diag_no_memory(d, "the plan") : 0;
}

static int step_on_paper(struct paper *paper, struct restripe_step *step, struct diag *d)
{
	const struct chunk *chunk = chunk_map_find(paper->chunks, step->logical);

	if (step->way == RELOCATE_REMOVE)
		return account(paper, chunk, NULL, false, d);
	if (step->way == RELOCATE_EXTENTS)
		return empty_on_paper(paper, step, chunk, d);
	return place_on_paper(paper, step, chunk, d);
}

struct order {
	ARRAY(struct restripe_step) steps;
};

/* One round through what waits to be dealt with in this way. Those that are possible are put into the order of the run. */
static int round_on_paper(struct paper *paper, struct order *order, enum relocate_way way, bool *ret_did, struct diag *d)
{
	*ret_did = false;
	array_for_each (&paper->plan->steps, step) {
		int err;

		if (step->is_done || step->way != way)
			continue;
		err = step_on_paper(paper, step, d);
		if (err == -ERANGE && !(step->type & BLOCK_GROUP_SYSTEM)) {
			diag_clear(d);
			step->way = RELOCATE_EXTENTS;
			continue;
		}
		if (err == -ENOSPC || err == -ERANGE) {
			diag_clear(d);
			continue;
		}
		if (!err && array_push(&order->steps, *step) < 0)
			err = diag_no_memory(d, "the plan");
		if (err)
			return err;
		step->is_done = *ret_did = true;
	}
	return give_back(paper, d);
}

/* Those that cannot move as they are, because no hole is long enough, may still do so in pieces. */
static bool try_in_pieces(struct restripe_plan *plan)
{
	bool did = false;

	array_for_each (&plan->steps, step)
		if (!step->is_done && step->way == RELOCATE_CHUNK && !step->is_kept_empty &&
		    !(step->type & BLOCK_GROUP_SYSTEM)) {
			step->way = RELOCATE_EXTENTS;
			did = true;
		}
	return did;
}

static int no_room(struct paper *paper, struct diag *d)
{
	char devices[512] = "";
	u64 nr = 0, used = 0, first = 0;
	int at = 0;

	array_for_each (&paper->plan->steps, step)
		if (!step->is_done) {
			first = nr++ ? first : step->logical;
			used += step->used_bytes;
		}
	for (size_t i = 0; i < paper->nr && at >= 0 && at < (int)sizeof(devices); i++) {
		u64 free_bytes = 0;

		array_for_each (&paper->holes[i].holes, hole)
			free_bytes += hole->len;
		at += snprintf(devices + at, sizeof(devices) - (size_t)at, "%s%llu bytes on device %llu", i ? ", " : "",
			       (ull)free_bytes, (ull)paper->holes[i].devid);
	}
	paper->plan->sums.lacking_bytes = used;
	return diag_fail(d, -ENOSPC, "there is no room for %llu of %llu chunks, the first %llu, which have %llu bytes in use; "
			 "when the others are done, what is not allocated is %s", (ull)nr, (ull)paper->plan->steps.len,
			 (ull)first, (ull)used, devices);
}

static int work_on_paper(struct paper *paper, struct order *order, struct diag *d)
{
	bool did = true, did_empty;
	int err = round_on_paper(paper, order, RELOCATE_REMOVE, &did_empty, d);

	did_empty = true;
	while (!err && (did || did_empty) && order->steps.len < paper->plan->steps.len) {
		err = round_on_paper(paper, order, RELOCATE_CHUNK, &did, d);
		if (!err)
			err = round_on_paper(paper, order, RELOCATE_EXTENTS, &did_empty, d);
		if (err)
			return err;
		if (!did && !did_empty)
			did = try_in_pieces(paper->plan);
	}
	return !err && order->steps.len < paper->plan->steps.len ? no_room(paper, d) : err;
}

static void sum_up(struct restripe_plan *plan)
{
	array_for_each (&plan->steps, step) {
		step->is_done = false;
		plan->sums.used_bytes += step->used_bytes;
		plan->sums.written_bytes += step->written_bytes;
	}
}

static int list_devices(struct btrkit_fs *fs, struct restripe_plan *plan, struct diag *d)
{
	array_for_each (&fs->volume->devices->devices, device) {
		u64 bytes = chunk_map_allocated_on(fs->volume->chunks, device->devid);

		if (array_push(&plan->devices, (struct restripe_device){ device->devid, bytes, bytes }) < 0)
			return diag_no_memory(d, "the plan");
	}
	return 0;
}

int restripe_plan_make(struct btrkit_fs *fs, const struct btrkit_restripe_options *options,
		       const struct restripe_filters *filters, struct restripe_plan *ret_plan, struct diag *d)
{
	struct paper paper = { .plan = ret_plan, .options = options, .chunks = fs->volume->chunks };
	_free_ struct restripe_chunk *list = NULL;
	struct order order = { 0 };
	int err = choose(fs, options, filters, ret_plan, &list, d);

	if (!err)
		err = list_devices(fs, ret_plan, d);
	if (!err)
		err = paper_init(&paper, fs, d);
	if (!err) {
		count_room(&paper, list, chunk_map_count(fs->volume->chunks));
		err = work_on_paper(&paper, &order, d);
	}
	if (!err) {
		array_done(&ret_plan->steps);
		ret_plan->steps.items = order.steps.items;
		ret_plan->steps.len = order.steps.len;
		ret_plan->steps.cap = order.steps.cap;
	} else {
		array_done(&order.steps);
	}
	sum_up(ret_plan);
	paper_done(&paper);
	return err;
}
