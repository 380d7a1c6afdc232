/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Superblocks of bcachefs: each field that lies is refused in one line, the best copy is found, devices are told apart.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "convert/bcachefs/bch_fs.h"
#include "tests/unit/hand_bch_super.h"

struct notes {
	unsigned nr;
	char last[DIAG_TEXT_MAX];
};

static void take_note(void *arg, enum diag_severity severity, const char *text)
{
	struct notes *notes = arg;

	if (severity != DIAG_WARNING)
		return;
	notes->nr++;
	snprintf(notes->last, sizeof(notes->last), "%s", text);
}

static struct blockdev *new_device(const char *name)
{
	struct blockdev *dev;

	assert_int_equal(memory_device_new(name, HAND_DEVICE_BYTES, &dev), 0);
	return dev;
}

/* --- Fields ---------------------------------------- */

static void all_fields(void **state)
{
	_cleanup_(blockdev_closep) struct blockdev *dev = new_device("sda");
	_cleanup_(bch_super_freep) struct bch_super *super = NULL;
	struct hand_super hand;
	struct diag d = { 0 };
	size_t bytes;
	char text[64];

	(void)state;
	hand_init(&hand, 1, 2);
	hand_write_all(&hand, dev);
	assert_int_equal(bch_super_read(dev, 0, &super, &d), 0);
	assert_int_equal(super->sector, BCH_SUPER_SECTOR);
	assert_string_equal(super->label, "by hand");
	assert_int_equal(super->seq, 20);
	assert_int_equal(super->block_bytes, 4096);
	assert_int_equal(super->node_bytes, 65536);
	assert_int_equal(super->dev_idx, 1);
	assert_int_equal(super->nr_devices, 2);
	assert_int_equal(super->time_base_ns, 1000000007);
	assert_true(super->is_clean);
	assert_false(super->is_encrypted);
	assert_int_equal(super->members.len, 2);
	assert_int_equal(super->members.items[1].bucket_bytes, 65536);
	assert_int_equal(super->members.items[1].uuid[0], 0x32);
	assert_int_equal(super->members.items[1].seq, 20);
	assert_int_equal(super->journal.len, 1);
	assert_int_equal(super->journal.items[0].start, 4);
	assert_int_equal(super->journal.items[0].nr, 8);
	assert_int_equal(super->metadata_replicas, 2);
	assert_int_equal(super->data_replicas, 1);
	assert_int_equal(super->clean_bytes, 24);
	assert_non_null(bch_super_section(super, BCH_SECTION_CLEAN, &bytes));
	assert_int_equal(bytes, 24);
	assert_null(bch_super_section(super, BCH_SECTION_QUOTA, &bytes));
	assert_string_equal(bch_version_text(super->version, text), "1.31: btree_node_accounting");
	assert_string_equal(bch_version_text(11, text), "0.11: inode_btree_change");
	assert_string_equal(bch_version_text(BCH_VERSION(1, 99), text), "1.99");
}

