/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which jsets there are, and which of them count. Buckets are read one at a time, and of what they hold only a line for each jset
 * is kept.
 */
#include "convert/bcachefs/bch_journal.h"

#include "common/base/checked.h"
#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_journal_inner.h"

typedef unsigned long long ull;

#define JSET_FLAGS_KNOWN (BCH_JSET_CSUM_TYPE | BCH_JSET_BIG_ENDIAN | BCH_JSET_NO_FLUSH)
/* A header whose magic is damaged is taken for one all the same if its seq is so near to the one before. */
#define SEQ_NEAR 65536

/* --- One jset ------------------------------------------------------------------------------------------------ */

u64 bch_jset_magic(const struct bch_fs *fs)
{
	le64 uuid;

	memcpy(&uuid, fs->super->uuid, sizeof(uuid));
	return le64_get(uuid) ^ BCH_JSET_MAGIC;
}

static bool is_csum_right(const struct bch_fs *fs, const u8 *bytes, size_t len)
{
	const struct disk_bch_jset *jset = (const void *)bytes;
	const size_t from = sizeof(jset->csum);
	unsigned type = le32_get(jset->flags) & BCH_JSET_CSUM_TYPE;
	struct disk_bch_csum csum;

	/* An encrypted volume has nothing in clear but superblocks. */
	if (bch_csum_is_encrypted(type) != (fs->crypt != NULL))
		return false;
	if (fs->crypt) {
		csum = bch_crypt_mac(fs->crypt, type, bch_nonce_of_jset(le64_get(jset->seq)), bytes + from, len - from);
	} else if (bch_csum_name(type)) {
		csum = bch_csum_of(type, bytes + from, len - from);
	} else {
		return false;
	}
	return memcmp(&csum, &jset->csum, bch_csum_bytes(type)) == 0;
}

static void decrypt(const struct bch_fs *fs, u8 *bytes, size_t len)
{
	const struct disk_bch_jset *jset = (const void *)bytes;

	if (fs->crypt)
		bch_crypt_decrypt(fs->crypt, bch_nonce_of_jset(le64_get(jset->seq)), bytes + BCH_JSET_ENCRYPTED_AT,
				  len - BCH_JSET_ENCRYPTED_AT);
}

static int pass_key(void *ctx, const struct bch_key *key, size_t offset_bytes, struct diag *d)
{
	(void)ctx, (void)key, (void)offset_bytes, (void)d;
	return 0;
}

static int check_entry(void *ctx, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes, struct diag *d)
{
	(void)ctx;
	if (!bch_jentry_is_applied(entry->type) && entry->type != BCH_JENTRY_ROOT)
		return 0;
	if (payload_bytes && entry->level > BCH_LEVEL_MAX)
		return diag_fail(d, -EUCLEAN, "entry of level %u, limit %d", entry->level, BCH_LEVEL_MAX);
	return bch_jentry_keys_for_each(payload, payload_bytes, pass_key, NULL, d);
}

/* Is the jset in @bytes, whose @len bytes are there, what was written? It is decrypted then. */
static int check_jset(const struct bch_fs *fs, u8 *bytes, size_t len, struct diag *d)
{
	const struct disk_bch_jset *jset = (const void *)bytes;
	u32 flags = le32_get(jset->flags);
	u64 seq = le64_get(jset->seq);

	if (flags & BCH_JSET_BIG_ENDIAN)
		return diag_fail(d, -EUCLEAN, "journal entry %llu: is big-endian", (ull)seq);
	if (!is_csum_right(fs, bytes, len))
		return diag_fail(d, -EUCLEAN, "journal entry %llu: wrong checksum", (ull)seq);
	decrypt(fs, bytes, len);
	if (!(flags & BCH_JSET_NO_FLUSH) && le64_get(jset->last_seq) > seq)
		return diag_fail(d, -EUCLEAN, "journal entry %llu: needs entries from %llu on, which is behind it", (ull)seq,
				 (ull)le64_get(jset->last_seq));
	if (bch_jentries_for_each(bytes + sizeof(*jset), len - sizeof(*jset), check_entry, NULL, d) < 0)
		return diag_context(d, -EUCLEAN, "journal entry %llu", (ull)seq);
	return 0;
}

