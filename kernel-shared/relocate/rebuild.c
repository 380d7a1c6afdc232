/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stripe of a chunk is written in pieces, each by itself, by all threads. Of profiles without parity a piece is what
 * is in use of up to 1 MiB, or of a cell. With parity it is the whole cell of each row that has something in use:
 * parity covers also what is not in use, and has to fit it.
 */
#include "kernel-shared/relocate/rebuild.h"

#include "kernel-shared/relocate/good_copy.h"
#include "kernel-shared/volume/map.h"
#include "kernel-shared/volume/raid56.h"

typedef unsigned long long ull;

struct used_part {
	u64 logical, end;
};

/* What is to be written: without parity, [logical, end) of the used range that begins at used_from; else a row. */
struct piece {
	u64 used_from, logical, end;
	u64 row;
};

struct worker {
	struct good_copy reader;
	u8 *buf; /* a piece, or a cell of each member of a row */
};

struct rebuild {
	struct relocate *relocate;
	struct blockdev *to;
	bool prefers_others;
	const struct chunk *chunk;
	u16 stripe; /* index in the chunk */
	u64 piece_bytes;
	ARRAY(struct used_part) used; /* of the chunk */
	ARRAY(struct piece) pieces;
	struct worker *workers;
	size_t buf_bytes;
	_Atomic(u64) written_bytes;
};

/* --- Writing ---------------------------------------- */

static int write_piece(struct rebuild *r, u64 physical, const u8 *buf, size_t len, struct diag *d)
{
	int err = blockdev_write(r->to, physical, buf, len, d);

	r->written_bytes += len;
	progress_add(r->relocate->progress, len, 0);
	return err;
}

static int rebuild_plain(struct rebuild *r, struct worker *own, const struct piece *piece, struct diag *d)
{
	const struct chunk *chunk = r->chunk;
	const struct chunk_stripe *stripe = &chunk->stripe[r->stripe];
	const struct cell cell = chunk_cell(chunk, piece->logical);
	const struct copy_order order = {
		.mirror = r->stripe % (chunk->profile->is_striped ? chunk->sub_stripes : chunk->num_stripes) + 1U,
		.is_last = r->prefers_others,
	};
	size_t len = (size_t)(piece->end - piece->logical);
	u64 within = chunk->profile->is_striped ? cell.row * STRIPE_LEN_BYTES + cell.within
						: piece->logical - chunk->logical;
	int err = good_copy_read(&own->reader, piece->used_from, piece->logical, own->buf, len, order, d);

	return err ? err : write_piece(r, stripe->physical + within, own->buf, len, d);
}

/* --- Rows with parity ---------------------------------------- */

/*
 * What is not in use: as the row's parity has it, or (@is_own false) as the disk has it, which parity has to fit, so that an error that
 * passes must not let it be taken for zeros. What the disk really cannot read nobody can compute with.
 */
static int read_unused(struct rebuild *r, u64 logical, u8 *buf, size_t len, bool is_own, struct diag *d)
{
	static const unsigned orders[2][4] = { { 1, 1, 2, 3 }, { 2, 2, 3, 1 } };
	unsigned mirrors = 1U + r->chunk->profile->parity;

	for (unsigned i = 0; i < ARRAY_LEN(orders[0]); i++) {
		struct diag why = { 0 };
		int err = orders[is_own][i] <= mirrors ?
				  volume_read(r->relocate->fs->volume, logical, buf, len, orders[is_own][i], &why) :
				  -EIO;

		if (!err)
			return 0;
		if (err == -ENOMEM)
			return diag_copy(d, &why);
	}
	memset(buf, 0, len);
	return 0;
}

/* A whole cell at @logical. */
static int read_cell(struct rebuild *r, struct worker *own, u64 logical, u8 *buf, bool is_own, struct diag *d)
{
	const struct copy_order order = { 1, is_own && r->prefers_others };
	size_t at = array_lower_bound(&r->used, it, it->end <= logical);
	u64 pos = logical, end = logical + STRIPE_LEN_BYTES;
	int err = 0;

	for (; at < r->used.len && r->used.items[at].logical < end && !err; at++) {
		const struct used_part *part = &r->used.items[at];
		u64 from = MAX(part->logical, logical), to = MIN(part->end, end);

		if (from > pos)
			err = read_unused(r, pos, buf + (pos - logical), (size_t)(from - pos), is_own, d);
		if (err)
			break;
		err = good_copy_read(&own->reader, part->logical, from, buf + (from - logical), (size_t)(to - from),
				     order, d);
		pos = to;
	}
	if (!err && pos < end)
		err = read_unused(r, pos, buf + (pos - logical), (size_t)(end - pos), is_own, d);
	return err;
}

