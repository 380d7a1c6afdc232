/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <btrkit/extents.h>
#include <btrkit/mkfs.h>

#include "mkfs/lzo2.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/image_content.h"
#include "tests/fuzz/images.h"

struct recipe {
	unsigned nr_devices;
	u32 nodesize;
	const char *data, *metadata, *features, *csum, *compress;
	bool is_mixed;
	u64 size_bytes; /* 0: as small as possible */
	bool has_log; /* needs room */
};

static const struct recipe recipes[FUZZ_IMAGES] = {
	{ .nr_devices = 1, .nodesize = 4096, .compress = "zlib", .size_bytes = 160 * MIB, .has_log = true },
	{ .nr_devices = 1, .nodesize = 16384, .features = "^no-holes,^skinny-metadata,^block-group-tree,quota",
	  .csum = "xxhash", .compress = HAVE_ZSTD ? "zstd" : "zlib" },
	{ .nr_devices = 3, .nodesize = 4096, .data = "raid5", .metadata = "raid1c3", .features = "raid56",
	  .compress = HAVE_LZO ? "lzo" : "zlib" },
	{ .nr_devices = 1, .nodesize = 4096, .is_mixed = true, .features = "^free-space-tree,^extref" },
};

/* --- Damaged devices ------------------------------------------------------------------------------------------- */

struct patched_device {
	struct blockdev dev;
	const struct fuzz_image *image;
	const struct fuzz_patches *patches; /* NULL: none */
	unsigned index;
};

static int patched_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	const struct patched_device *device = container_of(dev, struct patched_device, dev);

	(void)d;
	memcpy(buf, device->image->device[device->index].bytes + offset, len);
	for (size_t i = 0; device->patches && i < device->patches->list.len; i++) {
		const struct fuzz_patch *patch = &device->patches->list.items[i];
		u64 from = MAX(patch->physical, offset), to = MIN(patch->physical + patch->len, offset + len);

		if (patch->device == device->index && from < to)
			memcpy((u8 *)buf + (from - offset), patch->bytes + (from - patch->physical), to - from);
	}
	return 0;
}

static void patched_close(struct blockdev *dev)
{
	free(dev->name);
	free(container_of(dev, struct patched_device, dev));
}

static const struct blockdev_ops patched_ops = { .read = patched_read, .close = patched_close };

static struct blockdev *patched_device_new(const struct fuzz_image *image, unsigned index,
					   const struct fuzz_patches *patches)
{
	struct patched_device *device = calloc(1, sizeof(*device));

	fuzz_require(device);
	*device = (struct patched_device){
		.dev = { .ops = &patched_ops, .size_bytes = image->device[index].size_bytes, .name = strdup("memory") },
		.image = image,
		.patches = patches,
		.index = index,
	};
	return &device->dev;
}

static int add_device(struct device_set *set, struct blockdev *dev, struct diag *d)
{
	struct super_choice choice;
	struct device device;
	int err = super_read(dev, -1, &choice, d);

	if (err) {
		blockdev_close(dev);
		return err;
	}
	device = device_of_super(&choice.super, dev);
	if (set->devices.len == 0 || device.super_generation > le64_get(set->super.generation))
		set->super = choice.super;
	return device_set_add(set, &device, d);
}

int fuzz_image_devices(const struct fuzz_image *image, const struct fuzz_patches *patches, unsigned missing,
		       struct device_set **ret_set, struct diag *d)
{
	struct device_set *set;
	int err = device_set_new(&set);

	fuzz_require(!err);
	for (unsigned i = 0; i < image->nr_devices && !err; i++)
		if (i != missing)
			err = add_device(set, patched_device_new(image, i, patches), d);
	if (!err && set->devices.len == 0)
		err = -EINVAL;
	if (err)
		device_set_free(set);
	else
		*ret_set = set;
	return err;
}

/* --- Pieces ------------------------------------------------------------------------------------------------------ */

static unsigned device_index(const struct fuzz_image *image, u64 devid)
{
	(void)image;
	return (unsigned)devid - 1; /* as mkfs numbers them */
}

void fuzz_patch_piece(struct fuzz_patches *patches, const struct fuzz_image *image, const struct fuzz_piece *piece,
		      const u8 *bytes, bool only_first_copy)
{
	const struct chunk_map *chunks = image->fs->volume->chunks;
	struct fuzz_patch patch = { .device = (unsigned)piece->at, .physical = super_mirror_physical(0),
				    .len = piece->len, .bytes = bytes };
	unsigned copies;

	if (piece->kind == FUZZ_SUPER) {
		fuzz_require(array_push(&patches->list, patch) == 0);
		return;
	}
	copies = only_first_copy ? 1 : chunk_map_find(chunks, piece->at)->profile->copies;
	for (unsigned mirror = 1; mirror <= copies; mirror++) {
		struct physical_part part;

		fuzz_require(volume_map(chunks, piece->at, piece->len, mirror, &part) == 0);
		patch.device = device_index(image, part.devid);
		patch.physical = part.physical;
		patch.len = (size_t)part.len;
		fuzz_require(array_push(&patches->list, patch) == 0);
	}
}

void fuzz_piece_read(const struct fuzz_image *image, const struct fuzz_piece *piece, u8 *buf)
{
	if (piece->kind == FUZZ_SUPER)
		memcpy(buf, image->device[piece->at].bytes + super_mirror_physical(0), piece->len);
	else
		fuzz_require(volume_read(image->fs->volume, piece->at, buf, piece->len, 0, NULL) == 0);
}

