/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What lies beside a write in a row of RAID5/6, as it should be: tree blocks by what their headers and the extent tree say,
 * data by checksums, all as the last commit has it, for that is what must not be lost. What this transaction has written
 * itself is as it is on the devices; data without checksums is taken as it is there, as nobody can say more.
 *
 * Blocks and data of a log that is being replayed are in no tree yet, and also taken as they are. They are in no row that
 * anything new goes to as long as there are fresh ones.
 */
#include "kernel-shared/space/csum_range.h"
#include "kernel-shared/txn/txn_state.h"

/* What is to be mended: bytes of [logical, logical + len). */
struct mended {
	struct txn *txn;
	u64 logical;
	u8 *buf;
	size_t len;
};

/* --- Tree blocks ---------------------------------------- */

static int mend_block(const struct mended *m, u64 logical, u64 generation, struct diag *d)
{
	u32 nodesize = m->txn->id.nodesize;
	const struct block_expect expect = { .logical = logical, .level = -1, .generation = generation };
	u64 from = MAX(logical, m->logical), end = MIN(logical + nodesize, m->logical + m->len);
	_free_ u8 *block = malloc(nodesize);

	if (!block)
		return diag_no_memory(d, "a tree block");
	for (unsigned mirror = 1; mirror <= volume_nr_mirrors(m->txn->target.volume, logical); mirror++) {
		struct diag why = { 0 };

		if (block_read_copy(m->txn->target.cache, &expect, mirror, block, &why) == 0) {
			memcpy(m->buf + (from - m->logical), block + (from - logical), end - from);
			return 0;
		}
	}
	return 0; /* it was lost before */
}

/* --- Data ---------------------------------------- */

static bool is_good(const struct txn *txn, const u8 *bytes, const u8 *csum)
{
	u8 got[CSUM_BYTES_MAX];

	csum_compute(txn->target.csum, bytes, txn->groups.sectorsize, got);
	return memcmp(got, csum, txn->target.csum->size_bytes) == 0;
}

static int mend_sector(const struct mended *m, u64 logical, const u8 *csum, struct diag *d)
{
	const struct txn *txn = m->txn;
	u8 *bytes = m->buf + (logical - m->logical);
	_free_ u8 *copy = NULL;

	if (is_good(txn, bytes, csum))
		return 0;
	copy = malloc(txn->groups.sectorsize);
	if (!copy)
		return diag_no_memory(d, "a sector");
	for (unsigned mirror = 1; mirror <= volume_nr_mirrors(txn->target.volume, logical); mirror++) {
		struct diag why = { 0 };

		if (volume_read(txn->target.volume, logical, copy, txn->groups.sectorsize, mirror, &why) < 0 ||
		    !is_good(txn, copy, csum))
			continue;
		memcpy(bytes, copy, txn->groups.sectorsize);
		break;
	}
	return 0;
}

/* The checksum tree as it is on disk. 1: there is none. */
static int committed_csums(struct txn *txn, struct tree *ret_tree, struct diag *d)
{
	struct tree_root *root;
	int err = txn_tree(txn, CSUM_TREE_OBJECTID, &root, d);

	if (err == -ENOENT) {
		diag_clear(d);
		return 1;
	}
	if (!err)
		*ret_tree = txn_root_of(root)->committed;
	return err;
}

/* What of the extent [logical, logical + len) is here. */
static int mend_data(const struct mended *m, u64 logical, u64 len, struct diag *d)
{
	const struct txn *txn = m->txn;
	const struct csum_geometry geometry = { txn->groups.sectorsize, txn->target.csum->size_bytes };
	u64 from = MAX(logical, m->logical), end = MIN(logical + len, m->logical + m->len);
	u64 nr = (end - from) / geometry.sectorsize;
	_free_ u8 *csums = malloc(nr * geometry.csum_bytes + 1);
	_free_ bool *is_known = calloc(nr + 1, sizeof(*is_known));
	struct tree tree;
	int err = csums && is_known ? 0 : diag_no_memory(d, "data checksums");

	if (!err)
		err = committed_csums(m->txn, &tree, d);
	if (!err)
		err = csum_range_find(&tree, &geometry, from, nr, csums, is_known, d);
	for (u64 i = 0; i < nr && !err; i++)
		if (is_known[i])
			err = mend_sector(m, from + i * geometry.sectorsize, csums + i * geometry.csum_bytes, d);
	return MIN(err, 0);
}

bool txn_has_kept(void *ctx, u64 logical, u64 len)
{
	const struct txn *txn = ctx;

	return !block_groups_is_fresh(&txn->groups, logical, len);
}

/* --- Both ---------------------------------------- */

static bool is_extent(const struct cursor *cursor)
{
	u8 type = cursor_key(cursor).type;

	return type == EXTENT_ITEM_KEY || type == METADATA_ITEM_KEY;
}

/* The extent before or at the place, if there is one, else what follows. */
static int seek_extent(struct cursor *cursor, u64 logical, struct diag *d)
{
	struct key last = { logical, METADATA_ITEM_KEY, UINT64_MAX };
	const struct key first = { logical, 0, 0 };
	int err;

	/* Back over the items of references of one extent after the other, which may be many. */
	for (err = cursor_seek_back(cursor, &last, d); err == 0; err = cursor_seek_back(cursor, &last, d)) {
		if (cursor_key(cursor).type <= METADATA_ITEM_KEY)
			break;
		last.objectid = cursor_key(cursor).objectid;
	}
	return err == 1 ? cursor_seek(cursor, &first, d) : err;
}

static int mend_extent(const struct mended *m, const struct cursor *cursor, struct diag *d)
{
	const struct key key = cursor_key(cursor);
	const struct disk_extent_item *item = cursor_data(cursor);
	u64 len = key.type == METADATA_ITEM_KEY ? m->txn->id.nodesize : key.offset;

	if (key.objectid < m->logical && len <= m->logical - key.objectid)
		return 0;
	/* Of a size that old filesystems have, which cannot be changed. */
	if (cursor_data_bytes(cursor) < sizeof(*item))
		return 0;
	if (key.type == METADATA_ITEM_KEY || (le64_get(item->flags) & EXTENT_FLAG_TREE_BLOCK))
		return mend_block(m, key.objectid, le64_get(item->generation), d);
	return mend_data(m, key.objectid, len, d);
}

int txn_mend(void *ctx, u64 logical, u8 *buf, size_t len, struct diag *d)
{
	const struct mended m = { ctx, logical, buf, len };
	struct txn *txn = ctx;
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&txn->groups.extent_tree);
	int err;

	if (logical % txn->groups.sectorsize || len % txn->groups.sectorsize)
		return diag_fail(d, -EINVAL, "range %llu of %zu bytes: not whole sectors", (unsigned long long)logical, len);
	for (err = seek_extent(&cursor, logical, d); err == 0; err = cursor_next(&cursor, d)) {
		if (cursor_key(&cursor).objectid >= logical + len)
			return 0;
		if (is_extent(&cursor))
			err = mend_extent(&m, &cursor, d);
		if (err)
			break;
	}
	return err < 0 ? diag_context(d, err, "what lies beside a write cannot be judged, and its parity does not fit") : 0;
}
