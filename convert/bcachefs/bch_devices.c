/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which member of a volume each device is, and whether they belong together. Devices come in any order; of their
 * superblocks the one written last speaks for all. One that was left out of later writes may still have what nobody
 * else has, and is used; one that was written to apart from the others is not.
 */
#include "convert/bcachefs/bch_fs.h"

#include <inttypes.h>

#include "common/base/checked.h"

static void uuid_text(const u8 uuid[16], char buf[37])
{
	static const char digits[] = "0123456789abcdef";

	for (unsigned i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*buf++ = '-';
		*buf++ = digits[uuid[i] >> 4];
		*buf++ = digits[uuid[i] & 15];
	}
	*buf = '\0';
}

/* What was read of each device, in the order in which they were given. */
struct found {
	struct blockdev *dev;
	struct bch_super *super; /* NULL: no copy is good */
};

static const struct found *first_good(const struct found *found, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (found[i].super)
			return &found[i];
	return NULL;
}

/* 1: none of them has bcachefs. A device whose superblocks are all bad is told, and missing. */
static int read_supers(struct blockdev *const *devs, size_t nr, struct found *found, struct diag *d)
{
	struct blockdev *other = NULL;
	struct diag bad = { 0 }, why;
	size_t nr_good = 0;

	for (size_t i = 0; i < nr; i++) {
		int err;

		why = (struct diag){ .note = d ? d->note : NULL, .note_arg = d ? d->note_arg : NULL };
		found[i].dev = devs[i];
		err = bch_super_read(devs[i], 0, &found[i].super, &why);
		if (err == -ENOMEM || err == -EOPNOTSUPP)
			return diag_copy(d, &why);
		if (err == 1)
			other = devs[i];
		else if (!err)
			nr_good++;
		else if (!bad.err)
			bad = why;
		if (err < 0 && nr > 1)
			diag_note(d, DIAG_WARNING, "%s: is left out, as if it were missing", why.text);
	}
	if (nr_good == 0 && bad.err)
		return diag_copy(d, &bad);
	if (nr_good == 0)
		return 1;
	if (other)
		return diag_fail(d, -EINVAL, "%s: is no device of the bcachefs volume on %s", other->name,
				 first_good(found, nr)->dev->name);
	return 0;
}

static int check_one_volume(const struct found *found, size_t nr, struct diag *d)
{
	const struct found *first = first_good(found, nr);
	char text[37], first_text[37];

	for (size_t i = 0; i < nr; i++) {
		const struct bch_super *super = found[i].super;

		if (!super)
			continue;
		if (memcmp(super->uuid, first->super->uuid, sizeof(super->uuid)) != 0) {
			uuid_text(super->user_uuid, text);
			uuid_text(first->super->user_uuid, first_text);
			return diag_fail(d, -EINVAL, "%s: belongs to the bcachefs volume %s, and %s to another, %s",
					 found[i].dev->name, text, first->dev->name, first_text);
		}
		for (size_t j = 0; j < i; j++)
			if (found[j].super && found[j].super->dev_idx == super->dev_idx)
				return diag_fail(
					d, -EINVAL,
					"%s: is member %u of the volume, as %s is: the same device twice, or a copy",
					found[i].dev->name, super->dev_idx, found[j].dev->name);
	}
	return 0;
}

/* Is a member what the newest superblock takes it for? */
static int check_member(const struct bch_fs *fs, const struct found *found, struct diag *d)
{
	const struct bch_super *newest = fs->super, *super = found->super;
	const struct bch_member *member;
	u64 member_bytes;

	if (super->dev_idx >= newest->nr_devices || !newest->members.items[super->dev_idx].is_used)
		return diag_fail(d, -EINVAL, "%s: was member %u of the volume, and has been removed from it",
				 found->dev->name, super->dev_idx);
	member = &newest->members.items[super->dev_idx];
	if (memcmp(member->uuid, super->members.items[super->dev_idx].uuid, sizeof(member->uuid)) != 0)
		return diag_fail(d, -EINVAL, "%s: was member %u of the volume, which another device is now",
				 found->dev->name, super->dev_idx);
	if ((super->seq == newest->seq && super->write_time != newest->write_time) ||
	    (super->seq < newest->seq && member->seq && super->seq > member->seq))
		return diag_fail(d, -EINVAL,
				 "%s: has been written to apart from the other devices (superblock %" PRIu64
				 ", of which these know %" PRIu64 "); leave it out",
				 found->dev->name, super->seq, member->seq);
	/* A crash while superblocks are written leaves some one behind. */
	if (super->seq + 1 < newest->seq)
		diag_note(d, DIAG_WARNING,
			  "%s: its superblock is older than that of the volume (%" PRIu64 " of %" PRIu64
			  "): what was written since is not on it",
			  found->dev->name, super->seq, newest->seq);
	member_bytes = member->nr_buckets * member->bucket_bytes;
	if (found->dev->size_bytes < member_bytes)
		diag_note(d, DIAG_WARNING,
			  "%s: has %" PRIu64 " bytes, of the %" PRIu64
			  " that member %u has: what lies behind is missing",
			  found->dev->name, found->dev->size_bytes, member_bytes, super->dev_idx);
	return 0;
}

