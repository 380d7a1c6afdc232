/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/format: superblocks, feature bits, name hashes, keys, and putting leaves and nodes together. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

#include "kernel-shared/format/features.h"
#include "kernel-shared/format/leaf.h"
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/format/super_check.h"

#define PLACE (64 * KIB)
#define FIELD(member) offsetof(struct disk_super, member), sizeof(((struct disk_super *)NULL)->member)

static void finish(struct disk_super *super, const struct csum_kind *csum)
{
	memset(super->csum, 0, CSUM_SIZE);
	csum_compute(csum, (const u8 *)super + CSUM_SIZE, sizeof(*super) - CSUM_SIZE, super->csum);
}

static void make_super(struct disk_super *super, u16 csum_type)
{
	memset(super, 0, sizeof(*super));
	memset(super->fsid, 0xf5, UUID_SIZE);
	memset(super->metadata_uuid, 0x3e, UUID_SIZE);
	memset(super->dev_item.fsid, 0xf5, UUID_SIZE);
	le64_put(&super->bytenr, PLACE);
	le64_put(&super->magic, SUPER_MAGIC);
	le64_put(&super->generation, 77);
	le64_put(&super->chunk_root_generation, 77);
	le64_put(&super->root, 30 * MIB);
	le64_put(&super->chunk_root, 22 * MIB);
	le64_put(&super->total_bytes, GIB);
	le64_put(&super->num_devices, 1);
	le32_put(&super->sectorsize, 4096);
	le32_put(&super->nodesize, 16384);
	le32_put(&super->leafsize, 16384);
	le32_put(&super->sys_chunk_array_size, 97);
	le16_put(&super->csum_type, csum_type);
	le64_put(&super->dev_item.devid, 1);
	le64_put(&super->dev_item.total_bytes, GIB);
	memcpy(super->label, "a label", 7);
}

static const struct bad_super {
	u32 at, width;
	u64 value;
	const char *says;
} bad_supers[] = {
	{ FIELD(magic), SUPER_MAGIC_TEMPORARY, "wrong magic 4d5f536652484221" },
	{ FIELD(magic), 0, "wrong magic" },
	{ FIELD(csum_type), 4, "unknown checksum type 4" },
	{ FIELD(bytenr), 64 * MIB, "says that it lies at 67108864" },
	{ FIELD(bytenr), 0, "says that it lies at 0" },
	{ FIELD(sectorsize), 0, "impossible sectorsize 0" },
	{ FIELD(sectorsize), 2048, "impossible sectorsize 2048" },
	{ FIELD(sectorsize), 4097, "impossible sectorsize 4097" },
	{ FIELD(sectorsize), 131072, "impossible sectorsize 131072" },
	{ FIELD(nodesize), 2048, "impossible nodesize 2048" },
	{ FIELD(nodesize), 131072, "impossible nodesize 131072" },
	{ FIELD(nodesize), 12288, "impossible nodesize 12288" },
	{ FIELD(sectorsize), 32768, "impossible nodesize 16384 (sectorsize 32768)" },
	{ FIELD(leafsize), 4096, "leafsize 4096 differs" },
	{ FIELD(root), 0, "root tree at 0" },
	{ FIELD(root), 30 * MIB + 512, "root tree at 31457792" },
	{ FIELD(root_level), 8, "root tree has level 8" },
	{ FIELD(chunk_root), 0, "chunk tree at 0" },
	{ FIELD(chunk_root), 1, "chunk tree at 1" },
	{ FIELD(chunk_root_level), 255, "chunk tree has level 255" },
	{ FIELD(log_root), 40 * MIB + 1, "log tree at 41943041" },
	{ FIELD(sys_chunk_array_size), 2049, "sys_chunk_array of 2049 bytes" },
	{ FIELD(sys_chunk_array_size), UINT32_MAX, "sys_chunk_array of 4294967295 bytes" },
	{ FIELD(sys_chunk_array_size), 0, "sys_chunk_array of 0 bytes" },
	{ FIELD(sys_chunk_array_size), 64, "sys_chunk_array of 64 bytes" },
	{ FIELD(num_devices), 0, "num_devices is 0" },
	{ FIELD(total_bytes), 0, "total_bytes is 0" },
	{ FIELD(chunk_root_generation), 78, "chunk_root_generation 78 is newer than generation 77" },
	{ offsetof(struct disk_super, dev_item) + offsetof(struct disk_dev_item, fsid), 1, 0, "fsid is not the filesystem's" },
	{ offsetof(struct disk_super, fsid), 1, 0, "fsid is not the filesystem's" },
};

