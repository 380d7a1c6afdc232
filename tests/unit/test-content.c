/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is put into a filesystem: names, links, attributes, data, subvolumes, and their limits; read back where it counts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "kernel-shared/format/disk.h"
#include "kernel-shared/format/name_hash.h"
#include "tests/unit/colliding_names.h"
#include "tests/unit/made_fs.h"

static const struct btrkit_node_attr file_attr = { .mode = S_IFREG | 0644, .mtime = { 1, 2 } };
static const struct btrkit_node_attr dir_attr = { .mode = S_IFDIR | 0755, .mtime = { 3, 4 } };

static struct btrkit_content *new_content(void)
{
	struct btrkit_content *content;

	assert_int_equal(btrkit_content_new(&content), 0);
	return content;
}

static btrkit_node add(struct btrkit_content *content, btrkit_node parent, const char *name,
		       const struct btrkit_node_attr *attr)
{
	struct btrkit_error error;
	btrkit_node node = 0;

	if (btrkit_content_add(content, parent, name, strlen(name), attr, &node, &error) != 0)
		fail_msg("%s", error.text);
	return node;
}

static btrkit_node add_file(struct btrkit_content *content, btrkit_node parent, const char *name, const char *data)
{
	btrkit_node node = add(content, parent, name, &file_attr);

	assert_int_equal(btrkit_content_set_data(content, node, data, strlen(data), 0, NULL), 0);
	return node;
}

static int link_name(struct btrkit_content *content, btrkit_node parent, const char *name, btrkit_node node)
{
	return btrkit_content_link(content, parent, name, strlen(name), node, NULL);
}

static int set_xattr(struct btrkit_content *content, btrkit_node node, const char *name, const void *value, size_t len)
{
	return btrkit_content_set_xattr(content, node, name, value, len, NULL);
}

/* --- Names ---------------------------------------------------------------------------------------------------- */

static void a_name_given_twice_is_replaced(void **state)
{
	struct btrkit_content *content = new_content();
	struct btrkit_node_attr other = dir_attr;
	struct btrkit_inode inode;
	struct made_fs made;
	btrkit_node dir;

	(void)state;
	add_file(content, 0, "file", "old");
	add_file(content, 0, "file", "new");
	dir = add(content, 0, "dir", &dir_attr); /* a directory is kept */
	add_file(content, dir, "kept", "k");
	other.mode = S_IFDIR | 0700;
	assert_int_equal(add(content, 0, "dir", &other), dir);
	dir = add(content, 0, "dir to file", &dir_attr);
	add_file(content, dir, "lost", "l");
	add_file(content, 0, "dir to file", "f");
	add_file(content, 0, "file to dir", "x");
	add_file(content, add(content, 0, "file to dir", &dir_attr), "inner", "i");
	dir = add(content, 0, "dir to file and back", &dir_attr);
	add_file(content, dir, "lost", "l");
	add_file(content, 0, "dir to file and back", "x");
	assert_true(add(content, 0, "dir to file and back", &dir_attr) != dir);

	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	made_fs_expect(&made, "/file", "new", 3);
	made_fs_expect(&made, "/dir/kept", "k", 1);
	assert_int_equal(made_fs_stat(&made, "/dir").mode, S_IFDIR | 0700);
	made_fs_expect(&made, "/dir to file", "f", 1);
	made_fs_expect(&made, "/file to dir/inner", "i", 1);
	assert_int_equal(made_fs_count(&made, "/dir to file and back"), 0);
	assert_false(made_fs_find(&made, "/dir to file and back/lost", &inode));
	assert_int_equal(made_fs_count(&made, "/"), 5);
	made_fs_done(&made);
}

