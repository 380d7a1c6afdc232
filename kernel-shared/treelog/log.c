/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public face of a log: its plan, as records. */
#include <limits.h>

#include "common/compress/codec.h"
#include "kernel-shared/fs/inode.h"
#include "kernel-shared/treelog/opened.h"

#define PATH_CAP ((size_t)PATH_MAX * 4)

int btrkit_log_open(struct btrkit_fs *fs, struct btrkit_log **ret_log, struct btrkit_error *error)
{
	struct btrkit_log *log = calloc(1, sizeof(*log));
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	if (!log)
		return fs_error(error, &d, diag_no_memory(&d, "the log"));
	log->fs = fs;
	err = fs_check_is_btrfs(fs, &d);
	if (!err)
		err = treelog_read(fs, &log->log, &d);
	if (!err)
		err = plan_make(log->log, &log->plan, &d);
	if (err) {
		btrkit_log_close(log);
		return fs_error(error, &d, err);
	}
	*ret_log = log;
	return 0;
}

void btrkit_log_close(struct btrkit_log *log)
{
	if (!log)
		return;
	plan_free(log->plan);
	treelog_free(log->log);
	free(log);
}

void btrkit_log_get_info(const struct btrkit_log *log, struct btrkit_log_info *ret_info, size_t struct_size)
{
	struct btrkit_log_info info = {
		.logical = log->log->root_logical,
		.generation = log->log->generation,
		.nr_blocks = log->log->blocks.len,
		.nr_subvols = log->log->subvols.len,
		.nr_inodes = log->plan->inodes.len,
		.nr_steps = log->plan->steps.len,
		.nr_losses = log->plan->losses.list.len,
	};

	memcpy(ret_info, &info, MIN(struct_size, sizeof(info)));
}

/* --- Subvolumes and inodes --------------------------------------------------------------------------------------- */

/* NULL: none; it is in @buf, or there is not enough room for it. */
static const char *path_before(const struct btrkit_log *log, u64 subvol, u64 ino, char *buf)
{
	const struct btrkit_inode inode = { subvol, ino };
	struct diag d = { 0 };

	return inode_path(log->fs, &inode, buf, PATH_CAP, &d) == 0 ? buf : NULL;
}

static const char *path_after(const struct btrkit_log *log, u64 subvol, u64 ino, char *buf)
{
	struct diag d = { 0 };

	return plan_path(log->plan, subvol, ino, buf, PATH_CAP, &d) == 0 ? buf : NULL;
}

int btrkit_log_subvol_for_each(const struct btrkit_log *log, btrkit_log_subvol_fn fn, void *arg, struct btrkit_error *error)
{
	_free_ char *path = malloc(PATH_CAP);
	struct diag d;
	int result = 0;

	fs_diag_init(&log->fs->note, &d);
	if (!path)
		return fs_error(error, &d, diag_no_memory(&d, "a path"));
	for (size_t i = 0; i < log->log->subvols.len && !result; i++) {
		const struct treelog_subvol *subvol = &log->log->subvols.items[i];
		const struct btrkit_log_subvol shown = {
			.id = subvol->id,
			.path = subvol->is_missing ? NULL : path_after(log, subvol->id, subvol->top_dir, path),
			.nr_blocks = subvol->nr_blocks,
			.nr_items = subvol->items.len,
			.is_missing = subvol->is_missing,
		};

		result = fn(arg, &shown);
	}
	return result;
}

static int show_inode(const struct btrkit_log *log, const struct plan_inode *inode, char *paths, btrkit_log_inode_fn fn,
		      void *arg)
{
	const struct btrkit_inode id = { inode->subvol, inode->ino };
	struct btrkit_stat before, after;
	struct btrkit_log_inode shown = {
		.inode = id,
		.is_new = !inode->was_there,
		.is_removed = inode->is_removed,
		.is_changed = inode->is_changed,
		.before = inode->was_there ? &before : NULL,
		.after = &after,
		.nr_linked = inode->nr_linked,
		.nr_unlinked = inode->nr_unlinked,
		.nr_extents = inode->nr_extents,
		.data_bytes = inode->data_bytes,
		.nr_dropped = inode->nr_dropped,
		.nr_xattrs_set = inode->nr_xattrs_set,
		.nr_xattrs_deleted = inode->nr_xattrs_deleted,
		.nr_losses = inode->nr_losses,
	};

	stat_unpack(&id, &inode->before, &before);
	stat_unpack(&id, &inode->after, &after);
	if (inode->was_there)
		shown.path_before = path_before(log, inode->subvol, inode->ino, paths);
	shown.path_after = path_after(log, inode->subvol, inode->ino, paths + PATH_CAP);
	return fn(arg, &shown);
}

int btrkit_log_inode_for_each(const struct btrkit_log *log, btrkit_log_inode_fn fn, void *arg, struct btrkit_error *error)
{
	_free_ char *paths = malloc(2 * PATH_CAP);
	struct diag d;
	int result = 0;

	fs_diag_init(&log->fs->note, &d);
	if (!paths)
		return fs_error(error, &d, diag_no_memory(&d, "a path"));
	for (size_t i = 0; i < log->plan->inodes.len && !result; i++)
		result = show_inode(log, &log->plan->inodes.items[i], paths, fn, arg);
	return result;
}

/* --- Steps ---------------------------------------------------------------------------------------------------------- */

