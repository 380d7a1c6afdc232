/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Contents of files. */
#include <sys/stat.h>

#include "common/base/checked.h"
#include "common/compress/codec.h"
#include "kernel-shared/fs/data.h"
#include "kernel-shared/fs/file_extent.h"
#include "kernel-shared/fs/file_layer.h"
#include "kernel-shared/fs/foreign.h"

typedef unsigned long long ull;

/* What decompressing needs; made when a file turns out to be compressed. */
struct unpacker {
	struct codec_workspace *workspace[COMPRESS_ZSTD + 1];
	u64 disk_bytenr; /* whose contents are in @plain; 0: nobody's */
	size_t plain_len;
	u8 plain[CODEC_INPUT_MAX];
	u8 packed[COMPRESSED_EXTENT_BYTES_MAX];
};

struct btrkit_file {
	struct btrkit_fs *fs;
	struct foreign_file *foreign; /* of a filesystem that is not Btrfs, and then only size and extents.do_skip_damage count */
	struct btrkit_inode inode;
	u64 size;
	bool is_verified; /* its data has checksums */
	struct cursor extents;
	struct file_layer layer; /* over the committed extents; without functions: none */
	struct file_extent extent; /* the last one looked at */
	u64 known_from, known_to; /* where it is what the file has; empty: nowhere */
	struct data_reader reader;
	struct unpacker *unpacker; /* NULL: not needed so far */
	u8 *sector; /* of one sector: for reads that do not begin or end at one; NULL: not needed so far */
};

int file_open_layered(struct btrkit_fs *fs, const struct btrkit_stat *stat, const struct file_layer *layer,
		      struct btrkit_file **ret_file, struct diag *d)
{
	struct btrkit_file *file;
	struct fs_root root;
	int err;

	if (!S_ISREG(stat->mode) && !S_ISLNK(stat->mode))
		return diag_fail(d, S_ISDIR(stat->mode) ? -EISDIR : -EINVAL,
				 "inode %llu of subvolume %llu is not a regular file", (ull)stat->inode.ino,
				 (ull)stat->inode.subvol);
	err = fs_subvol_root(fs, stat->inode.subvol, &root, d);
	if (err)
		return err;
	file = malloc(sizeof(*file));
	if (!file)
		return diag_no_memory(d, "an open file");
	file->fs = fs;
	file->foreign = NULL;
	file->inode = stat->inode;
	file->size = stat->size;
	file->is_verified = !(stat->flags & INODE_NODATASUM);
	file->extents = cursor_init(&root.tree);
	file->layer = layer ? *layer : (struct file_layer){ 0 };
	file->known_from = file->known_to = 0;
	file->unpacker = NULL;
	file->sector = NULL;
	data_reader_init(&file->reader, fs);
	file->reader.more_csums = file->layer.csums;
	file->reader.more_csums_ctx = file->layer.ctx;
	*ret_file = file;
	return 0;
}

static int open_foreign(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct btrkit_file **ret_file, struct diag *d)
{
	struct btrkit_file *file = calloc(1, sizeof(*file));
	int err;

	if (!file)
		return diag_no_memory(d, "an open file");
	file->fs = fs;
	file->inode = *inode;
	err = fs->foreign->file_open(fs->foreign_ctx, inode, &file->foreign, &file->size, d);
	if (err)
		free(file);
	else
		*ret_file = file;
	return err;
}

int btrkit_file_open(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct btrkit_file **ret_file,
		     struct btrkit_error *error)
{
	struct btrkit_stat stat;
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	if (fs->foreign)
		return fs_error(error, &d, open_foreign(fs, inode, ret_file, &d));
	err = btrkit_stat(fs, inode, &stat, error);
	if (err)
		return err;
	return fs_error(error, &d, file_open_layered(fs, &stat, NULL, ret_file, &d));
}

void btrkit_file_close(struct btrkit_file *file)
{
	if (!file)
		return;
	if (file->foreign) {
		file->fs->foreign->file_close(file->foreign);
		free(file);
		return;
	}
	if (file->layer.close)
		file->layer.close(file->layer.ctx);
	cursor_done(&file->extents);
	data_reader_done(&file->reader);
	if (file->unpacker)
		for (size_t i = 0; i < ARRAY_LEN(file->unpacker->workspace); i++)
			codec_workspace_free(file->unpacker->workspace[i]);
	free(file->unpacker);
	free(file->sector);
	free(file);
}

uint64_t btrkit_file_size(const struct btrkit_file *file)
{
	return file->size;
}

void btrkit_file_skip_damage(struct btrkit_file *file)
{
	file->extents.do_skip_damage = true;
}

uint64_t btrkit_file_nr_skipped(const struct btrkit_file *file)
{
	return file->foreign ? file->fs->foreign->file_nr_skipped(file->foreign) : file->extents.nr_skipped;
}

