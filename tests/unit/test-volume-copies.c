/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Volumes that keep whole copies, or none: where bytes lie, what happens when devices are gone, fail or hold something
 * else, and how a reader of tree blocks gets past wrong copies by their checksums.
 */
#include "kernel-shared/block/block_cache.h"
#include "kernel-shared/format/leaf.h"
#include "tests/unit/memory_volume.h"

static const struct shape {
	const char *profile;
	u16 num_stripes;
	u64 length;
} shapes[] = {
	{ "single", 1, MIB },		  { "single", 1, MIB + 4096 },
	{ "dup", 2, MIB },		  { "dup", 2, 100 * KIB },
	{ "raid0", 2, 8 * 64 * KIB },	  { "raid0", 5, 15 * 64 * KIB },
	{ "raid0", 1, 4 * 64 * KIB },	  { "raid1", 2, MIB },
	{ "raid1", 2, 4096 },		  { "raid1c3", 3, MIB },
	{ "raid1c4", 4, MIB },		  { "raid10", 2, 4 * 64 * KIB },
	{ "raid10", 4, 8 * 64 * KIB },	  { "raid10", 10, 20 * 64 * KIB },
};

static void make(struct memory_volume *memory, const struct shape *shape)
{
	memory_volume_make(memory, shape->profile, shape->num_stripes, shape->length);
}

/* The stripe of copy @mirror (from 0) of the byte at @offset of a chunk, and where within the stripe, by profile name. */
static unsigned place(const struct shape *shape, u64 offset, unsigned mirror, u64 *ret_within)
{
	u64 cell = offset / (64 * KIB), rest = offset % (64 * KIB);
	unsigned n = shape->num_stripes;

	if (strcmp(shape->profile, "raid0") == 0) {
		*ret_within = cell / n * (64 * KIB) + rest;
		return (unsigned)(cell % n);
	}
	if (strcmp(shape->profile, "raid10") == 0) {
		*ret_within = cell / (n / 2) * (64 * KIB) + rest;
		return (unsigned)(cell % (n / 2) * 2 + mirror);
	}
	*ret_within = offset;
	return mirror;
}

static void every_copy_is_written(void **state)
{
	u64 seed = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct memory_volume memory;
		unsigned copies;

		make(&memory, &shapes[i]);
		copies = memory.chunk->profile->copies;
		assert_int_equal(volume_nr_mirrors(memory.volume, MEMORY_VOLUME_LOGICAL), copies);
		memory_volume_fill(&memory, &seed);
		for (u64 offset = 0; offset < memory.length; offset += 4096)
			for (unsigned mirror = 0; mirror < copies; mirror++) {
				u64 within;
				unsigned stripe = place(&shapes[i], offset, mirror, &within);
				u8 got[4096];

				assert_int_equal(blockdev_read(memory_volume_device(&memory, stripe),
							       stripe_physical(memory.chunk->profile, stripe) + within, got,
							       sizeof(got), NULL), 0);
				assert_memory_equal(got, memory.expected + offset, sizeof(got));
			}
		for (unsigned mirror = 0; mirror <= copies; mirror++)
			assert_int_equal(memory_volume_compare(&memory, mirror), 0);
		assert_int_equal(memory_volume_compare(&memory, copies + 1), -EINVAL);
		memory_volume_done(&memory);
	}
}

static void small_reads_and_writes(void **state)
{
	u64 seed = 2;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct memory_volume memory;
		u8 *got;

		make(&memory, &shapes[i]);
		got = malloc(memory.length);
		for (unsigned n = 0; n < 50; n++) {
			u64 at = next_number(&seed) % memory.length, len = next_number(&seed) % (memory.length - at) + 1;

			assert_int_equal(memory_volume_write(&memory, at, len, &seed, NULL), 0);
			at = next_number(&seed) % memory.length;
			len = next_number(&seed) % (memory.length - at) + 1;
			assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL + at, got, len, n % 2, NULL), 0);
			assert_memory_equal(got, memory.expected + at, len);
		}
		assert_int_equal(memory_volume_compare(&memory, 0), 0);
		free(got);
		memory_volume_done(&memory);
	}
}

