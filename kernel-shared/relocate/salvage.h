/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A block group of data of which a part is lost with its devices gets another place all the same: with what can be
 * read, and zeroes for the rest. As the checksums stay, reading what was lost fails, as it did; where there are none,
 * it is zeroes.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_SALVAGE_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_SALVAGE_H

#include "kernel-shared/relocate/relocate.h"

/*
 * Where it would go, as @profile; as single if that deals out data over several devices. Nothing is changed. -ENOSPC.
 */
int salvage_plan(struct relocate *relocate, u64 logical, u64 profile, struct relocate_step *ret_step, struct diag *d);

/* Do it, and commit. What was lost is added to *lost_bytes. */
int salvage_group(struct relocate *relocate, u64 logical, u64 profile, struct relocate_step *ret_step, u64 *lost_bytes,
		  struct diag *d);

#endif
