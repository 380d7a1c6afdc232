/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Superblocks: each copy by itself, the copies of a device against its newest, and the devices against each other. What differs by
 * right are the place, the number of the device, where its journal is, and the checksum.
 */
#include "convert/bcachefs/bch_check.h"

typedef unsigned long long ull;

struct copies {
	struct bch_check *check;
	struct blockdev *dev;
	const struct bch_super *best; /* of the device; NULL: none */
};

#define LAYOUT_BYTE (BCH_LAYOUT_SECTOR * BCH_SECTOR_BYTES)

/* Is this section another one on each device? */
static bool is_of_device(u32 type)
{
	return type == BCH_SECTION_JOURNAL || type == BCH_SECTION_JOURNAL_V2;
}

static const struct disk_bch_section *section_at(const struct bch_super *super, size_t at, size_t *ret_bytes)
{
	const struct disk_bch_section *section = (const void *)(super->raw + at);

	if (super->raw_bytes - at < sizeof(*section))
		return NULL;
	*ret_bytes = (size_t)le32_get(section->u64s) * 8;
	return *ret_bytes >= sizeof(*section) && *ret_bytes <= super->raw_bytes - at ? section : NULL;
}

/* The next section at or behind *at that both devices should have; NULL: the end. */
static const struct disk_bch_section *common_section(const struct bch_super *super, size_t *at, size_t *ret_bytes)
{
	for (;;) {
		const struct disk_bch_section *section = section_at(super, *at, ret_bytes);

		if (section)
			*at += *ret_bytes;
		if (!section || !is_of_device(le32_get(section->type)))
			return section;
	}
}

static bool heads_are_same(const struct bch_super *a, const struct bch_super *b, bool is_same_device)
{
	struct disk_bch_super x, y;

	memcpy(&x, a->raw, sizeof(x));
	memcpy(&y, b->raw, sizeof(y));
	memset(&x.csum, 0, sizeof(x.csum));
	memset(&y.csum, 0, sizeof(y.csum));
	x.sector = y.sector = (le64){ 0 };
	if (!is_same_device) {
		x.dev_idx = y.dev_idx = 0;
		x.u64s = y.u64s = (le32){ 0 };
		memset(&x.layout, 0, sizeof(x.layout));
		memset(&y.layout, 0, sizeof(y.layout));
	}
	return memcmp(&x, &y, sizeof(x)) == 0;
}

static bool supers_are_same(const struct bch_super *a, const struct bch_super *b, bool is_same_device)
{
	size_t at_a = sizeof(struct disk_bch_super), at_b = at_a;

	if (!heads_are_same(a, b, is_same_device))
		return false;
	if (is_same_device)
		return a->raw_bytes == b->raw_bytes && memcmp(a->raw + at_a, b->raw + at_b, a->raw_bytes - at_a) == 0;
	for (;;) {
		size_t bytes_a = 0, bytes_b = 0;
		const struct disk_bch_section *section_a = common_section(a, &at_a, &bytes_a);
		const struct disk_bch_section *section_b = common_section(b, &at_b, &bytes_b);

		if (!section_a || !section_b)
			return !section_a && !section_b;
		if (bytes_a != bytes_b || memcmp(section_a, section_b, bytes_a) != 0)
			return false;
	}
}

static int judge_copy(void *ctx, unsigned copy, u64 sector, const struct bch_super *super, const struct diag *why, struct diag *d)
{
	const struct copies *copies = ctx;
	struct bch_check *check = copies->check;
	const char *name = copies->dev->name;
	const struct place *place = AT(.physical = sector * BCH_SECTOR_BYTES);

	(void)copy, (void)d;
	if (!super) {
		complain(check, BCH_SUPER_COPY_BAD, place, name, (ull)sector * BCH_SECTOR_BYTES, why ? why->text : "not readable");
		return 0;
	}
	check->result->metadata_bytes += super->raw_bytes;
	if (le64_get(((const struct disk_bch_super *)super->raw)->sector) != sector)
		complain(check, BCH_SUPER_PLACE_WRONG, place, name, (ull)sector * BCH_SECTOR_BYTES,
			 (ull)le64_get(((const struct disk_bch_super *)super->raw)->sector) * BCH_SECTOR_BYTES);
	if (!copies->best)
		return 0;
	if (super->seq != copies->best->seq)
		complain(check, BCH_SUPER_COPY_OLD, place, name, (ull)sector * BCH_SECTOR_BYTES, (ull)super->seq,
			 (ull)copies->best->seq);
	else if (!supers_are_same(super, copies->best, true))
		complain(check, BCH_SUPER_COPY_DIFFERS, place, name, (ull)sector * BCH_SECTOR_BYTES);
	return 0;
}

