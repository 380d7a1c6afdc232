/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The log of a damaged filesystem: read, planned, shown, its files read as they would be after replay, and then replayed in memory. */
#include <sys/stat.h>

#include <btrkit/log.h>

#include "kernel-shared/format/leaf.h"
#include "kernel-shared/fs/fs.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/replay_judge.h"

const char fuzz_name[] = "fuzz-log";
const unsigned fuzz_iterations = 2500;
const size_t fuzz_input_max = DAMAGE_INPUT_MAX;

struct seen {
	struct btrkit_log *log;
	u64 nr_inodes, nr_steps, nr_losses, nr_links, nr_unlinks, bytes;
};

static void read_file(struct seen *seen, const struct btrkit_inode *inode, bool is_log_only)
{
	struct btrkit_file_range range;
	struct btrkit_file *file;
	u64 at = 0;

	if (btrkit_log_file_open(seen->log, inode, is_log_only, &file, NULL) != 0)
		return;
	for (unsigned i = 0; i < 64 && btrkit_file_range_at(file, at, &range, NULL) == 0; i++) {
		u8 buf[16384];
		size_t got;

		fuzz_require(range.len > 0 && range.offset == at);
		if (btrkit_file_read(file, at, buf, sizeof(buf), &got, NULL) == 0)
			seen->bytes += got;
		fuzz_require(got <= sizeof(buf));
		at += range.len;
	}
	btrkit_file_close(file);
}

static int see_inode(void *arg, const struct btrkit_log_inode *inode)
{
	struct seen *seen = arg;

	seen->nr_inodes++;
	fuzz_require(inode->is_new == !inode->before);
	/* No more than that, of what a damaged log may claim. */
	if (seen->nr_inodes < 100) {
		read_file(seen, &inode->inode, false);
		read_file(seen, &inode->inode, true);
	}
	return 0;
}

static int see_step(void *arg, const struct btrkit_log_step *step)
{
	struct seen *seen = arg;

	fuzz_require(step->action_name);
	seen->nr_steps++;
	seen->nr_links += step->action == BTRKIT_LOG_LINK;
	seen->nr_unlinks += step->action == BTRKIT_LOG_UNLINK;
	return 0;
}

static int see_loss(void *arg, const struct btrkit_log_loss *loss)
{
	fuzz_require(loss->text[0] && loss->kind_name);
	((struct seen *)arg)->nr_losses++;
	return 0;
}

static int see_subvol(void *arg, const struct btrkit_log_subvol *subvol)
{
	(void)arg;
	(void)subvol;
	return 0;
}

static void look(struct btrkit_fs *fs, bool is_sound)
{
	struct btrkit_log_info info;
	struct seen seen = { 0 };
	struct btrkit_error error = { 0 };
	int err = btrkit_log_open(fs, &seen.log, &error);

	fuzz_require(err == 0 || error.text[0]);
	if (err)
		return;
	btrkit_log_get_info(seen.log, &info, sizeof(info));
	fuzz_require(btrkit_log_subvol_for_each(seen.log, see_subvol, &seen, NULL) == 0);
	fuzz_require(btrkit_log_inode_for_each(seen.log, see_inode, &seen, NULL) == 0);
	fuzz_require(btrkit_log_step_for_each(seen.log, see_step, &seen) == 0);
	fuzz_require(btrkit_log_loss_for_each(seen.log, see_loss, &seen) == 0);
	fuzz_require(info.nr_inodes == seen.nr_inodes && info.nr_steps == seen.nr_steps && info.nr_losses == seen.nr_losses);
	/* Of the log that image_log.c makes: the entry that goes is a directory, with all below it. */
	fuzz_require(!is_sound || (seen.nr_losses == 0 && seen.nr_links == 4 && seen.nr_unlinks > 1 && seen.bytes > 16384));
	btrkit_log_close(seen.log);
}

/* The numbers of the log's blocks among the image's pieces. */
static unsigned log_pieces(const struct fuzz_image *image, u16 *ret_numbers, unsigned max)
{
	u8 *block = malloc(image->nodesize);
	unsigned nr = 0;

	fuzz_require(block);
	for (size_t i = 0; i < image->pieces.len && nr < max; i++) {
		if (image->pieces.items[i].kind != FUZZ_BLOCK)
			continue;
		fuzz_piece_read(image, &image->pieces.items[i], block);
		if (le64_get(block_header(block)->owner) == TREE_LOG_OBJECTID)
			ret_numbers[nr++] = (u16)i;
	}
	free(block);
	fuzz_require(nr > 1);
	return nr;
}

/* The first image is the one that has a log; and with DAMAGE_FLAG, no other block than the log's is changed. */
static size_t aim(const uint8_t *data, size_t size, u8 *ret_input)
{
	static u16 numbers[64];
	static unsigned nr;

	size = MIN(size, (size_t)DAMAGE_INPUT_MAX);
	memcpy(ret_input, data, size);
	if (size == 0)
		return 0;
	if (nr == 0)
		nr = log_pieces(fuzz_image(0), numbers, ARRAY_LEN(numbers));
	for (size_t at = 2; (data[0] & DAMAGE_FLAG) && at + 16 <= size; at += 16) {
		le16 *piece = (le16 *)(ret_input + at);

		le16_put(piece, numbers[le16_get(*piece) % nr]);
	}
	ret_input[0] = 0;
	return size;
}

/* @is_sound: but for its log. */
static bool replay(const struct damage *damage, bool is_sound, bool do_skip_bad)
{
	const struct fs_options options = { .super_mirror = -1, .knows_log = true };
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	if (damage_devices(damage, &set, &d) != 0)
		return false;
	replay_overlay(set);
	if (fs_open_devices(set, &options, &fs, &d) != 0)
		return false;
	return replay_and_judge(fs, do_skip_bad, is_sound);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	u8 input[DAMAGE_INPUT_MAX];
	const struct fs_options options = { .super_mirror = -1 };
	struct damage damage;
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	damage_take(input, aim(data, size, input), &damage);
	if (damage_devices(&damage, &set, &d) == 0 && fs_open_devices(set, &options, &fs, &d) == 0) {
		look(fs, damage_is_none(&damage));
		btrkit_fs_close(fs);
	}
	if (!replay(&damage, damage.has_flag, false)) {
		fuzz_require(!damage_is_none(&damage));
		(void)replay(&damage, damage.has_flag, true);
	}
	damage_done(&damage);
	return 0;
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	static const u8 hows[] = { 0, HOW_FIRST_COPY, HOW_BAD_CSUM };

	damage_seeds(add, ctx, hows, ARRAY_LEN(hows), 0);
}
