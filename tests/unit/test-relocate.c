/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks that are given other places and profiles: what they hold is the same afterwards, in every copy, also when
 * copies were bad or devices were missing; and what has no good copy is left where it is.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/volume/map.h"
#include "tests/unit/relocate_fixture.h"

#define DEVICE_BYTES (8 * GIB)

static const char *const profile_names[] = { "single",	"dup",	  "raid0", "raid1", "raid1c3",
					     "raid1c4", "raid10", "raid5", "raid6" };

static struct txn_shape shape_of(const char *profile, bool is_mixed, u32 nodesize)
{
	return (struct txn_shape){ profile, is_mixed ? 4096 : nodesize, profile, profile, 4, DEVICE_BYTES, NULL,
				   is_mixed };
}

/* --- Profiles ---------------------------------------- */

static void assert_profiles(struct relocate_state *s, u64 profile, unsigned nr_wanted, const char *what)
{
	struct btrkit_fs *fs = state_look(s, SIZE_MAX, NULL, NULL);
	unsigned nr = 0;

	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++)
		nr += (chunk_map_at(fs->volume->chunks, i)->type & BLOCK_GROUP_PROFILE_MASK) == profile;
	if (nr < nr_wanted)
		fail_msg("%s: %u chunks of %u", what, nr, nr_wanted);
	btrkit_fs_close(fs);
}

static unsigned every_target(const char *from, bool is_mixed, bool may_keep)
{
	const struct txn_shape shape = shape_of(from, is_mixed, may_keep ? 16384 : 4096);
	struct relocate_state s;
	unsigned nr_moved = 0;

	state_make(&s, &shape, true);
	for (size_t to = 0; to < ARRAY_LEN(profile_names); to++) {
		u64 profile = profile_by_name(profile_names[to])->flag;
		struct btrkit_fs *fs;
		struct diag d = { 0 };
		unsigned nr = 0;
		char what[64];

		state_reset(&s);
		snprintf(what, sizeof(what), "%s to %s%s", from, profile_names[to], is_mixed ? ", mixed" : "");
		fs = state_open(&s, true);
		must(convert_chunks(&s, fs, ALL_TYPES, profile, may_keep, &nr, &d), &d);
		btrkit_fs_close(fs);
		assert_state(&s, what);
		assert_profiles(&s, profile, nr, what);
		assert_int_equal(s.nr_notes, 0);
		nr_moved += nr;
	}
	state_done(&s);
	return nr_moved;
}

static void every_profile_becomes_every_other(void **state)
{
	unsigned nr = 0;

	(void)state;
	for (size_t from = 0; from < ARRAY_LEN(profile_names); from++) {
		nr += every_target(profile_names[from], false, true);
		nr += every_target(profile_names[from], false, false);
		nr += every_target(profile_names[from], true, true);
	}
	print_message("%u chunks got other stripes\n", nr);
	assert_true(nr > 500);
}

/* --- Bad copies ---------------------------------------- */

/* What is done to a place on a device. */
enum damage { DAMAGE_ROT, DAMAGE_UNREADABLE };

struct damager {
	struct relocate_state *s;
	struct btrkit_fs *fs;
	enum damage damage;
	unsigned nr_bad; /* copies, or members of a row */
	u64 next_row; /* of the chunk: logical address from which rows are whole */
	u64 random;
};

static u32 random_of(struct damager *damager)
{
	damager->random = damager->random * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(damager->random >> 33);
}

static void damage_place(struct damager *damager, const struct chunk_stripe *stripe, u64 physical, u64 len)
{
	struct device *device = device_set_find(damager->fs->volume->devices, stripe->devid, NULL);
	_free_ u8 *bytes = malloc(len);
	struct diag d = { 0 };

	if (damager->damage == DAMAGE_UNREADABLE) {
		const struct fault fault = { (unsigned)stripe->devid - 1, physical, len };

		assert_int_equal(array_push(&damager->s->faults.faults, fault), 0);
		return;
	}
	for (u64 at = 0; at < len; at++)
		bytes[at] = (u8)random_of(damager);
	must(blockdev_write(device->dev, physical, bytes, len, &d), &d);
}

