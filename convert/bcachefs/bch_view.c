/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Keys at one place are sorted by snapshot, younger ones first: the first that is seen hides all others. */
#include "convert/bcachefs/bch_fs.h"

void bch_view_init(struct bch_view *view, struct bch_fs *fs, u8 btree, u32 snapshot)
{
	*view = (struct bch_view){ .snapshot = snapshot };
	bch_cursor_init(&view->cursor, fs, btree);
}

void bch_view_done(struct bch_view *view)
{
	bch_cursor_done(&view->cursor);
}

static bool is_whiteout(const struct bch_key *key)
{
	return key->type == BCH_KEY_WHITEOUT || key->type == BCH_KEY_EXTENT_WHITEOUT;
}

static int fail_unsure(struct bch_view *view, const struct bch_pos *pos, struct diag *d)
{
	char name[16], at[BCH_POS_TEXT_MAX];

	view->cursor.lost_min = view->cursor.lost_max = *pos;
	view->cursor.lost_min.snapshot = 0;
	view->cursor.lost_max.snapshot = UINT32_MAX;
	return diag_fail(d, -EUCLEAN, "btree %s, %s: as snapshots are lost, it cannot be told whether this is what snapshot %u has there",
			 bch_btree_name(view->cursor.btree, name), bch_pos_text(pos, at), view->snapshot);
}

/* From the cursor's key on, which reading it gave @err. */
static int find_seen(struct bch_view *view, int err, struct bch_key *ret_key, struct diag *d)
{
	struct bch_key key = *ret_key;
	int sees;

	for (; !err; err = bch_cursor_next(&view->cursor, &key, d)) {
		if (view->has_last && key.pos.inode == view->last_inode && key.pos.offset == view->last_offset)
			continue;
		sees = bch_snapshot_judge(view->cursor.fs, view->snapshot, key.pos.snapshot);
		if (sees < 0)
			return fail_unsure(view, &key.pos, d);
		if (!sees)
			continue;
		view->has_last = true;
		view->last_inode = key.pos.inode;
		view->last_offset = key.pos.offset;
		if (is_whiteout(&key))
			continue;
		*ret_key = key;
		return 0;
	}
	return err;
}

int bch_view_seek(struct bch_view *view, u64 inode, u64 offset, struct bch_key *ret_key, struct diag *d)
{
	struct bch_pos pos = { .inode = inode, .offset = offset };

	view->has_last = false;
	return find_seen(view, bch_cursor_seek(&view->cursor, &pos, ret_key, d), ret_key, d);
}

int bch_view_next(struct bch_view *view, struct bch_key *ret_key, struct diag *d)
{
	return find_seen(view, bch_cursor_next(&view->cursor, ret_key, d), ret_key, d);
}