/* Is at least one copy of everything still there when the devices of the bits in @gone are not? */
static bool can_be_read(const struct memory_volume *memory, const struct shape *shape, unsigned gone)
{
	for (u64 offset = 0; offset < memory->length; offset += 4096) {
		bool is_there = false;

		for (unsigned mirror = 0; mirror < memory->chunk->profile->copies; mirror++) {
			u64 within;
			unsigned stripe = place(shape, offset, mirror, &within);

			is_there |= !(gone >> (memory->chunk->stripe[stripe].devid - 1) & 1);
		}
		if (!is_there)
			return false;
	}
	return true;
}

/* Every set of missing devices, and of devices that end before the chunk begins. */
static void missing_and_failing_devices(void **state)
{
	u64 seed = 3;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct memory_volume memory;
		unsigned nr_devices;

		make(&memory, &shapes[i]);
		nr_devices = shapes[i].num_stripes / memory.chunk->profile->dev_stripes;
		memory_volume_fill(&memory, &seed);
		for (unsigned gone = 1; gone < 1u << nr_devices; gone += nr_devices > 5 ? 13 : 1) {
			bool is_readable = can_be_read(&memory, &shapes[i], gone);
			unsigned nr_gone = (unsigned)__builtin_popcount(gone);
			struct blockdev *devs[MEMORY_STRIPES_MAX] = { NULL };

			assert_true(is_readable || nr_gone > memory.chunk->profile->tolerated_failures);
			for (unsigned n = 0; n < nr_devices; n++)
				if (gone >> n & 1)
					devs[n] = memory_volume_take_away(&memory, n);
			assert_int_equal(device_set_nr_missing(memory.volume->devices), nr_gone);
			assert_int_equal(memory_volume_compare(&memory, 0), is_readable ? 0 : -EIO);
			for (unsigned n = 0; n < nr_devices; n++)
				if (devs[n]) {
					devs[n]->size_bytes = MIB;
					memory_volume_give_back(&memory, n, devs[n]);
				}
			assert_int_equal(memory_volume_compare(&memory, 0), is_readable ? 0 : -EIO);
			for (unsigned n = 0; n < nr_devices; n++)
				memory_volume_device(&memory, n)->size_bytes = 32 * MIB;
		}
		memory_volume_done(&memory);
	}
}

/* A copy that is asked for by number is that one or none, and writing leaves no copy out. */
static void a_missing_device_is_named(void **state)
{
	u64 seed = 4;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		struct memory_volume memory;
		struct diag d = { 0 };
		u8 byte;

		make(&memory, &shapes[i]);
		memory_volume_fill(&memory, &seed);
		blockdev_close(memory_volume_take_away(&memory, 0));
		assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL, &byte, 1, 1, &d), -EIO);
		assert_string_equal(d.text, "device 1, which holds logical address 3221225472, is missing");
		d.text[0] = 0;
		assert_int_equal(memory_volume_write(&memory, 0, memory.length, &seed, &d), -EIO);
		assert_string_equal(d.text, "device 1, which holds logical address 3221225472, is missing");
		memory_volume_done(&memory);
	}
}

/* The same devid with another uuid is another device. */
static void a_stranger_with_the_same_id_is_not_read(void **state)
{
	struct memory_volume memory;
	u64 seed = 5;

	(void)state;
	memory_volume_make(&memory, "raid1", 2, MIB);
	memory_volume_fill(&memory, &seed);
	memset(device_set_find(memory.volume->devices, 2, NULL)->uuid, 0x77, UUID_SIZE);
	assert_int_equal(memory_volume_compare(&memory, 0), 0);
	assert_int_equal(memory_volume_compare(&memory, 1), 0);
	assert_int_equal(memory_volume_compare(&memory, 2), -EIO);
	memory_volume_done(&memory);
}

