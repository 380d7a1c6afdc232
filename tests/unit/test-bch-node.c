/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert/bcachefs: keys and nodes of btrees, made by hand; and such as lie. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "tests/unit/hand_bch.h"

#define AT(offset) ((struct bch_pos){ 4096, (offset), 7 })
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

/* --- Keys -------------------------------------------------------------------------------------------------------- */

static u64 random_state = 1;

static u64 random_u64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static u64 random_bits(unsigned nr_bits)
{
	return nr_bits == 0 ? 0 : random_u64() >> (64 - nr_bits);
}

static const u8 widths[6] = { 64, 64, 32, 32, 32, 64 };

/* Fields of any width that fit, 0 and all among them. */
static struct disk_bch_format random_format(void)
{
	struct disk_bch_format format = { .key_u64s = (u8)(1 + random_u64() % 5), .nr_fields = 6 };
	unsigned left = format.key_u64s * 64u - 24;

	for (unsigned i = 0; i < 6; i++) {
		unsigned bits = random_u64() % 4 == 0 ? 0 : random_u64() % 4 == 0 ? widths[i] : (unsigned)(random_u64() % (widths[i] + 1u));

		format.bits_per_field[i] = (u8)MIN(bits, left);
		left -= format.bits_per_field[i];
		le64_put(&format.field_offset[i], random_u64() % 3 ? random_bits(widths[i] - 1u) : 0);
	}
	return format;
}

static void assert_same_key(const struct bch_key *a, const struct bch_key *b)
{
	assert_int_equal(bch_pos_compare(&a->pos, &b->pos), 0);
	assert_int_equal(a->size_sectors, b->size_sectors);
	assert_int_equal(a->version_hi, b->version_hi);
	assert_true(a->version_lo == b->version_lo);
	assert_int_equal(a->type, b->type);
	assert_int_equal(a->value_bytes, b->value_bytes);
	assert_memory_equal(a->value, b->value, a->value_bytes);
}

static u64 random_field(const struct disk_bch_format *format, unsigned i)
{
	u64 value = le64_get(format->field_offset[i]) + random_bits(format->bits_per_field[i]);

	return widths[i] == 64 ? value : (u32)value;
}

static void packed_keys_are_read_in_every_format(void **state)
{
	u8 bytes[2048], value[24];

	(void)state;
	for (unsigned round = 0; round < 20000; round++) {
		struct disk_bch_format format = random_format();
		struct bch_key key = { .pos = { random_field(&format, 0), random_field(&format, 1), (u32)random_field(&format, 2) },
				       .size_sectors = (u32)random_field(&format, 3),
				       .version_hi = (u32)random_field(&format, 4),
				       .version_lo = random_field(&format, 5),
				       .type = (u8)random_u64(),
				       .value = value,
				       .value_bytes = (u32)(random_u64() % 4) * 8 };
		struct bch_key read;
		size_t len;

		memset(value, (int)round, sizeof(value));
		assert_int_equal(bch_format_check(&format, &hand.diag), 0);
		len = hand_packed(&format, &key, bytes);
		assert_int_equal(bch_key_get(&format, bytes, len, &read, &hand.diag), len);
		assert_same_key(&read, &key);
		assert_ptr_equal(read.value, bytes + format.key_u64s * 8);
		/* The same in a node whose keys need not be packed. */
		len = hand_unpacked(&key, bytes);
		bytes[1] |= 0x80;
		assert_int_equal(bch_key_get(round % 2 ? &format : NULL, bytes, len, &read, &hand.diag), len);
		assert_same_key(&read, &key);
	}
}