static int take_block(void *ctx, struct tree_block *block, struct diag *d)
{
	struct fuzz_image *image = ctx;
	const struct fuzz_piece piece = { FUZZ_BLOCK, block->logical, image->nodesize };

	(void)d;
	fuzz_require(array_push(&image->pieces, piece) == 0);
	return 0;
}

static int take_blocks(void *ctx, const struct tree *tree, u64 offset, struct diag *d)
{
	const struct tree_walk walk = { .visit = take_block, .ctx = ctx };

	(void)offset;
	return tree_walk(tree, &walk, d);
}

static int take_data(void *ctx, const struct btrkit_logical_range *range)
{
	struct fuzz_image *image = ctx;

	for (u64 at = range->logical; (range->kinds & BTRKIT_USED_DATA) && at < range->logical + range->len;) {
		struct physical_part part;
		u32 len = (u32)MIN(range->logical + range->len - at, (u64)4096);

		fuzz_require(volume_map(image->fs->volume->chunks, at, len, 1, &part) == 0);
		fuzz_require(array_push(&image->pieces, (struct fuzz_piece){ FUZZ_DATA, at, (u32)part.len }) == 0);
		at += part.len;
	}
	return 0;
}

static void take_pieces(struct fuzz_image *image)
{
	struct btrkit_fs *fs = image->fs;

	for (unsigned i = 0; i < image->nr_devices; i++)
		fuzz_require(array_push(&image->pieces, (struct fuzz_piece){ FUZZ_SUPER, i, SUPER_INFO_SIZE }) == 0);
	fuzz_require(take_blocks(image, &fs->chunk_tree, 0, NULL) == 0);
	fuzz_require(take_blocks(image, &fs->root_tree, 0, NULL) == 0);
	fuzz_require(fs_for_each_root_item(&fs->root_tree, 0, take_blocks, image, NULL) == 0);
	fuzz_require(fs_for_each_log(fs, take_blocks, image, NULL) == 0);
	fuzz_require(btrkit_used_logical(image->fs, take_data, image, NULL) == 0);
}

/* --- Making ------------------------------------------------------------------------------------------------------- */

static void make_files(const struct recipe *recipe, struct btrkit_mkfs_device *devices)
{
	struct btrkit_mkfs_options options;
	struct btrkit_error error = { 0 };
	struct btrkit_content *content;

	btrkit_mkfs_options_init(&options);
	options.devices = devices;
	options.nr_devices = recipe->nr_devices;
	options.label = "to be damaged";
	options.nodesize = recipe->nodesize;
	options.data_profile = recipe->data;
	options.metadata_profile = recipe->metadata;
	options.features = recipe->features;
	options.csum = recipe->csum;
	options.compress = recipe->compress;
	options.lzo_compress = lzo2_compress;
	options.is_mixed = recipe->is_mixed;
	options.seed = "fuzz";
	options.has_epoch = true;
	options.epoch_sec = 1700000000;
	options.is_shrink = recipe->size_bytes == 0;
	options.threads = 1;
	content = fuzz_image_content();
	if (btrkit_mkfs(&options, content, NULL, &error) != 0) {
		fprintf(stderr, "making an image: %s\n", error.text);
		abort();
	}
	btrkit_content_free(content);
}

static void map_file(struct fuzz_image *image, unsigned index, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *bytes;

	fuzz_require(fd >= 0 && fstat(fd, &st) == 0);
	bytes = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	fuzz_require(bytes != MAP_FAILED);
	close(fd);
	image->device[index].bytes = bytes;
	image->device[index].size_bytes = (u64)st.st_size;
}

static void open_image(struct fuzz_image *image)
{
	const struct fs_options options = { .super_mirror = -1 };
	struct device_set *set;

	fuzz_require(fuzz_image_devices(image, NULL, FUZZ_NONE_MISSING, &set, NULL) == 0);
	fuzz_require(fs_open_devices(set, &options, &image->fs, NULL) == 0);
	take_pieces(image);
}

static void make_image(const struct recipe *recipe, struct fuzz_image *image)
{
	const char *tmp = getenv("TMPDIR");
	char paths[FUZZ_DEVICES_MAX][256];
	struct btrkit_mkfs_device devices[FUZZ_DEVICES_MAX] = { 0 };

	image->nr_devices = recipe->nr_devices;
	image->nodesize = recipe->nodesize;
	for (unsigned i = 0; i < recipe->nr_devices; i++) {
		int fd;

		snprintf(paths[i], sizeof(paths[i]), "%s/btrkit-fuzz-XXXXXX", tmp ? tmp : "/tmp");
		fd = mkstemp(paths[i]);
		fuzz_require(fd >= 0);
		close(fd);
		devices[i].path = paths[i];
		devices[i].size_bytes = recipe->size_bytes;
	}
	make_files(recipe, devices);
	for (unsigned i = 0; i < recipe->nr_devices; i++) {
		map_file(image, i, paths[i]);
		unlink(paths[i]);
	}
	open_image(image);
	if (!recipe->has_log)
		return;
	fuzz_image_add_log(image);
	btrkit_fs_close(image->fs);
	image->pieces.len = 0;
	open_image(image);
}

const struct fuzz_image *fuzz_image(unsigned index)
{
	static struct fuzz_image images[FUZZ_IMAGES];

	if (!images[index].fs)
		make_image(&recipes[index], &images[index]);
	return &images[index];
}
