/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of btrkit_convert_rollback(): a converted filesystem, the image of the old one in it, and where each piece of
 * that lies and belongs.
 *
 * What the old filesystem used lies where it always did, but for what was in the way of Btrfs' superblocks, which was copied to
 * somewhere else. So to roll back is to copy little, and to take Btrfs' superblocks away. The order of that is in
 * rollback_restore.c.
 */
#ifndef BTRKIT_CONVERT_INPLACE_ROLLBACK_H
#define BTRKIT_CONVERT_INPLACE_ROLLBACK_H

#include <btrkit/convert.h>

#include "common/work/pool.h"
#include "common/work/progress.h"
#include "kernel-shared/build/placed_data.h"
#include "kernel-shared/fs/fs.h"
#include "kernel-shared/space/used_ranges.h"

enum piece_place {
	PIECE_HOME, /* where the image has it */
	PIECE_RESERVED, /* home is where Btrfs keeps a superblock, or behind its last chunk: it was copied by the conversion */
	PIECE_RELOCATED, /* moved by a balance */
};

/* Bytes of the image that lie in one chunk, without a gap. */
struct image_piece {
	u64 offset; /* in the image, which is where it belongs on the device */
	u64 len; /* whole sectors; the image may end within the last */
	u64 logical;
	enum piece_place place;
};

struct source_ops;

/* One kind of filesystem that can be saved in an image. */
struct saved_kind {
	/* 1: it is not of this kind. @head: the first SAVED_HEAD_BYTES of the image. */
	int (*probe)(const u8 *head, const char **ret_type, u64 *ret_total_bytes, struct diag *d);
	u64 magic_physical; /* others know it by the bytes here */
	u32 magic_len;
	u64 uuid_physical; /* what tells one from another */
	const struct source_ops *source;
};
#define SAVED_HEAD_BYTES (68 * KIB)

struct rollback {
	struct btrkit_fs *fs;
	struct blockdev *dev; /* the one device of it */
	u64 devid;
	bool no_verify, do_relocate;
	struct progress *progress; /* may be NULL */
	const struct saved_kind *kind;
	u64 image_bytes;
	bool has_csums; /* the image has checksums */
	ARRAY(struct image_piece) pieces; /* by offset, apart */
	struct device_ranges used; /* of the device, by Btrfs, merged */
	bool is_used_known; /* false: @used is all that Btrfs may have taken */
	struct btrkit_rollback_plan plan;
};

static inline void rollback_done(struct rollback *rollback)
{
	array_done(&rollback->pieces);
	array_done(&rollback->used.list);
}

/* For what a piece is in the way of: the 4 KiB of a superblock. */
static inline bool ranges_touch(u64 a, u64 a_len, u64 b, u64 b_len)
{
	return a < b + b_len && b < a + a_len;
}

/*
 * All steps on an open filesystem, whose device is writable unless @is_dry_run. @pool for reading; its cancelling ends it only
 * before the first write. rollback->plan is filled as far as it goes.
 */
int rollback_run(struct rollback *rollback, struct pool *pool, bool is_dry_run, struct cancel *cancel, struct diag *d);

/* --- The steps ------------------------------------------------------------------------------------------------------ */

/* The image's subvolume and inode, as they are, whatever was done to them since (rollback_image.c). -ENOENT: gone. */
int saved_image_find(struct btrkit_fs *fs, struct fs_root *ret_root, u64 *ret_ino, struct disk_inode_item *ret_inode,
		     struct diag *d);
/* Of which kind the filesystem is that begins with the SAVED_HEAD_BYTES at @head: 0; 1: none that is known. */
int saved_kind_of(const u8 *head, const struct saved_kind **ret_kind, const char **ret_type, u64 *ret_total_bytes,
		  struct diag *d);

/* Find the image and its pieces (rollback_image.c). */
int rollback_find_image(struct rollback *rollback, struct diag *d);

/*
 * Read bytes of the image as they are on the device, without comparing them with checksums; holes are zeroes. Any thread.
 */
int rollback_read_image(const struct rollback *rollback, u64 offset, void *buf, size_t len, struct diag *d);

/* Is it a filesystem that we know, and does the image have all that it uses (rollback_saved.c)? */
int rollback_judge_saved(struct rollback *rollback, struct diag *d);

/* What Btrfs has in use, and what of it was changed since (rollback_lost.c). */
int rollback_count_losses(struct rollback *rollback, struct diag *d);

/* Compare the image with its checksums (rollback_verify.c). */
int rollback_verify(struct rollback *rollback, struct pool *pool, struct diag *d);

/* Write (rollback_restore.c). */
int rollback_restore(struct rollback *rollback, struct diag *d);

/*
 * How many of the bytes at @logical, at most @len and a MiB, have checksums: 0 if the first sector has none, as many as *ret_without. What
 * could not be read when it was converted has none.
 */
struct data_reader;
int rollback_csummed_part(const struct rollback *rollback, struct data_reader *reader, u64 logical, size_t len, size_t *ret_with,
			  size_t *ret_without, struct diag *d);

/* May bytes of the image be without any? What says what it is, and what a superblock lies over, were read when it was converted. */
bool rollback_may_lack_csums(u64 offset, u64 len);

/* Read whole sectors of a piece for which its checksums stand, unless it has none or nobody wants to know. */
int rollback_read_piece(const struct rollback *rollback, struct data_reader *reader, u64 logical, void *buf, size_t len,
			struct diag *d);

#endif
