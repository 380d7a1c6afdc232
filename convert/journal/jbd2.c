/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open journal: made of its superblock and its log, then only looked up. */
#include "convert/journal/jbd2_inner.h"

#include <stdio.h>

#include "common/base/checked.h"

#define MEMORY_DEFAULT (64 * MIB)

/* --- Records ------------------------------------------------------------------------------------------------- */

static int compare_blocks(const void *a, const void *b)
{
	const struct jbd2_record *x = a, *y = b;

	return x->block < y->block ? -1 : x->block > y->block;
}

/* A block that is revoked in a transaction is so for all contents up to this transaction, wherever the record lies in it. */
static int compare_records(const void *a, const void *b)
{
	const struct jbd2_record *x = a, *y = b;
	u32 x_revokes = x->flags & JBD2_RECORD_REVOKE, y_revokes = y->flags & JBD2_RECORD_REVOKE;

	if (x->block != y->block)
		return compare_blocks(x, y);
	if (x->nr != y->nr)
		return x->nr < y->nr ? -1 : 1;
	if (x_revokes != y_revokes)
		return x_revokes ? 1 : -1;
	return x->distance < y->distance ? -1 : x->distance > y->distance;
}

static bool is_revocation(const void *record)
{
	return ((const struct jbd2_record *)record)->flags & JBD2_RECORD_REVOKE;
}

/* Linux replays what is newer on top of what is older, and stops at damage, unless the block is revoked. */
static void keep_damage(void *newer, const void *older)
{
	struct jbd2_record *to = newer;
	const struct jbd2_record *from = older;

	if (!(from->flags & JBD2_RECORD_BAD) || is_revocation(to))
		return;
	to->flags |= JBD2_RECORD_BAD;
	to->nr = from->nr;
	to->where = from->where;
}

static const struct journal_kind jbd2_kind = {
	.record_bytes = sizeof(struct jbd2_record),
	.compare_keys = compare_blocks,
	.compare = compare_records,
	.is_deletion = is_revocation,
	.replace = keep_damage,
};

/* --- Opening --------------------------------------------------------------------------------------------------- */

int jbd2_read(const struct jbd2 *journal, u32 block, void *buf, struct diag *d)
{
	int err = journal->place.read(journal->place.ctx, block, buf, d);

	return err ? diag_context(d, err, "journal, block %u", block) : 0;
}

static bool is_complete(const void *ctx, const void *record)
{
	return ((const struct jbd2_record *)record)->nr < *(const u32 *)ctx;
}

static int judge_contents(const struct jbd2 *journal, struct diag *d)
{
	_cleanup_(journal_window_done) struct journal_window window = { 0 };
	const void *at;
	int err;

	for (size_t i = 0; (err = journal_overlay_at(journal->overlay, &window, i, &at, d)) == 0; i++) {
		const struct jbd2_record *record = at;

		if (record->flags & JBD2_RECORD_BAD)
			return diag_fail(d, -EUCLEAN, "journal: transaction %u, contents of block %llu in block %u: wrong checksum",
					 journal->info.start_sequence + record->nr, (unsigned long long)record->block,
					 record->where);
	}
	return err < 0 ? err : 0;
}

static int load_log(struct jbd2 *journal, struct diag *d)
{
	const struct jbd2_place *place = &journal->place;
	struct spill spill = { .dir = place->tmpdir ? place->tmpdir : "/var/tmp" };
	u64 memory = place->memory_bytes ? place->memory_bytes : MEMORY_DEFAULT;
	struct jbd2_info *info = &journal->info;
	int err;

	if (journal_overlay_new(&jbd2_kind, &spill, (size_t)MIN(memory, (u64)SIZE_MAX), &journal->overlay) < 0)
		return diag_no_memory(d, "records of a journal");
	err = jbd2_walk(journal, d);
	if (!err)
		err = journal_overlay_finish(journal->overlay, is_complete, &info->nr_transactions, d);
	if (!err)
		err = judge_contents(journal, d);
	if (!err && jbd2_has(journal, JBD2_INCOMPAT_FAST_COMMIT))
		err = jbd2_find_fast_commits(journal, d);
	if (err)
		return err;
	info->nr_blocks = journal_overlay_count(journal->overlay);
	info->state = info->nr_fast_commits ? JBD2_FAST_COMMITS : info->nr_transactions ? JBD2_DIRTY : JBD2_EMPTY;
	return 0;
}

static int open_journal(struct jbd2 *journal, const struct jbd2_place *place, struct diag *d)
{
	struct jbd2_info *info = &journal->info;
	u64 fs_bytes;
	int err;

	if (!is_power_of_two(place->block_bytes) || place->block_bytes < KIB || place->block_bytes > 64 * KIB)
		return diag_fail(d, -EINVAL, "journal: blocks of %u bytes", place->block_bytes);
	if (place->super_block >= place->nr_blocks)
		return diag_fail(d, -EUCLEAN, "journal: %u blocks, with the superblock in block %u", place->nr_blocks,
				 place->super_block);
	if (!checked_mul(place->nr_fs_blocks, place->block_bytes, &fs_bytes))
		return diag_fail(d, -EINVAL, "journal: a filesystem of %llu blocks", (unsigned long long)place->nr_fs_blocks);
	journal->place = *place;
	err = jbd2_load_super(journal, d);
	if (err)
		return err;
	if (info->start_block == 0) {
		snprintf(info->end_reason, sizeof(info->end_reason), "the log is empty");
	} else if (!place->needs_recovery) {
		info->state = JBD2_NOT_WANTED;
		snprintf(info->end_reason, sizeof(info->end_reason), "the filesystem needs no recovery");
	} else {
		err = load_log(journal, d);
	}
	return err;
}

