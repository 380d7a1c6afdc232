/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A bcachefs volume whose btrees are made by hand, node by node, on devices in memory. What packs keys here works bit by bit, unlike
 * what reads them.
 */
#ifndef BTRKIT_TESTS_UNIT_HAND_BCH_H
#define BTRKIT_TESTS_UNIT_HAND_BCH_H

#include <assert.h>
#include <stdio.h>

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_node_cache.h"
#include "kernel-shared/device/memory_device.h"

#define HAND_BLOCK_BYTES 512
#define HAND_NODE_BYTES 8192
#define HAND_DEVICE_BYTES (4 * MIB)
#define HAND_SEQ 0x1234567890abcdefULL

struct hand_bch {
	struct bch_fs fs;
	struct bch_super super;
	struct bch_journal journal;
	struct diag diag;
	char warning[DIAG_TEXT_MAX];
	unsigned nr_warnings;
};

struct hand_node {
	u8 raw[HAND_NODE_BYTES];
	struct disk_bch_format format;
	size_t bset_at; /* of the checksum of the bset that is being made */
	size_t at; /* where its next key goes */
};

/* How an unpacked key's fields are: 64 + 64 + 32 + 32 bits and nothing of the version, in 4 words. */
static const struct disk_bch_format hand_format = { .key_u64s = 4, .nr_fields = 6, .bits_per_field = { 64, 64, 32, 32, 0, 0 } };

static inline void hand_warn(void *arg, enum diag_severity severity, const char *text)
{
	struct hand_bch *hand = arg;

	(void)severity;
	snprintf(hand->warning, sizeof(hand->warning), "%s", text);
	hand->nr_warnings++;
}

static inline void hand_bch_init(struct hand_bch *hand)
{
	memset(hand, 0, sizeof(*hand));
	hand->super.version = BCH_VERSION(1, 31);
	memset(hand->super.uuid, 0x5a, sizeof(hand->super.uuid));
	hand->super.block_bytes = HAND_BLOCK_BYTES;
	hand->super.node_bytes = HAND_NODE_BYTES;
	hand->super.nr_devices = 2;
	hand->fs.super = &hand->super;
	for (unsigned i = 0; i < 2; i++) {
		struct bch_member member = { .nr_buckets = HAND_DEVICE_BYTES / 65536, .bucket_bytes = 65536, .is_used = true };

		assert(array_push(&hand->super.members, member) == 0);
		assert(memory_device_new(i ? "second" : "first", HAND_DEVICE_BYTES, &hand->fs.devices[i].dev) == 0);
	}
	hand->fs.cache = bch_node_cache_new(0);
	assert(hand->fs.cache);
	hand->diag.note = hand_warn;
	hand->diag.note_arg = hand;
}

static inline void hand_bch_done(struct hand_bch *hand)
{
	bch_node_cache_free(hand->fs.cache);
	for (unsigned i = 0; i < 2; i++)
		blockdev_close(hand->fs.devices[i].dev);
	array_done(&hand->super.members);
	array_done(&hand->super.blacklist);
	journal_overlay_free(hand->journal.keys);
}

/* --- Keys ------------------------------------------------------------------------------------------------------ */

static inline struct disk_bch_pos hand_pos(struct bch_pos pos)
{
	struct disk_bch_pos disk;

	le64_put(&disk.inode, pos.inode);
	le64_put(&disk.offset, pos.offset);
	le32_put(&disk.snapshot, pos.snapshot);
	return disk;
}

/* Returns its bytes. @ret has room for 2040. */
static inline size_t hand_unpacked(const struct bch_key *key, u8 *ret)
{
	struct disk_bch_key disk = { .u64s = (u8)((sizeof(disk) + key->value_bytes) / 8), .format = BCH_FORMAT_UNPACKED,
				     .type = key->type, .pos = hand_pos(key->pos) };

	le64_put(&disk.version_lo, key->version_lo);
	le32_put(&disk.version_hi, key->version_hi);
	le32_put(&disk.size, key->size_sectors);
	memcpy(ret, &disk, sizeof(disk));
	if (key->value_bytes)
		memcpy(ret + sizeof(disk), key->value, key->value_bytes);
	return sizeof(disk) + key->value_bytes;
}

static inline size_t hand_packed(const struct disk_bch_format *format, const struct bch_key *key, u8 *ret)
{
	const u64 field[6] = { key->pos.inode, key->pos.offset, key->pos.snapshot, key->size_sectors, key->version_hi, key->version_lo };
	unsigned at = format->key_u64s * 64;

	memset(ret, 0, format->key_u64s * 8u);
	ret[0] = (u8)(format->key_u64s + key->value_bytes / 8);
	ret[1] = BCH_FORMAT_PACKED;
	ret[2] = key->type;
	for (unsigned i = 0; i < 6; i++)
		for (int bit = format->bits_per_field[i] - 1; bit >= 0; bit--)
			if (at--, (field[i] - le64_get(format->field_offset[i])) >> bit & 1)
				ret[at / 8] |= (u8)(1 << at % 8);
	if (key->value_bytes)
		memcpy(ret + format->key_u64s * 8, key->value, key->value_bytes);
	return format->key_u64s * 8u + key->value_bytes;
}

/* --- Nodes ------------------------------------------------------------------------------------------------------ */

static inline struct disk_bch_bset *hand_bset(struct hand_node *node)
{
	return (void *)(node->raw + node->bset_at +
			(node->bset_at ? offsetof(struct disk_bch_node_entry, bset) : offsetof(struct disk_bch_node, bset)));
}