static void lengths_of_keys_are_checked(void **state)
{
	u8 bytes[2048] = { 0 };
	struct bch_key key = { .pos = AT(1), .type = BCH_KEY_SET }, read;
	size_t len = hand_unpacked(&key, bytes);

	(void)state;
	for (size_t short_len = 0; short_len < len; short_len++)
		assert_int_equal(bch_key_get(NULL, bytes, short_len, &read, &hand.diag), -EUCLEAN);
	bytes[0]++;
	assert_int_equal(bch_key_get(NULL, bytes, len, &read, &hand.diag), -EUCLEAN);
	bytes[0] = 4;
	assert_int_equal(bch_key_get(NULL, bytes, len, &read, &hand.diag), -EUCLEAN);
	assert_string_equal(hand.diag.text, "key: 4 words, of which the key alone has 5");
	bytes[0] = 5;
	bytes[1] = 2;
	assert_int_equal(bch_key_get(&hand_format, bytes, len, &read, &hand.diag), -EUCLEAN);
	bytes[1] = BCH_FORMAT_PACKED;
	assert_int_equal(bch_key_get(NULL, bytes, len, &read, &hand.diag), -EUCLEAN);
	assert_int_equal(bch_key_get(&hand_format, bytes, len, &read, &hand.diag), len);
	assert_int_equal(read.value_bytes, 8);
	bytes[0] = 3;
	assert_int_equal(bch_key_get(&hand_format, bytes, len, &read, &hand.diag), -EUCLEAN);
	bytes[0] = 0;
	assert_int_equal(bch_key_get(&hand_format, bytes, len, &read, &hand.diag), -EUCLEAN);
}

static void formats_are_checked(void **state)
{
	struct disk_bch_format format = hand_format;

	(void)state;
	assert_int_equal(bch_format_check(&format, &hand.diag), 0);
	format.bits_per_field[5] = 41; /* 24 + 192 + 41 > 256 */
	assert_int_equal(bch_format_check(&format, &hand.diag), -EUCLEAN);
	format.bits_per_field[5] = 40;
	assert_int_equal(bch_format_check(&format, &hand.diag), 0);
	format.nr_fields = 5;
	assert_int_equal(bch_format_check(&format, &hand.diag), -EUCLEAN);
	format = hand_format;
	format.key_u64s = 6;
	assert_int_equal(bch_format_check(&format, &hand.diag), -EUCLEAN);
	format.key_u64s = 0;
	assert_int_equal(bch_format_check(&format, &hand.diag), -EUCLEAN);
	format = hand_format;
	format.bits_per_field[2] = 33;
	assert_int_equal(bch_format_check(&format, &hand.diag), -EUCLEAN);
	memset(format.bits_per_field, 0, 6);
	format.key_u64s = 1;
	assert_int_equal(bch_format_check(&format, &hand.diag), 0);
}

static void positions_are_written_as_people_know_them(void **state)
{
	char buf[BCH_POS_TEXT_MAX];

	(void)state;
	assert_string_equal(bch_pos_text(&(struct bch_pos){ 4096, 8, UINT32_MAX }, buf), "4096:8:U32_MAX");
	assert_string_equal(bch_pos_text(&(struct bch_pos){ 0, UINT64_MAX, 1 }, buf), "0:U64_MAX:1");
	assert_string_equal(bch_pos_text(&BCH_POS_MIN, buf), "POS_MIN");
	assert_string_equal(bch_pos_text(&BCH_POS_MAX, buf), "SPOS_MAX");
	assert_string_equal(bch_pos_text(&(struct bch_pos){ UINT64_MAX, UINT64_MAX, 0 }, buf), "POS_MAX");
	assert_string_equal(bch_btree_name(40, buf), "btree 40");
	assert_string_equal(bch_key_type_name(BCH_KEY_INODE_V3, buf), "inode_v3");
}

static void a_position_has_a_successor(void **state)
{
	struct bch_pos pos = bch_pos_successor((struct bch_pos){ 3, UINT64_MAX, UINT32_MAX });

	(void)state;
	assert_int_equal(bch_pos_compare(&pos, &(struct bch_pos){ 4, 0, 0 }), 0);
	pos = bch_pos_successor((struct bch_pos){ 3, 8, UINT32_MAX });
	assert_int_equal(bch_pos_compare(&pos, &(struct bch_pos){ 3, 9, 0 }), 0);
	pos = bch_pos_successor(BCH_POS_MAX);
	assert_int_equal(bch_pos_compare(&pos, &BCH_POS_MAX), 0);
}

/* --- Nodes ------------------------------------------------------------------------------------------------------- */

