/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transactions when things go wrong: the power goes at any moment, the disk fails at any write, space or memory is
 * refused at any allocation. The disk then has the state before or the state after, whole; after an error that was
 * told, the one before; and the transaction can be done again.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "check/check.h"
#include "kernel-shared/txn/txn_state.h"
#include "tests/unit/failing_malloc.h"
#include "tests/unit/layered_fs.h"
#include "tests/unit/refusing_source.h"
#include "tests/unit/txn_work.h"

#define WORK_XATTRS 150
#define WORK_OVERWRITES 4

static const struct txn_shape shapes[] = {
	{ "4k dup", 4096, "dup", "single", 1, 128 * MIB, NULL, false },
	{ "raid1", 4096, "raid1", "raid1", 2, 128 * MIB, NULL, false },
	{ "raid5", 16384, "raid5", "raid5", 3, 128 * MIB, NULL, false },
};

/* A filesystem with a first lot of work committed, which nothing changes any more, and models of before and after. */
struct case_of {
	struct txn_fixture base;
	struct model before, after;
	u64 seed; /* at which the second lot begins */
};

static void case_make(struct case_of *c, const struct txn_shape *shape)
{
	struct diag d = { 0 };

	memset(c, 0, sizeof(*c));
	c->seed = 7;
	txn_fixture_make(&c->base, shape);
	if (do_work(&c->base, FS_TREE_OBJECTID, &c->before, 400, 10, &c->seed, &d) != 0 ||
	    txn_commit(c->base.txn, &d) != 0)
		fail_msg("%s", d.text);
	txn_fixture_close(&c->base);
}

static void case_done(struct case_of *c)
{
	txn_fixture_done(&c->base);
}

/* --- Work ---------------------------------------- */

static void begin(struct case_of *c, struct txn_fixture *f, struct record_log *log)
{
	struct blockdev *devices[TXN_DEVICES_MAX];
	struct txn_target target;
	struct diag d = { 0 };

	*f = (struct txn_fixture){ 0 };
	layered_devices(&c->base, log, devices);
	f->fs = layered_open(&c->base, devices);
	target = txn_target_of(f->fs);
	if (txn_new(&target, false, &f->txn, &d) != 0)
		fail_msg("%s", d.text);
}

static void end(struct txn_fixture *f)
{
	txn_free(f->txn);
	btrkit_fs_close(f->fs);
}

/* The second lot, always the same. */
static int work(struct case_of *c, struct txn_fixture *f, struct diag *d)
{
	u64 seed = c->seed;
	int err;

	c->after = c->before;
	err = do_work(f, FS_TREE_OBJECTID, &c->after, WORK_XATTRS, WORK_OVERWRITES, &seed, d);
	return err ? err : txn_commit(f->txn, d);
}

/* What the second lot comes to. */
static void learn_after(struct case_of *c)
{
	struct txn_fixture f;
	struct diag d = { 0 };

	begin(c, &f, NULL);
	if (work(c, &f, &d) != 0)
		fail_msg("%s", d.text);
	end(&f);
}

/* --- What is there ---------------------------------------- */

static int count_problem(void *arg, const struct btrkit_problem *problem)
{
	(void)arg;
	if (problem->kind->severity >= BTRKIT_PROBLEM_ERROR)
		fprintf(stderr, "%s: %s\n", problem->kind->code, problem->text);
	return 0;
}

/* 'b'efore or 'a'fter; anything else is a failure. The filesystem is taken over. @may_differ: superblocks of devices
 * may. */
static char judge(struct case_of *c, struct btrkit_fs *fs)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct diag d = { 0 };
	char seen = has_xattrs(fs, FS_TREE_OBJECTID, &c->before)  ? 'b'
		    : has_xattrs(fs, FS_TREE_OBJECTID, &c->after) ? 'a'
								  : '?';

	btrkit_check_options_init(&options);
	options.threads = 1;
	options.do_data = true;
	if (check_run(fs, &options, count_problem, NULL, &result, &d) != 0)
		fail_msg("%s", d.text);
	assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_ERROR], 0);
	assert_int_equal(result.nr_problems[BTRKIT_PROBLEM_FATAL], 0);
	assert_int_not_equal(seen, '?');
	return seen;
}

static char look(struct case_of *c, const struct record_log *log, size_t nr_records, bool (*choose)(void *, size_t),
		 void *ctx)
{
	struct blockdev *devices[TXN_DEVICES_MAX];

	layered_devices(&c->base, NULL, devices);
	assert_int_equal(record_log_replay(log, nr_records, devices, choose, ctx, NULL), 0);
	return judge(c, layered_open(&c->base, devices));
}

/* --- The tests ---------------------------------------- */

static void test_power_cuts(void **state)
{
	unsigned nr_cuts = 0, nr_seeds = getenv("BTRKIT_LONG") ? 20 : 2;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct record_log log = { 0 };
		struct txn_fixture f;
		struct case_of c;
		struct diag d = { 0 };
		size_t first, last;

		case_make(&c, &shapes[s]);
		record_log_init(&log);
		begin(&c, &f, &log);
		if (work(&c, &f, &d) != 0)
			fail_msg("%s", d.text);
		end(&f);
		first = first_super(&log);
		last = last_super(&log);
		assert_in_range(first, 2, log.records.len - 1);
		/* What was written before the superblocks was flushed: on every device. */
		for (unsigned i = 1; i <= c.base.nr_devices; i++)
			assert_int_equal(log.records.items[first - i].kind, RECORD_FLUSH);
		for (size_t n = 0; n <= log.records.len; n++) {
			char seen = look(&c, &log, n, NULL, NULL), none = look(&c, &log, n, choose_none, NULL);

			if (n <= first)
				assert_int_equal(seen, 'b');
			if (n <= last)
				assert_int_equal(none, 'b');
			if (n > first)
				assert_int_equal(seen, 'a');
			nr_cuts += 2;
			for (u32 seed = 0; seed < nr_seeds; seed++, nr_cuts++)
				(void)look(&c, &log, n, choose_some, &seed);
		}
		assert_int_equal(look(&c, &log, log.records.len, choose_none, NULL), 'a');
		record_log_done(&log);
		case_done(&c);
	}
	print_message("%u power cuts: the state before or after, whole\n", nr_cuts);
}