static void names_can_be_taken_away(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node dir = add(content, 0, "dir", &dir_attr), node;
	btrkit_node file = add_file(content, dir, "a", "1");
	struct btrkit_inode inode;
	struct made_fs made;

	(void)state;
	assert_int_equal(link_name(content, 0, "b", file), 0);
	assert_int_equal(btrkit_content_remove(content, dir, "a", 1, NULL), 0);
	assert_int_equal(btrkit_content_remove(content, dir, "a", 1, NULL), -ENOENT);
	assert_int_equal(btrkit_content_lookup(content, dir, "a", 1, &node), -ENOENT);
	assert_int_equal(btrkit_content_lookup(content, 0, "b", 1, &node), 0);
	assert_int_equal(node, file);
	add_file(content, 0, "gone", "2");
	assert_int_equal(btrkit_content_remove(content, 0, "gone", 4, NULL), 0);
	add_file(content, 0, "again", "3");
	assert_int_equal(btrkit_content_remove(content, 0, "again", 5, NULL), 0);
	add_file(content, 0, "again", "4");

	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	assert_int_equal(made_fs_count(&made, "/dir"), 0);
	made_fs_expect(&made, "/b", "1", 1);
	assert_int_equal(made_fs_stat(&made, "/b").nlink, 1);
	made_fs_expect(&made, "/again", "4", 1);
	assert_false(made_fs_find(&made, "/gone", &inode));
	made_fs_done(&made);
}

static void impossible_names_are_refused(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node file = add_file(content, 0, "file", "x"), node;
	struct btrkit_error error = { 0 };
	struct made_fs made;
	char name[300];

	(void)state;
	memset(name, 'n', sizeof(name));
	assert_int_equal(btrkit_content_add(content, 0, name, 256, &file_attr, &node, &error), -ENAMETOOLONG);
	assert_int_equal(error.err, -ENAMETOOLONG);
	assert_non_null(strstr(error.text, "256 bytes"));
	assert_int_equal(btrkit_content_link(content, 0, name, 300, file, &error), -ENAMETOOLONG);
	assert_int_equal(btrkit_content_add(content, 0, "", 0, &file_attr, &node, &error), -EINVAL);
	assert_int_equal(btrkit_content_add(content, 0, ".", 1, &file_attr, &node, &error), -EINVAL);
	assert_int_equal(btrkit_content_add(content, 0, "..", 2, &file_attr, &node, &error), -EINVAL);
	assert_int_equal(btrkit_content_add(content, 0, "a/b", 3, &file_attr, &node, &error), -EINVAL);
	assert_int_equal(btrkit_content_add(content, 0, "a\0b", 3, &file_attr, &node, &error), -EINVAL);
	assert_int_equal(btrkit_content_add(content, file, "x", 1, &file_attr, &node, &error), -ENOTDIR);
	assert_int_equal(btrkit_content_add(content, 4242, "x", 1, &file_attr, &node, &error), -EINVAL);
	assert_int_equal(btrkit_content_add(content, 0, "x", 1, &(struct btrkit_node_attr){ .mode = 0644 }, &node, &error),
			 -EINVAL);
	assert_int_equal(btrkit_content_nr_nodes(content), 2);

	name[255] = '\0';
	add_file(content, 0, name, "255");
	add_file(content, 0, "...", "dots");
	add_file(content, 0, "\xff\n\\ \x01", "odd");
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	made_fs_expect(&made, name, "255", 3);
	made_fs_expect(&made, "...", "dots", 4);
	made_fs_expect(&made, "\xff\n\\ \x01", "odd", 3);
	made_fs_done(&made);
}

/* The content hands out names that are its own; what is added may move them. */
static void the_contents_own_bytes_may_be_given_back(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node node = add_file(content, 0, "a name to be copied many times", "x");
	btrkit_node dir = 0, inner;
	struct made_fs made;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		struct btrkit_error error;
		const char *name;
		size_t name_len;

		dir = add(content, dir, "d", &dir_attr);
		(void)btrkit_content_parent(content, node, &name, &name_len);
		if (btrkit_content_add(content, dir, name, name_len, &file_attr, &inner, &error) != 0)
			fail_msg("%s", error.text);
		(void)btrkit_content_parent(content, node, &name, &name_len);
		assert_int_equal(btrkit_content_set_data(content, inner, name, name_len, 0, NULL), 0);
	}
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	made_fs_expect(&made, "d/d/d/a name to be copied many times", "a name to be copied many times", 30);
	made_fs_done(&made);
}

