/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contents of files as they would be after replay: the log's extents lie over the committed ones. */
#include "kernel-shared/fs/file_layer.h"
#include "kernel-shared/fs/inode.h"
#include "kernel-shared/treelog/opened.h"

typedef unsigned long long ull;

struct log_layer {
	const struct treelog *log;
	const struct treelog_subvol *subvol;
	u64 ino;
	u64 committed_end; /* behind it the committed file has nothing any more */
	bool is_log_only;
};

static bool is_extent(const struct log_layer *layer, size_t at)
{
	const struct treelog_item *item = &layer->subvol->items.items[at];

	return at < layer->subvol->items.len && item->key.objectid == layer->ino && item->key.type == EXTENT_DATA_KEY;
}

/* The log's last extent that begins at or before @at, and where the next one begins. */
static const struct treelog_item *extent_before(const struct log_layer *layer, u64 at, u64 *ret_next)
{
	const struct key key = { layer->ino, EXTENT_DATA_KEY, at };
	size_t next = treelog_seek(layer->subvol, &key), before;

	while (is_extent(layer, next) &&
	       (layer->subvol->items.items[next].is_refused || layer->subvol->items.items[next].key.offset <= at))
		next++;
	*ret_next = is_extent(layer, next) ? layer->subvol->items.items[next].key.offset : UINT64_MAX;
	before = next;
	while (before-- > 0 && is_extent(layer, before))
		if (!layer->subvol->items.items[before].is_refused)
			return &layer->subvol->items.items[before];
	return NULL;
}

static int layer_extent_at(void *ctx, u64 at, struct file_extent *ret_extent, u64 *ret_from, u64 *ret_to, struct diag *d)
{
	const struct log_layer *layer = ctx;
	const struct treelog_item *item = extent_before(layer, at, ret_to);
	u64 from, to;
	int err;

	if (item && treelog_extent_range(layer->log, item, &from, &to) && at < to) {
		err = file_extent_decode(treelog_data(layer->log, item), item->data_bytes, item->key.offset,
					 layer->log->fs->volume->sectorsize, ret_extent, d);
		return err ? diag_context(d, err, "the log of inode %llu", (ull)layer->ino) : 0;
	}
	if (item && treelog_extent_range(layer->log, item, &from, &to))
		*ret_from = to;
	if (!layer->is_log_only && at < layer->committed_end) {
		*ret_to = MIN(*ret_to, layer->committed_end);
		return 1;
	}
	*ret_extent = (struct file_extent){ .file_offset = at, .len = *ret_to - at, .kind = EXTENT_HOLE };
	return 0;
}

static void layer_csums(void *ctx, u64 logical, u32 nr, u8 *csums, bool *is_known)
{
	const struct log_layer *layer = ctx;

	treelog_csums(layer->log, layer->subvol, logical, nr, csums, is_known);
}

static int stat_after(const struct btrkit_log *log, const struct treelog_subvol *subvol, const struct btrkit_inode *inode,
		      struct btrkit_stat *ret_stat, u64 *ret_committed_end, struct diag *d)
{
	const struct plan_inode *planned = plan_inode_find(log->plan, inode->subvol, inode->ino);
	struct disk_inode_item item;
	int err;

	*ret_committed_end = planned ? planned->dropped_from : UINT64_MAX;
	if (planned && planned->is_there) {
		stat_unpack(inode, &planned->after, ret_stat);
		return 0;
	}
	err = inode_read(&subvol->committed, inode->ino, &item, d);
	if (!err)
		stat_unpack(inode, &item, ret_stat);
	return err;
}

static int open_file(const struct btrkit_log *log, const struct btrkit_inode *inode, bool is_log_only,
		     struct btrkit_file **ret_file, struct diag *d)
{
	const struct file_layer functions = { NULL, layer_extent_at, layer_csums, free };
	struct file_layer layer = functions;
	struct log_layer *ctx;
	struct btrkit_stat stat;
	const struct treelog_subvol *subvol = treelog_subvol_find(log->log, inode->subvol);
	u64 committed_end;
	int err;

	if (!subvol || subvol->is_missing)
		return diag_fail(d, -ENOENT, "subvolume %llu has no log that can be replayed", (ull)inode->subvol);
	err = stat_after(log, subvol, inode, &stat, &committed_end, d);
	if (err)
		return err;
	ctx = malloc(sizeof(*ctx));
	if (!ctx)
		return diag_no_memory(d, "an open file");
	*ctx = (struct log_layer){ log->log, subvol, inode->ino, committed_end, is_log_only };
	layer.ctx = ctx;
	err = file_open_layered(log->fs, &stat, &layer, ret_file, d);
	if (err)
		free(ctx);
	return err;
}

int btrkit_log_file_open(const struct btrkit_log *log, const struct btrkit_inode *inode, bool is_log_only,
			 struct btrkit_file **ret_file, struct btrkit_error *error)
{
	struct diag d;

	fs_diag_init(&log->fs->note, &d);
	return fs_error(error, &d, open_file(log, inode, is_log_only, ret_file, &d));
}
