/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests and benchmarks: a bcachefs volume of any size that holds the tree at DIR.
 *
 *	bcachefs_grow [OPTION...] BASE DIR VOLUME
 *
 * BASE, an image that the tools of bcachefs made (version 1.0 to 1.31, one device, left cleanly), gives its superblock, subvolume and
 * snapshot; all else is new: buckets, data, btrees, journal. The accounting of space is left out, and the superblock says so.
 *
 *	--node BYTES      of a node of a btree (as BASE has)
 *	--bucket BYTES    of a bucket, 32 MiB at most (512 KiB)
 *	--fill PERCENT    of nodes that is used (90)
 *	--bsets N         that a node consists of, 1 to 4 (2)
 *	--extent BYTES    of the longest extent, a bucket at most (64 KiB)
 *	--csum NAME       of data: none, crc32c (which it is), crc64 or xxhash
 *	--compress NAME   of data that gets smaller by it: none (which it is), lz4 or zstd
 *	--journal N       percent of the keys that only the journal has: the volume was not left cleanly
 *
 * Data lies in the order of the walk, which is that of names; names lie by their hash. What there is is told in the end.
 */
#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <search.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#if HAVE_LZ4
#include <lz4.h>
#endif
#if HAVE_ZSTD
#include <zstd.h>
#endif

#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_extent.h"
#include "convert/bcachefs/bch_inode.h"
#include "convert/bcachefs/bch_siphash.h"
#include "tests/tools/bcachefs_bulk.h"

typedef unsigned long long ull;

#define SECTOR BCH_SECTOR_BYTES
#define FIRST_INO 0x80000000ULL
#define SNAPSHOT UINT32_MAX
#define HASH_SIPHASH 3
#define FIELDS_AT 6 /* words of an inode before its fields */
#define PATH_BYTES 8192
#define CRC32_SECTORS_MAX 128u
#define CRC64_SECTORS_MAX 512u
#define CRC128_SECTORS_MAX 8192u
#define ACL_ID_NONE UINT32_MAX

/* A file with several names. */
struct linked {
	dev_t device;
	ino_t inode;
	u64 ino;
};

static struct {
	struct bulk bulk;
	u64 next_ino;
	u32 extent_bytes;
	unsigned csum_type, compression;
	u8 *data, *packed; /* extent_bytes each, and more for what does not get smaller */
	size_t packed_room;
	void *linked;
	u64 nr_files, nr_dirs, nr_names, nr_extents, nr_packed, data_bytes;
} grow;

/* --- Inodes ----------------------------------------------------------------------------------------------------- */

static size_t put_varint(u8 *to, u64 value)
{
	unsigned bits = value ? 64 - (unsigned)__builtin_clzll(value) : 1, nr = (bits + 6) / 7;
	le64 word;

	if (nr > 8) {
		to[0] = 0xff;
		le64_put(&word, value);
		memcpy(to + 1, &word, sizeof(word));
		return 9;
	}
	le64_put(&word, value << nr | ((1u << (nr - 1)) - 1));
	memcpy(to, &word, nr);
	return nr;
}

static u64 time_of(const struct timespec *ts)
{
	return (u64)(ts->tv_sec * 1000000000LL + ts->tv_nsec - grow.bulk.time_base_ns);
}

static u32 device_of(const struct stat *st)
{
	u32 minor_nr = minor(st->st_rdev);

	if (!S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode))
		return 0;
	return (minor_nr & 0xff) | (u32)major(st->st_rdev) << 8 | (minor_nr & ~0xffu) << 12;
}

static u64 seed_of(u64 ino)
{
	return ino * 0x9E3779B97F4A7C15ULL;
}

