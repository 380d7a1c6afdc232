/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From paths to inodes and back, across subvolumes. */
#include <sys/stat.h>

#include "kernel-shared/fs/foreign.h"

typedef unsigned long long ull;

/* Deeper than any tree of directories that Linux lets one make by path; ends what a damaged filesystem closes to a ring. */
#define DEPTH_MAX 65536

/* --- Upward ------------------------------------------------------------------------------------------------- */

static void set_name(struct inode_name *to, u64 subvol, u64 dir, const u8 *name, size_t name_len)
{
	to->dir = (struct btrkit_inode){ subvol, dir };
	to->name_len = MIN(name_len, (size_t)NAME_LEN_MAX);
	memcpy(to->name, name, to->name_len);
	to->name[to->name_len] = '\0';
}

static int subvol_name(struct btrkit_fs *fs, u64 id, struct inode_name *ret_name, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	const struct key first = { id, ROOT_BACKREF_KEY, 0 };
	const struct disk_root_ref *ref;
	int err = cursor_seek(&cursor, &first, d);

	if (err < 0)
		return err;
	if (err == 1 || !cursor_is_at(&cursor, id, ROOT_BACKREF_KEY))
		return diag_fail(d, -ENOENT, "subvolume %llu has no name", (ull)id);
	ref = cursor_data(&cursor);
	if (cursor_data_bytes(&cursor) < sizeof(*ref) ||
	    cursor_data_bytes(&cursor) - sizeof(*ref) < le16_get(ref->name_len))
		return diag_fail(d, -EUCLEAN, "subvolume %llu: damaged name", (ull)id);
	set_name(ret_name, cursor_key(&cursor).offset, le64_get(ref->dirid), ref->name, le16_get(ref->name_len));
	return 0;
}

static bool take_ref(const struct cursor *cursor, u64 ino, struct inode_name *ret_name)
{
	const struct disk_inode_ref *ref = cursor_data(cursor);
	const struct disk_inode_extref *extref = cursor_data(cursor);
	u64 subvol = cursor->tree.id;
	u32 bytes = cursor_data_bytes(cursor);

	if (cursor_is_at(cursor, ino, INODE_REF_KEY) && bytes >= sizeof(*ref) &&
	    bytes - sizeof(*ref) >= le16_get(ref->name_len)) {
		set_name(ret_name, subvol, cursor_key(cursor).offset, ref->name, le16_get(ref->name_len));
		return true;
	}
	if (cursor_is_at(cursor, ino, INODE_EXTREF_KEY) && bytes >= sizeof(*extref) &&
	    bytes - sizeof(*extref) >= le16_get(extref->name_len)) {
		set_name(ret_name, subvol, le64_get(extref->parent_objectid), extref->name, le16_get(extref->name_len));
		return true;
	}
	return false;
}

int inode_first_name(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct inode_name *ret_name, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	const struct key first = { inode->ino, INODE_REF_KEY, 0 };
	struct fs_root root;
	int err;

	if (fs->foreign)
		return fs->foreign->first_name(fs->foreign_ctx, inode, ret_name, d);
	err = fs_subvol_root(fs, inode->subvol, &root, d);
	if (err)
		return err;
	if (inode->ino == root.top_dir)
		return subvol_name(fs, inode->subvol, ret_name, d);
	cursor = cursor_init(&root.tree);
	err = cursor_seek(&cursor, &first, d);
	if (err < 0)
		return err;
	if (err == 1 || !take_ref(&cursor, inode->ino, ret_name))
		return diag_fail(d, -ENOENT, "inode %llu of subvolume %llu has no name", (ull)inode->ino,
				 (ull)inode->subvol);
	return 0;
}

static bool is_top(const struct btrkit_fs *fs, const struct btrkit_inode *inode)
{
	if (fs->foreign) {
		struct btrkit_inode top = fs->foreign->plain_inode(fs->foreign_ctx, &BTRKIT_INODE_TOP);
		struct btrkit_inode plain = fs->foreign->plain_inode(fs->foreign_ctx, inode);

		return plain.subvol == top.subvol && plain.ino == top.ino;
	}
	return inode->subvol == FS_TREE_OBJECTID && inode->ino == FIRST_FREE_OBJECTID;
}

