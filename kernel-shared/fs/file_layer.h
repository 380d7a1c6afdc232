/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file whose contents lie partly elsewhere than in its subvolume's tree: in a log that was not replayed. */
#ifndef BTRKIT_KERNEL_SHARED_FS_FILE_LAYER_H
#define BTRKIT_KERNEL_SHARED_FS_FILE_LAYER_H

#include <btrkit/file.h>

#include "kernel-shared/fs/data.h"
#include "kernel-shared/fs/file_extent.h"

struct file_layer {
	void *ctx;
	/*
	 * 0: what covers @at, valid in [*ret_from, *ret_to). 1: nothing of the layer does, and in that range the committed file
	 * shows through. Both are widest at first.
	 */
	int (*extent_at)(void *ctx, u64 at, struct file_extent *ret_extent, u64 *ret_from, u64 *ret_to, struct diag *d);
	data_csums_fn csums;
	void (*close)(void *ctx); /* with the file; may be NULL */
};

/*
 * Open a regular file or symbolic link that is as @stat says. @layer is copied; NULL: the committed file. A failure leaves
 * layer->ctx to the caller.
 */
int file_open_layered(struct btrkit_fs *fs, const struct btrkit_stat *stat, const struct file_layer *layer,
		      struct btrkit_file **ret_file, struct diag *d);

#endif
