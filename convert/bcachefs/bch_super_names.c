/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of what superblocks of bcachefs hold, as its own tools write them. */
#include "convert/bcachefs/bch_super.h"

#include <stdio.h>

#define VERSION_0_FIRST 9

static const char *const versions_0[] = {
	"original",	      "bkey_renumber",
	"inode_btree_change", "snapshot",
	"inode_backpointers", "btree_ptr_sectors_written",
	"snapshot_2",	      "reflink_p_fix",
	"subvol_dirent",      "inode_v2",
	"freespace",	      "alloc_v4",
	"new_data_types",     "backpointers",
	"inode_v3",	      "unwritten_extents",
	"bucket_gens",	      "lru_v2",
	"fragmentation_lru",  "no_bps_in_alloc_keys",
	"snapshot_trees",
};

static const char *const versions_1[] = {
	"major_minor",
	"snapshot_skiplists",
	"deleted_inodes",
	"rebalance_work",
	"member_seq",
	"subvolume_fs_parent",
	"btree_subvolume_children",
	"mi_btree_bitmap",
	"bucket_stripe_sectors",
	"disk_accounting_v2",
	"disk_accounting_v3",
	"disk_accounting_inum",
	"rebalance_work_acct_fix",
	"inode_has_child_snapshots",
	"backpointer_bucket_gen",
	"disk_accounting_big_endian",
	"reflink_p_may_update_opts",
	"inode_depth",
	"persistent_inode_cursors",
	"autofix_errors",
	"directory_size",
	"cached_backpointers",
	"stripe_backpointers",
	"stripe_lru",
	"casefolding",
	"extent_flags",
	"snapshot_deletion_v2",
	"fast_device_removal",
	"inode_has_case_insensitive",
	"extent_snapshot_whiteouts",
	"31bit_dirent_offset",
	"btree_node_accounting",
};

static const char *const sections[] = {
	[BCH_SECTION_JOURNAL] = "journal",
	[BCH_SECTION_MEMBERS_V1] = "members_v1",
	[BCH_SECTION_CRYPT] = "crypt",
	[BCH_SECTION_REPLICAS_V0] = "replicas_v0",
	[BCH_SECTION_QUOTA] = "quota",
	[BCH_SECTION_DISK_GROUPS] = "disk_groups",
	[BCH_SECTION_CLEAN] = "clean",
	[BCH_SECTION_REPLICAS] = "replicas",
	[BCH_SECTION_BLACKLIST] = "journal_seq_blacklist",
	[BCH_SECTION_JOURNAL_V2] = "journal_v2",
	[BCH_SECTION_COUNTERS] = "counters",
	[BCH_SECTION_MEMBERS_V2] = "members_v2",
	[BCH_SECTION_ERRORS] = "errors",
	[BCH_SECTION_EXT] = "ext",
	[BCH_SECTION_DOWNGRADE] = "downgrade",
	[BCH_SECTION_RECOVERY_PASSES] = "recovery_passes",
	[BCH_SECTION_EXTENT_TYPE_U64S] = "extent_type_u64s",
};

static const char *const features[] = {
	"lz4",
	"gzip",
	"zstd",
	"atomic_nlink",
	"ec",
	"journal_seq_blacklist_v3",
	"reflink",
	"new_siphash",
	"inline_data",
	"new_extent_overwrite",
	"incompressible",
	"btree_ptr_v2",
	"extents_above_btree_updates",
	"btree_updates_journalled",
	"reflink_inline_data",
	"new_varint",
	"journal_no_flush",
	"alloc_v2",
	"extents_across_btree_nodes",
	"incompat_version_field",
	"casefolding",
	"no_alloc_info",
	"small_image",
	"no_default_sb",
};

static const char *const compats[] = {
	"alloc_info", "alloc_metadata", "extents_above_btree_updates_done", "bformat_overflow_done", "no_stale_ptrs",
};

const char *bch_version_text(u16 version, char buf[64])
{
	unsigned major = BCH_VERSION_MAJOR(version), minor = BCH_VERSION_MINOR(version);
	const char *name = NULL;

	if (major == 0 && minor >= VERSION_0_FIRST && minor - VERSION_0_FIRST < ARRAY_LEN(versions_0))
		name = versions_0[minor - VERSION_0_FIRST];
	else if (major == 1 && minor < ARRAY_LEN(versions_1))
		name = versions_1[minor];
	if (name)
		snprintf(buf, 64, "%u.%u: %s", major, minor, name);
	else
		snprintf(buf, 64, "%u.%u", major, minor);
	return buf;
}

const char *bch_section_name(unsigned type)
{
	return type < ARRAY_LEN(sections) ? sections[type] : NULL;
}

const char *bch_feature_name(unsigned bit)
{
	return bit < ARRAY_LEN(features) ? features[bit] : NULL;
}

const char *bch_compat_name(unsigned bit)
{
	return bit < ARRAY_LEN(compats) ? compats[bit] : NULL;
}
