/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Values of keys: names of members are those that the format's own tools have for them. */
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_extent.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_show.h"
#include "kernel-shared/print/show.h"

static u64 word_at(const struct bch_key *key, size_t at)
{
	le64 word;

	memcpy(&word, key->value + at, sizeof(word));
	return le64_get(word);
}

static u32 half_at(const struct bch_key *key, size_t at)
{
	le32 half;

	memcpy(&half, key->value + at, sizeof(half));
	return le32_get(half);
}

/* --- Extents ------------------------------------------------------------------------------------------------------ */

#define BITS(word, low, nr) ((word) >> (low) & (((u64)1 << (nr)) - 1))

enum { ENTRY_PTR, ENTRY_CRC32, ENTRY_CRC64, ENTRY_CRC128, ENTRY_STRIPE_PTR, ENTRY_REBALANCE, ENTRY_FLAGS, ENTRY_RECONCILE,
       ENTRY_RECONCILE_BP, NR_ENTRIES };
static const u8 entry_bytes[NR_ENTRIES] = { 8, 8, 16, 24, 8, 8, 8, 8, 8 };

/* Of the three kinds of checksum entries: how wide each of their fields is, in their order behind the type. */
static const struct {
	u8 type_bits, size_bits, nonce_bits, unused_bits;
} crc_kinds[] = { [ENTRY_CRC32] = { 2, 7, 0, 1 }, [ENTRY_CRC64] = { 3, 9, 10, 0 }, [ENTRY_CRC128] = { 4, 13, 13, 0 } };

static const char *const entry_names[NR_ENTRIES] = { "ptr", "crc32", "crc64", "crc128", "stripe_ptr", "rebalance", "flags",
						    "reconcile", "reconcile_bp" };
static const char *const compression_names[] = { "none", "lz4_old", "gzip", "lz4", "zstd", "incompressible" };

static void show_named(printer *to, const char *name, unsigned value, const char *known)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	show_text(to, name, known ? known : text);
}

/* High and low half of a checksum, as stored. */
static void crc_csum(const struct bch_key *key, size_t at, unsigned kind, u64 word, u64 *ret_high, u64 *ret_low)
{
	*ret_high = kind == ENTRY_CRC64 ? BITS(word, 48, 16) : kind == ENTRY_CRC128 ? word_at(key, at + 16) : 0;
	*ret_low = kind == ENTRY_CRC32 ? word >> 32 : word_at(key, at + 8);
}

static void show_crc(printer *to, const struct bch_key *key, size_t at, unsigned kind)
{
	unsigned shift = crc_kinds[kind].type_bits, bits = crc_kinds[kind].size_bits, type, compression;
	u64 word = word_at(key, at), high, low;
	char text[64];

	show_u64(to, "c_size", BITS(word, shift, bits) + 1);
	show_u64(to, "size", BITS(word, shift + bits, bits) + 1);
	show_u64(to, "offset", BITS(word, shift + 2 * bits, bits));
	shift += 3 * bits;
	show_u64(to, "nonce", BITS(word, shift, crc_kinds[kind].nonce_bits));
	shift += crc_kinds[kind].nonce_bits + crc_kinds[kind].unused_bits;
	type = (unsigned)BITS(word, shift, 4);
	compression = (unsigned)BITS(word, shift + 4, 4);
	show_named(to, "csum", type, bch_csum_name(type));
	crc_csum(key, at, kind, word, &high, &low);
	snprintf(text, sizeof(text), "%" PRIx64 ":%" PRIx64, high, low);
	show_text(to, "csum_value", text);
	show_named(to, "compress", compression, compression < ARRAY_LEN(compression_names) ? compression_names[compression] : NULL);
}

static void show_ptr(printer *to, const struct bch_fs *fs, u64 word)
{
	u64 sector = BITS(word, 4, 44), bucket_sectors = 0;
	unsigned device = (unsigned)BITS(word, 48, 8);
	char text[64];

	if (device < fs->super->members.len)
		bucket_sectors = fs->super->members.items[device].bucket_bytes / BCH_SECTOR_BYTES;
	snprintf(text, sizeof(text), "%u:%" PRIu64 ":%" PRIu64, device, bucket_sectors ? sector / bucket_sectors : 0,
		 bucket_sectors ? sector % bucket_sectors : sector);
	show_text(to, "place", text); /* device, bucket, sector within it */
	show_u64(to, "device", device);
	show_u64(to, "sector", sector);
	show_u64(to, "gen", word >> 56);
	if (BITS(word, 1, 1))
		show_bool(to, "is_cached", true);
	if (BITS(word, 3, 1))
		show_bool(to, "is_unwritten", true);
}

