/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Data that lies on the device before the filesystem is made: what a conversion in place builds upon. All of the old
 * filesystem's blocks become data extents. Each belongs to the saved image, a file that is the old filesystem as it was, and
 * those with data of files to these files too.
 */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_PLACED_DATA_H
#define BTRKIT_KERNEL_SHARED_BUILD_PLACED_DATA_H

#include "common/work/pool.h"
#include "common/work/progress.h"
#include "kernel-shared/build/content.h"
#include "kernel-shared/build/content_csums.h"
#include "kernel-shared/build/item_stream.h"
#include "kernel-shared/build/layout.h"

struct image;

/* The subvolume of the saved image is the first that was made; the image its only file. btrfs-convert has them so. */
#define SAVED_ROOT_ID FIRST_FREE_OBJECTID
#define SAVED_INO (FIRST_FREE_OBJECTID + 1)
#define SAVED_FILE_NAME "image"

#define PLACED_NOT_IN_IMAGE UINT64_MAX

struct placed_extent {
	u64 logical;
	u64 image_offset; /* PLACED_NOT_IN_IMAGE: only a file has it */
	u64 file_offset; /* of the node */
	u32 bytes; /* at most EXTENT_BYTES_MAX */
	u32 node; /* of the content, whose data it is; CONTENT_NONE: only the image has it */
};

/* Bytes that have to be stored elsewhere than they lie. */
struct placed_move {
	u64 physical; /* where the old filesystem has them */
	u64 logical; /* where they go to */
	u64 len;
	bool is_in_image; /* the image has them at @physical; else only files have them */
	bool is_overlaid; /* to be read with the journal laid over the device */
};

struct placed_range {
	u64 logical, len;
};

struct placed_data {
	ARRAY(struct placed_extent) extents; /* ascending by logical */
	ARRAY(struct placed_move) moves; /* ascending by physical */
	u64 image_bytes; /* length of the saved image */
	bool has_csums;
	/*
	 * Whole sectors that are known to be unreadable: ascending, apart. They get no checksums, so that whatever is read there later is
	 * taken for an error. Where one is to be moved, zeroes are stored.
	 */
	ARRAY(struct placed_range) unreadable;
	/* Bytes of the old filesystem; @is_overlaid as in a move. Called from several threads. */
	int (*read)(void *ctx, bool is_overlaid, u64 physical, void *buf, size_t len, struct diag *d);
	/*
	 * A further sector of data, at @logical of @extent, that cannot be read: 0 to look for more of them. Called by one thread. Then, when all
	 * was read: -EIO if there were any.
	 */
	int (*cannot_read)(void *ctx, const struct placed_extent *extent, u64 logical, struct diag *d);
	int (*judge_reading)(void *ctx, struct diag *d);
	/* Chunks: those of the data, which are fixed, and others where there is room. As layout_make(). */
	int (*lay_out)(void *ctx, const struct layout_needs *needs, struct layout *ret_layout, struct diag *d);
	void *ctx;
};

void placed_data_done(struct placed_data *placed);

/* Sizes of the checksum tree's items. */
int placed_size_csums(const struct placed_data *placed, const struct content_options *options, struct tree_sizer *sizer,
		      struct diag *d);

/* Bytes that placed_write_data() will read for the checksums. */
u64 placed_read_bytes(const struct placed_data *placed);

/* Store what has to be moved, then read everything once, in order, for the checksum tree. */
int placed_write_data(const struct placed_data *placed, const struct content_options *options, struct volume *volume,
		      struct pool *pool, struct progress *progress, struct tree_builder *csum_tree, struct diag *d);

/* The tree of the saved image's subvolume. */
int emit_saved_tree(const struct image *image, struct item_stream *stream, struct diag *d);

#endif
