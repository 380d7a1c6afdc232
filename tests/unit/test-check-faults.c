/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* check: places that cannot be read. It goes on with what can be, and says what could not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>

#include "tests/unit/made_fs.h"

#include "check/check.h"
#include "kernel-shared/device/fault_device.h"

#define FILE_BYTES 100000
#define NR_SMALL 30

/* Codes that were said, as often as they were; the last text and path of each. */
struct said {
	struct {
		const char *code;
		unsigned count;
		char text[512], path[64];
	} of[64];
	size_t nr;
	u64 errors; /* and worse */
};

static int take_problem(void *arg, const struct btrkit_problem *problem)
{
	struct said *said = arg;
	size_t i = 0;

	while (i < said->nr && strcmp(said->of[i].code, problem->kind->code) != 0)
		i++;
	assert_true(i < 64);
	said->nr = MAX(said->nr, i + 1);
	said->of[i].code = problem->kind->code;
	said->of[i].count++;
	snprintf(said->of[i].text, sizeof(said->of[i].text), "%s", problem->text);
	if (problem->nr_paths)
		snprintf(said->of[i].path, sizeof(said->of[i].path), "%s", problem->paths[0]);
	said->errors += problem->kind->severity >= BTRKIT_PROBLEM_ERROR;
	return 0;
}

static void expect_said(const struct said *said, const char *code, const char *path)
{
	for (size_t i = 0; i < said->nr; i++) {
		if (strcmp(said->of[i].code, code) != 0)
			continue;
		if (path && strncmp(said->of[i].path, path, strlen(path)) != 0)
			fail_msg("%s names \"%s\", not %s", code, said->of[i].path, path);
		return;
	}
	for (size_t i = 0; i < said->nr; i++)
		print_message("%s: %s\n", said->of[i].code, said->of[i].text);
	fail_msg("%s was not said", code);
}

static void expect_text(const struct said *said, const char *code, const char *text)
{
	for (size_t i = 0; i < said->nr; i++)
		if (strcmp(said->of[i].code, code) == 0 && strstr(said->of[i].text, text))
			return;
	fail_msg("%s does not say \"%s\"", code, text);
}

static void expect_not_said(const struct said *said, const char *code)
{
	for (size_t i = 0; i < said->nr; i++)
		if (strcmp(said->of[i].code, code) == 0)
			fail_msg("%s was said: %s", code, said->of[i].text);
}

/* --- A filesystem over devices with faults ---------------------------------------------------------------------- */

struct world {
	struct made_fs made; /* another opening, to find places with */
	struct fault_list list;
};

static int set_up(void **state)
{
	struct world *world = calloc(1, sizeof(*world));
	struct btrkit_node_attr attr = { .mode = S_IFREG | 0644 };
	struct btrkit_mkfs_options options;
	struct btrkit_content *content;
	static u8 data[FILE_BYTES];
	btrkit_node node;

	assert_non_null(world);
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (u8)(i * 2654435761U >> 13);
	assert_int_equal(btrkit_content_new(&content), 0);
	assert_int_equal(btrkit_content_add(content, BTRKIT_TOP_NODE, "big", 3, &attr, &node, NULL), 0);
	assert_int_equal(btrkit_content_set_data(content, node, data, sizeof(data), 1, NULL), 0);
	for (unsigned i = 0; i < NR_SMALL; i++) {
		char name[16];

		snprintf(name, sizeof(name), "small%u", i);
		assert_int_equal(btrkit_content_add(content, BTRKIT_TOP_NODE, name, strlen(name), &attr, &node, NULL), 0);
	}
	made_fs_options(&options);
	options.free_bytes = 128 * MIB; /* has a second superblock */
	options.nodesize = 4096;
	assert_int_equal(made_fs_new(&world->made, content, &options), 0);
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	made_fs_done(&world->made);
	array_done(&world->list.faults);
	free(world);
	return 0;
}

