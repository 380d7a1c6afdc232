/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_inode.h"

#include <inttypes.h>
#include <sys/stat.h>

#include "common/csum/csum.h"

#define NSEC_MAX 999999999

#define HAS_FIELD(inode, field)                                                                                        \
	((inode)->extra_end >= offsetof(struct disk_ext_inode, field) + sizeof((inode)->disk->field))
#define EXTRA_FIELD(inode, field) (HAS_FIELD(inode, field) ? le32_get((inode)->disk->field) : 0)

u32 ext_inode_csum_seed(const struct ext_fs *ext, const struct ext_inode *inode)
{
	le32 ino;
	u32 csum;

	le32_put(&ino, inode->ino);
	csum = crc32c_update(ext->csum_seed, &ino, sizeof(ino));
	return crc32c_update(csum, &inode->disk->generation, sizeof(inode->disk->generation));
}

/* The checksum is over the whole inode, with zeroes in the two places where it is stored. */
static bool is_csum_right(const struct ext_fs *ext, const struct ext_inode *inode)
{
	const u8 *raw = (const u8 *)inode->disk, zeroes[2] = { 0 };
	size_t lo = offsetof(struct disk_ext_inode, csum_lo), hi = offsetof(struct disk_ext_inode, csum_hi);
	u32 stored = le16_get(inode->disk->csum_lo), mask = UINT16_MAX;
	u32 csum = ext_inode_csum_seed(ext, inode);

	csum = crc32c_update(csum, raw, lo);
	csum = crc32c_update(csum, zeroes, sizeof(zeroes));
	csum = crc32c_update(csum, raw + lo + 2, EXT_OLD_INODE_BYTES - lo - 2);
	if (inode->bytes > EXT_OLD_INODE_BYTES) {
		bool has_hi = HAS_FIELD(inode, csum_hi);

		csum = crc32c_update(csum, raw + EXT_OLD_INODE_BYTES, hi - EXT_OLD_INODE_BYTES);
		csum = crc32c_update(csum, has_hi ? zeroes : raw + hi, 2);
		csum = crc32c_update(csum, raw + hi + 2, inode->bytes - hi - 2);
		if (has_hi) {
			stored |= (u32)le16_get(inode->disk->csum_hi) << 16;
			mask = UINT32_MAX;
		}
	}
	return (csum & mask) == stored;
}

int ext_inode_parse(const struct ext_fs *ext, u32 ino, const void *raw, struct ext_inode *ret_inode, struct diag *d)
{
	const struct disk_ext_inode *disk = raw;
	struct ext_inode inode = {
		.ino = ino,
		.disk = disk,
		.bytes = ext->inode_bytes,
		.extra_end = EXT_OLD_INODE_BYTES,
		.mode = le16_get(disk->mode),
		.flags = le32_get(disk->flags),
		.links_count = le16_get(disk->links_count),
		.size = le32_get(disk->size_lo) | (u64)le32_get(disk->size_hi) << 32,
	};
	u32 extra = inode.bytes > EXT_OLD_INODE_BYTES ? le16_get(disk->extra_isize) : 0;

	if (inode.links_count > 0) {
		if (extra % 4 != 0 || extra > inode.bytes - EXT_OLD_INODE_BYTES)
			return diag_fail(d, -EUCLEAN, "inode %u: %u extra bytes, of %u; run e2fsck -f", ino, extra,
					 inode.bytes - EXT_OLD_INODE_BYTES);
		inode.extra_end += extra;
		if (ext->has_metadata_csum && !is_csum_right(ext, &inode))
			return diag_fail(d, -EUCLEAN, "inode %u has a bad checksum; run e2fsck -f", ino);
	}
	*ret_inode = inode;
	return 0;
}

int ext_inode_read(const struct ext_fs *ext, u32 ino, void *raw, struct ext_inode *ret_inode, struct diag *d)
{
	_free_ u8 *buf = malloc(ext->block_bytes);
	u64 at;
	u32 group;
	int err;

	if (ino == 0 || ino > ext->nr_inodes)
		return diag_fail(d, -EUCLEAN, "inode %u is referred to, but the last one is %u; run e2fsck -f", ino, ext->nr_inodes);
	if (!buf)
		return diag_no_memory(d, "an inode");
	group = (ino - 1) / ext->inodes_per_group;
	at = (u64)((ino - 1) % ext->inodes_per_group) * ext->inode_bytes;
	err = ext_read_blocks(ext, ext2fs_inode_table_loc(ext->fs, group) + at / ext->block_bytes, 1, buf, d);
	if (err)
		return err;
	memcpy(raw, buf + at % ext->block_bytes, ext->inode_bytes);
	return ext_inode_parse(ext, ino, raw, ret_inode, d);
}

