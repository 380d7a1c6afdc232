/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an inode is: its item, its extended attributes, the target of a symbolic link. */
#include <sys/stat.h>

#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/fs/foreign.h"

typedef unsigned long long ull;

int inode_read(const struct tree *tree, u64 ino, struct disk_inode_item *ret_item, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct key key = { ino, INODE_ITEM_KEY, 0 };
	int err = cursor_find(&cursor, &key, d);

	if (err < 0)
		return err;
	if (err)
		return diag_fail(d, -ENOENT, "subvolume %llu has no inode %llu", (ull)tree->id, (ull)ino);
	if (cursor_data_bytes(&cursor) != sizeof(*ret_item))
		return diag_fail(d, -EUCLEAN, "subvolume %llu inode %llu: item of %u bytes", (ull)tree->id, (ull)ino,
				 cursor_data_bytes(&cursor));
	memcpy(ret_item, cursor_data(&cursor), sizeof(*ret_item));
	return 0;
}

/* What Linux shows in place of a subvolume that is not there. */
static void stat_empty_dir(const struct btrkit_inode *inode, struct btrkit_stat *ret_stat)
{
	*ret_stat = (struct btrkit_stat){ .inode = *inode, .mode = S_IFDIR | 0755, .nlink = 1 };
}

void stat_unpack(const struct btrkit_inode *inode, const struct disk_inode_item *item, struct btrkit_stat *ret_stat)
{
	/* Linux's own form of a device number: 12 bits and 20 bits. */
	u64 rdev = le64_get(item->rdev);

	*ret_stat = (struct btrkit_stat){
		.inode = *inode,
		.generation = le64_get(item->generation),
		.transid = le64_get(item->transid),
		.size = le64_get(item->size),
		.allocated_bytes = le64_get(item->nbytes),
		.nlink = le32_get(item->nlink),
		.mode = le32_get(item->mode),
		.uid = le32_get(item->uid),
		.gid = le32_get(item->gid),
		.rdev_major = (u32)(rdev >> 20),
		.rdev_minor = (u32)(rdev & 0xfffff),
		.flags = le64_get(item->flags),
		.sequence = le64_get(item->sequence),
		.atime = time_unpack(&item->atime),
		.mtime = time_unpack(&item->mtime),
		.ctime = time_unpack(&item->ctime),
		.otime = time_unpack(&item->otime),
	};
}

static int stat_inode(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct btrkit_stat *ret_stat,
		      struct diag *d)
{
	struct disk_inode_item item;
	struct fs_root root;
	int err;

	if (fs->foreign)
		return fs->foreign->stat(fs->foreign_ctx, inode, ret_stat, d);
	if (inode->ino == BTRKIT_EMPTY_DIR) {
		stat_empty_dir(inode, ret_stat);
		return 0;
	}
	err = fs_subvol_root(fs, inode->subvol, &root, d);
	if (!err)
		err = inode_read(&root.tree, inode->ino, &item, d);
	if (!err)
		stat_unpack(inode, &item, ret_stat);
	return err;
}

int btrkit_stat(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct btrkit_stat *ret_stat,
		struct btrkit_error *error)
{
	struct diag d;

	fs_diag_init(&fs->note, &d);
	return fs_error(error, &d, stat_inode(fs, inode, ret_stat, &d));
}

int btrkit_readlink(struct btrkit_fs *fs, const struct btrkit_inode *inode, char *buf, size_t cap,
		    struct btrkit_error *error)
{
	struct btrkit_file *file = NULL;
	struct btrkit_stat stat;
	struct diag d;
	size_t len = 0;
	int err;

	fs_diag_init(&fs->note, &d);
	if (fs->foreign)
		return fs_error(error, &d, fs->foreign->readlink(fs->foreign_ctx, inode, buf, cap, &d));
	err = stat_inode(fs, inode, &stat, &d);
	if (!err && !S_ISLNK(stat.mode))
		err = diag_fail(&d, -EINVAL, "inode %llu is not a symbolic link", (ull)inode->ino);
	if (!err && stat.size >= cap)
		err = diag_fail(&d, -ERANGE, "the target of inode %llu has %llu bytes", (ull)inode->ino, (ull)stat.size);
	if (err)
		return fs_error(error, &d, err);
	err = btrkit_file_open(fs, inode, &file, error);
	if (!err)
		err = btrkit_file_read(file, 0, buf, (size_t)stat.size, &len, error);
	btrkit_file_close(file);
	if (err)
		return err;
	buf[len] = '\0';
	return 0;
}