static void lie_version_old(struct hand_super *hand)
{
	le16_put(&hand->head.version, 8);
}
static void lie_version_major(struct hand_super *hand)
{
	le16_put(&hand->head.version, BCH_VERSION(2, 0));
}
static void lie_version_unsaid(struct hand_super *hand)
{
	le16_put(&hand->head.version, BCH_VERSION(1, 33));
	le64_put(&hand->head.features[0], le64_get(hand->head.features[0]) & ~((u64)1 << 19));
}
static void lie_incompat(struct hand_super *hand)
{
	le64_put(&hand->head.flags[5], (u64)BCH_VERSION(1, 33) << 32);
}
static void lie_feature(struct hand_super *hand)
{
	le64_put(&hand->head.features[0], le64_get(hand->head.features[0]) | 1 << 24);
}
static void lie_feature_far(struct hand_super *hand)
{
	le64_put(&hand->head.features[1], 1);
}
static void lie_endian(struct hand_super *hand)
{
	hand->head.flags[0].byte[7] |= 1 << 6;
}
static void lie_csum_type(struct hand_super *hand)
{
	hand->head.flags[0].byte[0] |= 9 << 2;
}
static void lie_csum_crypt(struct hand_super *hand)
{
	hand->head.flags[0].byte[0] = 3 | 4 << 2;
}
static void lie_length(struct hand_super *hand)
{
	le32_put(&hand->head.u64s, 100000);
}
static void lie_size_bits(struct hand_super *hand)
{
	hand->head.layout.size_max_bits = 200;
}
static void lie_block_zero(struct hand_super *hand)
{
	le16_put(&hand->head.block_sectors, 0);
}
static void lie_block_odd(struct hand_super *hand)
{
	le16_put(&hand->head.block_sectors, 3);
}
static void lie_block_large(struct hand_super *hand)
{
	le16_put(&hand->head.block_sectors, 256);
}
static void lie_node_zero(struct hand_super *hand)
{
	le64_put(&hand->head.flags[0], 1 | 2 | 1 << 2);
}
static void lie_node_small(struct hand_super *hand)
{
	le64_put(&hand->head.flags[0], 1 | 2 | 1 << 2 | 4 << 12);
}
static void lie_node_odd(struct hand_super *hand)
{
	le64_put(&hand->head.flags[0], 1 | 2 | 1 << 2 | 100 << 12);
}
static void lie_device(struct hand_super *hand)
{
	hand->head.dev_idx = 1;
}
static void lie_no_devices(struct hand_super *hand)
{
	hand->head.nr_devices = 0;
}
static void lie_many_devices(struct hand_super *hand)
{
	hand->head.nr_devices = 65;
}
static void lie_more_devices(struct hand_super *hand)
{
	hand->head.nr_devices = 3;
}
static void lie_precision(struct hand_super *hand)
{
	le32_put(&hand->head.time_precision, 0);
}
static void lie_section_zero(struct hand_super *hand)
{
	memset(hand_section(hand, BCH_SECTION_CLEAN), 0, 4);
}
static void lie_section_long(struct hand_super *hand)
{
	memset(hand_section(hand, BCH_SECTION_CLEAN), 0xff, 4);
}
static void lie_no_members(struct hand_super *hand)
{
	le32_put(&((struct disk_bch_section *)hand_section(hand, BCH_SECTION_MEMBERS_V2))->type, 99);
}
static void lie_member_bytes(struct hand_super *hand)
{
	((u8 *)hand_section(hand, BCH_SECTION_MEMBERS_V2))[8] = 48;
}
static void lie_member_bytes_large(struct hand_super *hand)
{
	((u8 *)hand_section(hand, BCH_SECTION_MEMBERS_V2))[9] = 2;
}
static void lie_own_member(struct hand_super *hand)
{
	memset(hand_member(hand, 0)->uuid, 0, 16);
}
static void lie_bucket_zero(struct hand_super *hand)
{
	le16_put(&hand_member(hand, 0)->bucket_sectors, 0);
}
static void lie_buckets(struct hand_super *hand)
{
	le64_put(&hand_member(hand, 0)->nr_buckets, UINT64_MAX / 2);
}
static void lie_first_bucket(struct hand_super *hand)
{
	le16_put(&hand_member(hand, 0)->first_bucket, 1000);
}
static void lie_journal_end(struct hand_super *hand)
{
	le64_put((le64 *)hand_section(hand, BCH_SECTION_JOURNAL_V2) + 2, HAND_NR_BUCKETS);
}
static void lie_journal_huge(struct hand_super *hand)
{
	memset((le64 *)hand_section(hand, BCH_SECTION_JOURNAL_V2) + 2, 0xff, 8);
}
static void lie_journal_super(struct hand_super *hand)
{
	memset((le64 *)hand_section(hand, BCH_SECTION_JOURNAL_V2) + 1, 0, 8);
}
static void lie_journal_twice(struct hand_super *hand)
{
	struct disk_bch_bucket_range *range;

	le32_put(&((struct disk_bch_section *)hand_section(hand, BCH_SECTION_JOURNAL_V2))->type, 99);
	range = hand_add_section(hand, BCH_SECTION_JOURNAL_V2, 2 * sizeof(*range));
	for (unsigned i = 0; i < 2; i++) {
		le64_put(&range[i].start, 20 - i);
		le64_put(&range[i].nr, 2);
	}
}
static void lie_blacklist(struct hand_super *hand)
{
	le64_put(hand_add_section(hand, BCH_SECTION_BLACKLIST, 16), 9);
}
static void lie_clean(struct hand_super *hand)
{
	le32_put(&((struct disk_bch_section *)hand_section(hand, BCH_SECTION_CLEAN))->type, 99);
	hand_add_section(hand, BCH_SECTION_CLEAN, 8);
}
static void lie_crypt_none(struct hand_super *hand)
{
	le64_put(&hand->head.flags[1], 1 << 10);
}
static void lie_crypt_short(struct hand_super *hand)
{
	hand_add_section(hand, BCH_SECTION_CRYPT, 16);
}

