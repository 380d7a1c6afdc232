/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <strings.h>

#include "kernel-shared/volume/profile.h"

const struct profile profiles[] = {
	{ .flag = 0, .name = "single", .shown = "single", .copies = 1, .dev_stripes = 1, .sub_stripes = 1,
	  .devs_min = 1, .devs_max = 1, .devs_increment = 1 },
	{ .flag = BLOCK_GROUP_DUP, .name = "dup", .shown = "DUP", .copies = 2, .dev_stripes = 2, .sub_stripes = 1,
	  .devs_min = 1, .devs_max = 1, .devs_increment = 1 },
	{ .flag = BLOCK_GROUP_RAID0, .name = "raid0", .shown = "RAID0", .copies = 1, .dev_stripes = 1,
	  .sub_stripes = 1, .devs_min = 1, .devs_max = 0, .devs_increment = 1, .is_striped = true },
	{ .flag = BLOCK_GROUP_RAID1, .name = "raid1", .shown = "RAID1", .copies = 2, .dev_stripes = 1,
	  .sub_stripes = 1, .devs_min = 2, .devs_max = 2, .devs_increment = 2, .tolerated_failures = 1 },
	{ .flag = BLOCK_GROUP_RAID1C3, .name = "raid1c3", .shown = "RAID1C3", .copies = 3, .dev_stripes = 1,
	  .sub_stripes = 1, .devs_min = 3, .devs_max = 3, .devs_increment = 3, .tolerated_failures = 2,
	  .incompat = INCOMPAT_RAID1C34 },
	{ .flag = BLOCK_GROUP_RAID1C4, .name = "raid1c4", .shown = "RAID1C4", .copies = 4, .dev_stripes = 1,
	  .sub_stripes = 1, .devs_min = 4, .devs_max = 4, .devs_increment = 4, .tolerated_failures = 3,
	  .incompat = INCOMPAT_RAID1C34 },
	{ .flag = BLOCK_GROUP_RAID10, .name = "raid10", .shown = "RAID10", .copies = 2, .dev_stripes = 1,
	  .sub_stripes = 2, .devs_min = 2, .devs_max = 0, .devs_increment = 2, .tolerated_failures = 1,
	  .is_striped = true },
	{ .flag = BLOCK_GROUP_RAID5, .name = "raid5", .shown = "RAID5", .copies = 1, .parity = 1, .dev_stripes = 1,
	  .sub_stripes = 1, .devs_min = 2, .devs_max = 0, .devs_increment = 1, .tolerated_failures = 1,
	  .is_striped = true, .incompat = INCOMPAT_RAID56 },
	{ .flag = BLOCK_GROUP_RAID6, .name = "raid6", .shown = "RAID6", .copies = 1, .parity = 2, .dev_stripes = 1,
	  .sub_stripes = 1, .devs_min = 3, .devs_max = 0, .devs_increment = 1, .tolerated_failures = 2,
	  .is_striped = true, .incompat = INCOMPAT_RAID56 },
};
const size_t profiles_count = ARRAY_LEN(profiles);

const struct profile *profile_by_flags(u64 flags)
{
	for (size_t i = 0; i < profiles_count; i++)
		if ((flags & BLOCK_GROUP_PROFILE_MASK) == profiles[i].flag)
			return &profiles[i];
	return NULL;
}

const struct profile *profile_by_name(const char *name)
{
	for (size_t i = 0; i < profiles_count; i++)
		if (strcasecmp(name, profiles[i].name) == 0)
			return &profiles[i];
	return NULL;
}

u16 profile_data_stripes(const struct profile *profile, u16 num_stripes)
{
	if (!profile->is_striped)
		return 1;
	return (u16)((num_stripes - profile->parity) / profile->sub_stripes);
}

bool profile_stripe_count_is_valid(const struct profile *profile, u16 num_stripes)
{
	if (profile->is_striped)
		return num_stripes >= profile->devs_min && num_stripes % profile->devs_increment == 0 &&
		       num_stripes > profile->parity;
	return num_stripes == profile->copies;
}

bool profile_length_is_valid(const struct profile *profile, u16 num_stripes, u64 length)
{
	u64 row_bytes = profile_data_stripes(profile, num_stripes) * STRIPE_LEN_BYTES;

	return length > 0 && (!profile->is_striped || length % row_bytes == 0);
}

unsigned profile_mirrors(const struct profile *profile, u16 num_stripes)
{
	if (profile->parity < 2)
		return (unsigned)profile->copies + profile->parity;
	return 3U + profile_data_stripes(profile, num_stripes) - 1;
}

const char *chunk_kind_name(u64 type)
{
	switch (type & BLOCK_GROUP_TYPE_MASK) {
	case BLOCK_GROUP_DATA:
		return "data";
	case BLOCK_GROUP_METADATA:
		return "metadata";
	case BLOCK_GROUP_SYSTEM:
		return "system";
	case BLOCK_GROUP_DATA | BLOCK_GROUP_METADATA:
		return "data+metadata";
	default:
		return "none";
	}
}