int inode_path(struct btrkit_fs *fs, const struct btrkit_inode *inode, char *buf, size_t cap, struct diag *d)
{
	struct btrkit_inode at = *inode;
	size_t start = cap; /* the path grows backwards from the end of the buffer */

	if (cap < 2)
		return diag_fail(d, -ERANGE, "no room for a path");
	buf[--start] = '\0';
	for (unsigned depth = 0; !is_top(fs, &at); depth++) {
		struct inode_name name;
		int err = inode_first_name(fs, &at, &name, d);

		if (err)
			return err;
		if (depth == DEPTH_MAX)
			return diag_fail(d, -EUCLEAN, "directory %llu of subvolume %llu lies within itself",
					 (ull)inode->ino, (ull)inode->subvol);
		if (start < name.name_len + 1)
			return diag_fail(d, -ERANGE, "the path is longer than %zu bytes", cap - 1);
		start -= name.name_len;
		memcpy(buf + start, name.name, name.name_len);
		buf[--start] = '/';
		at = name.dir;
	}
	if (start == cap - 1)
		buf[--start] = '/';
	memmove(buf, buf + start, cap - start);
	return 0;
}

int btrkit_path(struct btrkit_fs *fs, const struct btrkit_inode *inode, char *buf, size_t cap,
		struct btrkit_error *error)
{
	struct diag d;

	fs_diag_init(&fs->note, &d);
	return fs_error(error, &d, inode_path(fs, inode, buf, cap, &d));
}

/* --- Downward ----------------------------------------------------------------------------------------------- */

static int check_is_dir(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct diag *d)
{
	struct disk_inode_item item;
	struct btrkit_stat stat;
	struct fs_root root;
	int err;

	if (fs->foreign) {
		err = fs->foreign->stat(fs->foreign_ctx, inode, &stat, d);
		return err ? err : S_ISDIR(stat.mode) ? 0 : -ENOTDIR;
	}
	if (inode->ino == BTRKIT_EMPTY_DIR)
		return 0;
	err = fs_subvol_root(fs, inode->subvol, &root, d);
	if (!err)
		err = inode_read(&root.tree, inode->ino, &item, d);
	if (err)
		return err;
	return S_ISDIR(le32_get(item.mode)) ? 0 : -ENOTDIR;
}

static int step(struct btrkit_fs *fs, struct btrkit_inode *at, const char *name, size_t name_len, struct diag *d)
{
	struct inode_name up;
	int err = check_is_dir(fs, at, d);

	if (err || (name_len == 1 && name[0] == '.'))
		return err;
	if (name_len == 2 && name[0] == '.' && name[1] == '.') {
		if (is_top(fs, at) || btrkit_inode_is_empty_dir(at))
			return 0;
		err = inode_first_name(fs, at, &up, d);
		if (!err)
			*at = up.dir;
		return err;
	}
	if (name_len > NAME_LEN_MAX)
		return -ENAMETOOLONG;
	return dir_find(fs, at, name, name_len, at, d);
}

int btrkit_lookup(struct btrkit_fs *fs, const struct btrkit_inode *from, const char *path,
		  struct btrkit_inode *ret_inode, struct btrkit_error *error)
{
	struct btrkit_inode at = from ? *from : BTRKIT_INODE_TOP;
	const char *name = path;
	struct diag d;

	fs_diag_init(&fs->note, &d);
	if (fs->foreign)
		at = fs->foreign->plain_inode(fs->foreign_ctx, &at);
	while (*name) {
		size_t len = strcspn(name, "/");
		int err = 0;

		if (len > 0)
			err = step(fs, &at, name, len, &d);
		if (!err && name[len] == '/' && len > 0)
			err = check_is_dir(fs, &at, &d);
		if (err) {
			if (!d.err)
				diag_fail(&d, err, "%.*s: %s", (int)(name + len - path), path, strerror(-err));
			return fs_error(error, &d, err);
		}
		name += len + (name[len] == '/');
	}
	*ret_inode = at;
	return 0;
}
