/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libext2fs reads through a device of ours, and can write nothing.
 *
 * libext2fs hands the function that opens a channel nothing but a name, so the name holds the address of the object. It
 * has nothing global, and any number of filesystems may be open in any threads.
 */
#ifndef BTRKIT_CONVERT_EXT_EXT_IO_H
#define BTRKIT_CONVERT_EXT_EXT_IO_H

#include <ext2fs/ext2fs.h>

#include "kernel-shared/device/blockdev.h"

struct ext_io {
	struct struct_io_manager manager;
	struct blockdev *dev;
	struct diag diag; /* of the read that failed, which an errcode_t cannot carry */
};

/*
 * Open the filesystem on @dev, which stays the caller's, as @io (outliving it) shows it. Unlike libext2fs's own this does
 * not wait for other hosts (MMP), which the caller has to judge.
 */
int ext_io_open_fs(struct ext_io *io, struct blockdev *dev, ext2_filsys *ret_fs, struct diag *d);

/* Negative errno of an error of libext2fs, with its text behind @what: damage is -EUCLEAN. */
int ext_io_fail(const struct ext_io *io, errcode_t code, const char *what, struct diag *d);

#endif
