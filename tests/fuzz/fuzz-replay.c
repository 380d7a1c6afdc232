/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logs of good blocks whose items say anything: of any inode, any name, any extent. They are replayed in memory, with and without
 * what has to be skipped; the filesystem is sound behind that.
 */
#include "tests/fuzz/damage.h"
#include "tests/fuzz/replay_judge.h"
#include "tests/unit/hand_log.h"

#define STEPS_MAX 48

/* One item of the log. */
struct step {
	u8 op;
	u8 ino, dir, index;
	u8 name;
	u8 how;
	u8 from, len;
	u8 unused[8];
} __attribute__((packed));

const char fuzz_name[] = "fuzz-replay";
const unsigned fuzz_iterations = 1500;
const size_t fuzz_input_max = STEPS_MAX * sizeof(struct step);

#define NEW_INO ((u64)1 << 20)

enum op {
	INODE, REF, MORE_REF, EXTREF, ENTRY, RANGE, XATTR, EXTENT, OLD_EXTENT, INLINE, NEW_FILE, MOVE, CSUM, OTHER_SUBVOL, ODD_ITEM,
	NR_OPS
};

/* --- Numbers and names: mostly those that are there, sometimes new ones, seldom absurd ones -------------------------------- */

static u64 choose_ino(u8 byte)
{
	static const u64 odd[] = { 0, 1, 255, FIRST_FREE_OBJECTID, (u64)-256, (u64)-255, UINT64_MAX, (u64)-11 /* FREE_INO */,
				   (u64)-10 /* EXTENT_CSUM */, (u64)1 << 63, (u64)-5 /* ORPHAN */, (u64)-9 };

	if (byte < 96)
		return FIRST_FREE_OBJECTID + byte % 48;
	if (byte < 240)
		return NEW_INO + byte % 6;
	return odd[byte % ARRAY_LEN(odd)];
}

static u64 choose_dir(u8 byte)
{
	return byte < 100 ? FIRST_FREE_OBJECTID : byte < 200 ? NEW_INO + byte % 6 : choose_ino((u8)(byte * 7));
}

static u64 choose_index(u8 byte)
{
	static const u64 odd[] = { 0, 1, UINT64_MAX, (u64)1 << 63, UINT64_MAX - 1 };

	if (byte < 160)
		return 2 + byte % 24;
	return byte < 248 ? (u64)(1 << 20) + byte % 8 : odd[byte % ARRAY_LEN(odd)];
}

static const char *choose_name(u8 byte, char buf[NAME_LEN_MAX + 1])
{
	static const char *const names[] = { "files", "sparse", "specials", "outer", "link-0", "link-1", "file-1-0", "dir",
					     "user.attribute0", "user.attribute2", "fifo", "symlink", "linked" };
	static const char *const odd[] = { "", ".", "..", "a/b", "/" };

	if (byte < 120)
		return names[byte % ARRAY_LEN(names)];
	if (byte >= 248)
		return odd[byte % ARRAY_LEN(odd)];
	if (byte >= 240) {
		memset(buf, 'l', NAME_LEN_MAX);
		buf[NAME_LEN_MAX] = '\0';
		return buf;
	}
	snprintf(buf, NAME_LEN_MAX, "new name %u", byte % 8);
	return buf;
}

/* Mostly one of each number. */
static u32 choose_mode(u64 ino, u8 how)
{
	static const u32 modes[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFREG, S_IFDIR, S_IFREG, S_IFIFO, S_IFCHR };

	if (how < 160)
		return (ino < NEW_INO ? ino == FIRST_FREE_OBJECTID : ino % 6 < 3) ? S_IFDIR | 0755 : S_IFREG | 0644;
	return how == 255 ? 0 : how == 254 ? UINT32_MAX : modes[how % ARRAY_LEN(modes)] | 0755;
}

static u64 choose_size(u8 byte)
{
	static const u64 odd[] = { UINT64_MAX, (u64)1 << 63, ((u64)1 << 63) - 1, ((u64)1 << 63) - 4096, (u64)1 << 62 };

	return byte >= 248 ? odd[byte % ARRAY_LEN(odd)] : (u64)byte * 1000;
}

static u8 choose_type(u64 ino, u8 how)
{
	return how < 160 ? (S_ISDIR(choose_mode(ino, 0)) ? FT_DIR : FT_REG_FILE) : how % 10;
}

/* --- Items ---------------------------------------------------------------------------------------------------------- */

static bool has_key(const struct hand_log *log, struct key key)
{
	for (size_t i = 0; i < log->items.len; i++)
		if (key_compare(&log->items.items[i].key, &key) == 0)
			return true;
	return false;
}

/* Two items of one key would make the leaf a damaged one: the first stays. */
static void drop_second(struct hand_log *log, size_t from)
{
	for (size_t i = from; i < log->items.len;) {
		bool is_second = false;

		for (size_t j = 0; j < i && !is_second; j++)
			is_second = key_compare(&log->items.items[j].key, &log->items.items[i].key) == 0;
		if (!is_second) {
			i++;
			continue;
		}
		memmove(&log->items.items[i], &log->items.items[i + 1], (log->items.len - i - 1) * sizeof(log->items.items[0]));
		log->items.len--;
	}
}

