/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * btrkit_mkfs(): the steps in their order. Nothing is written before the plan stands; superblocks come last, after a
 * flush, in super_write_all().
 */
#include "kernel-shared/build/job.h"
#include "kernel-shared/build/making.h"
#include "kernel-shared/device/device_set.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/super.h"
#include "kernel-shared/format/features.h"

typedef unsigned long long ull;

void btrkit_mkfs_options_init_size(struct btrkit_mkfs_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
}

int btrkit_mkfs_feature_at(size_t index, struct btrkit_mkfs_feature *ret_feature)
{
	for (size_t i = 0; i < features_count; i++) {
		if (!features[i].is_mkfs_option || index-- > 0)
			continue;
		*ret_feature = (struct btrkit_mkfs_feature){
			.name = features[i].name,
			.description = features[i].description,
			.is_default = features[i].is_mkfs_default,
			.is_supported = features[i].is_supported,
		};
		return 0;
	}
	return -ENOENT;
}

/* --- Planning ------------------------------------------------------------------------------------------------ */

static struct progress *progress_of(const struct making *making)
{
	return making->options->job ? &making->options->job->progress : NULL;
}

static int prepare_content(struct making *making, struct diag *d)
{
	const struct btrkit_mkfs_options *options = making->options;
	struct image *image = &making->image;
	struct content_options content_options = {
		.id = image->id,
		.sectorsize = image->sectorsize,
		.max_inline_bytes = MIN((u32)CONTENT_INLINE_DEFAULT, image->sectorsize - 1),
		.has_no_holes = image->incompat & INCOMPAT_NO_HOLES,
		.has_extref = image->incompat & INCOMPAT_EXTENDED_IREF,
		.has_epoch = options->has_epoch,
		.epoch_sec = options->epoch_sec,
		.now = { image->now_sec, image->now_nsec },
		.codec = making->codec,
		.compress_level = making->compress_level,
		.lzo_compress = options->lzo_compress,
		.spool_dir = options->spool_dir,
		.is_dry_run = options->is_dry_run,
		.use_reflink = options->use_reflink,
	};
	int err = content_finish(image->content, &content_options, d);

	if (!err)
		err = content_measure(image->content, making->pool, progress_of(making), d);
	if (err)
		return err;
	for (size_t i = 0; i < content_nr_subvols(image->content); i++) {
		const struct content_subvol *subvol = content_subvol_at(image->content, i);

		if (!(subvol->flags & BTRKIT_SUBVOL_DEFAULT) || subvol->root_id == FS_TREE_OBJECTID)
			continue;
		image->default_root = subvol->root_id;
		image->incompat |= INCOMPAT_DEFAULT_SUBVOL;
	}
	return 0;
}

static int too_small(const struct making *making, u64 needed_bytes, const struct diag *why, struct diag *d)
{
	u64 there = 0;

	for (size_t i = 0; i < making->nr_targets; i++)
		there += making->image.devices[i].limit_bytes;
	if (making->nr_targets == 1)
		return diag_fail(d, -ENOSPC, "%s: does not fit: %llu bytes needed, %llu there", making->targets[0].path,
				 (ull)needed_bytes, (ull)there);
	return diag_fail(d, -ENOSPC, "does not fit: %llu bytes needed on %zu devices, %llu there (%s)", (ull)needed_bytes,
			 making->nr_targets, (ull)there, why->text);
}

/* With an exact fit, what was said about sizes is a limit. */
static int check_limits(struct making *making, struct diag *d)
{
	const struct image *image = &making->image;

	for (size_t i = 0; making->is_exact && i < image->nr_devices; i++)
		if (image->device_bytes[i] > image->devices[i].limit_bytes)
			return diag_fail(d, -ENOSPC, "%s: does not fit: %llu bytes needed, %llu there",
					 making->targets[i].path, (ull)image->device_bytes[i],
					 (ull)image->devices[i].limit_bytes);
	return 0;
}

static int make_plan(struct making *making, u64 *ret_needed, struct diag *d)
{
	struct diag why = { 0 }, unused = { 0 };
	int err = 0;

	if (making->options->is_dry_run && !making->is_exact)
		err = image_needed_bytes(&making->image, ret_needed, &why);
	if (!err)
		err = image_plan(&making->image, making->is_exact, &why);

	if (err == -ENOSPC && image_needed_bytes(&making->image, ret_needed, &unused) == 0)
		return too_small(making, *ret_needed, &why, d);
	if (err)
		return diag_copy(d, &why);
	if (making->is_exact)
		*ret_needed = image_total_bytes(&making->image);
	return check_limits(making, d);
}

/* --- Writing ------------------------------------------------------------------------------------------------- */

/* The volume that is written through; the devices are its own from now on, ours to look at while it lives. */
static int open_volume(struct making *making, struct volume **ret_volume, struct diag *d)
{
	_cleanup_(device_set_freep) struct device_set *set = NULL;
	struct chunk_map *chunks = NULL;
	int err;

	if (device_set_new(&set) < 0)
		return diag_no_memory(d, "the devices");
	for (size_t i = 0; i < making->nr_targets; i++) {
		struct device device = {
			.devid = making->image.devices[i].devid,
			.total_bytes = making->image.device_bytes[i],
			.dev = making->targets[i].dev,
		};

		memcpy(device.uuid, making->image.devices[i].uuid, UUID_SIZE);
		memcpy(device.fsid, making->image.fsid, UUID_SIZE);
		making->targets[i].dev = NULL;
		err = device_set_add(set, &device, d);
		if (err)
			return err;
	}
	err = chunk_map_copy(making->image.layout.chunks, &chunks, d);
	if (err)
		return err;
	return volume_new(take_ptr(set), chunks, making->image.sectorsize, making->image.id.nodesize, ret_volume, d);
}

