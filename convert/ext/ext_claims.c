/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_claims.h"

#include <inttypes.h>

int ext_claims_init(struct ext_claims *claims, const struct ext_fs *ext, struct diag *d)
{
	claims->ext = ext;
	if (ext_bits_init(&claims->free, (u64)ext->nr_groups * round_up_u64(ext->clusters_per_group, 64),
			  ext->clusters_per_group) < 0)
		return diag_no_memory(d, "claimed blocks");
	return 0;
}

void ext_claims_done(struct ext_claims *claims)
{
	ext_bits_done(&claims->free);
}

/* The words of a group, when they are first needed: what is in use, without the filesystem's own structures. */
static int load_group(struct ext_claims *claims, u32 group, u64 **ret_words, struct diag *d)
{
	const struct ext_fs *ext = claims->ext;
	u64 first = (u64)group * ext->clusters_per_group * ext->cluster_blocks;
	u64 end = first + (u64)ext->clusters_per_group * ext->cluster_blocks;
	_free_ u64 *words = NULL;
	int err;

	*ret_words = claims->free.pieces[group];
	if (*ret_words)
		return 0;
	words = malloc(claims->free.piece_bits / 8);
	if (!words)
		return diag_no_memory(d, "claimed blocks");
	err = ext_used_load(ext, group, words, d);
	if (err)
		return err;
	for (size_t i = array_lower_bound(&ext->own, range, range->block + range->nr <= first);
	     i < ext->own.len && ext->own.items[i].block < end; i++) {
		const struct ext_range *range = &ext->own.items[i];

		ext_words_fill(words, (MAX(range->block, first) - first) / ext->cluster_blocks,
			       (MIN(range->block + range->nr, end) - first - 1) / ext->cluster_blocks + 1, false);
	}
	*ret_words = claims->free.pieces[group] = take_ptr(words);
	return 0;
}

static int fail_taken(const struct ext_claims *claims, u32 group, u64 at, u32 ino, struct diag *d)
{
	const struct ext_fs *ext = claims->ext;
	u64 block = ((u64)group * ext->clusters_per_group + at) * ext->cluster_blocks;
	_free_ u64 *words = malloc(claims->free.piece_bits / 8);
	int err;

	if (!words)
		return diag_no_memory(d, "a block bitmap");
	err = ext_used_load(ext, group, words, d);
	if (err)
		return err;
	if (ext_words_find(words, at, at + 1, true) == at)
		return diag_fail(d, -EUCLEAN,
				 "inode %u: block %" PRIu64 " belongs to another file or to the filesystem too; run e2fsck -f", ino,
				 block);
	return diag_fail(d, -EUCLEAN, "inode %u: its block %" PRIu64 " is marked as free; run e2fsck -f", ino, block);
}

int ext_claims_take(struct ext_claims *claims, u64 cluster, u64 nr, u32 ino, struct diag *d)
{
	u32 per_group = claims->ext->clusters_per_group;

	while (nr > 0) {
		u32 group = (u32)(cluster / per_group);
		u64 from = cluster % per_group, end = MIN(from + nr, (u64)per_group), taken;
		u64 *words;
		int err = load_group(claims, group, &words, d);

		if (err)
			return err;
		taken = ext_words_find(words, from, end, false);
		if (taken != end)
			return fail_taken(claims, group, taken, ino, d);
		ext_words_fill(words, from, end, false);
		cluster += end - from;
		nr -= end - from;
	}
	return 0;
}
