/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <btrkit/inspect.h>

#include "common/base/array.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/inspect_everything.h"
#include "tests/fuzz/sink_printer.h"

#define TREES_MAX 64
#define INODES_MAX 40

struct found {
	struct btrkit_tree_info trees[TREES_MAX];
	size_t nr_trees;
	u64 nr_chunks;
};

static void explained(int err, const struct btrkit_error *error)
{
	fuzz_require(err == 0 || (err < 0 && error->err == err && error->text[0]));
}

static int see_tree(void *arg, const struct btrkit_tree_info *tree)
{
	struct found *found = arg;

	if (found->nr_trees < TREES_MAX)
		found->trees[found->nr_trees++] = *tree;
	return 0;
}

static int see_chunk(void *arg, const struct btrkit_chunk *chunk)
{
	struct found *found = arg;

	fuzz_require(chunk->length && chunk->kind && chunk->profile && chunk->nr_stripes);
	for (size_t i = 0; i < chunk->nr_stripes; i++)
		fuzz_require(chunk->stripes[i].length > 0);
	found->nr_chunks++;
	return 0;
}

static void inspect_tree(struct btrkit_fs *fs, const struct btrkit_tree_info *tree, const struct btrkit_printer *printer)
{
	struct btrkit_error error = { 0 };

	explained(btrkit_inspect_tree(fs, tree->id, printer, &error), &error);
	error = (struct btrkit_error){ 0 };
	explained(btrkit_inspect_block(fs, tree->logical, false, printer, &error), &error);
	error = (struct btrkit_error){ 0 };
	explained(btrkit_inspect_block(fs, tree->logical + 512, true, printer, &error), &error);
}

void inspect_everything(struct btrkit_fs *fs, u64 *ret_nr_values)
{
	struct btrkit_error error = { 0 };
	struct found found = { .nr_trees = 0 };
	struct sink sink = { .depth = 0 };
	const struct btrkit_printer printer = sink_printer(&sink);

	explained(btrkit_chunk_for_each(fs, see_chunk, &found, &error), &error);
	fuzz_require(found.nr_chunks > 0);
	error = (struct btrkit_error){ 0 };
	explained(btrkit_tree_for_each(fs, see_tree, &found, &error), &error);
	fuzz_require(found.nr_trees >= 2);
	for (size_t i = 0; i < found.nr_trees; i++)
		inspect_tree(fs, &found.trees[i], &printer);
	for (u64 ino = BTRKIT_TOP_DIR; ino < BTRKIT_TOP_DIR + INODES_MAX; ino++) {
		const struct btrkit_inode inode = { BTRKIT_TOP_SUBVOL, ino };

		error = (struct btrkit_error){ 0 };
		explained(btrkit_inspect_inode(fs, &inode, &printer, &error), &error);
	}
	sink_finish(&sink);
	*ret_nr_values = sink.nr_values;
}
