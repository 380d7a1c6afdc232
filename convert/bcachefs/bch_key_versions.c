/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_key_versions.h"

static bool has_renumbered_types(const struct bch_written *written)
{
	return written->version < BCH_VERSION(0, 10);
}

static bool has_inodes_turned(const struct bch_written *written)
{
	return written->version < BCH_VERSION(0, 11) && written->btree == BCH_INODES;
}

/* Other btrees have 0 until today. */
static bool lacks_snapshots(const struct bch_written *written)
{
	return bch_is_before_snapshots(written) && (written->level > 0 || written->btree <= BCH_XATTRS);
}

struct bch_pos bch_pos_as_now(const struct bch_written *written, struct bch_pos pos)
{
	if (has_inodes_turned(written))
		pos = (struct bch_pos){ pos.offset, pos.inode, pos.snapshot };
	if (lacks_snapshots(written))
		pos.snapshot = UINT32_MAX;
	return pos;
}

/* The first type of a btree's own. */
#define OLD_TYPE_FIRST 128
#define OLD_TYPES 3

u8 bch_key_type_as_now(const struct bch_written *written, u8 type)
{
	static const u8 types[][OLD_TYPES] = {
		[BCH_EXTENTS] = { BCH_KEY_EXTENT, BCH_KEY_EXTENT, BCH_KEY_RESERVATION },
		[BCH_INODES] = { BCH_KEY_INODE, 0, BCH_KEY_INODE_GENERATION },
		[BCH_DIRENTS] = { BCH_KEY_DIRENT, BCH_KEY_HASH_WHITEOUT },
		[BCH_XATTRS] = { BCH_KEY_XATTR, BCH_KEY_HASH_WHITEOUT },
		[BCH_ALLOC] = { BCH_KEY_ALLOC },
		[BCH_QUOTAS] = { BCH_KEY_QUOTA },
	};
	u8 now = 0;

	if (!has_renumbered_types(written) || type < OLD_TYPE_FIRST || type >= OLD_TYPE_FIRST + OLD_TYPES)
		return type;
	if (written->level > 0)
		now = type == OLD_TYPE_FIRST ? BCH_KEY_BTREE_PTR : 0;
	else if (written->btree < ARRAY_LEN(types))
		now = types[written->btree][type - OLD_TYPE_FIRST];
	return now ? now : type;
}

void bch_value_as_now(const struct bch_written *written, u8 type, u8 *value, size_t bytes)
{
	struct disk_bch_btree_ptr_v2 ptr;
	le64 inode;

	if (!has_inodes_turned(written) || type != BCH_KEY_BTREE_PTR_V2 || bytes < sizeof(ptr))
		return;
	memcpy(&ptr, value, sizeof(ptr));
	inode = ptr.min_key.inode;
	ptr.min_key.inode = ptr.min_key.offset;
	ptr.min_key.offset = inode;
	memcpy(value, &ptr, sizeof(ptr));
}

void bch_unpacked_as_now(const struct bch_written *written, u8 *key, size_t bytes)
{
	struct disk_bch_key disk;
	struct bch_pos pos;

	if (written->version >= BCH_VERSION(0, 12) || bytes < sizeof(disk))
		return;
	memcpy(&disk, key, sizeof(disk));
	bytes = MIN((size_t)disk.u64s * 8, bytes);
	if (bytes < sizeof(disk))
		return;
	disk.type = bch_key_type_as_now(written, disk.type);
	pos = bch_pos_as_now(written, bch_pos_get(&disk.pos));
	le64_put(&disk.pos.inode, pos.inode);
	le64_put(&disk.pos.offset, pos.offset);
	le32_put(&disk.pos.snapshot, pos.snapshot);
	memcpy(key, &disk, sizeof(disk));
	bch_value_as_now(written, disk.type, key + sizeof(disk), bytes - sizeof(disk));
}
