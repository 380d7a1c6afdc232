/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/fuzz/replay_judge.h"

#include "check/check.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/treelog/log_replay.h"
#include "tests/fuzz/fuzz.h"

void replay_overlay(struct device_set *set)
{
	array_for_each(&set->devices, device) {
		struct blockdev *overlay;

		fuzz_require(overlay_device_new(device->dev, &overlay) == 0);
		device->dev = overlay;
	}
}

static u64 changed_bytes(const struct btrkit_fs *fs)
{
	u64 bytes = 0;

	array_for_each(&fs->volume->devices->devices, device)
		bytes += overlay_device_changed_bytes(device->dev);
	return bytes;
}

static int accept_all(void *ctx, const struct btrkit_log *log)
{
	(void)ctx;
	fuzz_require(log->plan->losses.list.len);
	return 0;
}

static int tell_problem(void *arg, const struct btrkit_problem *problem)
{
	(void)arg;
	if (problem->kind->severity >= BTRKIT_PROBLEM_ERROR)
		fprintf(stderr, "%s: %s\n", problem->kind->code, problem->text);
	return 0;
}

/* Takes @fs over. */
static void require_sound(struct btrkit_fs *fs)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result = { 0 };
	struct diag d = { 0 };

	btrkit_check_options_init(&options);
	options.threads = 1;
	fuzz_require(check_run(fs, &options, tell_problem, NULL, &result, &d) == 0);
	fuzz_require(result.nr_problems[BTRKIT_PROBLEM_ERROR] == 0);
	fuzz_require(result.nr_problems[BTRKIT_PROBLEM_FATAL] == 0);
}

bool replay_and_judge(struct btrkit_fs *fs, bool do_skip_bad, bool is_sound)
{
	u64 log_root = le64_get(fs->super.log_root), before = changed_bytes(fs);
	struct diag d = { 0 };
	int err = log_replay_open_fs(fs, do_skip_bad ? accept_all : NULL, NULL, &d);

	fuzz_require(err <= 0);
	if (err) {
		fuzz_require(d.text[0]);
		if (getenv("BTRKIT_FUZZ_VERBOSE"))
			fprintf(stderr, "# refused: %s\n", d.text);
		fuzz_require(changed_bytes(fs) == before && le64_get(fs->super.log_root) == log_root);
		btrkit_fs_close(fs);
		return false;
	}
	fuzz_require(le64_get(fs->super.log_root) == 0);
	if (is_sound)
		require_sound(fs);
	else
		btrkit_fs_close(fs);
	return true;
}
