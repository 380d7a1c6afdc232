/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* From options to decisions. Everything impossible is refused here, with one sentence, before a device is looked at. */
#include <stdio.h>
#include <time.h>
#include <uuid/uuid.h>

#include "kernel-shared/build/making.h"
#include "kernel-shared/format/features.h"

/*
 * All trees of a new filesystem are written at once, in this generation. mkfs.btrfs ends at 6 or later, after several
 * transactions; nothing depends on the number, but 1 and 2 are what it uses for trees that it throws away.
 */
#define GENERATION 8

#define NODESIZE_DEFAULT (16 * KIB)
#define SECTORSIZE_DEFAULT (4 * KIB)

static int bad_option(struct diag *d, const char *what, const char *value)
{
	return diag_fail(d, -EINVAL, "%s \"%s\" is not known", what, value);
}

/* --- Identities ------------------------------------------------------------------------------------------ */

/*
 * The id of @what: random, or with a seed the name-based uuid (SHA-1) of @what in the namespace that the seed names in
 * a namespace of our own.
 */
static void make_uuid(const char *seed, const char *what, u8 *ret_uuid)
{
	static const uuid_t seeds = { 0x0e, 0x6b, 0x5d, 0x0c, 0x1b, 0x33, 0x4b, 0x0a,
				      0x9a, 0x2e, 0x7c, 0x55, 0x1d, 0xf1, 0x42, 0x90 };
	uuid_t namespace;

	if (!seed) {
		uuid_generate(ret_uuid);
		return;
	}
	uuid_generate_sha1(namespace, seeds, seed, strlen(seed));
	uuid_generate_sha1(ret_uuid, namespace, what, strlen(what));
}

static void make_subvol_uuid(const struct image *image, u64 root_id, u8 *ret_uuid)
{
	char what[40];

	snprintf(what, sizeof(what), "subvolume %llu", (unsigned long long)root_id);
	make_uuid(image->seed, what, ret_uuid);
}

static int read_uuid(const char *text, const char *what, u8 *ret_uuid, struct diag *d)
{
	if (uuid_parse(text, ret_uuid) < 0 || uuid_is_null(ret_uuid))
		return diag_fail(d, -EINVAL, "%s \"%s\" is not a UUID", what, text);
	return 0;
}

static int decide_ids(struct making *making, struct diag *d)
{
	const struct btrkit_mkfs_options *options = making->options;
	struct image *image = &making->image;
	int err = 0;

	image->seed = options->seed;
	image->subvol_uuid = make_subvol_uuid;
	if (options->fsid)
		err = read_uuid(options->fsid, "filesystem UUID", image->fsid, d);
	else
		make_uuid(options->seed, "filesystem", image->fsid);
	memcpy(image->id.fsid, image->fsid, UUID_SIZE);
	make_uuid(options->seed, "chunk tree", image->id.chunk_tree_uuid);
	for (size_t i = 0; i < image->nr_devices; i++) {
		char what[40];

		image->devices[i].devid = i + 1;
		snprintf(what, sizeof(what), "device %zu", i + 1);
		make_uuid(options->seed, what, image->devices[i].uuid);
	}
	if (err || !options->device_uuid)
		return err;
	if (image->nr_devices != 1)
		return diag_fail(d, -EINVAL, "a device UUID can be given for a single device only");
	return read_uuid(options->device_uuid, "device UUID", image->devices[0].uuid, d);
}

static void decide_time(struct making *making)
{
	struct timespec now;

	if (making->options->has_epoch) {
		making->image.now_sec = making->options->epoch_sec;
		return;
	}
	if (making->options->seed)
		return; /* the same bytes each time: 1970 */
	clock_gettime(CLOCK_REALTIME, &now);
	making->image.now_sec = now.tv_sec;
	making->image.now_nsec = (u32)now.tv_nsec;
}

/* --- Block sizes, checksum, label ------------------------------------------------------------------------ */

static bool is_block_size(u64 bytes)
{
	return is_power_of_two(bytes) && bytes >= SECTORSIZE_MIN && bytes <= SECTORSIZE_MAX;
}

static int decide_sizes(struct making *making, struct diag *d)
{
	const struct btrkit_mkfs_options *options = making->options;
	struct image *image = &making->image;
	u32 sectorsize = options->sectorsize ? options->sectorsize : SECTORSIZE_DEFAULT;
	u32 nodesize = options->nodesize ? options->nodesize
		       : making->image.needs.is_mixed ? sectorsize
						      : MAX((u32)NODESIZE_DEFAULT, sectorsize);

	if (!is_block_size(sectorsize))
		return diag_fail(d, -EINVAL, "sector size %u is not a power of two from 4096 to 65536", sectorsize);
	if (!is_block_size(nodesize))
		return diag_fail(d, -EINVAL, "node size %u is not a power of two from 4096 to 65536", nodesize);
	if (nodesize < sectorsize)
		return diag_fail(d, -EINVAL, "node size %u is smaller than the sector size %u", nodesize, sectorsize);
	if (image->needs.is_mixed && nodesize != sectorsize)
		return diag_fail(d, -EINVAL, "mixed block groups need equal node and sector sizes, not %u and %u", nodesize,
				 sectorsize);
	image->id.nodesize = nodesize;
	image->sectorsize = sectorsize;
	return 0;
}

