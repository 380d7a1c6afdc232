/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading LZO1X streams. */
#ifndef BTRKIT_COMMON_COMPRESS_LZO1X_H
#define BTRKIT_COMMON_COMPRESS_LZO1X_H

#include "common/base/types.h"

/*
 * Decompress one LZO1X stream of @len bytes into at most @cap bytes. 0 and *ret_len, or -EUCLEAN.
 * Source: the description of the stream format in the Linux documentation ("LZO stream format as understood by
 * Linux' LZO decompressor").
 */
int lzo1x_stream_decompress(const u8 *src, size_t len, u8 *dst, size_t cap, size_t *ret_len);

#endif
