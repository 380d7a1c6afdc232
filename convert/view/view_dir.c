/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Directories: all entries are taken at once, as sources tell them. */
#include <sys/stat.h>

#include "convert/view/view.h"

typedef unsigned long long ull;

struct entry {
	struct btrkit_inode inode;
	size_t name; /* where in the names */
	u32 name_len;
	bool is_subvol;
};

struct foreign_dir {
	struct source_sink sink;
	struct view *view;
	struct btrkit_inode inode;
	ARRAY(struct entry) entries;
	ARRAY(char) names; /* each with a NUL behind it */
	size_t next;
	struct diag damage; /* why not all of them are here; err 0: they are */
	u64 nr_skipped;
};

static int take_dir(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	(void)sink;
	if (S_ISDIR(inode->mode))
		return 0;
	return diag_fail(d, -ENOTDIR, "inode %llu is not a directory", (ull)inode->ino);
}

static int add_entry(struct foreign_dir *dir, const struct btrkit_inode *inode, const char *name, size_t name_len, bool is_subvol,
		     struct diag *d)
{
	struct entry entry = { .inode = *inode, .name = dir->names.len, .name_len = (u32)name_len, .is_subvol = is_subvol };

	if (name_len == 0 || name_len > BTRKIT_NAME_MAX)
		return diag_fail(d, -EUCLEAN, "directory %llu: a name of %zu bytes", (ull)dir->inode.ino, name_len);
	if (array_reserve(&dir->names, name_len + 1) < 0 || array_push(&dir->entries, entry) < 0)
		return diag_no_memory(d, "a directory");
	memcpy(dir->names.items + dir->names.len, name, name_len);
	dir->names.items[dir->names.len + name_len] = '\0';
	dir->names.len += name_len + 1;
	return 0;
}

static int take_entry(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 child_ino, struct diag *d)
{
	struct foreign_dir *dir = container_of(sink, struct foreign_dir, sink);
	const struct btrkit_inode inode = { dir->inode.subvol, child_ino };

	(void)dir_ino;
	return add_entry(dir, &inode, name, name_len, false, d);
}

/* The subvolume @id. 1: there is none. */
static int find_subvol(struct view *view, u64 id, struct source_subvol *ret_subvol, struct diag *d)
{
	const struct source_ops *ops = view->source->ops;
	int err = ops->subvol_at ? 0 : 1;

	for (size_t i = 0; !err; i++) {
		err = ops->subvol_at(view->source, i, ret_subvol, d);
		if (!err && ret_subvol->id == id)
			return 0;
	}
	return err;
}

/* What a name of a subvolume leads to that is not there is what Linux shows for one of Btrfs: an empty directory. */
static int take_subvol(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 subvol, struct diag *d)
{
	struct foreign_dir *dir = container_of(sink, struct foreign_dir, sink);
	struct source_subvol found = { .id = subvol, .top_ino = BTRKIT_EMPTY_DIR };
	int err = find_subvol(dir->view, subvol, &found, d);
	const struct btrkit_inode inode = { subvol, err ? BTRKIT_EMPTY_DIR : found.top_ino };

	if (err < 0)
		return err;
	if (err)
		diag_note(d, DIAG_WARNING, "directory %llu: \"%.*s\" is subvolume %llu, which is not there", (ull)dir_ino, (int)name_len,
			  name, (ull)subvol);
	return add_entry(dir, &inode, name, name_len, true, d);
}

int view_dir_open(void *ctx, const struct btrkit_inode *inode, struct foreign_dir **ret_dir, struct diag *d)
{
	_cleanup_(view_dir_closep) struct foreign_dir *dir = calloc(1, sizeof(*dir));
	struct source *source = ((struct view *)ctx)->source;
	int err;

	if (!dir)
		return diag_no_memory(d, "a directory");
	dir->sink = (struct source_sink){ .inode = take_dir, .entry = take_entry, .subvol = take_subvol };
	dir->view = ctx;
	dir->inode = view_plain_inode(ctx, inode);
	if (!btrkit_inode_is_empty_dir(&dir->inode)) {
		err = source->ops->look(source, dir->inode.subvol, dir->inode.ino, &dir->sink, d);
		if (err == -ENOMEM || err == -ENOTDIR || err == -ENOENT || err == -EOPNOTSUPP)
			return err;
		/* There may be entries all the same. */
		if (err) {
			dir->damage.err = err;
			diag_copy(&dir->damage, d);
			diag_clear(d);
		}
	}
	*ret_dir = take_ptr(dir);
	return 0;
}

void view_dir_close(struct foreign_dir *dir)
{
	if (!dir)
		return;
	array_done(&dir->entries);
	array_done(&dir->names);
	free(dir);
}

u64 view_dir_nr_skipped(const struct foreign_dir *dir)
{
	return dir->nr_skipped;
}

/* 0 where it cannot be told. */
static u32 type_of(struct view *view, const struct entry *entry)
{
	struct source_inode inode;
	struct diag unused = { 0 };

	if (entry->is_subvol)
		return S_IFDIR;
	return view_inode(view, &entry->inode, &inode, &unused) ? 0 : inode.mode & S_IFMT;
}

int view_dir_next(struct foreign_dir *dir, bool do_skip_damage, struct btrkit_dir_entry *ret_entry, struct diag *d)
{
	const struct entry *entry;

	if (dir->next == dir->entries.len && dir->damage.err && !dir->nr_skipped) {
		if (!do_skip_damage)
			return diag_copy(d, &dir->damage);
		diag_note(d, DIAG_WARNING, "%s", dir->damage.text);
		dir->nr_skipped = 1;
	}
	if (dir->next == dir->entries.len)
		return 1;
	entry = &dir->entries.items[dir->next++];
	*ret_entry = (struct btrkit_dir_entry){
		.name = dir->names.items + entry->name,
		.name_len = entry->name_len,
		.type = type_of(dir->view, entry),
		.inode = entry->inode,
		.is_subvol = entry->is_subvol,
		.index = dir->next,
	};
	return 0;
}
