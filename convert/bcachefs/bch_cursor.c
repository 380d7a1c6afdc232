/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Each level of the path is a node with the journal laid over; pointers are used as they are with the journal, as a node that was
 * split, moved or added to since the journal begins has its newest pointer there only.
 *
 * want is where the cursor has got to: all keys before it have been returned, or are known not to be there. Children must cover all
 * of their parent; where one begins behind want, what is between is lost.
 */
#include "convert/bcachefs/bch_cursor.h"

#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_level.h"
#include "convert/bcachefs/bch_node_cache.h"

struct bch_cursor_path {
	struct bch_level levels[BCH_LEVEL_MAX + 1]; /* by level; leaves are 0 */
	unsigned top; /* the root's */
	unsigned low; /* the lowest in use; top + 1: none is */
	struct journal_window window; /* of all levels: they take turns, and rarely */
	struct bch_pos want;
	bool is_at_end; /* nothing can be behind */
	bool is_seeking; /* no leaf has been reached since: nodes on the way may begin before what is wanted */
	u8 bytes[BCH_KEY_BYTES_MAX]; /* of a key that the journal has */
};

void bch_cursor_init(struct bch_cursor *cursor, struct bch_fs *fs, u8 btree)
{
	*cursor = (struct bch_cursor){ .fs = fs, .btree = btree };
}

static void leave_level(struct bch_cursor *cursor)
{
	struct bch_cursor_path *path = cursor->path;

	bch_node_put(cursor->fs, path->levels[path->low].node);
	path->levels[path->low++].node = NULL;
}

static void leave_all(struct bch_cursor *cursor)
{
	while (cursor->path && cursor->path->low <= cursor->path->top)
		leave_level(cursor);
}

void bch_cursor_done(struct bch_cursor *cursor)
{
	leave_all(cursor);
	if (cursor->path)
		journal_window_done(&cursor->path->window);
	free(cursor->path);
	cursor->path = NULL;
}

/* All from what is wanted up to @max is lost, and the cursor is nowhere until the next seek. */
static int lose(struct bch_cursor *cursor, struct bch_pos max, int err)
{
	cursor->lost_min = cursor->path->want;
	cursor->lost_max = max;
	/* Where there are no snapshots, an offset is lost as a whole; behind the last one nothing is left to go on with. */
	if (cursor->fs->super->version < BCH_VERSION(0, 12))
		cursor->lost_max.snapshot = UINT32_MAX;
	leave_all(cursor);
	cursor->path->is_at_end = true;
	return err;
}

/* The position before @pos, which is not the first. */
static struct bch_pos pos_before(struct bch_pos pos)
{
	if (pos.snapshot-- == 0 && pos.offset-- == 0)
		pos.inode--;
	return pos;
}

/* Of two nodes that both have a position it cannot be told which is right. (Before 0.11 nodes began where the one before ended.) */
static bool begins_too_early(const struct bch_cursor *cursor, const struct bch_node_ptr *ptr)
{
	struct bch_pos behind;

	if (!ptr->has_min || bch_pos_compare(&ptr->min, &cursor->path->want) >= 0)
		return false;
	return bch_pos_behind(cursor->fs, ptr->min, &behind) && bch_pos_compare(&behind, &cursor->path->want) < 0;
}

/* Go down to the node that @ptr points to, which becomes the lowest of the path. */
static int enter(struct bch_cursor *cursor, unsigned nr, const struct bch_node_ptr *ptr, struct bch_pos max, struct diag *d)
{
	struct bch_cursor_path *path = cursor->path;
	char name[16], from[BCH_POS_TEXT_MAX], to[BCH_POS_TEXT_MAX];
	const struct bch_node *node;
	int err;

	if (!path->is_seeking && begins_too_early(cursor, ptr)) {
		err = diag_fail(d, -EUCLEAN, "btree %s, level %u: node from %s on, where others have all before %s",
				bch_btree_name(cursor->btree, name), nr, bch_pos_text(&ptr->min, from), bch_pos_text(&path->want, to));
		return lose(cursor, max, err);
	}
	if (ptr->has_min && bch_pos_compare(&ptr->min, &path->want) > 0) {
		struct bch_pos gap_max = pos_before(ptr->min);

		err = diag_fail(d, -EUCLEAN, "btree %s, level %u: no node has %s to %s", bch_btree_name(cursor->btree, name), nr,
				bch_pos_text(&path->want, from), bch_pos_text(&gap_max, to));
		return lose(cursor, gap_max, err);
	}
	err = bch_node_get(cursor->fs, cursor->btree, (u8)nr, ptr, &node, d);
	if (err)
		return lose(cursor, max, err);
	path->low = nr;
	path->is_seeking = path->is_seeking && nr > 0;
	err = bch_level_begin(&path->levels[nr], cursor->fs, cursor->btree, (u8)nr, node, &path->window, path->want, max, d);
	return err ? lose(cursor, max, err) : 0;
}

