/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/bcachefs/bch_extent.h"

#include <inttypes.h>

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_decompress.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_pieces.h"

/* The kind of an entry is its lowest bit that is set. */
enum entry_kind {
	ENTRY_PTR = 0,
	ENTRY_CRC32 = 1,
	ENTRY_CRC64 = 2,
	ENTRY_CRC128 = 3,
	ENTRY_STRIPE_PTR = 4,
	ENTRY_REBALANCE = 5,
	ENTRY_FLAGS = 6,
	ENTRY_RECONCILE = 7,
	ENTRY_RECONCILE_BP = 8,
	NR_ENTRY_KINDS
};

static const u8 entry_words[NR_ENTRY_KINDS] = {
	[ENTRY_PTR] = 1,	[ENTRY_CRC32] = 1,     [ENTRY_CRC64] = 2, [ENTRY_CRC128] = 3,	 [ENTRY_STRIPE_PTR] = 1,
	[ENTRY_REBALANCE] = 1, [ENTRY_FLAGS] = 1, [ENTRY_RECONCILE] = 1, [ENTRY_RECONCILE_BP] = 1,
};

#define ENTRY_FLAG_POISONED ((u64)1 << 7)

static u64 word_at(const u8 *bytes, unsigned nr)
{
	le64 word;

	memcpy(&word, bytes + nr * sizeof(word), sizeof(word));
	return le64_get(word);
}

static u32 bits(u64 word, unsigned first, unsigned nr)
{
	return (u32)(word >> first & (((u64)1 << nr) - 1));
}

static bool is_plain(unsigned compression)
{
	return compression == BCH_COMPRESSION_NONE || compression == BCH_COMPRESSION_INCOMPRESSIBLE;
}

static struct bch_crc get_crc(const u8 *entry, enum entry_kind kind)
{
	u64 word = word_at(entry, 0);
	struct bch_crc crc = { 0 };

	switch (kind) {
	case ENTRY_CRC32:
		crc.csize_sectors = bits(word, 2, 7) + 1;
		crc.usize_sectors = bits(word, 9, 7) + 1;
		crc.offset_sectors = bits(word, 16, 7);
		crc.csum_type = (u8)bits(word, 24, 4);
		crc.compression = (u8)bits(word, 28, 4);
		le64_put(&crc.csum.lo, word >> 32);
		break;
	case ENTRY_CRC64:
		crc.csize_sectors = bits(word, 3, 9) + 1;
		crc.usize_sectors = bits(word, 12, 9) + 1;
		crc.offset_sectors = bits(word, 21, 9);
		crc.nonce = bits(word, 30, 10);
		crc.csum_type = (u8)bits(word, 40, 4);
		crc.compression = (u8)bits(word, 44, 4);
		le64_put(&crc.csum.lo, word_at(entry, 1));
		le64_put(&crc.csum.hi, word >> 48);
		break;
	default:
		crc.csize_sectors = bits(word, 4, 13) + 1;
		crc.usize_sectors = bits(word, 17, 13) + 1;
		crc.offset_sectors = bits(word, 30, 13);
		crc.nonce = bits(word, 43, 13);
		crc.csum_type = (u8)bits(word, 56, 4);
		crc.compression = (u8)bits(word, 60, 4);
		le64_put(&crc.csum.lo, word_at(entry, 1));
		le64_put(&crc.csum.hi, word_at(entry, 2));
		break;
	}
	return crc;
}

static int check_crc(const struct bch_crc *crc, enum entry_kind kind, u32 size_sectors, struct diag *d)
{
	unsigned room = kind == ENTRY_CRC32 ? 4 : kind == ENTRY_CRC64 ? 10 : 16;

	if (!bch_csum_name(crc->csum_type))
		return diag_fail(d, -EOPNOTSUPP, "an extent has a checksum of a kind that is not known (%u)", crc->csum_type);
	if (bch_csum_bytes(crc->csum_type) > room)
		return diag_fail(d, -EUCLEAN, "an extent has a %s checksum in %u bytes", bch_csum_name(crc->csum_type), room);
	if (!bch_compression_name(crc->compression))
		return diag_fail(d, -EOPNOTSUPP, "an extent is compressed in a way that is not known (%u)", crc->compression);
	if ((u64)crc->offset_sectors + size_sectors > crc->usize_sectors)
		return diag_fail(d, -EUCLEAN, "an extent wants %u sectors at %u of what has %u", size_sectors, crc->offset_sectors,
				 crc->usize_sectors);
	if (is_plain(crc->compression) && crc->csize_sectors != crc->usize_sectors)
		return diag_fail(d, -EUCLEAN, "an extent that is not compressed has %u sectors of %u", crc->csize_sectors,
				 crc->usize_sectors);
	return 0;
}

