/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* btrkit_check_bcachefs(): opening, and the passes in their order. */
#include "convert/bcachefs/bch_check.h"

#include <unistd.h>

#include "check/check.h"
#include "kernel-shared/build/job.h"
#include "kernel-shared/device/file_device.h"

/* --- The passes ------------------------------------------------------------------------------------------------------ */

static const struct {
	int (*run)(struct bch_check *check, struct diag *d);
	const char *phase;
	bool is_quick; /* runs also in a quick check */
	bool needs_roots; /* and not only the superblocks */
} passes[] = {
	{ bch_pass_supers, "superblocks", true, false },
	{ bch_pass_journal, "journal", true, false },
	{ bch_pass_nodes, "nodes", false, true },
	{ bch_pass_subvols, "subvolumes", false, true },
	{ bch_pass_keys, "keys", false, true },
	{ bch_pass_data, "data", false, true },
	{ bch_pass_names, "files", false, true },
};

static int run_passes(struct bch_check *check, enum bch_stage stage, struct diag *d)
{
	for (size_t i = 0; i < ARRAY_LEN(passes); i++) {
		int err;

		if ((check->options->is_quick && !passes[i].is_quick) || (passes[i].needs_roots && stage < BCH_STAGE_ALL) ||
		    (!check->fs && passes[i].run != bch_pass_supers))
			continue;
		progress_begin(check->progress, passes[i].phase, 0, 0);
		err = passes[i].run(check, d);
		if (check->sink.err)
			err = check->sink.err;
		if (!err && cancel_is_requested(check->cancel))
			err = diag_fail(d, -ECANCELED, "cancelled");
		if (err)
			return err;
	}
	return 0;
}

/* --- Opening ----------------------------------------------------------------------------------------------------------- */

/*
 * As far as it goes: *ret_stage says how far. What keeps it from going on is a problem, unless there is no bcachefs at all (1) or no
 * memory.
 */
static int open_volume(struct bch_check *check, struct source_options *options, enum bch_stage *ret_stage, struct diag *d)
{
	const struct {
		enum bch_stage stage;
		bool no_journal;
	} ways[] = { { BCH_STAGE_ALL, false }, { BCH_STAGE_JOURNAL, false }, { BCH_STAGE_ALL, true }, { BCH_STAGE_SUPER, true } };
	struct diag first = { 0 }, journal = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		struct diag why = { 0 };
		int err;

		options->no_journal = ways[i].no_journal || check->options->no_journal;
		err = bch_fs_open(check->devs, check->nr_devs, options, ways[i].stage, &check->fs, &why);
		*ret_stage = ways[i].stage;
		if (err == -ENOMEM || err == -ECANCELED || err == -EACCES)
			return diag_copy(d, &why);
		if (err > 0)
			return err;
		if (i == 0)
			first = why;
		if (i == 1)
			journal = why;
		if (!err)
			break;
	}
	if (*ret_stage == BCH_STAGE_ALL && options->no_journal && !check->options->no_journal)
		complain(check, BCH_JOURNAL_UNREADABLE, AT(0), journal.text);
	else if (*ret_stage != BCH_STAGE_ALL || !check->fs)
		complain(check, CANNOT_OPEN, AT(0), first.text);
	return 0;
}

static int prepare(struct bch_check *check, struct diag *d)
{
	if (pool_new(check->options->threads, check->cancel, &check->pool) < 0)
		return diag_no_memory(d, "threads");
	check->memory_bytes = check->options->memory_bytes ? check->options->memory_bytes : check_default_memory();
	check->spill.dir = check->options->tmpdir ? check->options->tmpdir : "/var/tmp";
	check->spill.is_cancelled = &check->cancel->is_requested;
	return 0;
}

static void finish(struct bch_check *check)
{
	struct btrkit_check_result *result = check->result;

	memcpy(result->nr_problems, check->sink.counts, sizeof(result->nr_problems));
	result->memory_bytes = check->memory_bytes;
	result->spilled_bytes = atomic_load(&check->spill.written_bytes);
	bch_parents_done(check);
	array_done(&check->lost);
	array_done(&check->snapshots_missing);
	pool_free(check->pool);
	bch_fs_close(check->fs);
	problem_sink_done(&check->sink);
}

int bch_check_run(struct blockdev *const *devs, size_t nr_devs, const struct btrkit_check_options *options, btrkit_problem_fn fn,
		  void *arg, struct btrkit_check_result *ret_result, struct diag *d)
{
	struct cancel never = { 0 };
	struct bch_check check = { .options = options, .result = ret_result, .devs = devs, .nr_devs = nr_devs };
	struct source_options source = {
		.only_reads = true,
		.whole_journal = true,
		.tmpdir = options->tmpdir,
		.passphrase = options->passphrase,
	};
	enum bch_stage stage;
	int err;

	memset(ret_result, 0, sizeof(*ret_result));
	problem_sink_init(&check.sink, fn, arg);
	check.cancel = options->job ? &options->job->cancel : &never;
	check.progress = options->job ? &options->job->progress : NULL;
	err = prepare(&check, d);
	source.memory_bytes = check.memory_bytes / 4;
	if (!err)
		err = open_volume(&check, &source, &stage, d);
	if (!err)
		err = run_passes(&check, stage, d);
	finish(&check);
	return err;
}

/* --- The door ---------------------------------------------------------------------------------------------------------- */

struct devices {
	ARRAY(struct blockdev *) list;
};

static void devices_done(struct devices *devices)
{
	array_for_each(&devices->list, dev)
		blockdev_close(*dev);
	array_done(&devices->list);
}

static int open_devices(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options, struct devices *devices,
			struct diag *d)
{
	unsigned flags = options->is_exclusive ? FILE_DEVICE_EXCLUSIVE : 0;

	for (size_t i = 0; i < nr_paths; i++) {
		struct blockdev *dev;
		int err = file_device_open(paths[i], flags, options->offset_bytes, 0, &dev, d);

		if (err < 0)
			return err;
		if (array_push(&devices->list, dev) < 0) {
			blockdev_close(dev);
			return diag_no_memory(d, "devices");
		}
	}
	return 0;
}

int btrkit_check_bcachefs(const char *const *paths, size_t nr_paths, const struct btrkit_check_options *options, btrkit_problem_fn fn,
			  void *arg, struct btrkit_check_result *ret_result, struct btrkit_error *error)
{
	_cleanup_(devices_done) struct devices devices = { 0 };
	struct btrkit_check_options known;
	struct diag d = { 0 };
	int err;

	btrkit_check_options_init(&known);
	if (options)
		memcpy(&known, options, MIN(options->struct_size, sizeof(known)));
	memset(ret_result, 0, sizeof(*ret_result));
	if (known.memory_bytes && known.memory_bytes < BTRKIT_CHECK_MEMORY_MIN)
		err = diag_fail(&d, -EINVAL, "the check needs %llu bytes of memory for its tables, at least",
				(unsigned long long)BTRKIT_CHECK_MEMORY_MIN);
	else
		err = open_devices(paths, nr_paths, &known.open, &devices, &d);
	if (!err)
		err = bch_check_run(devices.list.items, devices.list.len, &known, fn, arg, ret_result, &d);
	return err >= 0 ? err : fs_error(error, &d, err);
}
