/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which blocks are in use, from the bitmaps of the groups. */
#include "convert/ext/ext_fs.h"

#include <inttypes.h>

static int read_bitmap(const struct ext_fs *ext, u32 group, u64 *words, struct diag *d)
{
	size_t len = ext->clusters_per_group / 8;
	_free_ u8 *buf = malloc(ext->block_bytes);
	int err;

	if (!buf)
		return diag_no_memory(d, "a block bitmap");
	err = ext_read_blocks(ext, ext2fs_block_bitmap_loc(ext->fs, group), 1, buf, d);
	if (err)
		return err;
	if (ext->has_metadata_csum && !ext2fs_block_bitmap_csum_verify(ext->fs, group, (char *)buf, (int)len))
		return diag_fail(d, -EUCLEAN, "%s: the block bitmap of group %u has a bad checksum; run e2fsck -f", ext->dev->name,
				 group);
	for (size_t at = 0; at < len; at += sizeof(le64)) {
		le64 word = { { 0 } };

		memcpy(&word, buf + at, MIN(sizeof(word), len - at));
		words[at / sizeof(word)] = le64_get(word);
	}
	return 0;
}

/* The first of the filesystem's own ranges that ends behind @block. */
static size_t first_own(const struct ext_fs *ext, u64 block)
{
	return array_lower_bound(&ext->own, range, range->block + range->nr <= block);
}

int ext_used_load(const struct ext_fs *ext, u32 group, u64 *words, struct diag *d)
{
	bool is_uninit = ext->has_group_csum && ext2fs_bg_flags_test(ext->fs, group, EXT2_BG_BLOCK_UNINIT);
	u64 first = (u64)group * ext->clusters_per_group * ext->cluster_blocks;
	u64 end = MIN(ext->nr_blocks, first + (u64)ext->clusters_per_group * ext->cluster_blocks);
	int err;

	memset(words, 0, round_up_u64(ext->clusters_per_group, 64) / 8);
	if (!is_uninit) {
		err = read_bitmap(ext, group, words, d);
		if (err)
			return err;
	}
	for (size_t i = first_own(ext, first); i < ext->own.len && ext->own.items[i].block < end; i++) {
		const struct ext_range *range = &ext->own.items[i];
		u64 from = (MAX(range->block, first) - first) / ext->cluster_blocks;
		u64 to = (MIN(range->block + range->nr, end) - first - 1) / ext->cluster_blocks + 1;

		if (is_uninit)
			ext_words_fill(words, from, to, true);
		else if (ext_words_find(words, from, to, false) != to)
			return diag_fail(d, -EUCLEAN,
					 "%s: the block bitmap of group %u has structures of the filesystem at block %" PRIu64
					 " as free; run e2fsck -f",
					 ext->dev->name, group, range->block);
	}
	return 0;
}

int ext_used_ranges(struct source *source, u32 device, source_range_fn fn, void *ctx, struct diag *d)
{
	const struct ext_fs *ext = ext_fs_of(source);
	_free_ u64 *words = malloc(round_up_u64(ext->clusters_per_group, 64) / 8);
	u64 run = 0, run_end = 0; /* blocks in use that were not told yet */
	int err;

	(void)device; /* there is only one */
	if (!words)
		return diag_no_memory(d, "a block bitmap");
	for (u32 group = 0; group < ext->nr_groups; group++) {
		u64 first = (u64)group * ext->clusters_per_group * ext->cluster_blocks;
		u64 nr = MIN((u64)ext->clusters_per_group,
			     round_up_u64(ext->nr_blocks - first, ext->cluster_blocks) / ext->cluster_blocks);

		err = ext_used_load(ext, group, words, d);
		if (err)
			return err;
		for (u64 at = 0, end; (at = ext_words_find(words, at, nr, true)) < nr; at = end) {
			u64 block = first + at * ext->cluster_blocks;

			end = ext_words_find(words, at, nr, false);
			if (block != run_end && run_end > run) {
				err = fn(ctx, run * ext->block_bytes, (run_end - run) * ext->block_bytes, d);
				if (err)
					return err;
			}
			if (block != run_end)
				run = block;
			run_end = MIN(ext->nr_blocks, first + end * ext->cluster_blocks);
		}
	}
	return run_end > run ? fn(ctx, run * ext->block_bytes, (run_end - run) * ext->block_bytes, d) : 0;
}
