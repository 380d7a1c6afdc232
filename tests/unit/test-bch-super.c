/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Superblocks of bcachefs: each field that lies is refused in one line, the best copy is found, devices are told apart.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/hand_bch_device.h"

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
	};

	return cmocka_run_group_tests_name("superblocks of bcachefs", tests, NULL, NULL);
}