/* Copies are found through it when the first is lost; it has no checksum. */
static void judge_layout(struct bch_check *check, struct blockdev *dev, const struct bch_super *super)
{
	struct disk_bch_layout layout;
	const char *what = NULL;

	if (blockdev_read(dev, LAYOUT_BYTE, &layout, sizeof(layout), NULL) < 0)
		what = "cannot be read";
	else if (memcmp(&layout, &((const struct disk_bch_super *)super->raw)->layout, sizeof(layout)) != 0)
		what = "is not that which the superblock has";
	if (what)
		complain(check, BCH_LAYOUT_BAD, AT(.physical = LAYOUT_BYTE), dev->name, (ull)LAYOUT_BYTE, what);
}

/* What holds for all devices. */
static void judge_newest(struct bch_check *check, const struct bch_super *newest)
{
	/* Before 1.0, one of the two bits said something else. */
	bool has_bits = newest->version >= BCH_VERSION(1, 0);
	u64 flags = has_bits ? le64_get(((const struct disk_bch_super *)newest->raw)->flags[0]) : 0;

	if (flags & 1ULL << 60)
		complain(check, BCH_ERRORS_RECORDED, AT(0), "errors");
	if (flags & 1ULL << 61)
		complain(check, BCH_ERRORS_RECORDED, AT(0), "errors in the order of its btrees");
	for (size_t i = 0; i < newest->members.len && i < BCH_DEVICES_MAX; i++)
		if (newest->members.items[i].is_used && !newest->members.items[i].is_deleted && check->fs &&
		    !check->fs->devices[i].dev)
			complain(check, BCH_DEVICE_MISSING, AT(.devid = i), (unsigned)i);
}

int bch_pass_supers(struct bch_check *check, struct diag *d)
{
	const struct bch_super *newest = check->fs ? check->fs->super : NULL;
	int err = 0;

	for (size_t i = 0; i < check->nr_devs && err >= 0; i++) {
		_cleanup_(bch_super_freep) struct bch_super *best = NULL;
		struct copies copies = { .check = check, .dev = check->devs[i] };
		struct diag why = { 0 };

		if (bch_super_read(check->devs[i], 0, &best, &why) == 0)
			copies.best = best;
		err = bch_super_for_each_copy(check->devs[i], judge_copy, &copies, d);
		if (err == -EUCLEAN || err == -EIO) {
			complain(check, BCH_SUPER_COPY_BAD, AT(0), check->devs[i]->name,
				 (ull)BCH_SUPER_SECTOR * BCH_SECTOR_BYTES, d ? d->text : "not readable");
			diag_clear(d);
			err = 0;
		}
		if (!best)
			continue;
		judge_layout(check, check->devs[i], best);
		if (newest && best->seq != newest->seq)
			complain(check, BCH_SUPER_COPY_OLD, AT(0), check->devs[i]->name, (ull)best->sector * BCH_SECTOR_BYTES,
				 (ull)best->seq, (ull)newest->seq);
		else if (newest && !supers_are_same(best, newest, best->dev_idx == newest->dev_idx))
			complain(check, BCH_SUPER_COPY_DIFFERS, AT(0), check->devs[i]->name,
				 (ull)best->sector * BCH_SECTOR_BYTES);
	}
	if (err >= 0 && newest)
		judge_newest(check, newest);
	return err < 0 ? err : 0;
}
