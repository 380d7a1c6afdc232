/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tables of a journal's records that do not fit into memory: every record is found, in any order of asking; and when their temporary
 * file can no longer be read, whoever looks something up is told so. BTRKIT_LONG=1 says how long looking up takes.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>

#include "convert/journal/journal_merge.h"
#include "tests/unit/hand_journal.h"

static bool is_unreadable;
static unsigned nr_reads;

/* Of whatever file: those of this program are temporary ones. */
ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	nr_reads++;
	if (is_unreadable) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pread64, fd, buf, len, offset);
}

/* --- Records ------------------------------------------------------------------------------------------------------- */

struct record {
	u64 key, value;
	u8 more[56];
};

static int compare(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static const struct journal_kind kind = { .record_bytes = sizeof(struct record), .compare_keys = compare, .compare = compare };

static u64 value_of(u64 key)
{
	return (key ^ 0x5555) * 0x9e3779b97f4a7c15ULL;
}

/* Keys 1, 3, 5... */
static struct journal_overlay *make(size_t nr, size_t memory_bytes)
{
	struct spill spill = { .dir = "/var/tmp" };
	struct journal_overlay *overlay;

	assert_int_equal(journal_overlay_new(&kind, &spill, memory_bytes, &overlay), 0);
	for (size_t i = 0; i < nr; i++) {
		size_t n = i * 7919 % nr; /* a prime: each once */
		struct record record = { .key = 2 * n + 1, .value = value_of(2 * n + 1) };

		assert_int_equal(journal_overlay_add(overlay, &record, NULL), 0);
	}
	assert_int_equal(journal_overlay_finish(overlay, NULL, NULL, NULL), 0);
	assert_int_equal(journal_overlay_count(overlay), nr);
	return overlay;
}

static void assert_found(const struct journal_overlay *overlay, struct journal_window *window, u64 key, size_t nr)
{
	const struct record probe = { .key = key };
	const void *record;
	size_t index;
	bool is_there = key % 2 == 1 && key / 2 < nr;

	assert_int_equal(journal_overlay_seek(overlay, window, &probe, &index, NULL), 0);
	assert_int_equal(index, MIN(key / 2, (u64)nr));
	assert_int_equal(journal_overlay_find(overlay, window, &probe, &record, NULL), is_there ? 0 : 1);
	if (is_there)
		assert_int_equal(((const struct record *)record)->value, value_of(key));
}

/* Of sizes about those of a window, and one of which not each window has a record in memory. */
static void records_are_found(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 55, 56, 57, 113, 904, 951, 952, 953, 954, 3641, 20000, 150000 };

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
		for (unsigned in_file = 0; in_file < 2; in_file++) {
			size_t nr = sizes[s];
			struct journal_overlay *overlay = make(nr, in_file ? 4 * KIB : 128 * MIB);
			struct journal_window window = { 0 };
			const void *record;

			assert_true((journal_overlay_file_bytes(overlay) > 0) == (in_file && nr > 50));
			for (size_t i = 0; i < nr; i += nr < 10000 ? 1 : 13) {
				assert_int_equal(journal_overlay_at(overlay, &window, i, &record, NULL), 0);
				assert_int_equal(((const struct record *)record)->value, value_of(2 * i + 1));
			}
			assert_int_equal(journal_overlay_at(overlay, &window, nr, &record, NULL), 1);
			for (u64 i = 0, n = MIN(2 * nr + 3, (size_t)20000); i < n; i++)
				assert_found(overlay, &window, nr < 10000 ? i : i * 0x9e3779b97f4a7c15ULL % (2 * nr + 3), nr);
			journal_window_done(&window);
			journal_overlay_free(overlay);
		}
}

/* A search reads little, however much there is: twice the same one here. */
static void searching_reads_few_windows(void **state)
{
	struct journal_overlay *overlay = make(150000, 4 * KIB);
	struct journal_window window = { 0 };

	(void)state;
	nr_reads = 0;
	for (u64 i = 0; i < 1000; i++)
		assert_found(overlay, &window, i * 0x9e3779b97f4a7c15ULL % 300000, 150000);
	assert_true(nr_reads <= 4 * 1000);
	nr_reads = 0;
	for (u64 i = 0; i < 100000; i++)
		assert_int_equal(journal_overlay_at(overlay, &window, i, &(const void *){ NULL }, NULL), 0);
	assert_true(nr_reads <= 100000 / 200);
	journal_window_done(&window);
	journal_overlay_free(overlay);
}

/* --- A file that cannot be read ------------------------------------------------------------------------------------- */

static void assert_told(int err, struct diag *d)
{
	assert_int_equal(err, -ENOTRECOVERABLE);
	if (!strstr(d->text, "/var/tmp: cannot read a temporary file") || !strstr(d->text, "byte "))
		fail_msg("%s", d->text);
	diag_clear(d);
}

