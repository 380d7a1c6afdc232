/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Rolling back: the steps in their order, what forbids them, and the public door. */
#include <stdio.h>

#include "common/base/checked.h"
#include "convert/inplace/rollback.h"
#include "kernel-shared/build/job.h"
#include "kernel-shared/device/file_device.h"

typedef unsigned long long ull;

/* How many places a text names; notes name more of them. */
#define NAMED_MAX 3
#define NOTED_MAX 20

/* --- What must not be in the way ------------------------------------------------------------------------------------------ */

/* Bytes of [from, to) that Btrfs has in use; @first: where they begin. */
static u64 used_bytes_in(const struct rollback *rollback, u64 from, u64 to, u64 *ret_first)
{
	size_t at = array_lower_bound(&rollback->used.list, it, it->physical + it->len <= from);
	u64 bytes = 0;

	for (; at < rollback->used.list.len && rollback->used.list.items[at].physical < to; at++) {
		const struct device_range *range = &rollback->used.list.items[at];
		u64 start = MAX(from, range->physical);

		if (!bytes)
			*ret_first = start;
		bytes += MIN(to, range->physical + range->len) - start;
	}
	return bytes;
}

struct occupied {
	u64 bytes;
	unsigned nr;
	char text[NAMED_MAX * 64];
};

static void note_occupied(const struct rollback *rollback, u64 from, u64 to, struct occupied *occupied)
{
	u64 first = 0, bytes = used_bytes_in(rollback, from, to, &first);
	size_t len = strlen(occupied->text);

	if (!bytes)
		return;
	if (occupied->nr++ < NAMED_MAX)
		snprintf(occupied->text + len, sizeof(occupied->text) - len, "%s%llu at %llu", len ? ", " : "", (ull)bytes,
			 (ull)first);
	occupied->bytes += bytes;
}

/* Nothing may be written to where Btrfs has something, which must be whole until the end. */
static int check_room(struct rollback *rollback, struct diag *d)
{
	struct occupied occupied = { 0 };

	array_for_each(&rollback->pieces, piece) {
		/* Without an extent tree: nothing is ever allocated where pieces were moved away from superblocks. */
		if (piece->place == PIECE_HOME || (piece->place == PIECE_RESERVED && !rollback->is_used_known))
			continue;
		note_occupied(rollback, piece->offset, MIN(piece->offset + piece->len, rollback->image_bytes), &occupied);
	}
	for (unsigned mirror = 0; mirror < super_mirror_count(rollback->dev->size_bytes) && rollback->is_used_known; mirror++)
		note_occupied(rollback, super_mirror_physical(mirror), super_mirror_physical(mirror) + SUPER_INFO_SIZE, &occupied);
	rollback->plan.occupied_bytes = occupied.bytes;
	if (!occupied.bytes)
		return 0;
	return diag_fail(d, -EXDEV,
			 "%llu bytes of the image were moved by a balance, and where they belong Btrfs has %llu bytes in %u places "
			 "(%s%s): without room for them it cannot be rolled back",
			 (ull)rollback->plan.relocated_bytes, (ull)occupied.bytes, occupied.nr, occupied.text,
			 occupied.nr > NAMED_MAX ? ", ..." : "");
}

/*
 * Is Btrfs as long as the saved filesystem, but for an end that it cannot use? Any file may have the image's name, in a filesystem
 * that never was another one. Mostly that shows in where its data is; of an empty filesystem all is near its beginning.
 */
static bool is_as_long(const struct rollback *rollback)
{
	u64 total_bytes = le64_get(rollback->fs->super.total_bytes);

	return total_bytes <= rollback->image_bytes && rollback->image_bytes - total_bytes < 64 * KIB;
}

/* What a balance has moved goes home only if that is asked for. */
static int judge_relocated(struct rollback *rollback, struct diag *d)
{
	const struct image_piece *first = NULL;
	size_t nr = 0;
	bool is_any_home = false;

	array_for_each(&rollback->pieces, piece) {
		is_any_home |= piece->place == PIECE_HOME;
		if (piece->place != PIECE_RELOCATED)
			continue;
		if (!first)
			first = piece;
		if (nr++ < NOTED_MAX)
			diag_note(d, DIAG_NOTE, "moved: %llu bytes of the image at %llu, to logical %llu", (ull)piece->len,
				  (ull)piece->offset, (ull)piece->logical);
	}
	if (nr > NOTED_MAX)
		diag_note(d, DIAG_NOTE, "moved: %zu further pieces", nr - NOTED_MAX);
	if (!is_any_home && (nr || !is_as_long(rollback)))
		return diag_fail(d, -EXDEV, "nothing of the image lies where it belongs: it was moved entirely, or never was the "
					    "filesystem on this device");
	if (!nr || rollback->do_relocate)
		return 0;
	return diag_fail(d, -EXDEV,
			 "a balance has moved %llu bytes of the image in %zu pieces, the first are the %llu bytes at %llu; they have to "
			 "be moved home (--relocate)",
			 (ull)rollback->plan.relocated_bytes, nr, (ull)first->len, (ull)first->offset);
}

