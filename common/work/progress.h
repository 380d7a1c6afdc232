/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Counters that the library bumps as it works and somebody else may read at any time, from another thread. Nothing is
 * rendered here.
 */
#ifndef BTRKIT_COMMON_WORK_PROGRESS_H
#define BTRKIT_COMMON_WORK_PROGRESS_H

#include <stdatomic.h>

#include "common/base/types.h"

struct progress {
	_Atomic(const char *) phase; /* a constant string: "scan", "data", ... ; NULL: not begun */
	atomic_ullong done_bytes, total_bytes; /* total 0: not known */
	atomic_ullong done_files, total_files;
};

/* Begin a phase: counters from zero. Every function accepts a NULL @p. */
static inline void progress_begin(struct progress *p, const char *phase, u64 total_bytes, u64 total_files)
{
	if (!p)
		return;
	atomic_store(&p->done_bytes, 0);
	atomic_store(&p->done_files, 0);
	atomic_store(&p->total_bytes, total_bytes);
	atomic_store(&p->total_files, total_files);
	atomic_store(&p->phase, phase);
}

static inline void progress_add(struct progress *p, u64 bytes, u64 files)
{
	if (!p)
		return;
	if (bytes)
		atomic_fetch_add_explicit(&p->done_bytes, bytes, memory_order_relaxed);
	if (files)
		atomic_fetch_add_explicit(&p->done_files, files, memory_order_relaxed);
}

#endif
