/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chunks, devices, block groups, free space, and the small items of quotas, balance, replace and statistics. */
#include "kernel-shared/print/show.h"

static const struct flag_name block_group_flags[] = {
	{ BLOCK_GROUP_DATA, "DATA" },	      { BLOCK_GROUP_SYSTEM, "SYSTEM" },	    { BLOCK_GROUP_METADATA, "METADATA" },
	{ BLOCK_GROUP_RAID0, "RAID0" },	      { BLOCK_GROUP_RAID1, "RAID1" },	    { BLOCK_GROUP_DUP, "DUP" },
	{ BLOCK_GROUP_RAID10, "RAID10" },     { BLOCK_GROUP_RAID5, "RAID5" },	    { BLOCK_GROUP_RAID6, "RAID6" },
	{ BLOCK_GROUP_RAID1C3, "RAID1C3" },   { BLOCK_GROUP_RAID1C4, "RAID1C4" },   { BLOCK_GROUP_REMAPPED, "REMAPPED" },
	{ BLOCK_GROUP_METADATA_REMAP, "METADATA_REMAP" }, { BALANCE_PROFILE_SINGLE, "SINGLE" },
};

static const struct flag_name balance_flags[] = {
	{ BALANCE_DATA, "DATA" },   { BALANCE_SYSTEM, "SYSTEM" }, { BALANCE_METADATA, "METADATA" },
	{ BALANCE_FORCE, "FORCE" }, { BALANCE_RESUME, "RESUME" },
};

static const struct flag_name balance_args_flags[] = {
	{ BALANCE_ARGS_PROFILES, "PROFILES" },	     { BALANCE_ARGS_USAGE, "USAGE" },
	{ BALANCE_ARGS_DEVID, "DEVID" },	     { BALANCE_ARGS_DRANGE, "DRANGE" },
	{ BALANCE_ARGS_VRANGE, "VRANGE" },	     { BALANCE_ARGS_LIMIT, "LIMIT" },
	{ BALANCE_ARGS_LIMIT_RANGE, "LIMIT_RANGE" }, { BALANCE_ARGS_STRIPES_RANGE, "STRIPES_RANGE" },
	{ BALANCE_ARGS_CONVERT, "CONVERT" },	     { BALANCE_ARGS_SOFT, "SOFT" },
	{ BALANCE_ARGS_USAGE_RANGE, "USAGE_RANGE" },
};

static const struct flag_name qgroup_status_flags[] = {
	{ QGROUP_STATUS_ON, "ON" },
	{ QGROUP_STATUS_RESCAN, "RESCAN" },
	{ QGROUP_STATUS_INCONSISTENT, "INCONSISTENT" },
	{ QGROUP_STATUS_SIMPLE_MODE, "SIMPLE_MODE" },
};

void show_block_group_flags(printer *to, const char *name, u64 flags)
{
	show_flags(to, name, flags, block_group_flags, ARRAY_LEN(block_group_flags));
}

void show_chunk(printer *to, const struct disk_chunk *chunk, u32 size)
{
	u16 fitting = (u16)((size - sizeof(*chunk)) / sizeof(chunk->stripe[0]));

	show_u64(to, "length", le64_get(chunk->length));
	show_u64(to, "owner", le64_get(chunk->owner));
	show_u64(to, "stripe_len", le64_get(chunk->stripe_len));
	show_block_group_flags(to, "type", le64_get(chunk->type));
	show_u64(to, "io_align", le32_get(chunk->io_align));
	show_u64(to, "io_width", le32_get(chunk->io_width));
	show_u64(to, "sector_size", le32_get(chunk->sector_size));
	show_u64(to, "num_stripes", le16_get(chunk->num_stripes));
	show_u64(to, "sub_stripes", le16_get(chunk->sub_stripes));
	show_begin_list(to, "stripes");
	for (u16 i = 0; i < MIN(le16_get(chunk->num_stripes), fitting); i++) {
		show_begin(to, NULL);
		show_u64(to, "devid", le64_get(chunk->stripe[i].devid));
		show_u64(to, "offset", le64_get(chunk->stripe[i].offset));
		show_uuid(to, "dev_uuid", chunk->stripe[i].dev_uuid);
		show_end(to);
	}
	show_end(to);
}