/* --- Names with equal hashes --------------------------------------------------------------------------------------- */

static int see_xattr(void *arg, const char *name, size_t name_len, const void *value, size_t value_len)
{
	(void)name_len;
	assert_memory_equal(value, name + 5, value_len); /* what the test gave */
	(*(unsigned *)arg)++;
	return 0;
}

static void names_with_one_hash_live_together(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node dir = add(content, 0, "dir", &dir_attr);
	char parts[2][PART_BYTES + 1], name[64], path[100];
	struct btrkit_inode inode;
	struct made_fs made;
	unsigned nr = 0;

	(void)state;
	find_parts(parts);
	for (unsigned n = 0; n < 32; n++) {
		char attribute[80];

		colliding_name(parts, n, 5, name);
		add_file(content, dir, name, name);
		/* The attributes' names have one hash, too. */
		snprintf(attribute, sizeof(attribute), "user.%s", name);
		assert_int_equal(set_xattr(content, dir, attribute, name, strlen(name)), 0);
	}
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	assert_int_equal(made_fs_count(&made, "/dir"), 32);
	for (unsigned n = 0; n < 32; n++) {
		colliding_name(parts, n, 5, name);
		snprintf(path, sizeof(path), "/dir/%s", name);
		made_fs_expect(&made, path, name, strlen(name));
	}
	colliding_name(parts, 0, 4, name); /* shorter: another hash */
	snprintf(path, sizeof(path), "/dir/%s", name);
	assert_false(made_fs_find(&made, path, &inode));
	assert_true(made_fs_find(&made, "/dir", &inode));
	assert_int_equal(btrkit_xattr_for_each(made.fs, &inode, see_xattr, &nr, NULL), 0);
	assert_int_equal(nr, 32);
	made_fs_done(&made);
}

static void too_many_names_with_one_hash_are_refused_by_name(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node dir = add(content, 0, "crowded", &dir_attr);
	char parts[2][PART_BYTES + 1], name[100];
	struct made_fs made;

	(void)state;
	find_parts(parts);
	for (unsigned n = 0; n < 512; n++) { /* 512 * (30 + 72) bytes are more than a block */
		colliding_name(parts, n, 9, name);
		add_file(content, dir, name, "x");
	}
	assert_int_equal(made_fs_new(&made, content, NULL), -EOVERFLOW);
	assert_non_null(strstr(made.error.text, "/crowded/"));
	made_fs_done(&made);
}

/* --- Order ----------------------------------------------------------------------------------------------------------- */

#define NR_ORDERED 60

/* Entry @n of a tree, independent of all others but its directories. */
static void add_ordered(struct btrkit_content *content, unsigned n)
{
	struct btrkit_node_attr attr = n % 7 ? file_attr : dir_attr;
	btrkit_node dir = add(content, 0, n % 2 ? "odd" : "even", &dir_attr), node;
	char name[40];

	snprintf(name, sizeof(name), "name %u", n * 7919 % 97);
	node = add(content, dir, name, &attr);
	snprintf(name, sizeof(name), "user.number%u", n % 5);
	set_xattr(content, node, name, name, n % 5);
	set_xattr(content, node, "user.also", "", 0);
	if (n % 7 == 0)
		return;
	if (n % 3 == 0)
		assert_int_equal(btrkit_content_set_data(content, node, "0123456789", n % 10, 0, NULL), 0);
	snprintf(name, sizeof(name), "link %u", n);
	assert_int_equal(link_name(content, 0, name, node), 0);
}

static u8 *image_of_order(unsigned step, size_t *ret_len)
{
	struct btrkit_content *content = new_content();
	struct made_fs made;
	struct stat st;
	FILE *file;
	u8 *bytes;

	for (unsigned n = 0; n < NR_ORDERED; n++)
		add_ordered(content, n * step % NR_ORDERED);
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	assert_int_equal(stat(made.path, &st), 0);
	bytes = malloc((size_t)st.st_size);
	file = fopen(made.path, "rb");
	assert_non_null(file);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, (size_t)st.st_size, file), st.st_size);
	fclose(file);
	made_fs_done(&made);
	*ret_len = (size_t)st.st_size;
	return bytes;
}

