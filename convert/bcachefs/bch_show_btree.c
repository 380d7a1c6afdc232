/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_cursor.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_show.h"
#include "kernel-shared/print/show.h"

static void show_bch_key(printer *to, const struct bch_fs *fs, const char *btree, const struct bch_key *key)
{
	char type[16], pos[BCH_POS_TEXT_MAX];

	show_begin(to, NULL);
	show_text(to, "btree", btree);
	show_u64(to, "u64s", (sizeof(struct disk_bch_key) + key->value_bytes) / 8);
	show_text(to, "type", bch_key_type_name(key->type, type));
	show_text(to, "pos", bch_pos_text(&key->pos, pos));
	show_u64(to, "inode", key->pos.inode);
	show_u64(to, "offset", key->pos.offset);
	show_u64(to, "snapshot", key->pos.snapshot);
	show_u64(to, "len", key->size_sectors);
	show_u64(to, "ver", key->version_lo);
	bch_show_value(to, fs, key);
	show_end(to);
}

static void show_lost(printer *to, const char *btree, const struct bch_cursor *cursor, const struct diag *why)
{
	char from[BCH_POS_TEXT_MAX], last[BCH_POS_TEXT_MAX];

	show_begin(to, NULL);
	show_text(to, "btree", btree);
	show_text(to, "lost_from", bch_pos_text(&cursor->lost_min, from));
	show_text(to, "lost_to", bch_pos_text(&cursor->lost_max, last));
	show_text(to, "why", why->text);
	show_end(to);
}

static int show_keys(printer *to, struct bch_fs *fs, const char *name, struct bch_cursor *cursor, u64 *nr_lost, struct diag *d)
{
	const struct bch_pos last = BCH_POS_MAX;
	struct bch_pos from = BCH_POS_MIN;

	for (;;) {
		struct diag why = { .note = d ? d->note : NULL, .note_arg = d ? d->note_arg : NULL };
		struct bch_key key;
		int err = bch_cursor_seek(cursor, &from, &key, &why);

		for (; err == 0; err = bch_cursor_next(cursor, &key, &why))
			show_bch_key(to, fs, name, &key);
		if (err == 1)
			return 0;
		if (err != -EUCLEAN && err != -EIO)
			return diag_copy(d, &why);
		++*nr_lost;
		show_lost(to, name, cursor, &why);
		if (bch_pos_compare(&cursor->lost_max, &last) == 0)
			return 0;
		from = bch_pos_successor(cursor->lost_max);
	}
}

int bch_show_btree(const struct btrkit_printer *to, struct bch_fs *fs, u8 btree, u64 *nr_lost, struct diag *d)
{
	const struct bch_root *root = &fs->roots[btree];
	struct bch_cursor cursor;
	char buf[16];
	const char *name = bch_btree_name(btree, buf);
	int err;

	show_begin(to, NULL);
	show_text(to, "tree", name);
	show_u64(to, "id", btree);
	show_bool(to, "has_root", root->is_there);
	if (root->is_there)
		show_u64(to, "level", root->level);
	show_end(to);
	bch_cursor_init(&cursor, fs, btree);
	err = show_keys(to, fs, name, &cursor, nr_lost, d);
	bch_cursor_done(&cursor);
	return err;
}
