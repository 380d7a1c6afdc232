/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_level.h"

#include "convert/bcachefs/bch_fs.h"

static int next_of_node(void *ctx, const void **ret_item, struct diag *d)
{
	struct bch_level *level = ctx;

	(void)d; /* all has been read */
	if (!level->node || level->next == level->node->keys.len)
		return 1;
	*ret_item = &level->node->keys.items[level->next++];
	return 0;
}

static int compare(const void *record, const void *item)
{
	const struct bch_jkey *jkey = record;
	const struct bch_key *key = item;

	return bch_pos_compare(&jkey->pos, &key->pos);
}

/* The records of the journal from @from up to @max. */
static int find_records(struct journal_merge *merge, u8 btree, u8 nr, struct bch_pos from, struct bch_pos max, struct diag *d)
{
	struct bch_jkey probe = { .btree = btree, .level = nr, .pos = max };
	const void *record;
	int err = journal_overlay_seek(merge->overlay, merge->window, &probe, &merge->end, d);

	if (!err)
		err = journal_overlay_find(merge->overlay, merge->window, &probe, &record, d);
	if (err == 0)
		merge->end++;
	probe.pos = from;
	return err < 0 ? err : journal_overlay_seek(merge->overlay, merge->window, &probe, &merge->at, d);
}

int bch_level_begin(struct bch_level *level, struct bch_fs *fs, u8 btree, u8 nr, const struct bch_node *node,
		    struct journal_window *window, struct bch_pos from, struct bch_pos max, struct diag *d)
{
	*level = (struct bch_level){ .fs = fs, .node = node, .max = max, .at = from };
	if (node)
		level->next = array_lower_bound(&node->keys, key, bch_pos_compare(&key->pos, &from) < 0);
	level->merge.next = next_of_node;
	level->merge.ctx = level;
	level->merge.compare = compare;
	if (!fs->uses_journal || !fs->journal || !fs->journal->keys)
		return 0;
	level->merge.overlay = fs->journal->keys;
	level->merge.window = window;
	return find_records(&level->merge, btree, nr, from, max, d);
}

int bch_level_next(struct bch_level *level, u8 *bytes, struct bch_key *ret_key, struct diag *d)
{
	struct journal_merged merged;
	const struct bch_jkey *jkey;
	int err = journal_merge_next(&level->merge, &merged, d);

	if (err)
		return err;
	jkey = merged.record;
	if (jkey) {
		level->at = jkey->pos;
		return bch_jkey_read(level->fs, jkey, bytes, ret_key, d);
	}
	*ret_key = *(const struct bch_key *)merged.item;
	level->at = ret_key->pos;
	return 0;
}

int bch_root_ptr(const struct bch_fs *fs, u8 btree, u8 *ret_level, struct bch_node_ptr *ret_ptr, struct diag *d)
{
	const struct bch_root *root;
	struct bch_key key;
	int err;

	if (btree >= BCH_BTREES_MAX || !fs->roots[btree].is_there)
		return 1;
	root = &fs->roots[btree];
	if (root->level > BCH_LEVEL_MAX)
		return diag_fail(d, -EUCLEAN, "root of btree %u: level %u, at most %u is possible", btree, root->level, BCH_LEVEL_MAX);
	err = bch_key_get(NULL, root->key, root->key_bytes, &key, d);
	if (err < 0)
		return diag_context(d, err, "root of btree %u", btree);
	err = bch_node_ptr_get(fs, &key, ret_ptr, d);
	if (err)
		return diag_context(d, err, "root of btree %u", btree);
	*ret_level = root->level;
	return 0;
}

bool bch_pos_behind(const struct bch_fs *fs, struct bch_pos max, struct bch_pos *ret_pos)
{
	const struct bch_pos last = BCH_POS_MAX;

	if (fs->super->version < BCH_VERSION(0, 12))
		max.snapshot = UINT32_MAX;
	if (bch_pos_compare(&max, &last) == 0)
		return false;
	*ret_pos = bch_pos_successor(max);
	return true;
}
