/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Nodes of btrees: every copy of each; and that those of one level fill the range of keys from its beginning to its end, each
 * beginning where the one before it ends. What is below a node that is lost is lost with it.
 */
#include "convert/bcachefs/bch_check.h"

typedef unsigned long long ull;

struct tiling {
	struct bch_check *check;
	/* Of each level: where the next node has to begin. Of the first one, anywhere that is before all keys. */
	struct bch_pos end[BCH_LEVEL_MAX + 1]; /* of the last node */
	bool has_end[BCH_LEVEL_MAX + 1];
	struct bch_pos root_max;
	bool has_root;
	u8 root_level;
};

static bool is_of_files(u8 btree)
{
	return btree <= BCH_XATTRS || btree == BCH_REFLINK || btree == BCH_SUBVOLUMES || btree == BCH_SNAPSHOTS;
}

/* Of old nodes of extents, which begin where the one before ends; and those from before there were snapshots. */
static bool is_next(u8 btree, const struct bch_pos *end, const struct bch_pos *min)
{
	struct bch_pos next = bch_pos_successor(*end);
	struct bch_pos next_offset = bch_pos_successor((struct bch_pos){ end->inode, end->offset, UINT32_MAX });

	if (bch_pos_compare(&next, min) == 0 || (end->snapshot == 0 && bch_pos_compare(&next_offset, min) == 0))
		return true;
	return (btree == BCH_EXTENTS || btree == BCH_REFLINK) && bch_pos_compare(end, min) == 0;
}

static void judge_begin(struct tiling *tiling, u8 btree, u8 level, const struct bch_pos *min)
{
	const struct bch_pos zero = BCH_POS_MIN;
	const struct bch_pos *end = &tiling->end[level];
	char name[16], a[BCH_POS_TEXT_MAX], b[BCH_POS_TEXT_MAX];

	if (!tiling->has_end[level]) {
		if (bch_pos_compare(min, &zero) != 0)
			complain(tiling->check, BCH_RANGE_GAP, AT(0), bch_btree_name(btree, name), level, bch_pos_text(&zero, a),
				 bch_pos_text(min, b));
		return;
	}
	if (is_next(btree, end, min))
		return;
	if (bch_pos_compare(min, end) <= 0)
		complain(tiling->check, BCH_RANGE_OVERLAP, AT(0), bch_btree_name(btree, name), level, bch_pos_text(min, a),
			 bch_pos_text(end, b));
	else
		complain(tiling->check, BCH_RANGE_GAP, AT(0), bch_btree_name(btree, name), level, bch_pos_text(end, a),
			 bch_pos_text(min, b));
}

/* The range of the node is dealt with on its level, and, if there is nothing below it, on those too. */
static void cover(struct tiling *tiling, u8 level, const struct bch_pos *max, bool is_lost)
{
	tiling->end[level] = *max;
	tiling->has_end[level] = true;
	while (is_lost && level-- > 0) {
		tiling->end[level] = *max;
		tiling->has_end[level] = true;
	}
}

static void judge_end(struct tiling *tiling, u8 btree)
{
	char name[16], a[BCH_POS_TEXT_MAX], b[BCH_POS_TEXT_MAX];

	for (unsigned level = 0; tiling->has_root && level <= tiling->root_level; level++)
		if (!tiling->has_end[level] || bch_pos_compare(&tiling->end[level], &tiling->root_max) < 0)
			complain(tiling->check, BCH_RANGE_GAP, AT(0), bch_btree_name(btree, name), level,
				 bch_pos_text(&tiling->end[level], a), bch_pos_text(&tiling->root_max, b));
}

