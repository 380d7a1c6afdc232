/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where copies of a superblock may be, and which of them is the best: of those that are sound the one written last. The
 * layout at sector 7 says where they are, and so does each copy; where neither is left, places that are usual are
 * tried.
 */
#include "convert/bcachefs/bch_super.h"

#include <inttypes.h>

#include "common/base/checked.h"
#include "convert/bcachefs/bch_super_decode.h"

struct place {
	u64 sector;
	bool is_guess; /* nothing says that there is a copy */
};

struct copies {
	struct blockdev *dev;
	ARRAY(struct place) places;
	bool has_magic; /* of a layout, or of any copy */
	bool is_guessing; /* nothing else was found */
};

static int add_place(struct copies *copies, u64 sector, bool is_guess, struct diag *d)
{
	array_for_each (&copies->places, place) {
		if (place->sector == sector) {
			place->is_guess &= is_guess;
			return 0;
		}
	}
	if (sector == 0 || copies->places.len >= 4 * BCH_SUPER_COPIES_MAX)
		return 0;
	if (array_push(&copies->places, (struct place){ sector, is_guess }) < 0)
		return diag_no_memory(d, "superblocks");
	return 0;
}

/* How many of its places can be looked at; 0: it is none. */
static unsigned layout_places(const struct disk_bch_layout *layout)
{
	if (!bch_magic_is_known(layout->magic) || layout->type != 0)
		return 0;
	return MIN((unsigned)layout->nr_copies, (unsigned)BCH_SUPER_COPIES_MAX);
}

static int add_layout(struct copies *copies, const struct disk_bch_layout *layout, struct diag *d)
{
	int err = 0;

	for (unsigned i = 0; !err && i < layout_places(layout); i++)
		err = add_place(copies, le64_get(layout->sector[i]), false, d);
	return err;
}

/* The second copy lies behind the first, whose place has 64 KiB to 1 MiB; the last at the end. */
static int add_guesses(struct copies *copies, struct diag *d)
{
	u64 nr_sectors = copies->dev->size_bytes / BCH_SECTOR_BYTES;
	int err = 0;

	for (unsigned bits = 7; !err && bits <= 11; bits++) {
		err = add_place(copies, BCH_SUPER_SECTOR + ((u64)1 << bits), true, d);
		if (!err && nr_sectors > (u64)1 << bits)
			err = add_place(copies, round_down_u64(nr_sectors, (u64)1 << bits) - ((u64)1 << bits), true, d);
	}
	return err;
}

static int find_places(struct copies *copies, struct diag *d)
{
	struct disk_bch_layout layout;
	struct diag ignored = { 0 };
	int err;

	err = add_place(copies, BCH_SUPER_SECTOR, true, d);
	if (err || copies->dev->size_bytes < (BCH_SUPER_SECTOR + 1) * (u64)BCH_SECTOR_BYTES)
		return err;
	/* A bad sector there must not hide copies that are elsewhere. */
	if (blockdev_read(copies->dev, BCH_LAYOUT_SECTOR * (u64)BCH_SECTOR_BYTES, &layout, sizeof(layout), &ignored) <
	    0)
		return 0;
	copies->has_magic = layout_places(&layout) > 0;
	return add_layout(copies, &layout, d);
}

/* 1: there is nothing like it. */
static int read_copy(struct copies *copies, struct place place, struct bch_super **ret_super, struct diag *why)
{
	struct disk_bch_super head;
	struct blockdev *dev = copies->dev;
	_free_ u8 *raw = NULL;
	u64 sector = place.sector, physical, bytes;
	int err;

	if (!checked_mul(sector, BCH_SECTOR_BYTES, &physical) || !range_fits(physical, sizeof(head), dev->size_bytes))
		return place.is_guess ? 1
				      : diag_fail(why, -EUCLEAN,
						  "%s: superblock at sector %" PRIu64 ": beyond the end of the device",
						  dev->name, sector);
	err = blockdev_read(dev, physical, &head, sizeof(head), why);
	if (err)
		return err;
	if (!bch_magic_is_known(head.magic))
		return 1;
	copies->has_magic = true;
	err = bch_super_head_judge(dev, sector, &head, &bytes, why);
	if (err)
		return err;
	raw = malloc(bytes);
	if (!raw)
		return diag_no_memory(why, "a superblock");
	err = blockdev_read(dev, physical, raw, bytes, why);
	return err ?: bch_super_decode(dev, sector, take_ptr(raw), bytes, ret_super, why);
}

