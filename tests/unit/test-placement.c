/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where new chunks go, against what Linux 6.18 has allocated on the same devices with the same chunks on them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "kernel-shared/volume/placement.h"

#define DEVICES_MAX 8

/* Devices with one hole, from there to the end. */
struct shape {
	u64 type;
	unsigned nr;
	struct {
		u64 bytes, from;
	} devices[DEVICES_MAX];
	u64 length; /* of the chunk; 0: there is no room */
	u64 devids[DEVICES_MAX]; /* of its stripes */
};

#define DATA BLOCK_GROUP_DATA

/* Columns: mkfs.btrfs with single metadata and this data profile, then fallocate until there is a new chunk. */
static const struct shape by_linux[] = {
	{ DATA, 1, { { GIB, 22020096 } }, 117440512, { 1 } },
	{ DATA, 1, { { 256 * MIB, 22020096 } }, 33554432, { 1 } },
	{ DATA, 1, { { 10 * GIB, 1095761920 } }, 1073741824, { 1 } },
	{ DATA | BLOCK_GROUP_DUP, 1, { { GIB, 156237824 } }, 117440512, { 1, 1 } },
	{ DATA | BLOCK_GROUP_RAID0, 2, { { GIB, 129368064 }, { GIB, 108396544 } }, 234881024, { 2, 1 } },
	{ DATA | BLOCK_GROUP_RAID0, 3, { { 400 * MIB, 96206848 }, { GIB, 75235328 }, { 700 * MIB, 75235328 } },
	  251658240, { 2, 3, 1 } },
	{ DATA | BLOCK_GROUP_RAID1, 3, { { GIB, 22020096 }, { 2 * GIB, 323158016 }, { 3 * GIB, 323158016 } },
	  654311424, { 3, 2 } },
	{ DATA | BLOCK_GROUP_RAID10, 4,
	  { { GIB, 129368064 }, { GIB, 108396544 }, { GIB, 108396544 }, { GIB, 108396544 } }, 436207616, { 2, 3, 4, 1 } },
	{ DATA | BLOCK_GROUP_RAID5, 3, { { GIB, 165150720 }, { GIB, 144179200 }, { 2 * GIB, 144179200 } }, 436207616,
	  { 3, 2, 1 } },
	{ DATA | BLOCK_GROUP_RAID6, 4,
	  { { GIB, 129368064 }, { GIB, 108396544 }, { GIB, 108396544 }, { GIB, 108396544 } }, 436207616, { 2, 3, 4, 1 } },
	{ DATA | BLOCK_GROUP_RAID0, 3, { { 30 * GIB, 1095761920 }, { 30 * GIB, 1074790400 }, { 30 * GIB, 1074790400 } },
	  3221225472, { 2, 3, 1 } },
};

/* By the same rules: other kinds, and what is left of small devices. */
static const struct shape others[] = {
	{ BLOCK_GROUP_METADATA, 1, { { 10 * GIB, MIB } }, 256 * MIB, { 1 } },
	{ BLOCK_GROUP_METADATA, 1, { { 60 * GIB, MIB } }, GIB, { 1 } },
	{ BLOCK_GROUP_SYSTEM | BLOCK_GROUP_DUP, 1, { { 60 * GIB, MIB } }, 32 * MIB, { 1, 1 } },
	{ DATA, 1, { { 60 * GIB, 60 * GIB - 200 * MIB } }, 200 * MIB, { 1 } },
	{ DATA, 1, { { GIB, GIB - 64 * KIB } }, 64 * KIB, { 1 } },
	{ DATA, 1, { { GIB, GIB - 60 * KIB } }, 0, { 0 } },
	{ DATA, 1, { { GIB, GIB } }, 0, { 0 } },
	{ DATA | BLOCK_GROUP_DUP, 1, { { GIB, GIB - 64 * KIB } }, 0, { 0 } },
	{ DATA | BLOCK_GROUP_DUP, 1, { { GIB, GIB - 128 * KIB } }, 64 * KIB, { 1, 1 } },
	{ DATA | BLOCK_GROUP_RAID1, 1, { { GIB, MIB } }, 0, { 0 } },
	{ DATA | BLOCK_GROUP_RAID1, 2, { { GIB, MIB }, { GIB, GIB } }, 0, { 0 } },
	{ DATA | BLOCK_GROUP_RAID1C3, 4, { { GIB, 3 * MIB }, { GIB, MIB }, { GIB, 2 * MIB }, { GIB, MIB } }, 416 * MIB,
	  { 2, 4, 3 } },
	{ DATA | BLOCK_GROUP_RAID10, 3, { { GIB, MIB }, { GIB, MIB }, { GIB, MIB } }, 320 * MIB, { 1, 2 } },
	{ DATA | BLOCK_GROUP_RAID6, 2, { { GIB, MIB }, { GIB, MIB } }, 0, { 0 } },
	/* The shortest of the stripes is that of all. */
	{ DATA | BLOCK_GROUP_RAID0, 2, { { GIB, MIB }, { GIB, GIB - MIB } }, 2 * MIB, { 1, 2 } },
};

