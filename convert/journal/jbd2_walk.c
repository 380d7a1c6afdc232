/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Through the log, once, from its start to the end of the last complete transaction. A transaction is one or more descriptors,
 * each followed by the contents that it names, and revoke blocks, in any order, and a commit block; all with its sequence. What is
 * found in it is gathered as it comes, and counts only when the commit block is met.
 *
 * The log ends where a header is expected and is not there. Whatever is wrong in a transaction without a commit block means
 * nothing: it was not written to its end. With a commit block it is damage, and an error; but blocks with wrong checksums may be
 * left over from an earlier lap, which an older time in the commit block tells.
 *
 * Damage may also look like the end. So behind it a commit block is looked for that cannot be there if the log ended.
 */
#include <stdarg.h>
#include <stdio.h>

#include "convert/journal/jbd2_checksum.h"
#include "convert/journal/jbd2_inner.h"

struct walk {
	struct jbd2 *journal;
	u32 log_len; /* blocks of the log */
	u32 distance; /* walked so far; at most log_len */
	u32 sequence; /* of the transaction */
	u64 seconds; /* of the last commit block */
	u8 *block, *data;
	/* The transaction so far. */
	u32 crc; /* version 1 */
	u64 nr_journalled, nr_revocations;
	struct diag defect; /* err 0: none */
	bool is_checksum_defect;
};

/* The block of the journal that comes next. */
static u32 position(const struct walk *walk)
{
	const struct jbd2_info *info = &walk->journal->info;
	u32 before_wrap = info->end_block - info->start_block;

	if (walk->distance < before_wrap)
		return info->start_block + walk->distance;
	return info->first_block + (walk->distance - before_wrap);
}

static void begin_transaction(struct walk *walk)
{
	walk->crc = JBD2_CRC32_BEGIN;
	walk->nr_journalled = walk->nr_revocations = 0;
	diag_clear(&walk->defect);
	walk->is_checksum_defect = false;
}

/* The log ends here. */
__attribute__((format(printf, 2, 3))) static int end_log(struct walk *walk, const char *format, ...)
{
	struct jbd2_info *info = &walk->journal->info;
	va_list args;

	va_start(args, format);
	vsnprintf(info->end_reason, sizeof(info->end_reason), format, args);
	va_end(args);
	return 1;
}

/* --- Descriptors --------------------------------------------------------------------------------------------- */

struct tag {
	u64 block;
	u32 flags;
	u32 checksum;
};

static u32 tag_bytes(const struct jbd2 *journal)
{
	u32 bytes = sizeof(struct disk_jbd2_tag);

	if (jbd2_has(journal, JBD2_INCOMPAT_CSUM_V3))
		return sizeof(struct disk_jbd2_tag3);
	if (jbd2_has(journal, JBD2_INCOMPAT_CSUM_V2))
		bytes += 2;
	return jbd2_has(journal, JBD2_INCOMPAT_64BIT) ? bytes : bytes - 4;
}

static struct tag tag_get(const struct jbd2 *journal, const u8 *at)
{
	bool is_64bit = jbd2_has(journal, JBD2_INCOMPAT_64BIT);
	struct disk_jbd2_tag3 tag3;
	struct disk_jbd2_tag tag = { 0 };

	if (jbd2_has(journal, JBD2_INCOMPAT_CSUM_V3)) {
		memcpy(&tag3, at, sizeof(tag3));
		return (struct tag){
			.block = be32_get(tag3.block) | (is_64bit ? (u64)be32_get(tag3.block_high) << 32 : 0),
			.flags = be32_get(tag3.flags),
			.checksum = be32_get(tag3.checksum),
		};
	}
	memcpy(&tag, at, is_64bit ? sizeof(tag) : sizeof(tag) - 4);
	return (struct tag){
		.block = be32_get(tag.block) | (is_64bit ? (u64)be32_get(tag.block_high) << 32 : 0),
		.flags = be16_get(tag.flags),
		.checksum = be16_get(tag.checksum),
	};
}

static bool is_data_sound(const struct walk *walk, const struct tag *tag)
{
	const struct jbd2 *journal = walk->journal;
	u32 checksum = jbd2_data_checksum(journal->checksum_seed, walk->sequence, walk->data, journal->place.block_bytes);

	return tag->checksum == (jbd2_has(journal, JBD2_INCOMPAT_CSUM_V2) ? checksum & 0xffff : checksum);
}