static void every_field_is_checked(void **state)
{
	(void)state;
	for (u16 type = 0; type < CSUM_TYPE_COUNT; type++)
		for (size_t i = 0; csum_kind_by_type(type) && i < ARRAY_LEN(bad_supers); i++) {
			const struct bad_super *bad = &bad_supers[i];
			struct disk_super super;
			struct diag d = { 0 };

			make_super(&super, type);
			finish(&super, csum_kind_by_type(type));
			assert_int_equal(super_check(&super, PLACE, &d), 0);
			for (u32 b = 0; b < bad->width; b++)
				((u8 *)&super)[bad->at + b] = (u8)(bad->value >> 8 * b);
			finish(&super, csum_kind_by_type(type));
			assert_int_equal(super_check(&super, PLACE, &d), -EUCLEAN);
			if (!strstr(d.text, bad->says))
				fail_msg("\"%s\" does not say \"%s\"", d.text, bad->says);
		}
}

static void limits_are_accepted(void **state)
{
	static const struct {
		u32 nodesize, array_bytes;
	} limits[] = { { 4096, 65 }, { 65536, 2048 } };
	const struct csum_kind *csum = csum_kind_by_type(CSUM_TYPE_CRC32C);
	struct disk_super super;
	struct diag d = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		make_super(&super, CSUM_TYPE_CRC32C);
		le32_put(&super.nodesize, limits[i].nodesize);
		le32_put(&super.leafsize, limits[i].nodesize);
		le32_put(&super.sys_chunk_array_size, limits[i].array_bytes);
		finish(&super, csum);
		assert_int_equal(super_check(&super, PLACE, &d), 0);
	}
	le64_put(&super.dev_item.devid, 0);
	le64_put(&super.dev_item.total_bytes, 0);
	finish(&super, csum);
	assert_int_equal(super_check(&super, PLACE, &d), -EUCLEAN);
	assert_string_equal(d.text, "no device item");
}

static void a_log_tree_has_a_level_only_where_there_is_one(void **state)
{
	const struct csum_kind *csum = csum_kind_by_type(CSUM_TYPE_CRC32C);
	struct disk_super super;
	struct diag d = { 0 };

	(void)state;
	make_super(&super, CSUM_TYPE_CRC32C);
	super.log_root_level = 200;
	finish(&super, csum);
	assert_int_equal(super_check(&super, PLACE, &d), 0);
	le64_put(&super.log_root, 40 * MIB);
	finish(&super, csum);
	assert_int_equal(super_check(&super, PLACE, &d), -EUCLEAN);
	assert_string_equal(d.text, "log tree has level 200, limit 7");
}

/* One bit anywhere in the 4 KiB. */
static void every_byte_is_covered_by_the_checksum(void **state)
{
	(void)state;
	for (u16 type = 0; type < CSUM_TYPE_COUNT; type++) {
		const struct csum_kind *csum = csum_kind_by_type(type);
		struct disk_super super;
		u32 step = type == CSUM_TYPE_CRC32C ? 1 : 61;

		if (!csum)
			continue;
		make_super(&super, type);
		finish(&super, csum);
		for (u32 at = 0; at < sizeof(super); at += step) {
			bool is_unused_csum = at >= csum->size_bytes && at < CSUM_SIZE;

			((u8 *)&super)[at] ^= 0x10;
			assert_int_equal(super_check(&super, PLACE, NULL), is_unused_csum ? 0 : -EUCLEAN);
			((u8 *)&super)[at] ^= 0x10;
		}
		assert_int_equal(super_check(&super, PLACE, NULL), 0);
	}
}

