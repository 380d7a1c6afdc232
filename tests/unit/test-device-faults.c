/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices come, go, shrink, are exchanged and sprout, by path, while the power is cut, every operation of a device fails, and
 * every allocation. What there is is whole with the same content, and the same call comes to its end. BTRKIT_LONG: at each of them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/reshape_fixture.h"

#define DEVICE_BYTES (400 * MIB)

#define SHAPE(profile, nr) { "device-faults", 4096, profile, profile, nr, DEVICE_BYTES, NULL, false }

/* --- Common ---------------------------------------- */

static struct btrkit_device_options *options_of(struct reshape *r, bool is_forced)
{
	static struct btrkit_device_options options;

	btrkit_device_options_init(&options);
	options.open = reshape_open_options(r);
	options.threads = 1;
	options.is_forced = is_forced;
	return &options;
}

/* The path to open it by. */
static const char *const *first_of(struct reshape *r)
{
	static const char *path;

	path = r->paths[r->first];
	return &path;
}

static u64 nr_devices_of(const struct btrkit_fs *fs)
{
	return le64_get(fs->super.num_devices);
}

static bool is_whole(const struct btrkit_fs *fs)
{
	return device_set_nr_missing(fs->volume->devices) == 0;
}

/* Nothing lies on it any more. */
static bool is_empty(const struct btrkit_fs *fs, u64 devid)
{
	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(fs->volume->chunks, i);

		for (u16 s = 0; s < chunk->num_stripes; s++)
			if (chunk->stripe[s].devid == devid)
				return false;
	}
	return true;
}

/* --- Add ---------------------------------------- */

static const char *new_path(const struct reshape *r)
{
	return r->paths[r->nr_devices];
}

static int add(struct reshape *r, struct btrkit_error *error)
{
	const char *path = new_path(r);

	return btrkit_device_add(r->path_list, r->nr_devices, options_of(r, false), &path, 1, NULL, error);
}

/* It may know the filesystem, which does not know it. */
static int add_again(struct reshape *r, struct btrkit_error *error)
{
	const char *path = new_path(r);

	if (reshape_is_done(r, "add"))
		return 0;
	return btrkit_device_add(r->path_list, r->nr_devices, options_of(r, true), &path, 1, NULL, error);
}

static bool is_added(struct reshape *r, struct btrkit_fs *fs)
{
	return nr_devices_of(fs) == r->nr_devices + 1 && is_whole(fs);
}

/* --- Remove ---------------------------------------- */

static int remove_second(struct reshape *r, struct btrkit_error *error)
{
	const char *which = r->paths[1];

	return btrkit_device_remove(first_of(r), 1, options_of(r, false), &which, 1, NULL, error);
}

static int remove_again(struct reshape *r, struct btrkit_error *error)
{
	return reshape_has_super(r, 1) ? remove_second(r, error) : 0;
}

static bool is_second_removed(struct reshape *r, struct btrkit_fs *fs)
{
	return nr_devices_of(fs) == r->nr_devices - 1 && is_empty(fs, 2);
}

/* --- Resize ---------------------------------------- */

static int shrink(struct reshape *r, struct btrkit_error *error)
{
	return btrkit_device_resize(first_of(r), 1, options_of(r, false), 1, BTRKIT_RESIZE_MIN, 0, NULL, error);
}

static int cut_file(struct reshape *r, struct btrkit_error *error)
{
	struct btrkit_device_options *options = options_of(r, false);

	options->do_truncate = true;
	return btrkit_device_resize(first_of(r), 1, options, 1, BTRKIT_RESIZE_BY_LESS, 64 * MIB, NULL, error);
}

static int cut_again(struct reshape *r, struct btrkit_error *error)
{
	struct btrkit_device_options *options = options_of(r, false);

	options->do_truncate = true;
	return btrkit_device_resize(first_of(r), 1, options, 1, BTRKIT_RESIZE_TO, DEVICE_BYTES - 64 * MIB, NULL, error);
}

