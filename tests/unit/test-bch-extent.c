/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert/bcachefs: values of extents, and reading them from whichever copy is good. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <zlib.h>

#include <cmocka.h>
#if HAVE_LZ4
#include <lz4.h>
#endif
#if HAVE_ZSTD
#include <zstd.h>
#endif

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_decompress.h"
#include "convert/bcachefs/bch_extent.h"
#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_pieces.h"
#include "kernel-shared/device/memory_device.h"

#define NR_DEVICES 3 /* the last one is missing */
#define DEVICE_BYTES (1 << 20)
#define SECTORS 16
#define BYTES (SECTORS * BCH_SECTOR_BYTES)

struct volume {
	struct bch_fs fs;
	struct bch_super super;
	struct bch_member members[NR_DEVICES];
	struct source_options options;
	u8 data[BYTES], got[BYTES];
	u8 value[256];
	size_t value_bytes;
	u64 version_lo; /* of the key */
	u32 version_hi;
	unsigned nr_warnings;
	struct diag d;
};

static void count_note(void *arg, enum diag_severity severity, const char *text)
{
	struct volume *v = arg;

	(void)text;
	v->nr_warnings += severity == DIAG_WARNING;
}

static int setup(void **state)
{
	struct volume *v = calloc(1, sizeof(*v));

	v->super.nr_devices = NR_DEVICES;
	v->super.block_bytes = BCH_SECTOR_BYTES;
	v->super.members.items = v->members;
	v->super.members.len = NR_DEVICES;
	for (unsigned i = 0; i < NR_DEVICES; i++)
		v->members[i] = (struct bch_member){ .nr_buckets = 8, .bucket_bytes = DEVICE_BYTES / 8, .is_used = true };
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(memory_device_new("memory", DEVICE_BYTES, &v->fs.devices[i].dev), 0);
	v->fs.super = &v->super;
	v->fs.options = &v->options;
	for (unsigned i = 0; i < BYTES; i++)
		v->data[i] = (u8)((i * 2654435761U) >> 9 & (i / 512 % 2 ? 3 : 255));
	v->d = (struct diag){ .note = count_note, .note_arg = v };
	*state = v;
	return 0;
}

static int teardown(void **state)
{
	struct volume *v = *state;

	for (unsigned i = 0; i < 2; i++)
		blockdev_close(v->fs.devices[i].dev);
	free(v);
	return 0;
}

/* --- Making values ---------------------------------------------------------------------------------------------- */

static void put_word(struct volume *v, u64 word)
{
	le64 stored;

	le64_put(&stored, word);
	memcpy(v->value + v->value_bytes, &stored, sizeof(stored));
	v->value_bytes += sizeof(stored);
}

enum { PTR_CACHED = 2, PTR_UNWRITTEN = 8 };

static void put_ptr(struct volume *v, u8 device, u64 sector, u64 flags)
{
	put_word(v, 1 | flags | sector << 4 | (u64)device << 48);
}

/* As large as is needed for the checksum's kind. */
static void put_crc(struct volume *v, u32 csize, u32 usize, u32 offset, unsigned csum_type, unsigned compression,
		    struct disk_bch_csum csum)
{
	switch (bch_csum_bytes(csum_type)) {
	case 0:
	case 4:
		put_word(v, 2 | (u64)(csize - 1) << 2 | (u64)(usize - 1) << 9 | (u64)offset << 16 | (u64)csum_type << 24 |
				    (u64)compression << 28 | le64_get(csum.lo) << 32);
		break;
	case 8:
		put_word(v, 4 | (u64)(csize - 1) << 3 | (u64)(usize - 1) << 12 | (u64)offset << 21 | (u64)csum_type << 40 |
				    (u64)compression << 44 | le64_get(csum.hi) << 48);
		put_word(v, le64_get(csum.lo));
		break;
	default:
		put_word(v, 8 | (u64)(csize - 1) << 4 | (u64)(usize - 1) << 17 | (u64)offset << 30 | (u64)csum_type << 56 |
				    (u64)compression << 60);
		put_word(v, le64_get(csum.lo));
		put_word(v, le64_get(csum.hi));
		break;
	}
}

static void store(struct volume *v, unsigned device, u64 sector, const void *data, size_t len)
{
	assert_int_equal(blockdev_write(v->fs.devices[device].dev, sector * BCH_SECTOR_BYTES, data, len, &v->d), 0);
}

