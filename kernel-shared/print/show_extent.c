/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Extents, their back references, and roots. */
#include "kernel-shared/print/show.h"

static const struct flag_name extent_flags[] = {
	{ EXTENT_FLAG_DATA, "DATA" },
	{ EXTENT_FLAG_TREE_BLOCK, "TREE_BLOCK" },
	{ EXTENT_FLAG_FULL_BACKREF, "FULL_BACKREF" },
};

static void show_data_ref(printer *to, const struct disk_extent_data_ref *ref)
{
	show_u64(to, "root", le64_get(ref->root));
	show_u64(to, "objectid", le64_get(ref->objectid));
	show_u64(to, "offset", le64_get(ref->offset));
	show_u64(to, "count", le32_get(ref->count));
}

/* One inline reference at @at; returns its bytes, 0 when it is none that can be shown. */
static u32 show_inline_ref(printer *to, const u8 *at, u32 left)
{
	const struct disk_extent_inline_ref *ref = (const void *)at;
	const struct disk_shared_data_ref *shared = (const void *)(ref + 1);
	u32 bytes = at[0] == EXTENT_DATA_REF_KEY ? 1 + (u32)sizeof(struct disk_extent_data_ref) : (u32)sizeof(*ref);
	char type[NAME_TEXT_MAX];

	if (at[0] == SHARED_DATA_REF_KEY)
		bytes += (u32)sizeof(*shared);
	if (bytes > left)
		return 0;
	show_begin(to, NULL);
	show_text(to, "type", key_type_name(at[0], type));
	switch (at[0]) {
	case EXTENT_DATA_REF_KEY:
		show_data_ref(to, (const void *)(at + 1));
		break;
	case SHARED_DATA_REF_KEY:
		show_u64(to, "parent", le64_get(ref->offset));
		show_u64(to, "count", le32_get(shared->count));
		break;
	case SHARED_BLOCK_REF_KEY:
		show_u64(to, "parent", le64_get(ref->offset));
		break;
	default:
		show_u64(to, "root", le64_get(ref->offset));
	}
	show_end(to);
	return bytes;
}

static void show_extent_item(printer *to, const struct key *key, const void *data, u32 size)
{
	const struct disk_extent_item *item = data;
	const struct disk_tree_block_info *info = (const void *)(item + 1);
	u32 at = sizeof(*item), bytes;

	show_u64(to, "refs", le64_get(item->refs));
	show_u64(to, "generation", le64_get(item->generation));
	show_flags(to, "flags", le64_get(item->flags), extent_flags, ARRAY_LEN(extent_flags));
	if (key->type == METADATA_ITEM_KEY) {
		show_u64(to, "level", key->offset);
	} else if ((le64_get(item->flags) & EXTENT_FLAG_TREE_BLOCK) && size >= at + sizeof(*info)) {
		struct key first = key_unpack(&info->key);

		show_key(to, "first_key", &first);
		show_u64(to, "level", info->level);
		at += sizeof(*info);
	}
	if (at == size)
		return;
	show_begin_list(to, "inline_refs");
	while (at < size && (bytes = show_inline_ref(to, (const u8 *)data + at, size - at)) != 0)
		at += bytes;
	show_end(to);
}

void show_item_extent(printer *to, const struct key *key, const void *data, u32 size)
{
	if ((key->type == EXTENT_ITEM_KEY || key->type == METADATA_ITEM_KEY) && size >= sizeof(struct disk_extent_item))
		show_extent_item(to, key, data, size);
	else if (key->type == EXTENT_DATA_REF_KEY && size >= sizeof(struct disk_extent_data_ref))
		show_data_ref(to, data);
	else if (key->type == SHARED_DATA_REF_KEY && size >= sizeof(struct disk_shared_data_ref))
		show_u64(to, "count", le32_get(((const struct disk_shared_data_ref *)data)->count));
	else if (key->type == EXTENT_OWNER_REF_KEY && size >= sizeof(struct disk_extent_owner_ref))
		show_u64(to, "root", le64_get(((const struct disk_extent_owner_ref *)data)->root));
	else if (size)
		show_raw(to, data, size);
}

static const struct flag_name root_flags[] = { { ROOT_SUBVOL_RDONLY, "RDONLY" }, { ROOT_SUBVOL_DEAD, "DEAD" } };

static void show_root(printer *to, const struct disk_root_item *item, u32 size)
{
	const struct key drop = key_unpack(&item->drop_progress);

	show_u64(to, "generation", le64_get(item->generation));
	show_u64(to, "root_dirid", le64_get(item->root_dirid));
	show_u64(to, "bytenr", le64_get(item->bytenr));
	show_u64(to, "level", item->level);
	show_u64(to, "bytes_used", le64_get(item->bytes_used));
	show_u64(to, "byte_limit", le64_get(item->byte_limit));
	show_u64(to, "last_snapshot", le64_get(item->last_snapshot));
	show_flags(to, "flags", le64_get(item->flags), root_flags, ARRAY_LEN(root_flags));
	show_u64(to, "refs", le32_get(item->refs));
	show_key(to, "drop_progress", &drop);
	show_u64(to, "drop_level", item->drop_level);
	if (size < sizeof(*item) || le64_get(item->generation_v2) != le64_get(item->generation))
		return;
	show_uuid(to, "uuid", item->uuid);
	show_uuid(to, "parent_uuid", item->parent_uuid);
	show_uuid(to, "received_uuid", item->received_uuid);
	show_u64(to, "ctransid", le64_get(item->ctransid));
	show_u64(to, "otransid", le64_get(item->otransid));
	show_u64(to, "stransid", le64_get(item->stransid));
	show_u64(to, "rtransid", le64_get(item->rtransid));
	show_time(to, "ctime", &item->ctime);
	show_time(to, "otime", &item->otime);
	show_time(to, "stime", &item->stime);
	show_time(to, "rtime", &item->rtime);
}

void show_item_root(printer *to, const struct key *key, const void *data, u32 size)
{
	const struct disk_root_ref *ref = data;

	if (key->type == ROOT_ITEM_KEY && size >= ROOT_ITEM_V0_BYTES) {
		show_root(to, data, size);
	} else if (key->type != ROOT_ITEM_KEY && size >= sizeof(*ref) && size >= sizeof(*ref) + le16_get(ref->name_len)) {
		show_u64(to, "dirid", le64_get(ref->dirid));
		show_u64(to, "sequence", le64_get(ref->sequence));
		show_name(to, "name", ref->name, le16_get(ref->name_len));
	} else {
		show_raw(to, data, size);
	}
}
