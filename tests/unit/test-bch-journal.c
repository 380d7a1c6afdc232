/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a damaged entry at the end of a journal of bcachefs means: one that was being written in the crash, or changes that are lost. And
 * of clean volumes: their end alone says whether they are, or that all has to be read.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/device/memory_device.h"
#include "tests/unit/hand_bch_journal.h"

#define BUCKET_BYTES (64 * 1024)
#define NR_BUCKETS 8
#define NR_KEYS 200

static struct blockdev *devs[2];
static struct hand_bch hand;
static struct bch_journal *journal;
static u8 bytes[BUCKET_BYTES];
static size_t jset_bytes;

static void begin(unsigned nr_devs)
{
	for (unsigned i = 0; i < nr_devs; i++)
		assert_int_equal(memory_device_new("hand", (NR_BUCKETS + 1) * BUCKET_BYTES, &devs[i]), 0);
	hand_bch_init(&hand, devs, nr_devs, BUCKET_BYTES, NR_BUCKETS);
}

static void end(void)
{
	bch_journal_free(journal);
	journal = NULL;
	hand_bch_done(&hand);
	for (unsigned i = 0; i < 2; i++)
		if (devs[i])
			blockdev_close(devs[i]);
	devs[0] = devs[1] = NULL;
}

/* In ./bytes. */
static void make(u64 seq, u64 last_seq, bool is_no_flush)
{
	struct hand_jset jset;

	memset(bytes, 0, sizeof(bytes));
	hand_jset_begin(&jset, bytes, seq, last_seq, is_no_flush);
	for (u32 i = 0; i < NR_KEYS; i++)
		hand_jset_add(&jset, i % 3 ? BCH_JENTRY_KEYS : BCH_JENTRY_OVERWRITE, BCH_INODES, 0, BCH_KEY_COOKIE,
			      (struct bch_pos){ seq, i, 0 }, seq * 1000 + i);
	hand_jset_end(&jset);
	jset_bytes = jset.len;
}

static u64 place_of(u64 seq)
{
	return BUCKET_BYTES + (seq - 1) * 12 * KIB; /* five in a bucket */
}

static void put(unsigned device, u64 seq)
{
	assert_true(jset_bytes < 12 * KIB);
	assert_int_equal(blockdev_write(devs[device], place_of(seq), bytes, 12 * KIB, NULL), 0);
}

static void flip(unsigned device, u64 physical)
{
	u8 byte;

	assert_int_equal(blockdev_read(devs[device], physical, &byte, 1, NULL), 0);
	byte ^= 4;
	assert_int_equal(blockdev_write(devs[device], physical, &byte, 1, NULL), 0);
}

/* Where the value of key @i of an entry is. */
static u64 value_at(u64 seq, u32 i)
{
	return place_of(seq) + sizeof(struct disk_bch_jset) + (i + 1) * HAND_KEY_BYTES - 8;
}

static const struct bch_jset *jset_of(u64 seq)
{
	array_for_each(&journal->jsets, jset)
		if (jset->seq == seq)
			return jset;
	fail_msg("no entry %llu", (unsigned long long)seq);
	return NULL;
}

/* Is what entry @seq has lost? One before it is the newest then. */
static bool is_lost(u64 seq)
{
	struct bch_root *roots = calloc(BCH_BTREES_MAX, sizeof(*roots));
	struct diag d = { 0 };
	bool is_lost;

	assert_non_null(roots);
	bch_journal_free(journal);
	journal = NULL;
	assert_int_equal(bch_journal_read(&hand.fs, &journal, NULL), 0);
	assert_true(jset_of(seq)->has_bad_csum);
	assert_int_equal(jset_of(seq)->state, BCH_JSET_UNFLUSHED);
	assert_int_equal(journal->newest_seq, 2);
	assert_int_equal(bch_journal_gather(&hand.fs, journal, &hand.fs.spill, 1 << 20, roots, &d), 0);
	is_lost = jset_of(seq)->is_lost;
	assert_int_equal(bch_journal_is_whole(journal), !is_lost);
	free(roots);
	return is_lost;
}

static void put_three(unsigned nr_devs, bool is_third_no_flush)
{
	begin(nr_devs);
	for (u64 seq = 1; seq <= 3; seq++) {
		make(seq, 1, seq == 3 && is_third_no_flush);
		for (unsigned i = 0; i < nr_devs; i++)
			put(i, seq);
	}
}

/* --- Damage that no crash leaves ------------------------------------------------------------------------------------- */

static void a_bit_that_has_changed_loses_the_last_changes(void **state)
{
	(void)state;
	for (u32 i = 0; i < NR_KEYS; i += 33) {
		put_three(1, false);
		flip(0, value_at(3, i));
		assert_true(is_lost(3));
		end();
	}
	/* Of its checksum, its magic, what it needs. */
	for (unsigned at = 0; at < 3; at++) {
		put_three(1, false);
		flip(0, place_of(3) + (const u64[]){ 1, 17, 48 }[at]);
		assert_true(is_lost(3));
		end();
	}
}

