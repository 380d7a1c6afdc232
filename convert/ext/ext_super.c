/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the superblock and the group descriptors say, and whether such a filesystem may be converted. */
#include "convert/ext/ext_fs.h"

#include <inttypes.h>

#include "common/base/checked.h"

#define BLOCK_BYTES_MIN 4096 /* Btrfs has no smaller sector that Linux mounts */

struct feature {
	u32 bit;
	const char *name; /* as mke2fs spells it */
	const char *why_not; /* NULL: can be converted */
};

static const struct feature incompat_features[] = {
	{ EXT2_FEATURE_INCOMPAT_COMPRESSION, "compression", "its files are compressed by a patch that Linux never had" },
	{ EXT2_FEATURE_INCOMPAT_FILETYPE, "filetype", NULL },
	{ EXT3_FEATURE_INCOMPAT_RECOVER, "needs_recovery", NULL },
	{ EXT3_FEATURE_INCOMPAT_JOURNAL_DEV, "journal_dev", "it is the journal of another filesystem" },
	{ EXT2_FEATURE_INCOMPAT_META_BG, "meta_bg", NULL },
	{ EXT3_FEATURE_INCOMPAT_EXTENTS, "extents", NULL },
	{ EXT4_FEATURE_INCOMPAT_64BIT, "64bit", NULL },
	{ EXT4_FEATURE_INCOMPAT_MMP, "mmp", NULL },
	{ EXT4_FEATURE_INCOMPAT_FLEX_BG, "flex_bg", NULL },
	{ EXT4_FEATURE_INCOMPAT_EA_INODE, "ea_inode", NULL },
	{ EXT4_FEATURE_INCOMPAT_DIRDATA, "dirdata", "Linux does not know it either" },
	{ EXT4_FEATURE_INCOMPAT_CSUM_SEED, "metadata_csum_seed", NULL },
	{ EXT4_FEATURE_INCOMPAT_LARGEDIR, "large_dir", NULL },
	{ EXT4_FEATURE_INCOMPAT_INLINE_DATA, "inline_data", NULL },
	/* Single files that use these are refused, or left out, by the scan. */
	{ EXT4_FEATURE_INCOMPAT_ENCRYPT, "encrypt", NULL },
	{ EXT4_FEATURE_INCOMPAT_CASEFOLD, "casefold", NULL },
};

static const struct feature ro_compat_features[] = {
	{ EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER, "sparse_super", NULL },
	{ EXT2_FEATURE_RO_COMPAT_LARGE_FILE, "large_file", NULL },
	{ EXT4_FEATURE_RO_COMPAT_HUGE_FILE, "huge_file", NULL },
	{ EXT4_FEATURE_RO_COMPAT_GDT_CSUM, "uninit_bg", NULL },
	{ EXT4_FEATURE_RO_COMPAT_DIR_NLINK, "dir_nlink", NULL },
	{ EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE, "extra_isize", NULL },
	{ EXT4_FEATURE_RO_COMPAT_HAS_SNAPSHOT, "snapshot", "Linux does not know it either" },
	{ EXT4_FEATURE_RO_COMPAT_QUOTA, "quota", NULL },
	{ EXT4_FEATURE_RO_COMPAT_BIGALLOC, "bigalloc", NULL },
	{ EXT4_FEATURE_RO_COMPAT_METADATA_CSUM, "metadata_csum", NULL },
	{ EXT4_FEATURE_RO_COMPAT_REPLICA, "replica", "Linux does not know it either" },
	{ EXT4_FEATURE_RO_COMPAT_READONLY, "read-only", NULL },
	{ EXT4_FEATURE_RO_COMPAT_PROJECT, "project", NULL },
	{ EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS, "shared_blocks",
	  "files share blocks; e2fsck -f -E unshare_blocks gives each its own" },
	{ EXT4_FEATURE_RO_COMPAT_VERITY, "verity", NULL },
	{ EXT4_FEATURE_RO_COMPAT_ORPHAN_PRESENT, "orphan_present", NULL },
};

