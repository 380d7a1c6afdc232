/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The proof before the flip: what was built is what the source has, file by file, nothing more and nothing less.
 *
 * The source is scanned once more and the new trees are read, each by itself. Both sides are turned into the same facts
 * (verify_facts.h), which are summed per inode as keyed hashes, 16 bytes for each inode. Where the sums of an inode differ,
 * its facts are listed and compared, so that the difference can be said.
 *
 * Compared is for each inode: type, mode, owner, device number, size, flags, all four times, extended attributes, link target, names
 * (directory, name, which inode), number of names, and where on the device each byte of it lies; holes are holes. Contents that
 * do not lie where the source has them are compared byte by byte. The saved image maps all that the source uses and
 * nothing else. Last, the whole filesystem passes the check.
 */
#ifndef BTRKIT_CONVERT_INPLACE_VERIFY_H
#define BTRKIT_CONVERT_INPLACE_VERIFY_H

#include "convert/source/source.h"
#include "kernel-shared/build/job.h"
#include "kernel-shared/build/placed_data.h"
#include "kernel-shared/fs/fs.h"

/* Bytes of the source that were copied elsewhere. */
struct convert_moved {
	u64 physical, len, logical;
};

struct verify_input {
	struct source *source;
	struct blockdev *dev; /* the device as it is, without anything over it */
	struct btrkit_fs *fs; /* opened as it will be: over the superblock that is to be written */
	/* The number in the new filesystem of a source's inode; 0: it is left out. Called by one thread. */
	u64 (*btrfs_ino)(void *ctx, u64 source_ino);
	void *ctx;
	const struct convert_moved *moved; /* by physical, apart */
	size_t nr_moved;
	const char *saved_name; /* of the saved subvolume, in the top directory */
	bool has_csums; /* data has checksums; else files have the flag NODATASUM, which the source need not have */
	bool no_xattrs; /* none was taken over */
	bool do_data; /* read all data, and compare it with its checksums */
	/*
	 * Sectors that cannot be read in the source, by the logical address that they have now, ascending: they must have no checksums. And
	 * with any: how many bytes have some.
	 */
	const struct placed_range *unreadable;
	size_t nr_unreadable;
	u64 csummed_bytes;
	unsigned threads; /* for the check; 0: one for each CPU */
	struct pool *pool; /* not in use otherwise */
	struct btrkit_job *job; /* may be NULL; phases "verify" and those of the check */
	/* For the check's tables, as its options have them; 0 and NULL: the defaults. */
	u64 memory_bytes;
	const char *tmpdir;
};

/*
 * 0: they are the same. -EBADMSG: they are not, and the text says what differs first; further inodes that differ, up to ten
 * in all, are told as warnings. -ECANCELED, -ENOMEM, or why something cannot be read. All stays the caller's; nothing is written.
 */
int convert_verify(const struct verify_input *input, struct diag *d);

#endif
