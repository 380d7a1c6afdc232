/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convert/bcachefs: volumes whose keys of subvolumes and snapshots are lost, all or some. Histories of subvolumes, snapshots, writes and
 * deletions are made at random; what each subvolume had is known. Whatever is lost, what is shown of a subvolume is what it had, and
 * what is not shown is said to be unsure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "convert/bcachefs/bch_fs.h"
#include "kernel-shared/device/memory_device.h"

#define KEYS_MAX 2000
#define SLOT_BYTES 512
#define NODES_MAX 64
#define SUBVOLS_MAX 24
#define SNAPSHOT_DELETED 1

/* --- The history ------------------------------------------------------------------------------------------------- */

struct model_key {
	u8 btree, type;
	u64 inode, offset;
	u32 snapshot;
	u64 tag; /* tells it from all others */
	u32 subvol; /* of an inode at a top */
};

struct model_node {
	u32 id, parent, subvol; /* subvol: of leaves */
	bool is_leaf, is_deleted;
	u64 tree; /* inode at the top */
};

struct model_subvol {
	u32 id, leaf;
	u64 top_ino;
	bool is_gone;
};

struct model {
	struct model_key keys[KEYS_MAX];
	struct model_node nodes[NODES_MAX];
	struct model_subvol subvols[SUBVOLS_MAX];
	unsigned nr_keys, nr_nodes, nr_subvols;
	u64 next_ino, next_tag;
	u64 random;
};

static u32 pick(struct model *model, u32 below)
{
	model->random = model->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(model->random >> 33) % below;
}

static struct model_node *node_of(struct model *model, u32 id)
{
	for (unsigned i = 0; i < model->nr_nodes; i++)
		if (model->nodes[i].id == id)
			return &model->nodes[i];
	return NULL;
}

/* Ids go down from the lowest that there is. */
static u32 add_node(struct model *model, u32 parent, u32 subvol, u64 tree)
{
	u32 id = UINT32_MAX;

	for (unsigned i = 0; i < model->nr_nodes; i++)
		id = MIN(id, model->nodes[i].id - 1);
	if (parent)
		node_of(model, parent)->is_leaf = false;
	assert_true(model->nr_nodes < NODES_MAX);
	model->nodes[model->nr_nodes++] = (struct model_node){ id, parent, subvol, true, false, tree };
	return id;
}

static struct model_key *key_at(struct model *model, u8 btree, u64 inode, u64 offset, u32 snapshot)
{
	for (unsigned i = 0; i < model->nr_keys; i++) {
		struct model_key *key = &model->keys[i];

		if (key->btree == btree && key->inode == inode && key->offset == offset && key->snapshot == snapshot)
			return key;
	}
	return NULL;
}

static void put(struct model *model, u8 btree, u8 type, u64 inode, u64 offset, u32 snapshot, u32 subvol)
{
	struct model_key *key = key_at(model, btree, inode, offset, snapshot);

	if (!key) {
		if (model->nr_keys == KEYS_MAX)
			return;
		key = &model->keys[model->nr_keys++];
	}
	*key = (struct model_key){ btree, type, inode, offset, snapshot, ++model->next_tag, subvol };
}

static void put_top(struct model *model, const struct model_subvol *subvol)
{
	put(model, BCH_INODES, BCH_KEY_INODE, 0, subvol->top_ino, subvol->leaf, subvol->id);
}

static void make_subvol(struct model *model)
{
	struct model_subvol *subvol = &model->subvols[model->nr_subvols];

	*subvol = (struct model_subvol){ .id = model->nr_subvols + 1, .top_ino = model->nr_subvols ? model->next_ino++ : BCH_TOP_INODE };
	subvol->leaf = add_node(model, 0, subvol->id, subvol->top_ino);
	model->nr_subvols++;
	put_top(model, subvol);
}

static struct model_subvol *any_subvol(struct model *model)
{
	struct model_subvol *subvol;

	do {
		subvol = &model->subvols[pick(model, model->nr_subvols)];
	} while (subvol->is_gone);
	return subvol;
}

static void make_snapshot(struct model *model)
{
	struct model_subvol *from = any_subvol(model), *subvol = &model->subvols[model->nr_subvols];
	u32 parent = from->leaf;

	*subvol = (struct model_subvol){ .id = model->nr_subvols + 1, .top_ino = from->top_ino };
	model->nr_subvols++;
	subvol->leaf = add_node(model, parent, subvol->id, from->top_ino);
	from->leaf = add_node(model, parent, from->id, from->top_ino);
	node_of(model, parent)->subvol = 0;
	put_top(model, subvol);
	if (pick(model, 4))
		put_top(model, from);
}