static u64 bytes_of_first(const struct btrkit_fs *fs)
{
	return device_set_find(fs->volume->devices, 1, NULL)->total_bytes;
}

static bool is_shrunk(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return bytes_of_first(fs) < DEVICE_BYTES / 2;
}

static bool is_cut(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return bytes_of_first(fs) == DEVICE_BYTES - 64 * MIB;
}

/* --- Replace ---------------------------------------- */

static int replace(struct reshape *r, const char *source, bool prefers_other_copies, struct btrkit_error *error)
{
	const struct btrkit_replacement replacement = { source, new_path(r) };
	struct btrkit_replace_options options;

	btrkit_replace_options_init(&options);
	options.replacements = &replacement;
	options.nr_replacements = 1;
	options.prefers_other_copies = prefers_other_copies;
	return btrkit_device_replace(first_of(r), 1, options_of(r, false), &options, NULL, error);
}

static int replace_first(struct reshape *r, struct btrkit_error *error)
{
	return replace(r, r->paths[0], false, error);
}

static int replace_rotten(struct reshape *r, struct btrkit_error *error)
{
	return replace(r, r->paths[0], true, error);
}

static int replace_missing(struct reshape *r, struct btrkit_error *error)
{
	return replace(r, "missing", false, error);
}

static bool is_replaced(struct reshape *r, struct btrkit_fs *fs)
{
	const struct device *device = device_set_find(fs->volume->devices, 1, NULL);

	return device && device->dev && strcmp(device->dev->name, new_path(r)) == 0;
}

static int replace_first_again(struct reshape *r, struct btrkit_error *error)
{
	return reshape_has_super(r, 0) ? replace_first(r, error) : 0;
}

static int replace_rotten_again(struct reshape *r, struct btrkit_error *error)
{
	return reshape_has_super(r, 0) ? replace_rotten(r, error) : 0;
}

static int replace_missing_again(struct reshape *r, struct btrkit_error *error)
{
	return reshape_is_done(r, "replace missing") ? 0 : replace_missing(r, error);
}

static void lose_first(struct reshape *r)
{
	r->is_gone[0] = true;
}

static void lose_two(struct reshape *r)
{
	r->is_gone[0] = r->is_gone[1] = true;
}

/* Every fifth sector in use of the first device, but for superblocks. */
static void rot_first(struct reshape *r)
{
	u8 sector[4096];
	int fd = open(r->paths[0], O_RDWR | O_CLOEXEC);
	unsigned nr = 0;

	assert_true(fd >= 0);
	for (off_t at = lseek(fd, MIB, SEEK_DATA); at >= 0; at = lseek(fd, at + 5 * 4096, SEEK_DATA)) {
		at = (off_t)round_down_u64((u64)at, sizeof(sector));
		if ((u64)at == super_mirror_physical(1))
			continue;
		memset(sector, (int)nr++, sizeof(sector));
		assert_int_equal(pwrite(fd, sector, sizeof(sector), at), sizeof(sector));
	}
	close(fd);
	assert_true(nr > 10);
	r->is_damaged = true;
}

/* --- Missing ones ---------------------------------------- */

static int remove_missing(struct reshape *r, const char *profile, struct btrkit_error *error)
{
	struct btrkit_remove_missing_options options;

	btrkit_remove_missing_options_init(&options);
	options.data_profile = options.metadata_profile = profile;
	return btrkit_device_remove_missing(first_of(r), 1, options_of(r, false), &options, NULL, error);
}

static int do_without(struct reshape *r, struct btrkit_error *error)
{
	return remove_missing(r, NULL, error);
}

static int do_without_parity(struct reshape *r, struct btrkit_error *error)
{
	return remove_missing(r, "raid1", error);
}

static bool does_without(struct reshape *r, struct btrkit_fs *fs)
{
	return nr_devices_of(fs) == (u64)r->nr_devices - r->is_gone[0] - r->is_gone[1] && is_whole(fs);
}