static void damage_row(struct damager *damager, const struct chunk *chunk, u64 logical)
{
	struct cell cell = chunk_cell(chunk, logical);
	u32 first = random_of(damager);

	for (unsigned bad = 0; bad < damager->nr_bad; bad++) {
		const struct chunk_stripe *stripe = &chunk->stripe[(first + bad) % chunk->num_stripes];

		damage_place(damager, stripe, stripe->physical + cell.row * STRIPE_LEN_BYTES, STRIPE_LEN_BYTES);
	}
}

/* In each piece of 64 KiB some copies go bad, chosen anew. */
static int damage_range(void *ctx, u64 logical, u64 len, struct diag *d)
{
	struct damager *damager = ctx;
	const struct chunk *chunk = chunk_map_find(damager->fs->volume->chunks, logical);
	const struct profile *profile = chunk->profile;
	u64 row_bytes = profile_data_stripes(profile, chunk->num_stripes) * STRIPE_LEN_BYTES;

	(void)d;
	for (u64 end = logical + len, piece; logical < end; logical += piece) {
		struct cell cell = chunk_cell(chunk, logical);
		u32 first = random_of(damager);

		piece = MIN(MIN(STRIPE_LEN_BYTES - (logical - chunk->logical) % STRIPE_LEN_BYTES, cell.left),
			    end - logical);
		if (profile->parity) {
			if (logical >= damager->next_row)
				damage_row(damager, chunk, logical);
			damager->next_row = chunk->logical + (cell.row + 1) * row_bytes;
			continue;
		}
		for (unsigned bad = 0; bad < damager->nr_bad; bad++) {
			u16 stripe = cell_stripe(chunk, &cell, (first + bad) % profile->copies + 1);
			u64 within = profile->is_striped ? cell.row * STRIPE_LEN_BYTES + cell.within
							 : logical - chunk->logical;

			damage_place(damager, &chunk->stripe[stripe], chunk->stripe[stripe].physical + within, piece);
		}
	}
	return 0;
}

/* All chunks of @types, as much as they can bear. */
static void damage_all(struct relocate_state *s, enum damage damage, u64 types)
{
	struct btrkit_fs *fs = state_open(s, true);
	struct damager damager = { .s = s, .fs = fs, .damage = damage, .random = 5 };
	struct diag d = { 0 };

	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(fs->volume->chunks, i);

		if (!(chunk->type & types))
			continue;
		damager.next_row = 0;
		damager.nr_bad = chunk->profile->parity ? chunk->profile->parity : chunk->profile->copies - 1U;
		must(txn_for_each_used(fs->txn, chunk->logical, damage_range, &damager, &d), &d);
	}
	btrkit_fs_close(fs);
}

static void assert_all_moved(struct relocate_state *s, u64 types, const char *from, const char *to, bool may_keep)
{
	struct btrkit_fs *fs = state_open(s, true);
	struct diag d = { 0 };
	unsigned nr = 0, nr_chunks = 0;
	char what[64];

	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++)
		nr_chunks += (chunk_map_at(fs->volume->chunks, i)->type & types) != 0;

	snprintf(what, sizeof(what), "bad copies, %s to %s", from, to);
	must(convert_chunks(s, fs, types, profile_by_name(to)->flag, may_keep, &nr, &d), &d);
	btrkit_fs_close(fs);
	if (nr != nr_chunks)
		fail_msg("%s: %u of %u chunks", what, nr, nr_chunks);
	assert_state(s, what);
	assert_true(s->nr_notes > 0);
}

static void bad_copies(enum damage damage)
{
	for (size_t from = 0; from < ARRAY_LEN(profile_names); from++) {
		const struct txn_shape shape = shape_of(profile_names[from], from % 3 == 0, 16384);
		const struct profile *profile = profile_by_name(profile_names[from]);
		struct relocate_state s;

		if (profile->copies == 1 && !profile->parity)
			continue;
		state_make(&s, &shape, false);
		for (size_t to = 0; to < ARRAY_LEN(profile_names); to++) {
			state_reset(&s);
			damage_all(&s, damage, ALL_TYPES);
			/* What cannot be read and stays, would stay so. */
			assert_all_moved(&s, ALL_TYPES, profile_names[from], profile_names[to],
					 damage == DAMAGE_ROT && from != to);
		}
		state_done(&s);
	}
}

