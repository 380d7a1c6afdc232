/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From the source to a plan: where everything will be, and whether it fits, before anything is written. */
#include <stdio.h>
#include <uuid/uuid.h>

#include "convert/inplace/conversion.h"
#include "convert/inplace/placing.h"

typedef unsigned long long ull;

/* --- What there is ---------------------------------------- */

static int take_range(void *ctx, u64 physical, u64 len, struct diag *d)
{
	struct conversion *c = ctx;
	const struct space_range *last = c->used.list.len ? &c->used.list.items[c->used.list.len - 1] : NULL;
	u64 block_bytes = c->source->info.block_bytes;

	if (len == 0 || physical % block_bytes || len % block_bytes || physical > c->source->info.total_bytes ||
	    len > c->source->info.total_bytes - physical || (last && last->physical + last->len > physical))
		return diag_fail(d, -EUCLEAN, "impossible range in use: %llu bytes at %llu", (ull)len, (ull)physical);
	return array_push(&c->used.list, (struct space_range){ physical, len }) < 0
		       ? diag_no_memory(d, "ranges in use")
		       : 0;
}

/* All data of files lies in what is in use. */
static int judge_runs(const struct conversion *c, struct diag *d)
{
	size_t at = 0;

	array_for_each(&c->gathered.runs, run) {
		const struct space_range *in;

		while (at < c->used.list.len && c->used.list.items[at].physical + c->used.list.items[at].len <= run->physical)
			at++;
		in = at < c->used.list.len ? &c->used.list.items[at] : NULL;
		if (!in || run->physical < in->physical || run->physical + run->len > in->physical + in->len)
			return diag_fail(d, -EUCLEAN, "a file has bytes at %llu that are not in use", (ull)run->physical);
	}
	return 0;
}

static int read_source(void *ctx, bool is_overlaid, u64 physical, void *buf, size_t len, struct diag *d)
{
	struct conversion *c = ctx;

	return is_overlaid ? c->source->ops->read(c->source, physical, buf, len, d)
			   : blockdev_read(c->dev, physical, buf, len, d);
}

static int read_inline(void *ctx, u64 physical, void *buf, size_t len, struct diag *d)
{
	return read_source(ctx, true, physical, buf, len, d);
}

static u32 max_inline_bytes(const struct conversion *c)
{
	return c->options->no_inline ? 0 : CONTENT_INLINE_DEFAULT;
}

/* Of what is to be inline, gather() keeps only where it begins. */
static int judge_inline(const struct btrkit_content *content, u32 most, struct diag *d)
{
	array_for_each(&content->nodes, node)
		if (node->data_kind == CONTENT_DATA_PLACED && node->size > 0 && node->size <= most && !node->is_inline)
			return diag_fail(d, -EINVAL, "a file of %llu bytes cannot be inline", (ull)node->size);
	return 0;
}

static int finish_content(struct conversion *c, struct diag *d)
{
	const struct image *image = &c->making.image;
	const struct content_options options = {
		.id = image->id,
		.sectorsize = image->sectorsize,
		.max_inline_bytes = max_inline_bytes(c),
		.has_no_holes = image->incompat & INCOMPAT_NO_HOLES,
		.has_extref = image->incompat & INCOMPAT_EXTENDED_IREF,
		.now = { image->now_sec, image->now_nsec },
		.is_placed = true,
		.no_datasum = c->options->no_datasum,
		.read_placed = read_inline,
		.placed_ctx = c,
	};
	struct btrkit_content *content = c->gathered.content;
	u64 nr_unreachable = 0;
	int err = content_finish(content, &options, d);

	if (!err)
		err = judge_inline(content, options.max_inline_bytes, d);
	if (err)
		return err;
	array_for_each(&content->nodes, node)
		nr_unreachable += node->mode && node->ino == CONTENT_NONE;
	if (nr_unreachable && !c->options->do_skip_unsupported)
		return diag_fail(d, -EUCLEAN, "%llu inodes cannot be reached by any name: run e2fsck -f first",
				 (ull)nr_unreachable);
	return 0;
}

