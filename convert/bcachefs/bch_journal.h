/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of bcachefs: jsets, each a list of entries, in buckets of every device. It is read once, streamed; what remains in
 * memory is which jsets there are, the roots of btrees, and a sorted table that tells, for each key that any jset has, where the
 * newest of it lies.
 *
 *	bch_journal_read()    every bucket of every device: which jsets are there, in what state, which are needed
 *	bch_journal_gather()  keys and roots of those that are needed
 *
 * Which jsets are needed: the newest that was flushed and has a right checksum ends the list, its last_seq begins it. Those that are
 * blacklisted are as if they were not there; any other that is missing in between is a hole. Behind it a crash may leave one that was not
 * written to its end. More than one, or one that was, is damage, and the newest was then another one.
 */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_JOURNAL_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_JOURNAL_H

#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "common/spill/spill.h"
#include "convert/bcachefs/bch_key.h"
#include "convert/journal/journal_overlay.h"

struct bch_fs;

enum bch_jset_state {
	BCH_JSET_NEEDED, /* between the newest one's last_seq and it */
	BCH_JSET_OLD, /* before that */
	BCH_JSET_UNFLUSHED, /* behind the newest flushed one: never promised to anybody */
	BCH_JSET_BLACKLISTED,
	BCH_JSET_IGNORED, /* the volume is clean: nothing is needed */
};

/* Each device may have one. */
struct bch_jset_copy {
	u64 physical; /* byte on the device */
	u64 bucket; /* which of the device, and where in it: for who shows it */
	u32 bucket_offset_bytes;
	u8 device;
	bool is_bad; /* its checksum is wrong, or entries or keys reach beyond it */
	/*
	 * Bad, but all can be taken apart up to its end: as no write that was cut off leaves it. It was written in whole, and has
	 * changed since.
	 */
	bool was_whole;
};

struct bch_jset {
	u64 seq, last_seq;
	u32 version;
	u32 bytes; /* with the header, not rounded */
	bool is_no_flush;
	bool has_bad_csum; /* every copy is bad: what is said here of it may be wrong */
	/*
	 * Unflushed only because it is bad, and not as one that was being written in the crash: its changes were promised, with those
	 * of all behind newest_seq.
	 */
	bool is_lost;
	enum bch_jset_state state;
	u64 physical; /* of the copy that is used, which is copies.items[first_copy] */
	u8 device;
	u32 nr_copies, nr_bad_copies;
	size_t first_copy; /* in bch_journal.copies, good ones first */
};

/* A key that a needed jset has, the newest at its position. */
struct bch_jkey {
	struct bch_pos pos;
	u8 btree, level, type; /* BCH_KEY_DELETED hides what the btree has */
	u8 device;
	u16 version; /* of the jset: position and type are as they would be now, what it points to is as it was written */
	u64 seq;
	u32 nr; /* in the order of keys in its jset */
	u64 physical; /* of the unpacked key, on the device; of an encrypted volume the jset has to be read and decrypted */
	u64 jset_physical;
	u32 jset_bytes;
};

struct bch_root {
	bool is_there; /* an empty tree without a root may have keys in the journal all the same */
	u8 level;
	u16 key_bytes; /* of the unpacked key with its value */
	u8 key[255 * 8];
};

struct bch_journal {
	ARRAY(struct bch_jset) jsets; /* ascending by seq, one of each */
	ARRAY(struct bch_jset_copy) copies;
	ARRAY(struct bch_seq_range) holes; /* of those that are needed and not there */
	u64 newest_seq; /* the end of what is needed; 0: no jset is usable */
	u64 last_seq; /* the begin of it */
	u64 seen_seq; /* the highest that was seen in any state, with a right checksum */
	u64 nr_keys; /* in needed jsets */
	/*
	 * The superblock says that the volume is clean, but the newest jset has keys, which the last one of a volume that is left
	 * cleanly has not: all is as if it was not clean.
	 */
	bool is_clean_wrong;
	bool has_end_only; /* of what the devices have: the volume is clean */
	u64 nr_unreadable_bytes; /* of buckets, that the devices would not give */
	struct journal_overlay *keys; /* struct bch_jkey, by btree, level, pos; NULL: none, or not gathered */
};