static int check_part(void *ctx, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes, struct diag *d)
{
	(void)ctx;
	if (entry->type >= BCH_NR_JENTRY_TYPES || (bch_jentry_has_keys(entry->type) && entry->level > BCH_LEVEL_MAX))
		return -EUCLEAN;
	return bch_jentry_has_keys(entry->type) ? bch_jentry_keys_for_each(payload, payload_bytes, pass_key, NULL, d) : 0;
}

/* What was never written may be zeroes, which look like entries without anything in them. */
static bool has_zero_sector(const u8 *bytes, size_t len)
{
	static const u8 zeroes[BCH_SECTOR_BYTES];

	for (size_t at = 0; at < len; at += BCH_SECTOR_BYTES)
		if (memcmp(bytes + at, zeroes, MIN(len - at, sizeof(zeroes))) == 0)
			return true;
	return false;
}

/* @bytes are a jset whose checksum is wrong. *ret_was_whole: see struct bch_jset_copy. */
static int judge_bad(const struct bch_fs *fs, const u8 *bytes, size_t len, bool *ret_was_whole, struct diag *d)
{
	const struct disk_bch_jset *jset = (const void *)bytes;
	u32 flags = le32_get(jset->flags);
	_free_ u8 *copy = NULL;

	*ret_was_whole = false;
	if ((flags & ~(u32)JSET_FLAGS_KNOWN) || (flags & BCH_JSET_BIG_ENDIAN) || has_zero_sector(bytes, len) ||
	    bch_csum_is_encrypted(flags & BCH_JSET_CSUM_TYPE) != (fs->crypt != NULL))
		return 0;
	if (fs->crypt) {
		copy = malloc(len); /* what comes behind may be another one, if the length is wrong */
		if (!copy)
			return diag_no_memory(d, "an entry of the journal");
		memcpy(copy, bytes, len);
		decrypt(fs, copy, len);
	}
	*ret_was_whole = bch_jentries_for_each((copy ? copy : bytes) + sizeof(*jset), len - sizeof(*jset), check_part, NULL, NULL) == 0;
	return 0;
}

/* --- Buckets ------------------------------------------------------------------------------------------------- */

u32 bch_jset_bytes(const struct disk_bch_jset *jset, u32 room)
{
	u64 bytes = sizeof(*jset) + (u64)le32_get(jset->u64s) * 8;

	return bytes <= room ? (u32)bytes : 0;
}

/* One whose magic alone is damaged, where one is to be expected. */
static bool looks_like_jset(const struct bch_scan *scan, const struct disk_bch_jset *jset, u32 room)
{
	u64 seq = le64_get(jset->seq), near = scan->last_seq ? scan->last_seq : scan->journal->seen_seq;

	if (!scan->is_expected || seq == 0 || bch_jset_bytes(jset, room) == 0)
		return false;
	if (scan->last_seq && seq <= scan->last_seq)
		return false;
	return le32_get(jset->version) == scan->fs->super->version && !(le32_get(jset->flags) & ~(u32)JSET_FLAGS_KNOWN) &&
	       seq < near + SEQ_NEAR;
}

static int take_jset(struct bch_scan *scan, u32 at, u64 seq, u32 bytes, bool is_bad, bool was_whole, struct diag *d)
{
	const struct disk_bch_jset *disk = (const void *)(scan->bucket + at);
	struct bch_journal *journal = scan->journal;
	struct bch_jset jset = {
		.seq = seq,
		.last_seq = le64_get(disk->last_seq),
		.version = le32_get(disk->version),
		.bytes = bytes,
		.is_no_flush = le32_get(disk->flags) & BCH_JSET_NO_FLUSH,
		.has_bad_csum = is_bad,
		.device = (u8)scan->device,
		.physical = scan->nr * scan->bucket_bytes + at,
		.first_copy = journal->copies.len,
		.nr_copies = 1,
		.nr_bad_copies = is_bad,
	};
	const struct bch_jset_copy copy = { jset.physical, scan->nr, at, jset.device, is_bad, was_whole };

	if (!is_bad)
		journal->seen_seq = MAX(journal->seen_seq, jset.seq);
	if (array_push(&journal->jsets, jset) < 0 || array_push(&journal->copies, copy) < 0)
		return diag_no_memory(d, "entries of a journal");
	return 0;
}

