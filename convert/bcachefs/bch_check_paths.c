/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From an inode to a path that people know. What an inode says of its name is not trusted, and old ones do not say it: all names are
 * gathered once by what they stand for, when the first path is wanted.
 */
#include <limits.h>
#include <stdio.h>

#include "convert/bcachefs/bch_check.h"

#define DEPTH_MAX (PATH_MAX / 2)

static int compare_parents(const void *a, const void *b)
{
	const struct bch_parent *x = a, *y = b;

	if (x->is_subvol != y->is_subvol)
		return x->is_subvol < y->is_subvol ? -1 : 1;
	if (x->child != y->child)
		return x->child < y->child ? -1 : 1;
	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static int gather(struct bch_check *check, struct sorter *sorter, struct diag *d)
{
	struct bch_sweep sweep;
	struct bch_key key;
	int err;

	bch_sweep_init(&sweep, check, BCH_DIRENTS);
	while ((err = bch_sweep_next(&sweep, &key, d)) == 0) {
		struct bch_dirent dirent;
		struct bch_parent parent;

		if (key.type != BCH_KEY_DIRENT || bch_dirent_get(&key, &dirent, NULL) < 0)
			continue;
		parent = (struct bch_parent){ .child = dirent.ino, .dir = key.pos.inode, .offset = key.pos.offset,
					      .snapshot = key.pos.snapshot };
		if (dirent.type == BCH_DT_SUBVOL) {
			parent.child = dirent.subvol;
			parent.is_subvol = 1;
		}
		err = sorter_add(sorter, &parent, 1, d);
		if (err)
			break;
	}
	bch_sweep_done(&sweep);
	return err < 0 ? err : 0;
}

static int make_parents(struct bch_check *check)
{
	struct sorter *sorter = NULL;
	struct sequence *list = NULL;
	const void *record;
	bool was_muted = check->sink.is_muted;
	int err = sorter_new(&check->spill, sizeof(struct bch_parent), check->memory_bytes / 8, compare_parents, &sorter);

	check->sink.is_muted = true;
	if (!err)
		err = sequence_new(&check->spill, sizeof(struct bch_parent), check->memory_bytes / 8, &list);
	if (!err)
		err = gather(check, sorter, NULL);
	check->sink.is_muted = was_muted;
	if (!err)
		err = sorter_sort(sorter, NULL);
	while (!err && (err = sorter_next(sorter, &record, NULL)) == 0)
		err = sequence_append(list, record, NULL);
	sorter_free(sorter);
	if (err < 0) {
		sequence_free(list);
		return err;
	}
	check->parents = list;
	return 0;
}

void bch_parents_done(struct bch_check *check)
{
	sequence_free(check->parents);
	check->parents = NULL;
}

/* The first record that is not before @wanted. */
static u64 first_at(struct sequence_reader *reader, u64 nr, const struct bch_parent *wanted)
{
	u64 low = 0, high = nr;

	while (low < high) {
		u64 middle = low + (high - low) / 2;
		const void *record;

		reader->next = middle;
		if (sequence_next(reader, &record, NULL) != 0)
			return nr;
		if (compare_parents(record, wanted) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Is the name what @snapshot sees there? Then it comes before the path that ends at *start in @path. */
static bool prepend(struct bch_check *check, u32 snapshot, const struct bch_parent *parent, char *path, size_t *start)
{
	struct bch_view view;
	struct bch_dirent dirent;
	struct bch_key key;
	bool is_it = false;

	bch_view_init(&view, check->fs, BCH_DIRENTS, snapshot);
	if (bch_view_seek(&view, parent->dir, parent->offset, &key, NULL) == 0 && key.pos.inode == parent->dir &&
	    key.pos.offset == parent->offset && key.pos.snapshot == parent->snapshot && key.type == BCH_KEY_DIRENT &&
	    bch_dirent_get(&key, &dirent, NULL) == 0 && dirent.name_len < *start) {
		*start -= dirent.name_len;
		memcpy(path + *start, dirent.name, dirent.name_len);
		path[--*start] = '/';
		is_it = true;
	}
	bch_view_done(&view);
	return is_it;
}

/* One step up. False: there is no name. */
static bool step_up(struct bch_check *check, u32 snapshot, u64 child, bool is_subvol, char *path, size_t *start, u64 *ret_dir)
{
	struct bch_parent wanted = { .child = child, .is_subvol = is_subvol };
	struct sequence_reader reader = sequence_read_from(check->parents, 0);
	u64 nr = sequence_count(check->parents);
	const void *record;
	bool is_found = false;

	reader.buffer_bytes = 4096;
	reader.next = first_at(&reader, nr, &wanted);
	while (!is_found && sequence_next(&reader, &record, NULL) == 0) {
		struct bch_parent parent = *(const struct bch_parent *)record;

		if (parent.child != child || parent.is_subvol != wanted.is_subvol)
			break;
		if (!bch_snapshot_sees(check->fs, snapshot, parent.snapshot) || !prepend(check, snapshot, &parent, path, start))
			continue;
		*ret_dir = parent.dir;
		is_found = true;
	}
	sequence_reader_done(&reader);
	return is_found;
}

/* The subvolume in which a subvolume's name is: it says so itself, or the name is found in any. */
static const struct bch_subvol *step_out(struct bch_check *check, const struct bch_subvol *subvol, char *path, size_t *start,
					 u64 *ret_dir)
{
	array_for_each(&check->fs->snapshots.subvols, outer)
		if (outer->id != subvol->id && step_up(check, outer->snapshot, subvol->id, true, path, start, ret_dir))
			return outer;
	return NULL;
}

/* @path has PATH_MAX bytes, of which those from *start on are used. */
static bool find_path(struct bch_check *check, const struct bch_subvol *subvol, u64 ino, char *path, size_t *start)
{
	if (!check->parents && !check->has_no_parents)
		check->has_no_parents = make_parents(check) < 0;
	if (!check->parents)
		return false;
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		if (ino != subvol->top_ino) {
			if (!step_up(check, subvol->snapshot, ino, false, path, start, &ino))
				return false;
		} else if (subvol->id == BCH_TOP_SUBVOL) {
			return true;
		} else {
			subvol = step_out(check, subvol, path, start, &ino);
			if (!subvol)
				return false;
		}
	}
	return false;
}

static void add(struct path_list *list, const char *path)
{
	list->total++;
	if (list->nr_paths == BTRKIT_PROBLEM_PATHS_MAX)
		return;
	list->paths[list->nr_paths] = strdup(path);
	list->nr_paths += list->paths[list->nr_paths] != NULL;
}

void bch_path_add(struct bch_check *check, const struct bch_subvol *subvol, u64 ino, struct path_list *list)
{
	char path[PATH_MAX];
	size_t start = sizeof(path) - 1;

	path[start] = '\0';
	if (find_path(check, subvol, ino, path, &start))
		add(list, path[start] ? path + start : "/");
}

void bch_path_add_name(struct bch_check *check, const struct bch_subvol *subvol, u64 dir, const char *name, size_t len,
		       struct path_list *list)
{
	char path[PATH_MAX];
	size_t start = sizeof(path) - 1;

	path[start] = '\0';
	if (len + 1 >= start)
		return;
	start -= len;
	memcpy(path + start, name, len);
	path[--start] = '/';
	if (find_path(check, subvol, dir, path, &start))
		add(list, path + start);
}

void bch_paths_of_key(struct bch_check *check, u8 btree, const struct bch_pos *pos, struct path_list *list)
{
	u64 ino = btree == BCH_INODES ? pos->offset : pos->inode;

	array_for_each(&check->fs->snapshots.subvols, subvol) {
		struct bch_view view;
		struct bch_key key;

		if (!bch_snapshot_sees(check->fs, subvol->snapshot, pos->snapshot))
			continue;
		bch_view_init(&view, check->fs, btree, subvol->snapshot);
		if (bch_view_seek(&view, pos->inode, pos->offset, &key, NULL) == 0 && bch_pos_compare(&key.pos, pos) == 0)
			bch_path_add(check, subvol, ino, list);
		bch_view_done(&view);
	}
}
