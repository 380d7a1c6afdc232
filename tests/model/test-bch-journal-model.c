/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Journals of bcachefs against what they mean: random histories of keys, with entries that were not flushed, blacklisted ones, holes and
 * damaged copies, cut at any entry, are read through convert/bcachefs, and compared with the same histories applied one by one. And one
 * that is far larger than the memory for it. BTRKIT_TEST_SEED chooses other histories; BTRKIT_LONG=1 makes the large one 8 GiB.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel-shared/device/memory_device.h"
#include "tests/model/chance.h"
#include "tests/unit/hand_bch_journal.h"

typedef unsigned long long ull;

/* --- Histories ---------------------------------------------------------------------------------------------------- */

#define BUCKET_BYTES (64 * 1024)
#define NR_BUCKETS 24
#define BTREES 3
#define LEVELS 2
#define POSITIONS 40
#define ENTRIES_MAX 40

static const u8 btrees[BTREES] = { BCH_EXTENTS, BCH_INODES, BCH_ALLOC };

/* What the journal says of a key; 0: nothing, DELETED: that it is not. */
#define DELETED UINT64_MAX
struct model {
	u64 value[BTREES][LEVELS][POSITIONS];
	u64 root[BTREES];
};

struct update {
	u8 btree, level, pos, entry_type;
	u64 value;
};

struct made_entry {
	u64 seq, last_seq;
	bool is_no_flush, is_blacklisted, is_absent, is_bad; /* bad: all copies of it */
	u32 nr;
	struct update updates[30];
};

static struct made_entry entries[ENTRIES_MAX];
static u32 nr_entries;

static void make_entries(void)
{
	u64 seq = 1 + any(1000), last_seq = seq;

	nr_entries = 1 + any(ENTRIES_MAX);
	for (u32 i = 0; i < nr_entries; i++, seq++) {
		struct made_entry *entry = &entries[i];

		if (any(4) == 0)
			last_seq += any((u32)(seq - last_seq) + 1);
		*entry = (struct made_entry){ .seq = seq, .last_seq = last_seq, .is_no_flush = any(3) == 0, .nr = any(30) };
		entry->is_blacklisted = any(12) == 0;
		entry->is_absent = any(20) == 0;
		entry->is_bad = any(20) == 0;
		for (u32 k = 0; k < entry->nr; k++) {
			static const u8 types[] = { BCH_JENTRY_KEYS, BCH_JENTRY_KEYS, BCH_JENTRY_OVERWRITE, BCH_JENTRY_ROOT,
						    BCH_JENTRY_WRITE_BUFFER_KEYS };

			entry->updates[k] = (struct update){ (u8)any(BTREES), (u8)any(LEVELS), (u8)any(POSITIONS), types[any(5)],
							     1 + any(1000000) };
			if (any(3) == 0 && entry->updates[k].entry_type != BCH_JENTRY_ROOT)
				entry->updates[k].value = DELETED;
		}
	}
}

static void apply_entry(const struct made_entry *entry, struct model *model)
{
	for (u32 k = 0; k < entry->nr; k++) {
		const struct update *update = &entry->updates[k];

		if (update->entry_type == BCH_JENTRY_ROOT)
			model->root[update->btree] = update->value;
		else if (update->entry_type != BCH_JENTRY_OVERWRITE)
			model->value[update->btree][update->level][update->pos] = update->value;
	}
}

/* Those of the first @nr entries that count: *ret_newest is the index of the one that says which; nr: there is none. */
static void apply_entries(u32 nr, struct model *model, u32 *ret_newest, u64 *ret_nr_missing)
{
	u32 newest = nr;

	memset(model, 0, sizeof(*model));
	*ret_nr_missing = 0;
	for (u32 i = 0; i < nr; i++)
		if (!entries[i].is_no_flush && !entries[i].is_blacklisted && !entries[i].is_absent && !entries[i].is_bad)
			newest = i;
	*ret_newest = newest;
	for (u32 i = 0; newest < nr && i <= newest; i++) {
		const struct made_entry *entry = &entries[i];

		if (entry->seq < entries[newest].last_seq || entry->is_blacklisted)
			continue;
		*ret_nr_missing += entry->is_absent;
		if (!entry->is_absent && !entry->is_bad)
			apply_entry(entry, model);
	}
}

