/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chunks that are given other places and profiles: what they hold is the same afterwards, and the filesystem is sound.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/relocate/relocate.h"
#include "tests/unit/txn_fixture.h"

#define DEVICE_BYTES (2 * GIB)

static const char *const profile_names[] = { "single",	"dup",	  "raid0", "raid1", "raid1c3",
					     "raid1c4", "raid10", "raid5", "raid6" };

static void must(int err, const struct diag *d)
{
	if (err)
		fail_msg("%s", d->text);
}

/* With the filesystem's own transaction in place of the fixture's. */
static void open_to_change(struct txn_fixture *f)
{
	struct diag d = { 0 };

	txn_free(f->txn);
	f->txn = NULL;
	must(fs_begin_changes(f->fs, false, &d), &d);
}

static void reopen(struct txn_fixture *f, const char *what)
{
	txn_fixture_close(f);
	txn_fixture_check(f, what, true);
	txn_fixture_open(f);
	open_to_change(f);
}

static size_t all_chunks(const struct btrkit_fs *fs, u64 *ret_logical, size_t cap)
{
	size_t nr = chunk_map_count(fs->volume->chunks);

	assert_true(nr <= cap);
	for (size_t i = 0; i < nr; i++)
		ret_logical[i] = chunk_map_at(fs->volume->chunks, i)->logical;
	return nr;
}

/* All that there is becomes @profile. */
static void convert(struct txn_fixture *f, struct pool *pool, const struct profile *profile)
{
	struct relocate relocate = { .fs = f->fs, .pool = pool };
	struct diag d = { 0 };
	u64 logical[64];
	size_t nr = all_chunks(f->fs, logical, ARRAY_LEN(logical));

	for (u64 type = 1; type <= BLOCK_GROUP_METADATA; type *= 2)
		txn_set_profile(f->fs->txn, type, profile->flag);
	for (size_t i = 0; i < nr; i++) {
		struct relocate_step step;

		must(relocate_plan(&relocate, logical[i], profile->flag, true, &step, &d), &d);
		if (step.way == RELOCATE_EXTENTS) {
			relocate_step_done(&step);
			continue;
		}
		relocate_step_done(&step);
		must(relocate_group(&relocate, logical[i], profile->flag, true, &step, &d), &d);
		relocate_step_done(&step);
	}
}

static void every_profile_becomes_every_other(void **state)
{
	_cleanup_(pool_freep) struct pool *pool = NULL;

	(void)state;
	assert_int_equal(pool_new(2, NULL, &pool), 0);
	for (size_t from = 0; from < ARRAY_LEN(profile_names); from++)
		for (size_t to = 0; to < ARRAY_LEN(profile_names); to++) {
			const struct txn_shape shape = { "pair",
							 to % 2 ? 4096 : 16384,
							 profile_names[from],
							 profile_names[from],
							 4,
							 DEVICE_BYTES,
							 NULL,
							 false };
			struct txn_fixture f;
			char what[64];

			snprintf(what, sizeof(what), "%s to %s", profile_names[from], profile_names[to]);
			txn_fixture_make(&f, &shape);
			open_to_change(&f);
			convert(&f, pool, profile_by_name(profile_names[to]));
			reopen(&f, what);
			txn_fixture_done(&f);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_profile_becomes_every_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
