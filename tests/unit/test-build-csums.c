/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/build/content_csums: where items of the checksum tree begin and end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/build/content_csums.h"

#define SECTOR 4096u
/* Sectors of an item with 4 byte checksums in 16 KiB leaves: (16384 - 101 - 2 * 25) / 4 - 1. */
#define CRC_MOST 4057u

static struct content_options options_for(const char *csum, u32 nodesize)
{
	return (struct content_options){
		.id = { .nodesize = nodesize, .csum = csum_kind_by_name(csum) },
		.sectorsize = SECTOR,
	};
}

struct extent {
	u64 sector, count;
};

/* How many items the extents give. */
static u64 count_items(const struct content_options *options, const struct extent *extents, size_t nr_extents)
{
	struct tree_sizer sizer;
	struct csum_items items;

	tree_sizer_init(&sizer, options->id.nodesize);
	assert_int_equal(csum_items_init(&items, options, &sizer, NULL, NULL), 0);
	for (size_t i = 0; i < nr_extents; i++)
		assert_int_equal(csum_items_add(&items, extents[i].sector * SECTOR, extents[i].count, NULL, NULL), 0);
	assert_int_equal(csum_items_finish(&items, NULL), 0);
	csum_items_done(&items);
	return sizer.nr_items;
}

static void neighbours_share_an_item(void **state)
{
	const struct content_options options = options_for("crc32c", 16384);
	const struct extent touching[] = { { 0, 1 }, { 1, 5 }, { 6, 100 } };
	const struct extent apart[] = { { 0, 1 }, { 2, 5 }, { 7, 1 }, { 9, 1 } };
	const struct extent from_afar[] = { { 1000, 1 }, { 1001, 1 } };

	(void)state;
	assert_int_equal(count_items(&options, touching, ARRAY_LEN(touching)), 1);
	assert_int_equal(count_items(&options, apart, ARRAY_LEN(apart)), 3);
	assert_int_equal(count_items(&options, from_afar, ARRAY_LEN(from_afar)), 1);
	assert_int_equal(count_items(&options, NULL, 0), 0);
}

static void items_are_cut_at_their_limit(void **state)
{
	const struct content_options crc = options_for("crc32c", 16384), sha = options_for("sha256", 16384);
	const struct content_options wide = options_for("crc32c", 65536);

	(void)state;
	assert_int_equal(count_items(&crc, (struct extent[]){ { 7, CRC_MOST } }, 1), 1);
	assert_int_equal(count_items(&crc, (struct extent[]){ { 7, CRC_MOST + 1 } }, 1), 2);
	assert_int_equal(count_items(&crc, (struct extent[]){ { 7, CRC_MOST }, { 7 + CRC_MOST, 1 } }, 2), 2);
	assert_int_equal(count_items(&crc, (struct extent[]){ { 7, CRC_MOST - 1 }, { 6 + CRC_MOST, 2 } }, 2), 2);
	assert_int_equal(count_items(&crc, (struct extent[]){ { 7, 10 * CRC_MOST } }, 1), 10);
	/* (16384 - 101 - 2 * 25) / 32 - 1 */
	if (sha.id.csum) { /* built in? */
		assert_int_equal(count_items(&sha, (struct extent[]){ { 7, 506 } }, 1), 1);
		assert_int_equal(count_items(&sha, (struct extent[]){ { 7, 507 } }, 1), 2);
	}
	/* However large a leaf is. */
	assert_int_equal(count_items(&wide, (struct extent[]){ { 7, 4096 } }, 1), 1);
	assert_int_equal(count_items(&wide, (struct extent[]){ { 7, 4097 } }, 1), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(neighbours_share_an_item),
		cmocka_unit_test(items_are_cut_at_their_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