static void write_file(struct model *model)
{
	const struct model_subvol *subvol = any_subvol(model);
	u64 ino = 0;

	/* One that is in the tree, or a new one. */
	for (unsigned tries = 0; tries < 8 && !ino; tries++) {
		const struct model_key *key = &model->keys[pick(model, model->nr_keys)];
		const struct model_node *node = node_of(model, key->snapshot);

		if (key->btree == BCH_INODES && !key->subvol && node && node->tree == subvol->top_ino)
			ino = key->offset;
	}
	if (!ino || pick(model, 3) == 0)
		ino = model->next_ino++;
	put(model, BCH_INODES, pick(model, 6) ? BCH_KEY_INODE : BCH_KEY_WHITEOUT, 0, ino, subvol->leaf, 0);
	if (pick(model, 2))
		put(model, BCH_DIRENTS, pick(model, 4) ? BCH_KEY_DIRENT : BCH_KEY_WHITEOUT, subvol->top_ino, 10 + pick(model, 20), subvol->leaf,
		    0);
	if (pick(model, 2))
		put_top(model, subvol);
}

static void remove_node(struct model *model, u32 id)
{
	*node_of(model, id) = model->nodes[model->nr_nodes - 1];
	model->nr_nodes--;
	for (unsigned i = 0; i < model->nr_keys;)
		if (model->keys[i].snapshot == id)
			model->keys[i] = model->keys[--model->nr_keys];
		else
			i++;
}

/* An inner one with one child: what it has that the child has not becomes the child's. */
static void collapse(struct model *model, u32 id)
{
	struct model_node *child = NULL;
	u32 parent, child_id;

	for (unsigned i = 0; i < model->nr_nodes; i++) {
		if (model->nodes[i].parent != id)
			continue;
		if (child)
			return;
		child = &model->nodes[i];
	}
	if (!child)
		return;
	child_id = child->id;
	parent = node_of(model, id)->parent;
	child->parent = parent;
	for (unsigned i = 0; i < model->nr_keys; i++) {
		struct model_key *key = &model->keys[i];

		if (key->snapshot == id && !key_at(model, key->btree, key->inode, key->offset, child_id))
			key->snapshot = child_id;
	}
	remove_node(model, id);
}

static void delete_subvol(struct model *model)
{
	struct model_subvol *subvol = any_subvol(model);
	struct model_node *leaf = node_of(model, subvol->leaf);
	u32 parent = leaf->parent, id = leaf->id;

	if (subvol->id == BCH_TOP_SUBVOL)
		return;
	subvol->is_gone = true;
	leaf->is_deleted = true;
	leaf->subvol = 0;
	if (pick(model, 4) == 0) /* bcachefs has not got to it */
		return;
	remove_node(model, id);
	if (parent && pick(model, 4))
		collapse(model, parent);
}

static void make_history(struct model *model, u64 seed)
{
	unsigned nr_steps;

	memset(model, 0, sizeof(*model));
	model->random = seed * 7919 + 1;
	model->next_ino = 5000;
	make_subvol(model);
	nr_steps = 20 + pick(model, 100);
	for (unsigned i = 0; i < nr_steps; i++) {
		u32 what = pick(model, 20);
		bool has_room = model->nr_subvols < SUBVOLS_MAX && model->nr_nodes + 2 < NODES_MAX;

		if (what == 0 && has_room)
			make_subvol(model);
		else if (what <= 3 && has_room)
			make_snapshot(model);
		else if (what == 4)
			delete_subvol(model);
		else
			write_file(model);
	}
}

/* What a subvolume has at a place; NULL: nothing. */
static const struct model_key *truth_at(struct model *model, const struct model_subvol *subvol, u8 btree, u64 inode, u64 offset)
{
	for (u32 at = subvol->leaf; at; at = node_of(model, at)->parent) {
		const struct model_key *key = key_at(model, btree, inode, offset, at);

		if (key)
			return key->type == BCH_KEY_WHITEOUT ? NULL : key;
	}
	return NULL;
}

/* --- The volume ---------------------------------------------------------------------------------------------------- */

struct volume {
	struct bch_fs fs;
	struct bch_super super;
	struct bch_member member;
	struct bch_journal journal;
	struct source_options options;
	struct spill spill;
	struct blockdev *dev;
	u32 nr_keys;
	unsigned nr_notes;
	struct diag d;
};