static int judge_features(const struct blockdev *dev, const char *set, const struct feature *known, size_t nr_known,
			  u32 bits, bool only_reads, struct diag *d)
{
	bool may_be_unknown = only_reads && known == ro_compat_features; /* which is what these are for */
	for (u32 bit = 1; bits != 0; bits &= ~bit, bit <<= 1) {
		const struct feature *feature = NULL;

		if (!(bits & bit))
			continue;
		for (size_t i = 0; i < nr_known; i++)
			if (known[i].bit == bit)
				feature = &known[i];
		if (!feature && may_be_unknown) {
			diag_note(d, DIAG_WARNING, "%s: ext4 with the unknown %s feature 0x%x", dev->name, set, bit);
			continue;
		}
		if (feature && bit == EXT4_FEATURE_RO_COMPAT_SHARED_BLOCKS && may_be_unknown)
			continue;
		if (!feature)
			return diag_fail(d, -EOPNOTSUPP, "%s: ext4 with the unknown %s feature 0x%x cannot be %s",
					 dev->name, set, bit, only_reads ? "read" : "converted");
		if (feature->why_not)
			return diag_fail(d, -EOPNOTSUPP, "%s: ext4 with the feature %s cannot be %s: %s", dev->name,
					 feature->name, only_reads ? "read" : "converted", feature->why_not);
	}
	return 0;
}

static int judge_size(const struct blockdev *dev, const struct ext2_super_block *super, struct diag *d)
{
	u64 nr_blocks = ext2fs_blocks_count((struct ext2_super_block *)super), total_bytes;
	u64 block_bytes = (u64)EXT2_MIN_BLOCK_SIZE << super->s_log_block_size;

	if (!checked_mul(nr_blocks, block_bytes, &total_bytes) || total_bytes > dev->size_bytes)
		return diag_fail(d, -EUCLEAN,
				 "%s: the filesystem has %" PRIu64 " blocks of %" PRIu64 " bytes, but the device only %" PRIu64
				 " bytes; was it shrunk?",
				 dev->name, nr_blocks, block_bytes, dev->size_bytes);
	/* Blocks of 1 KiB begin with the one that has the superblock. */
	if (total_bytes < 16 * block_bytes || super->s_first_data_block > (block_bytes == EXT2_MIN_BLOCK_SIZE))
		return diag_fail(d, -EUCLEAN, "%s: superblock: %" PRIu64 " blocks, the first of them %u; run e2fsck -f",
				 dev->name, nr_blocks, super->s_first_data_block);
	return 0;
}

static int judge_state(const struct blockdev *dev, const struct ext2_super_block *super,
		       const struct source_options *options, struct diag *d)
{
	bool has_journal = super->s_feature_compat & EXT3_FEATURE_COMPAT_HAS_JOURNAL;

	if (options->only_reads) {
		if (super->s_state & EXT2_ERROR_FS || super->s_state & EXT4_FC_REPLAY)
			diag_note(d, DIAG_WARNING, "%s: Linux has found errors in this filesystem", dev->name);
		else if (!(super->s_state & EXT2_VALID_FS) && !has_journal)
			diag_note(d, DIAG_WARNING, "%s: was not unmounted cleanly and has no journal", dev->name);
		return 0;
	}
	if (super->s_state & EXT2_ERROR_FS || super->s_state & EXT4_FC_REPLAY)
		return diag_fail(d, -EUCLEAN, "%s: Linux has found errors in this filesystem (state 0x%x); run e2fsck -f first",
				 dev->name, super->s_state);
	if (!(super->s_state & EXT2_VALID_FS) && !has_journal && !options->is_force)
		return diag_fail(d, -EUCLEAN, "%s: was not unmounted cleanly and has no journal; run e2fsck -f first", dev->name);
	return 0;
}