static const char *const action_names[] = {
	[BTRKIT_LOG_CREATE] = "create",
	[BTRKIT_LOG_SET] = "set",
	[BTRKIT_LOG_LINK] = "link",
	[BTRKIT_LOG_UNLINK] = "unlink",
	[BTRKIT_LOG_DROP] = "drop",
	[BTRKIT_LOG_EXTENT] = "extent",
	[BTRKIT_LOG_SET_XATTR] = "set-xattr",
	[BTRKIT_LOG_DELETE_XATTR] = "delete-xattr",
	[BTRKIT_LOG_SET_LINKS] = "set-links",
	[BTRKIT_LOG_ORPHAN] = "orphan",
};

static void show_range(const struct btrkit_log *log, const struct treelog_item *item, struct btrkit_file_range *ret_range)
{
	const struct disk_file_extent_item *extent = treelog_data(log->log, item);
	bool is_inline = extent->type == FILE_EXTENT_INLINE, is_hole = !is_inline && le64_get(extent->disk_bytenr) == 0;
	const struct codec *codec = extent->compression ? codec_by_type(extent->compression) : NULL;

	*ret_range = (struct btrkit_file_range){
		.offset = item->key.offset,
		.len = le64_get(is_inline ? extent->ram_bytes : extent->num_bytes),
		.kind = is_hole					    ? BTRKIT_RANGE_HOLE
			: extent->type == FILE_EXTENT_PREALLOC ? BTRKIT_RANGE_PREALLOC
							       : BTRKIT_RANGE_DATA,
		.is_inline = is_inline,
		.compression = is_hole || !extent->compression ? NULL : codec ? codec->name : "unknown",
	};
	if (is_inline || is_hole)
		return;
	ret_range->logical = le64_get(extent->disk_bytenr);
	ret_range->disk_bytes = le64_get(extent->disk_num_bytes);
	ret_range->extent_offset = le64_get(extent->offset);
}

static int show_step(const struct btrkit_log *log, const struct plan_step *step, btrkit_log_step_fn fn, void *arg)
{
	const u8 *bytes = log->plan->bytes.items;
	struct btrkit_log_step shown = {
		.action = step->action,
		.action_name = action_names[step->action],
		.inode = { step->subvol, step->ino },
		.nlink = step->nlink,
	};
	struct btrkit_stat stat;

	switch (step->action) {
	case BTRKIT_LOG_CREATE:
	case BTRKIT_LOG_SET:
		stat_unpack(&shown.inode, (const void *)(bytes + step->name_at), &stat);
		shown.stat = &stat;
		break;
	case BTRKIT_LOG_LINK:
	case BTRKIT_LOG_UNLINK:
		shown.dir = step->from;
		shown.index = step->to;
		break;
	case BTRKIT_LOG_DROP:
		shown.offset = step->from;
		shown.len = step->to == UINT64_MAX ? UINT64_MAX : step->to - step->from;
		break;
	case BTRKIT_LOG_EXTENT:
		show_range(log, step->item, &shown.range);
		shown.offset = shown.range.offset;
		shown.len = shown.range.len;
		break;
	default:
		break;
	}
	if (step->name_len) {
		shown.name = (const char *)bytes + step->name_at;
		shown.name_len = step->name_len;
	}
	if (step->action == BTRKIT_LOG_SET_XATTR) {
		shown.value = bytes + step->value_at;
		shown.value_len = step->value_len;
	}
	return fn(arg, &shown);
}

int btrkit_log_step_for_each(const struct btrkit_log *log, btrkit_log_step_fn fn, void *arg)
{
	int result = 0;

	for (size_t i = 0; i < log->plan->steps.len && !result; i++)
		result = show_step(log, &log->plan->steps.items[i], fn, arg);
	return result;
}

int btrkit_log_inode_step_for_each(const struct btrkit_log *log, const struct btrkit_inode *inode, btrkit_log_step_fn fn,
				   void *arg)
{
	size_t first, nr = plan_steps_of(log->plan, inode->subvol, inode->ino, &first);
	int result = 0;

	for (size_t i = 0; i < nr && !result; i++)
		result = show_step(log, &log->plan->steps.items[log->plan->steps_by_inode.items[first + i]], fn, arg);
	return result;
}

int btrkit_log_path(const struct btrkit_log *log, const struct btrkit_inode *inode, char *buf, size_t cap,
		    struct btrkit_error *error)
{
	struct diag d;

	fs_diag_init(&log->fs->note, &d);
	return fs_error(error, &d, plan_path(log->plan, inode->subvol, inode->ino, buf, cap, &d));
}

/* --- Losses ----------------------------------------------------------------------------------------------------------- */

int btrkit_log_loss_for_each(const struct btrkit_log *log, btrkit_log_loss_fn fn, void *arg)
{
	static const char *const kind_names[] = {
		[BTRKIT_LOG_LOSS_BLOCK] = "block",
		[BTRKIT_LOG_LOSS_SUBVOL] = "subvolume",
		[BTRKIT_LOG_LOSS_ITEM] = "item",
		[BTRKIT_LOG_LOSS_EXTENT] = "extent",
		[BTRKIT_LOG_LOSS_TAKEN] = "taken",
		[BTRKIT_LOG_LOSS_CSUM] = "checksum",
		[BTRKIT_LOG_LOSS_INCOMPLETE] = "incomplete",
		[BTRKIT_LOG_LOSS_UNNAMED] = "unnamed",
	};
	const struct treelog_losses *losses = &log->plan->losses;
	int result = 0;

	for (size_t i = 0; i < losses->list.len && !result; i++) {
		const struct treelog_loss *loss = &losses->list.items[i];
		const struct btrkit_log_loss shown = {
			.kind = loss->kind,
			.kind_name = kind_names[loss->kind],
			.subvol = loss->subvol,
			.ino = loss->ino,
			.logical = loss->logical,
			.text = losses->text.items + loss->text_at,
		};

		result = fn(arg, &shown);
	}
	return result;
}
