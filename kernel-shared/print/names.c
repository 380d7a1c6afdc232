/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of trees, key types and objectids, as dump-tree users know them. */
#include <stdio.h>
#include <strings.h>

#include "kernel-shared/print/show.h"

struct number_name {
	u64 number;
	const char *name;
};

static const struct number_name trees[] = {
	{ ROOT_TREE_OBJECTID, "ROOT_TREE" },
	{ EXTENT_TREE_OBJECTID, "EXTENT_TREE" },
	{ CHUNK_TREE_OBJECTID, "CHUNK_TREE" },
	{ DEV_TREE_OBJECTID, "DEV_TREE" },
	{ FS_TREE_OBJECTID, "FS_TREE" },
	{ ROOT_TREE_DIR_OBJECTID, "ROOT_TREE_DIR" },
	{ CSUM_TREE_OBJECTID, "CSUM_TREE" },
	{ QUOTA_TREE_OBJECTID, "QUOTA_TREE" },
	{ UUID_TREE_OBJECTID, "UUID_TREE" },
	{ FREE_SPACE_TREE_OBJECTID, "FREE_SPACE_TREE" },
	{ BLOCK_GROUP_TREE_OBJECTID, "BLOCK_GROUP_TREE" },
	{ RAID_STRIPE_TREE_OBJECTID, "RAID_STRIPE_TREE" },
	{ REMAP_TREE_OBJECTID, "REMAP_TREE" },
	{ TREE_LOG_OBJECTID, "TREE_LOG" },
	{ TREE_LOG_FIXUP_OBJECTID, "TREE_LOG_FIXUP" },
	{ TREE_RELOC_OBJECTID, "TREE_RELOC" },
	{ DATA_RELOC_TREE_OBJECTID, "DATA_RELOC_TREE" },
};

static const struct number_name special_objectids[] = {
	{ BALANCE_OBJECTID, "BALANCE" },
	{ ORPHAN_OBJECTID, "ORPHAN" },
	{ EXTENT_CSUM_OBJECTID, "EXTENT_CSUM" },
	{ FREE_SPACE_OBJECTID, "FREE_SPACE" },
	{ FREE_INO_OBJECTID, "FREE_INO" },
	{ MULTIPLE_OBJECTIDS, "MULTIPLE" },
};