static int without_again(struct reshape *r, struct btrkit_error *error)
{
	return reshape_is_done(r, "remove missing") ? 0 : r->is->work(r, error);
}

/* A chunk without copies and with nothing in it, on the device that will be missing. */
static void lose_empty_chunk(struct reshape *r)
{
	struct btrkit_open_options options = reshape_open_options(r);
	struct btrkit_error error;
	struct btrkit_fs *fs;
	struct txn *txn;
	struct diag d = { 0 };
	u64 at, len;

	options.is_writable = true;
	AGE(btrkit_fs_open(r->path_list, r->nr_devices, &options, &fs, &error));
	txn = fs->txn;
	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++)
		must(txn_close_group(txn, chunk_map_at(fs->volume->chunks, i)->logical, true, &d), &d);
	txn_set_profile(txn, BLOCK_GROUP_DATA, 0);
	txn_set_profile(txn, BLOCK_GROUP_METADATA, BLOCK_GROUP_RAID1);
	must(txn_limit_device(txn, 2, 0, &d), &d);
	must(txn_limit_device(txn, 3, 0, &d), &d);
	must(txn_alloc_data(txn, 64 * KIB, 64 * KIB, &at, &len, &d), &d);
	must(txn_unalloc_data(txn, at, len, &d), &d);
	must(txn_limit_device(txn, 2, UINT64_MAX, &d), &d);
	must(txn_limit_device(txn, 3, UINT64_MAX, &d), &d);
	must(txn_commit(txn, &d), &d);
	assert_int_equal(chunk_map_find(fs->volume->chunks, at)->stripe[0].devid, 1);
	btrkit_fs_close(fs);
	lose_first(r);
}

/* --- Sizes ---------------------------------------- */

/* The device ends within its chunks, of which there are other copies. */
static void cut_first(struct reshape *r)
{
	assert_int_equal(truncate(r->paths[0], 60 * MIB), 0);
	r->is_damaged = true;
}

static int fix_size(struct reshape *r, struct btrkit_error *error)
{
	return btrkit_device_fix_size(first_of(r), 1, options_of(r, false), NULL, error);
}

static bool is_fixed(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return bytes_of_first(fs) == 60 * MIB;
}

/* --- Chunks that become shorter, where nothing moves ---------------------------------------- */

static u64 short_bytes; /* what the first device will have */

static struct btrkit_fs *open_to_look(struct reshape *r)
{
	struct btrkit_open_options options = reshape_open_options(r);
	struct btrkit_error error;
	struct btrkit_fs *fs;

	options.is_writable = options.is_overlaid = true;
	AGE(btrkit_fs_open(r->path_list, r->nr_devices, &options, &fs, &error));
	return fs;
}

/* Where the last byte in use on the only device ends, in whole pieces, and those behind it that are free in each chunk. */
static u64 end_of_use(struct reshape *r, bool is_for_data)
{
	struct btrkit_fs *fs = open_to_look(r);
	struct diag d = { 0 };
	u64 end = 0, used_end;

	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(fs->volume->chunks, i);

		must(txn_group_used_end(fs->txn, chunk->logical, &used_end, &d), &d);
		if (is_for_data && !(chunk->type & BLOCK_GROUP_DATA))
			used_end = chunk->length;
		for (u16 s = 0; s < chunk->num_stripes; s++)
			end = MAX(end, chunk->stripe[s].physical + used_end);
	}
	assert_true(end < chunk_map_end_on(fs->volume->chunks, 1));
	btrkit_fs_close(fs);
	return (end + STRIPE_LEN_BYTES - 1) / STRIPE_LEN_BYTES * STRIPE_LEN_BYTES;
}

