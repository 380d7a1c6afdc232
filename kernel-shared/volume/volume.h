/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The logical address space of a filesystem: reads find a good copy, writes reach all of them.
 *
 * Checksums are not known here. A caller that finds a copy wrong asks for another by number. Reads and writes may run
 * in parallel, also writes to different parts of one RAID5/6 row.
 */
#ifndef BTRKIT_KERNEL_SHARED_VOLUME_VOLUME_H
#define BTRKIT_KERNEL_SHARED_VOLUME_VOLUME_H

#include "kernel-shared/device/device_set.h"
#include "kernel-shared/volume/chunk_map.h"

/*
 * A part of a RAID5/6 row is about to be written, and its old parity does not fit: something beside it is rotten, or parity
 * is. @buf has what was read of [logical, logical + len), which stays; put in its place, by checksums and other copies, what
 * it should be, as far as anybody wants it and it can be had. May read the volume, and must not write. An error ends the
 * write, before anything is changed. Called by the thread that writes, with a lock of the row held.
 */
typedef int (*mend_fn)(void *ctx, u64 logical, u8 *buf, size_t len, struct diag *d);

struct volume {
	struct device_set *devices; /* owned */
	struct chunk_map *chunks; /* owned */
	u32 sectorsize;
	u32 nodesize;
	struct row_locks *row_locks; /* private */
	mend_fn mend; /* who knows checksums; NULL: nobody, and nothing that is there matters */
	/* Is there anything in that row of RAID5/6 that a write must not harm? NULL: yes, where @mend is set. */
	bool (*has_kept)(void *ctx, u64 logical, u64 len);
	void *mend_ctx; /* of both */
};

/* Takes over @devices and @chunks, also when it fails. */
int volume_new(struct device_set *devices, struct chunk_map *chunks, u32 sectorsize, u32 nodesize,
	       struct volume **ret_volume, struct diag *d);
void volume_free(struct volume *volume);
DEFINE_FREEP(struct volume *, volume_free)

/* Copies of the data at @logical that volume_read() can be asked for, 1..n; 0: no chunk covers it. */
unsigned volume_nr_mirrors(const struct volume *volume, u64 logical);

/*
 * Read @len bytes at @logical, which may cross chunks. @mirror 0: from any copy that can be read, rebuilding from
 * parity when devices are missing or fail; 1..n: that copy and no other. On RAID5/6, 1 is the data itself, 2 what P
 * and the other data give, 3 what Q and the other data give, 4 and up what P and Q give without one of the other data.
 * -ENOENT: not covered by chunks; -EIO: no copy can be read.
 */
int volume_read(struct volume *volume, u64 logical, void *buf, size_t len, unsigned mirror, struct diag *d);

/*
 * Write @len bytes at @logical to every copy, and the parity. -EIO: a device is missing or failed.
 *
 * Of a RAID5/6 row that is written in part the rest stays as it can be read or rebuilt: where the old parity does not fit
 * what is on the devices, volume->mend says what is right, which is written too before parity is made anew. Then all of
 * the row can be rebuilt as well as any other: what was written, and what was there, in as far as it could be before. What
 * has no checksum is taken to be what its own device says. That does not hold when the write ends half way, for a power cut
 * or a device that fails: the row's parity may fit nothing then until something is written to it again. So this is for rows
 * in which nothing committed lies, as long as there are such (kernel-shared/space/block_groups.h).
 */
int volume_write(struct volume *volume, u64 logical, const void *buf, size_t len, struct diag *d);

/*
 * As a write of @len bytes at @from of file @fd, but sharing its blocks in every copy. -EOPNOTSUPP: that cannot be, some
 * of it may have been done; write it instead.
 */
int volume_clone(struct volume *volume, u64 logical, int fd, u64 from, u64 len);

/* As blockdev_write_out() of [logical, logical + len) of @chunk, which need not be one of the volume, on all its stripes. */
void volume_write_out(const struct volume *volume, const struct chunk *chunk, u64 logical, u64 len);

/* One contiguous piece of a logical range on one device. */
struct physical_part {
	u64 logical;
	u64 len;
	u64 devid;
	u64 physical;
};

/*
 * Where @logical's bytes lie in copy @mirror (1..copies), up to @len bytes or the end of the stripe piece or chunk. Pure.
 * -ENOENT: no chunk; -EINVAL: no such copy.
 */
int volume_map(const struct chunk_map *chunks, u64 logical, u64 len, unsigned mirror, struct physical_part *ret_part);

/*
 * Read or write at @physical on the device of one stripe, for @logical (named in messages). -EIO: the device is missing,
 * failed, or ends before that.
 */
int volume_stripe_read(const struct volume *volume, const struct chunk_stripe *stripe, u64 physical, void *buf, size_t len,
		       u64 logical, struct diag *d);
int volume_stripe_write(const struct volume *volume, const struct chunk_stripe *stripe, u64 physical, const void *buf,
			size_t len, u64 logical, struct diag *d);
/* -EIO: its device is missing. */
int volume_stripe_judge(const struct volume *volume, const struct chunk_stripe *stripe, u64 logical, struct diag *d);

#endif