static int decide_csum(struct making *making, struct diag *d)
{
	const char *name = making->options->csum ? making->options->csum : "crc32c";

	making->image.id.csum = csum_kind_by_name(name);
	if (making->image.id.csum)
		return 0;
	for (u16 type = 0; type < CSUM_TYPE_COUNT; type++)
		if (strcmp(name, csum_type_name(type)) == 0)
			return diag_fail(d, -EOPNOTSUPP, "checksum %s is not built in", name);
	return bad_option(d, "checksum", name);
}

static int decide_label(struct making *making, struct diag *d)
{
	const char *label = making->options->label;

	if (!label)
		return 0;
	if (strlen(label) >= LABEL_SIZE)
		return diag_fail(d, -EINVAL, "the label is %zu bytes long, %d are possible", strlen(label), LABEL_SIZE - 1);
	memcpy(making->image.label, label, strlen(label));
	return 0;
}

/* --- Features ------------------------------------------------------------------------------------------- */

struct feature_choice {
	u64 incompat, compat_ro;
	u64 named_compat_ro; /* switched on by name, not by default */
	enum image_quota quota;
};

static void set_feature(struct feature_choice *choice, const struct feature *feature, bool is_on)
{
	u64 *bits = feature->set == FEATURE_INCOMPAT ? &choice->incompat : &choice->compat_ro;

	if (feature->set == FEATURE_MKFS_ONLY) {
		choice->quota = is_on ? IMAGE_QUOTA_FULL : IMAGE_QUOTA_NONE;
		return;
	}
	*bits = is_on ? *bits | feature->bits : *bits & ~feature->bits;
	if (is_on && feature->set == FEATURE_COMPAT_RO)
		choice->named_compat_ro |= feature->bits;
}

static int read_feature(struct feature_choice *choice, const char *name, struct diag *d)
{
	bool is_on = name[0] != '^';
	const struct feature *feature = feature_by_name(is_on ? name : name + 1);

	if (!feature || !feature->is_mkfs_option)
		return bad_option(d, "feature", is_on ? name : name + 1);
	if (is_on && !feature->is_supported)
		return diag_fail(d, -EOPNOTSUPP, "the feature %s is not supported", name);
	set_feature(choice, feature, is_on);
	return 0;
}

