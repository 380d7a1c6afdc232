/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The saved filesystem: a read-only subvolume with one file that maps what the source uses; and data that was stored anew. */
#include <stdlib.h>
#include <sys/stat.h>

#include "convert/inplace/verify_facts.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

#define COMPARE_BYTES ((u64)MIB)

/* --- Subvolumes -------------------------------------------------------------------------------------------------------- */

static int judge_subvol(void *ctx, const struct tree *tree, u64 offset, struct diag *d)
{
	bool *has_saved = ctx;

	(void)offset;
	if (tree->id == SAVED_ROOT_ID)
		*has_saved = true;
	else if (tree_id_is_subvol(tree->id) && tree->id != FS_TREE_OBJECTID)
		return diag_fail(d, -EBADMSG, "the new filesystem has a subvolume %llu", (ull)tree->id);
	return 0;
}

static int judge_image(struct verify *v, struct diag *d)
{
	const char *where = v->input->saved_name;
	u64 expected = v->input->source->info.total_bytes;
	const struct btrkit_inode dir = { SAVED_ROOT_ID, FIRST_FREE_OBJECTID };
	struct disk_inode_item item;
	struct btrkit_inode image;
	int err = dir_find(v->fs, &dir, SAVED_FILE_NAME, strlen(SAVED_FILE_NAME), &image, d);

	if (!err && image.subvol == SAVED_ROOT_ID)
		err = inode_read(&v->saved.tree, image.ino, &item, d);
	else if (!err)
		err = -ENOENT;
	if (err == -ENOENT)
		return diag_fail(d, -EBADMSG, "%s: there is no file \"%s\"", where, SAVED_FILE_NAME);
	if (err)
		return err;
	if (!S_ISREG(le32_get(item.mode)))
		return diag_fail(d, -EBADMSG, "%s/%s: mode 0%o is not that of a file", where, SAVED_FILE_NAME, le32_get(item.mode));
	if (le64_get(item.size) != expected)
		return diag_fail(d, -EBADMSG, "%s/%s: size is %llu, but the %s filesystem has %llu bytes", where,
				 SAVED_FILE_NAME, (ull)le64_get(item.size), v->input->source->info.type, (ull)expected);
	v->saved.image_ino = image.ino;
	return 0;
}

int verify_judge_subvols(struct verify *v, struct diag *d)
{
	const char *name = v->input->saved_name;
	struct disk_root_item item;
	bool has_saved = false;
	int err = fs_for_each_root_item(&v->fs->root_tree, 0, judge_subvol, &has_saved, d);

	if (!err && !has_saved)
		err = diag_fail(d, -EBADMSG, "%s: the new filesystem has no subvolume %llu", name, (ull)SAVED_ROOT_ID);
	if (!err)
		err = fs_root_item(v->fs, SAVED_ROOT_ID, &item, d);
	if (!err && le64_get(item.flags) != ROOT_SUBVOL_RDONLY)
		err = diag_fail(d, -EBADMSG, "%s: the saved subvolume is not read-only (flags 0x%llx)", name, (ull)le64_get(item.flags));
	if (!err)
		err = fs_root_item(v->fs, FS_TREE_OBJECTID, &item, d);
	if (!err && le64_get(item.flags))
		err = diag_fail(d, -EBADMSG, "the top subvolume has flags 0x%llx", (ull)le64_get(item.flags));
	if (!err && v->fs->default_subvol != FS_TREE_OBJECTID)
		err = diag_fail(d, -EBADMSG, "subvolume %llu would be mounted by default", (ull)v->fs->default_subvol);
	if (!err)
		err = verify_tree_open(v, SAVED_ROOT_ID, &v->saved, d);
	return err ? err : judge_image(v, d);
}

/* --- What the image maps ------------------------------------------------------------------------------------------------- */

struct mapping {
	struct verify *v;
	struct fact_sink *sink;
};

static int add_used(void *ctx, u64 physical, u64 len, struct diag *d)
{
	struct mapping *mapping = ctx;

	if (verify_is_cancelled(mapping->v))
		return diag_fail(d, -ECANCELED, "cancelled");
	return verify_add_physical(mapping->v, mapping->sink, mapping->v->saved.image_ino, physical, physical, len, d);
}

int verify_expect_saved(struct verify *v, struct fact_sink *sink, bool is_detail, struct diag *d)
{
	struct source *source = v->input->source;
	u64 dir = FIRST_FREE_OBJECTID, image = v->saved.image_ino;
	const struct fact link = { .kind = FACT_LINKS, .links = 1 };
	const struct fact name = {
		.kind = FACT_NAME, .child = image, .name = SAVED_FILE_NAME, .name_len = strlen(SAVED_FILE_NAME),
	};
	struct mapping mapping = { v, sink };
	int err = 0;

	(void)is_detail;
	if (fact_is_wanted(sink, dir))
		err = sink->add(sink, dir, &name, d);
	if (!err && fact_is_wanted(sink, dir))
		err = sink->add(sink, dir, &link, d);
	if (!err && fact_is_wanted(sink, image))
		err = sink->add(sink, image, &link, d);
	if (!err && fact_is_wanted(sink, image))
		err = source->ops->used_ranges(source, 0, add_used, &mapping, d);
	return err;
}

/* --- Checksums -------------------------------------------------------------------------------------------------------------- */