static const struct {
	void (*bend)(struct hand_super *hand);
	int err;
	const char *text;
} lies[] = {
	{ lie_version_old, -EOPNOTSUPP, "version 0.8 is older than 0.9" },
	{ lie_version_major, -EOPNOTSUPP, "version 2.0 is not supported" },
	{ lie_version_unsaid, -EOPNOTSUPP, "does not say which incompatible features" },
	{ lie_incompat, -EOPNOTSUPP, "incompatible features of version 1.33" },
	{ lie_feature, -EOPNOTSUPP, "unknown feature 24" },
	{ lie_feature_far, -EOPNOTSUPP, "unknown feature 64" },
	{ lie_endian, -EOPNOTSUPP, "big-endian" },
	{ lie_csum_type, -EOPNOTSUPP, "checksum is of the unknown type 9" },
	{ lie_csum_crypt, -EOPNOTSUPP, "checksum is of the unknown type 4" },
	{ lie_length, -EUCLEAN, "800752 bytes, and its layout room for 65536" },
	{ lie_size_bits, -EUCLEAN, "2^200 sectors" },
	{ lie_block_zero, -EUCLEAN, "blocks of 0 sectors" },
	{ lie_block_odd, -EUCLEAN, "blocks of 3 sectors" },
	{ lie_block_large, -EUCLEAN, "blocks of 256 sectors" },
	{ lie_node_zero, -EUCLEAN, "btree nodes of 0 sectors" },
	{ lie_node_small, -EUCLEAN, "btree nodes of 4 sectors" },
	{ lie_node_odd, -EUCLEAN, "btree nodes of 100 sectors" },
	{ lie_device, -EUCLEAN, "device 1 of 1" },
	{ lie_no_devices, -EUCLEAN, "device 0 of 0" },
	{ lie_many_devices, -EUCLEAN, "device 0 of 65" },
	{ lie_more_devices, -EUCLEAN, "list of members: 3 of 144 bytes" },
	{ lie_precision, -EUCLEAN, "times in units of 0 ns" },
	{ lie_section_zero, -EUCLEAN, "section 6 at byte" },
	{ lie_section_long, -EUCLEAN, "section 6 at byte" },
	{ lie_no_members, -EUCLEAN, "has no list of members" },
	{ lie_member_bytes, -EUCLEAN, "list of members: 1 of 48 bytes" },
	{ lie_member_bytes_large, -EUCLEAN, "list of members: 1 of 656 bytes" },
	{ lie_own_member, -EUCLEAN, "of member 0, which is not in the list" },
	{ lie_bucket_zero, -EUCLEAN, "member 0: 64 buckets of 0 bytes" },
	{ lie_buckets, -EUCLEAN, "member 0: 9223372036854775807 buckets" },
	{ lie_first_bucket, -EUCLEAN, "the first of them 1000" },
	{ lie_journal_end, -EUCLEAN, "journal: 64 buckets from 4 on, of 64" },
	{ lie_journal_huge, -EUCLEAN, "journal: 18446744073709551615 buckets" },
	{ lie_journal_super, -EUCLEAN, "journal: 8 buckets from 0 on" },
	{ lie_journal_twice, -EUCLEAN, "journal: has bucket 20 twice" },
	{ lie_blacklist, -EUCLEAN, "blacklist: from entry 9 to before 0" },
	{ lie_clean, -EUCLEAN, "clean section of 16 bytes" },
	{ lie_crypt_none, -EUCLEAN, "encrypted, and has no key" },
	{ lie_crypt_short, -EUCLEAN, "crypt section of 24 bytes" },
};

/* A right checksum, and a field that is not: one line that names device, place and reason. */
static void fields_that_lie(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
		_cleanup_(blockdev_closep) struct blockdev *dev = new_device("sda");
		struct bch_super *super = NULL;
		struct hand_super hand;
		struct diag d = { 0 };

		hand_init(&hand, 0, 1);
		lies[i].bend(&hand);
		hand_write_all(&hand, dev);
		assert_int_equal(bch_super_read(dev, 0, &super, &d), lies[i].err);
		if (!strstr(d.text, lies[i].text))
			fail_msg("\"%s\" is not in \"%s\"", lies[i].text, d.text);
		assert_ptr_equal(strstr(d.text, "sda: superblock at sector 8: "), d.text);
		assert_null(strchr(d.text, '\n'));
		assert_null(super);
	}
}

/* What is newer, but says that it uses nothing that is not known, is read. */
static void newer_versions(void **state)
{
	_cleanup_(blockdev_closep) struct blockdev *dev = new_device("sda");
	_cleanup_(bch_super_freep) struct bch_super *super = NULL;
	struct hand_super hand;
	struct diag d = { 0 };

	(void)state;
	hand_init(&hand, 0, 1);
	le16_put(&hand.head.version, BCH_VERSION(1, 39));
	le64_put(&hand.head.flags[5], (u64)BCH_VERSION(1, 28) << 32);
	hand_add_section(&hand, 77, 40); /* sections that are not known are skipped */
	hand_write_all(&hand, dev);
	assert_int_equal(bch_super_read(dev, 0, &super, &d), 0);
	assert_int_equal(super->incompat_in_use, BCH_VERSION(1, 28));
}

/* As 2020 had it: members and journal in their first form, another magic. */
static void old_forms(void **state)
{
	static const u8 bcache[16] = { 0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca,
				       0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81 };
	_cleanup_(blockdev_closep) struct blockdev *dev = new_device("sda");
	_cleanup_(bch_super_freep) struct bch_super *super = NULL;
	struct hand_super hand;
	struct diag d = { 0 };
	u8 member[BCH_MEMBER_V1_BYTES];
	le64 *buckets;

	(void)state;
	hand_init(&hand, 0, 1);
	memcpy(hand.head.magic, bcache, 16);
	memcpy(hand.head.layout.magic, bcache, 16);
	le16_put(&hand.head.version, 11);
	le16_put(&hand.head.version_min, 11);
	le64_put(&hand.head.features[0], 0x8b88);
	memcpy(member, hand_member(&hand, 0), sizeof(member));
	hand.len = sizeof(hand.head);
	memcpy(hand_add_section(&hand, BCH_SECTION_MEMBERS_V1, sizeof(member)), member, sizeof(member));
	buckets = hand_add_section(&hand, BCH_SECTION_JOURNAL, 32);
	for (unsigned i = 0; i < 4; i++)
		le64_put(&buckets[i], i < 2 ? 30 + i : 10 + i);
	hand_write_all(&hand, dev);
	assert_int_equal(bch_super_read(dev, 0, &super, &d), 0);
	assert_int_equal(super->version, 11);
	assert_int_equal(super->members.len, 1);
	assert_int_equal(super->members.items[0].nr_buckets, HAND_NR_BUCKETS);
	assert_int_equal(super->members.items[0].seq, 0);
	assert_int_equal(super->journal.len, 2); /* in their order, neighbours joined */
	assert_int_equal(super->journal.items[0].start, 30);
	assert_int_equal(super->journal.items[0].nr, 2);
	assert_int_equal(super->journal.items[1].start, 12);
	assert_null(super->clean);
}

