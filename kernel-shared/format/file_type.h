/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The type in directory entries of a file with this mode. Source: enum file_type of disk.h, as Linux writes it. */
#ifndef BTRKIT_KERNEL_SHARED_FORMAT_FILE_TYPE_H
#define BTRKIT_KERNEL_SHARED_FORMAT_FILE_TYPE_H

#include <sys/stat.h>

#include "kernel-shared/format/disk.h"

static inline u8 file_type_of_mode(u32 mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return FT_REG_FILE;
	case S_IFDIR:
		return FT_DIR;
	case S_IFCHR:
		return FT_CHRDEV;
	case S_IFBLK:
		return FT_BLKDEV;
	case S_IFIFO:
		return FT_FIFO;
	case S_IFSOCK:
		return FT_SOCK;
	case S_IFLNK:
		return FT_SYMLINK;
	default:
		return FT_UNKNOWN;
	}
}

#endif
