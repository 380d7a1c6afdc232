/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_tree.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

struct place {
	u32 ino;
	char *path; /* NULL: the root */
};

struct walking {
	const struct ext_tree_walk *walk;
	struct ext_map map;
	u8 *raw; /* an inode */
	ARRAY(struct place) stack; /* directories to be looked into */
	const char *path; /* of the one that is */
};

static int is_directory(struct walking *w, const struct ext_entry *entry, bool *ret_is, struct diag *d)
{
	struct ext_inode inode;
	int err;

	*ret_is = entry->file_type == EXT2_FT_DIR;
	if (entry->file_type != EXT2_FT_UNKNOWN)
		return 0;
	err = ext_inode_read(w->walk->ext, entry->ino, w->raw, &inode, d);
	*ret_is = !err && S_ISDIR(inode.mode);
	return err;
}

static int walk_entry(void *ctx, const struct ext_entry *entry, struct diag *d)
{
	struct walking *w = ctx;
	_free_ char *path = NULL;
	bool is_dir;
	int err;

	if (entry->ino > w->walk->ext->nr_inodes)
		return diag_fail(d, -EUCLEAN, "%s/%.*s leads to inode %u, of %u; run e2fsck -f", w->path, (int)entry->name_len, entry->name,
				 entry->ino, w->walk->ext->nr_inodes);
	if (asprintf(&path, "%s/%.*s", w->path, (int)entry->name_len, entry->name) < 0) {
		path = NULL;
		return diag_no_memory(d, "paths");
	}
	err = w->walk->entry(w->walk->ctx, path, entry->ino, d);
	if (err <= 0)
		return err;
	err = is_directory(w, entry, &is_dir, d);
	if (err || !is_dir)
		return err;
	if (array_push(&w->stack, (struct place){ entry->ino, path }) < 0)
		return diag_no_memory(d, "paths");
	path = NULL;
	return 0;
}

static int walk_directory(struct walking *w, u32 ino, u8 *raw, struct diag *d)
{
	const struct ext_tree_walk *walk = w->walk;
	struct ext_inode inode;
	int err = ext_inode_read(walk->ext, ino, raw, &inode, d);

	if (!err && (inode.links_count == 0 || !S_ISDIR(inode.mode)))
		return diag_fail(d, -EUCLEAN, "%s (inode %u) is no directory; run e2fsck -f", *w->path ? w->path : "/", ino);
	if (!err)
		err = ext_dir_entries(&w->map, &inode, false, walk_entry, w, d);
	if (!err && w->map.nr_unread && walk->unread)
		walk->unread(walk->ctx, *w->path ? w->path : "/", ino, w->map.nr_unread, d);
	return err;
}

static int walk_all(struct walking *w, struct diag *d)
{
	_free_ u8 *raw = malloc(w->walk->ext->inode_bytes); /* not w->raw: it lasts while entries are told */

	if (!raw || array_push(&w->stack, (struct place){ EXT2_ROOT_INO, NULL }) < 0)
		return diag_no_memory(d, "paths");
	while (w->stack.len > 0) {
		struct place place = w->stack.items[--w->stack.len];
		_free_ char *path = place.path;
		int err;

		w->path = path ?: "";
		err = walk_directory(w, place.ino, raw, d);
		if (w->walk->is_tolerant && (err == -EUCLEAN || err == -EIO))
			diag_clear(d);
		else if (err)
			return err;
	}
	return 0;
}

int ext_tree_walk(const struct ext_tree_walk *walk, struct diag *d)
{
	struct walking w = { .walk = walk };
	int err = ext_map_init(&w.map, walk->ext, NULL, d);

	w.raw = malloc(walk->ext->inode_bytes);
	if (!err)
		err = w.raw ? walk_all(&w, d) : diag_no_memory(d, "paths");
	ext_map_done(&w.map);
	array_for_each(&w.stack, place)
		free(place->path);
	array_done(&w.stack);
	free(w.raw);
	return err;
}

/* --- One path --------------------------------------------------------------------------------------------------- */

#define FOUND (-EEXIST)

struct finding {
	u32 ino;
	struct ext_bits entered;
	char *buf;
	size_t cap;
};

static int compare_entry(void *ctx, const char *path, u32 ino, struct diag *d)
{
	struct finding *f = ctx;
	int seen;

	if (ino == f->ino) {
		snprintf(f->buf, f->cap, "%s", path);
		return FOUND;
	}
	seen = ext_bits_set(&f->entered, ino);
	return seen < 0 ? diag_no_memory(d, "paths") : !seen;
}

bool ext_tree_find_path(const struct ext_fs *ext, u32 ino, char *buf, size_t cap)
{
	struct finding f = { .ino = ino, .buf = buf, .cap = cap };
	const struct ext_tree_walk walk = { .ext = ext, .entry = compare_entry, .ctx = &f, .is_tolerant = true };
	struct diag unused = { 0 };
	int err = -ENOMEM;

	if (ino == EXT2_ROOT_INO) {
		snprintf(buf, cap, "/");
		return true;
	}
	if (ext_bits_init(&f.entered, (u64)ext->nr_inodes + 1, ext->inodes_per_group) == 0)
		err = ext_tree_walk(&walk, &unused);
	ext_bits_done(&f.entered);
	return err == FOUND;
}
