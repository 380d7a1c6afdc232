/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Restriping by path in all its ways, resumed and cancelled, while the power is cut, every operation of a device fails, and every
 * allocation. What there is is whole with the same content, and it comes to its end when it is resumed. BTRKIT_LONG: at each of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/reshape_fixture.h"

#define DEVICE_BYTES (400 * MIB)

#define SHAPE(metadata, data, nr) { "restripe-faults", 4096, metadata, data, nr, DEVICE_BYTES, NULL, false }

/* --- What is done ---------------------------------------- */

static struct btrkit_restripe_options *options_of(const char *data, const char *metadata)
{
	static struct btrkit_restripe_options options;

	btrkit_restripe_options_init(&options);
	options.data = data;
	options.metadata = metadata;
	options.is_forced = true;
	options.threads = 1;
	return &options;
}

static int start(struct reshape *r, const struct btrkit_restripe_options *options, struct btrkit_error *error)
{
	const struct btrkit_open_options open = reshape_open_options(r);

	return btrkit_restripe_start(r->path_list, r->nr_devices, &open, options, NULL, error);
}

static int resume(struct reshape *r, struct btrkit_error *error)
{
	const struct btrkit_open_options open = reshape_open_options(r);

	return btrkit_restripe_resume(r->path_list, r->nr_devices, &open, options_of(NULL, NULL), NULL, error);
}

static int to_raid1(struct reshape *r, struct btrkit_error *error)
{
	return start(r, options_of("convert=raid1", "convert=raid1"), error);
}

static int to_single(struct reshape *r, struct btrkit_error *error)
{
	return start(r, options_of("convert=single", "convert=single"), error);
}

static int to_raid5(struct reshape *r, struct btrkit_error *error)
{
	return start(r, options_of("convert=raid5", "convert=raid5"), error);
}

static int from_raid6(struct reshape *r, struct btrkit_error *error)
{
	return start(r, options_of("convert=raid0", "convert=raid1c3"), error);
}

static int compact(struct reshape *r, struct btrkit_error *error)
{
	return start(r, options_of("usage=100", "usage=100"), error);
}

static int copy(struct reshape *r, struct btrkit_error *error)
{
	struct btrkit_restripe_options *options = options_of("", "");

	options->do_copy = options->do_discard = true;
	options->note = reshape_note;
	options->note_arg = r;
	return start(r, options, error);
}

static int cancel(struct reshape *r, struct btrkit_error *error)
{
	const struct btrkit_open_options open = reshape_open_options(r);

	return btrkit_restripe_cancel(r->path_list, r->nr_devices, &open, error);
}

/* --- Interrupted ---------------------------------------- */

static void stop_job(void *arg, const struct btrkit_restripe_chunk *chunk)
{
	(void)chunk;
	btrkit_job_cancel(arg);
}

/* After the first chunk. */
static void interrupt(struct reshape *r)
{
	struct btrkit_restripe_options *options = options_of("convert=raid1", "convert=raid1");
	struct btrkit_error error;
	struct btrkit_job *job;

	assert_int_equal(btrkit_job_new(&job), 0);
	options->job = job;
	options->chunk = stop_job;
	options->arg = job;
	assert_int_equal(start(r, options, &error), -ECANCELED);
	btrkit_job_free(job);
}

/* Resumed where there is something to resume; else begun anew. */
static int go_on(struct reshape *r, struct btrkit_error *error)
{
	int err = resume(r, error);

	if (err != -ENOENT)
		return err;
	return reshape_is_done(r, "restripe") ? 0 : r->is->work(r, error);
}

static int cancel_again(struct reshape *r, struct btrkit_error *error)
{
	int err = cancel(r, error);

	return err == -ENOENT ? 0 : err;
}

/* --- Done ---------------------------------------- */

static bool is_interrupted(struct btrkit_fs *fs)
{
	struct btrkit_restripe_status status;
	struct btrkit_error error;

	return btrkit_restripe_get_status(fs, &status, sizeof(status), &error) == 0;
}

static bool has_profiles(struct btrkit_fs *fs, const char *data, const char *others)
{
	bool is_so = !is_interrupted(fs);

	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(fs->volume->chunks, i);

		is_so &= chunk->profile == profile_by_name(chunk->type & BLOCK_GROUP_DATA ? data : others);
	}
	return is_so;
}

static bool is_raid1(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return has_profiles(fs, "raid1", "raid1");
}

static bool is_single(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return has_profiles(fs, "single", "single");
}

static bool is_raid5(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return has_profiles(fs, "raid5", "raid5");
}

static bool is_raid0(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return has_profiles(fs, "raid0", "raid1c3");
}

/* Where chunks were in the beginning. */
static u64 old_logical[16], old_physical[16];
static size_t nr_old;

static void remember_chunks(struct reshape *r)
{
	struct btrkit_fs *fs = reshape_open(r, r->is->name);

	nr_old = chunk_map_count(fs->volume->chunks);
	assert_in_range(nr_old, 1, ARRAY_LEN(old_logical));
	for (size_t i = 0; i < nr_old; i++) {
		const struct chunk *chunk = chunk_map_at(fs->volume->chunks, i);

		old_logical[i] = chunk->logical;
		old_physical[i] = chunk->stripe[0].physical;
	}
	btrkit_fs_close(fs);
}

/* Not all: a run that goes on may use the places that it gave up before it was interrupted. */
static bool is_elsewhere(struct reshape *r, struct btrkit_fs *fs)
{
	size_t nr_moved = 0;

	(void)r;
	for (size_t i = 0; i < nr_old; i++) {
		const struct chunk *chunk = chunk_map_find(fs->volume->chunks, old_logical[i]);

		nr_moved += !chunk || chunk->stripe[0].physical != old_physical[i];
	}
	return nr_moved && !is_interrupted(fs);
}

static bool is_cancelled(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return !is_interrupted(fs);
}

/* --- The tests ---------------------------------------- */

static const struct reshape_case cases[] = {
	{ "single to raid1", SHAPE("single", "single", 2), 0, NULL, to_raid1, go_on, is_raid1, .first = 0 },
	{ "raid1 to single", SHAPE("raid1", "raid1", 2), 0, NULL, to_single, go_on, is_single, .first = 0 },
	{ "raid1 to raid5", SHAPE("raid1", "raid1", 3), 0, NULL, to_raid5, go_on, is_raid5, .first = 0 },
	{ "raid6 to raid0", SHAPE("raid6", "raid6", 4), 0, NULL, from_raid6, go_on, is_raid0, .first = 0 },
	{ "compact", SHAPE("raid1", "single", 2), 0, remember_chunks, compact, go_on, is_elsewhere, .first = 0 },
	{ "copy", SHAPE("dup", "single", 1), 0, remember_chunks, copy, go_on, is_elsewhere, .may_warn = true },
	{ "resume", SHAPE("single", "single", 2), 0, interrupt, resume, go_on, is_raid1, .first = 0 },
	{ "cancel", SHAPE("single", "single", 2), 0, interrupt, cancel, cancel_again, is_cancelled, .first = 0 },
};

static void power_cuts(void **state)
{
	(void)state;
	reshape_cut_power(cases, ARRAY_LEN(cases), 8);
}

static void failing_devices(void **state)
{
	(void)state;
	reshape_fail(cases, ARRAY_LEN(cases), 12);
}

static void no_memory(void **state)
{
	(void)state;
	reshape_refuse_memory(cases, ARRAY_LEN(cases), 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(power_cuts),
		cmocka_unit_test(failing_devices),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
