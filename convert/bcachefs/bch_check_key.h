/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What single keys are judged by, in every btree. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_CHECK_KEY_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_CHECK_KEY_H

#include "convert/bcachefs/bch_check.h"

/* May a key of @type be in @btree? */
bool bch_key_belongs(u8 btree, u8 type);
/* Complains of a type that does not belong there, and of a snapshot that is not there. False: nothing can be made of the key. */
bool bch_key_judge(struct bch_check *check, u8 btree, const struct bch_key *key);
/* With the files that it is of. */
void bch_complain_of_key(struct bch_check *check, u8 btree, const struct bch_pos *pos, const char *why);

#endif
