/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damaged ext2 and ext4: opening, bytes in use and the scan end, with an error that has a text, or with what the interface
 * promises, twice the same.
 *
 * Input: a byte that chooses the image, then changes of six bytes: block (2; of those that are not zeroes), offset (2), what is
 * added to the byte there, and to the next.
 */
#include <ext2fs/ext2fs.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/checked.h"
#include "convert/ext/ext_source.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_name[] = "fuzz-ext";
const unsigned fuzz_iterations = 6000;
const size_t fuzz_input_max = 1 + 6 * 16;

#define BLOCK 4096
#define NR_BLOCKS 256
#define NR_IMAGES 3
#define CHANGES_MAX 16

struct image {
	u8 bytes[NR_BLOCKS * BLOCK];
	u32 pieces[NR_BLOCKS]; /* blocks that are not zeroes */
	u32 nr_pieces;
};

/* --- Images ----------------------------------------------------------------------------------------------------- */

static const struct {
	u32 compat, incompat, ro_compat;
} features[NR_IMAGES] = {
	{ EXT2_FEATURE_COMPAT_EXT_ATTR, EXT2_FEATURE_INCOMPAT_FILETYPE, EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER },
	{ EXT2_FEATURE_COMPAT_EXT_ATTR | EXT2_FEATURE_COMPAT_DIR_INDEX,
	  EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_EXTENTS | EXT4_FEATURE_INCOMPAT_INLINE_DATA,
	  EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE | EXT4_FEATURE_RO_COMPAT_GDT_CSUM },
	{ EXT2_FEATURE_COMPAT_EXT_ATTR,
	  EXT2_FEATURE_INCOMPAT_FILETYPE | EXT3_FEATURE_INCOMPAT_EXTENTS | EXT4_FEATURE_INCOMPAT_64BIT,
	  EXT2_FEATURE_RO_COMPAT_SPARSE_SUPER | EXT4_FEATURE_RO_COMPAT_EXTRA_ISIZE | EXT4_FEATURE_RO_COMPAT_METADATA_CSUM },
};

static void add_xattr(ext2_filsys fs, ext2_ino_t ino, const char *name, size_t len)
{
	struct ext2_xattr_handle *handle;
	u8 value[1024];

	memset(value, 'v', sizeof(value));
	fuzz_require(ext2fs_xattrs_open(fs, ino, &handle) == 0);
	fuzz_require(ext2fs_xattrs_read(handle) == 0);
	fuzz_require(ext2fs_xattr_set(handle, name, value, len) == 0);
	fuzz_require(ext2fs_xattrs_write(handle) == 0);
	fuzz_require(ext2fs_xattrs_close(&handle) == 0);
}

static void add_name(ext2_filsys fs, ext2_ino_t dir, const char *name, ext2_ino_t ino)
{
	errcode_t code = ext2fs_link(fs, dir, name, ino, EXT2_FT_REG_FILE);

	if (code == EXT2_ET_DIR_NO_SPACE) {
		fuzz_require(ext2fs_expand_dir(fs, dir) == 0);
		code = ext2fs_link(fs, dir, name, ino, EXT2_FT_REG_FILE);
	}
	fuzz_require(code == 0);
}

/* A file with a piece every so often: extent trees and indirect blocks get blocks of their own. */
static void add_file(ext2_filsys fs, ext2_ino_t dir, const char *name, unsigned nr_pieces, size_t piece_bytes)
{
	struct ext2_inode_large inode = { .i_mode = S_IFREG | 0644, .i_links_count = 1, .i_extra_isize = 32 };
	static u8 data[BLOCK];
	ext2_file_t file;
	ext2_ino_t ino;

	fuzz_require(ext2fs_new_inode(fs, dir, S_IFREG | 0644, NULL, &ino) == 0);
	add_name(fs, dir, name, ino);
	ext2fs_inode_alloc_stats2(fs, ino, 1, 0);
	if (ext2fs_has_feature_extents(fs->super)) {
		ext2_extent_handle_t extents;

		fuzz_require(ext2fs_write_new_inode(fs, ino, (struct ext2_inode *)&inode) == 0);
		fuzz_require(ext2fs_extent_open2(fs, ino, (struct ext2_inode *)&inode, &extents) == 0);
		ext2fs_extent_free(extents);
	}
	fuzz_require(ext2fs_write_new_inode(fs, ino, (struct ext2_inode *)&inode) == 0);
	memset(data, name[0], sizeof(data));
	fuzz_require(ext2fs_file_open(fs, ino, EXT2_FILE_WRITE, &file) == 0);
	for (unsigned i = 0; i < nr_pieces; i++) {
		fuzz_require(ext2fs_file_llseek(file, (u64)i * 9 * BLOCK, EXT2_SEEK_SET, NULL) == 0);
		fuzz_require(ext2fs_file_write(file, data, (unsigned)piece_bytes, NULL) == 0);
	}
	fuzz_require(ext2fs_file_close(file) == 0);
	add_xattr(fs, ino, "user.small", 20);
	if (nr_pieces > 1)
		add_xattr(fs, ino, "trusted.large", 700);
}