static void corrupt_copies_are_told_apart_by_number(void **state)
{
	u64 seed = 6;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		for (unsigned bad = 0; bad < shapes[i].num_stripes; bad++) {
			struct memory_volume memory;

			make(&memory, &shapes[i]);
			memory_volume_fill(&memory, &seed);
			memory_volume_corrupt(&memory, bad, 0xcc);
			for (u64 offset = 0; offset < memory.length; offset += 4096)
				for (unsigned mirror = 0; mirror < memory.chunk->profile->copies; mirror++) {
					u64 within;
					bool is_bad = place(&shapes[i], offset, mirror, &within) == bad;
					u8 got[4096];

					assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL + offset, got,
								     sizeof(got), mirror + 1, NULL), 0);
					assert_int_equal(memcmp(got, memory.expected + offset, sizeof(got)) != 0, is_bad);
				}
			memory_volume_done(&memory);
		}
}

/* --- Ranges over several chunks ------------------------------------------------------------------------------ */

static void ranges_cross_chunks_but_not_gaps(void **state)
{
	static const u64 types[] = { BLOCK_GROUP_RAID1, BLOCK_GROUP_RAID5, 0, BLOCK_GROUP_RAID0 };
	struct memory_volume memory;
	size_t whole = 5 * 128 * KIB;
	u8 *put = malloc(whole), *got = malloc(whole);
	struct diag d = { 0 };
	u64 seed = 7, end = MEMORY_VOLUME_LOGICAL + 128 * KIB;

	(void)state;
	memory_volume_make(&memory, "raid5", 3, 128 * KIB);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct chunk *chunk = chunk_new(types[i] == 0 ? 1 : types[i] == BLOCK_GROUP_RAID5 ? 3 : 2);

		chunk->logical = end + i * 128 * KIB;
		chunk->length = 128 * KIB;
		chunk->type = BLOCK_GROUP_DATA | types[i];
		chunk_derive(chunk);
		for (u16 s = 0; s < chunk->num_stripes; s++) {
			chunk->stripe[s] = memory.chunk->stripe[s];
			chunk->stripe[s].physical = 8 * MIB + i * MIB;
		}
		assert_int_equal(chunk_map_add(memory.volume->chunks, chunk, NULL), 0);
		free(chunk);
	}
	for (size_t i = 0; i < whole; i++)
		put[i] = (u8)next_number(&seed);
	assert_int_equal(volume_write(memory.volume, MEMORY_VOLUME_LOGICAL, put, whole, &d), 0);
	assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL, got, whole, 0, &d), 0);
	assert_memory_equal(put, got, whole);
	blockdev_close(memory_volume_take_away(&memory, 2));
	assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL, got, whole, 0, &d), 0);
	assert_memory_equal(put, got, whole);
	assert_int_equal(volume_read(memory.volume, MEMORY_VOLUME_LOGICAL + whole - 1, got, 2, 0, &d), -ENOENT);
	assert_string_equal(d.text, "no chunk covers logical address 3221880832");
	assert_int_equal(volume_write(memory.volume, MEMORY_VOLUME_LOGICAL - 1, put, 2, &d), -ENOENT);
	assert_int_equal(volume_nr_mirrors(memory.volume, MEMORY_VOLUME_LOGICAL - 1), 0);
	assert_int_equal(volume_read(memory.volume, 0, got, 0, 0, &d), 0);
	free(put);
	free(got);
	memory_volume_done(&memory);
}

/* --- Tree blocks, whose checksums tell which copy is good -------------------------------------------------------- */

#define NODESIZE 16384
static const u8 fsid[UUID_SIZE] = "a filesystem id";

static void make_leaf(u8 *block, u64 logical)
{
	struct block_identity id = { .nodesize = NODESIZE, .generation = 5 };
	const struct key key = { 1, STRING_ITEM_KEY, logical };

	memcpy(id.fsid, fsid, UUID_SIZE);
	block_init(block, &id, logical, CSUM_TREE_OBJECTID, 0);
	(void)leaf_append(block, NODESIZE, &key, 100);
	block_finish(block, NODESIZE, csum_kind_by_type(CSUM_TYPE_CRC32C));
}

static struct block_cache *cache_over(struct memory_volume *memory)
{
	const struct block_check_params check = { .nodesize = NODESIZE, .sectorsize = 4096, .csum_size_bytes = 4 };
	struct block_cache *cache;

