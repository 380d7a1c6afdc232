/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_super_decode.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/base/checked.h"
#include "convert/bcachefs/bch_checksum.h"

#define SIZE_BITS_MAX 15 /* of the place of a copy: 16 MiB */
#define BLOCK_SECTORS_MAX 128
#define NS_PER_S 1000000000u

enum {
	FLAG0_CLEAN = 1 << 1,
	FLAG0_CSUM_SHIFT = 2,
	FLAG0_CSUM_MASK = 63,
	FLAG0_NODE_SHIFT = 12,
	FLAG0_NODE_MASK = 0xffff,
	FLAG0_METADATA_REPLICAS_SHIFT = 48,
	FLAG0_DATA_REPLICAS_SHIFT = 52,
	REPLICAS_MASK = 15,
	FLAG0_BIG_ENDIAN_SHIFT = 62,
	FLAG1_ENCRYPTION_SHIFT = 10,
	FLAG1_ENCRYPTION_MASK = 15,
	FLAG5_INCOMPAT_SHIFT = 32,
	MEMBER_STATE_MASK = 15,
};
#define FEATURE_INCOMPAT_VERSION_FIELD ((u64)1 << 19)

static const u8 magic_bcachefs[16] = { 0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9,
				       0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef };
static const u8 magic_bcache[16] = { 0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca,
				     0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81 };
static const u8 uuid_deleted[16] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
				     0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef };
static const u8 uuid_none[16];

bool bch_magic_is_known(const u8 magic[16])
{
	return memcmp(magic, magic_bcachefs, 16) == 0 || memcmp(magic, magic_bcache, 16) == 0;
}

