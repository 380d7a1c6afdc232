/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Space of block groups against a map of sectors: what is handed out is free now and on disk, aligned, and on no
 * superblock; when nothing is handed out, there is nothing; of rows with parity, those in which something committed lies
 * are left alone as long as there are others. Runs of bits below it, against arrays of bools.
 */
#include "tests/unit/counting_source.h"
#include "kernel-shared/space/block_groups.h"
#include "kernel-shared/space/sector_bits.h"

#define SECTORSIZE 4096U
#define NODESIZE 16384U
#define NR_GROUPS 3
#define GROUP_SECTORS 2048U /* 8 MiB */
#define GROUP_BYTES ((u64)GROUP_SECTORS * SECTORSIZE)
#define LOGICAL (GIB + SECTORSIZE) /* not aligned to nodes */
#define EXTENTS_MAX 4096
#define ROW_SECTORS 32U /* of RAID5 on three devices */

/* --- Bits ---------------------------------------- */

static void test_bits(void **state)
{
	enum { NR = 300 };
	bool model[NR] = { false };
	u64 bits[(NR + 63) / 64] = { 0 }, seed = 1;

	(void)state;
	for (unsigned step = 0; step < 20000; step++) {
		u32 from = next_number(&seed) % NR, count = next_number(&seed) % (NR - from + 1);
		bool value = next_number(&seed) % 2, is_all = true;
		u32 found = from;

		if (value)
			sector_bits_set(bits, from, count);
		else
			sector_bits_clear(bits, from, count);
		for (u32 i = from; i < from + count; i++)
			model[i] = value;
		for (u32 i = 0; i < NR; i++)
			assert_int_equal(bits[i / 64] >> i % 64 & 1, model[i]);
		assert_int_equal(bits[NR / 64] >> NR % 64, 0);
		from = next_number(&seed) % NR;
		count = next_number(&seed) % (NR - from + 1);
		for (found = from; found < from + count && model[found] != value;)
			found++;
		assert_int_equal(sector_bits_find(bits, from, from + count, value), found);
		for (u32 i = from; i < from + count; i++)
			is_all = is_all && model[i] == value;
		assert_int_equal(sector_bits_all(bits, from, count, value), is_all);
	}
	assert_int_equal(sector_bits_find(bits, NR, NR, true), NR);
	assert_int_equal(sector_bits_words(0), 0);
	assert_int_equal(sector_bits_words(64), 1);
	assert_int_equal(sector_bits_words(65), 2);
}

/* --- Groups ---------------------------------------- */

struct extent {
	u64 logical, len;
	bool is_on_disk, is_gone;
};

struct space {
	struct counted_tree tree; /* the extent tree as on disk */
	struct volume *volume;
	struct block_groups groups;
	u64 flags[NR_GROUPS];
	unsigned nr_fresh, nr_old; /* rows that space was taken in */
	bool now[NR_GROUPS * GROUP_SECTORS], disk[NR_GROUPS * GROUP_SECTORS], excluded[NR_GROUPS * GROUP_SECTORS];
	struct extent extents[EXTENTS_MAX];
	u32 nr_extents;
};

static bool has_rows(const struct space *s)
{
	return s->flags[0] & BLOCK_GROUP_RAID5;
}

/* Groups lie one after the other, and the device such that the middle one has the mirror at 64 MiB. */
static bool is_super(const struct space *s, u32 sector)
{
	u64 physical = 64 * MIB - GROUP_BYTES * 3 / 2 + (u64)sector * SECTORSIZE;

	return !has_rows(s) && physical >= 64 * MIB && physical < 64 * MIB + STRIPE_LEN_BYTES;
}

