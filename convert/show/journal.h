/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An open journal of whatever kind, for the files of this folder. */
#ifndef BTRKIT_CONVERT_SHOW_JOURNAL_H
#define BTRKIT_CONVERT_SHOW_JOURNAL_H

#include <btrkit/journal.h>

#include "common/base/array.h"
#include "convert/bcachefs/bch_fs.h"
#include "kernel-shared/fs/fs.h"

struct btrkit_journal {
	ARRAY(struct blockdev *) devs; /* owned */
	struct bch_fs *bch; /* NULL: it is ext */
	struct bch_journal *own; /* of bch, if that would not read it for its state; NULL: bch->journal */
	struct fs_note note;
};

static inline const struct bch_journal *journal_of_bch(const struct btrkit_journal *journal)
{
	return journal->own ? journal->own : journal->bch->journal;
}

/* What findings are told to, and what becomes of them. */
struct journal_findings {
	btrkit_journal_finding_fn fn;
	void *arg;
	struct btrkit_journal_verdict verdict;
};
__attribute__((format(printf, 6, 7))) int journal_find(struct journal_findings *findings, enum btrkit_journal_severity severity,
							const char *what, u64 first, u64 last, const char *format, ...);

int journal_bch_show(struct btrkit_journal *journal, unsigned flags, const struct btrkit_printer *to, struct diag *d);
int journal_bch_verify(struct btrkit_journal *journal, struct journal_findings *findings, struct diag *d);
const char *journal_bch_state_name(enum bch_jset_state state);

/* 1: the first device has no ext filesystem. */
int journal_ext_open(struct btrkit_journal *journal, struct diag *d);
int journal_ext_show(struct btrkit_journal *journal, unsigned flags, const struct btrkit_printer *to, struct diag *d);
int journal_ext_verify(struct btrkit_journal *journal, struct journal_findings *findings, struct diag *d);

#endif
