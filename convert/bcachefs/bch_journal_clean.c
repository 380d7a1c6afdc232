/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The end of the journal of a clean volume, which is all of it that says whether the superblock is right with that: of most buckets only
 * the first block is read. A device's buckets are written one after the other, in a ring; what was written after the volume was left lies
 * in the bucket with the newest jsets, or in the one behind it. These two are read as a whole, and so are those in which something
 * other than a jset begins. Whatever is not as it should be is a reason to read all.
 */
#include "common/base/checked.h"
#include "convert/bcachefs/bch_journal_inner.h"

/* What the first blocks of a device's buckets say. */
struct ring {
	u64 nr; /* buckets */
	u64 newest, newest_seq; /* index of the bucket with the newest jset; 0: there is none */
	u64 first_seq, last_seq; /* of buckets that have one, in their order */
	u64 nr_descents; /* where numbers go down: once, in a ring */
	bool is_first_scanned, is_next_scanned; /* bucket 0, and the one behind the newest, had to be read as a whole */
};

enum head { HEAD_EMPTY, HEAD_JSET, HEAD_STRANGE };

static enum head read_head(struct bch_scan *scan, u64 *ret_seq)
{
	u32 block = scan->fs->super->block_bytes;
	const struct disk_bch_jset *jset = (const void *)scan->bucket;

	if (block < sizeof(*jset) || block > scan->bucket_bytes ||
	    bch_device_read(scan->fs, scan->device, scan->nr * scan->bucket_bytes, scan->bucket, block, NULL) != 0)
		return HEAD_STRANGE;
	if (scan->bucket[0] == 0 && memcmp(scan->bucket, scan->bucket + 1, block - 1) == 0)
		return HEAD_EMPTY;
	*ret_seq = le64_get(jset->seq);
	return le64_get(jset->magic) == scan->magic && *ret_seq && bch_jset_bytes(jset, scan->bucket_bytes) ? HEAD_JSET : HEAD_STRANGE;
}

static int look_at_bucket(struct bch_scan *scan, struct ring *ring, struct diag *d)
{
	u64 index = ring->nr++, seq;
	enum head head = read_head(scan, &seq);

	if (head == HEAD_EMPTY)
		return 0;
	if (head == HEAD_STRANGE) {
		ring->is_first_scanned |= index == 0;
		ring->is_next_scanned |= ring->newest_seq && index == ring->newest + 1;
		return bch_scan_bucket(scan, d);
	}
	if (ring->last_seq == 0)
		ring->first_seq = seq;
	ring->nr_descents += seq < ring->last_seq;
	ring->last_seq = seq;
	if (seq > ring->newest_seq) {
		ring->newest = index;
		ring->newest_seq = seq;
		ring->is_next_scanned = false;
	}
	return 0;
}

static u64 bucket_at(const struct bch_super *super, u64 index)
{
	array_for_each(&super->journal, range) {
		if (index < range->nr)
			return range->start + index;
		index -= range->nr;
	}
	return 0; /* not reached: the index is below the sum */
}

static int scan_index(struct bch_scan *scan, u64 index, struct diag *d)
{
	scan->nr = bucket_at(scan->fs->devices[scan->device].super, index);
	return bch_scan_bucket(scan, d);
}

/* 1: not as it should be. */
static int read_ring(struct bch_scan *scan, struct ring *ring, struct diag *d)
{
	const struct bch_device *device = &scan->fs->devices[scan->device];
	int err = bch_scan_begin_device(scan, d);

	if (err)
		return err;
	array_for_each(&device->super->journal, range) {
		if (!range_fits(range->start, range->nr, device->dev->size_bytes / scan->bucket_bytes))
			return 1;
		for (u64 i = 0; i < range->nr && !err; i++) {
			scan->nr = range->start + i;
			err = look_at_bucket(scan, ring, d);
		}
		if (err)
			return err;
	}
	ring->nr_descents += ring->first_seq < ring->last_seq;
	return ring->nr_descents > 1;
}

static int read_device_end(struct bch_scan *scan, struct diag *d)
{
	struct ring ring = { 0 };
	u64 next;
	int err = read_ring(scan, &ring, d);

	if (err || ring.newest_seq == 0)
		return err;
	next = (ring.newest + 1) % ring.nr;
	err = scan_index(scan, ring.newest, d);
	if (err || next == ring.newest || (next == 0 ? ring.is_first_scanned : ring.is_next_scanned))
		return err;
	return scan_index(scan, next, d);
}

/* Is it the end that the superblock knows, and is there nothing behind it? */
static bool is_end_known(const struct bch_fs *fs, const struct bch_journal *journal)
{
	const struct bch_super *super = fs->super;
	const struct bch_jset *last = journal->jsets.len ? &journal->jsets.items[journal->jsets.len - 1] : NULL;

	if (!last || !super->clean || super->clean_bytes < sizeof(*super->clean))
		return false;
	return last->seq == le64_get(super->clean->journal_seq) && last->seq == journal->newest_seq && !last->has_bad_csum &&
	       !journal->is_clean_wrong && journal->nr_unreadable_bytes == 0;
}

int bch_journal_read_end(struct bch_fs *fs, struct bch_journal **ret_journal, struct diag *d)
{
	_cleanup_(bch_journal_freep) struct bch_journal *journal = calloc(1, sizeof(*journal));
	struct bch_scan scan = { .fs = fs, .journal = journal, .magic = bch_jset_magic(fs) };
	struct diag why = { 0 }; /* who reads all is told */
	int err = 0;

	if (!journal)
		return diag_no_memory(d, "a journal");
	for (unsigned i = 0; i < BCH_DEVICES_MAX && !err; i++) {
		scan.device = i;
		if (fs->devices[i].dev && fs->devices[i].super)
			err = read_device_end(&scan, &why);
	}
	free(scan.bucket);
	if (!err)
		err = bch_journal_judge(fs, journal, &why);
	if (err == -ENOMEM)
		return diag_copy(d, &why);
	if (err || !is_end_known(fs, journal))
		return 1;
	journal->has_end_only = true;
	*ret_journal = take_ptr(journal);
	return 0;
}
