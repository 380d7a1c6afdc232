/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bringing a block group's part of the free space tree up to date with what is in use: the items of runs of free
 * sectors that are no more go, those of new ones come; where the group uses bitmaps, their bits change.
 */
#ifndef BTRKIT_KERNEL_SHARED_SPACE_FREE_SPACE_TREE_H
#define BTRKIT_KERNEL_SHARED_SPACE_FREE_SPACE_TREE_H

#include "kernel-shared/space/block_groups.h"
#include "kernel-shared/tree/edit.h"

/* Make the items say what group->now says; group->listed follows. -EUCLEAN: they did not say what is on disk. */
int free_space_tree_update(struct tree_root *root, u32 sectorsize, struct block_group *group, struct diag *d);

/* The items of a new group, all of it free. */
int free_space_tree_add_group(struct tree_root *root, u32 sectorsize, struct block_group *group, struct diag *d);
/* A group goes. */
int free_space_tree_remove_group(struct tree_root *root, const struct block_group *group, struct diag *d);

#endif
