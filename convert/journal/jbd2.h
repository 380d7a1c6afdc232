/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of ext3 and ext4 (jbd2), replayed in memory: after a crash it holds newer contents of blocks than their places
 * in the filesystem do. It is read once, from its start to the last transaction that is complete; what remains is a table of
 * the blocks that have newer contents, and where in the journal these lie. Nothing is written, and contents stay on disk.
 *
 *	struct jbd2_place place = { .read = read_journal_block, .ctx = ext, ... };
 *
 *	err = jbd2_open(&place, &journal, d);
 *	if (!err && jbd2_info(journal)->state == JBD2_FAST_COMMITS)
 *		... refuse: Linux must mount it once, or e2fsck run ...
 *	blockdev_read(dev, physical, buf, len, d);
 *	jbd2_lay_over(journal, physical, buf, len, d);
 *
 * Everything is lenient or strict as Linux is when it mounts: what Linux would not mount is an error here.
 *
 * Source: kernel.org, "ext4 Data Structures and Algorithms", Journal (jbd2); confirmed on journals that Linux and debugfs
 * wrote.
 */
#ifndef BTRKIT_CONVERT_JOURNAL_JBD2_H
#define BTRKIT_CONVERT_JOURNAL_JBD2_H

#include "common/base/cleanup.h"
#include "common/base/diag.h"

/*
 * Read block @block of the journal, place.block_bytes of them, into @buf. @block is below place.nr_blocks. During
 * jbd2_open() called by one thread, afterwards by any number at once.
 */
typedef int (*jbd2_read_fn)(void *ctx, u32 block, void *buf, struct diag *d);

/*
 * Told, while the journal is opened, of everything in the log in its order, also of what is in a transaction that turns out to be
 * incomplete: no commit follows then. A result other than 0 ends it, and is what jbd2_open() returns. Each may be NULL.
 */
struct jbd2_watcher {
	void *ctx;
	/* Contents of @block of the filesystem lie in block @where of the journal. */
	int (*contents)(void *ctx, u32 sequence, u64 block, u32 where, bool is_escaped, bool is_good, struct diag *d);
	int (*revocation)(void *ctx, u32 sequence, u64 block, u32 where, struct diag *d);
	/* Not @is_good: its checksum is wrong, or something in the transaction is that it was to commit. */
	int (*commit)(void *ctx, u32 sequence, u32 where, u64 seconds, u32 nanoseconds, bool is_good, struct diag *d);
};

struct jbd2_info;

/* Where a journal is, and what the filesystem says of it. */
struct jbd2_place {
	jbd2_read_fn read;
	void *ctx;
	u32 block_bytes; /* of the filesystem, a power of two from 1 to 64 KiB; the journal must have the same */
	/*
	 * What the journal changes must lie below: blocks of the filesystem by the superblock on disk, or, for one that was grown
	 * just before the crash so that only the journal says so, those of its device.
	 */
	u64 nr_fs_blocks;
	u32 nr_blocks; /* of the journal's inode, or of its device; at most 2^32 - 1 */
	/*
	 * Where its superblock is: 0 in an inode; on a device of its own the block behind that of the ext4 superblock, which is
	 * 2 with blocks of 1 KiB, else 1. There journal blocks are blocks of the device, from its beginning.
	 */
	u32 super_block;
	bool needs_recovery; /* the ext4 superblock's incompat flag */
	u64 memory_bytes; /* for sorting while it is opened; 0: a default */
	const char *tmpdir; /* for what does not fit into that; NULL: /var/tmp */
	const struct jbd2_watcher *watcher; /* NULL: none */
	/* Filled in as far as it is known when jbd2_open() fails; may be NULL. */
	struct jbd2_info *ret_info;
};

