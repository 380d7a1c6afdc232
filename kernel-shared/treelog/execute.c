/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/treelog/execute.h"

#include <sys/stat.h>
#include <time.h>

#include "common/base/checked.h"
#include "kernel-shared/format/file_type.h"
#include "kernel-shared/fs/edit_items.h"
#include "kernel-shared/space/csum_range.h"

typedef unsigned long long ull;

/* Sectors whose checksums are looked up in one go. */
#define CSUM_BATCH 4096

struct executing {
	const struct plan *plan;
	struct btrkit_fs *fs;
	struct btrkit_time now;
	struct subvol_edit subvol; /* that the steps are at; id 0: none yet */
	struct csum_geometry csums;
	struct tree_root *csum_root;
	u8 *batch; /* CSUM_BATCH checksums, and after them as many bools */
};

/* --- Inodes: the items of the log go in as they are, which is not what a file operation would write ------------------------- */

/* Call @change with the inode's item, in place. */
typedef void (*change_inode_fn)(struct disk_inode_item *item, const void *arg);

static int change_inode(struct executing *x, u64 ino, change_inode_fn change, const void *arg, struct diag *d)
{
	const struct key key = { ino, INODE_ITEM_KEY, 0 };
	struct edit edit = edit_init(x->subvol.root);
	int err = edit_seek(&edit, &key, d);

	if (err == 1)
		err = diag_fail(d, -EUCLEAN, "subvolume %llu: inode %llu is not there", (ull)x->subvol.id, (ull)ino);
	if (!err && edit_data_bytes(&edit) != sizeof(struct disk_inode_item))
		err = diag_fail(d, -EUCLEAN, "subvolume %llu: inode %llu has an item of %u bytes", (ull)x->subvol.id, (ull)ino,
				edit_data_bytes(&edit));
	if (!err)
		change(edit_data(&edit), arg);
	edit_done(&edit);
	return err;
}

static void add_size(struct disk_inode_item *item, const void *arg)
{
	le64_put(&item->size, le64_get(item->size) + (u64)*(const s64 *)arg);
}

static void add_nbytes(struct disk_inode_item *item, const void *arg)
{
	le64_put(&item->nbytes, le64_get(item->nbytes) + (u64)*(const s64 *)arg);
}

/* Linux takes the loss of a name for a change, of the moment of the replay. */
static void set_ctime(struct disk_inode_item *item, const void *arg)
{
	time_pack(&item->ctime, arg);
}

static void set_nlink(struct disk_inode_item *item, const void *arg)
{
	le32_put(&item->nlink, *(const u32 *)arg);
}

/* What extents and names come to is counted as they come and go. */
static void set_fields(struct disk_inode_item *item, const void *arg)
{
	const struct disk_inode_item old = *item;

	memcpy(item, arg, sizeof(*item));
	item->nbytes = old.nbytes;
	if (S_ISDIR(le32_get(item->mode)))
		item->size = old.size;
}

/* What steps before it did to the rest must last, as they may have set its change time. */
static void set_size(struct disk_inode_item *item, const void *arg)
{
	const struct disk_inode_item *planned = arg;

	item->size = planned->size;
}

static int create_inode(struct executing *x, u64 ino, const struct disk_inode_item *logged, struct diag *d)
{
	const struct key key = { ino, INODE_ITEM_KEY, 0 };
	struct edit edit = edit_init(x->subvol.root);
	struct disk_inode_item item = *logged;
	int err;

	le64_put(&item.nbytes, 0);
	if (S_ISDIR(le32_get(item.mode)))
		le64_put(&item.size, 0);
	err = edit_put(&edit, &key, &item, sizeof(item), d);
	edit_done(&edit);
	return err;
}

static int read_inode(struct executing *x, u64 ino, struct disk_inode_item *ret_item, struct diag *d)
{
	const struct key key = { ino, INODE_ITEM_KEY, 0 };
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(subvol_tree(&x->subvol));
	int err = cursor_find(&cursor, &key, d);

	if (err == 1)
		return diag_fail(d, -EUCLEAN, "subvolume %llu: inode %llu is not there", (ull)x->subvol.id, (ull)ino);
	if (!err)
		memcpy(ret_item, cursor_data(&cursor), sizeof(*ret_item));
	return err;
}

/* --- Names ------------------------------------------------------------------------------------------------------------------ */

static int link_name(struct executing *x, const struct plan_step *step, const struct name *name, struct diag *d)
{
	const struct key location = { step->ino, INODE_ITEM_KEY, 0 };
	const s64 bytes = 2 * (s64)name->len;
	struct disk_inode_item inode;
	u8 type;
	int err = read_inode(x, step->ino, &inode, d);

	if (err)
		return err;
	type = file_type_of_mode(le32_get(inode.mode));
	err = inode_ref_add(&x->subvol, step->ino, step->from, name, step->to, d);
	if (!err)
		err = dir_item_add(&x->subvol, step->from, name, &location, type, d);
	if (!err)
		err = dir_index_add(&x->subvol, step->from, step->to, name, &location, type, d);
	return err ? err : change_inode(x, step->from, add_size, &bytes, d);
}

