/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Superblocks, sound or not: every field as it stands, and whether Linux would take it. */
#include <stdio.h>

#include "common/csum/csum.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/device/super.h"
#include "kernel-shared/format/features.h"
#include "kernel-shared/format/super_check.h"
#include "kernel-shared/fs/fs.h"
#include "kernel-shared/print/show.h"

static const struct flag_name super_flags[] = {
	{ HEADER_FLAG_WRITTEN, "WRITTEN" },
	{ HEADER_FLAG_RELOC, "RELOC" },
	{ SUPER_FLAG_ERROR, "ERROR" },
	{ SUPER_FLAG_SEEDING, "SEEDING" },
	{ SUPER_FLAG_METADUMP, "METADUMP" },
	{ SUPER_FLAG_METADUMP_V2, "METADUMP_V2" },
	{ SUPER_FLAG_CHANGING_FSID, "CHANGING_FSID" },
	{ SUPER_FLAG_CHANGING_FSID_V2, "CHANGING_FSID_V2" },
	{ SUPER_FLAG_CHANGING_BG_TREE, "CHANGING_BG_TREE" },
	{ SUPER_FLAG_CHANGING_DATA_CSUM, "CHANGING_DATA_CSUM" },
	{ SUPER_FLAG_CHANGING_META_CSUM, "CHANGING_META_CSUM" },
};

static void show_features(printer *to, const char *name, enum feature_set set, u64 bits)
{
	struct flag_name names[64];
	char text[64][NAME_TEXT_MAX];

	for (unsigned bit = 0; bit < 64; bit++)
		names[bit] = (struct flag_name){ 1ULL << bit, feature_bit_name(set, bit, text[bit], NAME_TEXT_MAX) };
	show_flags(to, name, bits, names, ARRAY_LEN(names));
}

const char *btrkit_feature_name(bool is_compat_ro, unsigned bit, char *buf, size_t cap)
{
	return feature_bit_name(is_compat_ro ? FEATURE_COMPAT_RO : FEATURE_INCOMPAT, bit, buf, cap);
}

static void show_csum_state(printer *to, const struct disk_super *super)
{
	const struct csum_kind *csum = csum_kind_by_type(le16_get(super->csum_type));
	u8 computed[CSUM_SIZE] = { 0 };
	const char *name = csum_type_name(le16_get(super->csum_type));

	show_u64(to, "csum_type", le16_get(super->csum_type));
	show_text(to, "csum_name", name ? name : "unknown");
	if (!csum) {
		show_hex(to, "csum", super->csum, CSUM_SIZE);
		return;
	}
	csum_compute(csum, super->fsid, sizeof(*super) - CSUM_SIZE, computed);
	show_hex(to, "csum", super->csum, csum->size_bytes);
	show_bool(to, "csum_matches", memcmp(computed, super->csum, csum->size_bytes) == 0);
}

static void show_magic(printer *to, const struct disk_super *super)
{
	char text[9];

	for (int i = 0; i < 8; i++) {
		u8 byte = super->magic.byte[i];

		text[i] = byte >= 0x20 && byte < 0x7f ? (char)byte : '.';
	}
	text[8] = '\0';
	show_text(to, "magic", text);
	show_bool(to, "magic_matches", le64_get(super->magic) == SUPER_MAGIC);
}

static void show_fields(printer *to, const struct disk_super *super)
{
	show_u64(to, "bytenr", le64_get(super->bytenr));
	show_flags(to, "flags", le64_get(super->flags), super_flags, ARRAY_LEN(super_flags));
	show_magic(to, super);
	show_uuid(to, "fsid", super->fsid);
	show_uuid(to, "metadata_uuid", super_metadata_fsid(super));
	show_name(to, "label", super->label, strnlen((const char *)super->label, LABEL_SIZE));
	show_u64(to, "generation", le64_get(super->generation));
	show_u64(to, "root", le64_get(super->root));
	show_u64(to, "root_level", super->root_level);
	show_u64(to, "sys_array_size", le32_get(super->sys_chunk_array_size));
	show_u64(to, "chunk_root_generation", le64_get(super->chunk_root_generation));
	show_u64(to, "chunk_root", le64_get(super->chunk_root));
	show_u64(to, "chunk_root_level", super->chunk_root_level);
	show_u64(to, "log_root", le64_get(super->log_root));
	show_u64(to, "log_root_transid", le64_get(super->log_root_transid));
	show_u64(to, "log_root_level", super->log_root_level);
	show_u64(to, "total_bytes", le64_get(super->total_bytes));
	show_u64(to, "bytes_used", le64_get(super->bytes_used));
	show_u64(to, "root_dir", le64_get(super->root_dir_objectid));
	show_u64(to, "num_devices", le64_get(super->num_devices));
	show_u64(to, "sectorsize", le32_get(super->sectorsize));
	show_u64(to, "nodesize", le32_get(super->nodesize));
	show_u64(to, "leafsize", le32_get(super->leafsize));
	show_u64(to, "stripesize", le32_get(super->stripesize));
	show_flags(to, "compat_flags", le64_get(super->compat_flags), NULL, 0);
	show_features(to, "compat_ro_flags", FEATURE_COMPAT_RO, le64_get(super->compat_ro_flags));
	show_features(to, "incompat_flags", FEATURE_INCOMPAT, le64_get(super->incompat_flags));
	show_u64(to, "cache_generation", le64_get(super->cache_generation));
	show_u64(to, "uuid_tree_generation", le64_get(super->uuid_tree_generation));
	show_u64(to, "nr_global_roots", le64_get(super->nr_global_roots));
	show_begin(to, "dev_item");
	show_dev_item(to, &super->dev_item);
	show_end(to);
}