static void test_failing_disk(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct record_log log = { 0 };
		struct txn_fixture f;
		struct case_of c;
		struct diag d = { 0 };
		u64 nr_before, nr_operations, step;

		case_make(&c, &shapes[s]);
		record_log_init(&log);
		begin(&c, &f, &log);
		nr_before = log.nr_operations;
		assert_int_equal(work(&c, &f, &d), 0);
		end(&f);
		nr_operations = log.nr_operations;
		record_log_done(&log);
		step = getenv("BTRKIT_LONG") ? 1 : MAX((nr_operations - nr_before) / 40, (u64)1);
		for (u64 fail_at = nr_before + 1; fail_at <= nr_operations;
		     fail_at += fail_at + 12 > nr_operations ? 1 : step, nr++) {
			bool has_super;
			int err;

			log = (struct record_log){ 0 };
			record_log_init(&log);
			begin(&c, &f, &log);
			log.fail_at = fail_at;
			err = work(&c, &f, &d);
			has_super = first_super(&log) < log.records.len;
			/* What is on disk now must not be written over by what follows. */
			if (has_super) {
				size_t nr_records = log.records.len;

				assert_int_equal(work(&c, &f, &d), -ESHUTDOWN);
				assert_int_equal(log.records.len, nr_records);
			}
			end(&f);
			learn_after(&c);
			/* A read may fail where another copy is good: then nothing is lost but redundancy, and writes
			 * fail. */
			assert_true(err == -EIO || err == -EUCLEAN);
			assert_true(look(&c, &log, log.records.len, NULL, NULL) == 'b' || has_super);
			record_log_done(&log);
		}
		case_done(&c);
	}
	print_message("%u failures of a disk: told of, and the state before is there\n", nr);
}


/* After a failure: nothing but data has been written, and the same work can be done, with the right result. */
static void again(struct case_of *c, struct txn_fixture *f, struct record_log *log)
{
	struct diag d = { 0 };

	assert_int_equal(first_super(log), log->records.len);
	assert_int_equal(look(c, log, log->records.len, NULL, NULL), 'b');
	if (work(c, f, &d) != 0)
		fail_msg("%s", d.text);
	assert_int_equal(look(c, log, log->records.len, NULL, NULL), 'a');
}

static void test_no_space(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct case_of c;
		bool is_over = false;

		case_make(&c, &shapes[s]);
		for (u64 at = 1; !is_over; at += getenv("BTRKIT_LONG") ? 1 : 1 + at / 6) {
			struct record_log log = { 0 };
			struct txn_fixture f;
			struct diag d = { 0 };
			int err;

			record_log_init(&log);
			begin(&c, &f, &log);
			f.txn->source.ops = &refusing_ops;
			refuse_at = at;
			err = work(&c, &f, &d);
			is_over = refuse_at != 0;
			refuse_at = 0;
			assert_int_equal(err, is_over ? 0 : -ENOSPC);
			if (!is_over) {
				txn_abort(f.txn);
				again(&c, &f, &log);
				nr++;
			}
			end(&f);
			record_log_done(&log);
		}
		case_done(&c);
	}
	print_message("%u allocations refused: nothing written, done again\n", nr);
}

static void test_no_memory(void **state)
{
	unsigned nr = 0, nr_lost = 0;

	(void)state;
	if (!can_fail_malloc) {
		print_message("[  SKIPPED ] the allocator of this build cannot be made to fail\n");
		skip();
	}
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct case_of c;
		bool is_over = false;

		case_make(&c, &shapes[s]);
		for (unsigned long at = 1; !is_over; at += getenv("BTRKIT_LONG") ? 1 : 1 + at / 8) {
			struct record_log log = { 0 };
			struct txn_fixture f;
			struct diag d = { 0 };
			int err;

			record_log_init(&log);
			begin(&c, &f, &log);
			/* The recorder's own allocations are not the library's: it fails as a disk does, which is as
			 * good. */
			fail_malloc_at = at;
			err = work(&c, &f, &d);
			is_over = fail_malloc_at != 0;
			fail_malloc_at = 0;
			if (err) {
				assert_true(err == -ENOMEM || err == -EIO);
				txn_abort(f.txn);
				/* The recorder may have refused a flush, or the first superblock. */
				if (f.txn->is_lost)
					assert_int_equal(work(&c, &f, &d), -ESHUTDOWN);
				else
					again(&c, &f, &log);
				nr_lost += f.txn->is_lost;
				nr++;
			}
			end(&f);
			record_log_done(&log);
		}
		case_done(&c);
	}
	assert_true(nr_lost < nr / 2);
	print_message("%u allocations of memory refused: nothing written, done again\n", nr);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_power_cuts),
		cmocka_unit_test(test_failing_disk),
		cmocka_unit_test(test_no_space),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
