/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/model/edit_model.h"

static bool is_same(const struct btrkit_inode *a, const struct btrkit_inode *b)
{
	return a->subvol == b->subvol && a->ino == b->ino;
}

void model_init(struct edit_model *model)
{
	memset(model, 0, sizeof(*model));
	assert_int_equal(array_push(&model->subvols, (struct model_subvol){ BTRKIT_TOP_SUBVOL, false, false }), 0);
	model->default_subvol = BTRKIT_TOP_SUBVOL;
	model_inode_add(model, BTRKIT_TOP_SUBVOL, BTRKIT_TOP_DIR, S_IFDIR | 0755);
}

void model_done(struct edit_model *model)
{
	array_for_each(&model->inodes, inode)
		free(inode->data);
	array_done(&model->inodes);
	array_done(&model->names);
	array_done(&model->subvols);
}

void model_copy(struct edit_model *to, const struct edit_model *from)
{
	*to = (struct edit_model){ .default_subvol = from->default_subvol };
	memcpy(to->label, from->label, sizeof(to->label));
	array_for_each(&from->subvols, subvol)
		assert_int_equal(array_push(&to->subvols, *subvol), 0);
	array_for_each(&from->names, name)
		if (!name->is_gone)
			assert_int_equal(array_push(&to->names, *name), 0);
	array_for_each(&from->inodes, inode) {
		struct model_inode copy = *inode;

		if (inode->nlink == 0)
			continue;
		copy.data = NULL;
		copy.data_cap = 0;
		if (inode->data) {
			copy.data = malloc(inode->size + 1);
			assert_non_null(copy.data);
			copy.data_cap = inode->size + 1;
			memcpy(copy.data, inode->data, inode->size);
		}
		assert_int_equal(array_push(&to->inodes, copy), 0);
	}
}

struct model_inode *model_inode(struct edit_model *model, const struct btrkit_inode *inode)
{
	array_for_each(&model->inodes, it)
		if (it->subvol == inode->subvol && it->ino == inode->ino && it->nlink)
			return it;
	return NULL;
}

struct model_inode *model_inode_add(struct edit_model *model, u64 subvol, u64 ino, u32 mode)
{
	struct model_inode inode = { .subvol = subvol, .ino = ino, .mode = mode, .nlink = 1 };

	assert_int_equal(array_push(&model->inodes, inode), 0);
	return &model->inodes.items[model->inodes.len - 1];
}

struct model_name *model_name(struct edit_model *model, const struct btrkit_inode *dir, const char *name)
{
	array_for_each(&model->names, it)
		if (!it->is_gone && is_same(&it->dir, dir) && strcmp(it->name, name) == 0)
			return it;
	return NULL;
}

void model_name_add(struct edit_model *model, const struct btrkit_inode *dir, const char *name,
		    const struct btrkit_inode *inode)
{
	struct model_name new = { .dir = *dir, .inode = *inode };

	snprintf(new.name, sizeof(new.name), "%s", name);
	assert_int_equal(array_push(&model->names, new), 0);
}

bool model_dir_is_empty(struct edit_model *model, const struct btrkit_inode *dir)
{
	array_for_each(&model->names, it)
		if (!it->is_gone && is_same(&it->dir, dir))
			return false;
	return true;
}

struct model_subvol *model_subvol(struct edit_model *model, u64 id)
{
	array_for_each(&model->subvols, it)
		if (it->id == id && !it->is_gone)
			return it;
	return NULL;
}

bool model_is_below(struct edit_model *model, const struct btrkit_inode *inode, const struct btrkit_inode *dir)
{
	struct btrkit_inode at = *inode;

	for (;;) {
		const struct model_name *above = NULL;

		if (is_same(&at, dir))
			return true;
		array_for_each(&model->names, it)
			if (!it->is_gone && is_same(&it->inode, &at))
				above = it;
		if (!above)
			return false;
		at = above->dir;
	}
}

static void make_room(struct model_inode *inode, u64 size)
{
	if (size <= inode->data_cap)
		return;
	inode->data_cap = size + size / 2;
	inode->data = realloc(inode->data, inode->data_cap);
	assert_non_null(inode->data);
}

void model_write(struct model_inode *inode, u64 offset, const u8 *data, u64 len)
{
	make_room(inode, MAX(inode->size, offset + len) + 1);
	if (offset > inode->size)
		memset(inode->data + inode->size, 0, offset - inode->size);
	if (data)
		memcpy(inode->data + offset, data, len);
	else
		memset(inode->data + offset, 0, len);
	inode->size = MAX(inode->size, offset + len);
}

void model_truncate(struct model_inode *inode, u64 size)
{
	make_room(inode, size + 1);
	if (size > inode->size)
		memset(inode->data + inode->size, 0, size - inode->size);
	inode->size = size;
}

/* --- Comparing ----------------------------------------------------------------------------------------------------------- */

static void compare_data(const struct model_inode *inode, struct btrkit_fs *fs, const char *what)
{
	const struct btrkit_inode id = { inode->subvol, inode->ino };
	struct btrkit_error error = { 0 };
	struct btrkit_file *file;
	u8 *data = malloc(inode->size + 1);
	size_t len = 0;

	assert_non_null(data);
	if (btrkit_file_open(fs, &id, &file, &error) || btrkit_file_read(file, 0, data, inode->size + 1, &len, &error))
		fail_msg("%s: inode %llu/%llu: %s", what, (unsigned long long)id.subvol, (unsigned long long)id.ino, error.text);
	assert_int_equal(len, inode->size);
	for (u64 at = 0; at < inode->size; at++)
		if (data[at] != inode->data[at])
			fail_msg("%s: inode %llu/%llu of %llu bytes: byte %llu is %u, not %u", what, (unsigned long long)id.subvol,
				 (unsigned long long)id.ino, (unsigned long long)inode->size, (unsigned long long)at, data[at],
				 inode->data[at]);
	btrkit_file_close(file);
	free(data);
}