static void add_fault(struct world *world, u64 physical, u64 len_bytes)
{
	assert_int_equal(array_push(&world->list.faults, (struct fault){ 1, physical, len_bytes }), 0);
}

/* A sector of copy @mirror of a block or of data. */
static void add_fault_at(struct world *world, u64 logical, unsigned mirror)
{
	struct physical_part part;

	assert_int_equal(volume_map(world->made.fs->volume->chunks, logical, 1, mirror, &part), 0);
	add_fault(world, part.physical, 512);
}

static void check_it(struct world *world, bool do_data, struct said *said, struct btrkit_check_result *result)
{
	const struct device_set_options for_set = { .super_mirror = -1 };
	const struct fs_options for_fs = { .super_mirror = -1, .may_be_partial = true };
	const char *paths[] = { world->made.path };
	struct btrkit_check_options options;
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	*said = (struct said){ 0 };
	*result = (struct btrkit_check_result){ 0 };
	assert_int_equal(device_set_open(paths, 1, &for_set, &set, &d), 0);
	array_for_each(&set->devices, device)
		assert_int_equal(fault_device_new(device->dev, &world->list, 1, &device->dev), 0);
	assert_int_equal(fs_open_devices(set, &for_fs, &fs, &d), 0);
	btrkit_check_options_init(&options);
	options.threads = 2;
	options.do_data = do_data;
	assert_int_equal(check_run(fs, &options, take_problem, said, result, &d), 0);
}

static u64 root_of(struct world *world, u64 id)
{
	struct tree tree;

	assert_int_equal(fs_tree(world->made.fs, id, &tree, NULL), 0);
	return tree.root_logical;
}

