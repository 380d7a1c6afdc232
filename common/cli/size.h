/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sizes as people write and read them. */
#ifndef BTRKIT_COMMON_CLI_SIZE_H
#define BTRKIT_COMMON_CLI_SIZE_H

#include "common/base/diag.h"

/*
 * "4096", "16k", "10GiB": a whole number with an optional suffix b, k, m, g, t, p or e (powers of 1024, either case),
 * after which "B" or "iB" may stand. -EINVAL or -ERANGE, and a text that quotes @text.
 */
int size_parse(const char *text, u64 *ret_bytes, struct diag *d);

#define SIZE_TEXT_MAX 32
/* "0B", "512B", "16.00KiB", "1.50GiB" into @buf; returns @buf. */
const char *size_format(u64 bytes, char buf[SIZE_TEXT_MAX]);
/* The same, or (@is_raw) bytes as a bare number. */
const char *size_format_as(u64 bytes, bool is_raw, char buf[SIZE_TEXT_MAX]);

#endif
