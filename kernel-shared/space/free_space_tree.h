/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bringing a block group's part of the free space tree up to date with what is in use: the items of runs of free
 * sectors that are no more go, those of new ones come; where the group uses bitmaps, their bits change. A group whose free space
 * has come into many pieces gets bitmaps instead of runs, and runs again when there are few.
 */
#ifndef BTRKIT_KERNEL_SHARED_SPACE_FREE_SPACE_TREE_H
#define BTRKIT_KERNEL_SHARED_SPACE_FREE_SPACE_TREE_H

#include "kernel-shared/space/block_groups.h"
#include "kernel-shared/tree/edit.h"

/* Linux makes bitmaps of so many sectors; the last one of a group may be shorter. */
#define FREE_SPACE_BITMAP_SECTORS 2048U
#define FREE_SPACE_BITMAP_BYTES (FREE_SPACE_BITMAP_SECTORS / 8)

/*
 * With more runs of free sectors than this, a group has bitmaps: their items would take less room than those of the runs. With
 * fewer than FREE_SPACE_RUNS_KEPT less, it has runs again; between the two, what it had.
 * Source: the free space tree's design; measured on what Linux 6.18 writes (tests/interop/free-space-forms.sh).
 */
#define FREE_SPACE_RUNS_KEPT 100
static inline u64 free_space_runs_max(u64 group_length, u32 sectorsize)
{
	u64 bitmap_range = (u64)sectorsize * FREE_SPACE_BITMAP_SECTORS;
	u64 nr_bitmaps = group_length / bitmap_range + (group_length % bitmap_range != 0);

	return nr_bitmaps * (sizeof(struct disk_item) + FREE_SPACE_BITMAP_BYTES) / sizeof(struct disk_item);
}

/* Make the items say what group->now says; group->listed follows. -EUCLEAN: they did not say what is on disk. */
int free_space_tree_update(struct tree_root *root, u32 sectorsize, struct block_group *group, struct diag *d);

/* The items of a new group, all of it free. */
int free_space_tree_add_group(struct tree_root *root, u32 sectorsize, struct block_group *group, struct diag *d);
/* A group goes. */
int free_space_tree_remove_group(struct tree_root *root, const struct block_group *group, struct diag *d);

#endif