static int add_replica(struct bch_extent *extent, u64 word, const struct bch_crc *crc, struct diag *d)
{
	struct bch_replica replica = {
		.device = (u8)bits(word, 48, 8),
		.is_cached = bits(word, 1, 1),
		.is_unwritten = bits(word, 3, 1),
		.physical = (word >> 4 & (((u64)1 << 44) - 1)) * BCH_SECTOR_BYTES,
		.crc = *crc,
	};

	if (extent->nr_replicas == BCH_REPLICAS_MAX) {
		if (replica.is_cached)
			return 0;
		return diag_fail(d, -EUCLEAN, "an extent has more than %u pointers", BCH_REPLICAS_MAX);
	}
	extent->replica[extent->nr_replicas++] = replica;
	return 0;
}

int bch_extent_get(const struct bch_fs *fs, const u8 *entries, size_t bytes, u32 size_sectors, struct bch_extent *ret_extent,
		   struct diag *d)
{
	struct bch_crc crc = { .csize_sectors = size_sectors, .usize_sectors = size_sectors };
	size_t at = 0;
	int err;

	(void)fs;
	ret_extent->nr_replicas = 0;
	ret_extent->is_poisoned = ret_extent->has_stripes = false;
	if (size_sectors == 0)
		return diag_fail(d, -EUCLEAN, "an extent of no length");
	while (at < bytes) {
		const u8 *entry = entries + at;
		u64 word;
		unsigned kind;

		if (bytes - at < sizeof(le64))
			return diag_fail(d, -EUCLEAN, "an extent's value is cut off");
		word = word_at(entry, 0);
		kind = word ? (unsigned)__builtin_ctzll(word) : NR_ENTRY_KINDS;
		if (!word)
			return diag_fail(d, -EUCLEAN, "an extent's value has an entry of no kind");
		if (kind >= NR_ENTRY_KINDS)
			return diag_fail(d, -EOPNOTSUPP, "an extent's value has an entry of a kind that is not known (%u)", kind);
		if (bytes - at < entry_words[kind] * sizeof(le64))
			return diag_fail(d, -EUCLEAN, "an extent's value is cut off");
		at += entry_words[kind] * sizeof(le64);
		switch ((enum entry_kind)kind) {
		case ENTRY_PTR:
			err = add_replica(ret_extent, word, &crc, d);
			if (err)
				return err;
			break;
		case ENTRY_CRC32:
		case ENTRY_CRC64:
		case ENTRY_CRC128:
			crc = get_crc(entry, (enum entry_kind)kind);
			err = check_crc(&crc, (enum entry_kind)kind, size_sectors, d);
			if (err)
				return err;
			break;
		case ENTRY_STRIPE_PTR:
			ret_extent->has_stripes = true;
			break;
		case ENTRY_FLAGS:
			if (word & ENTRY_FLAG_POISONED)
				ret_extent->is_poisoned = true;
			break;
		default:
			break;
		}
	}
	return 0;
}

/* --- Reading ---------------------------------------------------------------------------------------------------- */

bool bch_crc_is_plain(const struct bch_crc *crc)
{
	return is_plain(crc->compression);
}

int bch_crc_open(const struct bch_fs *fs, const struct bch_key *key, const struct bch_crc *crc, void *stored, struct diag *d)
{
	size_t bytes = (size_t)crc->csize_sectors * BCH_SECTOR_BYTES;
	struct disk_bch_csum csum;
	struct bch_nonce nonce = { 0 };

	if (crc->csum_type == BCH_CSUM_NONE)
		return 0;
	if (bch_csum_is_encrypted(crc->csum_type)) {
		if (!fs->crypt)
			return diag_fail(d, -EUCLEAN, "data is encrypted, but the volume is not");
		nonce = bch_nonce_of_extent(key->version_lo, key->version_hi, crc->usize_sectors, crc->compression, crc->nonce);
		csum = bch_crypt_mac(fs->crypt, crc->csum_type, nonce, stored, bytes);
	} else {
		csum = bch_csum_of(crc->csum_type, stored, bytes);
	}
	if (memcmp(&csum, &crc->csum, bch_csum_bytes(crc->csum_type)) != 0 && !fs->options->ignore_csums)
		return diag_fail(d, -EUCLEAN, "%u bytes of data do not match their %s checksum", (unsigned)bytes,
				 bch_csum_name(crc->csum_type));
	if (bch_csum_is_encrypted(crc->csum_type))
		bch_crypt_decrypt(fs->crypt, nonce, stored, bytes);
	return 0;
}

static int read_plain(struct bch_fs *fs, const struct bch_key *key, const struct bch_replica *replica, void *buf, struct diag *d)
{
	int err = bch_device_read(fs, replica->device, replica->physical, buf,
				  (size_t)replica->crc.csize_sectors * BCH_SECTOR_BYTES, d);

	return err ?: bch_crc_open(fs, key, &replica->crc, buf, d);
}