/* --- On devices --------------------------------------------------------------------------------------------------- */

static struct bch_pos pos_of(u32 pos)
{
	/* Their order is not that of any one field. */
	return (struct bch_pos){ pos / 8, pos % 8 / 2, pos % 2 };
}

static size_t make_jset(const struct made_entry *entry, u8 *bytes)
{
	struct hand_jset jset;

	hand_jset_begin(&jset, bytes, entry->seq, entry->last_seq, entry->is_no_flush);
	for (u32 k = 0; k < entry->nr; k++) {
		const struct update *update = &entry->updates[k];
		u8 type = update->value == DELETED ? BCH_KEY_DELETED : BCH_KEY_COOKIE;

		hand_jset_add(&jset, update->entry_type, btrees[update->btree], update->level, type, pos_of(update->pos), update->value);
	}
	hand_jset_end(&jset);
	return jset.len;
}

/* Where the next jset goes on a device: buckets in any order, as a ring begins anywhere. */
struct place {
	u32 bucket, at;
};

static void put_jset(struct blockdev *dev, struct place *place, const u8 *bytes, size_t len, bool is_bad)
{
	u64 physical;
	u8 byte;

	if (place->at + len > BUCKET_BYTES || any(5) == 0)
		*place = (struct place){ (place->bucket + 1) % NR_BUCKETS, 0 };
	physical = (u64)(1 + place->bucket) * BUCKET_BYTES + place->at;
	assert_int_equal(blockdev_write(dev, physical, bytes, len, NULL), 0);
	place->at += (u32)round_up_u64(len, HAND_BLOCK_BYTES);
	if (!is_bad)
		return;
	byte = (u8)(bytes[len - 1] ^ 0x40);
	assert_int_equal(blockdev_write(dev, physical + len - 1, &byte, 1, NULL), 0);
}

/* The first @nr entries, each on one device or both; one copy of two may be bad. */
static void write_entries(struct blockdev *const *devs, u32 nr)
{
	struct place places[2] = { { any(NR_BUCKETS), 0 }, { any(NR_BUCKETS), 0 } };
	static u8 bytes[BUCKET_BYTES];

	for (u32 i = 0; i < nr; i++) {
		const struct made_entry *entry = &entries[i];
		u32 on = 1 + any(3), bad = entry->is_bad ? 3 : on == 3 ? any(3) : 0;
		size_t len;

		if (entry->is_absent)
			continue;
		memset(bytes, 0, sizeof(bytes));
		len = make_jset(entry, bytes);
		for (u32 k = 0; k < 2; k++)
			if (on >> k & 1)
				put_jset(devs[k], &places[k], bytes, len, bad >> k & 1);
	}
}

/* --- Looked up ---------------------------------------------------------------------------------------------------- */

static struct journal_window window;

static const struct bch_jkey *find_key(const struct bch_journal *journal, const struct bch_jkey *wanted)
{
	const void *record;
	int err = journal_overlay_find(journal->keys, &window, wanted, &record, NULL);

	assert_true(err == 0 || err == 1);
	return err ? NULL : record;
}

static const struct bch_jkey *key_at(const struct bch_journal *journal, size_t index)
{
	const void *record;

	assert_int_equal(journal_overlay_at(journal->keys, &window, index, &record, NULL), 0);
	return record;
}

static void close_journal(struct bch_journal *journal)
{
	journal_window_done(&window);
	bch_journal_free(journal);
}

/* --- Compared ----------------------------------------------------------------------------------------------------- */