static void nobody_was_promised_what_was_not_flushed(void **state)
{
	(void)state;
	put_three(1, true);
	flip(0, value_at(3, 7));
	assert_false(is_lost(3));
	end();
}

/* One that was written in whole is enough: the other may have been hit in its middle. */
static void both_copies_count(void **state)
{
	(void)state;
	put_three(2, false);
	flip(0, value_at(3, 7));
	bch_journal_free(journal);
	assert_int_equal(bch_journal_read(&hand.fs, &journal, NULL), 0);
	assert_int_equal(journal->newest_seq, 3);
	assert_true(bch_journal_is_whole(journal));
	flip(1, place_of(3) + 56 + 3 * HAND_KEY_BYTES); /* the length of an entry */
	assert_true(is_lost(3));
	flip(0, place_of(3) + 56 + 5 * HAND_KEY_BYTES);
	assert_false(is_lost(3));
	end();
}

/* A crash leaves one. */
static void a_second_one_is_lost(void **state)
{
	(void)state;
	put_three(1, false);
	make(4, 1, false);
	put(0, 4);
	for (u64 seq = 3; seq <= 4; seq++)
		flip(0, place_of(seq) + 56 + 3 * HAND_KEY_BYTES);
	assert_true(is_lost(3));
	assert_false(jset_of(4)->is_lost);
	end();
}

/* --- What a crash leaves ----------------------------------------------------------------------------------------------- */

static void what_was_not_written_to_its_end_is_not_lost(void **state)
{
	static u8 older[BUCKET_BYTES];

	(void)state;
	for (unsigned before = 0; before < 3; before++)
		for (size_t at = BCH_SECTOR_BYTES; at < NR_KEYS * HAND_KEY_BYTES; at += BCH_SECTOR_BYTES) {
			put_three(1, false);
			/* Before it there were zeroes; data of any kind; an entry of the lap before, which began elsewhere. */
			if (before == 2) {
				make(3, 1, false);
				memcpy(older + 4 * KIB, bytes, 12 * KIB);
			} else {
				memset(older, before ? 0xa5 : 0, sizeof(older));
			}
			assert_int_equal(blockdev_write(devs[0], place_of(3) + at, older + at, 12 * KIB - at, NULL), 0);
			assert_false(is_lost(3));
			end();
		}
	/* Or its middle was not written. */
	for (size_t at = BCH_SECTOR_BYTES; at < NR_KEYS * HAND_KEY_BYTES; at += BCH_SECTOR_BYTES) {
		put_three(1, false);
		memset(older, 0, sizeof(older));
		assert_int_equal(blockdev_write(devs[0], place_of(3) + at, older, BCH_SECTOR_BYTES, NULL), 0);
		assert_false(is_lost(3));
		end();
	}
}

/* One of which not even the number is right may be of any time. */
static void a_number_without_neighbours_says_nothing(void **state)
{
	(void)state;
	put_three(1, false);
	flip(0, place_of(3) + 25);
	assert_false(is_lost(3 + 0x400));
	end();
}

/* --- A clean volume ------------------------------------------------------------------------------------------------------ */

#define RING_BUCKET_BYTES (64 * 1024)
#define RING_BUCKETS 64

static u64 random_state;

static u32 any(u32 below)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)((random_state >> 33) % below);
}

/* Counts what is read of another one. */
struct counting_device {
	struct blockdev dev;
	struct blockdev *below;
	u64 read_bytes;
};

static int counting_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	struct counting_device *counting = container_of(dev, struct counting_device, dev);

	counting->read_bytes += len;
	return blockdev_read(counting->below, offset, buf, len, d);
}

static const struct blockdev_ops counting_ops = { .read = counting_read };

static struct counting_device counted[2];
static struct disk_bch_clean clean;

static void begin_ring(void)
{
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(memory_device_new("hand", (RING_BUCKETS + 1) * RING_BUCKET_BYTES, &devs[i]), 0);
		counted[i] = (struct counting_device){ .dev = { .ops = &counting_ops, .name = (char *)"counted",
								.size_bytes = devs[i]->size_bytes },
						       .below = devs[i] };
	}
	hand_bch_init(&hand, (struct blockdev *[]){ &counted[0].dev, &counted[1].dev }, 2, RING_BUCKET_BYTES, RING_BUCKETS);
}

