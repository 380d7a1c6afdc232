/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A volume of one chunk on devices in memory, for tests: stripe i lies on device i + 1 (with DUP on device 1 alone), each
 * at another physical address. What the whole chunk should hold is kept beside it.
 */
#ifndef BTRKIT_TESTS_UNIT_MEMORY_VOLUME_H
#define BTRKIT_TESTS_UNIT_MEMORY_VOLUME_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "kernel-shared/device/memory_device.h"
#include "kernel-shared/volume/volume.h"

#define MEMORY_VOLUME_LOGICAL (3 * GIB)
#define MEMORY_STRIPES_MAX 16

struct memory_volume {
	struct volume *volume;
	const struct chunk *chunk;
	u64 length;
	u8 *expected; /* length bytes */
};

/* Numbers that repeat only after a very long time, the same in every run. */
static inline u32 next_number(u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(*state >> 33);
}

static inline u64 stripe_physical(const struct profile *profile, unsigned stripe)
{
	return profile->dev_stripes > 1 ? MIB + stripe * 8 * MIB : MIB + stripe * 128 * KIB;
}

static inline struct blockdev *memory_volume_device(const struct memory_volume *memory, unsigned stripe)
{
	return device_set_find(memory->volume->devices, memory->chunk->stripe[stripe].devid, NULL)->dev;
}

static inline void memory_volume_make(struct memory_volume *memory, const char *profile_name, u16 num_stripes,
				      u64 length)
{
	const struct profile *profile = profile_by_name(profile_name);
	unsigned nr_devices = num_stripes / profile->dev_stripes;
	struct chunk *chunk = chunk_new(num_stripes);
	struct device_set *devices;
	struct chunk_map *chunks;

	assert_int_equal(device_set_new(&devices), 0);
	for (unsigned i = 0; i < nr_devices; i++) {
		struct device device = { .devid = i + 1 };
		char name[32];

		snprintf(name, sizeof(name), "memory%u", i + 1);
		memset(device.uuid, (int)(i + 1), UUID_SIZE);
		assert_int_equal(memory_device_new(name, 32 * MIB, &device.dev), 0);
		assert_int_equal(device_set_add(devices, &device, NULL), 0);
	}
	chunk->logical = MEMORY_VOLUME_LOGICAL;
	chunk->length = length;
	chunk->type = BLOCK_GROUP_DATA | profile->flag;
	for (u16 i = 0; i < num_stripes; i++) {
		chunk->stripe[i].devid = i % nr_devices + 1;
		chunk->stripe[i].physical = stripe_physical(profile, i);
		memset(chunk->stripe[i].dev_uuid, (int)(i % nr_devices + 1), UUID_SIZE);
	}
	chunk_derive(chunk);
	assert_true(profile_stripe_count_is_valid(profile, num_stripes));
	assert_true(profile_length_is_valid(profile, num_stripes, length));
	assert_int_equal(chunk_map_new(&chunks), 0);
	assert_int_equal(chunk_map_add(chunks, chunk, NULL), 0);
	free(chunk);
	assert_int_equal(volume_new(devices, chunks, 4096, 16384, &memory->volume, NULL), 0);
	memory->chunk = chunk_map_find(chunks, MEMORY_VOLUME_LOGICAL);
	memory->length = length;
	memory->expected = calloc(1, length);
	assert_non_null(memory->expected);
}

static inline void memory_volume_done(struct memory_volume *memory)
{
	volume_free(memory->volume);
	free(memory->expected);
}

/* Write new bytes to a range, and remember them. */
static inline int memory_volume_write(struct memory_volume *memory, u64 offset, size_t len, u64 *seed, struct diag *d)
{
	for (size_t i = 0; i < len; i++)
		memory->expected[offset + i] = (u8)next_number(seed);
	return volume_write(memory->volume, MEMORY_VOLUME_LOGICAL + offset, memory->expected + offset, len, d);
}

static inline void memory_volume_fill(struct memory_volume *memory, u64 *seed)
{
	assert_int_equal(memory_volume_write(memory, 0, memory->length, seed, NULL), 0);
}

/* 0 when all that can be read of copy @mirror is as expected, -EBADMSG when it is not; else why it cannot be read. */
static inline int memory_volume_compare(const struct memory_volume *memory, unsigned mirror)
{
	u8 *got = malloc(memory->length);
	int err = volume_read(memory->volume, MEMORY_VOLUME_LOGICAL, got, memory->length, mirror, NULL);

	if (!err && memcmp(got, memory->expected, memory->length) != 0)
		err = -EBADMSG;
	free(got);
	return err;
}

/* Take the device of @stripe away; give it back with the pointer that this returns. */
static inline struct blockdev *memory_volume_take_away(struct memory_volume *memory, unsigned stripe)
{
	struct device *device = device_set_find(memory->volume->devices, memory->chunk->stripe[stripe].devid, NULL);

	return take_ptr(device->dev);
}

static inline void memory_volume_give_back(struct memory_volume *memory, unsigned stripe, struct blockdev *dev)
{
	device_set_find(memory->volume->devices, memory->chunk->stripe[stripe].devid, NULL)->dev = dev;
}

/* Fill a stripe's part of its device with something else. */
static inline void memory_volume_corrupt(struct memory_volume *memory, unsigned stripe, u8 with)
{
	u8 *junk = malloc(memory->chunk->stripe_bytes);

	memset(junk, with, memory->chunk->stripe_bytes);
	assert_int_equal(blockdev_write(memory_volume_device(memory, stripe), memory->chunk->stripe[stripe].physical, junk,
					memory->chunk->stripe_bytes, NULL), 0);
	free(junk);
}

#endif
