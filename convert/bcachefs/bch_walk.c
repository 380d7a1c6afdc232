/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each node of a btree, every copy of it, past the cache. */
#include "convert/bcachefs/bch_cursor.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_level.h"

struct walk {
	struct bch_fs *fs;
	u8 btree;
	int (*fn)(void *ctx, const struct bch_node_visit *visit, struct diag *d);
	void *ctx;
	struct diag why[8]; /* of the node that is being read */
	struct journal_window window;
	u8 bytes[BCH_KEY_BYTES_MAX];
};

/* *ret_node: NULL if no replica is good. */
static int read_replicas(struct walk *walk, u8 nr, const struct bch_node_ptr *ptr, struct bch_node_visit *visit,
			 struct bch_node **ret_node, struct diag *d)
{
	for (unsigned i = 0; i < ptr->nr_replicas; i++) {
		_cleanup_(bch_node_freep) struct bch_node *node = NULL;
		int err;

		diag_clear(&walk->why[i]);
		err = bch_node_read(walk->fs, walk->btree, nr, ptr, (int)i, &node, &walk->why[i]);
		if (err == -ENOMEM)
			return diag_no_memory(d, "a node of a btree");
		if (err)
			visit->replica_bad[i] = &walk->why[i];
		else if (!*ret_node)
			*ret_node = take_ptr(node);
	}
	return 0;
}

static int visit_node(struct walk *walk, u8 nr, const struct bch_node_ptr *ptr, struct bch_node **ret_node, struct diag *d)
{
	struct bch_node_visit visit = { .btree = walk->btree, .level = nr, .ptr = ptr };
	int err = read_replicas(walk, nr, ptr, &visit, ret_node, d);

	visit.node = *ret_node;
	return err ? err : walk->fn(walk->ctx, &visit, d);
}

/* A key that says of no node where it is. */
static int visit_bad_key(struct walk *walk, u8 nr, struct bch_pos max, struct diag *d)
{
	struct bch_node_ptr ptr = { .max = max };
	struct bch_node_visit visit = { .btree = walk->btree, .level = nr, .ptr = &ptr, .replica_bad = { &walk->why[0] } };

	return walk->fn(walk->ctx, &visit, d);
}

static int walk_below(struct walk *walk, u8 nr, const struct bch_node *node, struct bch_pos min, struct bch_pos max, struct diag *d);

static int walk_node(struct walk *walk, u8 nr, const struct bch_node_ptr *ptr, bool is_root, struct diag *d)
{
	_cleanup_(bch_node_freep) struct bch_node *node = NULL;
	int err = visit_node(walk, nr, ptr, &node, d);

	if (err || !node || nr == 0)
		return err;
	return is_root ? walk_below(walk, nr, node, BCH_POS_MIN, BCH_POS_MAX, d) :
			 walk_below(walk, nr, node, node->min, node->max, d);
}

static int walk_below(struct walk *walk, u8 nr, const struct bch_node *node, struct bch_pos min, struct bch_pos max, struct diag *d)
{
	struct bch_level level;
	int err = bch_level_begin(&level, walk->fs, walk->btree, nr, node, &walk->window, min, max, d);

	while (!err) {
		struct bch_node_ptr ptr;
		struct bch_key key;

		err = bch_level_next(&level, walk->bytes, &key, &walk->why[0]);

		if (err == 1)
			return 0;
		if (!err)
			err = bch_node_ptr_get(walk->fs, &key, &ptr, &walk->why[0]);
		if (err == -ENOMEM || err == -ENOTRECOVERABLE)
			return diag_copy(d, &walk->why[0]);
		err = err ? visit_bad_key(walk, nr - 1, level.at, d) : walk_node(walk, nr - 1, &ptr, false, d);
	}
	return err;
}

int bch_btree_for_each_node(struct bch_fs *fs, u8 btree, int (*fn)(void *ctx, const struct bch_node_visit *visit, struct diag *d),
			    void *ctx, struct diag *d)
{
	struct bch_node_ptr ptr;
	struct walk *walk;
	u8 nr;
	int err = bch_root_ptr(fs, btree, &nr, &ptr, d);

	if (err)
		return err < 0 ? err : 0;
	walk = calloc(1, sizeof(*walk));
	if (!walk)
		return diag_no_memory(d, "the nodes of a btree");
	walk->fs = fs;
	walk->btree = btree;
	walk->fn = fn;
	walk->ctx = ctx;
	err = walk_node(walk, nr, &ptr, true, d);
	journal_window_done(&walk->window);
	free(walk);
	return err;
}
