/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_scan.h"

#include <inttypes.h>
#include <sys/stat.h>

#include "convert/ext/ext_contents.h"
#include "convert/ext/ext_dir.h"
#include "convert/ext/ext_skips.h"
#include "convert/ext/ext_table.h"
#include "convert/ext/ext_tree.h"
#include "convert/ext/ext_xattr.h"

#define PROGRESS_STEP 1024

struct scan {
	struct ext_fs *ext;
	struct source_sink *sink;
	struct progress *progress;
	struct ext_skips skips;
	struct ext_claims claims;
	struct ext_contents contents;
	struct ext_xattrs xattrs;
	struct ext_bits live, named; /* by inode: told; a name leads to it */
	struct ext_bits named_dirs; /* directories have one name only */
	u32 dir_ino; /* whose entries are told */
	u64 nr_done; /* not yet told to @progress */
	u64 nr_unreached; /* inodes in use that only names lead to which are left out */
	bool has_noted_quota, has_noted_project, has_noted_bad;
};

/* --- Names ------------------------------------------------------------------------------------------------------ */

static int tell_entry(void *ctx, const struct ext_entry *entry, struct diag *d)
{
	struct scan *scan = ctx;
	int seen;

	if (entry->ino > scan->ext->nr_inodes || ext_inode_is_own(scan->ext, entry->ino) || entry->ino == EXT2_ROOT_INO)
		return diag_fail(d, -EUCLEAN, "directory inode %u: \"%.*s\" leads to inode %u, which no name may; run e2fsck -f",
				 scan->dir_ino, (int)entry->name_len, entry->name, entry->ino);
	if (scan->skips.is_active && ext_bits_test(&scan->skips.left_out, entry->ino))
		return 0;
	seen = ext_bits_set(&scan->named, entry->ino);
	if (seen >= 0 && entry->file_type == EXT2_FT_DIR)
		seen = ext_bits_set(&scan->named_dirs, entry->ino);
	else
		seen = MIN(seen, 0);
	if (seen < 0)
		return diag_no_memory(d, "names");
	if (seen)
		return diag_fail(d, -EUCLEAN, "directory inode %u: \"%.*s\" is a second name of directory inode %u; run e2fsck -f",
				 scan->dir_ino, (int)entry->name_len, entry->name, entry->ino);
	return scan->sink->entry(scan->sink, scan->dir_ino, entry->name, entry->name_len, entry->ino, d);
}

static int tell_contents(struct scan *scan, const struct ext_inode *inode, struct diag *d)
{
	switch (inode->mode & S_IFMT) {
	case S_IFREG:
		return ext_contents_tell_file(&scan->contents, inode, scan->sink, d);
	case S_IFDIR:
		scan->dir_ino = inode->ino;
		return ext_dir_entries(&scan->contents.map, inode, false, tell_entry, scan, d);
	case S_IFLNK:
		return ext_contents_tell_link(&scan->contents, inode, scan->sink, d);
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return 0;
	default:
		return diag_fail(d, -EUCLEAN, "inode %u: mode 0%o is no kind of file; run e2fsck -f", inode->ino, inode->mode);
	}
}

/* --- Inodes ----------------------------------------------------------------------------------------------------- */

static void note_once(bool *is_noted, struct diag *d, const char *text)
{
	if (!*is_noted)
		diag_note(d, DIAG_NOTE, "%s", text);
	*is_noted = true;
}

/* What cannot be read of the map of an inode that is not told does no harm: nobody else may have claimed these blocks. */
static int claim_blocks(struct scan *scan, const struct ext_inode *inode, struct diag *d)
{
	struct diag why = { 0 };
	int err = ext_map_inode(&scan->contents.map, inode, &why);

	return !err || (err == -EIO && scan->ext->source.is_partly_unreadable) ? 0 : diag_copy(d, &why);
}

/* Inodes that no name leads to; their blocks are theirs all the same. */
static int claim_only(struct scan *scan, const struct ext_inode *inode, struct diag *d)
{
	const struct ext2_super_block *super = scan->ext->fs->super;

	if (inode->ino == EXT2_BAD_INO && le32_get(inode->disk->blocks_lo) != 0)
		note_once(&scan->has_noted_bad, d, "there is a list of bad blocks, which Btrfs has not; reads of them will fail");
	/* Blocks of these two are those of the descriptors' reserve, and what is bad wherever it may lie. */
	if (inode->ino == EXT2_RESIZE_INO || inode->ino == EXT2_BAD_INO || !S_ISREG(inode->mode) ||
	    inode->flags & EXT4_INLINE_DATA_FL)
		return 0;
	if (inode->ino == super->s_usr_quota_inum || inode->ino == super->s_grp_quota_inum || inode->ino == super->s_prj_quota_inum)
		note_once(&scan->has_noted_quota, d, "the quotas of ext4 are not carried over");
	return claim_blocks(scan, inode, d);
}

