/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_source.h"

#include <stdio.h>

#include "common/base/checked.h"
#include "convert/ext/ext_fs.h"
#include "convert/ext/ext_journal.h"
#include "convert/ext/ext_look.h"
#include "convert/ext/ext_scan.h"

int ext_read_blocks(const struct ext_fs *ext, u64 block, u32 nr, void *buf, struct diag *d)
{
	if (!range_fits(block, nr, ext->nr_blocks))
		return diag_fail(d, -EUCLEAN, "%s: block %llu is beyond the end of the filesystem", ext->dev->name,
				 (unsigned long long)block);
	return blockdev_read(ext->seen, block * ext->block_bytes, buf, (size_t)nr * ext->block_bytes, d);
}

int ext_is_overlaid(const struct ext_fs *ext, u64 block, u64 nr, bool *ret_is_overlaid, u64 *ret_nr, struct diag *d)
{
	const struct jbd2 *jbd2 = ext->journal ? ext_journal_jbd2(ext->journal) : NULL;
	u64 newer, count = 0;
	int err = jbd2 ? jbd2_next_block(jbd2, block, &newer, d) : 1;

	if (err < 0)
		return err;
	*ret_is_overlaid = !err && newer == block;
	if (!*ret_is_overlaid) {
		*ret_nr = err || newer - block >= nr ? nr : newer - block;
		return 0;
	}
	while (!err && count < nr && newer == block + count) {
		count++;
		err = jbd2_next_block(jbd2, block + count, &newer, d);
	}
	*ret_nr = count;
	return err < 0 ? err : 0;
}

static void source_ext_close(struct source *source)
{
	struct ext_fs *ext = ext_fs_of(source);

	if (ext->fs)
		(void)ext2fs_close_free(&ext->fs); /* nothing was to be written */
	ext_journal_close(ext->journal);
	ext_looks_free(ext);
	pthread_mutex_destroy(&ext->looks_lock);
	array_done(&ext->own);
	free(ext);
}

static int read_super(struct blockdev *dev, struct ext2_super_block *ret_super, struct diag *d)
{
	int err;

	static_assert(sizeof(*ret_super) == EXT_SUPER_BYTES, "ext superblock");
	if (dev->size_bytes < EXT_SUPER_OFFSET + EXT_SUPER_BYTES)
		return 1;
	err = blockdev_read(dev, EXT_SUPER_OFFSET, ret_super, sizeof(*ret_super), d);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	if (!err)
		ext2fs_swap_super(ret_super);
#endif
	return err;
}

/* Somebody else may have it mounted: the sequence in the MMP block says if it was unmounted. */
static int check_not_in_use(const struct ext_fs *ext, struct diag *d)
{
	const struct ext2_super_block *super = ext->fs->super;
	struct disk_mmp {
		le32 magic, seq;
	} mmp;
	_free_ u8 *buf = NULL;
	int err;

	if (!ext2fs_has_feature_mmp(ext->fs->super))
		return 0;
	buf = malloc(ext->block_bytes);
	if (!buf)
		return diag_no_memory(d, "a block");
	err = ext_read_blocks(ext, super->s_mmp_block, 1, buf, d);
	if (err)
		return err;
	memcpy(&mmp, buf, sizeof(mmp));
	if (le32_get(mmp.magic) != EXT4_MMP_MAGIC)
		return diag_fail(d, -EUCLEAN, "%s: the MMP block has the wrong magic; run e2fsck -f", ext->dev->name);
	if (le32_get(mmp.seq) != EXT4_MMP_SEQ_CLEAN && ext->only_reads)
		diag_note(d, DIAG_WARNING, "%s: is in use by some host, or was when that crashed", ext->dev->name);
	else if (le32_get(mmp.seq) != EXT4_MMP_SEQ_CLEAN)
		return diag_fail(d, -EBUSY,
				 "%s: is in use by some host, or was when that crashed (MMP sequence 0x%x); if by none: tune2fs -f -E "
				 "clear_mmp",
				 ext->dev->name, le32_get(mmp.seq));
	return 0;
}