static struct bch_node_ptr ptr_to(size_t bytes_written)
{
	return (struct bch_node_ptr){ .min = low, .max = high, .has_min = true, .has_seq = true, .seq = HAND_SEQ,
				      .bytes_written = (u32)bytes_written, .nr_replicas = 1, .replica = { { 0, 65536 } } };
}

static int read_as(const struct bch_node_ptr *ptr)
{
	bch_node_free(got);
	got = NULL;
	return bch_node_read(&hand.fs, BCH_DIRENTS, 0, ptr, -1, &got, &hand.diag);
}

static int read_node(size_t bytes_written)
{
	struct bch_node_ptr ptr = ptr_to(bytes_written);

	hand_write(&hand, &node, 0, 65536);
	return read_as(&ptr);
}

static void begin(void)
{
	hand_node_begin(&node, &hand, BCH_DIRENTS, 0, low, high);
}

/* "10=1 20=2": keys by offset, with the numbers that are their values. */
static const char *keys_text(void)
{
	static char text[512];
	size_t at = 0;

	text[0] = '\0';
	array_for_each(&got->keys, key) {
		le64 number;

		assert_int_equal(key->value_bytes, 8);
		memcpy(&number, key->value, 8);
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%llu=%llu", at ? " " : "", (unsigned long long)key->pos.offset,
				       (unsigned long long)le64_get(number));
	}
	return text;
}

static void add(u64 offset, u64 number)
{
	hand_add_number(&node, AT(offset), BCH_KEY_DIRENT, number);
}

static void delete(u64 offset)
{
	hand_add_number(&node, AT(offset), BCH_KEY_DELETED, 0);
}

static void later_bsets_win(void **state)
{
	size_t end;

	(void)state;
	begin();
	add(10, 1);
	add(20, 1);
	add(30, 1);
	add(40, 1);
	end = hand_bset_end(&node);
	hand_bset_begin(&node, end, HAND_SEQ, 2);
	add(5, 2);
	add(20, 2);
	delete(30);
	delete(35);
	delete(40);
	end = hand_bset_end(&node);
	hand_bset_begin(&node, end, HAND_SEQ, 3);
	delete(5);
	delete(15);
	add(15, 3); /* deleted and there again, in one bset */
	add(30, 3);
	end = hand_bset_end(&node);
	assert_int_equal(read_node(end), 0);
	assert_string_equal(keys_text(), "10=1 15=3 20=2 30=3");
	assert_int_equal(got->nr_bsets, 3);
	assert_int_equal(got->nr_ignored_bsets, 0);
	/* As far as the pointer says, and no farther. */
	assert_int_equal(read_node(2 * HAND_BLOCK_BYTES), 0);
	assert_string_equal(keys_text(), "5=2 10=1 20=2");
	/* Not known: until another node's bset begins, here nothing. */
	assert_int_equal(read_node(0), 0);
	assert_string_equal(keys_text(), "10=1 15=3 20=2 30=3");
	assert_int_equal(hand.nr_warnings, 0);
}

static void keys_need_not_be_packed(void **state)
{
	u8 value[8] = { 9 };
	const struct bch_key key = { .pos = AT(30), .type = BCH_KEY_DIRENT, .version_lo = 5, .value = value, .value_bytes = 8 };

	(void)state;
	begin();
	add(10, 1);
	hand_add(&node, &key);
	add(40, 1);
	assert_int_equal(read_node(hand_bset_end(&node)), 0);
	assert_string_equal(keys_text(), "10=1 30=9 40=1");
	assert_int_equal(got->keys.items[1].version_lo, 5);
}

static void an_empty_node_is_one(void **state)
{
	size_t end;

	(void)state;
	begin();
	end = hand_bset_end(&node);
	assert_int_equal(end, HAND_BLOCK_BYTES);
	assert_int_equal(read_node(end), 0);
	assert_int_equal(got->keys.len, 0);
}

