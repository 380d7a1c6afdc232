/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Filesystems of which devices are missing: changed all the same, and whole again when other devices have taken the
 * places of those, whatever the profile. Devices that are there are replaced, too, when much of what they hold is
 * rotten.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <btrkit/missing.h>
#include <fcntl.h>

#include "kernel-shared/device/file_device.h"
#include "kernel-shared/relocate/remove_missing.h"
#include "kernel-shared/relocate/swap_device.h"
#include "kernel-shared/volume/volume.h"
#include "tests/unit/txn_work.h"

#define DEVICE_BYTES (8 * GIB)
#define NR_FILES TXN_NR_FILES

struct degraded_shape {
	const char *profile; /* of metadata and data */
	unsigned nr_devices, nr_missing;
	bool is_mixed;
	u32 nodesize;
	u64 left_profile; /* what new chunks can be on what is left */
};

static const struct degraded_shape shapes[] = {
	{ "raid1", 2, 1, false, 16384, BLOCK_GROUP_DUP },   { "raid1", 3, 1, false, 4096, BLOCK_GROUP_RAID1 },
	{ "raid1", 2, 1, true, 4096, BLOCK_GROUP_DUP },	    { "raid1c3", 4, 2, false, 16384, BLOCK_GROUP_RAID1 },
	{ "raid1c4", 4, 3, false, 16384, BLOCK_GROUP_DUP }, { "raid10", 4, 1, false, 16384, BLOCK_GROUP_RAID1 },
	{ "raid5", 3, 1, false, 16384, BLOCK_GROUP_RAID5 }, { "raid5", 4, 1, false, 4096, BLOCK_GROUP_RAID5 },
	{ "raid6", 4, 2, false, 16384, BLOCK_GROUP_RAID1 }, { "raid6", 4, 1, true, 4096, BLOCK_GROUP_RAID6 },
};

struct degraded {
	char paths[TXN_DEVICES_MAX][64];
	unsigned nr_devices;
	bool is_gone[TXN_DEVICES_MAX];
	struct btrkit_fs *fs;
	struct pool *pool;
};

static void must(int err, const struct diag *d)
{
	if (err)
		fail_msg("%s", d->text);
}

/* --- Making, opening, judging ---------------------------------------- */

/* Of all sizes, no sector like another, so that whatever lands in a wrong place is found. */
static struct btrkit_content *content_of_random(void)
{
	const struct btrkit_node_attr attr = { .mode = S_IFREG | 0644 };
	struct btrkit_content *content;
	u64 state = 1;

	assert_int_equal(btrkit_content_new(&content), 0);
	for (unsigned i = 0; i < NR_FILES; i++) {
		size_t len = (size_t)(40000U << i % 7) + i * 4099U;
		u8 *bytes = malloc(len);
		btrkit_node node;
		char name[16];

		for (size_t at = 0; at < len; at++)
			bytes[at] = (u8)next_random(&state);
		snprintf(name, sizeof(name), "file-%u", i);
		assert_int_equal(btrkit_content_add(content, BTRKIT_TOP_NODE, name, strlen(name), &attr, &node, NULL),
				 0);
		assert_int_equal(btrkit_content_set_data(content, node, bytes, len, 0, NULL), 0);
		free(bytes);
	}
	return content;
}