static void compare_key(struct bch_fs *fs, const struct bch_journal *journal, u32 btree, u8 level, u32 pos, u64 expected)
{
	const struct bch_jkey wanted = { .btree = btrees[btree], .level = level, .pos = pos_of(pos) };
	const struct bch_jkey *found = find_key(journal, &wanted);
	u8 bytes[255 * 8];
	struct bch_key key;
	le64 value;

	if (expected == 0) {
		assert_null(found);
		return;
	}
	assert_non_null(found);
	assert_int_equal(bch_jkey_read(fs, found, bytes, &key, NULL), 0);
	assert_int_equal(bch_pos_compare(&key.pos, &wanted.pos), 0);
	assert_int_equal(key.type, expected == DELETED ? BCH_KEY_DELETED : BCH_KEY_COOKIE);
	assert_int_equal(key.value_bytes, expected == DELETED ? 0 : 8);
	if (expected == DELETED)
		return;
	memcpy(&value, key.value, sizeof(value));
	assert_int_equal(le64_get(value), expected);
}

static void compare_roots(const struct bch_root *roots, const struct model *model)
{
	for (u32 i = 0; i < BTREES; i++) {
		const struct bch_root *root = &roots[btrees[i]];
		le64 value;

		assert_int_equal(root->is_there, model->root[i] != 0);
		if (!root->is_there)
			continue;
		memcpy(&value, root->key + sizeof(struct disk_bch_key), sizeof(value));
		assert_int_equal(le64_get(value), model->root[i]);
	}
}

static int rank(const struct bch_jkey *jkey)
{
	return jkey->level > 0 ? 1 : jkey->btree == BCH_ALLOC ? 0 : 2;
}

static void compare_replay_order(const struct bch_journal *journal)
{
	struct bch_jkey before = { 0 };
	_free_ size_t *list = NULL;
	_free_ bool *is_seen = NULL;
	size_t nr;

	assert_int_equal(bch_journal_replay_order(journal, &list, &nr, NULL), 0);
	assert_int_equal(nr, journal_overlay_count(journal->keys));
	is_seen = calloc(nr + 1, sizeof(*is_seen));
	assert_non_null(is_seen);
	for (size_t i = 0; i < nr; i++) {
		const struct bch_jkey *jkey = key_at(journal, list[i]);

		assert_false(is_seen[list[i]]);
		is_seen[list[i]] = true;
		if (i > 0)
			assert_true(rank(&before) < rank(jkey) || (rank(&before) == rank(jkey) && before.seq <= jkey->seq));
		before = *jkey;
	}
}

static void compare_journal(struct hand_bch *hand, u32 nr, size_t memory_bytes)
{
	struct bch_root *roots = calloc(BCH_BTREES_MAX, sizeof(*roots));
	struct bch_journal *journal = NULL;
	struct model model;
	u64 nr_missing, nr_holes = 0;
	struct diag d = { 0 };
	u32 newest;
	int err;

	assert_non_null(roots);
	apply_entries(nr, &model, &newest, &nr_missing);
	err = bch_journal_read(&hand->fs, &journal, &d);
	if (newest == nr) {
		assert_int_equal(err, -EUCLEAN);
		free(roots);
		return;
	}
	if (err)
		fail_msg("%s", d.text);
	assert_int_equal(journal->newest_seq, entries[newest].seq);
	assert_int_equal(journal->last_seq, entries[newest].last_seq);
	array_for_each(&journal->holes, hole)
		nr_holes += hole->end - hole->start;
	assert_int_equal(nr_holes, nr_missing);
	assert_int_equal(bch_journal_gather(&hand->fs, journal, &hand->fs.spill, memory_bytes, roots, &d), 0);
	for (u32 btree = 0; btree < BTREES; btree++)
		for (u8 level = 0; level < LEVELS; level++)
			for (u32 pos = 0; pos < POSITIONS; pos++)
				compare_key(&hand->fs, journal, btree, level, pos, model.value[btree][level][pos]);
	compare_roots(roots, &model);
	compare_replay_order(journal);
	close_journal(journal);
	free(roots);
}

static void blacklist_entries(struct hand_bch *hand, u32 nr)
{
	for (u32 i = 0; i < nr; i++)
		if (entries[i].is_blacklisted)
			assert_int_equal(array_push(&hand->super[0].blacklist, (struct bch_seq_range){ entries[i].seq, entries[i].seq + 1 }), 0);
}

