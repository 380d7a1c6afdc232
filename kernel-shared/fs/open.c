/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening in stages, each of which needs only what the ones before it gave: devices -> superblock and features -> system
 * chunks -> chunk tree -> all chunks -> root tree -> the trees that reading needs. The extent tree is not among them.
 */
#include <uuid/uuid.h>

#include "kernel-shared/format/features.h"
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/format/super_check.h"
#include "kernel-shared/fs/foreign.h"
#include "kernel-shared/txn/txn.h"

typedef unsigned long long ull;

#define CACHE_BYTES_DEFAULT (64 * MIB)

void btrkit_fs_close(struct btrkit_fs *fs)
{
	if (!fs)
		return;
	if (fs->foreign)
		fs->foreign->close(fs->foreign_ctx);
	txn_free(fs->txn);
	block_cache_free(fs->cache);
	volume_free(fs->volume);
	array_done(&fs->roots);
	free(fs->partial_why);
	pthread_mutex_destroy(&fs->roots_lock);
	free(fs);
}

/* --- Stage 1: superblock -> volume with the system chunks, block cache ------------------------------------ */

static int judge_super(struct btrkit_fs *fs, struct diag *d)
{
	const struct disk_super *super = &fs->super;
	u64 transient = SUPER_FLAG_CHANGING_BG_TREE | SUPER_FLAG_CHANGING_DATA_CSUM | SUPER_FLAG_CHANGING_META_CSUM;
	u64 flags = le64_get(super->flags);
	int err = features_judge(le64_get(super->incompat_flags), le64_get(super->compat_ro_flags), &fs->is_read_only, d);

	if (err)
		return err;
	fs->csum = csum_kind_by_type(le16_get(super->csum_type));
	if (!fs->csum)
		return diag_fail(d, -EOPNOTSUPP, "checksum type %u is not known or not built in", le16_get(super->csum_type));
	if (flags & (SUPER_FLAG_METADUMP | SUPER_FLAG_METADUMP_V2))
		diag_note(d, DIAG_WARNING, "this is a metadata dump: file contents are not in it");
	if (flags & transient)
		diag_note(d, DIAG_WARNING, "a conversion of the checksums or of the block group tree was interrupted");
	return 0;
}

static int start_volume(struct btrkit_fs *fs, struct device_set *devices, size_t cache_bytes, struct diag *d)
{
	const struct disk_super *super = &fs->super;
	struct block_check_params check = {
		.nodesize = le32_get(super->nodesize),
		.sectorsize = le32_get(super->sectorsize),
		.csum_size_bytes = fs->csum->size_bytes,
		.super_generation = le64_get(super->generation),
	};
	struct chunk_map *chunks;
	int err = chunk_map_new(&chunks);

	if (err) {
		device_set_free(devices);
		return diag_no_memory(d, "the chunk map");
	}
	err = volume_new(devices, chunks, check.sectorsize, check.nodesize, &fs->volume, d);
	if (!err)
		err = sys_chunk_array_read(fs->volume->chunks, super, d);
	if (!err && block_cache_new(fs->volume, &check, fs->csum, super_metadata_fsid(super),
				    cache_bytes ? cache_bytes : CACHE_BYTES_DEFAULT, &fs->cache) < 0)
		err = diag_no_memory(d, "the block cache");
	return err;
}

/* A checker looks at what there is: the first thing that is damaged is kept to be told. */
static int accept_damage(struct btrkit_fs *fs, const struct fs_options *options, int err, struct diag *d)
{
	if (!options->may_be_partial || !d || (err != -EUCLEAN && err != -EIO && err != -ENOENT))
		return err;
	if (!fs->partial_why)
		fs->partial_why = strdup(d->text);
	diag_clear(d);
	return fs->partial_why ? 0 : -ENOMEM;
}

/* --- Stage 2: the chunk tree -------------------------------------------------------------------------------- */