/* All that the plan has is done by ending chunks earlier, or dropping empty ones. */
static void assert_shortens(struct btrkit_device_plan *plan)
{
	struct btrkit_device_step step;
	unsigned nr = 0;

	for (size_t i = 0; btrkit_device_plan_step_at(plan, i, &step) == 0; i++) {
		if (strcmp(step.way, "shorten") != 0 && strcmp(step.way, "remove") != 0)
			fail_msg("chunk %llu: %s", (unsigned long long)step.logical, step.way);
		nr += strcmp(step.way, "shorten") == 0;
	}
	assert_true(nr > 0);
	btrkit_device_plan_free(plan);
}

static int resize_short(struct reshape *r, struct btrkit_device_plan **ret_plan, struct btrkit_error *error)
{
	struct btrkit_device_options *options = options_of(r, false);

	options->is_dry_run = ret_plan;
	return btrkit_device_resize(first_of(r), 1, options, 1, BTRKIT_RESIZE_TO, short_bytes, ret_plan, error);
}

static int make_short(struct reshape *r, struct btrkit_error *error)
{
	return resize_short(r, NULL, error);
}

static bool is_short(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return bytes_of_first(fs) == short_bytes && chunk_map_end_on(fs->volume->chunks, 1) <= short_bytes;
}

/* Data lies last, and its chunk is almost empty. */
static void put_data_last(struct reshape *r)
{
	const struct btrkit_open_options open = reshape_open_options(r);
	struct btrkit_restripe_options options;
	struct btrkit_device_plan *plan;
	struct btrkit_error error;

	btrkit_restripe_options_init(&options);
	options.data = "";
	options.do_copy = true;
	AGE(btrkit_restripe_start(r->path_list, r->nr_devices, &open, &options, NULL, &error));
	short_bytes = end_of_use(r, true);
	AGE(resize_short(r, &plan, &error));
	assert_shortens(plan);
}

/* The device ends behind all that is in use, but before the ends of chunks. */
static void cut_behind_use(struct reshape *r)
{
	struct btrkit_device_options *options = options_of(r, false);
	struct btrkit_device_plan *plan;
	struct btrkit_error error;

	/* Commits need some room in what is for metadata. */
	short_bytes = end_of_use(r, false) + 4 * MIB;
	assert_int_equal(truncate(r->paths[0], (off_t)short_bytes), 0);
	options->is_dry_run = true;
	AGE(btrkit_device_fix_size(first_of(r), 1, options, &plan, &error));
	assert_shortens(plan);
	r->is_damaged = true;
}

/* --- Seeds ---------------------------------------- */

static int mark(struct reshape *r, struct btrkit_error *error)
{
	return btrkit_device_seed_set(first_of(r), 1, options_of(r, false), NULL, error);
}

static int unmark(struct reshape *r, struct btrkit_error *error)
{
	return btrkit_device_seed_clear(first_of(r), 1, options_of(r, true), NULL, error);
}

static bool is_marked(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return le64_get(fs->super.flags) & SUPER_FLAG_SEEDING;
}

static bool is_unmarked(struct reshape *r, struct btrkit_fs *fs)
{
	return !is_marked(r, fs);
}

static void make_seed(struct reshape *r)
{
	struct btrkit_error error;

	AGE(mark(r, &error));
}

static int sprout(struct reshape *r, struct btrkit_error *error)
{
	return btrkit_device_sprout(r->path_list, r->nr_devices, options_of(r, false), new_path(r), NULL, NULL, error);
}

static int sprout_again(struct reshape *r, struct btrkit_error *error)
{
	if (reshape_has_super(r, r->nr_devices))
		return 0;
	return btrkit_device_sprout(r->path_list, r->nr_devices, options_of(r, true), new_path(r), NULL, NULL, error);
}

static bool is_grown(struct reshape *r, struct btrkit_fs *fs)
{
	return nr_devices_of(fs) == r->nr_devices + 1 && !is_marked(r, fs) && is_whole(fs);
}

static void make_sprout(struct reshape *r)
{
	struct btrkit_error error;

	make_seed(r);
	AGE(sprout(r, &error));
}