static void new_file(char path[64])
{
	int fd;

	snprintf(path, 64, "%s/btrkit-degraded-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, DEVICE_BYTES), 0);
	close(fd);
}

static void make_as(struct degraded *g, const struct degraded_shape *shape, const char *data_profile)
{
	struct btrkit_mkfs_device devices[TXN_DEVICES_MAX] = { 0 };
	struct btrkit_content *content = content_of_random();
	struct btrkit_mkfs_options options;
	struct btrkit_error error;

	*g = (struct degraded){ .nr_devices = shape->nr_devices };
	btrkit_mkfs_options_init(&options);
	for (unsigned i = 0; i < shape->nr_devices; i++) {
		new_file(g->paths[i]);
		devices[i] = (struct btrkit_mkfs_device){ g->paths[i], DEVICE_BYTES };
	}
	options.devices = devices;
	options.nr_devices = shape->nr_devices;
	options.nodesize = shape->nodesize;
	options.metadata_profile = shape->profile;
	options.data_profile = data_profile;
	options.is_mixed = shape->is_mixed;
	options.seed = "degraded";
	options.is_forced = true;
	if (btrkit_mkfs(&options, content, NULL, &error) != 0)
		fail_msg("%s: %s", shape->profile, error.text);
	btrkit_content_free(content);
	assert_int_equal(pool_new(2, NULL, &g->pool), 0);
}

static void make(struct degraded *g, const struct degraded_shape *shape)
{
	make_as(g, shape, shape->profile);
}

static unsigned list(const struct degraded *g, const char *ret_paths[TXN_DEVICES_MAX])
{
	unsigned nr = 0;

	for (unsigned i = 0; i < g->nr_devices; i++)
		if (!g->is_gone[i])
			ret_paths[nr++] = g->paths[i];
	return nr;
}

static int try_open(struct degraded *g, bool may_be_degraded, struct diag *d)
{
	const struct device_set_options for_devices = { .is_writable = true, .super_mirror = -1 };
	const struct fs_options for_fs = { .is_writable = true, .may_be_degraded = may_be_degraded };
	const char *paths[TXN_DEVICES_MAX];
	struct device_set *devices;

	must(device_set_open(paths, list(g, paths), &for_devices, &devices, d), d);
	return fs_open_devices(devices, &for_fs, &g->fs, d);
}

static void open_degraded(struct degraded *g)
{
	struct diag d = { 0 };

	must(try_open(g, true, &d), &d);
}

static void close_it(struct degraded *g)
{
	btrkit_fs_close(g->fs);
	g->fs = NULL;
}

static void done(struct degraded *g)
{
	close_it(g);
	pool_free(g->pool);
	for (unsigned i = 0; i < g->nr_devices; i++)
		unlink(g->paths[i]);
}

static int not_missing(void *arg, const struct btrkit_problem *problem)
{
	unsigned *nr = arg;

	if (problem->kind->severity >= BTRKIT_PROBLEM_WARNING && strcmp(problem->kind->code, "device-missing") != 0 &&
	    (*nr)++ < 5)
		fprintf(stderr, "%s: %s\n", problem->kind->code, problem->text);
	return 0;
}

/* Sound, apart from what is missing. */
static void check(struct degraded *g, const char *what)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result;
	const char *paths[TXN_DEVICES_MAX];
	struct btrkit_error error;
	unsigned nr_problems = 0;

	btrkit_check_options_init(&options);
	options.open.is_exclusive = false;
	options.open.no_device_scan = true;
	options.threads = 1;
	options.do_data = true;
	if (btrkit_check(paths, list(g, paths), &options, not_missing, &nr_problems, &result, &error) != 0)
		fail_msg("%s: %s", what, error.text);
	if (nr_problems)
		fail_msg("%s: problems were found", what);
}

/* --- Changes of a degraded filesystem ---------------------------------------- */

static void change(struct degraded *g, struct model *model, unsigned nr)
{
	struct tree_root *root;
	struct diag d = { 0 };
	u64 state = nr;

	must(txn_tree(g->fs->txn, FS_TREE_OBJECTID, &root, &d), &d);
	for (unsigned i = 0; i < nr; i++)
		must(change_xattr(root, model, next_random(&state) % NR_NAMES, (u16)(next_random(&state) % 200), &d),
		     &d);
}

