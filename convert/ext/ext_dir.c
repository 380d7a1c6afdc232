/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_dir.h"

#include <inttypes.h>

#include "common/csum/csum.h"
#include "convert/ext/ext_xattr.h"

#define READ_BYTES (256 * KIB)
#define REC_LEN_MIN 12
#define DX_ROOT_OFFSET 32 /* behind ".", ".." and what the root of the index says of itself */
#define DX_NODE_OFFSET 8 /* behind an empty entry as long as the block */

struct dir_reader {
	const struct ext_fs *ext;
	const struct ext_inode *inode;
	u32 csum_seed;
	bool do_tell_dots;
	ext_entry_fn fn;
	void *ctx;
};

static int fail_dir(const struct dir_reader *reader, u64 block, size_t at, const char *what, struct diag *d)
{
	return diag_fail(d, -EUCLEAN, "directory inode %u: block %" PRIu64 ", byte %zu: %s; run e2fsck -f", reader->inode->ino,
			 block, at, what);
}

/* With blocks of 64 KiB the length of one that is a whole block does not fit: 0 and 65535 stand for it. */
static u32 rec_len_of(const struct dir_reader *reader, const struct disk_ext_dirent *dirent)
{
	u32 len = le16_get(dirent->rec_len);

	if (reader->ext->block_bytes < 65536)
		return len;
	if (len == 0 || len == UINT16_MAX)
		return reader->ext->block_bytes;
	return (len & 65532) | (len & 3) << 16;
}

static bool is_dots(const char *name, size_t len)
{
	return (len == 1 || len == 2) && name[0] == '.' && name[len - 1] == '.';
}

static int tell_entry(const struct dir_reader *reader, const struct disk_ext_dirent *dirent, u64 block, size_t at,
		      struct diag *d)
{
	struct ext_entry entry = {
		.name = (const char *)(dirent + 1),
		.name_len = dirent->name_len,
		.ino = le32_get(dirent->ino),
		.file_type = ext2fs_has_feature_filetype(reader->ext->fs->super) ? dirent->file_type & 7 : 0,
	};

	if (entry.name_len == 0 || memchr(entry.name, '/', entry.name_len) || memchr(entry.name, '\0', entry.name_len))
		return fail_dir(reader, block, at, "an entry has an impossible name", d);
	if (is_dots(entry.name, entry.name_len) && !reader->do_tell_dots)
		return 0;
	return reader->fn(reader->ctx, &entry, d);
}

/* Entries in @len bytes, which they fill from end to end. */
static int tell_entries(const struct dir_reader *reader, const u8 *buf, size_t len, u64 block, struct diag *d)
{
	size_t at = 0;

	while (at < len) {
		const struct disk_ext_dirent *dirent = (const void *)(buf + at);
		u32 rec_len;

		if (len - at < sizeof(*dirent))
			return fail_dir(reader, block, at, "an entry is cut off", d);
		rec_len = rec_len_of(reader, dirent);
		if (rec_len < REC_LEN_MIN || rec_len % 4 != 0 || rec_len > len - at ||
		    sizeof(*dirent) + dirent->name_len > rec_len)
			return fail_dir(reader, block, at, "an entry has a bad length", d);
		if (le32_get(dirent->ino) != 0) {
			int err = tell_entry(reader, dirent, block, at, d);

			if (err)
				return err;
		}
		at += rec_len;
	}
	return 0;
}

/* The place of the counts in a block of the index, 0 for a block of entries. */
static size_t index_offset(const struct dir_reader *reader, const u8 *buf, u64 block)
{
	const struct disk_ext_dirent *first = (const void *)buf, *second = (const void *)(buf + REC_LEN_MIN);
	u32 block_bytes = reader->ext->block_bytes;

	if (!(reader->inode->flags & EXT2_INDEX_FL))
		return 0;
	if (block == 0)
		return rec_len_of(reader, first) == REC_LEN_MIN && rec_len_of(reader, second) == block_bytes - REC_LEN_MIN ?
			       DX_ROOT_OFFSET :
			       0;
	return le32_get(first->ino) == 0 && rec_len_of(reader, first) == block_bytes ? DX_NODE_OFFSET : 0;
}

static bool is_index_csum_right(const struct dir_reader *reader, const u8 *buf, size_t offset)
{
	const struct disk_ext_dx_countlimit *counts = (const void *)(buf + offset);
	u32 limit = le16_get(counts->limit), count = le16_get(counts->count), csum;
	const struct disk_ext_dx_tail *tail;
	u8 zeroes[sizeof(le32)] = { 0 };

	if (count > limit || offset + ((size_t)limit + 1) * 8 > reader->ext->block_bytes)
		return false;
	tail = (const void *)(buf + offset + (size_t)limit * 8);
	csum = crc32c_update(reader->csum_seed, buf, offset + (size_t)count * 8);
	csum = crc32c_update(csum, &tail->reserved, sizeof(tail->reserved));
	return crc32c_update(csum, zeroes, sizeof(zeroes)) == le32_get(tail->csum);
}

/* The last entry of a block looks deleted and has the checksum of what is before it. */
static bool is_leaf_csum_right(const struct dir_reader *reader, const u8 *buf)
{
	size_t at = reader->ext->block_bytes - sizeof(struct disk_ext_dirent_tail);
	const struct disk_ext_dirent_tail *tail = (const void *)(buf + at);

	return le32_get(tail->zero) == 0 && le16_get(tail->rec_len) == sizeof(*tail) && tail->name_len == 0 &&
	       tail->file_type == EXT_DIRENT_TAIL_TYPE && crc32c_update(reader->csum_seed, buf, at) == le32_get(tail->csum);
}

