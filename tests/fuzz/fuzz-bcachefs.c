/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Damaged bcachefs: opening, reading everything through the source, and the check end, with an error that has a text, or with what the
 * interface promises. Where checksums are left as they are, no file ever has other contents than in the sound volume.
 *
 * Input: a byte that chooses the volume, a byte of HOW_* bits, then changes of six bytes: piece (2), offset in it (2), what is added to the
 * byte there, and to the next. Pieces are superblocks, journal entries, sets of keys in nodes, and blocks of data. The volumes are those
 * of BTRKIT_SHARED; nothing here makes any.
 */
#include <dirent.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "convert/bcachefs/bch_check.h"
#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_source.h"
#include "tests/fuzz/fuzz.h"

const char fuzz_name[] = "fuzz-bcachefs";
const unsigned fuzz_iterations = 10000;
const size_t fuzz_input_max = 2 + 6 * 16;

#define CHANGES_MAX 16
#define DEVICES_MAX 2
#define FILES_MAX 8192

enum {
	HOW_FIX_CSUMS = 1 << 0, /* what was changed gets a right one */
	HOW_NO_JOURNAL = 1 << 1,
	HOW_IGNORE_CSUMS = 1 << 2,
	HOW_MISSING = 1 << 3, /* the last device is not there */
	HOW_CHECK = 1 << 4, /* it is checked, not only read */
};

enum kind { SUPER, JSET, FIRST_BSET, BSET, DATA };

struct piece {
	u8 *at;
	size_t len;
	enum kind kind;
};

struct known_file {
	u64 subvol, ino, sum;
};

struct image {
	const char *name;
	struct bytes_device {
		struct blockdev dev;
		u8 *bytes;
	} devices[DEVICES_MAX];
	unsigned nr_devices;
	ARRAY(struct piece) pieces;
	ARRAY(struct known_file) files; /* of the sound volume */
};

static struct image volumes[] = {
	{ .name = "v131-unclean-snap-reflink" },
	{ .name = "v131-unclean-2dev-r2" },
	{ .name = "v14-crash2-gzip" },
	{ .name = "v11-unclean-copy" },
};

/* --- Devices that are bytes in memory ---------------------------------------------------------------------------------- */

static int bytes_read(struct blockdev *dev, u64 offset, void *buf, size_t len, struct diag *d)
{
	(void)d;
	memcpy(buf, container_of(dev, struct bytes_device, dev)->bytes + offset, len);
	return 0;
}

static const struct blockdev_ops bytes_ops = { .read = bytes_read };

