/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether chunks can be written: what is free in one must not be in use in another, and each part of it must be on a
 * device that is there. A reader finds out when it gets there; a writer has to know before the first write.
 */
#include "kernel-shared/txn/txn_state.h"

typedef unsigned long long ull;

struct stripe_place {
	u64 devid, physical, end, logical;
};

static int by_place(const void *left, const void *right)
{
	const struct stripe_place *a = left, *b = right;

	if (a->devid != b->devid)
		return a->devid < b->devid ? -1 : 1;
	return a->physical < b->physical ? -1 : a->physical > b->physical;
}

static int judge_stripe(const struct txn *txn, const struct chunk *chunk, u16 index, struct stripe_place *ret_place,
			struct diag *d)
{
	const struct chunk_stripe *stripe = &chunk->stripe[index];
	const struct device *device = device_set_find(txn->target.volume->devices, stripe->devid, stripe->dev_uuid);

	*ret_place = (struct stripe_place){ stripe->devid, stripe->physical, stripe->physical + chunk->stripe_bytes,
					    chunk->logical };
	if (txn->target.may_be_degraded && device && !device->dev)
		return 0;
	if (!device || !device->dev)
		return diag_fail(d, -ENODEV, "chunk %llu: device %llu, on which it lies, is missing",
				 (ull)chunk->logical, (ull)stripe->devid);
	if (txn->target.may_reach_beyond)
		return 0;
	if (stripe->physical > device->dev->size_bytes ||
	    chunk->stripe_bytes > device->dev->size_bytes - stripe->physical)
		return diag_fail(d, -EUCLEAN, "chunk %llu: reaches beyond the end of %s", (ull)chunk->logical,
				 device->dev->name);
	return 0;
}

int txn_judge_chunks(const struct txn *txn, struct diag *d)
{
	const struct chunk_map *chunks = txn->target.volume->chunks;
	_free_ struct stripe_place *places = NULL;
	size_t nr = 0, used = 0;

	for (size_t i = 0; i < chunk_map_count(chunks); i++)
		nr += chunk_map_at(chunks, i)->num_stripes;
	places = calloc(MAX(nr, (size_t)1), sizeof(*places));
	if (!places)
		return diag_no_memory(d, "the places of chunks");
	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++) {
			int err = judge_stripe(txn, chunk, s, &places[used++], d);

			if (err)
				return err;
		}
	}
	qsort(places, nr, sizeof(*places), by_place);
	for (size_t i = 1; i < nr; i++)
		if (places[i].devid == places[i - 1].devid && places[i].physical < places[i - 1].end)
			return diag_fail(
				d, -EUCLEAN,
				"chunks %llu and %llu lie on the same bytes of device %llu; check the filesystem first",
				(ull)places[i - 1].logical, (ull)places[i].logical, (ull)places[i].devid);
	return 0;
}