static void keys_are_as_if_inserted(void **state)
{
	(void)state;
	for (u32 round = 0; round < 400; round++) {
		u32 cut;

		make_entries();
		cut = 1 + any(nr_entries);
		for (u32 nr = cut; nr <= nr_entries && nr < cut + 3; nr++) {
			struct blockdev *devs[2];
			struct hand_bch hand;

			for (u32 i = 0; i < 2; i++)
				assert_int_equal(memory_device_new("hand", (NR_BUCKETS + 1) * BUCKET_BYTES, &devs[i]), 0);
			hand_bch_init(&hand, devs, 2, BUCKET_BYTES, NR_BUCKETS);
			blacklist_entries(&hand, nr);
			write_entries(devs, nr);
			compare_journal(&hand, nr, any(2) ? 200 : 1 << 20);
			hand_bch_done(&hand);
			blockdev_close(devs[0]);
			blockdev_close(devs[1]);
		}
	}
}

/* --- A device fails ------------------------------------------------------------------------------------------------- */

/* Another one, until it is to fail. */
struct failing_device {
	struct blockdev dev;
	struct blockdev *below;
	bool is_failing;
};

static int failing_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	struct failing_device *failing = container_of(dev, struct failing_device, dev);

	return failing->is_failing ? diag_fail(d, -EIO, "%s: unreadable", dev->name) : blockdev_read(failing->below, offset, buf, len, d);
}

static const struct blockdev_ops failing_ops = { .read = failing_read };

static void keys_come_from_the_device_that_works(void **state)
{
	static u8 bytes[BUCKET_BYTES];
	struct bch_root *roots = calloc(BCH_BTREES_MAX, sizeof(*roots));
	struct bch_journal *journal = NULL;
	struct failing_device failing = { .dev = { .ops = &failing_ops, .name = (char *)"failing" } };
	struct blockdev *devs[2];
	struct hand_bch hand;

	(void)state;
	assert_non_null(roots);
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(memory_device_new("hand", (NR_BUCKETS + 1) * BUCKET_BYTES, &devs[i]), 0);
	failing.below = devs[0];
	failing.dev.size_bytes = devs[0]->size_bytes;
	hand_bch_init(&hand, (struct blockdev *[]){ &failing.dev, devs[1] }, 2, BUCKET_BYTES, NR_BUCKETS);
	/* The third is on the device alone that fails. */
	for (u32 i = 0; i < 4; i++) {
		struct place places[2] = { { i, 0 }, { i, 0 } };
		struct hand_jset jset;

		hand_jset_begin(&jset, bytes, i + 1, 1, false);
		hand_jset_add(&jset, BCH_JENTRY_KEYS, BCH_INODES, 0, BCH_KEY_COOKIE, (struct bch_pos){ 0, i, 0 }, i);
		hand_jset_end(&jset);
		for (u32 k = i == 2 ? 1 : 2; k > 0; k--)
			assert_int_equal(blockdev_write(devs[k - 1], (u64)(1 + places[k - 1].bucket) * BUCKET_BYTES, bytes, jset.len, NULL), 0);
	}
	assert_int_equal(bch_journal_read(&hand.fs, &journal, NULL), 0);
	assert_true(bch_journal_is_whole(journal));
	failing.is_failing = true;
	assert_int_equal(bch_journal_gather(&hand.fs, journal, &hand.fs.spill, 1 << 20, roots, NULL), 0);
	assert_int_equal(journal_overlay_count(journal->keys), 3);
	assert_false(bch_journal_is_whole(journal));
	for (size_t i = 0; i < 3; i++) {
		u8 raw[255 * 8];
		struct bch_key key;

		assert_int_equal(bch_jkey_read(&hand.fs, key_at(journal, i), raw, &key, NULL), 0);
	}
	/* Not there from the beginning, it leaves a hole. */
	close_journal(journal);
	assert_int_equal(bch_journal_read(&hand.fs, &journal, NULL), 0);
	assert_int_equal(journal->holes.len, 1);
	assert_int_equal(journal->holes.items[0].start, 3);
	assert_int_equal(journal->nr_unreadable_bytes, NR_BUCKETS * BUCKET_BYTES);
	close_journal(journal);
	hand_bch_done(&hand);
	blockdev_close(devs[0]);
	blockdev_close(devs[1]);
	free(roots);
}