/* What the file has at @at, in file->extent. */
static int find_extent(struct btrkit_file *file, u64 at, struct diag *d)
{
	struct file_extent *extent = &file->extent;
	u64 from = 0, to = UINT64_MAX;
	int err = 1;

	if (at >= file->known_from && at < file->known_to)
		return 0;
	file->known_from = file->known_to = 0;
	if (file->layer.extent_at)
		err = file->layer.extent_at(file->layer.ctx, at, extent, &from, &to, d);
	if (err == 1)
		err = file_extent_find(&file->extents, file->inode.ino, at, file->size, file->fs->volume->sectorsize, extent,
				       d);
	if (err)
		return err;
	file->known_from = MAX(from, extent->file_offset);
	file->known_to = MIN(to, extent->file_offset + extent->len);
	return 0;
}

/* --- Compressed extents --------------------------------------------------------------------------------------- */

static int prepare_unpacker(struct btrkit_file *file, u8 compression, struct diag *d)
{
	const struct codec *codec = codec_by_type(compression);

	if (!codec && codec_type_name(compression))
		return diag_fail(d, -EOPNOTSUPP, "inode %llu: compression %s is not built in",
				 (ull)file->inode.ino, codec_type_name(compression));
	if (!codec)
		return diag_fail(d, -EOPNOTSUPP, "inode %llu: unknown compression %u",
				 (ull)file->inode.ino, compression);
	if (!file->unpacker) {
		file->unpacker = malloc(sizeof(*file->unpacker));
		if (!file->unpacker)
			return diag_no_memory(d, "decompression");
		memset(file->unpacker->workspace, 0, sizeof(file->unpacker->workspace));
		file->unpacker->disk_bytenr = 0;
	}
	if (!file->unpacker->workspace[compression] &&
	    codec_workspace_new(codec, codec->level_default, file->fs->volume->sectorsize, NULL,
				&file->unpacker->workspace[compression]) < 0)
		return diag_no_memory(d, "decompression");
	return 0;
}

static int unpack(struct btrkit_file *file, const void *packed, size_t len, struct diag *d)
{
	struct unpacker *unpacker = file->unpacker;
	const struct file_extent *extent = &file->extent;
	int err;

	unpacker->disk_bytenr = 0;
	err = codec_decompress(unpacker->workspace[extent->compression], packed, len, unpacker->plain,
			       sizeof(unpacker->plain), &unpacker->plain_len);
	if (err)
		return diag_fail(d, err == -ENOMEM ? err : -EIO,
				 "subvolume %llu inode %llu: extent at %llu: the compressed data is damaged",
				 (ull)file->inode.subvol, (ull)file->inode.ino, (ull)extent->file_offset);
	return 0;
}

/* Have the current extent's uncompressed contents in unpacker->plain. */
static int unpack_regular(struct btrkit_file *file, struct diag *d)
{
	const struct file_extent *extent = &file->extent;
	size_t good;
	int err = prepare_unpacker(file, extent->compression, d);

	if (err || file->unpacker->disk_bytenr == extent->disk_bytenr)
		return err;
	if (extent->disk_num_bytes > COMPRESSED_EXTENT_BYTES_MAX)
		return diag_fail(d, -EUCLEAN, "inode %llu: compressed extent of %llu bytes", (ull)file->inode.ino,
				 (ull)extent->disk_num_bytes);
	err = data_read(&file->reader, extent->disk_bytenr, file->unpacker->packed, (size_t)extent->disk_num_bytes,
			file->is_verified, &good, d);
	if (!err)
		err = unpack(file, file->unpacker->packed, (size_t)extent->disk_num_bytes, d);
	if (!err)
		file->unpacker->disk_bytenr = extent->disk_bytenr;
	return err;
}

/* Copy [from, from + len) of @plain; what is behind its end reads as zeroes. */
static void copy_padded(u8 *to, size_t len, const u8 *plain, size_t plain_len, u64 from)
{
	size_t have = from < plain_len ? MIN(len, plain_len - (size_t)from) : 0;

	if (have)
		memcpy(to, plain + from, have);
	memset(to + have, 0, len - have);
}

/* --- Reading one extent's part -------------------------------------------------------------------------------- */

static int read_inline(struct btrkit_file *file, u64 at, u8 *buf, size_t len, size_t *ret_good, struct diag *d)
{
	const struct file_extent *extent = &file->extent;
	int err;

	if (extent->compression == COMPRESS_NONE) {
		copy_padded(buf, len, extent->inline_data, extent->inline_bytes, at - extent->file_offset);
	} else {
		err = prepare_unpacker(file, extent->compression, d);
		if (!err)
			err = unpack(file, extent->inline_data, extent->inline_bytes, d);
		if (err)
			return err;
		copy_padded(buf, len, file->unpacker->plain,
			    MIN(file->unpacker->plain_len, (size_t)extent->ram_bytes), at - extent->file_offset);
	}
	*ret_good = len;
	return 0;
}

static int read_compressed(struct btrkit_file *file, u64 at, u8 *buf, size_t len, size_t *ret_good, struct diag *d)
{
	const struct file_extent *extent = &file->extent;
	int err = unpack_regular(file, d);

	if (err)
		return err;
	copy_padded(buf, len, file->unpacker->plain, file->unpacker->plain_len,
		    extent->extent_offset + (at - extent->file_offset));
	*ret_good = len;
	return 0;
}