/* --- Extended attributes ------------------------------------------------------------------------------------ */

bool dir_item_next(const struct cursor *cursor, u32 *at, const struct disk_dir_item **ret_entry)
{
	const struct disk_dir_item *entry;
	u32 left = cursor_data_bytes(cursor) - *at, bytes;

	if (left < sizeof(*entry))
		return false;
	entry = (const void *)((const u8 *)cursor_data(cursor) + *at);
	bytes = (u32)sizeof(*entry) + le16_get(entry->name_len) + le16_get(entry->data_len);
	if (bytes > left)
		return false;
	*at += bytes;
	*ret_entry = entry;
	return true;
}

static int each_xattr_of_item(const struct cursor *cursor, btrkit_xattr_fn fn, void *arg)
{
	const struct disk_dir_item *entry;

	for (u32 at = 0; dir_item_next(cursor, &at, &entry);) {
		char name[NAME_LEN_MAX + 1];
		size_t name_len = MIN((size_t)le16_get(entry->name_len), (size_t)NAME_LEN_MAX);
		int result;

		memcpy(name, entry->name, name_len);
		name[name_len] = '\0';
		result = fn(arg, name, name_len, entry->name + le16_get(entry->name_len), le16_get(entry->data_len));
		if (result)
			return result;
	}
	return 0;
}

int btrkit_xattr_for_each(struct btrkit_fs *fs, const struct btrkit_inode *inode, btrkit_xattr_fn fn, void *arg,
			  struct btrkit_error *error)
{
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	const struct key first = { inode->ino, XATTR_ITEM_KEY, 0 };
	struct fs_root root;
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	if (fs->foreign) {
		err = fs->foreign->xattr_for_each(fs->foreign_ctx, inode, fn, arg, &d);
		return err < 0 && d.err ? fs_error(error, &d, err) : err;
	}
	if (inode->ino == BTRKIT_EMPTY_DIR)
		return 0;
	err = fs_subvol_root(fs, inode->subvol, &root, &d);
	if (err)
		return fs_error(error, &d, err);
	cursor = cursor_init(&root.tree);
	for (err = cursor_seek(&cursor, &first, &d); err == 0; err = cursor_next(&cursor, &d)) {
		int result;

		if (!cursor_is_at(&cursor, inode->ino, XATTR_ITEM_KEY))
			return 0;
		result = each_xattr_of_item(&cursor, fn, arg);
		if (result)
			return result;
	}
	return err < 0 ? fs_error(error, &d, err) : 0;
}

struct wanted_xattr {
	const char *name;
	void *buf;
	size_t cap;
	size_t len;
};

static int take_wanted(void *arg, const char *name, size_t name_len, const void *value, size_t value_len)
{
	struct wanted_xattr *wanted = arg;

	if (strlen(wanted->name) != name_len || memcmp(wanted->name, name, name_len) != 0)
		return 0;
	wanted->len = value_len;
	if (value_len > wanted->cap)
		return -ERANGE;
	if (value_len)
		memcpy(wanted->buf, value, value_len);
	return 1;
}

int btrkit_xattr_get(struct btrkit_fs *fs, const struct btrkit_inode *inode, const char *name, void *buf, size_t cap,
		     size_t *ret_len, struct btrkit_error *error)
{
	struct wanted_xattr wanted = { .name = name, .buf = buf, .cap = cap };
	struct diag d;
	int result;

	fs_diag_init(&fs->note, &d);
	result = btrkit_xattr_for_each(fs, inode, take_wanted, &wanted, error);
	if (result == 1 || result == -ERANGE)
		*ret_len = wanted.len;
	if (result == -ERANGE)
		return fs_error(error, &d, diag_fail(&d, -ERANGE, "attribute %s has %zu bytes", name, wanted.len));
	if (result == 0)
		return fs_error(error, &d, diag_fail(&d, -ENODATA, "inode %llu has no attribute %s", (ull)inode->ino, name));
	return result < 0 ? result : 0;
}