static int write_supers(struct making *making, struct diag *d)
{
	_free_ struct super_target *targets = calloc(making->nr_targets, sizeof(*targets));
	struct disk_super super;
	int err = image_super(&making->image, &super, d);

	if (!targets)
		return diag_no_memory(d, "the superblocks");
	if (err)
		return err;
	for (size_t i = 0; i < making->nr_targets; i++) {
		targets[i].dev = making->targets[i].dev;
		targets[i].device_bytes = making->image.device_bytes[i];
		image_dev_item(&making->image, i, &targets[i].dev_item);
	}
	progress_begin(progress_of(making), "flush", 0, 0);
	return super_write_all(&super, targets, making->nr_targets, d);
}

static int finish_targets(struct making *making, struct diag *d)
{
	int err = making_wipe_targets(making, d);

	if (!err)
		err = write_supers(making, d);
	for (size_t i = 0; i < making->nr_targets && !err && making->options->is_shrink; i++)
		if (!making->targets[i].is_block_special)
			err = file_device_resize(making->targets[i].file, making->image.device_bytes[i], true, d);
	return err;
}

static int write_all(struct making *making, struct diag *d)
{
	_cleanup_(volume_freep) struct volume *volume = NULL;
	int err = making_open_targets(making, d);

	if (!err)
		err = open_volume(making, &volume, d);
	if (!err)
		err = image_write(&making->image, volume, d);
	if (err)
		return err;
	for (size_t i = 0; i < making->nr_targets; i++)
		making->targets[i].dev = device_set_find(volume->devices, making->image.devices[i].devid, NULL)->dev;
	err = finish_targets(making, d);
	for (size_t i = 0; i < making->nr_targets; i++)
		making->targets[i].dev = NULL; /* the volume closes them */
	return err;
}

/* --- The whole ------------------------------------------------------------------------------------------------ */

static int run(struct making *making, struct btrkit_mkfs_plan **ret_plan, struct diag *d)
{
	const struct btrkit_mkfs_options *options = making->options;
	u64 needed_bytes = 0;
	int err;

	making->targets = calloc(MAX(options->nr_devices, (size_t)1), sizeof(*making->targets));
	if (!making->targets)
		return diag_no_memory(d, "devices");
	making->nr_targets = options->nr_devices;
	for (size_t i = 0; i < making->nr_targets; i++) {
		making->targets[i].path = options->devices[i].path;
		making->targets[i].wanted_bytes = options->devices[i].size_bytes;
	}
	err = making_read_options(making, d);
	if (!err)
		err = making_find_targets(making, d);
	if (!err && pool_new(options->threads, options->job ? &options->job->cancel : NULL, &making->pool) < 0)
		err = diag_no_memory(d, "threads");
	making->image.pool = making->pool;
	making->image.progress = progress_of(making);
	if (!err && making->image.content)
		err = prepare_content(making, d);
	if (!err)
		err = make_plan(making, &needed_bytes, d);
	if (!err && ret_plan)
		err = making_report(making, needed_bytes, ret_plan, d);
	if (!err && !options->is_dry_run)
		err = write_all(making, d);
	return err;
}

struct note_target {
	btrkit_note_fn note;
	void *arg;
};

static void pass_note(void *arg, enum diag_severity severity, const char *text)
{
	const struct note_target *target = arg;

	target->note(target->arg, severity == DIAG_WARNING ? BTRKIT_WARNING : BTRKIT_NOTE, text);
}

int make_filesystem(const struct btrkit_mkfs_options *options, struct btrkit_content *content,
		    const struct making_layer *layer, struct btrkit_mkfs_plan **ret_plan, struct btrkit_error *error)
{
	struct btrkit_mkfs_options known = { 0 };
	struct making making = { .options = &known, .layer = layer, .image.content = content };
	struct note_target notes = { options->note, options->note_arg };
	struct btrkit_mkfs_plan *plan = NULL;
	struct diag d = { .note = notes.note ? pass_note : NULL, .note_arg = &notes };
	int err;

	/* A caller built against an older header knows fewer options. */
	memcpy(&known, options, MIN(options->struct_size, sizeof(known)));
	err = run(&making, ret_plan ? &plan : NULL, &d);
	making_close_targets(&making, err != 0);
	image_done(&making.image);
	pool_free(making.pool);
	free(making.targets);
	if (err) {
		btrkit_mkfs_plan_free(plan);
		if (error && !d.err)
			diag_fail(&d, err, "%s", strerror(-err));
		return error ? content_error(error, &d) : err;
	}
	if (ret_plan)
		*ret_plan = plan;
	return 0;
}

int btrkit_mkfs(const struct btrkit_mkfs_options *options, struct btrkit_content *content,
		struct btrkit_mkfs_plan **ret_plan, struct btrkit_error *error)
{
	return make_filesystem(options, content, NULL, ret_plan, error);
}
