/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damaged bcachefs: opening, reading everything through the source, and the check end, with an error that has a text, or with what the
 * interface promises. Where checksums are left as they are, no file ever has other contents than in the sound volume.
 *
 * Input: a byte that chooses the volume, a byte of HOW_* bits, then changes (bcachefs_images.h).
 */
#include <sys/stat.h>

#include "convert/bcachefs/bch_check.h"
#include "convert/bcachefs/bch_source.h"
#include "tests/fuzz/bcachefs_images.h"

const char fuzz_name[] = "fuzz-bcachefs";
const unsigned fuzz_iterations = 5000; /* with BTRKIT_LONG four times as many */
const size_t fuzz_input_max = 2 + 6 * BCACHEFS_CHANGES_MAX;

#define FILES_MAX 8192

enum {
	HOW_FIX_CSUMS = 1 << 0, /* what was changed gets a right one */
	HOW_NO_JOURNAL = 1 << 1,
	HOW_IGNORE_CSUMS = 1 << 2,
	HOW_MISSING = 1 << 3, /* the last device is not there */
	HOW_CHECK = 1 << 4, /* it is checked, not only read */
};

struct known_file {
	u64 subvol, ino, sum;
};

/* Of the sound volumes. */
static ARRAY(struct known_file) known_files[BCACHEFS_IMAGES];

/* --- Reading everything ------------------------------------------------------------------------------------------------- */

struct witness {
	struct source_sink sink;
	struct source *source;
	unsigned index; /* of the image */
	bool is_first; /* the sound volume: files are kept */
	bool must_be_same; /* as in that */
	u64 nr_inodes;
};

static void judge_file(struct witness *witness, u64 subvol, u64 ino, u64 size)
{
	static u8 bytes[65536];
	u64 sum = size * 31 + 1, at = 0;
	struct diag d = { 0 };

	if (size > 4 * MIB)
		return;
	while (at < size) {
		size_t len = MIN(size - at, sizeof(bytes));
		u64 bad = UINT64_MAX;
		int err = witness->source->ops->read_file(witness->source, subvol, ino, at, bytes, len, &bad, &d);

		fuzz_require(err == 0 || (err < 0 && d.text[0]));
		if (err < 0)
			return;
		for (size_t i = 0; i < len; i++)
			sum = sum * 1099511628211u + bytes[i] + 1;
		at += len;
	}
	if (witness->is_first)
		fuzz_require(array_push(&known_files[witness->index], (struct known_file){ subvol, ino, sum }) == 0);
	else if (witness->must_be_same)
		array_for_each(&known_files[witness->index], file)
			fuzz_require(file->ino != ino || file->subvol != subvol || file->sum == sum);
}

static int on_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	struct witness *witness = container_of(sink, struct witness, sink);

	(void)d;
	fuzz_require(inode->atime.nsec < 1000000000 && inode->otime.nsec < 1000000000);
	if (witness->nr_inodes++ < FILES_MAX && S_ISREG(inode->mode))
		judge_file(witness, witness->source->info.top_subvol, inode->ino, inode->size);
	return 0;
}

static int on_xattr(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d)
{
	(void)sink, (void)ino, (void)value, (void)len, (void)d;
	fuzz_require(name[0] && strlen(name) < 512);
	return 0;
}

static int on_symlink(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	(void)sink, (void)ino, (void)d;
	fuzz_require(len > 0 && len <= 4096 && !memchr(target, 0, len));
	return 0;
}

static int on_runs(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	u64 end = 0;

	(void)sink, (void)ino, (void)d;
	for (size_t i = 0; i < nr; i++) {
		fuzz_require(runs[i].len > 0 && runs[i].file_offset >= end);
		end = runs[i].file_offset + runs[i].len;
		fuzz_require(end > runs[i].file_offset);
	}
	return 0;
}

static int on_bytes(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d)
{
	(void)sink, (void)ino, (void)data, (void)len, (void)d;
	return 0;
}

static int on_entry(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 child_ino, struct diag *d)
{
	(void)sink, (void)dir_ino, (void)child_ino, (void)d;
	fuzz_require(name_len > 0 && name_len <= 512 && !memchr(name, '/', name_len) && !memchr(name, 0, name_len));
	return 0;
}

