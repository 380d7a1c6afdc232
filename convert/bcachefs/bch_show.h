/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Btrees of bcachefs for people: every key with its value decoded. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_SHOW_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_SHOW_H

#include <btrkit/inspect.h>

#include "convert/bcachefs/bch_key.h"

struct bch_fs;

/* What is in a key's value, as members of an object that has begun. What cannot be decoded is shown as bytes. */
void bch_show_value(const struct btrkit_printer *to, const struct bch_fs *fs, const struct bch_key *key);

/*
 * One object for the btree, then one for each key in their order, with the journal laid over; and one for each range that cannot
 * be read, of which @nr_lost is the number.
 */
int bch_show_btree(const struct btrkit_printer *to, struct bch_fs *fs, u8 btree, u64 *nr_lost, struct diag *d);

#endif