/*
 * What begins at @at. *ret_next: where to look next. 1: the rest of the bucket is of the lap before. A jset that is bad does not say
 * where the next one is, so that each block is looked at.
 */
static int scan_at(struct bch_scan *scan, u32 at, u32 *ret_next, struct diag *d)
{
	const struct disk_bch_jset *disk = (const void *)(scan->bucket + at);
	u32 room = scan->bucket_bytes - at, block = scan->fs->super->block_bytes, bytes = bch_jset_bytes(disk, room);
	u64 seq = le64_get(disk->seq);
	bool has_magic = le64_get(disk->magic) == scan->magic;
	bool is_good = has_magic && bytes && seq && check_jset(scan->fs, scan->bucket + at, bytes, NULL) == 0;
	bool was_whole = false;
	int err = 0;

	*ret_next = at + block;
	if (!has_magic && !looks_like_jset(scan, disk, room)) {
		scan->is_expected = false;
		return 0;
	}
	if (is_good && seq < scan->last_seq)
		return 1;
	/* What follows a jset has the next number, whatever it says of itself; unless it is of the lap before, and good. */
	if (!is_good && seq <= scan->last_seq && !scan->is_expected)
		return 0;
	if (!is_good && seq <= scan->last_seq)
		seq = scan->last_seq + 1;
	if (!is_good && bytes)
		err = judge_bad(scan->fs, scan->bucket + at, bytes, &was_whole, d);
	err = err ?: take_jset(scan, at, seq, bytes, !is_good, was_whole, d);
	scan->is_expected = is_good;
	if (is_good) {
		scan->last_seq = seq;
		*ret_next = at + (u32)round_up_u64(bytes, block);
	}
	return err;
}

/* Of a bucket that cannot be read at once, the blocks that can. */
static int read_blocks(struct bch_scan *scan, struct diag *d)
{
	u32 block = scan->fs->super->block_bytes;
	struct diag why = { 0 };

	for (u32 at = 0; at < scan->bucket_bytes; at += block) {
		u32 len = MIN(block, scan->bucket_bytes - at);

		if (bch_device_read(scan->fs, scan->device, scan->nr * scan->bucket_bytes + at, scan->bucket + at, len, &why) == 0)
			continue;
		memset(scan->bucket + at, 0, len);
		scan->journal->nr_unreadable_bytes += len;
	}
	diag_note(d, DIAG_WARNING, "journal bucket %llu of device %u: %s", (ull)scan->nr, scan->device, why.text);
	return 0;
}

int bch_scan_bucket(struct bch_scan *scan, struct diag *d)
{
	int err = bch_device_read(scan->fs, scan->device, scan->nr * scan->bucket_bytes, scan->bucket, scan->bucket_bytes, NULL);

	if (err)
		err = read_blocks(scan, d);
	scan->last_seq = 0;
	scan->is_expected = true;
	for (u32 at = 0; !err && at < scan->bucket_bytes && scan->bucket_bytes - at >= sizeof(struct disk_bch_jset);)
		err = scan_at(scan, at, &at, d);
	return err < 0 ? err : 0;
}

/* What is said of a device's journal, before any of it is believed. */
int bch_scan_begin_device(struct bch_scan *scan, struct diag *d)
{
	const struct blockdev *dev = scan->fs->devices[scan->device].dev;
	const struct bch_super *super = scan->fs->devices[scan->device].super;

	if (super->dev_idx >= super->members.len || super->members.items[super->dev_idx].bucket_bytes == 0)
		return diag_fail(d, -EUCLEAN, "%s: the superblock does not say how long its buckets are", dev->name);
	scan->bucket_bytes = super->members.items[super->dev_idx].bucket_bytes;
	if (scan->bucket_bytes % scan->fs->super->block_bytes != 0)
		return diag_fail(d, -EUCLEAN, "%s: buckets of %u bytes, blocks of %u", dev->name, scan->bucket_bytes,
				 scan->fs->super->block_bytes);
	if (scan->bucket_bytes > scan->capacity) {
		free(scan->bucket);
		scan->capacity = 0;
		scan->bucket = malloc(scan->bucket_bytes);
		if (!scan->bucket)
			return diag_no_memory(d, "a bucket of the journal");
		scan->capacity = scan->bucket_bytes;
	}
	return 0;
}