static void put_inode(u64 ino, const struct stat *st, u64 size, u64 nr_sectors, u32 stored_nlink, u64 dir, u64 dir_offset)
{
	enum { NR_FIELDS = 22, NR_TIMES = 4 };
	const u64 fields[NR_FIELDS] = {
		[0] = time_of(&st->st_atim), [1] = time_of(&st->st_ctim), [2] = time_of(&st->st_mtim), [3] = time_of(&st->st_mtim),
		[4] = st->st_uid, [5] = st->st_gid, [6] = stored_nlink, [8] = device_of(st), [19] = dir, [20] = dir_offset,
		[21] = ino == BCH_TOP_INODE ? BCH_TOP_SUBVOL : 0,
	};
	le64 head[FIELDS_AT] = { 0 };
	u8 value[sizeof(head) + 10 * (NR_FIELDS + NR_TIMES)] = { 0 };
	size_t len = sizeof(head);

	le64_put(&head[1], seed_of(ino));
	le64_put(&head[2], (u64)HASH_SIPHASH << 20 | (u64)NR_FIELDS << 24 | (u64)FIELDS_AT << 31 | (u64)(st->st_mode & 0xffff) << 36);
	le64_put(&head[3], nr_sectors);
	le64_put(&head[4], size);
	memcpy(value, head, sizeof(head));
	for (unsigned i = 0; i < NR_FIELDS; i++) {
		len += put_varint(value + len, fields[i]);
		if (i < NR_TIMES)
			len += put_varint(value + len, 0);
	}
	bulk_key(&grow.bulk, BCH_INODES, (struct bch_pos){ 0, ino, SNAPSHOT }, 0, BCH_KEY_INODE_V3, value, len);
}

/* --- Attributes ------------------------------------------------------------------------------------------------- */

struct hashed {
	u64 hash;
	size_t nr;
};

