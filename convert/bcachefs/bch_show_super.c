/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Superblocks of bcachefs for people: every field of each copy as it stands, and why a bad one is bad. */
#include <btrkit/inspect.h>
#include <inttypes.h>
#include <stdio.h>

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_journal.h"
#include "convert/bcachefs/bch_super_decode.h"
#include "kernel-shared/device/file_device.h"
#include "kernel-shared/fs/fs.h"
#include "kernel-shared/print/show.h"

#define NS_PER_S 1000000000

struct showing {
	struct blockdev *dev;
	printer *to;
	bool do_all, is_full;
	unsigned copy; /* the one to show, but for do_all */
	unsigned nr_shown;
};

static void show_version(printer *to, const char *name, u16 version)
{
	char text[64];

	show_text(to, name, bch_version_text(version, text));
}

static void show_named_bits(printer *to, const char *name, u64 bits, const char *(*name_of)(unsigned bit))
{
	struct flag_name names[64];
	size_t nr = 0;

	for (unsigned bit = 0; bit < 64; bit++)
		if (name_of(bit))
			names[nr++] = (struct flag_name){ (u64)1 << bit, name_of(bit) };
	show_flags(to, name, bits, names, nr);
}

/* One of a field's names; a number where it has none. */
static void show_choice(printer *to, const char *name, unsigned value, const char *const *names, size_t nr_names)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", value);
	show_text(to, name, value < nr_names ? names[value] : text);
}
#define SHOW_CHOICE(to, name, value, names) show_choice(to, name, value, names, ARRAY_LEN(names))

static void show_time_ns(printer *to, const char *name, s64 ns)
{
	s64 sec = ns / NS_PER_S - (ns % NS_PER_S < 0);
	char text[48];

	snprintf(text, sizeof(text), "%" PRId64 ".%09u", sec, (unsigned)(ns - sec * NS_PER_S));
	show_text(to, name, text);
}

/* --- The fixed part ---------------------------------------- */

static unsigned bits_of(const struct disk_bch_super *head, unsigned word, unsigned first, unsigned nr)
{
	return (unsigned)(le64_get(head->flags[word]) >> first & (((u64)1 << nr) - 1));
}

static void show_options(printer *to, const struct disk_bch_super *head)
{
	static const char *const csums[] = { "none", "crc32c", "crc64", "xxhash" };
	static const char *const compressions[] = { "none", "lz4", "gzip", "zstd" };
	static const char *const hashes[] = { "crc32c", "crc64", "siphash" };

	show_u64(to, "btree_node_size_bytes", (u64)bits_of(head, 0, 12, 16) * BCH_SECTOR_BYTES);
	SHOW_CHOICE(to, "metadata_checksum", bits_of(head, 0, 40, 4), csums);
	SHOW_CHOICE(to, "data_checksum", bits_of(head, 0, 44, 4), csums);
	show_u64(to, "metadata_replicas", bits_of(head, 0, 48, 4));
	show_u64(to, "data_replicas", bits_of(head, 0, 52, 4));
	SHOW_CHOICE(to, "str_hash", bits_of(head, 1, 0, 4), hashes);
	SHOW_CHOICE(to, "compression", bits_of(head, 1, 4, 4), compressions);
	SHOW_CHOICE(to, "background_compression", bits_of(head, 2, 0, 4), compressions);
	show_u64(to, "encoded_extent_max_bytes", (u64)BCH_SECTOR_BYTES << bits_of(head, 1, 14, 6));
	show_bool(to, "acl", bits_of(head, 0, 56, 1));
	show_bool(to, "inodes_32bit", bits_of(head, 1, 8, 1));
}

static void show_flag_words(printer *to, const struct disk_bch_super *head)
{
	show_bool(to, "initialized", bits_of(head, 0, 0, 1));
	show_bool(to, "clean", bits_of(head, 0, 1, 1));
	show_bool(to, "has_errors", bits_of(head, 0, 60, 1));
	show_bool(to, "has_topology_errors", bits_of(head, 0, 61, 1));
	show_bool(to, "big_endian", bits_of(head, 0, 62, 1));
	show_bool(to, "encrypted", bits_of(head, 1, 10, 4));
	show_options(to, head);
	show_begin_list(to, "flags");
	for (size_t i = 0; i < ARRAY_LEN(head->flags); i++) {
		char text[24];

		snprintf(text, sizeof(text), "0x%" PRIx64, le64_get(head->flags[i]));
		show_text(to, NULL, text);
	}
	show_end(to);
}

static void show_layout(printer *to, const struct disk_bch_layout *layout)
{
	show_begin(to, "layout");
	show_u64(to, "size_max_bytes", layout->size_max_bits < 32 ? (u64)BCH_SECTOR_BYTES << layout->size_max_bits : 0);
	show_begin_list(to, "sectors");
	for (unsigned i = 0; i < MIN((unsigned)layout->nr_copies, (unsigned)BCH_SUPER_COPIES_MAX); i++)
		show_u64(to, NULL, le64_get(layout->sector[i]));
	show_end(to);
	show_end(to);
}