static int scan_device(struct bch_scan *scan, struct diag *d)
{
	const struct bch_device *device = &scan->fs->devices[scan->device];
	u64 nr_buckets, nr_scanned = 0;
	int err = bch_scan_begin_device(scan, d);

	if (err)
		return err;
	nr_buckets = device->dev->size_bytes / scan->bucket_bytes;
	array_for_each(&device->super->journal, range) {
		u64 nr = range->nr;

		if (!range_fits(range->start, nr, nr_buckets)) {
			diag_note(d, DIAG_WARNING, "%s: journal in buckets %llu to %llu, of %llu", device->dev->name, (ull)range->start,
				  (ull)(range->start + range->nr - 1), (ull)nr_buckets);
			scan->journal->nr_unreadable_bytes += scan->bucket_bytes;
			nr = range->start < nr_buckets ? nr_buckets - range->start : 0;
		}
		nr_scanned += nr;
		if (nr_scanned > nr_buckets)
			return diag_fail(d, -EUCLEAN, "%s: the journal has more buckets than the device", device->dev->name);
		for (u64 i = 0; i < nr; i++) {
			scan->nr = range->start + i;
			err = bch_scan_bucket(scan, d);
			if (err)
				return err;
		}
	}
	return 0;
}

static int scan_devices(struct bch_fs *fs, struct bch_journal *journal, struct diag *d)
{
	struct bch_scan scan = { .fs = fs, .journal = journal, .magic = bch_jset_magic(fs) };
	int err = 0;

	for (unsigned i = 0; i < BCH_DEVICES_MAX && !err; i++) {
		scan.device = i;
		if (fs->devices[i].dev && fs->devices[i].super)
			err = scan_device(&scan, d);
	}
	free(scan.bucket);
	return err;
}

/* --- One of each --------------------------------------------------------------------------------------------- */

static int compare_jsets(const void *a, const void *b)
{
	const struct bch_jset *x = a, *y = b;

	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	if (x->has_bad_csum != y->has_bad_csum)
		return x->has_bad_csum ? 1 : -1;
	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return x->physical < y->physical ? -1 : x->physical > y->physical;
}

/* So far each copy is a jset of its own. */
static int unite_copies(struct bch_journal *journal, struct diag *d)
{
	ARRAY(struct bch_jset_copy) copies = { 0 };
	size_t nr = 0;

	if (array_reserve(&copies, journal->copies.len) < 0)
		return diag_no_memory(d, "entries of a journal");
	array_sort(&journal->jsets, compare_jsets);
	array_for_each(&journal->jsets, jset) {
		struct bch_jset *before = nr ? &journal->jsets.items[nr - 1] : NULL;
		const struct bch_jset_copy copy = journal->copies.items[jset->first_copy];

		copies.items[copies.len++] = copy;
		if (before && before->seq == jset->seq) {
			before->nr_copies++;
			before->nr_bad_copies += copy.is_bad;
			continue;
		}
		journal->jsets.items[nr] = *jset;
		journal->jsets.items[nr++].first_copy = copies.len - 1;
	}
	journal->jsets.len = nr;
	array_done(&journal->copies);
	journal->copies.items = copies.items;
	journal->copies.len = copies.len;
	journal->copies.cap = copies.cap;
	return 0;
}

/* --- Which are needed ---------------------------------------------------------------------------------------- */

/* The newest that was promised; NULL: there is none. */
static const struct bch_jset *find_newest(const struct bch_fs *fs, const struct bch_journal *journal)
{
	for (size_t i = journal->jsets.len; i > 0; i--) {
		const struct bch_jset *jset = &journal->jsets.items[i - 1];

		if (!jset->has_bad_csum && !jset->is_no_flush && !bch_super_is_blacklisted(fs->super, jset->seq))
			return jset;
	}
	return NULL;
}

static enum bch_jset_state judge(const struct bch_fs *fs, const struct bch_journal *journal, bool is_clean, u64 seq)
{
	if (is_clean)
		return BCH_JSET_IGNORED;
	if (seq < journal->last_seq)
		return BCH_JSET_OLD;
	if (bch_super_is_blacklisted(fs->super, seq))
		return BCH_JSET_BLACKLISTED;
	return seq > journal->newest_seq ? BCH_JSET_UNFLUSHED : BCH_JSET_NEEDED;
}