static void the_order_of_adding_changes_no_byte(void **state)
{
	static const unsigned steps[] = { 7, 13, 59 }; /* 59: backwards */
	size_t len, other_len;
	u8 *bytes = image_of_order(1, &len);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		u8 *other = image_of_order(steps[i], &other_len);

		assert_int_equal(len, other_len);
		assert_int_equal(memcmp(bytes, other, len), 0);
		free(other);
	}
	free(bytes);
}

/* --- Hard links -------------------------------------------------------------------------------------------------------- */

static void a_file_may_have_many_names(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node dir = add(content, 0, "dir", &dir_attr), file = add_file(content, 0, "first", "data");
	struct made_fs made;
	u64 ino;
	char name[260];

	(void)state;
	for (unsigned i = 0; i < 400; i++) { /* more than one INODE_REF holds: extended ones follow */
		snprintf(name, sizeof(name), "%0200u", i);
		assert_int_equal(link_name(content, i % 4 ? dir : 0, name, file), 0);
	}
	assert_int_equal(link_name(content, dir, "same", file), 0);
	assert_int_equal(link_name(content, dir, "same", file), 0); /* the same again is no further link */
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	ino = made_fs_stat(&made, "/first").inode.ino;
	assert_int_equal(made_fs_stat(&made, "/first").nlink, 402);
	for (unsigned i = 0; i < 400; i++) {
		snprintf(name, sizeof(name), "%s%0200u", i % 4 ? "/dir/" : "/", i);
		assert_int_equal(made_fs_stat(&made, name).inode.ino, ino);
	}
	assert_int_equal(made_fs_count(&made, "/dir"), 301);
	made_fs_done(&made);
}

static void links_replace_and_are_replaced(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node a = add_file(content, 0, "a", "A"), b = add_file(content, 0, "b", "B");
	btrkit_node dir = add(content, 0, "dir", &dir_attr);
	struct made_fs made;

	(void)state;
	assert_int_equal(link_name(content, 0, "c", a), 0);
	assert_int_equal(link_name(content, 0, "a", b), 0); /* a's first name now is b's */
	assert_int_equal(link_name(content, 0, "d", a), 0);
	assert_int_equal(link_name(content, 0, "x", dir), -EISDIR);
	assert_int_equal(link_name(content, 0, "x", 12345), -EINVAL);
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	made_fs_expect(&made, "/a", "B", 1);
	made_fs_expect(&made, "/b", "B", 1);
	made_fs_expect(&made, "/c", "A", 1);
	made_fs_expect(&made, "/d", "A", 1);
	assert_int_equal(made_fs_stat(&made, "/a").nlink, 2);
	assert_int_equal(made_fs_stat(&made, "/d").nlink, 2);
	made_fs_done(&made);
}

/* --- Subvolumes ---------------------------------------------------------------------------------------------------------- */

static void subvolumes_nest(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node outer = add(content, 0, "outer", &dir_attr), dir = add(content, outer, "dir", &dir_attr);
	btrkit_node inner = add(content, dir, "inner", &dir_attr);
	struct btrkit_fs_info info;
	struct btrkit_subvol subvol;
	struct btrkit_stat stat;
	struct made_fs made;

	(void)state;
	add_file(content, inner, "deep", "down");
	assert_int_equal(link_name(content, outer, "twice", add_file(content, outer, "once", "1")), 0);
	assert_int_equal(btrkit_content_set_subvol(content, inner, BTRKIT_SUBVOL_RDONLY, NULL), 0);
	assert_int_equal(btrkit_content_set_subvol(content, outer, BTRKIT_SUBVOL_DEFAULT, NULL), 0);
	assert_int_equal(btrkit_content_set_subvol(content, 0, BTRKIT_SUBVOL_RDONLY, NULL), -EINVAL);
	assert_int_equal(btrkit_content_set_subvol(content, add_file(content, 0, "file", ""), 0, NULL), -EINVAL);
	add(content, 0, "outer", &dir_attr); /* kept, and stays a subvolume */

	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	made_fs_expect(&made, "/outer/dir/inner/deep", "down", 4);
	assert_int_equal(made_fs_stat(&made, "/outer/once").nlink, 2);
	stat = made_fs_stat(&made, "/outer/dir/inner");
	assert_int_equal(stat.inode.ino, BTRKIT_TOP_DIR);
	assert_int_equal(btrkit_subvol_get(made.fs, stat.inode.subvol, &subvol, NULL), 0);
	assert_true(subvol.is_read_only && !subvol.is_default);
	assert_string_equal(subvol.name, "inner");
	stat = made_fs_stat(&made, "/outer");
	assert_int_equal(subvol.parent_id, stat.inode.subvol);
	btrkit_fs_get_info(made.fs, &info, sizeof(info));
	assert_int_equal(info.default_subvol, stat.inode.subvol);
	made_fs_done(&made);
}