static void tell_missing(struct bch_fs *fs, struct diag *d)
{
	char text[37];

	for (unsigned i = 0; i < fs->super->nr_devices; i++) {
		const struct bch_member *member = &fs->super->members.items[i];

		if (!member->is_used || fs->devices[i].dev)
			continue;
		fs->nr_missing++;
		uuid_text(member->uuid, text);
		diag_note(d, DIAG_WARNING,
			  "member %u of the bcachefs volume (%s, %" PRIu64
			  " MiB) is missing: what has no copy on another device cannot be read; the volume wants %u of "
			  "metadata and %u of data",
			  i, text, member->nr_buckets * member->bucket_bytes / MIB, fs->super->metadata_replicas,
			  fs->super->data_replicas);
	}
}

static int match(struct bch_fs *fs, struct found *found, size_t nr, struct diag *d)
{
	int err = check_one_volume(found, nr, d);

	if (err)
		return err;
	for (size_t i = 0; i < nr; i++)
		if (found[i].super && (!fs->super || found[i].super->seq > fs->super->seq))
			fs->super = found[i].super;
	for (size_t i = 0; !err && i < nr; i++)
		if (found[i].super)
			err = check_member(fs, &found[i], d);
	if (err) {
		fs->super = NULL; /* one of those that are about to go */
		return err;
	}
	for (size_t i = 0; i < nr; i++)
		if (found[i].super)
			fs->devices[found[i].super->dev_idx] =
				(struct bch_device){ found[i].dev, take_ptr(found[i].super), (u32)i };
	tell_missing(fs, d);
	return 0;
}

int bch_devices_match(struct bch_fs *fs, struct blockdev *const *devs, size_t nr_devs, struct diag *d)
{
	struct found *found;
	int err;

	if (nr_devs == 0 || nr_devs > BCH_DEVICES_MAX)
		return diag_fail(d, -EINVAL, "a bcachefs volume has 1 to %d devices, not %zu", BCH_DEVICES_MAX,
				 nr_devs);
	found = calloc(nr_devs, sizeof(*found));
	if (!found)
		return diag_no_memory(d, "devices");
	err = read_supers(devs, nr_devs, found, d);
	if (!err)
		err = match(fs, found, nr_devs, d);
	for (size_t i = 0; i < nr_devs; i++)
		bch_super_free(found[i].super);
	free(found);
	return err;
}

int bch_device_read(const struct bch_fs *fs, unsigned device, u64 physical, void *buf, size_t len_bytes, struct diag *d)
{
	const struct bch_member *member;
	struct blockdev *dev;

	if (device >= fs->super->nr_devices || !fs->super->members.items[device].is_used)
		return diag_fail(d, -EIO, "the bcachefs volume has no member %u", device);
	dev = fs->devices[device].dev;
	if (!dev)
		return diag_fail(d, -EIO, "member %u of the bcachefs volume is missing", device);
	member = &fs->super->members.items[device];
	if (!range_fits(physical, len_bytes, MIN(dev->size_bytes, member->nr_buckets * member->bucket_bytes)))
		return diag_fail(d, -EIO, "%s: %zu bytes at %" PRIu64 " reach beyond the end of member %u", dev->name,
				 len_bytes, physical, device);
	return blockdev_read(dev, physical, buf, len_bytes, d);
}