/* Can the transaction say this? Else that is its defect. */
static bool is_tag_sound(struct walk *walk, const struct tag *tag)
{
	const struct jbd2 *journal = walk->journal;

	if (tag->flags & ~(u32)JBD2_TAG_KNOWN)
		diag_fail(&walk->defect, -EUCLEAN, "journal: transaction %u, contents in block %u: unknown flags %#x",
			  walk->sequence, position(walk), tag->flags);
	else if (tag->block >= journal->place.nr_fs_blocks)
		diag_fail(&walk->defect, -EUCLEAN, "journal: transaction %u, contents in block %u are of block %llu, of %llu",
			  walk->sequence, position(walk), (unsigned long long)tag->block,
			  (unsigned long long)journal->place.nr_fs_blocks);
	return walk->defect.err == 0;
}

/* The next block has the contents for @tag. */
static int take_contents(struct walk *walk, const struct tag *tag, struct diag *d)
{
	struct jbd2 *journal = walk->journal;
	const struct jbd2_watcher *watcher = journal->place.watcher;
	struct jbd2_record record = { tag->block, journal->info.nr_transactions, walk->distance, position(walk), 0 };
	bool has_crc = journal->info.compat & JBD2_COMPAT_CHECKSUM;
	int err;

	if (walk->defect.err == 0 || has_crc) {
		if (has_crc || jbd2_has_checksums(journal)) {
			err = jbd2_read(journal, record.where, walk->data, d);
			if (err)
				return err;
		}
		if (has_crc)
			walk->crc = jbd2_crc32_update(walk->crc, walk->data, journal->place.block_bytes);
		if (walk->defect.err == 0 && is_tag_sound(walk, tag)) {
			record.flags = (tag->flags & JBD2_TAG_ESCAPED ? JBD2_RECORD_ESCAPED : 0) |
				       (jbd2_has_checksums(journal) && !is_data_sound(walk, tag) ? JBD2_RECORD_BAD : 0);
			err = journal_overlay_add(journal->overlay, &record, d);
			if (!err && watcher && watcher->contents)
				err = watcher->contents(watcher->ctx, walk->sequence, tag->block, record.where,
							tag->flags & JBD2_TAG_ESCAPED, !(record.flags & JBD2_RECORD_BAD), d);
			if (err)
				return err;
		}
	}
	walk->nr_journalled++;
	walk->distance++;
	return 0;
}

/* The checksum in the last bytes of a descriptor or revoke block. */
static void check_tail(struct walk *walk, const char *what, u32 where)
{
	const struct jbd2 *journal = walk->journal;
	u32 block_bytes = journal->place.block_bytes, expected;
	be32 found;

	if (!jbd2_has_checksums(journal))
		return;
	memcpy(&found, walk->block + block_bytes - sizeof(found), sizeof(found));
	expected = jbd2_tail_checksum(journal->checksum_seed, walk->block, block_bytes);
	if (be32_get(found) == expected || walk->defect.err)
		return;
	diag_fail(&walk->defect, -EUCLEAN, "journal: transaction %u, %s in block %u: checksum %#x, expected %#x", walk->sequence,
		  what, where, be32_get(found), expected);
	walk->is_checksum_defect = true;
}

/* 1: the log ends. */
static int walk_descriptor(struct walk *walk, u32 where, struct diag *d)
{
	const struct jbd2 *journal = walk->journal;
	u32 limit = journal->place.block_bytes - (jbd2_has_checksums(journal) ? 4 : 0);
	u32 bytes = tag_bytes(journal), at = sizeof(struct disk_jbd2_header);
	int err;

	check_tail(walk, "descriptor", where);
	if (journal->info.compat & JBD2_COMPAT_CHECKSUM)
		walk->crc = jbd2_crc32_update(walk->crc, walk->block, journal->place.block_bytes);
	while (at + bytes <= limit) {
		struct tag tag = tag_get(journal, walk->block + at);

		if (walk->distance >= walk->log_len)
			return end_log(walk, "the contents that block %u names go round the whole log", where);
		err = take_contents(walk, &tag, d);
		if (err)
			return err;
		if (tag.flags & JBD2_TAG_LAST)
			break;
		at += bytes + (tag.flags & JBD2_TAG_SAME_UUID ? 0 : sizeof(journal->info.uuid));
	}
	return 0;
}