static void blacklists_are_merged(void **state)
{
	static const struct bch_seq_range ranges[] = { { 12, 76 }, { 7, 11 }, { 10, 12 }, { 90, 90 }, { 100, 101 } };
	_cleanup_(blockdev_closep) struct blockdev *dev = new_device("sda");
	_cleanup_(bch_super_freep) struct bch_super *super = NULL;
	struct disk_bch_blacklist *list;
	struct hand_super hand;
	struct diag d = { 0 };

	(void)state;
	hand_init(&hand, 0, 1);
	list = hand_add_section(&hand, BCH_SECTION_BLACKLIST, sizeof(*list) * ARRAY_LEN(ranges));
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		le64_put(&list[i].start, ranges[i].start);
		le64_put(&list[i].end, ranges[i].end);
	}
	hand_write_all(&hand, dev);
	assert_int_equal(bch_super_read(dev, 0, &super, &d), 0);
	assert_int_equal(super->blacklist.len, 2);
	assert_int_equal(super->blacklist.items[0].start, 7);
	assert_int_equal(super->blacklist.items[0].end, 76);
	for (u64 seq = 0; seq < 120; seq++)
		assert_int_equal(bch_super_is_blacklisted(super, seq), (seq >= 7 && seq < 76) || seq == 100);
}

/* --- Copies ---------------------------------------- */

static void flip(struct blockdev *dev, u64 physical)
{
	u8 byte;

	assert_int_equal(blockdev_read(dev, physical, &byte, 1, NULL), 0);
	byte ^= 0x40;
	assert_int_equal(blockdev_write(dev, physical, &byte, 1, NULL), 0);
}

static int count_copy(void *ctx, unsigned copy, u64 sector, const struct bch_super *super, const struct diag *why,
		      struct diag *d)
{
	unsigned *nr = ctx;

	(void)copy;
	(void)sector;
	(void)d;
	assert_int_equal(!super, !!why);
	nr[super ? 0 : 1]++;
	return 0;
}

static void the_newest_good_copy(void **state)
{
	_cleanup_(blockdev_closep) struct blockdev *dev = new_device("sda");
	struct notes notes = { 0 };
	struct diag d = { .note = take_note, .note_arg = &notes };
	struct bch_super *super = NULL;
	struct hand_super hand;
	unsigned nr[2] = { 0 };

	(void)state;
	hand_init(&hand, 0, 1);
	hand_write_all(&hand, dev);
	le64_put(&hand.head.seq, 21);
	hand_write(&hand, dev, hand_sectors[1]);
	assert_int_equal(bch_super_read(dev, 0, &super, &d), 0);
	assert_int_equal(super->seq, 21);
	assert_int_equal(super->sector, hand_sectors[1]);
	assert_int_equal(notes.nr, 0);
	bch_super_free(super);

	/* Asked for one, it is that one. */
	assert_int_equal(bch_super_read(dev, hand_sectors[2], &super, &d), 0);
	assert_int_equal(super->seq, 20);
	bch_super_free(super);

	/* One byte of the newest is wrong: an older one, and a warning. */
	flip(dev, hand_sectors[1] * BCH_SECTOR_BYTES + 800);
	assert_int_equal(bch_super_read(dev, 0, &super, &d), 0);
	assert_int_equal(super->seq, 20);
	assert_int_equal(notes.nr, 1);
	assert_non_null(strstr(notes.last,
			       "sda: superblock at sector 264: wrong crc32c checksum; the copy at sector 8 is used"));
	bch_super_free(super);

	/* The last resort: the copy at the end. */
	flip(dev, hand_sectors[0] * BCH_SECTOR_BYTES + 24);
	assert_int_equal(bch_super_read(dev, 0, &super, &d), 0);
	assert_int_equal(super->sector, hand_sectors[2]);
	bch_super_free(super);
	assert_int_equal(bch_super_for_each_copy(dev, count_copy, nr, &d), 0);
	assert_int_equal(nr[0], 1);
	assert_int_equal(nr[1], 2);

	flip(dev, hand_sectors[2] * BCH_SECTOR_BYTES + 100);
	assert_int_equal(bch_super_read(dev, 0, &super, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "superblock at sector 8: there is none (magic)"));
}

