/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The trees of a transaction and their root items. */
#include "kernel-shared/txn/txn_state.h"

typedef unsigned long long ull;

static struct txn_root *find(const struct txn *txn, u64 id)
{
	array_for_each (&txn->roots, root)
		if ((*root)->root.tree.id == id && !(*root)->is_deleted)
			return *root;
	return NULL;
}

void txn_roots_done(struct txn *txn)
{
	array_for_each (&txn->roots, root)
		free(*root);
	array_done(&txn->roots);
}

static int add(struct txn *txn, const struct tree *tree, struct txn_root **ret_root, struct diag *d)
{
	struct txn_root *root = calloc(1, sizeof(*root));

	if (!root || array_push(&txn->roots, root) < 0) {
		free(root);
		return diag_no_memory(d, "a tree");
	}
	root->root.tree = *tree;
	root->root.source = &txn->source;
	root->root.is_shareable = tree_id_is_subvol(tree->id);
	root->committed = *tree;
	*ret_root = root;
	return 0;
}

/* --- Finding trees ---------------------------------------- */

static int read_root_item(struct txn *txn, u64 id, u64 *ret_offset, struct disk_root_item *ret_item, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(txn->target.root_tree);
	const struct key last = { id, ROOT_ITEM_KEY, UINT64_MAX };
	int err = cursor_seek_back(&cursor, &last, d);

	if (err < 0)
		return err;
	if (err || !cursor_is_at(&cursor, id, ROOT_ITEM_KEY))
		return diag_fail(d, -ENOENT, "there is no tree %lld", (long long)id);
	memset(ret_item, 0, sizeof(*ret_item));
	memcpy(ret_item, cursor_data(&cursor), MIN(cursor_data_bytes(&cursor), (u32)sizeof(*ret_item)));
	/* An old kernel that writes the item does not touch the fields that it does not know: they are stale then. */
	if (le64_get(ret_item->generation_v2) != le64_get(ret_item->generation))
		memset((u8 *)ret_item + ROOT_ITEM_V0_BYTES, 0, sizeof(*ret_item) - ROOT_ITEM_V0_BYTES);
	*ret_offset = cursor_key(&cursor).offset;
	return 0;
}

static int load(struct txn *txn, u64 id, struct txn_root **ret_root, struct diag *d)
{
	struct tree tree = { .cache = txn->target.cache, .id = id };
	struct disk_root_item item;
	struct txn_root *root;
	u64 offset;
	int err = read_root_item(txn, id, &offset, &item, d);

	if (err)
		return err;
	tree.root_logical = le64_get(item.bytenr);
	tree.generation = le64_get(item.generation);
	tree.level = item.level;
	err = add(txn, &tree, &root, d);
	if (err)
		return err;
	root->has_item = true;
	root->item_offset = offset;
	root->item = root->committed_item = item;
	root->root.last_snapshot = le64_get(item.last_snapshot);
	*ret_root = root;
	return 0;
}

int txn_tree(struct txn *txn, u64 id, struct tree_root **ret_root, struct diag *d)
{
	struct txn_root *root = find(txn, id);
	int err = 0;

	if (!root && (id == ROOT_TREE_OBJECTID || id == CHUNK_TREE_OBJECTID)) {
		struct tree *published = id == ROOT_TREE_OBJECTID ? txn->target.root_tree : txn->target.chunk_tree;

		err = add(txn, published, &root, d);
		if (!err)
			root->root.published = published;
	} else if (!root) {
		err = load(txn, id, &root, d);
	}
	if (!err)
		*ret_root = &root->root;
	return err;
}

int txn_read_tree(struct txn *txn, u64 id, struct tree *ret_tree, struct diag *d)
{
	struct tree_root *root;
	int err = txn_tree(txn, id, &root, d);

	if (!err)
		*ret_tree = root->tree;
	return err;
}

int txn_block_group_root(struct txn *txn, struct tree_root **ret_root, struct diag *d)
{
	return txn_tree(txn, txn->has_block_group_tree ? BLOCK_GROUP_TREE_OBJECTID : EXTENT_TREE_OBJECTID, ret_root, d);
}

int txn_root_item(struct txn *txn, struct tree_root *root, struct disk_root_item **ret_item, struct diag *d)
{
	struct txn_root *own = txn_root_of(root);

	if (!own->has_item)
		return diag_fail(d, -EINVAL, "tree %lld has no root item", (long long)root->tree.id);
	own->is_item_changed = true;
	txn->is_changed = true;
	*ret_item = &own->item;
	return 0;
}

