/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert/bcachefs: cursors over btrees made by hand, with a journal laid over at all levels, and where nodes are lost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "convert/bcachefs/bch_cursor.h"
#include "tests/unit/hand_bch.h"

#define AT(offset) ((struct bch_pos){ 0, (offset), 0 })
#define BTREE BCH_DIRENTS

static struct hand_bch hand;
static struct hand_node node;
static struct spill spill;
static u64 journal_at; /* where its next key is written, on the first device */
static char text[1024];

/* --- A journal by hand --------------------------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
	const struct bch_jkey *first = a, *second = b;

	if (first->btree != second->btree)
		return first->btree < second->btree ? -1 : 1;
	if (first->level != second->level)
		return first->level < second->level ? -1 : 1;
	return bch_pos_compare(&first->pos, &second->pos);
}

static int compare(const void *a, const void *b)
{
	const struct bch_jkey *first = a, *second = b;
	int order = compare_keys(a, b);

	return order ? order : first->seq < second->seq ? -1 : first->seq > second->seq;
}

static bool is_deletion(const void *record)
{
	return ((const struct bch_jkey *)record)->type == BCH_KEY_DELETED;
}

static const struct journal_kind kind = {
	.record_bytes = sizeof(struct bch_jkey),
	.compare_keys = compare_keys,
	.compare = compare,
	.is_deletion = is_deletion,
	.keeps_deletions = true,
};

/* Of temporary files: devices are in memory. */
static bool is_unreadable;

ssize_t pread(int fd, void *buf, size_t len, off_t offset)
{
	if (!is_unreadable)
		return syscall(SYS_pread64, fd, buf, len, offset);
	errno = EIO;
	return -1;
}

static void journal_begin_with(size_t memory_bytes)
{
	spill.dir = "/var/tmp";
	assert_int_equal(journal_overlay_new(&kind, &spill, memory_bytes, &hand.journal.keys), 0);
	hand.fs.journal = &hand.journal;
	hand.fs.uses_journal = true;
	journal_at = 2 * MIB;
}

static void journal_begin(void)
{
	journal_begin_with(MIB);
}

static void journal_add(u8 level, const struct bch_key *key)
{
	u8 bytes[2048] = { 0 };
	struct bch_jkey jkey = { .pos = key->pos, .btree = BTREE, .level = level, .type = key->type, .version = BCH_VERSION_KNOWN,
				 .seq = journal_at, .jset_physical = journal_at, .physical = journal_at + 64, .jset_bytes = 64 };
	size_t len = hand_unpacked(key, bytes);

	jkey.jset_bytes += (u32)len;
	assert_int_equal(blockdev_write(hand.fs.devices[0].dev, jkey.physical, bytes, len, NULL), 0);
	assert_int_equal(journal_overlay_add(hand.journal.keys, &jkey, NULL), 0);
	journal_at += 4096;
}

static void journal_number(struct bch_pos pos, u8 type, u64 number)
{
	le64 value;

	le64_put(&value, number);
	journal_add(0, &(struct bch_key){ .pos = pos, .type = type, .value = (const u8 *)&value, .value_bytes = 8 });
}

static void journal_ptr(u8 level, const struct hand_ptr *ptr)
{
	u8 value[64];

	journal_add(level, &(struct bch_key){ .pos = ptr->max, .type = BCH_KEY_BTREE_PTR_V2, .value = value,
					      .value_bytes = hand_ptr_value(ptr, value) });
}

static void journal_end(void)
{
	assert_int_equal(journal_overlay_finish(hand.journal.keys, NULL, NULL, NULL), 0);
}

/* --- A btree by hand ------------------------------------------------------------------------------------------------ */

/* A leaf from @min to @max with the keys at both ends, and what leads to it. */
static struct hand_ptr write_leaf(struct bch_pos min, struct bch_pos max, u64 number, u64 physical)
{
	struct hand_ptr ptr = { min, max, 0, 1, { physical } };

