/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A restripe through the public door: its record, its end in the middle, and what is left when memory fails anywhere. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <btrkit/restripe.h>

#include "tests/unit/failing_malloc.h"
#include "tests/unit/txn_fixture.h"

#define DEVICE_BYTES (512 * MIB)

static const struct btrkit_open_options *quietly(void)
{
	static struct btrkit_open_options options;

	btrkit_open_options_init(&options);
	options.no_device_scan = true;
	return &options;
}

/* A filesystem that nobody has open. */
static void make(struct txn_fixture *f, const char *data, const char *metadata)
{
	const struct txn_shape shape = { "restripe", 4096, metadata, data, 3, DEVICE_BYTES, NULL, false };

	txn_fixture_make(f, &shape);
	txn_fixture_close(f);
}

static void done(struct txn_fixture *f)
{
	for (unsigned i = 0; i < f->nr_devices; i++)
		unlink(f->paths[i]);
}

static struct btrkit_restripe_options options_for(const char *data, const char *metadata)
{
	struct btrkit_restripe_options options;

	btrkit_restripe_options_init(&options);
	options.data = data;
	options.metadata = metadata;
	options.is_forced = true;
	options.threads = 1;
	return options;
}

/* Chunks that have not this profile. */
static size_t nr_others(struct txn_fixture *f, const char *profile)
{
	const struct profile *wanted = profile_by_name(profile);
	struct btrkit_error error;
	struct btrkit_fs *fs;
	size_t nr = 0;

	if (btrkit_fs_open(f->path_list, f->nr_devices, quietly(), &fs, &error) != 0)
		fail_msg("%s", error.text);
	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++)
		nr += chunk_map_at(fs->volume->chunks, i)->profile != wanted;
	btrkit_fs_close(fs);
	return nr;
}

static int status_of(struct txn_fixture *f, struct btrkit_restripe_status *status)
{
	struct btrkit_error error;
	struct btrkit_fs *fs;
	int err;

	if (btrkit_fs_open(f->path_list, f->nr_devices, quietly(), &fs, &error) != 0)
		fail_msg("%s", error.text);
	err = btrkit_restripe_get_status(fs, status, sizeof(*status), &error);
	btrkit_fs_close(fs);
	return err;
}

struct told {
	struct btrkit_job *job;
	unsigned cancel_after; /* chunks; 0: never */
	unsigned nr_chunks, nr_devices;
	struct btrkit_restripe_counts last;
};

static void tell_chunk(void *arg, const struct btrkit_restripe_chunk *chunk)
{
	struct told *told = arg;

	told->last = chunk->counts;
	if (++told->nr_chunks == told->cancel_after)
		btrkit_job_cancel(told->job);
}

static void tell_device(void *arg, const struct btrkit_restripe_device *device)
{
	struct told *told = arg;

	assert_int_equal(device->devid, ++told->nr_devices);
}