static bool load_device(struct image *volume, const char *packed)
{
	struct bytes_device *device = &volume->devices[volume->nr_devices];
	static u8 block[65536], zeroes[65536];
	u64 size_max = 1ULL << 30, at = 0;
	char command[1200];
	size_t len;
	FILE *pipe;

	snprintf(command, sizeof(command), "xz -dc '%s'", packed);
	pipe = popen(command, "r");
	device->bytes = mmap(NULL, size_max, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	fuzz_require(device->bytes != MAP_FAILED);
	while (pipe && (len = fread(block, 1, sizeof(block), pipe)) > 0 && at + len <= size_max) {
		if (memcmp(block, zeroes, len) != 0)
			memcpy(device->bytes + at, block, len);
		at += len;
	}
	if (!pipe || pclose(pipe) != 0 || at == 0)
		return false;
	device->dev = (struct blockdev){ .ops = &bytes_ops, .name = (char *)"image", .size_bytes = at };
	volume->nr_devices++;
	return true;
}

/* --- Pieces ------------------------------------------------------------------------------------------------------------ */

static void add_piece(struct image *volume, u8 *at, size_t len, enum kind kind)
{
	fuzz_require(array_push(&volume->pieces, (struct piece){ at, len, kind }) == 0);
}

static void add_node(struct image *volume, u8 *node, size_t node_bytes, size_t block_bytes)
{
	const struct disk_bch_node *head = (const void *)node;
	size_t at = 0, len = sizeof(*head) + 8 * (size_t)le16_get(head->bset.u64s);
	u64 seq = le64_get(head->bset.seq);

	add_piece(volume, node, MIN(len, node_bytes), FIRST_BSET);
	for (;;) {
		const struct disk_bch_node_entry *entry;

		at = (at + len + block_bytes - 1) / block_bytes * block_bytes;
		if (at + sizeof(*entry) > node_bytes)
			return;
		entry = (const void *)(node + at);
		if (le64_get(entry->bset.seq) != seq)
			return;
		len = sizeof(*entry) + 8 * (size_t)le16_get(entry->bset.u64s);
		add_piece(volume, node + at, MIN(len, node_bytes - at), BSET);
	}
}

static void find_pieces(struct image *volume, struct bytes_device *device)
{
	const struct disk_bch_super *super = (const void *)(device->bytes + BCH_SUPER_SECTOR * BCH_SECTOR_BYTES);
	size_t block_bytes = (size_t)le16_get(super->block_sectors) * BCH_SECTOR_BYTES;
	size_t node_bytes = (size_t)(le64_get(super->flags[0]) >> 12 & 0xFFFF) * BCH_SECTOR_BYTES;
	u64 uuid = le64_get(*(const le64 *)(const void *)super->uuid);
	static const u8 zeroes[512];

	for (unsigned i = 0; i < super->layout.nr_copies; i++)
		add_piece(volume, device->bytes + le64_get(super->layout.sector[i]) * BCH_SECTOR_BYTES,
			  sizeof(*super) + 8 * (size_t)le32_get(super->u64s), SUPER);
	for (u64 at = 64 * 1024; at + node_bytes <= device->dev.size_bytes; at += block_bytes) {
		u8 *bytes = device->bytes + at;
		u64 magic = le64_get(*(const le64 *)(const void *)(bytes + 16));

		if (magic == (uuid ^ BCH_JSET_MAGIC)) {
			size_t len = sizeof(struct disk_bch_jset) + 8 * (size_t)le32_get(((struct disk_bch_jset *)(void *)bytes)->u64s);

			add_piece(volume, bytes, len, JSET);
			at += (len - 1) / block_bytes * block_bytes;
		} else if (magic == (uuid ^ BCH_BSET_MAGIC)) {
			add_node(volume, bytes, node_bytes, block_bytes);
			at += node_bytes - block_bytes;
		} else if (memcmp(bytes, zeroes, sizeof(zeroes)) != 0) {
			add_piece(volume, bytes, block_bytes, DATA);
		}
	}
}

static void fix_csum(const struct piece *piece)
{
	unsigned type = 0;
	size_t len = piece->len;

	switch (piece->kind) {
	case SUPER:
		type = le64_get(((struct disk_bch_super *)(void *)piece->at)->flags[0]) >> 2 & 63;
		break;
	case JSET:
		type = le32_get(((struct disk_bch_jset *)(void *)piece->at)->flags) & BCH_JSET_CSUM_TYPE;
		break;
	case FIRST_BSET:
		type = le32_get(((struct disk_bch_node *)(void *)piece->at)->bset.flags) & 15;
		break;
	case BSET:
		type = le32_get(((struct disk_bch_node_entry *)(void *)piece->at)->bset.flags) & 15;
		break;
	case DATA:
		return;
	}
	if (type < BCH_NR_CSUM_TYPES && !bch_csum_is_encrypted(type)) {
		struct disk_bch_csum csum = bch_csum_of(type, piece->at + sizeof(csum), len - sizeof(csum));

		memcpy(piece->at, &csum, sizeof(csum));
	}
}

/* --- Reading everything ------------------------------------------------------------------------------------------------- */

struct witness {
	struct source_sink sink;
	struct source *source;
	struct image *volume;
	bool is_first; /* the sound volume: files are kept */
	bool must_be_same; /* as in that */
	u64 nr_inodes;
};

static void judge_file(struct witness *witness, u64 subvol, u64 ino, u64 size)
{
	static u8 bytes[65536];
	u64 sum = size * 31 + 1, at = 0;
	struct diag d = { 0 };

	if (size > 4 * MIB)
		return;
	while (at < size) {
		size_t len = MIN(size - at, sizeof(bytes));
		u64 bad = UINT64_MAX;
		int err = witness->source->ops->read_file(witness->source, subvol, ino, at, bytes, len, &bad, &d);

		fuzz_require(err == 0 || (err < 0 && d.text[0]));
		if (err < 0)
			return;
		for (size_t i = 0; i < len; i++)
			sum = sum * 1099511628211u + bytes[i] + 1;
		at += len;
	}
	if (witness->is_first)
		fuzz_require(array_push(&witness->volume->files, (struct known_file){ subvol, ino, sum }) == 0);
	else if (witness->must_be_same)
		array_for_each(&witness->volume->files, file)
			fuzz_require(file->ino != ino || file->subvol != subvol || file->sum == sum);
}

static int on_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	struct witness *witness = container_of(sink, struct witness, sink);

	(void)d;
	fuzz_require(inode->atime.nsec < 1000000000 && inode->otime.nsec < 1000000000);
	if (witness->nr_inodes++ < FILES_MAX && S_ISREG(inode->mode))
		judge_file(witness, witness->source->info.top_subvol, inode->ino, inode->size);
	return 0;
}