/* --- Of older versions ---------------------------------------------------------------------------------------------- */

static const struct {
	u16 volume, version;
	u8 btree, level, type;
	struct bch_pos before, now;
	u8 type_now;
} old_keys[] = {
	/* A volume of 2020 that a newer version had begun to use when it crashed. */
	{ BCH_VERSION(1, 31), 11, BCH_INODES, 0, BCH_KEY_COOKIE, { 0, 4097, 0 }, { 0, 4097, UINT32_MAX }, BCH_KEY_COOKIE },
	{ BCH_VERSION(1, 31), 11, BCH_REFLINK, 0, BCH_KEY_COOKIE, { 0, 8, 0 }, { 0, 8, 0 }, BCH_KEY_COOKIE },
	{ BCH_VERSION(1, 31), 11, BCH_REFLINK, 1, BCH_KEY_COOKIE, { 0, 8, 0 }, { 0, 8, UINT32_MAX }, BCH_KEY_COOKIE },
	{ BCH_VERSION(1, 31), 12, BCH_INODES, 0, BCH_KEY_COOKIE, { 0, 4097, 7 }, { 0, 4097, 7 }, BCH_KEY_COOKIE },
	{ BCH_VERSION(0, 11), 11, BCH_INODES, 0, BCH_KEY_COOKIE, { 0, 4097, 0 }, { 0, 4097, 0 }, BCH_KEY_COOKIE },
	/* And older ones. */
	{ BCH_VERSION(0, 10), 10, BCH_INODES, 0, BCH_KEY_COOKIE, { 4097, 0, 0 }, { 0, 4097, 0 }, BCH_KEY_COOKIE },
	{ BCH_VERSION(0, 9), 9, BCH_INODES, 0, 128, { 4097, 0, 0 }, { 0, 4097, 0 }, BCH_KEY_INODE },
};

static void keys_of_older_versions_are_as_now(void **state)
{
	struct bch_root *roots = calloc(BCH_BTREES_MAX, sizeof(*roots));
	static u8 bytes[BUCKET_BYTES];

	(void)state;
	assert_non_null(roots);
	for (size_t i = 0; i < ARRAY_LEN(old_keys); i++) {
		const u8 root_type = old_keys[i].version < 10 ? 128 : BCH_KEY_BTREE_PTR;
		struct bch_journal *journal = NULL;
		struct place place = { 0, 0 };
		const struct bch_jkey *jkey;
		struct hand_jset jset;
		struct blockdev *dev;
		struct hand_bch hand;
		struct bch_key key;
		u8 raw[255 * 8];

		assert_int_equal(memory_device_new("hand", (NR_BUCKETS + 1) * BUCKET_BYTES, &dev), 0);
		hand_bch_init(&hand, &dev, 1, BUCKET_BYTES, NR_BUCKETS);
		hand.super[0].version = old_keys[i].volume;
		hand_jset_begin(&jset, bytes, 1, 1, false);
		le32_put(&((struct disk_bch_jset *)(void *)bytes)->version, old_keys[i].version);
		hand_jset_add(&jset, BCH_JENTRY_ROOT, old_keys[i].btree, 0, root_type, (struct bch_pos){ UINT64_MAX, UINT64_MAX, 0 }, 17);
		hand_jset_add(&jset, BCH_JENTRY_KEYS, old_keys[i].btree, old_keys[i].level, old_keys[i].type, old_keys[i].before, 42);
		hand_jset_end(&jset);
		put_jset(dev, &place, bytes, jset.len, false);
		assert_int_equal(bch_journal_read(&hand.fs, &journal, NULL), 0);
		assert_int_equal(bch_journal_gather(&hand.fs, journal, &hand.fs.spill, 1 << 20, roots, NULL), 0);
		assert_int_equal(journal_overlay_count(journal->keys), 1);
		jkey = key_at(journal, 0);
		assert_int_equal(bch_pos_compare(&jkey->pos, &old_keys[i].now), 0);
		assert_int_equal(jkey->type, old_keys[i].type_now);
		assert_int_equal(bch_jkey_read(&hand.fs, jkey, raw, &key, NULL), 0);
		assert_int_equal(bch_pos_compare(&key.pos, &old_keys[i].now), 0);
		assert_int_equal(key.type, old_keys[i].type_now);
		assert_int_equal(le64_get(*(const le64 *)(const void *)key.value), 42);
		assert_true(bch_key_get(NULL, roots[old_keys[i].btree].key, roots[old_keys[i].btree].key_bytes, &key, NULL) > 0);
		assert_int_equal(key.type, BCH_KEY_BTREE_PTR);
		assert_int_equal(key.pos.snapshot, old_keys[i].version < 12 && old_keys[i].volume >= 12 ? UINT32_MAX : 0);
		bch_journal_free(journal);
		hand_bch_done(&hand);
		blockdev_close(dev);
	}
	free(roots);
}

