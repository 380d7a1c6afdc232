/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Of a sector of data or a tree block that is bad in one copy: a good one. Copies that stay are mended with it. */
#include <stdio.h>

#include "kernel-shared/relocate/move_chunk.h"

typedef unsigned long long ull;

/* --- Copies ---------------------------------------- */

bool chunk_copy_is_kept(const struct chunk_mover *mover, u64 logical, unsigned copy)
{
	struct cell cell = chunk_cell(mover->from, logical);

	return copy <= mover->from->profile->copies && mover->is_kept[cell_stripe(mover->from, &cell, copy)];
}

bool chunk_copy_is_missing(const struct chunk_mover *mover, u64 logical, unsigned copy)
{
	struct cell cell = chunk_cell(mover->from, logical);

	return copy <= mover->from->profile->copies && mover->is_missing[cell_stripe(mover->from, &cell, copy)];
}

static unsigned nr_copies(const struct chunk_mover *mover)
{
	return profile_mirrors(mover->from->profile, mover->from->num_stripes);
}

/* Copies in the order in which they are tried: the @i-th, from 0. Those that stay come first. */
unsigned chunk_nth_copy(const struct chunk_mover *mover, u64 logical, unsigned i)
{
	unsigned nr = nr_copies(mover);

	for (unsigned want_kept = 2; want_kept-- > 0;)
		for (unsigned copy = 1; copy <= nr; copy++)
			if (chunk_copy_is_kept(mover, logical, copy) == (want_kept == 1) && i-- == 0)
				return copy;
	return nr;
}

/* Write good bytes over a copy that stays. */
int chunk_mend(struct chunk_mover *mover, u64 logical, const u8 *bytes, u64 len, unsigned copy, struct diag *d)
{
	const struct chunk *from = mover->from;
	int err = 0;

	while (len && !err) {
		struct cell cell = chunk_cell(from, logical);
		u16 stripe = cell_stripe(from, &cell, copy);
		u64 piece = MIN(len, cell.left);

		if (mover->is_kept[stripe])
			err = volume_stripe_write(mover->volume, &from->stripe[stripe],
						  cell_physical(from, stripe, &cell, logical), bytes, piece, logical,
						  d);
		bytes += piece;
		logical += piece;
		len -= piece;
	}
	return err;
}

/* --- What is told ---------------------------------------- */

void window_tell_bad(struct window *window, struct diag *d)
{
	const struct bad_run *run = &window->bad_run;

	if (run->len)
		diag_note(d, DIAG_WARNING, "%s at %llu (%llu bytes): copy %u is bad (%s), copy %u is good",
			  run->is_block ? "tree blocks" : "data", (ull)run->logical, (ull)run->len, run->bad, run->why,
			  run->good);
	window->bad_run.len = 0;
}

void window_note_bad(struct window *window, const struct unit *unit, unsigned bad, unsigned good, const char *why,
		     struct diag *d)
{
	struct bad_run *run = &window->bad_run;

	if (run->len && run->logical + run->len == unit->logical && run->is_block == unit->is_block &&
	    run->bad == bad && run->good == good) {
		run->len += unit->len;
		return;
	}
	window_tell_bad(window, d);
	*run = (struct bad_run){ unit->logical, unit->len, unit->is_block, bad, good, "" };
	snprintf(run->why, sizeof(run->why), "%s", why);
}

/* The tree and inode that the data extent item at the cursor names itself, if it is that of @logical. */
static bool find_first_ref(const struct cursor *cursor, u64 logical, u64 *ret_root, u64 *ret_inode)
{
	const struct key key = cursor_key(cursor);
	u32 bytes = cursor_data_bytes(cursor), at = sizeof(struct disk_extent_item);
	const u8 *data = cursor_data(cursor);
	const struct disk_extent_data_ref *ref;

	if (key.type != EXTENT_ITEM_KEY || logical - key.objectid >= key.offset)
		return false;
	if (at < bytes && data[at] == EXTENT_OWNER_REF_KEY)
		at += sizeof(struct disk_extent_inline_ref);
	if (at >= bytes || data[at] != EXTENT_DATA_REF_KEY || bytes - at - 1 < sizeof(*ref))
		return false;
	ref = (const void *)(data + at + 1);
	*ret_root = le64_get(ref->root);
	*ret_inode = le64_get(ref->objectid);
	return true;
}

