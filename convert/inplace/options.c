/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the new filesystem is to be. Most is decided as for mkfs. */
#include <stdio.h>
#include <uuid/uuid.h>

#include "convert/inplace/conversion.h"

/* Data chunks are at home in whole sectors of any source that can be converted. */
#define SECTORSIZE 4096

static int decide_label(struct conversion *c, struct diag *d)
{
	const struct btrkit_convert_options *options = c->options;
	const char *label = options->label ? options->label : options->do_copy_label ? c->source->info.label : "";

	if (options->label && options->do_copy_label)
		return diag_fail(d, -EINVAL, "a label is given and to be copied, one or the other");
	if (strlen(label) >= sizeof(c->label))
		return diag_fail(d, -EINVAL, "the label is %zu bytes long, %zu are possible", strlen(label),
				 sizeof(c->label) - 1);
	snprintf(c->label, sizeof(c->label), "%s", label);
	return 0;
}

static int decide_fsid(struct conversion *c, struct diag *d)
{
	const char *given = c->options->fsid;
	uuid_t fsid;

	switch (c->options->uuid) {
	case BTRKIT_CONVERT_UUID_NEW:
		uuid_generate(fsid);
		break;
	case BTRKIT_CONVERT_UUID_COPY:
		memcpy(fsid, c->source->info.uuid, UUID_SIZE);
		if (uuid_is_null(fsid))
			return diag_fail(d, -EINVAL, "the filesystem has no UUID that could be copied");
		break;
	case BTRKIT_CONVERT_UUID_GIVEN:
		if (!given || uuid_parse(given, fsid) < 0 || uuid_is_null(fsid))
			return diag_fail(d, -EINVAL, "\"%s\" is not a UUID", given ? given : "");
		break;
	default:
		return diag_fail(d, -EINVAL, "an unknown way to choose the UUID");
	}
	uuid_unparse_lower(fsid, c->fsid);
	return 0;
}

/* Features that a filesystem made by mkfs may have and this one not. */
static int judge_features(const struct image *image, struct diag *d)
{
	if (image->needs.is_mixed)
		return diag_fail(d, -EOPNOTSUPP, "mixed block groups are not for conversions");
	if (image->quota)
		return diag_fail(d, -EOPNOTSUPP, "quotas can be enabled after the conversion, not by it");
	if (image->needs.metadata_profile->devs_min > 1)
		return diag_fail(d, -EINVAL, "metadata profile %s needs %u devices", image->needs.metadata_profile->shown,
				 image->needs.metadata_profile->devs_min);
	return 0;
}

int conversion_read_options(struct conversion *c, struct diag *d)
{
	const struct btrkit_convert_options *options = c->options;
	struct image *image = &c->making.image;
	int err = decide_label(c, d);

	if (!err)
		err = decide_fsid(c, d);
	if (err)
		return err;
	c->mkfs_device.path = options->path;
	c->mkfs_options = (struct btrkit_mkfs_options){
		.struct_size = sizeof(c->mkfs_options),
		.devices = &c->mkfs_device,
		.nr_devices = 1,
		.label = c->label,
		.fsid = c->fsid,
		.nodesize = options->nodesize,
		.sectorsize = SECTORSIZE,
		.csum = options->csum,
		.features = options->features,
		.metadata_profile = options->metadata_profile,
		.threads = options->threads,
	};
	c->making.options = &c->mkfs_options;
	err = making_read_options(&c->making, d);
	if (!err)
		err = judge_features(image, d);
	if (err)
		return err;
	image->devices[0].limit_bytes = round_down_u64(c->source->info.total_bytes, SECTORSIZE);
	image->pool = c->pool;
	image->progress = c->progress;
	return 0;
}
