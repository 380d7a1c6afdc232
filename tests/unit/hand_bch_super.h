/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Superblocks of bcachefs made by hand, to be bent, and put on devices in memory. */
#ifndef BTRKIT_TESTS_UNIT_HAND_BCH_SUPER_H
#define BTRKIT_TESTS_UNIT_HAND_BCH_SUPER_H

#include <stdlib.h>

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_super.h"
#include "kernel-shared/device/memory_device.h"

#define HAND_DEVICE_BYTES (4 * MIB)
#define HAND_BUCKET_SECTORS 128
#define HAND_NR_BUCKETS (HAND_DEVICE_BYTES / (HAND_BUCKET_SECTORS * BCH_SECTOR_BYTES))
#define HAND_NR_COPIES 3
static const u64 hand_sectors[HAND_NR_COPIES] = { BCH_SUPER_SECTOR, BCH_SUPER_SECTOR + 256,
						  HAND_DEVICE_BYTES / 512 - 256 };

struct hand_super {
	union {
		struct disk_bch_super head;
		u8 bytes[8192];
	};
	size_t len;
};

static const u8 hand_magic[16] = { 0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9,
				   0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef };

/* A section with room for @payload_bytes, a multiple of 8; returns its payload. */
static inline void *hand_add_section(struct hand_super *hand, unsigned type, size_t payload_bytes)
{
	struct disk_bch_section *section = (void *)(hand->bytes + hand->len);

	le32_put(&section->u64s, (u32)((sizeof(*section) + payload_bytes) / 8));
	le32_put(&section->type, type);
	hand->len += sizeof(*section) + payload_bytes;
	le32_put(&hand->head.u64s, (u32)((hand->len - sizeof(hand->head)) / 8));
	return section + 1;
}

/* The section of @type, which is there. */
static inline void *hand_section(struct hand_super *hand, unsigned type)
{
	for (size_t at = sizeof(hand->head); at < hand->len;) {
		struct disk_bch_section *section = (void *)(hand->bytes + at);

		if (le32_get(section->type) == type)
			return section;
		at += (size_t)le32_get(section->u64s) * 8;
	}
	abort(); /* a test's mistake */
}

#define HAND_MEMBER_BYTES 144
#define HAND_MEMBERS_BYTES (8 + 2 * HAND_MEMBER_BYTES)
static inline struct disk_bch_member *hand_member(struct hand_super *hand, unsigned nr)
{
	u8 *section = hand_section(hand, BCH_SECTION_MEMBERS_V2);

	return (void *)(section + sizeof(struct disk_bch_section) + 8 + nr * HAND_MEMBER_BYTES);
}

/* Of version 1.31, clean, of @nr_devices (1 or 2), the @dev_idx'th of them. */
static inline void hand_init(struct hand_super *hand, unsigned dev_idx, unsigned nr_devices)
{
	struct disk_bch_super *head = &hand->head;
	u8 *members;

	memset(hand, 0, sizeof(*hand));
	hand->len = sizeof(*head);
	le16_put(&head->version, BCH_VERSION_KNOWN);
	le16_put(&head->version_min, BCH_VERSION_KNOWN);
	memcpy(head->magic, hand_magic, sizeof(hand_magic));
	memset(head->uuid, 0x11, 16);
	memset(head->user_uuid, 0x22, 16);
	strcpy((char *)head->label, "by hand");
	le64_put(&head->seq, 20);
	le16_put(&head->block_sectors, 8);
	head->dev_idx = (u8)dev_idx;
	head->nr_devices = (u8)nr_devices;
	le64_put(&head->time_base_lo, 1000000007);
	le32_put(&head->time_precision, 1);
	/* Initialized, clean, crc32c, nodes of 128 sectors, two replicas of metadata and one of data. */
	le64_put(&head->flags[0], 1 | 2 | 1 << 2 | 128 << 12 | (u64)2 << 48 | (u64)1 << 52);
	le64_put(&head->features[0], 0xfba80);
	memcpy(head->layout.magic, hand_magic, sizeof(hand_magic));
	head->layout.size_max_bits = 7;
	head->layout.nr_copies = HAND_NR_COPIES;
	for (unsigned i = 0; i < HAND_NR_COPIES; i++)
		le64_put(&head->layout.sector[i], hand_sectors[i]);
	members = hand_add_section(hand, BCH_SECTION_MEMBERS_V2, HAND_MEMBERS_BYTES);
	members[0] = HAND_MEMBER_BYTES;
	for (unsigned i = 0; i < nr_devices; i++) {
		struct disk_bch_member *member = hand_member(hand, i);

		memset(member->uuid, 0x31 + (int)i, 16);
		le64_put(&member->nr_buckets, HAND_NR_BUCKETS);
		le16_put(&member->bucket_sectors, HAND_BUCKET_SECTORS);
		le64_put(&member->seq, 20);
	}
	le64_put(hand_add_section(hand, BCH_SECTION_JOURNAL_V2, 16), 4);
	le64_put((le64 *)(hand->bytes + hand->len - 8), 8);
	hand_add_section(hand, BCH_SECTION_CLEAN, 16);
}

/* Write the copy at @sector, with a right checksum. */
static inline void hand_write(struct hand_super *hand, struct blockdev *dev, u64 sector)
{
	le64_put(&hand->head.sector, sector);
	hand->head.csum = bch_csum_of(le64_get(hand->head.flags[0]) >> 2 & 63, hand->bytes + sizeof(hand->head.csum),
				      hand->len - sizeof(hand->head.csum));
	(void)blockdev_write(dev, sector * BCH_SECTOR_BYTES, hand->bytes, hand->len, NULL);
}

static inline void hand_write_all(struct hand_super *hand, struct blockdev *dev)
{
	(void)blockdev_write(dev, BCH_LAYOUT_SECTOR * BCH_SECTOR_BYTES, &hand->head.layout, sizeof(hand->head.layout),
			     NULL);
	for (unsigned i = 0; i < HAND_NR_COPIES; i++)
		hand_write(hand, dev, hand_sectors[i]);
}

#endif
