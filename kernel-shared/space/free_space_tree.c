/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/space/free_space_tree.h"
#include "kernel-shared/space/sector_bits.h"

typedef unsigned long long ull;

/* A run of free sectors. */
struct run {
	u32 from, end;
};

/* The next run at or after @from; from == end == nr_sectors: none. */
static struct run next_run(const u64 *in_use, u32 from, u32 nr_sectors)
{
	struct run run;

	run.from = sector_bits_find(in_use, from, nr_sectors, false);
	run.end = sector_bits_find(in_use, run.from, nr_sectors, true);
	return run;
}

static struct key key_of(const struct block_group *group, u32 sectorsize, const struct run *run, u8 type)
{
	return (struct key){ group->logical + (u64)run->from * sectorsize, type,
			     (u64)(run->end - run->from) * sectorsize };
}

static int disagrees(const struct block_group *group, struct diag *d)
{
	return diag_context(
		d, -EUCLEAN,
		"the free space tree does not agree with the extents in block group %llu; check the filesystem first",
		(ull)group->logical);
}

struct update {
	struct edit edit;
	const struct block_group *group;
	const u64 *new_bits; /* in use: what the items are to say */
	u32 sectorsize;
	s64 count; /* of runs: how many more there are than before */
};

static int remove_run(struct update *u, const struct run *run, struct diag *d)
{
	const struct key key = key_of(u->group, u->sectorsize, run, FREE_SPACE_EXTENT_KEY);
	int err = edit_delete_key(&u->edit, &key, d);

	u->count--;
	return err == -ENOENT ? disagrees(u->group, d) : err;
}

static int insert_run(struct update *u, const struct run *run, struct diag *d)
{
	const struct key key = key_of(u->group, u->sectorsize, run, FREE_SPACE_EXTENT_KEY);
	int err = edit_put(&u->edit, &key, NULL, 0, d);

	u->count++;
	return err == -EEXIST ? disagrees(u->group, d) : err;
}

/* Merge the runs as they were with the runs as they are. What is the same on both sides is passed over. */
static int update_extents(struct update *u, const u64 *old_bits, struct diag *d)
{
	const u64 *new_bits = u->new_bits;
	u32 nr = u->group->nr_sectors;
	struct run old = next_run(old_bits, 0, nr), new = next_run(new_bits, 0, nr);
	int err = 0;

	while ((old.from < nr || new.from < nr) && !err) {
		if (old.from == new.from && old.end == new.end) {
			old = next_run(old_bits, old.end, nr);
			new = next_run(new_bits, new.end, nr);
		} else if (old.from < nr && (new.from >= nr || old.from <= new.from)) {
			err = remove_run(u, &old, d);
			old = next_run(old_bits, old.end, nr);
		} else {
			/* An old run that begins within this one goes first: it may have the same key. */
			while (old.from < new.end && old.from < nr && !err) {
				err = remove_run(u, &old, d);
				old = next_run(old_bits, old.end, nr);
			}
			if (!err)
				err = insert_run(u, &new, d);
			new = next_run(new_bits, new.end, nr);
		}
	}
	return err;
}

static u32 count_runs(const u64 *in_use, u32 nr_sectors)
{
	u32 count = 0;

	for (struct run run = next_run(in_use, 0, nr_sectors); run.from < nr_sectors;
	     run = next_run(in_use, run.end, nr_sectors))
		count++;
	return count;
}

static bool is_free(const u64 *in_use, u32 sector)
{
	return !(in_use[sector / 64] >> sector % 64 & 1);
}

/* One bitmap item says what @old_bits says; make it say what @new_bits says. */
static int update_bitmap(struct update *u, const struct key *key, const u64 *old_bits, const u64 *new_bits, struct diag *d)
{
	u8 *bitmap = edit_data(&u->edit);
	u32 from = (u32)((key->objectid - u->group->logical) / u->sectorsize);
	u32 nr = (u32)(key->offset / u->sectorsize);

	if (edit_data_bytes(&u->edit) * 8ULL < nr)
		return diag_fail(d, -EUCLEAN, "free space bitmap %llu: too short", (ull)key->objectid);
	for (u32 i = 0; i < nr; i++) {
		bool was_free = is_free(old_bits, from + i);

		if ((bitmap[i / 8] >> i % 8 & 1) != was_free)
			return disagrees(u->group, d);
		if (is_free(new_bits, from + i) != was_free)
			bitmap[i / 8] ^= (u8)(1U << i % 8);
	}
	return 0;
}

