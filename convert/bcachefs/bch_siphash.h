/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* SipHash-2-4 (Aumasson and Bernstein, 2012): by it directories are sorted. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_SIPHASH_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_SIPHASH_H

#include "common/base/types.h"

u64 bch_siphash(u64 key_0, u64 key_1, const void *data, size_t len_bytes);

#endif