static int count_xattr(void *arg, const char *name, size_t name_len, const void *value, size_t value_len)
{
	struct model_inode *inode = ((void **)arg)[0];

	++*(u32 *)((void **)arg)[1];
	for (unsigned i = 0; i < MODEL_XATTRS_MAX; i++) {
		const struct model_xattr *xattr = &inode->xattrs[i];

		if (strlen(xattr->name) != name_len || memcmp(xattr->name, name, name_len) != 0)
			continue;
		assert_int_equal(xattr->len, value_len);
		for (size_t at = 0; at < value_len; at++)
			assert_int_equal(((const u8 *)value)[at], xattr->fill);
		return 0;
	}
	fail_msg("inode %llu has attribute %.*s", (unsigned long long)inode->ino, (int)name_len, name);
	return 0;
}

static void compare_xattrs(struct model_inode *inode, struct btrkit_fs *fs)
{
	const struct btrkit_inode id = { inode->subvol, inode->ino };
	u32 found = 0, expected = 0;
	void *args[] = { inode, &found };

	assert_int_equal(btrkit_xattr_for_each(fs, &id, count_xattr, args, NULL), 0);
	for (unsigned i = 0; i < MODEL_XATTRS_MAX; i++)
		expected += inode->xattrs[i].name[0] != '\0';
	assert_int_equal(found, expected);
}

static void compare_inode(struct model_inode *inode, struct btrkit_fs *fs, const char *what)
{
	const struct btrkit_inode id = { inode->subvol, inode->ino };
	struct btrkit_error error = { 0 };
	struct btrkit_stat stat;

	if (btrkit_stat(fs, &id, &stat, &error))
		fail_msg("%s: inode %llu/%llu: %s", what, (unsigned long long)id.subvol, (unsigned long long)id.ino, error.text);
	assert_int_equal(stat.mode, inode->mode);
	assert_int_equal(stat.nlink, inode->nlink);
	assert_int_equal(stat.uid, inode->uid);
	assert_int_equal(stat.gid, inode->gid);
	if (inode->mtime_sec)
		assert_int_equal(stat.mtime.sec, inode->mtime_sec);
	if (S_ISREG(inode->mode) || S_ISLNK(inode->mode)) {
		assert_int_equal(stat.size, inode->size);
		compare_data(inode, fs, what);
	}
	compare_xattrs(inode, fs);
}

static void compare_dir(struct edit_model *model, const struct btrkit_inode *dir, struct btrkit_fs *fs, const char *what)
{
	struct btrkit_dir_entry entry;
	struct btrkit_dir *open;
	u64 found = 0, expected = 0;
	int err;

	assert_int_equal(btrkit_dir_open(fs, dir, &open, NULL), 0);
	while ((err = btrkit_dir_next(open, &entry, NULL)) == 0) {
		const struct model_name *name = model_name(model, dir, entry.name);
		struct btrkit_inode by_name;

		if (!name)
			fail_msg("%s: directory %llu/%llu has an entry %s", what, (unsigned long long)dir->subvol,
				 (unsigned long long)dir->ino, entry.name);
		assert_int_equal(btrkit_lookup_name(fs, dir, entry.name, entry.name_len, &by_name, NULL), 0);
		assert_true(is_same(&by_name, &entry.inode));
		assert_int_equal(entry.inode.ino, name->inode.ino);
		if (name->inode.ino != BTRKIT_EMPTY_DIR) {
			assert_int_equal(entry.inode.subvol, name->inode.subvol);
			assert_int_equal(entry.type, model_inode(model, &name->inode)->mode & S_IFMT);
		}
		found++;
	}
	assert_int_equal(err, 1);
	btrkit_dir_close(open);
	array_for_each(&model->names, it)
		expected += !it->is_gone && is_same(&it->dir, dir);
	if (found != expected)
		fail_msg("%s: directory %llu/%llu has %llu entries, not %llu", what, (unsigned long long)dir->subvol,
			 (unsigned long long)dir->ino, (unsigned long long)found, (unsigned long long)expected);
}

static int count_subvol(void *arg, const struct btrkit_subvol *subvol)
{
	struct edit_model *model = ((void **)arg)[0];
	const struct model_subvol *expected = model_subvol(model, subvol->id);

	++*(u32 *)((void **)arg)[1];
	if (!expected)
		fail_msg("there is a subvolume %llu", (unsigned long long)subvol->id);
	assert_int_equal(subvol->is_read_only, expected->is_read_only);
	assert_int_equal(subvol->is_default, subvol->id == model->default_subvol);
	assert_false(subvol->is_deleted);
	return 0;
}

void model_compare(struct edit_model *model, struct btrkit_fs *fs, const char *what)
{
	u32 found = 0, expected = 0;
	void *args[] = { model, &found };
	struct btrkit_fs_info info;

	assert_int_equal(btrkit_subvol_for_each(fs, count_subvol, args, NULL), 0);
	array_for_each(&model->subvols, subvol)
		expected += !subvol->is_gone;
	assert_int_equal(found, expected);
	array_for_each(&model->inodes, inode) {
		const struct btrkit_inode id = { inode->subvol, inode->ino };

		if (inode->nlink == 0)
			continue;
		compare_inode(inode, fs, what);
		if (S_ISDIR(inode->mode))
			compare_dir(model, &id, fs, what);
	}
	btrkit_fs_get_info(fs, &info, sizeof(info));
	assert_string_equal(info.label, model->label);
}