static int read_sectors(struct volume *v, u32 size, u32 from, u32 nr)
{
	struct bch_key key = { .pos = { 4096, 100, 0 }, .size_sectors = size, .type = BCH_KEY_EXTENT,
			       .version_lo = v->version_lo, .version_hi = v->version_hi };
	u8 *exact = malloc(v->value_bytes ? v->value_bytes : 1);
	struct bch_extent extent;
	int err;

	memcpy(exact, v->value, v->value_bytes);
	memset(v->got, 0xa5, sizeof(v->got));
	v->d.text[0] = '\0';
	err = bch_extent_get(&v->fs, exact, v->value_bytes, size, &extent, &v->d);
	if (!err)
		err = bch_extent_read(&v->fs, &key, &extent, from, nr, v->got, &v->d);
	free(exact);
	if (err)
		assert_true(strlen(v->d.text) > 0);
	return err;
}

static void expect(struct volume *v, u32 size, u32 from, u32 nr, u32 data_from)
{
	assert_int_equal(read_sectors(v, size, from, nr), 0);
	assert_memory_equal(v->got, v->data + (size_t)data_from * BCH_SECTOR_BYTES, (size_t)nr * BCH_SECTOR_BYTES);
	for (size_t i = (size_t)nr * BCH_SECTOR_BYTES; i < sizeof(v->got); i++)
		assert_int_equal(v->got[i], 0xa5);
}

/* --- Values ----------------------------------------------------------------------------------------------------- */

/* Of v14-crash2-gzip: stored plainly, and compressed. */
static void test_values(void **state)
{
	static const u8 plain[] = { 0x1e, 0x0e, 0, 0x55, 0xc3, 0x2b, 0x77, 0x38, 0x01, 0, 0x02, 0, 0, 0, 0, 0 };
	static const u8 packed[] = { 0x1e, 0x1e, 0, 0x25, 0x90, 0xfc, 0x4f, 0x0e, 0x81, 0, 0x02, 0, 0, 0, 0, 0 };
	struct volume *v = *state;
	struct bch_extent extent;

	assert_int_equal(bch_extent_get(&v->fs, plain, sizeof(plain), 8, &extent, &v->d), 0);
	assert_int_equal(extent.nr_replicas, 1);
	assert_int_equal(extent.replica[0].physical, 8192 * 512);
	assert_int_equal(extent.replica[0].device, 0);
	assert_int_equal(extent.replica[0].crc.csize_sectors, 8);
	assert_int_equal(extent.replica[0].crc.usize_sectors, 8);
	assert_int_equal(extent.replica[0].crc.csum_type, BCH_CSUM_CRC32C);
	assert_int_equal(extent.replica[0].crc.compression, BCH_COMPRESSION_INCOMPRESSIBLE);
	assert_int_equal(le64_get(extent.replica[0].crc.csum.lo), 0x38772bc3);
	assert_int_equal(bch_extent_get(&v->fs, packed, sizeof(packed), 16, &extent, &v->d), 0);
	assert_int_equal(extent.replica[0].crc.csize_sectors, 8);
	assert_int_equal(extent.replica[0].crc.usize_sectors, 16);
	assert_int_equal(extent.replica[0].crc.compression, BCH_COMPRESSION_GZIP);
	assert_int_equal(extent.replica[0].physical, 8200 * 512);
}

