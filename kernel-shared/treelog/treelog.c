/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Looking things up in a log that was read. */
#include <stdio.h>

#include "common/base/checked.h"
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/treelog/treelog.h"

int treelog_lose(struct treelog_losses *losses, enum btrkit_log_loss_kind kind, u64 subvol, u64 ino, u64 logical,
		 const char *format, ...)
{
	struct treelog_loss loss = { kind, subvol, ino, logical, losses->text.len };
	char text[DIAG_TEXT_MAX];
	va_list args;
	size_t len;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	len = strlen(text) + 1;
	if (array_reserve(&losses->text, len) < 0 || array_push(&losses->list, loss) < 0)
		return -ENOMEM;
	memcpy(losses->text.items + losses->text.len, text, len);
	losses->text.len += len;
	return 0;
}

void treelog_losses_done(struct treelog_losses *losses)
{
	array_done(&losses->list);
	array_done(&losses->text);
}

void treelog_free(struct treelog *log)
{
	if (!log)
		return;
	array_for_each(&log->subvols, subvol) {
		array_done(&subvol->items);
		array_done(&subvol->gaps);
		array_done(&subvol->unlinked);
	}
	array_done(&log->subvols);
	array_done(&log->blocks);
	array_done(&log->data);
	treelog_losses_done(&log->losses);
	free(log);
}

const struct treelog_subvol *treelog_subvol_find(const struct treelog *log, u64 id)
{
	size_t at = array_lower_bound(&log->subvols, it, it->id < id);

	return at < log->subvols.len && log->subvols.items[at].id == id ? &log->subvols.items[at] : NULL;
}

size_t treelog_seek(const struct treelog_subvol *subvol, const struct key *key)
{
	return array_lower_bound(&subvol->items, it, key_compare(&it->key, key) < 0);
}

const struct treelog_item *treelog_find(const struct treelog_subvol *subvol, const struct key *key)
{
	size_t at = treelog_seek(subvol, key);

	return at < subvol->items.len && key_compare(&subvol->items.items[at].key, key) == 0 ? &subvol->items.items[at] : NULL;
}

bool treelog_may_lack(const struct treelog_subvol *subvol, u64 ino, u8 first_type, u8 last_type)
{
	const struct key first = { ino, first_type, 0 }, last = { ino, last_type, UINT64_MAX };

	array_for_each(&subvol->gaps, gap)
		if (key_compare(&gap->from, &last) <= 0 && (!gap->has_to || key_compare(&first, &gap->to) < 0))
			return true;
	return false;
}

bool treelog_is_unlinked(const struct treelog_subvol *subvol, u64 ino)
{
	size_t at = array_lower_bound(&subvol->unlinked, it, *it < ino);

	return at < subvol->unlinked.len && subvol->unlinked.items[at] == ino;
}

/* --- Checksums --------------------------------------------------------------------------------------------------- */

void treelog_csums(const struct treelog *log, const struct treelog_subvol *subvol, u64 logical, u32 nr, u8 *csums,
		   bool *is_known)
{
	u64 sectorsize = log->fs->volume->sectorsize, end = logical + nr * sectorsize;
	u32 size = log->fs->csum->size_bytes;
	const struct key key = { EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY, logical };
	size_t at = treelog_seek(subvol, &key);

	/* The item before may reach into the range. */
	for (at = at ? at - 1 : 0; at < subvol->items.len; at++) {
		const struct treelog_item *item = &subvol->items.items[at];
		u64 start = item->key.offset, item_end = start + item->data_bytes / size * sectorsize;
		u64 from = MAX(start, logical), to = MIN(item_end, end);

		if (item->key.objectid != EXTENT_CSUM_OBJECTID || item->key.type != EXTENT_CSUM_KEY) {
			if (key_compare(&item->key, &key) > 0)
				return;
			continue;
		}
		if (start >= end)
			return;
		if (from >= to)
			continue;
		memcpy(csums + (from - logical) / sectorsize * size,
		       (const u8 *)treelog_data(log, item) + (from - start) / sectorsize * size, (to - from) / sectorsize * size);
		memset(is_known + (from - logical) / sectorsize, true, (to - from) / sectorsize);
	}
}

bool treelog_extent_range(const struct treelog *log, const struct treelog_item *item, u64 *ret_from, u64 *ret_to)
{
	const struct disk_file_extent_item *extent = treelog_data(log, item);
	bool is_inline = extent->type == FILE_EXTENT_INLINE;
	u64 len = is_inline ? MAX(le64_get(extent->ram_bytes), (u64)1) : le64_get(extent->num_bytes), end;

	if (!checked_add(item->key.offset, len, &end) || !checked_round_up(end, log->fs->volume->sectorsize, ret_to))
		return false;
	*ret_from = item->key.offset;
	return true;
}

/* --- Names ------------------------------------------------------------------------------------------------------- */

bool treelog_ref_next(const struct key *key, const void *data, u32 bytes, u32 *at, struct treelog_ref *ret_ref)
{
	const void *from = (const u8 *)data + *at;
	const struct disk_inode_ref *ref = from;
	const struct disk_inode_extref *extref = from;
	bool is_extref = key->type == INODE_EXTREF_KEY;
	u32 fixed = is_extref ? (u32)sizeof(*extref) : (u32)sizeof(*ref), left = bytes - *at;

	if (left < fixed)
		return false;
	*ret_ref = (struct treelog_ref){
		.dir = is_extref ? le64_get(extref->parent_objectid) : key->offset,
		.index = is_extref ? le64_get(extref->index) : le64_get(ref->index),
		.name = is_extref ? extref->name : ref->name,
		.name_len = is_extref ? le16_get(extref->name_len) : le16_get(ref->name_len),
	};
	if (ret_ref->name_len > left - fixed)
		return false;
	*at += fixed + ret_ref->name_len;
	return true;
}

bool treelog_dir_item_next(const void *data, u32 bytes, u32 *at, const struct disk_dir_item **ret_entry)
{
	const struct disk_dir_item *entry = (const void *)((const u8 *)data + *at);
	u32 left = bytes - *at, entry_bytes;

	if (left < sizeof(*entry))
		return false;
	entry_bytes = (u32)sizeof(*entry) + le16_get(entry->name_len) + le16_get(entry->data_len);
	if (entry_bytes > left || le16_get(entry->name_len) > NAME_LEN_MAX)
		return false;
	*at += entry_bytes;
	*ret_entry = entry;
	return true;
}

bool treelog_has_ref(const struct treelog *log, const struct treelog_subvol *subvol, u64 ino, u64 dir, const u8 *name,
		     u16 name_len)
{
	const struct key keys[] = {
		{ ino, INODE_REF_KEY, dir },
		{ ino, INODE_EXTREF_KEY, extref_hash(dir, name, name_len) },
	};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		const struct treelog_item *item = treelog_find(subvol, &keys[i]);
		struct treelog_ref ref;

		for (u32 at = 0; item && treelog_ref_next(&keys[i], treelog_data(log, item), item->data_bytes, &at, &ref);)
			if (ref.dir == dir && ref.name_len == name_len && memcmp(ref.name, name, name_len) == 0)
				return true;
	}
	return false;
}