/*
 * A device with the right id, but not the one that the filesystem has: it was removed once, and its id given to another.
 * It is closed, so that nothing is ever written to it.
 */
static void dismiss(struct device *device, const struct device *real, struct diag *d)
{
	diag_note(d, DIAG_WARNING, "%s: says that it is device %llu, but has another uuid: it is left out", device->dev->name,
		  (ull)device->devid);
	blockdev_close(device->dev);
	*device = *real;
}

/*
 * A seed that was changed since the filesystem grew from it no longer has what the filesystem expects there. Linux refuses to
 * mount then; to read what is left may still be of use.
 */
static void tell_of_changed_seed(const struct device *device, const struct disk_dev_item *item, struct diag *d)
{
	if (!device->is_seeding)
		diag_note(d, DIAG_WARNING, "%s: is no longer marked as a seed, though the filesystem grew from it",
			  device->dev->name);
	if (device->super_generation != le64_get(item->generation))
		diag_note(d, DIAG_WARNING,
			  "%s: was changed after the filesystem grew from it: generation %llu, it was %llu: what it holds cannot be relied on",
			  device->dev->name, (ull)device->super_generation, (ull)le64_get(item->generation));
}

static void tell_of_missing(const struct btrkit_fs *fs, const struct device *device, struct diag *d)
{
	char fsid[37];

	uuid_unparse_lower(device->fsid, fsid);
	if (device_fsid_is_seed(&fs->super, device->fsid))
		diag_note(d, DIAG_WARNING, "device %llu is missing: a seed, of filesystem %s", (ull)device->devid, fsid);
	else
		diag_note(d, DIAG_WARNING, "device %llu is missing", (ull)device->devid);
}

/* A device that the chunk tree names: it is there, or is found now if it belongs to a seed, or is missing. */
static int take_device_item(struct btrkit_fs *fs, const struct disk_dev_item *item, struct diag *d)
{
	struct device real = {
		.devid = le64_get(item->devid),
		.total_bytes = le64_get(item->total_bytes),
		.bytes_used = le64_get(item->bytes_used),
	};
	struct device_set *set = fs->volume->devices;
	struct device *there = device_set_find(set, real.devid, NULL);
	bool is_of_seed = device_fsid_is_seed(&fs->super, item->fsid);
	int err = 0;

	memcpy(real.uuid, item->uuid, UUID_SIZE);
	memcpy(real.fsid, item->fsid, UUID_SIZE);
	if (!there && is_of_seed) {
		err = device_set_find_seed(set, real.fsid, real.devid, real.uuid, le64_get(item->generation), d);
		if (err && err != -ENOENT)
			return err;
		err = 0;
		there = device_set_find(set, real.devid, NULL);
	}
	if (there && memcmp(there->uuid, real.uuid, UUID_SIZE) == 0) {
		if (is_of_seed && there->dev)
			tell_of_changed_seed(there, item, d);
		return 0;
	}
	if (there && there->dev)
		dismiss(there, &real, d);
	else if (!there)
		err = device_set_add(set, &real, d);
	tell_of_missing(fs, &real, d);
	return err;
}

/* Does the chunk tree name the device? -errno: it cannot be read. */
static int is_named_in_tree(struct btrkit_fs *fs, const struct device *device, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->chunk_tree);
	const struct key key = { DEV_ITEMS_OBJECTID, DEV_ITEM_KEY, device->devid };
	int err = cursor_find(&cursor, &key, d);

	return err < 0 ? err : err == 0;
}

