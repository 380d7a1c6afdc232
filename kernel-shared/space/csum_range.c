/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/space/csum_range.h"

#include "common/base/checked.h"

typedef unsigned long long ull;

/* As Linux: the size of a page. */
#define ITEM_SECTORS_MAX 4096u

u32 csum_item_max_sectors(u32 nodesize, u32 csum_bytes)
{
	u32 room = leaf_data_bytes(nodesize) - 2 * (u32)sizeof(struct disk_item);

	return MIN(room / csum_bytes - 1, ITEM_SECTORS_MAX);
}

static struct key key_of(u64 logical)
{
	return (struct key){ EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY, logical };
}

static bool is_csum_key(const struct key *key)
{
	return key->objectid == EXTENT_CSUM_OBJECTID && key->type == EXTENT_CSUM_KEY;
}

/* Where the sectors of an item of @bytes at @key end. */
static int item_end(const struct csum_geometry *geometry, const struct key *key, u32 bytes, u64 *ret_end, struct diag *d)
{
	u64 len = (u64)bytes / geometry->csum_bytes * geometry->sectorsize;

	if (bytes == 0 || bytes % geometry->csum_bytes || key->offset % geometry->sectorsize ||
	    !checked_add(key->offset, len, ret_end))
		return diag_fail(d, -EUCLEAN, "checksums at %llu: item of %u bytes", (ull)key->offset, bytes);
	return 0;
}

static int check_range(const struct csum_geometry *geometry, u64 logical, u64 len, struct diag *d)
{
	u64 end;

	if (logical % geometry->sectorsize || len % geometry->sectorsize || !checked_add(logical, len, &end))
		return diag_fail(d, -EINVAL, "checksums of [%llu, +%llu): not whole sectors", (ull)logical, (ull)len);
	return 0;
}

/*
 * Where the cursor is put: on the last item that begins at or before @logical, or else on the first behind it. 1: there is
 * neither.
 */
static int seek_around(struct cursor *cursor, u64 logical, struct diag *d)
{
	const struct key key = key_of(logical);
	int err = cursor_seek_back(cursor, &key, d);
	struct key at;

	if (err < 0)
		return err;
	if (err == 0) {
		at = cursor_key(cursor);
		if (is_csum_key(&at))
			return 0;
	}
	err = cursor_seek(cursor, &key, d);
	if (err)
		return err;
	at = cursor_key(cursor);
	return is_csum_key(&at) ? 0 : 1;
}

/* --- Looking up -------------------------------------------------------------------------------------------------- */

int csum_range_find(const struct tree *tree, const struct csum_geometry *geometry, u64 logical, u64 nr_sectors,
		    u8 *ret_csums, bool *ret_is_known, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	u64 sectorsize = geometry->sectorsize, end = logical + nr_sectors * sectorsize;
	u32 size = geometry->csum_bytes;
	int err = check_range(geometry, logical, nr_sectors * sectorsize, d);

	if (err)
		return err;
	memset(ret_is_known, false, nr_sectors * sizeof(*ret_is_known));
	for (err = seek_around(&cursor, logical, d); err == 0; err = cursor_next(&cursor, d)) {
		const struct key key = cursor_key(&cursor);
		u64 from, to, this_end;

		if (!is_csum_key(&key) || key.offset >= end)
			return 0;
		err = item_end(geometry, &key, cursor_data_bytes(&cursor), &this_end, d);
		if (err)
			return err;
		from = MAX(key.offset, logical);
		to = MIN(this_end, end);
		if (from >= to)
			continue;
		memcpy(ret_csums + (from - logical) / sectorsize * size,
		       (const u8 *)cursor_data(&cursor) + (from - key.offset) / sectorsize * size, (to - from) / sectorsize * size);
		memset(ret_is_known + (from - logical) / sectorsize, true, (to - from) / sectorsize * sizeof(*ret_is_known));
	}
	return err < 0 ? err : 0;
}

/* --- Deleting ---------------------------------------------------------------------------------------------------- */

/* The item stood on keeps what is before @from; what is from @to on becomes an item of its own. */
static int split_item(struct edit *edit, const struct csum_geometry *geometry, u64 from, u64 to, struct diag *d)
{
	const struct key key = edit_key(edit), tail_key = key_of(to);
	u32 head = (u32)((from - key.offset) / geometry->sectorsize * geometry->csum_bytes);
	u32 skip = (u32)((to - key.offset) / geometry->sectorsize * geometry->csum_bytes);
	u32 tail_bytes = edit_data_bytes(edit) - skip;
	_free_ u8 *tail = malloc(tail_bytes);
	int err;

	if (!tail)
		return diag_no_memory(d, "checksums");
	memcpy(tail, (const u8 *)edit_data(edit) + skip, tail_bytes);
	err = edit_resize(edit, head, d);
	return err ? err : edit_put(edit, &tail_key, tail, tail_bytes, d);
}

