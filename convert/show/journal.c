/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The public door of journals: which kind it is, and on to that. */
#include "convert/show/journal.h"

#include <stdio.h>

#include "kernel-shared/device/file_device.h"

void btrkit_journal_options_init_size(struct btrkit_journal_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
}

/* --- Opening --------------------------------------------------------------------------------------------------- */

static int open_devices(struct btrkit_journal *journal, const char *const *paths, size_t nr_paths, u64 offset, struct diag *d)
{
	for (size_t i = 0; i < nr_paths; i++) {
		struct blockdev *dev;
		int err = file_device_open(paths[i], 0, offset, 0, &dev, d);

		if (err)
			return err;
		if (array_push(&journal->devs, dev) < 0) {
			blockdev_close(dev);
			return diag_no_memory(d, "devices");
		}
	}
	return 0;
}

/* One whose journal cannot be used is opened to be looked at all the same. */
static int open_bch(struct btrkit_journal *journal, const struct btrkit_journal_options *options, struct diag *d)
{
	const struct source_options source_options = {
		.memory_bytes = options->memory_bytes,
		.tmpdir = options->tmpdir,
		.passphrase = options->passphrase,
		.no_journal = true,
		.whole_journal = true,
	};
	int err = bch_fs_open(journal->devs.items, journal->devs.len, &source_options, BCH_STAGE_JOURNAL, &journal->bch, d);

	if (!err && !journal->bch->journal)
		err = bch_journal_scan(journal->bch, &journal->own, d);
	return err;
}

static int open_journal(struct btrkit_journal *journal, const char *const *paths, size_t nr_paths,
			const struct btrkit_journal_options *options, struct diag *d)
{
	int err = open_devices(journal, paths, nr_paths, options->offset_bytes, d);

	if (!err)
		err = open_bch(journal, options, d);
	if (err == 1)
		err = journal_ext_open(journal, d);
	if (err == 1)
		return diag_fail(d, -EMEDIUMTYPE, "%s: there is neither bcachefs nor ext3 or ext4 there", paths[0]);
	return err;
}

int btrkit_journal_open(const char *const *paths, size_t nr_paths, const struct btrkit_journal_options *options,
			struct btrkit_journal **ret_journal, struct btrkit_error *error)
{
	struct btrkit_journal *journal = calloc(1, sizeof(*journal));
	struct btrkit_journal_options own;
	struct diag d = { 0 };
	int err;

	btrkit_journal_options_init(&own);
	if (options)
		memcpy(&own, options, MIN(options->struct_size, sizeof(own)));
	if (!journal)
		return fs_error(error, &d, diag_no_memory(&d, "a journal"));
	journal->note = (struct fs_note){ own.note, own.note_arg };
	fs_diag_init(&journal->note, &d);
	err = nr_paths ? open_journal(journal, paths, nr_paths, &own, &d) : diag_fail(&d, -EINVAL, "no device given");
	if (err)
		btrkit_journal_close(journal);
	else
		*ret_journal = journal;
	return fs_error(error, &d, err);
}

void btrkit_journal_close(struct btrkit_journal *journal)
{
	if (!journal)
		return;
	bch_journal_free(journal->own);
	bch_fs_close(journal->bch);
	array_for_each(&journal->devs, dev)
		blockdev_close(*dev);
	array_done(&journal->devs);
	free(journal);
}

/* --- What it has ------------------------------------------------------------------------------------------------- */

int btrkit_journal_show(struct btrkit_journal *journal, unsigned flags, const struct btrkit_printer *printer,
			struct btrkit_error *error)
{
	struct diag d;

	fs_diag_init(&journal->note, &d);
	return fs_error(error, &d,
			journal->bch ? journal_bch_show(journal, flags, printer, &d) : journal_ext_show(journal, flags, printer, &d));
}

int journal_find(struct journal_findings *findings, enum btrkit_journal_severity severity, const char *what, u64 first, u64 last,
		 const char *format, ...)
{
	struct btrkit_journal_finding finding = { severity, what, first, last, NULL };
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	finding.text = text;
	findings->verdict.nr_damages += severity == BTRKIT_JOURNAL_DAMAGED;
	return findings->fn ? findings->fn(findings->arg, &finding) : 0;
}

int btrkit_journal_verify(struct btrkit_journal *journal, btrkit_journal_finding_fn fn, void *arg,
			  struct btrkit_journal_verdict *ret_verdict, size_t struct_size, struct btrkit_error *error)
{
	struct journal_findings findings = { .fn = fn, .arg = arg };
	struct diag d;
	int err;

	fs_diag_init(&journal->note, &d);
	err = journal->bch ? journal_bch_verify(journal, &findings, &d) : journal_ext_verify(journal, &findings, &d);
	if (!err && ret_verdict)
		memcpy(ret_verdict, &findings.verdict, MIN(struct_size, sizeof(findings.verdict)));
	return fs_error(error, &d, err);
}
