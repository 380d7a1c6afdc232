/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where tables go that do not fit into memory: unlinked temporary files, which vanish with the process, whatever ends it.
 */
#ifndef BTRKIT_COMMON_SPILL_SPILL_H
#define BTRKIT_COMMON_SPILL_SPILL_H

#include <stdatomic.h>

#include "common/base/diag.h"

/* Shared by all tables of one operation, and all its threads. */
struct spill {
	const char *dir; /* of the temporary files; not owned */
	const atomic_bool *is_cancelled; /* looked at between two reads or writes; NULL: cannot be cancelled */
	_Atomic(u64) written_bytes; /* all that ever was, which says how much did not fit */
};

/* An empty file in @dir that has no name; the caller closes *ret_fd. The error names @dir. */
int temporary_file_open(const char *dir, int *ret_fd, struct diag *d);

/* Write all of @len_bytes at @offset; -ECANCELED, or what the directory's filesystem says. */
int spill_write(struct spill *spill, int fd, u64 offset, const void *bytes, size_t len_bytes, struct diag *d);

/* Read all of @len_bytes, which were written before. */
int spill_read(const struct spill *spill, int fd, u64 offset, void *ret_bytes, size_t len_bytes, struct diag *d);

#endif
