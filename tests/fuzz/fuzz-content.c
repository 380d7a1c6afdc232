/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Any sequence of calls that put a content together: it is made into a filesystem, which must hold what a model of the
 * same calls says.
 *
 * Input: 4 bytes of options, then steps of 8 bytes: see content_model.c.
 */
#include <sys/mman.h>
#include <unistd.h>

#include <btrkit/mkfs.h>

#include "mkfs/lzo2.h"
#include "tests/fuzz/content_model.h"

const char fuzz_name[] = "fuzz-content";
const unsigned fuzz_iterations = 600;
const size_t fuzz_input_max = 4 + 8 * 300;

static void choose_options(struct fuzz_input *input, struct btrkit_mkfs_options *options)
{
	static const char *const features[] = { NULL, "^no-holes", "^extref,^skinny-metadata", "^free-space-tree",
						"^block-group-tree", "quota", "squota", "quota,^no-holes,^block-group-tree" };
	static const char *const compressions[] = { NULL, NULL, "zlib", HAVE_ZSTD ? "zstd" : NULL, HAVE_LZO ? "lzo" : NULL };
	static const char *const csums[] = { NULL, "xxhash", HAVE_GCRYPT ? "sha256" : NULL };
	static const u32 nodesizes[] = { 4096, 16384, 4096, 65536 };
	u8 choice;

	btrkit_mkfs_options_init(options);
	options->seed = "fuzz";
	options->has_epoch = true;
	options->is_shrink = true;
	options->nodesize = nodesizes[fuzz_take_u8(input) % ARRAY_LEN(nodesizes)];
	options->features = features[fuzz_take_u8(input) % ARRAY_LEN(features)];
	choice = fuzz_take_u8(input);
	options->compress = compressions[choice % ARRAY_LEN(compressions)];
	options->threads = 1 + choice / 64;
	options->csum = csums[fuzz_take_u8(input) % ARRAY_LEN(csums)];
	options->is_mixed = options->nodesize == 4096 && options->csum && !options->compress;
	options->lzo_compress = lzo2_compress;
}

static void open_and_compare(const struct model *model, const char *path)
{
	const char *paths[] = { path };
	struct btrkit_open_options options;
	struct btrkit_error error = { 0 };
	struct btrkit_fs *fs;

	btrkit_open_options_init(&options);
	options.no_device_scan = true;
	if (btrkit_fs_open(paths, 1, &options, &fs, &error) != 0)
		fprintf(stderr, "%s\n", error.text);
	fuzz_require(error.err == 0);
	model_compare(model, fs);
	btrkit_fs_close(fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct btrkit_mkfs_device device = { 0 };
	struct btrkit_mkfs_options options;
	struct btrkit_error error = { 0 };
	int fd = memfd_create("image", MFD_CLOEXEC), err;
	struct model *model;
	char path[40];

	if (fd < 0)
		return 0; /* a system without */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	choose_options(&input, &options);
	device.path = path;
	options.devices = &device;
	options.nr_devices = 1;
	model = model_new(&input);
	err = btrkit_mkfs(&options, model->content, NULL, &error);
	/* Without extended references a block of names is the limit; nothing else here is too much. */
	if (err && err != -EMLINK)
		fprintf(stderr, "%s\n", error.text);
	fuzz_require(err == 0 || (err == -EMLINK && options.features));
	if (err == 0)
		open_and_compare(model, path);
	btrkit_content_free(model->content);
	free(model);
	close(fd);
	return 0;
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	u8 seed[4 + 8 * 250];
	u32 random = 11;

	for (unsigned n = 0; n < 60; n++) {
		size_t len = 4 + 8 * (size_t)(n % 3 ? 1 + n * 4 : n / 3);

		for (size_t i = 0; i < sizeof(seed); i++) {
			random = random * 1664525 + 1013904223;
			seed[i] = (u8)(random >> 24);
		}
		seed[0] = (u8)n;
		seed[1] = (u8)(n / 4);
		seed[2] = (u8)(n / 5 + n % 4 * 64);
		seed[3] = (u8)(n / 7);
		add(ctx, seed, MIN(len, sizeof(seed)));
	}
}