static void copies_without_their_layout(void **state)
{
	_cleanup_(blockdev_closep) struct blockdev *dev = new_device("sda");
	struct notes notes = { 0 };
	struct diag d = { .note = take_note, .note_arg = &notes };
	u8 zeroes[BCH_SECTOR_BYTES] = { 0 };
	struct bch_super *super = NULL;
	struct hand_super hand;
	unsigned nr[2] = { 0 };

	(void)state;
	assert_int_equal(bch_super_read(dev, 0, &super, &d), 1);
	hand_init(&hand, 0, 1);
	hand_write_all(&hand, dev);
	assert_int_equal(blockdev_write(dev, BCH_LAYOUT_SECTOR * BCH_SECTOR_BYTES, zeroes, sizeof(zeroes), NULL), 0);
	assert_int_equal(bch_super_for_each_copy(dev, count_copy, nr, &d), 0);
	assert_int_equal(nr[0], 3); /* the first one knows of the others */
	assert_int_equal(blockdev_write(dev, BCH_SUPER_SECTOR * BCH_SECTOR_BYTES, zeroes, sizeof(zeroes), NULL), 0);
	flip(dev, hand_sectors[1] * BCH_SECTOR_BYTES + 100);
	flip(dev, hand_sectors[2] * BCH_SECTOR_BYTES + 100);
	assert_int_equal(bch_super_read(dev, 0, &super, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "wrong crc32c checksum"));
	flip(dev, hand_sectors[2] * BCH_SECTOR_BYTES + 100);
	assert_int_equal(bch_super_read(dev, 0, &super, &d), 0);
	assert_int_equal(super->sector, hand_sectors[2]);
	assert_int_equal(notes.nr, 1);
	assert_non_null(strstr(notes.last, "neither the first superblock"));
	bch_super_free(super);
}

static void a_copy_at_another_place(void **state)
{
	_cleanup_(blockdev_closep) struct blockdev *dev = new_device("sda");
	struct bch_super *super = NULL;
	struct hand_super hand;
	struct diag d = { 0 };

	(void)state;
	hand_init(&hand, 0, 1);
	hand_write(&hand, dev, 300);
	assert_int_equal(blockdev_write(dev, BCH_SUPER_SECTOR * BCH_SECTOR_BYTES, hand.bytes, hand.len, NULL), 0);
	assert_int_equal(bch_super_read(dev, BCH_SUPER_SECTOR, &super, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "says that it is at sector 300"));
}

/* Whatever bytes there are, with a right checksum: an answer, and no other access than to what was checked. */
static void random_lies(void **state)
{
	_cleanup_(blockdev_closep) struct blockdev *dev = new_device("sda");
	u32 random = 4711;
	unsigned nr_read = 0;

	(void)state;
	for (unsigned turn = 0; turn < 10000; turn++) {
		struct bch_super *super = NULL;
		struct hand_super hand;
		struct diag d = { 0 };
		int err;

		hand_init(&hand, turn % 2, 2);
		hand_add_section(&hand, BCH_SECTION_BLACKLIST, 48);
		hand_add_section(&hand, BCH_SECTION_CRYPT, 56);
		for (unsigned n = 1 + turn % 3; n > 0; n--) {
			random = random * 1664525 + 1013904223;
			hand.bytes[40 + (random >> 8) % (hand.len - 40)] ^= (u8)(1 << (random & 7));
		}
		hand_write(&hand, dev, BCH_SUPER_SECTOR);
		err = bch_super_read(dev, BCH_SUPER_SECTOR, &super, &d);
		assert_true(err == 0 || err == -EUCLEAN || err == -EOPNOTSUPP);
		assert_true(err == 0 || d.text[0]);
		nr_read += err == 0;
		bch_super_free(super);
	}
	assert_in_range(nr_read, 1000, 9900);
}

/* --- Devices ---------------------------------------- */

struct pair {
	struct blockdev *dev[2];
	struct hand_super hand[2];
	struct bch_fs *fs;
	struct notes notes;
	struct diag d;
};

static void pair_init(struct pair *pair)
{
	memset(pair, 0, sizeof(*pair));
	pair->d.note = take_note;
	pair->d.note_arg = &pair->notes;
	for (unsigned i = 0; i < 2; i++) {
		pair->dev[i] = new_device(i ? "sdb" : "sda");
		hand_init(&pair->hand[i], i, 2);
		hand_write_all(&pair->hand[i], pair->dev[i]);
	}
}

static int pair_open(struct pair *pair, struct blockdev *first, struct blockdev *second)
{
	struct blockdev *devs[2] = { first, second };
	struct source_options options = { 0 };

	for (unsigned i = 0; i < 2; i++)
		hand_write_all(&pair->hand[i], pair->dev[i]);
	bch_fs_close(pair->fs);
	pair->fs = NULL;
	pair->notes.nr = 0;
	return bch_fs_open(devs, second ? 2 : 1, &options, BCH_STAGE_SUPER, &pair->fs, &pair->d);
}

static void pair_done(struct pair *pair)
{
	bch_fs_close(pair->fs);
	for (unsigned i = 0; i < 2; i++)
		blockdev_close(pair->dev[i]);
}