static int place(const struct shape *shape, struct device_holes *holes, struct chunk **ret_chunk, struct diag *d)
{
	u64 fs_bytes = 0;
	int err;

	for (unsigned i = 0; i < shape->nr; i++) {
		u64 from = shape->devices[i].from, bytes = shape->devices[i].bytes;

		holes[i] = (struct device_holes){ .devid = i + 1 };
		memset(holes[i].uuid, (int)i + 1, UUID_SIZE);
		if (bytes > from)
			assert_int_equal(array_push(&holes[i].holes, (struct hole){ from, bytes - from }), 0);
		fs_bytes += bytes;
	}
	err = place_chunk(shape->type, 5 * GIB, fs_bytes, holes, shape->nr, ret_chunk, d);
	for (unsigned i = 0; i < shape->nr; i++)
		array_done(&holes[i].holes);
	return err;
}

static void expect(const struct shape *shapes, size_t nr)
{
	for (size_t s = 0; s < nr; s++) {
		const struct shape *shape = &shapes[s];
		struct device_holes holes[DEVICES_MAX];
		struct diag d = { 0 };
		struct chunk *chunk = NULL;
		int err = place(shape, holes, &chunk, &d);

		if (shape->length == 0) {
			assert_int_equal(err, -ENOSPC);
			continue;
		}
		if (err || chunk->length != shape->length)
			fail_msg("shape %zu: %llu bytes, not %llu %s", s, err ? 0 : (unsigned long long)chunk->length,
				 (unsigned long long)shape->length, d.text);
		assert_int_equal(chunk->logical, 5 * GIB);
		assert_int_equal(chunk->type, shape->type);
		assert_true(profile_stripe_count_is_valid(chunk->profile, chunk->num_stripes));
		assert_true(profile_length_is_valid(chunk->profile, chunk->num_stripes, chunk->length));
		for (unsigned i = 0; i < DEVICES_MAX && shape->devids[i]; i++) {
			u64 devid = chunk->stripe[i].devid, first = shape->devices[devid - 1].from;

			assert_true(i < chunk->num_stripes);
			assert_int_equal(devid, shape->devids[i]);
			assert_int_equal(chunk->stripe[i].dev_uuid[3], devid);
			assert_int_equal(chunk->stripe[i].physical,
					 i && shape->devids[i - 1] == devid ? first + chunk->stripe_bytes : first);
			assert_true(chunk->stripe[i].physical + chunk->stripe_bytes <= shape->devices[devid - 1].bytes);
		}
		assert_true(chunk->num_stripes == DEVICES_MAX || !shape->devids[chunk->num_stripes]);
		free(chunk);
	}
}

static void test_as_linux(void **state)
{
	(void)state;
	expect(by_linux, ARRAY_LEN(by_linux));
}

static void test_others(void **state)
{
	(void)state;
	expect(others, ARRAY_LEN(others));
}

/* Of several holes the first that is large enough, else the largest; and of devices that with more room in all. */
static void test_holes(void **state)
{
	const struct hole first[] = { { MIB, 300 * MIB }, { GIB, 2 * GIB }, { 8 * GIB, 5 * GIB } };
	const struct hole second[] = { { MIB, GIB }, { 2 * GIB, GIB }, { 4 * GIB, 6 * GIB } };
	struct device_holes holes[2] = { { .devid = 1 }, { .devid = 2 } };
	struct chunk *chunk;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(array_push(&holes[0].holes, first[i]), 0);
		assert_int_equal(array_push(&holes[1].holes, second[i]), 0);
	}
	assert_int_equal(place_chunk(DATA, 5 * GIB, 100 * GIB, holes, 1, &chunk, NULL), 0);
	assert_int_equal(chunk->stripe[0].physical, GIB);
	free(chunk);
	/* Both have room for a whole one: the second has more in all. */
	assert_int_equal(place_chunk(DATA, 5 * GIB, 100 * GIB, holes, 2, &chunk, NULL), 0);
	assert_int_equal(chunk->stripe[0].devid, 2);
	assert_int_equal(chunk->stripe[0].physical, MIB);
	free(chunk);
	/* None is large enough. */
	holes[0].holes.items[1].len = 400 * MIB;
	holes[0].holes.items[2].len = 350 * MIB;
	assert_int_equal(place_chunk(DATA, 5 * GIB, 100 * GIB, holes, 1, &chunk, NULL), 0);
	assert_int_equal(chunk->stripe[0].physical, GIB);
	assert_int_equal(chunk->length, 400 * MIB);
	free(chunk);
	assert_int_equal(place_chunk(DATA | BLOCK_GROUP_RAID0 | BLOCK_GROUP_RAID1, 0, GIB, holes, 2, &chunk, NULL), -EINVAL);
	assert_int_equal(place_chunk(DATA, 0, 0, NULL, 0, &chunk, NULL), -ENOSPC);
	array_done(&holes[0].holes);
	array_done(&holes[1].holes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_linux),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_holes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
