/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The block group profiles as one table, which everything that depends on a profile reads.
 * Source: Btrfs documentation, mkfs.btrfs(8) "PROFILES"; arithmetic confirmed on images made by Linux.
 */
#ifndef BTRKIT_KERNEL_SHARED_VOLUME_PROFILE_H
#define BTRKIT_KERNEL_SHARED_VOLUME_PROFILE_H

#include "kernel-shared/format/disk.h"

struct profile {
	u64 flag; /* BLOCK_GROUP_*; 0: single */
	const char *name; /* as mkfs.btrfs -d spells it, lower case */
	const char *shown; /* as usage reports show it */
	u8 copies; /* of each data byte; parity profiles have 1 */
	u8 parity; /* parity stripes in each row */
	u8 dev_stripes; /* stripes on one device: 2 for DUP */
	u8 sub_stripes; /* 2 for RAID10, else 1 */
	u8 devs_min; /* devices needed to make a chunk */
	u8 devs_max; /* devices used at most; 0: all */
	u8 devs_increment; /* devices used are a multiple of this */
	u8 tolerated_failures; /* devices that may be lost */
	bool is_striped; /* consecutive 64 KiB pieces go to different devices */
	u64 incompat; /* feature bit that filesystems with it have */
};

extern const struct profile profiles[];
extern const size_t profiles_count;

/* The row of a block group's or chunk's flags; NULL when more than one profile bit is set, or an unknown one. */
const struct profile *profile_by_flags(u64 flags);

/* By name, in any case ("DUP", "raid1c3", "single"); NULL: none. */
const struct profile *profile_by_name(const char *name);

/* "data", "metadata", "system", "data+metadata" of a chunk's type; "none" for no type. */
const char *chunk_kind_name(u64 type);

/* Stripes of a row that hold different data: RAID0 n, RAID10 n/2, RAID5 n-1, RAID6 n-2, the others 1. */
u16 profile_data_stripes(const struct profile *profile, u16 num_stripes);

/* May a chunk of this profile have @num_stripes stripes? */
bool profile_stripe_count_is_valid(const struct profile *profile, u16 num_stripes);

/* Does @length split evenly onto the stripes, in whole 64 KiB pieces where the profile is striped? */
bool profile_length_is_valid(const struct profile *profile, u16 num_stripes, u64 length);

/*
 * Copies that a reader can ask for by number, 1..n. Parity profiles count each way of reconstructing: by P, by Q, and on
 * RAID6 by both, taking one of the other data stripes for wrong, each in turn.
 */
unsigned profile_mirrors(const struct profile *profile, u16 num_stripes);

#endif