static void a_run_that_is_cancelled_goes_on(void **state)
{
	struct btrkit_restripe_options options = options_for("convert=raid1", "convert=raid1c3");
	struct btrkit_restripe_result result;
	struct btrkit_restripe_status status;
	struct told told = { .cancel_after = 1 };
	struct btrkit_error error;
	struct txn_fixture f;

	(void)state;
	make(&f, "single", "raid1");
	assert_int_equal(btrkit_job_new(&told.job), 0);
	options.job = told.job;
	options.chunk = tell_chunk;
	options.device = tell_device;
	options.arg = &told;
	assert_int_equal(btrkit_restripe_start(f.path_list, 3, quietly(), &options, &result, &error), -ECANCELED);
	assert_true(result.has_begun);
	assert_int_equal(result.counts.expected, 3);
	assert_int_equal(result.counts.completed, 1);
	assert_int_equal(told.last.completed, 1);
	assert_int_equal(told.nr_devices, 3);
	txn_fixture_check(&f, "cancelled", true);

	assert_int_equal(status_of(&f, &status), 0);
	assert_string_equal(status.data, "convert=raid1");
	assert_string_equal(status.metadata, "convert=raid1c3");
	assert_string_equal(status.system, "convert=raid1c3");
	assert_true(status.is_forced);
	assert_int_equal(status.nr_left, 2);

	options.job = NULL;
	told.nr_devices = 0;
	assert_int_equal(btrkit_restripe_start(f.path_list, 3, quietly(), &options, &result, &error), -EBUSY);
	assert_false(result.has_begun);
	if (btrkit_restripe_resume(f.path_list, 3, quietly(), &options, &result, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(result.counts.completed, 2);
	txn_fixture_check(&f, "resumed", true);
	assert_int_equal(status_of(&f, &status), -ENOENT);
	assert_int_equal(nr_others(&f, "raid1c3"), 1);
	btrkit_job_free(told.job);
	done(&f);
}

static void an_empty_chunk_keeps_its_profile(void **state)
{
	struct btrkit_restripe_options options = options_for("convert=raid1", NULL);
	struct txn_fixture f = { .nr_devices = 3 };
	struct btrkit_mkfs_device devices[3] = { 0 };
	struct btrkit_mkfs_options mkfs_options;
	struct btrkit_restripe_result result;
	const char *tmp = getenv("TMPDIR");
	struct btrkit_error error;

	(void)state;
	btrkit_mkfs_options_init(&mkfs_options);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(f.paths[i], sizeof(f.paths[i]), "%s/btrkit-txn-XXXXXX", tmp ? tmp : "/tmp");
		close(mkstemp(f.paths[i]));
		f.path_list[i] = f.paths[i];
		devices[i] = (struct btrkit_mkfs_device){ f.paths[i], DEVICE_BYTES };
	}
	mkfs_options.devices = devices;
	mkfs_options.nr_devices = 3;
	mkfs_options.data_profile = "single";
	mkfs_options.metadata_profile = "raid1";
	mkfs_options.is_forced = true;
	if (btrkit_mkfs(&mkfs_options, NULL, NULL, &error) != 0)
		fail_msg("%s", error.text);
	if (btrkit_restripe_start(f.path_list, 3, quietly(), &options, &result, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(nr_others(&f, "raid1"), 0);
	txn_fixture_check(&f, "an empty chunk", true);
	/* Nothing is below 1 % of use but what has to stay. */
	options = options_for("usage=1", NULL);
	assert_int_equal(btrkit_restripe_start(f.path_list, 3, quietly(), &options, &result, &error), 0);
	assert_int_equal(nr_others(&f, "raid1"), 0);
	done(&f);
}

/* A round that memory failed in: all is whole, and it goes on. */
static void go_on(struct txn_fixture *f, const struct btrkit_restripe_options *options, const char *what)
{
	struct btrkit_restripe_result result;
	struct btrkit_restripe_status status;
	struct btrkit_error error;
	int err;

	txn_fixture_check(f, what, true);
	err = status_of(f, &status) == 0
		      ? btrkit_restripe_resume(f->path_list, 3, quietly(), options, &result, &error)
		      : btrkit_restripe_start(f->path_list, 3, quietly(), options, &result, &error);
	if (err)
		fail_msg("%s: %s", what, error.text);
}

static void memory_fails_anywhere(void **state)
{
	unsigned nr_failed = 0, nr_begun = 0;
	unsigned long at = 1;
	struct txn_fixture f;
	bool did_fail = true;

	(void)state;
	if (!can_fail_malloc)
		skip();
	make(&f, "single", "raid1");
	for (unsigned round = 0; did_fail; round++, at += 1 + at / 12) {
		const char *profile = round % 2 ? "single" : "raid1";
		struct btrkit_restripe_result result = { 0 };
		struct btrkit_restripe_options options;
		struct btrkit_error error = { 0 };
		char filters[32], what[64];
		int err;

		snprintf(filters, sizeof(filters), "convert=%s,soft", profile);
		snprintf(what, sizeof(what), "allocation %lu to %s", at, profile);
		options = options_for(filters, filters);
		fail_malloc_at = at;
		err = btrkit_restripe_start(f.path_list, 3, quietly(), &options, &result, &error);
		did_fail = fail_malloc_at == 0;
		fail_malloc_at = 0;
		if (err && err != -ENOMEM)
			fail_msg("%s: %d, %s", what, err, error.text);
		if (err) {
			assert_true(error.text[0] != '\0');
			go_on(&f, &options, what);
		}
		nr_failed += err != 0;
		nr_begun += err && result.has_begun;
		assert_int_equal(nr_others(&f, profile), 0);
	}
	assert_true(nr_failed > 20 && nr_begun > 5);
	txn_fixture_check(&f, "after all", true);
	done(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_that_is_cancelled_goes_on),
		cmocka_unit_test(an_empty_chunk_keeps_its_profile),
		cmocka_unit_test(memory_fails_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