static void bsets_of_no_journal_entry_are_ignored(void **state)
{
	size_t end;

	(void)state;
	assert_int_equal(array_push(&hand.super.blacklist, (struct bch_seq_range){ 20, 30 }), 0);
	hand.fs.journal = &hand.journal;
	hand.journal.newest_seq = 50;
	for (int is_clean = 0; is_clean < 2; is_clean++) {
		static const u64 seqs[] = { 19, 20, 29, 30, 50, 51 };

		hand.super.is_clean = is_clean;
		begin();
		le64_put(&hand_bset(&node)->journal_seq, 25); /* the first counts all the same */
		add(1, 1);
		end = hand_bset_end(&node);
		for (size_t i = 0; i < ARRAY_LEN(seqs); i++) {
			hand_bset_begin(&node, end, HAND_SEQ, seqs[i]);
			add(2 + i, seqs[i]);
			end = hand_bset_end(&node);
		}
		assert_int_equal(read_node(end), 0);
		assert_string_equal(keys_text(), is_clean ? "1=1 2=19 5=30 6=50 7=51" : "1=1 2=19 5=30 6=50");
		assert_int_equal(got->nr_ignored_bsets, is_clean ? 2 : 3);
		assert_int_equal(got->nr_bsets, 7);
	}
}

static void the_node_ends_where_its_seq_does(void **state)
{
	size_t first, second, third;

	(void)state;
	begin();
	add(10, 1);
	first = hand_bset_end(&node);
	second = (hand_bset_begin(&node, first, HAND_SEQ, 2), add(20, 2), hand_bset_end(&node));
	third = (hand_bset_begin(&node, second, HAND_SEQ - 1, 3), add(30, 3), hand_bset_end(&node));
	assert_int_equal(read_node(0), 0);
	assert_string_equal(keys_text(), "10=1 20=2");
	assert_int_equal(read_node(second), 0);
	/* It was said that there is more. */
	assert_int_equal(read_node(third), -EUCLEAN);
	assert_non_null(strstr(hand.diag.text, "bset at 1024 is missing: 1536 bytes were written"));
	/* One of the same node behind: then the one before it has been lost. */
	hand_bset_begin(&node, third, HAND_SEQ, 4);
	add(40, 4);
	hand_bset_end(&node);
	assert_int_equal(read_node(0), -EUCLEAN);
	assert_non_null(strstr(hand.diag.text, "behind the last one that ends at 1024"));
	/* Unless it never counted. */
	assert_int_equal(array_push(&hand.super.blacklist, (struct bch_seq_range){ 4, 5 }), 0);
	assert_int_equal(read_node(0), 0);
	assert_string_equal(keys_text(), "10=1 20=2");
}

static void how_much_was_written_is_exact(void **state)
{
	size_t end;

	(void)state;
	begin();
	for (u64 i = 0; i < 25; i++)
		add(i, i);
	end = hand_bset_end(&node);
	assert_int_equal(end, 3 * HAND_BLOCK_BYTES);
	assert_int_equal(read_node(end), 0);
	assert_int_equal(read_node(end - HAND_BLOCK_BYTES), -EUCLEAN); /* the bset is longer */
	assert_int_equal(read_node(end + HAND_BLOCK_BYTES), -EUCLEAN);
	assert_int_equal(read_node(HAND_NODE_BYTES), -EUCLEAN);
}

static void another_node_is_not_taken(void **state)
{
	struct disk_bch_node *header = (void *)node.raw;
	struct bch_node_ptr ptr;
	size_t end;

	(void)state;
	begin();
	add(10, 1);
	end = hand_bset_end(&node);
	ptr = ptr_to(end);
	ptr.seq++;
	hand_write(&hand, &node, 0, 65536);
	assert_int_equal(read_as(&ptr), -EUCLEAN);
	assert_non_null(strstr(hand.diag.text, "another node is there"));
	ptr = ptr_to(end);
	ptr.min.offset++;
	assert_int_equal(read_as(&ptr), -EUCLEAN);
	ptr = ptr_to(end);
	ptr.max.offset++;
	assert_int_equal(read_as(&ptr), -EUCLEAN);
	/* It is known to have got another range: keys out of it are not its any more. */
	ptr = ptr_to(end);
	ptr.min = AT(11);
	ptr.is_range_updated = true;
	assert_int_equal(read_as(&ptr), 0);
	assert_int_equal(got->keys.len, 0);
	ptr = ptr_to(end);
	bch_node_free(got);
	got = NULL;
	assert_int_equal(bch_node_read(&hand.fs, BCH_DIRENTS, 1, &ptr, -1, &got, &hand.diag), -EUCLEAN);
	assert_int_equal(bch_node_read(&hand.fs, BCH_XATTRS, 0, &ptr, -1, &got, &hand.diag), -EUCLEAN);
	assert_int_equal(bch_node_read(&hand.fs, BCH_DIRENTS + 16, 0, &ptr, -1, &got, &hand.diag), -EUCLEAN);
	assert_non_null(strstr(hand.diag.text, "node is of btree 2, level 0; expected 18, 0"));
	header->magic.byte[0] ^= 1;
	hand_seal(&node, 0);
	assert_int_equal(read_node(end), -EUCLEAN);
	assert_non_null(strstr(hand.diag.text, "bad magic"));
}