/* Every refusal begins with the device and the place. */
#define REFUSE(d, err, dev, sector, format, ...)                                                                       \
	diag_fail(d, err, "%s: superblock at sector %" PRIu64 ": " format, (dev)->name, (u64)(sector), ##__VA_ARGS__)

int bch_super_head_judge(const struct blockdev *dev, u64 sector, const struct disk_bch_super *head, u64 *ret_bytes,
			 struct diag *d)
{
	u64 bytes = sizeof(*head) + (u64)le32_get(head->u64s) * 8;
	u8 size_bits = head->layout.size_max_bits;

	if (le64_get(head->flags[0]) >> FLAG0_BIG_ENDIAN_SHIFT & 1)
		return REFUSE(d, -EOPNOTSUPP, dev, sector,
			      "was written by a big-endian machine, which is not supported");
	if (size_bits > SIZE_BITS_MAX)
		return REFUSE(d, -EUCLEAN, dev, sector, "its layout gives a copy 2^%u sectors", size_bits);
	if (bytes > (u64)BCH_SECTOR_BYTES << size_bits)
		return REFUSE(d, -EUCLEAN, dev, sector, "it has %" PRIu64 " bytes, and its layout room for %" PRIu64,
			      bytes, (u64)BCH_SECTOR_BYTES << size_bits);
	if (!range_fits(sector * BCH_SECTOR_BYTES, bytes, dev->size_bytes))
		return REFUSE(d, -EUCLEAN, dev, sector, "its %" PRIu64 " bytes reach beyond the end of the device",
			      bytes);
	*ret_bytes = bytes;
	return 0;
}

static int judge_csum(const struct blockdev *dev, struct bch_super *super, const struct disk_bch_super *raw,
		      struct diag *d)
{
	unsigned type = (unsigned)(le64_get(raw->flags[0]) >> FLAG0_CSUM_SHIFT) & FLAG0_CSUM_MASK;
	struct disk_bch_csum csum;

	if (type >= BCH_NR_CSUM_TYPES || bch_csum_is_encrypted(type))
		return REFUSE(d, -EOPNOTSUPP, dev, super->sector, "its checksum is of the unknown type %u", type);
	super->csum_type = (u8)type;
	csum = bch_csum_of(type, super->raw + sizeof(csum), super->raw_bytes - sizeof(csum));
	if (memcmp(&csum, &raw->csum, bch_csum_bytes(type)) != 0)
		return REFUSE(d, -EUCLEAN, dev, super->sector, "wrong %s checksum", bch_csum_name(type));
	return 0;
}

static int judge_version(const struct blockdev *dev, struct bch_super *super, const struct disk_bch_super *raw,
			 struct diag *d)
{
	char text[64];

	super->version = le16_get(raw->version);
	super->version_min = le16_get(raw->version_min);
	super->incompat_in_use = (u16)(le64_get(raw->flags[5]) >> FLAG5_INCOMPAT_SHIFT);
	super->features = le64_get(raw->features[0]);
	super->compat = le64_get(raw->compat[0]);
	if (super->version < BCH_VERSION_MIN)
		return REFUSE(d, -EOPNOTSUPP, dev, super->sector,
			      "version %s is older than 0.9, the oldest that is supported",
			      bch_version_text(super->version, text));
	if (BCH_VERSION_MAJOR(super->version) > BCH_VERSION_MAJOR(BCH_VERSION_KNOWN))
		return REFUSE(d, -EOPNOTSUPP, dev, super->sector, "version %s is not supported, but 0.9 to 1.31 are",
			      bch_version_text(super->version, text));
	if (super->incompat_in_use > BCH_VERSION_KNOWN)
		return REFUSE(d, -EOPNOTSUPP, dev, super->sector,
			      "uses incompatible features of version %s, but 1.31 is the newest known",
			      bch_version_text(super->incompat_in_use, text));
	if (super->version > BCH_VERSION_KNOWN && !(super->features & FEATURE_INCOMPAT_VERSION_FIELD))
		return REFUSE(d, -EOPNOTSUPP, dev, super->sector,
			      "version %s is newer than 1.31, and it does not say which incompatible features it uses",
			      bch_version_text(super->version, text));
	for (unsigned bit = 0; bit < 128; bit++)
		if (le64_get(raw->features[bit / 64]) >> bit % 64 & 1 &&
		    (bit >= 64 || !((u64)BCH_FEATURES_KNOWN >> bit & 1)))
			return REFUSE(d, -EOPNOTSUPP, dev, super->sector, "has the unknown feature %u", bit);
	return 0;
}

static int decode_fields(const struct blockdev *dev, struct bch_super *super, const struct disk_bch_super *raw,
			 struct diag *d)
{
	u64 flags0 = le64_get(raw->flags[0]);
	u32 block_sectors = le16_get(raw->block_sectors),
	    node_sectors = (u32)(flags0 >> FLAG0_NODE_SHIFT) & FLAG0_NODE_MASK;
	u64 sector = super->sector;

	if (le64_get(raw->sector) != sector)
		return REFUSE(d, -EUCLEAN, dev, sector, "says that it is at sector %" PRIu64, le64_get(raw->sector));
	if (!is_power_of_two(block_sectors) || block_sectors > BLOCK_SECTORS_MAX)
		return REFUSE(d, -EUCLEAN, dev, sector, "blocks of %u sectors", block_sectors);
	if (!is_power_of_two(node_sectors) || node_sectors < block_sectors)
		return REFUSE(d, -EUCLEAN, dev, sector, "btree nodes of %u sectors in blocks of %u", node_sectors,
			      block_sectors);
	if (raw->nr_devices == 0 || raw->nr_devices > BCH_DEVICES_MAX || raw->dev_idx >= raw->nr_devices)
		return REFUSE(d, -EUCLEAN, dev, sector, "device %u of %u", raw->dev_idx, raw->nr_devices);
	if (le32_get(raw->time_precision) == 0 || le32_get(raw->time_precision) > NS_PER_S)
		return REFUSE(d, -EUCLEAN, dev, sector, "times in units of %u ns", le32_get(raw->time_precision));
	memcpy(super->uuid, raw->uuid, sizeof(super->uuid));
	memcpy(super->user_uuid, raw->user_uuid, sizeof(super->user_uuid));
	memcpy(super->label, raw->label, sizeof(raw->label));
	super->seq = le64_get(raw->seq);
	super->write_time = le64_get(raw->write_time);
	super->block_bytes = block_sectors * BCH_SECTOR_BYTES;
	super->node_bytes = node_sectors * BCH_SECTOR_BYTES;
	super->dev_idx = raw->dev_idx;
	super->nr_devices = raw->nr_devices;
	super->time_base_ns = (s64)le64_get(raw->time_base_lo);
	super->time_precision_ns = le32_get(raw->time_precision);
	super->is_clean = flags0 & FLAG0_CLEAN;
	super->metadata_replicas = flags0 >> FLAG0_METADATA_REPLICAS_SHIFT & REPLICAS_MASK;
	super->data_replicas = flags0 >> FLAG0_DATA_REPLICAS_SHIFT & REPLICAS_MASK;
	super->is_encrypted = le64_get(raw->flags[1]) >> FLAG1_ENCRYPTION_SHIFT & FLAG1_ENCRYPTION_MASK;
	return 0;
}

/* --- Sections ---------------------------------------- */

static int check_sections(const struct blockdev *dev, const struct bch_super *super, struct diag *d)
{
	size_t at = sizeof(struct disk_bch_super);

	while (at < super->raw_bytes) {
		const struct disk_bch_section *section = (const void *)(super->raw + at);
		u64 bytes = (u64)le32_get(section->u64s) * 8; /* the area is a multiple of 8, as is each section */

		if (bytes == 0 || !range_fits(at, bytes, super->raw_bytes))
			return REFUSE(d, -EUCLEAN, dev, super->sector,
				      "section %u at byte %zu has %" PRIu64 " bytes, of %zu that are left",
				      le32_get(section->type), at, bytes, super->raw_bytes - at);
		at += bytes;
	}
	return 0;
}

const struct disk_bch_section *bch_super_section(const struct bch_super *super, unsigned type, size_t *ret_bytes)
{
	size_t at = sizeof(struct disk_bch_super);

	while (at < super->raw_bytes) {
		const struct disk_bch_section *section = (const void *)(super->raw + at);
		size_t bytes = (size_t)le32_get(section->u64s) * 8;

		if (le32_get(section->type) == type) {
			*ret_bytes = bytes;
			return section;
		}
		at += bytes;
	}
	return NULL;
}

static int decode_member(const struct blockdev *dev, struct bch_super *super, unsigned nr, const u8 *bytes, size_t len,
			 struct diag *d)
{
	struct disk_bch_member raw = { 0 };
	struct bch_member member = { 0 };
	u64 end_bytes;

	memcpy(&raw, bytes, MIN(len, sizeof(raw)));
	memcpy(member.uuid, raw.uuid, sizeof(member.uuid));
	member.is_deleted = memcmp(raw.uuid, uuid_deleted, sizeof(raw.uuid)) == 0;
	member.is_used = memcmp(raw.uuid, uuid_none, sizeof(raw.uuid)) != 0 && !member.is_deleted;
	member.nr_buckets = le64_get(raw.nr_buckets);
	member.bucket_bytes = (u32)le16_get(raw.bucket_sectors) * BCH_SECTOR_BYTES;
	member.first_bucket = le16_get(raw.first_bucket);
	member.state = le64_get(raw.flags) & MEMBER_STATE_MASK;
	member.seq = le64_get(raw.seq);
	member.last_mount = le64_get(raw.last_mount);
	for (unsigned i = 0; i < ARRAY_LEN(member.errors); i++)
		member.errors[i] = le64_get(raw.errors[i]);
	if (member.is_used && (member.bucket_bytes < super->block_bytes ||
			       !checked_mul(member.nr_buckets, member.bucket_bytes, &end_bytes) ||
			       end_bytes > INT64_MAX || member.first_bucket > member.nr_buckets))
		return REFUSE(d, -EUCLEAN, dev, super->sector,
			      "member %u: %" PRIu64 " buckets of %u bytes, the first of them %u", nr, member.nr_buckets,
			      member.bucket_bytes, member.first_bucket);
	if (array_push(&super->members, member) < 0)
		return diag_no_memory(d, "members");
	return 0;
}

static int decode_members(const struct blockdev *dev, struct bch_super *super, struct diag *d)
{
	size_t bytes, first = sizeof(struct disk_bch_section), member_bytes = BCH_MEMBER_V1_BYTES;
	const struct disk_bch_section *section = bch_super_section(super, BCH_SECTION_MEMBERS_V2, &bytes);
	int err = 0;

	if (section) {
		le16 stored = { 0 };

		first += 8;
		if (bytes >= first)
			memcpy(&stored, section + 1, sizeof(stored));
		member_bytes = le16_get(stored);
	} else {
		section = bch_super_section(super, BCH_SECTION_MEMBERS_V1, &bytes);
	}
	if (!section)
		return REFUSE(d, -EUCLEAN, dev, super->sector, "has no list of members");
	if (member_bytes < BCH_MEMBER_V1_BYTES || member_bytes * super->nr_devices > bytes - MIN(bytes, first))
		return REFUSE(d, -EUCLEAN, dev, super->sector, "list of members: %u of %zu bytes in %zu",
			      super->nr_devices, member_bytes, bytes);
	for (unsigned i = 0; !err && i < super->nr_devices; i++)
		err = decode_member(dev, super, i, (const u8 *)section + first + i * member_bytes, member_bytes, d);
	if (!err && !super->members.items[super->dev_idx].is_used)
		return REFUSE(d, -EUCLEAN, dev, super->sector, "it is of member %u, which is not in the list",
			      super->dev_idx);
	return err;
}

static int add_journal(const struct blockdev *dev, struct bch_super *super, u64 start, u64 nr, struct diag *d)
{
	const struct bch_member *member = &super->members.items[super->dev_idx];
	struct bch_bucket_range *last = super->journal.len ? &super->journal.items[super->journal.len - 1] : NULL;

	if (nr == 0)
		return 0;
	if (start < member->first_bucket || start == 0 || !range_fits(start, nr, member->nr_buckets))
		return REFUSE(d, -EUCLEAN, dev, super->sector,
			      "journal: %" PRIu64 " buckets from %" PRIu64 " on, of %" PRIu64, nr, start,
			      member->nr_buckets);
	if (last && last->start + last->nr == start)
		last->nr += nr;
	else if (array_push(&super->journal, (struct bch_bucket_range){ start, nr }) < 0)
		return diag_no_memory(d, "buckets of the journal");
	return 0;
}

static int compare_ranges(const void *a, const void *b)
{
	const struct bch_bucket_range *ra = a, *rb = b;

	return ra->start < rb->start ? -1 : ra->start > rb->start;
}

/* No bucket twice: it would only be read twice, but a reader's time must not depend on a lie. */
static int check_journal_apart(const struct blockdev *dev, const struct bch_super *super, struct diag *d)
{
	size_t nr = super->journal.len;
	_free_ struct bch_bucket_range *sorted = NULL;

	if (nr < 2)
		return 0;
	sorted = malloc(nr * sizeof(*sorted));
	if (!sorted)
		return diag_no_memory(d, "buckets of the journal");
	memcpy(sorted, super->journal.items, nr * sizeof(*sorted));
	qsort(sorted, nr, sizeof(*sorted), compare_ranges);
	for (size_t i = 1; i < nr; i++)
		if (sorted[i].start < sorted[i - 1].start + sorted[i - 1].nr)
			return REFUSE(d, -EUCLEAN, dev, super->sector, "journal: has bucket %" PRIu64 " twice",
				      sorted[i].start);
	return 0;
}

static int decode_journal(const struct blockdev *dev, struct bch_super *super, struct diag *d)
{
	size_t bytes;
	const struct disk_bch_section *section = bch_super_section(super, BCH_SECTION_JOURNAL_V2, &bytes);
	int err = 0;

	if (section) {
		const struct disk_bch_bucket_range *range = (const void *)(section + 1);

		for (size_t n = (bytes - sizeof(*section)) / sizeof(*range); !err && n > 0; n--, range++)
			err = add_journal(dev, super, le64_get(range->start), le64_get(range->nr), d);
	} else if ((section = bch_super_section(super, BCH_SECTION_JOURNAL, &bytes))) {
		const le64 *bucket = (const void *)(section + 1);

		for (size_t n = (bytes - sizeof(*section)) / sizeof(*bucket); !err && n > 0; n--, bucket++)
			err = add_journal(dev, super, le64_get(*bucket), 1, d);
	}
	return err ?: check_journal_apart(dev, super, d);
}

static int compare_seqs(const void *a, const void *b)
{
	const struct bch_seq_range *ra = a, *rb = b;

	return ra->start < rb->start ? -1 : ra->start > rb->start;
}

/* Ranges that were added after several crashes overlap: they are merged. */
static int decode_blacklist(const struct blockdev *dev, struct bch_super *super, struct diag *d)
{
	size_t bytes, nr = 0;
	const struct disk_bch_section *section = bch_super_section(super, BCH_SECTION_BLACKLIST, &bytes);
	const struct disk_bch_blacklist *raw;

	if (!section)
		return 0;
	raw = (const void *)(section + 1);
	for (size_t n = (bytes - sizeof(*section)) / sizeof(*raw); n > 0; n--, raw++) {
		struct bch_seq_range range = { le64_get(raw->start), le64_get(raw->end) };

		if (range.start > range.end)
			return REFUSE(d, -EUCLEAN, dev, super->sector,
				      "blacklist: from entry %" PRIu64 " to before %" PRIu64, range.start, range.end);
		if (range.start < range.end && array_push(&super->blacklist, range) < 0)
			return diag_no_memory(d, "the blacklist");
	}
	array_sort(&super->blacklist, compare_seqs);
	for (size_t i = 0; i < super->blacklist.len; i++) {
		struct bch_seq_range range = super->blacklist.items[i];

		if (nr > 0 && range.start <= super->blacklist.items[nr - 1].end)
			super->blacklist.items[nr - 1].end = MAX(super->blacklist.items[nr - 1].end, range.end);
		else
			super->blacklist.items[nr++] = range;
	}
	super->blacklist.len = nr;
	return 0;
}

static int decode_clean_and_crypt(const struct blockdev *dev, struct bch_super *super, struct diag *d)
{
	size_t bytes;
	const struct disk_bch_section *section = bch_super_section(super, BCH_SECTION_CLEAN, &bytes);

	if (section && bytes < sizeof(*super->clean))
		return REFUSE(d, -EUCLEAN, dev, super->sector, "clean section of %zu bytes", bytes);
	if (section) {
		super->clean = (const void *)section;
		super->clean_bytes = bytes;
	}
	section = bch_super_section(super, BCH_SECTION_CRYPT, &bytes);
	if (section && bytes < sizeof(*super->crypt))
		return REFUSE(d, -EUCLEAN, dev, super->sector, "crypt section of %zu bytes", bytes);
	super->crypt = (const void *)section;
	if (super->is_encrypted && !super->crypt)
		return REFUSE(d, -EUCLEAN, dev, super->sector, "says that it is encrypted, and has no key");
	return 0;
}

int bch_super_decode(const struct blockdev *dev, u64 sector, u8 *raw_bytes, size_t nr_bytes,
		     struct bch_super **ret_super, struct diag *d)
{
	_cleanup_(bch_super_freep) struct bch_super *super = calloc(1, sizeof(*super));
	const struct disk_bch_super *raw = (const void *)raw_bytes;
	int err;

	if (!super) {
		free(raw_bytes);
		return diag_no_memory(d, "a superblock");
	}
	super->raw = raw_bytes;
	super->raw_bytes = nr_bytes;
	super->sector = sector;
	err = judge_csum(dev, super, raw, d);
	if (!err)
		err = judge_version(dev, super, raw, d);
	if (!err)
		err = decode_fields(dev, super, raw, d);
	if (!err)
		err = check_sections(dev, super, d);
	if (!err)
		err = decode_members(dev, super, d);
	if (!err)
		err = decode_journal(dev, super, d);
	if (!err)
		err = decode_blacklist(dev, super, d);
	if (!err)
		err = decode_clean_and_crypt(dev, super, d);
	if (err)
		return err;
	*ret_super = take_ptr(super);
	return 0;
}

bool bch_super_is_blacklisted(const struct bch_super *super, u64 seq)
{
	size_t at = array_lower_bound(&super->blacklist, range, range->end <= seq);

	return at < super->blacklist.len && super->blacklist.items[at].start <= seq;
}

void bch_super_free(struct bch_super *super)
{
	if (!super)
		return;
	free(super->raw);
	array_done(&super->members);
	array_done(&super->journal);
	array_done(&super->blacklist);
	free(super);
}
