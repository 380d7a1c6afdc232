/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Directories: finding one name, and listing all. */
#include <sys/stat.h>

#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/fs/foreign.h"

typedef unsigned long long ull;

static const u32 mode_of_type[FT_MAX] = {
	[FT_REG_FILE] = S_IFREG, [FT_DIR] = S_IFDIR,   [FT_CHRDEV] = S_IFCHR,  [FT_BLKDEV] = S_IFBLK,
	[FT_FIFO] = S_IFIFO,	 [FT_SOCK] = S_IFSOCK, [FT_SYMLINK] = S_IFLNK,
};

/* Does the root tree say that subvolume @id has this name in this directory? */
static int subvol_is_here(struct btrkit_fs *fs, const struct btrkit_inode *dir, u64 id, const struct disk_dir_item *entry,
			  bool *ret_is_here, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&fs->root_tree);
	const struct key key = { dir->subvol, ROOT_REF_KEY, id };
	const struct disk_root_ref *ref;
	int err = cursor_find(&cursor, &key, d);

	if (err < 0)
		return err;
	*ret_is_here = false;
	if (err == 1 || cursor_data_bytes(&cursor) < sizeof(*ref))
		return 0;
	ref = cursor_data(&cursor);
	*ret_is_here = le64_get(ref->dirid) == dir->ino && le16_get(ref->name_len) == le16_get(entry->name_len) &&
		       sizeof(*ref) + le16_get(ref->name_len) <= cursor_data_bytes(&cursor) &&
		       memcmp(ref->name, entry->name, le16_get(entry->name_len)) == 0;
	return 0;
}

int dir_entry_target(struct btrkit_fs *fs, const struct btrkit_inode *dir, const struct disk_dir_item *entry,
		     struct btrkit_inode *ret_inode, bool *ret_is_subvol, struct diag *d)
{
	const struct key location = key_unpack(&entry->location);
	struct fs_root root;
	bool is_here;
	int err;

	*ret_is_subvol = false;
	*ret_inode = (struct btrkit_inode){ dir->subvol, location.objectid };
	if (location.type != ROOT_ITEM_KEY)
		return 0;
	err = subvol_is_here(fs, dir, location.objectid, entry, &is_here, d);
	if (err)
		return err;
	err = is_here ? fs_subvol_root(fs, location.objectid, &root, d) : -ENOENT;
	if (err == -ENOENT) {
		ret_inode->ino = BTRKIT_EMPTY_DIR;
		diag_clear(d);
		return 0;
	}
	if (err)
		return err;
	*ret_inode = (struct btrkit_inode){ location.objectid, root.top_dir };
	*ret_is_subvol = true;
	return 0;
}

static bool is_named(const struct disk_dir_item *entry, const char *name, size_t name_len)
{
	return le16_get(entry->name_len) == name_len && memcmp(entry->name, name, name_len) == 0;
}

int dir_find(struct btrkit_fs *fs, const struct btrkit_inode *dir, const char *name, size_t name_len,
	     struct btrkit_inode *ret_inode, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	const struct key key = { dir->ino, DIR_ITEM_KEY, name_hash(name, name_len) };
	const struct disk_dir_item *entry;
	struct fs_root root;
	bool is_subvol;
	int err;

	if (fs->foreign)
		return fs->foreign->find(fs->foreign_ctx, dir, name, name_len, ret_inode, d);
	if (dir->ino == BTRKIT_EMPTY_DIR)
		return -ENOENT;
	err = fs_subvol_root(fs, dir->subvol, &root, d);
	if (err)
		return err;
	cursor = cursor_init(&root.tree);
	err = cursor_find(&cursor, &key, d);
	if (err < 0)
		return err;
	/* Different names may have the same hash: they share the item. */
	for (u32 at = 0; err == 0 && dir_item_next(&cursor, &at, &entry);)
		if (is_named(entry, name, name_len))
			return dir_entry_target(fs, dir, entry, ret_inode, &is_subvol, d);
	return -ENOENT;
}

int btrkit_lookup_name(struct btrkit_fs *fs, const struct btrkit_inode *dir, const char *name, size_t name_len,
		       struct btrkit_inode *ret_inode, struct btrkit_error *error)
{
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	if (name_len == 0 || name_len > NAME_LEN_MAX)
		err = diag_fail(&d, name_len ? -ENAMETOOLONG : -ENOENT, "a name of %zu bytes", name_len);
	else
		err = dir_find(fs, dir, name, name_len, ret_inode, &d);
	if (err == -ENOENT && !d.err)
		diag_fail(&d, err, "%.*s: no such file or directory", (int)name_len, name);
	return fs_error(error, &d, err);
}

/* --- Listing ------------------------------------------------------------------------------------------------ */

struct btrkit_dir {
	struct btrkit_fs *fs;
	struct foreign_dir *foreign; /* of a filesystem that is not Btrfs; NULL: it is */
	struct btrkit_inode inode;
	struct cursor cursor;
	bool is_begun;
	bool is_at_end;
	uint64_t nr_bad_entries; /* skipped, beside what the cursor skipped */
	struct diag no_inode; /* why the directory's own inode cannot be read; err 0: it can */
	char name[NAME_LEN_MAX + 1];
};

