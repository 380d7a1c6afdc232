/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names, links, attributes and references to an extent that all have the same hash, so that they share items or stand in for each
 * other's keys: added, looked up, renamed, exchanged and removed at random, with the check after each commit.
 *
 *	tests/model/test-edit-collisions SHAPE SEED IMAGE    one run by hand, which prints where the file "far" has data
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/model/edit_shapes.h"
#include "tests/unit/colliding_names.h"

#define NR_PARTS 5
#define NR_NAMES (1U << NR_PARTS)
#define NR_FILLERS 24 /* links with long names: more than an INODE_REF of a block of 4 KiB holds */
#define NR_VECTORS 6 /* more places than a block of 16 KiB has references to in one item */
#define NR_PLACES (1U << NR_VECTORS)
#define DATA_BYTES 8192U

struct run {
	struct shaped_fs on;
	u64 seed;
	char parts[2][PART_BYTES + 1];
	struct btrkit_inode dir, hub, data, far;
	u64 named[NR_NAMES]; /* the inode that has the name; 0: none */
	u32 value_bytes[NR_NAMES]; /* of the hub's attribute of that name, and one more; 0: none */
	u64 places[NR_PLACES]; /* offsets in @far with one hash */
	bool has_data[NR_PLACES];
	unsigned nr_done, nr_refused;
};

static u32 number(struct run *r, u32 below)
{
	r->seed = r->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(r->seed >> 33) % below;
}

static void must(struct run *r, const char *what, int err, int expected)
{
	if (err != expected)
		fail_msg("%s after %u: %s: %d, not %d", r->on.what, r->nr_done, what, err, expected);
	if (err)
		r->nr_refused++;
	else
		r->nr_done++;
}

/* --- Names ------------------------------------------------------------------------------------------------------------------ */

static const char *name_of(struct run *r, u32 n, char name[64])
{
	colliding_name(r->parts, n, NR_PARTS, name);
	return name;
}

static u64 made(struct run *r, const char *name)
{
	const struct btrkit_node_attr attr = { .mode = S_IFREG | 0644 };
	struct btrkit_inode inode;

	must(r, "create", btrkit_edit_create(r->on.edit, &r->dir, name, strlen(name), &attr, &inode, NULL), 0);
	return inode.ino;
}

static void do_name(struct run *r)
{
	u32 n = number(r, NR_NAMES), to = number(r, NR_NAMES);
	char name[64], new_name[64];
	size_t len = strlen(name_of(r, n, name));
	struct btrkit_inode from = { r->dir.subvol, r->named[to] };

	name_of(r, to, new_name);
	switch (number(r, 6)) {
	case 0:
		if (!r->named[n])
			r->named[n] = made(r, name);
		return;
	case 1: /* a further name of what has another */
		if (!r->named[to])
			return;
		must(r, "link", btrkit_edit_link(r->on.edit, &from, &r->dir, name, len, NULL), r->named[n] ? -EEXIST : 0);
		r->named[n] = r->named[n] ? r->named[n] : r->named[to];
		return;
	case 2: /* and of what has names that do not fit into its INODE_REF */
		must(r, "link", btrkit_edit_link(r->on.edit, &r->hub, &r->dir, name, len, NULL), r->named[n] ? -EEXIST : 0);
		r->named[n] = r->named[n] ? r->named[n] : r->hub.ino;
		return;
	case 3:
		must(r, "unlink", btrkit_edit_unlink(r->on.edit, &r->dir, name, len, NULL), r->named[n] ? 0 : -ENOENT);
		r->named[n] = 0;
		return;
	case 4:
		must(r, "rename", btrkit_edit_rename(r->on.edit, &r->dir, name, len, &r->dir, new_name, len, 0, NULL),
		     r->named[n] ? 0 : -ENOENT);
		if (r->named[n] && r->named[n] != r->named[to]) {
			r->named[to] = r->named[n];
			r->named[n] = 0;
		}
		return;
	default:
		must(r, "exchange",
		     btrkit_edit_rename(r->on.edit, &r->dir, name, len, &r->dir, new_name, len, BTRKIT_RENAME_EXCHANGE, NULL),
		     r->named[n] && r->named[to] ? 0 : -ENOENT);
		if (r->named[n] && r->named[to]) {
			u64 ino = r->named[n];

			r->named[n] = r->named[to];
			r->named[to] = ino;
		}
	}
}

