/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kinds of filesystems that can be converted. */
#ifndef BTRKIT_CONVERT_INPLACE_SOURCES_H
#define BTRKIT_CONVERT_INPLACE_SOURCES_H

#include "convert/source/source.h"

/* Open whatever is on @dev. -EMEDIUMTYPE: none of the kinds that are known. */
int sources_open(struct blockdev *dev, const struct source_options *options, struct source **ret_source,
		 struct diag *d);

#endif
