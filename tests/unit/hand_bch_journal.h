/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Jsets of bcachefs made by hand, and a volume of as much as reading them needs. */
#ifndef BTRKIT_TESTS_UNIT_HAND_BCH_JOURNAL_H
#define BTRKIT_TESTS_UNIT_HAND_BCH_JOURNAL_H

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_fs.h"

#define HAND_BLOCK_BYTES 4096
#define HAND_VERSION BCH_VERSION(1, 31)
static const u8 hand_uuid[16] = { 1, 2, 3, 4, 5, 6, 7, 8 };

struct hand_bch {
	struct bch_fs fs;
	struct bch_super super[2]; /* by device */
};

/* Members with buckets of @bucket_bytes each, of which the first @nr_journal behind bucket 0 have the journal. */
static inline void hand_bch_init(struct hand_bch *hand, struct blockdev *const *devs, unsigned nr_devs, u32 bucket_bytes,
				 u64 nr_journal)
{
	memset(hand, 0, sizeof(*hand));
	for (unsigned i = 0; i < nr_devs; i++) {
		struct bch_super *super = &hand->super[i];

		super->version = HAND_VERSION;
		memcpy(super->uuid, hand_uuid, sizeof(super->uuid));
		super->block_bytes = HAND_BLOCK_BYTES;
		super->dev_idx = (u8)i;
		super->nr_devices = (u8)nr_devs;
		for (unsigned k = 0; k < nr_devs; k++)
			if (array_push(&super->members, (struct bch_member){ .nr_buckets = nr_journal + 1, .bucket_bytes = bucket_bytes,
									     .is_used = true }) < 0)
				abort();
		if (array_push(&super->journal, (struct bch_bucket_range){ 1, nr_journal }) < 0)
			abort();
		hand->fs.devices[i] = (struct bch_device){ .dev = devs[i], .super = super };
	}
	hand->fs.super = &hand->super[0];
	hand->fs.uses_journal = true;
	hand->fs.spill.dir = "/var/tmp";
}

static inline void hand_bch_done(struct hand_bch *hand)
{
	for (unsigned i = 0; i < ARRAY_LEN(hand->super); i++) {
		array_done(&hand->super[i].members);
		array_done(&hand->super[i].journal);
		array_done(&hand->super[i].blacklist);
	}
}

struct hand_jset {
	u8 *bytes;
	size_t len;
};

static inline void hand_jset_begin(struct hand_jset *jset, u8 *bytes, u64 seq, u64 last_seq, bool is_no_flush)
{
	struct disk_bch_jset *disk = (void *)bytes;
	le64 uuid;

	memset(disk, 0, sizeof(*disk));
	memcpy(&uuid, hand_uuid, sizeof(uuid));
	le64_put(&disk->magic, le64_get(uuid) ^ BCH_JSET_MAGIC);
	le64_put(&disk->seq, seq);
	le32_put(&disk->version, HAND_VERSION);
	le32_put(&disk->flags, BCH_CSUM_CRC32C_NONZERO | (is_no_flush ? BCH_JSET_NO_FLUSH : 0));
	le64_put(&disk->last_seq, is_no_flush ? 0 : last_seq);
	*jset = (struct hand_jset){ bytes, sizeof(*disk) };
}

/* One key, with a value of one word, or none, as an entry of its own. */
static inline void hand_jset_add(struct hand_jset *jset, u8 entry_type, u8 btree, u8 level, u8 type, struct bch_pos pos, u64 value)
{
	struct disk_bch_jentry entry = { .btree = btree, .level = level, .type = entry_type };
	unsigned words = sizeof(struct disk_bch_key) / 8 + (type != BCH_KEY_DELETED);
	struct disk_bch_key key = { .u64s = (u8)words, .format = BCH_FORMAT_UNPACKED, .type = type };
	le64 word;

	le16_put(&entry.u64s, (u16)words);
	le32_put(&key.pos.snapshot, pos.snapshot);
	le64_put(&key.pos.offset, pos.offset);
	le64_put(&key.pos.inode, pos.inode);
	le64_put(&word, value);
	memcpy(jset->bytes + jset->len, &entry, sizeof(entry));
	memcpy(jset->bytes + jset->len + sizeof(entry), &key, sizeof(key));
	jset->len += sizeof(entry) + sizeof(key);
	if (type == BCH_KEY_DELETED)
		return;
	memcpy(jset->bytes + jset->len, &word, sizeof(word));
	jset->len += sizeof(word);
}
#define HAND_KEY_BYTES (sizeof(struct disk_bch_jentry) + sizeof(struct disk_bch_key) + 8)

static inline void hand_jset_end(struct hand_jset *jset)
{
	struct disk_bch_jset *disk = (void *)jset->bytes;

	le32_put(&disk->u64s, (u32)((jset->len - sizeof(*disk)) / 8));
	disk->csum = bch_csum_of(BCH_CSUM_CRC32C_NONZERO, jset->bytes + 16, jset->len - 16);
}

#endif