	hand_node_begin(&node, &hand, BTREE, 0, min, max);
	hand_add_number(&node, min, BCH_KEY_DIRENT, number);
	hand_add_number(&node, max, BCH_KEY_DIRENT, number);
	ptr.bytes_written = (u32)hand_bset_end(&node);
	hand_write(&hand, &node, 0, physical);
	return ptr;
}

static struct hand_ptr write_interior(u8 level, struct bch_pos min, struct bch_pos max, const struct hand_ptr *children, size_t nr,
				      u64 physical)
{
	struct hand_ptr ptr = { min, max, 0, 1, { physical } };

	hand_node_begin(&node, &hand, BTREE, level, min, max);
	for (size_t i = 0; i < nr; i++)
		hand_add_ptr(&node, &children[i]);
	ptr.bytes_written = (u32)hand_bset_end(&node);
	hand_write(&hand, &node, 0, physical);
	return ptr;
}

#define LEAF(n) ((u64)65536 * (n))
static struct hand_ptr leaves[4];

/*
 * Three levels: the root has two nodes of two leaves each. Leaves end at 100, 200, 300 and in the end; that of an interior node is at
 * the end of its second leaf.
 */
static void write_tree(void)
{
	struct hand_ptr inner[2], root;

	leaves[0] = write_leaf(BCH_POS_MIN, AT(100), 1, LEAF(1));
	leaves[1] = write_leaf(bch_pos_successor(AT(100)), AT(200), 2, LEAF(2));
	leaves[2] = write_leaf(bch_pos_successor(AT(200)), AT(300), 3, LEAF(3));
	leaves[3] = write_leaf(bch_pos_successor(AT(300)), BCH_POS_MAX, 4, LEAF(4));
	inner[0] = write_interior(1, leaves[0].min, leaves[1].max, leaves, 2, LEAF(5));
	inner[1] = write_interior(1, leaves[2].min, leaves[3].max, leaves + 2, 2, LEAF(6));
	root = write_interior(2, BCH_POS_MIN, BCH_POS_MAX, inner, 2, LEAF(7));
	hand_set_root(&hand, BTREE, 2, &root);
}

static int set_up(void **state)
{
	(void)state;
	hand_bch_init(&hand);
	write_tree();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	hand_bch_done(&hand);
	return 0;
}

static void damage(u64 physical)
{
	u8 byte;

	assert_int_equal(blockdev_read(hand.fs.devices[0].dev, physical + 165, &byte, 1, NULL), 0);
	byte ^= 1;
	assert_int_equal(blockdev_write(hand.fs.devices[0].dev, physical + 165, &byte, 1, NULL), 0);
}

/* --- What a cursor has ------------------------------------------------------------------------------------------------ */

static size_t tell_key(size_t at, const struct bch_key *key)
{
	char pos[BCH_POS_TEXT_MAX];
	le64 number;

	assert_int_equal(key->value_bytes, 8);
	memcpy(&number, key->value, 8);
	return at + (size_t)snprintf(text + at, sizeof(text) - at, "%s%s=%llu", at ? " " : "", bch_pos_text(&key->pos, pos),
				     (unsigned long long)le64_get(number));
}

static size_t tell_lost(size_t at, const struct bch_cursor *cursor)
{
	char from[BCH_POS_TEXT_MAX], to[BCH_POS_TEXT_MAX];

	return at + (size_t)snprintf(text + at, sizeof(text) - at, "%s[%s..%s]", at ? " " : "", bch_pos_text(&cursor->lost_min, from),
				     bch_pos_text(&cursor->lost_max, to));
}