/*
 * One more place, which may lead to others. A copy that cannot be taken is told to @fn with the reason; only want of
 * memory ends it all.
 */
static int tell_copy(struct copies *copies, size_t nr, bch_super_copy_fn fn, void *ctx, struct diag *d)
{
	struct place place = copies->places.items[nr];
	_cleanup_(bch_super_freep) struct bch_super *super = NULL;
	struct diag why = { 0 };
	int err;

	err = read_copy(copies, place, &super, &why);
	if (err == -ENOMEM)
		return diag_copy(d, &why);
	if (err == 1) {
		if (place.is_guess)
			return 0;
		(void)diag_fail(&why, -EUCLEAN, "%s: superblock at sector %" PRIu64 ": there is none (magic)",
				copies->dev->name, place.sector);
	} else if (err < 0 && copies->is_guessing && !copies->has_magic) {
		return 0; /* cannot be read, and nothing says that it should be */
	} else if (!err) {
		err = add_layout(copies, &((const struct disk_bch_super *)super->raw)->layout, d);
		if (err)
			return err;
	}
	return fn(ctx, (unsigned)nr, place.sector, super, super ? NULL : &why, d);
}

static int for_each_copy(struct copies *copies, u64 sector, bch_super_copy_fn fn, void *ctx, struct diag *d)
{
	size_t nr = 0;
	int err;

	if (sector) {
		err = add_place(copies, sector, false, d);
		return err ?: tell_copy(copies, 0, fn, ctx, d);
	}
	err = find_places(copies, d);
	for (; !err && nr < copies->places.len; nr++)
		err = tell_copy(copies, nr, fn, ctx, d);
	if (err || copies->has_magic)
		return err;
	copies->is_guessing = true;
	err = add_guesses(copies, d);
	for (; !err && nr < copies->places.len; nr++)
		err = tell_copy(copies, nr, fn, ctx, d);
	return err;
}

int bch_super_for_each_copy(struct blockdev *dev, bch_super_copy_fn fn, void *ctx, struct diag *d)
{
	struct copies copies = { .dev = dev };
	int err = for_each_copy(&copies, 0, fn, ctx, d);

	array_done(&copies.places);
	return err;
}

/* --- The best ---------------------------------------- */

struct best {
	struct blockdev *dev;
	struct bch_super *super;
	unsigned nr_bad;
	struct diag why; /* of the first bad one, and of one that is not known rather than damaged before that */
};

/* Of raw bytes that were found to be sound a moment ago. */
static int keep(struct best *best, const struct bch_super *super, struct diag *d)
{
	u8 *raw = malloc(super->raw_bytes);

	if (!raw)
		return diag_no_memory(d, "a superblock");
	memcpy(raw, super->raw, super->raw_bytes);
	bch_super_free(best->super);
	best->super = NULL;
	return bch_super_decode(best->dev, super->sector, raw, super->raw_bytes, &best->super, d);
}

static int take_best(void *ctx, unsigned copy, u64 sector, const struct bch_super *super, const struct diag *why,
		     struct diag *d)
{
	struct best *best = ctx;

	(void)copy;
	(void)sector;
	if (!super) {
		if (best->nr_bad++ == 0 || (why->err == -EOPNOTSUPP && best->why.err != -EOPNOTSUPP))
			best->why = *why;
		return 0;
	}
	if (best->super && super->seq <= best->super->seq)
		return 0;
	return keep(best, super, d);
}

int bch_super_read(struct blockdev *dev, u64 sector, struct bch_super **ret_super, struct diag *d)
{
	struct best best = { .dev = dev };
	struct copies copies = { .dev = dev };
	int err = for_each_copy(&copies, sector, take_best, &best, d);
	bool is_guess = copies.is_guessing;

	array_done(&copies.places);
	if (err) {
		bch_super_free(best.super);
		return err;
	}
	if (!best.super)
		return best.why.err ? diag_copy(d, &best.why) : 1;
	if (is_guess)
		diag_note(d, DIAG_WARNING,
			  "%s: has neither the first superblock of bcachefs nor its layout, as if something else had "
			  "been written there; "
			  "the copy at sector %" PRIu64 " is used",
			  dev->name, best.super->sector);
	else if (best.nr_bad)
		diag_note(d, DIAG_WARNING, "%s; the copy at sector %" PRIu64 " is used", best.why.text,
			  best.super->sector);
	*ret_super = best.super;
	return 0;
}
