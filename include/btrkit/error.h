/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How functions of this library fail. Each returns 0 or a negative errno; one that takes a struct btrkit_error also
 * leaves a sentence there that names the place, without a newline. The library prints nothing.
 *
 *	-EUCLEAN     what is on the disk is wrong          -EIO         a device failed
 *	-EOPNOTSUPP  a feature that is not supported       -ENOSPC      it does not fit
 *	-EINVAL      the caller asked for the impossible   -ECANCELED   the caller cancelled
 *	-EMEDIUMTYPE there is no Btrfs filesystem          -ESTALE      a source changed while it was read
 */
#ifndef BTRKIT_ERROR_H
#define BTRKIT_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

/* Marks what libbtrkit.so exports. */
#define BTRKIT_API __attribute__((visibility("default")))

#define BTRKIT_ERROR_TEXT_MAX 1024

struct btrkit_error {
	int err; /* negative errno, 0 while nothing failed */
	char text[BTRKIT_ERROR_TEXT_MAX];
};

/* Said while an operation goes on: a bad copy that another one replaced, a device that is missing. */
enum btrkit_severity { BTRKIT_NOTE, BTRKIT_WARNING };

/* May be called from several threads at once. */
typedef void (*btrkit_note_fn)(void *arg, enum btrkit_severity severity, const char *text);

#ifdef __cplusplus
}
#endif

#endif