/* All keys from @pos on, and what is lost in between. */
static const char *tell_from(struct bch_pos pos)
{
	struct bch_cursor cursor;
	struct bch_key key;
	size_t at = 0;
	int err;

	text[0] = '\0';
	bch_cursor_init(&cursor, &hand.fs, BTREE);
	err = bch_cursor_seek(&cursor, &pos, &key, &hand.diag);
	while (err != 1) {
		if (err == 0) {
			at = tell_key(at, &key);
			err = bch_cursor_next(&cursor, &key, &hand.diag);
			continue;
		}
		assert_true(err == -EUCLEAN || err == -EIO);
		at = tell_lost(at, &cursor);
		assert_int_equal(bch_cursor_next(&cursor, &key, &hand.diag), 1);
		pos = bch_pos_successor(cursor.lost_max);
		if (bch_pos_compare(&pos, &cursor.lost_max) == 0)
			break;
		err = bch_cursor_seek(&cursor, &pos, &key, &hand.diag);
	}
	bch_cursor_done(&cursor);
	return text;
}

#define ALL "POS_MIN=1 0:100:0=1 0:100:1=2 0:200:0=2 0:200:1=3 0:300:0=3 0:300:1=4 SPOS_MAX=4"

static void a_btree_is_one_list(void **state)
{
	(void)state;
	assert_string_equal(tell_from(BCH_POS_MIN), ALL);
	assert_string_equal(tell_from(AT(100)), "0:100:0=1 0:100:1=2 0:200:0=2 0:200:1=3 0:300:0=3 0:300:1=4 SPOS_MAX=4");
	assert_string_equal(tell_from(AT(101)), "0:200:0=2 0:200:1=3 0:300:0=3 0:300:1=4 SPOS_MAX=4");
	assert_string_equal(tell_from(AT(301)), "SPOS_MAX=4");
	assert_string_equal(tell_from(BCH_POS_MAX), "SPOS_MAX=4");
	hand.fs.roots[BTREE].is_there = false;
	assert_string_equal(tell_from(BCH_POS_MIN), "");
}

static void a_journal_is_laid_over_leaves(void **state)
{
	(void)state;
	journal_begin();
	journal_number(AT(50), BCH_KEY_DIRENT, 9);
	journal_number(AT(50), BCH_KEY_DIRENT, 10); /* newer */
	journal_number(AT(60), BCH_KEY_DIRENT, 9);
	journal_number(AT(60), BCH_KEY_DELETED, 0);
	journal_number(AT(100), BCH_KEY_DELETED, 0);
	journal_number(AT(200), BCH_KEY_DIRENT, 11);
	journal_number(BCH_POS_MAX, BCH_KEY_DELETED, 0);
	journal_end();
	assert_string_equal(tell_from(BCH_POS_MIN), "POS_MIN=1 0:50:0=10 0:100:1=2 0:200:0=11 0:200:1=3 0:300:0=3 0:300:1=4");
	assert_string_equal(tell_from(AT(51)), "0:100:1=2 0:200:0=11 0:200:1=3 0:300:0=3 0:300:1=4");
	hand.fs.uses_journal = false;
	assert_string_equal(tell_from(BCH_POS_MIN), ALL);
}

/* The second leaf was split, and the first written anew elsewhere, which only the journal knows. */
static void a_journal_is_laid_over_interior_nodes(void **state)
{
	struct hand_ptr half;

	(void)state;
	journal_begin();
	half = write_leaf(leaves[1].min, AT(150), 21, LEAF(10));
	journal_ptr(1, &half);
	half = write_leaf(bch_pos_successor(AT(150)), AT(200), 22, LEAF(11));
	journal_ptr(1, &half);
	half = write_leaf(leaves[0].min, leaves[0].max, 20, LEAF(12));
	journal_ptr(1, &half);
	journal_number(AT(150), BCH_KEY_DIRENT, 23);
	journal_end();
	assert_string_equal(tell_from(BCH_POS_MIN), "POS_MIN=20 0:100:0=20 0:100:1=21 0:150:0=23 0:150:1=22 0:200:0=22 0:200:1=3 "
						    "0:300:0=3 0:300:1=4 SPOS_MAX=4");
}

