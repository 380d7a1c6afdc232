/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_key.h"

#include <stdio.h>

/* --- Positions ----------------------------------------------------------------------------------------------- */

int bch_pos_compare(const struct bch_pos *a, const struct bch_pos *b)
{
	if (a->inode != b->inode)
		return a->inode < b->inode ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return a->snapshot < b->snapshot ? -1 : a->snapshot > b->snapshot;
}

struct bch_pos bch_pos_get(const struct disk_bch_pos *pos)
{
	return (struct bch_pos){ le64_get(pos->inode), le64_get(pos->offset), le32_get(pos->snapshot) };
}

struct bch_pos bch_pos_successor(struct bch_pos pos)
{
	const struct bch_pos max = BCH_POS_MAX;

	if (bch_pos_compare(&pos, &max) == 0)
		return pos;
	if (++pos.snapshot == 0 && ++pos.offset == 0)
		pos.inode++;
	return pos;
}

/* --- Packed keys --------------------------------------------------------------------------------------------- */

enum { FIELD_INODE, FIELD_OFFSET, FIELD_SNAPSHOT, FIELD_SIZE, FIELD_VERSION_HI, FIELD_VERSION_LO, NR_FIELDS };
static const u8 field_bits[NR_FIELDS] = { 64, 64, 32, 32, 32, 64 };

#define UNPACKED_U64S (sizeof(struct disk_bch_key) / 8)
#define HEADER_BITS 24 /* u64s, format and type, at the low end of a packed key */

int bch_format_check(const struct disk_bch_format *format, struct diag *d)
{
	unsigned bits = HEADER_BITS;

	if (format->nr_fields != NR_FIELDS)
		return diag_fail(d, -EUCLEAN, "format of packed keys: %u fields, not %u", format->nr_fields, NR_FIELDS);
	if (format->key_u64s < 1 || format->key_u64s > UNPACKED_U64S)
		return diag_fail(d, -EUCLEAN, "format of packed keys: %u words for a key, limit %zu", format->key_u64s,
				 UNPACKED_U64S);
	for (unsigned i = 0; i < NR_FIELDS; i++) {
		if (format->bits_per_field[i] > field_bits[i])
			return diag_fail(d, -EUCLEAN, "format of packed keys: field %u has %u bits, limit %u", i,
					 format->bits_per_field[i], field_bits[i]);
		bits += format->bits_per_field[i];
	}
	if (bits > format->key_u64s * 64u)
		return diag_fail(d, -EUCLEAN, "format of packed keys: %u bits in %u words", bits, format->key_u64s);
	return 0;
}

/* @nr_bits from bit @low_bit on of an integer of @words, least significant first. At most 64, all of them within it. */
static u64 bits_get(const u8 *words, unsigned low_bit, unsigned nr_bits)
{
	unsigned word = low_bit / 64, shift = low_bit % 64;
	le64 part;
	u64 value;

	if (nr_bits == 0)
		return 0;
	memcpy(&part, words + word * 8, sizeof(part));
	value = le64_get(part) >> shift;
	if (shift + nr_bits > 64) { /* so shift is not 0 */
		memcpy(&part, words + (word + 1) * 8, sizeof(part));
		value |= le64_get(part) << (64 - shift);
	}
	return nr_bits == 64 ? value : value & (((u64)1 << nr_bits) - 1);
}

/* The format has been checked. */
static void unpack(const struct disk_bch_format *format, const u8 *bytes, struct bch_key *ret_key)
{
	unsigned high_bit = format->key_u64s * 64; /* fields lie below one another, from the most significant bit on */
	u64 field[NR_FIELDS];

	for (unsigned i = 0; i < NR_FIELDS; i++) {
		high_bit -= format->bits_per_field[i];
		field[i] = bits_get(bytes, high_bit, format->bits_per_field[i]) + le64_get(format->field_offset[i]);
	}
	ret_key->pos = (struct bch_pos){ field[FIELD_INODE], field[FIELD_OFFSET], (u32)field[FIELD_SNAPSHOT] };
	ret_key->size_sectors = (u32)field[FIELD_SIZE];
	ret_key->version_hi = (u32)field[FIELD_VERSION_HI];
	ret_key->version_lo = field[FIELD_VERSION_LO];
}

