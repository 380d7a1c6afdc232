/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/relocate/seed_mark.h"
#include "kernel-shared/volume/volume.h"

typedef unsigned long long ull;

struct targets {
	ARRAY(struct super_target) list;
};

static bool is_own(const struct btrkit_fs *fs, const struct device *device)
{
	return !device_fsid_is_seed(&fs->super, device->fsid);
}

/* Are all of its devices there, as new as each other, and how many of them are marked? */
static int judge_devices(const struct btrkit_fs *fs, size_t *ret_nr_marked, size_t *ret_nr, struct diag *d)
{
	*ret_nr_marked = *ret_nr = 0;
	array_for_each(&fs->volume->devices->devices, device) {
		if (!device->dev)
			return diag_fail(d, -ENODEV, "device %llu is missing", (ull)device->devid);
		if (!is_own(fs, device))
			continue;
		if (device->super_generation != le64_get(fs->super.generation))
			return diag_fail(d, -EUCLEAN, "%s: its superblock is of generation %llu, that of the others of %llu",
					 device->dev->name, (ull)device->super_generation,
					 (ull)le64_get(fs->super.generation));
		*ret_nr += 1;
		*ret_nr_marked += device->is_seeding;
	}
	return 0;
}

/* What a transaction would refuse is no seed either: nobody could finish it any more. */
static int judge_state(struct btrkit_fs *fs, struct diag *d)
{
	struct disk_super was = fs->super;
	int err;

	if (le64_get(fs->super.flags) & SUPER_FLAG_ERROR)
		return diag_fail(d, -EBUSY, "the filesystem is marked as damaged: check it first");
	/* Of devices that were marked before a power cut the one that was found first may be, or not. */
	le64_put(&fs->super.flags, le64_get(was.flags) & ~SUPER_FLAG_SEEDING);
	err = fs_begin_changes(fs, false, d);
	if (!err)
		fs_end_changes(fs);
	fs->super = was;
	return err;
}

int seed_mark_judge(struct btrkit_fs *fs, bool is_marked, struct diag *d)
{
	size_t nr_marked, nr;
	int err = judge_devices(fs, &nr_marked, &nr, d);

	if (err)
		return err;
	if (nr_marked == (is_marked ? nr : 0))
		return 1;
	if (!is_marked)
		return 0;
	if (le64_get(fs->super.incompat_flags) & INCOMPAT_METADATA_UUID)
		return diag_fail(d, -EOPNOTSUPP,
				 "the UUID of the filesystem was changed (metadata_uuid): Linux would not find it as a seed");
	return judge_state(fs, d);
}

static int add_target(struct targets *targets, const struct device *device, struct diag *d)
{
	struct super_target target = { .dev = device->dev };
	struct super_choice choice;
	int err = super_read(device->dev, -1, &choice, d);

	if (err)
		return err;
	target.dev_item = choice.super.dev_item;
	target.device_bytes = MIN(le64_get(target.dev_item.total_bytes), device->dev->size_bytes);
	return array_push(&targets->list, target) < 0 ? diag_no_memory(d, "the superblocks") : 0;
}

int seed_mark_write(struct btrkit_fs *fs, bool is_marked, struct diag *d)
{
	struct disk_super super = fs->super;
	struct targets targets = { 0 };
	u64 flags = le64_get(super.flags) & ~SUPER_FLAG_SEEDING;
	int err = 0;

	le64_put(&super.flags, flags | (is_marked ? SUPER_FLAG_SEEDING : 0));
	array_for_each(&fs->volume->devices->devices, device)
		if (!err && is_own(fs, device))
			err = add_target(&targets, device, d);
	if (!err)
		err = super_write_all(&super, targets.list.items, targets.list.len, d);
	array_done(&targets.list);
	return err;
}