static void show_head(printer *to, const struct disk_bch_super *head)
{
	unsigned csum_type = bits_of(head, 0, 2, 6);
	const char *csum_name = bch_csum_name(csum_type);

	show_u64(to, "csum_type", csum_type);
	show_text(to, "csum_name", csum_name ? csum_name : "unknown");
	show_hex(to, "csum", head->csum.lo.byte, bch_csum_bytes(csum_type));
	show_uuid(to, "magic", head->magic);
	show_uuid(to, "uuid", head->user_uuid);
	show_uuid(to, "internal_uuid", head->uuid);
	show_name(to, "label", head->label, strnlen((const char *)head->label, sizeof(head->label)));
	show_version(to, "version", le16_get(head->version));
	show_version(to, "version_min", le16_get(head->version_min));
	show_version(to, "version_upgrade_complete", (u16)bits_of(head, 5, 0, 16));
	show_version(to, "version_incompat", (u16)bits_of(head, 5, 32, 16));
	show_version(to, "version_incompat_allowed", (u16)bits_of(head, 5, 48, 16));
	show_u64(to, "offset_sectors", le64_get(head->sector));
	show_u64(to, "seq", le64_get(head->seq));
	show_u64(to, "size_bytes", sizeof(*head) + (u64)le32_get(head->u64s) * 8);
	show_u64(to, "block_size_bytes", (u64)le16_get(head->block_sectors) * BCH_SECTOR_BYTES);
	show_u64(to, "dev_idx", head->dev_idx);
	show_u64(to, "nr_devices", head->nr_devices);
	show_time_ns(to, "time_base", (s64)le64_get(head->time_base_lo));
	show_u64(to, "time_precision_ns", le32_get(head->time_precision));
	show_u64(to, "write_time", le64_get(head->write_time));
	show_named_bits(to, "features", le64_get(head->features[0]), bch_feature_name);
	show_named_bits(to, "compat", le64_get(head->compat[0]), bch_compat_name);
	show_flag_words(to, head);
	show_layout(to, &head->layout);
}

/* --- Sections ---------------------------------------- */

static void show_sections(printer *to, const struct bch_super *super)
{
	char number[16];

	show_begin_list(to, "sections");
	for (size_t at = sizeof(struct disk_bch_super); at < super->raw_bytes;) {
		const struct disk_bch_section *section = (const void *)(super->raw + at);
		const char *name = bch_section_name(le32_get(section->type));

		snprintf(number, sizeof(number), "%u", le32_get(section->type));
		show_begin(to, NULL);
		show_text(to, "type", name ? name : number);
		show_u64(to, "size_bytes", (u64)le32_get(section->u64s) * 8);
		show_end(to);
		at += (size_t)le32_get(section->u64s) * 8; /* each was checked */
	}
	show_end(to);
}

static void show_members(printer *to, const struct bch_super *super)
{
	static const char *const states[] = { "rw", "ro", "failed", "spare" };

	show_begin_list(to, "members");
	for (size_t i = 0; i < super->members.len; i++) {
		const struct bch_member *member = &super->members.items[i];

		if (!member->is_used && !member->is_deleted)
			continue;
		show_begin(to, NULL);
		show_u64(to, "index", i);
		show_uuid(to, "uuid", member->uuid);
		if (member->is_deleted) {
			show_text(to, "state", "deleted");
			show_end(to);
			continue;
		}
		SHOW_CHOICE(to, "state", member->state, states);
		show_u64(to, "size_bytes", member->nr_buckets * member->bucket_bytes);
		show_u64(to, "bucket_size_bytes", member->bucket_bytes);
		show_u64(to, "first_bucket", member->first_bucket);
		show_u64(to, "buckets", member->nr_buckets);
		show_u64(to, "last_mount", member->last_mount);
		show_u64(to, "seq", member->seq);
		show_u64(to, "read_errors", member->errors[0]);
		show_u64(to, "write_errors", member->errors[1]);
		show_u64(to, "checksum_errors", member->errors[2]);
		show_end(to);
	}
	show_end(to);
}

static void show_ranges(printer *to, const struct bch_super *super)
{
	show_begin_list(to, "journal");
	array_for_each (&super->journal, range) {
		show_begin(to, NULL);
		show_u64(to, "bucket", range->start);
		show_u64(to, "buckets", range->nr);
		show_end(to);
	}
	show_end(to);
	show_begin_list(to, "blacklist");
	array_for_each (&super->blacklist, range) {
		show_begin(to, NULL);
		show_u64(to, "start", range->start);
		show_u64(to, "end", range->end);
		show_end(to);
	}
	show_end(to);
}

static int show_entry(void *ctx, const struct disk_bch_jentry *entry, const u8 *payload, size_t payload_bytes,
		      struct diag *d)
{
	printer *to = ctx;
	struct bch_key key;
	char text[BCH_POS_TEXT_MAX];