/* What is left is changed; then the devices that were away are refused, as what they hold is old. */
static void degraded_filesystems_change(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		static struct model model;
		struct degraded g;
		struct diag d = { 0 };

		memset(&model, 0, sizeof(model));
		make(&g, &shapes[s]);
		for (unsigned i = 0; i < shapes[s].nr_missing; i++)
			g.is_gone[i] = true;
		assert_int_equal(try_open(&g, false, &d), -ENODEV);
		open_degraded(&g);
		txn_set_profile(g.fs->txn, BLOCK_GROUP_METADATA, shapes[s].left_profile);
		txn_set_profile(g.fs->txn, BLOCK_GROUP_SYSTEM, shapes[s].left_profile);
		for (unsigned round = 0; round < 3; round++) {
			change(&g, &model, 400);
			must(txn_commit(g.fs->txn, &d), &d);
		}
		assert_true(has_xattrs(g.fs, FS_TREE_OBJECTID, &model));
		assert_int_equal(le64_get(g.fs->super.num_devices), shapes[s].nr_devices);
		close_it(&g);
		check(&g, shapes[s].profile);
		for (unsigned i = 0; i < shapes[s].nr_missing; i++)
			g.is_gone[i] = false;
		assert_int_equal(try_open(&g, false, &d), -ENODEV);
		assert_non_null(strstr(d.text, "stale"));
		open_degraded(&g);
		assert_int_equal(device_set_nr_missing(g.fs->volume->devices), shapes[s].nr_missing);
		assert_true(has_xattrs(g.fs, FS_TREE_OBJECTID, &model));
		done(&g);
	}
}

/* No device is left that could take a new chunk of the profile: that is said, and nothing happens. */
static void what_does_not_fit_is_refused(void **state)
{
	struct degraded g;
	static struct model model;
	struct diag d = { 0 };
	struct tree_root *root;

	(void)state;
	make(&g, &shapes[0]);
	g.is_gone[1] = true;
	open_degraded(&g);
	must(txn_tree(g.fs->txn, FS_TREE_OBJECTID, &root, &d), &d);
	assert_int_equal(change_xattr(root, &model, 1, 100, &d), -ENOSPC);
	done(&g);
}

/* --- Other devices in their places ---------------------------------------- */

static int swap(struct degraded *g, unsigned first, unsigned nr, const struct swap_rules *rules,
		struct rebuild_result *ret_sum, struct diag *d)
{
	struct relocate relocate = { .fs = g->fs, .pool = g->pool };
	struct device_swap swaps[TXN_DEVICES_MAX] = { 0 };
	char paths[TXN_DEVICES_MAX][64];
	int err;

	*ret_sum = (struct rebuild_result){ 0 };
	for (unsigned i = 0; i < nr; i++) {
		new_file(paths[i]);
		swaps[i].devid = first + i + 1;
		must(file_device_open(paths[i], FILE_DEVICE_WRITE, 0, 0, &swaps[i].dev, d), d);
	}
	err = swap_devices(&relocate, swaps, nr, rules, d);
	for (unsigned i = 0; i < nr; i++) {
		ret_sum->written_bytes += swaps[i].result.written_bytes;
		ret_sum->mended_bytes += swaps[i].result.mended_bytes;
		ret_sum->damaged_bytes += swaps[i].result.damaged_bytes;
		ret_sum->lost_bytes += swaps[i].result.lost_bytes;
		blockdev_close(swaps[i].old);
		unlink(err ? paths[i] : g->paths[first + i]);
		if (!err)
			memcpy(g->paths[first + i], paths[i], sizeof(paths[i]));
		g->is_gone[first + i] &= err != 0;
	}
	return err;
}

/* All at once, and one by one, where the profile lets a commit happen between them. */
static void missing_devices_are_replaced(void **state)
{
	(void)state;
	for (size_t n = 0; n < 2 * ARRAY_LEN(shapes); n++) {
		const struct degraded_shape *shape = &shapes[n / 2];
		unsigned first = n & 1 ? shape->nr_devices - shape->nr_missing : 0;
		bool is_one_by_one = (n & 1) && shape->nr_missing > 1 && strcmp(shape->profile, "raid1c4") != 0;
		const struct swap_rules rules = { 0 };
		struct rebuild_result result;
		struct degraded g;
		struct diag d = { 0 };

		make(&g, shape);
		for (unsigned i = 0; i < shape->nr_missing; i++)
			g.is_gone[first + i] = true;
		for (unsigned i = 0; i < (is_one_by_one ? shape->nr_missing : 1); i++) {
			open_degraded(&g);
			must(swap(&g, first + i, is_one_by_one ? 1 : shape->nr_missing, &rules, &result, &d), &d);
			assert_true(result.written_bytes > 0);
			assert_int_equal(result.damaged_bytes + result.lost_bytes, 0);
			close_it(&g);
		}
		check(&g, shape->profile);
		assert_int_equal(try_open(&g, false, &d), 0);
		done(&g);
	}
}