static int compare_hashed(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* As names find their places: each that is taken makes the next one go on. */
static void settle_hashes(struct hashed *hashed, size_t nr)
{
	if (nr > 1)
		qsort(hashed, nr, sizeof(*hashed), compare_hashed);
	for (size_t i = 1; i < nr; i++)
		if (hashed[i].hash <= hashed[i - 1].hash)
			hashed[i].hash = hashed[i - 1].hash + 1;
}

/* From what user space has, of which those entries keep their id that mean somebody. */
static size_t pack_acl(const u8 *from, size_t len, u8 *to)
{
	size_t out = 4;

	memcpy(to, (const u8[4]){ 1, 0, 0, 0 }, 4);
	for (size_t at = 4; at + 8 <= len; at += 8) {
		le32 id;
		bool has_id;

		memcpy(&id, from + at + 4, sizeof(id));
		has_id = le32_get(id) != ACL_ID_NONE;
		memcpy(to + out, from + at, has_id ? 8 : 4);
		out += has_id ? 8 : 4;
	}
	return out;
}

static const char *const prefixes[] = { "user.", "system.posix_acl_access", "system.posix_acl_default", "trusted.", "security." };
enum { NR_PREFIXES = 5 };

static void put_xattr(u64 ino, u64 offset, unsigned type, const char *name, const u8 *data, size_t len)
{
	_free_ u8 *value = calloc(1, 4 + 256 + len);
	u8 *body = value + 4 + strlen(name);
	le16 value_len;

	if (!value)
		bulk_die("out of memory");
	if (type == 1 || type == 2)
		len = pack_acl(data, len, body);
	else
		memcpy(body, data, len);
	value[0] = (u8)type;
	value[1] = (u8)strlen(name);
	le16_put(&value_len, (u16)len);
	memcpy(value + 2, &value_len, sizeof(value_len));
	memcpy(value + 4, name, strlen(name));
	bulk_key(&grow.bulk, BCH_XATTRS, (struct bch_pos){ ino, offset, SNAPSHOT }, 0, BCH_KEY_XATTR, value, 4 + strlen(name) + len);
}

static void put_xattrs(u64 ino, const char *path)
{
	static char names[65536];
	static u8 data[65536];
	ssize_t len = llistxattr(path, names, sizeof(names));
	struct {
		unsigned type;
		const char *full, *name;
	} found[1024];
	struct hashed hashed[1024];
	size_t nr = 0;

	for (const char *name = names; len > 0 && name < names + len && nr < 1024; name += strlen(name) + 1) {
		u8 bytes[1 + 256];

		for (unsigned type = 0; type < NR_PREFIXES; type++) {
			size_t prefix = strlen(prefixes[type]);

			if (strncmp(name, prefixes[type], prefix) != 0)
				continue;
			bytes[0] = (u8)type;
			memcpy(bytes + 1, name + prefix, strlen(name + prefix));
			hashed[nr] = (struct hashed){ bch_siphash(seed_of(ino), 0, bytes, 1 + strlen(name + prefix)) >> 1, nr };
			found[nr].type = type;
			found[nr].full = name;
			found[nr++].name = name + prefix;
			break;
		}
	}
	settle_hashes(hashed, nr);
	for (size_t i = 0; i < nr; i++) {
		ssize_t got = lgetxattr(path, found[hashed[i].nr].full, data, sizeof(data));

		if (got < 0)
			bulk_die("%s: %m", path);
		if (4 + strlen(found[hashed[i].nr].name) + (size_t)got > BULK_VALUE_BYTES_MAX)
			bulk_die("%s: the attribute %s is too long for bcachefs", path, found[hashed[i].nr].full);
		put_xattr(ino, hashed[i].hash, found[hashed[i].nr].type, found[hashed[i].nr].name, data, (size_t)got);
	}
}

/* --- Data ------------------------------------------------------------------------------------------------------- */

/* What @bytes of grow.data become, in whole blocks; 0: not less. In grow.packed. */
static size_t compress_data(size_t bytes)
{
	size_t got = 0, at = 0;

#if HAVE_LZ4
	if (grow.compression == BCH_COMPRESSION_LZ4) {
		int n = LZ4_compress_default((char *)grow.data, (char *)grow.packed, (int)bytes, (int)grow.packed_room);

		got = n > 0 ? (size_t)n : 0;
	}
#endif
#if HAVE_ZSTD
	if (grow.compression == BCH_COMPRESSION_ZSTD) {
		le32 len;

		at = sizeof(len);
		got = ZSTD_compress(grow.packed + at, grow.packed_room - at, grow.data, bytes, 3);
		got = ZSTD_isError(got) ? 0 : got;
		le32_put(&len, (u32)got);
		memcpy(grow.packed, &len, sizeof(len));
	}
#endif
	if (got)
		memset(grow.packed + at + got, 0, grow.bulk.block_bytes);
	got = got ? (at + got + grow.bulk.block_bytes - 1) / grow.bulk.block_bytes * grow.bulk.block_bytes : bytes;
	return got < bytes ? got : 0;
}

/* How it is stored, in as few words as it needs. Returns how many. */
static unsigned put_crc(le64 *to, u32 csize, u32 usize, unsigned compression, const struct disk_bch_csum *csum)
{
	u64 type = grow.csum_type, lo = le64_get(csum->lo);

	if (type == BCH_CSUM_NONE && compression == BCH_COMPRESSION_NONE)
		return 0;
	if (usize <= CRC32_SECTORS_MAX && bch_csum_bytes(grow.csum_type) <= 4) {
		le64_put(to, 2 | (u64)(csize - 1) << 2 | (u64)(usize - 1) << 9 | type << 24 | (u64)compression << 28 | lo << 32);
		return 1;
	}
	if (usize <= CRC64_SECTORS_MAX) {
		le64_put(to, 4 | (u64)(csize - 1) << 3 | (u64)(usize - 1) << 12 | type << 40 | (u64)compression << 44);
		le64_put(to + 1, lo);
		return 2;
	}
	le64_put(to, 8 | (u64)(csize - 1) << 4 | (u64)(usize - 1) << 17 | type << 56 | (u64)compression << 60);
	to[1] = csum->lo;
	to[2] = csum->hi;
	return 3;
}

/* grow.data, of which there are @bytes, as an extent that begins at @offset of the file. */
static void put_extent(u64 ino, u64 offset, size_t bytes, u64 physical, const u8 *stored, size_t stored_bytes, unsigned compression)
{
	struct disk_bch_csum csum = bch_csum_of(grow.csum_type, stored, stored_bytes);
	u32 size = (u32)(bytes / SECTOR);
	le64 words[4];
	unsigned nr = put_crc(words, (u32)(stored_bytes / SECTOR), size, compression, &csum);

	le64_put(&words[nr++], 1 | physical / SECTOR << 4);
	bulk_write(&grow.bulk, physical, stored, stored_bytes);
	bulk_key(&grow.bulk, BCH_EXTENTS, (struct bch_pos){ ino, offset / SECTOR + size, SNAPSHOT }, size, BCH_KEY_EXTENT, words,
		 nr * sizeof(*words));
	grow.nr_extents++;
	grow.data_bytes += bytes;
}

/* Whole blocks at grow.data; as much of them as goes into one extent. */
static size_t put_data(u64 ino, u64 offset, size_t bytes)
{
	size_t packed = grow.compression ? compress_data(bytes) : 0;
	u64 got, physical = bulk_allocate(&grow.bulk, packed ? packed : bytes, &got);

	if (!packed) {
		put_extent(ino, offset, got, physical, grow.data, got, BCH_COMPRESSION_NONE);
		return got;
	}
	/* What is compressed cannot be cut: it begins in the next bucket. */
	if (got < packed)
		physical = bulk_allocate(&grow.bulk, packed, &got);
	put_extent(ino, offset, bytes, physical, grow.packed, packed, grow.compression);
	grow.nr_packed++;
	return bytes;
}

static size_t read_blocks(int fd, u64 offset, u64 end, const char *path)
{
	size_t want = (size_t)MIN(end - offset, (u64)grow.extent_bytes), done = 0, block = grow.bulk.block_bytes, all;

	while (done < want) {
		ssize_t n = pread(fd, grow.data + done, want - done, (off_t)(offset + done));

		if (n <= 0)
			bulk_die("%s: cannot be read", path);
		done += (size_t)n;
	}
	all = (done + block - 1) / block * block;
	memset(grow.data + done, 0, all - done);
	return all;
}

/* Returns how many sectors there are, without holes. */
static u64 put_file(u64 ino, const char *path, u64 size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	u64 block = grow.bulk.block_bytes, nr_sectors = 0, at = 0;

	if (fd < 0)
		bulk_die("%s: %m", path);
	while (at < size) {
		off_t start = lseek(fd, (off_t)at, SEEK_DATA), end = start < 0 ? -1 : lseek(fd, start, SEEK_HOLE);

		if (start < 0 || end < 0)
			break;
		for (at = (u64)start / block * block; at < (u64)end && at < size;) {
			size_t bytes = put_data(ino, at, read_blocks(fd, at, MIN((u64)end, size), path));

			at += bytes;
			nr_sectors += bytes / SECTOR;
		}
	}
	close(fd);
	return nr_sectors;
}

static u64 put_link(u64 ino, const char *path, u64 size)
{
	size_t block = grow.bulk.block_bytes, all = (size + block - 1) / block * block;

	memset(grow.data, 0, all);
	if (readlink(path, (char *)grow.data, size) != (ssize_t)size)
		bulk_die("%s: %m", path);
	for (size_t done = 0; done < all;) {
		size_t bytes = put_data(ino, done, all - done);

		memmove(grow.data, grow.data + bytes, all - done - bytes);
		done += bytes;
	}
	return all / SECTOR;
}

/* --- The tree --------------------------------------------------------------------------------------------------- */

struct name {
	char *text;
	struct stat st;
	u64 ino, offset;
	bool is_first; /* of its inode */
};

typedef ARRAY(struct name) name_list;

static int compare_linked(const void *a, const void *b)
{
	const struct linked *x = a, *y = b;

	if (x->device != y->device)
		return x->device < y->device ? -1 : 1;
	return x->inode < y->inode ? -1 : x->inode > y->inode;
}

static void give_ino(struct name *name)
{
	struct linked *linked, **there;

	name->ino = grow.next_ino;
	name->is_first = true;
	if (!S_ISDIR(name->st.st_mode) && name->st.st_nlink > 1) {
		linked = malloc(sizeof(*linked));
		if (!linked)
			bulk_die("out of memory");
		*linked = (struct linked){ name->st.st_dev, name->st.st_ino, grow.next_ino };
		there = tsearch(linked, &grow.linked, compare_linked);
		name->is_first = there && *there == linked;
		name->ino = there ? (*there)->ino : 0;
		if (!name->is_first)
			free(linked);
	}
	grow.next_ino += name->is_first;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static void read_names(const char *path, name_list *names)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char below[PATH_BYTES];

	if (!dir)
		bulk_die("%s: %m", path);
	while ((entry = readdir(dir))) {
		struct name name = { .text = strdup(entry->d_name) };

		snprintf(below, sizeof(below), "%s/%s", path, entry->d_name);
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
			free(name.text);
			continue;
		}
		if (!name.text || lstat(below, &name.st) < 0 || array_push(names, name) < 0)
			bulk_die("%s: %m", below);
	}
	closedir(dir);
	array_sort(names, compare_names);
}

