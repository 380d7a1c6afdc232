/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Btrfs has in use on the device, so that nothing is copied over it; and what of that is not in the image: it was written
 * after the conversion, and ends with Btrfs.
 *
 * A filesystem whose extent tree is damaged can still be rolled back, as superblocks' surroundings are never used for anything
 * else. All of its chunks then count as in use.
 */
#include "convert/inplace/rollback.h"
#include "kernel-shared/fs/inode.h"
#include "kernel-shared/format/leaf.h"

typedef unsigned long long ull;

/* --- Space in use ------------------------------------------------------------------------------------------------------ */

struct space_walk {
	struct rollback *rollback;
	struct device_ranges image; /* logical addresses of the pieces, merged */
	size_t next; /* the first that may touch what comes */
	u64 data_bytes, image_bytes;
};

/* How much of [logical, +len) the image has; ranges come ascending. */
static u64 bytes_of_image(struct space_walk *walk, u64 logical, u64 len)
{
	u64 bytes = 0;

	for (size_t i = walk->next; i < walk->image.list.len; i++) {
		const struct device_range *range = &walk->image.list.items[i];
		u64 from = MAX(range->physical, logical), to = MIN(range->physical + range->len, logical + len);

		if (range->physical >= logical + len)
			break;
		if (range->physical + range->len <= logical)
			walk->next = i + 1;
		else
			bytes += to - from;
	}
	return bytes;
}

static int take_used(void *ctx, const struct used_range *range, struct diag *d)
{
	struct space_walk *walk = ctx;
	struct device_ranges *used = &walk->rollback->used;

	if (used_range_on_device(range, walk->rollback->devid, used) < 0)
		return diag_no_memory(d, "the list of used ranges");
	if ((range->chunk->type & BLOCK_GROUP_TYPE_MASK) != BLOCK_GROUP_DATA)
		return 0;
	walk->data_bytes += range->len;
	walk->image_bytes += bytes_of_image(walk, range->logical, range->len);
	return 0;
}

static int take_log(void *ctx, const struct tree *tree, u64 offset, struct diag *d)
{
	(void)offset;
	return more_ranges_of_log(tree, ctx, d);
}

static int walk_extents(struct space_walk *walk, struct diag *d)
{
	struct btrkit_fs *fs = walk->rollback->fs;
	struct more_ranges log = { 0 };
	struct tree extents;
	int err = fs_for_each_log(fs, take_log, &log, d);

	if (err && err != -ENOMEM) {
		diag_note(d, DIAG_NOTE, "the log cannot be read: %s", d ? d->text : "");
		diag_clear(d);
		log.list.len = 0;
		err = 0;
	}
	if (!err)
		err = fs_tree(fs, EXTENT_TREE_OBJECTID, &extents, d);
	if (!err)
		err = used_ranges_walk(&extents, fs->volume->chunks, &log, take_used, walk, d);
	array_done(&log.list);
	return err;
}

/* All that may be in use: whole chunks, but for what lies on superblocks. */
static int take_chunks(struct rollback *rollback, struct diag *d)
{
	const struct chunk_map *chunks = rollback->fs->volume->chunks;

	rollback->used.list.len = 0;
	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);
		const struct used_range range = { chunk->logical, chunk->length, chunk };

		if (used_range_on_device(&range, rollback->devid, &rollback->used) < 0)
			return diag_no_memory(d, "the list of used ranges");
	}
	return 0;
}

static int list_image(const struct rollback *rollback, struct device_ranges *ranges, struct diag *d)
{
	array_for_each(&rollback->pieces, piece) {
		const struct device_range range = { .physical = piece->logical, .len = piece->len };

		if (array_push(&ranges->list, range) < 0)
			return diag_no_memory(d, "the pieces of the image");
	}
	device_ranges_merge(ranges);
	return 0;
}

static int find_used(struct rollback *rollback, struct diag *d)
{
	struct space_walk walk = { .rollback = rollback };
	int err = list_image(rollback, &walk.image, d);

	if (!err)
		err = walk_extents(&walk, d);
	array_done(&walk.image.list);
	rollback->is_used_known = !err;
	if (err == -EUCLEAN || err == -EIO || err == -ENOENT) {
		diag_note(d, DIAG_WARNING, "the extent tree cannot be read: %s; how much data would be lost is not known",
			  d ? d->text : "");
		diag_clear(d);
		rollback->plan.is_loss_unknown = true;
		err = take_chunks(rollback, d);
	} else if (!err) {
		rollback->plan.lost_data_bytes = walk.data_bytes - walk.image_bytes;
	}
	device_ranges_merge(&rollback->used);
	return err;
}

/* --- Subvolumes that were changed ----------------------------------------------------------------------------------------- */

struct change_search {
	u64 since; /* a generation */
	bool is_found;
};

static int look_for_change(void *ctx, struct tree_block *block, struct diag *d)
{
	struct change_search *search = ctx;

	(void)d;
	if (search->is_found || block->generation <= search->since)
		return 1;
	for (u32 slot = 0; block->level == 0 && slot < block->nritems && !search->is_found; slot++) {
		const struct disk_inode_item *item = leaf_item_data(block->data, slot);

		search->is_found = leaf_key(block->data, slot).type == INODE_ITEM_KEY &&
				   le64_get(item->transid) > search->since;
	}
	return 0;
}

/*
 * Each change of a file or directory leaves its transaction in an inode. Roots cannot tell: btrfs-convert makes the image first,
 * and its own files in later transactions, but leaves this field of inodes zero.
 */
static int count_subvol(void *ctx, const struct tree *tree, u64 offset, struct diag *d)
{
	struct rollback *rollback = ctx;
	struct change_search search = { .since = rollback->plan.generation_converted };
	const struct tree_walk walk = { .visit = look_for_change, .ctx = &search };
	int err;

	(void)offset;
	if (!tree_id_is_subvol(tree->id) || tree->id == SAVED_ROOT_ID || tree->generation <= search.since)
		return 0;
	err = tree_walk(tree, &walk, d);
	if (err == -EUCLEAN || err == -EIO) {
		diag_note(d, DIAG_WARNING, "subvolume %llu: %s; whether it was changed is not known", (ull)tree->id,
			  d ? d->text : "");
		diag_clear(d);
		rollback->plan.is_loss_unknown = true;
		err = 0;
	}
	if (!err && search.is_found)
		rollback->plan.nr_changed_subvols++;
	return err;
}

int rollback_count_losses(struct rollback *rollback, struct diag *d)
{
	int err = find_used(rollback, d);

	rollback->plan.generation_now = le64_get(rollback->fs->super.generation);
	if (!err)
		err = fs_for_each_root_item(&rollback->fs->root_tree, 0, count_subvol, rollback, d);
	rollback->plan.has_changes = rollback->plan.lost_data_bytes || rollback->plan.nr_changed_subvols;
	return err;
}