static int unlink_name(struct executing *x, const struct plan_step *step, const struct name *name, struct diag *d)
{
	const s64 bytes = -2 * (s64)name->len;
	int err = inode_ref_remove(&x->subvol, step->ino, step->from, name, NULL, d);

	if (!err)
		err = dir_item_remove(&x->subvol, step->from, name, d);
	if (!err)
		err = dir_index_remove(&x->subvol, step->from, step->to, d);
	if (!err)
		err = change_inode(x, step->ino, set_ctime, &x->now, d);
	return err ? err : change_inode(x, step->from, add_size, &bytes, d);
}

/* --- Extents ---------------------------------------------------------------------------------------------------------------- */

static int drop_range(struct executing *x, u64 ino, u64 from, u64 to, struct diag *d)
{
	u64 dropped = 0;
	s64 bytes;
	int err = file_drop_extents(&x->subvol, ino, from, MIN(to, FILE_END), &dropped, d);

	bytes = -(s64)dropped;
	return err || dropped == 0 ? err : change_inode(x, ino, add_nbytes, &bytes, d);
}

/* The log's checksums of a range take the place of whatever the checksum tree has there. */
static int insert_csums(struct executing *x, u64 logical, u64 len, struct diag *d)
{
	const struct treelog_subvol *logged = treelog_subvol_find(x->plan->log, x->subvol.id);
	bool *is_known = (bool *)(x->batch + (size_t)CSUM_BATCH * x->csums.csum_bytes);
	int err = 0;

	for (u64 done = 0; done < len && !err;) {
		u32 nr = (u32)MIN((len - done) / x->csums.sectorsize, (u64)CSUM_BATCH), at = 0;

		memset(is_known, false, nr * sizeof(*is_known));
		treelog_csums(x->plan->log, logged, logical + done, nr, x->batch, is_known);
		while (at < nr && !err) {
			u32 end = at;

			while (end < nr && is_known[end] == is_known[at])
				end++;
			if (is_known[at])
				err = csum_range_insert(x->csum_root, &x->csums, logical + done + (u64)at * x->csums.sectorsize,
							x->batch + (size_t)at * x->csums.csum_bytes, end - at, d);
			at = end;
		}
		done += (u64)nr * x->csums.sectorsize;
	}
	return err;
}

/* The data of an extent item: it is there already, or it becomes an extent now. */
static int take_data(struct executing *x, u64 ino, const struct treelog_item *item, const struct disk_file_extent_item *extent,
		     struct diag *d)
{
	const struct data_ref ref = {
		.logical = le64_get(extent->disk_bytenr),
		.len = le64_get(extent->disk_num_bytes),
		.root = x->subvol.id,
		.objectid = ino,
		.offset = item->key.offset - le64_get(extent->offset),
	};
	struct disk_inode_item inode;
	u64 refs;
	int err = txn_data_refs(x->fs->txn, ref.logical, ref.len, &refs, d);
	bool is_new = err == 1;

	if (is_new)
		err = txn_claim_data(x->fs->txn, ref.logical, ref.len, d);
	if (!err)
		err = txn_add_data_ref(x->fs->txn, &ref, is_new, d);
	if (!err)
		err = read_inode(x, ino, &inode, d);
	if (err || extent->type != FILE_EXTENT_REG || (le64_get(inode.flags) & INODE_NODATASUM))
		return err;
	if (extent->compression != COMPRESS_NONE)
		return insert_csums(x, ref.logical, ref.len, d);
	return insert_csums(x, ref.logical + le64_get(extent->offset), le64_get(extent->num_bytes), d);
}

/* The feature bit was to be set by the commit that never came. */
static void note_compression(struct executing *x, u8 compression)
{
	u64 bit = compression == COMPRESS_LZO	 ? INCOMPAT_COMPRESS_LZO
		  : compression == COMPRESS_ZSTD ? INCOMPAT_COMPRESS_ZSTD
						 : 0;
	struct disk_super *super = txn_super(x->fs->txn);

	le64_put(&super->incompat_flags, le64_get(super->incompat_flags) | bit);
}

static int insert_extent(struct executing *x, u64 ino, const struct treelog_item *item, struct diag *d)
{
	const struct disk_file_extent_item *extent = treelog_data(x->plan->log, item);
	const struct key key = { ino, EXTENT_DATA_KEY, item->key.offset };
	bool is_inline = extent->type == FILE_EXTENT_INLINE, is_hole = !is_inline && le64_get(extent->disk_bytenr) == 0;
	struct disk_file_extent_item *taken;
	struct edit edit;
	u64 from, to;
	s64 bytes;
	int err;

	if (!treelog_extent_range(x->plan->log, item, &from, &to))
		return diag_fail(d, -EUCLEAN, "inode %llu: extent at %llu has impossible numbers", (ull)ino, (ull)key.offset);
	/* Explicit holes may still be there: the plan is only about contents. */
	err = drop_range(x, ino, from, to, d);
	if (!err && !is_inline && !is_hole)
		err = take_data(x, ino, item, extent, d);
	if (err)
		return err;
	note_compression(x, extent->compression);
	edit = edit_init(x->subvol.root);
	err = edit_insert(&edit, &key, item->data_bytes, (void **)&taken, d);
	if (!err) {
		memcpy(taken, extent, item->data_bytes);
		/* Linux before 6.11 wrote the size of a part of it in some cases. */
		if (!is_inline && !is_hole && extent->compression == COMPRESS_NONE)
			taken->ram_bytes = extent->disk_num_bytes;
	}
	edit_done(&edit);
	bytes = is_hole ? 0 : (s64)le64_get(is_inline ? extent->ram_bytes : extent->num_bytes);
	return err || bytes == 0 ? err : change_inode(x, ino, add_nbytes, &bytes, d);
}

