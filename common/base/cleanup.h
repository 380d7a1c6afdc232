/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Locals that clean up after themselves: declare with _cleanup_(fn), hand over with take_ptr().
 *
 *	_cleanup_(volume_freep) struct volume *volume = NULL;
 *	...
 *	*ret_volume = take_ptr(volume);
 */
#ifndef BTRKIT_COMMON_BASE_CLEANUP_H
#define BTRKIT_COMMON_BASE_CLEANUP_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(fn) __attribute__((cleanup(fn)))

#define take_ptr(ptr) ({ __auto_type taken_ = (ptr); (ptr) = NULL; taken_; })
#define take_fd(fd) ({ int taken_ = (fd); (fd) = -1; taken_; })

/* Defines thing_freep(), for _cleanup_, from a thing_free() that accepts NULL. */
#define DEFINE_FREEP(type, free_fn)                                                                \
	static inline void free_fn##p(type *owner)                                                 \
	{                                                                                          \
		free_fn(*owner);                                                                   \
		*owner = NULL;                                                                     \
	}

static inline void freep(void *owner)
{
	void *p;

	__builtin_memcpy(&p, owner, sizeof(p));
	free(p);
}

static inline void closep(int *fd)
{
	int saved_errno = errno;

	if (*fd >= 0)
		(void)close(*fd); /* only read through, or already synced: nothing to learn from the result */
	*fd = -1;
	errno = saved_errno;
}

static inline void mutex_unlockp(pthread_mutex_t **mutex)
{
	if (*mutex)
		pthread_mutex_unlock(*mutex);
}

/* Hold @mutex until the end of the scope. */
#define LOCK_SCOPE(mutex)                                                                          \
	_cleanup_(mutex_unlockp) pthread_mutex_t *lock_scope_ = (mutex);                           \
	pthread_mutex_lock(lock_scope_)

#define _free_ _cleanup_(freep)
#define _close_ _cleanup_(closep)

#endif
