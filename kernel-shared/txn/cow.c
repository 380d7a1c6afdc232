/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Blocks for trees that are changed, and what copying a block does to references.
 *
 * A block that only one tree uses is given up when it is copied. One that snapshots share stays, and then somebody has
 * to record anew who refers to its children: if the tree that copies it is its owner, the recorded references of the
 * children (by owner) become those of the copy, and the old block's are from now on recorded by its address (full back
 * references); otherwise the copy's are added. The rules are Linux's, learnt from what its extent trees say after
 * snapshots, and from the description of back references in the Btrfs documentation.
 */
#include "kernel-shared/txn/txn_state.h"

typedef unsigned long long ull;

static struct txn *txn_of(struct block_source *source)
{
	return container_of(source, struct txn, source);
}

/* --- References ---------------------------------------- */

static int change_ref(struct txn *txn, u64 logical, u64 len, u8 level, bool is_data, const struct extent_ref *ref,
		      s64 delta, struct diag *d)
{
	struct delayed_head *head = delayed_refs_get(&txn->delayed, logical, len, level, is_data);

	if (!head || delayed_refs_add(&txn->delayed, head, ref, delta) < 0)
		return diag_no_memory(d, "back references");
	if (head->len != len || head->is_data != is_data)
		return diag_fail(d, -EUCLEAN, "extent %llu: is referred to with two lengths, %llu and %llu",
				 (ull)logical, (ull)head->len, (ull)len);
	return 0;
}

/* Give up a reference of a tree to one of its blocks, of which the owner is known. */
int txn_drop_block_ref(struct txn *txn, const struct tree_block *block, u64 root, u64 parent, struct diag *d)
{
	struct delayed_head *head;
	int err = txn_change_ref_to_block(txn, block->logical, block->level, root, parent, -1, d);

	if (err)
		return err;
	head = delayed_refs_find(&txn->delayed, block->logical);
	head->owner_root = block->owner;
	return 0;
}

int txn_change_ref_to_block(struct txn *txn, u64 logical, u8 level, u64 root, u64 parent, s64 delta, struct diag *d)
{
	const struct extent_ref ref = { .type = parent ? SHARED_BLOCK_REF_KEY : TREE_BLOCK_REF_KEY,
					.root = parent ? parent : root };

	return change_ref(txn, logical, txn->id.nodesize, level, false, &ref, delta, d);
}

static int change_data_ref(struct txn *txn, const struct tree_block *leaf, u32 slot, s64 delta, bool is_full,
			   struct diag *d)
{
	const struct disk_file_extent_item *item = leaf_item_data(leaf->data, slot);
	const struct key key = leaf_key(leaf->data, slot);
	struct data_ref ref = {
		.root = leaf->owner,
		.objectid = key.objectid,
		.parent = is_full ? leaf->logical : 0,
	};

	if (key.type != EXTENT_DATA_KEY || item->type == FILE_EXTENT_INLINE || le64_get(item->disk_bytenr) == 0)
		return 0;
	ref.logical = le64_get(item->disk_bytenr);
	ref.len = le64_get(item->disk_num_bytes);
	ref.offset = key.offset - le64_get(item->offset);
	return delta > 0 ? txn_add_data_ref(txn, &ref, false, d) : txn_drop_data_ref(txn, &ref, d);
}

int txn_change_block_refs(struct txn *txn, const struct tree_block *block, s64 delta, bool is_full, struct diag *d)
{
	int err = 0;

	for (u32 slot = 0; slot < block->nritems && !err; slot++) {
		if (block->level == 0)
			err = change_data_ref(txn, block, slot, delta, is_full, d);
		else
			err = txn_change_ref_to_block(txn, node_blockptr(block->data, slot), (u8)(block->level - 1),
						      block->owner, is_full ? block->logical : 0, delta, d);
	}
	return err;
}

int txn_set_full_backref(struct txn *txn, const struct tree_block *block, struct diag *d)
{
	struct delayed_head *head =
		delayed_refs_get(&txn->delayed, block->logical, txn->id.nodesize, block->level, false);

	if (!head)
		return diag_no_memory(d, "back references");
	head->do_set_full_backref = true;
	return 0;
}

