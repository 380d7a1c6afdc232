/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Superblocks: judged alone, chosen among mirrors, followed as far as opening goes, and shown, sound or not.
 *
 * Input: a byte of FIX_* bits, then the superblock; what is missing is zero.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "kernel-shared/device/memory_device.h"
#include "kernel-shared/format/features.h"
#include "kernel-shared/format/super_check.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/images.h"
#include "tests/fuzz/sink_printer.h"

const char fuzz_name[] = "fuzz-super";
const unsigned fuzz_iterations = 20000;
const size_t fuzz_input_max = 1 + SUPER_INFO_SIZE;

enum {
	FIX_CSUM = 1 << 0,
	FIX_PLACE = 1 << 1, /* magic and bytenr */
	ON_MIRROR = 1 << 2, /* the only copy is at 64 MiB */
	ON_BOTH = 1 << 3,
};

static void finish(struct disk_super *super, unsigned fixes, u64 physical)
{
	const struct csum_kind *kind = csum_kind_by_type(le16_get(super->csum_type));

	if (fixes & FIX_PLACE) {
		le64_put(&super->bytenr, physical);
		le64_put(&super->magic, SUPER_MAGIC);
	}
	if ((fixes & FIX_CSUM) && kind)
		csum_compute(kind, (const u8 *)super + CSUM_SIZE, sizeof(*super) - CSUM_SIZE, super->csum);
}

static void put_on(struct blockdev *dev, struct disk_super super, unsigned fixes, unsigned mirror)
{
	u64 physical = super_mirror_physical(mirror);

	finish(&super, fixes, physical);
	fuzz_require(blockdev_write(dev, physical, &super, sizeof(super), NULL) == 0);
}

/* What super_check() lets pass is safe to use. */
static void follow(const struct disk_super *super)
{
	struct chunk_map *chunks;
	struct diag d = { 0 };
	bool is_read_only;
	u32 array_bytes = le32_get(super->sys_chunk_array_size);

	fuzz_require(array_bytes <= SYSTEM_CHUNK_ARRAY_SIZE);
	fuzz_require(memchr(super->label, 0, LABEL_SIZE));
	(void)features_judge(le64_get(super->incompat_flags), le64_get(super->compat_ro_flags), &is_read_only, &d);
	fuzz_require(chunk_map_new(&chunks) == 0);
	(void)sys_chunk_array_read(chunks, super, &d);
	chunk_map_free(chunks);
}

/* Through a file in memory: what is shown is read by path. */
static void show(const struct disk_super *super)
{
	struct sink sink = { .depth = 0 };
	const struct btrkit_printer printer = sink_printer(&sink);
	struct btrkit_error error = { 0 };
	int fd = memfd_create("superblock", MFD_CLOEXEC);
	char path[40];

	if (fd < 0)
		return; /* a system without */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fuzz_require(ftruncate(fd, 128 * 1024) == 0);
	fuzz_require(pwrite(fd, super, sizeof(*super), 64 * 1024) == sizeof(*super));
	if (btrkit_inspect_super(path, 0, 0, true, true, &printer, &error) == 0)
		sink_finish(&sink);
	else
		fuzz_require(error.err && error.text[0]);
	close(fd);
}

static void open_with(struct blockdev *dev, const struct super_choice *choice)
{
	const struct fs_options options = { .super_mirror = -1, .use_backup_roots = true };
	struct device device = { .devid = le64_get(choice->super.dev_item.devid), .dev = dev };
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	memcpy(device.uuid, choice->super.dev_item.uuid, UUID_SIZE);
	fuzz_require(device_set_new(&set) == 0);
	set->super = choice->super;
	fuzz_require(device_set_add(set, &device, &d) == 0);
	if (fs_open_devices(set, &options, &fs, &d) == 0)
		btrkit_fs_close(fs);
	else
		fuzz_require(d.err && d.text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	unsigned fixes = fuzz_take_u8(&input);
	struct super_choice choice;
	struct blockdev *dev;
	struct disk_super super;
	struct diag d = { 0 };

	fuzz_take(&input, &super, sizeof(super));
	show(&super);
	fuzz_require(memory_device_new("memory", 80 * MIB, &dev) == 0);
	if (!(fixes & ON_MIRROR))
		put_on(dev, super, fixes, 0);
	if (fixes & (ON_MIRROR | ON_BOTH)) {
		le64_put(&super.generation, le64_get(super.generation) + 1);
		put_on(dev, super, fixes, 1);
	}
	if (super_read(dev, -1, &choice, &d) == 0) {
		follow(&choice.super);
		open_with(dev, &choice);
		return 0;
	}
	fuzz_require(d.err && d.text[0]);
	blockdev_close(dev);
	return 0;
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	static const u8 fixes[] = { FIX_CSUM | FIX_PLACE, FIX_CSUM | FIX_PLACE | ON_MIRROR, FIX_CSUM | FIX_PLACE | ON_BOTH,
				    FIX_CSUM, 0 };
	u8 seed[1 + SUPER_INFO_SIZE];

	for (unsigned i = 0; i < FUZZ_IMAGES; i++)
		for (size_t f = 0; f < ARRAY_LEN(fixes); f++) {
			seed[0] = fixes[f];
			fuzz_piece_read(fuzz_image(i), &fuzz_image(i)->pieces.items[0], seed + 1);
			add(ctx, seed, sizeof(seed));
		}
}