/* --- Trees that come and go ---------------------------------------- */

static int add_new(struct txn *txn, const struct tree *tree, u64 offset, struct txn_root **ret_root, struct diag *d)
{
	int err;

	if (find(txn, tree->id))
		return diag_fail(d, -EEXIST, "there is a tree %lld already", (long long)tree->id);
	err = add(txn, tree, ret_root, d);
	if (err)
		return err;
	(*ret_root)->has_item = true;
	(*ret_root)->item_offset = offset;
	(*ret_root)->is_new = true;
	(*ret_root)->is_item_changed = true;
	(*ret_root)->root.is_changed = true;
	txn->is_changed = true;
	return 0;
}

/* Put in the item of a new tree; from then on it is changed as any other's. */
static int insert_item(struct txn *txn, struct txn_root *root, struct diag *d)
{
	const struct key key = { root->root.tree.id, ROOT_ITEM_KEY, root->item_offset };
	struct tree_root *roots;
	struct edit edit;
	int err = txn_tree(txn, ROOT_TREE_OBJECTID, &roots, d);

	if (err)
		return err;
	edit = edit_init(roots);
	err = edit_put(&edit, &key, &root->item, sizeof(root->item), d);
	edit_done(&edit);
	return err || !root->root.is_shareable ? err : txn_add_quota_group(txn, root->root.tree.id, d);
}

static int exists(struct txn *txn, u64 id, struct diag *d)
{
	struct disk_root_item item;
	u64 offset;
	int err = read_root_item(txn, id, &offset, &item, NULL);

	if (err == 0)
		return diag_fail(d, -EEXIST, "there is a tree %lld already", (long long)id);
	return err == -ENOENT ? 0 : read_root_item(txn, id, &offset, &item, d);
}

static void set_place(struct txn *txn, struct txn_root *root)
{
	le64_put(&root->item.bytenr, root->root.tree.root_logical);
	le64_put(&root->item.generation, root->root.tree.generation);
	le64_put(&root->item.generation_v2, root->root.tree.generation);
	root->item.level = (u8)root->root.tree.level;
	(void)txn;
}

int txn_tree_create(struct txn *txn, u64 id, u64 offset, struct tree_root **ret_root, struct diag *d)
{
	struct tree tree = { .cache = txn->target.cache, .id = id, .generation = txn->source.generation };
	_cleanup_(block_putp) struct tree_block *leaf = NULL;
	struct txn_root *root;
	int err = exists(txn, id, d);

	if (!err)
		err = add_new(txn, &tree, offset, &root, d);
	if (!err)
		err = txn->source.ops->alloc(&txn->source, &root->root, 0, &leaf, d);
	if (err)
		return err;
	root->root.tree.root_logical = leaf->logical;
	le64_put(&root->item.bytes_used, txn->id.nodesize);
	le32_put(&root->item.refs, 1);
	set_place(txn, root);
	err = insert_item(txn, root, d);
	if (!err)
		*ret_root = &root->root;
	return err;
}

/* The copy of a tree's root block, of which all children are shared from now on. */
static int copy_root_block(struct txn *txn, const struct tree_root *source, struct txn_root *root, struct diag *d)
{
	const struct block_expect expect = { .logical = source->tree.root_logical,
					     .level = source->tree.level,
					     .generation = source->tree.generation,
					     .tree_id = source->tree.id };
	_cleanup_(block_putp) struct tree_block *from = NULL, *copy = NULL;
	int err = block_get(txn->target.cache, &expect, &from, d);

	if (!err)
		err = txn->source.ops->alloc(&txn->source, &root->root, from->level, &copy, d);
	if (err)
		return err;
	memcpy(block_bytes(copy) + sizeof(struct disk_header), from->data + sizeof(struct disk_header),
	       txn->id.nodesize - sizeof(struct disk_header));
	((struct disk_header *)block_bytes(copy))->nritems = block_header(from->data)->nritems;
	block_changed(copy);
	root->root.tree.root_logical = copy->logical;
	root->root.tree.generation = copy->generation;
	root->root.tree.level = copy->level;
	return txn_change_block_refs(txn, copy, 1, false, d);
}

int txn_tree_snapshot(struct txn *txn, struct tree_root *source, u64 id, u64 offset, struct tree_root **ret_root,
		      struct diag *d)
{
	struct txn_root *from = txn_root_of(source), *root;
	struct tree tree = source->tree;
	int err;

