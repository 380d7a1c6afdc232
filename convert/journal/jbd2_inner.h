/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open journal, for the files of jbd2 only. */
#ifndef BTRKIT_CONVERT_JOURNAL_JBD2_INNER_H
#define BTRKIT_CONVERT_JOURNAL_JBD2_INNER_H

#include "convert/journal/jbd2.h"
#include "convert/journal/jbd2_disk.h"
#include "convert/journal/journal_overlay.h"

struct jbd2 {
	struct jbd2_place place;
	struct jbd2_info info;
	u32 max_len; /* blocks of the journal; fast commits, if any, lie from info.end_block to here */
	u32 checksum_seed;
	struct journal_overlay *overlay; /* of jbd2_record; NULL: nothing lies over anything */
};

enum {
	JBD2_RECORD_REVOKE = 1 << 0,
	JBD2_RECORD_ESCAPED = 1 << 1,
	JBD2_RECORD_BAD = 1 << 2, /* its checksum is wrong, or that of one that it replaces: it is @where */
};

/* Newer contents of a block, or that older ones are not to be used. */
struct jbd2_record {
	u64 block; /* of the filesystem */
	u32 nr; /* of the transaction: 0 is the oldest */
	u32 distance; /* from the log's start, in blocks, which is the order of contents in the log */
	u32 where; /* block of the journal that has the contents */
	u32 flags; /* JBD2_RECORD_* */
};

static inline bool jbd2_has(const struct jbd2 *journal, u32 incompat)
{
	return journal->info.incompat & incompat;
}

/* Versions 2 and 3, in which each block has a checksum. */
static inline bool jbd2_has_checksums(const struct jbd2 *journal)
{
	return jbd2_has(journal, JBD2_INCOMPAT_CSUM_V2 | JBD2_INCOMPAT_CSUM_V3);
}

/* Read one block of the journal; the error says which. */
int jbd2_read(const struct jbd2 *journal, u32 block, void *buf, struct diag *d);

/* Read and check the superblock: info but for what the log says, max_len, checksum_seed. */
int jbd2_load_super(struct jbd2 *journal, struct diag *d);

/* Go through the log: the rest of info, and its records added to journal->overlay. Those of transactions from info.nr_transactions
 * on are there too, and must not be used. */
int jbd2_walk(struct jbd2 *journal, struct diag *d);

/* info.nr_fast_commits. */
int jbd2_find_fast_commits(struct jbd2 *journal, struct diag *d);

#endif