/* Where there is no room for the commit, it says what to do. */
static void several_have_to_come_at_once(void **state)
{
	const struct swap_rules rules = { 0 };
	struct rebuild_result result;
	struct degraded g;
	struct diag d = { 0 };

	(void)state;
	make(&g, &shapes[4]);
	g.is_gone[0] = g.is_gone[1] = true;
	open_degraded(&g);
	assert_int_equal(swap(&g, 0, 1, &rules, &result, &d), -ENOSPC);
	assert_non_null(strstr(d.text, "at the same time"));
	must(swap(&g, 0, 2, &rules, &result, &d), &d);
	close_it(&g);
	check(&g, "all at once");
	done(&g);
}

/* Bad bytes all over one device, but for its superblocks. */
static void let_rot(const char *path)
{
	u8 junk[4096];
	u64 state = 7;
	int fd = open(path, O_WRONLY);

	for (u64 at = MIB; at < DEVICE_BYTES;) {
		for (size_t i = 0; i < sizeof(junk); i++)
			junk[i] = (u8)next_random(&state);
		at += (next_random(&state) % 24 + 1) * 4096ULL;
		if (at >= 400 * MIB)
			at = DEVICE_BYTES;
		else if (at / (64 * KIB) != 64 * MIB / (64 * KIB))
			assert_int_equal(pwrite(fd, junk, sizeof(junk), (off_t)at), sizeof(junk));
	}
	close(fd);
}

static void rotten_devices_are_replaced(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		const struct swap_rules rules = { .prefers_others = s & 1 };
		struct rebuild_result result;
		struct degraded g;
		struct diag d = { 0 };

		make(&g, &shapes[s]);
		let_rot(g.paths[0]);
		open_degraded(&g);
		must(swap(&g, 0, 1, &rules, &result, &d), &d);
		assert_true(rules.prefers_others || result.mended_bytes > 0);
		assert_int_equal(result.damaged_bytes + result.lost_bytes, 0);
		close_it(&g);
		check(&g, shapes[s].profile);
		done(&g);
	}
}

/* What only that device had: refused, and all is as it was; or taken as it is. */
static void what_is_lost_is_said(void **state)
{
	static const struct degraded_shape shape = { "single", 2, 1, false, 16384, 0 };
	const struct swap_rules strict = { 0 }, lax = { .accepts_loss = true };
	struct rebuild_result result;
	struct degraded g;
	struct diag d = { 0 };
	u8 junk[4096] = { 1 };
	const struct chunk *chunk;
	u64 devid, physical, generation;
	int fd;

	(void)state;
	make(&g, &shape);
	open_degraded(&g);
	for (size_t i = 0; (chunk = chunk_map_at(g.fs->volume->chunks, i)); i++)
		if (chunk->type & BLOCK_GROUP_DATA)
			break;
	devid = chunk->stripe[0].devid;
	physical = chunk->stripe[0].physical + 8192;
	generation = le64_get(g.fs->super.generation);
	fd = open(g.paths[devid - 1], O_WRONLY);
	assert_int_equal(pwrite(fd, junk, sizeof(junk), (off_t)physical), sizeof(junk));
	close(fd);
	assert_int_equal(swap(&g, (unsigned)devid - 1, 1, &strict, &result, &d), -EIO);
	close_it(&g);
	open_degraded(&g);
	assert_int_equal(le64_get(g.fs->super.generation), generation);
	must(swap(&g, (unsigned)devid - 1, 1, &lax, &result, &d), &d);
	assert_int_equal(result.damaged_bytes, 4096);
	done(&g);
}

/* --- Without them ---------------------------------------- */

