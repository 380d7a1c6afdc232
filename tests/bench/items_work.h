/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The work of the benchmark of changes, the same for all stores: a load of items in random order, then as many changes at
 * random, of which each takes out an item that is there or puts in one that is not. Two thirds of all possible items are
 * there on the average.
 */
#ifndef BTRKIT_TESTS_BENCH_ITEMS_WORK_H
#define BTRKIT_TESTS_BENCH_ITEMS_WORK_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#define VALUE_BYTES 32

/* What is measured. Each returns 0 or an error that it has told of. */
struct store {
	const char *name;
	int (*put)(void *arg, uint64_t n);
	int (*take)(void *arg, uint64_t n);
	int (*commit)(void *arg);
	void *arg;
};

struct stopwatch {
	double wall, user, sys;
};

static inline struct stopwatch stopwatch_read(void)
{
	struct timespec now;
	struct rusage usage;

	clock_gettime(CLOCK_MONOTONIC, &now);
	getrusage(RUSAGE_SELF, &usage);
	return (struct stopwatch){ (double)now.tv_sec + (double)now.tv_nsec / 1e9,
				   (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
				   (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6 };
}

static inline void stopwatch_print(const char *store, const char *phase, const struct stopwatch *from)
{
	struct stopwatch now = stopwatch_read();
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("%-8s %-8s wall %7.2f  user %7.2f  sys %7.2f  peak %5ld MiB\n", store, phase, now.wall - from->wall,
	       now.user - from->user, now.sys - from->sys, usage.ru_maxrss / 1024);
	fflush(stdout);
}

static inline uint64_t next_of(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* Load @nr items of 3/2 as many that are possible, and change @nr; commit after each @batch. */
static inline int items_work(const struct store *store, uint64_t nr, uint64_t batch)
{
	uint64_t possible = nr + nr / 2, seed = 1, loaded = 0;
	bool *is_there = calloc(possible, sizeof(*is_there));
	struct stopwatch watch = stopwatch_read();
	int err = is_there ? 0 : -1;

	while (loaded < nr && !err) {
		uint64_t n = next_of(&seed) % possible;

		if (is_there[n])
			continue;
		is_there[n] = true;
		err = store->put(store->arg, n);
		if (!err && ++loaded % batch == 0)
			err = store->commit(store->arg);
	}
	if (!err)
		err = store->commit(store->arg);
	stopwatch_print(store->name, "load", &watch);
	watch = stopwatch_read();
	for (uint64_t i = 1; i <= nr && !err; i++) {
		uint64_t n = next_of(&seed) % possible;

		err = is_there[n] ? store->take(store->arg, n) : store->put(store->arg, n);
		is_there[n] = !is_there[n];
		if (!err && i % batch == 0)
			err = store->commit(store->arg);
	}
	if (!err)
		err = store->commit(store->arg);
	stopwatch_print(store->name, "change", &watch);
	free(is_there);
	return err;
}

#endif