static void devices_in_any_order(void **state)
{
	struct pair pair;
	u8 buf[512];

	(void)state;
	pair_init(&pair);
	assert_int_equal(pair_open(&pair, pair.dev[1], pair.dev[0]), 0);
	assert_ptr_equal(pair.fs->devices[0].dev, pair.dev[0]);
	assert_ptr_equal(pair.fs->devices[1].dev, pair.dev[1]);
	assert_int_equal(pair.fs->nr_missing, 0);
	assert_int_equal(pair.notes.nr, 0);
	assert_int_equal(pair.fs->source.info.total_bytes, 2 * HAND_DEVICE_BYTES);
	assert_int_equal(bch_device_read(pair.fs, 1, HAND_DEVICE_BYTES - 512, buf, sizeof(buf), &pair.d), 0);
	assert_int_equal(bch_device_read(pair.fs, 1, HAND_DEVICE_BYTES - 511, buf, sizeof(buf), &pair.d), -EIO);
	assert_non_null(strstr(pair.d.text, "sdb: 512 bytes at 4193793 reach beyond the end of member 1"));
	assert_int_equal(bch_device_read(pair.fs, 2, 0, buf, sizeof(buf), &pair.d), -EIO);
	assert_int_equal(bch_device_read(pair.fs, BCH_NO_DEVICE, 0, buf, sizeof(buf), &pair.d), -EIO);
	pair_done(&pair);
}

static void devices_that_are_missing(void **state)
{
	struct pair pair;
	u8 buf[512];

	(void)state;
	pair_init(&pair);
	assert_int_equal(pair_open(&pair, pair.dev[1], NULL), 0);
	assert_int_equal(pair.fs->nr_missing, 1);
	assert_int_equal(pair.notes.nr, 1);
	assert_non_null(strstr(pair.notes.last, "member 0 of the bcachefs volume (31313131-"));
	assert_int_equal(bch_device_read(pair.fs, 0, 0, buf, sizeof(buf), &pair.d), -EIO);
	assert_non_null(strstr(pair.d.text, "member 0 of the bcachefs volume is missing"));
	pair_done(&pair);
}

static void devices_that_do_not_belong(void **state)
{
	struct pair pair;
	struct blockdev *other;

	(void)state;
	pair_init(&pair);
	assert_int_equal(pair_open(&pair, pair.dev[0], pair.dev[0]), -EINVAL);
	assert_non_null(strstr(pair.d.text, "the same device twice"));

	other = new_device("sdc");
	assert_int_equal(pair_open(&pair, pair.dev[0], other), -EINVAL);
	assert_non_null(strstr(pair.d.text, "sdc: is no device of the bcachefs volume on sda"));
	assert_int_equal(pair_open(&pair, other, pair.dev[0]), -EINVAL);
	assert_int_equal(pair_open(&pair, other, NULL), 1);
	blockdev_close(other);

	pair.hand[1].head.uuid[3] ^= 1;
	assert_int_equal(pair_open(&pair, pair.dev[0], pair.dev[1]), -EINVAL);
	assert_non_null(strstr(pair.d.text, "sdb: belongs to the bcachefs volume"));
	pair.hand[1].head.uuid[3] ^= 1;

	/* Another device has its place. */
	le64_put(&pair.hand[0].head.seq, 30);
	hand_member(&pair.hand[0], 1)->uuid[0] ^= 1;
	assert_int_equal(pair_open(&pair, pair.dev[0], pair.dev[1]), -EINVAL);
	assert_non_null(strstr(pair.d.text, "which another device is now"));
	memset(hand_member(&pair.hand[0], 1)->uuid, 0, 16);
	assert_int_equal(pair_open(&pair, pair.dev[0], pair.dev[1]), -EINVAL);
	assert_non_null(strstr(pair.d.text, "has been removed from it"));
	pair_done(&pair);
}

static void devices_left_behind(void **state)
{
	struct pair pair;

	(void)state;
	pair_init(&pair);
	/* A crash between the writes. */
	le64_put(&pair.hand[0].head.seq, 21);
	le64_put(&hand_member(&pair.hand[0], 1)->seq, 21);
	assert_int_equal(pair_open(&pair, pair.dev[1], pair.dev[0]), 0);
	assert_int_equal(pair.fs->super->seq, 21);
	assert_int_equal(pair.notes.nr, 0);

	/* It was left out for long. */
	le64_put(&pair.hand[0].head.seq, 40);
	le64_put(&hand_member(&pair.hand[0], 1)->seq, 20);
	assert_int_equal(pair_open(&pair, pair.dev[1], pair.dev[0]), 0);
	assert_int_equal(pair.notes.nr, 1);
	assert_non_null(strstr(pair.notes.last, "sdb: its superblock is older than that of the volume (20 of 40)"));

	/* And was used alone meanwhile. */
	le64_put(&pair.hand[1].head.seq, 25);
	assert_int_equal(pair_open(&pair, pair.dev[1], pair.dev[0]), -EINVAL);
	assert_non_null(strstr(pair.d.text, "sdb: has been written to apart from the other devices"));

	/* Or both as often, at other times. */
	le64_put(&pair.hand[1].head.seq, 40);
	le64_put(&pair.hand[1].head.write_time, 5);
	assert_int_equal(pair_open(&pair, pair.dev[1], pair.dev[0]), -EINVAL);
	pair_done(&pair);
}