/* The last leaf of the subvolume, and where the big file's data lies. */
static u64 last_leaf(struct world *world, u64 *ret_data)
{
	struct cursor cursor;
	struct tree tree;
	u64 leaf = 0;

	assert_int_equal(fs_tree(world->made.fs, FS_TREE_OBJECTID, &tree, NULL), 0);
	cursor = cursor_init(&tree);
	for (int err = cursor_first(&cursor, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		leaf = cursor.path[0].block->logical;
		if (cursor_key(&cursor).type == EXTENT_DATA_KEY)
			*ret_data = le64_get(((const struct disk_file_extent_item *)cursor_data(&cursor))->disk_bytenr);
	}
	cursor_done(&cursor);
	return leaf;
}

/* --- Places ------------------------------------------------------------------------------------------------------- */

static void nothing_fails(void **state)
{
	struct btrkit_check_result result;
	struct said said;

	check_it(*state, true, &said, &result);
	assert_int_equal(said.nr, 0);
	assert_int_equal(result.nr_inodes, NR_SMALL + 3);
}

static void superblocks(void **state)
{
	struct btrkit_check_result result;
	struct world *world = *state;
	struct said said;

	add_fault(world, 64 * MIB, 4096);
	check_it(world, false, &said, &result);
	expect_said(&said, "super-copy-bad", NULL);
	expect_text(&said, "super-copy-bad", "cannot read");
	assert_int_equal(said.errors, 1);
	world->list.faults.len = 0;
	add_fault(world, 64 * 1024, 512);
	check_it(world, false, &said, &result);
	expect_said(&said, "super-copy-bad", NULL);
	assert_int_equal(said.errors, 1);
}

static void one_copy_of_each_tree(void **state)
{
	static const u64 trees[] = { ROOT_TREE_OBJECTID,      EXTENT_TREE_OBJECTID, CHUNK_TREE_OBJECTID,
				     DEV_TREE_OBJECTID,	      FS_TREE_OBJECTID,	    CSUM_TREE_OBJECTID,
				     FREE_SPACE_TREE_OBJECTID };
	struct btrkit_check_result result;
	struct world *world = *state;
	struct said said;

	for (unsigned mirror = 1; mirror <= 2; mirror++) {
		world->list.faults.len = 0;
		for (size_t i = 0; i < ARRAY_LEN(trees); i++)
			add_fault_at(world, root_of(world, trees[i]), mirror);
		check_it(world, false, &said, &result);
		expect_said(&said, "block-copy-bad", NULL);
		expect_text(&said, "block-copy-bad", "cannot read");
		assert_int_equal(said.errors, ARRAY_LEN(trees));
		assert_int_equal(said.nr, 1);
		assert_int_equal(result.nr_unreadable_blocks, 0);
		assert_int_equal(result.nr_inodes, NR_SMALL + 3);
	}
}

static void both_copies_of_a_leaf(void **state)
{
	struct btrkit_check_result result;
	struct world *world = *state;
	struct said said;
	u64 data = 0, leaf = last_leaf(world, &data);

	add_fault_at(world, leaf, 1);
	add_fault_at(world, leaf + 1024, 2);
	check_it(world, false, &said, &result);
	expect_said(&said, "block-unreadable", NULL);
	expect_text(&said, "block-unreadable", "cannot read");
	expect_said(&said, "files-behind-block", "/small");
	expect_not_said(&said, "extent-leaked");
	expect_not_said(&said, "extent-missing");
	assert_int_equal(result.nr_unreadable_blocks, 1);
}

/* Each tree's root in turn: never an end without a word, and no complaint of what only cannot be seen. */
static void both_copies_of_each_root(void **state)
{
	static const u64 trees[] = { ROOT_TREE_OBJECTID, EXTENT_TREE_OBJECTID, CHUNK_TREE_OBJECTID,	 DEV_TREE_OBJECTID,
				     FS_TREE_OBJECTID,	 CSUM_TREE_OBJECTID,   FREE_SPACE_TREE_OBJECTID };
	struct btrkit_check_result result;
	struct world *world = *state;
	struct said said;

	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		bool is_lead = trees[i] == ROOT_TREE_OBJECTID || trees[i] == CHUNK_TREE_OBJECTID;

		world->list.faults.len = 0;
		add_fault_at(world, root_of(world, trees[i]), 1);
		add_fault_at(world, root_of(world, trees[i]), 2);
		check_it(world, false, &said, &result);
		expect_said(&said, is_lead ? "cannot-open" : "block-unreadable", NULL);
		expect_text(&said, is_lead ? "cannot-open" : "block-unreadable", "cannot read");
		expect_not_said(&said, "extent-leaked");
		expect_not_said(&said, "extent-missing");
		expect_not_said(&said, "dev-extent-missing");
		expect_not_said(&said, "csum-missing");
		if (trees[i] == CSUM_TREE_OBJECTID)
			expect_said(&said, "csums-behind-block", "/big");
	}
}

static void file_data(void **state)
{
	struct btrkit_check_result result;
	struct world *world = *state;
	struct said said;
	u64 data = 0;

	(void)last_leaf(world, &data);
	add_fault_at(world, data + 8192, 1);
	check_it(world, false, &said, &result);
	assert_int_equal(said.nr, 0); /* it was not read */
	check_it(world, true, &said, &result);
	expect_said(&said, "data-lost", "/big");
	expect_text(&said, "data-lost", "cannot read");
	assert_int_equal(said.errors, 1);
}

static void the_whole_device(void **state)
{
	struct btrkit_check_result result;
	struct said said;

	add_fault(*state, 0, UINT64_MAX / 2);
	check_it(*state, true, &said, &result);
	expect_said(&said, "cannot-open", NULL);
	expect_said(&said, "super-copy-bad", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_fails, set_up, tear_down),
		cmocka_unit_test_setup_teardown(superblocks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(one_copy_of_each_tree, set_up, tear_down),
		cmocka_unit_test_setup_teardown(both_copies_of_a_leaf, set_up, tear_down),
		cmocka_unit_test_setup_teardown(both_copies_of_each_root, set_up, tear_down),
		cmocka_unit_test_setup_teardown(file_data, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_whole_device, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