int jbd2_open(const struct jbd2_place *place, struct jbd2 **ret_journal, struct diag *d)
{
	_cleanup_(jbd2_closep) struct jbd2 *journal = calloc(1, sizeof(*journal));
	int err;

	if (!journal)
		return diag_no_memory(d, "a journal");
	err = open_journal(journal, place, d);
	if (place->ret_info)
		*place->ret_info = journal->info;
	if (!err)
		*ret_journal = take_ptr(journal);
	return err;
}

void jbd2_close(struct jbd2 *journal)
{
	if (!journal)
		return;
	journal_overlay_free(journal->overlay);
	free(journal);
}

const struct jbd2_info *jbd2_info(const struct jbd2 *journal)
{
	return &journal->info;
}

/* --- Looking up -------------------------------------------------------------------------------------------------- */

/* The first record at or behind @block. 1: there is none. */
static int record_from(const struct jbd2 *journal, struct journal_window *window, u64 block, struct jbd2_record *ret_record,
		       struct diag *d)
{
	const struct jbd2_record key = { .block = block };
	const void *record;
	size_t index;
	int err;

	if (!journal->overlay)
		return 1;
	err = journal_overlay_seek(journal->overlay, window, &key, &index, d);
	if (!err)
		err = journal_overlay_at(journal->overlay, window, index, &record, d);
	if (!err)
		*ret_record = *(const struct jbd2_record *)record;
	return err;
}

int jbd2_next_block(const struct jbd2 *journal, u64 block, u64 *ret_block, struct diag *d)
{
	_cleanup_(journal_window_done) struct journal_window window = { 0 };
	struct jbd2_record record;
	int err = record_from(journal, &window, block, &record, d);

	if (!err)
		*ret_block = record.block;
	return err;
}

static int is_changed(const struct jbd2 *journal, struct journal_window *window, u64 physical, u64 len_bytes, bool *ret_is_changed,
		      struct diag *d)
{
	struct jbd2_record record;
	int err = len_bytes ? record_from(journal, window, physical / journal->place.block_bytes, &record, d) : 1;
	u64 end;

	if (err < 0)
		return err;
	*ret_is_changed = !err && (!checked_add(physical, len_bytes - 1, &end) || record.block <= end / journal->place.block_bytes);
	return 0;
}

int jbd2_is_changed(const struct jbd2 *journal, u64 physical, u64 len_bytes, bool *ret_is_changed, struct diag *d)
{
	_cleanup_(journal_window_done) struct journal_window window = { 0 };

	return is_changed(journal, &window, physical, len_bytes, ret_is_changed, d);
}

static int read_contents(const struct jbd2 *journal, const struct jbd2_record *record, void *buf, struct diag *d)
{
	int err = jbd2_read(journal, record->where, buf, d);
	be32 magic;

	if (err)
		return err;
	be32_put(&magic, JBD2_MAGIC);
	if (record->flags & JBD2_RECORD_ESCAPED)
		memcpy(buf, &magic, sizeof(magic));
	return 0;
}

int jbd2_read_block(const struct jbd2 *journal, u64 block, void *buf, struct diag *d)
{
	_cleanup_(journal_window_done) struct journal_window window = { 0 };
	struct jbd2_record record;
	int err = record_from(journal, &window, block, &record, d);

	if (err)
		return err;
	return record.block == block ? read_contents(journal, &record, buf, d) : 1;
}

/* Of the block that begins at @physical, the part that lies in the @len_bytes of @buf, which begin at @buf_physical. */
static int lay_over_part(const struct jbd2 *journal, const struct jbd2_record *record, u64 buf_physical, u8 *buf, u64 len_bytes,
			 u8 *whole, struct diag *d)
{
	u64 block_bytes = journal->place.block_bytes, physical = record->block * block_bytes;
	u64 from = MAX(physical, buf_physical), to = MIN(physical + block_bytes, buf_physical + len_bytes);
	int err;

	if (to - from == block_bytes)
		return read_contents(journal, record, buf + (from - buf_physical), d);
	err = read_contents(journal, record, whole, d);
	if (!err)
		memcpy(buf + (from - buf_physical), whole + (from - physical), to - from);
	return err;
}

static int lay_over(const struct jbd2 *journal, struct journal_window *window, u64 physical, u64 end, u8 *buf, struct diag *d)
{
	u64 block_bytes = journal->place.block_bytes;
	_free_ u8 *whole = malloc(block_bytes);
	struct jbd2_record record;
	int err;

	if (!whole)
		return diag_no_memory(d, "a block of a journal");
	err = record_from(journal, window, physical / block_bytes, &record, d);
	while (!err && record.block * block_bytes < end) {
		err = lay_over_part(journal, &record, physical, buf, end - physical, whole, d);
		if (!err)
			err = record_from(journal, window, record.block + 1, &record, d);
	}
	return err < 0 ? err : 0;
}

int jbd2_lay_over(const struct jbd2 *journal, u64 physical, void *buf, size_t len_bytes, struct diag *d)
{
	_cleanup_(journal_window_done) struct journal_window window = { 0 };
	bool has_newer;
	u64 end;
	int err = is_changed(journal, &window, physical, len_bytes, &has_newer, d);

	if (err || !has_newer)
		return err;
	if (!checked_add(physical, len_bytes, &end))
		return diag_fail(d, -EINVAL, "journal: %zu bytes at %llu do not lie in a filesystem", len_bytes,
				 (unsigned long long)physical);
	return lay_over(journal, &window, physical, end, buf, d);
}
