/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Data extents of what lies on the device: which there are, who has them. */
#ifndef BTRKIT_CONVERT_INPLACE_PLACING_H
#define BTRKIT_CONVERT_INPLACE_PLACING_H

#include "convert/inplace/gather.h"

/*
 * From used ranges, runs of files and a space plan that was made to extents: those of @placed, and those of the content's
 * files. To be called again when the plan has changed. @content is finished.
 */
int place_extents(const struct space_plan *plan, const struct gathered *gathered, struct placed_data *placed,
		  struct diag *d);

#endif