/* Stand on the bitmap that begins at @at, where there must be one. */
static int seek_bitmap(struct update *u, u64 at, struct key *ret_key, struct diag *d)
{
	const struct key first = { at, FREE_SPACE_BITMAP_KEY, 0 };
	u64 left = u->group->logical + u->group->length - at;
	int err = edit_seek_from(&u->edit, &first, d);

	if (err)
		return err < 0 ? err : disagrees(u->group, d);
	*ret_key = edit_key(&u->edit);
	if (ret_key->type != FREE_SPACE_BITMAP_KEY || ret_key->objectid != at || ret_key->offset == 0 ||
	    ret_key->offset > left || ret_key->offset % u->sectorsize)
		return disagrees(u->group, d);
	return 0;
}

static bool is_same(const u64 *a, const u64 *b, u32 from, u32 count)
{
	for (u32 i = from; i < from + count; i++)
		if ((a[i / 64] ^ b[i / 64]) >> i % 64 & 1)
			return false;
	return true;
}

/* Where there are bitmaps, they cover all of the group. */
static int update_bitmaps(struct update *u, const u64 *old_bits, struct diag *d)
{
	u64 at = u->group->logical, end = u->group->logical + u->group->length;
	struct key key;
	int err = 0;

	for (; at < end && !err; at += err ? 0 : key.offset) {
		err = seek_bitmap(u, at, &key, d);
		if (!err && !is_same(old_bits, u->new_bits, (u32)((at - u->group->logical) / u->sectorsize),
				     (u32)(key.offset / u->sectorsize)))
			err = update_bitmap(u, &key, old_bits, u->new_bits, d);
	}
	u->count = (s64)count_runs(u->new_bits, u->group->nr_sectors) - (s64)count_runs(old_bits, u->group->nr_sectors);
	return err;
}

/* --- From runs to bitmaps and back ---------------------------------------- */

static int remove_runs(struct update *u, const u64 *old_bits, struct diag *d)
{
	u32 nr = u->group->nr_sectors;
	int err = 0;

	for (struct run run = next_run(old_bits, 0, nr); run.from < nr && !err; run = next_run(old_bits, run.end, nr))
		err = remove_run(u, &run, d);
	return err;
}

static int insert_runs(struct update *u, struct diag *d)
{
	u32 nr = u->group->nr_sectors;
	int err = 0;

	for (struct run run = next_run(u->new_bits, 0, nr); run.from < nr && !err;
	     run = next_run(u->new_bits, run.end, nr))
		err = insert_run(u, &run, d);
	return err;
}

static int remove_bitmaps(struct update *u, const u64 *old_bits, struct diag *d)
{
	u64 at = u->group->logical, end = u->group->logical + u->group->length;
	struct key key;
	int err = 0;

	for (; at < end && !err; at += err ? 0 : key.offset) {
		err = seek_bitmap(u, at, &key, d);
		if (!err)
			err = update_bitmap(u, &key, old_bits, old_bits, d);
		if (!err)
			err = edit_delete(&u->edit, NULL, d);
	}
	u->count -= count_runs(old_bits, u->group->nr_sectors);
	return err;
}

static int insert_bitmaps(struct update *u, struct diag *d)
{
	u32 nr = u->group->nr_sectors;
	int err = 0;

	for (u32 from = 0; from < nr && !err; from += FREE_SPACE_BITMAP_SECTORS) {
		const struct run all = { from, MIN(nr, from + FREE_SPACE_BITMAP_SECTORS) };
		const struct key key = key_of(u->group, u->sectorsize, &all, FREE_SPACE_BITMAP_KEY);
		u8 bitmap[FREE_SPACE_BITMAP_BYTES] = { 0 };

		for (u32 i = from; i < all.end; i++)
			bitmap[(i - from) / 8] |= (u8)(is_free(u->new_bits, i) << (i - from) % 8);
		err = edit_put(&u->edit, &key, bitmap, (all.end - from + 7) / 8, d);
		if (err == -EEXIST)
			err = disagrees(u->group, d);
	}
	u->count += count_runs(u->new_bits, nr);
	return err;
}

/* What the group had was all that there was of it, so that both forms never stand side by side. */
static int check_empty(struct update *u, struct diag *d)
{
	const struct key first = { u->group->logical, FREE_SPACE_INFO_KEY + 1, 0 };
	int err = edit_seek_from(&u->edit, &first, d);

	if (err)
		return err < 0 ? err : 0;
	return edit_key(&u->edit).objectid < u->group->logical + u->group->length ? disagrees(u->group, d) : 0;
}

