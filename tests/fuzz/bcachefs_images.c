/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/fuzz/bcachefs_images.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_disk.h"

static struct bcachefs_image images[BCACHEFS_IMAGES] = {
	{ .name = "v131-unclean-snap-reflink" },
	{ .name = "v131-unclean-2dev-r2" },
	{ .name = "v14-crash2-gzip" },
	{ .name = "v11-unclean-copy" },
};

/* --- Devices that are bytes in memory ---------------------------------------------------------------------------------- */

static int bytes_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	(void)d;
	memcpy(buf, container_of(dev, struct bcachefs_bytes, dev)->bytes + offset, len);
	return 0;
}

static const struct blockdev_ops bytes_ops = { .read = bytes_read };

static bool load_device(struct bcachefs_image *volume, const char *packed)
{
	struct bcachefs_bytes *device = &volume->devices[volume->nr_devices];
	static u8 block[65536], zeroes[65536];
	u64 size_max = 1ULL << 30, at = 0;
	char command[1200];
	size_t len;
	FILE *pipe;

	snprintf(command, sizeof(command), "xz -dc '%s'", packed);
	pipe = popen(command, "r");
	device->fd = memfd_create("btrkit-fuzz", MFD_CLOEXEC);
	device->bytes = mmap(NULL, size_max, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fuzz_require(device->fd >= 0);
	fuzz_require(device->bytes != MAP_FAILED);
	while (pipe && (len = fread(block, 1, sizeof(block), pipe)) > 0 && at + len <= size_max) {
		if (memcmp(block, zeroes, len) != 0) {
			memcpy(device->bytes + at, block, len);
			fuzz_require(pwrite(device->fd, block, len, (off_t)at) == (ssize_t)len);
		}
		at += len;
	}
	if (!pipe || pclose(pipe) != 0 || at == 0)
		return false;
	fuzz_require(ftruncate(device->fd, (off_t)at) == 0);
	snprintf(device->path, sizeof(device->path), "/proc/self/fd/%d", device->fd);
	device->dev = (struct blockdev){ .ops = &bytes_ops, .name = (char *)"image", .size_bytes = at };
	volume->nr_devices++;
	return true;
}

/* --- Pieces ------------------------------------------------------------------------------------------------------------ */

static void add_piece(struct bcachefs_image *volume, u8 *at, size_t len, enum bcachefs_piece_kind kind)
{
	fuzz_require(array_push(&volume->pieces, (struct bcachefs_piece){ at, len, kind }) == 0);
}

static void add_node(struct bcachefs_image *volume, u8 *node, size_t node_bytes, size_t block_bytes)
{
	const struct disk_bch_node *head = (const void *)node;
	size_t at = 0, len = sizeof(*head) + 8 * (size_t)le16_get(head->bset.u64s);
	u64 seq = le64_get(head->bset.seq);

	add_piece(volume, node, MIN(len, node_bytes), BCACHEFS_FIRST_BSET);
	for (;;) {
		const struct disk_bch_node_entry *entry;

		at = (at + len + block_bytes - 1) / block_bytes * block_bytes;
		if (at + sizeof(*entry) > node_bytes)
			return;
		entry = (const void *)(node + at);
		if (le64_get(entry->bset.seq) != seq)
			return;
		len = sizeof(*entry) + 8 * (size_t)le16_get(entry->bset.u64s);
		add_piece(volume, node + at, MIN(len, node_bytes - at), BCACHEFS_BSET);
	}
}

static void find_pieces(struct bcachefs_image *volume, struct bcachefs_bytes *device)
{
	const struct disk_bch_super *super = (const void *)(device->bytes + BCH_SUPER_SECTOR * BCH_SECTOR_BYTES);
	size_t block_bytes = (size_t)le16_get(super->block_sectors) * BCH_SECTOR_BYTES;
	size_t node_bytes = (size_t)(le64_get(super->flags[0]) >> 12 & 0xFFFF) * BCH_SECTOR_BYTES;
	u64 uuid = le64_get(*(const le64 *)(const void *)super->uuid);
	static const u8 zeroes[512];

	for (unsigned i = 0; i < super->layout.nr_copies; i++)
		add_piece(volume, device->bytes + le64_get(super->layout.sector[i]) * BCH_SECTOR_BYTES,
			  sizeof(*super) + 8 * (size_t)le32_get(super->u64s), BCACHEFS_SUPER);
	for (u64 at = 64 * 1024; at + node_bytes <= device->dev.size_bytes; at += block_bytes) {
		u8 *bytes = device->bytes + at;
		u64 magic = le64_get(*(const le64 *)(const void *)(bytes + 16));

		if (magic == (uuid ^ BCH_JSET_MAGIC)) {
			size_t len = sizeof(struct disk_bch_jset) + 8 * (size_t)le32_get(((struct disk_bch_jset *)(void *)bytes)->u64s);

			add_piece(volume, bytes, len, BCACHEFS_JSET);
			at += (len - 1) / block_bytes * block_bytes;
		} else if (magic == (uuid ^ BCH_BSET_MAGIC)) {
			add_node(volume, bytes, node_bytes, block_bytes);
			at += node_bytes - block_bytes;
		} else if (memcmp(bytes, zeroes, sizeof(zeroes)) != 0) {
			add_piece(volume, bytes, block_bytes, BCACHEFS_DATA);
		}
	}
}

static void fix_csum(const struct bcachefs_piece *piece)
{
	unsigned type = 0;
	size_t len = piece->len;

	switch (piece->kind) {
	case BCACHEFS_SUPER:
		type = le64_get(((struct disk_bch_super *)(void *)piece->at)->flags[0]) >> 2 & 63;
		break;
	case BCACHEFS_JSET:
		type = le32_get(((struct disk_bch_jset *)(void *)piece->at)->flags) & BCH_JSET_CSUM_TYPE;
		break;
	case BCACHEFS_FIRST_BSET:
		type = le32_get(((struct disk_bch_node *)(void *)piece->at)->bset.flags) & 15;
		break;
	case BCACHEFS_BSET:
		type = le32_get(((struct disk_bch_node_entry *)(void *)piece->at)->bset.flags) & 15;
		break;
	case BCACHEFS_DATA:
		return;
	}
	if (type < BCH_NR_CSUM_TYPES && !bch_csum_is_encrypted(type)) {
		struct disk_bch_csum csum = bch_csum_of(type, piece->at + sizeof(csum), len - sizeof(csum));

		memcpy(piece->at, &csum, sizeof(csum));
	}
}

/* --- Loading ----------------------------------------------------------------------------------------------------------- */

static bool load_image(struct bcachefs_image *image, const char *shared)
{
	static const char *const names[][2] = { { "image.img.xz", NULL }, { "image1.img.xz", "image2.img.xz" } };
	char path[1024];

	for (size_t way = 0; way < ARRAY_LEN(names) && image->nr_devices == 0; way++)
		for (unsigned i = 0; i < BCACHEFS_DEVICES_MAX && names[way][i]; i++) {
			struct stat status;

			snprintf(path, sizeof(path), "%s/fixtures/bcachefs/%s/%s", shared, image->name, names[way][i]);
			if (stat(path, &status) == 0)
				fuzz_require(load_device(image, path));
		}
	for (unsigned i = 0; i < image->nr_devices; i++)
		find_pieces(image, &image->devices[i]);
	return image->nr_devices > 0;
}

bool bcachefs_images_load(void)
{
	const char *shared = getenv("BTRKIT_SHARED"), *srcdir = getenv("srcdir");
	static int is_loaded;
	char beside[900];

	if (is_loaded == 0) {
		snprintf(beside, sizeof(beside), "%s/../shared", srcdir ? srcdir : ".");
		is_loaded = 1;
		for (size_t i = 0; i < ARRAY_LEN(images); i++)
			if (!load_image(&images[i], shared ? shared : beside))
				is_loaded = -1;
	}
	return is_loaded > 0;
}

struct bcachefs_image *bcachefs_image(unsigned index)
{
	return &images[index];
}

/* --- Changing ---------------------------------------------------------------------------------------------------------- */

/* The file has what the memory has. */
static void write_piece(const struct bcachefs_image *image, const struct bcachefs_piece *piece)
{
	for (unsigned i = 0; i < image->nr_devices; i++) {
		const struct bcachefs_bytes *device = &image->devices[i];

		if (piece->at < device->bytes || piece->at >= device->bytes + device->dev.size_bytes)
			continue;
		fuzz_require(pwrite(device->fd, piece->at, piece->len, (off_t)(piece->at - device->bytes)) == (ssize_t)piece->len);
	}
}

void bcachefs_image_change(struct bcachefs_image *image, struct fuzz_input *input, bool fix_csums, struct bcachefs_changes *ret_changes)
{
	*ret_changes = (struct bcachefs_changes){ 0 };
	while (input->left > 0 && ret_changes->nr < BCACHEFS_CHANGES_MAX) {
		__auto_type undo = &ret_changes->list[ret_changes->nr++];
		const struct bcachefs_piece *piece;
		u8 change[6];

		fuzz_take(input, change, sizeof(change));
		piece = &image->pieces.items[(change[0] | change[1] << 8) % image->pieces.len];
		undo->piece = piece;
		undo->at = piece->at + (change[2] | change[3] << 8) % (piece->len - 1);
		memcpy(undo->csum, piece->at, sizeof(undo->csum));
		memcpy(undo->was, undo->at, 2);
		undo->at[0] = (u8)(undo->at[0] + change[4]);
		undo->at[1] = (u8)(undo->at[1] + change[5]);
		if (fix_csums)
			fix_csum(piece);
		if (image->has_files)
			write_piece(image, piece);
		ret_changes->has_super_or_journal |= piece->kind == BCACHEFS_JSET || piece->kind == BCACHEFS_SUPER;
	}
}

void bcachefs_image_put_back(struct bcachefs_image *image, struct bcachefs_changes *changes)
{
	while (changes->nr > 0) {
		__auto_type undo = &changes->list[--changes->nr];

		memcpy(undo->at, undo->was, 2);
		memcpy(undo->piece->at, undo->csum, sizeof(undo->csum));
		if (image->has_files)
			write_piece(image, undo->piece);
	}
}

void bcachefs_seeds(fuzz_add_fn add, void *ctx, unsigned nr_hows, u8 even, u8 odd, unsigned every_nth)
{
	if (!bcachefs_images_load()) {
		printf("1..0 # SKIP no images of bcachefs: BTRKIT_SHARED\n");
		exit(0);
	}
	for (u8 index = 0; index < BCACHEFS_IMAGES; index++) {
		const struct bcachefs_image *image = &images[index];
		u8 whole[2] = { index, 0 };

		for (unsigned how = 0; how < nr_hows; how++) {
			whole[1] = (u8)how;
			add(ctx, whole, sizeof(whole));
		}
		for (size_t nr = 0; nr < image->pieces.len; nr += every_nth * (image->pieces.items[nr].kind == BCACHEFS_DATA ? 16 : 1)) {
			size_t at = 24 + nr * 13 % MAX(image->pieces.items[nr].len - 26, (size_t)1);
			u8 seed[8] = { index, nr % 2 ? odd : even, (u8)nr, (u8)(nr >> 8), (u8)at, (u8)(at >> 8), (u8)(1 + nr * 7), 0 };

			add(ctx, seed, sizeof(seed));
		}
	}
}