	show_begin(to, NULL);
	show_text(to, "type", bch_jentry_name(entry->type, text));
	if (entry->type == BCH_JENTRY_ROOT) {
		show_text(to, "btree", bch_btree_name(entry->btree, text));
		show_u64(to, "level", entry->level);
		if (bch_key_get(NULL, payload, payload_bytes, &key, d) > 0)
			show_text(to, "pointer", bch_key_type_name(key.type, text));
		else
			show_text(to, "problem", d ? d->text : "no key");
		diag_clear(d);
	} else {
		show_raw(to, payload, (u32)payload_bytes);
	}
	show_end(to);
	return 0;
}

/* Never the key. */
static void show_clean_and_crypt(printer *to, const struct bch_super *super, bool is_full)
{
	static const char magic[8] = { 'b', 'c', 'h', '*', '*', 'k', 'e', 'y' };
	struct diag why = { 0 };

	if (super->clean) {
		show_begin(to, "clean_section");
		show_u64(to, "journal_seq", le64_get(super->clean->journal_seq));
		if (is_full) {
			show_begin_list(to, "entries");
			(void)bch_jentries_for_each((const u8 *)(super->clean + 1),
						    super->clean_bytes - sizeof(*super->clean), show_entry, (void *)to,
						    &why);
			show_end(to);
			if (why.err)
				show_text(to, "problem", why.text);
		}
		show_end(to);
	}
	if (super->crypt) {
		u64 kdf = le64_get(super->crypt->kdf_flags);

		show_begin(to, "crypt");
		show_bool(to, "has_passphrase", memcmp(super->crypt->key_magic.byte, magic, sizeof(magic)) != 0);
		show_u64(to, "kdf_type", le64_get(super->crypt->flags) & 15);
		show_u64(to, "scrypt_n_log2", (u16)kdf);
		show_u64(to, "scrypt_r_log2", (u16)(kdf >> 16));
		show_u64(to, "scrypt_p_log2", (u16)(kdf >> 32));
		show_end(to);
	}
}

/* --- Copies ---------------------------------------- */

static int show_copy(void *ctx, unsigned copy, u64 sector, const struct bch_super *super, const struct diag *why,
		     struct diag *d)
{
	struct showing *showing = ctx;
	printer *to = showing->to;
	struct disk_bch_super head;
	struct diag ignored = { 0 };
	bool is_there;

	(void)d;
	/* Fields of a bad copy are shown as they stand. */
	is_there = sector < UINT64_MAX / BCH_SECTOR_BYTES &&
		   blockdev_read(showing->dev, sector * BCH_SECTOR_BYTES, &head, sizeof(head), &ignored) == 0 &&
		   bch_magic_is_known(head.magic);
	if (!showing->do_all && copy != showing->copy)
		return 0;
	showing->nr_shown++;
	show_begin(to, NULL);
	show_text(to, "device", showing->dev->name);
	show_text(to, "type", "bcachefs");
	show_u64(to, "copy", copy);
	show_u64(to, "sector", sector);
	if (!super)
		show_text(to, "problem", why->text);
	if (is_there)
		show_head(to, &head);
	if (super) {
		show_sections(to, super);
		show_members(to, super);
		show_ranges(to, super);
		show_clean_and_crypt(to, super, showing->is_full);
	}
	show_end(to);
	return 0;
}

/* Copies are only shown where any of them, or a layout, is of bcachefs: else there would be something to show on every
 * device. */
static int has_bcachefs(struct blockdev *dev, struct diag *d)
{
	_cleanup_(bch_super_freep) struct bch_super *super = NULL;
	int err = bch_super_read(dev, 0, &super, d);

	if (err == -ENOMEM)
		return err;
	if (err == 1)
		return diag_fail(d, -EMEDIUMTYPE, "%s has no superblock of bcachefs", dev->name);
	diag_clear(d);
	return 0;
}

static int inspect_super(const char *path, u64 offset_bytes, struct showing *showing, struct diag *d)
{
	_cleanup_(blockdev_closep) struct blockdev *dev = NULL;
	int err = file_device_open(path, 0, offset_bytes, 0, &dev, d);

	if (!err)
		err = has_bcachefs(dev, d);
	if (err)
		return err;
	showing->dev = dev;
	err = bch_super_for_each_copy(dev, show_copy, showing, d);
	if (!err && showing->nr_shown == 0)
		return diag_fail(d, -ENOENT, "%s has no superblock copy %u", path, showing->copy);
	return err;
}

int btrkit_inspect_super_bcachefs(const char *path, uint64_t offset_bytes, unsigned copy, bool do_all, bool is_full,
				  const struct btrkit_printer *to, struct btrkit_error *error)
{
	struct showing showing = { .to = to, .copy = copy, .do_all = do_all, .is_full = is_full };
	struct diag d = { 0 };

	return fs_error(error, &d, inspect_super(path, offset_bytes, &showing, &d));
}