static void replicas_stand_in_for_one_another(void **state)
{
	struct bch_node_ptr ptr;
	size_t end;

	(void)state;
	begin();
	add(10, 1);
	end = hand_bset_end(&node);
	ptr = ptr_to(end);
	ptr.nr_replicas = 2;
	ptr.replica[1].device = 1;
	ptr.replica[1].physical = 131072;
	hand_write(&hand, &node, 0, 65536);
	hand_write(&hand, &node, 1, 131072);
	assert_int_equal(read_as(&ptr), 0);
	assert_int_equal(hand.nr_warnings, 0);
	node.raw[170] ^= 1;
	hand_write(&hand, &node, 0, 65536);
	assert_int_equal(read_as(&ptr), 0);
	assert_string_equal(keys_text(), "10=1");
	assert_int_equal(hand.nr_warnings, 1);
	assert_string_equal(hand.warning, "btree dirents, level 0, node 1:0:0 to 9999:5:0: device 0 at byte 65536: "
					  "bset at 0: checksum (crc32c) does not match; another replica is good");
	/* One alone. */
	bch_node_free(got);
	got = NULL;
	assert_int_equal(bch_node_read(&hand.fs, BCH_DIRENTS, 0, &ptr, 0, &got, &hand.diag), -EUCLEAN);
	assert_int_equal(bch_node_read(&hand.fs, BCH_DIRENTS, 0, &ptr, 2, &got, &hand.diag), -EINVAL);
	assert_int_equal(bch_node_read(&hand.fs, BCH_DIRENTS, 0, &ptr, 1, &got, &hand.diag), 0);
	/* None. */
	hand_write(&hand, &node, 1, 131072);
	assert_int_equal(read_as(&ptr), -EUCLEAN);
	assert_int_equal(strncmp(hand.diag.text, "btree dirents, level 0, node 1:0:0 to 9999:5:0: device 0 ", 57), 0);
	assert_int_equal(hand.nr_warnings, 1);
	ptr.nr_replicas = 0;
	assert_int_equal(read_as(&ptr), -EIO);
}

static void a_missing_device_is_no_bad_replica(void **state)
{
	struct blockdev *missing = hand.fs.devices[0].dev;
	struct bch_node_ptr ptr;

	(void)state;
	begin();
	add(10, 1);
	ptr = ptr_to(hand_bset_end(&node));
	ptr.nr_replicas = 2;
	ptr.replica[1].device = 1;
	ptr.replica[1].physical = 131072;
	hand_write(&hand, &node, 1, 131072);
	hand.fs.devices[0].dev = NULL;
	assert_int_equal(read_as(&ptr), 0);
	assert_int_equal(hand.nr_warnings, 0);
	ptr.nr_replicas = 1;
	assert_int_equal(read_as(&ptr), -EIO);
	assert_non_null(strstr(hand.diag.text, "is missing"));
	hand.fs.devices[0].dev = missing;
	ptr.replica[0].physical = HAND_DEVICE_BYTES;
	assert_int_equal(read_as(&ptr), -EIO);
}