static void test_lies(void **state)
{
	struct volume *v = *state;
	struct disk_bch_csum none = { 0 };

	assert_int_equal(read_sectors(v, 16, 0, 16), -EUCLEAN); /* no pointer at all */
	put_word(v, 0);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EUCLEAN);
	for (unsigned kind = 9; kind < 64; kind++) {
		v->value_bytes = 0;
		put_word(v, (u64)1 << kind);
		assert_int_equal(read_sectors(v, 16, 0, 16), -EOPNOTSUPP);
	}
	/* Cut off anywhere. */
	v->value_bytes = 0;
	put_crc(v, 16, 16, 0, BCH_CSUM_CHACHA20_POLY1305_128, 0, none);
	for (v->value_bytes = 1; v->value_bytes < 24; v->value_bytes++)
		assert_int_equal(read_sectors(v, 16, 0, 16), -EUCLEAN);
	/* Data behind the end of what is stored. */
	v->value_bytes = 0;
	put_crc(v, 16, 16, 1, BCH_CSUM_CRC32C, 0, none);
	put_ptr(v, 0, 64, 0);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EUCLEAN);
	/* Longer or shorter although it is not compressed. */
	v->value_bytes = 0;
	put_crc(v, 8, 16, 0, BCH_CSUM_CRC32C, BCH_COMPRESSION_INCOMPRESSIBLE, none);
	put_ptr(v, 0, 64, 0);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EUCLEAN);
	/* Kinds of checksums and compression that there are not. */
	v->value_bytes = 0;
	put_crc(v, 16, 16, 0, 9, 0, none);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EOPNOTSUPP);
	v->value_bytes = 0;
	put_crc(v, 16, 16, 0, BCH_CSUM_CRC32C, 9, none);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EOPNOTSUPP);
	/* An extent of no length; more than it has. */
	v->value_bytes = 0;
	put_ptr(v, 0, 64, 0);
	assert_int_equal(read_sectors(v, 0, 0, 0), -EUCLEAN);
	assert_int_equal(read_sectors(v, 8, 4, 5), -EUCLEAN);
	assert_int_equal(read_sectors(v, 8, UINT32_MAX, 2), -EUCLEAN);
	/* Beyond the device, and a device that there is not. */
	v->value_bytes = 0;
	put_ptr(v, 0, DEVICE_BYTES / 512 - 15, 0);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EIO);
	v->value_bytes = 0;
	put_ptr(v, 0, ((u64)1 << 44) - 1, 0);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EIO);
	v->value_bytes = 0;
	put_ptr(v, 77, 64, 0);
	put_ptr(v, BCH_NO_DEVICE, 64, 0);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EIO);
	/* More copies than there can be. */
	v->value_bytes = 0;
	for (unsigned i = 0; i < BCH_REPLICAS_MAX + 1; i++)
		put_ptr(v, 0, 64, 0);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EUCLEAN);
}

static void test_random_values(void **state)
{
	struct volume *v = *state;
	u32 x = 1;

	for (unsigned i = 0; i < 60000; i++) {
		size_t len = i % 65;
		u8 *value = malloc(len ? len : 1);
		struct bch_extent extent;

		for (size_t at = 0; at < len; at++)
			value[at] = (u8)((x = x * 1664525 + 1013904223) >> 24);
		for (size_t at = 0; at < len; at += 8)
			value[at] &= (u8)(0xff << (x >> 9 & 7)); /* known kinds more often */
		if (bch_extent_get(&v->fs, value, len, i % 200, &extent, &v->d) == 0)
			assert_true(extent.nr_replicas <= BCH_REPLICAS_MAX);
		free(value);
	}
}

/* --- Reading ---------------------------------------------------------------------------------------------------- */

static void test_plain(void **state)
{
	struct volume *v = *state;

	store(v, 0, 64, v->data, BYTES);
	put_ptr(v, 0, 64, 0);
	expect(v, 16, 0, 16, 0);
	expect(v, 16, 3, 5, 3);
}

static void test_checksums(void **state)
{
	struct volume *v = *state;

	store(v, 0, 64, v->data, BYTES);
	for (unsigned type = 0; type < BCH_NR_CSUM_TYPES; type++) {
		if (bch_csum_is_encrypted(type))
			continue;
		v->value_bytes = 0;
		put_crc(v, 16, 16, 0, type, 0, bch_csum_of(type, v->data, BYTES));
		put_ptr(v, 0, 64, 0);
		expect(v, 16, 0, 16, 0);
		expect(v, 16, 3, 5, 3);
		/* What an overwritten extent keeps. */
		v->value_bytes = 0;
		put_crc(v, 16, 16, 6, type, 0, bch_csum_of(type, v->data, BYTES));
		put_ptr(v, 0, 64, 0);
		expect(v, 7, 0, 7, 6);
		expect(v, 7, 5, 2, 11);
	}
	assert_int_equal(v->nr_warnings, 0);
}