static int rebuild_row(struct rebuild *r, struct worker *own, u64 row, struct diag *d)
{
	const struct chunk *chunk = r->chunk;
	u16 nr_data = profile_data_stripes(chunk->profile, chunk->num_stripes);
	unsigned member = (unsigned)((r->stripe + chunk->num_stripes - row % chunk->num_stripes) % chunk->num_stripes);
	u64 logical = chunk->logical + row * nr_data * STRIPE_LEN_BYTES;
	u64 physical = chunk->stripe[r->stripe].physical + row * STRIPE_LEN_BYTES;
	u8 *data[UINT8_MAX], *parity = own->buf + nr_data * STRIPE_LEN_BYTES;
	int err = 0;

	if (member < nr_data) {
		err = read_cell(r, own, logical + member * STRIPE_LEN_BYTES, own->buf, true, d);
		return err ? err : write_piece(r, physical, own->buf, STRIPE_LEN_BYTES, d);
	}
	for (u16 c = 0; c < nr_data && !err; c++) {
		data[c] = own->buf + c * STRIPE_LEN_BYTES;
		err = read_cell(r, own, logical + c * STRIPE_LEN_BYTES, data[c], false, d);
	}
	if (err)
		return err;
	raid56_generate(data, nr_data, parity, chunk->profile->parity > 1 ? parity + STRIPE_LEN_BYTES : NULL,
			STRIPE_LEN_BYTES);
	return write_piece(r, physical, parity + (member - nr_data) * STRIPE_LEN_BYTES, STRIPE_LEN_BYTES, d);
}

static int rebuild_piece(void *ctx, unsigned worker, u64 i, struct diag *d)
{
	struct rebuild *r = ctx;
	const struct piece *piece = &r->pieces.items[i];

	return r->chunk->profile->parity ? rebuild_row(r, &r->workers[worker], piece->row, d)
					 : rebuild_plain(r, &r->workers[worker], piece, d);
}

/* --- What is to be written ---------------------------------------- */

static int push(struct rebuild *r, struct piece piece, struct diag *d)
{
	return array_push(&r->pieces, piece) < 0 ? diag_no_memory(d, "the list of what is to be copied") : 0;
}

static int push_rows(struct rebuild *r, u64 logical, u64 end, struct diag *d)
{
	u64 row_bytes = profile_data_stripes(r->chunk->profile, r->chunk->num_stripes) * STRIPE_LEN_BYTES;
	u64 first = (logical - r->chunk->logical) / row_bytes, last = (end - 1 - r->chunk->logical) / row_bytes;
	int err = 0;

	if (r->pieces.len)
		first = MAX(first, r->pieces.items[r->pieces.len - 1].row + 1);
	for (u64 row = first; row <= last && !err; row++)
		err = push(r, (struct piece){ .row = row }, d);
	return err;
}

static int take_used(void *ctx, u64 logical, u64 len, struct diag *d)
{
	struct rebuild *r = ctx;
	const struct chunk *chunk = r->chunk;
	u64 end = logical + len;
	int err = 0;

	if (array_push(&r->used, (struct used_part){ logical, end }) < 0)
		return diag_no_memory(d, "what is in use");
	if (chunk->profile->parity)
		return push_rows(r, logical, end, d);
	for (u64 at = logical; at < end && !err;) {
		const struct cell cell = chunk_cell(chunk, at);
		u64 to = at + MIN(MIN(cell.left, end - at), r->piece_bytes);

		if (!chunk->profile->is_striped || cell.column == r->stripe / chunk->sub_stripes)
			err = push(r, (struct piece){ .used_from = logical, .logical = at, .end = to }, d);
		at = to;
	}
	return err;
}

/* --- Stripe by stripe ---------------------------------------- */

