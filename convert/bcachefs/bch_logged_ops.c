/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_logged_ops.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "convert/bcachefs/bch_file.h"
#include "convert/bcachefs/bch_fs.h"

/* How both kinds begin. */
struct disk_logged_op {
	le32 subvol, state;
	le64 ino;
};
struct disk_truncate {
	struct disk_logged_op head;
	le64 new_size;
};
_Static_assert(sizeof(struct disk_truncate) == 24, "truncate");

int bch_logged_op_get(const struct bch_key *key, struct bch_logged_op *ret_op, struct diag *d)
{
	struct disk_truncate disk = { 0 };
	bool is_truncate = key->type == BCH_KEY_LOGGED_OP_TRUNCATE;
	size_t needed = is_truncate ? sizeof(disk) : sizeof(disk.head);

	if (!is_truncate && key->type != BCH_KEY_LOGGED_OP_FINSERT)
		return 1;
	if (key->value_bytes < needed)
		return diag_fail(d, -EUCLEAN, "what was being done to a file (%" PRIu64 ":%" PRIu64 ") is cut off", key->pos.inode,
				 key->pos.offset);
	memcpy(&disk, key->value, needed);
	*ret_op = (struct bch_logged_op){
		.is_truncate = is_truncate,
		.subvol = le32_get(disk.head.subvol),
		.ino = le64_get(disk.head.ino),
		.new_size = le64_get(disk.new_size),
	};
	return 0;
}

/* --- Paths ------------------------------------------------------------------------------------------------------- */

/* Put a slash and the name at (@dir, @offset) before what @buf has from *start on. */
static bool prepend(struct bch_fs *fs, const struct bch_subvol *subvol, u64 dir, u64 offset, char *buf, size_t *start)
{
	_cleanup_(bch_view_done) struct bch_view view;
	struct diag unused = { 0 };
	struct bch_dirent dirent;
	struct bch_key key;

	bch_view_init(&view, fs, BCH_DIRENTS, subvol->snapshot);
	if (bch_view_seek(&view, dir, offset, &key, &unused) != 0 || key.pos.inode != dir || key.pos.offset != offset ||
	    key.type != BCH_KEY_DIRENT || bch_dirent_get(&key, &dirent, &unused) != 0 || dirent.name_len + (size_t)1 > *start)
		return false;
	*start -= dirent.name_len;
	memcpy(buf + *start, dirent.name, dirent.name_len);
	buf[--*start] = '/';
	return true;
}

const char *bch_path_text(struct bch_fs *fs, const struct bch_subvol *subvol, u64 ino, char buf[BCH_PATH_TEXT_MAX])
{
	char path[BCH_PATH_TEXT_MAX - 32], prefix[32] = "";
	size_t start = sizeof(path) - 1;
	struct diag unused = { 0 };
	struct bch_inode inode;
	u64 at = ino;

	path[start] = '\0';
	if (subvol->id != BCH_TOP_SUBVOL)
		snprintf(prefix, sizeof(prefix), "subvolume %u: ", subvol->id);
	/* Each step takes room in the path, so that there is an end of them. */
	while (at != subvol->top_ino && bch_inode_find(fs, subvol->snapshot, at, &inode, &unused) == 0 && inode.dir &&
	       prepend(fs, subvol, inode.dir, inode.dir_offset, path, &start))
		at = inode.dir;
	if (at == subvol->top_ino && path[start])
		snprintf(buf, BCH_PATH_TEXT_MAX, "%s%s", prefix, path + start);
	else
		snprintf(buf, BCH_PATH_TEXT_MAX, "%sinode %" PRIu64, prefix, ino);
	return buf;
}

/* --- All of them -------------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const struct bch_truncate *x = a, *y = b;

	if (x->snapshot != y->snapshot)
		return x->snapshot < y->snapshot ? -1 : 1;
	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	return (x->nr > y->nr) - (x->nr < y->nr);
}

/* Of several for one file the last decides how long it is, and the shortest what is left. */
static void join_truncates(struct bch_fs *fs)
{
	size_t nr = 0;

	array_sort(&fs->truncates, compare);
	array_for_each(&fs->truncates, truncate) {
		struct bch_truncate *last = nr ? &fs->truncates.items[nr - 1] : NULL;

		if (!last || last->snapshot != truncate->snapshot || last->ino != truncate->ino) {
			fs->truncates.items[nr++] = *truncate;
			continue;
		}
		last->new_size = truncate->new_size;
		last->sector = MIN(last->sector, truncate->sector);
	}
	fs->truncates.len = nr;
}