static void put_names(u64 dir, name_list *names)
{
	static const u8 types[16] = { 0, DT_FIFO, DT_CHR, 0, DT_DIR, 0, DT_BLK, 0, DT_REG, 0, DT_LNK, 0, DT_SOCK, 0, 0, 0 };
	struct hashed *hashed = calloc(names->len + 1, sizeof(*hashed));
	u8 value[9 + 256];

	if (!hashed)
		bulk_die("out of memory");
	for (size_t i = 0; i < names->len; i++) {
		const char *text = names->items[i].text;

		give_ino(&names->items[i]);
		hashed[i] = (struct hashed){ MAX(bch_siphash(seed_of(dir), 0, text, strlen(text)) >> 1, (u64)2), i };
	}
	settle_hashes(hashed, names->len);
	for (size_t i = 0; i < names->len; i++) {
		struct name *name = &names->items[hashed[i].nr];
		le64 ino;

		le64_put(&ino, name->ino);
		memcpy(value, &ino, sizeof(ino));
		value[8] = types[name->st.st_mode >> 12 & 15];
		memcpy(value + 9, name->text, strlen(name->text));
		name->offset = hashed[i].hash;
		bulk_key(&grow.bulk, BCH_DIRENTS, (struct bch_pos){ dir, name->offset, SNAPSHOT }, 0, BCH_KEY_DIRENT, value,
			 9 + strlen(name->text));
	}
	grow.nr_names += names->len;
	free(hashed);
}

