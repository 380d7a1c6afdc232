/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damaged bcachefs behind the functions that read files of Btrfs: opened by path, all directories of all subvolumes listed, every file
 * asked for its attributes, its path, its data in pieces and its ranges. Each failure has a text, and each success is what it promises.
 *
 * Input: a byte that chooses the volume, a byte of HOW_* bits, then changes (bcachefs_images.h).
 */
#include <btrkit/source.h>

#include "tests/fuzz/bcachefs_images.h"
#include "tests/fuzz/read_everything.h"

const char fuzz_name[] = "fuzz-view";
const unsigned fuzz_iterations = 300;
const size_t fuzz_input_max = 2 + 6 * BCACHEFS_CHANGES_MAX;

enum {
	HOW_FIX_CSUMS = 1 << 0, /* what was changed gets a right one */
	HOW_SKIP_DAMAGE = 1 << 1,
	HOW_NO_JOURNAL = 1 << 2,
	HOW_IGNORE_CSUMS = 1 << 3,
	HOW_MISSING = 1 << 4, /* the last device is not there */
};

static void note(void *arg, enum btrkit_severity severity, const char *text)
{
	(void)arg, (void)severity;
	fuzz_require(text[0]);
}

static bool is_foreign(struct btrkit_fs *fs)
{
	struct btrkit_fs_info info;

	btrkit_fs_get_info(fs, &info, sizeof(info));
	return info.is_read_only && btrkit_fs_source_type(fs) && strcmp(btrkit_fs_source_type(fs), "bcachefs") == 0;
}

/* True: all was there. */
static bool read_image(const struct bcachefs_image *image, unsigned how)
{
	const char *paths[BCACHEFS_DEVICES_MAX];
	unsigned nr = image->nr_devices - ((how & HOW_MISSING) && image->nr_devices > 1);
	struct btrkit_source_options options;
	struct btrkit_error error = { 0 };
	struct read_totals totals;
	struct btrkit_fs *fs;
	int err;

	for (unsigned i = 0; i < nr; i++)
		paths[i] = image->devices[i].path;
	btrkit_source_options_init(&options);
	options.no_journal = how & HOW_NO_JOURNAL;
	options.ignore_data_csums = how & HOW_IGNORE_CSUMS;
	options.note = note;
	err = btrkit_source_open(paths, nr, &options, &fs, &error);
	if (err) {
		fuzz_require(err < 0 && error.err == err && error.text[0]);
		return false;
	}
	fuzz_require(is_foreign(fs));
	read_everything(fs, how & HOW_SKIP_DAMAGE, &totals);
	btrkit_fs_close(fs);
	return totals.entries > 50 && totals.bytes > 100000;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct bcachefs_image *image = bcachefs_image(fuzz_take_u8(&input) % BCACHEFS_IMAGES);
	unsigned how = fuzz_take_u8(&input);
	struct bcachefs_changes changes;
	bool is_sound;

	if (!bcachefs_images_load())
		return 0;
	image->has_files = true;
	bcachefs_image_change(image, &input, how & HOW_FIX_CSUMS, &changes);
	is_sound = read_image(image, how);
	fuzz_require(changes.nr > 0 || (how & (HOW_NO_JOURNAL | HOW_MISSING)) || is_sound);
	bcachefs_image_put_back(image, &changes);
	return 0;
}

/* Nothing, and a change in some pieces. */
void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	bcachefs_seeds(add, ctx, 32, HOW_FIX_CSUMS, HOW_FIX_CSUMS | HOW_SKIP_DAMAGE, 3);
}