/* The two leaves became one, the first's pointer was deleted. */
static void leaves_that_were_merged_are_one(void **state)
{
	struct hand_ptr one;

	(void)state;
	journal_begin();
	one = write_leaf(leaves[0].min, leaves[1].max, 30, LEAF(10));
	journal_ptr(1, &one);
	journal_add(1, &(struct bch_key){ .pos = leaves[0].max, .type = BCH_KEY_DELETED });
	journal_end();
	assert_string_equal(tell_from(BCH_POS_MIN), "POS_MIN=30 0:200:0=30 0:200:1=3 0:300:0=3 0:300:1=4 SPOS_MAX=4");
}

static void a_btree_may_be_in_the_journal_alone(void **state)
{
	(void)state;
	hand.fs.roots[BTREE].is_there = false;
	journal_begin();
	journal_number(AT(7), BCH_KEY_DIRENT, 1);
	journal_number(AT(8), BCH_KEY_DELETED, 1);
	journal_number(BCH_POS_MAX, BCH_KEY_DIRENT, 2);
	journal_end();
	assert_string_equal(tell_from(BCH_POS_MIN), "0:7:0=1 SPOS_MAX=2");
	assert_string_equal(tell_from(AT(8)), "SPOS_MAX=2");
}

static int pass_node(void *ctx, const struct bch_node_visit *visit, struct diag *d)
{
	(void)d;
	*(unsigned *)ctx += visit->node != NULL;
	return 0;
}

/* What cannot be read then is not the device, and nothing of it is lost: who reads has to stop. */
static void a_journal_in_a_file_that_cannot_be_read_ends_all(void **state)
{
	const struct bch_pos from[] = { BCH_POS_MIN, AT(50), AT(120), BCH_POS_MAX };
	struct bch_cursor cursor;
	struct bch_key key;
	unsigned nr_nodes = 0;

	(void)state;
	journal_begin_with(0);
	journal_number(AT(50), BCH_KEY_DIRENT, 10);
	journal_number(AT(60), BCH_KEY_DIRENT, 11);
	journal_number(AT(200), BCH_KEY_DIRENT, 12);
	journal_end();
	assert_true(journal_overlay_file_bytes(hand.journal.keys) > 0);
	assert_string_equal(tell_from(BCH_POS_MIN), "POS_MIN=1 0:50:0=10 0:60:0=11 0:100:0=1 0:100:1=2 0:200:0=12 0:200:1=3 0:300:0=3 "
						    "0:300:1=4 SPOS_MAX=4");
	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		bch_cursor_init(&cursor, &hand.fs, BTREE);
		is_unreadable = true;
		assert_int_equal(bch_cursor_seek(&cursor, &from[i], &key, &hand.diag), -ENOTRECOVERABLE);
		assert_non_null(strstr(hand.diag.text, "/var/tmp: cannot read a temporary file"));
		is_unreadable = false;
		assert_int_equal(bch_cursor_next(&cursor, &key, &hand.diag), 1);
		assert_int_equal(bch_cursor_seek(&cursor, &from[i], &key, &hand.diag), 0);
		bch_cursor_done(&cursor);
	}
	is_unreadable = true;
	assert_int_equal(bch_btree_for_each_node(&hand.fs, BTREE, pass_node, &nr_nodes, &hand.diag), -ENOTRECOVERABLE);
	is_unreadable = false;
	assert_int_equal(bch_btree_for_each_node(&hand.fs, BTREE, pass_node, &nr_nodes, &hand.diag), 0);
	assert_int_equal(nr_nodes, 1 + 7);
}

