/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A row that is written in part gets its parity from all of its data, so that what stays has to be right: otherwise parity
 * would be made to fit what is rotten, and there would be no way back. Where old data and old parity fit each other, nothing
 * can be rebuilt to anything else than it is, and nobody need ask. Where they do not, who knows checksums is asked for what
 * is right; it is written before parity is. To carry the difference over into the new parity would do no good instead: what
 * is newly written could not be rebuilt then.
 *
 * Cells that nothing uses may hold anything; parity is of what they hold. Of a row that misses a device nothing is written.
 */
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
	u8 **buf; /* in memory, or of the caller, who has all of it */
	u8 *spare[2]; /* of the same length, one for each parity */
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
	row->memory = malloc((row->nr_members + row->nr_parity) * len);
	row->buf = calloc(row->nr_members, sizeof(*row->buf));
	if (!row->memory || !row->buf)
		return diag_no_memory(d, "a RAID5/6 row");
	for (unsigned m = 0; m < row->nr_members; m++)
		row->buf[m] = row->memory + m * len;
	for (unsigned i = 0; i < row->nr_parity; i++)
		row->spare[i] = row->memory + (row->nr_members + i) * len;
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

/* --- Writing ---------------------------------------- */

/* What of the row's buffers is given by the caller: [start, start + len) of the row's data. */
struct row_write {
	u64 start;
	const u8 *bytes;
	size_t len;
};

/* What of data member @m's buffer is written: from *ret_from on, which is the end of the cell where nothing is. */
static void written_part(const struct row *row, const struct row_write *write, unsigned m, u64 *ret_from, u64 *ret_to)
{
	u64 cell = m * STRIPE_LEN_BYTES, from = MAX(cell + row->from, write->start);
	u64 to = MIN(cell + row->from + row->len, write->start + write->len);

	*ret_from = from < to ? from - cell : row->from + row->len;
	*ret_to = from < to ? to - cell : row->from + row->len;
}

static bool is_overwritten(const struct row *row, const struct row_write *write, unsigned m)
{
	u64 from, to;

	written_part(row, write, m, &from, &to);
	return from == row->from && to == row->from + row->len;
}

static bool is_whole(const struct row *row, const struct row_write *write)
{
	for (unsigned m = 0; m < row->nr_data; m++)
		if (!is_overwritten(row, write, m))
			return false;
	return true;
}

/* Nobody says what matters: what stays is as it is. */
static int read_rest(struct volume *volume, struct row *row, const struct row_write *write, struct diag *d)
{
	int err = 0;

	for (unsigned m = 0; m < row->nr_data && !err; m++)
		if (!is_overwritten(row, write, m))
			err = member_read(volume, row, m, d);
	return err;
}

static bool has_kept(const struct volume *volume, const struct row *row)
{
	return volume->mend && (!volume->has_kept || volume->has_kept(volume->mend_ctx, row_logical(row),
								       row->nr_data * STRIPE_LEN_BYTES));
}

/* All of the row; what cannot be read is rebuilt, if it has to be. 1: parity does not fit, or that is not known. */
static int read_all(struct volume *volume, struct row *row, const struct row_write *write, struct diag *d)
{
	unsigned *lost = calloc(row->nr_members, sizeof(*lost)), nr_lost = 0;
	bool is_lost_wanted = false, fits;
	struct diag first = { 0 };

	if (!lost)
		return diag_no_memory(d, "a RAID5/6 row");
	for (unsigned m = 0; m < row->nr_members; m++) {
		if (member_read(volume, row, m, &first) == 0)
			continue;
		lost[nr_lost++] = m;
		is_lost_wanted |= m < row->nr_data && !is_overwritten(row, write, m);
	}
	fits = !is_lost_wanted || raid56_recover(row->buf, row->nr_data, row->nr_parity, lost, nr_lost, row->len);
	free(lost);
	if (!fits)
		return diag_copy(d, &first);
	if (nr_lost)
		return 1;
	raid56_generate(row->buf, row->nr_data, row->spare[0], row->spare[1], row->len);
	for (unsigned i = 0; i < row->nr_parity; i++)
		fits = fits && memcmp(row->spare[i], row->buf[row->nr_data + i], row->len) == 0;
	return !fits;
}