/* A seed that was named, but is none of this filesystem, or is so no longer: nothing of it may be taken for the filesystem's. */
static int leave_out_strange_seeds(struct btrkit_fs *fs, struct diag *d)
{
	struct device_set *set = fs->volume->devices;

	for (size_t i = set->devices.len; i-- > 0;) {
		const struct device *device = &set->devices.items[i];
		int is_named;

		if (!device->dev || !device_fsid_is_seed(&fs->super, device->fsid))
			continue;
		is_named = is_named_in_tree(fs, device, d);
		if (is_named < 0)
			return is_named;
		if (is_named)
			continue;
		diag_note(d, DIAG_WARNING, "%s: is no seed of this filesystem: it is left out", device->dev->name);
		device_set_remove(set, device->devid);
	}
	return 0;
}

static bool is_under_chunk(const struct btrkit_fs *fs, const struct device *device)
{
	const struct chunk_map *chunks = fs->volume->chunks;

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++)
			if (chunk->stripe[s].devid == device->devid &&
			    memcmp(chunk->stripe[s].dev_uuid, device->uuid, UUID_SIZE) == 0)
				return true;
	}
	return false;
}

/*
 * A device that was removed while it was away, or of which nobody could wipe the superblocks, still says that it belongs here.
 * Where the item of one in use is lost, that is damage; the target of a replacement that goes on has none.
 */
static int put_removed_aside(struct btrkit_fs *fs, struct diag *d)
{
	struct device_set *set = fs->volume->devices;
	int err = 0;

	for (size_t i = set->devices.len; i-- > 0 && !err;) {
		const struct device *device = &set->devices.items[i];

		if (!device->dev || device->devid == DEV_REPLACE_DEVID || device_fsid_is_seed(&fs->super, device->fsid) ||
		    is_under_chunk(fs, device) || is_named_in_tree(fs, device, NULL))
			continue;
		diag_note(d, DIAG_WARNING, "%s: was removed from the filesystem, only its superblocks are left: it is not a device of it",
			  device->dev->name);
		err = device_set_put_aside(set, device->devid, d);
	}
	return err;
}

static int take_chunk_item(struct btrkit_fs *fs, const struct cursor *cursor, struct diag *d)
{
	const struct key key = cursor_key(cursor);

	if (key.type == DEV_ITEM_KEY)
		return take_device_item(fs, cursor_data(cursor), d);
	if (key.type == CHUNK_ITEM_KEY)
		return chunk_map_add_item(fs->volume->chunks, &key, cursor_data(cursor), cursor_data_bytes(cursor),
					  fs->volume->sectorsize, d);
	return 0;
}

static int learn_chunk_tree_uuid(struct btrkit_fs *fs, struct diag *d)
{
	const struct block_expect expect = {
		.logical = fs->chunk_tree.root_logical,
		.level = fs->chunk_tree.level,
		.generation = fs->chunk_tree.generation,
		.tree_id = CHUNK_TREE_OBJECTID,
	};
	_cleanup_(block_putp) struct tree_block *root = NULL;
	int err = block_get(fs->cache, &expect, &root, d);

	if (err)
		return err;
	block_cache_set_chunk_tree_uuid(fs->cache, block_header(root->data)->chunk_tree_uuid);
	return 0;
}

static int load_chunk_tree(struct btrkit_fs *fs, const struct fs_options *options, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	u64 root_override = options->chunk_root;
	int err;

	fs->chunk_tree = (struct tree){
		.cache = fs->cache,
		.id = CHUNK_TREE_OBJECTID,
		.root_logical = root_override ? root_override : le64_get(fs->super.chunk_root),
		.generation = root_override ? 0 : le64_get(fs->super.chunk_root_generation),
		.level = root_override ? -1 : fs->super.chunk_root_level,
	};
	err = learn_chunk_tree_uuid(fs, d);
	if (err)
		return diag_context(d, err, "chunk tree");
	cursor = cursor_init(&fs->chunk_tree);
	for (err = cursor_first(&cursor, d); err == 0; err = cursor_next(&cursor, d)) {
		int bad = accept_damage(fs, options, take_chunk_item(fs, &cursor, d), d);

		if (bad)
			return bad;
	}
	if (err == 1)
		err = leave_out_strange_seeds(fs, d);
	if (!err)
		err = put_removed_aside(fs, d);
	return err < 0 ? diag_context(d, err, "chunk tree") : 0;
}

