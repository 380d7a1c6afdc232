/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Images of bcachefs for fuzz targets: those of BTRKIT_SHARED, or beside the sources; nothing here makes any. They are in memory, where
 * what they consist of can be changed and put back.
 */
#ifndef BTRKIT_TESTS_FUZZ_BCACHEFS_IMAGES_H
#define BTRKIT_TESTS_FUZZ_BCACHEFS_IMAGES_H

#include "common/base/array.h"
#include "kernel-shared/device/blockdev.h"
#include "tests/fuzz/fuzz.h"

#define BCACHEFS_IMAGES 4
#define BCACHEFS_DEVICES_MAX 2

enum bcachefs_piece_kind { BCACHEFS_SUPER, BCACHEFS_JSET, BCACHEFS_FIRST_BSET, BCACHEFS_BSET, BCACHEFS_DATA };

/* Superblocks, journal entries, sets of keys in nodes, and blocks of data. */
struct bcachefs_piece {
	u8 *at;
	size_t len;
	enum bcachefs_piece_kind kind;
};

struct bcachefs_image {
	const char *name;
	struct bcachefs_bytes {
		struct blockdev dev;
		u8 *bytes;
		int fd; /* of a file with the same bytes, and by which name it can be opened */
		char path[32];
	} devices[BCACHEFS_DEVICES_MAX];
	unsigned nr_devices;
	bool has_files; /* what is changed is changed in the files, too */
	ARRAY(struct bcachefs_piece) pieces;
};

/* False: there are none. */
bool bcachefs_images_load(void);
struct bcachefs_image *bcachefs_image(unsigned index); /* below BCACHEFS_IMAGES */

#define BCACHEFS_CHANGES_MAX 16
struct bcachefs_changes {
	unsigned nr;
	bool has_super_or_journal; /* which say what counts */
	struct {
		const struct bcachefs_piece *piece;
		u8 csum[16];
		u8 *at;
		u8 was[2];
	} list[BCACHEFS_CHANGES_MAX];
};
/*
 * What is left of @input are changes of six bytes: piece (2), offset in it (2), what is added to the byte there, and to the next.
 * @fix_csums: what was changed gets a right checksum.
 */
void bcachefs_image_change(struct bcachefs_image *image, struct fuzz_input *input, bool fix_csums, struct bcachefs_changes *ret_changes);
void bcachefs_image_put_back(struct bcachefs_image *image, struct bcachefs_changes *changes);

/*
 * Inputs of a byte that chooses the image, a byte that says how, and changes: for each image none with each how below @nr_hows, and a
 * change in each @every_nth piece, of data in fewer, with @odd and @even in turn. Ends the program, as one that was skipped, if there
 * are no images.
 */
void bcachefs_seeds(fuzz_add_fn add, void *ctx, unsigned nr_hows, u8 even, u8 odd, unsigned every_nth);

#endif
