/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>

#include <btrkit/extents.h>
#include <btrkit/file.h>
#include <btrkit/subvol.h>

#include "common/base/array.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/read_everything.h"

#define ENTRIES_MAX 1200 /* directories may lie within themselves */
#define FILE_PIECES_MAX 6
#define PIECE_BYTES ((size_t)20 * 1024)
#define SUBVOLS_MAX 64
#define GUARD 0xa5

struct reading {
	struct btrkit_fs *fs;
	bool do_skip_damage;
	struct read_totals totals;
	ARRAY(struct btrkit_inode) dirs; /* still to be listed */
	u8 *buf; /* PIECE_BYTES + 1 */
};

/* Each failure explains itself. */
static bool works(struct reading *r, int err, const struct btrkit_error *error)
{
	if (err == 0)
		return true;
	fuzz_require(err < 0 && error->err == err && error->text[0]);
	r->totals.failures++;
	return false;
}

static int see_xattr(void *arg, const char *name, size_t name_len, const void *value, size_t value_len)
{
	struct reading *r = arg;
	u8 sum = 0;

	fuzz_require(name_len <= BTRKIT_NAME_MAX && name[name_len] == '\0');
	for (size_t i = 0; i < value_len; i++)
		sum ^= ((const u8 *)value)[i];
	r->totals.xattrs += 1 + (sum & 0);
	return 0;
}

static void read_xattrs(struct reading *r, const struct btrkit_inode *inode)
{
	struct btrkit_error error = { 0 };
	size_t len = 0;
	int err;

	works(r, btrkit_xattr_for_each(r->fs, inode, see_xattr, r, &error), &error);
	error = (struct btrkit_error){ 0 };
	err = btrkit_xattr_get(r->fs, inode, "user.attribute3", r->buf, 8, &len, &error);
	if (works(r, err, &error))
		fuzz_require(len <= 8);
}

/* One read, which must keep to its buffer and its promises. */
static void read_piece(struct reading *r, struct btrkit_file *file, u64 offset, size_t len)
{
	struct btrkit_error error = { 0 };
	u64 size = btrkit_file_size(file);
	size_t got = 0;
	int err;

	r->buf[len] = GUARD;
	err = btrkit_file_read(file, offset, r->buf, len, &got, &error);
	fuzz_require(r->buf[len] == GUARD && got <= len);
	if (works(r, err, &error))
		fuzz_require(got == (offset < size ? MIN((u64)len, size - offset) : 0));
	r->totals.bytes += got;
}

static void read_ranges(struct reading *r, struct btrkit_file *file)
{
	u64 size = btrkit_file_size(file), at = 0;

	for (unsigned n = 0; at < size; n++) {
		struct btrkit_error error = { 0 };
		struct btrkit_file_range range;

		if (!works(r, btrkit_file_range_at(file, at, &range, &error), &error))
			return;
		fuzz_require(range.offset == at && range.len > 0 && range.len <= size - at);
		r->totals.ranges++;
		if (n < FILE_PIECES_MAX) {
			read_piece(r, file, at + range.len / 2, 100);
			read_piece(r, file, at, (size_t)MIN(range.len, (u64)PIECE_BYTES));
		}
		at += range.len;
	}
	fuzz_require(btrkit_file_range_at(file, size, &(struct btrkit_file_range){ 0 }, NULL) == 1);
}

static void read_file(struct reading *r, const struct btrkit_inode *inode)
{
	struct btrkit_error error = { 0 };
	struct btrkit_file *file;
	u64 size;

	if (!works(r, btrkit_file_open(r->fs, inode, &file, &error), &error))
		return;
	size = btrkit_file_size(file);
	read_piece(r, file, 0, PIECE_BYTES);
	read_piece(r, file, size - MIN(size, (u64)5000), 5000);
	read_piece(r, file, size / 3 + 1, 777);
	read_piece(r, file, UINT64_MAX - 10, 100);
	read_ranges(r, file);
	btrkit_file_close(file);
}

static void read_inode(struct reading *r, const struct btrkit_inode *inode)
{
	struct btrkit_error error = { 0 };
	struct btrkit_stat stat;
	char text[4096];

	if (!works(r, btrkit_stat(r->fs, inode, &stat, &error), &error))
		return;
	read_xattrs(r, inode);
	error = (struct btrkit_error){ 0 };
	if (works(r, btrkit_path(r->fs, inode, text, sizeof(text), &error), &error)) {
		struct btrkit_inode found;

		fuzz_require(text[0] == '/' && strlen(text) < sizeof(text));
		error = (struct btrkit_error){ 0 };
		works(r, btrkit_lookup(r->fs, NULL, text, &found, &error), &error);
	}
	if (S_ISREG(stat.mode))
		read_file(r, inode);
	if (S_ISLNK(stat.mode)) {
		error = (struct btrkit_error){ 0 };
		if (works(r, btrkit_readlink(r->fs, inode, text, sizeof(text), &error), &error))
			fuzz_require(strnlen(text, sizeof(text)) < sizeof(text));
	}
	if (S_ISDIR(stat.mode))
		fuzz_require(array_push(&r->dirs, *inode) == 0);
}