static int remove_missing(struct degraded *g, bool converts, u64 profile, bool accepts_loss, u64 *ret_lost,
			  struct diag *d)
{
	struct relocate relocate = { .fs = g->fs, .pool = g->pool };
	u64 devids[TXN_DEVICES_MAX];
	struct removal removal = { .relocate = &relocate, .devids = devids, .accepts_loss = accepts_loss };
	int err;

	removal.data = removal.metadata = (struct type_profile){ converts, profile };
	for (unsigned i = 0; i < g->nr_devices; i++)
		if (g->is_gone[i])
			devids[removal.nr++] = i + 1;
	err = removal_run(&removal, d);
	*ret_lost = removal.lost_bytes;
	return err;
}

struct removal_shape {
	struct degraded_shape shape;
	bool converts;
	u64 profile;
};

/* All that was there is there, on fewer devices. */
static void filesystems_do_without(void **state)
{
	static const struct removal_shape removals[] = {
		{ { "raid1", 3, 1, false, 4096, 0 }, false, 0 },
		{ { "raid1", 2, 1, false, 16384, 0 }, true, BLOCK_GROUP_DUP },
		{ { "raid1", 2, 1, true, 4096, 0 }, true, 0 },
		{ { "raid1c3", 4, 1, false, 16384, 0 }, false, 0 },
		{ { "raid1c3", 4, 2, false, 16384, 0 }, true, BLOCK_GROUP_RAID1 },
		{ { "raid1c4", 4, 3, false, 16384, 0 }, true, BLOCK_GROUP_DUP },
		{ { "raid10", 4, 1, false, 16384, 0 }, true, BLOCK_GROUP_RAID1 },
		{ { "raid5", 4, 1, false, 16384, 0 }, true, BLOCK_GROUP_RAID1 },
		{ { "raid6", 4, 2, false, 16384, 0 }, true, BLOCK_GROUP_RAID1 },
	};

	(void)state;
	for (size_t n = 0; n < ARRAY_LEN(removals); n++) {
		const struct removal_shape *removal = &removals[n];
		unsigned left = removal->shape.nr_devices - removal->shape.nr_missing;
		struct degraded g;
		struct diag d = { 0 };
		u64 lost;

		make(&g, &removal->shape);
		for (unsigned i = 0; i < removal->shape.nr_missing; i++)
			g.is_gone[n & 1 ? i : removal->shape.nr_devices - 1 - i] = true;
		open_degraded(&g);
		if (left < profile_by_name(removal->shape.profile)->devs_min) {
			u64 generation = le64_get(g.fs->super.generation);

			assert_int_equal(remove_missing(&g, false, 0, false, &lost, &d), -ENOSPC);
			assert_int_equal(le64_get(g.fs->super.generation), generation);
		}
		must(remove_missing(&g, removal->converts, removal->profile, false, &lost, &d), &d);
		assert_int_equal(lost, 0);
		close_it(&g);
		check(&g, removal->shape.profile);
		assert_int_equal(try_open(&g, false, &d), 0);
		assert_int_equal(le64_get(g.fs->super.num_devices), left);
		done(&g);
	}
}

static int count_lost_file(void *arg, const struct btrkit_lost_file *file)
{
	assert_non_null(file->path);
	assert_int_equal(strncmp(file->path, "/file-", 6), 0);
	*(u64 *)arg += file->lost_bytes;
	return 0;
}

static int count_lost_data(void *arg, const struct btrkit_problem *problem)
{
	if (problem->kind->severity >= BTRKIT_PROBLEM_WARNING && strcmp(problem->kind->code, "data-lost") != 0)
		fail_msg("%s: %s", problem->kind->code, problem->text);
	*(unsigned *)arg += problem->kind->severity >= BTRKIT_PROBLEM_WARNING;
	return 0;
}

/* Data that only a missing device had is named, and refused; or given up, when it cannot be read and all else is right.
 */
