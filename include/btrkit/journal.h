/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Journals of other filesystems: bcachefs, ext3 and ext4. What is in them entry by entry, and whether all of it is there that a
 * mount would need after a crash. The devices are only read.
 *
 *	struct btrkit_journal_options options;
 *
 *	btrkit_journal_options_init(&options);
 *	err = btrkit_journal_open(paths, nr_paths, &options, &journal, &error);
 *	if (!err)
 *		err = btrkit_journal_verify(journal, print_finding, NULL, &verdict, sizeof(verdict), &error);
 *	btrkit_journal_close(journal);
 *
 * An open journal belongs to one thread.
 */
#ifndef BTRKIT_JOURNAL_H
#define BTRKIT_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/inspect.h>

#ifdef __cplusplus
extern "C" {
#endif

struct btrkit_journal;

struct btrkit_journal_options {
	size_t struct_size; /* set by btrkit_journal_options_init() */
	uint64_t offset_bytes; /* where the filesystem begins within each device or file */
	uint64_t memory_bytes; /* for tables; 0: 64 MiB */
	const char *tmpdir; /* where tables go that do not fit; NULL: /var/tmp */
	const char *passphrase; /* of an encrypted volume; NULL: none */
	btrkit_note_fn note; /* may be NULL */
	void *note_arg;
};
#define btrkit_journal_options_init(options) btrkit_journal_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_journal_options_init_size(struct btrkit_journal_options *options, size_t struct_size);

/*
 * All devices of the volume at once; an ext filesystem whose journal is on a device of its own, and then that device.
 * -EMEDIUMTYPE: nothing that has such a journal.
 */
BTRKIT_API int btrkit_journal_open(const char *const *paths, size_t nr_paths, const struct btrkit_journal_options *options,
				   struct btrkit_journal **ret_journal, struct btrkit_error *error);
BTRKIT_API void btrkit_journal_close(struct btrkit_journal *journal); /* NULL allowed */

enum {
	BTRKIT_JOURNAL_NEEDED = 1 << 0, /* only what a mount would replay */
	BTRKIT_JOURNAL_SHORT = 1 << 1, /* entries without what is in them */
};
/*
 * First an object that tells of the journal as a whole. Then one for each entry of bcachefs, by sequence; of ext, one for each
 * block with contents, each block revoked and each commit, in the order of the log. Names are those of
 * Documentation/btrkit-journal.rst. -EUCLEAN: it is damaged, and what could be shown has been.
 */
BTRKIT_API int btrkit_journal_show(struct btrkit_journal *journal, unsigned flags, const struct btrkit_printer *printer,
				   struct btrkit_error *error);

enum btrkit_journal_severity { BTRKIT_JOURNAL_GOOD, BTRKIT_JOURNAL_ODD, BTRKIT_JOURNAL_DAMAGED };

struct btrkit_journal_finding {
	enum btrkit_journal_severity severity;
	/* "needed", "old", "unflushed", "blacklisted", "ignored", "missing", "clean" (of the superblock), "log" (of ext as a whole) */
	const char *what;
	uint64_t first, last; /* sequences of entries, or of transactions */
	const char *text; /* a sentence for people */
};
/* A result other than 0 ends it and is returned. */
typedef int (*btrkit_journal_finding_fn)(void *arg, const struct btrkit_journal_finding *finding);

struct btrkit_journal_verdict {
	uint64_t first, last; /* what a mount would need; last 0: nothing */
	uint64_t nr_good; /* entries or transactions of these */
	uint64_t nr_bad; /* damaged ones of these */
	uint64_t nr_missing;
	uint64_t nr_damages; /* findings with BTRKIT_JOURNAL_DAMAGED */
};
/* @ret_verdict is filled up to @struct_size. Damage is no failure: findings and verdict tell it. */
BTRKIT_API int btrkit_journal_verify(struct btrkit_journal *journal, btrkit_journal_finding_fn fn, void *arg,
				     struct btrkit_journal_verdict *ret_verdict, size_t struct_size, struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
