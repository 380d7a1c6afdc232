/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a restripe is asked for, and whether that can be: the rules of btrfs-balance(8) and of Linux. */
#include "kernel-shared/relocate/restripe.h"

typedef unsigned long long ull;

/* --- Filters ---------------------------------------- */

static int take_one(const char *text, enum restripe_kind kind, struct restripe_filters *filters, struct diag *d)
{
	int err;

	if (!text)
		return 0;
	filters->flags |= restripe_kind_flag(kind);
	err = restripe_filter_parse(text, &filters->kind[kind], NULL, d);
	return err ? diag_context(d, err, "filters of %s", restripe_kind_name(kind)) : 0;
}

int restripe_take_filters(const struct btrkit_restripe_options *options, struct restripe_filters *ret_filters, struct diag *d)
{
	struct restripe_filters filters = { .flags = options->is_forced ? BALANCE_FORCE : 0 };
	int err = take_one(options->data, RESTRIPE_DATA, &filters, d);

	if (!err)
		err = take_one(options->metadata, RESTRIPE_METADATA, &filters, d);
	if (!err && options->system && !options->is_forced)
		err = diag_fail(d, -EPERM, "system chunks are restriped with metadata; filters of their own need force");
	if (!err)
		err = take_one(options->system, RESTRIPE_SYSTEM, &filters, d);
	if (err)
		return err;
	if (options->metadata && !options->system) {
		filters.flags |= BALANCE_SYSTEM;
		filters.kind[RESTRIPE_SYSTEM] = filters.kind[RESTRIPE_METADATA];
	}
	if (!(filters.flags & BALANCE_KINDS))
		filters.flags |= BALANCE_KINDS;
	*ret_filters = filters;
	return 0;
}

/* --- Against the filesystem ---------------------------------------- */

bool restripe_may_use(const struct btrkit_restripe_options *options, u64 devid)
{
	if (!options->nr_devids)
		return true;
	for (size_t i = 0; i < options->nr_devids; i++)
		if (options->devids[i] == devid)
			return true;
	return false;
}

static int judge_devices(const struct btrkit_fs *fs, const struct btrkit_restripe_options *options, u64 *ret_nr, struct diag *d)
{
	*ret_nr = 0;
	for (size_t i = 0; i < options->nr_devids; i++) {
		const struct device *device = device_set_find(fs->volume->devices, options->devids[i], NULL);

		if (!device)
			return diag_fail(d, -EINVAL, "there is no device %llu", (ull)options->devids[i]);
		if (!device->dev || device_fsid_is_seed(&fs->super, device->fsid))
			return diag_fail(d, -EINVAL, "device %llu cannot be written: it is %s", (ull)options->devids[i],
					 device->dev ? "of a seed" : "missing");
	}
	array_for_each (&fs->volume->devices->devices, device)
		if (device->dev && !device_fsid_is_seed(&fs->super, device->fsid) && restripe_may_use(options, device->devid))
			++*ret_nr;
	return 0;
}

static int judge_target(const struct restripe_filter *filter, enum restripe_kind kind, u64 nr_devices, struct diag *d)
{
	const struct profile *profile = profile_by_flags(restripe_profile_of_bit(filter->target));

	if (!(filter->flags & BALANCE_ARGS_CONVERT) || nr_devices >= profile->devs_min)
		return 0;
	return diag_fail(d, -EINVAL, "%s cannot become %s: that needs %u devices, and there %s %llu", restripe_kind_name(kind),
			 profile->name, profile->devs_min, nr_devices == 1 ? "is" : "are", (ull)nr_devices);
}

static bool is_redundant(u64 type)
{
	const struct profile *profile = profile_by_flags(type);

	return profile && (profile->copies > 1 || profile->parity);
}

/* A failing sector takes the filesystem along when there is one copy of its metadata. */
static int judge_redundancy(const struct btrkit_fs *fs, const struct restripe_filters *filters, struct diag *d)
{
	const struct chunk_map *chunks = fs->volume->chunks;

	if (filters->flags & BALANCE_FORCE)
		return 0;
	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);
		enum restripe_kind kind = chunk->type & BLOCK_GROUP_SYSTEM ? RESTRIPE_SYSTEM : RESTRIPE_METADATA;
		const struct restripe_filter *filter = &filters->kind[kind];

		if ((chunk->type & (BLOCK_GROUP_METADATA | BLOCK_GROUP_SYSTEM)) &&
		    (filters->flags & restripe_kind_flag(kind)) && (filter->flags & BALANCE_ARGS_CONVERT) &&
		    is_redundant(chunk->type) && !is_redundant(restripe_profile_of_bit(filter->target)))
			return diag_fail(d, -EPERM, "%s would lose its redundancy, %s becoming %s: that needs force",
					 restripe_kind_name(kind), chunk->profile->name,
					 profile_by_flags(restripe_profile_of_bit(filter->target))->name);
	}
	return 0;
}

static int judge_mixed(const struct btrkit_fs *fs, const struct restripe_filters *filters, struct diag *d)
{
	u64 both = BALANCE_DATA | BALANCE_METADATA;

	if (!(le64_get(fs->super.incompat_flags) & INCOMPAT_MIXED_GROUPS) || !(filters->flags & both))
		return 0;
	if ((filters->flags & both) == both && memcmp(&filters->kind[RESTRIPE_DATA], &filters->kind[RESTRIPE_METADATA],
						      sizeof(filters->kind[0])) == 0)
		return 0;
	return diag_fail(d, -EINVAL, "data and metadata are in the same chunks here: their filters have to be the same");
}

int restripe_judge(const struct btrkit_fs *fs, const struct btrkit_restripe_options *options,
		   const struct restripe_filters *filters, struct diag *d)
{
	u64 nr_devices;
	int err = judge_devices(fs, options, &nr_devices, d);

	for (unsigned kind = 0; kind < RESTRIPE_KINDS && !err; kind++)
		if (filters->flags & restripe_kind_flag(kind))
			err = judge_target(&filters->kind[kind], kind, nr_devices, d);
	if (!err)
		err = judge_mixed(fs, filters, d);
	return err ? err : judge_redundancy(fs, filters, d);
}
