/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What btrkit_mkfs() goes through: options -> targets -> plan -> written. Internal to the making_*.c files. */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_MAKING_H
#define BTRKIT_KERNEL_SHARED_BUILD_MAKING_H

#include <btrkit/mkfs.h>

#include "kernel-shared/build/content.h"
#include "kernel-shared/build/image.h"
#include "kernel-shared/device/signature.h"

/* A device or file that gets a part of the filesystem. */
struct target {
	const char *path; /* the caller's */
	u64 wanted_bytes; /* 0: not said */
	u64 host_bytes; /* from the offset to the end of the device or file */
	u64 file_bytes; /* how long the file was before */
	bool exists;
	bool is_block_special;
	bool is_made; /* by us, to be removed if anything fails */
	bool is_grown; /* by us, to be cut again */
	struct blockdev *dev; /* open for writing, with the layer over it; NULL: not yet, or handed to the volume */
	struct blockdev *file; /* the device or file itself, below any layer; closed with dev */
	struct signature_list signatures; /* of what it held */
};

/* Puts a layer over a device, which it takes over; tests record writes with it, or make them fail. */
struct making_layer {
	int (*wrap)(void *ctx, struct blockdev *below, size_t device, struct blockdev **ret_dev);
	void *ctx;
};

struct making {
	const struct btrkit_mkfs_options *options;
	const struct making_layer *layer; /* NULL: none */
	struct target *targets;
	size_t nr_targets;
	bool is_exact;
	struct image image;
	struct pool *pool;
	const struct profile *data_profile, *metadata_profile;
	const struct codec *codec;
	int compress_level;
};

/* btrkit_mkfs() with a layer over each device; @layer NULL: without. */
int make_filesystem(const struct btrkit_mkfs_options *options, struct btrkit_content *content,
		    const struct making_layer *layer, struct btrkit_mkfs_plan **ret_plan, struct btrkit_error *error);

/* Judge the options, fill making->image with what they decide. Touches no device. */
int making_read_options(struct making *making, struct diag *d);

/* Look at the devices and files: sizes, whether they may be overwritten. Writes nothing. */
int making_find_targets(struct making *making, struct diag *d);

/* Open or make the targets at their final sizes. */
int making_open_targets(struct making *making, struct diag *d);

/* Overwrite what would make others take a target for what it held before. */
int making_wipe_targets(struct making *making, struct diag *d);

/* Close everything; with @is_failed, remove what was made and cut what was made longer. */
void making_close_targets(struct making *making, bool is_failed);

/* The names of the features that @image has, separated by commas, cut at @cap. */
void making_name_features(const struct image *image, char *buf, size_t cap);

/* For the caller. */
int making_report(const struct making *making, u64 needed_bytes, struct btrkit_mkfs_plan **ret_plan, struct diag *d);

#endif
