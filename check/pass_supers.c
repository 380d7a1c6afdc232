/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Proves that every superblock of every device is valid, and that they agree. */
#include "check/check.h"
#include "kernel-shared/device/super.h"
#include "kernel-shared/format/super_check.h"

typedef unsigned long long ull;

static void judge_flags(struct check *check)
{
	const struct disk_super *super = &check->fs->super;
	u64 flags = le64_get(super->flags);

	if (flags & (SUPER_FLAG_CHANGING_FSID | SUPER_FLAG_CHANGING_FSID_V2))
		complain(check, UNFINISHED, AT(0), "a change of the filesystem's UUID");
	if (flags & SUPER_FLAG_CHANGING_BG_TREE)
		complain(check, UNFINISHED, AT(0), "a conversion of the block group tree");
	if (flags & (SUPER_FLAG_CHANGING_DATA_CSUM | SUPER_FLAG_CHANGING_META_CSUM))
		complain(check, UNFINISHED, AT(0), "a change of the checksums");
	if (!check_has_data(check))
		complain(check, METADATA_IMAGE, AT(0));
	if (flags & SUPER_FLAG_ERROR)
		complain(check, SUPER_ERROR_FLAG, AT(0));
	if (le64_get(super->log_root))
		complain(check, LOG_PRESENT, AT(.logical = le64_get(super->log_root)), (ull)le64_get(super->log_root));
	if (check->fs->is_read_only)
		complain(check, FEATURE_UNKNOWN, AT(0), (ull)le64_get(super->compat_ro_flags));
}

static void complain_odd(struct check *check, const char *what, u64 value)
{
	complain(check, SUPER_FIELD_ODD, AT(0), what, (ull)value);
}

/* Linux looks at it, although some are used by nobody. */
static void complain_bad(struct check *check, const char *what, u64 value)
{
	complain(check, SUPER_FIELD_BAD, AT(0), what, (ull)value);
}

/* Fields that Linux writes always the same, or as counters that never run ahead. */
static void judge_fields(struct check *check)
{
	const struct disk_super *super = &check->fs->super;
	u64 generation = le64_get(super->generation), flags = le64_get(super->flags);
	u64 known = HEADER_FLAG_WRITTEN | HEADER_FLAG_RELOC | SUPER_FLAG_ERROR | SUPER_FLAG_SEEDING | SUPER_FLAG_METADUMP |
		    SUPER_FLAG_METADUMP_V2 | SUPER_FLAG_CHANGING_FSID | SUPER_FLAG_CHANGING_FSID_V2 |
		    SUPER_FLAG_CHANGING_BG_TREE | SUPER_FLAG_CHANGING_DATA_CSUM | SUPER_FLAG_CHANGING_META_CSUM;
	bool has_log = le64_get(super->log_root) != 0;

	if (flags & ~known)
		complain_bad(check, "flags", flags);
	else if (!(flags & (HEADER_FLAG_WRITTEN | SUPER_FLAG_METADUMP | SUPER_FLAG_METADUMP_V2)))
		complain_odd(check, "flags", flags);
	if (le64_get(super->compat_flags))
		complain_odd(check, "compat_flags", le64_get(super->compat_flags));
	if (le64_get(super->cache_generation) > generation && le64_get(super->cache_generation) != UINT64_MAX)
		complain_odd(check, "cache_generation", le64_get(super->cache_generation));
	if (le64_get(super->uuid_tree_generation) > generation)
		complain_odd(check, "uuid_tree_generation", le64_get(super->uuid_tree_generation));
	if (le64_get(super->chunk_root_generation) == 0)
		complain_odd(check, "chunk_root_generation", 0);
	if (le64_get(super->log_root_transid))
		complain_odd(check, "log_root_transid", le64_get(super->log_root_transid));
	if (super->log_root_level >= LEVEL_MAX)
		complain_bad(check, "log_root_level", super->log_root_level);
	else if (!has_log && super->log_root_level)
		complain_odd(check, "log_root_level", super->log_root_level);
	if (le64_get(super->root_dir_objectid) != ROOT_TREE_DIR_OBJECTID)
		complain_odd(check, "root_dir_objectid", le64_get(super->root_dir_objectid));
	if (!is_power_of_two(le32_get(super->stripesize)))
		complain_bad(check, "stripesize", le32_get(super->stripesize));
	else if (le32_get(super->stripesize) != le32_get(super->sectorsize))
		complain_odd(check, "stripesize", le32_get(super->stripesize));
	if (!(le64_get(super->incompat_flags) & INCOMPAT_MIXED_BACKREF))
		complain(check, FEATURE_BIT_MISSING, AT(0), "back references of today's format are");
}

/*
 * Fields that each copy has for itself, or for its device. When a file is fsynced, Linux writes the place of the log into
 * the first copy on each device, one device after the other, and leaves the other copies as the last commit has made them.
 */
