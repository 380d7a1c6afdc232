/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which fields items have, how they are changed, and which changes mean nothing. */
#ifndef BTRKIT_TESTS_CHECK_FIELDS_H
#define BTRKIT_TESTS_CHECK_FIELDS_H

#include "kernel-shared/format/disk.h"

struct field {
	u8 type; /* of the key */
	const char *name;
	u32 at, size;
};

extern const struct field fields[];
extern const size_t nr_fields;

#define MEMBER_SIZE(s, m) (u32)sizeof(((struct s *)0)->m)
#define FIELD_OF(type, s, m) { type, #m, (u32)offsetof(struct s, m), MEMBER_SIZE(s, m) }

#define HEADER_FIELDS                                                                              \
	FIELD_OF(0, disk_header, fsid), FIELD_OF(0, disk_header, bytenr), FIELD_OF(0, disk_header, flags), \
		FIELD_OF(0, disk_header, chunk_tree_uuid), FIELD_OF(0, disk_header, generation),    \
		FIELD_OF(0, disk_header, owner), FIELD_OF(0, disk_header, nritems), FIELD_OF(0, disk_header, level)

#define SUPER_FIELDS                                                                               \
	FIELD_OF(0, disk_super, fsid), FIELD_OF(0, disk_super, bytenr), FIELD_OF(0, disk_super, flags),            \
		FIELD_OF(0, disk_super, magic), FIELD_OF(0, disk_super, generation), FIELD_OF(0, disk_super, root), \
		FIELD_OF(0, disk_super, chunk_root), FIELD_OF(0, disk_super, log_root),             \
		FIELD_OF(0, disk_super, log_root_transid), FIELD_OF(0, disk_super, total_bytes),    \
		FIELD_OF(0, disk_super, bytes_used), FIELD_OF(0, disk_super, root_dir_objectid),    \
		FIELD_OF(0, disk_super, num_devices), FIELD_OF(0, disk_super, sectorsize),          \
		FIELD_OF(0, disk_super, nodesize), FIELD_OF(0, disk_super, leafsize),               \
		FIELD_OF(0, disk_super, stripesize), FIELD_OF(0, disk_super, sys_chunk_array_size), \
		FIELD_OF(0, disk_super, chunk_root_generation), FIELD_OF(0, disk_super, compat_flags), \
		FIELD_OF(0, disk_super, compat_ro_flags), FIELD_OF(0, disk_super, incompat_flags),  \
		FIELD_OF(0, disk_super, csum_type), FIELD_OF(0, disk_super, root_level),            \
		FIELD_OF(0, disk_super, chunk_root_level), FIELD_OF(0, disk_super, log_root_level), \
		FIELD_OF(0, disk_super, dev_item.devid), FIELD_OF(0, disk_super, dev_item.total_bytes), \
		FIELD_OF(0, disk_super, dev_item.bytes_used), FIELD_OF(0, disk_super, dev_item.uuid), \
		FIELD_OF(0, disk_super, dev_item.fsid), FIELD_OF(0, disk_super, label),             \
		FIELD_OF(0, disk_super, cache_generation), FIELD_OF(0, disk_super, uuid_tree_generation), \
		FIELD_OF(0, disk_super, sys_chunk_array[0]), FIELD_OF(0, disk_super, sys_chunk_array[17])

enum change { CHANGE_ADD_ONE, CHANGE_FLIP_MIDDLE, CHANGE_ZERO, CHANGE_ONES, NR_CHANGES };
const char *change_name(enum change change);

/* False: it would change nothing. */
bool apply_change(u8 *at, u32 size, enum change change);

/* Why a change that the check does not notice does no harm; NULL: it does. */
const char *harmless_reason(const char *kind, const char *field, enum change change);

#endif