/* Left out; its blocks are its own nevertheless. */
static int claim_left_out(struct scan *scan, const struct ext_inode *inode, struct diag *d)
{
	scan->nr_unreached += !ext_bits_test(&scan->skips.left_out, inode->ino);
	if (inode->flags & EXT4_INLINE_DATA_FL || !(S_ISREG(inode->mode) || S_ISDIR(inode->mode)))
		return 0;
	return claim_blocks(scan, inode, d);
}

/* As chattr +c has it on Btrfs: Linux compresses nothing for the flag alone, which is why they come or go together. */
static int tell_compression(struct scan *scan, const struct source_inode *described, struct diag *d)
{
	static const char value[] = "zlib";

	return scan->sink->xattr(scan->sink, described->ino, "btrfs.compression", value, sizeof(value) - 1, d);
}

static int scan_inode(void *ctx, const struct ext_inode *inode, struct diag *d)
{
	struct scan *scan = ctx;
	struct source_inode described;
	int err;

	if (++scan->nr_done == PROGRESS_STEP) {
		progress_add(scan->progress, 0, scan->nr_done);
		scan->nr_done = 0;
	}
	if (ext_inode_is_own(scan->ext, inode->ino) || inode->flags & EXT4_EA_INODE_FL)
		return claim_only(scan, inode, d);
	if (scan->skips.is_active && !ext_bits_test(&scan->skips.reached, inode->ino))
		return claim_left_out(scan, inode, d);
	if (ext_skips_reason(inode)) /* and the superblock says that there are no such files */
		return diag_fail(d, -EUCLEAN, "inode %u %s, without the filesystem having that feature; run e2fsck -f", inode->ino,
				 ext_skips_reason(inode));
	if (ext2fs_has_feature_project(scan->ext->fs->super) && inode->extra_end >= sizeof(*inode->disk) &&
	    le32_get(inode->disk->projid) != 0)
		note_once(&scan->has_noted_project, d, "project ids of files are not carried over");
	if (ext_bits_set(&scan->live, inode->ino) < 0)
		return diag_no_memory(d, "inodes");
	ext_inode_describe(inode, &described);
	if (scan->skips.is_active && !S_ISDIR(inode->mode))
		described.nlink = MIN(described.nlink, (u32)scan->skips.nr_names[inode->ino]);
	if (scan->ext->no_xattrs)
		described.inode_flags &= ~BTRKIT_INODE_COMPRESS;
	err = scan->sink->inode(scan->sink, &described, d);
	if (!err && described.inode_flags & BTRKIT_INODE_COMPRESS)
		err = tell_compression(scan, &described, d);
	if (!err)
		err = ext_xattrs_tell(&scan->xattrs, inode, scan->sink, d);
	return err ?: tell_contents(scan, inode, d);
}

/* What is wrong with inode @ino is easier to find with a path. */
static int add_path(const struct scan *scan, int err, u32 ino, struct diag *d)
{
	char path[512];

	if ((err != -EUCLEAN && err != -EIO) || !ino || !d || d->text[0] == '/' || !ext_tree_find_path(scan->ext, ino, path, sizeof(path)))
		return err;
	return diag_context(d, err, "%s", path);
}

/* Each name leads to an inode, and each inode but the root has one. */
static int compare_names(struct scan *scan, struct diag *d)
{
	u64 ino;

	if (!ext_bits_test(&scan->live, EXT2_ROOT_INO))
		return diag_fail(d, -EUCLEAN, "%s: there is no root directory; run e2fsck -f", scan->ext->dev->name);
	if (ext_bits_set(&scan->named, EXT2_ROOT_INO) < 0)
		return diag_no_memory(d, "names");
	ino = ext_bits_first_missing(&scan->named, &scan->live);
	if (ino != UINT64_MAX)
		return add_path(scan, diag_fail(d, -EUCLEAN, "inode %" PRIu64 " has a name, but is free; run e2fsck -f", ino), (u32)ino, d);
	ino = ext_bits_first_missing(&scan->live, &scan->named);
	if (ino != UINT64_MAX)
		return diag_fail(d, -EUCLEAN, "inode %" PRIu64 " is in use, but has no name; run e2fsck -f", ino);
	return 0;
}

static void scan_done(struct scan *scan)
{
	ext_skips_done(&scan->skips);
	ext_claims_done(&scan->claims);
	ext_contents_done(&scan->contents);
	ext_xattrs_done(&scan->xattrs);
	ext_bits_done(&scan->live);
	ext_bits_done(&scan->named);
	ext_bits_done(&scan->named_dirs);
}