static int compare_keys(const void *a, const void *b)
{
	const struct bch_jkey *x = a, *y = b;

	if (x->btree != y->btree)
		return x->btree < y->btree ? -1 : 1;
	return x->level != y->level ? x->level - y->level : bch_pos_compare(&x->pos, &y->pos);
}

static int compare(const void *a, const void *b)
{
	const struct bch_jkey *x = a, *y = b;

	return compare_keys(a, b) ?: (x->nr > y->nr) - (x->nr < y->nr);
}

static const struct journal_kind kind = { .record_bytes = sizeof(struct bch_jkey), .compare_keys = compare_keys, .compare = compare };

static void note(void *arg, enum diag_severity severity, const char *text)
{
	(void)severity, (void)text;
	((struct volume *)arg)->nr_notes++;
}

static void volume_init(struct volume *v, struct blockdev *dev)
{
	memset(v, 0, sizeof(*v));
	v->dev = dev;
	v->member = (struct bch_member){ .nr_buckets = 32, .bucket_bytes = dev->size_bytes / 32, .is_used = true };
	v->super.version = BCH_VERSION_KNOWN;
	v->super.nr_devices = 1;
	v->super.block_bytes = 512;
	v->super.time_precision_ns = 1;
	v->super.members.items = &v->member;
	v->super.members.len = 1;
	v->fs.super = &v->super;
	v->fs.devices[0].dev = dev;
	v->fs.options = &v->options;
	v->fs.journal = &v->journal;
	v->fs.uses_journal = true;
	v->spill.dir = "/var/tmp";
	v->d = (struct diag){ .note = note, .note_arg = v };
	assert_int_equal(journal_overlay_new(&kind, &v->spill, MIB, &v->journal.keys), 0);
}

static void put_key(struct volume *v, u8 btree, u8 type, struct bch_pos pos, const u8 *value, size_t len)
{
	struct disk_bch_key disk = { .u64s = (u8)(5 + len / 8), .format = BCH_FORMAT_UNPACKED, .type = type };
	u64 slot = (u64)v->nr_keys * SLOT_BYTES;
	u8 bytes[SLOT_BYTES] = { 0 };
	struct bch_jkey jkey = {
		.pos = pos, .btree = btree, .type = type, .nr = v->nr_keys++, .jset_physical = slot,
		.physical = slot + sizeof(struct disk_bch_jset), .jset_bytes = SLOT_BYTES, .version = BCH_VERSION_KNOWN,
	};

	assert_true(slot + SLOT_BYTES <= v->dev->size_bytes && len % 8 == 0);
	le32_put(&disk.pos.snapshot, pos.snapshot);
	le64_put(&disk.pos.offset, pos.offset);
	le64_put(&disk.pos.inode, pos.inode);
	memcpy(bytes, &disk, sizeof(disk));
	if (len)
		memcpy(bytes + sizeof(disk), value, len);
	assert_int_equal(blockdev_write(v->dev, jkey.physical, bytes, disk.u64s * 8, &v->d), 0);
	assert_int_equal(journal_overlay_add(v->journal.keys, &jkey, &v->d), 0);
}

static void put_model_key(struct volume *v, const struct model_key *key)
{
	/* An inode of 24 fields, of which the last is the subvolume; times have two numbers each. */
	u8 value[48] = { [11] = 0x80 | 24, [12] = 0, [13] = key->subvol ? 0x40 : 0x80, [14 + 27] = (u8)(key->subvol * 2) };
	le64 tag;
	size_t len = key->type == BCH_KEY_WHITEOUT ? 0 : key->btree == BCH_INODES ? sizeof(value) : 16;

	if (key->btree == BCH_DIRENTS)
		value[8] = 8, value[9] = 'n', memset(value + 10, 0, 6);
	le64_put(&tag, key->tag);
	memcpy(value, &tag, sizeof(tag));
	put_key(v, key->btree, key->type, (struct bch_pos){ key->inode, key->offset, key->snapshot }, value, len);
}

enum { LOSE_SUBVOLS = 1, LOSE_SNAPSHOTS = 2, LOSE_TREES = 4, LOSE_SOME = 8 };

static void put_u32(u8 *value, size_t at, u32 number)
{
	le32 disk;

	le32_put(&disk, number);
	memcpy(value + at, &disk, sizeof(disk));
}