static void keys_out_of_order_or_range_are_refused(void **state)
{
	(void)state;
	begin();
	add(20, 1);
	add(10, 1);
	assert_int_equal(read_node(hand_bset_end(&node)), -EUCLEAN);
	assert_non_null(strstr(hand.diag.text, "key at 4096:10:7 comes after 4096:20:7"));
	begin();
	hand_add_number(&node, (struct bch_pos){ 9999, 6, 0 }, BCH_KEY_DIRENT, 1);
	assert_int_equal(read_node(hand_bset_end(&node)), -EUCLEAN);
	assert_non_null(strstr(hand.diag.text, "not in the node's range"));
	begin();
	hand_add_number(&node, (struct bch_pos){ 0, 6, 0 }, BCH_KEY_DIRENT, 1);
	assert_int_equal(read_node(hand_bset_end(&node)), -EUCLEAN);
}

static void what_bsets_say_of_themselves_is_judged(void **state)
{
	struct disk_bch_bset *bset;
	size_t end, first;

	(void)state;
	begin();
	add(10, 1);
	first = hand_bset_end(&node);
	hand_bset_begin(&node, first, HAND_SEQ, 2);
	add(20, 2);
	bset = hand_bset(&node);
	for (unsigned type = 0; type < 16; type++) {
		bool is_good = type < 8 && !bch_csum_is_encrypted(type);

		le32_put(&bset->flags, type);
		if (is_good)
			hand_bset_end(&node);
		assert_int_equal(read_node(first + HAND_BLOCK_BYTES), is_good ? 0 : -EUCLEAN);
	}
	le32_put(&bset->flags, 1 | 1 << 4);
	end = hand_bset_end(&node);
	assert_int_equal(read_node(end), -EUCLEAN); /* big-endian */
	le32_put(&bset->flags, 1 | 1 << 5);
	hand_bset_end(&node);
	assert_int_equal(read_node(end), -EOPNOTSUPP);
	le32_put(&bset->flags, 1 | 1 << 16);
	hand_bset_end(&node);
	assert_int_equal(read_node(end), 0); /* sector 1, as it is */
	le32_put(&bset->flags, 1 | 2 << 16);
	hand_bset_end(&node);
	assert_int_equal(read_node(end), -EUCLEAN);
	le32_put(&bset->flags, 1);
	le16_put(&bset->version, 8);
	hand_bset_end(&node);
	assert_int_equal(read_node(end), -EUCLEAN);
}

static void extents_cut_by_readers_are_refused(void **state)
{
	struct disk_bch_node *header = (void *)node.raw;
	struct bch_node_ptr ptr;
	size_t end;

	(void)state;
	hand_node_begin(&node, &hand, BCH_EXTENTS, 0, low, high);
	header->flags.byte[1] = 0;
	end = hand_bset_end(&node);
	hand_write(&hand, &node, 0, 65536);
	ptr = ptr_to(end);
	assert_int_equal(bch_node_read(&hand.fs, BCH_EXTENTS, 0, &ptr, -1, &got, &hand.diag), 0);
	hand_bset_begin(&node, end, HAND_SEQ, 2);
	ptr = ptr_to(hand_bset_end(&node));
	hand_write(&hand, &node, 0, 65536);
	bch_node_free(got);
	got = NULL;
	assert_int_equal(bch_node_read(&hand.fs, BCH_EXTENTS, 0, &ptr, -1, &got, &hand.diag), -EOPNOTSUPP);
}

/* What is encrypted is so before it is checked, at the same places. The stream is its own inverse. */
static void seal_encrypted(size_t at)
{
	struct disk_bch_bset *bset;
	struct bch_nonce nonce;
	struct disk_bch_csum mac;
	size_t payload, end;

	node.bset_at = at;
	bset = hand_bset(&node);
	le32_put(&bset->flags, BCH_CSUM_CHACHA20_POLY1305_128);
	payload = (size_t)((u8 *)bset - node.raw) + sizeof(*bset);
	end = payload + le16_get(bset->u64s) * 8u;
	nonce = bch_nonce_of_bset(bset, (u32)at);
	if (at == 0)
		bch_crypt_decrypt(hand.fs.crypt, nonce, node.raw + 24, 112);
	bch_crypt_decrypt(hand.fs.crypt, at == 0 ? bch_nonce_add(nonce, 128) : nonce, node.raw + payload, end - payload);
	mac = bch_crypt_mac(hand.fs.crypt, BCH_CSUM_CHACHA20_POLY1305_128, nonce, node.raw + at + 16, end - at - 16);
	memcpy(node.raw + at, &mac, sizeof(mac));
}