/* Does [logical, +len) hold anything of what cannot be read? */
static bool is_unreadable(const struct verify_input *input, u64 logical, u64 len)
{
	size_t low = 0, high = input->nr_unreadable;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (input->unreadable[middle].logical + input->unreadable[middle].len <= logical)
			low = middle + 1;
		else
			high = middle;
	}
	return low < input->nr_unreadable && input->unreadable[low].logical < logical + len;
}

/*
 * The check of the whole tells of inodes that lack checksums, and of checksums that are of no data. So where none is for what cannot
 * be read, and their number is right, no others are missing.
 */
int verify_unreadable(struct verify *v, struct diag *d)
{
	const struct verify_input *input = v->input;
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&v->fs->csum_tree);
	u64 bytes = 0;
	int err;

	if (!input->nr_unreadable)
		return 0;
	for (err = cursor_first(&cursor, d); err == 0; err = cursor_next(&cursor, d)) {
		const struct key key = cursor_key(&cursor);
		u64 len = (u64)cursor_data_bytes(&cursor) / v->fs->csum->size_bytes * v->sectorsize;

		if (is_unreadable(input, key.offset, len))
			return diag_fail(d, -EBADMSG, "there are checksums at %llu, of what cannot be read", (ull)key.offset);
		bytes += len;
	}
	if (err < 0)
		return err;
	if (bytes != input->csummed_bytes)
		return diag_fail(d, -EBADMSG, "%llu bytes of data have checksums, not %llu", (ull)bytes, (ull)input->csummed_bytes);
	return 0;
}

/* --- Data that was stored anew ---------------------------------------------------------------------------------------------- */

struct comparing {
	struct verify *v;
	ARRAY(struct copied) pieces;
	u8 *buffers; /* two pieces for each worker */
};

static int differs(struct verify *v, const struct copied *copied, u64 at, struct diag *d)
{
	char path[512];

	if (copied->ino)
		return diag_fail(d, -EBADMSG, "%s: byte %llu is not what the %s filesystem's journal has",
				 verify_path(v, FS_TREE_OBJECTID, copied->ino, path, sizeof(path)), (ull)(copied->file_offset + at),
				 v->input->source->info.type);
	return diag_fail(d, -EBADMSG, "byte %llu of the device was moved to logical address %llu, and is another one there",
			 (ull)(copied->physical + at), (ull)(copied->logical + at));
}

static int compare_piece(void *ctx, unsigned worker, u64 n, struct diag *d)
{
	struct comparing *c = ctx;
	const struct copied *copied = &c->pieces.items[n];
	u8 *old = c->buffers + (size_t)worker * 2 * COMPARE_BYTES, *new = old + COMPARE_BYTES;
	struct source *source = c->v->input->source;
	/* The last bytes of a file need not be a whole sector. */
	int err = volume_read(c->v->fs->volume, copied->logical, new, copied->len, 1, d);

	if (!err && copied->ino)
		err = source->ops->read(source, copied->physical, old, copied->len, d);
	else if (!err)
		err = blockdev_read(c->v->input->dev, copied->physical, old, copied->len, d);
	if (err || memcmp(old, new, copied->len) == 0)
		return err;
	for (u64 i = 0; i < copied->len; i++)
		if (old[i] != new[i])
			return differs(c->v, copied, i, d);
	return 0;
}

static int cut(struct comparing *c, struct copied copied)
{
	while (copied.len) {
		struct copied piece = copied;

		piece.len = MIN(copied.len, COMPARE_BYTES);
		if (array_push(&c->pieces, piece) < 0)
			return -ENOMEM;
		copied.physical += piece.len;
		copied.logical += piece.len;
		copied.file_offset += piece.len;
		copied.len -= piece.len;
	}
	return 0;
}

/* Moved bytes, but for those that cannot be read. */
static int cut_readable(struct comparing *c, struct copied copied)
{
	const struct verify_input *input = c->v->input;
	u64 end = copied.logical + copied.len;

	for (size_t i = 0; i < input->nr_unreadable; i++) {
		const struct placed_range *hole = &input->unreadable[i];
		u64 from = MAX(hole->logical, copied.logical), to = MIN(hole->logical + hole->len, end);
		struct copied before = copied;

		if (from >= to)
			continue;
		before.len = from - copied.logical;
		if (cut(c, before) < 0)
			return -ENOMEM;
		copied.physical += to - copied.logical;
		copied.len -= to - copied.logical;
		copied.logical = to;
	}
	return cut(c, copied);
}

int verify_copied(struct verify *v, struct diag *d)
{
	const struct verify_input *input = v->input;
	struct comparing c = { .v = v };
	int err = 0;

	for (size_t i = 0; i < input->nr_moved && !err; i++)
		err = cut_readable(&c, (struct copied){ input->moved[i].physical, input->moved[i].logical, input->moved[i].len, 0, 0 });
	array_for_each(&v->copied, copied)
		err = err ? err : cut(&c, *copied);
	c.buffers = malloc((size_t)pool_threads(input->pool) * 2 * COMPARE_BYTES);
	if (err || !c.buffers)
		err = diag_no_memory(d, "comparing data");
	else
		err = pool_for_each(input->pool, c.pieces.len, compare_piece, &c, d);
	free(c.buffers);
	array_done(&c.pieces);
	return err;
}
