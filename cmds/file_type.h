/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What JSON calls the type of a file. */
#ifndef BTRKIT_CMDS_FILE_TYPE_H
#define BTRKIT_CMDS_FILE_TYPE_H

#include <sys/stat.h>

static inline const char *file_type_name(unsigned mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "symlink";
	case S_IFCHR:
		return "chardev";
	case S_IFBLK:
		return "blockdev";
	case S_IFIFO:
		return "fifo";
	case S_IFSOCK:
		return "socket";
	default:
		return "unknown";
	}
}

#endif