/*
 * Each device in fs->devices is read. -EUCLEAN: there is no usable jset, and the volume is not clean. Holes and bad checksums of needed
 * jsets are no errors: they are there to be told.
 */
int bch_journal_read(struct bch_fs *fs, struct bch_journal **ret_journal, struct diag *d);
/*
 * Of a volume whose superblock says that it is clean, only what shows that nobody has written since: little more than the first block of
 * each bucket. 1: somebody has, or it cannot be told from that, which bch_journal_read() then does.
 */
int bch_journal_read_end(struct bch_fs *fs, struct bch_journal **ret_journal, struct diag *d);
/* As bch_journal_read(), for who wants to see what is there: that no jset is usable is no error, and newest_seq is 0 then. */
int bch_journal_scan(struct bch_fs *fs, struct bch_journal **ret_journal, struct diag *d);
/* journal->keys, and @roots (BCH_BTREES_MAX of them) as the needed jsets say, in the order of their seq. */
int bch_journal_gather(struct bch_fs *fs, struct bch_journal *journal, struct spill *spill, size_t memory_bytes,
		       struct bch_root *roots, struct diag *d);
/* Is all of it there that is needed, and none lost behind it? Else something may be as it was before, and gathering tells what. */
bool bch_journal_is_whole(const struct bch_journal *journal);
void bch_journal_free(struct bch_journal *journal); /* NULL allowed */
DEFINE_FREEP(struct bch_journal *, bch_journal_free)

/* Read one jset, checked and decrypted, from whichever copy is good. The caller frees *ret_bytes. */
int bch_jset_read(struct bch_fs *fs, const struct bch_jset *jset, u8 **ret_bytes, struct diag *d);
/* From this one alone. */
int bch_jset_read_copy(struct bch_fs *fs, const struct bch_jset *jset, const struct bch_jset_copy *copy, u8 **ret_bytes,
		       struct diag *d);

/* For each entry of a jset or of the clean section: lengths have been checked when @fn is called. -EUCLEAN. */
typedef int (*bch_jentry_fn)(void *ctx, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes,
			     struct diag *d);
int bch_jentries_for_each(const u8 *entries, size_t bytes, bch_jentry_fn fn, void *ctx, struct diag *d);
const char *bch_jentry_name(u8 type, char buf[16]);
/* For each unpacked key of an entry that has keys; key->value points into @payload. -EUCLEAN. */
int bch_jentry_keys_for_each(const u8 *payload, size_t payload_bytes,
			     int (*fn)(void *ctx, const struct bch_key *key, size_t offset_bytes, struct diag *d), void *ctx,
			     struct diag *d);
bool bch_jentry_has_keys(u8 type); /* of any meaning */
bool bch_jentry_is_applied(u8 type); /* its keys are newer than those of the btree */

/* The roots of a clean volume, from its superblock. */
int bch_clean_roots(const struct bch_fs *fs, struct bch_root *roots, struct diag *d);

/* What the superblock says of the journal's end, against the journal: that of a volume in use, or that crashed, is stale. */
struct bch_clean_check {
	bool is_there;
	u64 seq, journal_seq; /* as the superblock has it; the newest good jset's */
	bool has_keys; /* the newest jset */
	u64 roots_differ; /* bit by btree: not the same in both */
};
int bch_clean_check(struct bch_fs *fs, const struct bch_journal *journal, struct bch_clean_check *ret_check, struct diag *d);

/*
 * Read the unpacked key of @jkey into @bytes (255 * 8 of them) and decode it: its value points there. Thread-safe.
 */
int bch_jkey_read(struct bch_fs *fs, const struct bch_jkey *jkey, u8 *bytes, struct bch_key *ret_key, struct diag *d);

/*
 * The order in which a writer would replay: of btrees that only account for space first, then interior nodes, then leaves by seq.
 * *ret_list: indices into journal->keys, freed by the caller.
 */
int bch_journal_replay_order(const struct bch_journal *journal, size_t **ret_list, size_t *ret_nr, struct diag *d);

#endif