/* One byte that is wrong is never handed out. */
static void test_copies(void **state)
{
	struct volume *v = *state;
	u8 bad = (u8)~v->data[1000];

	store(v, 0, 64, v->data, BYTES);
	store(v, 1, 128, v->data, BYTES);
	for (unsigned type = 1; type < BCH_NR_CSUM_TYPES; type++) {
		if (bch_csum_is_encrypted(type))
			continue;
		v->value_bytes = v->nr_warnings = 0;
		put_crc(v, 16, 16, 0, type, 0, bch_csum_of(type, v->data, BYTES));
		put_ptr(v, 0, 64, 0);
		put_ptr(v, 1, 128, 0);
		assert_int_equal(blockdev_write(v->fs.devices[0].dev, 64 * 512 + 1000, &bad, 1, &v->d), 0);
		expect(v, 16, 0, 16, 0);
		expect(v, 16, 8, 2, 8); /* of which no byte is wrong; but who knows */
		assert_int_equal(v->nr_warnings, 2);
		assert_int_equal(blockdev_write(v->fs.devices[1].dev, 128 * 512 + 1000, &bad, 1, &v->d), 0);
		assert_int_equal(read_sectors(v, 16, 0, 16), -EUCLEAN);
		assert_int_equal(read_sectors(v, 16, 8, 2), -EUCLEAN);
		v->options.ignore_csums = true;
		assert_int_equal(read_sectors(v, 16, 0, 16), 0);
		v->options.ignore_csums = false;
		store(v, 0, 64, v->data, BYTES);
		store(v, 1, 128, v->data, BYTES);
	}
}

static void test_missing(void **state)
{
	struct volume *v = *state;

	store(v, 1, 128, v->data, BYTES);
	put_ptr(v, 2, 64, 0);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EIO);
	put_ptr(v, 1, 128, 0);
	expect(v, 16, 0, 16, 0);
	assert_int_equal(v->nr_warnings, 0); /* that it is missing has been told once and for all */
}

static void test_what_is_no_data(void **state)
{
	struct volume *v = *state;
	u8 zeroes[BYTES] = { 0 };

	store(v, 0, 64, v->data, BYTES);
	put_ptr(v, 0, 64, PTR_UNWRITTEN);
	assert_int_equal(read_sectors(v, 16, 0, 16), 0);
	assert_memory_equal(v->got, zeroes, BYTES);
	v->value_bytes = 0;
	put_ptr(v, 0, 64, PTR_CACHED);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EUCLEAN);
	put_ptr(v, 0, 64, 0);
	expect(v, 16, 0, 16, 0);
	put_word(v, 1 << 6 | 1 << 7); /* poisoned */
	assert_int_equal(read_sectors(v, 16, 0, 16), -EIO);
	v->value_bytes = 0;
	put_word(v, 1 << 6); /* flags, but not this one */
	put_word(v, 1 << 5 | 0xabcd00);
	put_word(v, 1 << 4 | 0xabcd00); /* erasure coded; the copy can be read */
	put_ptr(v, 0, 64, 0);
	expect(v, 16, 0, 16, 0);
	v->value_bytes = 0;
	put_word(v, 1 << 4 | 0xabcd00);
	put_ptr(v, 2, 64, 0);
	assert_int_equal(read_sectors(v, 16, 0, 16), -EIO);
	assert_non_null(strstr(v->d.text, "erasure"));
}

/* Who reads the rest of what was read in part gets it from memory; more of them than are kept push the oldest out. */
static void test_pieces(void **state)
{
	struct volume *v = *state;
	u8 zeroes[BYTES] = { 0 };

	v->fs.pieces = bch_pieces_new();
	assert_non_null(v->fs.pieces);
	for (unsigned i = 0; i < 100; i++) {
		u64 sector = 64 + i * SECTORS;

		store(v, 0, sector, v->data, BYTES);
		v->value_bytes = 0;
		put_crc(v, 16, 16, 0, BCH_CSUM_CRC32C, 0, bch_csum_of(BCH_CSUM_CRC32C, v->data, BYTES));
		put_ptr(v, 0, sector, 0);
		expect(v, 16, 0, 5, 0);
		store(v, 0, sector, zeroes, BYTES);
		expect(v, 16, 5, 11, 5);
		assert_int_equal(read_sectors(v, 16, 0, 16), -EUCLEAN); /* what is wanted as a whole is read again */
	}
	v->value_bytes = 0;
	put_crc(v, 16, 16, 0, BCH_CSUM_CRC32C, 0, bch_csum_of(BCH_CSUM_CRC32C, v->data, BYTES));
	put_ptr(v, 0, 64, 0);
	assert_int_equal(read_sectors(v, 16, 0, 5), -EUCLEAN);
	bch_pieces_free(v->fs.pieces);
	bch_pieces_free(NULL);
}

