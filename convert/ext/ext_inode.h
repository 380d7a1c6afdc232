/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes: reading and verifying them, and what they say in the terms of a source. */
#ifndef BTRKIT_CONVERT_EXT_EXT_INODE_H
#define BTRKIT_CONVERT_EXT_EXT_INODE_H

#include "convert/ext/ext_fs.h"

/* An inode as it lies on disk; pointers into the caller's buffer. */
struct ext_inode {
	u32 ino;
	const struct disk_ext_inode *disk;
	u32 bytes; /* that there are: 128 and more */
	u32 extra_end; /* where its fixed fields end */
	u32 mode, flags, links_count;
	u64 size;
};

/*
 * Take the inode at @raw (ext->inode_bytes of them) apart, with its checksum verified. One that is not in use has a links_count
 * of 0, and nothing else of it is verified.
 */
int ext_inode_parse(const struct ext_fs *ext, u32 ino, const void *raw, struct ext_inode *ret_inode, struct diag *d);

/* Read inode @ino into @raw, a buffer of ext->inode_bytes, and take it apart. */
int ext_inode_read(const struct ext_fs *ext, u32 ino, void *raw, struct ext_inode *ret_inode, struct diag *d);

/* What checksums of an inode's blocks begin with. */
u32 ext_inode_csum_seed(const struct ext_fs *ext, const struct ext_inode *inode);

void ext_inode_describe(const struct ext_inode *inode, struct source_inode *ret_described);

/* Seconds and the extra field (0 if there is none) as Linux reads them: 34 bits of seconds, 30 of nanoseconds. */
struct btrkit_time ext_time(u32 seconds, u32 extra);

/* Devices: the old form has 8 bits of each number in the first word, the new one 12 and 20 in the second. */
void ext_device_numbers(const u8 block[60], u32 *ret_major, u32 *ret_minor);

/* An inode that the filesystem keeps for itself. */
bool ext_inode_is_own(const struct ext_fs *ext, u32 ino);

#endif