static void make_comparable(struct disk_super *super)
{
	memset(super->csum, 0, sizeof(super->csum));
	le64_put(&super->bytenr, 0);
	le64_put(&super->log_root, 0);
	super->log_root_level = 0;
	memset(&super->dev_item, 0, sizeof(super->dev_item));
}

/* Devices that were written one without the other have another history of roots. */
static bool is_diverged(const struct check *check, const struct device *device, const struct disk_super *found)
{
	const struct device_set *set = check->fs->volume->devices;
	const struct disk_super *main = &check->fs->super;

	return device != &set->devices.items[set->super_device] &&
	       (le64_get(found->root) != le64_get(main->root) || le64_get(found->chunk_root) != le64_get(main->chunk_root) ||
		memcmp(found->super_roots, main->super_roots, sizeof(main->super_roots)) != 0);
}

static void compare_copy(struct check *check, const struct device *device, unsigned mirror, const struct disk_super *found)
{
	const struct disk_super *main = &check->fs->super;
	struct disk_super a = *main, b = *found;
	u64 physical = super_mirror_physical(mirror);

	/* A seed's superblock is the seed's own. */
	if (memcmp(found->fsid, main->fsid, UUID_SIZE) != 0 && (le64_get(found->flags) & SUPER_FLAG_SEEDING))
		return;
	make_comparable(&a);
	make_comparable(&b);
	if (le64_get(found->generation) != le64_get(main->generation))
		complain(check, SUPER_GENERATION_DIFFERS, AT(.devid = device->devid, .physical = physical), (ull)device->devid,
			 (ull)physical, (ull)le64_get(found->generation), (ull)le64_get(main->generation));
	else if (is_diverged(check, device, found))
		complain(check, DEVICE_DIVERGED, AT(.devid = device->devid, .physical = physical), (ull)device->devid,
			 (ull)physical, (ull)le64_get(found->generation));
	else if (memcmp(&a, &b, sizeof(a)) != 0)
		complain(check, SUPER_COPY_DIFFERS, AT(.devid = device->devid, .physical = physical), (ull)device->devid,
			 (ull)physical);
	if (le64_get(found->dev_item.devid) != device->devid || memcmp(found->dev_item.uuid, device->uuid, UUID_SIZE) != 0)
		complain(check, SUPER_DEVICE_WRONG, AT(.devid = device->devid, .physical = physical), (ull)device->devid,
			 (ull)physical, (ull)le64_get(found->dev_item.devid));
}

static void judge_device(struct check *check, const struct device *device)
{
	unsigned count = super_mirror_count(device->dev->size_bytes);

	for (unsigned mirror = 0; mirror < count; mirror++) {
		u64 physical = super_mirror_physical(mirror);
		struct disk_super super;
		struct diag why = { 0 };

		/* What lies behind the end of the filesystem on the device is not its own. */
		if (physical + SUPER_INFO_SIZE > device->total_bytes && mirror > 0)
			break;
		if (blockdev_read(device->dev, physical, &super, sizeof(super), &why) == 0 &&
		    le64_get(super.magic) != SUPER_MAGIC && mirror > 0)
			complain(check, SUPER_COPY_MISSING, AT(.devid = device->devid, .physical = physical),
				 (ull)device->devid, (ull)physical);
		else if (why.err || super_check(&super, physical, &why) < 0)
			complain(check, SUPER_COPY_BAD, AT(.devid = device->devid, .physical = physical), (ull)device->devid,
				 (ull)physical, why.text);
		else
			compare_copy(check, device, mirror, &super);
	}
}

/*
 * Backup roots help only those who can still read them: their numbers must make sense. The next transaction may have begun
 * when Linux notes the generation of the root tree, and then that is what it notes.
 */
static void judge_backups(struct check *check)
{
	const struct disk_super *super = &check->fs->super;

	for (unsigned i = 0; i < NUM_BACKUP_ROOTS; i++) {
		const struct disk_root_backup *backup = &super->super_roots[i];

		if (le64_get(backup->tree_root_gen) > le64_get(super->generation) + 1 ||
		    (le64_get(backup->tree_root) && backup->tree_root_level >= LEVEL_MAX))
			complain(check, BACKUP_ROOT_BAD, AT(0), i, (ull)le64_get(backup->tree_root_gen));
	}
}

int pass_supers(struct check *check, struct diag *d)
{
	(void)d;
	judge_flags(check);
	judge_fields(check);
	judge_backups(check);
	array_for_each(&check->fs->volume->devices->left_out, why)
		complain(check, DEVICE_UNUSABLE, AT(0), *why);
	array_for_each(&check->fs->volume->devices->devices, device) {
		if (device->dev)
			judge_device(check, device);
		else
			complain(check, DEVICE_MISSING, AT(.devid = device->devid), (ull)device->devid);
	}
	return 0;
}