/* --- Compression ------------------------------------------------------------------------------------------------ */

static size_t deflate_raw(const u8 *data, size_t len, u8 *to, size_t room)
{
	z_stream stream = { .next_in = (u8 *)(uintptr_t)data, .avail_in = (uInt)len, .next_out = to, .avail_out = (uInt)room };

	assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
	deflateEnd(&stream);
	return room - stream.avail_out;
}

static size_t compress_as(unsigned compression, const u8 *data, size_t len, u8 *to, size_t room)
{
	memset(to, 0, room);
	if (compression == BCH_COMPRESSION_GZIP)
		return deflate_raw(data, len, to, room);
#if HAVE_LZ4
	if (compression == BCH_COMPRESSION_LZ4)
		return (size_t)LZ4_compress_default((const char *)data, (char *)to, (int)len, (int)room);
#endif
#if HAVE_ZSTD
	if (compression == BCH_COMPRESSION_ZSTD) {
		size_t packed = ZSTD_compress(to + 4, room - 4, data, len, 3);
		le32 stored;

		le32_put(&stored, (u32)packed);
		memcpy(to, &stored, sizeof(stored));
		return packed + 4;
	}
#endif
	return 0;
}

static void test_compressed(void **state)
{
	struct volume *v = *state;
	u8 packed[2 * BYTES];

	for (unsigned compression = BCH_COMPRESSION_GZIP; compression <= BCH_COMPRESSION_ZSTD; compression++) {
		size_t len = compress_as(compression, v->data, BYTES, packed, sizeof(packed));
		u32 csize = (u32)((len + 511) / 512);

		if (len == 0)
			continue; /* built without it */
		assert_true(csize < SECTORS);
		store(v, 1, 200, packed, csize * 512);
		v->value_bytes = 0;
		put_crc(v, csize, 16, 0, BCH_CSUM_XXHASH, compression, bch_csum_of(BCH_CSUM_XXHASH, packed, csize * 512));
		put_ptr(v, 1, 200, 0);
		expect(v, 16, 0, 16, 0);
		expect(v, 16, 2, 9, 2);
		v->value_bytes = 0;
		put_crc(v, csize, 16, 10, BCH_CSUM_CRC32C, compression, bch_csum_of(BCH_CSUM_CRC32C, packed, csize * 512));
		put_ptr(v, 1, 200, 0);
		expect(v, 6, 1, 5, 11);
	}
}

static void open_crypt(struct volume *v)
{
	struct disk_bch_crypt section = { 0 };
	const u8 uuid[16] = { 0 };
	int err;

	memcpy(&section.key_magic, "bch**key", 8);
	for (u8 i = 0; i < sizeof(section.key); i++)
		section.key[i] = (u8)(7 + i);
	err = bch_crypt_open(&section, uuid, NULL, &v->fs.crypt, &v->d);
	if (err == -EOPNOTSUPP)
		skip(); /* this build has no libsodium */
	assert_int_equal(err, 0);
	v->version_lo = 0x1122334455667788;
	v->version_hi = 0x99;
}

/* A sector in an entry of the smaller kind, whose MAC of 80 bits was computed by bcachefs_encrypt.py. */
static void test_encrypted(void **state)
{
	static const u8 mac[10] = { 0x4b, 0xc8, 0x63, 0x13, 0x97, 0x42, 0x82, 0x26, 0xb5, 0x04 };
	const struct bch_nonce nonce = { { 5 * 8, 0x55667788, 0x11223344, 0x99 ^ 1 << 28 } };
	struct volume *v = *state;
	struct disk_bch_csum csum = { 0 };
	u8 stored[BCH_SECTOR_BYTES];

	open_crypt(v);
	for (unsigned i = 0; i < sizeof(stored); i++)
		v->data[i] = stored[i] = (u8)(i * 7);
	bch_crypt_decrypt(v->fs.crypt, nonce, stored, sizeof(stored));
	store(v, 0, 64, stored, sizeof(stored));
	memcpy(&csum, mac, sizeof(mac));
	put_word(v, 4 | (u64)5 << 30 | (u64)BCH_CSUM_CHACHA20_POLY1305_80 << 40 | le64_get(csum.hi) << 48);
	put_word(v, le64_get(csum.lo));
	put_ptr(v, 0, 64, 0);
	expect(v, 1, 0, 1, 0);
	/* The key's version is part of it. */
	v->version_lo++;
	assert_int_equal(read_sectors(v, 1, 0, 1), -EUCLEAN);
	v->version_lo--;
	v->version_hi++;
	assert_int_equal(read_sectors(v, 1, 0, 1), -EUCLEAN);
	v->version_hi--;
	stored[100] ^= 1;
	store(v, 0, 64, stored, sizeof(stored));
	assert_int_equal(read_sectors(v, 1, 0, 1), -EUCLEAN);
	/* In a volume that has no key. */
	bch_crypt_free(v->fs.crypt);
	v->fs.crypt = NULL;
	assert_int_equal(read_sectors(v, 1, 0, 1), -EUCLEAN);
}

