/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ext2, ext3 and ext4 as a source of a conversion.
 *
 * The superblock, group descriptors and where groups keep what are libext2fs's business; inodes, mappings, directories and
 * attributes are read from the blocks themselves, each checked with its checksum where there is one. Nothing is written.
 * What e2fsck would have to repair ends the scan with -EUCLEAN: nobody should convert a filesystem by guessing.
 */
#ifndef BTRKIT_CONVERT_EXT_EXT_SOURCE_H
#define BTRKIT_CONVERT_EXT_EXT_SOURCE_H

#include "convert/source/source.h"

/* Without libext2fs, open() says so with -EOPNOTSUPP where it finds such a filesystem. */
extern const struct source_ops source_ext_ops;

#endif
