/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For one test program: the allocation with a chosen number fails, in whatever library it is made. Sanitizers have
 * allocators of their own: there nothing fails, and can_fail_malloc is false.
 */
#ifndef BTRKIT_TESTS_UNIT_FAILING_MALLOC_H
#define BTRKIT_TESTS_UNIT_FAILING_MALLOC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

/* The allocation that fails, counted from 1 when it is set; 0: none. And those made since. */
static unsigned long fail_malloc_at, nr_mallocs;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(__clang__)
static const bool can_fail_malloc = false;
#else
static const bool can_fail_malloc = true;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t nr, size_t size);
void *__libc_realloc(void *old, size_t size);
void *malloc(size_t size);
void *calloc(size_t nr, size_t size);
void *realloc(void *old, size_t size);

static bool is_to_fail(void)
{
	nr_mallocs++;
	if (fail_malloc_at == 0 || --fail_malloc_at > 0)
		return false;
	errno = ENOMEM;
	return true;
}

void *malloc(size_t size)
{
	return is_to_fail() ? NULL : __libc_malloc(size);
}

void *calloc(size_t nr, size_t size)
{
	return is_to_fail() ? NULL : __libc_calloc(nr, size);
}

void *realloc(void *old, size_t size)
{
	return is_to_fail() ? NULL : __libc_realloc(old, size);
}
#endif

#endif