/* --- Encrypted ------------------------------------------------------------------------------------------------------ */

/* What was encrypted as a whole is read key by key. */
static void encrypt_jset(const struct bch_crypt *crypt, u64 seq, u8 *bytes, size_t len)
{
	struct disk_bch_jset *disk = (void *)bytes;
	struct bch_nonce nonce = bch_nonce_of_jset(seq);

	le32_put(&disk->flags, BCH_CSUM_CHACHA20_POLY1305_128);
	bch_crypt_decrypt(crypt, nonce, bytes + BCH_JSET_ENCRYPTED_AT, len - BCH_JSET_ENCRYPTED_AT);
	disk->csum = bch_crypt_mac(crypt, BCH_CSUM_CHACHA20_POLY1305_128, nonce, bytes + sizeof(disk->csum), len - sizeof(disk->csum));
}

static void encrypted_keys_are_read_one_by_one(void **state)
{
	struct disk_bch_crypt section = { 0 };
	struct bch_root *roots = calloc(BCH_BTREES_MAX, sizeof(*roots));
	static u8 bytes[BUCKET_BYTES];
	struct bch_journal *journal = NULL;
	struct place place = { 0, 0 };
	struct hand_jset jset;
	struct blockdev *dev;
	struct hand_bch hand;
	u8 bad;

	(void)state;
	assert_non_null(roots);
	memcpy(&section.key_magic, "bch**key", 8);
	for (u32 i = 0; i < sizeof(section.key); i++)
		section.key[i] = (u8)any(256);
	assert_int_equal(memory_device_new("hand", (NR_BUCKETS + 1) * BUCKET_BYTES, &dev), 0);
	hand_bch_init(&hand, &dev, 1, BUCKET_BYTES, NR_BUCKETS);
	if (bch_crypt_open(&section, hand_uuid, NULL, &hand.fs.crypt, NULL) == -EOPNOTSUPP) {
		hand_bch_done(&hand);
		blockdev_close(dev);
		free(roots);
		skip(); /* this build has no libsodium */
	}
	assert_non_null(hand.fs.crypt);
	for (u64 seq = 1; seq <= 3; seq++) {
		hand_jset_begin(&jset, bytes, seq, 1, false);
		for (u32 i = 0; i < 200; i++)
			hand_jset_add(&jset, BCH_JENTRY_KEYS, BCH_INODES, 0, BCH_KEY_COOKIE, (struct bch_pos){ seq, i, 0 }, seq * 1000 + i);
		hand_jset_end(&jset);
		encrypt_jset(hand.fs.crypt, seq, bytes, jset.len);
		put_jset(dev, &place, bytes, jset.len, false);
	}
	assert_int_equal(bch_journal_read(&hand.fs, &journal, NULL), 0);
	assert_int_equal(journal->newest_seq, 3);
	assert_int_equal(journal->last_seq, 1);
	assert_int_equal(bch_journal_gather(&hand.fs, journal, &hand.fs.spill, 1 << 20, roots, NULL), 0);
	assert_int_equal(journal_overlay_count(journal->keys), 600);
	for (size_t i = 0; i < 600; i++) {
		const struct bch_jkey *jkey = key_at(journal, i);
		u8 raw[255 * 8];
		struct bch_key key;
		le64 value;

		assert_int_equal(bch_jkey_read(&hand.fs, jkey, raw, &key, NULL), 0);
		memcpy(&value, key.value, sizeof(value));
		assert_int_equal(le64_get(value), key.pos.inode * 1000 + key.pos.offset);
	}
	/* One that is not authentic is not believed. */
	bad = (u8)~bytes[100];
	assert_int_equal(blockdev_write(dev, journal->jsets.items[2].physical + 100, &bad, 1, NULL), 0);
	close_journal(journal);
	assert_int_equal(bch_journal_read(&hand.fs, &journal, NULL), 0);
	assert_int_equal(journal->newest_seq, 2);
	assert_true(journal->jsets.items[2].has_bad_csum);
	close_journal(journal);
	bch_crypt_free(hand.fs.crypt);
	hand_bch_done(&hand);
	blockdev_close(dev);
	free(roots);
}