static int convert(struct update *u, const u64 *old_bits, bool has_bitmaps, struct diag *d)
{
	int err = has_bitmaps ? remove_bitmaps(u, old_bits, d) : remove_runs(u, old_bits, d);

	if (!err)
		err = check_empty(u, d);
	if (err)
		return err;
	return has_bitmaps ? insert_runs(u, d) : insert_bitmaps(u, d);
}

/* ---------------------------------------- */

static bool wants_bitmaps(const struct update *u, bool has_bitmaps)
{
	u64 nr_runs = count_runs(u->new_bits, u->group->nr_sectors);
	u64 most = free_space_runs_max(u->group->length, u->sectorsize);

	return has_bitmaps ? nr_runs + FREE_SPACE_RUNS_KEPT >= most : nr_runs > most;
}

static int update_items(struct update *u, const u64 *old_bits, struct diag *d)
{
	const struct key info_key = { u->group->logical, FREE_SPACE_INFO_KEY, u->group->length };
	struct disk_free_space_info *info;
	bool had_bitmaps, has_bitmaps;
	u32 flags;
	int err = edit_seek(&u->edit, &info_key, d);

	if (err)
		return err < 0 ? err : disagrees(u->group, d);
	info = edit_data(&u->edit);
	flags = le32_get(info->flags);
	had_bitmaps = flags & FREE_SPACE_USING_BITMAPS;
	has_bitmaps = wants_bitmaps(u, had_bitmaps);
	if (has_bitmaps != had_bitmaps)
		err = convert(u, old_bits, had_bitmaps, d);
	else
		err = had_bitmaps ? update_bitmaps(u, old_bits, d) : update_extents(u, old_bits, d);
	if (!err)
		err = edit_seek(&u->edit, &info_key, d);
	if (err)
		return err < 0 ? err : disagrees(u->group, d);
	info = edit_data(&u->edit);
	if ((s64)le32_get(info->extent_count) + u->count < 0)
		return disagrees(u->group, d);
	le32_put(&info->extent_count, (u32)(le32_get(info->extent_count) + u->count));
	flags &= ~FREE_SPACE_USING_BITMAPS;
	le32_put(&info->flags, has_bitmaps ? flags | FREE_SPACE_USING_BITMAPS : flags);
	return 0;
}

int free_space_tree_update(struct tree_root *root, u32 sectorsize, struct block_group *group, struct diag *d)
{
	struct update u = { .edit = edit_init(root), .group = group, .sectorsize = sectorsize };
	size_t bytes = sector_bits_words(group->nr_sectors) * sizeof(u64);
	const u64 *old_bits = group->listed ? group->listed : group->disk;
	_free_ u64 *before = NULL;
	int err;

	if (!group->is_loaded || memcmp(old_bits, group->now, bytes) == 0)
		return 0;
	/* Blocks of this tree are allocated while it changes, perhaps in this group: what is to be listed must stand
	 * still. */
	before = malloc(bytes);
	if (!before)
		return diag_no_memory(d, "free space");
	memcpy(before, group->now, bytes);
	u.new_bits = before;
	err = update_items(&u, old_bits, d);
	edit_done(&u.edit);
	if (err)
		return err;
	free(group->listed);
	group->listed = take_ptr(before);
	return 0;
}

int free_space_tree_add_group(struct tree_root *root, u32 sectorsize, struct block_group *group, struct diag *d)
{
	const struct key info_key = { group->logical, FREE_SPACE_INFO_KEY, group->length };
	const struct run all = { 0, group->nr_sectors };
	const struct key key = key_of(group, sectorsize, &all, FREE_SPACE_EXTENT_KEY);
	struct disk_free_space_info info = { 0 };
	struct edit edit = edit_init(root);
	int err;

	le32_put(&info.extent_count, 1);
	err = edit_put(&edit, &info_key, &info, sizeof(info), d);
	if (!err)
		err = edit_put(&edit, &key, NULL, 0, d);
	edit_done(&edit);
	return err;
}

int free_space_tree_remove_group(struct tree_root *root, const struct block_group *group, struct diag *d)
{
	struct edit edit = edit_init(root);
	struct key key = { group->logical, 0, 0 };
	bool is_on_next = false;
	int err = edit_seek_from(&edit, &key, d);

	while (err == 0) {
		key = edit_key(&edit);
		if (key.objectid >= group->logical + group->length)
			break;
		err = edit_delete(&edit, &is_on_next, d);
		if (!err && !is_on_next)
			err = edit_seek_from(&edit, &key, d);
	}
	edit_done(&edit);
	return err < 0 ? err : 0;
}