/*
 * What a device holds that was away while the filesystem was changed is not what belongs there, and not all of it has a checksum
 * that would tell. Who changes a filesystem with missing devices has it missing, too.
 */
static void dismiss_stale(struct btrkit_fs *fs, struct diag *d)
{
	u64 newest = le64_get(fs->super.generation);

	array_for_each(&fs->volume->devices->devices, device) {
		if (!device->dev || device->super_generation + 1 >= newest || device_fsid_is_seed(&fs->super, device->fsid))
			continue;
		diag_note(d, DIAG_WARNING, "%s: is stale: it is left out, and device %llu is missing", device->dev->name,
			  (ull)device->devid);
		blockdev_close(device->dev);
		device->dev = NULL;
	}
}

/* --- Stage 3: the root tree --------------------------------------------------------------------------------- */

/* Can the root be read, and does it lead to the top subvolume? */
static int try_root_tree(struct btrkit_fs *fs, u64 logical, u64 generation, int level, struct diag *d)
{
	struct disk_root_item item;

	fs->root_tree = (struct tree){
		.cache = fs->cache,
		.id = ROOT_TREE_OBJECTID,
		.root_logical = logical,
		.generation = generation,
		.level = level,
	};
	return fs_root_item(fs, FS_TREE_OBJECTID, &item, d);
}

static int try_backup_roots(struct btrkit_fs *fs, struct diag *d)
{
	u64 below = le64_get(fs->super.generation) + 1;
	struct diag why = *d;

	for (unsigned n = 0; n < NUM_BACKUP_ROOTS; n++) {
		const struct disk_root_backup *best = NULL;
		u64 generation;

		for (unsigned i = 0; i < NUM_BACKUP_ROOTS; i++) {
			const struct disk_root_backup *backup = &fs->super.super_roots[i];

			generation = le64_get(backup->tree_root_gen);
			if (le64_get(backup->tree_root) && generation < below &&
			    (!best || generation > le64_get(best->tree_root_gen)))
				best = backup;
		}
		if (!best)
			break;
		below = generation = le64_get(best->tree_root_gen);
		if (try_root_tree(fs, le64_get(best->tree_root), generation, best->tree_root_level, &why) == 0) {
			diag_note(d, DIAG_WARNING, "%s; using the backup root of generation %llu", d->text,
				  (ull)generation);
			diag_clear(d);
			return 0;
		}
	}
	return d->err;
}

static int load_root_tree(struct btrkit_fs *fs, const struct fs_options *options, struct diag *d)
{
	int err;

	if (options->tree_root)
		return try_root_tree(fs, options->tree_root, 0, -1, d);
	err = try_root_tree(fs, le64_get(fs->super.root), le64_get(fs->super.generation), fs->super.root_level, d);
	if (err && err != -ENOMEM && options->use_backup_roots && d)
		err = try_backup_roots(fs, d);
	return err ? diag_context(d, err, "root tree") : 0;
}

/* --- Stage 4: what else reading needs ------------------------------------------------------------------------ */

static void load_csum_tree(struct btrkit_fs *fs, struct diag *d)
{
	if (fs->ignore_data_csums)
		return;
	fs->has_csum_tree = fs_tree(fs, CSUM_TREE_OBJECTID, &fs->csum_tree, d) == 0;
	if (!fs->has_csum_tree) {
		diag_note(d, DIAG_WARNING, "the checksum tree cannot be found (%s): file data cannot be verified",
			  d ? d->text : "");
		diag_clear(d);
	}
}