static void encrypted_nodes_are_decrypted(void **state)
{
	struct disk_bch_crypt section = { .key = "this is a key of thirty-two by." };
	size_t first, end;

	(void)state;
	le64_put(&section.key_magic, 0x79656b2a2a686362ULL); /* "bch**key" */
	if (bch_crypt_open(&section, hand.super.uuid, NULL, &hand.fs.crypt, &hand.diag) == -EOPNOTSUPP)
		skip();
	assert_non_null(hand.fs.crypt);
	begin();
	add(10, 1);
	add(20, 1);
	first = hand_bset_end(&node);
	hand_bset_begin(&node, first, HAND_SEQ, 2);
	add(20, 2);
	end = hand_bset_end(&node);
	seal_encrypted(0);
	seal_encrypted(first);
	assert_int_equal(read_node(end), 0);
	assert_string_equal(keys_text(), "10=1 20=2");
	/* Of encrypted bytes one is changed. */
	node.raw[first + 50] ^= 1;
	assert_int_equal(read_node(end), -EUCLEAN);
	node.raw[first + 50] ^= 1;
	assert_int_equal(read_node(end), 0);
	bch_crypt_free(hand.fs.crypt);
	hand.fs.crypt = NULL;
	assert_int_equal(read_node(end), -EUCLEAN);
}

/* Every byte of a node with three bsets, with right checksums all the same: it is refused or it is read, and memory is left alone. */
static void lies_do_no_harm(void **state)
{
	static struct hand_node sound;
	size_t ends[3], nr_bad = 0;

	(void)state;
	begin();
	for (u64 i = 0; i < 8; i++)
		add(i * 10, 1);
	ends[0] = hand_bset_end(&node);
	hand_bset_begin(&node, ends[0], HAND_SEQ, 2);
	add(25, 2);
	delete(30);
	ends[1] = hand_bset_end(&node);
	hand_bset_begin(&node, ends[1], HAND_SEQ, 3);
	add(30, 3);
	ends[2] = hand_bset_end(&node);
	sound = node;
	for (size_t at = 16; at < ends[2]; at++) {
		static const u8 lies[] = { 1, 0x80, 0xff };

		for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
			int err;

			node = sound;
			node.raw[at] ^= lies[i];
			hand_seal(&node, at < ends[0] ? 0 : at < ends[1] ? ends[0] : ends[1]);
			err = read_node(i == 1 ? 0 : ends[2]);
			assert_true(err == 0 || err == -EUCLEAN || err == -EOPNOTSUPP);
			nr_bad += err != 0;
		}
	}
	assert_true(nr_bad > 200);
}

/* --- Pointers --------------------------------------------------------------------------------------------------- */

static int get_ptr(const struct hand_ptr *from, u8 *value, u32 bytes, struct bch_node_ptr *ret)
{
	struct bch_key key = { .pos = from->max, .type = BCH_KEY_BTREE_PTR_V2, .value = value, .value_bytes = bytes };

	return bch_node_ptr_get(&hand.fs, &key, ret, &hand.diag);
}

static void put_word(u8 *at, u64 word)
{
	le64 disk;

	le64_put(&disk, word);
	memcpy(at, &disk, sizeof(disk));
}

