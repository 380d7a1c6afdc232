/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Would the subvolumes be sound after the steps? Directories may for a moment lie within each other while the names of the log are
 * linked one by one; in the end they must not.
 */
#include "kernel-shared/format/file_type.h"
#include "kernel-shared/treelog/plan.h"

typedef unsigned long long ull;

/* As for paths: what a damaged filesystem closes to a ring ends here. */
#define DEPTH_MAX 65536

struct ascent {
	struct plan *plan;
	const struct treelog_subvol *subvol;
	struct cursor cursor; /* in the committed tree */
	ARRAY(u64) way; /* directories passed */
};

/* 0: *@ret_parent is where it is named; 1: it has no name. */
static int parent_of(struct ascent *ascent, u64 dir, u64 *ret_parent, struct diag *d)
{
	struct replay_entries names = { 0 };
	int err = plan_list_names(ascent->plan, &ascent->cursor, ascent->subvol->id, dir, &names, d);

	if (!err && names.list.len)
		*ret_parent = names.list.items[0].dir;
	else if (!err)
		err = 1;
	array_done(&names.list);
	return err;
}

/* Those on the way to the top need not be asked again. */
static void mark_way(struct ascent *ascent)
{
	for (size_t i = 0; i < ascent->way.len; i++) {
		struct plan_inode *inode = plan_inode_known(ascent->plan, ascent->subvol->id, ascent->way.items[i]);

		if (inode)
			inode->is_rooted = true;
	}
}

/* 0: the way from @dir leads to the top, or to what has no name; 1: it has no end. */
static int climb(struct ascent *ascent, u64 dir, struct diag *d)
{
	ascent->way.len = 0;
	while (dir != ascent->subvol->top_dir) {
		const struct plan_inode *inode = plan_inode_known(ascent->plan, ascent->subvol->id, dir);
		int err;

		if (inode && inode->is_rooted)
			break;
		if (ascent->way.len == DEPTH_MAX)
			return 1;
		if (array_push(&ascent->way, dir) < 0)
			return diag_no_memory(d, "directories");
		err = parent_of(ascent, dir, &dir, d);
		if (err < 0)
			return err;
		if (err)
			break;
	}
	mark_way(ascent);
	return 0;
}

static int judge_directories(struct plan *plan, const struct treelog_subvol *subvol, struct diag *d)
{
	struct ascent ascent = { .plan = plan, .subvol = subvol, .cursor = cursor_init(&subvol->committed) };
	int err = 0;

	for (size_t i = 0; i < plan->names.len && !err; i++) {
		const struct plan_name *name = &plan->names.items[i];

		if (!name->is_present || name->subvol != subvol->id || name->type != FT_DIR)
			continue;
		err = climb(&ascent, name->ino, d);
		if (err != 1)
			continue;
		plan->is_unsound = true;
		err = treelog_lose(&plan->losses, BTRKIT_LOG_LOSS_ITEM, subvol->id, name->ino, 0,
				   "inode %llu: the log would put the directory into itself", (ull)name->ino) < 0
			      ? diag_no_memory(d, "losses")
			      : 0;
		break;
	}
	cursor_done(&ascent.cursor);
	array_done(&ascent.way);
	return err;
}

int plan_judge(struct plan *plan, struct diag *d)
{
	int err = 0;

	array_for_each(&plan->log->subvols, subvol)
		if (!subvol->is_missing && !err)
			err = judge_directories(plan, subvol, d);
	return err;
}
