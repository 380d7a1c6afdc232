/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public door to changes: what is common to all operations, and one function for each. */
#include <sys/stat.h>
#include <time.h>

#include "kernel-shared/fs/edit_ops.h"

void btrkit_edit_options_init_size(struct btrkit_edit_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
}

int btrkit_edit_new(struct btrkit_fs *fs, const struct btrkit_edit_options *options, struct btrkit_edit **ret_edit,
		    struct btrkit_error *error)
{
	struct btrkit_edit *edit;
	struct diag d;

	fs_diag_init(&fs->note, &d);
	if (fs->foreign)
		return fs_error(error, &d, fs_check_is_btrfs(fs, &d));
	if (!fs->txn)
		return fs_error(error, &d, diag_fail(&d, -EROFS, "the filesystem was not opened to be changed"));
	if (fs->is_edited)
		return fs_error(error, &d, diag_fail(&d, -EBUSY, "the filesystem is being changed already"));
	edit = calloc(1, sizeof(*edit));
	if (!edit)
		return fs_error(error, &d, diag_no_memory(&d, "changes"));
	btrkit_edit_options_init(&edit->options);
	if (options)
		memcpy(&edit->options, options, MIN(options->struct_size, sizeof(edit->options)));
	edit->fs = fs;
	fs->is_edited = true;
	*ret_edit = edit;
	return 0;
}

void btrkit_edit_abort(struct btrkit_edit *edit)
{
	txn_abort(edit->fs->txn);
	fs_load_default_subvol(edit->fs, NULL);
	edit->is_broken = false;
}

void btrkit_edit_free(struct btrkit_edit *edit)
{
	if (!edit)
		return;
	btrkit_edit_abort(edit);
	edit->fs->is_edited = false;
	free(edit);
}

bool btrkit_edit_has_changes(const struct btrkit_edit *edit)
{
	return txn_has_changes(edit->fs->txn);
}

int edit_begin(struct btrkit_edit *edit, struct diag *d)
{
	struct timespec now = { 0 };

	fs_diag_init(&edit->fs->note, d);
	edit->is_changing = false;
	if (edit->is_broken)
		return diag_fail(d, -ESHUTDOWN, "an earlier change has failed, all since the last commit is undone");
	if (edit->options.has_now) {
		edit->now = edit->options.now;
	} else {
		clock_gettime(CLOCK_REALTIME, &now);
		edit->now = (struct btrkit_time){ now.tv_sec, (u32)now.tv_nsec };
	}
	return 0;
}

int edit_finish(struct btrkit_edit *edit, int err, const struct diag *d, struct btrkit_error *error)
{
	if (err && edit->is_changing) {
		btrkit_edit_abort(edit);
		edit->is_broken = true;
	}
	edit->is_changing = false;
	return fs_error(error, d, err);
}

int btrkit_edit_commit(struct btrkit_edit *edit, struct btrkit_error *error)
{
	struct diag d;
	int err = edit_begin(edit, &d);

	if (!err && txn_has_changes(edit->fs->txn)) {
		edit_changing(edit);
		err = txn_commit(edit->fs->txn, &d);
	}
	return edit_finish(edit, err, &d, error);
}

/* An operation between edit_begin() and edit_finish(). */
#define EDIT_RUN(edit, error, operation)                        \
	({                                                      \
		struct diag d;                                  \
		int run_err_ = edit_begin(edit, &d);            \
		if (!run_err_)                                  \
			run_err_ = (operation);                 \
		edit_finish(edit, run_err_, &d, error);         \
	})

/* --- Names ---------------------------------------------------------------------------------------------------------------- */

int btrkit_edit_create(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		       const struct btrkit_node_attr *attr, struct btrkit_inode *ret_inode, struct btrkit_error *error)
{
	if ((attr->mode & S_IFMT) == S_IFLNK)
		return EDIT_RUN(edit, error, diag_fail(&d, -EINVAL, "a symbolic link has a target"));
	return EDIT_RUN(edit, error, edit_create(edit, dir, name, name_len, attr, NULL, 0, ret_inode, &d));
}

int btrkit_edit_symlink(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
			const char *target, size_t target_len, const struct btrkit_node_attr *attr,
			struct btrkit_inode *ret_inode, struct btrkit_error *error)
{
	struct btrkit_node_attr link = *attr;

	link.mode = S_IFLNK | 0777; /* as all of Linux */
	return EDIT_RUN(edit, error, edit_create(edit, dir, name, name_len, &link, target, target_len, ret_inode, &d));
}