static int read_block(const struct dir_reader *reader, const u8 *buf, u64 block, struct diag *d)
{
	size_t offset = index_offset(reader, buf, block);

	if (reader->ext->has_metadata_csum &&
	    !(offset ? is_index_csum_right(reader, buf, offset) : is_leaf_csum_right(reader, buf)))
		return diag_fail(d, -EUCLEAN, "directory inode %u: block %" PRIu64 " has a bad checksum; run e2fsck -f",
				 reader->inode->ino, block);
	if (offset == DX_NODE_OFFSET)
		return 0;
	return tell_entries(reader, buf, reader->ext->block_bytes, block, d);
}

/* @len bytes of the directory, from @block on, which lie at @physical. */
static int read_piece(const struct dir_reader *reader, u64 physical, u64 block, u8 *buf, size_t len, struct ext_map *map,
		      struct diag *d)
{
	u32 block_bytes = reader->ext->block_bytes;
	struct diag why = { .note = d ? d->note : NULL, .note_arg = d ? d->note_arg : NULL };
	int err = ext_read_blocks(reader->ext, physical / block_bytes, (u32)(len / block_bytes), buf, &why);

	if (err == -EIO && reader->ext->source.is_partly_unreadable) {
		map->nr_unread += (u32)(len / block_bytes);
		return 0;
	}
	for (size_t b = 0; !err && b < len; b += block_bytes)
		err = read_block(reader, buf + b, block + b / block_bytes, &why);
	if ((err == -EIO || err == -EUCLEAN) && reader->ext->only_reads) {
		map->nr_unread += (u32)(len / block_bytes);
		diag_note(d, DIAG_WARNING, "%s", why.text);
		return 0;
	}
	/* Who is told entries may end it with an error of its own, and without a word. */
	if (why.err)
		(void)diag_copy(d, &why);
	return err;
}

/* May there be blocks that are passed over, each by itself? */
static bool is_tolerant(const struct dir_reader *reader)
{
	return reader->ext->source.is_partly_unreadable || reader->ext->only_reads;
}

/* All of the directory lies in runs without a gap. */
static int read_runs(const struct dir_reader *reader, struct ext_map *map, struct diag *d)
{
	u32 block_bytes = reader->ext->block_bytes;
	_free_ u8 *buf = NULL;
	u64 done = 0;
	u64 most = is_tolerant(reader) ? block_bytes : MAX(READ_BYTES, (u64)block_bytes);
	size_t buf_bytes = (size_t)MIN(most, reader->inode->size);

	buf = malloc(buf_bytes ?: 1);
	if (!buf)
		return diag_no_memory(d, "a directory");
	array_for_each(&map->runs, run) {
		if (run->file_offset != done && !reader->ext->only_reads)
			break;
		map->nr_unread += (u32)((run->file_offset - done) / block_bytes);
		for (u64 at = 0; at < run->len;) {
			size_t len = (size_t)MIN((u64)buf_bytes, run->len - at);
			int err = read_piece(reader, run->physical + at, (run->file_offset + at) / block_bytes, buf, len, map, d);

			if (err)
				return err;
			at += len;
		}
		done = run->file_offset + run->len;
	}
	if (done != reader->inode->size && reader->ext->only_reads)
		map->nr_unread += (u32)((reader->inode->size - MIN(done, reader->inode->size)) / block_bytes);
	else if (done != reader->inode->size)
		return diag_fail(d, -EUCLEAN, "directory inode %u: %" PRIu64 " bytes, of which only the first %" PRIu64
				 " have blocks; run e2fsck -f", reader->inode->ino, reader->inode->size, done);
	return 0;
}

/* Within the inode: the number of the parent, then entries; what does not fit continues in an attribute. */
static int read_inline(const struct dir_reader *reader, struct diag *d)
{
	const struct ext_inode *inode = reader->inode;
	struct ext_entry dots = { .name = "..", .name_len = 2, .file_type = EXT2_FT_DIR };
	const u8 *more;
	size_t more_len;
	le32 parent;
	int err;

	err = ext_xattr_inline_data(reader->ext, inode, &more, &more_len, d);
	if (err)
		return err;
	memcpy(&parent, inode->disk->block, sizeof(parent));
	dots.ino = le32_get(parent);
	if (reader->do_tell_dots) {
		err = reader->fn(reader->ctx, &dots, d);
		if (err)
			return err;
	}
	err = tell_entries(reader, inode->disk->block + sizeof(parent), sizeof(inode->disk->block) - sizeof(parent), 0, d);
	return err ?: tell_entries(reader, more, more_len, 1, d);
}

int ext_dir_entries(struct ext_map *map, const struct ext_inode *inode, bool do_tell_dots, ext_entry_fn fn, void *ctx,
		    struct diag *d)
{
	struct dir_reader reader = {
		.ext = map->ext,
		.inode = inode,
		.do_tell_dots = do_tell_dots,
		.fn = fn,
		.ctx = ctx,
	};
	int err, read_err;

	map->nr_unread = 0;
	if (inode->flags & EXT4_INLINE_DATA_FL)
		return read_inline(&reader, d);
	if (inode->size == 0 || inode->size % map->ext->block_bytes != 0)
		return diag_fail(d, -EUCLEAN, "directory inode %u: its size %" PRIu64 " is not one of blocks; run e2fsck -f", inode->ino,
				 inode->size);
	if (map->ext->has_metadata_csum)
		reader.csum_seed = ext_inode_csum_seed(map->ext, inode);
	err = ext_map_inode(map, inode, d);
	if (err && !(map->ext->only_reads && map->runs.len > 0))
		return err;
	read_err = read_runs(&reader, map, d);
	return read_err ?: err;
}