static void rotten_copies(void **state)
{
	(void)state;
	bad_copies(DAMAGE_ROT);
}

static void unreadable_copies(void **state)
{
	(void)state;
	bad_copies(DAMAGE_UNREADABLE);
}

/* The first used range of a chunk of @type, and its length. */
static int keep_first(void *ctx, u64 logical, u64 len, struct diag *d)
{
	u64 *range = ctx;

	(void)d;
	range[0] = logical;
	range[1] = len;
	return 1;
}

static u64 first_used(struct btrkit_fs *fs, u64 type, u64 *ret_chunk)
{
	struct diag d = { 0 };
	u64 range[2] = { 0 };

	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++) {
		const struct chunk *chunk = chunk_map_at(fs->volume->chunks, i);

		if ((chunk->type & type) && txn_for_each_used(fs->txn, chunk->logical, keep_first, range, &d) == 1) {
			*ret_chunk = chunk->logical;
			return range[0];
		}
	}
	fail();
	return 0;
}

static void write_copies(struct btrkit_fs *fs, u64 logical, const void *bytes, size_t len, unsigned copies)
{
	for (unsigned copy = 1; copy <= copies; copy++) {
		struct physical_part part;
		struct diag d = { 0 };

		assert_int_equal(volume_map(fs->volume->chunks, logical, len, copy, &part), 0);
		must(blockdev_write(device_set_find(fs->volume->devices, part.devid, NULL)->dev, part.physical, bytes,
				    len, &d),
		     &d);
	}
}

/* A sector, or a tree block, that has no good copy: nothing of its chunk is changed. */
static void nothing_good(void **state)
{
	static const u64 types[] = { BLOCK_GROUP_DATA, BLOCK_GROUP_METADATA };
	static const char *const names[] = { "raid1", "single" };

	(void)state;
	for (size_t t = 0; t < 4; t++) {
		const struct txn_shape shape = shape_of(names[t / 2], false, 16384);
		static const u8 garbage[4096] = "garbage";
		struct relocate_state s;
		struct btrkit_fs *fs;
		struct diag d = { 0 };
		u64 chunk, bad, used = 0, target = t / 2 ? BLOCK_GROUP_DUP : 0;
		size_t nr_records;
		u64 type;

		state_make(&s, &shape, false);
		fs = state_open(&s, true);
		bad = first_used(fs, types[t % 2], &chunk);
		write_copies(fs, bad, garbage, sizeof(garbage), t / 2 ? 1 : 2);
		nr_records = s.log.records.len;
		type = chunk_map_find(fs->volume->chunks, chunk)->type;
		assert_int_equal(convert_chunks(&s, fs, types[t % 2], target, true, NULL, &d), -EIO);
		assert_non_null(strstr(d.text, t % 2 ? "tree block at" : "(inode 2"));
		assert_non_null(strstr(d.text, t % 2 ? "checksum does not match" : "of tree 5)"));
		for (size_t i = nr_records; i < s.log.records.len; i++)
			assert_true(s.log.records.items[i].kind != RECORD_WRITE ||
				    s.log.records.items[i].offset != super_mirror_physical(0));
		assert_true(chunk_map_find(fs->volume->chunks, chunk)->type == type);
		/* It goes on with others. */
		must(convert_chunks(&s, fs, BLOCK_GROUP_SYSTEM, target, true, NULL, &d), &d);
		must(txn_group_used_bytes(fs->txn, chunk, &used, &d), &d);
		assert_true(used > 0);
		btrkit_fs_close(fs);
		state_done(&s);
	}
}

