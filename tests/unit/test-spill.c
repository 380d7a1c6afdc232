/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* common/spill: sorting and lists, in memory and out of it; full directories, cancelling, several threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <signal.h>
#include <sys/resource.h>

#include "common/base/cleanup.h"
#include "common/spill/sequence.h"
#include "common/spill/sorter.h"

/* A directory of the test's own would only hold files without names. */
#define SPILL_DIR "/var/tmp"

struct entry {
	u64 key;
	u32 from;
} __attribute__((packed));

static int by_key(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

static u64 next_random(u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

static void fill(struct entry *entries, size_t n, u64 keys)
{
	u64 state = n;

	for (size_t i = 0; i < n; i++)
		entries[i] = (struct entry){ next_random(&state) % keys, (u32)i };
}

static void assert_sorted(struct sorter *sorter, struct entry *expected, size_t n)
{
	const void *record;

	qsort(expected, n, sizeof(*expected), by_key);
	assert_int_equal(sorter_count(sorter), n);
	assert_int_equal(sorter_sort(sorter, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(sorter_next(sorter, &record, NULL), 0);
		assert_memory_equal(record, &expected[i], sizeof(expected[i]));
	}
	assert_int_equal(sorter_next(sorter, &record, NULL), 1);
	assert_int_equal(sorter_next(sorter, &record, NULL), 1);
}

/* Memory for all, for a few runs, and for so little that runs have to be merged several times. */
static void records_come_back_in_their_order(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 15, 16, 17, 1000, 30000 };
	static const size_t memories[] = { 0, 100000, 1000000, 64 << 20 };

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(sizes); s++)
		for (size_t m = 0; m < ARRAY_LEN(memories); m++) {
			struct spill spill = { .dir = SPILL_DIR };
			size_t n = sizes[s];
			_free_ struct entry *entries = calloc(n + 1, sizeof(*entries));
			struct sorter *sorter;

			assert_non_null(entries);
			fill(entries, n, n / 2 + 1);
			assert_int_equal(sorter_new(&spill, sizeof(*entries), memories[m], by_key, &sorter), 0);
			for (size_t i = 0; i < n; i += 7)
				assert_int_equal(sorter_add(sorter, entries + i, MIN((size_t)7, n - i), NULL), 0);
			assert_sorted(sorter, entries, n);
			/* Nothing is written that need not be, and what does not fit, is. */
			assert_int_equal(spill.written_bytes > 0, n * 2 * sizeof(*entries) > memories[m] && n > 16);
			sorter_free(sorter);
		}
}

struct adding {
	struct sorter *sorter;
	const struct entry *entries;
	size_t n;
};

static void *add_all(void *arg)
{
	const struct adding *adding = arg;

	for (size_t i = 0; i < adding->n; i++)
		if (sorter_add(adding->sorter, adding->entries + i, 1, NULL) < 0)
			return arg;
	return NULL;
}

static void several_threads_may_add(void **state)
{
	enum { THREADS = 4, EACH = 5000 };
	static struct entry entries[THREADS * EACH];
	struct spill spill = { .dir = SPILL_DIR };
	struct adding adding[THREADS];
	pthread_t threads[THREADS];
	struct sorter *sorter;
	void *failed;

	(void)state;
	fill(entries, ARRAY_LEN(entries), 100);
	assert_int_equal(sorter_new(&spill, sizeof(*entries), 50000, by_key, &sorter), 0);
	for (size_t t = 0; t < THREADS; t++) {
		adding[t] = (struct adding){ sorter, entries + t * EACH, EACH };
		assert_int_equal(pthread_create(&threads[t], NULL, add_all, &adding[t]), 0);
	}
	for (size_t t = 0; t < THREADS; t++) {
		assert_int_equal(pthread_join(threads[t], &failed), 0);
		assert_null(failed);
	}
	assert_sorted(sorter, entries, ARRAY_LEN(entries));
	sorter_free(sorter);
}

static void sequences_are_read_from_anywhere(void **state)
{
	static const size_t memories[] = { 0, 65536, 1 << 20 };
	const u64 n = 50000;

	(void)state;
	for (size_t m = 0; m < ARRAY_LEN(memories); m++) {
		struct spill spill = { .dir = SPILL_DIR };
		struct sequence_reader all, some;
		struct sequence *sequence;
		const void *record;

		assert_int_equal(sequence_new(&spill, sizeof(struct entry), memories[m], &sequence), 0);
		for (u64 i = 0; i < n; i++)
			assert_int_equal(sequence_append(sequence, &(struct entry){ i * 3, (u32)i }, NULL), 0);
		assert_int_equal(sequence_count(sequence), n);
		assert_int_equal(spill.written_bytes > 0, n * sizeof(struct entry) > memories[m]);
		all = sequence_read_from(sequence, 0);
		some = sequence_read_from(sequence, 0);
		some.buffer_bytes = 100;
		for (u64 i = 0; i < n; i++) {
			assert_int_equal(sequence_next(&all, &record, NULL), 0);
			assert_int_equal(((const struct entry *)record)->key, i * 3);
			some.next = i * 7919 % n;
			assert_int_equal(sequence_next(&some, &record, NULL), 0);
			assert_int_equal(((const struct entry *)record)->from, i * 7919 % n);
		}
		assert_int_equal(sequence_next(&all, &record, NULL), 1);
		some.next = n;
		assert_int_equal(sequence_next(&some, &record, NULL), 1);
		sequence_reader_done(&all);
		sequence_reader_done(&some);
		sequence_free(sequence);
	}
}

/* Add until it fails; the error it fails with. */
static int add_many(struct spill *spill, struct diag *d)
{
	struct sorter *sorter;
	int err = 0;

	assert_int_equal(sorter_new(spill, sizeof(struct entry), 1000, by_key, &sorter), 0);
	for (u32 i = 0; i < 100000 && !err; i++)
		err = sorter_add(sorter, &(struct entry){ i ^ 0x55, i }, 1, d);
	if (!err)
		err = sorter_sort(sorter, d);
	sorter_free(sorter);
	return err;
}

static void a_missing_directory_is_named(void **state)
{
	struct spill spill = { .dir = "/nonexistent/place" };
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(add_many(&spill, &d), -ENOENT);
	assert_non_null(strstr(d.text, "/nonexistent/place: cannot make a temporary file"));
}

/* A limit on the size of files stands for a full filesystem: the same call fails. */
static void a_write_that_fails_is_told(void **state)
{
	struct spill spill = { .dir = SPILL_DIR };
	struct rlimit old, small;
	struct sequence *sequence;
	struct diag d = { 0 };
	int err = 0;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 200000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(add_many(&spill, &d), -EFBIG);
	assert_non_null(strstr(d.text, SPILL_DIR ": cannot write to a temporary file"));
	assert_int_equal(sequence_new(&spill, 100, 0, &sequence), 0);
	diag_clear(&d);
	for (u32 i = 0; i < 10000 && !err; i++)
		err = sequence_append(sequence, &(u8[100]){ 0 }, &d);
	assert_int_equal(err, -EFBIG);
	sequence_free(sequence);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
}

static void cancelling_ends_it(void **state)
{
	atomic_bool is_cancelled = true;
	struct spill spill = { .dir = SPILL_DIR, .is_cancelled = &is_cancelled };

	(void)state;
	assert_int_equal(add_many(&spill, NULL), -ECANCELED);
	is_cancelled = false;
	assert_int_equal(add_many(&spill, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records_come_back_in_their_order),
		cmocka_unit_test(several_threads_may_add),
		cmocka_unit_test(sequences_are_read_from_anywhere),
		cmocka_unit_test(a_missing_directory_is_named),
		cmocka_unit_test(a_write_that_fails_is_told),
		cmocka_unit_test(cancelling_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
