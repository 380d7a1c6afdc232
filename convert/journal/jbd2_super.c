/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The superblock of a journal: what is refused, and where the log is. */
#include "convert/journal/jbd2_checksum.h"
#include "convert/journal/jbd2_inner.h"

#define INCOMPAT_KNOWN                                                                             \
	(JBD2_INCOMPAT_REVOKE | JBD2_INCOMPAT_64BIT | JBD2_INCOMPAT_ASYNC_COMMIT | JBD2_INCOMPAT_CSUM_V2 |               \
	 JBD2_INCOMPAT_CSUM_V3 | JBD2_INCOMPAT_FAST_COMMIT)

static int check_kind(struct jbd2 *journal, const struct disk_jbd2_super *super, struct diag *d)
{
	u32 type = be32_get(super->header.type);

	if (be32_get(super->header.magic) != JBD2_MAGIC)
		return diag_fail(d, -EUCLEAN, "journal: block %u is no superblock: magic %#x, expected %#x",
				 journal->place.super_block, be32_get(super->header.magic), JBD2_MAGIC);
	if (type != JBD2_SUPER_V1 && type != JBD2_SUPER_V2)
		return diag_fail(d, -EUCLEAN, "journal: superblock of type %u, expected %u or %u", type, JBD2_SUPER_V1,
				 JBD2_SUPER_V2);
	journal->info.version = type == JBD2_SUPER_V1 ? 1 : 2;
	return 0;
}

static int check_features(struct jbd2 *journal, const struct disk_jbd2_super *super, struct diag *d)
{
	u32 ro_compat = be32_get(super->ro_compat);
	struct jbd2_info *info = &journal->info;

	if (info->version == 1)
		return 0;
	info->compat = be32_get(super->compat);
	info->incompat = be32_get(super->incompat);
	memcpy(info->uuid, super->uuid, sizeof(info->uuid));
	if (info->incompat & ~INCOMPAT_KNOWN)
		return diag_fail(d, -EOPNOTSUPP, "journal: unknown incompatible features: bits %#x",
				 info->incompat & ~(u32)INCOMPAT_KNOWN);
	if (ro_compat)
		return diag_fail(d, -EOPNOTSUPP, "journal: unknown read-only compatible features: bits %#x", ro_compat);
	if (jbd2_has(journal, JBD2_INCOMPAT_CSUM_V2) && jbd2_has(journal, JBD2_INCOMPAT_CSUM_V3))
		return diag_fail(d, -EUCLEAN, "journal: checksums of versions 2 and 3 at once");
	if (jbd2_has_checksums(journal) && (info->compat & JBD2_COMPAT_CHECKSUM))
		return diag_fail(d, -EUCLEAN, "journal: checksums of version 1 and %u at once",
				 jbd2_has(journal, JBD2_INCOMPAT_CSUM_V2) ? 2 : 3);
	return 0;
}

static int check_checksum(struct jbd2 *journal, const struct disk_jbd2_super *super, struct diag *d)
{
	u32 found = be32_get(super->checksum), expected;

	if (!jbd2_has_checksums(journal))
		return 0;
	if (super->checksum_type != JBD2_CHECKSUM_CRC32C)
		return diag_fail(d, -EOPNOTSUPP, "journal: unknown checksum type %u", super->checksum_type);
	expected = jbd2_super_checksum(super);
	if (found != expected)
		return diag_fail(d, -EUCLEAN, "journal: superblock has checksum %#x, expected %#x", found, expected);
	journal->checksum_seed = jbd2_checksum_seed(super->uuid);
	return 0;
}

/* Blocks for fast commits are taken from the end. */
static int find_end(struct jbd2 *journal, const struct disk_jbd2_super *super, struct diag *d)
{
	u32 nr = 0;

	if (jbd2_has(journal, JBD2_INCOMPAT_FAST_COMMIT)) {
		nr = be32_get(super->nr_fast_commit_blocks);
		if (nr == 0)
			nr = JBD2_FAST_COMMIT_BLOCKS;
	}
	if (nr >= journal->max_len)
		return diag_fail(d, -EUCLEAN, "journal: %u blocks for fast commits, of %u in all", nr, journal->max_len);
	journal->info.end_block = journal->max_len - nr;
	return 0;
}

static int check_geometry(struct jbd2 *journal, const struct disk_jbd2_super *super, struct diag *d)
{
	u32 block_bytes = be32_get(super->block_bytes);
	struct jbd2_info *info = &journal->info;
	int err;

	if (block_bytes != journal->place.block_bytes)
		return diag_fail(d, -EUCLEAN, "journal: blocks of %u bytes, in a filesystem with %u", block_bytes,
				 journal->place.block_bytes);
	journal->max_len = be32_get(super->max_len);
	if (journal->max_len > journal->place.nr_blocks)
		return diag_fail(d, -EUCLEAN, "journal: superblock says %u blocks, but there are %u", journal->max_len,
				 journal->place.nr_blocks);
	err = find_end(journal, super, d);
	if (err)
		return err;
	info->first_block = be32_get(super->first);
	if (info->first_block <= journal->place.super_block || info->first_block >= info->end_block)
		return diag_fail(d, -EUCLEAN, "journal: log from block %u, expected %u to %u", info->first_block,
				 journal->place.super_block + 1, info->end_block);
	info->start_block = be32_get(super->start);
	if (info->start_block && (info->start_block < info->first_block || info->start_block >= info->end_block))
		return diag_fail(d, -EUCLEAN, "journal: log starts in block %u, expected %u to %u", info->start_block,
				 info->first_block, info->end_block);
	return 0;
}

int jbd2_load_super(struct jbd2 *journal, struct diag *d)
{
	_free_ u8 *block = malloc(journal->place.block_bytes);
	const struct disk_jbd2_super *super = (const void *)block;
	s32 abort_errno;
	int err;

	if (!block)
		return diag_no_memory(d, "superblock of a journal");
	err = jbd2_read(journal, journal->place.super_block, block, d);
	if (!err)
		err = check_kind(journal, super, d);
	if (!err)
		err = check_features(journal, super, d);
	if (!err)
		err = check_checksum(journal, super, d);
	if (!err)
		err = check_geometry(journal, super, d);
	if (err)
		return err;
	journal->info.start_sequence = journal->info.next_sequence = be32_get(super->sequence);
	/* Linux stores it negative. */
	abort_errno = (s32)be32_get(super->abort_errno);
	journal->info.abort_errno = abort_errno < 0 ? -(u32)abort_errno : (u32)abort_errno;
	return 0;
}
