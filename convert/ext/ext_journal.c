/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_journal.h"

#include <inttypes.h>

#include "convert/ext/ext_fs.h"
#include "convert/ext/ext_map.h"

struct ext_journal {
	struct blockdev seen;
	struct blockdev *below;
	struct jbd2 *jbd2;
	u32 block_bytes;
	ARRAY(struct source_run) runs; /* of the journal's file, complete */
};

static int seen_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	const struct ext_journal *journal = container_of(dev, struct ext_journal, seen);
	int err = blockdev_read(journal->below, offset, buf, len, d);

	return err ?: jbd2_lay_over(journal->jbd2, offset, buf, len, d);
}

static const struct blockdev_ops seen_ops = { .read = seen_read };

static int read_journal_block(void *ctx, u32 block, void *buf, struct diag *d)
{
	const struct ext_journal *journal = ctx;
	u64 at = (u64)block * journal->block_bytes;
	size_t i = array_lower_bound(&journal->runs, run, run->file_offset + run->len <= at);
	const struct source_run *run = &journal->runs.items[i];

	if (i == journal->runs.len || run->file_offset > at)
		return diag_fail(d, -EUCLEAN, "the journal has no block %u; run e2fsck -f", block);
	return blockdev_read(journal->below, run->physical + (at - run->file_offset), buf, journal->block_bytes, d);
}

static int load_runs(const struct ext_fs *ext, struct ext_journal *journal, u64 *ret_size, struct diag *d)
{
	_cleanup_(ext_map_done) struct ext_map map = { 0 };
	_free_ u8 *raw = malloc(ext->inode_bytes);
	struct ext_inode inode;
	int err;

	if (!raw)
		return diag_no_memory(d, "the journal");
	err = ext_inode_read(ext, ext->fs->super->s_journal_inum, raw, &inode, d);
	if (!err && inode.links_count == 0)
		return diag_fail(d, -EUCLEAN, "%s: there is no journal in inode %u; run e2fsck -f", ext->dev->name, inode.ino);
	if (!err)
		err = ext_map_init(&map, ext, NULL, d);
	if (!err)
		err = ext_map_inode(&map, &inode, d);
	if (err)
		return err;
	array_for_each(&map.runs, run)
		if (array_push(&journal->runs, *run) < 0)
			return diag_no_memory(d, "the journal");
	*ret_size = inode.size;
	return 0;
}

/* Who only reads gets what there is, and is told. */
static void tell_state(const struct ext_fs *ext, const struct jbd2_info *info, struct diag *d)
{
	const char *name = ext->dev->name;

	if (info->abort_errno)
		diag_note(d, DIAG_WARNING, "%s: Linux gave its journal up with error %u", name, info->abort_errno);
	if (info->state == JBD2_FAST_COMMITS)
		diag_note(d, DIAG_WARNING, "%s: its journal ends in %u fast commits, which are not seen", name, info->nr_fast_commits);
	if (info->state == JBD2_NOT_WANTED)
		diag_note(d, DIAG_WARNING, "%s: its journal is not empty, but not marked as to be replayed: it is not seen", name);
}

static int judge_state(const struct ext_fs *ext, const struct jbd2_info *info, struct diag *d)
{
	if (info->abort_errno)
		return diag_fail(d, -EUCLEAN, "%s: Linux gave its journal up with error %u; run e2fsck -f", ext->dev->name,
				 info->abort_errno);
	if (info->state == JBD2_FAST_COMMITS)
		return diag_fail(d, -EOPNOTSUPP,
				 "%s: its journal ends in %u fast commits, which only Linux and e2fsck replay: mount and unmount it once, or "
				 "run e2fsck -f",
				 ext->dev->name, info->nr_fast_commits);
	if (info->state == JBD2_NOT_WANTED)
		return diag_fail(d, -EUCLEAN, "%s: its journal is not empty, but not marked as to be replayed; run e2fsck -f",
				 ext->dev->name);
	return 0;
}

static int open_internal(const struct ext_fs *ext, const struct source_options *options, struct ext_journal *journal,
			 struct diag *d)
{
	struct jbd2_place place = {
		.read = read_journal_block,
		.ctx = journal,
		.block_bytes = ext->block_bytes,
		.nr_fs_blocks = ext->nr_blocks,
		.needs_recovery = ext2fs_has_feature_journal_needs_recovery(ext->fs->super),
		.memory_bytes = options->memory_bytes,
	};
	u64 size = 0;
	int err;

	journal->seen = (struct blockdev){ .ops = &seen_ops, .name = ext->dev->name, .size_bytes = ext->dev->size_bytes };
	journal->below = ext->dev;
	journal->block_bytes = ext->block_bytes;
	err = load_runs(ext, journal, &size, d);
	if (err)
		return err;
	place.nr_blocks = (u32)MIN(size / ext->block_bytes, (u64)UINT32_MAX);
	err = jbd2_open(&place, &journal->jbd2, d);
	if (err)
		return diag_context(d, err, "%s: journal", ext->dev->name);
	if (!ext->only_reads)
		return judge_state(ext, jbd2_info(journal->jbd2), d);
	tell_state(ext, jbd2_info(journal->jbd2), d);
	return 0;
}