static int read_features(struct feature_choice *choice, const char *list, struct diag *d)
{
	_free_ char *copy = strdup(list);
	char *rest = NULL;

	if (!copy)
		return diag_no_memory(d, "the features");
	for (char *name = strtok_r(copy, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		int err = read_feature(choice, name, d);

		if (err)
			return err;
	}
	return 0;
}

/* The block group tree stands on two other features; it goes with them unless it was asked for. */
static int settle_block_group_tree(struct feature_choice *choice, struct diag *d)
{
	bool has_both = (choice->compat_ro & COMPAT_RO_FREE_SPACE_TREE) && (choice->incompat & INCOMPAT_NO_HOLES);

	if (has_both || !(choice->compat_ro & COMPAT_RO_BLOCK_GROUP_TREE))
		return 0;
	if (choice->named_compat_ro & COMPAT_RO_BLOCK_GROUP_TREE)
		return diag_fail(d, -EINVAL, "block-group-tree needs free-space-tree and no-holes");
	choice->compat_ro &= ~COMPAT_RO_BLOCK_GROUP_TREE;
	return 0;
}

static int decide_features(struct making *making, struct diag *d)
{
	struct image *image = &making->image;
	struct feature_choice choice = { 0 };
	int err = 0;

	for (size_t i = 0; i < features_count; i++)
		if (features[i].is_mkfs_default)
			set_feature(&choice, &features[i], true);
	choice.named_compat_ro = 0;
	if (making->options->features)
		err = read_features(&choice, making->options->features, d);
	if (!err)
		err = settle_block_group_tree(&choice, d);
	if (!err && choice.quota && (choice.incompat & INCOMPAT_SIMPLE_QUOTA))
		err = diag_fail(d, -EINVAL, "quota and squota exclude each other");
	/*
	 * Linux 6.18 looks for the owner of a block right behind its extent item, where without skinny metadata the block's
	 * first key stands: it warns when it deletes subvolumes or balances metadata. Seen by doing so.
	 */
	if (!err && (choice.incompat & INCOMPAT_SIMPLE_QUOTA) && !(choice.incompat & INCOMPAT_SKINNY_METADATA))
		err = diag_fail(d, -EINVAL, "squota needs skinny-metadata: Linux finds the owners of tree blocks only with it");
	if (err)
		return err;
	if (making->options->is_mixed)
		choice.incompat |= INCOMPAT_MIXED_GROUPS;
	image->incompat = choice.incompat;
	image->compat_ro = choice.compat_ro;
	image->quota = choice.incompat & INCOMPAT_SIMPLE_QUOTA ? IMAGE_QUOTA_SIMPLE : choice.quota;
	image->needs.is_mixed = choice.incompat & INCOMPAT_MIXED_GROUPS;
	return 0;
}

/* --- Profiles --------------------------------------------------------------------------------------------- */

static int read_profile(const char *name, size_t nr_devices, const char *of_what, const struct profile **ret_profile,
			struct diag *d)
{
	const struct profile *profile = profile_by_name(name);

	if (!profile)
		return bad_option(d, "profile", name);
	if (nr_devices < profile->devs_min)
		return diag_fail(d, -EINVAL, "%s profile %s needs %u devices, %zu given", of_what, profile->shown,
				 profile->devs_min, nr_devices);
	*ret_profile = profile;
	return 0;
}

static int decide_profiles(struct making *making, struct diag *d)
{
	const struct btrkit_mkfs_options *options = making->options;
	struct layout_needs *needs = &making->image.needs;
	size_t nr_devices = making->image.nr_devices;
	const char *data = options->data_profile, *metadata = options->metadata_profile;
	int err;

	if (needs->is_mixed) {
		const char *mixed_default = nr_devices > 1 ? "raid1" : "single";

		metadata = metadata ? metadata : data ? data : mixed_default;
		data = data ? data : metadata;
	}
	if (!metadata)
		metadata = nr_devices > 1 ? "raid1" : "dup";
	if (!data)
		data = "single";
	err = read_profile(data, nr_devices, "data", &needs->data_profile, d);
	if (!err)
		err = read_profile(metadata, nr_devices, "metadata", &needs->metadata_profile, d);
	if (err)
		return err;
	if (needs->is_mixed && needs->data_profile != needs->metadata_profile)
		return diag_fail(d, -EINVAL, "mixed block groups have one profile, not %s and %s",
				 needs->data_profile->shown, needs->metadata_profile->shown);
	needs->system_profile = needs->metadata_profile;
	making->image.incompat |= needs->data_profile->incompat | needs->metadata_profile->incompat;
	return 0;
}

/* --- Compression -------------------------------------------------------------------------------------------- */

static int decide_compression(struct making *making, struct diag *d)
{
	const char *text = making->options->compress;
	const char *colon = text ? strchr(text, ':') : NULL;
	char name[16];
	char *end;
	long level;

	if (!text || strcmp(text, "no") == 0 || strcmp(text, "none") == 0)
		return 0;
	snprintf(name, sizeof(name), "%.*s", (int)(colon ? colon - text : (long)strlen(text)), text);
	making->codec = codec_by_name(name);
	if (!making->codec && (strcmp(name, "zlib") == 0 || strcmp(name, "zstd") == 0 || strcmp(name, "lzo") == 0))
		return diag_fail(d, -EOPNOTSUPP, "compression %s is not built in", name);
	if (!making->codec)
		return bad_option(d, "compression", text);
	if (making->codec->type == COMPRESS_LZO && !making->options->lzo_compress)
		return diag_fail(d, -EOPNOTSUPP, "compression lzo is not built in");
	making->compress_level = making->codec->level_default;
	if (colon) {
		level = strtol(colon + 1, &end, 10);
		if (*end || end == colon + 1 || !making->codec->has_levels || level < making->codec->level_min ||
		    level > making->codec->level_max)
			return diag_fail(d, -EINVAL, "compression %s has no level \"%s\"", name, colon + 1);
		making->compress_level = (int)level;
	}
	if (making->codec->type == COMPRESS_LZO)
		making->image.incompat |= INCOMPAT_COMPRESS_LZO;
	if (making->codec->type == COMPRESS_ZSTD)
		making->image.incompat |= INCOMPAT_COMPRESS_ZSTD;
	return 0;
}

int making_read_options(struct making *making, struct diag *d)
{
	const struct btrkit_mkfs_options *options = making->options;
	struct image *image = &making->image;
	int err;

	if (options->nr_devices == 0)
		return diag_fail(d, -EINVAL, "no device given");
	if (options->offset_bytes % SECTORSIZE_MIN)
		return diag_fail(d, -EINVAL, "offset %llu is not a multiple of %d",
				 (unsigned long long)options->offset_bytes, SECTORSIZE_MIN);
	image->nr_devices = options->nr_devices;
	image->devices = calloc(image->nr_devices, sizeof(*image->devices));
	if (!image->devices)
		return diag_no_memory(d, "devices");
	image->id.generation = GENERATION;
	image->default_root = FS_TREE_OBJECTID;
	image->free_bytes = options->free_bytes;
	decide_time(making);
	err = decide_features(making, d);
	if (!err)
		err = decide_sizes(making, d);
	if (!err)
		err = decide_csum(making, d);
	if (!err)
		err = decide_label(making, d);
	if (!err)
		err = decide_profiles(making, d);
	if (!err)
		err = decide_compression(making, d);
	if (!err)
		err = decide_ids(making, d);
	if (image->id.nodesize > NODESIZE_MIN)
		image->incompat |= INCOMPAT_BIG_METADATA; /* as Linux sets it, for pages of 4 KiB */
	return err;
}
