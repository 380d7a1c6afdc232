/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open ext2, ext3 or ext4: its geometry, and reading blocks of it. */
#ifndef BTRKIT_CONVERT_EXT_EXT_FS_H
#define BTRKIT_CONVERT_EXT_EXT_FS_H

#include <pthread.h>

#include "convert/ext/ext_bits.h"
#include "convert/ext/ext_disk.h"
#include "convert/ext/ext_io.h"
#include "convert/source/source.h"

/* Blocks of the filesystem's own structures: superblocks, descriptors, bitmaps, inode tables. */
struct ext_range {
	u64 block, nr;
};

struct ext_journal;
struct ext_look;

struct ext_fs {
	struct source source;
	struct blockdev *dev; /* the caller's */
	struct blockdev *seen; /* as a mount would see it: with the journal laid over */
	struct ext_journal *journal; /* NULL: nothing lies over the device */
	struct ext_io io;
	ext2_filsys fs; /* libext2fs's; only read after opening */
	u32 block_bytes, cluster_blocks; /* a cluster is what bitmaps have a bit for */
	u64 nr_blocks;
	u32 nr_groups, clusters_per_group, inodes_per_group, nr_inodes, first_ino;
	u32 inode_bytes;
	u32 csum_seed;
	bool has_group_csum; /* so that groups may say that they were never used */
	bool has_metadata_csum;
	bool do_skip_unsupported, no_xattrs;
	bool only_reads; /* of struct source_options */
	pthread_mutex_t looks_lock; /* guards looks */
	struct ext_look *looks; /* that nobody uses at the moment */
	void (*left_out)(void *ctx, const char *path, const char *why); /* of struct source_options */
	void *left_out_ctx;
	ARRAY(struct ext_range) own; /* ascending, apart */
};

static inline struct ext_fs *ext_fs_of(struct source *source)
{
	return container_of(source, struct ext_fs, source);
}

/* Whole blocks; a block outside of the filesystem is -EUCLEAN. */
int ext_read_blocks(const struct ext_fs *ext, u64 block, u32 nr, void *buf, struct diag *d);

/* Is @block newer in the journal? Sets *ret_nr to how many of @nr blocks from it on have the same answer. */
int ext_is_overlaid(const struct ext_fs *ext, u64 block, u64 nr, bool *ret_is_overlaid, u64 *ret_nr, struct diag *d);

/* --- ext_super.c: may it be converted? --- */

/*
 * Judge a superblock: 1 if it is none. -EOPNOTSUPP, -EUCLEAN with what helps. That a journal has to be replayed is no reason.
 */
int ext_super_judge(const struct blockdev *dev, const struct ext2_super_block *super,
		    const struct source_options *options, struct diag *d);

/* Take the geometry from ext->fs, and check what libext2fs leaves unchecked: descriptors, and what lies where. */
int ext_super_load(struct ext_fs *ext, struct diag *d);

/* --- ext_used.c: the block bitmaps --- */

/* Bits of a group, set for clusters in use, into @words of clusters_per_group bits rounded up to 64. */
int ext_used_load(const struct ext_fs *ext, u32 group, u64 *words, struct diag *d);

int ext_used_ranges(struct source *source, u32 device, source_range_fn fn, void *ctx, struct diag *d);

#endif