static bool was_whole(const struct bch_journal *journal, const struct bch_jset *jset)
{
	for (u32 i = 0; i < jset->nr_copies; i++)
		if (journal->copies.items[jset->first_copy + i].was_whole)
			return true;
	return false;
}

/* Numbers are given one after the other: one without a neighbour before it has come to be so. */
static bool has_number_before(const struct bch_fs *fs, const struct bch_journal *journal, size_t index)
{
	u64 seq = journal->jsets.items[index].seq;

	return (index > 0 && journal->jsets.items[index - 1].seq == seq - 1) || bch_super_is_blacklisted(fs->super, seq - 1);
}

/* Behind the last good one that was flushed: which were promised all the same? */
static void find_lost(const struct bch_fs *fs, struct bch_journal *journal)
{
	bool has_torn = false;

	for (size_t i = journal->jsets.len; i > 0 && journal->jsets.items[i - 1].seq > journal->newest_seq; i--) {
		struct bch_jset *jset = &journal->jsets.items[i - 1];

		if (jset->state != BCH_JSET_UNFLUSHED || !jset->has_bad_csum || jset->is_no_flush ||
		    !has_number_before(fs, journal, i - 1))
			continue;
		jset->is_lost = has_torn || was_whole(journal, jset);
		has_torn = true;
	}
}

/* [start, end) is not there: what of it is not blacklisted, which is ascending, either. */
static int add_holes(const struct bch_fs *fs, struct bch_journal *journal, u64 start, u64 end, struct diag *d)
{
	int err = 0;

	array_for_each(&fs->super->blacklist, burnt) {
		if (burnt->end <= start || burnt->start >= end)
			continue;
		if (burnt->start > start)
			err = err ?: array_push(&journal->holes, (struct bch_seq_range){ start, burnt->start });
		start = burnt->end;
	}
	if (start < end)
		err = err ?: array_push(&journal->holes, (struct bch_seq_range){ start, end });
	return err < 0 ? diag_no_memory(d, "holes of a journal") : 0;
}

static int find_holes(const struct bch_fs *fs, struct bch_journal *journal, struct diag *d)
{
	u64 next = journal->last_seq;
	int err = 0;

	array_for_each(&journal->jsets, jset) {
		if (jset->state != BCH_JSET_NEEDED || err)
			continue;
		if (jset->seq > next)
			err = add_holes(fs, journal, next, jset->seq, d);
		next = jset->seq + 1;
	}
	return err;
}

static int note_keys(void *ctx, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes, struct diag *d)
{
	bool *has_keys = ctx;

	(void)d;
	/* 2024 has an empty list of keys in the last one. */
	if (bch_jentry_is_applied(entry->type) && payload_bytes && payload[0])
		*has_keys = true;
	return 0;
}

/* A jset that its owner has left in the middle of something. */
static int has_keys(struct bch_fs *fs, const struct bch_jset *jset, bool *ret_has_keys, struct diag *d)
{
	_free_ u8 *bytes = NULL;
	int err = bch_jset_read(fs, jset, &bytes, d);

	*ret_has_keys = false;
	if (!err)
		err = bch_jentries_for_each(bytes + sizeof(struct disk_bch_jset), jset->bytes - sizeof(struct disk_bch_jset),
					    note_keys, ret_has_keys, d);
	return err;
}

/* The last one of a clean volume may be lost, or on a device that is missing: those before it had keys by right. */
static bool is_before_clean(const struct bch_super *super, u64 seq)
{
	return super->clean && super->clean_bytes >= sizeof(*super->clean) && seq < le64_get(super->clean->journal_seq);
}

static int choose(struct bch_fs *fs, struct bch_journal *journal, struct diag *d)
{
	const struct bch_jset *newest = find_newest(fs, journal);
	int err = 0;

	if (!newest) {
		array_for_each(&journal->jsets, jset)
			jset->state = judge(fs, journal, fs->super->is_clean, jset->seq);
		return 0;
	}
	journal->newest_seq = newest->seq;
	journal->last_seq = newest->last_seq;
	if (fs->super->is_clean && !is_before_clean(fs->super, newest->seq))
		err = has_keys(fs, newest, &journal->is_clean_wrong, d);
	array_for_each(&journal->jsets, jset)
		jset->state = judge(fs, journal, fs->super->is_clean && !journal->is_clean_wrong, jset->seq);
	find_lost(fs, journal);
	return err ?: find_holes(fs, journal, d);
}

