/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plan as the caller sees it: one allocation for each array, nothing shared with the making. */
#include <stdio.h>
#include <sys/stat.h>
#include <uuid/uuid.h>

#include "kernel-shared/build/making.h"
#include "kernel-shared/format/features.h"

/* The plan and what its const pointers point to. */
struct plan {
	struct btrkit_mkfs_plan plan;
	struct btrkit_mkfs_plan_device *devices;
	struct btrkit_mkfs_plan_chunk *chunks;
	struct btrkit_mkfs_plan_stripe *stripes;
	char *label, *features;
	char **paths;
	size_t nr_paths;
};

void btrkit_mkfs_plan_free(struct btrkit_mkfs_plan *plan)
{
	struct plan *p = plan ? container_of(plan, struct plan, plan) : NULL;

	if (!p)
		return;
	for (size_t i = 0; i < p->nr_paths; i++)
		free(p->paths[i]);
	free(p->paths);
	free(p->devices);
	free(p->chunks);
	free(p->stripes);
	free(p->label);
	free(p->features);
	free(p);
}

static size_t count_stripes(const struct image *image)
{
	size_t count = 0;

	for (size_t i = 0; i < chunk_map_count(image->layout.chunks); i++)
		count += chunk_map_at(image->layout.chunks, i)->num_stripes;
	return count;
}

static int report_chunks(const struct image *image, struct plan *p)
{
	size_t nr_chunks = chunk_map_count(image->layout.chunks);
	struct btrkit_mkfs_plan_stripe *stripe;

	p->chunks = calloc(nr_chunks, sizeof(*p->chunks));
	p->stripes = stripe = calloc(count_stripes(image), sizeof(*p->stripes));
	if (!p->chunks || !p->stripes)
		return -ENOMEM;
	for (size_t i = 0; i < nr_chunks; i++) {
		const struct chunk *chunk = chunk_map_at(image->layout.chunks, i);

		p->chunks[i] = (struct btrkit_mkfs_plan_chunk){
			.kind = chunk_kind_name(chunk->type),
			.profile = chunk->profile->shown,
			.logical = chunk->logical,
			.length = chunk->length,
			.used_bytes = image->used_bytes[i],
			.nr_stripes = chunk->num_stripes,
			.stripes = stripe,
		};
		for (u16 s = 0; s < chunk->num_stripes; s++)
			*stripe++ = (struct btrkit_mkfs_plan_stripe){ chunk->stripe[s].devid, chunk->stripe[s].physical,
								       chunk->stripe_bytes };
	}
	p->plan.chunks = p->chunks;
	p->plan.nr_chunks = nr_chunks;
	return 0;
}

static int report_devices(const struct making *making, struct plan *p)
{
	const struct image *image = &making->image;

	p->devices = calloc(image->nr_devices, sizeof(*p->devices));
	p->paths = calloc(image->nr_devices, sizeof(*p->paths));
	if (!p->devices || !p->paths)
		return -ENOMEM;
	for (size_t i = 0; i < image->nr_devices; i++) {
		p->paths[i] = strdup(making->targets[i].path);
		if (!p->paths[i])
			return -ENOMEM;
		p->nr_paths++;
		p->devices[i] = (struct btrkit_mkfs_plan_device){
			.path = p->paths[i],
			.devid = image->devices[i].devid,
			.size_bytes = image->device_bytes[i],
			.allocated_bytes = image->layout.devices[i].allocated_bytes,
			.is_made = !making->targets[i].exists,
		};
		uuid_unparse(image->devices[i].uuid, p->devices[i].uuid);
	}
	p->plan.devices = p->devices;
	p->plan.nr_devices = image->nr_devices;
	return 0;
}

static bool has_feature(const struct image *image, const struct feature *feature)
{
	switch (feature->set) {
	case FEATURE_INCOMPAT:
		return (image->incompat & feature->bits) == feature->bits;
	case FEATURE_COMPAT_RO:
		return (image->compat_ro & feature->bits) == feature->bits;
	default:
		return image->quota == IMAGE_QUOTA_FULL;
	}
}

void making_name_features(const struct image *image, char *buf, size_t cap)
{
	size_t len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < features_count && len < cap; i++)
		if (features[i].is_mkfs_option && has_feature(image, &features[i]))
			len += (size_t)snprintf(buf + len, cap - len, "%s%s", len ? ", " : "", features[i].name);
}

static int report_features(const struct image *image, struct plan *p)
{
	size_t room = 1;

	for (size_t i = 0; i < features_count; i++)
		room += strlen(features[i].name) + 2;
	p->features = calloc(1, room);
	if (!p->features)
		return -ENOMEM;
	making_name_features(image, p->features, room);
	p->plan.features = p->features;
	return 0;
}

static void report_usage(const struct image *image, struct btrkit_mkfs_plan *plan)
{
	for (size_t i = 0; i < image->nr_trees; i++) {
		u64 bytes = tree_shape_total(&image->trees[i].shape) * image->id.nodesize;

		if (image->trees[i].owner == CHUNK_TREE_OBJECTID)
			plan->system_bytes += bytes;
		else
			plan->metadata_bytes += bytes;
	}
	plan->used_bytes = image_used_bytes(image);
	plan->data_bytes = plan->used_bytes - plan->metadata_bytes - plan->system_bytes;
	plan->total_bytes = image_total_bytes(image);
	if (!image->content)
		return;
	plan->nr_subvols = content_nr_subvols(image->content) - 1;
	for (u32 i = 0; i < image->content->nr_sequence; i++)
		plan->nr_files += S_ISREG(image->content->nodes.items[image->content->sequence[i]].mode);
}

int making_report(const struct making *making, u64 needed_bytes, struct btrkit_mkfs_plan **ret_plan, struct diag *d)
{
	const struct image *image = &making->image;
	struct plan *p = calloc(1, sizeof(*p));

	if (!p)
		return diag_no_memory(d, "the plan");
	p->label = strdup(image->label);
	if (!p->label || report_chunks(image, p) < 0 || report_devices(making, p) < 0 || report_features(image, p) < 0) {
		btrkit_mkfs_plan_free(&p->plan);
		return diag_no_memory(d, "the plan");
	}
	uuid_unparse(image->fsid, p->plan.fsid);
	p->plan.label = p->label;
	p->plan.nodesize = image->id.nodesize;
	p->plan.sectorsize = image->sectorsize;
	p->plan.csum = image->id.csum->name;
	p->plan.data_profile = image->needs.data_profile->shown;
	p->plan.metadata_profile = image->needs.metadata_profile->shown;
	p->plan.system_profile = image->needs.system_profile->shown;
	p->plan.is_mixed = image->needs.is_mixed;
	p->plan.incompat = image->incompat;
	p->plan.compat_ro = image->compat_ro;
	p->plan.needed_bytes = needed_bytes;
	report_usage(image, &p->plan);
	*ret_plan = &p->plan;
	return 0;
}