static void get_unpacked(const u8 *bytes, struct bch_key *ret_key)
{
	struct disk_bch_key disk;

	memcpy(&disk, bytes, sizeof(disk));
	ret_key->pos = bch_pos_get(&disk.pos);
	ret_key->size_sectors = le32_get(disk.size);
	ret_key->version_hi = le32_get(disk.version_hi);
	ret_key->version_lo = le64_get(disk.version_lo);
}

int bch_key_get(const struct disk_bch_format *format, const u8 *bytes, size_t len_bytes, struct bch_key *ret_key,
		struct diag *d)
{
	unsigned u64s, key_u64s, kind;

	if (len_bytes < 8)
		return diag_fail(d, -EUCLEAN, "key: %zu bytes are too few for one", len_bytes);
	u64s = bytes[0];
	kind = bytes[1] & BCH_FORMAT_MASK;
	if (kind == BCH_FORMAT_UNPACKED)
		key_u64s = UNPACKED_U64S;
	else if (kind == BCH_FORMAT_PACKED && format)
		key_u64s = format->key_u64s;
	else
		return diag_fail(d, -EUCLEAN, "key: is of format %u, which is not known here", kind);
	if (u64s < key_u64s)
		return diag_fail(d, -EUCLEAN, "key: %u words, of which the key alone has %u", u64s, key_u64s);
	if (u64s * (size_t)8 > len_bytes)
		return diag_fail(d, -EUCLEAN, "key: %u words, where %zu bytes are left", u64s, len_bytes);
	if (kind == BCH_FORMAT_UNPACKED)
		get_unpacked(bytes, ret_key);
	else
		unpack(format, bytes, ret_key);
	ret_key->type = bytes[2];
	ret_key->value = bytes + key_u64s * 8;
	ret_key->value_bytes = (u64s - key_u64s) * 8;
	return (int)u64s * 8;
}

/* --- Names --------------------------------------------------------------------------------------------------- */

static const char *const btree_names[] = {
	[BCH_EXTENTS] = "extents",
	[BCH_INODES] = "inodes",
	[BCH_DIRENTS] = "dirents",
	[BCH_XATTRS] = "xattrs",
	[BCH_ALLOC] = "alloc",
	[BCH_QUOTAS] = "quotas",
	[BCH_STRIPES] = "stripes",
	[BCH_REFLINK] = "reflink",
	[BCH_SUBVOLUMES] = "subvolumes",
	[BCH_SNAPSHOTS] = "snapshots",
	[BCH_LRU] = "lru",
	[BCH_FREESPACE] = "freespace",
	[BCH_NEED_DISCARD] = "need_discard",
	[BCH_BACKPOINTERS] = "backpointers",
	[BCH_BUCKET_GENS] = "bucket_gens",
	[BCH_SNAPSHOT_TREES] = "snapshot_trees",
	[BCH_DELETED_INODES] = "deleted_inodes",
	[BCH_LOGGED_OPS] = "logged_ops",
	[BCH_REBALANCE_WORK] = "rebalance_work",
	[BCH_SUBVOLUME_CHILDREN] = "subvolume_children",
	[BCH_ACCOUNTING] = "accounting",
};
_Static_assert(ARRAY_LEN(btree_names) == BCH_BTREES_KNOWN, "each btree has a name");