/* Another name in the last item, if that is an INODE_REF. */
static void add_to_ref(struct hand_log *log, u64 index, const char *name)
{
	struct hand_log_item *item = log->items.len ? &log->items.items[log->items.len - 1] : NULL;
	struct disk_inode_ref *ref;
	size_t len = strlen(name);

	if (!item || item->key.type != INODE_REF_KEY || item->bytes + sizeof(*ref) + len > sizeof(item->data))
		return;
	ref = (void *)(item->data + item->bytes);
	le64_put(&ref->index, index);
	le16_put(&ref->name_len, (u16)len);
	memcpy(ref->name, name, len);
	item->bytes += (u32)(sizeof(*ref) + len);
}

/* Extents of new data, of old data, over the log's own blocks, over tree blocks, outside of everything. */
static u64 choose_disk(struct hand_log *log, const struct step *step)
{
	switch (step->how % 12) {
	case 0:
		return log->place;
	case 1:
		return le64_get(log->fs->super.root);
	case 2:
		return UINT64_MAX - 4095;
	case 3:
		return (u64)1 << 40;
	case 4:
		return 4096;
	case 5:
		return 0;
	case 6:
		return log->data_place - 4096 * (u64)(1 + step->index % 40);
	default:
		return hand_log_data(log, step->name);
	}
}

static void add_extent(struct hand_log *log, const struct step *step)
{
	u8 type = step->len % 4 == 0 ? FILE_EXTENT_PREALLOC : FILE_EXTENT_REG;
	u64 offset = step->from >= 250 ? choose_size(step->from) & ~(u64)4095 : (u64)(step->from % 32) * 4096;
	u64 disk = choose_disk(log, step), len = (1 + step->dir % 3) * (u64)4096;

	if (disk && step->how % 12 > 6)
		len = 4096;
	hand_log_extent(log, choose_ino(step->ino), offset, type, disk, disk ? len : 0, step->index == 7 ? 4096 : 0, len);
}

struct found_extent {
	unsigned nr;
	u64 disk, bytes;
};

/* The extent number step->index of the committed filesystem: a reflink. */
static void add_old_extent(struct hand_log *log, const struct step *step)
{
	struct tree tree;
	struct cursor cursor;
	struct key at = { 0 };
	unsigned left = step->index % 16;
	int err;

	if (fs_tree(log->fs, EXTENT_TREE_OBJECTID, &tree, NULL) != 0)
		return;
	cursor = cursor_init(&tree);
	for (err = cursor_seek(&cursor, &KEY_MIN, NULL); err == 0; err = cursor_next(&cursor, NULL)) {
		const struct disk_extent_item *item = cursor_data(&cursor);

		if (cursor_key(&cursor).type != EXTENT_ITEM_KEY || !(le64_get(item->flags) & EXTENT_FLAG_DATA))
			continue;
		at = cursor_key(&cursor);
		if (left-- == 0)
			break;
	}
	cursor_done(&cursor);
	if (at.objectid)
		hand_log_extent(log, choose_ino(step->ino), (u64)(step->from % 32) * 4096, FILE_EXTENT_REG, at.objectid, at.offset,
				step->how == 9 ? 4096 : 0, step->how == 8 ? at.offset * 2 : at.offset - (step->how == 9 ? 4096 : 0));
}

/* All that belongs to a new file, or to a new name of an old one. */
static void add_whole(struct hand_log *log, const struct step *step, const char *name)
{
	u64 ino = choose_ino(step->ino), dir = choose_dir(step->dir), index = choose_index(step->index);
	u32 mode = choose_mode(ino, step->how);

	if (!has_key(log, (struct key){ ino, INODE_ITEM_KEY, 0 }))
		hand_log_inode(log, ino, mode, S_ISREG(mode) ? choose_size(step->from) : 0, 1, log->generation);
	hand_log_ref(log, ino, dir, index, name);
	hand_log_entry(log, dir, index, name, ino, S_ISDIR(mode) ? FT_DIR : FT_REG_FILE);
	if (step->len % 2)
		hand_log_range(log, dir, index, index);
	if (step->len % 4 == 2)
		hand_log_inline(log, ino, "contents");
}

static void add_odd_item(struct hand_log *log, const struct step *step)
{
	static const u8 types[] = { ORPHAN_ITEM_KEY, DIR_ITEM_KEY, DIR_LOG_ITEM_KEY, EXTENT_CSUM_KEY, ROOT_ITEM_KEY, 250, DIR_INDEX_KEY,
				    XATTR_ITEM_KEY, INODE_ITEM_KEY };
	u8 bytes[64];

	memset(bytes, step->name, sizeof(bytes));
	hand_log_add(log, (struct key){ choose_ino(step->ino), types[step->how % ARRAY_LEN(types)], choose_index(step->index) }, bytes,
		     step->len % sizeof(bytes));
}