void show_dev_item(printer *to, const struct disk_dev_item *item)
{
	show_u64(to, "devid", le64_get(item->devid));
	show_u64(to, "total_bytes", le64_get(item->total_bytes));
	show_u64(to, "bytes_used", le64_get(item->bytes_used));
	show_u64(to, "io_align", le32_get(item->io_align));
	show_u64(to, "io_width", le32_get(item->io_width));
	show_u64(to, "sector_size", le32_get(item->sector_size));
	show_u64(to, "type", le64_get(item->type));
	show_u64(to, "generation", le64_get(item->generation));
	show_u64(to, "start_offset", le64_get(item->start_offset));
	show_u64(to, "dev_group", le32_get(item->dev_group));
	show_u64(to, "seek_speed", item->seek_speed);
	show_u64(to, "bandwidth", item->bandwidth);
	show_uuid(to, "uuid", item->uuid);
	show_uuid(to, "fsid", item->fsid);
}

static void show_dev_extent(printer *to, const struct disk_dev_extent *item)
{
	show_u64(to, "chunk_tree", le64_get(item->chunk_tree));
	show_u64(to, "chunk_objectid", le64_get(item->chunk_objectid));
	show_u64(to, "chunk_offset", le64_get(item->chunk_offset));
	show_u64(to, "length", le64_get(item->length));
	show_uuid(to, "chunk_tree_uuid", item->chunk_tree_uuid);
}

static void show_block_group(printer *to, const struct disk_block_group_item *item)
{
	show_u64(to, "used", le64_get(item->used));
	show_u64(to, "chunk_objectid", le64_get(item->chunk_objectid));
	show_block_group_flags(to, "flags", le64_get(item->flags));
}

static void show_qgroup_status(printer *to, const struct disk_qgroup_status_item *item, u32 size)
{
	show_u64(to, "version", le64_get(item->version));
	show_u64(to, "generation", le64_get(item->generation));
	show_flags(to, "flags", le64_get(item->flags), qgroup_status_flags, ARRAY_LEN(qgroup_status_flags));
	show_u64(to, "rescan", le64_get(item->rescan));
	if (size >= sizeof(*item))
		show_u64(to, "enable_gen", le64_get(item->enable_gen));
}

static void show_qgroup_info(printer *to, const struct disk_qgroup_info_item *item)
{
	show_u64(to, "generation", le64_get(item->generation));
	show_u64(to, "referenced", le64_get(item->rfer));
	show_u64(to, "referenced_compressed", le64_get(item->rfer_cmpr));
	show_u64(to, "exclusive", le64_get(item->excl));
	show_u64(to, "exclusive_compressed", le64_get(item->excl_cmpr));
}

static void show_qgroup_limit(printer *to, const struct disk_qgroup_limit_item *item)
{
	show_u64(to, "flags", le64_get(item->flags));
	show_u64(to, "max_referenced", le64_get(item->max_rfer));
	show_u64(to, "max_exclusive", le64_get(item->max_excl));
	show_u64(to, "rsv_referenced", le64_get(item->rsv_rfer));
	show_u64(to, "rsv_exclusive", le64_get(item->rsv_excl));
}

/* One field holds a number, or the two ends of a range. */
static void show_number_or_range(printer *to, const char *name, le64 field, bool is_range)
{
	u64 value = le64_get(field);

	if (!is_range) {
		show_u64(to, name, value);
		return;
	}
	show_begin(to, name);
	show_u64(to, "min", (u32)value);
	show_u64(to, "max", value >> 32);
	show_end(to);
}

static void show_balance_args(printer *to, const char *name, const struct disk_balance_args *args)
{
	u64 flags = le64_get(args->flags);

	show_begin(to, name);
	show_flags(to, "flags", flags, balance_args_flags, ARRAY_LEN(balance_args_flags));
	show_block_group_flags(to, "profiles", le64_get(args->profiles));
	show_number_or_range(to, "usage", args->usage, flags & BALANCE_ARGS_USAGE_RANGE);
	show_u64(to, "devid", le64_get(args->devid));
	show_u64(to, "pstart", le64_get(args->pstart));
	show_u64(to, "pend", le64_get(args->pend));
	show_u64(to, "vstart", le64_get(args->vstart));
	show_u64(to, "vend", le64_get(args->vend));
	show_block_group_flags(to, "target", le64_get(args->target));
	show_number_or_range(to, "limit", args->limit, flags & BALANCE_ARGS_LIMIT_RANGE);
	show_u64(to, "stripes_min", le32_get(args->stripes_min));
	show_u64(to, "stripes_max", le32_get(args->stripes_max));
	show_end(to);
}