int btrkit_edit_link(struct btrkit_edit *edit, const struct btrkit_inode *inode, const struct btrkit_inode *dir,
		     const char *name, size_t name_len, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_link(edit, inode, dir, name, name_len, &d));
}

int btrkit_edit_unlink(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		       struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_unlink(edit, dir, name, name_len, false, &d));
}

int btrkit_edit_rmdir(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		      struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_unlink(edit, dir, name, name_len, true, &d));
}

int btrkit_edit_rename(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
		       const struct btrkit_inode *new_dir, const char *new_name, size_t new_name_len, unsigned flags,
		       struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_rename(edit, dir, name, name_len, new_dir, new_name, new_name_len, flags, &d));
}

/* --- Attributes ------------------------------------------------------------------------------------------------------------ */

int btrkit_edit_set_attr(struct btrkit_edit *edit, const struct btrkit_inode *inode, unsigned mask,
			 const struct btrkit_node_attr *attr, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_set_attr(edit, inode, mask, attr, &d));
}

int btrkit_edit_set_xattr(struct btrkit_edit *edit, const struct btrkit_inode *inode, const char *name, const void *value,
			  size_t value_len, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_set_xattr(edit, inode, name, value, value_len, &d));
}

int btrkit_edit_remove_xattr(struct btrkit_edit *edit, const struct btrkit_inode *inode, const char *name,
			     struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_remove_xattr(edit, inode, name, &d));
}

/* --- Contents -------------------------------------------------------------------------------------------------------------- */

struct memory_source {
	u64 offset;
	const u8 *data;
};

static int fill_from_memory(void *arg, u64 at, void *buf, size_t len)
{
	const struct memory_source *source = arg;

	memcpy(buf, source->data + (at - source->offset), len);
	return 0;
}

int btrkit_edit_write(struct btrkit_edit *edit, const struct btrkit_inode *inode, uint64_t offset, const void *data,
		      size_t len, struct btrkit_error *error)
{
	struct memory_source source = { offset, data };

	return EDIT_RUN(edit, error, edit_write(edit, inode, offset, len, fill_from_memory, &source, &d));
}

int btrkit_edit_write_from(struct btrkit_edit *edit, const struct btrkit_inode *inode, uint64_t offset, uint64_t len,
			   btrkit_fill_fn fill, void *arg, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_write(edit, inode, offset, len, fill, arg, &d));
}

int btrkit_edit_truncate(struct btrkit_edit *edit, const struct btrkit_inode *inode, uint64_t size,
			 struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_truncate(edit, inode, size, &d));
}

int btrkit_edit_punch_hole(struct btrkit_edit *edit, const struct btrkit_inode *inode, uint64_t offset, uint64_t len,
			   struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_punch_hole(edit, inode, offset, len, &d));
}

int btrkit_edit_preallocate(struct btrkit_edit *edit, const struct btrkit_inode *inode, uint64_t offset, uint64_t len,
			    bool is_size_kept, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_preallocate(edit, inode, offset, len, is_size_kept, &d));
}

int btrkit_edit_clone(struct btrkit_edit *edit, const struct btrkit_inode *from, uint64_t from_offset, uint64_t len,
		      const struct btrkit_inode *inode, uint64_t offset, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_clone(edit, from, from_offset, len, inode, offset, &d));
}

/* --- Subvolumes ------------------------------------------------------------------------------------------------------------- */

int btrkit_edit_subvol_create(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name, size_t name_len,
			      const struct btrkit_node_attr *attr, uint64_t *ret_id, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_subvol_create(edit, dir, name, name_len, attr, ret_id, &d));
}

int btrkit_edit_snapshot(struct btrkit_edit *edit, uint64_t source, const struct btrkit_inode *dir, const char *name,
			 size_t name_len, bool is_read_only, uint64_t *ret_id, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_snapshot(edit, source, dir, name, name_len, is_read_only, ret_id, &d));
}

int btrkit_edit_subvol_delete(struct btrkit_edit *edit, uint64_t id, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_subvol_delete(edit, id, &d));
}

int btrkit_edit_set_default(struct btrkit_edit *edit, uint64_t id, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_set_default(edit, id, &d));
}

int btrkit_edit_set_read_only(struct btrkit_edit *edit, uint64_t id, bool is_read_only, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_set_read_only(edit, id, is_read_only, &d));
}

int btrkit_edit_set_label(struct btrkit_edit *edit, const char *label, struct btrkit_error *error)
{
	return EDIT_RUN(edit, error, edit_set_label(edit, label, &d));
}