int bch_journal_judge(struct bch_fs *fs, struct bch_journal *journal, struct diag *d)
{
	int err = unite_copies(journal, d);

	return err ?: choose(fs, journal, d);
}

/* --- The door -------------------------------------------------------------------------------------------------- */

int bch_journal_scan(struct bch_fs *fs, struct bch_journal **ret_journal, struct diag *d)
{
	_cleanup_(bch_journal_freep) struct bch_journal *journal = calloc(1, sizeof(*journal));
	int err;

	if (!journal)
		return diag_no_memory(d, "a journal");
	err = scan_devices(fs, journal, d);
	if (!err)
		err = bch_journal_judge(fs, journal, d);
	if (err)
		return err;
	*ret_journal = take_ptr(journal);
	return 0;
}

int bch_journal_read(struct bch_fs *fs, struct bch_journal **ret_journal, struct diag *d)
{
	_cleanup_(bch_journal_freep) struct bch_journal *journal = NULL;
	int err = bch_journal_scan(fs, &journal, d);

	if (err)
		return err;
	if (journal->newest_seq == 0 && !fs->super->is_clean)
		return diag_fail(d, -EUCLEAN, "the volume was not left cleanly, and of %zu entries of its journal none can be used",
				 journal->jsets.len);
	*ret_journal = take_ptr(journal);
	return 0;
}

bool bch_journal_is_whole(const struct bch_journal *journal)
{
	if (journal->holes.len || journal->nr_unreadable_bytes)
		return false;
	array_for_each(&journal->jsets, jset)
		if (jset->is_lost || (jset->has_bad_csum && jset->state == BCH_JSET_NEEDED))
			return false;
	return true;
}

void bch_journal_free(struct bch_journal *journal)
{
	if (!journal)
		return;
	journal_overlay_free(journal->keys);
	array_done(&journal->jsets);
	array_done(&journal->copies);
	array_done(&journal->holes);
	free(journal);
}

int bch_jset_read_copy(struct bch_fs *fs, const struct bch_jset *jset, const struct bch_jset_copy *copy, u8 **ret_bytes,
		       struct diag *d)
{
	_free_ u8 *bytes = malloc(MAX(jset->bytes, (u32)sizeof(struct disk_bch_jset)));
	const struct disk_bch_jset *disk = (const void *)bytes;
	int err;

	if (!bytes)
		return diag_no_memory(d, "an entry of the journal");
	if (jset->bytes < sizeof(*disk))
		return diag_fail(d, -EUCLEAN, "journal entry %llu: its length is wrong", (ull)jset->seq);
	err = bch_device_read(fs, copy->device, copy->physical, bytes, jset->bytes, d);
	if (err)
		return diag_context(d, err, "journal entry %llu", (ull)jset->seq);
	if (le64_get(disk->seq) != jset->seq || sizeof(*disk) + (u64)le32_get(disk->u64s) * 8 != jset->bytes)
		return diag_fail(d, -EUCLEAN, "journal entry %llu: has become another one while the volume was read", (ull)jset->seq);
	err = check_jset(fs, bytes, jset->bytes, d);
	if (!err)
		*ret_bytes = take_ptr(bytes);
	return err;
}

int bch_jset_read(struct bch_fs *fs, const struct bch_jset *jset, u8 **ret_bytes, struct diag *d)
{
	const struct bch_jset_copy used = { .device = jset->device, .physical = jset->physical };
	const struct bch_journal *journal = fs->journal;
	int err = bch_jset_read_copy(fs, jset, &used, ret_bytes, d);

	for (u32 i = 1; err && journal && i < jset->nr_copies && jset->first_copy + i < journal->copies.len; i++)
		if (!journal->copies.items[jset->first_copy + i].is_bad)
			err = bch_jset_read_copy(fs, jset, &journal->copies.items[jset->first_copy + i], ret_bytes, d);
	return err;
}