int ext_journal_open(struct ext_fs *ext, const struct source_options *options, struct ext_journal **ret_journal, struct diag *d)
{
	struct ext2_super_block *super = ext->fs->super;
	struct ext_journal *journal;
	int err;

	*ret_journal = NULL;
	if (options->no_journal)
		return 0;
	if (!ext2fs_has_feature_journal(super) || super->s_journal_inum == 0) {
		if (!ext2fs_has_feature_journal_needs_recovery(super))
			return 0;
		if (ext->only_reads) {
			ext->source.info.is_incomplete = true;
			diag_note(d, DIAG_WARNING, "%s: was not unmounted cleanly, and its journal, which is on another device, is not seen",
				  ext->dev->name);
			return 0;
		}
		return diag_fail(d, -EUCLEAN,
				 "%s: was not unmounted cleanly, and its journal is on another device (number 0x%x): mount and unmount it, or "
				 "run e2fsck",
				 ext->dev->name, super->s_journal_dev);
	}
	journal = calloc(1, sizeof(*journal));
	if (!journal)
		return diag_no_memory(d, "the journal");
	err = open_internal(ext, options, journal, d);
	if (!err && (jbd2_info(journal->jbd2)->state == JBD2_FAST_COMMITS || jbd2_info(journal->jbd2)->state == JBD2_NOT_WANTED))
		ext->source.info.is_incomplete = true; /* only who reads gets here */
	if (!err && jbd2_info(journal->jbd2)->nr_blocks > 0 && jbd2_info(journal->jbd2)->state != JBD2_NOT_WANTED)
		*ret_journal = take_ptr(journal);
	ext_journal_close(journal);
	return err;
}

void ext_journal_close(struct ext_journal *journal)
{
	if (!journal)
		return;
	jbd2_close(journal->jbd2);
	array_done(&journal->runs);
	free(journal);
}

struct blockdev *ext_journal_device(struct ext_journal *journal)
{
	return &journal->seen;
}

const struct jbd2 *ext_journal_jbd2(const struct ext_journal *journal)
{
	return journal->jbd2;
}

/* --- Looking at it ----------------------------------------------------------------------------------------------- */

static int read_outer_block(void *ctx, u32 block, void *buf, struct diag *d)
{
	const struct ext_journal *journal = ctx;

	return blockdev_read(journal->below, (u64)block * journal->block_bytes, buf, journal->block_bytes, d);
}

/* Where the journal of @ext is: in an inode, or on @outer. */
static int find_place(const struct ext_fs *ext, struct blockdev *outer, struct ext_journal *journal, struct jbd2_place *place,
		      struct diag *d)
{
	struct ext2_super_block *super = ext->fs->super;
	u64 size;
	int err;

	if (!ext2fs_has_feature_journal(super))
		return diag_fail(d, -ENOENT, "%s: has no journal", ext->dev->name);
	if (super->s_journal_inum == 0 && !outer)
		return diag_fail(d, -ENXIO, "%s: its journal is on another device (number 0x%x), which has to be named behind it",
				 ext->dev->name, super->s_journal_dev);
	if (super->s_journal_inum && outer)
		return diag_fail(d, -EINVAL, "%s: its journal is in itself, not on %s", ext->dev->name, outer->name);
	if (outer) {
		journal->below = outer;
		place->read = read_outer_block;
		place->nr_blocks = (u32)MIN(outer->size_bytes / ext->block_bytes, (u64)UINT32_MAX);
		place->super_block = ext->block_bytes == KIB ? 2 : 1;
		return 0;
	}
	journal->below = ext->dev;
	place->read = read_journal_block;
	err = load_runs(ext, journal, &size, d);
	if (!err)
		place->nr_blocks = (u32)MIN(size / ext->block_bytes, (u64)UINT32_MAX);
	return err;
}

static int look(struct ext_fs *ext, struct blockdev *outer, const struct jbd2_watcher *watcher, struct jbd2_info *ret_info,
		struct diag *d)
{
	struct ext_journal journal = { .block_bytes = ext->block_bytes };
	struct jbd2_place place = {
		.ctx = &journal,
		.block_bytes = ext->block_bytes,
		.nr_fs_blocks = ext->nr_blocks,
		.needs_recovery = ext2fs_has_feature_journal_needs_recovery(ext->fs->super),
		.watcher = watcher,
		.ret_info = ret_info,
	};
	int err = find_place(ext, outer, &journal, &place, d);

	if (!err)
		err = jbd2_open(&place, &journal.jbd2, d);
	if (err && err != -ENOENT)
		diag_context(d, err, "%s", outer ? outer->name : ext->dev->name);
	jbd2_close(journal.jbd2);
	array_done(&journal.runs);
	return err;
}

int ext_journal_look(struct blockdev *dev, struct blockdev *journal_dev, const struct jbd2_watcher *watcher,
		     struct jbd2_info *ret_info, struct diag *d)
{
	struct ext_fs *ext;
	le16 magic;
	int err;

	memset(ret_info, 0, sizeof(*ret_info));
	if (dev->size_bytes < EXT_SUPER_OFFSET + EXT_SUPER_BYTES)
		return 1;
	err = blockdev_read(dev, EXT_MAGIC_OFFSET, &magic, sizeof(magic), d);
	if (err || le16_get(magic) != EXT2_SUPER_MAGIC)
		return err ?: 1;
	ext = calloc(1, sizeof(*ext));
	if (!ext)
		return diag_no_memory(d, "a filesystem");
	ext->dev = ext->seen = dev;
	err = ext_io_open_fs(&ext->io, dev, &ext->fs, d);
	if (!err)
		err = ext_super_load(ext, d);
	if (!err)
		err = look(ext, journal_dev, watcher, ret_info, d);
	if (ext->fs)
		(void)ext2fs_close_free(&ext->fs); /* nothing was to be written */
	array_done(&ext->own);
	free(ext);
	return err;
}