void fs_load_default_subvol(struct btrkit_fs *fs, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	const struct key key = { ROOT_TREE_DIR_OBJECTID, DIR_ITEM_KEY, name_hash("default", 7) };

	fs->default_subvol = FS_TREE_OBJECTID;
	if (cursor_find(&cursor, &key, d) == 0) {
		const struct disk_dir_item *item = cursor_data(&cursor);

		if (tree_id_is_subvol(le64_get(item->location.objectid)))
			fs->default_subvol = le64_get(item->location.objectid);
	}
	diag_clear(d); /* without the entry the top is the default */
}

static int open_stages(struct btrkit_fs *fs, struct device_set *devices, const struct fs_options *options,
		       struct diag *d)
{
	int err = judge_super(fs, d);

	if (err) {
		device_set_free(devices);
		return err;
	}
	err = start_volume(fs, devices, options->cache_bytes, d);
	if (!err)
		err = accept_damage(fs, options, load_chunk_tree(fs, options, d), d);
	if (!err && options->is_writable && options->may_be_degraded)
		dismiss_stale(fs, d);
	if (!err && options->refuse_missing && device_set_nr_missing(fs->volume->devices))
		err = diag_fail(d, -ENODEV, "%zu of %zu devices are missing", device_set_nr_missing(fs->volume->devices),
				fs->volume->devices->devices.len);
	if (!err)
		err = accept_damage(fs, options, load_root_tree(fs, options, d), d);
	if (err)
		return err;
	load_csum_tree(fs, d);
	fs_load_default_subvol(fs, d);
	if (le64_get(fs->super.log_root) && !options->knows_log)
		diag_note(d, DIAG_WARNING, "there is a log that has not been replayed: the newest fsynced changes are not seen");
	return 0;
}

/* --- Opening to change ---------------------------------------------------------------------------------------- */

int fs_begin_changes(struct btrkit_fs *fs, bool has_log_plan, struct diag *d)
{
	const struct txn_target target = {
		.volume = fs->volume,
		.cache = fs->cache,
		.csum = fs->csum,
		.super = &fs->super,
		.root_tree = &fs->root_tree,
		.chunk_tree = &fs->chunk_tree,
		.may_be_degraded = fs->may_be_degraded,
		.may_reach_beyond = fs->may_reach_beyond,
		.is_sprouting = fs->is_sprouting,
	};
	_cleanup_(txn_freep) struct txn *txn = NULL;
	struct tree_root *csums;
	int err;

	if (fs->is_read_only)
		return diag_fail(d, -EROFS, "the filesystem has compat_ro features that are not known here: it must not be changed");
	if (fs->partial_why)
		return diag_fail(d, -EUCLEAN, "%s", fs->partial_why);
	err = txn_new(&target, has_log_plan, &txn, d);
	if (!err)
		err = txn_tree(txn, CSUM_TREE_OBJECTID, &csums, d);
	if (err)
		return err;
	csums->published = &fs->csum_tree;
	fs->csum_tree = csums->tree;
	fs->has_csum_tree = true;
	fs->txn = take_ptr(txn);
	return 0;
}

void fs_end_changes(struct btrkit_fs *fs)
{
	txn_free(fs->txn);
	fs->txn = NULL;
	array_done(&fs->roots);
}

int fs_open_devices(struct device_set *devices, const struct fs_options *options, struct btrkit_fs **ret_fs,
		    struct diag *d)
{
	_cleanup_(btrkit_fs_closep) struct btrkit_fs *fs = calloc(1, sizeof(*fs));
	int err;

	if (!fs) {
		device_set_free(devices);
		return diag_no_memory(d, "the filesystem");
	}
	pthread_mutex_init(&fs->roots_lock, NULL);
	fs->super = devices->super;
	fs->ignore_data_csums = options->ignore_data_csums;
	fs->may_be_degraded = options->may_be_degraded;
	fs->note = options->note;
	err = open_stages(fs, devices, options, d);
	if (!err && options->is_writable)
		err = fs_begin_changes(fs, false, d);
	if (err)
		return err;
	*ret_fs = take_ptr(fs);
	return 0;
}
