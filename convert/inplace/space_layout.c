/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From a space plan to chunks: data where it is, system and metadata chunks in the gaps, the longest first. */
#include "convert/inplace/space_plan.h"

#define ROOMY_SYSTEM_BYTES (8 * MIB)
#define ROOMY_METADATA_MAX (256 * MIB)
#define ROOMY_METADATA_LARGE GIB
#define LARGE_BYTES (50 * GIB)
#define CHUNK_MAX GIB

struct laying_out {
	const struct space_plan *plan;
	struct layout layout;
	struct space_ranges gaps; /* what is left of them; a heap, the longest on top: there may be 10^6, and as many chunks */
};

/* --- Gaps ---------------------------------------- */

static bool is_longer(const struct space_range *a, const struct space_range *b)
{
	return a->len != b->len ? a->len > b->len : a->physical < b->physical;
}

static void sift_down(struct space_ranges *gaps, size_t at)
{
	struct space_range *items = gaps->list.items;

	for (;;) {
		size_t longest = at, child = 2 * at + 1;
		struct space_range range;

		for (size_t i = child; i < MIN(child + 2, gaps->list.len); i++)
			if (is_longer(&items[i], &items[longest]))
				longest = i;
		if (longest == at)
			return;
		range = items[at];
		items[at] = items[longest];
		items[longest] = range;
		at = longest;
	}
}

static struct space_range *longest_gap(struct laying_out *l)
{
	return l->gaps.list.len ? &l->gaps.list.items[0] : NULL;
}

static void take_from_longest_gap(struct laying_out *l, u64 bytes)
{
	l->gaps.list.items[0].physical += bytes;
	l->gaps.list.items[0].len -= bytes;
	sift_down(&l->gaps, 0);
}

/* --- Chunks ---------------------------------------- */

static int add_chunk(struct laying_out *l, u64 type, const struct profile *profile, u64 logical, u64 physical,
		     u64 stripe_bytes, struct linear_space *space, struct diag *d)
{
	_free_ struct chunk *chunk = chunk_new(profile->dev_stripes);
	int err;

	if (!chunk)
		return diag_no_memory(d, "a chunk");
	chunk->logical = logical;
	chunk->length = stripe_bytes;
	chunk->type = type | profile->flag;
	chunk_derive(chunk);
	for (u16 s = 0; s < chunk->num_stripes; s++) {
		chunk->stripe[s].devid = l->layout.devices[0].devid;
		chunk->stripe[s].physical = physical + s * stripe_bytes;
		memcpy(chunk->stripe[s].dev_uuid, l->plan->dev_uuid, UUID_SIZE);
	}
	l->layout.devices[0].allocated_bytes += stripe_bytes * chunk->num_stripes;
	l->layout.devices[0].end_physical =
		MAX(l->layout.devices[0].end_physical, physical + stripe_bytes * chunk->num_stripes);
	err = chunk_map_add(l->layout.chunks, chunk, d);
	if (err || !space)
		return err;
	return linear_space_add_chunk(space, chunk) < 0 ? diag_no_memory(d, "a chunk") : 0;
}

static int add_data_chunks(struct laying_out *l, const struct profile *profile, struct diag *d)
{
	int err = 0;

	array_for_each(&l->plan->data.list, range)
		if (!err)
			err = add_chunk(l, BLOCK_GROUP_DATA, profile, range->physical, range->physical, range->len, NULL, d);
	return err;
}

/* Chunks that have room for @wanted bytes; with @roomy_bytes, they are that long if they can be. */
static int add_chunks(struct laying_out *l, u64 type, const struct profile *profile, u64 wanted, u64 roomy_bytes,
		      struct linear_space *space, struct diag *d)
{
	while (space->total_bytes < wanted) {
		struct space_range *gap = longest_gap(l);
		u64 most = gap ? round_down_u64(gap->len / profile->dev_stripes, STRIPE_LEN_BYTES) : 0;
		u64 stripe_bytes = round_up_u64(MAX(wanted - space->total_bytes, roomy_bytes), STRIPE_LEN_BYTES);
		int err;

		if (most == 0 || (roomy_bytes && most < MIN(stripe_bytes, (u64)CHUNK_MAX)))
			return diag_fail(d, -ENOSPC, "no free space for another %s chunk", profile->shown);
		stripe_bytes = MIN(MIN(stripe_bytes, most), (u64)CHUNK_MAX);
		err = add_chunk(l, type, profile, l->layout.next_logical, gap->physical, stripe_bytes, space, d);
		if (err)
			return err;
		l->layout.next_logical += stripe_bytes;
		take_from_longest_gap(l, stripe_bytes * profile->dev_stripes);
	}
	return 0;
}

static u64 roomy_metadata_bytes(const struct space_plan *plan)
{
	u64 tenth = round_down_u64(plan->total_bytes / 10, MIB);

	return MIN(MAX(tenth, 8 * MIB), plan->total_bytes > LARGE_BYTES ? ROOMY_METADATA_LARGE : ROOMY_METADATA_MAX);
}

static int copy_gaps(struct laying_out *l, struct diag *d)
{
	const struct space_plan *plan = l->plan;

	if (plan->is_endless) {
		const struct space_range all = { round_up_u64(plan->total_bytes, GIB), 1ULL << 56 };

		return array_push(&l->gaps.list, all) < 0 ? diag_no_memory(d, "free space") : 0;
	}
	array_for_each(&plan->gaps.list, gap)
		if (array_push(&l->gaps.list, *gap) < 0)
			return diag_no_memory(d, "free space");
	for (size_t i = l->gaps.list.len / 2; i-- > 0;)
		sift_down(&l->gaps, i);
	return 0;
}

static int begin(struct laying_out *l, struct diag *d)
{
	l->layout.devices = calloc(1, sizeof(*l->layout.devices));
	if (!l->layout.devices || chunk_map_new(&l->layout.chunks) < 0)
		return diag_no_memory(d, "the layout");
	l->layout.nr_devices = 1;
	l->layout.next_logical = round_up_u64(l->plan->total_bytes, GIB);
	l->layout.devices[0] = (struct layout_device){ .devid = 1, .limit_bytes = l->plan->total_bytes };
	memcpy(l->layout.devices[0].uuid, l->plan->dev_uuid, UUID_SIZE);
	return copy_gaps(l, d);
}

int space_plan_layout(const struct space_plan *plan, const struct layout_needs *needs, struct layout *ret_layout,
		      struct diag *d)
{
	bool is_roomy = needs->style == LAYOUT_ROOMY;
	struct laying_out l = { .plan = plan };
	int err = begin(&l, d);

	if (!err)
		err = add_data_chunks(&l, needs->data_profile, d);
	if (!err)
		err = add_chunks(&l, BLOCK_GROUP_SYSTEM, needs->system_profile, needs->system_bytes,
				 is_roomy ? ROOMY_SYSTEM_BYTES : 0, &l.layout.system, d);
	if (!err)
		err = add_chunks(&l, BLOCK_GROUP_METADATA, needs->metadata_profile, needs->metadata_bytes,
				 is_roomy ? roomy_metadata_bytes(plan) : 0, &l.layout.metadata, d);
	array_done(&l.gaps.list);
	if (err) {
		layout_done(&l.layout);
		return err;
	}
	*ret_layout = l.layout;
	return 0;
}