static void show_entries(printer *to, const struct bch_fs *fs, const struct bch_key *key, size_t at)
{
	show_begin_list(to, "entries");
	while (at < key->value_bytes) {
		u64 word = word_at(key, at);
		unsigned kind = word ? (unsigned)__builtin_ctzll(word) : 64;

		show_begin(to, NULL);
		show_named(to, "kind", kind, kind < NR_ENTRIES ? entry_names[kind] : NULL);
		if (kind >= NR_ENTRIES || key->value_bytes - at < entry_bytes[kind]) {
			show_hex(to, "data", key->value + at, key->value_bytes - at);
			at = key->value_bytes;
		} else {
			if (kind == ENTRY_PTR)
				show_ptr(to, fs, word);
			else if (kind <= ENTRY_CRC128)
				show_crc(to, key, at, kind);
			else
				show_u64(to, "word", word);
			at += entry_bytes[kind];
		}
		show_end(to);
	}
	show_end(to);
}

static void show_btree_ptr(printer *to, const struct bch_fs *fs, const struct bch_key *key)
{
	struct disk_bch_btree_ptr_v2 ptr;
	char text[BCH_POS_TEXT_MAX];
	struct bch_pos min;

	memcpy(&ptr, key->value, sizeof(ptr));
	min = bch_pos_get(&ptr.min_key);
	snprintf(text, sizeof(text), "%" PRIx64, le64_get(ptr.seq));
	show_text(to, "seq", text);
	show_u64(to, "written", le16_get(ptr.sectors_written));
	show_text(to, "min_key", bch_pos_text(&min, text));
	show_entries(to, fs, key, sizeof(ptr));
}

static void show_reflink_p(printer *to, const struct bch_key *key)
{
	u64 word = word_at(key, 0);

	show_u64(to, "idx", BITS(word, 0, 56));
	if (BITS(word, 56, 1))
		show_bool(to, "has_error", true);
	if (key->value_bytes >= 16) {
		show_u64(to, "front_pad", half_at(key, 8));
		show_u64(to, "back_pad", half_at(key, 12));
	}
}

/* --- Inodes and names --------------------------------------------------------------------------------------------- */

/* How many links a stored number of 0 stands for; see struct bch_inode. */
static u32 links_of_none(const struct bch_inode *inode)
{
	return inode->flags & BCH_INODE_UNLINKED ? 0 : S_ISDIR(inode->mode) ? 2 : 1;
}

static bool show_inode(printer *to, const struct bch_key *key)
{
	struct bch_inode inode;
	char text[32];

	if (bch_inode_get(key, &inode, NULL) != 0)
		return false;
	show_begin(to, "fields");
	snprintf(text, sizeof(text), "%o", inode.mode);
	show_text(to, "mode", text);
	snprintf(text, sizeof(text), "%" PRIx64, inode.flags);
	show_text(to, "flags", text);
	snprintf(text, sizeof(text), "%" PRIx64, inode.hash_seed);
	show_text(to, "hash_seed", text);
	show_u64(to, "bi_size", inode.size);
	show_u64(to, "bi_sectors", inode.sectors);
	show_u64(to, "bi_atime", inode.atime);
	show_u64(to, "bi_ctime", inode.ctime);
	show_u64(to, "bi_mtime", inode.mtime);
	show_u64(to, "bi_otime", inode.otime);
	show_u64(to, "bi_uid", inode.uid);
	show_u64(to, "bi_gid", inode.gid);
	show_u64(to, "bi_nlink", inode.nlink - links_of_none(&inode));
	show_u64(to, "bi_dev", inode.dev);
	show_u64(to, "bi_project", inode.project);
	show_u64(to, "bi_dir", inode.dir);
	show_u64(to, "bi_dir_offset", inode.dir_offset);
	show_u64(to, "bi_subvol", inode.subvol);
	show_u64(to, "bi_parent_subvol", inode.parent_subvol);
	show_end(to);
	return true;
}

static bool show_dirent(printer *to, const struct bch_key *key)
{
	static const char *const types[] = { [1] = "fifo", [2] = "chr", [4] = "dir", [6] = "blk", [8] = "reg", [10] = "lnk", [12] = "sock",
					     [14] = "whiteout", [BCH_DT_SUBVOL] = "subvol" };
	struct bch_dirent dirent;

	if (bch_dirent_get(key, &dirent, NULL) != 0)
		return false;
	show_name(to, "name", dirent.name, dirent.name_len);
	if (dirent.type == BCH_DT_SUBVOL)
		show_u64(to, "parent_subvol", dirent.parent_subvol);
	show_u64(to, "target", dirent.type == BCH_DT_SUBVOL ? dirent.subvol : dirent.ino);
	show_named(to, "kind", dirent.type, dirent.type < ARRAY_LEN(types) ? types[dirent.type] : NULL);
	return true;
}