static inline size_t hand_bset_begin(struct hand_node *node, size_t at, u64 seq, u64 journal_seq)
{
	struct disk_bch_bset *bset;

	node->bset_at = at;
	bset = hand_bset(node);
	le64_put(&bset->seq, seq);
	le64_put(&bset->journal_seq, journal_seq);
	le32_put(&bset->flags, BCH_CSUM_CRC32C_NONZERO);
	le16_put(&bset->version, BCH_VERSION(1, 31));
	node->at = (size_t)((u8 *)bset - node->raw) + sizeof(*bset);
	return at;
}

/* Checksums of the bset at @at as it is now. */
static inline void hand_seal(struct hand_node *node, size_t at)
{
	struct disk_bch_csum csum;
	struct disk_bch_bset *bset;
	size_t end;

	node->bset_at = at;
	bset = hand_bset(node);
	end = (size_t)((u8 *)bset - node->raw) + sizeof(*bset) + le16_get(bset->u64s) * 8u;
	if (end > HAND_NODE_BYTES)
		return; /* it is a lie, and nobody gets as far as the checksum */
	csum = bch_csum_of(le32_get(bset->flags) & 15, node->raw + at + sizeof(csum), end - at - sizeof(csum));
	memcpy(node->raw + at, &csum, sizeof(csum));
}

static inline void hand_node_begin(struct hand_node *node, const struct hand_bch *hand, u8 btree, u8 level, struct bch_pos min,
				   struct bch_pos max)
{
	struct disk_bch_node *header = (void *)node->raw;
	le64 uuid;

	memset(node, 0, sizeof(*node));
	memcpy(&uuid, hand->super.uuid, sizeof(uuid));
	le64_put(&header->magic, le64_get(uuid) ^ BCH_BSET_MAGIC);
	le64_put(&header->flags, (btree & 15u) | (u64)level << 4 | 1u << 8 | (u64)(btree >> 4) << 9 | (HAND_SEQ & UINT32_MAX) << 32);
	header->min_key = hand_pos(min);
	header->max_key = hand_pos(max);
	header->format = node->format = hand_format;
	hand_bset_begin(node, 0, HAND_SEQ, 1);
}

/* The format of the keys that are added from now on; a node has only one. */
static inline void hand_set_format(struct hand_node *node, const struct disk_bch_format *format)
{
	((struct disk_bch_node *)(void *)node->raw)->format = node->format = *format;
}

static inline void hand_count(struct hand_node *node, size_t bytes)
{
	struct disk_bch_bset *bset = hand_bset(node);

	assert(node->at + bytes <= HAND_NODE_BYTES);
	node->at += bytes;
	le16_put(&bset->u64s, (u16)(le16_get(bset->u64s) + bytes / 8));
}

static inline void hand_add(struct hand_node *node, const struct bch_key *key)
{
	hand_count(node, key->version_lo ? hand_unpacked(key, node->raw + node->at) :
					   hand_packed(&node->format, key, node->raw + node->at));
}

/* A key with a number as its value. */
static inline void hand_add_number(struct hand_node *node, struct bch_pos pos, u8 type, u64 number)
{
	le64 value;
	struct bch_key key = { .pos = pos, .type = type, .value = (const u8 *)&value, .value_bytes = sizeof(value) };

	le64_put(&value, number);
	hand_add(node, &key);
}

/* The bset is complete. Returns where the next one begins, which is how much of the node has been written. */
static inline size_t hand_bset_end(struct hand_node *node)
{
	hand_seal(node, node->bset_at);
	return round_up_u64(node->at, HAND_BLOCK_BYTES);
}

static inline void hand_write(struct hand_bch *hand, const struct hand_node *node, unsigned device, u64 physical)
{
	assert(blockdev_write(hand->fs.devices[device].dev, physical, node->raw, HAND_NODE_BYTES, NULL) == 0);
}

/* --- Pointers --------------------------------------------------------------------------------------------------- */

struct hand_ptr {
	struct bch_pos min, max;
	u32 bytes_written;
	unsigned nr_replicas;
	u64 physical[2]; /* of which the first is on device 0, the second on 1 */
};

/* The value of a key of type BCH_KEY_BTREE_PTR_V2 into @ret. Returns its bytes. */
static inline u32 hand_ptr_value(const struct hand_ptr *ptr, u8 *ret)
{
	struct disk_bch_btree_ptr_v2 disk = { .min_key = hand_pos(ptr->min) };

	le64_put(&disk.seq, HAND_SEQ);
	le16_put(&disk.sectors_written, (u16)(ptr->bytes_written / 512));
	memcpy(ret, &disk, sizeof(disk));
	for (unsigned i = 0; i < ptr->nr_replicas; i++) {
		le64 word;

		le64_put(&word, 1 | ptr->physical[i] / 512 << 4 | (u64)i << 48);
		memcpy(ret + sizeof(disk) + i * 8, &word, 8);
	}
	return (u32)sizeof(disk) + ptr->nr_replicas * 8;
}

static inline void hand_add_ptr(struct hand_node *node, const struct hand_ptr *ptr)
{
	u8 value[64];
	struct bch_key key = { .pos = ptr->max, .type = BCH_KEY_BTREE_PTR_V2, .value = value, .value_bytes = hand_ptr_value(ptr, value) };

	hand_add(node, &key);
}

static inline void hand_set_root(struct hand_bch *hand, u8 btree, u8 level, const struct hand_ptr *ptr)
{
	struct bch_root *root = &hand->fs.roots[btree];
	u8 value[64];
	struct bch_key key = { .pos = ptr->max, .type = BCH_KEY_BTREE_PTR_V2, .value = value, .value_bytes = hand_ptr_value(ptr, value) };

	root->is_there = true;
	root->level = level;
	root->key_bytes = (u16)hand_unpacked(&key, root->key);
}

#endif