static int on_xattr(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d)
{
	(void)sink, (void)ino, (void)value, (void)len, (void)d;
	fuzz_require(name[0] && strlen(name) < 512);
	return 0;
}

static int on_symlink(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	(void)sink, (void)ino, (void)d;
	fuzz_require(len > 0 && len <= 4096 && !memchr(target, 0, len));
	return 0;
}

static int on_runs(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	u64 end = 0;

	(void)sink, (void)ino, (void)d;
	for (size_t i = 0; i < nr; i++) {
		fuzz_require(runs[i].len > 0 && runs[i].file_offset >= end);
		end = runs[i].file_offset + runs[i].len;
		fuzz_require(end > runs[i].file_offset);
	}
	return 0;
}

static int on_bytes(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d)
{
	(void)sink, (void)ino, (void)data, (void)len, (void)d;
	return 0;
}

static int on_entry(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 child_ino, struct diag *d)
{
	(void)sink, (void)dir_ino, (void)child_ino, (void)d;
	fuzz_require(name_len > 0 && name_len <= 512 && !memchr(name, '/', name_len) && !memchr(name, 0, name_len));
	return 0;
}

/* True: all of it could be read. */
static bool read_all(struct image *volume, struct blockdev *const *devs, unsigned how, bool is_first, bool must_be_same)
{
	struct source_options options = {
		.only_reads = true,
		.no_journal = how & HOW_NO_JOURNAL,
		.ignore_csums = how & HOW_IGNORE_CSUMS,
	};
	struct witness witness = {
		.sink = { on_inode, on_xattr, on_symlink, on_runs, on_bytes, on_entry, NULL },
		.volume = volume,
		.is_first = is_first,
		.must_be_same = must_be_same,
	};
	struct diag d = { 0 };
	unsigned nr = volume->nr_devices - ((how & HOW_MISSING) && volume->nr_devices > 1);
	int err = source_bcachefs_ops.open(devs, nr, &options, &witness.source, &d);

	fuzz_require(err >= 0 || (d.err == err && d.text[0]));
	if (err)
		return false;
	diag_clear(&d);
	err = witness.source->ops->scan(witness.source, &witness.sink, NULL, &d);
	fuzz_require(err == 0 || (err < 0 && d.text[0]));
	source_close(witness.source);
	return err == 0 && witness.nr_inodes > 50;
}

static int on_problem(void *arg, const struct btrkit_problem *problem)
{
	(void)arg;
	fuzz_require(problem->text[0] && problem->kind->code[0] && problem->nr_paths <= problem->total_paths);
	for (size_t i = 0; i < problem->nr_paths; i++)
		fuzz_require(problem->paths[i][0] == '/');
	return 0;
}

static bool check_all(struct image *volume, struct blockdev *const *devs, unsigned how)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result;
	struct diag d = { 0 };
	int err;

	btrkit_check_options_init(&options);
	options.do_data = true;
	options.threads = 1;
	options.no_journal = how & HOW_NO_JOURNAL;
	options.memory_bytes = BTRKIT_CHECK_MEMORY_MIN;
	err = bch_check_run(devs, volume->nr_devices - ((how & HOW_MISSING) && volume->nr_devices > 1), &options, on_problem, NULL, &result, &d);
	fuzz_require(err >= 0 || d.text[0]);
	return err == 0 && result.nr_problems[BTRKIT_PROBLEM_ERROR] == 0 && result.nr_problems[BTRKIT_PROBLEM_FATAL] == 0;
}

/* --- Volumes ----------------------------------------------------------------------------------------------------------- */

static void list_devices(struct image *volume, struct blockdev **devs)
{
	for (unsigned i = 0; i < volume->nr_devices; i++)
		devs[i] = &volume->devices[i].dev;
}

