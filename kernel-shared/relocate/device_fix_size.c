/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sizes that do not agree: of devices in their items, in the superblocks, and as they are; and the sum of them. A device that was
 * made smaller under the filesystem loses the chunks at its end first, as far as they can go elsewhere.
 */
#include "common/base/checked.h"
#include "kernel-shared/relocate/evacuate.h"
#include "kernel-shared/relocate/lost_bytes.h"
#include "kernel-shared/relocate/lost_files.h"

typedef unsigned long long ull;

/* --- What is lost ---------------------------------------- */

/* So many files are named; who wants all of them asks for them. */
#define NAMED_FILES_MAX 10

struct loss {
	const struct volume *volume;
	const struct chunk *chunk; /* the one that is looked at */
	u64 bytes; /* in use, of which no copy lies within its device */
	u64 metadata_bytes; /* of them */
	u64 nr_chunks, first_chunk;
};

static int count_lost(void *ctx, u64 logical, u64 len, struct diag *d)
{
	struct loss *loss = ctx;
	u64 first;

	(void)d;
	loss->bytes += chunk_lost_bytes(loss->volume, loss->chunk, logical, len, &first);
	return 0;
}

static int count_lost_of(struct loss *loss, struct txn *txn, struct diag *d)
{
	const struct chunk *chunk = loss->chunk;
	u64 used = 0, before = loss->bytes;
	int err = txn_group_used_bytes(txn, chunk->logical, &used, d);

	if (!err && used)
		err = txn_for_each_used(txn, chunk->logical, count_lost, loss, d);
	if (loss->bytes == before)
		return err;
	if (loss->nr_chunks++ == 0)
		loss->first_chunk = chunk->logical;
	if (chunk->type & (BLOCK_GROUP_METADATA | BLOCK_GROUP_SYSTEM))
		loss->metadata_bytes += loss->bytes - before;
	return err;
}

struct naming {
	struct diag *d;
	u64 nr;
};

static int name_file(void *arg, const struct btrkit_lost_file *file)
{
	struct naming *naming = arg;

	if (naming->nr++ >= NAMED_FILES_MAX)
		return 0;
	if (file->path)
		diag_note(naming->d, DIAG_WARNING, "%s: %llu bytes lie behind the end, the first of them at %llu in the file", file->path,
			  (ull)file->lost_bytes, (ull)file->first_offset);
	else
		diag_note(naming->d, DIAG_WARNING, "inode %llu of subvolume %llu, which was deleted: %llu bytes lie behind the end",
			  (ull)file->ino, (ull)file->subvol, (ull)file->lost_bytes);
	return 0;
}

/* What is lost of the metadata may be what would tell; the refusal stands without names. */
static void name_files(struct device_change *change)
{
	struct diag why = { 0 };
	struct naming naming = { .d = &change->d };
	int err = fs_for_each_lost_file(change->fs, name_file, &naming, &why);

	if (naming.nr > NAMED_FILES_MAX)
		diag_note(&change->d, DIAG_WARNING, "and %llu more files: btrkit device lost names all of them",
			  (ull)naming.nr - NAMED_FILES_MAX);
	if (err)
		diag_note(&change->d, DIAG_WARNING, "there may be more files: %s", why.text);
}

/* Nothing is given up here: what has no copy within its device is told, and left. */
static int refuse_what_is_lost(struct device_change *change, u64 end_bytes)
{
	const struct volume *volume = change->fs->volume;
	struct loss loss = { .volume = volume };
	int err = 0;

	for (size_t i = 0; i < chunk_map_count(volume->chunks) && !err; i++) {
		loss.chunk = chunk_map_at(volume->chunks, i);
		if (!chunk_is_whole(volume, loss.chunk))
			err = count_lost_of(&loss, change->fs->txn, &change->d);
	}
	if (err || loss.bytes == 0)
		return err;
	name_files(change);
	return diag_fail(&change->d, -ENODATA,
			 "it ends at %llu, and %llu bytes that are in use, %llu of them metadata, in %llu chunks, the first of "
			 "them %llu, lie behind that and nowhere else: make the device as large as it was, or get the files with btrkit "
			 "restore",
			 (ull)end_bytes, (ull)loss.bytes, (ull)loss.metadata_bytes, (ull)loss.nr_chunks,
			 (ull)loss.first_chunk);
}