static void put_dir(u64 ino, const char *path, const struct stat *st, u64 parent, u64 offset);

static void put_one(u64 dir, const struct name *name, const char *path)
{
	u64 size = 0, nr_sectors = 0;

	if (S_ISDIR(name->st.st_mode)) {
		put_dir(name->ino, path, &name->st, dir, name->offset);
		return;
	}
	if (S_ISREG(name->st.st_mode) || S_ISLNK(name->st.st_mode))
		size = (u64)name->st.st_size;
	if (S_ISREG(name->st.st_mode))
		nr_sectors = put_file(name->ino, path, size);
	else if (S_ISLNK(name->st.st_mode))
		nr_sectors = put_link(name->ino, path, size);
	put_xattrs(name->ino, path);
	put_inode(name->ino, &name->st, size, nr_sectors, (u32)name->st.st_nlink - 1, dir, name->offset);
	grow.nr_files++;
}

static void put_dir(u64 ino, const char *path, const struct stat *st, u64 parent, u64 offset)
{
	char *below = malloc(PATH_BYTES);
	name_list names = { 0 };
	u32 nr_dirs = 0;

	if (!below)
		bulk_die("out of memory");
	read_names(path, &names);
	put_names(ino, &names);
	array_for_each(&names, name) {
		snprintf(below, PATH_BYTES, "%s/%s", path, name->text);
		nr_dirs += S_ISDIR(name->st.st_mode);
		if (name->is_first)
			put_one(ino, name, below);
		free(name->text);
	}
	put_xattrs(ino, path);
	put_inode(ino, st, 0, 0, nr_dirs, parent, offset);
	grow.nr_dirs++;
	array_done(&names);
	free(below);
}

/* --- The command ------------------------------------------------------------------------------------------------ */

static unsigned number_of(const char *const *names, unsigned nr, const char *text)
{
	for (unsigned i = 0; i < nr; i++)
		if (names[i] && strcmp(names[i], text) == 0)
			return i;
	bulk_die("%s: what is that?", text);
}