static void space_make(struct space *s, const u64 flags[NR_GROUPS])
{
	unsigned nr_devices = flags[0] & BLOCK_GROUP_RAID5 ? 3 : 1;
	struct device_set *devices;
	struct chunk_map *chunks;

	memset(s, 0, sizeof(*s));
	memcpy(s->flags, flags, sizeof(s->flags));
	counted_tree_make(&s->tree, EXTENT_TREE_OBJECTID, 4);
	assert_int_equal(device_set_new(&devices), 0);
	for (unsigned i = 1; i <= nr_devices; i++) {
		struct device device = { .devid = i };

		memset(device.uuid, (int)i, UUID_SIZE);
		assert_int_equal(memory_device_new("memory", 96 * MIB, &device.dev), 0);
		assert_int_equal(device_set_add(devices, &device, NULL), 0);
	}
	assert_int_equal(chunk_map_new(&chunks), 0);
	for (unsigned i = 0; i < NR_GROUPS; i++) {
		struct chunk *chunk = chunk_new((u16)nr_devices);

		chunk->logical = LOGICAL + i * GROUP_BYTES;
		chunk->length = GROUP_BYTES;
		chunk->type = flags[i];
		for (unsigned stripe = 0; stripe < nr_devices; stripe++) {
			chunk->stripe[stripe].devid = stripe + 1;
			chunk->stripe[stripe].physical = nr_devices > 1 ? (i + 1) * GROUP_BYTES
									: 64 * MIB - GROUP_BYTES * 3 / 2 + i * GROUP_BYTES;
			memset(chunk->stripe[stripe].dev_uuid, (int)stripe + 1, UUID_SIZE);
		}
		chunk_derive(chunk);
		assert_int_equal(chunk_map_add(chunks, chunk, NULL), 0);
		free(chunk);
	}
	assert_int_equal(volume_new(devices, chunks, SECTORSIZE, NODESIZE, &s->volume, NULL), 0);
	s->groups = (struct block_groups){ .volume = s->volume, .sectorsize = SECTORSIZE, .extent_tree = s->tree.root.tree };
	for (unsigned i = 0; i < NR_GROUPS; i++)
		assert_int_equal(block_groups_add(&s->groups, LOGICAL + i * GROUP_BYTES, GROUP_BYTES, flags[i], 0,
						  false, NULL, NULL), 0);
}

static void space_done(struct space *s)
{
	block_groups_done(&s->groups);
	volume_free(s->volume);
	counted_tree_done(&s->tree);
}

static u32 sector_of(u64 logical)
{
	return (u32)((logical - LOGICAL) / SECTORSIZE);
}

static bool may_take(const struct space *s, u32 sector)
{
	return !s->now[sector] && !s->disk[sector] && !s->excluded[sector] && !is_super(s, sector);
}

static bool any_fits(const struct space *s, const struct space_wish *wish)
{
	for (unsigned g = 0; g < NR_GROUPS; g++) {
		u32 run = 0;

		if (!(s->flags[g] & wish->type))
			continue;
		for (u32 i = 0; i < GROUP_SECTORS; i++) {
			u32 sector = g * GROUP_SECTORS + i;

			if (!may_take(s, sector))
				run = 0;
			else if (run || (LOGICAL + (u64)sector * SECTORSIZE) % wish->align_bytes == 0)
				run++;
			if ((u64)run * SECTORSIZE >= wish->min_bytes)
				return true;
		}
	}
	return false;
}

/* Does anything that a commit has left, or that is excluded, lie in the row of @sector? */
static bool is_old_row(const struct space *s, u32 sector)
{
	u32 first = sector / ROW_SECTORS * ROW_SECTORS;

	for (u32 i = first; i < first + ROW_SECTORS; i++)
		if (s->disk[i] || s->excluded[i])
			return true;
	return false;
}

/* A run of @wish's least size that lies in fresh rows alone. */
static bool any_fresh_fits(const struct space *s, const struct space_wish *wish)
{
	for (unsigned g = 0; g < NR_GROUPS; g++) {
		u32 run = 0;

		for (u32 i = 0; i < GROUP_SECTORS && s->flags[g] & wish->type; i++) {
			u32 sector = g * GROUP_SECTORS + i;

			if (!may_take(s, sector) || is_old_row(s, sector))
				run = 0;
			else if (run || (LOGICAL + (u64)sector * SECTORSIZE) % wish->align_bytes == 0)
				run++;
			if ((u64)run * SECTORSIZE >= wish->min_bytes)
				return true;
		}
	}
	return false;
}

/* Fresh rows, or there are none that would do. */
static void judge_rows(struct space *s, const struct space_wish *wish, u64 logical, u64 len)
{
	bool is_old = false;

	for (u32 i = 0; i < len / SECTORSIZE; i++)
		is_old = is_old || is_old_row(s, sector_of(logical) + i);
	for (u64 at = logical; at < logical + len; at += ROW_SECTORS * SECTORSIZE) {
		u64 row = LOGICAL + (at - LOGICAL) / (ROW_SECTORS * SECTORSIZE) * (ROW_SECTORS * SECTORSIZE);

		assert_int_equal(block_groups_is_fresh(&s->groups, row, ROW_SECTORS * SECTORSIZE), !is_old_row(s, sector_of(at)));
	}
	s->nr_old += is_old;
	s->nr_fresh += !is_old;
	if (is_old)
		assert_false(any_fresh_fits(s, wish));
}