/* --- The steps ----------------------------------------------------------------------------------------------------------- */

static int take_device(struct rollback *rollback, struct diag *d)
{
	const struct disk_super *super = &rollback->fs->super;
	const struct device_set *devices = rollback->fs->volume->devices;

	if (le64_get(super->num_devices) != 1 || devices->devices.len != 1 || !devices->devices.items[0].dev)
		return diag_fail(d, -EXDEV, "the filesystem has %llu devices: one was added after the conversion; remove it first",
				 (ull)MAX(le64_get(super->num_devices), (u64)devices->devices.len));
	if (le64_get(super->flags) & SUPER_FLAG_SEEDING)
		return diag_fail(d, -EXDEV, "the filesystem is a seed: others may have grown from it");
	rollback->dev = devices->devices.items[0].dev;
	rollback->devid = devices->devices.items[0].devid;
	return 0;
}

static int plan(struct rollback *rollback, struct diag *d)
{
	int err = take_device(rollback, d);

	if (!err && le64_get(rollback->fs->super.log_root))
		diag_note(d, DIAG_NOTE, "there is a log that has not been replayed: it is thrown away, too");
	if (!err)
		err = rollback_find_image(rollback, d);
	if (!err)
		err = rollback_judge_saved(rollback, d);
	if (!err)
		err = rollback_count_losses(rollback, d);
	if (!err)
		err = judge_relocated(rollback, d);
	return err ? err : check_room(rollback, d);
}

int rollback_run(struct rollback *rollback, struct pool *pool, bool is_dry_run, struct cancel *cancel, struct diag *d)
{
	int err;

	progress_begin(rollback->progress, "plan", 0, 0);
	err = plan(rollback, d);
	if (!err)
		err = rollback_verify(rollback, pool, d);
	if (!err)
		err = cancel_check(cancel, d);
	if (err || is_dry_run)
		return err;
	return rollback_restore(rollback, d);
}

/* --- The public door ------------------------------------------------------------------------------------------------------ */

static int open_fs(const struct btrkit_rollback_options *options, struct btrkit_fs **ret_fs, struct diag *d)
{
	struct btrkit_open_options open;

	if (!options->path)
		return diag_fail(d, -EINVAL, "no device was named");
	btrkit_open_options_init(&open);
	open.is_exclusive = open.no_device_scan = open.knows_log = true;
	open.note = options->note;
	open.note_arg = options->note_arg;
	return options->is_dry_run ? fs_open_paths(&options->path, 1, &open, false, ret_fs, d)
				   : fs_open_for_log(&options->path, 1, &open, ret_fs, d);
}

static int roll_back(const struct btrkit_rollback_options *options, struct rollback *rollback, struct diag *d)
{
	_cleanup_(btrkit_fs_closep) struct btrkit_fs *fs = NULL;
	_cleanup_(pool_freep) struct pool *pool = NULL;
	struct cancel *cancel = options->job ? &options->job->cancel : NULL;
	int err = open_fs(options, &fs, d);

	if (err)
		return err;
	if (pool_new(options->threads, cancel, &pool) < 0)
		return diag_no_memory(d, "threads");
	rollback->fs = fs;
	return rollback_run(rollback, pool, options->is_dry_run, cancel, d);
}

void btrkit_rollback_options_init_size(struct btrkit_rollback_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
}

int btrkit_convert_rollback(const struct btrkit_rollback_options *options, struct btrkit_rollback_plan *ret_plan,
			    struct btrkit_error *error)
{
	_cleanup_(rollback_done) struct rollback rollback = { 0 };
	struct btrkit_rollback_options taken;
	struct fs_note note;
	struct diag d;
	int err;

	btrkit_rollback_options_init(&taken);
	memcpy(&taken, options, MIN(options->struct_size, sizeof(taken)));
	rollback.no_verify = taken.no_verify;
	rollback.do_relocate = taken.do_relocate;
	rollback.progress = taken.job ? &taken.job->progress : NULL;
	note = (struct fs_note){ taken.note, taken.note_arg };
	fs_diag_init(&note, &d);
	err = roll_back(&taken, &rollback, &d);
	if (ret_plan)
		*ret_plan = rollback.plan;
	return fs_error(error, &d, err);
}