static void take_options(int argc, char **argv, struct bulk_options *options)
{
	static const char *const csums[] = {
		[BCH_CSUM_NONE] = "none", [BCH_CSUM_CRC32C] = "crc32c", [BCH_CSUM_CRC64] = "crc64", [BCH_CSUM_XXHASH] = "xxhash"
	};
	static const char *const compressions[] = {
		[BCH_COMPRESSION_NONE] = "none",
#if HAVE_LZ4
		[BCH_COMPRESSION_LZ4] = "lz4",
#endif
#if HAVE_ZSTD
		[BCH_COMPRESSION_ZSTD] = "zstd",
#endif
	};
	static const struct option known[] = {
		{ "node", required_argument, NULL, 'n' },  { "bucket", required_argument, NULL, 'b' },
		{ "fill", required_argument, NULL, 'f' },  { "bsets", required_argument, NULL, 's' },
		{ "extent", required_argument, NULL, 'e' }, { "csum", required_argument, NULL, 'c' },
		{ "compress", required_argument, NULL, 'z' }, { "journal", required_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", known, NULL)) >= 0) {
		unsigned long number = optarg ? strtoul(optarg, NULL, 10) : 0;

		switch (option) {
		case 'n': options->node_bytes = (u32)number; break;
		case 'b': options->bucket_bytes = (u32)number; break;
		case 'f': options->fill_percent = (unsigned)number; break;
		case 's': options->nr_bsets = (unsigned)number; break;
		case 'e': grow.extent_bytes = (u32)number; break;
		case 'c': grow.csum_type = number_of(csums, ARRAY_LEN(csums), optarg); break;
		case 'z': grow.compression = number_of(compressions, ARRAY_LEN(compressions), optarg); break;
		case 'j': options->journal_percent = (unsigned)number; break;
		default: exit(2);
		}
	}
}

static void judge_options(void)
{
	const struct bulk_options *options = &grow.bulk.options;
	u32 sectors = grow.extent_bytes / SECTOR;
	bool has_crc = grow.csum_type != BCH_CSUM_NONE || grow.compression;

	if (grow.extent_bytes % grow.bulk.block_bytes || sectors == 0 || grow.extent_bytes > options->bucket_bytes ||
	    (has_crc && sectors > CRC128_SECTORS_MAX))
		bulk_die("extents of %u bytes cannot be", grow.extent_bytes);
	if (options->nr_bsets < 1 || options->nr_bsets > 4 || options->fill_percent < 1 || options->fill_percent > 90 ||
	    options->journal_percent > 100)
		bulk_die("--bsets 1 to 4, --fill 1 to 90, --journal 0 to 100");
}

int main(int argc, char **argv)
{
	struct bulk_options options = { .nr_bsets = 2, .fill_percent = 90 };
	struct stat st;

	grow.extent_bytes = 64 * KIB;
	grow.csum_type = BCH_CSUM_CRC32C;
	grow.next_ino = FIRST_INO;
	take_options(argc, argv, &options);
	if (argc - optind != 3) {
		fprintf(stderr, "usage: bcachefs_grow [OPTION...] BASE DIR VOLUME\n");
		return 2;
	}
	bulk_begin(&grow.bulk, argv[optind], argv[optind + 2], &options);
	judge_options();
	grow.packed_room = 2 * (size_t)grow.extent_bytes + 64 * KIB;
	grow.data = malloc(MAX((size_t)grow.extent_bytes, (size_t)PATH_BYTES) + grow.bulk.block_bytes);
	grow.packed = calloc(1, grow.packed_room);
	if (!grow.data || !grow.packed)
		bulk_die("out of memory");
	if (stat(argv[optind + 1], &st) < 0)
		bulk_die("%s: %m", argv[optind + 1]);
	put_dir(BCH_TOP_INODE, argv[optind + 1], &st, 0, 0);
	bulk_finish(&grow.bulk);
	printf("%llu files, %llu directories, %llu names; %llu extents of %llu MiB, %llu of them compressed; nodes by level:", (ull)grow.nr_files,
	       (ull)grow.nr_dirs, (ull)grow.nr_names, (ull)grow.nr_extents, (ull)(grow.data_bytes / MIB), (ull)grow.nr_packed);
	for (unsigned level = 0; level <= BCH_LEVEL_MAX && grow.bulk.nodes_written[level]; level++)
		printf(" %llu", (ull)grow.bulk.nodes_written[level]);
	printf("; roots at level %u extents, %u inodes, %u dirents\n", grow.bulk.root_level[BCH_EXTENTS], grow.bulk.root_level[BCH_INODES],
	       grow.bulk.root_level[BCH_DIRENTS]);
	free(grow.data);
	free(grow.packed);
	tdestroy(grow.linked, free);
	return 0;
}