static void remember(struct space *s, u64 logical, u64 len)
{
	assert_true(s->nr_extents < EXTENTS_MAX);
	s->extents[s->nr_extents++] = (struct extent){ .logical = logical, .len = len };
	for (u32 i = 0; i < len / SECTORSIZE; i++)
		s->now[sector_of(logical) + i] = true;
}

static void alloc_random(struct space *s, u64 *seed)
{
	bool is_data = next_number(seed) % 2;
	u64 want = is_data ? (1 + next_number(seed) % (next_number(seed) % 8 ? 20 : 900)) * (u64)SECTORSIZE : NODESIZE;
	const struct space_wish wish = {
		.type = is_data ? BLOCK_GROUP_DATA : BLOCK_GROUP_METADATA,
		.profile = s->flags[0] & BLOCK_GROUP_PROFILE_MASK,
		.want_bytes = want,
		.min_bytes = is_data && next_number(seed) % 2 ? SECTORSIZE : want,
		.align_bytes = is_data ? SECTORSIZE : NODESIZE,
	};
	u64 logical, len;
	int err;

	if (s->nr_extents == EXTENTS_MAX)
		return;
	err = block_groups_alloc(&s->groups, &wish, &logical, &len, NULL);
	if (err) {
		assert_int_equal(err, -ENOSPC);
		assert_false(any_fits(s, &wish));
		return;
	}
	assert_true(len >= wish.min_bytes && len <= wish.want_bytes && len % SECTORSIZE == 0);
	assert_int_equal(logical % wish.align_bytes, 0);
	assert_true(s->flags[sector_of(logical) / GROUP_SECTORS] & wish.type);
	assert_int_equal(sector_of(logical) / GROUP_SECTORS, sector_of(logical + len - 1) / GROUP_SECTORS);
	for (u32 i = 0; i < len / SECTORSIZE; i++)
		assert_true(may_take(s, sector_of(logical) + i));
	if (has_rows(s))
		judge_rows(s, &wish, logical, len);
	remember(s, logical, len);
}

static void claim_random(struct space *s, u64 *seed)
{
	u32 from = next_number(seed) % (NR_GROUPS * GROUP_SECTORS), count = 1 + next_number(seed) % 12;
	u64 logical = LOGICAL + (u64)from * SECTORSIZE, len = (u64)count * SECTORSIZE;
	bool is_free = true;
	int err;

	if (s->nr_extents == EXTENTS_MAX)
		return;
	err = block_groups_claim(&s->groups, logical, len, NULL);
	if (from % GROUP_SECTORS + count > GROUP_SECTORS) {
		assert_int_equal(err, -EUCLEAN);
		return;
	}
	/* What is excluded may be claimed. */
	for (u32 i = from; i < from + count; i++)
		is_free = is_free && !s->now[i] && !s->disk[i] && !is_super(s, i);
	assert_int_equal(err, is_free ? 0 : -EEXIST);
	if (!err)
		remember(s, logical, len);
}

static void free_random(struct space *s, u64 *seed)
{
	struct extent *extent;

	if (s->nr_extents == 0)
		return;
	extent = &s->extents[next_number(seed) % s->nr_extents];
	if (extent->is_gone) {
		/* Its space may have an owner again; that is no business of this one. */
		if (!s->now[sector_of(extent->logical)])
			assert_int_equal(block_groups_free(&s->groups, extent->logical, extent->len, NULL), -EUCLEAN);
		return;
	}
	assert_int_equal(block_groups_free(&s->groups, extent->logical, extent->len, NULL), 0);
	for (u32 i = 0; i < extent->len / SECTORSIZE; i++)
		s->now[sector_of(extent->logical) + i] = false;
	extent->is_gone = true;
	if (!extent->is_on_disk)
		*extent = s->extents[--s->nr_extents];
}

static void exclude_random(struct space *s, u64 *seed)
{
	u32 from = next_number(seed) % (NR_GROUPS * GROUP_SECTORS), count = 1 + next_number(seed) % 5;

	count = MIN(count, NR_GROUPS * GROUP_SECTORS - from);
	assert_int_equal(block_groups_exclude(&s->groups, LOGICAL + (u64)from * SECTORSIZE, (u64)count * SECTORSIZE,
					      NULL), 0);
	for (u32 i = from; i < from + count; i++)
		s->excluded[i] = true;
}

