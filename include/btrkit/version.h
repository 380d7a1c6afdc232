/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef BTRKIT_VERSION_H
#define BTRKIT_VERSION_H

#include <btrkit/error.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of these headers. */
#define BTRKIT_VERSION_MAJOR 0
#define BTRKIT_VERSION_MINOR 1
#define BTRKIT_VERSION_PATCH 0
#define BTRKIT_VERSION_CODE(major, minor, patch) ((major) * 1000000 + (minor) * 1000 + (patch))
#define BTRKIT_VERSION BTRKIT_VERSION_CODE(BTRKIT_VERSION_MAJOR, BTRKIT_VERSION_MINOR, BTRKIT_VERSION_PATCH)

/* Of the library that is running: a BTRKIT_VERSION_CODE, and the same as text. */
BTRKIT_API int btrkit_version(void);
BTRKIT_API const char *btrkit_version_text(void);

#ifdef __cplusplus
}
#endif

#endif
