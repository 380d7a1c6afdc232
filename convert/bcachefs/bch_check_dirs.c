/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From each directory up to the top, or in a circle. A byte for each directory keeps what was found out before. */
#include "convert/bcachefs/bch_check_names.h"

typedef unsigned long long ull;

enum { UNKNOWN, ON_THE_WAY, DONE };

struct climb {
	struct sequence_reader reader;
	u64 nr;
	u8 *states; /* of each directory, by its index in the list */
};

static const struct bch_dir_fact *dir_at(struct climb *climb, u64 index)
{
	const void *record;

	climb->reader.next = index;
	return sequence_next(&climb->reader, &record, NULL) == 0 ? record : NULL;
}

/* Its index; nr: it is the top, or not there. */
static u64 index_of(struct climb *climb, u64 ino)
{
	u64 low = 0, high = climb->nr;

	while (low < high) {
		u64 middle = low + (high - low) / 2;
		const struct bch_dir_fact *dir = dir_at(climb, middle);

		if (!dir)
			return climb->nr;
		if (dir->ino == ino)
			return middle;
		if (dir->ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	return climb->nr;
}

static u64 above(struct climb *climb, u64 index)
{
	const struct bch_dir_fact *dir = dir_at(climb, index);

	return dir ? index_of(climb, dir->dir) : climb->nr;
}

static void climb_from(struct bch_names_pass *pass, struct climb *climb, u64 first)
{
	u64 at = first;

	while (at < climb->nr && climb->states[at] == UNKNOWN) {
		climb->states[at] = ON_THE_WAY;
		at = above(climb, at);
	}
	if (at < climb->nr && climb->states[at] == ON_THE_WAY) {
		const struct bch_dir_fact *dir = dir_at(climb, at);
		u64 ino = dir ? dir->ino : 0;

		complain(pass->check, BCH_DIR_LOOP, AT(.tree = pass->subvol->id, .inode = ino), pass->subvol->id, (ull)ino);
	}
	for (at = first; at < climb->nr && climb->states[at] == ON_THE_WAY; at = above(climb, at))
		climb->states[at] = DONE;
}

int bch_names_loops(struct bch_names_pass *pass, struct diag *d)
{
	struct climb climb = { .reader = sequence_read_from(pass->dirs, 0), .nr = sequence_count(pass->dirs) };

	climb.reader.buffer_bytes = 4096;
	climb.states = calloc(MAX(climb.nr, (u64)1), 1);
	if (!climb.states)
		return diag_no_memory(d, "the check");
	for (u64 i = 0; i < climb.nr && !bch_check_is_cancelled(pass->check); i++)
		climb_from(pass, &climb, i);
	free(climb.states);
	sequence_reader_done(&climb.reader);
	return 0;
}