int txn_block_refs(struct txn *txn, u64 logical, struct extent_info *ret_info, struct diag *d)
{
	const struct delayed_head *head = delayed_refs_find(&txn->delayed, logical);
	struct tree_root *extents;
	int err = txn_tree(txn, EXTENT_TREE_OBJECTID, &extents, d);

	if (err)
		return err;
	*ret_info = (struct extent_info){ 0 };
	if (!head || head->is_dead || !head->is_new)
		err = extent_lookup(&extents->tree, logical, txn->id.nodesize, false, ret_info, d);
	if (err)
		return err == -ENOENT ? diag_fail(d, -EUCLEAN,
						  "tree block %llu: has no extent item; check the filesystem first",
						  (ull)logical)
				      : err;
	if (head && !head->is_dead) {
		ret_info->refs += (u64)head->delta;
		if (head->do_set_full_backref)
			ret_info->flags |= EXTENT_FLAG_FULL_BACKREF;
	}
	if (ret_info->refs == 0)
		return diag_fail(d, -EUCLEAN,
				 "tree block %llu: is in use, but has no references; check the filesystem first",
				 (ull)logical);
	return 0;
}

/* --- Blocks for trees ---------------------------------------- */

/*
 * What commits need has to stay: the larger the filesystem, the more of its extent tree one transaction may touch. On a small
 * one with large blocks, so many blocks that each tree can be changed in several places.
 */
u64 txn_commit_reserve_bytes(u64 metadata_bytes, u32 nodesize)
{
	return MAX(MIN(metadata_bytes / 16, 16 * MIB), MIN(metadata_bytes / 4, 48ULL * nodesize));
}

static u64 reserve_bytes(const struct txn *txn)
{
	return txn_commit_reserve_bytes(block_groups_sums(&txn->groups, BLOCK_GROUP_METADATA)->total_bytes, txn->id.nodesize);
}

bool txn_is_short_of_metadata(const struct txn *txn, u64 bytes)
{
	return !txn->may_use_reserve &&
	       block_groups_free_bytes(&txn->groups, BLOCK_GROUP_METADATA) < reserve_bytes(txn) + bytes;
}

int txn_take_block_space(struct txn *txn, u64 type, u64 *ret_logical, struct diag *d)
{
	const struct space_wish wish = {
		.type = type,
		.profile = txn_profile_of(txn, type),
		.want_bytes = txn->id.nodesize,
		.min_bytes = txn->id.nodesize,
		.align_bytes = txn->id.nodesize,
	};
	u64 len;
	int err = txn_is_usable(txn, d);

	if (err)
		return err;
	if (type == BLOCK_GROUP_METADATA && txn_is_short_of_metadata(txn, txn->id.nodesize)) {
		err = txn_alloc_chunk(txn, type, d);
		if (err)
			return err;
		diag_clear(d);
	}
	err = block_groups_alloc(&txn->groups, &wish, ret_logical, &len, d);
	if (err != -ENOSPC)
		return err;
	err = txn_alloc_chunk(txn, type, d);
	if (err)
		return err;
	diag_clear(d);
	return block_groups_alloc(&txn->groups, &wish, ret_logical, &len, d);
}

static void count_root_bytes(struct txn *txn, struct tree_root *root, int nr_blocks)
{
	struct txn_root *own = txn_root_of(root);

	if (own->has_item)
		le64_put(&own->item.bytes_used,
			 le64_get(own->item.bytes_used) + (u64)((s64)nr_blocks * txn->id.nodesize));
}

static int source_alloc(struct block_source *source, struct tree_root *root, u8 level, struct tree_block **ret_block,
			struct diag *d)
{
	struct txn *txn = txn_of(source);
	const struct extent_ref ref = { .type = TREE_BLOCK_REF_KEY, .root = root->tree.id };
	struct delayed_head *head;
	u64 logical;
	int err = txn_take_block_space(txn, root->tree.id == CHUNK_TREE_OBJECTID ? BLOCK_GROUP_SYSTEM : BLOCK_GROUP_METADATA,
			     &logical, d);