static bool load_volume(struct image *volume)
{
	static const char *const names[][2] = { { "image.img.xz", NULL }, { "image1.img.xz", "image2.img.xz" } };
	struct blockdev *devs[DEVICES_MAX];
	const char *shared = getenv("BTRKIT_SHARED");
	char path[1024];

	for (size_t way = 0; shared && way < ARRAY_LEN(names) && volume->nr_devices == 0; way++)
		for (unsigned i = 0; i < DEVICES_MAX && names[way][i]; i++) {
			struct stat status;

			snprintf(path, sizeof(path), "%s/fixtures/bcachefs/%s/%s", shared, volume->name, names[way][i]);
			if (stat(path, &status) == 0)
				fuzz_require(load_device(volume, path));
		}
	if (volume->nr_devices == 0)
		return false;
	for (unsigned i = 0; i < volume->nr_devices; i++)
		find_pieces(volume, &volume->devices[i]);
	list_devices(volume, devs);
	fuzz_require(read_all(volume, devs, 0, true, false) && volume->files.len > 20 && volume->pieces.len > 0);
	return true;
}

static bool load_all(void)
{
	static int is_loaded;

	if (is_loaded == 0) {
		is_loaded = 1;
		for (size_t i = 0; i < ARRAY_LEN(volumes); i++)
			if (!load_volume(&volumes[i]))
				is_loaded = -1;
	}
	return is_loaded > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct image *volume = &volumes[fuzz_take_u8(&input) % ARRAY_LEN(volumes)];
	unsigned how = fuzz_take_u8(&input), nr = 0;
	struct blockdev *devs[DEVICES_MAX];
	bool is_older = how & (HOW_NO_JOURNAL | HOW_IGNORE_CSUMS | HOW_FIX_CSUMS), is_sound;
	struct {
		const struct piece *piece;
		u8 csum[16];
		u8 *at;
		u8 was[2];
	} undo[CHANGES_MAX];

	if (!load_all())
		return 0;
	while (input.left > 0 && nr < CHANGES_MAX) {
		const struct piece *piece;
		u8 change[6];

		fuzz_take(&input, change, sizeof(change));
		piece = &volume->pieces.items[(change[0] | change[1] << 8) % volume->pieces.len];
		undo[nr].piece = piece;
		undo[nr].at = piece->at + (change[2] | change[3] << 8) % (piece->len - 1);
		memcpy(undo[nr].csum, piece->at, sizeof(undo[nr].csum));
		memcpy(undo[nr].was, undo[nr].at, 2);
		undo[nr].at[0] = (u8)(undo[nr].at[0] + change[4]);
		undo[nr].at[1] = (u8)(undo[nr].at[1] + change[5]);
		if (how & HOW_FIX_CSUMS)
			fix_csum(piece);
		is_older |= piece->kind == JSET || piece->kind == SUPER; /* which say what counts */
		nr++;
	}
	list_devices(volume, devs);
	is_sound = how & HOW_CHECK ? check_all(volume, devs, how) : read_all(volume, devs, how, false, !is_older && !(how & HOW_MISSING));
	fuzz_require(nr > 0 || (how & ~(HOW_CHECK | HOW_FIX_CSUMS)) || is_sound);
	while (nr-- > 0) {
		memcpy(undo[nr].at, undo[nr].was, 2);
		memcpy(undo[nr].piece->at, undo[nr].csum, sizeof(undo[nr].csum));
	}
	return 0;
}

/* Nothing, and a change in each piece. */
void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	if (!load_all()) {
		printf("1..0 # SKIP no images of bcachefs: BTRKIT_SHARED\n");
		exit(0);
	}
	for (u8 index = 0; index < ARRAY_LEN(volumes); index++) {
		u8 whole[2] = { index, 0 };

		for (unsigned how = 0; how < 32; how++) {
			whole[1] = (u8)how;
			add(ctx, whole, sizeof(whole));
		}
		for (size_t piece = 0; piece < volumes[index].pieces.len; piece += volumes[index].pieces.items[piece].kind == DATA ? 16 : 1) {
			u8 how = (u8)(piece % 2 ? HOW_FIX_CSUMS | HOW_CHECK : HOW_FIX_CSUMS);
			size_t at = 24 + piece * 13 % MAX(volumes[index].pieces.items[piece].len - 26, (size_t)1);
			u8 seed[8] = { index, how, (u8)piece, (u8)(piece >> 8), (u8)at, (u8)(at >> 8), (u8)(1 + piece * 7), 0 };

			add(ctx, seed, sizeof(seed));
		}
	}
}
