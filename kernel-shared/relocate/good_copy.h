/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading what a block group holds as it should be: data is compared with its checksums, tree blocks with their own and
 * with what the extent tree says of their age; what is bad in one copy is taken from another, or from parity. Data
 * without checksums is believed.
 *
 * A reader belongs to one thread; several may work at once while nobody changes the filesystem.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_GOOD_COPY_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_GOOD_COPY_H

#include "kernel-shared/fs/data.h"

struct good_copy {
	struct btrkit_fs *fs;
	struct data_reader csums;
	struct tree extent_tree;
	u8 *other; /* a tree block as another copy has it */
	u64 mended_bytes; /* of which the copy that was asked for first was bad, and another one good */
	u64 damaged_bytes; /* of which no copy is good; they are as the first copy has them that can be read */
	u64 lost_bytes; /* of which no copy can be read; they are zeroes */
	u64 first_lost; /* logical address of the first that is damaged or lost; UINT64_MAX: none */
	bool has_no_memory; /* to compute a copy from parity: nothing can be said of it */
};

/* -ENOMEM; or the extent tree cannot be found. good_copy_done() in any case. */
int good_copy_init(struct good_copy *reader, struct btrkit_fs *fs, struct diag *d);
void good_copy_done(struct good_copy *reader);

/* Which copy, by number as for volume_read(), is asked for first, or (@is_last) when no other one is good. */
struct copy_order {
	unsigned mirror;
	bool is_last;
};

/*
 * Read [logical, logical + len), whole sectors of one chunk and at most DATA_BATCH_SECTORS of them, all in use: a part
 * of the used range that begins at @used_from, as txn_for_each_used() has it. What no copy has is counted, and no
 * failure.
 */
int good_copy_read(struct good_copy *reader, u64 used_from, u64 logical, u8 *buf, size_t len, struct copy_order order,
		   struct diag *d);

#endif
