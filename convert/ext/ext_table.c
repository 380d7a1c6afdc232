/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_table.h"

#define READ_BYTES MIB

/* Inodes of the group that may be in use: the first so many. */
static int nr_inodes_of_group(const struct ext_fs *ext, u32 group, u32 *ret_nr, struct diag *d)
{
	u32 unused;

	*ret_nr = ext->inodes_per_group;
	if (!ext->has_group_csum)
		return 0;
	unused = ext2fs_bg_itable_unused(ext->fs, group);
	if (unused > ext->inodes_per_group)
		return diag_fail(d, -EUCLEAN, "group %u: %u unused inodes, of %u; run e2fsck -f", group, unused,
				 ext->inodes_per_group);
	*ret_nr = ext2fs_bg_flags_test(ext->fs, group, EXT2_BG_INODE_UNINIT) ? 0 : ext->inodes_per_group - unused;
	return 0;
}

/* @nr inodes, of which the first begins a block. */
static int scan_piece(const struct ext_fs *ext, struct ext_table_scan *scan, u32 first_ino, u64 block, u32 nr, u8 *buf, struct diag *d)
{
	u32 per_block = ext->block_bytes / ext->inode_bytes;
	struct diag why = { 0 };
	int err = ext_read_blocks(ext, block, (nr - 1) / per_block + 1, buf, &why);

	if (err == -EIO && ext->source.is_partly_unreadable)
		return scan->unread ? scan->unread(scan->ctx, first_ino, nr, d) : 0;
	if (err)
		return diag_copy(d, &why);
	for (u32 i = 0; !err && i < nr; i++) {
		struct ext_inode inode;

		scan->ino = first_ino + i;
		err = ext_inode_parse(ext, scan->ino, buf + (size_t)i * ext->inode_bytes, &inode, d);
		if (!err && inode.links_count > 0)
			err = scan->fn(scan->ctx, &inode, d);
	}
	if (!err)
		scan->ino = 0;
	return err;
}

int ext_table_scan(const struct ext_fs *ext, struct ext_table_scan *scan, struct diag *d)
{
	u32 per_block = ext->block_bytes / ext->inode_bytes;
	u32 piece_blocks = ext->source.is_partly_unreadable ? 1 : (u32)MAX(READ_BYTES / ext->block_bytes, (u64)1);
	_free_ u8 *buf = malloc((size_t)piece_blocks * ext->block_bytes);

	if (!buf)
		return diag_no_memory(d, "inodes");
	for (u32 group = 0; group < ext->nr_groups; group++) {
		u32 nr, piece_nr;
		int err = nr_inodes_of_group(ext, group, &nr, d);

		for (u32 first = 0; !err && first < nr; first += piece_nr) {
			piece_nr = MIN(nr - first, piece_blocks * per_block);
			err = scan_piece(ext, scan, group * ext->inodes_per_group + first + 1,
					 ext2fs_inode_table_loc(ext->fs, group) + first / per_block, piece_nr, buf, d);
		}
		if (err)
			return err;
	}
	return 0;
}