	if (err)
		return err;
	txn->is_changed = true;
	head = delayed_refs_get(&txn->delayed, logical, txn->id.nodesize, level, false);
	if (!head)
		return diag_no_memory(d, "back references");
	head->is_new = true;
	if (delayed_refs_add(&txn->delayed, head, &ref, 1) < 0)
		return diag_no_memory(d, "back references");
	count_root_bytes(txn, root, 1);
	err = txn_charge(txn, root->tree.id, txn->source.generation, txn->id.nodesize, d);
	if (err)
		return err;
	return block_new(txn->target.cache, &txn->id, logical, root->tree.id, level, ret_block, d);
}

static int source_free(struct block_source *source, struct tree_root *root, struct tree_block *block, struct diag *d)
{
	struct txn *txn = txn_of(source);
	struct delayed_head *head = delayed_refs_find(&txn->delayed, block->logical);
	u64 logical = block->logical;
	int err = 0;

	/* Not recorded yet: as if it had never been. */
	if (head && head->is_new && !head->is_dead && head->delta == 1) {
		head->is_dead = true;
		head->first = head->last = 0;
		err = block_groups_free(&txn->groups, logical, txn->id.nodesize, d);
		if (!err)
			err = txn_charge(txn, root->tree.id, txn->source.generation, -(s64)txn->id.nodesize, d);
	} else {
		err = txn_drop_block_ref(txn, block, root->tree.id, 0, d);
	}
	count_root_bytes(txn, root, -1);
	block_drop_dirty(block);
	return err;
}

static bool may_be_shared(const struct tree_root *root, const struct tree_block *block, bool is_root)
{
	if (!root->is_shareable || is_root)
		return false;
	return block->generation <= root->last_snapshot ||
	       (le64_get(block_header(block->data)->flags) & HEADER_FLAG_RELOC);
}

/* Who refers to the children of @block, now that @copy stands in its place in @root. */
static int hand_over_children(struct txn *txn, const struct tree_root *root, const struct tree_block *block,
			      const struct tree_block *copy, const struct extent_info *info, struct diag *d)
{
	bool is_full = info->flags & EXTENT_FLAG_FULL_BACKREF;
	int err = 0;

	if (info->refs > 1) {
		if (block->owner == root->tree.id && !is_full) {
			err = txn_change_block_refs(txn, block, 1, true, d);
			return err ? err : txn_set_full_backref(txn, block, d);
		}
		return txn_change_block_refs(txn, copy, 1, false, d);
	}
	if (is_full) {
		err = txn_change_block_refs(txn, copy, 1, false, d);
		return err ? err : txn_change_block_refs(txn, block, -1, true, d);
	}
	/* Recorded by the owner. When that is another tree, which has let go of the block, it would have been made
	 * full. */
	if (block->owner != root->tree.id)
		return diag_fail(d, -EUCLEAN,
				 "tree block %llu of tree %llu: belongs to tree %llu, without full back references",
				 (ull)block->logical, (ull)root->tree.id, (ull)block->owner);
	return 0;
}

static int source_cow(struct block_source *source, struct tree_root *root, struct tree_block *block, bool is_root,
		      struct tree_block **ret_copy, struct diag *d)
{
	struct txn *txn = txn_of(source);
	struct extent_info info = { .refs = 1 };
	struct tree_block *copy;
	int err = 0;

	if (may_be_shared(root, block, is_root))
		err = txn_block_refs(txn, block->logical, &info, d);
	if (!err)
		err = source_alloc(source, root, block->level, &copy, d);
	if (err)
		return err;
	memcpy(block_bytes(copy) + sizeof(struct disk_header), block->data + sizeof(struct disk_header),
	       txn->id.nodesize - sizeof(struct disk_header));
	((struct disk_header *)block_bytes(copy))->nritems = block_header(block->data)->nritems;
	block_changed(copy);
	if (root->is_shareable)
		err = hand_over_children(txn, root, block, copy, &info, d);
	if (!err)
		err = txn_drop_block_ref(txn, block, root->tree.id, 0, d);
	if (err) {
		block_put(copy);
		return err;
	}
	count_root_bytes(txn, root, -1);
	*ret_copy = copy;
	return 0;
}

const struct block_source_ops txn_source_ops = { .alloc = source_alloc, .cow = source_cow, .free = source_free };