/* --- Far more than memory ------------------------------------------------------------------------------------------ */

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER true
#elif defined(__has_feature)
#define HAS_SANITIZER __has_feature(address_sanitizer)
#else
#define HAS_SANITIZER false
#endif
#define LARGE_BUCKET_BYTES (512 * 1024)
#define LARGE_MEMORY_BYTES (8 << 20)
#define KEYS_PER_JSET ((LARGE_BUCKET_BYTES - sizeof(struct disk_bch_jset)) / HAND_KEY_BYTES)

/* A device that makes up the bucket that is read: nothing of it is stored. */
struct large_device {
	struct blockdev dev;
	u64 bucket; /* that is in bytes */
	u8 bytes[LARGE_BUCKET_BYTES];
	u64 nr_reads, most_anonymous_bytes;
};

/* Of the process, without what is mapped from files. */
static u64 anonymous_bytes(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	unsigned long long kib = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "RssAnon: %llu kB", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib * KIB;
}

static u32 nr_positions;

/* The position of the key with number @nr of all: each is there as often as any other, in no order. */
static u32 large_pos(u64 nr)
{
	u64 mixed = nr * 0x9e3779b97f4a7c15ULL;

	return (u32)((mixed ^ mixed >> 29) % nr_positions);
}

static void make_large_bucket(struct large_device *large, u64 bucket)
{
	struct hand_jset jset;
	u64 first = (bucket - 1) * KEYS_PER_JSET;

	hand_jset_begin(&jset, large->bytes, bucket, 1, false);
	for (u64 i = first; i < first + KEYS_PER_JSET; i++)
		hand_jset_add(&jset, BCH_JENTRY_KEYS, BCH_INODES, 0, BCH_KEY_COOKIE, (struct bch_pos){ 0, large_pos(i), 0 }, i);
	hand_jset_end(&jset);
	large->bucket = bucket;
}

static int large_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	struct large_device *large = container_of(dev, struct large_device, dev);
	u64 bucket = offset / LARGE_BUCKET_BYTES;

	(void)d;
	assert_int_equal((offset + len - 1) / LARGE_BUCKET_BYTES, bucket);
	if (bucket != large->bucket)
		make_large_bucket(large, bucket);
	memcpy(buf, large->bytes + offset % LARGE_BUCKET_BYTES, len);
	if (large->nr_reads++ % 16 == 0) {
		u64 now = anonymous_bytes();

		large->most_anonymous_bytes = MAX(large->most_anonymous_bytes, now);
	}
	return 0;
}

static const struct blockdev_ops large_ops = { .read = large_read };