static void compare_names(struct run *r)
{
	struct btrkit_stat stat;
	u32 nr_hub = 1 + NR_FILLERS;

	for (u32 n = 0; n < NR_NAMES; n++) {
		struct btrkit_inode inode = { 0 };
		char name[64];
		int err = btrkit_lookup(r->on.fs, &r->dir, name_of(r, n, name), &inode, NULL);

		if (err != (r->named[n] ? 0 : -ENOENT) || (!err && inode.ino != r->named[n]))
			fail_msg("%s after %u: name %u is %llu (%d), not %llu", r->on.what, r->nr_done, n,
				 (unsigned long long)inode.ino, err, (unsigned long long)r->named[n]);
		nr_hub += r->named[n] == r->hub.ino;
	}
	assert_int_equal(btrkit_stat(r->on.fs, &r->hub, &stat, NULL), 0);
	assert_int_equal(stat.nlink, nr_hub);
}

/* --- Attributes --------------------------------------------------------------------------------------------------------------- */

static const char *xattr_name(struct run *r, u32 n, char name[80])
{
	char bare[64];

	sprintf(name, "user.%s", name_of(r, n, bare));
	return name;
}

static void do_xattr(struct run *r)
{
	u32 n = number(r, NR_NAMES), len = number(r, 40);
	char name[80];
	u8 value[40];

	xattr_name(r, n, name);
	memset(value, (int)(n + len), sizeof(value));
	if (number(r, 3)) {
		must(r, "setxattr", btrkit_edit_set_xattr(r->on.edit, &r->hub, name, value, len, NULL), 0);
		r->value_bytes[n] = 1 + len;
	} else {
		must(r, "removexattr", btrkit_edit_remove_xattr(r->on.edit, &r->hub, name, NULL), r->value_bytes[n] ? 0 : -ENODATA);
		r->value_bytes[n] = 0;
	}
}

static void compare_xattrs(struct run *r)
{
	for (u32 n = 0; n < NR_NAMES; n++) {
		u8 value[64];
		char name[80];
		size_t len = 0;
		int err = btrkit_xattr_get(r->on.fs, &r->hub, xattr_name(r, n, name), value, sizeof(value), &len, NULL);

		assert_int_equal(err, r->value_bytes[n] ? 0 : -ENODATA);
		if (err)
			continue;
		assert_int_equal(len, r->value_bytes[n] - 1);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(value[i], (u8)(n + len));
	}
}

/* --- References --------------------------------------------------------------------------------------------------------------- */

/*
 * The hash of a reference is linear in the offset: combinations of bits that change nothing in it are found by elimination. All
 * sums of these are offsets with one hash.
 */
static void find_places(struct run *r)
{
	u64 by_hash[64] = { 0 }, by_offset[64] = { 0 }, vectors[NR_VECTORS];
	u64 zero = extent_data_ref_hash(r->far.subvol, r->far.ino, 0);
	unsigned nr = 0;

	for (unsigned bit = 13; bit < 60 && nr < NR_VECTORS; bit++) {
		u64 offset = 1ULL << bit, hash = extent_data_ref_hash(r->far.subvol, r->far.ino, offset) ^ zero;

		for (int top = 63; top >= 0 && hash; top--) {
			if (!(hash >> top & 1))
				continue;
			if (!by_hash[top]) {
				by_hash[top] = hash;
				by_offset[top] = offset;
				break;
			}
			hash ^= by_hash[top];
			offset ^= by_offset[top];
		}
		if (!hash)
			vectors[nr++] = offset;
	}
	assert_int_equal(nr, NR_VECTORS);
	for (u32 i = 0; i < NR_PLACES; i++) {
		for (unsigned v = 0; v < NR_VECTORS; v++)
			r->places[i] ^= i >> v & 1 ? vectors[v] : 0;
		assert_true(extent_data_ref_hash(r->far.subvol, r->far.ino, r->places[i]) == zero);
	}
}

static void do_place(struct run *r)
{
	u32 i = number(r, NR_PLACES);

	if (number(r, 3)) {
		must(r, "clone", btrkit_edit_clone(r->on.edit, &r->data, 0, DATA_BYTES, &r->far, r->places[i], NULL), 0);
		r->has_data[i] = true;
	} else {
		must(r, "punch", btrkit_edit_punch_hole(r->on.edit, &r->far, r->places[i], DATA_BYTES, NULL), 0);
		r->has_data[i] = false;
	}
}

static void compare_places(struct run *r)
{
	struct btrkit_file *file;

	assert_int_equal(btrkit_file_open(r->on.fs, &r->far, &file, NULL), 0);
	for (u32 i = 0; i < NR_PLACES; i++) {
		u8 byte = 0;
		size_t len = 0;

		assert_int_equal(btrkit_file_read(file, r->places[i] + DATA_BYTES - 1, &byte, 1, &len, NULL), 0);
		if (len == 1 ? byte != (r->has_data[i] ? 7 : 0) : r->has_data[i])
			fail_msg("%s after %u: place %u has %u", r->on.what, r->nr_done, i, byte);
	}
	btrkit_file_close(file);
}