static const char *const key_type_names[] = {
	[BCH_KEY_DELETED] = "deleted",
	[BCH_KEY_WHITEOUT] = "whiteout",
	[BCH_KEY_ERROR] = "error",
	[BCH_KEY_COOKIE] = "cookie",
	[BCH_KEY_HASH_WHITEOUT] = "hash_whiteout",
	[BCH_KEY_BTREE_PTR] = "btree_ptr",
	[BCH_KEY_EXTENT] = "extent",
	[BCH_KEY_RESERVATION] = "reservation",
	[BCH_KEY_INODE] = "inode",
	[BCH_KEY_INODE_GENERATION] = "inode_generation",
	[BCH_KEY_DIRENT] = "dirent",
	[BCH_KEY_XATTR] = "xattr",
	[BCH_KEY_ALLOC] = "alloc",
	[BCH_KEY_QUOTA] = "quota",
	[BCH_KEY_STRIPE] = "stripe",
	[BCH_KEY_REFLINK_P] = "reflink_p",
	[BCH_KEY_REFLINK_V] = "reflink_v",
	[BCH_KEY_INLINE_DATA] = "inline_data",
	[BCH_KEY_BTREE_PTR_V2] = "btree_ptr_v2",
	[BCH_KEY_INDIRECT_INLINE_DATA] = "indirect_inline_data",
	[BCH_KEY_ALLOC_V2] = "alloc_v2",
	[BCH_KEY_SUBVOLUME] = "subvolume",
	[BCH_KEY_SNAPSHOT] = "snapshot",
	[BCH_KEY_INODE_V2] = "inode_v2",
	[BCH_KEY_ALLOC_V3] = "alloc_v3",
	[BCH_KEY_SET] = "set",
	[BCH_KEY_LRU] = "lru",
	[BCH_KEY_ALLOC_V4] = "alloc_v4",
	[BCH_KEY_BACKPOINTER] = "backpointer",
	[BCH_KEY_INODE_V3] = "inode_v3",
	[BCH_KEY_BUCKET_GENS] = "bucket_gens",
	[BCH_KEY_SNAPSHOT_TREE] = "snapshot_tree",
	[BCH_KEY_LOGGED_OP_TRUNCATE] = "logged_op_truncate",
	[BCH_KEY_LOGGED_OP_FINSERT] = "logged_op_finsert",
	[BCH_KEY_ACCOUNTING] = "accounting",
	[BCH_KEY_INODE_ALLOC_CURSOR] = "inode_alloc_cursor",
	[BCH_KEY_EXTENT_WHITEOUT] = "extent_whiteout",
};
_Static_assert(ARRAY_LEN(key_type_names) == BCH_NR_KEY_TYPES, "each type of key has a name");

const char *bch_btree_name(u8 btree, char buf[16])
{
	if (btree < ARRAY_LEN(btree_names))
		return btree_names[btree];
	snprintf(buf, 16, "btree %u", btree);
	return buf;
}

const char *bch_key_type_name(u8 type, char buf[16])
{
	if (type < ARRAY_LEN(key_type_names))
		return key_type_names[type];
	snprintf(buf, 16, "type %u", type);
	return buf;
}

static int text_part(char *buf, size_t room, u64 value, u64 max, const char *max_name)
{
	return value == max ? snprintf(buf, room, "%s", max_name) : snprintf(buf, room, "%llu", (unsigned long long)value);
}

const char *bch_pos_text(const struct bch_pos *pos, char buf[BCH_POS_TEXT_MAX])
{
	const struct bch_pos min = BCH_POS_MIN, max = BCH_POS_MAX;
	size_t at = 0;

	if (bch_pos_compare(pos, &min) == 0)
		return "POS_MIN";
	if (bch_pos_compare(pos, &max) == 0)
		return "SPOS_MAX";
	if (pos->inode == max.inode && pos->offset == max.offset && pos->snapshot == 0)
		return "POS_MAX";
	at += (size_t)text_part(buf, BCH_POS_TEXT_MAX, pos->inode, max.inode, "U64_MAX");
	buf[at++] = ':';
	at += (size_t)text_part(buf + at, BCH_POS_TEXT_MAX - at, pos->offset, max.offset, "U64_MAX");
	buf[at++] = ':';
	text_part(buf + at, BCH_POS_TEXT_MAX - at, pos->snapshot, max.snapshot, "U32_MAX");
	return buf;
}
