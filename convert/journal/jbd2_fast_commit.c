/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Fast commits lie in a part of the journal of their own, from its beginning, and are valid if they are of the transaction that
 * would come next. They are a list of tags, without regard to blocks but for padding: each commit ends with a tail that has the
 * checksum of its tags. What the tags mean is not known here.
 */
#include "convert/journal/jbd2_inner.h"

#include "common/csum/csum.h"

struct fast_walk {
	struct jbd2 *journal;
	u8 *block;
	u32 crc; /* of the tags since the last tail */
	bool is_begun; /* there was a head */
};

static bool is_head(const struct fast_walk *walk, const u8 *value, u32 len)
{
	struct disk_fast_commit_head head;

	if (len < sizeof(head))
		return false;
	memcpy(&head, value, sizeof(head));
	return le32_get(head.sequence) == walk->journal->info.next_sequence;
}

static bool is_tail(struct fast_walk *walk, const u8 *tag, u32 len)
{
	struct disk_fast_commit_tail tail;
	const u32 before = sizeof(struct disk_fast_commit_tag) + offsetof(struct disk_fast_commit_tail, checksum);

	if (len < sizeof(tail))
		return false;
	memcpy(&tail, tag + sizeof(struct disk_fast_commit_tag), sizeof(tail));
	return le32_get(tail.sequence) == walk->journal->info.next_sequence &&
	       le32_get(tail.checksum) == crc32c_update(walk->crc, tag, before);
}

/* The tags of one block. False: fast commits end in it. */
static bool walk_tags(struct fast_walk *walk)
{
	u32 block_bytes = walk->journal->place.block_bytes;

	for (u32 at = 0; at + sizeof(struct disk_fast_commit_tag) <= block_bytes;) {
		struct disk_fast_commit_tag disk;
		u32 tag, len;

		memcpy(&disk, walk->block + at, sizeof(disk));
		tag = le16_get(disk.tag);
		len = le16_get(disk.len);
		if (tag < FAST_COMMIT_ADD_RANGE || tag > FAST_COMMIT_HEAD || len > block_bytes - at - sizeof(disk))
			return false;
		if (tag == FAST_COMMIT_HEAD)
			walk->is_begun = is_head(walk, walk->block + at + sizeof(disk), len);
		if (!walk->is_begun)
			return false;
		if (tag == FAST_COMMIT_TAIL) {
			if (!is_tail(walk, walk->block + at, len))
				return false;
			walk->journal->info.nr_fast_commits++;
			walk->crc = 0;
			return true; /* what is left of the block belongs to the tail */
		}
		walk->crc = crc32c_update(walk->crc, walk->block + at, sizeof(disk) + len);
		if (tag == FAST_COMMIT_PAD)
			return true;
		at += (u32)sizeof(disk) + len;
	}
	return true;
}

int jbd2_find_fast_commits(struct jbd2 *journal, struct diag *d)
{
	_free_ u8 *block = malloc(journal->place.block_bytes);
	struct fast_walk walk = { .journal = journal, .block = block };
	int err;

	if (!block)
		return diag_no_memory(d, "fast commits of a journal");
	/* Linux leaves the first block of the area unused. Should that ever change, they are not to be overlooked. */
	for (u32 start = journal->info.end_block; start <= journal->info.end_block + 1; start++) {
		walk.crc = 0;
		walk.is_begun = false;
		for (u32 at = start; at < journal->max_len; at++) {
			err = jbd2_read(journal, at, block, d);
			if (err)
				return err;
			if (!walk_tags(&walk))
				break;
		}
		if (journal->info.nr_fast_commits)
			break;
	}
	return 0;
}