/* Whatever the array holds, as far as it makes sense. */
static void show_chunk_array(printer *to, const struct disk_super *super)
{
	u32 at = 0, end = MIN(le32_get(super->sys_chunk_array_size), (u32)SYSTEM_CHUNK_ARRAY_SIZE);

	show_begin_list(to, "sys_chunk_array");
	while (at + sizeof(struct disk_key) + sizeof(struct disk_chunk) <= end) {
		const struct key key = key_unpack((const struct disk_key *)(super->sys_chunk_array + at));
		const struct disk_chunk *chunk = (const void *)(super->sys_chunk_array + at + sizeof(struct disk_key));
		u32 bytes = (u32)sizeof(*chunk) + le16_get(chunk->num_stripes) * (u32)sizeof(chunk->stripe[0]);

		at += (u32)sizeof(struct disk_key);
		bytes = MIN(bytes, end - at);
		show_begin(to, NULL);
		show_key(to, "key", &key);
		show_chunk(to, chunk, bytes);
		show_end(to);
		at += bytes;
	}
	show_end(to);
}

static void show_backup_roots(printer *to, const struct disk_super *super)
{
	show_begin_list(to, "backup_roots");
	for (int i = 0; i < NUM_BACKUP_ROOTS; i++) {
		const struct disk_root_backup *backup = &super->super_roots[i];

		show_begin(to, NULL);
#define SHOW_ROOT(name)                                                                            \
	show_u64(to, #name, le64_get(backup->name));                                               \
	show_u64(to, #name "_gen", le64_get(backup->name##_gen));                                  \
	show_u64(to, #name "_level", backup->name##_level)
		SHOW_ROOT(tree_root);
		SHOW_ROOT(chunk_root);
		SHOW_ROOT(extent_root);
		SHOW_ROOT(fs_root);
		SHOW_ROOT(dev_root);
		SHOW_ROOT(csum_root);
#undef SHOW_ROOT
		show_u64(to, "total_bytes", le64_get(backup->total_bytes));
		show_u64(to, "bytes_used", le64_get(backup->bytes_used));
		show_u64(to, "num_devices", le64_get(backup->num_devices));
		show_end(to);
	}
	show_end(to);
}

static int inspect_super(const char *path, u64 offset_bytes, unsigned mirror, bool do_show_arrays, bool is_forced,
			 printer *to, struct diag *d)
{
	_cleanup_(blockdev_closep) struct blockdev *dev = NULL;
	struct disk_super super;
	struct diag why = { 0 };
	int err;

	if (mirror >= SUPER_MIRROR_MAX)
		return diag_fail(d, -EINVAL, "there are superblock copies 0 to %d, no copy %u", SUPER_MIRROR_MAX - 1, mirror);
	err = file_device_open(path, 0, offset_bytes, 0, &dev, d);
	if (err)
		return err;
	if (mirror >= super_mirror_count(dev->size_bytes))
		return diag_fail(d, -ENOENT, "%s is too small to have superblock copy %u", path, mirror);
	err = blockdev_read(dev, super_mirror_physical(mirror), &super, sizeof(super), d);
	if (err)
		return err;
	if (le64_get(super.magic) != SUPER_MAGIC && le64_get(super.magic) != SUPER_MAGIC_TEMPORARY && !is_forced)
		return diag_fail(d, -EMEDIUMTYPE, "%s has no Btrfs superblock at %llu", path,
				 (unsigned long long)super_mirror_physical(mirror));
	show_begin(to, NULL);
	show_text(to, "device", path);
	show_u64(to, "mirror", mirror);
	show_u64(to, "physical", super_mirror_physical(mirror));
	if (super_check(&super, super_mirror_physical(mirror), &why) < 0)
		show_text(to, "problem", why.text);
	show_csum_state(to, &super);
	show_fields(to, &super);
	if (do_show_arrays) {
		show_chunk_array(to, &super);
		show_backup_roots(to, &super);
	}
	show_end(to);
	return 0;
}

int btrkit_inspect_super(const char *path, uint64_t offset_bytes, unsigned mirror, bool do_show_arrays, bool is_forced,
			 const struct btrkit_printer *to, struct btrkit_error *error)
{
	struct diag d = { 0 };

	return fs_error(error, &d, inspect_super(path, offset_bytes, mirror, do_show_arrays, is_forced, to, &d));
}
