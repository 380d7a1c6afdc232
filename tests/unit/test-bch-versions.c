/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert/bcachefs: what older versions wrote, in volumes of theirs and in those that newer ones have taken over. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "convert/bcachefs/bch_key_versions.h"
#include "tests/unit/hand_bch.h"

static const struct bch_pos low = { 1, 0, 0 }, high = { 9999, 5, 0 };

static struct hand_bch hand;
static struct hand_node node;
static struct bch_node *got;

static int set_up(void **state)
{
	(void)state;
	hand_bch_init(&hand);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	bch_node_free(got);
	got = NULL;
	hand_bch_done(&hand);
	return 0;
}

static struct bch_node_ptr ptr_to(size_t bytes_written)
{
	return (struct bch_node_ptr){ .min = low, .max = high, .has_min = true, .has_seq = true, .seq = HAND_SEQ,
				      .bytes_written = (u32)bytes_written, .nr_replicas = 1, .replica = { { 0, 65536 } } };
}

static int read_as(u8 btree, const struct bch_node_ptr *ptr)
{
	bch_node_free(got);
	got = NULL;
	return bch_node_read(&hand.fs, btree, 0, ptr, -1, &got, &hand.diag);
}

/* --- Nodes ------------------------------------------------------------------------------------------------------- */

static void nodes_have_no_snapshots(void **state)
{
	struct disk_bch_node *header = (void *)node.raw;
	struct bch_node_ptr ptr;

	(void)state;
	/* Before snapshots, in a volume that has them now. */
	hand_node_begin(&node, &hand, BCH_DIRENTS, 0, low, (struct bch_pos){ 9999, 5, 0 });
	le16_put(&header->bset.version, 11);
	hand_add_number(&node, (struct bch_pos){ 4096, 9, 0 }, BCH_KEY_DIRENT, 1);
	ptr = ptr_to(hand_bset_end(&node));
	ptr.max.snapshot = UINT32_MAX;
	hand_write(&hand, &node, 0, 65536);
	assert_int_equal(read_as(BCH_DIRENTS, &ptr), 0);
	assert_int_equal(got->keys.items[0].pos.snapshot, UINT32_MAX);
	/* Keys of other btrees have none, and their nodes end as all do. */
	hand_node_begin(&node, &hand, BCH_REFLINK, 0, low, (struct bch_pos){ 9999, 5, 0 });
	le16_put(&header->bset.version, 11);
	hand_add_number(&node, (struct bch_pos){ 4096, 9, 0 }, BCH_KEY_REFLINK_V, 1);
	(void)hand_bset_end(&node);
	hand_write(&hand, &node, 0, 131072);
	ptr.replica[0].physical = 131072;
	assert_int_equal(read_as(BCH_REFLINK, &ptr), 0);
	assert_int_equal(got->keys.items[0].pos.snapshot, 0);
	ptr.replica[0].physical = 65536;
	/* And in one that has none. */
	hand.super.version = 11;
	ptr.max.snapshot = 0;
	assert_int_equal(read_as(BCH_DIRENTS, &ptr), 0);
	assert_int_equal(got->keys.items[0].pos.snapshot, 0);
}

static void inodes_were_turned(void **state)
{
	struct disk_bch_node *header = (void *)node.raw;
	struct bch_node_ptr ptr;

	(void)state;
	hand.super.version = 11;
	hand_node_begin(&node, &hand, BCH_INODES, 0, BCH_POS_MIN, (struct bch_pos){ UINT64_MAX, UINT64_MAX, 0 });
	le16_put(&header->bset.version, 10);
	hand_add_number(&node, (struct bch_pos){ 4096, 0, 0 }, BCH_KEY_INODE, 1);
	ptr = ptr_to(hand_bset_end(&node));
	ptr.min = BCH_POS_MIN;
	ptr.max = (struct bch_pos){ UINT64_MAX, UINT64_MAX, 0 };
	hand_write(&hand, &node, 0, 65536);
	assert_int_equal(read_as(BCH_INODES, &ptr), 0);
	assert_int_equal(bch_pos_compare(&got->keys.items[0].pos, &(struct bch_pos){ 0, 4096, 0 }), 0);
}

static void btrees_had_types_of_their_own(void **state)
{
	struct disk_bch_node *header = (void *)node.raw;
	struct bch_node_ptr ptr;

	(void)state;
	hand.super.version = 9;
	hand_node_begin(&node, &hand, BCH_DIRENTS, 0, low, (struct bch_pos){ 9999, 5, 0 });
	le16_put(&header->bset.version, 9);
	hand_add_number(&node, (struct bch_pos){ 4096, 9, 0 }, 128, 1);
	hand_add_number(&node, (struct bch_pos){ 4096, 10, 0 }, 129, 1);
	ptr = ptr_to(hand_bset_end(&node));
	ptr.max.snapshot = 0;
	hand_write(&hand, &node, 0, 65536);
	assert_int_equal(read_as(BCH_DIRENTS, &ptr), 0);
	assert_int_equal(got->keys.items[0].type, BCH_KEY_DIRENT);
	assert_int_equal(got->keys.items[1].type, BCH_KEY_HASH_WHITEOUT);
}

/* --- Types ------------------------------------------------------------------------------------------------------- */

static void types_of_before_are_those_of_now(void **state)
{
	static const struct {
		u8 btree, level, before, now;
	} types[] = {
		{ BCH_EXTENTS, 0, 128, BCH_KEY_EXTENT },      { BCH_EXTENTS, 0, 129, BCH_KEY_EXTENT },
		{ BCH_EXTENTS, 0, 130, BCH_KEY_RESERVATION }, { BCH_INODES, 0, 128, BCH_KEY_INODE },
		{ BCH_INODES, 0, 130, BCH_KEY_INODE_GENERATION }, { BCH_XATTRS, 0, 128, BCH_KEY_XATTR },
		{ BCH_XATTRS, 0, 129, BCH_KEY_HASH_WHITEOUT }, { BCH_EXTENTS, 1, 128, BCH_KEY_BTREE_PTR },
		{ BCH_REFLINK, 0, 128, 128 },		      { BCH_INODES, 0, BCH_KEY_DELETED, BCH_KEY_DELETED },
		{ BCH_INODES, 0, 255, 255 },		      { BCH_EXTENTS, 1, 129, 129 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		struct bch_written written = { BCH_VERSION(1, 31), 9, types[i].btree, types[i].level };

		assert_int_equal(bch_key_type_as_now(&written, types[i].before), types[i].now);
		written.version = 10;
		assert_int_equal(bch_key_type_as_now(&written, types[i].before), types[i].before);
	}
}

#define VERSION_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		VERSION_TEST(nodes_have_no_snapshots),
		VERSION_TEST(inodes_were_turned),
		VERSION_TEST(btrees_had_types_of_their_own),
		VERSION_TEST(types_of_before_are_those_of_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
