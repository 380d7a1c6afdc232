/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sources that no sound filesystem is: each is refused with a reason when it is gathered, and nothing runs for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "convert/inplace/gather.h"

#define TOP_INO 2

struct told_entry {
	u64 dir, child;
	const char *name;
};

struct told {
	struct source source;
	const struct source_inode *inodes;
	size_t nr_inodes;
	const struct told_entry *entries;
	size_t nr_entries;
	const char *data; /* in inodes that have a size */
};

static int scan(struct source *source, struct source_sink *sink, struct progress *progress, struct diag *d)
{
	struct told *told = container_of(source, struct told, source);
	int err = 0;

	(void)progress;
	for (size_t i = 0; i < told->nr_inodes && !err; i++) {
		const struct source_inode *inode = &told->inodes[i];

		err = sink->inode(sink, inode, d);
		if (!err && inode->size && told->data)
			err = sink->bytes(sink, inode->ino, told->data, (size_t)inode->size, d);
		for (size_t e = 0; e < told->nr_entries && !err; e++)
			if (told->entries[e].dir == inode->ino)
				err = sink->entry(sink, inode->ino, told->entries[e].name, strlen(told->entries[e].name),
						  told->entries[e].child, d);
	}
	return err;
}

static const struct source_ops ops = { .scan = scan };

static int gather_told(struct told *told, bool do_skip, struct gathered *ret_gathered, struct diag *d)
{
	const struct gather_options options = { .top_ino = TOP_INO, .do_skip_unsupported = do_skip };

	told->source.ops = &ops;
	return gather(&told->source, &options, NULL, ret_gathered, d);
}

static int finish(struct gathered *gathered, u32 nodesize, struct diag *d)
{
	const struct content_options options = {
		.id.nodesize = nodesize, .sectorsize = 4096, .max_inline_bytes = 2048, .is_placed = true
	};

	return content_finish(gathered->content, &options, d);
}

static const struct source_inode directories[] = {
	{ .ino = TOP_INO, .mode = S_IFDIR | 0755 },
	{ .ino = 12, .mode = S_IFDIR | 0755 },
	{ .ino = 13, .mode = S_IFDIR | 0755 },
	{ .ino = 14, .mode = S_IFREG | 0644 },
	{ .ino = 15, .mode = S_IFREG | 0644 },
};

#define TOLD(inode_list, entry_list) \
	{ .inodes = (inode_list), .nr_inodes = ARRAY_LEN(inode_list), .entries = (entry_list), .nr_entries = ARRAY_LEN(entry_list) }

/* Two directories, each in the other, and in them a name that leads nowhere: its path has no beginning. */
static void test_loop(void **state)
{
	static const struct told_entry entries[] = {
		{ 12, 13, "b" }, { 13, 12, "a" }, { 13, 99, "nothing" }, { TOP_INO, 14, "f" }, { TOP_INO, 15, "g" }
	};
	struct told told = TOLD(directories, entries);
	struct gathered gathered;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(gather_told(&told, false, &gathered, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "not in use"));
}

static void test_same_name(void **state)
{
	static const struct told_entry entries[] = {
		{ TOP_INO, 12, "z" }, { TOP_INO, 14, "same" }, { 12, 13, "same" }, { TOP_INO, 15, "same" }
	};
	struct told told = TOLD(directories, entries);
	struct gathered gathered;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(gather_told(&told, false, &gathered, &d), 0);
	assert_int_equal(finish(&gathered, 4096, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "/same: "));
	gathered_done(&gathered);
}

static void test_dots(void **state)
{
	static const char *const names[] = { ".", "..", "", "a/b" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct told_entry entries[] = { { TOP_INO, 14, names[i] } };
		struct told told = TOLD(directories, entries);
		struct gathered gathered;
		struct diag d = { 0 };

		assert_int_equal(gather_told(&told, false, &gathered, &d), -EUCLEAN);
		assert_non_null(strstr(d.text, "impossible name"));
	}
}

/* Linux cannot have such a size, neither in ext4 nor in Btrfs. */
static void test_size(void **state)
{
	static const struct told_entry entries[] = { { TOP_INO, 12, "f" } };
	struct source_inode inodes[] = { { .ino = TOP_INO, .mode = S_IFDIR | 0755 },
					 { .ino = 12, .mode = S_IFREG | 0644, .size = (u64)INT64_MAX + 1 } };
	struct told told = TOLD(inodes, entries);
	struct gathered gathered;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(gather_told(&told, false, &gathered, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "inode 12"));
	inodes[1].size = INT64_MAX;
	memset(&d, 0, sizeof(d));
	assert_int_equal(gather_told(&told, false, &gathered, &d), 0);
	gathered_done(&gathered);
}

/* Contents that lie in the source's inode have no blocks, so they fit into the tree or the file cannot be had. */
static void test_inline(void **state)
{
	static const struct { u32 nodesize; u64 size; int err; } cases[] = {
		{ 4096, 3949, 0 }, { 4096, 3950, -EOPNOTSUPP }, { 16384, 4095, 0 }, { 16384, 4096, -EOPNOTSUPP }, { 65536, 9000, -EOPNOTSUPP },
	};
	static const struct told_entry entries[] = { { TOP_INO, 12, "f" } };
	static const char data[9000] = "data";

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct source_inode inodes[] = { { .ino = TOP_INO, .mode = S_IFDIR | 0755 },
						       { .ino = 12, .mode = S_IFREG | 0644, .size = cases[i].size } };
		struct told told = TOLD(inodes, entries);
		struct gathered gathered;
		struct diag d = { 0 };

		told.data = data;
		assert_int_equal(gather_told(&told, false, &gathered, &d), 0);
		assert_int_equal(finish(&gathered, cases[i].nodesize, &d), cases[i].err);
		assert_true(!cases[i].err || strstr(d.text, "/f: its"));
		gathered_done(&gathered);
	}
}

/* The saved subvolume gets the first name that is free. */
static void test_saved_name(void **state)
{
	static const struct { const char *taken[4], *expected; } cases[] = {
		{ { "f" }, "ext2_saved" },
		{ { "ext2_saved" }, "ext2_saved_1" },
		{ { "ext2_saved_1", "ext2_saved" }, "ext2_saved_2" },
		{ { "ext2_saved_2", "ext2_saved", "ext2_saved_1x" }, "ext2_saved_1" },
		{ { "ext2_saved_1", "ext2_saved_", "ext2_saved_00", "ext2_save" }, "ext2_saved" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct told_entry entries[ARRAY_LEN(cases[i].taken)];
		struct told told = TOLD(directories, entries);
		_free_ char *name = NULL;
		struct gathered gathered;
		struct diag d = { 0 };

		told.nr_entries = 0;
		for (size_t n = 0; n < ARRAY_LEN(cases[i].taken) && cases[i].taken[n]; n++)
			entries[told.nr_entries++] = (struct told_entry){ TOP_INO, 12 + n, cases[i].taken[n] };
		assert_int_equal(gather_told(&told, true, &gathered, &d), 0);
		assert_int_equal(gather_add_saved_subvol(&gathered, &name, &d), 0);
		assert_string_equal(name, cases[i].expected);
		gathered_done(&gathered);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loop),   cmocka_unit_test(test_same_name), cmocka_unit_test(test_dots),
		cmocka_unit_test(test_size),   cmocka_unit_test(test_inline),	 cmocka_unit_test(test_saved_name),
	};

	return cmocka_run_group_tests_name("gather", tests, NULL, NULL);
}