static void pointers_are_checked(void **state)
{
	struct hand_ptr from = { low, high, 1024, 2, { 65536, 131072 } };
	struct bch_node_ptr ptr;
	struct bch_key old;
	u8 value[128];
	u32 bytes = hand_ptr_value(&from, value);

	(void)state;
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), 0);
	assert_true(ptr.has_min && ptr.has_seq && !ptr.is_range_updated && ptr.seq == HAND_SEQ);
	assert_int_equal(ptr.bytes_written, 1024);
	assert_int_equal(ptr.nr_replicas, 2);
	assert_int_equal(ptr.replica[1].device, 1);
	assert_int_equal(ptr.replica[1].physical, 131072);
	assert_int_equal(bch_pos_compare(&ptr.min, &low), 0);
	assert_int_equal(bch_pos_compare(&ptr.max, &high), 0);
	/* Of before 2020: pointers alone. */
	old = (struct bch_key){ .pos = high, .type = BCH_KEY_BTREE_PTR, .value = value + 40, .value_bytes = 16 };
	assert_int_equal(bch_node_ptr_get(&hand.fs, &old, &ptr, &hand.diag), 0);
	assert_true(!ptr.has_min && !ptr.has_seq && ptr.bytes_written == 0 && ptr.nr_replicas == 2);
	old.type = BCH_KEY_EXTENT;
	assert_int_equal(bch_node_ptr_get(&hand.fs, &old, &ptr, &hand.diag), -EUCLEAN);
	assert_int_equal(get_ptr(&from, value, 32, &ptr), -EUCLEAN);
	value[18] = 1;
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), 0);
	assert_true(ptr.is_range_updated);
	/* What is no more, what is cached, and what is known to stand beside pointers. */
	put_word(value + 40, 1 | (u64)BCH_NO_DEVICE << 48);
	put_word(value + 48, 1 << 5);
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), 0);
	assert_int_equal(ptr.nr_replicas, 0);
	for (unsigned kind = 4; kind <= 8; kind++) { /* those of 1.33, too: newer versions may be read */
		put_word(value + 48, 1 << kind);
		assert_int_equal(get_ptr(&from, value, bytes, &ptr), 0);
	}
	put_word(value + 48, 1 << 9);
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), -EUCLEAN);
	put_word(value + 48, 1 << 1);
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), -EUCLEAN);
	put_word(value + 48, 0);
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), -EUCLEAN);
	for (unsigned i = 0; i < 9; i++)
		put_word(value + 40 + i * 8, 1 | 128 << 4);
	assert_int_equal(get_ptr(&from, value, 40 + 64, &ptr), 0);
	assert_int_equal(ptr.nr_replicas, 8);
	assert_int_equal(get_ptr(&from, value, 40 + 72, &ptr), -EUCLEAN);
	/* Before 0.14 it says nothing of how much was written. */
	hand.super.version = BCH_VERSION(0, 13);
	bytes = hand_ptr_value(&from, value);
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), 0);
	assert_int_equal(ptr.bytes_written, 0);
	hand.super.version = BCH_VERSION(0, 14);
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), 0);
	assert_int_equal(ptr.bytes_written, 1024);
	/* More than a node, not whole blocks, backwards. */
	from.bytes_written = HAND_NODE_BYTES + HAND_BLOCK_BYTES;
	bytes = hand_ptr_value(&from, value);
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), -EUCLEAN);
	from.bytes_written = HAND_BLOCK_BYTES;
	hand.super.block_bytes = 4096;
	bytes = hand_ptr_value(&from, value);
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), -EUCLEAN);
	hand.super.block_bytes = HAND_BLOCK_BYTES;
	from.min = bch_pos_successor(from.max);
	bytes = hand_ptr_value(&from, value);
	assert_int_equal(get_ptr(&from, value, bytes, &ptr), -EUCLEAN);
}

#define NODE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NODE_TEST(packed_keys_are_read_in_every_format),
		NODE_TEST(lengths_of_keys_are_checked),
		NODE_TEST(formats_are_checked),
		NODE_TEST(positions_are_written_as_people_know_them),
		NODE_TEST(a_position_has_a_successor),
		NODE_TEST(later_bsets_win),
		NODE_TEST(keys_need_not_be_packed),
		NODE_TEST(an_empty_node_is_one),
		NODE_TEST(bsets_of_no_journal_entry_are_ignored),
		NODE_TEST(the_node_ends_where_its_seq_does),
		NODE_TEST(how_much_was_written_is_exact),
		NODE_TEST(another_node_is_not_taken),
		NODE_TEST(replicas_stand_in_for_one_another),
		NODE_TEST(a_missing_device_is_no_bad_replica),
		NODE_TEST(keys_out_of_order_or_range_are_refused),
		NODE_TEST(what_bsets_say_of_themselves_is_judged),
		NODE_TEST(extents_cut_by_readers_are_refused),
		NODE_TEST(encrypted_nodes_are_decrypted),
		NODE_TEST(lies_do_no_harm),
		NODE_TEST(pointers_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