static void links_do_not_cross_subvolumes(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node subvol = add(content, 0, "sub", &dir_attr), file = add_file(content, 0, "file", "x");
	struct made_fs made;

	(void)state;
	assert_int_equal(btrkit_content_set_subvol(content, subvol, 0, NULL), 0);
	assert_int_equal(link_name(content, subvol, "across", file), 0); /* it may still become an ordinary directory's */
	assert_int_equal(link_name(content, subvol, "again", file), 0);
	assert_int_equal(link_name(content, 0, "beside", file), 0);
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	assert_int_equal(made_fs_stat(&made, "/file").nlink, 2);
	assert_int_equal(made_fs_stat(&made, "/sub/across").nlink, 2);
	made_fs_expect(&made, "/beside", "x", 1);
	made_fs_expect(&made, "/sub/across", "x", 1);
	made_fs_expect(&made, "/sub/again", "x", 1);
	made_fs_done(&made);
}

static void one_default_subvolume_at_most(void **state)
{
	struct btrkit_content *content = new_content();
	struct made_fs made;

	(void)state;
	assert_int_equal(btrkit_content_set_subvol(content, add(content, 0, "a", &dir_attr), BTRKIT_SUBVOL_DEFAULT, NULL), 0);
	assert_int_equal(btrkit_content_set_subvol(content, add(content, 0, "b", &dir_attr), BTRKIT_SUBVOL_DEFAULT, NULL), 0);
	assert_int_equal(made_fs_new(&made, content, NULL), -EINVAL);
	made_fs_done(&made);
}

/* --- Attributes ------------------------------------------------------------------------------------------------------------ */

static void expect_xattr(struct made_fs *made, const char *path, const char *name, const void *value, size_t len)
{
	static u8 buf[65536];
	struct btrkit_error error;
	struct btrkit_inode inode;
	size_t got = 0;

	assert_true(made_fs_find(made, path, &inode));
	if (btrkit_xattr_get(made->fs, &inode, name, buf, sizeof(buf), &got, &error) != 0)
		fail_msg("%s", error.text);
	assert_int_equal(got, len);
	if (len)
		assert_memory_equal(buf, value, len);
}

static void attributes_are_replaced_shared_and_may_be_empty(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node a = add_file(content, 0, "a", ""), b = add_file(content, 0, "b", "");
	struct made_fs made;

	(void)state;
	assert_int_equal(set_xattr(content, a, "user.x", "one", 3), 0);
	assert_int_equal(set_xattr(content, a, "user.y", "why", 3), 0);
	assert_int_equal(set_xattr(content, a, "user.x", "other", 5), 0);
	assert_int_equal(set_xattr(content, a, "user.none", NULL, 0), 0);
	assert_int_equal(set_xattr(content, b, "user.none", NULL, 0), 0);
	assert_int_equal(set_xattr(content, b, "user.x", "one", 3), 0);
	assert_int_equal(set_xattr(content, b, "security.capability", "\0\1\2", 3), 0);
	assert_int_equal(set_xattr(content, b, "", "x", 1), -ERANGE);
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	expect_xattr(&made, "/a", "user.x", "other", 5);
	expect_xattr(&made, "/a", "user.y", "why", 3);
	expect_xattr(&made, "/a", "user.none", NULL, 0);
	expect_xattr(&made, "/b", "user.none", NULL, 0);
	expect_xattr(&made, "/b", "user.x", "one", 3);
	expect_xattr(&made, "/b", "security.capability", "\0\1\2", 3);
	made_fs_done(&made);
}

