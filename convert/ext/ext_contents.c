/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_contents.h"

#include <inttypes.h>

#include "convert/ext/ext_xattr.h"

#define LINK_BYTES_MAX 4095

int ext_contents_init(struct ext_contents *contents, const struct ext_fs *ext, struct ext_claims *claims, struct diag *d)
{
	contents->ext = ext;
	contents->block = malloc(ext->block_bytes);
	if (!contents->block)
		return diag_no_memory(d, "contents of files");
	return ext_map_init(&contents->map, ext, claims, d);
}

void ext_contents_done(struct ext_contents *contents)
{
	ext_map_done(&contents->map);
	array_done(&contents->split);
	free(contents->block);
	*contents = (struct ext_contents){ 0 };
}

/* Set is_overlaid, and cut runs where it changes. */
static int split_overlaid(struct ext_contents *contents, struct diag *d)
{
	u32 block_bytes = contents->ext->block_bytes;

	contents->split.len = 0;
	array_for_each(&contents->map.runs, run) {
		for (u64 at = 0, nr; at < run->len; at += nr * block_bytes) {
			struct source_run part = { .file_offset = run->file_offset + at, .physical = run->physical + at };

			int err = ext_is_overlaid(contents->ext, part.physical / block_bytes, (run->len - at) / block_bytes,
						  &part.is_overlaid, &nr, d);

			if (err)
				return err;
			part.len = nr * block_bytes;
			if (array_push(&contents->split, part) < 0)
				return diag_no_memory(d, "runs of a file");
		}
	}
	return 0;
}

/* What an inode holds itself: the 60 bytes and an attribute, together in @buf, which is a block. */
static int read_inline(struct ext_contents *contents, const struct ext_inode *inode, u8 *buf, struct diag *d)
{
	size_t own = sizeof(inode->disk->block), more_len;
	const u8 *more;
	int err = ext_xattr_inline_data(contents->ext, inode, &more, &more_len, d);

	if (err)
		return err;
	if (inode->size > own + more_len || own + more_len > contents->ext->block_bytes)
		return diag_fail(d, -EUCLEAN, "inode %u: its size is %" PRIu64 " bytes, but it holds only %zu; run e2fsck -f",
				 inode->ino, inode->size, own + more_len);
	memcpy(buf, inode->disk->block, own);
	memcpy(buf + own, more, more_len);
	return 0;
}

static int tell_runs(struct ext_contents *contents, const struct ext_inode *inode, struct source_sink *sink, struct diag *d)
{
	int err;

	if (!contents->ext->source.info.has_journal)
		return sink->runs(sink, inode->ino, contents->map.runs.items, contents->map.runs.len, d);
	err = split_overlaid(contents, d);
	return err ?: sink->runs(sink, inode->ino, contents->split.items, contents->split.len, d);
}

int ext_contents_tell_file(struct ext_contents *contents, const struct ext_inode *inode, struct source_sink *sink, struct diag *d)
{
	int err, told;

	if (inode->flags & EXT4_INLINE_DATA_FL) {
		err = read_inline(contents, inode, contents->block, d);
		if (err || inode->size == 0)
			return err;
		return sink->bytes(sink, inode->ino, contents->block, (size_t)inode->size, d);
	}
	err = ext_map_inode(&contents->map, inode, d);
	if (contents->map.runs.len == 0 || (err && !contents->ext->only_reads))
		return err;
	told = tell_runs(contents, inode, sink, d);
	return told ?: err;
}

/* Short targets lie where pointers to blocks would; with an extent tree there it is one all the same. */
static bool is_fast_link(const struct ext_inode *inode)
{
	const struct disk_ext_extent_header *header = (const void *)inode->disk->block;

	return inode->size < sizeof(inode->disk->block) &&
	       !(inode->flags & EXT4_EXTENTS_FL && le16_get(header->magic) == EXT_EXTENT_MAGIC);
}

int ext_contents_tell_link(struct ext_contents *contents, const struct ext_inode *inode, struct source_sink *sink, struct diag *d)
{
	const u8 *target = contents->block;
	int err = 0;

	if (inode->size == 0 || inode->size > LINK_BYTES_MAX)
		return diag_fail(d, -EUCLEAN, "inode %u: a symbolic link of %" PRIu64 " bytes; run e2fsck -f", inode->ino, inode->size);
	if (inode->flags & EXT4_INLINE_DATA_FL) {
		err = read_inline(contents, inode, contents->block, d);
	} else if (is_fast_link(inode)) {
		target = inode->disk->block;
	} else {
		err = ext_map_inode(&contents->map, inode, d);
		if (!err && (contents->map.runs.len != 1 || contents->map.runs.items[0].file_offset != 0))
			return diag_fail(d, -EUCLEAN, "inode %u: a symbolic link without its target; run e2fsck -f", inode->ino);
		if (!err)
			err = ext_read_blocks(contents->ext, contents->map.runs.items[0].physical / contents->ext->block_bytes, 1, contents->block, d);
	}
	if (err)
		return err;
	if (memchr(target, '\0', (size_t)inode->size))
		return diag_fail(d, -EUCLEAN, "inode %u: the target of a symbolic link holds a NUL; run e2fsck -f", inode->ino);
	return sink->symlink(sink, inode->ino, (const char *)target, (size_t)inode->size, d);
}