static void what_is_behind_a_lost_node_is_found(void **state)
{
	(void)state;
	damage(LEAF(2));
	assert_string_equal(tell_from(BCH_POS_MIN), "POS_MIN=1 0:100:0=1 [0:100:1..0:200:0] 0:200:1=3 0:300:0=3 0:300:1=4 SPOS_MAX=4");
	assert_string_equal(tell_from(AT(150)), "[0:150:0..0:200:0] 0:200:1=3 0:300:0=3 0:300:1=4 SPOS_MAX=4");
	damage(LEAF(4));
	assert_string_equal(tell_from(AT(201)), "0:300:0=3 [0:300:1..SPOS_MAX]");
	damage(LEAF(5));
	assert_string_equal(tell_from(BCH_POS_MIN), "[POS_MIN..0:200:0] 0:200:1=3 0:300:0=3 [0:300:1..SPOS_MAX]");
	damage(LEAF(7));
	assert_string_equal(tell_from(BCH_POS_MIN), "[POS_MIN..SPOS_MAX]");
	hand.fs.roots[BTREE].key[0] = 1;
	assert_string_equal(tell_from(BCH_POS_MIN), "[POS_MIN..SPOS_MAX]");
	hand.fs.roots[BTREE].level = BCH_LEVEL_MAX + 1;
	assert_string_equal(tell_from(BCH_POS_MIN), "[POS_MIN..SPOS_MAX]");
}

static void what_no_node_has_is_lost(void **state)
{
	struct hand_ptr inner, root;

	(void)state;
	/* Between, in the beginning, in the end. */
	inner = write_interior(1, BCH_POS_MIN, BCH_POS_MAX, (struct hand_ptr[]){ leaves[0], leaves[2], leaves[3] }, 3, LEAF(5));
	hand_set_root(&hand, BTREE, 1, &inner);
	assert_string_equal(tell_from(BCH_POS_MIN), "POS_MIN=1 0:100:0=1 [0:100:1..0:200:0] 0:200:1=3 0:300:0=3 0:300:1=4 SPOS_MAX=4");
	inner = write_interior(1, BCH_POS_MIN, BCH_POS_MAX, leaves + 1, 2, LEAF(5));
	hand_set_root(&hand, BTREE, 1, &inner);
	assert_string_equal(tell_from(BCH_POS_MIN), "[POS_MIN..0:100:0] 0:100:1=2 0:200:0=2 0:200:1=3 0:300:0=3 [0:300:1..SPOS_MAX]");
	/* An interior node ends before its parent says. */
	inner = write_interior(1, BCH_POS_MIN, AT(250), leaves, 2, LEAF(5));
	root = write_interior(2, BCH_POS_MIN, BCH_POS_MAX, &inner, 1, LEAF(7));
	hand_set_root(&hand, BTREE, 2, &root);
	assert_string_equal(tell_from(AT(200)), "0:200:0=2 [0:200:1..0:250:0] [0:250:1..SPOS_MAX]");
	/* One without any. */
	inner = write_interior(1, BCH_POS_MIN, BCH_POS_MAX, NULL, 0, LEAF(5));
	hand_set_root(&hand, BTREE, 1, &inner);
	assert_string_equal(tell_from(BCH_POS_MIN), "[POS_MIN..SPOS_MAX]");
}

static void what_two_nodes_have_is_lost(void **state)
{
	struct hand_ptr twice = write_leaf(AT(90), AT(200), 2, LEAF(2)), inner;

	(void)state;
	inner = write_interior(1, BCH_POS_MIN, BCH_POS_MAX, (struct hand_ptr[]){ leaves[0], twice, leaves[2], leaves[3] }, 4, LEAF(5));
	hand_set_root(&hand, BTREE, 1, &inner);
	assert_int_equal(strncmp(tell_from(BCH_POS_MIN), "POS_MIN=1 0:100:0=1 [0:100:1..0:200:0] 0:200:1=3 ", 48), 0);
}