/* On one device or both; in the last there are keys if it was not the last one of a volume that was left cleanly. */
static u64 write_ring(u64 nr, u64 clean_seq, u64 *ret_last_physical)
{
	struct {
		u64 bucket, at;
	} place[2] = { { any(RING_BUCKETS), 0 }, { any(RING_BUCKETS), 0 } };

	for (u64 seq = 1; seq <= nr; seq++) {
		unsigned on = 1 + any(3);
		struct hand_jset jset;
		size_t len;

		memset(bytes, 0, sizeof(bytes));
		hand_jset_begin(&jset, bytes, seq, seq, false);
		for (u32 i = 0, keys = seq == clean_seq ? 0 : 1 + any(NR_KEYS); i < keys; i++)
			hand_jset_add(&jset, BCH_JENTRY_KEYS, BCH_INODES, 0, BCH_KEY_COOKIE, (struct bch_pos){ seq, i, 0 }, i);
		hand_jset_end(&jset);
		len = round_up_u64(jset.len, HAND_BLOCK_BYTES);
		for (unsigned i = 0; i < 2; i++) {
			if (!(on >> i & 1))
				continue;
			/* A mount begins a bucket. */
			if (place[i].at + len > RING_BUCKET_BYTES || seq == clean_seq + 1)
				place[i].bucket = (place[i].bucket + 1) % RING_BUCKETS, place[i].at = 0;
			*ret_last_physical = (1 + place[i].bucket) * RING_BUCKET_BYTES + place[i].at;
			assert_int_equal(blockdev_write(devs[i], *ret_last_physical, bytes, len, NULL), 0);
			place[i].at += len;
		}
	}
	return nr;
}

/* A clean section of entry @seq. */
static void set_clean(u64 seq)
{
	for (unsigned i = 0; i < 2; i++) {
		hand.super[i].is_clean = true;
		hand.super[i].clean = &clean;
		hand.super[i].clean_bytes = sizeof(clean);
	}
	le64_put(&clean.journal_seq, seq);
}

/* All of it says: is it clean as it says, and is nothing behind that? */
static bool is_clean_by_all(u64 seq)
{
	bool is_clean;

	bch_journal_free(journal);
	journal = NULL;
	assert_int_equal(bch_journal_read(&hand.fs, &journal, NULL), 0);
	is_clean = !journal->is_clean_wrong && journal->newest_seq == seq;
	array_for_each(&journal->jsets, jset)
		is_clean = is_clean && (jset->seq <= seq || jset->has_bad_csum);
	return is_clean;
}

static int read_end(void)
{
	bch_journal_free(journal);
	journal = NULL;
	counted[0].read_bytes = counted[1].read_bytes = 0;
	return bch_journal_read_end(&hand.fs, &journal, NULL);
}

/* Journals that went round several times, and some that have not; clean ones, and some that somebody has written to since. */
static void the_end_says_whether_it_is_clean(void **state)
{
	unsigned nr_clean = 0, nr_stale = 0;

	(void)state;
	random_state = 1;
	for (unsigned round = 0; round < 100; round++) {
		u64 clean_seq = 1 + any(1500), nr = clean_seq + (round % 2 ? 1 + any(round % 4 == 1 ? 2 : 600) : 0), last;
		int err;

		begin_ring();
		write_ring(nr, clean_seq, &last);
		set_clean(clean_seq);
		err = read_end();
		assert_int_equal(err, round % 2);
		if (err == 0) {
			nr_clean++;
			assert_true(journal->has_end_only);
			assert_int_equal(journal->newest_seq, clean_seq);
			/* Beside the first blocks there are two buckets. */
			for (unsigned i = 0; i < 2; i++)
				assert_true(counted[i].read_bytes <= RING_BUCKETS * HAND_BLOCK_BYTES + 4 * RING_BUCKET_BYTES);
			assert_true(is_clean_by_all(clean_seq));
		} else {
			nr_stale++;
			assert_false(is_clean_by_all(clean_seq));
		}
		end();
	}
	assert_true(nr_clean == 50 && nr_stale == 50);
}

/* A damaged block, wherever it lies, hides nothing that all of it says. */
static void damage_does_not_make_it_clean(void **state)
{
	unsigned nr_quick = 0;

	(void)state;
	random_state = 1;
	for (unsigned round = 0; round < 200; round++) {
		u64 clean_seq = 1 + any(500), nr = clean_seq + (round % 2 ? 1 + any(20) : 0), last;
		int err;

		begin_ring();
		write_ring(nr, clean_seq, &last);
		set_clean(clean_seq);
		for (unsigned i = 0; i < 2; i++) {
			u64 bucket = any(4) ? last / RING_BUCKET_BYTES : 1 + any(RING_BUCKETS);
			u64 at = bucket * RING_BUCKET_BYTES + (any(2) ? 0 : any(16) * HAND_BLOCK_BYTES);

			if (round % 3)
				flip(i, at + (any(2) ? 24 + any(8) : any(60)));
			else
				memset(bytes, (int)any(2) * 0x77, sizeof(bytes)), blockdev_write(devs[i], at, bytes, HAND_BLOCK_BYTES, NULL);
		}
		err = read_end();
		nr_quick += err == 0;
		if (err == 0)
			assert_true(is_clean_by_all(clean_seq));
		end();
	}
	assert_true(nr_quick > 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bit_that_has_changed_loses_the_last_changes),
		cmocka_unit_test(nobody_was_promised_what_was_not_flushed),
		cmocka_unit_test(both_copies_count),
		cmocka_unit_test(a_second_one_is_lost),
		cmocka_unit_test(what_was_not_written_to_its_end_is_not_lost),
		cmocka_unit_test(a_number_without_neighbours_says_nothing),
		cmocka_unit_test(the_end_says_whether_it_is_clean),
		cmocka_unit_test(damage_does_not_make_it_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