	assert_int_equal(block_cache_new(memory->volume, &check, csum_kind_by_type(CSUM_TYPE_CRC32C), fsid, 64 * KIB, &cache),
			 0);
	return cache;
}

struct notes {
	unsigned count;
	char last[DIAG_TEXT_MAX];
};

static void count_note(void *arg, enum diag_severity severity, const char *text)
{
	struct notes *notes = arg;

	assert_int_equal(severity, DIAG_WARNING);
	notes->count++;
	snprintf(notes->last, sizeof(notes->last), "%s", text);
}

/* Can every block of the chunk be taken? Returns 0 or the first error. */
static int take_all_blocks(struct memory_volume *memory, struct notes *notes)
{
	struct block_cache *cache = cache_over(memory);
	int err = 0;

	for (u64 offset = 0; offset < memory->length && !err; offset += NODESIZE) {
		struct block_expect expect = { .logical = MEMORY_VOLUME_LOGICAL + offset, .generation = 5,
					       .tree_id = CSUM_TREE_OBJECTID };
		struct diag d = { .note = count_note, .note_arg = notes };
		struct tree_block *block;

		err = block_get(cache, &expect, &block, &d);
		if (err)
			continue;
		assert_int_equal(leaf_key(block->data, 0).offset, expect.logical);
		block_put(block);
	}
	block_cache_free(cache);
	return err;
}

static void blocks_are_taken_from_any_good_copy(void **state)
{
	static const struct {
		const char *profile;
		u16 num_stripes;
		u64 length;
		unsigned survives; /* stripes that may be wrong, whichever they are */
	} cases[] = {
		{ "single", 1, MIB, 0 },	  { "raid0", 3, 9 * 64 * KIB, 0 }, { "dup", 2, MIB, 1 },
		{ "raid1", 2, MIB, 1 },		  { "raid1c3", 3, MIB, 2 },	   { "raid1c4", 4, MIB, 3 },
		{ "raid10", 4, 8 * 64 * KIB, 1 }, { "raid5", 2, 4 * 64 * KIB, 1 }, { "raid5", 4, 12 * 64 * KIB, 1 },
		{ "raid6", 3, 4 * 64 * KIB, 2 },  { "raid6", 5, 15 * 64 * KIB, 2 },
	};
	u8 block[NODESIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (unsigned bad = 0; bad < 1u << cases[i].num_stripes; bad++) {
			unsigned nr_bad = (unsigned)__builtin_popcount(bad);
			struct notes notes = { 0 };
			struct memory_volume memory;
			int err;

			memory_volume_make(&memory, cases[i].profile, cases[i].num_stripes, cases[i].length);
			for (u64 offset = 0; offset < memory.length; offset += NODESIZE) {
				make_leaf(block, MEMORY_VOLUME_LOGICAL + offset);
				assert_int_equal(volume_write(memory.volume, MEMORY_VOLUME_LOGICAL + offset, block, NODESIZE,
							      NULL), 0);
			}
			for (unsigned s = 0; s < cases[i].num_stripes; s++)
				if (bad >> s & 1)
					memory_volume_corrupt(&memory, s, (u8)(0x11 * (s + 1)));
			err = take_all_blocks(&memory, &notes);
			if (nr_bad <= cases[i].survives)
				assert_int_equal(err, 0);
			if (nr_bad == cases[i].num_stripes || (nr_bad && cases[i].survives == 0))
				assert_int_equal(err, -EUCLEAN);
			if (nr_bad == 0)
				assert_int_equal(notes.count, 0);
			else if (bad & 1 && !err) {
				assert_true(notes.count > 0);
				assert_non_null(strstr(notes.last, "copy 1: checksum does not match; copy "));
			}
			memory_volume_done(&memory);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_copy_is_written),
		cmocka_unit_test(small_reads_and_writes),
		cmocka_unit_test(missing_and_failing_devices),
		cmocka_unit_test(a_missing_device_is_named),
		cmocka_unit_test(a_stranger_with_the_same_id_is_not_read),
		cmocka_unit_test(corrupt_copies_are_told_apart_by_number),
		cmocka_unit_test(ranges_cross_chunks_but_not_gaps),
		cmocka_unit_test(blocks_are_taken_from_any_good_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