static int scan_init(struct scan *scan, struct diag *d)
{
	const struct ext_fs *ext = scan->ext;
	u64 nr = (u64)ext->nr_inodes + 1;
	int err;

	if (ext_bits_init(&scan->live, nr, ext->inodes_per_group) < 0 ||
	    ext_bits_init(&scan->named, nr, ext->inodes_per_group) < 0 ||
	    ext_bits_init(&scan->named_dirs, nr, ext->inodes_per_group) < 0)
		return diag_no_memory(d, "the scan of inodes");
	err = ext_claims_init(&scan->claims, ext, d);
	if (!err)
		err = ext_contents_init(&scan->contents, ext, &scan->claims, d);
	return err ?: ext_xattrs_init(&scan->xattrs, ext, &scan->claims, d);
}

/* --- What cannot be read ---------------------------------------------------------------------------------------- */

static int ignore_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	(void)sink, (void)inode, (void)d;
	return 0;
}

static int ignore_xattr(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d)
{
	(void)sink, (void)ino, (void)name, (void)value, (void)len, (void)d;
	return 0;
}

static int ignore_bytes(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d)
{
	(void)sink, (void)ino, (void)data, (void)len, (void)d;
	return 0;
}

static int ignore_symlink(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	return ignore_bytes(sink, ino, target, len, d);
}

static int ignore_runs(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	return ignore_bytes(sink, ino, runs, nr, d);
}

static int ignore_entry(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 child_ino, struct diag *d)
{
	(void)child_ino;
	return ignore_bytes(sink, dir_ino, name, name_len, d);
}

/* A scan that tells nobody anything, and claims nothing. */
struct trial {
	struct scan scan;
	struct source_sink sink;
	struct ext_skips *found;
};

/* Anything but that it cannot be read is for the scan proper to find. */
static int try_inode(void *ctx, const struct ext_inode *inode, struct diag *d)
{
	struct trial *trial = ctx;
	struct diag why = { 0 };
	int err;

	if (ext_inode_is_own(trial->scan.ext, inode->ino) || inode->flags & EXT4_EA_INODE_FL || ext_skips_reason(inode))
		return 0;
	err = ext_xattrs_tell(&trial->scan.xattrs, inode, &trial->sink, &why);
	if (err != -EIO)
		err = tell_contents(&trial->scan, inode, &why);
	return err == -EIO ? ext_skips_add_unreadable(trial->found, trial->scan.ext, inode->ino, d) : 0;
}

static int note_unread_inodes(void *ctx, u32 first, u32 nr, struct diag *d)
{
	struct trial *trial = ctx;
	int err = 0;

	for (u32 i = 0; i < nr && !err; i++)
		err = ext_skips_add_unreadable(trial->found, trial->scan.ext, first + i, d);
	return err;
}

static int find_unreadable(struct scan *scan, struct diag *d)
{
	struct trial trial = {
		.scan = { .ext = scan->ext },
		.sink = { ignore_inode, ignore_xattr, ignore_symlink, ignore_runs, ignore_bytes, ignore_entry, NULL },
		.found = &scan->skips,
	};
	struct ext_table_scan table = { .fn = try_inode, .unread = note_unread_inodes, .ctx = &trial };
	int err;

	trial.scan.sink = &trial.sink;
	err = scan_init(&trial.scan, d);
	if (!err) {
		trial.scan.contents.map.claims = NULL;
		trial.scan.xattrs.claims = NULL;
		err = ext_table_scan(scan->ext, &table, d);
	}
	scan_done(&trial.scan);
	return err;
}

int ext_scan(struct source *source, struct source_sink *sink, struct progress *progress, struct diag *d)
{
	_cleanup_(scan_done) struct scan scan = { .ext = ext_fs_of(source), .sink = sink, .progress = progress };
	struct ext_table_scan table = { .fn = scan_inode, .ctx = &scan };
	int err = scan_init(&scan, d);

	if (!err && source->is_partly_unreadable)
		err = find_unreadable(&scan, d);
	if (!err)
		err = ext_skips_find(&scan.skips, scan.ext, d);
	if (!err) {
		err = ext_table_scan(scan.ext, &table, d);
		err = add_path(&scan, err, table.ino, d);
	}
	progress_add(progress, 0, scan.nr_done);
	if (!err && scan.nr_unreached)
		diag_note(d, DIAG_WARNING, "%" PRIu64 " inodes that only what is left out leads to are left out, too", scan.nr_unreached);
	return err ?: compare_names(&scan, d);
}