int bch_replica_read(struct bch_fs *fs, const struct bch_key *key, const struct bch_replica *replica, void *buf, struct diag *d)
{
	const struct bch_crc *crc = &replica->crc;
	_free_ u8 *stored = NULL;
	int err;

	if (replica->is_unwritten) {
		memset(buf, 0, (size_t)crc->usize_sectors * BCH_SECTOR_BYTES);
		return 0;
	}
	if (is_plain(crc->compression)) {
		err = read_plain(fs, key, replica, buf, d);
	} else {
		stored = malloc((size_t)crc->csize_sectors * BCH_SECTOR_BYTES);
		if (!stored)
			return diag_no_memory(d, "compressed data");
		err = read_plain(fs, key, replica, stored, d);
		if (!err)
			err = bch_decompress(crc->compression, stored, (size_t)crc->csize_sectors * BCH_SECTOR_BYTES, buf,
					     (size_t)crc->usize_sectors * BCH_SECTOR_BYTES, d);
	}
	if (err)
		return diag_context(d, err, "device %u at %" PRIu64, replica->device, replica->physical);
	return 0;
}

/* Where nothing checks what is read, no more of it is read than is wanted. */
static int read_part(struct bch_fs *fs, const struct bch_key *key, const struct bch_replica *replica, u32 from_sector, u32 nr_sectors,
		     void *buf, struct diag *d)
{
	const struct bch_crc *crc = &replica->crc;
	u32 first = crc->offset_sectors + from_sector;
	_free_ u8 *all = NULL;
	int err;

	if (first == 0 && nr_sectors == crc->usize_sectors)
		return bch_replica_read(fs, key, replica, buf, d);
	if (crc->csum_type == BCH_CSUM_NONE && is_plain(crc->compression))
		return bch_device_read(fs, replica->device, replica->physical + (u64)first * BCH_SECTOR_BYTES, buf,
				       (size_t)nr_sectors * BCH_SECTOR_BYTES, d);
	if (bch_pieces_get(fs->pieces, replica, first, nr_sectors, buf))
		return 0;
	all = malloc((size_t)crc->usize_sectors * BCH_SECTOR_BYTES);
	if (!all)
		return diag_no_memory(d, "an extent's data");
	err = bch_replica_read(fs, key, replica, all, d);
	if (err)
		return err;
	memcpy(buf, all + (size_t)first * BCH_SECTOR_BYTES, (size_t)nr_sectors * BCH_SECTOR_BYTES);
	bch_pieces_put(fs->pieces, replica, take_ptr(all));
	return 0;
}

bool bch_extent_is_unwritten(const struct bch_extent *extent)
{
	for (unsigned i = 0; i < extent->nr_replicas; i++)
		if (!extent->replica[i].is_cached && extent->replica[i].is_unwritten)
			return true;
	return false;
}

static bool is_there(const struct bch_fs *fs, unsigned device)
{
	return device < BCH_DEVICES_MAX && fs->devices[device].dev;
}

int bch_extent_read(struct bch_fs *fs, const struct bch_key *key, const struct bch_extent *extent, u32 from_sector, u32 nr_sectors,
		    void *buf, struct diag *d)
{
	char pos[BCH_POS_TEXT_MAX];
	struct diag bad = { 0 };
	unsigned bad_device = 0;

	if ((u64)from_sector + nr_sectors > key->size_sectors)
		return diag_fail(d, -EUCLEAN, "extent %s has no %u sectors at %u", bch_pos_text(&key->pos, pos), nr_sectors, from_sector);
	if (extent->is_poisoned)
		return diag_fail(d, -EIO, "extent %s is marked as damaged", bch_pos_text(&key->pos, pos));
	if (bch_extent_is_unwritten(extent)) {
		memset(buf, 0, (size_t)nr_sectors * BCH_SECTOR_BYTES);
		return 0;
	}
	for (unsigned i = 0; i < extent->nr_replicas; i++) {
		struct diag why = { 0 };
		int err;

		/* What is cached may have been replaced since, and without the space accounting nobody can tell. */
		if (extent->replica[i].is_cached)
			continue;
		err = read_part(fs, key, &extent->replica[i], from_sector, nr_sectors, buf, &why);
		if (!err) {
			/* That a device is missing has been told. */
			if (bad.err && is_there(fs, bad_device))
				diag_note(d, DIAG_WARNING, "extent %s: %s; another copy is good", bch_pos_text(&key->pos, pos), bad.text);
			return 0;
		}
		if (!bad.err || !is_there(fs, bad_device)) {
			bad = why;
			bad_device = extent->replica[i].device;
		}
	}
	if (!bad.err)
		return diag_fail(d, -EUCLEAN, "extent %s has no copy", bch_pos_text(&key->pos, pos));
	return diag_fail(d, bad.err, "extent %s: %s%s", bch_pos_text(&key->pos, pos), bad.text,
			 extent->has_stripes ? "; what erasure coding could restore is not computed" : "");
}
