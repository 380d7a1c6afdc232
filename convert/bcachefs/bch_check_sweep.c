/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Going over btrees and views in spite of damage, and the ranges that are lost. */
#include "convert/bcachefs/bch_check.h"

/* --- What is lost ------------------------------------------------------------------------------------------------- */

static bool overlaps(const struct bch_lost *lost, u8 btree, const struct bch_pos *min, const struct bch_pos *max)
{
	return lost->btree == btree && bch_pos_compare(&lost->min, max) <= 0 && bch_pos_compare(min, &lost->max) <= 0;
}

int bch_lost_add(struct bch_check *check, u8 btree, const struct bch_pos *min, const struct bch_pos *max, struct diag *d)
{
	array_for_each(&check->lost, lost) {
		if (lost->btree == btree && bch_pos_compare(&lost->min, min) <= 0 && bch_pos_compare(max, &lost->max) <= 0)
			return 0;
	}
	if (array_push(&check->lost, (struct bch_lost){ .btree = btree, .min = *min, .max = *max }) < 0)
		return diag_no_memory(d, "the check");
	return 0;
}

bool bch_lost_has(const struct bch_check *check, u8 btree, struct bch_pos min, struct bch_pos max)
{
	array_for_each(&check->lost, lost)
		if (overlaps(lost, btree, &min, &max))
			return true;
	return false;
}

bool bch_lost_has_inode(const struct bch_check *check, u8 btree, u64 ino)
{
	struct bch_pos min = { ino, 0, 0 }, max = { ino, UINT64_MAX, UINT32_MAX };

	if (btree != BCH_INODES)
		return bch_lost_has(check, btree, min, max);
	return bch_lost_has(check, btree, (struct bch_pos){ 0, ino, 0 }, (struct bch_pos){ 0, ino, UINT32_MAX });
}

/* --- Sweeps --------------------------------------------------------------------------------------------------------- */

static bool is_damage(int err)
{
	return err == -EUCLEAN || err == -EIO || err == -EOPNOTSUPP || err == -ENXIO;
}

void bch_sweep_init(struct bch_sweep *sweep, struct bch_check *check, u8 btree)
{
	*sweep = (struct bch_sweep){ .check = check };
	bch_cursor_init(&sweep->cursor, check->fs, btree);
}

void bch_sweep_done(struct bch_sweep *sweep)
{
	bch_cursor_done(&sweep->cursor);
}

/*
 * After a failure: note what is lost, and tell where to go on. 1: nowhere. A cursor that does not say what it lost loses all the rest,
 * from @from on.
 */
static int lose(struct bch_check *check, const struct bch_cursor *cursor, const struct bch_pos *from, struct bch_pos *ret_next,
		const struct diag *why, struct diag *d)
{
	const struct bch_pos end = BCH_POS_MAX;
	char name[16];
	int err;

	if (bch_pos_compare(&cursor->lost_max, from) < 0) {
		if (!bch_lost_has(check, cursor->btree, *from, end))
			complain(check, BCH_BTREE_LOST, AT(0), bch_btree_name(cursor->btree, name), why->text);
		err = bch_lost_add(check, cursor->btree, from, &end, d);
		return err ? err : 1;
	}
	if (!bch_lost_has(check, cursor->btree, cursor->lost_min, cursor->lost_max))
		complain(check, BCH_BTREE_LOST, AT(0), bch_btree_name(cursor->btree, name), why->text);
	err = bch_lost_add(check, cursor->btree, &cursor->lost_min, &cursor->lost_max, d);
	if (err)
		return err;
	if (bch_pos_compare(&cursor->lost_max, &end) >= 0)
		return 1;
	*ret_next = bch_pos_successor(cursor->lost_max);
	return 0;
}

int bch_sweep_next(struct bch_sweep *sweep, struct bch_key *ret_key, struct diag *d)
{
	for (;;) {
		struct diag why = { 0 };
		int err;

		if (bch_check_is_cancelled(sweep->check))
			return diag_fail(d, -ECANCELED, "cancelled");
		err = sweep->is_begun ? bch_cursor_next(&sweep->cursor, ret_key, &why) :
					bch_cursor_seek(&sweep->cursor, &sweep->next, ret_key, &why);
		if (err == 0)
			sweep->next = bch_pos_successor(ret_key->pos);
		sweep->is_begun = true;
		if (err >= 0)
			return err;
		if (!is_damage(err))
			return diag_copy(d, &why);
		err = lose(sweep->check, &sweep->cursor, &sweep->next, &sweep->next, &why, d);
		if (err)
			return err;
		sweep->is_begun = false;
	}
}

void bch_view_sweep_init(struct bch_view_sweep *sweep, struct bch_check *check, u8 btree, u32 snapshot)
{
	*sweep = (struct bch_view_sweep){ .check = check };
	bch_view_init(&sweep->view, check->fs, btree, snapshot);
}

void bch_view_sweep_done(struct bch_view_sweep *sweep)
{
	bch_view_done(&sweep->view);
}

int bch_view_sweep_next(struct bch_view_sweep *sweep, struct bch_key *ret_key, struct diag *d)
{
	for (;;) {
		struct bch_pos next = { sweep->inode, sweep->offset, 0 };
		struct diag why = { 0 };
		int err;

		if (bch_check_is_cancelled(sweep->check))
			return diag_fail(d, -ECANCELED, "cancelled");
		err = sweep->is_begun ? bch_view_next(&sweep->view, ret_key, &why) :
					bch_view_seek(&sweep->view, sweep->inode, sweep->offset, ret_key, &why);
		if (err == 0) {
			next = bch_pos_successor((struct bch_pos){ ret_key->pos.inode, ret_key->pos.offset, UINT32_MAX });
			sweep->inode = next.inode;
			sweep->offset = next.offset;
		}
		sweep->is_begun = true;
		if (err >= 0)
			return err;
		if (!is_damage(err))
			return diag_copy(d, &why);
		err = lose(sweep->check, &sweep->view.cursor, &next, &next, &why, d);
		if (err)
			return err;
		if (next.snapshot)
			next = bch_pos_successor((struct bch_pos){ next.inode, next.offset, UINT32_MAX });
		sweep->inode = next.inode;
		sweep->offset = next.offset;
		sweep->is_begun = false;
	}
}