static void check_large(struct bch_fs *fs, const struct bch_journal *journal, u64 nr_keys)
{
	u32 *last = malloc(nr_positions * sizeof(*last)), nr_there = 0;
	u8 bytes[255 * 8];
	struct bch_key key;

	assert_non_null(last);
	memset(last, 0xff, nr_positions * sizeof(*last));
	for (u64 i = 0; i < nr_keys; i++)
		last[large_pos(i)] = (u32)i;
	for (u32 i = 0; i < nr_positions; i++)
		nr_there += last[i] != UINT32_MAX;
	assert_int_equal(journal_overlay_count(journal->keys), nr_there);
	for (u32 i = 0, pos; i < 1000; i++) {
		const struct bch_jkey *jkey;
		le64 value;

		pos = any(nr_positions);
		jkey = find_key(journal, &(struct bch_jkey){ .btree = BCH_INODES, .pos = { 0, pos, 0 } });
		assert_int_equal(jkey != NULL, last[pos] != UINT32_MAX);
		if (!jkey)
			continue;
		assert_int_equal(bch_jkey_read(fs, jkey, bytes, &key, NULL), 0);
		memcpy(&value, key.value, sizeof(value));
		assert_int_equal(le64_get(value), last[pos]);
	}
	free(last);
}

static void a_journal_larger_than_memory(void **state)
{
	u64 nr_buckets = (getenv("BTRKIT_LONG") ? 8 * GIB : 96 * MIB) / LARGE_BUCKET_BYTES;
	struct large_device *large = calloc(1, sizeof(*large));
	struct bch_root *roots = calloc(BCH_BTREES_MAX, sizeof(*roots));
	struct bch_journal *journal = NULL;
	struct diag d = { 0 };
	struct hand_bch hand;
	u64 before, more;

	(void)state;
	assert_non_null(large);
	assert_non_null(roots);
	nr_positions = (u32)(nr_buckets * KEYS_PER_JSET / 3);
	large->dev = (struct blockdev){ .ops = &large_ops, .name = (char *)"large", .size_bytes = (nr_buckets + 1) * LARGE_BUCKET_BYTES };
	hand_bch_init(&hand, &(struct blockdev *){ &large->dev }, 1, LARGE_BUCKET_BYTES, nr_buckets);
	before = anonymous_bytes();
	assert_int_equal(bch_journal_read(&hand.fs, &journal, &d), 0);
	assert_int_equal(journal->jsets.len, nr_buckets);
	assert_int_equal(bch_journal_gather(&hand.fs, journal, &hand.fs.spill, LARGE_MEMORY_BYTES, roots, &d), 0);
	assert_int_equal(journal->nr_keys, nr_buckets * KEYS_PER_JSET);
	more = MAX(large->most_anonymous_bytes, anonymous_bytes()) - before;
	print_message("# journal of %llu MiB, %llu keys, %zu positions: %llu KiB of memory, table of %llu MiB in a file, %llu MiB written\n",
		      (ull)(nr_buckets * LARGE_BUCKET_BYTES / MIB), (ull)journal->nr_keys, journal_overlay_count(journal->keys),
		      (ull)(more / KIB), (ull)(journal_overlay_file_bytes(journal->keys) / MIB),
		      (ull)(hand.fs.spill.written_bytes / MIB));
	/* Two buckets, and a line for each jset. Sanitizers keep memory of their own. */
	assert_true(HAS_SANITIZER || more < LARGE_MEMORY_BYTES + 4 * LARGE_BUCKET_BYTES + nr_buckets * 512 + MIB);
	assert_true(journal_overlay_file_bytes(journal->keys) > LARGE_MEMORY_BYTES);
	check_large(&hand.fs, journal, nr_buckets * KEYS_PER_JSET);
	close_journal(journal);
	hand_bch_done(&hand);
	free(roots);
	free(large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(keys_are_as_if_inserted, begin_random),
		cmocka_unit_test_setup(keys_come_from_the_device_that_works, begin_random),
		cmocka_unit_test_setup(keys_of_older_versions_are_as_now, begin_random),
		cmocka_unit_test_setup(encrypted_keys_are_read_one_by_one, begin_random),
		cmocka_unit_test_setup(a_journal_larger_than_memory, begin_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