/* Its entries may be there even when the inode is not: what becomes of that is told when they are asked for. */
static int check_inode(struct btrkit_fs *fs, struct btrkit_dir *dir, const struct tree *tree, struct diag *d)
{
	struct disk_inode_item item;

	fs_diag_init(&fs->note, &dir->no_inode);
	if (inode_read(tree, dir->inode.ino, &item, &dir->no_inode) < 0)
		return dir->no_inode.err == -ENOMEM ? diag_copy(d, &dir->no_inode) : 0;
	if (S_ISDIR(le32_get(item.mode)))
		return 0;
	return diag_fail(d, -ENOTDIR, "inode %llu of subvolume %llu is not a directory", (ull)dir->inode.ino,
			 (ull)dir->inode.subvol);
}

int btrkit_dir_open(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct btrkit_dir **ret_dir,
		    struct btrkit_error *error)
{
	struct btrkit_dir *dir = calloc(1, sizeof(*dir));
	struct fs_root root = { 0 };
	struct diag d;
	int err = 0;

	fs_diag_init(&fs->note, &d);
	if (!dir)
		return fs_error(error, &d, diag_no_memory(&d, "a directory"));
	dir->fs = fs;
	dir->inode = *inode;
	dir->is_at_end = !fs->foreign && inode->ino == BTRKIT_EMPTY_DIR;
	if (fs->foreign) {
		err = fs->foreign->dir_open(fs->foreign_ctx, inode, &dir->foreign, &d);
	} else if (!dir->is_at_end) {
		err = fs_subvol_root(fs, inode->subvol, &root, &d);
		if (!err)
			err = check_inode(fs, dir, &root.tree, &d);
		dir->cursor = cursor_init(&root.tree);
	}
	if (err) {
		btrkit_dir_close(dir);
		return fs_error(error, &d, err);
	}
	*ret_dir = dir;
	return 0;
}

void btrkit_dir_skip_damage(struct btrkit_dir *dir)
{
	dir->cursor.do_skip_damage = true;
}

uint64_t btrkit_dir_nr_skipped(const struct btrkit_dir *dir)
{
	if (dir->foreign)
		return dir->fs->foreign->dir_nr_skipped(dir->foreign);
	return dir->cursor.nr_skipped + dir->nr_bad_entries;
}

void btrkit_dir_close(struct btrkit_dir *dir)
{
	if (!dir)
		return;
	if (dir->foreign)
		dir->fs->foreign->dir_close(dir->foreign);
	cursor_done(&dir->cursor);
	free(dir);
}

static int fill_entry(struct btrkit_dir *dir, struct btrkit_dir_entry *ret_entry, struct diag *d)
{
	const struct disk_dir_item *item;
	struct btrkit_inode target;
	size_t name_len;
	bool is_subvol;
	u32 at = 0;
	u8 type;
	int err;

	if (!dir_item_next(&dir->cursor, &at, &item))
		return diag_fail(d, -EUCLEAN, "directory %llu: damaged entry", (ull)dir->inode.ino);
	err = dir_entry_target(dir->fs, &dir->inode, item, &target, &is_subvol, d);
	if (err)
		return err;
	name_len = MIN((size_t)le16_get(item->name_len), (size_t)NAME_LEN_MAX);
	memcpy(dir->name, item->name, name_len);
	dir->name[name_len] = '\0';
	type = item->type & (u8)~FT_ENCRYPTED;
	*ret_entry = (struct btrkit_dir_entry){
		.name = dir->name,
		.name_len = name_len,
		.type = type < FT_MAX ? mode_of_type[type] : 0,
		.inode = target,
		.is_subvol = is_subvol,
		.index = cursor_key(&dir->cursor).offset,
	};
	return 0;
}

/* May the listing go on after what @d tells of? */
static bool skip_bad(struct btrkit_dir *dir, struct diag *d)
{
	if (!dir->cursor.do_skip_damage || d->err == -ENOMEM)
		return false;
	dir->nr_bad_entries++;
	diag_note(d, DIAG_WARNING, "directory %llu of subvolume %llu: %s", (ull)dir->inode.ino, (ull)dir->inode.subvol,
		  d->text);
	diag_clear(d);
	return true;
}

static int move_on(struct btrkit_dir *dir, struct diag *d)
{
	const struct key first = { dir->inode.ino, DIR_INDEX_KEY, 0 };
	int err;

	if (dir->is_begun)
		return cursor_next(&dir->cursor, d);
	if (dir->no_inode.err) {
		err = diag_copy(d, &dir->no_inode);
		if (!skip_bad(dir, d))
			return err;
	}
	dir->is_begun = true;
	return cursor_seek(&dir->cursor, &first, d);
}

static int next_entry(struct btrkit_dir *dir, struct btrkit_dir_entry *ret_entry, struct diag *d)
{
	int err = dir->is_at_end ? 1 : 0;

	while (err == 0) {
		err = move_on(dir, d);
		if (err == 0 && !cursor_is_at(&dir->cursor, dir->inode.ino, DIR_INDEX_KEY))
			err = 1;
		if (err)
			break;
		err = fill_entry(dir, ret_entry, d);
		if (!err || !skip_bad(dir, d))
			return err;
		err = 0;
	}
	dir->is_at_end = true;
	cursor_done(&dir->cursor);
	return err;
}

int btrkit_dir_next(struct btrkit_dir *dir, struct btrkit_dir_entry *ret_entry, struct btrkit_error *error)
{
	struct diag d;

	fs_diag_init(&dir->fs->note, &d);
	if (dir->foreign)
		return fs_error(error, &d,
				dir->fs->foreign->dir_next(dir->foreign, dir->cursor.do_skip_damage, ret_entry, &d));
	return fs_error(error, &d, next_entry(dir, ret_entry, &d));
}