static int gather_all(struct conversion *c, struct diag *d)
{
	const struct gather_options options = {
		.top_ino = c->source->info.top_ino,
		.do_skip_unsupported = c->options->do_skip_unsupported,
		.max_inline_bytes = max_inline_bytes(c),
		.unreadable = &c->unreadable.known,
	};
	int err = c->source->ops->used_ranges(c->source, 0, take_range, c, d);

	if (!err && c->options->do_skip_unreadable)
		err = conversion_find_unreadable(c, d);
	progress_begin(c->progress, "scan", 0, c->source->info.nr_inodes);
	c->scan_nsec = conversion_now_nsec();
	if (!err)
		err = gather(c->source, &options, c->progress, &c->gathered, d);
	c->scan_nsec = conversion_now_nsec() - c->scan_nsec;
	if (!err)
		err = judge_runs(c, d);
	if (!err)
		err = gather_add_saved_subvol(&c->gathered, &c->saved_name, d);
	return err ? err : finish_content(c, d);
}

/* --- Where it goes ---------------------------------------- */

static int lay_out(void *ctx, const struct layout_needs *needs, struct layout *ret_layout, struct diag *d)
{
	struct conversion *c = ctx;

	return space_plan_layout(&c->space, needs, ret_layout, d);
}

/* Many short gaps make many system chunks, and the superblock has room for few. */
static int judge_super(const struct conversion *c, struct diag *d)
{
	struct disk_super super;

	return image_super(&c->making.image, &super, d);
}

static int plan_with(struct conversion *c, u64 gap_min_bytes, struct diag *d)
{
	int err;

	c->space.gap_min_bytes = gap_min_bytes;
	err = space_plan_make(&c->space, d);
	if (!err)
		err = place_extents(&c->space, &c->gathered, &c->placed, d);
	if (!err)
		err = conversion_place_unreadable(c, d);
	if (!err)
		err = image_plan(&c->making.image, false, d);
	return err ? err : judge_super(c, d);
}

/* With gaps as few and as long as possible. */
static int plan_in_gaps(struct conversion *c, struct diag *d)
{
	int err = -ENOSPC;

	for (u64 gap = space_plan_first_gap(); gap && err == -ENOSPC; gap = space_plan_next_gap(gap)) {
		diag_clear(d);
		err = plan_with(c, gap, d);
	}
	return err;
}

static void use_metadata_profile(struct conversion *c, const char *name)
{
	struct layout_needs *needs = &c->making.image.needs;

	needs->metadata_profile = needs->system_profile = profile_by_name(name);
}

/* Two copies of metadata where that fits and nothing else was asked for, else one. */
static int plan_space(struct conversion *c, struct diag *d)
{
	int err = plan_in_gaps(c, d);

	if (err != -ENOSPC || c->options->metadata_profile)
		return err;
	use_metadata_profile(c, "single");
	diag_clear(d);
	err = plan_in_gaps(c, d);
	if (!err)
		diag_note(d, DIAG_WARNING, "there is no room for two copies of metadata: it gets one (profile single)");
	return err;
}

/* --- For the caller ---------------------------------------- */

static u64 nr_chunks(const struct conversion *c, u64 type)
{
	const struct chunk_map *chunks = c->making.image.layout.chunks;
	u64 nr = 0;

	for (size_t i = 0; chunks && i < chunk_map_count(chunks); i++)
		nr += (chunk_map_at(chunks, i)->type & type) != 0;
	return nr;
}

static u64 new_chunk_bytes(const struct conversion *c)
{
	const struct chunk_map *chunks = c->making.image.layout.chunks;
	u64 bytes = 0;

	for (size_t i = 0; chunks && i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		if (!(chunk->type & BLOCK_GROUP_DATA))
			bytes += chunk->stripe_bytes * chunk->num_stripes;
	}
	return bytes;
}

static void describe_source(struct conversion *c)
{
	const struct source_info *info = &c->source->info;
	struct btrkit_convert_plan *plan = &c->plan;

	snprintf(plan->source_type, sizeof(plan->source_type), "%s", info->type);
	snprintf(plan->source_label, sizeof(plan->source_label), "%s", info->label);
	uuid_unparse_lower(info->uuid, plan->source_uuid);
	plan->block_bytes = info->block_bytes;
	plan->total_bytes = info->total_bytes;
	plan->nr_inodes = info->nr_inodes;
	plan->journal_blocks = info->journal_nr_blocks;
}

