/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Small filesystems to damage, made by the library when they are first asked for: the same bytes each time. Their files
 * are mapped and already unlinked.
 */
#ifndef BTRKIT_TESTS_FUZZ_IMAGES_H
#define BTRKIT_TESTS_FUZZ_IMAGES_H

#include "common/base/array.h"
#include "kernel-shared/fs/fs.h"

#define FUZZ_IMAGES 4
#define FUZZ_DEVICES_MAX 4

enum fuzz_piece_kind { FUZZ_SUPER, FUZZ_BLOCK, FUZZ_DATA };

/* Something that can be changed on its own. */
struct fuzz_piece {
	enum fuzz_piece_kind kind;
	u64 at; /* logical; of a superblock the index of its device */
	u32 len;
};

struct fuzz_image {
	unsigned nr_devices;
	struct {
		u8 *bytes; /* private to this process */
		u64 size_bytes;
	} device[FUZZ_DEVICES_MAX];
	struct btrkit_fs *fs; /* open, undamaged */
	u32 nodesize;
	ARRAY(struct fuzz_piece) pieces; /* superblocks, then tree blocks, then data */
};

const struct fuzz_image *fuzz_image(unsigned index); /* below FUZZ_IMAGES */

/* Give it a log that was not replayed; it is to be opened again then (image_log.c). */
void fuzz_image_add_log(struct fuzz_image *image);

/* Copy a piece's bytes, piece->len. */
void fuzz_piece_read(const struct fuzz_image *image, const struct fuzz_piece *piece, u8 *buf);

/* New contents for some bytes of a device. */
struct fuzz_patch {
	unsigned device;
	u64 physical;
	size_t len;
	const u8 *bytes; /* the caller's */
};
struct fuzz_patches {
	ARRAY(struct fuzz_patch) list;
};

/* Put @bytes, which must stay valid, in the place of the piece: of all copies, or of the first one only. */
void fuzz_patch_piece(struct fuzz_patches *patches, const struct fuzz_image *image, const struct fuzz_piece *piece,
		      const u8 *bytes, bool only_first_copy);

/*
 * The image's devices, as device_set_open() would put them together, with @patches over them; without device @missing.
 * What super_read() says when a superblock is bad.
 */
int fuzz_image_devices(const struct fuzz_image *image, const struct fuzz_patches *patches, unsigned missing,
		       struct device_set **ret_set, struct diag *d);
#define FUZZ_NONE_MISSING UINT32_MAX

#endif