static void labels_end_within_their_field(void **state)
{
	const struct csum_kind *csum = csum_kind_by_type(CSUM_TYPE_CRC32C);
	struct disk_super super;

	(void)state;
	make_super(&super, CSUM_TYPE_CRC32C);
	memset(super.label, 'l', LABEL_SIZE - 1);
	finish(&super, csum);
	assert_int_equal(super_check(&super, PLACE, NULL), 0);
	super.label[LABEL_SIZE - 1] = 'l';
	finish(&super, csum);
	assert_int_equal(super_check(&super, PLACE, NULL), -EUCLEAN);
}

static void metadata_uuid_counts_only_with_its_feature(void **state)
{
	const struct csum_kind *csum = csum_kind_by_type(CSUM_TYPE_CRC32C);
	struct disk_super super;

	(void)state;
	make_super(&super, CSUM_TYPE_CRC32C);
	assert_ptr_equal(super_metadata_fsid(&super), super.fsid);
	memset(super.dev_item.fsid, 0x3e, UUID_SIZE);
	finish(&super, csum);
	assert_int_equal(super_check(&super, PLACE, NULL), -EUCLEAN);
	le64_put(&super.incompat_flags, INCOMPAT_METADATA_UUID);
	assert_ptr_equal(super_metadata_fsid(&super), super.metadata_uuid);
	finish(&super, csum);
	assert_int_equal(super_check(&super, PLACE, NULL), 0);
}

/* --- Features ------------------------------------------------------------------------------------------------- */

#define INCOMPAT_ORDINARY                                                                                         \
	(INCOMPAT_MIXED_BACKREF | INCOMPAT_DEFAULT_SUBVOL | INCOMPAT_MIXED_GROUPS | INCOMPAT_COMPRESS_LZO |        \
	 INCOMPAT_COMPRESS_ZSTD | INCOMPAT_BIG_METADATA | INCOMPAT_EXTENDED_IREF | INCOMPAT_RAID56 |               \
	 INCOMPAT_SKINNY_METADATA | INCOMPAT_NO_HOLES | INCOMPAT_METADATA_UUID | INCOMPAT_RAID1C34 | INCOMPAT_SIMPLE_QUOTA)
#define COMPAT_RO_KNOWN                                                                                           \
	(COMPAT_RO_FREE_SPACE_TREE | COMPAT_RO_FREE_SPACE_TREE_VALID | COMPAT_RO_VERITY | COMPAT_RO_BLOCK_GROUP_TREE)

static void features_are_judged_one_by_one(void **state)
{
	static const struct {
		unsigned bit;
		const char *name;
	} refused[] = {
		{ 12, "zoned" }, { 13, "extent-tree-v2" }, { 14, "raid-stripe-tree" }, { 17, "remap-tree" },
		{ 15, "bit 15" }, { 18, "bit 18" },	   { 33, "bit 33" },	       { 63, "bit 63" },
	};
	bool is_read_only = true;
	struct diag d = { 0 };

	(void)state;
	assert_int_equal(features_judge(0, 0, &is_read_only, &d), 0);
	assert_false(is_read_only);
	assert_int_equal(features_judge(INCOMPAT_ORDINARY, COMPAT_RO_KNOWN, &is_read_only, &d), 0);
	assert_false(is_read_only);
	for (unsigned bit = 0; bit < 64; bit++) {
		const char *name = NULL;

		for (size_t i = 0; i < ARRAY_LEN(refused); i++)
			if (refused[i].bit == bit)
				name = refused[i].name;
		is_read_only = true;
		if (INCOMPAT_ORDINARY >> bit & 1) {
			assert_int_equal(features_judge(1ULL << bit, 0, &is_read_only, &d), 0);
			assert_false(is_read_only);
			continue;
		}
		assert_int_equal(features_judge(INCOMPAT_ORDINARY | 1ULL << bit, 0, &is_read_only, &d), -EOPNOTSUPP);
		assert_true(is_read_only); /* untouched */
		assert_non_null(strstr(d.text, "not supported here: "));
		if (name)
			assert_string_equal(strstr(d.text, ": ") + 2, name);
	}
}

