/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests: the journal of an ext filesystem, by convert/journal/jbd2; libext2fs only finds its blocks.
 *
 *	extjournal show IMAGE [JOURNAL]		what jbd2_info() says, one fact a line
 *	extjournal apply IMAGE [JOURNAL]	the same, and write what lies over the filesystem to its place
 *	extjournal compare A B			list blocks in which the two differ, A's journal and superblock aside
 *
 * JOURNAL: the journal's own device. Exit status: 0; 1: differences, or an error; 2: the journal is refused, and the text says
 * why; 77: built without libext2fs.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "convert/journal/jbd2.h"

#if !HAVE_EXT2FS
int main(void)
{
	fprintf(stderr, "built without libext2fs\n");
	return 77;
}
#else
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>

typedef unsigned long long ull;

/* Where the journal's blocks are. */
struct blocks {
	ARRAY(u64) places; /* by block of the journal; 0: a hole */
	int fd;
	u32 block_bytes;
};

static ext2_filsys open_fs(const char *path)
{
	ext2_filsys fs;
	errcode_t err = ext2fs_open2(path, NULL,
				     EXT2_FLAG_64BITS | EXT2_FLAG_IGNORE_CSUM_ERRORS | EXT2_FLAG_JOURNAL_DEV_OK | EXT2_FLAG_FORCE, 0, 0,
				     unix_io_manager, &fs);

	if (!err)
		return fs;
	fprintf(stderr, "%s: libext2fs: error %ld\n", path, (long)err);
	exit(1);
}

static int add_block(ext2_filsys fs, blk64_t *place, e2_blkcnt_t block, blk64_t ref, int ref_offset, void *ctx)
{
	struct blocks *blocks = ctx;

	(void)fs, (void)ref, (void)ref_offset;
	if (block < 0)
		return 0;
	while (blocks->places.len <= (size_t)block)
		if (array_push(&blocks->places, 0) < 0)
			exit(1);
	blocks->places.items[block] = *place;
	return 0;
}

/* The blocks of its journal inode; none, if it has no such inode. */
static void map_journal(ext2_filsys fs, struct blocks *blocks)
{
	blocks->block_bytes = fs->blocksize;
	if (fs->super->s_journal_inum == 0)
		return;
	if (ext2fs_block_iterate3(fs, fs->super->s_journal_inum, BLOCK_FLAG_READ_ONLY, NULL, add_block, blocks) != 0)
		exit(1);
}

static int read_block(void *ctx, u32 block, void *buf, struct diag *d)
{
	const struct blocks *blocks = ctx;
	u64 place = blocks->places.len ? blocks->places.items[block] : block;

	if (blocks->places.len && place == 0)
		return diag_fail(d, -EUCLEAN, "is not mapped");
	if (pread(blocks->fd, buf, blocks->block_bytes, (off_t)(place * blocks->block_bytes)) != (ssize_t)blocks->block_bytes)
		return diag_fail(d, -EIO, "cannot be read");
	return 0;
}

static void show(const struct jbd2 *journal)
{
	static const char *const states[] = { "empty", "dirty", "fast commits", "not wanted" };
	const struct jbd2_info *info = jbd2_info(journal);

	printf("state: %s\nversion: %u\ncompat: %#x\nincompat: %#x\nlog: %u-%u\nstart: %u\n", states[info->state], info->version,
	       info->compat, info->incompat, info->first_block, info->end_block, info->start_block);
	printf("sequences: %u-%u\ntransactions: %u\njournalled: %llu\nrevocations: %llu\nblocks: %llu\nfast commits: %u\nend: %s\n",
	       info->start_sequence, info->next_sequence, info->nr_transactions, (ull)info->nr_journalled,
	       (ull)info->nr_revocations, (ull)info->nr_blocks, info->nr_fast_commits, info->end_reason);
}