static void show_temporary(printer *to, const struct key *key, const void *data, u32 size)
{
	static const char *const device_words[BALANCE_DEVICES_WORDS] = { "devices_1_to_64", "devices_65_to_128", "devices_129_to_192" };
	const struct disk_balance_item *item = data;

	if (key->objectid != BALANCE_OBJECTID || size < sizeof(*item)) {
		show_raw(to, data, size);
		return;
	}
	show_flags(to, "flags", le64_get(item->flags), balance_flags, ARRAY_LEN(balance_flags));
	show_balance_args(to, "data", &item->data);
	show_balance_args(to, "metadata", &item->meta);
	show_balance_args(to, "system", &item->sys);
	for (size_t i = 0; i < ARRAY_LEN(device_words) && le64_get(item->unused[0]) == BALANCE_DEVICES_MAGIC; i++)
		show_u64(to, device_words[i], le64_get(item->unused[1 + i]));
}

static void show_dev_stats(printer *to, const struct key *key, const void *data, u32 size)
{
	static const char *const names[DEV_STAT_VALUES_MAX] = { "write_errors", "read_errors", "flush_errors",
								"corruption_errors", "generation_errors" };
	const struct disk_dev_stats_item *item = data;

	if (key->objectid != DEV_STATS_OBJECTID || size < sizeof(*item)) {
		show_raw(to, data, size);
		return;
	}
	for (size_t i = 0; i < DEV_STAT_VALUES_MAX; i++)
		show_u64(to, names[i], le64_get(item->values[i]));
}

static void show_dev_replace(printer *to, const struct disk_dev_replace_item *item)
{
	show_u64(to, "src_devid", le64_get(item->src_devid));
	show_u64(to, "cursor_left", le64_get(item->cursor_left));
	show_u64(to, "cursor_right", le64_get(item->cursor_right));
	show_u64(to, "replace_mode", le64_get(item->cont_reading_from_srcdev_mode));
	show_u64(to, "replace_state", le64_get(item->replace_state));
	show_u64(to, "time_started", le64_get(item->time_started));
	show_u64(to, "time_stopped", le64_get(item->time_stopped));
	show_u64(to, "write_errors", le64_get(item->num_write_errors));
	show_u64(to, "uncorrectable_read_errors", le64_get(item->num_uncorrectable_read_errors));
}

static u32 smallest(u8 type)
{
	switch (type) {
	case CHUNK_ITEM_KEY:
		return sizeof(struct disk_chunk);
	case DEV_ITEM_KEY:
		return sizeof(struct disk_dev_item);
	case DEV_EXTENT_KEY:
		return sizeof(struct disk_dev_extent);
	case BLOCK_GROUP_ITEM_KEY:
		return sizeof(struct disk_block_group_item);
	case FREE_SPACE_INFO_KEY:
		return sizeof(struct disk_free_space_info);
	case QGROUP_STATUS_KEY:
		return offsetof(struct disk_qgroup_status_item, enable_gen);
	case QGROUP_INFO_KEY:
		return sizeof(struct disk_qgroup_info_item);
	case QGROUP_LIMIT_KEY:
		return sizeof(struct disk_qgroup_limit_item);
	case DEV_REPLACE_KEY:
		return sizeof(struct disk_dev_replace_item);
	default:
		return 0;
	}
}

void show_item_volume(printer *to, const struct key *key, const void *data, u32 size)
{
	const struct disk_free_space_info *info = data;

	if (size < smallest(key->type)) {
		show_raw(to, data, size);
		return;
	}
	switch (key->type) {
	case CHUNK_ITEM_KEY:
		return show_chunk(to, data, size);
	case DEV_ITEM_KEY:
		return show_dev_item(to, data);
	case DEV_EXTENT_KEY:
		return show_dev_extent(to, data);
	case BLOCK_GROUP_ITEM_KEY:
		return show_block_group(to, data);
	case FREE_SPACE_INFO_KEY:
		show_u64(to, "extent_count", le32_get(info->extent_count));
		return show_bool(to, "is_bitmap", le32_get(info->flags) & FREE_SPACE_USING_BITMAPS);
	case QGROUP_STATUS_KEY:
		return show_qgroup_status(to, data, size);
	case QGROUP_INFO_KEY:
		return show_qgroup_info(to, data);
	case QGROUP_LIMIT_KEY:
		return show_qgroup_limit(to, data);
	case TEMPORARY_ITEM_KEY:
		return show_temporary(to, key, data, size);
	case PERSISTENT_ITEM_KEY:
		return show_dev_stats(to, key, data, size);
	case DEV_REPLACE_KEY:
		return show_dev_replace(to, data);
	default:
		if (size)
			show_raw(to, data, size);
	}
}