int ext_super_judge(const struct blockdev *dev, const struct ext2_super_block *super,
		    const struct source_options *options, struct diag *d)
{
	int err;

	if (super->s_magic != EXT2_SUPER_MAGIC)
		return 1;
	if (super->s_rev_level > EXT2_DYNAMIC_REV)
		return diag_fail(d, -EOPNOTSUPP, "%s: ext4 of the unknown revision %u", dev->name, super->s_rev_level);
	if (super->s_rev_level == EXT2_DYNAMIC_REV) {
		err = judge_features(dev, "incompat", incompat_features, ARRAY_LEN(incompat_features),
				     super->s_feature_incompat, options->only_reads, d);
		if (!err)
			err = judge_features(dev, "ro_compat", ro_compat_features, ARRAY_LEN(ro_compat_features),
					     super->s_feature_ro_compat, options->only_reads, d);
		if (err)
			return err;
	}
	if (super->s_creator_os == EXT2_OS_HURD)
		return diag_fail(d, -EOPNOTSUPP, "%s: was made by the Hurd, whose inodes differ", dev->name);
	if (super->s_log_block_size > EXT2_MAX_BLOCK_LOG_SIZE - EXT2_MIN_BLOCK_LOG_SIZE)
		return diag_fail(d, -EUCLEAN, "%s: superblock: a block size of 2^%" PRIu64 " bytes; run e2fsck -f", dev->name,
				 (u64)super->s_log_block_size + EXT2_MIN_BLOCK_LOG_SIZE);
	if (EXT2_MIN_BLOCK_SIZE << super->s_log_block_size < BLOCK_BYTES_MIN && !options->only_reads)
		return diag_fail(d, -EOPNOTSUPP,
				 "%s: has blocks of %u bytes, and Btrfs cannot refer to less than %u; the block size of ext4 cannot be "
				 "changed in place: copy the files to a filesystem made with mkfs.ext4 -b 4096 (or directly to Btrfs)",
				 dev->name, EXT2_MIN_BLOCK_SIZE << super->s_log_block_size, BLOCK_BYTES_MIN);
	err = judge_size(dev, super, d);
	if (!err)
		err = judge_state(dev, super, options, d);
	return err;
}

/* --- What lies where -------------------------------------------------------------------------------------------- */

static int add_own(struct ext_fs *ext, u64 block, u64 nr, const char *what, u32 group, struct diag *d)
{
	if (!range_fits(block, nr, ext->nr_blocks))
		return diag_fail(d, -EUCLEAN, "%s: group %u: %s at block %" PRIu64 ", of %" PRIu64 "; run e2fsck -f",
				 ext->dev->name, group, what, block, ext->nr_blocks);
	if (nr > 0 && array_push(&ext->own, (struct ext_range){ block, nr }) < 0)
		return diag_no_memory(d, "block groups");
	return 0;
}

static int add_own_of_group(struct ext_fs *ext, u32 group, struct diag *d)
{
	struct ext2_super_block *super = ext->fs->super;
	u64 nr_old = ext2fs_has_feature_meta_bg(super) ? super->s_first_meta_bg :
							 ext->fs->desc_blocks + super->s_reserved_gdt_blocks;
	blk64_t super_block, old_descs, new_descs;
	u64 table = ext2fs_inode_table_loc(ext->fs, group);
	int err = 0;

	ext2fs_super_and_bgd_loc2(ext->fs, group, &super_block, &old_descs, &new_descs, NULL);
	if (super_block || group == 0)
		err = add_own(ext, super_block, 1, "superblock", group, d);
	/* In a short last group they may reach beyond the end, with what was reserved for growing. */
	if (!err && old_descs)
		err = add_own(ext, old_descs, MIN(nr_old, ext->nr_blocks - MIN((u64)old_descs, ext->nr_blocks)), "descriptors",
			      group, d);
	if (!err && new_descs)
		err = add_own(ext, new_descs, 1, "descriptors", group, d);
	if (!err)
		err = add_own(ext, ext2fs_block_bitmap_loc(ext->fs, group), 1, "block bitmap", group, d);
	if (!err)
		err = add_own(ext, ext2fs_inode_bitmap_loc(ext->fs, group), 1, "inode bitmap", group, d);
	return err ?: add_own(ext, table, ext->fs->inode_blocks_per_group, "inode table", group, d);
}

static int compare_ranges(const void *a, const void *b)
{
	const struct ext_range *ra = a, *rb = b;

	return ra->block < rb->block ? -1 : ra->block > rb->block;
}

