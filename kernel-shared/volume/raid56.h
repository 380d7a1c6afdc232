/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parity arithmetic of RAID5 and RAID6 rows: P is the exclusive or of the data stripes, Q their sum weighted with
 * powers of 2 in GF(256) modulo x^8+x^4+x^3+x^2+1. Pure functions over buffers of equal length.
 * Source: H. Peter Anvin, "The mathematics of RAID-6"; results confirmed on rows written by Linux.
 */
#ifndef BTRKIT_KERNEL_SHARED_VOLUME_RAID56_H
#define BTRKIT_KERNEL_SHARED_VOLUME_RAID56_H

#include "common/base/types.h"

/* P into @p, and Q into @q unless NULL, of @nr_data stripes of @len bytes. */
void raid56_generate(u8 *const *data, unsigned nr_data, u8 *p, u8 *q, size_t len);

/*
 * Rebuild what is lost in a row. stripes[0..nr_data-1] are data, then P, then Q when @nr_parity is 2; every pointer
 * has a buffer of @len bytes, and those of the @nr_lost indices in @lost (ascending) are overwritten. false: more
 * lost than the parity can give back.
 */
bool raid56_recover(u8 *const *stripes, unsigned nr_data, unsigned nr_parity, const unsigned *lost, unsigned nr_lost,
		    size_t len);

#endif