/* Before there were snapshots, all was as if there was one position of each offset. */
static void old_nodes_begin_at_the_next_offset(void **state)
{
	struct hand_ptr children[2], root;
	const struct bch_pos max = { UINT64_MAX, UINT64_MAX, 0 };

	(void)state;
	hand.super.version = 11;
	children[0] = write_leaf(BCH_POS_MIN, AT(100), 1, LEAF(1));
	children[1] = write_leaf(AT(101), max, 2, LEAF(2));
	root = write_interior(1, BCH_POS_MIN, max, children, 2, LEAF(5));
	hand_set_root(&hand, BTREE, 1, &root);
	assert_string_equal(tell_from(BCH_POS_MIN), "POS_MIN=1 0:100:0=1 0:101:0=2 POS_MAX=2");
	/* Nothing is between nodes, also behind one that is lost. */
	assert_string_equal(tell_from(bch_pos_successor(AT(100))), "0:101:0=2 POS_MAX=2");
	damage(LEAF(1));
	assert_string_equal(tell_from(BCH_POS_MIN), "[POS_MIN..0:100:U32_MAX] 0:101:0=2 POS_MAX=2");
	/* And whoever goes on behind what is lost comes to the end. */
	damage(LEAF(2));
	assert_string_equal(tell_from(BCH_POS_MIN), "[POS_MIN..0:100:U32_MAX] [0:101:0..SPOS_MAX]");
}

static void keys_that_the_journal_lost_are_lost(void **state)
{
	(void)state;
	journal_begin();
	journal_number(AT(50), BCH_KEY_DIRENT, 9);
	journal_number(AT(60), BCH_KEY_DIRENT, 9);
	journal_end();
	assert_int_equal(blockdev_wipe(hand.fs.devices[0].dev, 2 * MIB, 512, NULL), 0);
	assert_int_equal(strncmp(tell_from(BCH_POS_MIN), "POS_MIN=1 [0:50:0..0:50:0] 0:60:0=9 0:100:0=1 ", 46), 0);
}

/* --- All nodes ------------------------------------------------------------------------------------------------------- */

static int tell_visit(void *ctx, const struct bch_node_visit *visit, struct diag *d)
{
	char pos[BCH_POS_TEXT_MAX];
	size_t *at = ctx;

	(void)d;
	*at += (size_t)snprintf(text + *at, sizeof(text) - *at, "%s%u:%s%s", *at ? " " : "", visit->level,
				bch_pos_text(&visit->ptr->max, pos), visit->node ? "" : visit->replica_bad[0] ? "!" : "?");
	return 0;
}

static const char *tell_nodes(void)
{
	size_t at = 0;

	text[0] = '\0';
	assert_int_equal(bch_btree_for_each_node(&hand.fs, BTREE, tell_visit, &at, &hand.diag), 0);
	return text;
}

static void all_nodes_are_visited(void **state)
{
	struct hand_ptr half;

	(void)state;
	assert_string_equal(tell_nodes(), "2:SPOS_MAX 1:0:200:0 0:0:100:0 0:0:200:0 1:SPOS_MAX 0:0:300:0 0:SPOS_MAX");
	damage(LEAF(2));
	damage(LEAF(6));
	assert_string_equal(tell_nodes(), "2:SPOS_MAX 1:0:200:0 0:0:100:0 0:0:200:0! 1:SPOS_MAX!");
	journal_begin();
	half = write_leaf(leaves[0].min, AT(50), 21, LEAF(10));
	journal_ptr(1, &half);
	journal_add(1, &(struct bch_key){ .pos = AT(150), .type = BCH_KEY_EXTENT });
	journal_end();
	assert_string_equal(tell_nodes(), "2:SPOS_MAX 1:0:200:0 0:0:50:0 0:0:100:0 0:0:150:0! 0:0:200:0! 1:SPOS_MAX!");
	hand.fs.roots[BTREE].is_there = false;
	assert_string_equal(tell_nodes(), "");
}

/* --- The cache ------------------------------------------------------------------------------------------------------ */

static struct bch_node_ptr ptr_of(const struct hand_ptr *from)
{
	return (struct bch_node_ptr){ .min = from->min, .max = from->max, .has_min = true, .has_seq = true, .seq = HAND_SEQ,
				      .bytes_written = from->bytes_written, .nr_replicas = 1, .replica = { { 0, from->physical[0] } } };
}

