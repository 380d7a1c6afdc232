/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pool of threads whose results come back in the order of submission, so that what is made of them does not depend
 * on how many threads there are. With one thread everything runs in the caller's thread, through the same code.
 *
 * A pool serves one call at a time; workers must not call into their own pool.
 */
#ifndef BTRKIT_COMMON_WORK_POOL_H
#define BTRKIT_COMMON_WORK_POOL_H

#include <stdatomic.h>

#include "common/base/cleanup.h"
#include "common/base/diag.h"
#include "common/base/types.h"

struct pool;

/* Set by anyone, from a signal handler too; looked at between two jobs, which then end with -ECANCELED. */
struct cancel {
	atomic_bool is_requested;
};

/* NULL: nobody can. */
static inline bool cancel_is_requested(const struct cancel *cancel)
{
	return cancel && atomic_load_explicit(&((struct cancel *)cancel)->is_requested, memory_order_relaxed);
}
/* -ECANCELED if so, and said. */
int cancel_check(const struct cancel *cancel, struct diag *d);

/* @threads: 0 for as many as there are CPUs. @cancel may be NULL and must outlive the pool. */
int pool_new(unsigned threads, struct cancel *cancel, struct pool **ret_pool);
void pool_free(struct pool *pool);
DEFINE_FREEP(struct pool *, pool_free)

/* Workers, 1 at least. The @worker that a job is given is below this: an index for per-worker buffers. */
unsigned pool_threads(const struct pool *pool);

/* One job. 0 or a negative errno with the reason in @d, which belongs to this worker. */
typedef int (*pool_fn)(void *ctx, unsigned worker, u64 i, struct diag *d);

/*
 * Run @fn for each i in [0, n) on all threads, in any order. After a failure no further job is started; the failure
 * of the lowest i that failed is returned and its diagnosis copied to @d.
 */
int pool_for_each(struct pool *pool, u64 n, pool_fn fn, void *ctx, struct diag *d);

struct pool_stream {
	/* In a worker: make item @i. 0 with *ret_item; 1: there is no item @i nor any after it; or negative errno. */
	int (*produce)(void *ctx, unsigned worker, u64 i, void **ret_item, struct diag *d);
	/* In the caller's thread, strictly in the order of @i: takes over @item, also when it fails. */
	int (*consume)(void *ctx, u64 i, void *item, struct diag *d);
	/* Frees an item that was made but will not be consumed because of an earlier failure. */
	void (*free_item)(void *ctx, void *item);
	void *ctx;
};

/*
 * Run @stream over i in [0, n), n may be UINT64_MAX for "until produce returns 1". At most @window items exist between
 * the two ends, which bounds memory. Returns the first failure in the order of i.
 */
int pool_pipeline(struct pool *pool, u64 n, unsigned window, const struct pool_stream *stream, struct diag *d);

#endif