static void fill_info(struct ext_fs *ext)
{
	const struct ext2_super_block *super = ext->fs->super;
	struct source_info *info = &ext->source.info;
	bool is_ext4 = super->s_feature_incompat & ~(u32)(EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_RECOVER |
							  EXT2_FEATURE_INCOMPAT_META_BG) ||
		       super->s_feature_ro_compat & ~(u32)(EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT2_FEATURE_RO_COMPAT_LARGE_FILE);

	info->type = is_ext4 ? "ext4" : super->s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL ? "ext3" : "ext2";
	snprintf(info->label, sizeof(info->label), "%.*s", (int)sizeof(super->s_volume_name), (const char *)super->s_volume_name);
	memcpy(info->uuid, super->s_uuid, UUID_SIZE);
	info->block_bytes = ext->block_bytes;
	info->total_bytes = ext->nr_blocks * ext->block_bytes;
	info->nr_inodes = super->s_inodes_count - MIN(super->s_free_inodes_count, super->s_inodes_count);
	info->top_subvol = SOURCE_ONLY_SUBVOL;
	info->top_ino = EXT2_ROOT_INO;
	info->magic_physical = EXT_MAGIC_OFFSET;
	info->magic_len = sizeof(super->s_magic);
	info->has_journal = ext->journal;
	info->journal_nr_blocks = ext->journal ? jbd2_info(ext_journal_jbd2(ext->journal))->nr_blocks : 0;
}

/* Open what the device has; then, if the journal has something newer, what it looks like with that. */
static int open_fs(struct ext_fs *ext, const struct source_options *options, struct diag *d)
{
	struct ext2_super_block super;
	int err;

	err = ext_io_open_fs(&ext->io, ext->dev, &ext->fs, d);
	if (!err)
		err = ext_super_load(ext, d);
	if (!err)
		err = ext_journal_open(ext, options, &ext->journal, d);
	if (err || !ext->journal)
		return err;
	(void)ext2fs_close_free(&ext->fs); /* nothing was to be written */
	ext->own.len = 0;
	ext->seen = ext_journal_device(ext->journal);
	err = read_super(ext->seen, &super, d);
	if (!err)
		err = ext_super_judge(ext->seen, &super, options, d);
	if (!err)
		err = ext_io_open_fs(&ext->io, ext->seen, &ext->fs, d);
	if (err == 1)
		return diag_fail(d, -EUCLEAN, "%s: its journal destroys the superblock; run e2fsck -f", ext->dev->name);
	return err ?: ext_super_load(ext, d);
}

static int source_ext_open(struct blockdev *const *devs, size_t nr_devs, const struct source_options *options,
			   struct source **ret_source, struct diag *d)
{
	struct blockdev *dev = devs[0];
	struct ext2_super_block super;
	struct ext_fs *ext;
	_cleanup_(source_closep) struct source *source = NULL;
	int err;

	err = read_super(dev, &super, d);
	if (!err)
		err = ext_super_judge(dev, &super, options, d);
	if (err)
		return err;
	if (nr_devs > 1)
		return diag_fail(d, -EINVAL, "%s: an ext filesystem lies on one device", devs[1]->name);
	ext = calloc(1, sizeof(*ext));
	if (!ext)
		return diag_no_memory(d, "a filesystem");
	pthread_mutex_init(&ext->looks_lock, NULL);
	source = &ext->source;
	ext->source.ops = &source_ext_ops;
	ext->dev = ext->seen = dev;
	ext->do_skip_unsupported = options->do_skip_unsupported;
	ext->no_xattrs = options->no_xattrs;
	ext->only_reads = options->only_reads;
	ext->left_out = options->left_out;
	ext->left_out_ctx = options->left_out_ctx;
	err = open_fs(ext, options, d);
	if (!err)
		err = check_not_in_use(ext, d);
	if (err)
		return err;
	fill_info(ext);
	*ret_source = take_ptr(source);
	return 0;
}

static int source_ext_read(struct source *source, u64 physical, void *buf, size_t len, struct diag *d)
{
	return blockdev_read(ext_fs_of(source)->seen, physical, buf, len, d);
}

const struct source_ops source_ext_ops = {
	.type = "ext4",
	.open = source_ext_open,
	.close = source_ext_close,
	.used_ranges = ext_used_ranges,
	.scan = ext_scan,
	.read = source_ext_read,
	.look = ext_look,
	.look_up = ext_look_up,
};
