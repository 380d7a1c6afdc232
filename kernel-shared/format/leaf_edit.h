/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing raw blocks: items of leaves and pointers of nodes are put in, taken out, moved to a neighbour. Pure functions
 * of one or two blocks of nodesize bytes with a good shape (block_check_shape()); whether something fits is the caller's
 * to know. Slots run from 0 to nritems.
 */
#ifndef BTRKIT_KERNEL_SHARED_FORMAT_LEAF_EDIT_H
#define BTRKIT_KERNEL_SHARED_FORMAT_LEAF_EDIT_H

#include "kernel-shared/format/leaf.h"

/* Bytes of items and of their data. */
u32 leaf_used_bytes(const u8 *block);
/* What @count items from @slot take. */
u32 leaf_range_bytes(const u8 *block, u32 slot, u32 count);

/* Put an item before @slot; its data, which is returned, holds what was there before. */
void *leaf_insert(u8 *block, u32 nodesize, u32 slot, const struct key *key, u32 size);
void leaf_remove(u8 *block, u32 nodesize, u32 slot, u32 count);
/* Give an item another size: its front is kept, what it grows by is zeroes. */
void leaf_resize(u8 *block, u32 nodesize, u32 slot, u32 size);
void leaf_set_key(u8 *block, u32 slot, const struct key *key);

/* The last @count items of @from become the first of its right neighbour @to. */
void leaf_move_right(u8 *from, u8 *to, u32 nodesize, u32 count);
/* The first @count items of @from become the last of its left neighbour @to. */
void leaf_move_left(u8 *from, u8 *to, u32 nodesize, u32 count);

void node_insert(u8 *block, u32 slot, const struct key *key, u64 blockptr, u64 generation);
void node_remove(u8 *block, u32 slot, u32 count);
void node_set(u8 *block, u32 slot, u64 blockptr, u64 generation);
void node_set_key(u8 *block, u32 slot, const struct key *key);
void node_move_right(u8 *from, u8 *to, u32 count);
void node_move_left(u8 *from, u8 *to, u32 count);

#endif