/* True: all of it could be read. */
static bool read_all(unsigned index, struct blockdev *const *devs, unsigned how, bool is_first, bool must_be_same)
{
	struct source_options options = {
		.only_reads = true,
		.no_journal = how & HOW_NO_JOURNAL,
		.ignore_csums = how & HOW_IGNORE_CSUMS,
	};
	struct witness witness = {
		.sink = { on_inode, on_xattr, on_symlink, on_runs, on_bytes, on_entry, NULL },
		.index = index,
		.is_first = is_first,
		.must_be_same = must_be_same,
	};
	struct diag d = { 0 };
	unsigned nr_devices = bcachefs_image(index)->nr_devices, nr = nr_devices - ((how & HOW_MISSING) && nr_devices > 1);
	int err = source_bcachefs_ops.open(devs, nr, &options, &witness.source, &d);

	fuzz_require(err >= 0 || (d.err == err && d.text[0]));
	if (err)
		return false;
	diag_clear(&d);
	err = witness.source->ops->scan(witness.source, &witness.sink, NULL, &d);
	fuzz_require(err == 0 || (err < 0 && d.text[0]));
	source_close(witness.source);
	return err == 0 && witness.nr_inodes > 50;
}

static int on_problem(void *arg, const struct btrkit_problem *problem)
{
	(void)arg;
	fuzz_require(problem->text[0] && problem->kind->code[0] && problem->nr_paths <= problem->total_paths);
	for (size_t i = 0; i < problem->nr_paths; i++)
		fuzz_require(problem->paths[i][0] == '/');
	return 0;
}

static bool check_all(struct bcachefs_image *volume, struct blockdev *const *devs, unsigned how)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result;
	struct diag d = { 0 };
	int err;

	btrkit_check_options_init(&options);
	options.do_data = true;
	options.threads = 1;
	options.no_journal = how & HOW_NO_JOURNAL;
	options.memory_bytes = BTRKIT_CHECK_MEMORY_MIN;
	err = bch_check_run(devs, volume->nr_devices - ((how & HOW_MISSING) && volume->nr_devices > 1), &options, on_problem, NULL, &result, &d);
	fuzz_require(err >= 0 || d.text[0]);
	return err == 0 && result.nr_problems[BTRKIT_PROBLEM_ERROR] == 0 && result.nr_problems[BTRKIT_PROBLEM_FATAL] == 0;
}

/* --- Volumes ----------------------------------------------------------------------------------------------------------- */

static void list_devices(struct bcachefs_image *volume, struct blockdev **devs)
{
	for (unsigned i = 0; i < volume->nr_devices; i++)
		devs[i] = &volume->devices[i].dev;
}

static bool load_all(void)
{
	static bool is_read;
	struct blockdev *devs[BCACHEFS_DEVICES_MAX];

	if (is_read || !bcachefs_images_load())
		return is_read;
	for (unsigned i = 0; i < BCACHEFS_IMAGES; i++) {
		list_devices(bcachefs_image(i), devs);
		fuzz_require(read_all(i, devs, 0, true, false) && known_files[i].len > 20 && bcachefs_image(i)->pieces.len > 0);
	}
	return is_read = true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	unsigned index = fuzz_take_u8(&input) % BCACHEFS_IMAGES, how = fuzz_take_u8(&input);
	struct bcachefs_image *volume = bcachefs_image(index);
	struct blockdev *devs[BCACHEFS_DEVICES_MAX];
	struct bcachefs_changes changes;
	bool is_older, is_sound;

	if (!load_all())
		return 0;
	bcachefs_image_change(volume, &input, how & HOW_FIX_CSUMS, &changes);
	is_older = changes.has_super_or_journal || (how & (HOW_NO_JOURNAL | HOW_IGNORE_CSUMS | HOW_FIX_CSUMS | HOW_MISSING));
	list_devices(volume, devs);
	is_sound = how & HOW_CHECK ? check_all(volume, devs, how) : read_all(index, devs, how, false, !is_older);
	fuzz_require(changes.nr > 0 || (how & ~(HOW_CHECK | HOW_FIX_CSUMS)) || is_sound);
	bcachefs_image_put_back(volume, &changes);
	return 0;
}

/* Nothing, and a change in each piece. */
void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	bcachefs_seeds(add, ctx, 32, HOW_FIX_CSUMS, HOW_FIX_CSUMS | HOW_CHECK, 1);
}
