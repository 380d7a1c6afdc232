/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaves for tests of the block checks: a sound leaf is a list of items, a bad one the same list with one field set to
 * something else. Both are built from nothing each time, so that a bad leaf differs from its sound twin in that field.
 */
#ifndef BTRKIT_TESTS_UNIT_SOUND_LEAF_H
#define BTRKIT_TESTS_UNIT_SOUND_LEAF_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "kernel-shared/format/block_check.h"
#include "kernel-shared/format/leaf.h"

#define TEST_NODESIZE 4096
#define TEST_SECTORSIZE 4096
#define TEST_LOGICAL (5 * MIB)
#define TEST_GENERATION 100
#define SOUND_ITEMS_MAX 12

struct sound_item {
	struct key key;
	u32 size;
	void (*put)(u8 *data); /* NULL: zeroes */
};

struct sound_leaf {
	u64 owner;
	struct sound_item items[SOUND_ITEMS_MAX]; /* ends with a key of zeroes */
};

enum patch_place {
	PATCH_NONE,
	PATCH_HEADER, /* of the block */
	PATCH_ITEM, /* struct disk_item of the slot */
	PATCH_DATA, /* of the slot */
	PATCH_SIZE, /* make the item this long; its data is cut or continued with zeroes */
};

struct patch {
	enum patch_place place;
	u32 at, width; /* bytes of a little-endian number */
	u64 value;
};

#define FIELD(type, member) offsetof(struct type, member), sizeof(((struct type *)NULL)->member)

/* A leaf that must be refused: which rule, where, and words that the message must have. */
struct bad_leaf {
	const char *rule;
	const struct sound_leaf *leaf;
	u32 slot;
	const char *says;
	struct patch patch[3];
};

static const struct block_identity test_identity = {
	.nodesize = TEST_NODESIZE,
	.fsid = "fsid of the test",
	.chunk_tree_uuid = "chunk tree uuid",
	.generation = TEST_GENERATION,
};

static inline struct block_check_params test_params(void)
{
	return (struct block_check_params){
		.nodesize = TEST_NODESIZE,
		.sectorsize = TEST_SECTORSIZE,
		.csum_size_bytes = 4,
		.super_generation = TEST_GENERATION,
	};
}

/* @nr patched positions: the parameters may be zero-terminated early. Returns nodesize bytes of the heap's own. */
static inline u8 *sound_leaf_build(const struct sound_leaf *leaf, u32 slot, const struct patch *patch, size_t nr)
{
	u8 *block = malloc(TEST_NODESIZE);

	assert_non_null(block);
	block_init(block, &test_identity, TEST_LOGICAL, leaf->owner, 0);
	for (u32 i = 0; i < SOUND_ITEMS_MAX; i++) {
		const struct sound_item *item = &leaf->items[i];
		u8 whole[TEST_NODESIZE] = { 0 };
		u32 size = item->size;

		if (key_compare(&item->key, &KEY_MIN) == 0)
			break;
		if (item->put)
			item->put(whole);
		for (size_t p = 0; p < nr; p++)
			if (patch[p].place == PATCH_SIZE && i == slot)
				size = (u32)patch[p].value;
		memcpy(leaf_append(block, TEST_NODESIZE, &item->key, size), whole, size);
	}
	for (size_t p = 0; p < nr; p++) {
		u8 *to = patch[p].place == PATCH_HEADER ? block
			 : patch[p].place == PATCH_ITEM ? (u8 *)(uintptr_t)leaf_item(block, slot)
			 : patch[p].place == PATCH_DATA ? (u8 *)(uintptr_t)leaf_item_data(block, slot)
							: NULL;

		for (u32 b = 0; to && b < patch[p].width; b++)
			to[patch[p].at + b] = (u8)(patch[p].value >> 8 * b);
	}
	return block;
}

static inline void assert_says(const char *rule, const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("%s: \"%s\" does not say \"%s\"", rule, text, words);
}

static inline void assert_leaf_is_sound(const struct sound_leaf *leaf, const char *of)
{
	const struct block_check_params params = test_params();
	u8 *block = sound_leaf_build(leaf, 0, NULL, 0);
	struct diag d = { 0 };

	if (block_check(&params, block, TEST_LOGICAL, &d) != 0)
		fail_msg("sound leaf of %s: %s", of, d.text);
	free(block);
}

static inline void assert_leaf_is_refused(const struct bad_leaf *bad)
{
	const struct block_check_params params = test_params();
	u8 *block = sound_leaf_build(bad->leaf, bad->slot, bad->patch, ARRAY_LEN(bad->patch));
	struct diag d = { 0 };
	char words[32];
	int err = block_check(&params, block, TEST_LOGICAL, &d);

	if (err != -EUCLEAN)
		fail_msg("%s: %d instead of -EUCLEAN, \"%s\"", bad->rule, err, d.text);
	assert_int_equal(d.err, -EUCLEAN);
	snprintf(words, sizeof(words), "leaf %llu", (unsigned long long)TEST_LOGICAL);
	assert_says(bad->rule, d.text, words);
	snprintf(words, sizeof(words), "slot %u", bad->slot);
	assert_says(bad->rule, d.text, words);
	assert_says(bad->rule, d.text, bad->says);
	assert_int_equal(block_check(&params, block, TEST_LOGICAL, NULL), -EUCLEAN);
	free(block);
}

/* What looks odd, or lies right at a limit, but is not wrong. */
static inline void assert_all_accepted(const struct bad_leaf *odd, size_t nr)
{
	const struct block_check_params params = test_params();

	for (size_t i = 0; i < nr; i++) {
		u8 *block = sound_leaf_build(odd[i].leaf, odd[i].slot, odd[i].patch, ARRAY_LEN(odd[i].patch));
		struct diag d = { 0 };

		if (block_check(&params, block, TEST_LOGICAL, &d) != 0)
			fail_msg("%s: %s", odd[i].rule, d.text);
		free(block);
	}
}

static inline void assert_all_refused(const struct bad_leaf *bad, size_t nr)
{
	for (size_t i = 0; i < nr; i++) {
		assert_leaf_is_sound(bad[i].leaf, bad[i].rule);
		assert_leaf_is_refused(&bad[i]);
	}
}

#endif