/* --- Steps ------------------------------------------------------------------------------------------------------------------- */

static int execute_step(struct executing *x, const struct plan_step *step, struct diag *d)
{
	const u8 *bytes = x->plan->bytes.items;
	const struct name name = { (const char *)bytes + step->name_at, step->name_len };
	int err;

	switch (step->action) {
	case BTRKIT_LOG_CREATE:
		return create_inode(x, step->ino, (const void *)(bytes + step->name_at), d);
	case BTRKIT_LOG_SET:
		return change_inode(x, step->ino, step->is_size_only ? set_size : set_fields, bytes + step->name_at, d);
	case BTRKIT_LOG_LINK:
		return link_name(x, step, &name, d);
	case BTRKIT_LOG_UNLINK:
		return unlink_name(x, step, &name, d);
	case BTRKIT_LOG_DROP:
		return drop_range(x, step->ino, step->from, step->to, d);
	case BTRKIT_LOG_EXTENT:
		return insert_extent(x, step->ino, step->item, d);
	case BTRKIT_LOG_SET_XATTR:
		return xattr_set(&x->subvol, step->ino, &name, bytes + step->value_at, step->value_len, d);
	case BTRKIT_LOG_DELETE_XATTR:
		err = xattr_remove(&x->subvol, step->ino, &name, d);
		return err;
	case BTRKIT_LOG_SET_LINKS:
		return change_inode(x, step->ino, set_nlink, &step->nlink, d);
	case BTRKIT_LOG_ORPHAN:
		return orphan_add(&x->subvol, step->ino, d);
	}
	return diag_fail(d, -EINVAL, "a step of an unknown kind");
}

static int execute_steps(struct executing *x, struct diag *d)
{
	for (size_t i = 0; i < x->plan->steps.len; i++) {
		const struct plan_step *step = &x->plan->steps.items[i];
		int err = 0;

		if (step->subvol != x->subvol.id)
			err = subvol_edit_init(x->fs, step->subvol, &x->now, &x->subvol, d);
		if (!err)
			err = execute_step(x, step, d);
		if (err)
			return diag_context(d, err == -ENOENT || err == -EEXIST || err == -ENODATA ? -EUCLEAN : err,
					    "subvolume %llu, inode %llu", (ull)step->subvol, (ull)step->ino);
	}
	return 0;
}

int plan_execute(const struct plan *plan, struct btrkit_fs *fs, struct diag *d)
{
	struct executing x = { .plan = plan, .fs = fs, .csums = { fs->volume->sectorsize, fs->csum->size_bytes } };
	struct timespec now = { 0 };
	int err;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	x.now = (struct btrkit_time){ now.tv_sec, (uint32_t)now.tv_nsec };
	x.batch = malloc((size_t)CSUM_BATCH * (x.csums.csum_bytes + sizeof(bool)));
	if (!x.batch)
		return diag_no_memory(d, "checksums");
	err = txn_tree(fs->txn, CSUM_TREE_OBJECTID, &x.csum_root, d);
	if (!err)
		err = execute_steps(&x, d);
	free(x.batch);
	return err;
}

/* --- Pinning ------------------------------------------------------------------------------------------------------------------ */

static int pin_data(const struct treelog *log, const struct treelog_item *item, struct txn *txn, struct diag *d)
{
	const struct disk_file_extent_item *extent = treelog_data(log, item);

	if (item->key.type != EXTENT_DATA_KEY || item->is_refused || extent->type == FILE_EXTENT_INLINE || le64_get(extent->disk_bytenr) == 0)
		return 0;
	return txn_exclude(txn, le64_get(extent->disk_bytenr), le64_get(extent->disk_num_bytes), d);
}

int treelog_pin(const struct treelog *log, struct txn *txn, struct diag *d)
{
	u32 nodesize = block_cache_nodesize(log->fs->cache);

	for (size_t i = 0; i < log->blocks.len; i++) {
		int err = txn_exclude(txn, log->blocks.items[i], nodesize, d);

		if (err)
			return err;
	}
	array_for_each(&log->subvols, subvol)
		for (size_t i = 0; i < subvol->items.len; i++) {
			int err = pin_data(log, &subvol->items.items[i], txn, d);

			if (err)
				return err;
		}
	return 0;
}