static void compare_sums(const struct space *s)
{
	static const u64 types[] = { BLOCK_GROUP_DATA, BLOCK_GROUP_METADATA, BLOCK_GROUP_SYSTEM };
	u64 free_bytes[3] = { 0 };

	for (unsigned g = 0; g < NR_GROUPS; g++) {
		const struct block_group *group = block_groups_find(&s->groups, LOGICAL + (g + 1) * GROUP_BYTES - 1);
		u64 used = 0, pinned = 0;

		for (u32 i = g * GROUP_SECTORS; i < (g + 1) * GROUP_SECTORS; i++) {
			used += s->now[i] ? SECTORSIZE : 0;
			pinned += !s->now[i] && s->disk[i] ? SECTORSIZE : 0;
		}
		assert_int_equal(group->used, used);
		assert_int_equal(group->pinned, pinned);
		for (unsigned t = 0; t < 3; t++)
			free_bytes[t] += s->flags[g] & types[t] ? GROUP_BYTES - used - pinned : 0;
	}
	for (unsigned t = 0; t < 3; t++)
		assert_int_equal(block_groups_free_bytes(&s->groups, types[t]), free_bytes[t]);
}

static void settle(struct space *s)
{
	struct edit edit = edit_init(&s->tree.root);
	u32 kept = 0;

	for (u32 i = 0; i < s->nr_extents; i++) {
		struct extent *extent = &s->extents[i];
		const struct key key = { extent->logical, EXTENT_ITEM_KEY, extent->len };
		struct disk_extent_item item = { 0 };

		le64_put(&item.refs, 1);
		le64_put(&item.flags, EXTENT_FLAG_DATA);
		if (extent->is_gone)
			assert_int_equal(edit_delete_key(&edit, &key, NULL), 0);
	}
	for (u32 i = 0; i < s->nr_extents; i++) {
		struct extent extent = s->extents[i];
		const struct key key = { extent.logical, EXTENT_ITEM_KEY, extent.len };
		struct disk_extent_item item = { 0 };

		le64_put(&item.refs, 1);
		le64_put(&item.flags, EXTENT_FLAG_DATA);
		if (extent.is_gone)
			continue;
		if (!extent.is_on_disk)
			assert_int_equal(edit_put(&edit, &key, &item, sizeof(item), NULL), 0);
		extent.is_on_disk = true;
		s->extents[kept++] = extent;
	}
	edit_done(&edit);
	s->nr_extents = kept;
	memcpy(s->disk, s->now, sizeof(s->disk));
	block_groups_settle(&s->groups, &s->tree.root.tree);
}

static void revert(struct space *s)
{
	u32 kept = 0;

	block_groups_revert(&s->groups);
	memcpy(s->now, s->disk, sizeof(s->now));
	for (u32 i = 0; i < s->nr_extents; i++) {
		struct extent extent = s->extents[i];

		extent.is_gone = false;
		if (extent.is_on_disk)
			s->extents[kept++] = extent;
	}
	s->nr_extents = kept;
}

static void work(const u64 flags[NR_GROUPS], u64 seed, bool do_exclude)
{
	static struct space s;

	space_make(&s, flags);
	for (unsigned i = 0; i < (do_exclude ? 40 : 0); i++)
		exclude_random(&s, &seed);
	for (unsigned step = 0; step < 6000; step++) {
		/* Phases in which groups fill up, and in which they empty. */
		u32 kind = next_number(&seed) % 100, allocs = step / 700 % 2 ? 30 : 70;

		if (kind < allocs)
			alloc_random(&s, &seed);
		else if (kind < 96)
			free_random(&s, &seed);
		else
			claim_random(&s, &seed);
		if (step % 50 == 0)
			compare_sums(&s);
		if (next_number(&seed) % 300 == 0 && next_number(&seed) % 2)
			revert(&s);
		else if (!do_exclude && next_number(&seed) % 200 == 0)
			settle(&s);
	}
	/* Both were tried. */
	assert_true(!has_rows(&s) || (s.nr_fresh > 100 && s.nr_old > (do_exclude ? 0 : 100)));
	space_done(&s);
}

static void test_groups(void **state)
{
	static const u64 separate[NR_GROUPS] = { BLOCK_GROUP_DATA, BLOCK_GROUP_METADATA, BLOCK_GROUP_DATA };
	static const u64 mixed[NR_GROUPS] = { BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA,
					      BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA,
					      BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA };

	(void)state;
	work(separate, 1, false);
	work(separate, 2, true);
	work(mixed, 3, false);
	work(mixed, 4, true);
}

static void test_rows(void **state)
{
	static const u64 separate[NR_GROUPS] = { BLOCK_GROUP_DATA | BLOCK_GROUP_RAID5,
						 BLOCK_GROUP_METADATA | BLOCK_GROUP_RAID5,
						 BLOCK_GROUP_DATA | BLOCK_GROUP_RAID5 };
	static const u64 mixed[NR_GROUPS] = { BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA | BLOCK_GROUP_RAID5,
					      BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA | BLOCK_GROUP_RAID5,
					      BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA | BLOCK_GROUP_RAID5 };

	(void)state;
	work(separate, 5, false);
	work(separate, 6, true);
	work(mixed, 7, false);
	work(mixed, 8, true);
}