/* " (inode I of tree T)" of the data extent at @logical, where its item says so itself. */
static void name_owner(const struct chunk_mover *mover, u64 logical, char *name, size_t cap)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&mover->extents);
	const struct key key = { logical, EXTENT_ITEM_KEY, UINT64_MAX };
	u64 root, inode;
	int err = cursor_seek_back(&cursor, &key, NULL);

	name[0] = '\0';
	while (!err && cursor_key(&cursor).type != EXTENT_ITEM_KEY &&
	       cursor_key(&cursor).objectid >= mover->from->logical)
		err = cursor_prev(&cursor, NULL);
	if (!err && find_first_ref(&cursor, logical, &root, &inode))
		snprintf(name, cap, " (inode %llu of tree %llu)", (ull)inode, (ull)root);
}

static int nothing_is_good(const struct chunk_mover *mover, const struct unit *unit, const struct diag *why,
			   struct diag *d)
{
	char owner[64] = "";

	if (!unit->is_block)
		name_owner(mover, unit->logical, owner, sizeof(owner));
	return diag_fail(d, -EIO, "%s at %llu%s: no copy is good: %s", unit->is_block ? "tree block" : "data",
			 (ull)unit->logical, owner, why->err ? why->text : "all are on missing devices");
}

/* --- One by one ---------------------------------------- */

/*
 * The extent tree knows of which generation a block is, so that an old block of the same address, which a device has
 * that was away for a while, is not taken for it. Where no copy is of that generation, it may be the extent tree that
 * is wrong: if all copies are there and agree.
 */
static int find_agreed(struct chunk_mover *mover, const struct unit *unit, u8 *bytes, const struct diag *why,
		       struct diag *d)
{
	struct unit any = *unit;
	_free_ u8 *first = malloc(unit->len);

	if (!first)
		return diag_no_memory(d, "a tree block");
	any.expect.generation = 0;
	for (unsigned copy = 1; copy <= mover->from->profile->copies; copy++) {
		if (chunk_copy_is_missing(mover, unit->logical, copy) ||
		    volume_read(mover->volume, unit->logical, bytes, unit->len, copy, NULL) != 0 ||
		    !unit_is_good(mover->relocate->fs, &any, bytes, NULL) || (copy > 1 && memcmp(bytes, first, unit->len) != 0))
			return nothing_is_good(mover, unit, why, d);
		memcpy(first, bytes, unit->len);
	}
	diag_note(d, DIAG_WARNING, "tree block at %llu: is of generation %llu, the extent tree says %llu",
		  (ull)unit->logical, (ull)le64_get(block_header(bytes)->generation), (ull)unit->expect.generation);
	return 0;
}

static unsigned copy_of_turn(const void *ctx, const struct unit *unit, unsigned turn)
{
	const struct chunk_mover *mover = ctx;
	unsigned copy = chunk_nth_copy(mover, unit->logical, turn);

	return chunk_copy_is_missing(mover, unit->logical, copy) ? 0 : copy;
}

/* Have a good copy of @unit in @bytes, and mend those that stay. */
int unit_find_good(struct chunk_mover *mover, struct window *window, const struct unit *unit, u8 *bytes, struct diag *d)
{
	struct unit_copies copies;
	int err = 0;

	unit_try_copies(mover->relocate->fs, unit, copy_of_turn, mover, nr_copies(mover), bytes, &copies);
	if (copies.has_no_memory)
		return diag_copy(d, &copies.why);
	if (!copies.good)
		return unit->is_block ? find_agreed(mover, unit, bytes, &copies.why, d)
				      : nothing_is_good(mover, unit, &copies.why, d);
	for (unsigned b = 0; b < copies.nr_bad && !err; b++) {
		unsigned bad = copies.bad[b];

		if (bad > mover->from->profile->copies)
			continue; /* what parity gives */
		window_note_bad(window, unit, bad, copies.good, copies.why.text, d);
		if (chunk_copy_is_kept(mover, unit->logical, bad))
			err = chunk_mend(mover, unit->logical, bytes, unit->len, bad, d);
	}
	return err;
}