/* The largest value that a block of @nodesize holds beside @name. */
static size_t xattr_room(u32 nodesize, const char *name)
{
	return nodesize - sizeof(struct disk_header) - sizeof(struct disk_item) - sizeof(struct disk_dir_item) - strlen(name);
}

static void attributes_are_as_large_as_a_block_allows(void **state)
{
	static const u32 nodesizes[] = { 4096, 16384, 65536 };
	static const u8 value[65536] = { 1, 2, 3 };
	char name[300];

	(void)state;
	memcpy(name, "user.", 5);
	memset(name + 5, 'n', 251);
	name[256] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(nodesizes); i++)
		for (unsigned more = 0; more < 2; more++) {
			struct btrkit_content *content = new_content();
			btrkit_node file = add_file(content, 0, "file", "");
			struct btrkit_mkfs_options options;
			struct made_fs made;
			size_t room;

			assert_int_equal(set_xattr(content, file, name, value, 1), -ERANGE); /* 256 bytes of name */
			assert_int_equal(set_xattr(content, file, "user.big", value, 65536), -E2BIG);
			room = xattr_room(nodesizes[i], name + 1);
			assert_int_equal(set_xattr(content, file, name + 1, value, room + more), 0);
			made_fs_options(&options);
			options.nodesize = nodesizes[i];
			if (more) {
				assert_int_equal(made_fs_new(&made, content, &options), -E2BIG);
				assert_non_null(strstr(made.error.text, "/file"));
			} else {
				assert_int_equal(made_fs_new(&made, content, &options), 0);
				expect_xattr(&made, "/file", name + 1, value, room);
			}
			made_fs_done(&made);
		}
}

/* --- Contents -------------------------------------------------------------------------------------------------------------- */

static int no_open(void *ctx, unsigned worker, btrkit_node node, uint64_t cookie, void **ret_handle,
		   struct btrkit_error *error)
{
	(void)worker, (void)node, (void)cookie, (void)error;
	*ret_handle = ctx;
	return 0;
}

static int sevens(void *ctx, void *handle, uint64_t offset, void *buf, size_t len, struct btrkit_error *error)
{
	(void)ctx, (void)handle, (void)offset, (void)error;
	memset(buf, '7', len);
	return 0;
}

static void no_close(void *ctx, void *handle)
{
	(void)ctx, (void)handle;
}

static const struct btrkit_data_source source = { .open = no_open, .read = sevens, .close = no_close };

static void ranges_must_lie_within_the_file(void **state)
{
	static const struct btrkit_data_range bad[][2] = {
		{ { 0, 10 }, { 5, 10 } },  { { 10, 10 }, { 0, 10 } },	      { { 0, 0 }, { 1, 1 } },
		{ { 0, 50 }, { 50, 51 } }, { { 200, 1 }, { 201, 1 } },	      { { 0, 1 }, { UINT64_MAX, 1 } },
		{ { 0, 1 }, { 50, UINT64_MAX } },
	};
	struct btrkit_content *content = new_content();
	btrkit_node file = add(content, 0, "file", &file_attr);
	struct made_fs made;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(btrkit_content_set_source(content, file, &source, 0, 100, bad[i], 2, NULL), -EINVAL);
	assert_int_equal(btrkit_content_set_source(content, file, &source, 0, 1ULL << 63, NULL, 0, NULL), -EFBIG);
	assert_int_equal(btrkit_content_set_source(content, file, &source, 0, 3, NULL, 0, NULL), 0);
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	made_fs_expect(&made, "/file", "777", 3);
	made_fs_done(&made);
}