static void fill(ext2_filsys fs)
{
	ext2_ino_t dir;
	char name[64], target[300];

	memset(target, 't', sizeof(target));
	target[sizeof(target) - 1] = '\0';
	fuzz_require(ext2fs_mkdir(fs, EXT2_ROOT_INO, EXT2_ROOT_INO, NULL) == 0);
	fuzz_require(ext2fs_mkdir(fs, EXT2_ROOT_INO, 0, "lost+found") == 0);
	fuzz_require(ext2fs_mkdir(fs, EXT2_ROOT_INO, 0, "dir") == 0);
	fuzz_require(ext2fs_lookup(fs, EXT2_ROOT_INO, "dir", 3, NULL, &dir) == 0);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof(name), "file-with-a-name-%u", i);
		add_file(fs, i ? EXT2_ROOT_INO : dir, name, 1 + i * 7, i ? BLOCK : 50);
	}
	fuzz_require(ext2fs_symlink(fs, EXT2_ROOT_INO, 0, "fast", "target") == 0);
	fuzz_require(ext2fs_symlink(fs, EXT2_ROOT_INO, 0, "slow", target) == 0);
}

static void make_image(struct image *image, unsigned index)
{
	struct ext2_super_block super = {
		.s_blocks_count = NR_BLOCKS,
		.s_log_block_size = 2,
		.s_log_cluster_size = 2,
		.s_rev_level = EXT2_DYNAMIC_REV,
		.s_inode_size = 256,
		.s_inodes_count = 32,
		.s_feature_compat = features[index].compat,
		.s_feature_incompat = features[index].incompat,
		.s_feature_ro_compat = features[index].ro_compat,
	};
	int fd = memfd_create("image", MFD_CLOEXEC);
	char path[40];
	ext2_filsys fs;

	fuzz_require(fd >= 0 && ftruncate(fd, sizeof(image->bytes)) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fuzz_require(ext2fs_initialize(path, EXT2_FLAG_64BITS, &super, unix_io_manager, &fs) == 0);
	memset(fs->super->s_uuid, 'u', sizeof(fs->super->s_uuid));
	fs->super->s_checksum_type = EXT2_CRC32C_CHKSUM;
	fs->super->s_want_extra_isize = fs->super->s_min_extra_isize = 32;
	fs->super->s_state = EXT2_VALID_FS;
	ext2fs_init_csum_seed(fs);
	fs->now = 1000000;
	fuzz_require(ext2fs_allocate_tables(fs) == 0);
	for (ext2_ino_t ino = 1; ino < EXT2_FIRST_INO(fs->super); ino++)
		ext2fs_inode_alloc_stats2(fs, ino, 1, 0);
	fill(fs);
	fuzz_require(ext2fs_close_free(&fs) == 0);
	fuzz_require(pread(fd, image->bytes, sizeof(image->bytes), 0) == (ssize_t)sizeof(image->bytes));
	close(fd);
	for (u32 block = 0; block < NR_BLOCKS; block++) {
		static const u8 zeroes[BLOCK];

		if (memcmp(image->bytes + block * BLOCK, zeroes, BLOCK) != 0)
			image->pieces[image->nr_pieces++] = block;
	}
}

static struct image *image_of(unsigned index)
{
	static struct image images[NR_IMAGES];

	if (images[index].nr_pieces == 0)
		make_image(&images[index], index);
	return &images[index];
}

/* --- A device that is bytes in memory --------------------------------------------------------------------------- */

struct bytes_device {
	struct blockdev dev;
	const u8 *bytes;
};

static int bytes_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	(void)d;
	memcpy(buf, container_of(dev, struct bytes_device, dev)->bytes + offset, len);
	return 0;
}

static const struct blockdev_ops bytes_ops = { .read = bytes_read };

/* --- What is told ----------------------------------------------------------------------------------------------- */

struct witness {
	struct source_sink sink;
	struct source *source;
	u64 nr_inodes, nr_others;
	u64 sum; /* of everything, in its order */
};

static void see(struct source_sink *sink, const void *data, size_t len)
{
	struct witness *witness = container_of(sink, struct witness, sink);

	for (size_t i = 0; i < len; i++)
		witness->sum = witness->sum * 1099511628211u + ((const u8 *)data)[i] + 1;
	witness->nr_others++;
}

static int on_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	(void)d;
	fuzz_require(inode->ino > 0 && inode->nlink > 0);
	fuzz_require(inode->atime.nsec < 1000000000 && inode->otime.nsec < 1000000000);
	container_of(sink, struct witness, sink)->nr_inodes++;
	see(sink, &inode->size, sizeof(inode->size));
	return 0;
}

static int on_xattr(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d)
{
	(void)ino, (void)d;
	see(sink, name, strlen(name));
	see(sink, value, len);
	return 0;
}