/* Sort them, and join neighbours. No two may overlap. */
static int merge_own(struct ext_fs *ext, struct diag *d)
{
	size_t nr = 0;

	array_sort(&ext->own, compare_ranges);
	for (size_t i = 0; i < ext->own.len; i++) {
		struct ext_range *last = nr ? &ext->own.items[nr - 1] : NULL, range = ext->own.items[i];

		if (last && range.block < last->block + last->nr)
			return diag_fail(d, -EUCLEAN, "%s: block %" PRIu64 " belongs to two structures of the groups; run e2fsck -f",
					 ext->dev->name, range.block);
		if (last && range.block == last->block + last->nr)
			last->nr += range.nr;
		else
			ext->own.items[nr++] = range;
	}
	ext->own.len = nr;
	return 0;
}

static int check_geometry(const struct ext_fs *ext, struct diag *d)
{
	const struct ext2_super_block *super = ext->fs->super;
	u64 group_bits = (u64)ext->block_bytes * 8, nr_groups;

	nr_groups = round_up_u64(ext->nr_blocks - super->s_first_data_block, super->s_blocks_per_group ?: 1) / (super->s_blocks_per_group ?: 1);
	if (ext->clusters_per_group == 0 || ext->clusters_per_group > group_bits || ext->clusters_per_group % 8 != 0 ||
	    (u64)ext->clusters_per_group * ext->cluster_blocks != super->s_blocks_per_group ||
	    ext->inodes_per_group == 0 || ext->inodes_per_group > group_bits || nr_groups != ext->nr_groups ||
	    (u64)ext->nr_groups * ext->inodes_per_group != ext->nr_inodes || !is_power_of_two(ext->inode_bytes) ||
	    ext->inode_bytes < EXT_OLD_INODE_BYTES || ext->inode_bytes > ext->block_bytes ||
	    (u64)ext->fs->inode_blocks_per_group * ext->block_bytes < (u64)ext->inodes_per_group * ext->inode_bytes)
		return diag_fail(d, -EUCLEAN,
				 "%s: superblock: %u groups of %u blocks in %u clusters and %u inodes of %u bytes do not fit; run "
				 "e2fsck -f",
				 ext->dev->name, ext->nr_groups, super->s_blocks_per_group, ext->clusters_per_group,
				 ext->inodes_per_group, ext->inode_bytes);
	return 0;
}

int ext_super_load(struct ext_fs *ext, struct diag *d)
{
	struct ext2_super_block *super = ext->fs->super;
	int err;

	ext->block_bytes = ext->fs->blocksize;
	ext->nr_blocks = ext2fs_blocks_count(super);
	ext->cluster_blocks = (u32)EXT2FS_CLUSTER_RATIO(ext->fs);
	ext->nr_groups = ext->fs->group_desc_count;
	ext->clusters_per_group = super->s_clusters_per_group;
	ext->inodes_per_group = super->s_inodes_per_group;
	ext->nr_inodes = super->s_inodes_count;
	ext->first_ino = EXT2_FIRST_INO(super);
	ext->inode_bytes = EXT2_INODE_SIZE(super);
	ext->csum_seed = ext->fs->csum_seed;
	ext->has_metadata_csum = ext2fs_has_feature_metadata_csum(super);
	ext->has_group_csum = ext->has_metadata_csum || ext2fs_has_feature_gdt_csum(super);
	err = check_geometry(ext, d);
	for (u32 group = 0; !err && group < ext->nr_groups; group++) {
		bool is_csum_right = ext2fs_group_desc_csum_verify(ext->fs, group);

		if (!is_csum_right && ext->only_reads)
			diag_note(d, DIAG_WARNING, "%s: the descriptor of group %u has a bad checksum", ext->dev->name, group);
		if (ext->only_reads)
			continue; /* what is in use is not asked for */
		if (!is_csum_right)
			return diag_fail(d, -EUCLEAN, "%s: the descriptor of group %u has a bad checksum; run e2fsck -f",
					 ext->dev->name, group);
		err = add_own_of_group(ext, group, d);
	}
	if (!err && ext2fs_has_feature_mmp(super) && !ext->only_reads)
		err = add_own(ext, super->s_mmp_block, 1, "MMP block", 0, d);
	return err ?: merge_own(ext, d);
}