static bool show_xattr(printer *to, const struct bch_key *key)
{
	struct bch_xattr xattr;

	if (bch_xattr_get(key, &xattr, NULL) != 0)
		return false;
	show_name(to, "attribute", xattr.name, strlen(xattr.name));
	show_name(to, "contents", xattr.value, xattr.value_len);
	return true;
}

/* --- Subvolumes and snapshots -------------------------------------------------------------------------------------- */

static void show_subvolume(printer *to, const struct bch_key *key)
{
	u32 flags = half_at(key, 0);

	show_u64(to, "root", word_at(key, 8));
	show_u64(to, "snapshot_id", half_at(key, 4));
	if (key->value_bytes >= 24) {
		show_u64(to, "creation_parent", half_at(key, 16));
		show_u64(to, "fs_parent", half_at(key, 20));
	}
	show_bool(to, "is_read_only", flags & 1);
	show_bool(to, "is_snapshot", flags >> 1 & 1);
	show_bool(to, "is_unlinked", flags >> 2 & 1);
}

static void show_snapshot(printer *to, const struct bch_key *key)
{
	u64 flags = half_at(key, 0);

	show_u64(to, "flags", flags);
	show_u64(to, "parent", half_at(key, 4));
	show_begin_list(to, "children");
	show_u64(to, NULL, half_at(key, 8));
	show_u64(to, NULL, half_at(key, 12));
	show_end(to);
	show_u64(to, "subvol", half_at(key, 16));
	if (key->value_bytes >= 32) {
		show_u64(to, "tree", half_at(key, 20));
		show_u64(to, "depth", half_at(key, 24));
	}
}

/* --------------------------------------------------------------------------------------------------------------------- */

/* Types whose values are nothing else than numbers or entries. false: shorter than it must be. */
static bool show_plain(printer *to, const struct bch_fs *fs, const struct bch_key *key)
{
	static const u8 bytes_min[BCH_NR_KEY_TYPES] = {
		[BCH_KEY_RESERVATION] = 8,  [BCH_KEY_BTREE_PTR_V2] = sizeof(struct disk_bch_btree_ptr_v2),
		[BCH_KEY_REFLINK_P] = 8,    [BCH_KEY_REFLINK_V] = 8,
		[BCH_KEY_INDIRECT_INLINE_DATA] = 8, [BCH_KEY_SUBVOLUME] = 16,
		[BCH_KEY_SNAPSHOT] = 24,    [BCH_KEY_SNAPSHOT_TREE] = 8,
	};

	if (key->type >= BCH_NR_KEY_TYPES || key->value_bytes < bytes_min[key->type])
		return false;
	switch (key->type) {
	case BCH_KEY_BTREE_PTR:
	case BCH_KEY_EXTENT:
		return show_entries(to, fs, key, 0), true;
	case BCH_KEY_REFLINK_V:
		show_u64(to, "refcount", word_at(key, 0));
		return show_entries(to, fs, key, 8), true;
	case BCH_KEY_BTREE_PTR_V2:
		return show_btree_ptr(to, fs, key), true;
	case BCH_KEY_RESERVATION:
		show_u64(to, "generation", half_at(key, 0));
		return show_u64(to, "replicas", key->value[4]), true;
	case BCH_KEY_REFLINK_P:
		return show_reflink_p(to, key), true;
	case BCH_KEY_INLINE_DATA:
		show_u64(to, "datalen", key->value_bytes);
		return show_hex(to, "data", key->value, key->value_bytes), true;
	case BCH_KEY_INDIRECT_INLINE_DATA:
		show_u64(to, "refcount", word_at(key, 0));
		show_u64(to, "datalen", key->value_bytes - 8);
		return show_hex(to, "data", key->value + 8, key->value_bytes - 8), true;
	case BCH_KEY_SUBVOLUME:
		return show_subvolume(to, key), true;
	case BCH_KEY_SNAPSHOT:
		return show_snapshot(to, key), true;
	case BCH_KEY_SNAPSHOT_TREE:
		show_u64(to, "subvol", half_at(key, 0));
		return show_u64(to, "root_snapshot", half_at(key, 4)), true;
	default:
		return false;
	}
}

void bch_show_value(const struct btrkit_printer *to, const struct bch_fs *fs, const struct bch_key *key)
{
	bool is_shown;

	switch (key->type) {
	case BCH_KEY_INODE:
	case BCH_KEY_INODE_V2:
	case BCH_KEY_INODE_V3:
		is_shown = show_inode(to, key);
		break;
	case BCH_KEY_DIRENT:
		is_shown = show_dirent(to, key);
		break;
	case BCH_KEY_XATTR:
		is_shown = show_xattr(to, key);
		break;
	default:
		is_shown = show_plain(to, fs, key);
	}
	if (!is_shown && key->value_bytes > 0)
		show_raw(to, key->value, key->value_bytes);
}