static int apply(const struct jbd2 *journal, const char *path, u32 block_bytes)
{
	_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	_free_ u8 *buf = malloc(block_bytes);

	if (fd < 0 || !buf)
		return -1;
	for (u64 block = 0; jbd2_next_block(journal, block, &block, NULL) == 0; block++)
		if (jbd2_read_block(journal, block, buf, NULL) != 0 ||
		    pwrite(fd, buf, block_bytes, (off_t)(block * block_bytes)) != (ssize_t)block_bytes)
			return -1;
	return 0;
}

static int open_and_run(const char *path, const char *device, bool do_apply)
{
	ext2_filsys fs = open_fs(path);
	struct blocks blocks = { .fd = open(device ? device : path, O_RDONLY | O_CLOEXEC) };
	struct jbd2_place place = { .read = read_block, .ctx = &blocks, .block_bytes = fs->blocksize };
	struct jbd2 *journal = NULL;
	struct diag d = { 0 };
	int code = 0;

	map_journal(fs, &blocks);
	place.nr_fs_blocks = ext2fs_blocks_count(fs->super);
	place.nr_blocks = (u32)blocks.places.len;
	if (device) {
		place.nr_blocks = (u32)(lseek(blocks.fd, 0, SEEK_END) / fs->blocksize);
		place.super_block = fs->blocksize == 1024 ? 2 : 1;
	}
	place.needs_recovery = fs->super->s_feature_incompat & EXT3_FEATURE_INCOMPAT_RECOVER;
	ext2fs_close_free(&fs);
	if (jbd2_open(&place, &journal, &d) != 0) {
		fprintf(stderr, "%s\n", d.text);
		code = 2;
	} else {
		show(journal);
		if (do_apply && apply(journal, path, blocks.block_bytes) < 0) {
			perror(path);
			code = 1;
		}
	}
	jbd2_close(journal);
	close(blocks.fd);
	array_done(&blocks.places);
	return code;
}

static bool is_of_journal(const struct blocks *blocks, u64 block)
{
	array_for_each(&blocks->places, place)
		if (*place == block)
			return true;
	return false;
}

static int compare(const char *path_a, const char *path_b)
{
	ext2_filsys fs = open_fs(path_a);
	struct blocks blocks = { 0 };
	_close_ int a = open(path_a, O_RDONLY | O_CLOEXEC), b = open(path_b, O_RDONLY | O_CLOEXEC);
	_free_ u8 *buf_a = malloc(fs->blocksize), *buf_b = malloc(fs->blocksize);
	u64 nr_differ = 0, nr = 0;

	map_journal(fs, &blocks);
	if (a < 0 || b < 0 || !buf_a || !buf_b)
		exit(1);
	for (u64 block = fs->super->s_first_data_block; block < ext2fs_blocks_count(fs->super); block++) {
		off_t at = (off_t)(block * fs->blocksize);

		if (block == 1024 / fs->blocksize)
			continue;
		if (pread(a, buf_a, fs->blocksize, at) != (ssize_t)fs->blocksize ||
		    pread(b, buf_b, fs->blocksize, at) != (ssize_t)fs->blocksize)
			exit(1);
		nr++;
		if (memcmp(buf_a, buf_b, fs->blocksize) == 0 || is_of_journal(&blocks, block))
			continue;
		if (nr_differ++ < 20)
			printf("block %llu differs\n", (ull)block);
	}
	printf("%llu blocks of %llu differ\n", (ull)nr_differ, (ull)nr);
	ext2fs_close_free(&fs);
	array_done(&blocks.places);
	return nr_differ != 0;
}

int main(int argc, char **argv)
{
	if (argc >= 3 && argc <= 4 && strcmp(argv[1], "show") == 0)
		return open_and_run(argv[2], argv[3], false);
	if (argc >= 3 && argc <= 4 && strcmp(argv[1], "apply") == 0)
		return open_and_run(argv[2], argv[3], true);
	if (argc == 4 && strcmp(argv[1], "compare") == 0)
		return compare(argv[2], argv[3]);
	fprintf(stderr, "usage: extjournal show|apply IMAGE [JOURNAL], extjournal compare A B\n");
	return 1;
}
#endif
