/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What was begun and not finished when the volume was left: whoever writes to it next finishes that. */
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_look.h"

int bch_logged_ops_tell(struct bch_fs *fs, struct diag *d)
{
	_cleanup_(bch_cursor_done) struct bch_cursor cursor;
	struct bch_pos first = BCH_POS_MIN;
	unsigned nr_truncates = 0, nr_moves = 0;
	struct bch_key key;
	int err;

	bch_cursor_init(&cursor, fs, BCH_LOGGED_OPS);
	for (err = bch_cursor_seek(&cursor, &first, &key, d); !err; err = bch_cursor_next(&cursor, &key, d)) {
		nr_truncates += key.type == BCH_KEY_LOGGED_OP_TRUNCATE;
		nr_moves += key.type == BCH_KEY_LOGGED_OP_FINSERT;
	}
	if (nr_truncates + nr_moves)
		diag_note(d, DIAG_WARNING,
			  "when the volume was left, %u files were being truncated, and in %u data was being moved: these are as they were in "
			  "between",
			  nr_truncates, nr_moves);
	if (err == -EUCLEAN || err == -EIO) {
		diag_note(d, DIAG_WARNING, "%s: what was being done to files when the volume was left is not known", d ? d->text : "");
		diag_clear(d);
	}
	return err == -ENOMEM ? err : 0;
}