static void judge_copies(struct bch_check *check, const struct bch_node_visit *visit)
{
	const char *last = "there is no pointer to any";
	char name[16], a[BCH_POS_TEXT_MAX], b[BCH_POS_TEXT_MAX];

	bch_btree_name(visit->btree, name);
	for (unsigned i = 0; i < visit->ptr->nr_replicas && i < ARRAY_LEN(visit->replica_bad); i++) {
		const struct place *place = AT(.devid = visit->ptr->replica[i].device, .physical = visit->ptr->replica[i].physical);

		if (!visit->replica_bad[i])
			continue;
		last = visit->replica_bad[i]->text;
		if (visit->node)
			complain(check, BCH_NODE_COPY_BAD, place, bch_btree_name(visit->btree, name), visit->level,
				 bch_pos_text(&visit->ptr->min, a), bch_pos_text(&visit->ptr->max, b), i, last);
	}
	if (visit->node)
		return;
	check->result->nr_unreadable_blocks++;
	complain(check, BCH_NODE_LOST, AT(.devid = visit->ptr->nr_replicas ? visit->ptr->replica[0].device : 0,
					  .physical = visit->ptr->nr_replicas ? visit->ptr->replica[0].physical : 0),
		 bch_btree_name(visit->btree, name), visit->level, bch_pos_text(&visit->ptr->min, a),
		 bch_pos_text(&visit->ptr->max, b), last);
}

static void judge_first_bset(struct bch_check *check, const struct bch_node_visit *visit)
{
	u64 seq = le64_get(((const struct disk_bch_node *)visit->node->raw)->bset.journal_seq);
	const struct bch_journal *journal = check->fs->journal;
	char name[16], a[BCH_POS_TEXT_MAX], b[BCH_POS_TEXT_MAX];

	if (bch_super_is_blacklisted(check->fs->super, seq) ||
	    (check->fs->uses_journal && journal && journal->newest_seq && seq > journal->newest_seq))
		complain(check, BCH_BLACKLISTED_FIRST_BSET, AT(0), bch_btree_name(visit->btree, name), visit->level,
			 bch_pos_text(&visit->ptr->min, a), bch_pos_text(&visit->ptr->max, b), (ull)seq);
}

static int judge_node(void *ctx, const struct bch_node_visit *visit, struct diag *d)
{
	struct tiling *tiling = ctx;
	struct bch_check *check = tiling->check;

	if (bch_check_is_cancelled(check))
		return diag_fail(d, -ECANCELED, "cancelled");
	check->result->nr_blocks++;
	check->result->metadata_bytes += (u64)check->fs->super->node_bytes * visit->ptr->nr_replicas;
	progress_add(check->progress, (u64)check->fs->super->node_bytes * visit->ptr->nr_replicas, 0);
	judge_copies(check, visit);
	if (visit->node)
		judge_first_bset(check, visit);
	if (!tiling->has_root) {
		tiling->has_root = true;
		tiling->root_level = MIN(visit->level, (u8)BCH_LEVEL_MAX);
		tiling->root_max = visit->ptr->max;
	}
	if (visit->level <= BCH_LEVEL_MAX) {
		if (visit->node)
			judge_begin(tiling, visit->btree, visit->level, &visit->node->min);
		else if (visit->ptr->has_min)
			judge_begin(tiling, visit->btree, visit->level, &visit->ptr->min);
		cover(tiling, visit->level, &visit->ptr->max, !visit->node);
	}
	if (visit->node || !is_of_files(visit->btree))
		return 0;
	return bch_lost_add(check, visit->btree, &visit->ptr->min, &visit->ptr->max, d);
}

int bch_pass_nodes(struct bch_check *check, struct diag *d)
{
	for (unsigned btree = 0; btree < BCH_BTREES_MAX; btree++) {
		struct tiling tiling = { .check = check };
		struct diag why = { 0 };
		char name[16];
		int err;

		if (!check->fs->roots[btree].is_there)
			continue;
		err = bch_btree_for_each_node(check->fs, (u8)btree, judge_node, &tiling, &why);
		if (err == -ENOMEM || err == -ECANCELED)
			return diag_copy(d, &why);
		if (err < 0)
			complain(check, BCH_BTREE_LOST, AT(0), bch_btree_name((u8)btree, name), why.text);
		else
			judge_end(&tiling, (u8)btree);
	}
	return 0;
}