static int remove_seed(struct reshape *r, struct btrkit_error *error)
{
	const char *path = new_path(r), *which = "1";

	return btrkit_device_remove(&path, 1, options_of(r, false), &which, 1, NULL, error);
}

static int remove_seed_again(struct reshape *r, struct btrkit_error *error)
{
	return reshape_is_done(r, "seed") ? 0 : remove_seed(r, error);
}

static bool is_alone(struct reshape *r, struct btrkit_fs *fs)
{
	(void)r;
	return nr_devices_of(fs) == 1 && !is_marked(r, fs);
}

/* --- The tests ---------------------------------------- */

static const struct reshape_case cases[] = {
	{ "add", SHAPE("raid1", 2), DEVICE_BYTES, NULL, add, add_again, is_added, .first = 0 },
	{ "remove", SHAPE("raid1", 3), 0, NULL, remove_second, remove_again, is_second_removed, .first = 0 },
	{ "shrink", SHAPE("single", 1), 0, NULL, shrink, NULL, is_shrunk, .first = 0 },
	{ "cut", SHAPE("raid1", 2), 0, NULL, cut_file, cut_again, is_cut, .first = 0 },
	{ "replace", SHAPE("raid1", 2), DEVICE_BYTES, NULL, replace_first, replace_first_again, is_replaced, .first = 1,
	  .may_warn = true },
	{ "replace rotten", SHAPE("raid1", 2), DEVICE_BYTES, rot_first, replace_rotten, replace_rotten_again, is_replaced, .first = 1,
	  .may_warn = true, .has_all_csums = true },
	{ "replace missing", SHAPE("raid1", 2), DEVICE_BYTES, lose_first, replace_missing, replace_missing_again, is_replaced,
	  .first = 1 },
	{ "replace missing of raid5", SHAPE("raid5", 3), DEVICE_BYTES, lose_first, replace_missing, replace_missing_again, is_replaced,
	  .first = 1 },
	{ "remove missing", SHAPE("raid1", 3), 0, lose_first, do_without, without_again, does_without, .first = 1 },
	{ "remove missing of raid5", SHAPE("raid5", 3), 0, lose_first, do_without_parity, without_again, does_without, .first = 1 },
	{ "remove two missing of raid6", SHAPE("raid6", 4), 0, lose_two, do_without_parity, without_again, does_without, .first = 2 },
	{ "empty chunk", SHAPE("raid1", 3), 0, lose_empty_chunk, do_without, without_again, does_without, .first = 1 },
	{ "fix-size", SHAPE("raid1", 3), 0, cut_first, fix_size, NULL, is_fixed, .first = 1 },
	{ "fix-size of raid5", SHAPE("raid5", 4), 0, cut_first, fix_size, NULL, is_fixed, .first = 1 },
	{ "shorten", SHAPE("single", 1), 0, put_data_last, make_short, NULL, is_short, .first = 0 },
	{ "fix-size, nothing moves", SHAPE("single", 1), 0, cut_behind_use, fix_size, NULL, is_short, .first = 0 },
	{ "seed set", SHAPE("raid1", 2), 0, NULL, mark, NULL, is_marked, .first = 0 },
	{ "seed clear", SHAPE("raid1", 2), 0, make_seed, unmark, NULL, is_unmarked, .first = 0 },
	{ "sprout", SHAPE("single", 1), DEVICE_BYTES, make_seed, sprout, sprout_again, is_grown, .first = 1, .untouched = 1 },
	{ "seed removed", SHAPE("single", 1), DEVICE_BYTES, make_sprout, remove_seed, remove_seed_again, is_alone, .first = 1,
	  .untouched = 1 },
};

static void power_cuts(void **state)
{
	(void)state;
	reshape_cut_power(cases, ARRAY_LEN(cases), 6);
}

static void failing_devices(void **state)
{
	(void)state;
	reshape_fail(cases, ARRAY_LEN(cases), 8);
}

static void no_memory(void **state)
{
	(void)state;
	reshape_refuse_memory(cases, ARRAY_LEN(cases), 5);
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