struct btrkit_time ext_time(u32 seconds, u32 extra)
{
	/* The two bits count up from the signed 32: 0 is 1901 to 2038, 1 is 2038 to 2174, ... */
	return (struct btrkit_time){ .sec = (s32)seconds + ((s64)(extra & 3) << 32), .nsec = MIN(extra >> 2, (u32)NSEC_MAX) };
}

void ext_device_numbers(const u8 block[60], u32 *ret_major, u32 *ret_minor)
{
	le32 old, new;
	u32 n;

	memcpy(&old, block, sizeof(old));
	memcpy(&new, block + sizeof(old), sizeof(new));
	n = le32_get(old);
	if (n) {
		*ret_major = n >> 8 & 0xff;
		*ret_minor = n & 0xff;
	} else {
		n = le32_get(new);
		*ret_major = n >> 8 & 0xfff;
		*ret_minor = (n & 0xff) | (n >> 12 & 0xfff00);
	}
}

static u32 btrfs_flags(u32 flags)
{
	static const struct {
		u32 ext, btrfs;
	} pairs[] = {
		{ EXT2_SYNC_FL, BTRKIT_INODE_SYNC },	       { EXT2_IMMUTABLE_FL, BTRKIT_INODE_IMMUTABLE },
		{ EXT2_APPEND_FL, BTRKIT_INODE_APPEND },       { EXT2_NODUMP_FL, BTRKIT_INODE_NODUMP },
		{ EXT2_NOATIME_FL, BTRKIT_INODE_NOATIME },     { EXT2_DIRSYNC_FL, BTRKIT_INODE_DIRSYNC },
		{ EXT2_NOCOMPR_FL, BTRKIT_INODE_NOCOMPRESS },  { EXT2_COMPR_FL, BTRKIT_INODE_COMPRESS },
	};
	u32 ret = 0;

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		if (flags & pairs[i].ext)
			ret |= pairs[i].btrfs;
	/* Btrfs allows one of them. */
	return ret & BTRKIT_INODE_NOCOMPRESS ? ret & ~BTRKIT_INODE_COMPRESS : ret;
}

void ext_inode_describe(const struct ext_inode *inode, struct source_inode *ret_described)
{
	const struct disk_ext_inode *disk = inode->disk;

	*ret_described = (struct source_inode){
		.ino = inode->ino,
		.mode = inode->mode,
		.uid = le16_get(disk->uid_lo) | (u32)le16_get(disk->uid_hi) << 16,
		.gid = le16_get(disk->gid_lo) | (u32)le16_get(disk->gid_hi) << 16,
		.nlink = inode->links_count,
		.inode_flags = btrfs_flags(S_ISREG(inode->mode) || S_ISDIR(inode->mode) ? inode->flags : inode->flags & ~(u32)EXT2_COMPR_FL),
		.size = S_ISREG(inode->mode) || S_ISLNK(inode->mode) ? inode->size : 0,
		.atime = ext_time(le32_get(disk->atime), EXTRA_FIELD(inode, atime_extra)),
		.mtime = ext_time(le32_get(disk->mtime), EXTRA_FIELD(inode, mtime_extra)),
		.ctime = ext_time(le32_get(disk->ctime), EXTRA_FIELD(inode, ctime_extra)),
	};
	ret_described->otime = HAS_FIELD(inode, crtime) ?
				       ext_time(le32_get(disk->crtime), EXTRA_FIELD(inode, crtime_extra)) :
				       ret_described->ctime;
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
		ext_device_numbers(disk->block, &ret_described->rdev_major, &ret_described->rdev_minor);
}

bool ext_inode_is_own(const struct ext_fs *ext, u32 ino)
{
	const struct ext2_super_block *super = ext->fs->super;

	if (ino == EXT2_ROOT_INO)
		return false;
	return ino < ext->first_ino ||
	       (ext2fs_has_feature_quota(ext->fs->super) &&
		(ino == super->s_usr_quota_inum || ino == super->s_grp_quota_inum || ino == super->s_prj_quota_inum)) ||
	       (ext2fs_has_feature_orphan_file(ext->fs->super) && ino == super->s_orphan_file_inum);
}