/* What is given last counts, also after a file with holes. */
static void contents_may_be_given_again(void **state)
{
	static const struct btrkit_data_range far_away[] = { { 1 << 20, 4096 } };
	struct btrkit_content *content = new_content();
	btrkit_node a = add_file(content, 0, "a", "before"), b = add(content, 0, "b", &file_attr);
	btrkit_node c = add(content, 0, "c", &file_attr);
	struct made_fs made;
	u8 *data;
	size_t len;

	(void)state;
	assert_int_equal(btrkit_content_set_data(content, a, "after", 5, 1, NULL), 0);
	assert_int_equal(btrkit_content_set_source(content, b, &source, 0, 2 << 20, far_away, 1, NULL), 0);
	assert_int_equal(btrkit_content_set_data(content, b, "short", 5, 0, NULL), 0);
	assert_int_equal(btrkit_content_set_source(content, c, &source, 0, 2 << 20, far_away, 1, NULL), 0);
	assert_int_equal(btrkit_content_set_source(content, c, &source, 0, 10000, NULL, 0, NULL), 0);
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	made_fs_expect(&made, "/a", "after", 5);
	made_fs_expect(&made, "/b", "short", 5);
	data = made_fs_read(&made, "/c", &len);
	assert_int_equal(len, 10000);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(data[i], '7');
	free(data);
	made_fs_done(&made);
}

static void link_targets_have_limits(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node link = add(content, 0, "link", &(struct btrkit_node_attr){ .mode = S_IFLNK | 0777 });
	btrkit_node file = add_file(content, 0, "file", "");
	struct made_fs made;
	char target[4097];

	(void)state;
	memset(target, 't', sizeof(target));
	assert_int_equal(btrkit_content_set_symlink(content, link, "", 0, NULL), -EINVAL);
	assert_int_equal(btrkit_content_set_symlink(content, link, "a\0b", 3, NULL), -EINVAL);
	assert_int_equal(btrkit_content_set_symlink(content, link, target, 4096, NULL), -EINVAL);
	assert_int_equal(btrkit_content_set_symlink(content, file, "x", 1, NULL), -EINVAL);
	assert_int_equal(btrkit_content_set_data(content, link, "x", 1, 0, NULL), -EINVAL);
	assert_int_equal(btrkit_content_set_symlink(content, link, target, 4095, NULL), 0);
	assert_int_equal(made_fs_new(&made, content, NULL), 0);
	made_fs_expect(&made, "/link", target, 4095);
	made_fs_done(&made);
}

/* --- Attributes of nodes, paths, life ----------------------------------------------------------------------------------------- */

