/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Paths as they are after replay. */
#include "kernel-shared/fs/inode.h"
#include "kernel-shared/treelog/plan.h"

typedef unsigned long long ull;

/* As for committed paths: what a damaged filesystem closes to a ring ends here. */
#define DEPTH_MAX 65536

struct climb {
	const struct plan *plan;
	u64 subvol, ino;
	struct cursor cursor; /* in the committed tree of @subvol */
	u64 top_dir;
};

static int enter_subvol(struct climb *climb, u64 subvol, struct diag *d)
{
	struct fs_root root;
	int err = fs_subvol_root(climb->plan->log->fs, subvol, &root, d);

	if (err)
		return err;
	cursor_done(&climb->cursor);
	climb->cursor = cursor_init(&root.tree);
	climb->subvol = subvol;
	climb->top_dir = root.top_dir;
	return 0;
}

/* The name of where the climb is, and then be in the directory that has it. */
static int step_up(struct climb *climb, char *name, size_t *ret_len, struct diag *d)
{
	struct replay_entries names = { 0 };
	int err;

	if (climb->ino == climb->top_dir) {
		struct inode_name above;
		const struct btrkit_inode top = { climb->subvol, climb->ino };

		err = inode_first_name(climb->plan->log->fs, &top, &above, d);
		if (err)
			return err;
		memcpy(name, above.name, above.name_len);
		*ret_len = above.name_len;
		climb->ino = above.dir.ino;
		return enter_subvol(climb, above.dir.subvol, d);
	}
	err = plan_list_names(climb->plan, &climb->cursor, climb->subvol, climb->ino, &names, d);
	if (!err && names.list.len == 0)
		err = diag_fail(d, -ENOENT, "inode %llu of subvolume %llu has no name", (ull)climb->ino, (ull)climb->subvol);
	if (!err) {
		memcpy(name, names.list.items[0].name, names.list.items[0].name_len);
		*ret_len = names.list.items[0].name_len;
		climb->ino = names.list.items[0].dir;
	}
	array_done(&names.list);
	return err;
}

static int climb_to_top(struct climb *climb, char *buf, size_t cap, struct diag *d)
{
	size_t start = cap; /* the path grows backwards from the end of the buffer */

	buf[--start] = '\0';
	for (unsigned depth = 0; climb->subvol != FS_TREE_OBJECTID || climb->ino != climb->top_dir; depth++) {
		char name[NAME_LEN_MAX];
		size_t len = 0;
		int err = step_up(climb, name, &len, d);

		if (err)
			return err;
		if (depth == DEPTH_MAX)
			return diag_fail(d, -EUCLEAN, "directories of subvolume %llu lie within each other", (ull)climb->subvol);
		if (start < len + 1)
			return diag_fail(d, -ERANGE, "the path is longer than %zu bytes", cap - 1);
		start -= len;
		memcpy(buf + start, name, len);
		buf[--start] = '/';
	}
	if (start == cap - 1 && cap > 1)
		buf[--start] = '/';
	memmove(buf, buf + start, cap - start);
	return 0;
}

int plan_path(const struct plan *plan, u64 subvol, u64 ino, char *buf, size_t cap, struct diag *d)
{
	struct climb climb = { .plan = plan, .ino = ino };
	int err;

	if (cap < 2)
		return diag_fail(d, -ERANGE, "no room for a path");
	err = enter_subvol(&climb, subvol, d);
	if (!err)
		err = climb_to_top(&climb, buf, cap, d);
	cursor_done(&climb.cursor);
	return err;
}
