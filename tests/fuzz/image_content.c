/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image_content.h"

#define BIG_BYTES ((size_t)300 * 1000)

static btrkit_node add(struct btrkit_content *content, btrkit_node parent, const char *name, u32 mode)
{
	const struct btrkit_node_attr attr = { .mode = mode, .uid = 1000, .gid = 100, .rdev_major = 8, .rdev_minor = 1,
					       .atime = { 1, 2 }, .mtime = { 3, 4 }, .ctime = { 5, 6 } };
	btrkit_node node;

	fuzz_require(btrkit_content_add(content, parent, name, strlen(name), &attr, &node, NULL) == 0);
	return node;
}

static void set_data(struct btrkit_content *content, btrkit_node node, size_t len, unsigned period)
{
	u8 *data = malloc(len);

	fuzz_require(data);
	for (size_t i = 0; i < len; i++)
		data[i] = (u8)(period ? i / period * 7 : i * i * 31 >> 7);
	fuzz_require(btrkit_content_set_data(content, node, data, len, 0, NULL) == 0);
	free(data);
}

static void add_files(struct btrkit_content *content)
{
	static const size_t sizes[] = { 0, 1, 1000, 2048, 4096, 5000, 131072, BIG_BYTES };
	btrkit_node dir = add(content, BTRKIT_TOP_NODE, "files", S_IFDIR | 0755);
	char name[300];

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		for (unsigned period = 0; period < 600; period += 300) {
			snprintf(name, sizeof(name), "file-%zu-%u", sizes[i], period);
			set_data(content, add(content, dir, name, S_IFREG | 0644), sizes[i], period);
		}
	memset(name, 'n', 255);
	name[255] = '\0';
	set_data(content, add(content, dir, name, S_IFREG | 0600), 10, 0);
}

static int source_open(void *ctx, unsigned worker, btrkit_node node, uint64_t cookie, void **ret_handle,
		       struct btrkit_error *error)
{
	(void)worker, (void)node, (void)cookie, (void)error;
	*ret_handle = ctx;
	return 0;
}

static int source_read(void *ctx, void *handle, uint64_t offset, void *buf, size_t len, struct btrkit_error *error)
{
	(void)ctx, (void)handle, (void)error;
	memset(buf, (int)(offset >> 12), len);
	return 0;
}

static void source_close(void *ctx, void *handle)
{
	(void)ctx, (void)handle;
}

static void add_sparse(struct btrkit_content *content)
{
	static const struct btrkit_data_source source = { .open = source_open, .read = source_read,
							  .close = source_close };
	static const struct btrkit_data_range ranges[] = { { 8192, 4096 }, { 65536, 20480 }, { 1 << 20, 100 } };
	btrkit_node node = add(content, BTRKIT_TOP_NODE, "sparse", S_IFREG | 0644);

	fuzz_require(btrkit_content_set_source(content, node, &source, 0, 2 << 20, ranges, ARRAY_LEN(ranges), NULL) == 0);
}

static void add_specials(struct btrkit_content *content)
{
	btrkit_node dir = add(content, BTRKIT_TOP_NODE, "specials", S_IFDIR | 01777);
	btrkit_node link = add(content, dir, "symlink", S_IFLNK | 0777);
	btrkit_node file = add(content, dir, "linked", S_IFREG | 04755);
	char name[40] = { 0 }; /* attributes take more than the name of it */

	fuzz_require(btrkit_content_set_symlink(content, link, "../files/file-1-0", 17, NULL) == 0);
	add(content, dir, "fifo", S_IFIFO | 0644);
	add(content, dir, "socket", S_IFSOCK | 0644);
	add(content, dir, "char", S_IFCHR | 0600);
	add(content, dir, "block", S_IFBLK | 0600);
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof(name), "link-%u", i);
		fuzz_require(btrkit_content_link(content, i % 2 ? dir : BTRKIT_TOP_NODE, name, strlen(name), file, NULL) == 0);
	}
	for (unsigned i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "user.attribute%u", i);
		fuzz_require(btrkit_content_set_xattr(content, i % 2 ? dir : file, name, name, i * 3, NULL) == 0);
	}
}

static void add_subvols(struct btrkit_content *content)
{
	btrkit_node outer = add(content, BTRKIT_TOP_NODE, "outer", S_IFDIR | 0755);
	btrkit_node dir = add(content, outer, "dir", S_IFDIR | 0755);
	btrkit_node inner = add(content, dir, "inner", S_IFDIR | 0755);
	char name[40];

	fuzz_require(btrkit_content_set_subvol(content, outer, BTRKIT_SUBVOL_DEFAULT, NULL) == 0);
	fuzz_require(btrkit_content_set_subvol(content, inner, BTRKIT_SUBVOL_RDONLY, NULL) == 0);
	for (unsigned i = 0; i < 60; i++) {
		snprintf(name, sizeof(name), "entry number %u", i);
		set_data(content, add(content, i % 3 ? outer : inner, name, S_IFREG | 0644), i * 5, 0);
	}
}

struct btrkit_content *fuzz_image_content(void)
{
	struct btrkit_content *content;

	fuzz_require(btrkit_content_new(&content) == 0);
	add_files(content);
	add_sparse(content);
	add_specials(content);
	add_subvols(content);
	return content;
}
