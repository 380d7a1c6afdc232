/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* btrkit_convert(): the steps in their order. */
#include "convert/inplace/conversion.h"
#include "convert/inplace/sources.h"
#include "convert/inplace/unreadable_device.h"
#include "convert/inplace/verify.h"
#include "kernel-shared/build/job.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/super.h"

void btrkit_convert_options_init_size(struct btrkit_convert_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
}

void conversion_done(struct conversion *c)
{
	c->making.image.content = NULL;
	image_done(&c->making.image);
	placed_data_done(&c->placed);
	space_plan_done(&c->space);
	gathered_done(&c->gathered);
	array_done(&c->used.list);
	array_done(&c->unreadable.nodes);
	array_done(&c->unreadable.known.list);
	free(c->saved_name);
	source_close(c->source);
	blockdev_close(c->unreadable.dev);
	pool_free(c->pool);
}

static bool is_cancelled(const struct conversion *c)
{
	return c->options->job && atomic_load(&c->options->job->cancel.is_requested);
}

/* The source says it with each scan. */
static void take_left_out(void *ctx, const char *path, const char *why)
{
	struct conversion *c = ctx;
	const struct btrkit_convert_loss loss = { .path = path, .why = why, .is_left_out = true };

	if (!c->is_planned)
		conversion_tell_loss(c, &loss);
}

static int open_source(struct conversion *c, struct diag *d)
{
	const struct source_options options = {
		.do_skip_unsupported = c->options->do_skip_unsupported,
		.whole_journal = true,
		.no_xattrs = c->options->no_xattrs,
		.left_out = take_left_out,
		.left_out_ctx = c,
	};
	struct super_choice choice;
	int err = sources_open(c->dev, &options, &c->source, d);

	if (err == -EMEDIUMTYPE && super_read(c->dev, 0, &choice, NULL) == 0) {
		diag_clear(d);
		return diag_fail(d, -EMEDIUMTYPE, "%s: is Btrfs already", c->dev->name);
	}
	if (!err && c->source->info.total_bytes > c->dev->size_bytes)
		err = diag_fail(d, -EUCLEAN, "%s: has %llu bytes, the filesystem on it says %llu", c->dev->name,
				(unsigned long long)c->dev->size_bytes, (unsigned long long)c->source->info.total_bytes);
	return err;
}

static int plan(struct conversion *c, struct diag *d)
{
	struct cancel *cancel = c->options->job ? &c->options->job->cancel : NULL;
	int err = open_source(c, d);

	if (!err && pool_new(c->options->threads, cancel, &c->pool) < 0)
		err = diag_no_memory(d, "threads");
	if (!err)
		err = conversion_read_options(c, d);
	if (!err)
		err = conversion_make_plan(c, d);
	c->is_planned = true;
	return err;
}

static u64 btrfs_ino(void *ctx, u64 source_ino)
{
	const struct conversion *c = ctx;

	return gathered_ino(&c->gathered, source_ino);
}

struct moved_list {
	ARRAY(struct convert_moved) list;
};

/* What the image has elsewhere; newer contents, from the journal, are found by comparing them. */
static int list_moved(const struct conversion *c, struct moved_list *moved, struct diag *d)
{
	array_for_each(&c->placed.moves, move)
		if (move->is_in_image &&
		    array_push(&moved->list, (struct convert_moved){ move->physical, move->len, move->logical }) < 0)
			return diag_no_memory(d, "what was moved");
	return 0;
}

