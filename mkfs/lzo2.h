/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lzo2 for the commands: it is GPL, so the library does not link it and takes this function instead. */
#ifndef BTRKIT_MKFS_LZO2_H
#define BTRKIT_MKFS_LZO2_H

#include "common/compress/codec.h"

#if HAVE_LZO
/* A lzo_compress_fn. */
int lzo2_compress(const void *src, size_t len, void *dst, size_t *ret_len, void *memory);
#else
#define lzo2_compress NULL
#endif

#endif