/* One copy of a tree block is an older one, with all checksums right: the device was away for a while. */
static void old_blocks_are_no_copies(void **state)
{
	static const struct {
		u64 profile;
		bool may_keep;
	} targets[] = { { 0, true }, { BLOCK_GROUP_RAID1, false }, { BLOCK_GROUP_RAID5, true } };

	(void)state;
	for (size_t t = 0; t < ARRAY_LEN(targets) * 2; t++) {
		const struct txn_shape shape = { "old blocks", 16384, "raid1", "single", 4, DEVICE_BYTES, NULL, false };
		struct relocate_state s;
		struct btrkit_fs *fs;
		struct diag d = { 0 };
		u64 chunk, logical;
		unsigned nr = 0;
		u8 block[16384];

		state_make(&s, &shape, true);
		/* With something that has become old. */
		fs = state_open(&s, true);
		must(convert_chunks(&s, fs, BLOCK_GROUP_DATA, BLOCK_GROUP_DUP, true, NULL, &d), &d);
		logical = first_used(fs, BLOCK_GROUP_METADATA, &chunk);
		must(volume_read(fs->volume, logical, block, sizeof(block), 0, &d), &d);
		le64_put(&((struct disk_header *)block)->generation,
			 le64_get(((struct disk_header *)block)->generation) - 1);
		block_finish(block, sizeof(block), fs->csum);
		/* The first copy, or (by writing both and then the first again) the second. */
		if (t % 2) {
			u8 good[16384];

			must(volume_read(fs->volume, logical, good, sizeof(good), 1, &d), &d);
			write_copies(fs, logical, block, sizeof(block), 2);
			write_copies(fs, logical, good, sizeof(good), 1);
		} else {
			write_copies(fs, logical, block, sizeof(block), 1);
		}
		s.nr_notes = 0;
		must(convert_chunks(&s, fs, BLOCK_GROUP_METADATA, targets[t / 2].profile, targets[t / 2].may_keep, &nr,
				    &d),
		     &d);
		btrkit_fs_close(fs);
		assert_true(nr > 0);
		assert_state(&s, "an old block");
		state_done(&s);
	}
}

/* Copies without checksums differ: one of them is taken for all, and that is told. */
static void differing_copies_without_checksums(void **state)
{
	const struct txn_shape shape = shape_of("raid1", false, 16384);
	struct relocate_state s;
	struct btrkit_fs *fs;
	struct btrkit_inode inode;
	struct btrkit_file *file;
	struct btrkit_file_range range;
	struct diag d = { 0 };
	u8 copies[2][4096], other[4096];
	unsigned nr = 0;

	(void)state;
	state_make(&s, &shape, true);
	fs = state_open(&s, true);
	assert_int_equal(btrkit_lookup(fs, NULL, "/file-1", &inode, NULL), 0);
	assert_int_equal(btrkit_file_open(fs, &inode, &file, NULL), 0);
	assert_int_equal(btrkit_file_range_at(file, 0, &range, NULL), 0);
	btrkit_file_close(file);
	memset(other, 'x', sizeof(other));
	write_copies(fs, range.logical, other, sizeof(other), 1);
	must(convert_chunks(&s, fs, BLOCK_GROUP_DATA, BLOCK_GROUP_RAID1, false, &nr, &d), &d);
	assert_true(nr > 0);
	assert_int_equal(s.nr_notes, 1);
	for (unsigned copy = 1; copy <= 2; copy++)
		must(volume_read(fs->volume, range.logical, copies[copy - 1], 4096, copy, &d), &d);
	assert_memory_equal(copies[0], copies[1], 4096);
	assert_memory_equal(copies[0], other, 4096);
	btrkit_fs_close(fs);
	state_done(&s);
}

/* --- A device that is left ---------------------------------------- */

static unsigned nr_stripes_on(const struct btrkit_fs *fs, u64 devid)
{
	unsigned nr = 0;

	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks); i++)
		for (u16 n = 0; n < chunk_map_at(fs->volume->chunks, i)->num_stripes; n++)
			nr += chunk_map_at(fs->volume->chunks, i)->stripe[n].devid == devid;
	return nr;
}

/* From three devices to three others, of which two are the same: where all three are needed, two keep what they have.
 */
