/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damage to a whole filesystem, from a fuzzer's input: which image, a byte of HOW_* bits, then records of 16 bytes, each a
 * change to a superblock, tree block or data sector. What was changed gets a right checksum, so that the change reaches the
 * code behind it.
 */
#ifndef BTRKIT_TESTS_FUZZ_DAMAGE_H
#define BTRKIT_TESTS_FUZZ_DAMAGE_H

#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/images.h"

#define RECORDS_MAX 32
#define DAMAGE_INPUT_MAX (2 + 16 * RECORDS_MAX)

#define DAMAGE_FLAG 0x80 /* beside the image's number: the target's own */

enum {
	HOW_IGNORE_CSUMS = 1 << 0, /* of file data: changed data reaches the decompressors */
	HOW_BACKUP_ROOTS = 1 << 1,
	HOW_SKIP_DAMAGE = 1 << 2,
	HOW_FIRST_COPY = 1 << 3, /* the others stay good */
	HOW_MISSING = 1 << 4, /* the last device is not there */
	HOW_BAD_CSUM = 1 << 5,
	HOW_SMALL_CACHE = 1 << 6,
	HOW_REFUSE_MISSING = 1 << 7,
};

struct damage {
	const struct fuzz_image *image;
	unsigned how;
	bool has_flag;
	struct {
		const struct fuzz_piece *piece;
		u8 *bytes;
	} changed[RECORDS_MAX];
	size_t nr_changed;
	struct fuzz_patches patches;
};


/* Read the input and change what it says. */
void damage_take(const uint8_t *data, size_t size, struct damage *ret_damage);
void damage_done(struct damage *damage);

/* The damaged filesystem's devices. What super_read() says when a superblock is bad. */
int damage_devices(const struct damage *damage, struct device_set **ret_set, struct diag *d);

/* Nothing was changed, and no device is missing. */
bool damage_is_none(const struct damage *damage);

/* Every image whole, with each of @hows; then for each of its pieces changes in a few places. */
void damage_seeds(fuzz_add_fn add, void *ctx, const u8 *hows, size_t nr_hows, u8 how_of_data);

#endif