static void a_device_whose_superblocks_are_bad(void **state)
{
	struct pair pair;
	struct blockdev *devs[2];
	struct source_options options = { 0 };

	(void)state;
	pair_init(&pair);
	for (unsigned i = 0; i < HAND_NR_COPIES; i++)
		flip(pair.dev[0], hand_sectors[i] * BCH_SECTOR_BYTES + 800);
	devs[0] = pair.dev[0];
	devs[1] = pair.dev[1];
	assert_int_equal(bch_fs_open(devs, 2, &options, BCH_STAGE_SUPER, &pair.fs, &pair.d), 0);
	assert_int_equal(pair.fs->nr_missing, 1);
	assert_int_equal(pair.notes.nr, 2); /* it is bad; it is missing */
	bch_fs_close(pair.fs);
	pair.fs = NULL;
	assert_int_equal(bch_fs_open(devs, 1, &options, BCH_STAGE_SUPER, &pair.fs, &pair.d), -EUCLEAN);
	pair_done(&pair);
}

/* --- Checksums and ciphers ---------------------------------------- */

static void checksum_vectors(void **state)
{
	static const char nine[] = "123456789";
	u64 whole, parts;

	(void)state;
	assert_int_equal(le64_get(bch_csum_of(BCH_CSUM_CRC32C_NONZERO, nine, 9).lo), 0xe3069283);
	assert_int_equal(le64_get(bch_csum_of(BCH_CSUM_CRC64, nine, 9).lo), 0x6c40df5f0b497347);
	assert_int_equal(le64_get(bch_csum_of(BCH_CSUM_CRC64_NONZERO, nine, 9).lo), 0x62ec59e3f1a4f00a);
	assert_int_equal(le64_get(bch_csum_of(BCH_CSUM_XXHASH, nine, 9).lo), 0x8cb841db40e6ae83);
	assert_int_equal(le64_get(bch_csum_of(BCH_CSUM_NONE, nine, 9).lo), 0);
	assert_int_equal(bch_csum_bytes(BCH_CSUM_CHACHA20_POLY1305_80), 10);
	assert_null(bch_csum_name(BCH_NR_CSUM_TYPES));
	whole = bch_crc64_update(0, nine, 9);
	parts = bch_crc64_update(bch_crc64_update(0, nine, 4), nine + 4, 5);
	assert_int_equal(whole, parts);
}

static struct bch_crypt *crypt_with_key(const u8 key[32])
{
	struct disk_bch_crypt section = { 0 };
	struct bch_crypt *crypt = NULL;
	struct diag d = { 0 };
	u8 uuid[16] = { 0 };

	memcpy(&section.key_magic, "bch**key", 8);
	memcpy(section.key, key, 32);
	assert_int_equal(bch_crypt_open(&section, uuid, NULL, &crypt, &d), 0);
	return crypt;
}

/* RFC 8439, 2.4.2: the nonce's words in our order. */
static void cipher_vectors(void **state)
{
	static const char plain[] =
		"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen "
		"would be it.";
	static const u8 begin[16] = { 0x6e, 0x2e, 0x35, 0x9a, 0x25, 0x68, 0xf9, 0x80,
				      0x41, 0xba, 0x07, 0x28, 0xdd, 0x0d, 0x69, 0x81 };
	const struct bch_nonce nonce = { { 1, 0, 0x4a000000, 0 } };
	struct bch_crypt *crypt;
	u8 key[32], text[sizeof(plain)], halves[sizeof(plain)];

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		key[i] = (u8)i;
	crypt = crypt_with_key(key);
	memcpy(text, plain, sizeof(plain));
	bch_crypt_decrypt(crypt, nonce, text, sizeof(text));
	assert_memory_equal(text, begin, sizeof(begin));
	/* Entered behind the first block. */
	memcpy(halves, plain, sizeof(plain));
	bch_crypt_decrypt(crypt, bch_nonce_add(nonce, 64), halves + 64, sizeof(halves) - 64);
	assert_memory_equal(halves + 64, text + 64, sizeof(text) - 64);
	bch_crypt_free(crypt);
}

/* RFC 8439, 2.6.2 gives the key that Poly1305 gets for this nonce; ours has the highest bit flipped before. */
static void mac_vector(void **state)
{
	static const u8 key_of_mac[32] = { 0x8a, 0xd5, 0xa0, 0x8b, 0x90, 0x5f, 0x81, 0xcc, 0x81, 0x50, 0x40,
					   0x27, 0x4a, 0xb2, 0x94, 0x71, 0xa8, 0x33, 0xb6, 0x37, 0xe3, 0xfd,
					   0x0d, 0xa5, 0x08, 0xdb, 0xb8, 0xe2, 0xfd, 0xd1, 0xa6, 0x46 };
	const struct bch_nonce nonce = { { 0, 0, 0x03020100, 0x07060504 ^ 1u << 31 } };
	struct disk_bch_csum wide, narrow;
	struct bch_crypt *crypt;
	u8 key[32];

	(void)state;
	for (unsigned i = 0; i < 32; i++)
		key[i] = (u8)(0x80 + i);
	crypt = crypt_with_key(key);
	/* Of nothing, Poly1305 is the second half of its key. */
	wide = bch_crypt_mac(crypt, BCH_CSUM_CHACHA20_POLY1305_128, nonce, key, 0);
	assert_memory_equal(&wide, key_of_mac + 16, 16);
	narrow = bch_crypt_mac(crypt, BCH_CSUM_CHACHA20_POLY1305_80, nonce, key, 0);
	assert_memory_equal(&narrow, key_of_mac + 16, 10);
	assert_int_equal(le64_get(narrow.hi) >> 16, 0);
	bch_crypt_free(crypt);
}