static const char *const key_types[256] = {
	[INODE_ITEM_KEY] = "INODE_ITEM",
	[INODE_REF_KEY] = "INODE_REF",
	[INODE_EXTREF_KEY] = "INODE_EXTREF",
	[XATTR_ITEM_KEY] = "XATTR_ITEM",
	[VERITY_DESC_ITEM_KEY] = "VERITY_DESC_ITEM",
	[VERITY_MERKLE_ITEM_KEY] = "VERITY_MERKLE_ITEM",
	[ORPHAN_ITEM_KEY] = "ORPHAN_ITEM",
	[DIR_LOG_ITEM_KEY] = "DIR_LOG_ITEM",
	[DIR_LOG_INDEX_KEY] = "DIR_LOG_INDEX",
	[DIR_ITEM_KEY] = "DIR_ITEM",
	[DIR_INDEX_KEY] = "DIR_INDEX",
	[EXTENT_DATA_KEY] = "EXTENT_DATA",
	[CSUM_ITEM_KEY] = "CSUM_ITEM",
	[EXTENT_CSUM_KEY] = "EXTENT_CSUM",
	[ROOT_ITEM_KEY] = "ROOT_ITEM",
	[ROOT_BACKREF_KEY] = "ROOT_BACKREF",
	[ROOT_REF_KEY] = "ROOT_REF",
	[EXTENT_ITEM_KEY] = "EXTENT_ITEM",
	[METADATA_ITEM_KEY] = "METADATA_ITEM",
	[EXTENT_OWNER_REF_KEY] = "EXTENT_OWNER_REF",
	[TREE_BLOCK_REF_KEY] = "TREE_BLOCK_REF",
	[EXTENT_DATA_REF_KEY] = "EXTENT_DATA_REF",
	[EXTENT_REF_V0_KEY] = "EXTENT_REF_V0",
	[SHARED_BLOCK_REF_KEY] = "SHARED_BLOCK_REF",
	[SHARED_DATA_REF_KEY] = "SHARED_DATA_REF",
	[BLOCK_GROUP_ITEM_KEY] = "BLOCK_GROUP_ITEM",
	[FREE_SPACE_INFO_KEY] = "FREE_SPACE_INFO",
	[FREE_SPACE_EXTENT_KEY] = "FREE_SPACE_EXTENT",
	[FREE_SPACE_BITMAP_KEY] = "FREE_SPACE_BITMAP",
	[DEV_EXTENT_KEY] = "DEV_EXTENT",
	[DEV_ITEM_KEY] = "DEV_ITEM",
	[CHUNK_ITEM_KEY] = "CHUNK_ITEM",
	[RAID_STRIPE_KEY] = "RAID_STRIPE",
	[QGROUP_STATUS_KEY] = "QGROUP_STATUS",
	[QGROUP_INFO_KEY] = "QGROUP_INFO",
	[QGROUP_LIMIT_KEY] = "QGROUP_LIMIT",
	[QGROUP_RELATION_KEY] = "QGROUP_RELATION",
	[TEMPORARY_ITEM_KEY] = "TEMPORARY_ITEM",
	[PERSISTENT_ITEM_KEY] = "PERSISTENT_ITEM",
	[DEV_REPLACE_KEY] = "DEV_REPLACE",
	[UUID_KEY_SUBVOL] = "UUID_KEY_SUBVOL",
	[UUID_KEY_RECEIVED_SUBVOL] = "UUID_KEY_RECEIVED_SUBVOL",
	[STRING_ITEM_KEY] = "STRING_ITEM",
};

const char *key_type_name(u8 type, char buf[NAME_TEXT_MAX])
{
	if (key_types[type])
		return key_types[type];
	snprintf(buf, NAME_TEXT_MAX, "TYPE.%u", type);
	return buf;
}

static const char *find_name(const struct number_name *names, size_t nr, u64 number)
{
	for (size_t i = 0; i < nr; i++)
		if (names[i].number == number)
			return names[i].name;
	return NULL;
}

const char *tree_name(u64 id)
{
	return find_name(trees, ARRAY_LEN(trees), id);
}

u64 tree_id_by_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		const char *known = trees[i].name, *suffix = strstr(known, "_TREE");

		if (strcasecmp(known, name) == 0 ||
		    (suffix && suffix[5] == '\0' && strlen(name) == (size_t)(suffix - known) &&
		     strncasecmp(known, name, strlen(name)) == 0))
			return trees[i].number;
	}
	/* As dump-tree -t spells them. */
	if (strcasecmp(name, "device") == 0)
		return DEV_TREE_OBJECTID;
	if (strcasecmp(name, "checksum") == 0)
		return CSUM_TREE_OBJECTID;
	return 0;
}

/* Does the objectid of such an item name a tree? */
static bool is_of_tree(u8 type)
{
	return type == ROOT_ITEM_KEY || type == ROOT_REF_KEY || type == ROOT_BACKREF_KEY;
}

const char *objectid_name(u64 objectid, u8 type, char buf[NAME_TEXT_MAX])
{
	const char *name = find_name(special_objectids, ARRAY_LEN(special_objectids), objectid);

	if (!name && (is_of_tree(type) || objectid > LAST_FREE_OBJECTID))
		name = tree_name(objectid);
	if (!name && (type == DEV_ITEM_KEY && objectid == DEV_ITEMS_OBJECTID))
		name = "DEV_ITEMS";
	if (!name && type == CHUNK_ITEM_KEY && objectid == FIRST_CHUNK_TREE_OBJECTID)
		name = "FIRST_CHUNK_TREE";
	if (name)
		return name;
	snprintf(buf, NAME_TEXT_MAX, "%llu", (unsigned long long)objectid);
	return buf;
}
