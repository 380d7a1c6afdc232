/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a jset, or the clean section, consists of: entries, some of which have keys. */
#include <stdio.h>

#include "convert/bcachefs/bch_journal.h"

int bch_jentries_for_each(const u8 *entries, size_t bytes, bch_jentry_fn fn, void *ctx, struct diag *d)
{
	size_t at = 0;

	while (at < bytes) {
		const struct disk_bch_jentry *entry = (const void *)(entries + at);
		size_t payload_bytes;
		int err;

		if (bytes - at < sizeof(*entry))
			return diag_fail(d, -EUCLEAN, "entry at byte %zu: %zu bytes are too few for one", at, bytes - at);
		payload_bytes = le16_get(entry->u64s) * (size_t)8;
		at += sizeof(*entry);
		if (payload_bytes > bytes - at)
			return diag_fail(d, -EUCLEAN, "entry at byte %zu: %zu bytes, where %zu are left", at - sizeof(*entry),
					 payload_bytes, bytes - at);
		err = fn(ctx, entry, entries + at, payload_bytes, d);
		if (err)
			return err;
		at += payload_bytes;
	}
	return 0;
}

int bch_jentry_keys_for_each(const u8 *payload, size_t payload_bytes,
			     int (*fn)(void *ctx, const struct bch_key *key, size_t offset_bytes, struct diag *d), void *ctx,
			     struct diag *d)
{
	size_t at = 0;

	/* One without any length ends them. */
	while (at < payload_bytes && payload[at] != 0) {
		struct bch_key key;
		int len = bch_key_get(NULL, payload + at, payload_bytes - at, &key, d), err;

		if (len < 0)
			return len;
		err = fn(ctx, &key, at, d);
		if (err)
			return err;
		at += (size_t)len;
	}
	return 0;
}

bool bch_jentry_is_applied(u8 type)
{
	return type == BCH_JENTRY_KEYS || type == BCH_JENTRY_WRITE_BUFFER_KEYS;
}

bool bch_jentry_has_keys(u8 type)
{
	return bch_jentry_is_applied(type) || type == BCH_JENTRY_ROOT || type == BCH_JENTRY_OVERWRITE ||
	       type == BCH_JENTRY_LOG_KEY;
}

const char *bch_jentry_name(u8 type, char buf[16])
{
	static const char *const names[] = {
		[BCH_JENTRY_KEYS] = "btree_keys",
		[BCH_JENTRY_ROOT] = "btree_root",
		[BCH_JENTRY_PRIO_PTRS] = "prio_ptrs",
		[BCH_JENTRY_BLACKLIST] = "blacklist",
		[BCH_JENTRY_BLACKLIST_V2] = "blacklist_v2",
		[BCH_JENTRY_USAGE] = "usage",
		[BCH_JENTRY_DATA_USAGE] = "data_usage",
		[BCH_JENTRY_CLOCK] = "clock",
		[BCH_JENTRY_DEV_USAGE] = "dev_usage",
		[BCH_JENTRY_LOG] = "log",
		[BCH_JENTRY_OVERWRITE] = "overwrite",
		[BCH_JENTRY_WRITE_BUFFER_KEYS] = "write_buffer_keys",
		[BCH_JENTRY_DATETIME] = "datetime",
		[BCH_JENTRY_LOG_KEY] = "log_bkey",
		[BCH_JENTRY_REWIND_LIMIT] = "rewind_limit",
		[BCH_JENTRY_REWIND] = "rewind",
	};

	_Static_assert(ARRAY_LEN(names) == BCH_NR_JENTRY_TYPES, "each type of entry has a name");
	if (type < ARRAY_LEN(names))
		return names[type];
	snprintf(buf, 16, "type %u", type);
	return buf;
}
