/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/device/super.h"
#include "kernel-shared/format/super_check.h"

u64 super_mirror_physical(unsigned mirror)
{
	static const u64 places[SUPER_MIRROR_MAX] = { 64 * KIB, 64 * MIB, 256 * GIB };

	return places[mirror];
}

unsigned super_mirror_count(u64 device_bytes)
{
	unsigned count = 0;

	while (count < SUPER_MIRROR_MAX && super_mirror_physical(count) + SUPER_INFO_SIZE <= device_bytes)
		count++;
	return count;
}

static int read_mirror(struct blockdev *dev, unsigned mirror, struct disk_super *ret, struct diag *d)
{
	u64 physical = super_mirror_physical(mirror);
	int err = blockdev_read(dev, physical, ret, sizeof(*ret), d);

	if (err)
		return err;
	if (le64_get(ret->magic) != SUPER_MAGIC)
		return diag_fail(d, -EMEDIUMTYPE, "%s: no Btrfs superblock at %llu", dev->name,
				 (unsigned long long)physical);
	err = super_check(ret, physical, d);
	return err ? diag_context(d, err, "%s: superblock at %llu", dev->name, (unsigned long long)physical) : 0;
}

static int read_newest(struct blockdev *dev, struct super_choice *ret_choice, struct diag *d)
{
	unsigned count = super_mirror_count(dev->size_bytes);
	struct diag first = { 0 };
	bool is_found = false;

	if (count == 0)
		return diag_fail(d, -EMEDIUMTYPE, "%s: too small to hold a Btrfs superblock (%llu bytes)", dev->name,
				 (unsigned long long)dev->size_bytes);
	ret_choice->valid_mask = 0;
	for (unsigned mirror = 0; mirror < count; mirror++) {
		struct disk_super super;
		struct diag why = { 0 };
		int err = read_mirror(dev, mirror, &super, &why);

		if (err) {
			/* "damaged" says more than "not there" */
			if (!first.err || (first.err == -EMEDIUMTYPE && err != -EMEDIUMTYPE))
				first = why;
			continue;
		}
		/* A mirror that an older filesystem left behind, however new, does not speak for the one that is here. */
		if (is_found && memcmp(super.fsid, ret_choice->super.fsid, UUID_SIZE) != 0 &&
		    memcmp(super_metadata_fsid(&super), super_metadata_fsid(&ret_choice->super), UUID_SIZE) != 0)
			continue;
		ret_choice->valid_mask |= 1U << mirror;
		if (is_found && le64_get(super.generation) <= le64_get(ret_choice->super.generation))
			continue;
		is_found = true;
		ret_choice->super = super;
		ret_choice->mirror = mirror;
	}
	if (!is_found)
		return diag_copy(d, &first);
	/* There may well be no mirror, where a filesystem is smaller than its device; but there is always a primary. */
	if (first.err && (first.err != -EMEDIUMTYPE || !(ret_choice->valid_mask & 1)))
		diag_note(d, DIAG_WARNING, "%s; using the copy at %llu", first.text,
			  (unsigned long long)super_mirror_physical(ret_choice->mirror));
	return 0;
}

int super_read(struct blockdev *dev, int mirror, struct super_choice *ret_choice, struct diag *d)
{
	int err;

	if (mirror < 0)
		return read_newest(dev, ret_choice, d);
	if ((unsigned)mirror >= super_mirror_count(dev->size_bytes))
		return diag_fail(d, -EINVAL, "%s: has no superblock mirror %d", dev->name, mirror);
	err = read_mirror(dev, (unsigned)mirror, &ret_choice->super, d);
	if (err)
		return err;
	ret_choice->mirror = (unsigned)mirror;
	ret_choice->valid_mask = 1U << mirror;
	return 0;
}

void super_finish(struct disk_super *super, const struct csum_kind *csum, u64 physical)
{
	le64_put(&super->bytenr, physical);
	memset(super->csum, 0, CSUM_SIZE);
	csum_compute(csum, (const u8 *)super + CSUM_SIZE, sizeof(*super) - CSUM_SIZE, super->csum);
}

static int write_mirror(const struct disk_super *common, const struct csum_kind *csum,
			const struct super_target *target, unsigned mirror, struct diag *d)
{
	struct disk_super super = *common;
	u64 physical = super_mirror_physical(mirror);

	super.dev_item = target->dev_item;
	super_finish(&super, csum, physical);
	return blockdev_write(target->dev, physical, &super, sizeof(super), d);
}

static int flush_all(const struct super_target *targets, size_t nr_targets, struct diag *d)
{
	for (size_t i = 0; i < nr_targets; i++) {
		int err = blockdev_flush(targets[i].dev, d);

		if (err)
			return err;
	}
	return 0;
}

int super_write_all(const struct disk_super *common, const struct super_target *targets, size_t nr_targets,
		    struct diag *d)
{
	const struct csum_kind *csum = csum_kind_by_type(le16_get(common->csum_type));
	int err;

	if (!csum)
		return diag_fail(d, -EOPNOTSUPP, "checksum type %u is not built in", le16_get(common->csum_type));
	err = flush_all(targets, nr_targets, d);
	for (size_t i = 0; i < nr_targets && !err; i++)
		if (targets[i].is_new)
			err = write_mirror(common, csum, &targets[i], 0, d);
	for (size_t i = 0; i < nr_targets && !err; i++)
		if (targets[i].is_new)
			err = blockdev_flush(targets[i].dev, d);
	for (size_t i = 0; i < nr_targets && !err; i++)
		if (!targets[i].is_new)
			err = write_mirror(common, csum, &targets[i], 0, d);
	if (!err)
		err = flush_all(targets, nr_targets, d);
	for (size_t i = 0; i < nr_targets && !err; i++)
		for (unsigned mirror = 1; mirror < super_mirror_count(targets[i].device_bytes) && !err; mirror++)
			err = write_mirror(common, csum, &targets[i], mirror, d);
	return err ? err : flush_all(targets, nr_targets, d);
}