static void lost_data_is_named_and_given_up(void **state)
{
	static const char *const profiles_of_data[] = { "single", "raid0" };

	(void)state;
	for (size_t p = 0; p < ARRAY_LEN(profiles_of_data); p++) {
		const struct degraded_shape shape = { "raid1", 3, 1, false, 16384, 0 };
		struct btrkit_check_options options;
		struct btrkit_check_result result;
		const char *paths[TXN_DEVICES_MAX];
		struct btrkit_error error;
		unsigned nr_problems = 0;
		struct degraded g;
		struct diag d = { 0 };
		u64 lost = 0, named = 0, generation, devid = 0;

		make_as(&g, &shape, profiles_of_data[p]);
		open_degraded(&g);
		for (size_t i = 0; i < chunk_map_count(g.fs->volume->chunks); i++)
			if (chunk_map_at(g.fs->volume->chunks, i)->type & BLOCK_GROUP_DATA)
				devid = chunk_map_at(g.fs->volume->chunks, i)->stripe[0].devid;
		close_it(&g);
		g.is_gone[devid - 1] = true;
		open_degraded(&g);
		assert_int_equal(btrkit_device_lost_files(g.fs, count_lost_file, &named, &error), 0);
		assert_true(named > 0);
		generation = le64_get(g.fs->super.generation);
		assert_int_equal(remove_missing(&g, false, 0, false, &lost, &d), -ENODATA);
		assert_int_equal(le64_get(g.fs->super.generation), generation);
		must(remove_missing(&g, false, 0, true, &lost, &d), &d);
		assert_int_equal(lost, named);
		close_it(&g);
		btrkit_check_options_init(&options);
		options.open.no_device_scan = true;
		options.threads = 1;
		options.do_data = true;
		assert_int_equal(
			btrkit_check(paths, list(&g, paths), &options, count_lost_data, &nr_problems, &result, &error),
			0);
		assert_true(nr_problems > 0);
		done(&g);
	}
}

/* The chunk that keeps Linux from mounting what is left: nothing is in it, and nothing is lost with it. */
static void empty_chunks_on_missing_devices_go(void **state)
{
	static const struct degraded_shape shape = { "raid1", 3, 1, false, 16384, 0 };
	struct txn *txn;
	struct degraded g;
	struct diag d = { 0 };
	u64 at, len, lost;

	(void)state;
	make(&g, &shape);
	open_degraded(&g);
	txn = g.fs->txn;
	for (size_t i = 0; i < chunk_map_count(g.fs->volume->chunks); i++)
		must(txn_close_group(txn, chunk_map_at(g.fs->volume->chunks, i)->logical, true, &d), &d);
	txn_set_profile(txn, BLOCK_GROUP_DATA, 0);
	txn_set_profile(txn, BLOCK_GROUP_METADATA, BLOCK_GROUP_RAID1);
	must(txn_limit_device(txn, 1, 0, &d), &d);
	must(txn_limit_device(txn, 2, 0, &d), &d);
	must(txn_alloc_data(txn, 64 * KIB, 64 * KIB, &at, &len, &d), &d);
	must(txn_unalloc_data(txn, at, len, &d), &d);
	must(txn_limit_device(txn, 1, UINT64_MAX, &d), &d);
	must(txn_limit_device(txn, 2, UINT64_MAX, &d), &d);
	must(txn_commit(txn, &d), &d);
	assert_int_equal(chunk_map_find(g.fs->volume->chunks, at)->num_stripes, 1);
	assert_int_equal(chunk_map_find(g.fs->volume->chunks, at)->stripe[0].devid, 3);
	close_it(&g);
	g.is_gone[2] = true;
	open_degraded(&g);
	must(remove_missing(&g, false, 0, false, &lost, &d), &d);
	assert_null(chunk_map_find(g.fs->volume->chunks, at));
	close_it(&g);
	check(&g, "an empty chunk has gone");
	done(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(degraded_filesystems_change),
		cmocka_unit_test(what_does_not_fit_is_refused),
		cmocka_unit_test(missing_devices_are_replaced),
		cmocka_unit_test(several_have_to_come_at_once),
		cmocka_unit_test(rotten_devices_are_replaced),
		cmocka_unit_test(what_is_lost_is_said),
		cmocka_unit_test(filesystems_do_without),
		cmocka_unit_test(lost_data_is_named_and_given_up),
		cmocka_unit_test(empty_chunks_on_missing_devices_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