static void put_node(struct volume *v, struct model *model, const struct model_node *node, bool is_bad)
{
	u8 value[24] = { 0 };
	unsigned nr = 0;

	put_u32(value, 0, node->is_deleted ? SNAPSHOT_DELETED : 0);
	put_u32(value, 4, node->parent);
	for (unsigned i = 0; i < model->nr_nodes; i++)
		if (model->nodes[i].parent == node->id && nr < 2)
			put_u32(value, 8 + 4 * nr++, model->nodes[i].id);
	put_u32(value, 16, node->subvol);
	put_key(v, BCH_SNAPSHOTS, BCH_KEY_SNAPSHOT, (struct bch_pos){ 0, node->id, 0 }, value, is_bad ? 8 : sizeof(value));
}

static void put_subvol(struct volume *v, const struct model_subvol *subvol, bool is_bad)
{
	u8 value[40] = { 0 };
	le64 ino;

	put_u32(value, 4, subvol->leaf);
	le64_put(&ino, subvol->top_ino);
	memcpy(value + 8, &ino, sizeof(ino));
	put_key(v, BCH_SUBVOLUMES, BCH_KEY_SUBVOLUME, (struct bch_pos){ 0, subvol->id, 0 }, value, is_bad ? 8 : sizeof(value));
}

static void make_volume(struct volume *v, struct model *model, unsigned loss)
{
	for (unsigned i = 0; i < model->nr_keys; i++)
		put_model_key(v, &model->keys[i]);
	for (unsigned i = 0; i < model->nr_nodes; i++) {
		bool is_lost = loss & LOSE_SNAPSHOTS && (!(loss & LOSE_SOME) || pick(model, 3) == 0);

		put_node(v, model, &model->nodes[i], is_lost);
		if (!model->nodes[i].parent && !(loss & LOSE_TREES)) {
			u8 value[8] = { 0 };

			put_u32(value, 4, model->nodes[i].id);
			put_key(v, BCH_SNAPSHOT_TREES, BCH_KEY_SNAPSHOT_TREE, (struct bch_pos){ 0, i + 1, 0 }, value, sizeof(value));
		}
	}
	for (unsigned i = 0; i < model->nr_subvols; i++)
		if (!model->subvols[i].is_gone)
			put_subvol(v, &model->subvols[i], loss & LOSE_SUBVOLS && (!(loss & LOSE_SOME) || pick(model, 3) == 0));
	assert_int_equal(journal_overlay_finish(v->journal.keys, NULL, NULL, &v->d), 0);
}

/* --- Beside each other ------------------------------------------------------------------------------------------------ */

struct tally {
	u64 nr_right, nr_unsure, nr_subvols, nr_lost_subvols;
};

/* A place at which a view fails is lost; any other is as it was. */
static void compare_place(struct volume *v, struct model *model, const struct model_subvol *subvol, u32 snapshot,
			  const struct model_key *place, struct tally *tally)
{
	const struct model_key *truth = truth_at(model, subvol, place->btree, place->inode, place->offset);
	struct diag d = { 0 };
	struct bch_view view;
	struct bch_key key;
	bool is_there;
	le64 tag;
	int err;

	bch_view_init(&view, &v->fs, place->btree, snapshot);
	err = bch_view_seek(&view, place->inode, place->offset, &key, &d);
	is_there = !err && key.pos.inode == place->inode && key.pos.offset == place->offset;
	if (err < 0) {
		assert_int_equal(err, -EUCLEAN);
		assert_true(d.text[0]);
	}
	if (err < 0 && view.cursor.lost_min.inode == place->inode && view.cursor.lost_min.offset == place->offset) {
		tally->nr_unsure++;
	} else {
		assert_int_equal(is_there, truth != NULL);
		tally->nr_right++;
	}
	if (is_there) {
		memcpy(&tag, key.value, sizeof(tag));
		assert_int_equal(le64_get(tag), truth->tag);
	}
	bch_view_done(&view);
}

static void compare_all(struct volume *v, struct model *model, unsigned loss, struct tally *tally)
{
	for (unsigned i = 0; i < model->nr_subvols; i++) {
		const struct model_subvol *subvol = &model->subvols[i];
		const struct bch_subvol *found = bch_subvol_find(&v->fs, subvol->id);

		if (subvol->is_gone)
			continue;
		tally->nr_subvols++;
		tally->nr_lost_subvols += !found;
		if (!found)
			continue;
		assert_int_equal(found->top_ino, subvol->top_ino);
		if (!found->is_leaf_lost)
			assert_int_equal(found->snapshot, subvol->leaf);
		for (unsigned k = 0; k < model->nr_keys; k++)
			compare_place(v, model, subvol, found->snapshot, &model->keys[k], tally);
	}
	/* Those that were deleted do not come back, unless all that says so is lost. */
	array_for_each(&v->fs.snapshots.subvols, found)
		if (!(loss & LOSE_SUBVOLS) || !(loss & LOSE_SNAPSHOTS))
			assert_true(found->id <= model->nr_subvols && !model->subvols[found->id - 1].is_gone);
}