/* Checksums of data that is not the log's. */
static void add_csums(struct hand_log *log, const struct step *step)
{
	u8 bytes[256];
	u64 logical = log->data_place + (u64)4096 * step->from - (u64)4096 * 128;

	memset(bytes, step->name, sizeof(bytes));
	if (step->how == 0)
		logical = step->from;
	hand_log_add(log, (struct key){ EXTENT_CSUM_OBJECTID, EXTENT_CSUM_KEY, logical }, bytes, (size_t)4 * (1 + step->len % 60));
}

static void add_item(struct hand_log *log, const struct step *step)
{
	char buf[NAME_LEN_MAX + 1];
	const char *name = choose_name(step->name, buf);
	u64 ino = choose_ino(step->ino), dir = choose_dir(step->dir), index = choose_index(step->index);
	size_t from = log->items.len;
	u32 mode;

	switch ((enum op)(step->op % NR_OPS)) {
	case INODE:
		mode = choose_mode(ino, step->how);
		hand_log_inode(log, ino, mode, S_ISREG(mode) ? choose_size(step->from) : 0, step->len < 20 ? step->len % 3 : 1,
			       step->len < 128 ? log->generation : 0);
		break;
	case REF:
		hand_log_ref(log, ino, dir, index, name);
		break;
	case MORE_REF:
		add_to_ref(log, index, name);
		break;
	case EXTREF:
		hand_log_extref(log, ino, dir, index, name);
		break;
	case ENTRY:
		hand_log_entry(log, dir, index, name, ino, choose_type(ino, step->how));
		break;
	case RANGE:
		hand_log_range(log, dir, index, step->how < 128 ? index + step->len : choose_index(step->len));
		break;
	case XATTR:
		memset(buf, 'v', step->len);
		buf[step->len] = '\0';
		hand_log_xattr(log, ino, step->name < 200 ? "user.attribute0" : "user.new", buf);
		break;
	case EXTENT:
		add_extent(log, step);
		break;
	case OLD_EXTENT:
		add_old_extent(log, step);
		break;
	case INLINE:
		hand_log_inline(log, ino, step->len < 250 ? "inline data" : "");
		break;
	case NEW_FILE:
	case MOVE:
		add_whole(log, step, name);
		break;
	case CSUM:
		add_csums(log, step);
		break;
	case OTHER_SUBVOL:
		if (log->roots.len == 0 && step->how < 64) {
			drop_second(log, 0);
			hand_log_subvol(log, FS_TREE_OBJECTID, 5);
		}
		return;
	case ODD_ITEM:
		if (step->unused[0] == 1)
			add_odd_item(log, step);
		break;
	default:
		break;
	}
	drop_second(log, from);
}

/* --- Replay ------------------------------------------------------------------------------------------------------------- */

static void write_device(void *ctx, u64 devid, u64 physical, const void *bytes, size_t len)
{
	struct btrkit_fs *fs = ctx;

	array_for_each(&fs->volume->devices->devices, device)
		if (device->devid == devid)
			fuzz_require(blockdev_write(device->dev, physical, bytes, len, NULL) == 0);
}

static void write_log(struct btrkit_fs *fs, const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	struct hand_log log;
	struct super_choice choice;

	fuzz_require(hand_log_init(&log, fs, write_device, fs));
	for (unsigned n = 0; n < STEPS_MAX && input.left; n++) {
		struct step step;

		fuzz_take(&input, &step, sizeof(step));
		add_item(&log, &step);
	}
	/* What is wrong by itself costs its leaf: few items in each. */
	hand_log_subvol(&log, log.roots.len ? FIRST_FREE_OBJECTID : FS_TREE_OBJECTID, 5);
	hand_log_finish(&log);
	hand_log_done(&log);
	fuzz_require(super_read(fs->volume->devices->devices.items[0].dev, 0, &choice, NULL) == 0);
	fs->super = choice.super;
}

static bool replay(const uint8_t *data, size_t size, bool do_skip_bad)
{
	const struct fs_options options = { .super_mirror = -1, .knows_log = true };
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	fuzz_require(fuzz_image_devices(fuzz_image(0), NULL, FUZZ_NONE_MISSING, &set, &d) == 0);
	replay_overlay(set);
	fuzz_require(fs_open_devices(set, &options, &fs, &d) == 0);
	write_log(fs, data, size);
	return replay_and_judge(fs, do_skip_bad, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!replay(data, size, false))
		(void)replay(data, size, true);
	return 0;
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	struct step steps[STEPS_MAX] = { 0 };
	u32 n = 1;

	add(ctx, steps, 0);
	for (unsigned seed = 0; seed < 200; seed++) {
		unsigned nr = 1 + seed % 12;

		for (size_t i = 0; i < nr * sizeof(struct step); i++) {
			n = n * 1664525 + 1013904223;
			((u8 *)steps)[i] = (u8)(n >> 24);
		}
		/* Each kind of item by itself, too. */
		if (seed < NR_OPS * 4)
			steps[0].op = (u8)(seed / 4);
		add(ctx, steps, nr * sizeof(struct step));
	}
}