static void leave_first_device(struct relocate_state *s, const struct profile *profile, bool is_rotten)
{
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	size_t nr_records;
	u64 on_others = 0;

	state_reset(s);
	fs = state_open(s, true);
	must(txn_limit_device(fs->txn, 4, 0, &d), &d);
	must(convert_chunks(s, fs, ALL_TYPES, profile->flag, false, NULL, &d), &d);
	btrkit_fs_close(fs);
	if (is_rotten)
		damage_all(s, DAMAGE_ROT, BLOCK_GROUP_DATA);
	fs = state_open(s, true);
	nr_records = s->log.records.len;
	must(txn_limit_device(fs->txn, 1, 0, &d), &d);
	must(convert_chunks(s, fs, BLOCK_GROUP_DATA, profile->flag, true, NULL, &d), &d);
	/* But for the commit, and what was mended, nothing was written to those that stay. */
	for (size_t i = nr_records; i < s->log.records.len; i++)
		if (s->log.records.items[i].kind == RECORD_WRITE && s->log.records.items[i].device % 3 != 0)
			on_others += s->log.records.items[i].len;
	if (!is_rotten && (profile->devs_max == 3 || (!profile->devs_max && profile->sub_stripes == 1)))
		assert_in_range(on_others, 0, MIB);
	must(convert_chunks(s, fs, ALL_TYPES, profile->flag, true, NULL, &d), &d);
	assert_int_equal(nr_stripes_on(fs, 1), 0);
	must(txn_remove_device(fs->txn, 1, &d), &d);
	must(txn_commit(fs->txn, &d), &d);
	btrkit_fs_close(fs);
	s->is_missing[0] = true;
	if (!is_rotten) {
		assert_state(s, profile->name);
	} else {
		fs = state_look(s, SIZE_MAX, NULL, NULL);
		assert_content(fs, profile->name);
		btrkit_fs_close(fs);
	}
}

static void a_device_is_left(void **state)
{
	const struct txn_shape shape = shape_of("single", false, 16384);
	struct relocate_state s;

	(void)state;
	state_make(&s, &shape, true);
	for (size_t p = 0; p < ARRAY_LEN(profile_names); p++)
		if (profile_by_name(profile_names[p])->devs_min <= 3)
			leave_first_device(&s, profile_by_name(profile_names[p]), false);
	state_done(&s);
	state_make(&s, &shape, false);
	for (size_t p = 0; p < ARRAY_LEN(profile_names); p++)
		if (profile_by_name(profile_names[p])->devs_min <= 3 &&
		    (profile_by_name(profile_names[p])->copies > 1 || profile_by_name(profile_names[p])->parity))
			leave_first_device(&s, profile_by_name(profile_names[p]), true);
	state_done(&s);
}

/* --- Missing devices ---------------------------------------- */

static void missing_devices(void **state)
{
	static const struct {
		const char *from;
		const char *to; /* NULL: what it holds is lost */
		unsigned nr_missing;
	} cases[] = {
		{ "raid1", "raid1", 1 },   { "raid1", "single", 1 }, { "raid1c3", "raid1", 2 }, { "raid1c4", "dup", 3 },
		{ "raid10", "raid10", 1 }, { "raid10", "raid0", 1 }, { "raid5", "raid5", 1 },	{ "raid5", "raid1", 1 },
		{ "raid6", "raid5", 2 },   { "raid6", "raid6", 1 },  { "raid0", NULL, 1 },	{ "raid5", NULL, 2 },
		{ "raid6", NULL, 3 },	   { "raid1c3", NULL, 3 },
	};

	(void)state;
	for (size_t c = 0; c < ARRAY_LEN(cases); c++) {
		/* Where it is the data that is lost, the filesystem can still be opened. */
		const struct txn_shape shape = { cases[c].from, 16384, cases[c].to ? cases[c].from : "raid1c4",
						 cases[c].from, 4,     DEVICE_BYTES,
						 NULL,		false };
		struct relocate_state s;
		struct btrkit_fs *fs;
		struct diag d = { 0 };
		int err;

		state_make(&s, &shape, true);
		for (unsigned i = 0; i < cases[c].nr_missing; i++)
			s.is_missing[i] = true;
		fs = state_open(&s, true);
		err = convert_chunks(&s, fs, cases[c].to ? ALL_TYPES : BLOCK_GROUP_DATA,
				     profile_by_name(cases[c].to ? cases[c].to : "dup")->flag, true, NULL, &d);
		if (cases[c].to)
			must(err, &d);
		else if (err != -ENODATA && strcmp(cases[c].from, "raid1c3"))
			fail_msg("%s: %i", cases[c].from, err);
		for (unsigned i = 0; i < cases[c].nr_missing && cases[c].to; i++)
			if (txn_remove_device(fs->txn, i + 1, &d) != 0)
				fail_msg("%s without %u: %s", cases[c].from, i + 1, d.text);
		must(txn_commit(fs->txn, &d), &d);
		btrkit_fs_close(fs);
		if (cases[c].to)
			assert_state(&s, cases[c].from);
		state_done(&s);
	}
}