/* --- Single cases ---------------------------------------- */

static const u64 all_mixed[NR_GROUPS] = { BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA,
					  BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA,
					  BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA };

/* That no place for a tree block was found says nothing about data, which needs not be aligned. */
static void test_hint_knows_alignment(void **state)
{
	const struct space_wish block = { .type = BLOCK_GROUP_METADATA, .want_bytes = NODESIZE, .min_bytes = NODESIZE,
					  .align_bytes = NODESIZE };
	const struct space_wish data = { .type = BLOCK_GROUP_DATA, .want_bytes = NODESIZE, .min_bytes = NODESIZE,
					 .align_bytes = SECTORSIZE };
	static struct space s;
	u64 logical, len;

	(void)state;
	space_make(&s, all_mixed);
	/* Left are runs of six sectors, in which only three follow a possible address of a block. */
	for (u32 i = 0; i < NR_GROUPS * GROUP_SECTORS; i++) {
		u64 at = LOGICAL + (u64)i * SECTORSIZE, in_two_nodes = at / SECTORSIZE % 8;

		if (!is_super(&s, i) && (in_two_nodes == 0 || in_two_nodes == 7))
			assert_int_equal(block_groups_claim(&s.groups, at, SECTORSIZE, NULL), 0);
	}
	assert_int_equal(block_groups_alloc(&s.groups, &block, &logical, &len, NULL), -ENOSPC);
	assert_int_equal(block_groups_alloc(&s.groups, &data, &logical, &len, NULL), 0);
	space_done(&s);
}

/* A group of which the item lies is not used. */
static void test_wrong_item(void **state)
{
	const struct space_wish wish = { .type = BLOCK_GROUP_DATA, .want_bytes = SECTORSIZE, .min_bytes = SECTORSIZE,
					 .align_bytes = SECTORSIZE };
	static struct space s;
	struct diag d = { 0 };
	u64 logical, len;

	(void)state;
	space_make(&s, all_mixed);
	s.groups.groups.items[0]->used = s.groups.groups.items[0]->disk_used = SECTORSIZE;
	assert_int_equal(block_groups_alloc(&s.groups, &wish, &logical, &len, &d), -EUCLEAN);
	assert_non_null(strstr(d.text, "its item says"));
	space_done(&s);
}

static void test_bad_groups(void **state)
{
	static struct space s;

	(void)state;
	space_make(&s, all_mixed);
	assert_int_equal(block_groups_add(&s.groups, LOGICAL + SECTORSIZE, GROUP_BYTES, BLOCK_GROUP_DATA, 0, false, NULL,
					  NULL), -EUCLEAN);
	assert_int_equal(block_groups_add(&s.groups, LOGICAL - SECTORSIZE, GROUP_BYTES, BLOCK_GROUP_DATA, 0, false, NULL,
					  NULL), -EUCLEAN);
	assert_int_equal(block_groups_add(&s.groups, 16 * GIB, SECTORSIZE + 1, BLOCK_GROUP_DATA, 0, false, NULL, NULL),
			 -EUCLEAN);
	assert_int_equal(block_groups_add(&s.groups, 16 * GIB, (u64)1 << 50, BLOCK_GROUP_DATA, 0, false, NULL, NULL),
			 -EUCLEAN);
	assert_int_equal(block_groups_exclude(&s.groups, LOGICAL, 0, NULL), -EINVAL);
	assert_int_equal(block_groups_exclude(&s.groups, UINT64_MAX - 4095, 8192, NULL), -EINVAL);
	assert_int_equal(block_groups_free(&s.groups, LOGICAL, SECTORSIZE, NULL), -EUCLEAN);
	assert_int_equal(block_groups_free(&s.groups, 5, SECTORSIZE, NULL), -EUCLEAN);
	assert_int_equal(block_groups_free(&s.groups, LOGICAL + 1, SECTORSIZE, NULL), -EUCLEAN);
	assert_int_equal(block_groups_claim(&s.groups, LOGICAL, 0, NULL), -EUCLEAN);
	assert_null(block_groups_find(&s.groups, LOGICAL - 1));
	assert_null(block_groups_find(&s.groups, LOGICAL + NR_GROUPS * GROUP_BYTES));
	space_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),	   cmocka_unit_test(test_groups),
		cmocka_unit_test(test_hint_knows_alignment), cmocka_unit_test(test_wrong_item),
		cmocka_unit_test(test_bad_groups), cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
