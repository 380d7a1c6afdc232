/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every feature bit by name: what we do when we meet it, and how mkfs offers it.
 * Source: UAPI header linux/btrfs.h for the bits, mkfs.btrfs(8) of btrfs-progs 6.19 for names and defaults.
 */
#ifndef BTRKIT_KERNEL_SHARED_FORMAT_FEATURES_H
#define BTRKIT_KERNEL_SHARED_FORMAT_FEATURES_H

#include "common/base/diag.h"
#include "kernel-shared/format/disk.h"

enum feature_set { FEATURE_INCOMPAT, FEATURE_COMPAT_RO, FEATURE_MKFS_ONLY /* "quota": a tree, not a bit */ };

struct feature {
	const char *name;
	enum feature_set set;
	u64 bits; /* all of these together */
	bool is_supported; /* we read and write filesystems that have it; else they are refused by name */
	bool is_mkfs_option; /* may be named after -O */
	bool is_mkfs_default;
	const char *description; /* for -O list-all */
};

extern const struct feature features[];
extern const size_t features_count;

/* NULL: no such name. Old names of the same thing ("mixed-backref", "bgt"...) are not known. */
const struct feature *feature_by_name(const char *name);

/* The name of one bit, or "bit N" written to @buf. */
const char *feature_bit_name(enum feature_set set, unsigned bit, char *buf, size_t cap);

/*
 * May a filesystem with these bits be opened? 0 and *ret_is_read_only (an unknown compat_ro bit), or -EOPNOTSUPP with
 * the names of all bits that stand in the way.
 */
int features_judge(u64 incompat, u64 compat_ro, bool *ret_is_read_only, struct diag *d);

#endif
