/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the images hold: a little of everything that a filesystem may. */
#ifndef BTRKIT_TESTS_FUZZ_IMAGE_CONTENT_H
#define BTRKIT_TESTS_FUZZ_IMAGE_CONTENT_H

#include <btrkit/content.h>

/* The caller's, to be freed. */
struct btrkit_content *fuzz_image_content(void);

#endif