static void describe_options(struct conversion *c)
{
	const struct image *image = &c->making.image;
	struct btrkit_convert_plan *plan = &c->plan;

	snprintf(plan->fsid, sizeof(plan->fsid), "%s", c->fsid);
	snprintf(plan->label, sizeof(plan->label), "%s", c->label);
	plan->nodesize = image->id.nodesize;
	plan->sectorsize = image->sectorsize;
	snprintf(plan->csum, sizeof(plan->csum), "%s", csum_type_name(image->id.csum->type));
	making_name_features(image, plan->features, sizeof(plan->features));
}

static void describe_space(struct conversion *c)
{
	const struct image *image = &c->making.image;
	struct btrkit_convert_plan *plan = &c->plan;

	snprintf(plan->metadata_profile, sizeof(plan->metadata_profile), "%s", image->needs.metadata_profile->name);
	for (size_t i = 0; i < image->nr_trees; i++)
		plan->metadata_bytes += tree_shape_total(&image->trees[i].shape) * image->id.nodesize;
	plan->needed_bytes = new_chunk_bytes(c);
	plan->available_bytes = space_ranges_bytes(&c->space.gaps);
	plan->unallocated_bytes = plan->available_bytes - MIN(plan->needed_bytes, plan->available_bytes);
	array_for_each(&c->space.moves, move)
		plan->moved_bytes += move->len;
	plan->nr_data_chunks = nr_chunks(c, BLOCK_GROUP_DATA);
	plan->nr_metadata_chunks = nr_chunks(c, BLOCK_GROUP_METADATA);
	plan->nr_system_chunks = nr_chunks(c, BLOCK_GROUP_SYSTEM);
	plan->nr_extents = c->placed.extents.len;
}

/* How much would be needed, and how much there is in pieces that can be taken. */
static int no_room(struct conversion *c, struct diag *d)
{
	struct image *image = &c->making.image;
	struct diag unused = { 0 };
	int err;

	c->space.is_endless = true;
	image->needs.style = LAYOUT_EXACT;
	err = image_needed_bytes(image, &(u64){ 0 }, &unused);
	c->space.is_endless = false;
	if (err)
		return err == -ENOMEM ? diag_no_memory(d, "the plan") : diag_fail(d, -ENOSPC, "there is not enough free space");
	describe_space(c);
	if (c->plan.needed_bytes <= c->plan.available_bytes)
		return diag_fail(d, -ENOSPC,
				 "the free space lies in pieces that are too short: %llu bytes needed, %llu there in %zu pieces of 64 KiB and more; "
				 "nothing was changed",
				 (ull)c->plan.needed_bytes, (ull)c->plan.available_bytes, c->space.gaps.list.len);
	return diag_fail(d, -ENOSPC,
			 "not enough free space: %llu bytes needed, %llu there in pieces of 64 KiB and more; nothing was changed",
			 (ull)c->plan.needed_bytes, (ull)c->plan.available_bytes);
}

int conversion_make_plan(struct conversion *c, struct diag *d)
{
	struct image *image = &c->making.image;
	int err;

	describe_source(c);
	describe_options(c);
	err = gather_all(c, d);
	if (err)
		return err;
	c->plan.used_bytes = space_ranges_bytes(&c->used);
	image->content = c->gathered.content;
	image->placed = &c->placed;
	c->placed.image_bytes = c->source->info.total_bytes;
	c->placed.has_csums = !c->options->no_datasum;
	c->placed.read = read_source;
	c->placed.cannot_read = conversion_cannot_read;
	c->placed.judge_reading = conversion_judge_reading;
	c->placed.lay_out = lay_out;
	c->placed.ctx = c;
	c->space.total_bytes = c->source->info.total_bytes;
	c->space.block_bytes = c->source->info.block_bytes;
	c->space.used = &c->used;
	c->space.overlaid = &c->gathered.overlaid;
	memcpy(c->space.dev_uuid, image->devices[0].uuid, UUID_SIZE);
	progress_begin(c->progress, "plan", 0, 0);
	err = plan_space(c, d);
	if (err == -ENOSPC)
		return no_room(c, d);
	if (!err) {
		describe_space(c);
		conversion_estimate(c);
	}
	return err ? err : conversion_tell_unreadable(c, d);
}
