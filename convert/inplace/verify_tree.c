/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subvolume of the new filesystem, read leaf by leaf into facts. What an item says twice, as references of names and
 * directory items do, is left to the check, which compares them with each other.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/checked.h"
#include "convert/inplace/verify_facts.h"
#include "kernel-shared/fs/file_extent.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

/* More inodes than any source numbers: an address space of sums is not reserved for a number that damage has made up. */
#define NR_INOS_MAX ((u64)1 << 33)
/* Leaves that a thread reads at a time. */
#define LEAVES_PER_JOB 16

/* --- Items ----------------------------------------------------------------------------------------------------------- */

static void unpack_inode(const struct verify *v, const struct disk_inode_item *item, struct inode_fact *ret)
{
	const struct disk_timespec *times[] = { &item->atime, &item->mtime, &item->ctime, &item->otime };
	u64 rdev = le64_get(item->rdev);

	*ret = (struct inode_fact){
		.mode = le32_get(item->mode),
		.uid = le32_get(item->uid),
		.gid = le32_get(item->gid),
		.rdev_major = rdev >> 20,
		.rdev_minor = rdev & 0xFFFFF,
		/* That of a directory follows from its names. */
		.size = S_ISDIR(le32_get(item->mode)) ? 0 : le64_get(item->size),
		.flags = le64_get(item->flags),
	};
	if (!v->input->has_csums)
		ret->flags &= ~(u64)INODE_NODATASUM;
	for (unsigned i = 0; i < ARRAY_LEN(times); i++) {
		ret->time[i].sec = le64_get(times[i]->sec);
		ret->time[i].nsec = le32_get(times[i]->nsec);
	}
}

static int inode_facts(const struct verify *v, const struct verify_tree *tree, u64 ino, const struct disk_inode_item *item,
		       struct fact_sink *sink, struct diag *d)
{
	const struct fact links = { .kind = FACT_LINKS, .links = le32_get(item->nlink) };
	struct inode_fact inode;
	const struct fact fact = { .kind = FACT_INODE, .inode = &inode };
	int err = 0;

	unpack_inode(v, item, &inode);
	if (!tree->is_saved)
		err = sink->add(sink, ino, &fact, d);
	return err ? err : sink->add(sink, ino, &links, d);
}

/* Entries of a DIR_INDEX or XATTR_ITEM. */
static int entry_facts(const struct key *key, const u8 *at, u32 left, struct fact_sink *sink, struct diag *d)
{
	int err = 0;

	while (left > 0 && !err) {
		const struct disk_dir_item *item = (const void *)at;
		const struct key location = key_unpack(&item->location);
		u16 name_len = le16_get(item->name_len), data_len = le16_get(item->data_len);
		struct fact fact = { .kind = FACT_XATTR, .name = item->name, .name_len = name_len };

		if (key->type == DIR_INDEX_KEY) {
			fact.kind = FACT_NAME;
			fact.child = location.objectid;
			fact.is_subvol = location.type != INODE_ITEM_KEY;
		} else {
			fact.value = item->name + name_len;
			fact.value_len = data_len;
		}
		err = sink->add(sink, key->objectid, &fact, d);
		at += sizeof(*item) + name_len + data_len;
		left -= (u32)sizeof(*item) + name_len + data_len;
	}
	return err;
}

static int extent_facts(const struct verify *v, const struct key *key, const void *data, u32 bytes, struct fact_sink *sink,
			struct diag *d)
{
	struct fact fact = { .kind = FACT_BYTES };
	struct file_extent extent;
	u64 logical;
	int err = file_extent_decode(data, bytes, key->offset, v->sectorsize, &extent, d);

