/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extents at other addresses. */
#include "kernel-shared/relocate/relocate.h"

int move_extents(struct relocate *relocate, const u64 *logicals, size_t nr, struct diag *d)
{
	(void)relocate;
	(void)nr;
	return diag_fail(d, -EOPNOTSUPP, "block group %llu: extents cannot be given other addresses by this version",
			 (unsigned long long)logicals[0]);
}