static void all_that_stands_in_the_way_is_named(void **state)
{
	struct diag d = { 0 };
	bool is_read_only;

	(void)state;
	assert_int_equal(features_judge(INCOMPAT_ZONED | INCOMPAT_RAID_STRIPE_TREE | 1ULL << 40 | INCOMPAT_NO_HOLES, 0,
					&is_read_only, &d), -EOPNOTSUPP);
	assert_non_null(strstr(d.text, ": zoned, raid-stripe-tree, bit 40"));
	assert_null(strstr(d.text, "no-holes"));
	assert_int_equal(features_judge(UINT64_MAX, UINT64_MAX, &is_read_only, &d), -EOPNOTSUPP);
	assert_non_null(strstr(d.text, "bit 62, bit 63"));
}

static void unknown_compat_ro_bits_mean_read_only(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		bool is_read_only;

		assert_int_equal(features_judge(INCOMPAT_ORDINARY, 1ULL << bit, &is_read_only, NULL), 0);
		assert_int_equal(is_read_only, !(COMPAT_RO_KNOWN >> bit & 1));
	}
}

static void features_have_names(void **state)
{
	char buf[32];

	(void)state;
	for (size_t i = 0; i < features_count; i++) {
		assert_ptr_equal(feature_by_name(features[i].name), &features[i]);
		for (unsigned bit = 0; bit < 64; bit++)
			if (is_power_of_two(features[i].bits) && features[i].bits >> bit & 1)
				assert_string_equal(feature_bit_name(features[i].set, bit, buf, sizeof(buf)), features[i].name);
	}
	assert_null(feature_by_name("no-such-feature"));
	assert_null(feature_by_name(""));
	assert_string_equal(feature_bit_name(FEATURE_COMPAT_RO, 0, buf, sizeof(buf)), "free-space-tree");
	assert_string_equal(feature_bit_name(FEATURE_COMPAT_RO, 1, buf, sizeof(buf)), "free-space-tree-valid");
	assert_string_equal(feature_bit_name(FEATURE_COMPAT_RO, 9, buf, sizeof(buf)), "bit 9");
	assert_string_equal(feature_bit_name(FEATURE_INCOMPAT, 8, buf, sizeof(buf)), "skinny-metadata");
}

/* --- Hashes ------------------------------------------------------------------------------------------------------ */

/* "default" stands in every root tree, "security.selinux" on every file of many a host; the rest was computed elsewhere. */
static void hashes_of_names(void **state)
{
	u8 longest[NAME_LEN_MAX];

	(void)state;
	memset(longest, 'x', sizeof(longest));
	assert_int_equal(name_hash("default", 7), 2378154706);
	assert_int_equal(name_hash("security.selinux", 16), 3817753667);
	assert_int_equal(name_hash("system.posix_acl_access", 23), 2038346239);
	assert_int_equal(name_hash("a", 1), 3427024844);
	assert_int_equal(name_hash("hello", 5), 1570712351);
	assert_int_equal(name_hash(longest, sizeof(longest)), 2015063892);
	assert_int_equal(extref_hash(256, "long", 4), 4285524579);
	/* Of a directory's number only the lower half counts. */
	assert_int_equal(extref_hash(0x1234567890, "long", 4), 3512500356);
	assert_int_equal(extref_hash(0x34567890, "long", 4), 3512500356);
	assert_int_equal(extent_data_ref_hash(5, 257, 0), 1007496934145758698);
	assert_int_equal(extent_data_ref_hash(256, 257, 4096), 1002667597962309452);
	assert_int_equal(extent_data_ref_hash(5, 257, 1ULL << 40), 1007496931549382548);
}