/* --- What is empty, and what must not be done ---------------------------------------- */

static u64 new_data_chunk(struct btrkit_fs *fs)
{
	u64 logical[64], at, len;
	size_t nr = all_chunks(fs, logical, ARRAY_LEN(logical));
	struct diag d = { 0 };

	for (size_t i = 0; i < nr; i++)
		must(txn_close_group(fs->txn, logical[i], true, &d), &d);
	must(txn_alloc_data(fs->txn, 64 * KIB, 64 * KIB, &at, &len, &d), &d);
	must(txn_unalloc_data(fs->txn, at, len, &d), &d);
	for (size_t i = 0; i < nr; i++)
		must(txn_close_group(fs->txn, logical[i], false, &d), &d);
	must(txn_commit(fs->txn, &d), &d);
	return chunk_map_find(fs->volume->chunks, at)->logical;
}

/* An item that leads to a free space cache of the first version, as far as that can be told from the item. */
static void put_cache_item(struct btrkit_fs *fs, u64 logical)
{
	const struct key key = { FREE_SPACE_OBJECTID, 0, logical };
	struct disk_free_space_header header = { 0 };
	struct tree_root *roots;
	struct diag d = { 0 };
	struct edit edit;

	le64_put(&header.location.objectid, FIRST_FREE_OBJECTID);
	header.location.type = INODE_ITEM_KEY;
	must(txn_tree(fs->txn, ROOT_TREE_OBJECTID, &roots, &d), &d);
	edit = edit_init(roots);
	must(edit_put(&edit, &key, &header, sizeof(header), &d), &d);
	edit_done(&edit);
}

static void assert_no_cache_item(struct btrkit_fs *fs, u64 logical)
{
	const struct key key = { FREE_SPACE_OBJECTID, 0, logical };
	struct cursor cursor = cursor_init(&fs->root_tree);
	struct diag d = { 0 };

	assert_int_equal(cursor_find(&cursor, &key, &d), 1);
	cursor_done(&cursor);
}

static void empty_chunks_go_but_the_last(void **state)
{
	const struct txn_shape shape = shape_of("raid1", false, 16384);
	struct relocate_state s;
	struct relocate relocate = { 0 };
	struct relocate_step step;
	struct diag d = { 0 };
	u64 logical, last;

	(void)state;
	state_make(&s, &shape, true);
	relocate.fs = state_open(&s, true);
	assert_int_equal(pool_new(1, NULL, &relocate.pool), 0);
	for (unsigned has_cache = 0; has_cache < 2; has_cache++) {
		logical = new_data_chunk(relocate.fs);
		if (has_cache)
			put_cache_item(relocate.fs, logical);
		must(relocate_group(&relocate, logical, BLOCK_GROUP_RAID1, true, &step, &d), &d);
		assert_int_equal(step.way, RELOCATE_REMOVE);
		relocate_step_done(&step);
		assert_null(chunk_map_find(relocate.fs->volume->chunks, logical));
		assert_no_cache_item(relocate.fs, logical);
	}
	btrkit_fs_close(relocate.fs);
	assert_state(&s, "an empty chunk has gone");
	state_done(&s);

	/* Without any data the only chunk for it stays, as what the caller wants. */
	s = (struct relocate_state){ 0 };
	record_log_init(&s.log);
	{
		struct btrkit_content *nothing;

		assert_int_equal(btrkit_content_new(&nothing), 0);
		txn_fixture_make_of(&s.base, &shape, nothing);
		txn_fixture_close(&s.base);
	}
	relocate.fs = state_open(&s, true);
	for (unsigned round = 0; round < 3; round++) {
		static const u64 flags[] = { BLOCK_GROUP_RAID1, BLOCK_GROUP_RAID1C3, BLOCK_GROUP_RAID0 };
		const struct chunk_map *chunks = relocate.fs->volume->chunks;

		last = 0;
		for (size_t i = 0; i < chunk_map_count(chunks); i++)
			if (chunk_map_at(chunks, i)->type & BLOCK_GROUP_DATA)
				last = chunk_map_at(chunks, i)->logical;
		if (!last) {
			last = new_data_chunk(relocate.fs);
			chunks = relocate.fs->volume->chunks;
		}
		must(relocate_group(&relocate, last, flags[round], round != 0, &step, &d), &d);
		assert_int_equal(step.way, RELOCATE_CHUNK);
		relocate_step_done(&step);
		assert_int_equal(chunk_map_find(chunks, last)->type & BLOCK_GROUP_PROFILE_MASK, flags[round]);
	}
	btrkit_fs_close(relocate.fs);
	pool_free(relocate.pool);
	state_done(&s);
}

