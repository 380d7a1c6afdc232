/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which chunks a restripe works on: filters as text, as the balance item has them, and what they choose. Pure.
 *
 * They mean what they mean to Linux, to the last rounding, so that either goes on with what the other has begun. Where its manual
 * and Linux differ, Linux counts. Source: btrfs-balance(8); UAPI headers linux/btrfs.h and linux/btrfs_tree.h; the block groups
 * that Linux 6.18 relocates (tests/interop/restripe-filters.sh).
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_RESTRIPE_FILTERS_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_RESTRIPE_FILTERS_H

#include "common/base/diag.h"
#include "kernel-shared/volume/chunk_map.h"

/* What chunks of one kind must be to be chosen, and become. Members count when their bit of @flags is set. */
struct restripe_filter {
	u64 flags; /* BALANCE_ARGS_* */
	u64 profiles; /* any of these: BLOCK_GROUP_PROFILE_MASK bits and BALANCE_PROFILE_SINGLE */
	u64 usage; /* less than so many percent of it in use; 0: nothing at all */
	u32 usage_min, usage_max; /* at least, and less than */
	u64 devid; /* with a stripe there */
	u64 physical_start, physical_end; /* that has some of this range; only with devid */
	u64 logical_start, logical_end; /* with some of this range */
	u64 limit; /* so many, from the last one down */
	u32 limit_min, limit_max; /* so many, or none */
	u32 stripes_min, stripes_max;
	u64 target; /* to become this: one of those bits */
};

enum restripe_kind { RESTRIPE_DATA, RESTRIPE_METADATA, RESTRIPE_SYSTEM, RESTRIPE_KINDS };

/* The highest devid that the item has a bit for. */
#define RESTRIPE_DEVID_MAX (64 * BALANCE_DEVICES_WORDS)

struct restripe_filters {
	u64 flags; /* BALANCE_*: kinds that are worked on, force, resume */
	struct restripe_filter kind[RESTRIPE_KINDS];
	u64 devices[BALANCE_DEVICES_WORDS]; /* where the result has to be, a bit each from devid 1 on; all 0: anywhere */
};

/* The bit of @flags for a kind. */
u64 restripe_kind_flag(enum restripe_kind kind);
const char *restripe_kind_name(enum restripe_kind kind);
/* Whose filter a chunk goes by: mixed ones go by that of data. */
enum restripe_kind restripe_kind_of(u64 type);

/* --- Text (restripe_parse.c) ---------------------------------------- */

/*
 * Read "usage=50,profiles=raid1|dup,soft", or nothing. -EINVAL, and *ret_bad_at (may be NULL) is the offset in @text of what is
 * wrong.
 */
int restripe_filter_parse(const char *text, struct restripe_filter *ret_filter, size_t *ret_bad_at, struct diag *d);
/* The same as text again, as short as it can be. Returns the length, of which at most @cap - 1 bytes are stored. */
size_t restripe_filter_format(const struct restripe_filter *filter, char *text, size_t cap);

/* --- The item ---------------------------------------- */

void restripe_filters_pack(const struct restripe_filters *filters, struct disk_balance_item *ret_item);
/* -EOPNOTSUPP: it has flags that are not known here; -EUCLEAN: it makes no sense. */
int restripe_filters_unpack(const struct disk_balance_item *item, struct restripe_filters *ret_filters, struct diag *d);

/*
 * The filters with which an interrupted run goes on: what has its target is left alone, and where nothing is converted and no usage
 * asked for, only what is less than 90 % full is still worked on, as the rest has probably been dealt with. Where the result has to be on
 * some devices, that tells what has been dealt with, and they stay as they are.
 */
void restripe_filters_resume(struct restripe_filters *filters);

/*
 * The result has to be on these devices; none: anywhere. 1: a devid is too high for the item, which then has none.
 */
int restripe_filters_set_devices(struct restripe_filters *filters, const u64 *devids, size_t nr);
/* The other way. Returns how many: RESTRIPE_DEVID_MAX at most. */
size_t restripe_filters_devices(const struct restripe_filters *filters, u64 *ret_devids);

/* A profile's bit, of which single has one here, too; and back. */
u64 restripe_profile_bit(u64 type);
u64 restripe_profile_of_bit(u64 bit);

/* --- The choice ---------------------------------------- */

struct restripe_chunk {
	const struct chunk *chunk;
	u64 used_bytes;
	bool is_chosen;
};

/*
 * Choose among all chunks of a filesystem, ascending. Returns how many are "expected" in the words of Linux: those that pass
 * the filters before limits in both directions are seen together.
 */
u64 restripe_choose(const struct restripe_filters *filters, struct restripe_chunk *chunks, size_t nr);

/* Of a chosen one: is it on the devices that the result has to be on, with the profile that it shall have, and not to be compacted? */
bool restripe_is_where_it_shall_be(const struct restripe_filters *filters, const struct chunk *chunk);

#endif