/* What was compressed before, in parts. */
static void test_encrypted_and_compressed(void **state)
{
	const struct bch_nonce nonce = { { (SECTORS << 22) + 7 * 8, 0x55667788, 0x11223344, (0x99 | BCH_COMPRESSION_GZIP << 24) ^ 1 << 28 } };
	struct volume *v = *state;
	u8 packed[2 * BYTES];
	size_t bytes;
	struct disk_bch_csum mac;

	open_crypt(v);
	bytes = round_up_u64(compress_as(BCH_COMPRESSION_GZIP, v->data, BYTES, packed, sizeof(packed)), BCH_SECTOR_BYTES);
	bch_crypt_decrypt(v->fs.crypt, nonce, packed, bytes);
	mac = bch_crypt_mac(v->fs.crypt, BCH_CSUM_CHACHA20_POLY1305_128, nonce, packed, bytes);
	store(v, 1, 200, packed, bytes);
	put_word(v, 8 | (u64)(bytes / 512 - 1) << 4 | (u64)(SECTORS - 1) << 17 | (u64)3 << 30 | (u64)7 << 43 |
			    (u64)BCH_CSUM_CHACHA20_POLY1305_128 << 56 | (u64)BCH_COMPRESSION_GZIP << 60);
	put_word(v, le64_get(mac.lo));
	put_word(v, le64_get(mac.hi));
	put_ptr(v, 1, 200, 0);
	expect(v, SECTORS - 3, 0, SECTORS - 3, 3);
	expect(v, SECTORS - 3, 4, 2, 7);
	bch_crypt_free(v->fs.crypt);
}

/* Without a checksum the compression alone has to notice, or give other bytes; never more than is asked for. */
static void test_damaged_compression(void **state)
{
	struct volume *v = *state;
	u8 packed[2 * BYTES], *src, *dst;

	for (unsigned compression = BCH_COMPRESSION_GZIP; compression <= BCH_COMPRESSION_ZSTD; compression++) {
		size_t len = compress_as(compression, v->data, BYTES, packed, sizeof(packed));
		u32 x = 1;

		if (len == 0)
			continue;
		dst = malloc(BYTES);
		/* Too short a source, too short and too long a target. */
		for (size_t cut = 0; cut < len; cut += 97) {
			src = malloc(cut ? cut : 1);
			memcpy(src, packed, cut);
			assert_int_equal(bch_decompress(compression, src, cut, dst, BYTES, &v->d), -EUCLEAN);
			free(src);
		}
		src = malloc(len);
		memcpy(src, packed, len);
		if (compression != BCH_COMPRESSION_LZ4) /* which is told to stop early */
			assert_int_equal(bch_decompress(compression, src, len, dst, BYTES - 512, &v->d), -EUCLEAN);
		for (unsigned i = 0; i < 2000; i++) {
			size_t at = (x = x * 1664525 + 1013904223) % len;

			src[at] ^= (u8)(1 + (x >> 24) % 255);
			(void)bch_decompress(compression, src, len, dst, BYTES, &v->d);
			src[at] = packed[at];
		}
		free(src);
		free(dst);
	}
	assert_int_equal(bch_decompress(9, packed, 1, v->got, 1, &v->d), -EOPNOTSUPP);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_values),   TEST(test_lies),		 TEST(test_random_values), TEST(test_plain),
		TEST(test_checksums), TEST(test_copies),	 TEST(test_missing),	   TEST(test_what_is_no_data),
		TEST(test_pieces), TEST(test_compressed), TEST(test_damaged_compression),
		TEST(test_encrypted), TEST(test_encrypted_and_compressed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