static int add_truncate(struct bch_fs *fs, const struct bch_subvol *subvol, const struct bch_logged_op *op, struct diag *d)
{
	u64 block_bytes = fs->super->block_bytes;
	struct bch_truncate truncate = {
		.snapshot = subvol->snapshot,
		.nr = (u32)fs->truncates.len,
		.ino = op->ino,
		.new_size = op->new_size,
		/* The block that the file ends in stays. */
		.sector = (op->new_size / block_bytes + (op->new_size % block_bytes != 0)) * (block_bytes / BCH_SECTOR_BYTES),
	};

	return array_push(&fs->truncates, truncate) < 0 ? diag_no_memory(d, "truncations") : 0;
}

static int take_op(struct bch_fs *fs, const struct bch_key *key, struct diag *d)
{
	const struct bch_subvol *subvol;
	char path[BCH_PATH_TEXT_MAX];
	struct diag why = { 0 };
	struct bch_logged_op op;
	int err = bch_logged_op_get(key, &op, &why);

	if (err < 0)
		diag_note(d, DIAG_WARNING, "when the volume was left, %s", why.text);
	if (err)
		return 0;
	subvol = bch_subvol_find(fs, op.subvol);
	if (!subvol) /* nor will there be anything to finish */
		return 0;
	if (op.is_truncate)
		return add_truncate(fs, subvol, &op, d);
	diag_note(d, DIAG_WARNING, "%s: a range was being inserted or removed when the volume was left: the file is as it was in between",
		  bch_path_text(fs, subvol, op.ino, path));
	return 0;
}

int bch_logged_ops_read(struct bch_fs *fs, struct diag *d)
{
	_cleanup_(bch_cursor_done) struct bch_cursor cursor;
	struct diag why = { 0 };
	struct bch_key key;
	int err;

	bch_cursor_init(&cursor, fs, BCH_LOGGED_OPS);
	for (err = bch_cursor_seek(&cursor, &BCH_POS_MIN, &key, &why); !err; err = bch_cursor_next(&cursor, &key, &why)) {
		err = take_op(fs, &key, d);
		if (err)
			return err;
	}
	if (err == -EUCLEAN || err == -EIO)
		diag_note(d, DIAG_WARNING, "%s: what was being done to files when the volume was left is not known", why.text);
	else if (err < 0)
		return diag_copy(d, &why);
	if (fs->truncates.len)
		diag_note(d, DIAG_NOTE, "files were being truncated when the volume was left (%zu): they are shown as they will be",
			  fs->truncates.len);
	join_truncates(fs);
	return 0;
}

void bch_logged_ops_done(struct bch_fs *fs)
{
	array_done(&fs->truncates);
}

/* --- Files -------------------------------------------------------------------------------------------------------- */

static const struct bch_truncate *find(const struct bch_fs *fs, u32 snapshot, u64 ino)
{
	const struct bch_truncate wanted = { .snapshot = snapshot, .ino = ino };
	size_t i;

	if (fs->truncates.len == 0)
		return NULL;
	i = array_lower_bound(&fs->truncates, it, compare(it, &wanted) < 0);
	if (i == fs->truncates.len || fs->truncates.items[i].snapshot != snapshot || fs->truncates.items[i].ino != ino)
		return NULL;
	return &fs->truncates.items[i];
}

void bch_inode_truncate(const struct bch_fs *fs, u32 snapshot, struct bch_inode *inode)
{
	const struct bch_truncate *truncate = S_ISREG(inode->mode) ? find(fs, snapshot, inode->ino) : NULL;

	if (truncate)
		inode->size = truncate->new_size;
}

u64 bch_truncate_sector(const struct bch_fs *fs, u32 snapshot, u64 ino)
{
	const struct bch_truncate *truncate = find(fs, snapshot, ino);

	return truncate ? truncate->sector : UINT64_MAX;
}
