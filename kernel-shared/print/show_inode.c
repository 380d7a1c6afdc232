/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Items of subvolume trees: inodes, names, attributes, file extents, log entries. */
#include "kernel-shared/print/show.h"

static const struct flag_name inode_flags[] = {
	{ INODE_NODATASUM, "NODATASUM" },
	{ INODE_NODATACOW, "NODATACOW" },
	{ INODE_READONLY, "READONLY" },
	{ INODE_NOCOMPRESS, "NOCOMPRESS" },
	{ INODE_PREALLOC, "PREALLOC" },
	{ INODE_SYNC, "SYNC" },
	{ INODE_IMMUTABLE, "IMMUTABLE" },
	{ INODE_APPEND, "APPEND" },
	{ INODE_NODUMP, "NODUMP" },
	{ INODE_NOATIME, "NOATIME" },
	{ INODE_DIRSYNC, "DIRSYNC" },
	{ INODE_COMPRESS, "COMPRESS" },
	{ INODE_ROOT_ITEM_INIT, "ROOT_ITEM_INIT" },
	{ INODE_RO_VERITY, "VERITY" },
};

static const char *const file_types[FT_MAX] = { "UNKNOWN", "FILE", "DIR",     "CHRDEV", "BLKDEV",
						"FIFO",	   "SOCK", "SYMLINK", "XATTR" };

static void show_mode(printer *to, u32 mode)
{
	char text[8];

	for (int i = 6; i >= 0; i--, mode >>= 3)
		text[i] = (char)('0' + (mode & 7));
	text[7] = '\0';
	show_text(to, "mode", text);
}

static void show_inode_item(printer *to, const struct disk_inode_item *item)
{
	show_u64(to, "generation", le64_get(item->generation));
	show_u64(to, "transid", le64_get(item->transid));
	show_u64(to, "size", le64_get(item->size));
	show_u64(to, "nbytes", le64_get(item->nbytes));
	show_u64(to, "block_group", le64_get(item->block_group));
	show_mode(to, le32_get(item->mode));
	show_u64(to, "nlink", le32_get(item->nlink));
	show_u64(to, "uid", le32_get(item->uid));
	show_u64(to, "gid", le32_get(item->gid));
	show_u64(to, "rdev", le64_get(item->rdev));
	show_u64(to, "sequence", le64_get(item->sequence));
	show_flags(to, "flags", le64_get(item->flags), inode_flags, ARRAY_LEN(inode_flags));
	show_time(to, "atime", &item->atime);
	show_time(to, "ctime", &item->ctime);
	show_time(to, "mtime", &item->mtime);
	show_time(to, "otime", &item->otime);
}

static void show_inode_refs(printer *to, const u8 *at, u32 left)
{
	show_begin_list(to, "names");
	while (left >= sizeof(struct disk_inode_ref)) {
		const struct disk_inode_ref *ref = (const void *)at;
		u32 bytes = (u32)sizeof(*ref) + le16_get(ref->name_len);

		if (bytes > left)
			break;
		show_begin(to, NULL);
		show_u64(to, "index", le64_get(ref->index));
		show_name(to, "name", ref->name, le16_get(ref->name_len));
		show_end(to);
		at += bytes;
		left -= bytes;
	}
	show_end(to);
}

static void show_inode_extrefs(printer *to, const u8 *at, u32 left)
{
	show_begin_list(to, "names");
	while (left >= sizeof(struct disk_inode_extref)) {
		const struct disk_inode_extref *ref = (const void *)at;
		u32 bytes = (u32)sizeof(*ref) + le16_get(ref->name_len);

		if (bytes > left)
			break;
		show_begin(to, NULL);
		show_u64(to, "parent", le64_get(ref->parent_objectid));
		show_u64(to, "index", le64_get(ref->index));
		show_name(to, "name", ref->name, le16_get(ref->name_len));
		show_end(to);
		at += bytes;
		left -= bytes;
	}
	show_end(to);
}

static void show_dir_items(printer *to, const u8 *at, u32 left, bool is_xattr)
{
	show_begin_list(to, "entries");
	while (left >= sizeof(struct disk_dir_item)) {
		const struct disk_dir_item *entry = (const void *)at;
		u32 name_len = le16_get(entry->name_len), data_len = le16_get(entry->data_len);
		u8 type = entry->type & (u8)~FT_ENCRYPTED;
		struct key location = key_unpack(&entry->location);

		if (sizeof(*entry) + name_len + data_len > left)
			break;
		show_begin(to, NULL);
		if (!is_xattr)
			show_key(to, "location", &location);
		show_u64(to, "transid", le64_get(entry->transid));
		show_text(to, "type", type < FT_MAX ? file_types[type] : "?");
		show_name(to, "name", entry->name, name_len);
		if (data_len)
			show_name(to, "value", entry->name + name_len, data_len);
		show_end(to);
		at += sizeof(*entry) + name_len + data_len;
		left -= (u32)sizeof(*entry) + name_len + data_len;
	}
	show_end(to);
}

static void show_file_extent(printer *to, const struct disk_file_extent_item *item, u32 size)
{
	static const char *const types[] = { "inline", "regular", "prealloc" };
	static const char *const compressions[] = { "none", "zlib", "lzo", "zstd" };

	show_u64(to, "generation", le64_get(item->generation));
	show_text(to, "type", item->type < ARRAY_LEN(types) ? types[item->type] : "?");
	show_text(to, "compression", item->compression < ARRAY_LEN(compressions) ? compressions[item->compression] : "?");
	show_u64(to, "ram_bytes", le64_get(item->ram_bytes));
	if (item->type == FILE_EXTENT_INLINE || size < sizeof(*item)) {
		show_u64(to, "inline_bytes", size - (u32)FILE_EXTENT_INLINE_HEADER_BYTES);
		return;
	}
	show_u64(to, "disk_bytenr", le64_get(item->disk_bytenr));
	show_u64(to, "disk_num_bytes", le64_get(item->disk_num_bytes));
	show_u64(to, "offset", le64_get(item->offset));
	show_u64(to, "num_bytes", le64_get(item->num_bytes));
}

static u32 smallest(u8 type)
{
	switch (type) {
	case INODE_ITEM_KEY:
		return sizeof(struct disk_inode_item);
	case EXTENT_DATA_KEY:
		return FILE_EXTENT_INLINE_HEADER_BYTES;
	case DIR_LOG_ITEM_KEY:
	case DIR_LOG_INDEX_KEY:
		return sizeof(struct disk_dir_log_item);
	default:
		return 0;
	}
}

void show_item_inode(printer *to, const struct key *key, const void *data, u32 size)
{
	if (size < smallest(key->type)) {
		show_raw(to, data, size);
		return;
	}
	switch (key->type) {
	case INODE_ITEM_KEY:
		show_inode_item(to, data);
		break;
	case INODE_REF_KEY:
		show_inode_refs(to, data, size);
		break;
	case INODE_EXTREF_KEY:
		show_inode_extrefs(to, data, size);
		break;
	case DIR_ITEM_KEY:
	case DIR_INDEX_KEY:
	case XATTR_ITEM_KEY:
		show_dir_items(to, data, size, key->type == XATTR_ITEM_KEY);
		break;
	case EXTENT_DATA_KEY:
		show_file_extent(to, data, size);
		break;
	case DIR_LOG_ITEM_KEY:
	case DIR_LOG_INDEX_KEY:
		show_u64(to, "end", le64_get(((const struct disk_dir_log_item *)data)->end));
		break;
	default:
		show_raw(to, data, size);
	}
}
