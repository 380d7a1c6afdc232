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

static bool is_free_in_bitmap(const u8 *bitmap, u32 bit)
{
	return bitmap[bit / 8] >> bit % 8 & 1;
}

/* One bitmap item, which must say what @old_bits says. */
static int update_bitmap(struct update *u, const struct key *key, const u64 *old_bits, struct diag *d)
{
	u8 *bitmap = edit_data(&u->edit);
	u32 from = (u32)((key->objectid - u->group->logical) / u->sectorsize);
	u32 nr = (u32)(key->offset / u->sectorsize);

	if (edit_data_bytes(&u->edit) * 8ULL < nr)
		return diag_fail(d, -EUCLEAN, "free space bitmap %llu: too short", (ull)key->objectid);
	for (u32 i = 0; i < nr; i++) {
		bool was_free = !(old_bits[(from + i) / 64] >> (from + i) % 64 & 1);
		bool is_free = !(u->new_bits[(from + i) / 64] >> (from + i) % 64 & 1);

		if (is_free_in_bitmap(bitmap, i) != was_free)
			return disagrees(u->group, d);
		if (is_free != was_free)
			bitmap[i / 8] ^= (u8)(1U << i % 8);
	}
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
	int err = 0;

	while (at < end && !err) {
		const struct key first = { at, FREE_SPACE_BITMAP_KEY, 0 };
		struct key key;

		err = edit_seek_from(&u->edit, &first, d);
		if (err < 0)
			return err;
		key = err ? KEY_MIN : edit_key(&u->edit);
		if (err || key.type != FREE_SPACE_BITMAP_KEY || key.objectid != at || key.offset == 0 ||
		    key.offset > end - at || key.offset % u->sectorsize)
			return disagrees(u->group, d);
		if (!is_same(old_bits, u->new_bits, (u32)((at - u->group->logical) / u->sectorsize),
			     (u32)(key.offset / u->sectorsize)))
			err = update_bitmap(u, &key, old_bits, d);
		at += key.offset;
	}
	u->count = (s64)count_runs(u->new_bits, u->group->nr_sectors) - (s64)count_runs(old_bits, u->group->nr_sectors);
	return err;
}

static int update_items(struct update *u, const u64 *old_bits, struct diag *d)
{
	const struct key info_key = { u->group->logical, FREE_SPACE_INFO_KEY, u->group->length };
	struct disk_free_space_info info;
	struct disk_free_space_info *item;
	int err = edit_seek(&u->edit, &info_key, d);

	if (err)
		return err < 0 ? err : disagrees(u->group, d);
	info = *(const struct disk_free_space_info *)edit_data(&u->edit);
	if (le32_get(info.flags) & FREE_SPACE_USING_BITMAPS)
		err = update_bitmaps(u, old_bits, d);
	else
		err = update_extents(u, old_bits, d);
	if (!err)
		err = edit_seek(&u->edit, &info_key, d);
	if (err)
		return err < 0 ? err : disagrees(u->group, d);
	item = edit_data(&u->edit);
	if ((s64)le32_get(item->extent_count) + u->count < 0)
		return disagrees(u->group, d);
	le32_put(&item->extent_count, (u32)(le32_get(item->extent_count) + u->count));
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