static int verify_built(struct conversion *c, struct btrkit_fs *fs, struct diag *d)
{
	struct moved_list moved = { 0 };
	struct verify_input input = {
		.source = c->source,
		.dev = c->dev,
		.fs = fs,
		.btrfs_ino = btrfs_ino,
		.ctx = c,
		.saved_name = c->saved_name,
		.has_csums = c->placed.has_csums,
		.no_xattrs = c->options->no_xattrs,
		.do_data = c->options->verify == BTRKIT_CONVERT_VERIFY_FULL && c->placed.has_csums,
		.threads = c->options->threads,
		.pool = c->pool,
		.job = c->options->job,
		.unreadable = c->placed.unreadable.items,
		.nr_unreadable = c->placed.unreadable.len,
		.csummed_bytes = placed_read_bytes(&c->placed),
	};
	int err = list_moved(c, &moved, d);

	input.moved = moved.list.items;
	input.nr_moved = moved.list.len;
	if (!err)
		err = convert_verify(&input, d);
	array_done(&moved.list);
	return err;
}

static int verify(struct conversion *c, struct diag *d)
{
	_cleanup_(btrkit_fs_closep) struct btrkit_fs *fs = NULL;
	int err;

	if (c->options->verify == BTRKIT_CONVERT_VERIFY_NONE)
		return 0;
	/* What proves it needs memory of its own. */
	c->making.image.content = NULL;
	gathered_keep_inos(&c->gathered);
	err = conversion_open_built(c, &fs, d);
	return err ? err : verify_built(c, fs, d);
}

/* All that can be given up at any time. */
static int prepare(struct conversion *c, struct diag *d)
{
	int err = plan(c, d);

	if (err || c->options->is_dry_run)
		return err;
	if (is_cancelled(c))
		return -ECANCELED;
	err = conversion_build(c, d);
	if (!err)
		err = verify(c, d);
	return !err && is_cancelled(c) ? -ECANCELED : err;
}

/* Reading through a layer that will know what cannot be read. */
static int prepare_to_skip(struct conversion *c, struct diag *d)
{
	if (!c->options->do_skip_unreadable)
		return 0;
	if (c->options->no_datasum)
		return diag_fail(d, -EINVAL, "unreadable blocks cannot be skipped without checksums of data, which are what tells of them later");
	if (unreadable_device_new(c->dev, &c->unreadable.known, &c->unreadable.dev) < 0)
		return diag_no_memory(d, "the device");
	c->dev = c->unreadable.dev;
	return 0;
}

static int run(struct conversion *c, struct diag *d)
{
	int err = prepare_to_skip(c, d);

	if (!err)
		err = conversion_finish_flip(c, d);
	if (err <= 0)
		return err;
	err = prepare(c, d);
	if (err == -ECANCELED) {
		diag_clear(d);
		return diag_fail(d, err, "interrupted: nothing was changed");
	}
	if (err || c->options->is_dry_run)
		return err;
	progress_begin(c->progress, "flip", 0, 0);
	return conversion_flip(c, d);
}

int convert_device(const struct btrkit_convert_options *options, struct blockdev *dev,
		   struct btrkit_convert_plan *ret_plan, struct diag *d)
{
	struct conversion c = {
		.options = options,
		.dev = dev,
		.progress = options->job ? &options->job->progress : NULL,
	};
	int err = run(&c, d);

	if (ret_plan)
		*ret_plan = c.plan;
	conversion_done(&c);
	return err;
}

/* --- The public door ---------------------------------------- */

int btrkit_convert(const struct btrkit_convert_options *options, struct btrkit_convert_plan *ret_plan,
		   struct btrkit_error *error)
{
	struct btrkit_convert_options known = { 0 };
	struct blockdev *dev = NULL;
	struct fs_note note;
	struct diag d;
	int err;

	memcpy(&known, options, MIN(options->struct_size, sizeof(known)));
	note = (struct fs_note){ known.note, known.note_arg };
	fs_diag_init(&note, &d);
	err = known.path ? file_device_check_not_mounted(known.path, &d) : diag_fail(&d, -EINVAL, "no device was named");
	if (!err)
		err = file_device_open(known.path, FILE_DEVICE_EXCLUSIVE | (known.is_dry_run ? 0 : FILE_DEVICE_WRITE), 0, 0, &dev, &d);
	if (!err)
		err = convert_device(&known, dev, ret_plan, &d);
	blockdev_close(dev);
	return fs_error(error, &d, err);
}