enum jbd2_state {
	JBD2_EMPTY, /* nothing lies over the filesystem */
	JBD2_DIRTY, /* complete transactions do */
	/*
	 * Behind the last transaction (there may be none) are fast commits that Linux would replay. They name files, not
	 * blocks; what jbd2_lay_over() gives is older than what a mount would show.
	 */
	JBD2_FAST_COMMITS,
	/*
	 * The journal has a start, but the ext4 superblock does not want it replayed. Linux ignores such a journal, and so does
	 * jbd2_lay_over(); e2fsck replays it. None of them leaves a filesystem in this state: better refused.
	 */
	JBD2_NOT_WANTED,
};

enum {
	JBD2_COMPAT_CHECKSUM = 1 << 0,
};
enum {
	JBD2_INCOMPAT_REVOKE = 1 << 0,
	JBD2_INCOMPAT_64BIT = 1 << 1,
	JBD2_INCOMPAT_ASYNC_COMMIT = 1 << 2,
	JBD2_INCOMPAT_CSUM_V2 = 1 << 3,
	JBD2_INCOMPAT_CSUM_V3 = 1 << 4,
	JBD2_INCOMPAT_FAST_COMMIT = 1 << 5,
};

struct jbd2_info {
	enum jbd2_state state;
	u32 version; /* of the superblock: 1 or 2 */
	u32 compat, incompat; /* JBD2_COMPAT_*, JBD2_INCOMPAT_* */
	u8 uuid[16]; /* to be compared with the ext4 superblock's, if the journal is on a device of its own */
	/*
	 * Not 0: Linux gave the journal up with this errno, positive. It replays it all the same, and then marks the filesystem
	 * as damaged.
	 */
	u32 abort_errno;
	u32 first_block, end_block; /* the log goes round in [first_block, end_block) */
	u32 start_block; /* of the oldest transaction; 0: none */
	u32 start_sequence; /* of the oldest transaction */
	u32 next_sequence; /* of the first transaction that is not replayed */
	u32 nr_transactions; /* that are complete */
	u64 nr_journalled; /* contents of blocks in these, older ones included */
	u64 nr_revocations; /* records in these */
	u64 nr_blocks; /* that have newer contents in the journal */
	u32 nr_fast_commits; /* complete ones behind the last transaction */
	/* Why the log ends where it does, for people. */
	char end_reason[160];
};

struct jbd2;

/*
 * Read the journal. @place is copied; its ctx must outlive the journal. -EUCLEAN: damaged, with the block and the transaction in
 * the text (also what other place there is for doubt: contents whose checksum is wrong, a complete transaction after one that is
 * not sound, a block outside of the filesystem); -EOPNOTSUPP: a feature that is not known; what place->read() says; -ENOMEM.
 */
int jbd2_open(const struct jbd2_place *place, struct jbd2 **ret_journal, struct diag *d);
void jbd2_close(struct jbd2 *journal); /* NULL allowed */
DEFINE_FREEP(struct jbd2 *, jbd2_close)

/* Valid until the journal is closed. */
const struct jbd2_info *jbd2_info(const struct jbd2 *journal);

/*
 * All functions below may be called by any number of threads at once. If the table of blocks did not fit into memory, each may fail as
 * journal_overlay_at() does.
 */

/*
 * The first block of the filesystem at or behind @block that has newer contents: *ret_block. 1: there is none.
 * To go through all: for (block = 0; (err = jbd2_next_block(journal, block, &block, d)) == 0; block++).
 */
int jbd2_next_block(const struct jbd2 *journal, u64 block, u64 *ret_block, struct diag *d);

/* Has any of the @len_bytes at byte @physical of the filesystem newer contents? */
int jbd2_is_changed(const struct jbd2 *journal, u64 physical, u64 len_bytes, bool *ret_is_changed, struct diag *d);

/* The newest contents of @block, place.block_bytes of them. 1: the journal has none, and @buf is unchanged. */
int jbd2_read_block(const struct jbd2 *journal, u64 block, void *buf, struct diag *d);

/*
 * @buf holds @len_bytes of the filesystem from byte @physical, as read from the device: replace what the journal has newer. No
 * alignment is needed.
 */
int jbd2_lay_over(const struct jbd2 *journal, u64 physical, void *buf, size_t len_bytes, struct diag *d);

#endif
