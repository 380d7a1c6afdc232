/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/tighten.h"

/* What has less is too little to be worth its items. */
#define TIGHT_LEAST_BYTES MIB

/* The length that it can have; its own, if it cannot be shorter. */
static int tight_length(struct txn *txn, const struct chunk *chunk, u64 devid, u64 *ret_length, struct diag *d)
{
	u64 row = chunk_row_bytes(chunk), end = 0;
	int err;

	*ret_length = chunk->length;
	if ((chunk->type & BLOCK_GROUP_TYPE_MASK) != BLOCK_GROUP_DATA || !chunk_end_on(chunk, devid))
		return 0;
	err = txn_group_used_end(txn, chunk->logical, &end, d);
	if (!err)
		*ret_length = MIN(chunk->length, (MAX(end, TIGHT_LEAST_BYTES) + row - 1) / row * row);
	return err;
}

static int plan_one(struct space_model *model, const struct chunk *chunk, u64 length, struct btrkit_device_plan *plan, struct diag *d)
{
	struct relocate_step step = { .logical = chunk->logical, .way = RELOCATE_SHORTEN };
	_free_ struct chunk *old = chunk_dup(chunk);
	int err;

	if (!old)
		return diag_no_memory(d, "the plan");
	err = txn_group_used_bytes(model->fs->txn, old->logical, &step.used_bytes, d);
	if (!err)
		err = space_model_shorten(model, old->logical, length, d);
	if (err)
		return err < 0 ? err : 0;
	if (!err && plan)
		err = device_plan_add_step(plan, old, &step, d);
	if (!err && plan)
		plan->nr_tightened = plan->steps.len;
	return err;
}

int tighten_plan(struct space_model *model, u64 devid, struct btrkit_device_plan *plan, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < chunk_map_count(model->chunks) && !err && model->fs; i++) {
		const struct chunk *chunk = chunk_map_at(model->chunks, i);
		u64 length;

		err = tight_length(model->fs->txn, chunk, devid, &length, d);
		if (!err && length < chunk->length)
			err = plan_one(model, chunk, length, plan, d);
	}
	return err;
}

int tighten(struct device_change *change, u64 devid)
{
	const struct chunk_map *chunks = change->fs->volume->chunks;
	struct txn *txn = change->fs->txn;
	int err = 0;

	for (size_t i = 0; i < chunk_map_count(chunks) && !err; i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);
		u64 length;

		err = tight_length(txn, chunk, devid, &length, &change->d);
		if (!err && length < chunk->length)
			err = txn_shorten_chunk(txn, chunk->logical, length, &change->d);
	}
	if (!err)
		err = txn_commit(txn, &change->d);
	if (err)
		txn_abort(txn);
	for (size_t i = 0; i < change->plan->nr_tightened && !err; i++)
		change->plan->steps.items[i].is_done = true;
	return err;
}