	if (err)
		return err;
	if (extent.kind == EXTENT_HOLE)
		return 0;
	if (extent.kind == EXTENT_PREALLOC)
		return fact_add_odd(sink, key->objectid, "space that is allocated and not written", d);
	if (extent.compression)
		return fact_add_odd(sink, key->objectid, "compressed data", d);
	if (extent.kind == EXTENT_INLINE) {
		fact.value = extent.inline_data;
		fact.value_len = extent.inline_bytes;
		return sink->add(sink, key->objectid, &fact, d);
	}
	if (!checked_add(extent.disk_bytenr, extent.extent_offset, &logical))
		return fact_add_odd(sink, key->objectid, "an extent that no chunk covers", d);
	return verify_add_logical(v, sink, key->objectid, key->offset, logical, extent.len, d);
}

/* Items have passed block_check(). */
static int item_facts(const struct verify *v, const struct verify_tree *tree, const struct key *key, const void *data, u32 bytes,
		      struct fact_sink *sink, struct diag *d)
{
	switch (key->type) {
	case INODE_ITEM_KEY:
		return inode_facts(v, tree, key->objectid, data, sink, d);
	case DIR_INDEX_KEY:
	case XATTR_ITEM_KEY:
		return entry_facts(key, data, bytes, sink, d);
	case EXTENT_DATA_KEY:
		return extent_facts(v, key, data, bytes, sink, d);
	case INODE_REF_KEY:
	case INODE_EXTREF_KEY:
	case DIR_ITEM_KEY:
		return 0;
	default:
		return fact_add_odd(sink, key->objectid, "an item of a kind that the source has nothing for", d);
	}
}

/* --- Whole trees -------------------------------------------------------------------------------------------------------- */

int verify_tree_open(struct verify *v, u64 id, struct verify_tree *tree, struct diag *d)
{
	const struct key last = { LAST_FREE_OBJECTID, UINT8_MAX, UINT64_MAX };
	_cleanup_(cursor_done) struct cursor cursor = { 0 };
	struct fs_root root;
	int err = fs_subvol_root(v->fs, id, &root, d);

	if (err == -ENOENT)
		return diag_fail(d, -EBADMSG, "the new filesystem has no subvolume %llu", (ull)id);
	if (err)
		return err;
	tree->tree = root.tree;
	cursor = cursor_init(&root.tree);
	err = cursor_seek_back(&cursor, &last, d);
	if (err < 0)
		return err;
	if (err == 1 || cursor_key(&cursor).objectid < FIRST_FREE_OBJECTID)
		return diag_fail(d, -EBADMSG, "subvolume %llu of the new filesystem has no inodes", (ull)id);
	tree->nr_inos = cursor_key(&cursor).objectid - FIRST_FREE_OBJECTID + 1;
	if (tree->nr_inos > NR_INOS_MAX)
		return diag_fail(d, -EBADMSG, "subvolume %llu of the new filesystem has an item of inode %llu", (ull)id,
				 (ull)cursor_key(&cursor).objectid);
	/* Pages for numbers that nobody has are never touched. */
	tree->sums = calloc(tree->nr_inos, sizeof(*tree->sums));
	tree->has_bytes = calloc(tree->nr_inos / 64 + 1, sizeof(*tree->has_bytes));
	return tree->sums && tree->has_bytes ? 0 : diag_no_memory(d, "sums of inodes");
}

void verify_tree_done(struct verify_tree *tree)
{
	free(tree->sums);
	free(tree->has_bytes);
}

/* A leaf as its parent has it. */
struct leaf_pointer {
	u64 logical, generation;
	struct key first_key;
};

struct summing {
	struct verify *v;
	struct verify_tree *tree;
	ARRAY(struct leaf_pointer) leaves; /* in the order of keys */
	struct sum_sink sums;
	u8 *buffers; /* a block for each worker */
};

static int leaf_facts(struct summing *s, const u8 *leaf, struct diag *d)
{
	int err = 0;

	for (u32 slot = 0; slot < block_nritems(leaf) && !err; slot++) {
		const struct key key = leaf_key(leaf, slot);

		err = item_facts(s->v, s->tree, &key, leaf_item_data(leaf, slot), leaf_item_bytes(leaf, slot), &s->sums.sink, d);
	}
	return err;
}

