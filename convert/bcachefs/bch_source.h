/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* bcachefs as a source. Several devices; files are read with read_file(), as much is compressed or in pieces. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_SOURCE_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_SOURCE_H

#include "convert/source/source.h"

extern const struct source_ops source_bcachefs_ops;

#endif