static void read_entry(struct reading *r, const struct btrkit_inode *dir, const struct btrkit_dir_entry *entry)
{
	struct btrkit_error error = { 0 };
	struct btrkit_inode found;

	fuzz_require(entry->name_len > 0 && entry->name_len <= BTRKIT_NAME_MAX && !entry->name[entry->name_len]);
	works(r, btrkit_lookup_name(r->fs, dir, entry->name, entry->name_len, &found, &error), &error);
	read_inode(r, &entry->inode);
}

static void read_dir(struct reading *r, const struct btrkit_inode *inode)
{
	struct btrkit_error error = { 0 };
	struct btrkit_dir_entry entry;
	struct btrkit_dir *dir;
	u64 last_index = 0;
	int err;

	if (!works(r, btrkit_dir_open(r->fs, inode, &dir, &error), &error))
		return;
	if (r->do_skip_damage)
		btrkit_dir_skip_damage(dir);
	for (bool is_first = true; (err = btrkit_dir_next(dir, &entry, &error)) == 0; is_first = false) {
		fuzz_require(is_first || entry.index > last_index);
		last_index = entry.index;
		if (r->totals.entries++ >= ENTRIES_MAX)
			break;
		read_entry(r, inode, &entry);
	}
	if (err < 0)
		works(r, err, &error);
	r->totals.failures += btrkit_dir_nr_skipped(dir);
	btrkit_dir_close(dir);
}

struct subvol_list {
	u64 ids[SUBVOLS_MAX];
	size_t nr;
	u64 last;
};

static int see_subvol(void *arg, const struct btrkit_subvol *subvol)
{
	struct subvol_list *list = arg;

	fuzz_require(list->nr == 0 || subvol->id > list->last);
	fuzz_require(subvol->name_len <= BTRKIT_NAME_MAX && !subvol->name[subvol->name_len]);
	list->last = subvol->id;
	if (list->nr < SUBVOLS_MAX)
		list->ids[list->nr++] = subvol->id;
	return 0;
}

static void read_subvols(struct reading *r)
{
	struct btrkit_error error = { 0 };
	struct subvol_list list = { .nr = 0 };

	works(r, btrkit_subvol_for_each(r->fs, see_subvol, &list, &error), &error);
	for (size_t i = 0; i < list.nr; i++) {
		struct btrkit_subvol subvol;

		error = (struct btrkit_error){ 0 };
		if (!works(r, btrkit_subvol_get(r->fs, list.ids[i], &subvol, &error), &error))
			continue;
		read_inode(r, &(struct btrkit_inode){ subvol.id, subvol.top_dir });
	}
}

static int see_logical(void *arg, const struct btrkit_logical_range *range)
{
	u64 *end = arg;

	fuzz_require(range->len > 0 && range->logical >= *end && range->profile);
	*end = range->logical + range->len;
	return 0;
}

static int see_physical(void *arg, const struct btrkit_physical_range *range)
{
	u64 *end = arg;

	fuzz_require(range->len > 0 && (*end == 0 || range->physical > *end));
	*end = range->physical + range->len;
	return 0;
}

static void read_whole(struct reading *r)
{
	struct btrkit_error error = { 0 };
	struct btrkit_device_info device;
	struct btrkit_fs_info info;
	u64 end = 0;

	btrkit_fs_get_info(r->fs, &info, sizeof(info));
	fuzz_require(strlen(info.label) < sizeof(info.label));
	works(r, btrkit_used_logical(r->fs, see_logical, &end, &error), &error);
	for (size_t i = 0; btrkit_fs_device_at(r->fs, i, &device) == 0; i++) {
		end = 0;
		error = (struct btrkit_error){ 0 };
		works(r, btrkit_used_physical(r->fs, device.devid, see_physical, &end, &error), &error);
	}
}

void read_everything(struct btrkit_fs *fs, bool do_skip_damage, struct read_totals *ret_totals)
{
	struct reading r = { .fs = fs, .do_skip_damage = do_skip_damage, .buf = malloc(PIECE_BYTES + 1) };

	fuzz_require(r.buf);
	read_whole(&r);
	read_subvols(&r);
	read_inode(&r, &BTRKIT_INODE_TOP);
	while (r.dirs.len && r.totals.entries < ENTRIES_MAX) {
		struct btrkit_inode dir = r.dirs.items[--r.dirs.len];

		read_dir(&r, &dir);
	}
	array_done(&r.dirs);
	free(r.buf);
	*ret_totals = r.totals;
}
