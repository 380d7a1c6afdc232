/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The sweep by name: each inode of a subvolume beside the names that stand for it; and the whole pass, for each subvolume. */
#include <sys/stat.h>

#include "convert/bcachefs/bch_check_names.h"

typedef unsigned long long ull;

#define BACKPOINTER_UNTRUSTED (1 << 8)

static int compare_names(const void *a, const void *b)
{
	const struct bch_name_fact *x = a, *y = b;

	if (x->child != y->child)
		return x->child < y->child ? -1 : 1;
	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* A name, and what stands behind it is not there. */
static void complain_of_name(struct bch_names_pass *pass, const struct bch_name_fact *fact)
{
	struct bch_check *check = pass->check;
	struct path_list paths = { 0 };
	struct bch_dirent dirent;
	struct bch_view view;
	struct bch_key key;

	bch_view_init(&view, check->fs, BCH_DIRENTS, pass->subvol->snapshot);
	if (bch_view_seek(&view, fact->dir, fact->offset, &key, NULL) == 0 && key.type == BCH_KEY_DIRENT &&
	    bch_dirent_get(&key, &dirent, NULL) == 0)
		bch_path_add_name(check, pass->subvol, fact->dir, dirent.name, dirent.name_len, &paths);
	bch_view_done(&view);
	if (bch_lost_has_inode(check, BCH_INODES, fact->child))
		complain(check, BCH_FILE_LOST, AT(.tree = pass->subvol->id, .inode = fact->child, .paths = &paths), pass->subvol->id,
			 (ull)fact->child);
	else
		complain(check, BCH_DIRENT_WITHOUT_INODE, AT(.tree = pass->subvol->id, .inode = fact->child, .paths = &paths),
			 pass->subvol->id, (ull)fact->child);
	path_list_done(&paths);
}

struct inode_names {
	u64 nr;
	u64 dir; /* of the first */
	bool is_backpointer_right;
};

static void judge_one_name(struct bch_names_pass *pass, const struct bch_inode *inode, const struct bch_name_fact *fact,
			   struct inode_names *names)
{
	if (fact->type != (inode->mode & S_IFMT) >> 12)
		complain_of(pass, BCH_DIRENT_TYPE_WRONG, inode->ino, (ull)inode->ino, (unsigned)fact->type,
			    (unsigned)(inode->mode & S_IFMT) >> 12);
	if (names->nr++ == 0)
		names->dir = fact->dir;
	names->is_backpointer_right |= fact->dir == inode->dir && fact->offset == inode->dir_offset;
}

static void judge_count(struct bch_names_pass *pass, const struct bch_inode *inode, const struct inode_names *names)
{
	bool is_deleted = inode->flags & BCH_INODE_UNLINKED;

	if (is_deleted && names->nr == 0) {
		if (pass->nr_deleted++ == 0)
			pass->first_deleted = inode->ino;
	} else if (names->nr == 0 && !pass->is_names_lost) {
		complain_of(pass, BCH_INODE_UNREACHABLE, inode->ino, (ull)inode->ino);
	} else if (S_ISDIR(inode->mode) && names->nr > 1) {
		complain_of(pass, BCH_DIR_LINKED_TWICE, inode->ino, (ull)inode->ino, (ull)names->nr);
	} else if ((!S_ISDIR(inode->mode) || is_deleted) && names->nr != inode->nlink &&
		 !(pass->is_names_lost && names->nr < inode->nlink)) {
		complain_of(pass, BCH_LINK_COUNT_WRONG, inode->ino, (ull)inode->ino, inode->nlink, (ull)names->nr);
	}
	if (inode->dir && !names->is_backpointer_right && !pass->is_names_lost && !(inode->flags & BACKPOINTER_UNTRUSTED) && names->nr)
		complain_of(pass, BCH_BACKPOINTER_WRONG, inode->ino, (ull)inode->ino, (ull)inode->dir, (ull)inode->dir_offset);
}

/* @name is the next of the sorted names, NULL at their end. */
static int next_name(struct bch_names_pass *pass, const struct bch_name_fact **name, struct diag *d)
{
	const void *record;
	int err = sorter_next(pass->names, &record, d);

	*name = err ? NULL : record;
	return err < 0 ? err : 0;
}

static int judge_inode(struct bch_names_pass *pass, const struct bch_inode *inode, const struct bch_name_fact **name, struct diag *d)
{
	struct inode_names names = { 0 };
	int err = 0;

	while (!err && *name && (*name)->child < inode->ino) {
		complain_of_name(pass, *name);
		err = next_name(pass, name, d);
	}
	while (!err && *name && (*name)->child == inode->ino) {
		judge_one_name(pass, inode, *name, &names);
		err = next_name(pass, name, d);
	}
	if (err || inode->ino == pass->subvol->top_ino)
		return err;
	judge_count(pass, inode, &names);
	if (S_ISDIR(inode->mode) && names.nr)
		err = sequence_append(pass->dirs, &(struct bch_dir_fact){ inode->ino, names.dir }, d);
	return err;
}

int bch_names_by_name(struct bch_names_pass *pass, struct diag *d)
{
	const struct bch_name_fact *name = NULL;
	struct bch_inode inode;
	int err = sorter_sort(pass->names, d);

	if (!err)
		err = next_name(pass, &name, d);
	if (!err)
		err = bch_stream_open(&pass->inodes, pass->check, BCH_INODES, pass->subvol->snapshot, d);
	while (!err && (err = bch_stream_inode(&pass->inodes, &inode, d)) == 0)
		err = judge_inode(pass, &inode, &name, d);
	for (err = MIN(err, 0); !err && name; err = next_name(pass, &name, d))
		complain_of_name(pass, name);
	bch_stream_done(&pass->inodes);
	if (pass->nr_deleted)
		complain(pass->check, BCH_INODES_DELETED, AT(.tree = pass->subvol->id, .inode = pass->first_deleted), pass->subvol->id,
			 (ull)pass->nr_deleted, (ull)pass->first_deleted);
	return err;
}

/* --- Each subvolume ------------------------------------------------------------------------------------------------------- */

static int judge_subvol(struct bch_check *check, const struct bch_subvol *subvol, u64 *nr_subvol_names, struct diag *d)
{
	struct bch_names_pass pass = { .check = check, .subvol = subvol, .nr_subvol_names = nr_subvol_names };
	int err = sorter_new(&check->spill, sizeof(struct bch_name_fact), check->memory_bytes / 4, compare_names, &pass.names);

	if (!err)
		err = sequence_new(&check->spill, sizeof(struct bch_dir_fact), check->memory_bytes / 8, &pass.dirs);
	if (err < 0)
		err = diag_no_memory(d, "the check");
	array_for_each(&check->lost, lost)
		pass.is_names_lost |= lost->btree == BCH_DIRENTS;
	if (!err)
		err = bch_names_by_owner(&pass, d);
	if (!err)
		err = bch_names_by_name(&pass, d);
	if (!err)
		err = bch_names_loops(&pass, d);
	sorter_free(pass.names);
	sequence_free(pass.dirs);
	return err;
}

/* A subvolume whose name is gone is deleted, or lost. */
static void judge_subvol_names(struct bch_check *check, const u64 *nr_names)
{
	const struct bch_snapshots *snapshots = &check->fs->snapshots;

	array_for_each(&check->lost, lost)
		if (lost->btree == BCH_DIRENTS)
			return;
	array_for_each(&snapshots->subvols, subvol)
		if (subvol->id != BCH_TOP_SUBVOL && !(subvol->flags & BCH_SUBVOL_UNLINKED) && !nr_names[subvol - snapshots->subvols.items])
			complain(check, BCH_SUBVOL_UNREACHABLE, AT(.tree = subvol->id), subvol->id);
}

int bch_pass_names(struct bch_check *check, struct diag *d)
{
	const struct bch_snapshots *snapshots = &check->fs->snapshots;
	_cleanup_(freep) u64 *nr_names = calloc(MAX(snapshots->subvols.len, (size_t)1), sizeof(*nr_names));
	int err = nr_names ? 0 : diag_no_memory(d, "the check");

	array_for_each(&snapshots->subvols, subvol) {
		if (err || (subvol->flags & BCH_SUBVOL_UNLINKED) || (check->options->subvol && check->options->subvol != subvol->id))
			continue;
		check->result->nr_subvols++;
		err = judge_subvol(check, subvol, nr_names, d);
	}
	if (!err && !check->options->subvol)
		judge_subvol_names(check, nr_names);
	return err;
}