/* --- Revoke blocks --------------------------------------------------------------------------------------------- */

static int take_revocation(struct walk *walk, u64 block, u32 where, struct diag *d)
{
	struct jbd2 *journal = walk->journal;
	const struct jbd2_watcher *watcher = journal->place.watcher;
	struct jbd2_record record = { block, journal->info.nr_transactions, walk->distance, where, JBD2_RECORD_REVOKE };
	int err = 0;

	if (block >= journal->place.nr_fs_blocks) {
		diag_fail(&walk->defect, -EUCLEAN, "journal: transaction %u, revoke block %u names block %llu, of %llu",
			  walk->sequence, where, (unsigned long long)block, (unsigned long long)journal->place.nr_fs_blocks);
		return 0;
	}
	walk->nr_revocations++;
	if (watcher && watcher->revocation)
		err = watcher->revocation(watcher->ctx, walk->sequence, block, where, d);
	return err ?: journal_overlay_add(journal->overlay, &record, d);
}

static int walk_revoke(struct walk *walk, u32 where, struct diag *d)
{
	const struct jbd2 *journal = walk->journal;
	const struct disk_jbd2_revoke *revoke = (const void *)walk->block;
	u32 limit = journal->place.block_bytes - (jbd2_has_checksums(journal) ? 4 : 0);
	u32 bytes = jbd2_has(journal, JBD2_INCOMPAT_64BIT) ? 8 : 4, used = be32_get(revoke->used_bytes);
	int err = 0;

	check_tail(walk, "revoke block", where);
	if (walk->defect.err)
		return 0;
	if (used < sizeof(*revoke) || used > limit || (used - sizeof(*revoke)) % bytes != 0) {
		diag_fail(&walk->defect, -EUCLEAN, "journal: transaction %u, revoke block %u: %u bytes used, of %u",
			  walk->sequence, where, used, limit);
		return 0;
	}
	for (u32 at = sizeof(*revoke); at < used && !err && !walk->defect.err; at += bytes) {
		be64 wide;
		be32 narrow;

		memcpy(&wide, walk->block + at, bytes);
		memcpy(&narrow, walk->block + at, sizeof(narrow));
		err = take_revocation(walk, bytes == 8 ? be64_get(wide) : be32_get(narrow), where, d);
	}
	return err;
}

/* --- Commit blocks ----------------------------------------------------------------------------------------------- */

/*
 * The commit block's own checksum, in versions 2 and 3. Linux fills the block up with zeroes; that a power cut tore it behind its
 * fields does no harm.
 */
static bool is_commit_sound(const struct jbd2 *journal, const u8 *block)
{
	const struct disk_jbd2_commit *commit = (const void *)block;
	u32 found = be32_get(commit->checksum), seed = journal->checksum_seed, len = journal->place.block_bytes;

	return !jbd2_has_checksums(journal) || found == jbd2_commit_checksum(seed, block, len, len) ||
	       found == jbd2_commit_checksum(seed, block, sizeof(*commit), len);
}

/* Version 1: the transaction's. A commit block without one is right, too. */
static bool is_crc_sound(const struct walk *walk, const struct disk_jbd2_commit *commit)
{
	u32 found = be32_get(commit->checksum);

	if (!(walk->journal->info.compat & JBD2_COMPAT_CHECKSUM))
		return true;
	if (commit->checksum_type == 0 && commit->checksum_bytes == 0)
		return found == 0;
	return commit->checksum_type == JBD2_CHECKSUM_CRC32 && commit->checksum_bytes == 4 && found == walk->crc;
}

static void complete_transaction(struct walk *walk, u64 seconds)
{
	struct jbd2_info *info = &walk->journal->info;

	info->nr_transactions++;
	info->nr_journalled += walk->nr_journalled;
	info->nr_revocations += walk->nr_revocations;
	walk->sequence++;
	walk->seconds = seconds;
	begin_transaction(walk);
}

