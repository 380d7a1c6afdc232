/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_inode.h"
#include "convert/source/short_acl.h"

int bch_acl_to_posix(const u8 *value, size_t len, u8 **ret_value, size_t *ret_len, struct diag *d)
{
	u8 *posix = malloc(short_acl_room(len));

	if (!posix)
		return diag_no_memory(d, "an ACL");
	if (!short_acl_translate(value, len, posix, ret_len)) {
		free(posix);
		return diag_fail(d, -EUCLEAN, "an ACL of %zu bytes cannot be understood", len);
	}
	*ret_value = posix;
	return 0;
}
