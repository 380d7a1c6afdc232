/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What kind of filesystem the image is, and whether the image has all that it uses. A kind is a row of a table.
 * Source: the ext4 disk layout as the Linux documentation has it ("The Super Block").
 */
#include <stdio.h>

#include "convert/ext/ext_source.h"
#include "convert/inplace/rollback.h"

typedef unsigned long long ull;

/* --- ext2, ext3, ext4 --------------------------------------------------------------------------------------------------- */

#define EXT_SUPER_OFFSET 1024
#define EXT_MAGIC 0xef53
#define EXT_MAGIC_OFFSET 56
#define EXT_UUID_OFFSET 104
#define EXT_COMPAT_HAS_JOURNAL 0x4
#define EXT_INCOMPAT_64BIT 0x80
/* Features that came with ext2 and ext3: filetype, recover, journal_dev, meta_bg; sparse_super, large_file, btree_dir. */
#define EXT3_INCOMPAT 0x1e
#define EXT3_RO_COMPAT 0x7

static u32 ext_field(const u8 *super, unsigned offset)
{
	le32 field;

	memcpy(&field, super + offset, sizeof(field));
	return le32_get(field);
}

static int probe_ext(const u8 *head, const char **ret_type, u64 *ret_total_bytes, struct diag *d)
{
	const u8 *super = head + EXT_SUPER_OFFSET;
	u32 log_block = ext_field(super, 24), incompat = ext_field(super, 96), ro_compat = ext_field(super, 100);
	u64 blocks = ext_field(super, 4);

	if ((ext_field(super, EXT_MAGIC_OFFSET) & 0xffff) != EXT_MAGIC)
		return 1;
	if (incompat & EXT_INCOMPAT_64BIT)
		blocks |= (u64)ext_field(super, 336) << 32;
	if (log_block > 6 || blocks > UINT64_MAX >> (10 + log_block))
		return diag_fail(d, -EUCLEAN, "the superblock in the image is damaged: block size 1024 << %u, %llu blocks", log_block,
				 (ull)blocks);
	*ret_total_bytes = blocks << (10 + log_block);
	if ((incompat & ~EXT3_INCOMPAT) || (ro_compat & ~EXT3_RO_COMPAT))
		*ret_type = "ext4";
	else
		*ret_type = ext_field(super, 92) & EXT_COMPAT_HAS_JOURNAL ? "ext3" : "ext2";
	return 0;
}

static const struct saved_kind saved_kinds[] = {
	{ .probe = probe_ext,
	  .magic_physical = EXT_SUPER_OFFSET + EXT_MAGIC_OFFSET,
	  .magic_len = 2,
	  .uuid_physical = EXT_SUPER_OFFSET + EXT_UUID_OFFSET,
	  .source = &source_ext_ops },
};

/* --- Does the image have all that it uses? ------------------------------------------------------------------------------- */

/* The image as a device that is only read. */
struct image_device {
	struct blockdev dev;
	const struct rollback *rollback;
};

static int image_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	return rollback_read_image(container_of(dev, struct image_device, dev)->rollback, offset, buf, len, d);
}

static int image_refuse(struct blockdev *dev, u64 offset, const void *buf, size_t len, struct diag *d)
{
	(void)offset, (void)buf, (void)len;
	return diag_fail(d, -EROFS, "%s: is only read", dev->name);
}

static const struct blockdev_ops image_ops = { .read = image_read, .write = image_refuse };

struct coverage {
	const struct rollback *rollback;
	size_t next; /* the first piece that may hold what comes */
	u64 lacking_bytes, first;
};

static void lacks(struct coverage *coverage, u64 from, u64 to)
{
	if (!coverage->lacking_bytes)
		coverage->first = from;
	coverage->lacking_bytes += to - from;
}

/* Ranges come ascending. */
static int cover(void *ctx, u64 physical, u64 len, struct diag *d)
{
	struct coverage *coverage = ctx;
	u64 end = physical + len;

	(void)d;
	while (physical < end) {
		const struct image_piece *piece = NULL;

		if (coverage->next < coverage->rollback->pieces.len)
			piece = &coverage->rollback->pieces.items[coverage->next];
		if (piece && piece->offset + piece->len <= physical) {
			coverage->next++;
		} else if (piece && piece->offset <= physical) {
			physical = piece->offset + piece->len;
		} else {
			u64 to = piece ? MIN(end, piece->offset) : end;

			lacks(coverage, physical, to);
			physical = to;
		}
	}
	return 0;
}

/* Holes that were punched are like any others, but for what the saved filesystem itself says of its space. */
static int check_holes(struct rollback *rollback, const struct source_ops *ops, struct diag *d)
{
	const struct source_options options = { .is_force = true, .no_xattrs = true };
	struct image_device image = {
		.dev = { .ops = &image_ops, .name = (char *)"the image", .size_bytes = rollback->image_bytes },
		.rollback = rollback,
	};
	struct coverage coverage = { .rollback = rollback };
	_cleanup_(source_closep) struct source *source = NULL;
	int err = ops->open(&(struct blockdev *){ &image.dev }, 1, &options, &source, d);

	if (err == -EOPNOTSUPP) {
		diag_note(d, DIAG_WARNING, "%s; whether the image has all that it had cannot be told", d ? d->text : "");
		diag_clear(d);
		return 0;
	}
	if (err == 1)
		err = diag_fail(d, -EUCLEAN, "the image holds another filesystem");
	if (!err)
		err = ops->used_ranges(source, 0, cover, &coverage, d);
	if (err == -EUCLEAN)
		return diag_context(d, err, "the image was changed after the conversion");
	if (err)
		return err;
	if (coverage.lacking_bytes)
		return diag_fail(d, -EUCLEAN,
				 "the image was changed after the conversion: it lacks %llu bytes that the %s in it uses, the first at %llu",
				 (ull)coverage.lacking_bytes, rollback->plan.source_type, (ull)coverage.first);
	return 0;
}

/* --- Any ---------------------------------------------------------------------------------------------------------------- */

int saved_kind_of(const u8 *head, const struct saved_kind **ret_kind, const char **ret_type, u64 *ret_total_bytes,
		  struct diag *d)
{
	int err = 1;

	for (size_t i = 0; i < ARRAY_LEN(saved_kinds) && err == 1; i++) {
		err = saved_kinds[i].probe(head, ret_type, ret_total_bytes, d);
		*ret_kind = &saved_kinds[i];
	}
	return err;
}

int rollback_judge_saved(struct rollback *rollback, struct diag *d)
{
	_free_ u8 *head = malloc(SAVED_HEAD_BYTES);
	const char *type;
	u64 total_bytes;
	int err;

	if (!head)
		return diag_no_memory(d, "the image's superblock");
	err = rollback_read_image(rollback, 0, head, SAVED_HEAD_BYTES, d);
	if (!err)
		err = saved_kind_of(head, &rollback->kind, &type, &total_bytes, d);
	if (err == 1)
		return diag_fail(d, -EUCLEAN,
				 "the image holds no filesystem that is known: it was changed after the conversion");
	if (err)
		return err;
	snprintf(rollback->plan.source_type, sizeof(rollback->plan.source_type), "%s", type);
	if (total_bytes > rollback->image_bytes)
		return diag_fail(d, -EUCLEAN, "the image has %llu bytes, the %s in it %llu: it was cut short",
				 (ull)rollback->image_bytes, type, (ull)total_bytes);
	return check_holes(rollback, rollback->kind->source, d);
}
