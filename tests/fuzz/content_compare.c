/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include <btrkit/file.h>

#include "common/base/array.h"
#include "tests/fuzz/content_model.h"

/* A node as it is found in one subvolume: there it is one inode, whatever other subvolumes have of it. */
struct placed {
	unsigned node;
	struct btrkit_inode inode;
	u32 nr_names;
};

struct comparing {
	const struct model *model;
	struct btrkit_fs *fs;
	ARRAY(struct placed) placed;
};

static void compare_data(const struct comparing *c, const struct model_node *node, const struct btrkit_inode *inode)
{
	struct btrkit_error error = { 0 };
	u8 *data = malloc(node->size + 1);
	struct btrkit_file *file;
	size_t got;

	fuzz_require(data && btrkit_file_open(c->fs, inode, &file, &error) == 0);
	if (btrkit_file_read(file, 0, data, node->size + 1, &got, &error) != 0)
		fprintf(stderr, "%s\n", error.text);
	fuzz_require(!error.err && got == node->size);
	for (u64 i = 0; i < got; i++)
		fuzz_require(data[i] == (is_model_data(node, i) ? model_byte(node->pattern, i) : 0));
	btrkit_file_close(file);
	free(data);
}

static int count_xattr(void *arg, const char *name, size_t name_len, const void *value, size_t value_len)
{
	(void)name, (void)name_len, (void)value, (void)value_len;
	++*(unsigned *)arg;
	return 0;
}

static void compare_xattrs(const struct comparing *c, const struct model_node *node, const struct btrkit_inode *inode)
{
	unsigned expected = 0, found = 0;

	for (unsigned i = 0; i < MODEL_XATTRS; i++) {
		u8 value[1024];
		char name[16];
		size_t len;

		if (!node->xattr[i].is_set)
			continue;
		expected++;
		snprintf(name, sizeof(name), "user.%u", i);
		fuzz_require(btrkit_xattr_get(c->fs, inode, name, value, sizeof(value), &len, NULL) == 0);
		fuzz_require(len == node->xattr[i].len);
		for (size_t at = 0; at < len; at++)
			fuzz_require(value[at] == model_byte(node->xattr[i].pattern, at));
	}
	fuzz_require(btrkit_xattr_for_each(c->fs, inode, count_xattr, &found, NULL) == 0);
	fuzz_require(found == expected);
}

/* One more name of @node; true: it was not met in this subvolume before. */
static bool place(struct comparing *c, unsigned node, const struct btrkit_inode *inode)
{
	array_for_each(&c->placed, placed) {
		if (placed->inode.subvol != inode->subvol)
			continue;
		/* The same node is the same inode, and another node another. */
		fuzz_require((placed->node == node) == (placed->inode.ino == inode->ino));
		if (placed->node == node) {
			placed->nr_names++;
			return false;
		}
	}
	fuzz_require(array_push(&c->placed, (struct placed){ node, *inode, 1 }) == 0);
	return true;
}

static void compare_dir(struct comparing *c, unsigned number, const struct btrkit_inode *inode);

static void compare_node(struct comparing *c, unsigned number, const struct btrkit_inode *inode)
{
	const struct model_node *node = &c->model->node[number];
	struct btrkit_stat stat;

	if (!place(c, number, inode))
		return;
	fuzz_require(btrkit_stat(c->fs, inode, &stat, NULL) == 0);
	fuzz_require(stat.mode == node->mode);
	compare_xattrs(c, node, inode);
	if (S_ISDIR(node->mode)) {
		compare_dir(c, number, inode);
		return;
	}
	fuzz_require(stat.size == node->size);
	if (S_ISREG(node->mode))
		compare_data(c, node, inode);
	if (S_ISLNK(node->mode)) {
		char target[300];

		fuzz_require(btrkit_readlink(c->fs, inode, target, sizeof(target), NULL) == 0);
		fuzz_require(strlen(target) == node->size);
	}
}

static void compare_dir(struct comparing *c, unsigned number, const struct btrkit_inode *inode)
{
	const struct model_node *dir = &c->model->node[number];
	struct btrkit_dir_entry entry;
	struct btrkit_dir *listing;
	unsigned nr_entries = 0;

	for (unsigned i = 0; i < dir->nr_children; i++) {
		const struct model_node *child = &c->model->node[dir->child[i].node];
		struct btrkit_inode found;
		char name[256];
		size_t len = model_name(dir->child[i].name, name);

		fuzz_require(btrkit_lookup_name(c->fs, inode, name, len, &found, NULL) == 0);
		fuzz_require((found.subvol != inode->subvol) == (S_ISDIR(child->mode) && child->is_subvol));
		compare_node(c, dir->child[i].node, &found);
	}
	fuzz_require(btrkit_dir_open(c->fs, inode, &listing, NULL) == 0);
	while (btrkit_dir_next(listing, &entry, NULL) == 0)
		nr_entries++;
	btrkit_dir_close(listing);
	fuzz_require(nr_entries == dir->nr_children);
}

void model_compare(const struct model *model, struct btrkit_fs *fs)
{
	struct comparing c = { .model = model, .fs = fs };

	compare_node(&c, 0, &BTRKIT_INODE_TOP);
	array_for_each(&c.placed, placed) {
		struct btrkit_stat stat;

		fuzz_require(btrkit_stat(fs, &placed->inode, &stat, NULL) == 0);
		fuzz_require(stat.nlink == placed->nr_names);
	}
	array_done(&c.placed);
}