/* Nodes down to those above the leaves; a root that is a leaf is read at once. */
static int visit_node(void *ctx, struct tree_block *block, struct diag *d)
{
	struct summing *s = ctx;

	if (verify_is_cancelled(s->v))
		return diag_fail(d, -ECANCELED, "cancelled");
	if (block->level == 0)
		return leaf_facts(s, block->data, d);
	if (block->level > 1)
		return 0;
	for (u32 slot = 0; slot < block->nritems; slot++) {
		struct leaf_pointer leaf = { node_blockptr(block->data, slot), node_generation(block->data, slot),
					     node_key(block->data, slot) };

		if (array_push(&s->leaves, leaf) < 0)
			return diag_no_memory(d, "pointers to leaves");
	}
	return 1;
}

/* Past the cache, for leaves are read once; whatever is wrong with the first copy is said by the cache, or made good. */
static int sum_leaf(struct summing *s, const struct block_expect *expect, u8 *buffer, struct diag *d)
{
	struct block_cache *cache = s->v->fs->cache;
	_cleanup_(block_putp) struct tree_block *block = NULL;
	int err;

	if (block_read_copy(cache, expect, 1, buffer, NULL) == 0)
		return leaf_facts(s, buffer, d);
	err = block_get(cache, expect, &block, d);
	return err ? err : leaf_facts(s, block->data, d);
}

static int sum_leaves(void *ctx, unsigned worker, u64 job, struct diag *d)
{
	struct summing *s = ctx;
	u32 nodesize = s->v->fs->volume->nodesize;
	size_t end = MIN((size_t)(job + 1) * LEAVES_PER_JOB, s->leaves.len);
	int err = 0;

	for (size_t i = (size_t)job * LEAVES_PER_JOB; i < end && !err; i++) {
		const struct leaf_pointer *leaf = &s->leaves.items[i];
		const struct block_expect expect = {
			.logical = leaf->logical,
			.generation = leaf->generation,
			.tree_id = s->tree->tree.id,
			.first_key = &leaf->first_key,
			.limit = i + 1 < s->leaves.len ? &leaf[1].first_key : NULL,
		};

		err = sum_leaf(s, &expect, s->buffers + (size_t)worker * nodesize, d);
		progress_add(s->v->progress, nodesize, 0);
	}
	return err;
}

static int sum_all_leaves(struct summing *s, struct diag *d)
{
	struct verify *v = s->v;
	struct pool *pool = v->input->pool;

	s->buffers = malloc((size_t)pool_threads(pool) * v->fs->volume->nodesize);
	if (!s->buffers)
		return diag_no_memory(d, "leaves");
	if (v->progress)
		atomic_fetch_add(&v->progress->total_bytes, (u64)s->leaves.len * v->fs->volume->nodesize);
	return pool_for_each(pool, (s->leaves.len + LEAVES_PER_JOB - 1) / LEAVES_PER_JOB, sum_leaves, s, d);
}

int verify_tree_sum(struct verify *v, struct verify_tree *tree, struct diag *d)
{
	struct summing s = { .v = v, .tree = tree };
	const struct tree_walk walk = { .visit = visit_node, .ctx = &s };
	int err;

	sum_sink_init(&s.sums, &v->key, tree, false);
	err = tree_walk(&tree->tree, &walk, d);
	if (!err)
		err = sum_all_leaves(&s, d);
	free(s.buffers);
	array_done(&s.leaves);
	return err;
}

int verify_tree_inode(const struct verify *v, const struct verify_tree *tree, u64 ino, struct fact_sink *sink, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&tree->tree);
	const struct key first = { ino, 0, 0 };
	int err;

	for (err = cursor_seek(&cursor, &first, d); err == 0; err = cursor_next(&cursor, d)) {
		const struct key key = cursor_key(&cursor);

		if (key.objectid != ino)
			return 0;
		err = item_facts(v, tree, &key, cursor_data(&cursor), cursor_data_bytes(&cursor), sink, d);
		if (err)
			break;
	}
	return err < 0 ? err : 0;
}
