/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>

#include "kernel-shared/format/features.h"

#define COMPAT_RO_FREE_SPACE_TREE_BITS (COMPAT_RO_FREE_SPACE_TREE | COMPAT_RO_FREE_SPACE_TREE_VALID)

const struct feature features[] = {
	/* name, set, bits, supported, mkfs option, mkfs default, description */
	{ "mixed-backref", FEATURE_INCOMPAT, INCOMPAT_MIXED_BACKREF, true, false, true, "mixed back references" },
	{ "default-subvol", FEATURE_INCOMPAT, INCOMPAT_DEFAULT_SUBVOL, true, false, false, "default subvolume set" },
	{ "mixed-bg", FEATURE_INCOMPAT, INCOMPAT_MIXED_GROUPS, true, true, false, "data and metadata share block groups" },
	{ "compress-lzo", FEATURE_INCOMPAT, INCOMPAT_COMPRESS_LZO, true, false, false, "lzo compression used" },
	{ "compress-zstd", FEATURE_INCOMPAT, INCOMPAT_COMPRESS_ZSTD, true, false, false, "zstd compression used" },
	{ "big-metadata", FEATURE_INCOMPAT, INCOMPAT_BIG_METADATA, true, false, false, "nodesize above the page size" },
	{ "extref", FEATURE_INCOMPAT, INCOMPAT_EXTENDED_IREF, true, true, true,
	  "up to 65535 hard links of a file within one directory" },
	{ "raid56", FEATURE_INCOMPAT, INCOMPAT_RAID56, true, true, false, "profiles with parity: RAID5 and RAID6" },
	{ "skinny-metadata", FEATURE_INCOMPAT, INCOMPAT_SKINNY_METADATA, true, true, true,
	  "shorter extent items for tree blocks" },
	{ "no-holes", FEATURE_INCOMPAT, INCOMPAT_NO_HOLES, true, true, true, "holes in files take no items" },
	{ "metadata-uuid", FEATURE_INCOMPAT, INCOMPAT_METADATA_UUID, true, false, false, "fsid changed in superblocks only" },
	{ "raid1c34", FEATURE_INCOMPAT, INCOMPAT_RAID1C34, true, false, false, "RAID1 with 3 or 4 copies" },
	{ "zoned", FEATURE_INCOMPAT, INCOMPAT_ZONED, false, true, false, "zoned block devices" },
	{ "extent-tree-v2", FEATURE_INCOMPAT, INCOMPAT_EXTENT_TREE_V2, false, true, false, "second version of the extent tree" },
	{ "raid-stripe-tree", FEATURE_INCOMPAT, INCOMPAT_RAID_STRIPE_TREE, false, true, false, "data extents mapped to stripes by a tree" },
	{ "squota", FEATURE_INCOMPAT, INCOMPAT_SIMPLE_QUOTA, true, true, false, "simple quotas: extents count for who made them" },
	{ "remap-tree", FEATURE_INCOMPAT, INCOMPAT_REMAP_TREE, false, true, false, "logical addresses remapped by a tree" },
	{ "free-space-tree", FEATURE_COMPAT_RO, COMPAT_RO_FREE_SPACE_TREE_BITS, true, true, true,
	  "free space kept in a tree" },
	{ "verity", FEATURE_COMPAT_RO, COMPAT_RO_VERITY, true, false, false, "fs-verity files" },
	{ "block-group-tree", FEATURE_COMPAT_RO, COMPAT_RO_BLOCK_GROUP_TREE, true, true, true,
	  "block group items in a tree of their own, for faster mounts" },
	{ "quota", FEATURE_MKFS_ONLY, 0, true, true, false, "quota groups, with full accounting" },
};
const size_t features_count = ARRAY_LEN(features);

const struct feature *feature_by_name(const char *name)
{
	for (size_t i = 0; i < features_count; i++)
		if (strcmp(features[i].name, name) == 0)
			return &features[i];
	return NULL;
}

static const struct feature *feature_of_bit(enum feature_set set, unsigned bit)
{
	for (size_t i = 0; i < features_count; i++)
		if (features[i].set == set && (features[i].bits & 1ULL << bit))
			return &features[i];
	return NULL;
}

const char *feature_bit_name(enum feature_set set, unsigned bit, char *buf, size_t cap)
{
	const struct feature *feature = feature_of_bit(set, bit);

	if (set == FEATURE_COMPAT_RO && 1ULL << bit == COMPAT_RO_FREE_SPACE_TREE_VALID)
		snprintf(buf, cap, "free-space-tree-valid");
	else if (feature)
		snprintf(buf, cap, "%s", feature->name);
	else
		snprintf(buf, cap, "bit %u", bit);
	return buf;
}

int features_judge(u64 incompat, u64 compat_ro, bool *ret_is_read_only, struct diag *d)
{
	char names[512] = "";
	bool is_read_only = false;

	for (unsigned bit = 0; bit < 64; bit++) {
		const struct feature *feature = feature_of_bit(FEATURE_INCOMPAT, bit);
		char name[32];

		if (!(incompat & 1ULL << bit) || (feature && feature->is_supported))
			continue;
		feature_bit_name(FEATURE_INCOMPAT, bit, name, sizeof(name));
		if (strlen(names) + strlen(name) + 3 < sizeof(names)) {
			if (names[0])
				strcat(names, ", ");
			strcat(names, name);
		}
	}
	if (names[0])
		return diag_fail(d, -EOPNOTSUPP, "the filesystem has features that are not supported here: %s", names);
	for (unsigned bit = 0; bit < 64; bit++)
		if ((compat_ro & 1ULL << bit) && !feature_of_bit(FEATURE_COMPAT_RO, bit))
			is_read_only = true;
	*ret_is_read_only = is_read_only;
	return 0;
}