static const struct bch_node *get(const struct bch_node_ptr *ptr)
{
	const struct bch_node *found;

	assert_int_equal(bch_node_get(&hand.fs, BTREE, 0, ptr, &found, &hand.diag), 0);
	return found;
}

static void nodes_are_shared_and_kept(void **state)
{
	struct bch_node_ptr first = ptr_of(&leaves[0]), second = ptr_of(&leaves[1]);
	const struct bch_node *a, *b, *c;

	(void)state;
	/* Nothing is kept, but what is held is shared. */
	a = get(&first);
	b = get(&first);
	assert_ptr_equal(a, b);
	bch_node_put(&hand.fs, a);
	damage(LEAF(1));
	c = get(&first);
	assert_ptr_equal(c, b);
	bch_node_put(&hand.fs, c);
	bch_node_put(&hand.fs, b);
	assert_int_equal(bch_node_get(&hand.fs, BTREE, 0, &first, &a, &hand.diag), -EUCLEAN);
	damage(LEAF(1)); /* is right again */
	/* One is kept: the one that was given back last. */
	bch_node_cache_free(hand.fs.cache);
	a = NULL;
	hand.fs.cache = bch_node_cache_new(4096);
	assert_non_null(hand.fs.cache);
	bch_node_put(&hand.fs, get(&first));
	damage(LEAF(1));
	bch_node_put(&hand.fs, get(&first));
	/* A pointer that says something else of it does not get it. */
	first.bytes_written = 0;
	assert_int_equal(bch_node_get(&hand.fs, BTREE, 0, &first, &a, &hand.diag), -EUCLEAN);
	first = ptr_of(&leaves[0]);
	for (unsigned i = 0; i < 8; i++) {
		struct hand_ptr other = write_leaf(leaves[0].min, leaves[0].max, i, LEAF(10 + i));
		struct bch_node_ptr ptr = ptr_of(&other);

		bch_node_put(&hand.fs, get(&ptr));
	}
	assert_int_equal(bch_node_get(&hand.fs, BTREE, 0, &first, &a, &hand.diag), -EUCLEAN);
	bch_node_put(&hand.fs, get(&second));
	bch_node_put(&hand.fs, NULL);
}

static void *read_all(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < 200; i++) {
		struct bch_cursor cursor;
		struct bch_key key;
		unsigned nr = 0;

		bch_cursor_init(&cursor, &hand.fs, BTREE);
		for (int err = bch_cursor_seek(&cursor, &BCH_POS_MIN, &key, NULL); err == 0; err = bch_cursor_next(&cursor, &key, NULL))
			nr++;
		bch_cursor_done(&cursor);
		if (nr != 8)
			return &hand;
	}
	return NULL;
}

static void many_threads_may_read(void **state)
{
	pthread_t threads[4];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_all, NULL), 0);
	for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
		void *failed;

		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
}

#define CURSOR_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CURSOR_TEST(a_btree_is_one_list),
		CURSOR_TEST(a_journal_is_laid_over_leaves),
		CURSOR_TEST(a_journal_is_laid_over_interior_nodes),
		CURSOR_TEST(leaves_that_were_merged_are_one),
		CURSOR_TEST(a_btree_may_be_in_the_journal_alone),
		CURSOR_TEST(a_journal_in_a_file_that_cannot_be_read_ends_all),
		CURSOR_TEST(what_is_behind_a_lost_node_is_found),
		CURSOR_TEST(what_no_node_has_is_lost),
		CURSOR_TEST(what_two_nodes_have_is_lost),
		CURSOR_TEST(old_nodes_begin_at_the_next_offset),
		CURSOR_TEST(keys_that_the_journal_lost_are_lost),
		CURSOR_TEST(all_nodes_are_visited),
		CURSOR_TEST(nodes_are_shared_and_kept),
		CURSOR_TEST(many_threads_may_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