static int make_room(struct rebuild *r, struct diag *d)
{
	size_t wanted =
		r->chunk->profile->parity ? (size_t)r->chunk->num_stripes * STRIPE_LEN_BYTES : (size_t)r->piece_bytes;

	if (r->chunk->num_stripes > UINT8_MAX)
		return diag_fail(d, -EOPNOTSUPP, "chunk %llu: has %u stripes", (ull)r->chunk->logical,
				 r->chunk->num_stripes);
	if (wanted <= r->buf_bytes)
		return 0;
	for (unsigned w = 0; w < pool_threads(r->relocate->pool); w++) {
		u8 *buf = realloc(r->workers[w].buf, wanted);

		if (!buf)
			return diag_no_memory(d, "copying");
		r->workers[w].buf = buf;
	}
	r->buf_bytes = wanted;
	return 0;
}

static int rebuild_stripe(struct rebuild *r, const struct chunk *chunk, u16 stripe, struct diag *d)
{
	int err;

	r->chunk = chunk;
	r->stripe = stripe;
	r->used.len = r->pieces.len = 0;
	err = make_room(r, d);
	if (!err)
		err = txn_for_each_used(r->relocate->fs->txn, chunk->logical, take_used, r, d);
	return err ? err : pool_for_each(r->relocate->pool, r->pieces.len, rebuild_piece, r, d);
}

static int rebuild_all(struct rebuild *r, u64 devid, struct diag *d)
{
	const struct chunk_map *chunks = r->relocate->fs->volume->chunks;
	int err = 0;

	for (size_t i = 0; i < chunk_map_count(chunks) && !err; i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		for (u16 s = 0; s < chunk->num_stripes && !err; s++)
			if (chunk->stripe[s].devid == devid)
				err = rebuild_stripe(r, chunk, s, d);
	}
	return err;
}

static int begin(struct rebuild *r, struct diag *d)
{
	u32 sectorsize = r->relocate->fs->volume->sectorsize;
	unsigned nr = pool_threads(r->relocate->pool);
	int err = 0;

	r->piece_bytes = MIN((u64)sectorsize * DATA_BATCH_SECTORS, MIB);
	r->workers = calloc(nr, sizeof(*r->workers));
	if (!r->workers)
		return diag_no_memory(d, "copying");
	for (unsigned w = 0; w < nr && !err; w++)
		err = good_copy_init(&r->workers[w].reader, r->relocate->fs, d);
	return err;
}

static void end(struct rebuild *r, struct rebuild_result *result)
{
	result->written_bytes = r->written_bytes;
	result->first_lost = UINT64_MAX;
	for (unsigned w = 0; r->workers && w < pool_threads(r->relocate->pool); w++) {
		struct good_copy *reader = &r->workers[w].reader;

		result->mended_bytes += reader->mended_bytes;
		result->damaged_bytes += reader->damaged_bytes;
		result->lost_bytes += reader->lost_bytes;
		if (reader->fs)
			result->first_lost = MIN(result->first_lost, reader->first_lost);
		good_copy_done(reader);
		free(r->workers[w].buf);
	}
	free(r->workers);
	array_done(&r->used);
	array_done(&r->pieces);
}

int rebuild_device(struct relocate *relocate, u64 devid, struct blockdev *to, bool prefers_others,
		   struct rebuild_result *ret_result, struct diag *d)
{
	struct rebuild r = { .relocate = relocate, .to = to, .prefers_others = prefers_others };
	struct rebuild_result result = { 0 };
	int err = begin(&r, d);

	if (!err)
		err = rebuild_all(&r, devid, d);
	end(&r, &result);
	if (!err)
		*ret_result = result;
	return err;
}

int rebuild_estimate(struct relocate *relocate, u64 devid, u64 *ret_bytes, struct diag *d)
{
	const struct chunk_map *chunks = relocate->fs->volume->chunks;
	u64 bytes = 0, used = 0;

	for (size_t i = 0; i < chunk_map_count(chunks); i++) {
		const struct chunk *chunk = chunk_map_at(chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++) {
			int err;

			if (chunk->stripe[s].devid != devid)
				continue;
			err = txn_group_used_bytes(relocate->fs->txn, chunk->logical, &used, d);
			if (err)
				return err;
			bytes += used / profile_data_stripes(chunk->profile, chunk->num_stripes);
		}
	}
	*ret_bytes = bytes;
	return 0;
}
