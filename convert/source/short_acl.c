/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * POSIX ACLs. ext2/3/4 and bcachefs have a version of their own, in which only entries of named users and groups have an identity;
 * the kernel's attribute has one in each. Source: acl(5), <linux/posix_acl_xattr.h>; confirmed on what setfacl stored.
 */
#include "convert/source/short_acl.h"

struct disk_short_entry {
	le16 tag, perm;
};

struct acl_value_entry {
	le16 tag, perm;
	le32 id;
};

enum {
	SHORT_VERSION = 1,
	VALUE_VERSION = 2,
	TAG_USER_OBJ = 0x01,
	TAG_USER = 0x02,
	TAG_GROUP_OBJ = 0x04,
	TAG_GROUP = 0x08,
	TAG_MASK = 0x10,
	TAG_OTHER = 0x20,
};
#define ID_NONE UINT32_MAX

bool short_acl_translate(const void *acl, size_t len, void *ret_value, size_t *ret_len)
{
	const u8 *from = acl, *end = from + len;
	u8 *to = ret_value;
	le32 version;

	if (len < sizeof(version))
		return false;
	memcpy(&version, from, sizeof(version));
	if (le32_get(version) != SHORT_VERSION)
		return false;
	from += sizeof(version);
	le32_put(&version, VALUE_VERSION);
	memcpy(to, &version, sizeof(version));
	to += sizeof(version);
	while (from < end) {
		struct disk_short_entry entry;
		struct acl_value_entry value;
		u16 tag;

		if ((size_t)(end - from) < sizeof(entry))
			return false;
		memcpy(&entry, from, sizeof(entry));
		from += sizeof(entry);
		tag = le16_get(entry.tag);
		value = (struct acl_value_entry){ .tag = entry.tag, .perm = entry.perm };
		le32_put(&value.id, ID_NONE);
		if (tag == TAG_USER || tag == TAG_GROUP) {
			if ((size_t)(end - from) < sizeof(value.id))
				return false;
			memcpy(&value.id, from, sizeof(value.id));
			from += sizeof(value.id);
		} else if (tag != TAG_USER_OBJ && tag != TAG_GROUP_OBJ && tag != TAG_MASK && tag != TAG_OTHER) {
			return false;
		}
		memcpy(to, &value, sizeof(value));
		to += sizeof(value);
	}
	*ret_len = (size_t)(to - (u8 *)ret_value);
	return true;
}