/* The item stood on loses what is before @to. */
static int cut_front(struct edit *edit, const struct csum_geometry *geometry, u64 to, struct diag *d)
{
	const struct key key = edit_key(edit), new_key = key_of(to);
	u32 cut = (u32)((to - key.offset) / geometry->sectorsize * geometry->csum_bytes);
	u32 left = edit_data_bytes(edit) - cut;
	u8 *data = edit_data(edit);
	int err;

	memmove(data, data + cut, left);
	err = edit_set_key(edit, &new_key, d);
	return err ? err : edit_resize(edit, left, d);
}

/* What [from, to) leaves of the item stood on, which ends at @this_end. */
static int cut_item(struct edit *edit, const struct csum_geometry *geometry, u64 from, u64 to, u64 this_end,
		    struct diag *d)
{
	u64 start = edit_key(edit).offset;

	if (start < from && this_end > to)
		return split_item(edit, geometry, from, to, d);
	if (start < from)
		return edit_resize(edit, (u32)((from - start) / geometry->sectorsize * geometry->csum_bytes), d);
	if (this_end > to)
		return cut_front(edit, geometry, to, d);
	return edit_delete(edit, NULL, d);
}

/* The key of the first item that has something of [logical, end). 1: there is none. */
static int find_first(const struct tree *tree, const struct csum_geometry *geometry, u64 logical, u64 end,
		      struct key *ret_key, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	u64 this_end;
	int err;

	for (err = seek_around(&cursor, logical, d); err == 0; err = cursor_next(&cursor, d)) {
		*ret_key = cursor_key(&cursor);
		if (!is_csum_key(ret_key) || ret_key->offset >= end)
			return 1;
		err = item_end(geometry, ret_key, cursor_data_bytes(&cursor), &this_end, d);
		if (err || this_end > logical)
			return err;
	}
	return err;
}

int csum_range_delete(struct tree_root *root, const struct csum_geometry *geometry, u64 logical, u64 len, struct diag *d)
{
	_cleanup_(edit_done) struct edit edit = edit_init(root);
	u64 end = logical + len;
	struct key key;
	int err = check_range(geometry, logical, len, d);

	if (!err)
		err = find_first(&root->tree, geometry, logical, end, &key, d);
	while (!err) {
		u64 this_end;

		err = edit_seek_from(&edit, &key, d);
		if (err)
			break;
		key = edit_key(&edit);
		if (!is_csum_key(&key) || key.offset >= end)
			break;
		err = item_end(geometry, &key, edit_data_bytes(&edit), &this_end, d);
		if (!err)
			err = cut_item(&edit, geometry, logical, end, this_end, d);
		if (this_end >= end)
			break;
		key = key_of(this_end);
	}
	return err < 0 ? err : 0;
}

/* --- Inserting --------------------------------------------------------------------------------------------------- */

/* Append to the item that ends at @logical, if there is one with room: *ret_taken sectors. */
static int extend_item(struct edit *edit, const struct csum_geometry *geometry, u64 logical, const u8 *csums,
		       u64 nr_sectors, u64 *ret_taken, struct diag *d)
{
	u32 most = csum_item_max_sectors(block_cache_nodesize(edit->root->tree.cache), geometry->csum_bytes), have, add;
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&edit->root->tree);
	struct key key = key_of(logical);
	u64 end;
	int err = cursor_seek_back(&cursor, &key, d);

	*ret_taken = 0;
	if (err)
		return err < 0 ? err : 0;
	key = cursor_key(&cursor);
	if (!is_csum_key(&key))
		return 0;
	have = cursor_data_bytes(&cursor) / geometry->csum_bytes;
	err = item_end(geometry, &key, cursor_data_bytes(&cursor), &end, d);
	if (err || end != logical || have >= most)
		return err;
	cursor_done(&cursor);
	add = (u32)MIN((u64)(most - have), nr_sectors);
	err = edit_seek(edit, &key, d);
	if (!err)
		err = edit_resize(edit, (have + add) * geometry->csum_bytes, d);
	if (err)
		return err;
	memcpy((u8 *)edit_data(edit) + have * geometry->csum_bytes, csums, add * geometry->csum_bytes);
	*ret_taken = add;
	return 0;
}

int csum_range_insert(struct tree_root *root, const struct csum_geometry *geometry, u64 logical, const u8 *csums,
		      u64 nr_sectors, struct diag *d)
{
	u32 most = csum_item_max_sectors(block_cache_nodesize(root->tree.cache), geometry->csum_bytes);
	_cleanup_(edit_done) struct edit edit = edit_init(root);
	u64 len, done;
	int err;

	if (!checked_mul(nr_sectors, geometry->sectorsize, &len))
		return diag_fail(d, -EINVAL, "checksums of %llu sectors", (ull)nr_sectors);
	err = csum_range_delete(root, geometry, logical, len, d);
	if (!err)
		err = extend_item(&edit, geometry, logical, csums, nr_sectors, &done, d);
	for (u64 add; !err && done < nr_sectors; done += add) {
		const struct key key = key_of(logical + done * geometry->sectorsize);

		add = MIN((u64)most, nr_sectors - done);
		err = edit_put(&edit, &key, csums + done * geometry->csum_bytes, (u32)add * geometry->csum_bytes, d);
	}
	return err;
}
