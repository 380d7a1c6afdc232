/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From names to inodes, and for directories back. Sources do not tell where an inode has its names; those of directories are
 * remembered as they are met. What was not met is searched for from the top, which reads all directories at worst.
 */
#include <search.h>
#include <sys/stat.h>

#include "convert/view/view.h"

typedef unsigned long long ull;

struct known_name {
	struct btrkit_inode inode;
	struct btrkit_inode dir;
	size_t name_len;
	char name[]; /* with a NUL behind it */
};

static int compare_names(const void *a, const void *b)
{
	const struct known_name *left = a, *right = b;

	if (left->inode.subvol != right->inode.subvol)
		return left->inode.subvol < right->inode.subvol ? -1 : 1;
	return left->inode.ino < right->inode.ino ? -1 : left->inode.ino > right->inode.ino;
}

void view_forget_names(struct view *view)
{
	tdestroy(view->names, free);
	view->names = NULL;
}

/* 0, 1: it was known before, or -ENOMEM. */
static int remember(struct view *view, const struct btrkit_inode *dir, const char *name, size_t name_len,
		    const struct btrkit_inode *inode, struct diag *d)
{
	struct known_name *known = malloc(sizeof(*known) + name_len + 1), **there;

	if (!known)
		return diag_no_memory(d, "names of directories");
	*known = (struct known_name){ .inode = *inode, .dir = *dir, .name_len = name_len };
	memcpy(known->name, name, name_len);
	known->name[name_len] = '\0';
	pthread_mutex_lock(&view->lock);
	there = tsearch(known, &view->names, compare_names);
	pthread_mutex_unlock(&view->lock);
	if (there && *there == known)
		return 0;
	free(known);
	return there ? 1 : diag_no_memory(d, "names of directories");
}

static bool recall(struct view *view, const struct btrkit_inode *inode, struct inode_name *ret_name)
{
	const struct known_name wanted = { .inode = *inode };
	struct known_name *const *known;

	pthread_mutex_lock(&view->lock);
	known = tfind(&wanted, &view->names, compare_names);
	if (known) {
		ret_name->dir = (*known)->dir;
		ret_name->name_len = (*known)->name_len;
		memcpy(ret_name->name, (*known)->name, (*known)->name_len + 1);
	}
	pthread_mutex_unlock(&view->lock);
	return known;
}

/* --- Downward --------------------------------------------------------------------------------------------------- */

int view_find(void *ctx, const struct btrkit_inode *dir, const char *name, size_t name_len, struct btrkit_inode *ret_inode,
	      struct diag *d)
{
	struct view *view = ctx;
	struct btrkit_inode from = view_plain_inode(view, dir), to = { from.subvol, 0 };
	struct source_inode inode;
	struct diag unused = { 0 };
	int err;

	if (btrkit_inode_is_empty_dir(&from))
		return -ENOENT;
	err = view->source->ops->look_up(view->source, from.subvol, from.ino, name, name_len, &to.subvol, &to.ino, d);
	if (err == -ENOENT)
		diag_clear(d); /* callers say it with what they know */
	if (!err && name_len <= BTRKIT_NAME_MAX && view_inode(view, &to, &inode, &unused) == 0 && S_ISDIR(inode.mode))
		err = MIN(remember(view, &from, name, name_len, &to, d), 0);
	if (!err)
		*ret_inode = to;
	return err;
}

/* --- Upward ----------------------------------------------------------------------------------------------------- */

struct search {
	struct view *view;
	struct btrkit_inode wanted;
	ARRAY(struct btrkit_inode) queue;
	bool is_found;
};

static int search_dir(struct search *search, const struct btrkit_inode *inode, struct diag *d)
{
	_cleanup_(view_dir_closep) struct foreign_dir *dir = NULL;
	struct btrkit_dir_entry entry;
	int err = view_dir_open(search->view, inode, &dir, d);

	/* A directory that cannot be read has nothing to tell, but others may. */
	if (err && err != -ENOMEM) {
		diag_clear(d);
		return 0;
	}
	while (!err && !search->is_found && (err = view_dir_next(dir, true, &entry, d)) == 0) {
		bool is_wanted = entry.inode.subvol == search->wanted.subvol && entry.inode.ino == search->wanted.ino;

		if (entry.type != S_IFDIR && !is_wanted)
			continue;
		err = remember(search->view, inode, entry.name, entry.name_len, &entry.inode, d);
		if (err >= 0 && is_wanted)
			search->is_found = true;
		/* What was known before may still have to be looked into, but each only once. */
		if (err >= 0 && entry.type == S_IFDIR && !btrkit_inode_is_empty_dir(&entry.inode))
			err = array_push(&search->queue, entry.inode) < 0 ? diag_no_memory(d, "a search") : 0;
	}
	return MIN(err, 0);
}

static bool is_same(const struct btrkit_inode *a, const struct btrkit_inode *b)
{
	return a->subvol == b->subvol && a->ino == b->ino;
}

/* In a sound filesystem each directory is queued once. A ring of directories ends where there are more than inodes. */
static int search_all(struct search *search, struct diag *d)
{
	const struct btrkit_inode top = view_plain_inode(search->view, &BTRKIT_INODE_TOP);
	u64 most = search->view->source->info.nr_inodes + 1000000;
	int err = array_push(&search->queue, top) < 0 ? diag_no_memory(d, "a search") : 0;

	for (size_t i = 0; !err && !search->is_found && i < search->queue.len && i < most; i++) {
		struct btrkit_inode dir = search->queue.items[i];

		if (i > 0 && is_same(&dir, &top))
			continue;
		err = search_dir(search, &dir, d);
	}
	array_done(&search->queue);
	return err;
}

int view_first_name(void *ctx, const struct btrkit_inode *inode, struct inode_name *ret_name, struct diag *d)
{
	struct search search = { .view = ctx, .wanted = view_plain_inode(ctx, inode) };
	int err;

	if (recall(search.view, &search.wanted, ret_name))
		return 0;
	err = search_all(&search, d);
	if (err || recall(search.view, &search.wanted, ret_name))
		return err;
	return diag_fail(d, -ENOENT, "inode %llu of subvolume %llu has no name", (ull)search.wanted.ino, (ull)search.wanted.subvol);
}
