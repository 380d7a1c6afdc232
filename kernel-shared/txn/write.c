/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The writes of a commit: tree blocks by address, neighbours together; then the superblocks. */
#include "kernel-shared/txn/txn_state.h"

#define RUN_BYTES MIB

/* How many of the blocks from @first on lie one after the other in one chunk. */
static size_t run_length(const struct txn *txn, struct tree_block *const *blocks, size_t first, size_t nr)
{
	const struct chunk *chunk = chunk_map_find(txn->target.volume->chunks, blocks[first]->logical);
	size_t len = 1;

	while (chunk && first + len < nr && len < RUN_BYTES / txn->id.nodesize &&
	       blocks[first + len]->logical == blocks[first]->logical + len * txn->id.nodesize &&
	       blocks[first + len]->logical < chunk->logical + chunk->length)
		len++;
	return len;
}

int txn_write_blocks(struct txn *txn, struct diag *d)
{
	struct tree_block *const *blocks = block_cache_sort_dirty(txn->target.cache);
	size_t nr = block_cache_nr_dirty(txn->target.cache), len;
	_free_ u8 *run = malloc(RUN_BYTES);
	int err = 0;

	if (!run)
		return diag_no_memory(d, "writing tree blocks");
	/* All are judged before the first is written. */
	for (size_t i = 0; i < nr && !err; i++)
		err = block_finish_dirty(txn->target.cache, blocks[i], d);
	for (size_t i = 0; i < nr && !err; i += len) {
		len = run_length(txn, blocks, i, nr);
		for (size_t b = 0; b < len; b++)
			memcpy(run + b * txn->id.nodesize, blocks[i + b]->data, txn->id.nodesize);
		err = volume_write(txn->target.volume, blocks[i]->logical, run, len * txn->id.nodesize, d);
	}
	return err;
}

int txn_write_supers(struct txn *txn, struct diag *d)
{
	_free_ struct super_target *targets = calloc(txn->devices.len, sizeof(*targets));
	size_t nr = 0;
	int err;

	if (!targets)
		return diag_no_memory(d, "superblocks");
	array_for_each (&txn->devices, device) {
		if (device->is_seed || device->is_removed || !device->device->dev)
			continue;
		targets[nr++] = (struct super_target){
			.dev = device->device->dev,
			.dev_item = device->item,
			.device_bytes = MIN(le64_get(device->item.total_bytes), device->device->dev->size_bytes),
			.is_new = device->is_new || device->is_swapped,
		};
	}
	err = super_write_all(&txn->super, targets, nr, d);
	/*
	 * A new state on one device must not be written over by another new state; and after a flush that failed, one
	 * that succeeds means nothing.
	 */
	txn->is_lost = err != 0;
	return err ? diag_context(d, err, "the superblocks may be written in part: either state may be found") : 0;
}
