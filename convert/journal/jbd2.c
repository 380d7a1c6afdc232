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
	const struct jbd2_record *record;

	for (size_t i = 0; (record = journal_overlay_at(journal->overlay, i)); i++)
		if (record->flags & JBD2_RECORD_BAD)
			return diag_fail(d, -EUCLEAN, "journal: transaction %u, contents of block %llu in block %u: wrong checksum",
					 journal->info.start_sequence + record->nr, (unsigned long long)record->block,
					 record->where);
	return 0;
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

/* The first record at or behind @block. */
static const struct jbd2_record *record_from(const struct jbd2 *journal, u64 block)
{
	struct jbd2_record key = { .block = block };

	if (!journal->overlay)
		return NULL;
	return journal_overlay_at(journal->overlay, journal_overlay_seek(journal->overlay, &key));
}

bool jbd2_next_block(const struct jbd2 *journal, u64 block, u64 *ret_block)
{
	const struct jbd2_record *record = record_from(journal, block);

	if (!record)
		return false;
	*ret_block = record->block;
	return true;
}

bool jbd2_is_changed(const struct jbd2 *journal, u64 physical, u64 len_bytes)
{
	const struct jbd2_record *record = record_from(journal, physical / journal->place.block_bytes);
	u64 end;

	if (!record || len_bytes == 0)
		return false;
	return !checked_add(physical, len_bytes - 1, &end) || record->block <= end / journal->place.block_bytes;
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
	const struct jbd2_record *record = record_from(journal, block);

	return record && record->block == block ? read_contents(journal, record, buf, d) : 1;
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

int jbd2_lay_over(const struct jbd2 *journal, u64 physical, void *buf, size_t len_bytes, struct diag *d)
{
	u64 block_bytes = journal->place.block_bytes, end;
	_free_ u8 *whole = NULL;
	const struct jbd2_record *record;
	int err = 0;

	if (!jbd2_is_changed(journal, physical, len_bytes))
		return 0;
	if (!checked_add(physical, len_bytes, &end))
		return diag_fail(d, -EINVAL, "journal: %zu bytes at %llu do not lie in a filesystem", len_bytes,
				 (unsigned long long)physical);
	whole = malloc(block_bytes);
	if (!whole)
		return diag_no_memory(d, "a block of a journal");
	for (u64 block = physical / block_bytes; !err && (record = record_from(journal, block)) && record->block * block_bytes < end;
	     block = record->block + 1)
		err = lay_over_part(journal, record, physical, buf, len_bytes, whole, d);
	return err;
}