static int enter_root(struct bch_cursor *cursor, struct diag *d)
{
	struct bch_cursor_path *path = cursor->path;
	struct bch_node_ptr ptr;
	u8 nr = 0;
	int err = bch_root_ptr(cursor->fs, cursor->btree, &nr, &ptr, d);

	if (err < 0)
		return lose(cursor, BCH_POS_MAX, err);
	path->top = nr;
	path->low = path->top + 1;
	if (err == 0)
		return enter(cursor, nr, &ptr, BCH_POS_MAX, d);
	path->low = 0;
	err = bch_level_begin(&path->levels[0], cursor->fs, cursor->btree, 0, NULL, &path->window, path->want, BCH_POS_MAX, d);
	return err ? lose(cursor, BCH_POS_MAX, err) : 0;
}

/* The lowest level has no child left. Its last one must have ended where it does. */
static int end_interior(struct bch_cursor *cursor, struct diag *d)
{
	struct bch_cursor_path *path = cursor->path;
	struct bch_pos max = path->levels[path->low].max, last = max;
	char name[16], from[BCH_POS_TEXT_MAX], to[BCH_POS_TEXT_MAX];
	int err;

	if (path->low == path->top)
		last.snapshot = 0; /* where all ended before there were snapshots */
	if (!path->is_at_end && bch_pos_compare(&path->want, &last) <= 0) {
		err = diag_fail(d, -EUCLEAN, "btree %s, level %u: no node has %s to %s", bch_btree_name(cursor->btree, name),
				path->low - 1, bch_pos_text(&path->want, from), bch_pos_text(&max, to));
		return lose(cursor, max, err);
	}
	leave_level(cursor);
	return 0;
}

/* From an interior level that is the lowest go down to its next child. */
static int enter_child(struct bch_cursor *cursor, struct diag *d)
{
	struct bch_cursor_path *path = cursor->path;
	struct bch_level *level = &path->levels[path->low];
	char name[16], at[BCH_POS_TEXT_MAX];
	struct bch_node_ptr ptr;
	struct bch_key key;
	int err = bch_level_next(level, path->bytes, &key, d);

	if (err == 1)
		return end_interior(cursor, d);
	if (!err)
		err = bch_node_ptr_get(cursor->fs, &key, &ptr, d);
	if (!err)
		return enter(cursor, path->low - 1, &ptr, ptr.max, d);
	err = diag_context(d, err, "btree %s, level %u, at %s", bch_btree_name(cursor->btree, name), path->low,
			   bch_pos_text(&level->at, at));
	return lose(cursor, level->at, err);
}

/* The leaf has no key left. */
static void end_leaf(struct bch_cursor *cursor)
{
	struct bch_cursor_path *path = cursor->path;

	path->is_at_end = !bch_pos_behind(cursor->fs, path->levels[0].max, &path->want);
	leave_level(cursor);
}

int bch_cursor_next(struct bch_cursor *cursor, struct bch_key *ret_key, struct diag *d)
{
	struct bch_cursor_path *path = cursor->path;
	int err;

	while (path && path->low <= path->top) {
		char name[16], at[BCH_POS_TEXT_MAX];

		if (path->low > 0) {
			err = enter_child(cursor, d);
			if (err)
				return err;
			continue;
		}
		err = bch_level_next(&path->levels[0], path->bytes, ret_key, d);
		if (err == 0) {
			path->want = bch_pos_successor(ret_key->pos);
			return 0;
		}
		if (err < 0) {
			struct bch_pos lost = path->levels[0].at;

			err = diag_context(d, err, "btree %s, key %s", bch_btree_name(cursor->btree, name), bch_pos_text(&lost, at));
			path->want = lost;
			return lose(cursor, lost, err);
		}
		end_leaf(cursor);
	}
	return 1;
}

int bch_cursor_seek(struct bch_cursor *cursor, const struct bch_pos *pos, struct bch_key *ret_key, struct diag *d)
{
	struct bch_cursor_path *path = cursor->path;
	struct bch_pos want = *pos; /* may be in the cursor */
	int err;

	if (!path) {
		path = cursor->path = calloc(1, sizeof(*path));
		if (!path)
			return diag_no_memory(d, "a cursor");
		path->low = path->top + 1;
	}
	/* Where there are no snapshots, behind a position is the next offset: between nodes there is nothing. */
	if (want.snapshot && cursor->fs->super->version < BCH_VERSION(0, 12))
		want = bch_pos_successor((struct bch_pos){ want.inode, want.offset, UINT32_MAX });
	leave_all(cursor);
	path->want = want;
	path->is_at_end = false;
	path->is_seeking = true;
	err = enter_root(cursor, d);
	return err ? err : bch_cursor_next(cursor, ret_key, d);
}