static void paths_are_cut_where_the_buffer_ends(void **state)
{
	struct btrkit_content *content = new_content();
	btrkit_node dir = add(content, 0, "first", &dir_attr), node = add_file(content, dir, "second", "");
	char buf[40];

	(void)state;
	for (size_t cap = 1; cap < sizeof(buf); cap++) {
		memset(buf, 'x', sizeof(buf));
		assert_int_equal(btrkit_content_path(content, node, buf, cap), 12);
		assert_int_equal(strlen(buf), MIN(cap - 1, (size_t)12));
		assert_memory_equal(buf, "first/second", MIN(cap - 1, (size_t)12));
		assert_int_equal(buf[MIN(cap, (size_t)13)], 'x');
	}
	assert_int_equal(btrkit_content_path(content, node, NULL, 0), 12);
	assert_int_equal(btrkit_content_path(content, 0, buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	btrkit_content_free(content);
}

/* Not memcmp(): there is padding behind the nanoseconds. */
static bool is_same_time(struct btrkit_time a, struct btrkit_time b)
{
	return a.sec == b.sec && a.nsec == b.nsec;
}

static void attributes_of_nodes_are_kept(void **state)
{
	static const struct btrkit_node_attr attr = {
		.mode = S_IFCHR | 02601, .uid = 4000000000, .gid = 65534, .rdev_major = 4095, .rdev_minor = 0xfffff,
		.atime = { -5, 999999999 }, .mtime = { 1234567890123, 1 }, .ctime = { 0, 0 },
	};
	struct btrkit_content *content = new_content();
	btrkit_node node = add(content, 0, "device", &attr);
	struct btrkit_mkfs_options options;
	struct btrkit_node_attr got;
	struct btrkit_stat stat;
	struct made_fs made;

	(void)state;
	btrkit_content_get_attr(content, node, &got);
	assert_memory_equal(&got, &attr, offsetof(struct btrkit_node_attr, atime));
	assert_true(is_same_time(got.atime, attr.atime));
	assert_true(is_same_time(got.mtime, attr.mtime));
	assert_true(is_same_time(got.ctime, attr.ctime));
	got.mode = S_IFREG | 0644;
	assert_int_equal(btrkit_content_set_attr(content, node, &got, NULL), -EINVAL);
	made_fs_options(&options);
	options.has_epoch = false;
	assert_int_equal(made_fs_new(&made, content, &options), 0);
	stat = made_fs_stat(&made, "/device");
	assert_int_equal(stat.mode, attr.mode);
	assert_int_equal(stat.uid, attr.uid);
	assert_int_equal(stat.gid, attr.gid);
	assert_int_equal(stat.rdev_major, attr.rdev_major);
	assert_int_equal(stat.rdev_minor, attr.rdev_minor);
	assert_int_equal(stat.atime.sec, attr.atime.sec);
	assert_int_equal(stat.atime.nsec, attr.atime.nsec);
	assert_int_equal(stat.mtime.sec, attr.mtime.sec);
	made_fs_done(&made);
}

static void what_was_written_cannot_be_added_to(void **state)
{
	struct btrkit_content *content = new_content();
	struct btrkit_mkfs_options options;
	struct btrkit_mkfs_device device = { .path = "/var/empty/does-not-matter", .size_bytes = GIB };
	struct btrkit_error error;
	btrkit_node node, file = add_file(content, 0, "file", "x");

	(void)state;
	made_fs_options(&options);
	options.devices = &device;
	options.nr_devices = 1;
	options.is_dry_run = true;
	assert_int_equal(btrkit_mkfs(&options, content, NULL, &error), 0);
	assert_int_equal(btrkit_content_add(content, 0, "late", 4, &file_attr, &node, &error), -EINVAL);
	assert_int_equal(link_name(content, 0, "late", file), -EINVAL);
	assert_int_equal(set_xattr(content, file, "user.late", "x", 1), -EINVAL);
	assert_int_equal(btrkit_content_set_data(content, file, "late", 4, 0, NULL), -EINVAL);
	assert_int_equal(btrkit_content_remove(content, 0, "file", 4, NULL), -EINVAL);
	assert_int_equal(btrkit_content_lookup(content, 0, "file", 4, &node), -ENOENT);
	assert_true(btrkit_mkfs(&options, content, NULL, &error) == -EINVAL);
	btrkit_content_free(content);
	btrkit_content_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_given_twice_is_replaced),
		cmocka_unit_test(names_can_be_taken_away),
		cmocka_unit_test(impossible_names_are_refused),
		cmocka_unit_test(the_contents_own_bytes_may_be_given_back),
		cmocka_unit_test(names_with_one_hash_live_together),
		cmocka_unit_test(too_many_names_with_one_hash_are_refused_by_name),
		cmocka_unit_test(the_order_of_adding_changes_no_byte),
		cmocka_unit_test(a_file_may_have_many_names),
		cmocka_unit_test(links_replace_and_are_replaced),
		cmocka_unit_test(subvolumes_nest),
		cmocka_unit_test(links_do_not_cross_subvolumes),
		cmocka_unit_test(one_default_subvolume_at_most),
		cmocka_unit_test(attributes_are_replaced_shared_and_may_be_empty),
		cmocka_unit_test(attributes_are_as_large_as_a_block_allows),
		cmocka_unit_test(ranges_must_lie_within_the_file),
		cmocka_unit_test(contents_may_be_given_again),
		cmocka_unit_test(link_targets_have_limits),
		cmocka_unit_test(paths_are_cut_where_the_buffer_ends),
		cmocka_unit_test(attributes_of_nodes_are_kept),
		cmocka_unit_test(what_was_written_cannot_be_added_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
