/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* btrkit_device_remove_missing(): which devices, as what profiles, and the plan. */
#include <btrkit/missing.h>

#include "kernel-shared/relocate/device_change.h"
#include "kernel-shared/relocate/remove_missing.h"

typedef unsigned long long ull;

struct removing {
	struct device_change change;
	struct btrkit_remove_missing_options options;
	ARRAY(u64) devids;
	struct removal removal;
};

void btrkit_remove_missing_options_init_size(struct btrkit_remove_missing_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
}

static int take_profile(const char *name, struct type_profile *ret_profile, struct diag *d)
{
	const struct profile *profile = name ? profile_by_name(name) : NULL;

	if (name && !profile)
		return diag_fail(d, -EINVAL, "\"%s\" is no profile", name);
	*ret_profile = (struct type_profile){ profile != NULL, profile ? profile->flag : 0 };
	return 0;
}

/* In mixed block groups data and metadata lie together. */
static int take_profiles(struct removing *r, struct diag *d)
{
	bool is_mixed = le64_get(r->change.fs->super.incompat_flags) & INCOMPAT_MIXED_GROUPS;
	int err = take_profile(r->options.data_profile, &r->removal.data, d);

	if (!err)
		err = take_profile(r->options.metadata_profile, &r->removal.metadata, d);
	if (err || !is_mixed)
		return err;
	if (!r->removal.data.is_set)
		r->removal.data = r->removal.metadata;
	else if (!r->removal.metadata.is_set)
		r->removal.metadata = r->removal.data;
	if (r->removal.data.profile != r->removal.metadata.profile)
		return diag_fail(d, -EINVAL,
				 "data and metadata are in the same block groups: they can get only the same profile");
	return 0;
}

static int take_devids(struct removing *r, struct diag *d)
{
	for (size_t i = 0; i < r->options.nr_devids; i++)
		if (array_push(&r->devids, r->options.devids[i]) < 0)
			return diag_no_memory(d, "devices");
	array_for_each (&r->change.fs->volume->devices->devices, device)
		if (!r->options.devids && !device->dev && array_push(&r->devids, device->devid) < 0)
			return diag_no_memory(d, "devices");
	if (r->devids.len == 0)
		return diag_fail(d, -ENODEV, "no device is missing");
	return 0;
}

static int tell(void *ctx, const struct chunk *chunk, const struct relocate_step *step, bool is_done, struct diag *d)
{
	struct btrkit_device_plan *plan = ((struct removing *)ctx)->change.plan;
	int err = device_plan_add_step(plan, chunk, step, d);

	if (!err)
		plan->steps.items[plan->steps.len - 1].is_done = is_done;
	return err;
}

static void finish_plan(struct removing *r)
{
	struct btrkit_device_plan *plan = r->change.plan;

	device_plan_set_after(plan, r->change.fs->volume->chunks);
	plan->info.lost_bytes = r->removal.lost_bytes;
	array_for_each (&r->devids, devid) {
		struct btrkit_device_change *row = device_plan_find(plan, *devid);

		if (!row)
			continue;
		row->is_removed = true;
		row->total_bytes_after = row->allocated_bytes_after = 0;
	}
}

static int run(struct removing *r)
{
	struct diag *d = &r->change.d;
	int err = take_devids(r, d);

	if (!err)
		err = take_profiles(r, d);
	if (err)
		return err;
	r->removal.relocate = &r->change.relocate;
	r->removal.devids = r->devids.items;
	r->removal.nr = r->devids.len;
	r->removal.accepts_loss = r->options.accepts_loss;
	r->removal.tell = tell;
	r->removal.ctx = r;
	err = r->change.options.is_dry_run ? removal_plan(&r->removal, d) : removal_run(&r->removal, d);
	if (!err)
		finish_plan(r);
	return err;
}

int btrkit_device_remove_missing(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
				 const struct btrkit_remove_missing_options *removal,
				 struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	struct btrkit_device_options degraded;
	struct removing r = { 0 };
	int err;

	device_options_take(options, &degraded);
	degraded.open.may_be_degraded = true;
	btrkit_remove_missing_options_init(&r.options);
	if (removal)
		memcpy(&r.options, removal, MIN(removal->struct_size, sizeof(r.options)));
	err = device_change_begin(&r.change, "remove", paths, nr_paths, &degraded);
	if (!err)
		err = run(&r);
	array_done(&r.devids);
	return device_change_end(&r.change, err, ret_plan, error);
}
