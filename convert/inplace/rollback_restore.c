/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The writes of a rollback, in an order in which the power may fail at each of them:
 *
 *	1  all that does not lie where it belongs, but for 2 and 3; Btrfs' further superblocks go with this
 *	2  the 4 KiB by which the old filesystem is known
 *	3  the 4 KiB of Btrfs' first superblock
 *
 * with a flush after each. Nothing of this is written where Btrfs has anything in use, which the pieces that are copied belong
 * to; so until 3 the device is Btrfs, as whole as it was, and everything can be done again. Before 2 nobody takes it for the
 * old filesystem, of which parts would be missing.
 */
#include "convert/inplace/rollback.h"
#include "kernel-shared/device/super.h"
#include "kernel-shared/fs/data.h"

typedef unsigned long long ull;

#define COPY_BYTES MIB
#define STEP_BYTES SUPER_INFO_SIZE /* of steps 2 and 3 */

struct restoring {
	const struct rollback *rollback;
	struct data_reader reader;
	u8 *buf; /* COPY_BYTES */
};

/*
 * What could not be read when it was converted has no checksums, and nothing of it was moved: home, where nothing was written since, is
 * the better place to look for it.
 */
static int part_to_copy(struct restoring *restoring, const struct image_piece *piece, u64 first, u64 len, size_t *ret_copied,
			size_t *ret_left, struct diag *d)
{
	const struct rollback *rollback = restoring->rollback;
	int err = 0;

	*ret_copied = (size_t)len;
	*ret_left = 0;
	if (rollback->has_csums && piece->place == PIECE_RESERVED)
		err = rollback_csummed_part(rollback, &restoring->reader, piece->logical + first, (size_t)len, ret_copied, ret_left, d);
	if (!err && *ret_left && !rollback_may_lack_csums(piece->offset + first, *ret_left)) {
		*ret_copied = *ret_left;
		*ret_left = 0;
	}
	return err;
}

/* What a balance has moved without checksums is taken as it is. */
static int read_relocated(struct restoring *restoring, u64 logical, size_t len, struct diag *d)
{
	const struct rollback *rollback = restoring->rollback;
	u8 *to = restoring->buf;
	size_t with = 0, without = 0;

	for (; len; len -= with + without, to += with + without, logical += with + without) {
		int err = rollback_csummed_part(rollback, &restoring->reader, logical, len, &with, &without, d);

		if (!err && with)
			err = rollback_read_piece(rollback, &restoring->reader, logical, to, with, d);
		else if (!err)
			err = volume_read(rollback->fs->volume, logical, to, without, 0, d);
		if (err)
			return err;
	}
	return 0;
}

static int read_piece(struct restoring *restoring, const struct image_piece *piece, u64 first, size_t len, struct diag *d)
{
	const struct rollback *rollback = restoring->rollback;
	struct diag why = { 0 };
	int err = rollback_read_piece(rollback, &restoring->reader, piece->logical + first, restoring->buf, len, &why);

	if (err && rollback->has_csums && piece->place == PIECE_RELOCATED)
		return read_relocated(restoring, piece->logical + first, len, d);
	return err ? diag_copy(d, &why) : 0;
}

/* Copy [from, to) of the image, which @piece has, home. */
static int copy(struct restoring *restoring, const struct image_piece *piece, u64 from, u64 to, struct diag *d)
{
	const struct rollback *rollback = restoring->rollback;
	u64 sectorsize = rollback->fs->volume->sectorsize;

	while (from < to) {
		/* Whole sectors are read, around what is wanted. */
		u64 first = round_down_u64(from - piece->offset, sectorsize);
		u64 skipped = from - piece->offset - first;
		u64 len = MIN(to - from, COPY_BYTES - skipped);
		size_t copied = 0, left = 0;
		int err = part_to_copy(restoring, piece, first, round_up_u64(skipped + len, sectorsize), &copied, &left, d);

		if (err)
			return err;
		len = MIN(len, copied + left - skipped);
		if (copied)
			err = read_piece(restoring, piece, first, copied, d);
		if (!err && copied)
			err = blockdev_write(rollback->dev, from, restoring->buf + skipped, (size_t)len, d);
		if (err)
			return err;
		progress_add(rollback->progress, len, 0);
		from += len;
	}
	return 0;
}

