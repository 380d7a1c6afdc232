/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/inplace/sources.h"

#include "convert/ext/ext_source.h"

static const struct source_ops *const kinds[] = { &source_ext_ops };

int sources_open(struct blockdev *dev, const struct source_options *options, struct source **ret_source,
		 struct diag *d)
{
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		int err = kinds[i]->open(&dev, 1, options, ret_source, d);

		if (err <= 0)
			return err;
	}
	return diag_fail(d, -EMEDIUMTYPE, "%s: no filesystem that can be converted: ext2, ext3 and ext4 can", dev->name);
}