/* 1: the log ends. */
static int walk_commit(struct walk *walk, u32 where, struct diag *d)
{
	const struct disk_jbd2_commit *commit = (const void *)walk->block;
	const struct jbd2_watcher *watcher = walk->journal->place.watcher;
	u64 seconds = be64_get(commit->seconds);
	bool is_sound = is_commit_sound(walk->journal, walk->block) && is_crc_sound(walk, commit);
	int err = 0;

	if (watcher && watcher->commit)
		err = watcher->commit(watcher->ctx, walk->sequence, where, seconds, be32_get(commit->nanoseconds),
				      is_sound && walk->defect.err == 0, d);
	if (err)
		return err;
	if (is_sound && walk->defect.err == 0) {
		complete_transaction(walk, seconds);
		return 0;
	}
	if ((!is_sound || walk->is_checksum_defect) && seconds < walk->seconds)
		return end_log(walk, "transaction %u, with the commit in block %u, is left over from an earlier lap",
			       walk->sequence, where);
	/* The commit may have been faster on disk than what it commits, or than itself. */
	if (!is_sound && jbd2_has(walk->journal, JBD2_INCOMPAT_ASYNC_COMMIT))
		return end_log(walk, "transaction %u, with the commit in block %u, is incomplete: checksum", walk->sequence, where);
	if (is_sound)
		return diag_copy(d, &walk->defect);
	return diag_fail(d, -EUCLEAN, "journal: transaction %u, commit in block %u: wrong checksum", walk->sequence, where);
}

/* --- The end ------------------------------------------------------------------------------------------------------- */

/*
 * The log has ended; is there a commit block further on that must be of this lap, since its sequence and its time are as of a
 * transaction that would come now? Of a transaction that could be incomplete while its commit is on disk, another one.
 */
static int look_behind_end(struct walk *walk, struct diag *d)
{
	const struct jbd2 *journal = walk->journal;
	const struct disk_jbd2_commit *commit = (const void *)walk->block;
	u32 first = jbd2_has(journal, JBD2_INCOMPAT_ASYNC_COMMIT) ? 1 : 0;

	for (; walk->distance < walk->log_len; walk->distance++) {
		int err = jbd2_read(journal, position(walk), walk->block, d);
		u32 ahead;

		if (err)
			return err;
		if (be32_get(commit->header.magic) != JBD2_MAGIC || be32_get(commit->header.type) != JBD2_COMMIT)
			continue;
		ahead = be32_get(commit->header.sequence) - walk->sequence;
		if (ahead < first || ahead >= walk->log_len || be64_get(commit->seconds) < walk->seconds ||
		    !is_commit_sound(journal, walk->block))
			continue;
		return diag_fail(d, -EUCLEAN, "journal: %s, but transaction %u is committed in block %u", journal->info.end_reason,
				 walk->sequence + ahead, position(walk));
	}
	return 0;
}

/* What begins with a header of this transaction. 1: nothing does, the log ends. */
static int walk_block(struct walk *walk, struct diag *d)
{
	const struct disk_jbd2_header *header = (const void *)walk->block;
	u32 where, sequence, type;
	int err;

	if (walk->distance >= walk->log_len)
		return end_log(walk, "the log is full");
	where = position(walk);
	err = jbd2_read(walk->journal, where, walk->block, d);
	if (err)
		return err;
	if (be32_get(header->magic) != JBD2_MAGIC)
		return end_log(walk, "block %u has no header, expected one of transaction %u", where, walk->sequence);
	sequence = be32_get(header->sequence);
	if (sequence != walk->sequence)
		return end_log(walk, "block %u is of transaction %u, expected %u", where, sequence, walk->sequence);
	type = be32_get(header->type);
	walk->distance++;
	switch (type) {
	case JBD2_DESCRIPTOR:
		return walk_descriptor(walk, where, d);
	case JBD2_REVOKE:
		return walk_revoke(walk, where, d);
	case JBD2_COMMIT:
		return walk_commit(walk, where, d);
	default:
		return end_log(walk, "block %u of transaction %u is of type %u", where, sequence, type);
	}
}

int jbd2_walk(struct jbd2 *journal, struct diag *d)
{
	struct jbd2_info *info = &journal->info;
	_free_ u8 *buffers = malloc((size_t)journal->place.block_bytes * 2);
	_free_ struct walk *walk = calloc(1, sizeof(*walk));
	int err;

	if (!buffers || !walk)
		return diag_no_memory(d, "blocks of a journal");
	walk->journal = journal;
	walk->log_len = info->end_block - info->first_block;
	walk->sequence = info->start_sequence;
	walk->block = buffers;
	walk->data = buffers + journal->place.block_bytes;
	begin_transaction(walk);
	do
		err = walk_block(walk, d);
	while (err == 0);
	if (err < 0)
		return err;
	info->next_sequence = walk->sequence;
	return look_behind_end(walk, d);
}
