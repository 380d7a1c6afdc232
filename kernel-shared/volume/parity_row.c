/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/volume/map.h"
#include "kernel-shared/volume/parity_row.h"
#include "kernel-shared/volume/raid56.h"

#define ROW_LOCKS 64

struct row_locks {
	pthread_mutex_t lock[ROW_LOCKS];
};

int row_locks_new(struct row_locks **ret_locks)
{
	struct row_locks *locks = malloc(sizeof(*locks));

	if (!locks)
		return -ENOMEM;
	for (unsigned i = 0; i < ROW_LOCKS; i++)
		pthread_mutex_init(&locks->lock[i], NULL);
	*ret_locks = locks;
	return 0;
}

void row_locks_free(struct row_locks *locks)
{
	if (!locks)
		return;
	for (unsigned i = 0; i < ROW_LOCKS; i++)
		pthread_mutex_destroy(&locks->lock[i]);
	free(locks);
}

/* The members of one row, and buffers for a part of each: data, then P, then Q. */
struct row {
	const struct chunk *chunk;
	u64 number;
	unsigned nr_data, nr_parity, nr_members;
	size_t len; /* of each buffer */
	u64 from; /* the buffers hold [from, from + len) of each cell */
	u8 *memory;
	u8 **buf; /* in memory, or of the caller, who has all of a cell */
};

static void row_done(struct row *row)
{
	free(row->memory);
	free(row->buf);
}

static int row_init(struct row *row, const struct chunk *chunk, u64 logical, u64 from, size_t len, struct diag *d)
{
	*row = (struct row){
		.chunk = chunk,
		.number = chunk_cell(chunk, logical).row,
		.nr_data = profile_data_stripes(chunk->profile, chunk->num_stripes),
		.nr_parity = chunk->profile->parity,
		.nr_members = chunk->num_stripes,
		.from = from,
		.len = len,
	};
	row->memory = malloc(row->nr_members * len);
	row->buf = calloc(row->nr_members, sizeof(*row->buf));
	if (!row->memory || !row->buf)
		return diag_no_memory(d, "a RAID5/6 row");
	for (unsigned m = 0; m < row->nr_members; m++)
		row->buf[m] = row->memory + m * len;
	return 0;
}

static const struct chunk_stripe *member_stripe(const struct row *row, unsigned member)
{
	return &row->chunk->stripe[row_member_stripe(row->chunk, row->number, member)];
}

static u64 row_logical(const struct row *row)
{
	return row->chunk->logical + row->number * row->nr_data * STRIPE_LEN_BYTES;
}

static int member_read(struct volume *volume, struct row *row, unsigned member, struct diag *d)
{
	const struct chunk_stripe *stripe = member_stripe(row, member);

	return volume_stripe_read(volume, stripe, stripe->physical + row->number * STRIPE_LEN_BYTES + row->from,
				  row->buf[member], row->len, row_logical(row), d);
}

static int member_write(struct volume *volume, struct row *row, unsigned member, u64 from, size_t len,
			struct diag *d)
{
	const struct chunk_stripe *stripe = member_stripe(row, member);

	return volume_stripe_write(volume, stripe, stripe->physical + row->number * STRIPE_LEN_BYTES + from,
				   row->buf[member] + (from - row->from), len, row_logical(row), d);
}

u64 parity_row_left(const struct chunk *chunk, u64 logical)
{
	u64 row_bytes = profile_data_stripes(chunk->profile, chunk->num_stripes) * STRIPE_LEN_BYTES;

	return row_bytes - (logical - chunk->logical) % row_bytes;
}

/*
 * Fill the data buffers of a row of whole cells: what is on disk, overlaid with [start, start + len) from @buf, which is
 * only read.
 */
static int gather_row(struct volume *volume, struct row *row, u64 start, u8 *buf, size_t len, struct diag *d)
{
	for (unsigned m = 0; m < row->nr_data; m++) {
		u64 cell_start = m * STRIPE_LEN_BYTES, cell_end = cell_start + STRIPE_LEN_BYTES;
		u64 from = MAX(cell_start, start), to = MIN(cell_end, start + len);
		int err;

		if (from == cell_start && to == cell_end) {
			row->buf[m] = buf + (from - start);
			continue;
		}
		err = member_read(volume, row, m, d);
		if (err)
			return err;
		if (from < to)
			memcpy(row->buf[m] + (from - cell_start), buf + (from - start), to - from);
	}
	return 0;
}

