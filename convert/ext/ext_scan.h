/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The scan: all inodes in the order of their numbers, each with what belongs to it. */
#ifndef BTRKIT_CONVERT_EXT_EXT_SCAN_H
#define BTRKIT_CONVERT_EXT_EXT_SCAN_H

#include "convert/ext/ext_fs.h"

int ext_scan(struct source *source, struct source_sink *sink, struct progress *progress, struct diag *d);

#endif