/* Passphrase "open sesame", salt "bcache" with its NUL, N 2^4, r 2^1, p 2^0; computed by OpenSSL. */
static void passphrases(void **state)
{
	static const u8 stored[40] = { 0xbc, 0x38, 0x57, 0xcc, 0x5f, 0xae, 0x5a, 0x42, 0x58, 0x2f,
				       0xc8, 0x98, 0xee, 0x04, 0x04, 0x57, 0x19, 0xfc, 0xbd, 0x76,
				       0x60, 0x59, 0x6d, 0x3e, 0x83, 0x60, 0x40, 0xfa, 0x85, 0x91,
				       0x3c, 0x83, 0x2e, 0x4f, 0x10, 0x40, 0x1e, 0xfc, 0xa8, 0xea };
	struct disk_bch_crypt section = { 0 };
	struct bch_crypt *crypt = NULL;
	struct diag d = { 0 };
	u8 uuid[16], bytes[64] = { 0 }, expected[64] = { 0 }, key[32];
	struct bch_crypt *same;

	(void)state;
	for (unsigned i = 0; i < 16; i++)
		uuid[i] = (u8)(0xa0 + i);
	memset(key, 0x5c, sizeof(key));
	le64_put(&section.kdf_flags, 4 | 1 << 16);
	memcpy(&section.key_magic, stored, 40);
	assert_int_equal(bch_crypt_open(&section, uuid, NULL, &crypt, &d), -EACCES);
	assert_int_equal(bch_crypt_open(&section, uuid, "open barley", &crypt, &d), -EACCES);
	assert_non_null(strstr(d.text, "passphrase is wrong"));
	assert_int_equal(bch_crypt_open(&section, uuid, "open sesame", &crypt, &d), 0);
	same = crypt_with_key(key);
	bch_crypt_decrypt(crypt, (struct bch_nonce){ { 0 } }, bytes, sizeof(bytes));
	bch_crypt_decrypt(same, (struct bch_nonce){ { 0 } }, expected, sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(bytes));
	bch_crypt_free(crypt);
	bch_crypt_free(same);
	/* What would take hours or all memory. */
	le64_put(&section.kdf_flags, 40 | 1 << 16);
	assert_int_equal(bch_crypt_open(&section, uuid, "open sesame", &crypt, &d), -EUCLEAN);
	le64_put(&section.kdf_flags, 4 | (u64)30 << 32);
	assert_int_equal(bch_crypt_open(&section, uuid, "open sesame", &crypt, &d), -EUCLEAN);
	le64_put(&section.flags, 3);
	assert_int_equal(bch_crypt_open(&section, uuid, "open sesame", &crypt, &d), -EOPNOTSUPP);
}

static void without_libsodium(void **state)
{
	struct disk_bch_crypt section = { 0 };
	struct bch_crypt *crypt = NULL;
	struct diag d = { 0 };
	u8 uuid[16] = { 0 };

	(void)state;
	assert_int_equal(bch_crypt_open(&section, uuid, "x", &crypt, &d), -EOPNOTSUPP);
	assert_non_null(strstr(d.text, "libsodium"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_fields),
		cmocka_unit_test(fields_that_lie),
		cmocka_unit_test(newer_versions),
		cmocka_unit_test(old_forms),
		cmocka_unit_test(blacklists_are_merged),
		cmocka_unit_test(the_newest_good_copy),
		cmocka_unit_test(copies_without_their_layout),
		cmocka_unit_test(a_copy_at_another_place),
		cmocka_unit_test(random_lies),
		cmocka_unit_test(devices_in_any_order),
		cmocka_unit_test(devices_that_are_missing),
		cmocka_unit_test(devices_that_do_not_belong),
		cmocka_unit_test(devices_left_behind),
		cmocka_unit_test(a_device_whose_superblocks_are_bad),
		cmocka_unit_test(checksum_vectors),
	};
	const struct CMUnitTest crypt_tests[] = {
		cmocka_unit_test(cipher_vectors),
		cmocka_unit_test(mac_vector),
		cmocka_unit_test(passphrases),
	};
	const struct CMUnitTest no_crypt_tests[] = { cmocka_unit_test(without_libsodium) };
	int failed = cmocka_run_group_tests_name("superblocks of bcachefs", tests, NULL, NULL);

	return failed + (HAVE_SODIUM ? cmocka_run_group_tests_name("ciphers", crypt_tests, NULL, NULL)
				     : cmocka_run_group_tests_name("no ciphers", no_crypt_tests, NULL, NULL));
}
