/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Items of several entries, one behind the other. */
#include "kernel-shared/fs/edit_items.h"

int packed_append(struct tree_root *root, const struct key *key, const void *entry, u32 bytes, struct diag *d)
{
	_cleanup_(edit_done) struct edit edit = edit_init(root);
	u32 most = leaf_item_max_bytes(block_cache_nodesize(root->tree.cache)), old = 0;
	void *room;
	int err = edit_seek(&edit, key, d);

	if (err < 0)
		return err;
	if (err == 0)
		old = edit_data_bytes(&edit);
	if (bytes > most || old > most - bytes)
		return diag_fail(d, -EOVERFLOW, "tree %lld: %u bytes and %u more do not fit into one item (%lld %u %llu)",
				 (long long)root->tree.id, old, bytes, (long long)key->objectid, key->type,
				 (unsigned long long)key->offset);
	if (err == 1) {
		err = edit_insert_here(&edit, key, bytes, &room, d);
	} else {
		err = edit_resize(&edit, old + bytes, d);
		room = err ? NULL : (u8 *)edit_data(&edit) + old;
	}
	if (!err)
		memcpy(room, entry, bytes);
	return err;
}

int packed_remove(struct tree_root *root, const struct key *key, u32 at, u32 bytes, struct diag *d)
{
	_cleanup_(edit_done) struct edit edit = edit_init(root);
	int err = edit_seek(&edit, key, d);
	u32 have;
	u8 *data;

	if (err)
		return err < 0 ? err : diag_fail(d, -ENOENT, "tree %lld: an item is gone", (long long)root->tree.id);
	have = edit_data_bytes(&edit);
	if (at > have || bytes > have - at)
		return diag_fail(d, -EUCLEAN, "tree %lld: an item of %u bytes has no %u at %u", (long long)root->tree.id, have,
				 bytes, at);
	if (bytes == have)
		return edit_delete(&edit, NULL, d);
	data = edit_data(&edit);
	memmove(data + at, data + at + bytes, have - at - bytes);
	return edit_resize(&edit, have - bytes, d);
}