static int no_items(void *ctx, const void **ret_item, struct diag *d)
{
	(void)ctx, (void)ret_item, (void)d;
	return 1;
}

static void unreadable_files_are_told(void **state)
{
	struct journal_overlay *overlay = make(20000, 4 * KIB);
	struct journal_window window = { 0 };
	struct journal_merge merge = { .overlay = overlay, .window = &window, .end = 20000, .next = no_items, .compare = compare };
	const struct record probe = { .key = 12345 };
	struct journal_merged merged;
	struct diag d = { 0 };
	const void *record;
	size_t index;

	(void)state;
	is_unreadable = true;
	assert_told(journal_overlay_at(overlay, &window, 7, &record, &d), &d);
	assert_told(journal_overlay_seek(overlay, &window, &probe, &index, &d), &d);
	assert_told(journal_overlay_find(overlay, &window, &probe, &record, &d), &d);
	assert_told(journal_merge_next(&merge, &merged, &d), &d);
	/* It does not stay so, and nothing is left of what was not read. */
	is_unreadable = false;
	for (u64 i = 0; i < 20000; i++) {
		if (i % 1000 == 500) {
			is_unreadable = true;
			assert_int_equal(journal_overlay_at(overlay, &window, (i + 10000) % 20000, &record, &d), -ENOTRECOVERABLE);
			is_unreadable = false;
		}
		assert_int_equal(journal_merge_next(&merge, &merged, &d), 0);
		assert_int_equal(((const struct record *)merged.record)->key, 2 * i + 1);
	}
	assert_int_equal(journal_merge_next(&merge, &merged, &d), 1);
	journal_window_done(&window);
	journal_overlay_free(overlay);
}

/* As one of ext: contents of blocks that are newer are never left out in silence. */
static void unreadable_blocks_of_ext_are_told(void **state)
{
	static struct hand_journal hand;
	static u8 buf[HAND_BLOCK_BYTES];
	struct jbd2_place place;
	struct jbd2 *journal;
	struct diag d = { 0 };
	bool is_changed;
	u64 block;

	(void)state;
	hand_begin(&hand, 0, JBD2_INCOMPAT_CSUM_V3, HAND_BLOCKS_MAX, 800, 1);
	for (u32 i = 0; i < 100; i++)
		hand_write_one(&hand, i);
	hand_commit(&hand);
	place = hand_place(&hand);
	place.memory_bytes = 500;
	assert_int_equal(jbd2_open(&place, &journal, NULL), 0);
	is_unreadable = true;
	assert_told(jbd2_next_block(journal, 5, &block, &d), &d);
	assert_told(jbd2_is_changed(journal, 5 * HAND_BLOCK_BYTES, 1, &is_changed, &d), &d);
	assert_told(jbd2_read_block(journal, 5, buf, &d), &d);
	assert_told(jbd2_lay_over(journal, 5 * HAND_BLOCK_BYTES, buf, sizeof(buf), &d), &d);
	is_unreadable = false;
	assert_int_equal(jbd2_read_block(journal, 5, buf, &d), 0);
	jbd2_close(journal);
}

/* --- How long it takes ------------------------------------------------------------------------------------------------ */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void time_of_looking_up(void **state)
{
	const size_t nr = 20000003; /* 1.4 GiB */
	struct journal_window window = { 0 };
	struct journal_overlay *overlay;
	const void *record;
	double start;
	u64 sum = 0;

	(void)state;
	if (!getenv("BTRKIT_LONG"))
		skip(); /* it proves nothing */
	overlay = make(nr, 64 * MIB);
	start = now();
	for (size_t i = 0; i < nr; i++) {
		assert_int_equal(journal_overlay_at(overlay, &window, i, &record, NULL), 0);
		sum += ((const struct record *)record)->value;
	}
	print_message("# %zu records one after the other: %.1f ns each (%llu)\n", nr, (now() - start) * 1e9 / (double)nr,
		      (unsigned long long)sum % 10);
	start = now();
	for (u64 i = 0; i < 1000000; i++)
		(void)journal_overlay_find(overlay, &window, &(struct record){ .key = i * 0x9e3779b97f4a7c15ULL % (2 * nr) }, &record, NULL);
	print_message("# in no order: %.2f us each\n", (now() - start) * 1e6 / 1e6);
	journal_window_done(&window);
	journal_overlay_free(overlay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_are_found),
		cmocka_unit_test(searching_reads_few_windows),
		cmocka_unit_test(unreadable_files_are_told),
		cmocka_unit_test(unreadable_blocks_of_ext_are_told),
		cmocka_unit_test(time_of_looking_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