/* A part of one sector, through a buffer. */
static int read_within_sector(struct btrkit_file *file, u64 logical, u8 *buf, size_t len, struct diag *d)
{
	u32 sectorsize = file->fs->volume->sectorsize;
	size_t good;
	int err;

	if (!file->sector)
		file->sector = malloc(sectorsize);
	if (!file->sector)
		return diag_no_memory(d, "a sector");
	err = data_read(&file->reader, round_down_u64(logical, sectorsize), file->sector, sectorsize, file->is_verified,
			&good, d);
	if (!err)
		memcpy(buf, file->sector + logical % sectorsize, len);
	return err;
}

static int read_plain(struct btrkit_file *file, u64 at, u8 *buf, size_t len, size_t *ret_good, struct diag *d)
{
	const struct file_extent *extent = &file->extent;
	u32 sectorsize = file->fs->volume->sectorsize;
	u64 logical = extent->disk_bytenr + extent->extent_offset + (at - extent->file_offset);
	size_t head, good = 0;
	int err;

	if (logical % sectorsize == 0 && len >= sectorsize)
		return data_read(&file->reader, logical, buf, (size_t)round_down_u64(len, sectorsize), file->is_verified,
				 ret_good, d);
	head = MIN(len, (size_t)(sectorsize - logical % sectorsize));
	err = read_within_sector(file, logical, buf, head, d);
	if (!err)
		good = head;
	*ret_good = good;
	return err;
}

/* As much of [at, at + len) as lies in one extent, or less; *ret_good > 0 unless it fails. */
static int read_part(struct btrkit_file *file, u64 at, u8 *buf, size_t len, size_t *ret_good, struct diag *d)
{
	const struct file_extent *extent = &file->extent;
	int err = find_extent(file, at, d);

	if (err)
		return err;
	len = (size_t)MIN((u64)len, file->known_to - at);
	switch (extent->kind) {
	case EXTENT_INLINE:
		return read_inline(file, at, buf, len, ret_good, d);
	case EXTENT_REGULAR:
		return extent->compression ? read_compressed(file, at, buf, len, ret_good, d)
					   : read_plain(file, at, buf, len, ret_good, d);
	default:
		memset(buf, 0, len);
		*ret_good = len;
		return 0;
	}
}

int btrkit_file_read(struct btrkit_file *file, uint64_t offset, void *buf, size_t len, size_t *ret_len,
		     struct btrkit_error *error)
{
	struct diag d;
	size_t done = 0;
	int err = 0;

	fs_diag_init(&file->fs->note, &d);
	len = offset < file->size ? (size_t)MIN((u64)len, file->size - offset) : 0;
	if (file->foreign && len) {
		err = file->fs->foreign->file_read(file->foreign, file->extents.do_skip_damage, offset, buf, len, ret_len, &d);
		return fs_error(error, &d, err);
	}
	while (done < len && !err) {
		size_t good = 0;

		err = read_part(file, offset + done, (u8 *)buf + done, len - done, &good, &d);
		done += good;
	}
	*ret_len = done;
	return fs_error(error, &d, err);
}

int btrkit_file_range_at(struct btrkit_file *file, uint64_t offset, struct btrkit_file_range *ret_range,
			 struct btrkit_error *error)
{
	static const enum btrkit_range_kind kinds[] = {
		[EXTENT_HOLE] = BTRKIT_RANGE_HOLE,
		[EXTENT_INLINE] = BTRKIT_RANGE_DATA,
		[EXTENT_REGULAR] = BTRKIT_RANGE_DATA,
		[EXTENT_PREALLOC] = BTRKIT_RANGE_PREALLOC,
	};
	const struct file_extent *extent = &file->extent;
	const struct codec *codec;
	struct diag d;
	u64 skip;
	int err;

	if (offset >= file->size)
		return 1;
	fs_diag_init(&file->fs->note, &d);
	if (file->foreign)
		return fs_error(error, &d,
				file->fs->foreign->file_range_at(file->foreign, file->extents.do_skip_damage, offset, ret_range, &d));
	err = find_extent(file, offset, &d);
	if (err)
		return fs_error(error, &d, err);
	skip = offset - extent->file_offset;
	codec = extent->compression ? codec_by_type(extent->compression) : NULL;
	*ret_range = (struct btrkit_file_range){
		.offset = offset,
		.len = MIN(file->known_to, file->size) - offset,
		.kind = kinds[extent->kind],
		.is_inline = extent->kind == EXTENT_INLINE,
		.compression = extent->kind == EXTENT_HOLE || !extent->compression ? NULL
			       : codec						   ? codec->name
										   : "unknown",
		.logical = extent->kind == EXTENT_HOLE ? 0 : extent->disk_bytenr,
		.disk_bytes = extent->kind == EXTENT_HOLE ? 0 : extent->disk_num_bytes,
		.extent_offset = extent->extent_offset + skip,
	};
	return 0;
}