/* Copy what of [from, to) does not lie at home. */
static int copy_range(struct restoring *restoring, u64 from, u64 to, struct diag *d)
{
	const struct rollback *rollback = restoring->rollback;

	to = MIN(to, rollback->image_bytes);
	array_for_each(&rollback->pieces, piece) {
		u64 start = MAX(from, piece->offset), end = MIN(to, piece->offset + piece->len);
		int err;

		if (piece->place == PIECE_HOME || start >= end)
			continue;
		err = copy(restoring, piece, start, end, d);
		if (err)
			return err;
	}
	return 0;
}

/*
 * Behind the end of the old filesystem nothing was written, unless Btrfs was made larger: whatever else is there is not ours. A place
 * that cannot be read is taken for such.
 */
static bool is_ours(const struct rollback *rollback, unsigned mirror)
{
	struct super_choice choice;

	if (super_mirror_physical(mirror) < rollback->image_bytes)
		return true;
	return super_read(rollback->dev, (int)mirror, &choice, NULL) == 0 &&
	       memcmp(choice.super.fsid, rollback->fs->super.fsid, UUID_SIZE) == 0;
}

/* A superblock of Btrfs where the old filesystem had nothing. */
static int clear_super(const struct rollback *rollback, unsigned mirror, struct diag *d)
{
	static const u8 zeroes[SUPER_INFO_SIZE];
	u64 physical = super_mirror_physical(mirror);

	if (!is_ours(rollback, mirror))
		return 0;
	array_for_each(&rollback->pieces, piece)
		if (ranges_touch(physical, SUPER_INFO_SIZE, piece->offset, piece->len))
			return 0;
	return blockdev_write(rollback->dev, physical, zeroes, sizeof(zeroes), d);
}

/* Steps 1 and 2. */
static int restore_around(struct restoring *restoring, struct diag *d)
{
	const struct rollback *rollback = restoring->rollback;
	u64 magic = round_down_u64(rollback->kind->magic_physical, STEP_BYTES), primary = super_mirror_physical(0);
	int err = copy_range(restoring, 0, magic, d);

	if (!err)
		err = copy_range(restoring, magic + STEP_BYTES, primary, d);
	if (!err)
		err = copy_range(restoring, primary + STEP_BYTES, UINT64_MAX, d);
	for (unsigned mirror = 1; mirror < super_mirror_count(rollback->dev->size_bytes) && !err; mirror++)
		err = clear_super(rollback, mirror, d);
	if (!err)
		err = blockdev_flush(rollback->dev, d);
	if (!err)
		err = copy_range(restoring, magic, magic + STEP_BYTES, d);
	return err ? err : blockdev_flush(rollback->dev, d);
}

/* Step 3. */
static int restore_primary(struct restoring *restoring, struct diag *d)
{
	const struct rollback *rollback = restoring->rollback;
	u64 primary = super_mirror_physical(0);
	int err = clear_super(rollback, 0, d);

	if (!err)
		err = copy_range(restoring, primary, primary + STEP_BYTES, d);
	return err ? err : blockdev_flush(rollback->dev, d);
}

int rollback_restore(struct rollback *rollback, struct diag *d)
{
	struct restoring restoring = { .rollback = rollback };
	int err;

	progress_begin(rollback->progress, "restore", rollback->plan.restored_bytes + rollback->plan.relocated_bytes, 0);
	restoring.buf = malloc(COPY_BYTES);
	if (!restoring.buf)
		return diag_no_memory(d, "copying");
	data_reader_init(&restoring.reader, rollback->fs);
	err = restore_around(&restoring, d);
	if (err)
		(void)diag_context(d, err, "it is still Btrfs, and can be rolled back again");
	else
		err = restore_primary(&restoring, d);
	data_reader_done(&restoring.reader);
	free(restoring.buf);
	return err;
}