	if (!source->is_shareable)
		return diag_fail(d, -EINVAL, "tree %lld is not a subvolume", (long long)source->tree.id);
	if (txn_is_half_deleted(from))
		return diag_fail(d, -EBUSY, "subvolume %llu is deleted in part", (ull)source->tree.id);
	if (source->is_changed || from->is_new)
		return diag_fail(d, -EBUSY, "subvolume %llu has changes that are not committed", (ull)source->tree.id);
	err = exists(txn, id, d);
	tree.id = id;
	if (!err)
		err = add_new(txn, &tree, offset, &root, d);
	if (err)
		return err;
	root->item = from->item;
	err = copy_root_block(txn, source, root, d);
	if (err)
		return err;
	/* What both have is shared: each looks at references before it changes a block that is not newer than this. */
	source->last_snapshot = root->root.last_snapshot = txn->source.generation;
	le64_put(&from->item.last_snapshot, txn->source.generation);
	le64_put(&root->item.last_snapshot, txn->source.generation);
	from->is_item_changed = true;
	/*
	 * When it is deleted one day, Linux takes blocks up to the generation in the key of its root item for blocks
	 * that it has from others.
	 */
	root->root.is_frozen = offset >= txn->source.generation;
	set_place(txn, root);
	err = insert_item(txn, root, d);
	if (!err)
		*ret_root = &root->root;
	return err;
}

/* --- Root items ---------------------------------------- */

static bool is_item_stale(const struct txn_root *root)
{
	const struct tree *tree = &root->root.tree;

	return root->has_item && !root->is_deleted &&
	       (root->is_item_changed || le64_get(root->item.bytenr) != tree->root_logical ||
		le64_get(root->item.generation) != tree->generation || root->item.level != tree->level);
}

static int write_item(struct txn *txn, struct edit *edit, struct txn_root *root, struct diag *d)
{
	const struct key key = { root->root.tree.id, ROOT_ITEM_KEY, root->item_offset };
	int err = edit_seek(edit, &key, d);

	if (err == 1)
		return diag_fail(d, -EUCLEAN, "the root item of tree %lld is gone", (long long)key.objectid);
	/* Items of old kernels are shorter. */
	if (!err && edit_data_bytes(edit) != sizeof(root->item))
		err = edit_resize(edit, sizeof(root->item), d);
	if (!err && !edit->is_positioned)
		err = edit_seek(edit, &key, d);
	if (err)
		return err;
	set_place(txn, root);
	memcpy(edit_data(edit), &root->item, sizeof(root->item));
	root->is_item_changed = false;
	return 0;
}

int txn_write_root_items(struct txn *txn, bool *ret_did, struct diag *d)
{
	struct tree_root *roots;
	struct edit edit;
	int err = txn_tree(txn, ROOT_TREE_OBJECTID, &roots, d);

	if (err)
		return err;
	edit = edit_init(roots);
	for (size_t i = 0; i < txn->roots.len && !err; i++) {
		if (!is_item_stale(txn->roots.items[i]))
			continue;
		err = write_item(txn, &edit, txn->roots.items[i], d);
		*ret_did = true;
	}
	edit_done(&edit);
	return err;
}

/* --- Ends of transactions ---------------------------------------- */

/* Trees that are gone keep their objects until the end, as callers may still have pointers to them. */
void txn_roots_revert(struct txn *txn)
{
	array_for_each (&txn->roots, it) {
		struct txn_root *root = *it;

		if (root->is_new)
			root->is_deleted = true;
		else
			root->is_deleted = false;
		root->root.tree = root->committed;
		root->item = root->committed_item;
		root->root.last_snapshot = le64_get(root->item.last_snapshot);
		root->is_item_changed = root->root.is_changed = root->root.is_frozen = false;
		root->root.shape++;
		if (root->root.published)
			*root->root.published = root->root.tree;
	}
}

void txn_roots_settle(struct txn *txn)
{
	for (size_t i = 0; i < txn->roots.len; i++) {
		struct txn_root *root = txn->roots.items[i];

		root->committed = root->root.tree;
		root->committed_item = root->item;
		root->is_new = root->root.is_changed = root->root.is_frozen = false;
		root->root.shape++;
		/* An abort would bring it back. */
		if (root->is_deleted)
			root->is_new = true;
	}
}