static void run(u64 first_seed, unsigned nr, unsigned loss, struct tally *tally)
{
	struct model *model = malloc(sizeof(*model));
	struct volume *v = malloc(sizeof(*v));
	struct blockdev *dev;

	assert_non_null(model);
	assert_non_null(v);
	assert_int_equal(memory_device_new("memory", (KEYS_MAX + 2 * NODES_MAX + SUBVOLS_MAX) * SLOT_BYTES, &dev), 0);
	*tally = (struct tally){ 0 };
	for (u64 seed = first_seed; seed < first_seed + nr; seed++) {
		make_history(model, seed);
		volume_init(v, dev);
		make_volume(v, model, loss);
		assert_int_equal(bch_snapshots_read(&v->fs, &v->fs.snapshots, &v->d), 0);
		if (v->fs.snapshots.subvols.items[0].snapshot == 0) /* only one, without a snapshot: read as one that never had any */
			assert_int_equal(v->nr_notes, 1);
		else
			compare_all(v, model, loss, tally);
		bch_snapshots_done(&v->fs.snapshots);
		journal_overlay_free(v->journal.keys);
	}
	blockdev_close(dev);
	free(v);
	free(model);
	print_message("%llu keys right, %llu unsure; %llu subvolumes, %llu lost\n", (unsigned long long)tally->nr_right,
		      (unsigned long long)tally->nr_unsure, (unsigned long long)tally->nr_subvols, (unsigned long long)tally->nr_lost_subvols);
}

/* Histories: a few, or a wide run. */
static unsigned nr_seeds(void)
{
	return getenv("BTRKIT_LONG") ? 3000 : 60;
}


static void test_nothing_lost(void **state)
{
	struct tally tally;

	(void)state;
	run(1, nr_seeds(), 0, &tally);
	assert_true(tally.nr_right > 10000);
	assert_int_equal(tally.nr_unsure + tally.nr_lost_subvols, 0);
}

/* Snapshots say which subvolume each is of. */
static void test_subvols_lost(void **state)
{
	struct tally tally;

	(void)state;
	run(1, nr_seeds(), LOSE_SUBVOLS, &tally);
	assert_true(tally.nr_right > 10000);
	assert_int_equal(tally.nr_unsure + tally.nr_lost_subvols, 0);
}

static void test_snapshots_lost(void **state)
{
	struct tally tally;

	(void)state;
	run(1, nr_seeds(), LOSE_SNAPSHOTS, &tally);
	assert_int_equal(tally.nr_lost_subvols, 0);
	assert_true(tally.nr_right > tally.nr_unsure);
}

static void test_trees_lost(void **state)
{
	struct tally tally;

	(void)state;
	run(1, nr_seeds(), LOSE_SNAPSHOTS | LOSE_TREES, &tally);
	assert_int_equal(tally.nr_lost_subvols, 0);
	assert_true(tally.nr_right > tally.nr_unsure);
}

static void test_all_lost(void **state)
{
	struct tally tally;

	(void)state;
	run(1, nr_seeds(), LOSE_SUBVOLS | LOSE_SNAPSHOTS | LOSE_TREES, &tally);
	assert_int_equal(tally.nr_lost_subvols, 0);
	assert_true(tally.nr_right > tally.nr_unsure / 2);
}

static void test_some_lost(void **state)
{
	struct tally tally;

	(void)state;
	run(1, nr_seeds(), LOSE_SOME | LOSE_SUBVOLS, &tally);
	assert_int_equal(tally.nr_unsure + tally.nr_lost_subvols, 0);
	run(1, nr_seeds(), LOSE_SOME | LOSE_SNAPSHOTS, &tally);
	assert_int_equal(tally.nr_lost_subvols, 0);
	assert_true(tally.nr_unsure * 10 < tally.nr_right);
	run(1, nr_seeds(), LOSE_SOME | LOSE_SUBVOLS | LOSE_SNAPSHOTS | LOSE_TREES, &tally);
	assert_true(tally.nr_unsure * 5 < tally.nr_right);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_lost), cmocka_unit_test(test_subvols_lost), cmocka_unit_test(test_snapshots_lost),
		cmocka_unit_test(test_trees_lost),   cmocka_unit_test(test_all_lost),	  cmocka_unit_test(test_some_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