static int mend_part(struct volume *volume, struct row *row, unsigned m, u64 from, u64 to, struct diag *d)
{
	u8 *bytes = row->buf[m] + (from - row->from);
	int err;

	if (from >= to)
		return 0;
	memcpy(row->spare[0], bytes, to - from);
	err = volume->mend(volume->mend_ctx, row_logical(row) + m * STRIPE_LEN_BYTES + from, bytes, to - from, d);
	return err || memcmp(row->spare[0], bytes, to - from) == 0 ? err : 1;
}

/* What stays, put right in the buffers; then on the devices, which breaks nothing, whatever of it is done. */
static int mend_rest(struct volume *volume, struct row *row, const struct row_write *write, struct diag *d)
{
	u64 end = row->from + row->len, from, to;
	_free_ bool *is_bad = calloc(row->nr_data * 2, sizeof(*is_bad));
	int err = is_bad ? 0 : diag_no_memory(d, "a RAID5/6 row");

	for (unsigned m = 0; m < row->nr_data && err >= 0; m++) {
		written_part(row, write, m, &from, &to);
		err = mend_part(volume, row, m, row->from, from, d);
		is_bad[m * 2] = err == 1;
		if (err >= 0)
			err = mend_part(volume, row, m, to, end, d);
		is_bad[m * 2 + 1] = err == 1;
	}
	for (unsigned m = 0; m < row->nr_data && err >= 0; m++) {
		written_part(row, write, m, &from, &to);
		if (is_bad[m * 2])
			err = member_write(volume, row, m, row->from, from - row->from, d);
		if (is_bad[m * 2 + 1] && err >= 0)
			err = member_write(volume, row, m, to, end - to, d);
	}
	return MIN(err, 0);
}

/* Fill the data buffers of a row: what stays, overlaid with what is written. */
static int gather_row(struct volume *volume, struct row *row, const struct row_write *write, struct diag *d)
{
	u64 from, to;
	int err = 0;

	if (!is_whole(row, write))
		err = has_kept(volume, row) ? read_all(volume, row, write, d) : read_rest(volume, row, write, d);
	if (err == 1)
		err = mend_rest(volume, row, write, d);
	for (unsigned m = 0; m < row->nr_data && !err; m++) {
		written_part(row, write, m, &from, &to);
		if (is_overwritten(row, write, m))
			row->buf[m] = (u8 *)write->bytes + (m * STRIPE_LEN_BYTES + from - write->start); /* only read from */
		else if (from < to)
			memcpy(row->buf[m] + (from - row->from),
			       write->bytes + (m * STRIPE_LEN_BYTES + from - write->start), to - from);
	}
	return err;
}

static int write_row(struct volume *volume, struct row *row, const struct row_write *write, struct diag *d)
{
	u64 from, to;
	int err = 0;

	for (unsigned m = 0; m < row->nr_data && !err; m++) {
		written_part(row, write, m, &from, &to);
		if (from < to)
			err = member_write(volume, row, m, from, to - from, d);
	}
	for (unsigned m = row->nr_data; m < row->nr_members && !err; m++)
		err = member_write(volume, row, m, row->from, row->len, d);
	return err;
}

int parity_row_write(struct volume *volume, const struct chunk *chunk, u64 logical, const void *buf, size_t len,
		     struct diag *d)
{
	_cleanup_(row_done) struct row row = { 0 };
	u64 row_bytes = profile_data_stripes(chunk->profile, chunk->num_stripes) * STRIPE_LEN_BYTES;
	const struct row_write write = { (logical - chunk->logical) % row_bytes, buf, len };
	u64 within = write.start % STRIPE_LEN_BYTES;
	bool is_in_cell = len <= STRIPE_LEN_BYTES - within;
	int err = row_init(&row, chunk, logical, is_in_cell ? within : 0, is_in_cell ? len : STRIPE_LEN_BYTES, d);

	/* Half a row would be worse than none. */
	for (unsigned m = 0; m < row.nr_members && !err; m++)
		err = volume_stripe_judge(volume, member_stripe(&row, m), logical, d);
	if (err)
		return err;
	LOCK_SCOPE(&volume->row_locks->lock[(chunk->logical / STRIPE_LEN_BYTES + row.number) % ROW_LOCKS]);
	err = gather_row(volume, &row, &write, d);
	if (err)
		return err;
	raid56_generate(row.buf, row.nr_data, row.buf[row.nr_data], row.nr_parity > 1 ? row.buf[row.nr_data + 1] : NULL,
			row.len);
	return write_row(volume, &row, &write, d);
}

/* --- Rebuilding ---------------------------------------- */

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