/* --- Keys, leaves, nodes --------------------------------------------------------------------------------------------- */

static void keys_sort_as_unsigned_numbers(void **state)
{
	const struct key sorted[] = {
		{ 0, 0, 0 },		   { 0, 0, 1 },		{ 0, 1, 0 },
		{ 0, 255, UINT64_MAX },	   { 1, 0, 0 },		{ 256, 1, 0 },
		{ 256, 12, 256 },	   { 256, 84, 1 },	{ 256, 84, 1ULL << 63 },
		{ 256, 96, 0 },		   { 257, 1, 0 },	{ INT64_MAX, 1, 0 },
		{ 1ULL << 63, 1, 0 },	   { (u64)-9, 132, 0 }, { UINT64_MAX, 255, UINT64_MAX - 1 },
		{ UINT64_MAX, 255, UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
		for (size_t j = 0; j < ARRAY_LEN(sorted); j++) {
			int order = key_compare(&sorted[i], &sorted[j]);
			struct disk_key disk;
			struct key back;

			assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
			key_pack(&disk, &sorted[i]);
			back = key_unpack(&disk);
			assert_int_equal(key_compare(&back, &sorted[i]), 0);
		}
	assert_int_equal(key_compare(&KEY_MIN, &sorted[0]), 0);
	assert_int_equal(key_compare(&KEY_MAX, &sorted[ARRAY_LEN(sorted) - 1]), 0);
}

static struct block_identity identity(u32 nodesize)
{
	struct block_identity id = { .nodesize = nodesize, .csum = csum_kind_by_type(0), .generation = 9 };

	memset(id.fsid, 1, UUID_SIZE);
	memset(id.chunk_tree_uuid, 2, UUID_SIZE);
	return id;
}

static void leaves_are_packed_from_the_end(void **state)
{
	(void)state;
	for (u32 nodesize = NODESIZE_MIN; nodesize <= NODESIZE_MAX; nodesize *= 2) {
		struct block_identity id = identity(nodesize);
		u8 *block = malloc(nodesize);
		struct key key = { 256, DIR_INDEX_KEY, 0 };
		u32 nr = 0, used = 0;
		const struct disk_header *header = block_header(block);

		memset(block, 0xee, nodesize);
		block_init(block, &id, 7 * MIB, 5, 0);
		assert_int_equal(le64_get(header->bytenr), 7 * MIB);
		assert_int_equal(le64_get(header->generation), 9);
		assert_int_equal(le64_get(header->owner), 5);
		assert_int_equal(le64_get(header->flags), 1 | 1ULL << 56);
		assert_memory_equal(header->fsid, id.fsid, UUID_SIZE);
		assert_memory_equal(header->chunk_tree_uuid, id.chunk_tree_uuid, UUID_SIZE);
		assert_int_equal(block_level(block), 0);
		assert_int_equal(leaf_free_bytes(block, nodesize), nodesize - 101 - 25);
		for (u32 size = 0; leaf_free_bytes(block, nodesize) >= (int)size; size = (size + 37) % 311) {
			u8 *data = leaf_append(block, nodesize, &key, size);

			used += 25 + size;
			memset(data, (u8)nr, size);
			assert_ptr_equal(data, leaf_item_data(block, nr));
			assert_int_equal(leaf_item_bytes(block, nr), size);
			assert_int_equal(block_nritems(block), ++nr);
			assert_int_equal(leaf_free_bytes(block, nodesize), (int)(nodesize - 101 - used) - 25);
			key.offset += 3;
		}
		for (u32 slot = 0; slot < nr; slot++) {
			const u8 *data = leaf_item_data(block, slot);

			assert_int_equal(leaf_key(block, slot).offset, slot * 3);
			for (u32 i = 0; i < leaf_item_bytes(block, slot); i++)
				assert_int_equal(data[i], (u8)slot);
		}
		assert_int_equal(leaf_item_max_bytes(nodesize), nodesize - 101 - 25);
		free(block);
	}
}

static void search_finds_slots_and_gaps(void **state)
{
	struct block_identity id = identity(NODESIZE_MIN);
	u8 leaf[NODESIZE_MIN], node[NODESIZE_MIN];

	(void)state;
	for (u32 nr = 0; nr <= 60; nr++) {
		block_init(leaf, &id, MIB, 5, 0);
		block_init(node, &id, MIB, 5, 3);
		for (u32 i = 0; i < nr; i++) {
			const struct key key = { 2 * i + 1, 1, 0 };

			(void)leaf_append(leaf, NODESIZE_MIN, &key, i % 7);
			node_append(node, &key, MIB * (i + 2), i + 1);
			assert_int_equal(node_blockptr(node, i), MIB * (i + 2));
			assert_int_equal(node_generation(node, i), i + 1);
		}
		for (u32 wanted = 0; wanted <= 2 * nr; wanted++) {
			const struct key key = { wanted, 1, 0 };
			u32 slot = UINT32_MAX;

			assert_int_equal(block_search(leaf, &key, &slot), wanted % 2 ? 0 : 1);
			assert_int_equal(slot, wanted / 2);
			slot = UINT32_MAX;
			assert_int_equal(block_search(node, &key, &slot), wanted % 2 ? 0 : 1);
			assert_int_equal(slot, wanted / 2);
		}
	}
	assert_int_equal(node_max_ptrs(NODESIZE_MIN), 121);
	assert_int_equal(node_max_ptrs(16384), 493);
}

static void checksums_of_blocks(void **state)
{
	u8 block[NODESIZE_MIN];

	(void)state;
	for (u16 type = 0; type < CSUM_TYPE_COUNT; type++) {
		const struct csum_kind *csum = csum_kind_by_type(type);
		struct block_identity id = identity(sizeof(block));

		if (!csum)
			continue;
		block_init(block, &id, MIB, 5, 0);
		assert_false(block_csum_is_good(block, sizeof(block), csum));
		block_finish(block, sizeof(block), csum);
		assert_true(block_csum_is_good(block, sizeof(block), csum));
		for (u32 at = CSUM_SIZE; at < sizeof(block); at += 101) {
			block[at] ^= 0x80;
			assert_false(block_csum_is_good(block, sizeof(block), csum));
			block[at] ^= 0x80;
		}
		block[csum->size_bytes - 1] ^= 1;
		assert_false(block_csum_is_good(block, sizeof(block), csum));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_is_checked),
		cmocka_unit_test(limits_are_accepted),
		cmocka_unit_test(a_log_tree_has_a_level_only_where_there_is_one),
		cmocka_unit_test(every_byte_is_covered_by_the_checksum),
		cmocka_unit_test(labels_end_within_their_field),
		cmocka_unit_test(metadata_uuid_counts_only_with_its_feature),
		cmocka_unit_test(features_are_judged_one_by_one),
		cmocka_unit_test(all_that_stands_in_the_way_is_named),
		cmocka_unit_test(unknown_compat_ro_bits_mean_read_only),
		cmocka_unit_test(features_have_names),
		cmocka_unit_test(hashes_of_names),
		cmocka_unit_test(keys_sort_as_unsigned_numbers),
		cmocka_unit_test(leaves_are_packed_from_the_end),
		cmocka_unit_test(search_finds_slots_and_gaps),
		cmocka_unit_test(checksums_of_blocks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