static void what_is_refused(void **state)
{
	const struct txn_shape shape = shape_of("raid1", false, 16384);
	struct cancel cancel = { false };
	struct relocate relocate = { .cancel = &cancel };
	struct relocate_state s;
	struct chunk *to;
	struct diag d = { 0 };
	u64 chunk;
	u64 physical;

	(void)state;
	state_make(&s, &shape, true);
	relocate.fs = state_open(&s, true);
	assert_int_equal(pool_new(2, NULL, &relocate.pool), 0);
	(void)first_used(relocate.fs, BLOCK_GROUP_DATA, &chunk);
	must(txn_place_chunk(relocate.fs->txn, chunk, BLOCK_GROUP_RAID1, false, &to, &d), &d);
	physical = to->stripe[0].physical;
	/* Its own place, a superblock's, beyond the end, twice the same. */
	to->stripe[0].physical = chunk_map_find(relocate.fs->volume->chunks, chunk)->stripe[0].physical + 64 * KIB;
	to->stripe[0].devid = chunk_map_find(relocate.fs->volume->chunks, chunk)->stripe[0].devid;
	assert_int_equal(move_chunk(&relocate, to, &d), -EBUSY);
	to->stripe[0].physical = 64 * MIB;
	assert_int_equal(move_chunk(&relocate, to, &d), -EBUSY);
	to->stripe[0].physical = DEVICE_BYTES - 64 * KIB;
	assert_int_equal(move_chunk(&relocate, to, &d), -EBUSY);
	to->stripe[0] = to->stripe[1];
	assert_int_equal(move_chunk(&relocate, to, &d), -EBUSY);
	to->stripe[0].physical = physical;
	to->logical += MIB;
	assert_int_equal(move_chunk(&relocate, to, &d), -EINVAL);
	free(to);
	atomic_store(&cancel.is_requested, true);
	must(txn_place_chunk(relocate.fs->txn, chunk, BLOCK_GROUP_RAID1, false, &to, &d), &d);
	assert_int_equal(move_chunk(&relocate, to, &d), -ECANCELED);
	assert_int_equal(relocate_group(&relocate, chunk, BLOCK_GROUP_RAID1, false, NULL, &d), -ECANCELED);
	free(to);
	assert_false(txn_has_changes(relocate.fs->txn));
	btrkit_fs_close(relocate.fs);
	pool_free(relocate.pool);
	assert_state(&s, "refused");
	state_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_profile_becomes_every_other),
		cmocka_unit_test(rotten_copies),
		cmocka_unit_test(unreadable_copies),
		cmocka_unit_test(nothing_good),
		cmocka_unit_test(old_blocks_are_no_copies),
		cmocka_unit_test(differing_copies_without_checksums),
		cmocka_unit_test(a_device_is_left),
		cmocka_unit_test(missing_devices),
		cmocka_unit_test(empty_chunks_go_but_the_last),
		cmocka_unit_test(what_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
