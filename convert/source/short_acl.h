/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* POSIX ACLs as ext2/3/4 and bcachefs store them. */
#ifndef BTRKIT_CONVERT_SOURCE_SHORT_ACL_H
#define BTRKIT_CONVERT_SOURCE_SHORT_ACL_H

#include "common/base/types.h"

/*
 * An ACL as it is stored, as the value of the attribute that the kernel shows: *ret_len bytes at @ret_value, which has room
 * for short_acl_room(@len). False: it is none.
 */
bool short_acl_translate(const void *acl, size_t len, void *ret_value, size_t *ret_len);
static inline size_t short_acl_room(size_t len)
{
	return 4 + len * 2;
}

#endif
