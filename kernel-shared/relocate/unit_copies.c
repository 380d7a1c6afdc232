/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/unit_copies.h"

#include "common/csum/csum.h"
#include "kernel-shared/volume/volume.h"

bool unit_is_good(const struct btrkit_fs *fs, const struct unit *unit, const u8 *bytes, struct diag *d)
{
	u8 computed[CSUM_BYTES_MAX];

	if (unit->is_block)
		return block_judge_shape(fs->cache, &unit->expect, bytes, d) == 0;
	if (!unit->csum)
		return true;
	csum_compute(fs->csum, bytes, unit->len, computed);
	return memcmp(computed, unit->csum, fs->csum->size_bytes) == 0 ||
	       diag_fail(d, -EUCLEAN, "checksum does not match") == 0;
}

void unit_try_copies(struct btrkit_fs *fs, const struct unit *unit, unit_turn_fn turn_fn, const void *ctx, unsigned nr,
		     u8 *bytes, struct unit_copies *ret_copies)
{
	*ret_copies = (struct unit_copies){ 0 };
	for (unsigned turn = 0; turn < nr && !ret_copies->good; turn++) {
		unsigned copy = turn_fn(ctx, unit, turn);
		struct diag why = { 0 };
		bool is_read;
		int err;

		if (!copy)
			continue;
		err = volume_read(fs->volume, unit->logical, bytes, unit->len, copy, &why);
		if (err == -ENOMEM) {
			*ret_copies = (struct unit_copies){ .has_no_memory = true, .why = why };
			return;
		}
		is_read = err == 0;
		if (is_read && unit_is_good(fs, unit, bytes, &why)) {
			ret_copies->good = copy;
			continue;
		}
		if (is_read && !ret_copies->readable)
			ret_copies->readable = copy;
		if (!ret_copies->why.err)
			ret_copies->why = why;
		if (ret_copies->nr_bad < UNIT_BAD_MAX)
			ret_copies->bad[ret_copies->nr_bad++] = copy;
	}
}
