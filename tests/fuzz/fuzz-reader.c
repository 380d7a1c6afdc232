/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A whole damaged filesystem: opened, and everything read that is found in it or, with DAMAGE_FLAG, shown as it lies there. */
#include "kernel-shared/fs/fs.h"
#include "tests/fuzz/damage.h"
#include "tests/fuzz/inspect_everything.h"
#include "tests/fuzz/read_everything.h"

const char fuzz_name[] = "fuzz-reader";
const unsigned fuzz_iterations = 2500;
const size_t fuzz_input_max = DAMAGE_INPUT_MAX;

static void read_damaged(const struct damage *damage)
{
	const struct fs_options options = {
		.super_mirror = -1,
		.use_backup_roots = damage->how & HOW_BACKUP_ROOTS,
		.refuse_missing = damage->how & HOW_REFUSE_MISSING,
		.ignore_data_csums = damage->how & HOW_IGNORE_CSUMS,
		.cache_bytes = damage->how & HOW_SMALL_CACHE ? 1 : 0,
	};
	bool is_sound = damage_is_none(damage);
	struct read_totals totals;
	struct device_set *set;
	u64 nr_values;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	if (damage_devices(damage, &set, &d) != 0)
		return;
	if (fs_open_devices(set, &options, &fs, &d) != 0) {
		fuzz_require(d.err && d.text[0]);
		return;
	}
	if (damage->has_flag) {
		inspect_everything(fs, &nr_values);
		fuzz_require(!is_sound || nr_values > 1000);
	} else {
		read_everything(fs, damage->how & HOW_SKIP_DAMAGE, &totals);
		fuzz_require(!is_sound || (totals.entries > 100 && totals.bytes > 300000));
	}
	btrkit_fs_close(fs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct damage damage;

	damage_take(data, size, &damage);
	read_damaged(&damage);
	damage_done(&damage);
	return 0;
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	static const u8 hows[] = { 0, HOW_IGNORE_CSUMS, HOW_SKIP_DAMAGE, HOW_BACKUP_ROOTS | HOW_FIRST_COPY, HOW_MISSING,
				   HOW_SMALL_CACHE | HOW_BAD_CSUM };

	damage_seeds(add, ctx, hows, ARRAY_LEN(hows), HOW_IGNORE_CSUMS);
}