/* --- One device ---------------------------------------- */

struct fixing {
	struct device_change change;
	struct space_model model;
	u64 total_bytes; /* of all devices, as it shall be */
	bool is_wrong; /* there is something to mend */
};

static u64 whole_sectors(const struct fixing *fixing, u64 bytes)
{
	return round_down_u64(bytes, fixing->change.fs->volume->sectorsize);
}

/* What the filesystem can have of a device: what it has, all that its chunks take, but no more than there is. */
static u64 right_size(const struct fixing *fixing, const struct device *device)
{
	u64 item_bytes = txn_device_bytes(fixing->change.fs->txn, device->devid);
	u64 end = space_model_end(&fixing->model, device->devid);
	u64 host = whole_sectors(fixing, device->dev->size_bytes);

	return MIN(whole_sectors(fixing, MAX(item_bytes, end)), host);
}

static int plan_device(struct fixing *fixing, const struct device *device)
{
	struct device_change *change = &fixing->change;
	u64 item_bytes = txn_device_bytes(change->fs->txn, device->devid), right = item_bytes;
	struct btrkit_device_change *row = device_plan_find(change->plan, device->devid);
	int err = 0;

	if (device->dev && !device_fsid_is_seed(&change->fs->super, device->fsid)) {
		right = right_size(fixing, device);
		fixing->is_wrong |= device->total_bytes != item_bytes;
		if (space_model_end(&fixing->model, device->devid) > right)
			err = refuse_what_is_lost(change, right);
		if (!err)
			err = evacuate_plan(&fixing->model, device->devid, right, change->plan, &change->d);
	}
	fixing->is_wrong |= right != item_bytes;
	fixing->total_bytes += right;
	row->total_bytes_before = item_bytes;
	row->total_bytes_after = right;
	return err ? diag_context(&change->d, err, "device %llu", (ull)device->devid) : 0;
}

static int plan(struct fixing *fixing)
{
	struct device_change *change = &fixing->change;
	int err = space_model_init(&fixing->model, change->fs, &change->d);

	fixing->model.is_cut = true;
	array_for_each (&change->fs->volume->devices->devices, device)
		if (!err && txn_has_device(change->fs->txn, device->devid))
			err = plan_device(fixing, device);
	fixing->is_wrong |= fixing->total_bytes != le64_get(change->fs->super.total_bytes);
	if (!err)
		device_plan_set_after(change->plan, fixing->model.chunks);
	return err;
}

/* --- Doing it ---------------------------------------- */

static bool is_ours(const struct btrkit_fs *fs, const struct btrkit_device_change *row)
{
	const struct device *device = device_set_find(fs->volume->devices, row->devid, NULL);

	return device && device->dev && !device_fsid_is_seed(&fs->super, device->fsid);
}

static int execute(struct fixing *fixing)
{
	struct device_change *change = &fixing->change;
	struct btrkit_fs *fs = change->fs;
	int err = 0;

	progress_begin(change->relocate.progress, "move", change->plan->info.move_bytes, change->plan->steps.len);
	array_for_each (&change->plan->devices, row)
		if (!err && is_ours(fs, row))
			err = txn_limit_device(fs->txn, row->devid, row->total_bytes_after, &change->d);
	array_for_each (&change->plan->devices, row)
		if (!err && is_ours(fs, row))
			err = evacuate(change, row->devid, row->total_bytes_after);
	array_for_each (&change->plan->devices, row)
		if (!err && is_ours(fs, row))
			err = txn_resize_device(fs->txn, row->devid, row->total_bytes_after, &change->d);
	if (err)
		return err;
	le64_put(&txn_super(fs->txn)->total_bytes, fixing->total_bytes);
	err = device_change_commit(change);
	if (!err)
		device_plan_set_after(change->plan, fs->volume->chunks);
	return err;
}

int btrkit_device_fix_size(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
			   struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	struct fixing fixing = { .change.may_reach_beyond = true };
	int err = device_change_begin(&fixing.change, "fix-size", paths, nr_paths, options);

	if (!err)
		err = plan(&fixing);
	if (!err && fixing.is_wrong && !fixing.change.options.is_dry_run)
		err = execute(&fixing);
	space_model_done(&fixing.model);
	return device_change_end(&fixing.change, err, ret_plan, error);
}