static int on_symlink(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	(void)ino, (void)d;
	fuzz_require(len > 0 && len < 4096);
	see(sink, target, len);
	return 0;
}

static int on_runs(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	struct source *source = container_of(sink, struct witness, sink)->source;
	u64 end = 0;

	(void)ino;
	fuzz_require(nr > 0);
	for (size_t i = 0; i < nr; i++) {
		u8 byte;

		fuzz_require(runs[i].len > 0 && runs[i].file_offset >= end);
		fuzz_require((runs[i].file_offset | runs[i].physical | runs[i].len) % source->info.block_bytes == 0);
		fuzz_require(range_fits(runs[i].physical, runs[i].len, source->info.total_bytes));
		end = runs[i].file_offset + runs[i].len;
		fuzz_require(source->ops->read(source, runs[i].physical + runs[i].len - 1, &byte, 1, d) == 0);
		see(sink, &runs[i].physical, sizeof(runs[i].physical));
	}
	return 0;
}

static int on_bytes(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d)
{
	(void)ino, (void)d;
	see(sink, data, len);
	return 0;
}

static int on_entry(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 child_ino, struct diag *d)
{
	(void)dir_ino, (void)child_ino, (void)d;
	fuzz_require(name_len > 0 && name_len < 256 && !memchr(name, '/', name_len) && !memchr(name, 0, name_len));
	see(sink, name, name_len);
	return 0;
}

static int on_range(void *ctx, u64 physical, u64 len, struct diag *d)
{
	u64 *end = ctx;

	(void)d;
	fuzz_require(len > 0 && (physical > *end || *end == 0));
	*end = physical + len;
	fuzz_require(*end <= NR_BLOCKS * BLOCK);
	return 0;
}

static bool read_all(struct bytes_device *device)
{
	struct source_options options = { .no_xattrs = false };
	struct witness witnesses[2];
	struct source *source;
	struct diag d = { 0 };
	u64 end = 0;
	int err, errs[2];

	err = source_ext_ops.open(&(struct blockdev *){ &device->dev }, 1, &options, &source, &d);
	fuzz_require(err >= 0 || (d.err == err && d.text[0]));
	if (err)
		return false;
	err = source->ops->used_ranges(source, 0, on_range, &end, &d);
	fuzz_require(err == 0 || (err < 0 && d.text[0]));
	for (unsigned i = 0; i < 2; i++) {
		witnesses[i] = (struct witness){ .sink = { on_inode, on_xattr, on_symlink, on_runs, on_bytes, on_entry, NULL }, .source = source };
		diag_clear(&d);
		errs[i] = source->ops->scan(source, &witnesses[i].sink, NULL, &d);
		fuzz_require(errs[i] == 0 || (errs[i] == d.err && d.text[0]));
	}
	fuzz_require(errs[0] == errs[1] && witnesses[0].sum == witnesses[1].sum);
	source_close(source);
	return errs[0] == 0 && witnesses[0].nr_inodes >= 8;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct image *image = image_of(fuzz_take_u8(&input) % NR_IMAGES);
	struct bytes_device device = {
		.dev = { .ops = &bytes_ops, .name = (char *)"image", .size_bytes = sizeof(image->bytes) },
		.bytes = image->bytes,
	};
	struct {
		u8 *at, was;
	} undo[2 * CHANGES_MAX];
	unsigned nr = 0;
	bool is_sound;

	while (input.left > 0 && nr < ARRAY_LEN(undo)) {
		u8 change[6];
		u8 *at;

		fuzz_take(&input, change, sizeof(change));
		at = image->bytes + image->pieces[(change[0] | change[1] << 8) % image->nr_pieces] * BLOCK +
		     (change[2] | change[3] << 8) % (BLOCK - 1);
		for (unsigned i = 0; i < 2; i++) {
			undo[nr].at = at + i;
			undo[nr++].was = at[i];
			at[i] = (u8)(at[i] + change[4 + i]);
		}
	}
	is_sound = read_all(&device);
	fuzz_require(nr > 0 || is_sound);
	while (nr-- > 0)
		*undo[nr].at = undo[nr].was;
	return 0;
}

/* Nothing, and changes of each block where there is something. */
void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	for (u8 index = 0; index < NR_IMAGES; index++) {
		const struct image *image = image_of(index);

		add(ctx, &index, 1);
		for (u32 piece = 0; piece < image->nr_pieces; piece++) {
			const u8 *block = image->bytes + image->pieces[piece] * BLOCK;
			unsigned nr = 0;

			for (unsigned at = 0; at < BLOCK - 1 && nr < 40; at++) {
				u8 seed[7] = { index, (u8)piece, 0, (u8)at, (u8)(at >> 8), (u8)(1 + at * 7), 0 };

				if (!block[at])
					continue;
				nr++;
				add(ctx, seed, sizeof(seed));
			}
		}
	}
}