/* --- Runs ---------------------------------------------------------------------------------------------------------------------- */

static void settle(struct run *r)
{
	struct btrkit_error error;

	if (btrkit_edit_commit(r->on.edit, &error))
		fail_msg("%s after %u: %s", r->on.what, r->nr_done, error.text);
	shaped_fs_close(&r->on);
	shaped_fs_check(&r->on);
	shaped_fs_open(&r->on);
}

static void begin(struct run *r)
{
	const struct btrkit_node_attr dir = { .mode = S_IFDIR | 0755 };
	u8 data[DATA_BYTES];

	find_parts(r->parts);
	memset(data, 7, sizeof(data));
	must(r, "mkdir", btrkit_edit_create(r->on.edit, &BTRKIT_INODE_TOP, "names", 5, &dir, &r->dir, NULL), 0);
	r->hub = (struct btrkit_inode){ r->dir.subvol, made(r, "hub") };
	r->data = (struct btrkit_inode){ r->dir.subvol, made(r, "data") };
	r->far = r->data;
	must(r, "far", btrkit_edit_create(r->on.edit, &BTRKIT_INODE_TOP, "far", 3, &(struct btrkit_node_attr){ .mode = S_IFREG | 0644 },
					  &r->far, NULL), 0);
	must(r, "write", btrkit_edit_write(r->on.edit, &r->data, 0, data, sizeof(data), NULL), 0);
	find_places(r);
	for (unsigned i = 0; i < NR_FILLERS; i++) {
		char name[200];

		memset(name, 'f', sizeof(name));
		snprintf(name, 8, "%06u", i);
		name[6] = '-';
		must(r, "filler", btrkit_edit_link(r->on.edit, &r->hub, &r->dir, name, sizeof(name), NULL), 0);
	}
}

/* Everything goes, in some order. */
static void empty(struct run *r)
{
	u32 first = number(r, NR_NAMES);
	char name[80];

	for (u32 i = 0; i < NR_NAMES; i++) {
		u32 n = (first + i * 5) % NR_NAMES;

		if (r->named[n])
			must(r, "unlink", btrkit_edit_unlink(r->on.edit, &r->dir, name_of(r, n, name), NR_PARTS * PART_BYTES, NULL), 0);
		if (r->value_bytes[n])
			must(r, "removexattr", btrkit_edit_remove_xattr(r->on.edit, &r->hub, xattr_name(r, n, name), NULL), 0);
		r->named[n] = r->value_bytes[n] = 0;
		compare_names(r);
		compare_xattrs(r);
	}
	for (u32 i = 0; i < NR_PLACES; i++) {
		u32 n = (first + i * 5) % NR_PLACES;

		must(r, "punch", btrkit_edit_punch_hole(r->on.edit, &r->far, r->places[n], DATA_BYTES, NULL), 0);
		r->has_data[n] = false;
		compare_places(r);
	}
}

static struct run *run(const struct shape *shape, u64 seed, const char *image)
{
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->seed = seed;
	shaped_fs_make(&r->on, shape, image);
	snprintf(r->on.what, sizeof(r->on.what), "%s, seed %llu", shape->name, (unsigned long long)seed);
	begin(r);
	for (unsigned step = 0; step < 1200; step++) {
		u32 kind = number(r, 4);

		kind == 0 ? do_name(r) : kind == 1 ? do_xattr(r) : do_place(r);
		compare_names(r);
		compare_xattrs(r);
		if (step % 10 == 0)
			compare_places(r);
		if (number(r, 60) == 0)
			settle(r);
	}
	settle(r);
	return r;
}

static void done(struct run *r, bool do_unlink)
{
	printf("# %s: %u changes, %u refused\n", r->on.what, r->nr_done, r->nr_refused);
	shaped_fs_done(&r->on, do_unlink);
	free(r);
}

static const struct shape *shape_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		if (strcmp(shapes[i].name, name) == 0)
			return &shapes[i];
	return NULL;
}

static void test_collisions(void **state)
{
	struct run *r = run(shape_by_name(*state), 1, NULL);

	empty(r);
	settle(r);
	compare_names(r);
	done(r, true);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		{ "blocks of 4 KiB", test_collisions, NULL, NULL, (void *)"4k" },
		{ "blocks of 16 KiB", test_collisions, NULL, NULL, (void *)"16k" },
		{ "explicit holes", test_collisions, NULL, NULL, (void *)"old" },
	};

	if (argc == 4) {
		struct run *r = run(shape_by_name(argv[1]), strtoull(argv[2], NULL, 0), argv[3]);

		for (u32 i = 0; i < NR_PLACES; i++)
			printf("%llu %d\n", (unsigned long long)r->places[i], r->has_data[i] ? 7 : 0);
		done(r, false);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
