/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "common/cli/json.h"
#include "common/cli/size.h"
#include "mkfs/options.h"

typedef unsigned long long ull;

void mkfs_print_features(void)
{
	struct btrkit_mkfs_feature feature;

	puts("Features that -O sets, or clears with ^ in front:");
	for (size_t i = 0; btrkit_mkfs_feature_at(i, &feature) == 0; i++)
		printf("%-20s - %s%s%s\n", feature.name, feature.description, feature.is_default ? " (default)" : "",
		       feature.is_supported ? "" : " (known, but cannot be made)");
}

/* Sum of one kind's chunks, and of what is used in them. */
static void print_kind(const struct btrkit_mkfs_plan *plan, const char *kind, const char *shown)
{
	char length[SIZE_TEXT_MAX], used[SIZE_TEXT_MAX];
	u64 length_sum = 0, used_sum = 0;
	const char *profile = NULL;

	for (size_t i = 0; i < plan->nr_chunks; i++) {
		if (strcmp(plan->chunks[i].kind, kind) != 0)
			continue;
		length_sum += plan->chunks[i].length;
		used_sum += plan->chunks[i].used_bytes;
		profile = plan->chunks[i].profile;
	}
	if (profile)
		printf("  %-17s%-8s %15s   used %s\n", shown, profile, size_format(length_sum, length),
		       size_format(used_sum, used));
}

static void print_chunks(const struct btrkit_mkfs_plan *plan)
{
	puts("Chunks:");
	for (size_t i = 0; i < plan->nr_chunks; i++) {
		const struct btrkit_mkfs_plan_chunk *chunk = &plan->chunks[i];

		printf("  %-14s %-8s logical %llu length %llu used %llu:", chunk->kind, chunk->profile,
		       (ull)chunk->logical, (ull)chunk->length, (ull)chunk->used_bytes);
		for (size_t s = 0; s < chunk->nr_stripes; s++)
			printf(" %llu@%llu", (ull)chunk->stripes[s].physical, (ull)chunk->stripes[s].devid);
		putchar('\n');
	}
}

void mkfs_print_plan(const struct mkfs_command *command, const struct btrkit_mkfs_plan *plan)
{
	char total[SIZE_TEXT_MAX], used[SIZE_TEXT_MAX];

	if (command->is_dry_run)
		puts("Dry run: nothing was written.");
	printf("Label:              %s\n", plan->label && plan->label[0] ? plan->label : "(null)");
	printf("UUID:               %s\n", plan->fsid);
	printf("Node size:          %u\n", plan->nodesize);
	printf("Sector size:        %u\n", plan->sectorsize);
	printf("Filesystem size:    %s (%llu bytes)\n", size_format(plan->total_bytes, total), (ull)plan->total_bytes);
	printf("Used:               %s (%llu bytes)\n", size_format(plan->used_bytes, used), (ull)plan->used_bytes);
	if (command->is_dry_run || command->verbosity)
		printf("Exact fit:          %llu bytes\n", (ull)plan->needed_bytes);
	if (plan->nr_files)
		printf("Files:              %llu\n", (ull)plan->nr_files);
	if (plan->nr_subvols)
		printf("Subvolumes:         %llu\n", (ull)plan->nr_subvols);
	puts("Block group profiles:");
	print_kind(plan, "data", "Data:");
	print_kind(plan, "metadata", "Metadata:");
	print_kind(plan, "data+metadata", "Data+Metadata:");
	print_kind(plan, "system", "System:");
	printf("Features:           %s\n", plan->features);
	printf("Checksum:           %s\n", plan->csum);
	if (command->verbosity)
		print_chunks(plan);
	printf("Number of devices:  %zu\nDevices:\n   ID        SIZE  PATH\n", plan->nr_devices);
	for (size_t i = 0; i < plan->nr_devices; i++)
		printf("%5llu  %10s  %s\n", (ull)plan->devices[i].devid, size_format(plan->devices[i].size_bytes, total),
		       plan->devices[i].path);
}

static struct json *device_json(const struct btrkit_mkfs_plan_device *device)
{
	struct json *object = json_new_object();

	json_set_u64(object, "devid", device->devid);
	json_set_string(object, "path", device->path);
	json_set_string(object, "uuid", device->uuid);
	json_set_u64(object, "size_bytes", device->size_bytes);
	json_set_u64(object, "allocated_bytes", device->allocated_bytes);
	return object;
}

static struct json *chunk_json(const struct btrkit_mkfs_plan_chunk *chunk)
{
	struct json *object = json_new_object(), *stripes = json_new_array();

	json_set_string(object, "kind", chunk->kind);
	json_set_string(object, "profile", chunk->profile);
	json_set_u64(object, "logical", chunk->logical);
	json_set_u64(object, "length_bytes", chunk->length);
	json_set_u64(object, "used_bytes", chunk->used_bytes);
	for (size_t i = 0; i < chunk->nr_stripes; i++) {
		struct json *stripe = json_new_object();

		json_set_u64(stripe, "devid", chunk->stripes[i].devid);
		json_set_u64(stripe, "physical", chunk->stripes[i].physical);
		json_set_u64(stripe, "length_bytes", chunk->stripes[i].length);
		json_append(stripes, stripe);
	}
	json_set(object, "stripes", stripes);
	return object;
}

void mkfs_print_plan_json(const struct mkfs_command *command, const struct btrkit_mkfs_plan *plan)
{
	struct json *object = json_new_object(), *devices = json_new_array(), *chunks = json_new_array();

	json_set_string(object, "schema", "btrkit-mkfs-1");
	json_set_bool(object, "dry_run", command->is_dry_run);
	json_set_string(object, "label", plan->label ? plan->label : "");
	json_set_string(object, "uuid", plan->fsid);
	json_set_u64(object, "nodesize_bytes", plan->nodesize);
	json_set_u64(object, "sectorsize_bytes", plan->sectorsize);
	json_set_string(object, "csum", plan->csum);
	json_set_string(object, "features", plan->features);
	json_set_u64(object, "incompat", plan->incompat);
	json_set_u64(object, "compat_ro", plan->compat_ro);
	json_set_u64(object, "total_bytes", plan->total_bytes);
	json_set_u64(object, "used_bytes", plan->used_bytes);
	json_set_u64(object, "needed_bytes", plan->needed_bytes);
	json_set_u64(object, "data_bytes", plan->data_bytes);
	json_set_u64(object, "metadata_bytes", plan->metadata_bytes);
	json_set_u64(object, "system_bytes", plan->system_bytes);
	json_set_u64(object, "files", plan->nr_files);
	json_set_u64(object, "subvolumes", plan->nr_subvols);
	for (size_t i = 0; i < plan->nr_devices; i++)
		json_append(devices, device_json(&plan->devices[i]));
	json_set(object, "devices", devices);
	for (size_t i = 0; i < plan->nr_chunks; i++)
		json_append(chunks, chunk_json(&plan->chunks[i]));
	json_set(object, "chunks", chunks);
	json_print(object, stdout, false);
	json_free(object);
}