static int write_row(struct volume *volume, struct row *row, u64 start, size_t len, struct diag *d)
{
	int err = 0;

	for (unsigned m = 0; m < row->nr_data && !err; m++) {
		u64 cell_start = m * STRIPE_LEN_BYTES, cell_end = cell_start + STRIPE_LEN_BYTES;
		u64 from = MAX(cell_start, start), to = MIN(cell_end, start + len);

		if (from < to)
			err = member_write(volume, row, m, from - cell_start, to - from, d);
	}
	for (unsigned m = row->nr_data; m < row->nr_members && !err; m++)
		err = member_write(volume, row, m, 0, STRIPE_LEN_BYTES, d);
	return err;
}

int parity_row_write(struct volume *volume, const struct chunk *chunk, u64 logical, const void *buf, size_t len,
		     struct diag *d)
{
	_cleanup_(row_done) struct row row = { 0 };
	u64 row_bytes = profile_data_stripes(chunk->profile, chunk->num_stripes) * STRIPE_LEN_BYTES;
	u64 start = (logical - chunk->logical) % row_bytes;
	int err = row_init(&row, chunk, logical, 0, STRIPE_LEN_BYTES, d);

	if (err)
		return err;
	LOCK_SCOPE(&volume->row_locks->lock[(chunk->logical / STRIPE_LEN_BYTES + row.number) % ROW_LOCKS]);
	err = gather_row(volume, &row, start, (u8 *)buf, len, d);
	if (err)
		return err;
	raid56_generate(row.buf, row.nr_data, row.buf[row.nr_data], row.nr_parity > 1 ? row.buf[row.nr_data + 1] : NULL,
			STRIPE_LEN_BYTES);
	return write_row(volume, &row, start, len, d);
}

/* Sorted insert of @member into @lost. */
static void add_lost(unsigned *lost, unsigned *nr_lost, unsigned member)
{
	unsigned at = (*nr_lost)++;

	for (; at > 0 && lost[at - 1] > member; at--)
		lost[at] = lost[at - 1];
	lost[at] = member;
}

/* The member that way @mirror of rebuilding data stripe @column does without; UINT32_MAX: none. */
static unsigned distrusted_member(unsigned column, unsigned mirror)
{
	if (mirror < 4)
		return UINT32_MAX;
	return mirror - 4 < column ? mirror - 4 : mirror - 3;
}

int parity_row_rebuild(struct volume *volume, const struct chunk *chunk, u64 logical, void *buf, size_t len,
		       unsigned mirror, struct diag *d)
{
	_cleanup_(row_done) struct row row = { 0 };
	struct cell cell = chunk_cell(chunk, logical);
	struct diag first = { 0 };
	unsigned lost[3], nr_lost = 0, skipped, distrusted;
	int err = row_init(&row, chunk, logical, cell.within, len, d);

	if (err)
		return err;
	add_lost(lost, &nr_lost, cell.column);
	distrusted = distrusted_member(cell.column, mirror);
	if (distrusted != UINT32_MAX)
		add_lost(lost, &nr_lost, distrusted);
	/* The parity that is not asked for is left unread, unless it turns out to be needed. */
	skipped = row.nr_parity == 1 || mirror > 3 ? UINT32_MAX : mirror == 2 ? row.nr_data + 1 : row.nr_data;
	for (unsigned m = 0; m < row.nr_members; m++) {
		if (m == cell.column || m == skipped || m == distrusted || member_read(volume, &row, m, &first) == 0)
			continue;
		if (nr_lost == row.nr_parity)
			return diag_copy(d, &first);
		add_lost(lost, &nr_lost, m);
	}
	if (skipped != UINT32_MAX && nr_lost < row.nr_parity)
		add_lost(lost, &nr_lost, skipped);
	else if (skipped != UINT32_MAX && member_read(volume, &row, skipped, &first) != 0)
		return diag_copy(d, &first);
	if (!raid56_recover(row.buf, row.nr_data, row.nr_parity, lost, nr_lost, len))
		return diag_copy(d, &first);
	memcpy(buf, row.buf[cell.column], len);
	return 0;
}
