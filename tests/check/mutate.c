/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mutations with meaning: every field of every kind of item in a sound filesystem is changed, one at a time, with the
 * checksums made right again, and the check has to notice.
 *
 *	mutate IMAGE... [--all]
 *
 * works on a copy of the images in memory (they are opened and written in place, and put back). Prints what was not
 * noticed; exits 0 when that is only what the table of harmless changes names.
 *
 *	mutate IMAGE --peers STRIDE FIRST
 *
 * asks `btrfs check --readonly` of each changed image, too, in both of its modes. Prints a line for each change with tabs
 * between: the kind of item, the field, the change, the verdicts (clean or bad) of btrkit check, btrfs check and its lowmem
 * mode ("-": it has the sound image wrong, too), and the code of our first problem. Of all changes, every STRIDE-th is tried,
 * from FIRST on.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <btrkit/btrkit.h>

#include "kernel-shared/device/file_device.h"
#include "kernel-shared/fs/fs.h"
#include "tests/check/fields.h"

typedef unsigned long long ull;

/* Of each field in each tree, so many items are changed. */
#define ITEMS_PER_FIELD 2

struct tally {
	u64 baseline; /* warnings that the image has by itself */
	u64 nr_mutations, nr_noticed, nr_harmless;
	bool is_all;
	bool is_deleted_inode; /* what is changed is of an inode of a deleted subvolume */
	bool has_peers;
	u64 stride, turn; /* with peers: only each stride-th change is tried */
};

struct image {
	const char *const *paths;
	size_t nr_paths;
	struct blockdev *dev[8];
	u64 devid[8];
	struct btrkit_fs *fs; /* opened before any change */
	bool has_lowmem; /* that mode of btrfs check finds the sound image clean */
	bool is_metadata_only; /* data is not read, as btrfs check does not either */
};

struct verdict {
	u64 errors; /* and warnings */
	bool has_error;
	char first[128];
};

static bool is_noticed(const struct tally *tally, const struct verdict *verdict)
{
	return verdict->errors > tally->baseline || verdict->has_error;
}

static int take_problem(void *arg, const struct btrkit_problem *problem)
{
	struct verdict *verdict = arg;

	verdict->has_error = verdict->has_error || problem->kind->severity >= BTRKIT_PROBLEM_ERROR;
	if (problem->kind->severity >= BTRKIT_PROBLEM_WARNING && verdict->errors++ == 0)
		snprintf(verdict->first, sizeof(verdict->first), "%s", problem->kind->code);
	return 0;
}

static void check_image(const struct image *image, struct verdict *ret)
{
	struct btrkit_check_options options;
	struct btrkit_check_result result;
	struct btrkit_error error = { 0 };

	*ret = (struct verdict){ 0 };
	btrkit_check_options_init(&options);
	options.open.no_device_scan = true;
	options.open.is_exclusive = false;
	options.threads = 1;
	options.do_data = !image->is_metadata_only;
	if (btrkit_check(image->paths, image->nr_paths, &options, take_problem, ret, &result, &error) < 0) {
		ret->has_error = true;
		snprintf(ret->first, sizeof(ret->first), "refused: %.100s", error.text);
	}
}

/* --- The peers ---------------------------------------------------------------------------------------------------- */

/* "clean" or "bad": by its exit status. Whoever crashes or hangs has not said that the filesystem is clean. */
static const char *ask_peer(const struct image *image, const char *mode)
{
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		execlp("timeout", "timeout", "-k", "1", "20", "btrfs", "check", "--readonly", "--mode", mode, image->paths[0], NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return "?";
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? "clean" : "bad";
}

/* Is it this change's turn? */
static bool is_wanted(struct tally *tally)
{
	/* btrfs check judges deleted subvolumes, too; the table of disagreements is about what somebody can still read. */
	return !tally->has_peers || (!tally->is_deleted_inode && tally->turn++ % tally->stride == 0);
}

static void compare_peers(const struct image *image, const struct verdict *verdict, const char *kind, const char *field,
			  enum change change)
{
	printf("%s\t%s\t%s\t%s\t%s\t%s\t%s\n", kind, field, change_name(change), verdict->has_error ? "bad" : "clean",
	       ask_peer(image, "original"), image->has_lowmem ? ask_peer(image, "lowmem") : "-", verdict->first[0] ? verdict->first : "-");
	fflush(stdout);
}

/* --- Changing ----------------------------------------------------------------------------------------------------- */

static struct blockdev *device_of(const struct image *image, u64 devid)
{
	for (size_t i = 0; i < image->nr_paths; i++)
		if (image->devid[i] == devid)
			return image->dev[i];
	return NULL;
}

/* Put @block in the place of all copies. */
static void write_block(const struct image *image, u64 logical, const u8 *block)
{
	u32 nodesize = image->fs->volume->nodesize;
	unsigned mirrors = volume_nr_mirrors(image->fs->volume, logical);

	for (unsigned mirror = 1; mirror <= mirrors; mirror++)
		for (u32 done = 0; done < nodesize;) {
			struct physical_part part;

			if (volume_map(image->fs->volume->chunks, logical + done, nodesize - done, mirror, &part) < 0)
				break;
			blockdev_write(device_of(image, part.devid), part.physical, block + done, part.len, NULL);
			done += (u32)part.len;
		}
}

static const char *key_name(u64 tree, u8 type, char buf[64])
{
	snprintf(buf, 64, "tree %lld type %u", (long long)tree, type);
	return buf;
}

/* One change of @size bytes at @at of the block; @kind and @field say of what. */
static void try_change(struct tally *tally, const struct image *image, u64 logical, const u8 *good, u32 at, u32 size,
		       enum change change, const char *kind, const char *field)
{
	u32 nodesize = image->fs->volume->nodesize;
	u8 *block = malloc(nodesize);
	struct verdict verdict;
	const char *reason;

	memcpy(block, good, nodesize);
	if (!apply_change(block + at, size, change) || !is_wanted(tally)) {
		free(block);
		return;
	}
	block_finish(block, nodesize, image->fs->csum);
	write_block(image, logical, block);
	check_image(image, &verdict);
	if (tally->has_peers)
		compare_peers(image, &verdict, kind, field, change);
	write_block(image, logical, good);
	free(block);
	reason = tally->is_deleted_inode ? "nobody reads the inodes of a deleted subvolume any more" :
					   harmless_reason(kind, field, change);
	tally->nr_mutations++;
	tally->nr_noticed += is_noticed(tally, &verdict);
	tally->nr_harmless += !is_noticed(tally, &verdict) && reason;
	if (tally->has_peers)
		return;
	if (!is_noticed(tally, &verdict) && !reason)
		printf("not noticed: %s %s %s (block %llu)\n", kind, field, change_name(change), (ull)logical);
	else if (tally->is_all)
		printf("%s: %s %s %s\n", is_noticed(tally, &verdict) ? verdict.first : "harmless", kind, field, change_name(change));
}

static void try_field(struct tally *tally, const struct image *image, u64 logical, const u8 *good, u32 at, u32 size,
		      const char *kind, const char *field)
{
	for (enum change change = 0; change < NR_CHANGES; change++)
		try_change(tally, image, logical, good, at, size, change, kind, field);
}

/* --- Walking ------------------------------------------------------------------------------------------------------ */

struct walking {
	struct tally *tally;
	const struct image *image;
	u64 tree;
	bool is_deleted; /* a deleted subvolume */
	unsigned seen[256]; /* items of each type in this tree */
	unsigned nodes;
};

static const char *kind_of_root(u64 id, const struct disk_root_item *item)
{
	if (id == DATA_RELOC_TREE_OBJECTID)
		return "relocation system";
	if (id == QUOTA_TREE_OBJECTID)
		return "quota system";
	if (!tree_id_is_subvol(id))
		return "system";
	return le32_get(item->refs) == 0 ? "deleted subvolume" : id == FS_TREE_OBJECTID ? "top subvolume" : "subvolume";
}

static void try_item(struct walking *w, const u8 *block, u64 logical, u32 slot)
{
	const struct key key = leaf_key(block, slot);
	u32 data = (u32)((const u8 *)leaf_item_data(block, slot) - block), size = leaf_item_bytes(block, slot);
	u32 item = (u32)((const u8 *)leaf_item(block, slot) - block);
	char kind[64];

	if (w->seen[key.type]++ >= (key.type == ROOT_ITEM_KEY ? 8 * ITEMS_PER_FIELD : ITEMS_PER_FIELD))
		return;
	/* Behind its header an inline extent has data. */
	if (key.type == EXTENT_DATA_KEY && ((const struct disk_file_extent_item *)(block + data))->type == FILE_EXTENT_INLINE)
		size = FILE_EXTENT_INLINE_HEADER_BYTES;
	key_name(w->tree, key.type, kind);
	w->tally->is_deleted_inode = w->is_deleted && key.type <= DIR_INDEX_KEY;
	if (key.type == INODE_ITEM_KEY)
		snprintf(kind, sizeof(kind), "tree %lld type 1 %s", (long long)w->tree,
			 S_ISDIR(le32_get(((const struct disk_inode_item *)(block + data))->mode)) ? "directory" : "file");
	if (key.type == QGROUP_STATUS_KEY &&
	    (le64_get(((const struct disk_qgroup_status_item *)(block + data))->flags) & QGROUP_STATUS_SIMPLE_MODE))
		snprintf(kind, sizeof(kind), "tree %lld type 240 simple", (long long)w->tree);
	if (key.type == ROOT_ITEM_KEY)
		snprintf(kind, sizeof(kind), "tree 1 %s type 132", kind_of_root(key.objectid, (const void *)(block + data)));
	try_field(w->tally, w->image, logical, block, item, 8, kind, "key.objectid");
	try_field(w->tally, w->image, logical, block, item + 8, 1, kind, "key.type");
	try_field(w->tally, w->image, logical, block, item + 9, 8, kind, "key.offset");
	if (key.type == EXTENT_DATA_KEY && size >= sizeof(struct disk_file_extent_item) &&
	    le64_get(((const struct disk_file_extent_item *)(block + data))->disk_bytenr) == 0)
		snprintf(kind, sizeof(kind), "tree %lld type 108 hole", (long long)w->tree);
	for (size_t f = 0; f < nr_fields; f++) {
		u32 at = fields[f].at;

		/* Before the references of a tree block without skinny metadata stands its first key. */
		if (key.type == EXTENT_ITEM_KEY && at >= sizeof(struct disk_extent_item) &&
		    (le64_get(((const struct disk_extent_item *)(block + data))->flags) & EXTENT_FLAG_TREE_BLOCK))
			at += (u32)sizeof(struct disk_tree_block_info);
		if (fields[f].type == key.type && at + fields[f].size <= size)
			try_field(w->tally, w->image, logical, block, data + at, fields[f].size, kind, fields[f].name);
	}
	w->tally->is_deleted_inode = false;
}

/* Of such a block the references below are recorded by its address, and its owner means nothing. */
static bool is_full_backref(const struct image *image, u64 logical)
{
	const struct key first = { logical, EXTENT_ITEM_KEY, 0 };
	bool is_full = false;
	struct cursor cursor;
	struct tree tree;

	if (fs_tree(image->fs, EXTENT_TREE_OBJECTID, &tree, NULL) < 0)
		return false;
	cursor = cursor_init(&tree);
	if (cursor_seek(&cursor, &first, NULL) == 0 && cursor_key(&cursor).objectid == logical)
		is_full = le64_get(((const struct disk_extent_item *)cursor_data(&cursor))->flags) & EXTENT_FLAG_FULL_BACKREF;
	cursor_done(&cursor);
	return is_full;
}

static int visit(void *ctx, struct tree_block *block, struct diag *d)
{
	struct walking *w = ctx;
	static const struct field header[] = { HEADER_FIELDS };
	char kind[64];

	(void)d;
	snprintf(kind, sizeof(kind), "tree %lld %s", (long long)w->tree, block->level ? "node" : "leaf");
	if (w->nodes++ < 3)
		for (size_t f = 0; f < sizeof(header) / sizeof(header[0]); f++)
			if (strcmp(header[f].name, "owner") != 0 || !is_full_backref(w->image, block->logical))
				try_field(w->tally, w->image, block->logical, block->data, header[f].at, header[f].size, kind,
					  header[f].name);
	for (u32 slot = 0; slot < block->nritems; slot++) {
		u32 at = (u32)((const u8 *)node_ptr(block->data, slot) - block->data);

		if (block->level == 0) {
			try_item(w, block->data, block->logical, slot);
		} else if (slot < 2) {
			try_field(w->tally, w->image, block->logical, block->data, at, 8, kind, "ptr.key.objectid");
			try_field(w->tally, w->image, block->logical, block->data, at + 8, 1, kind, "ptr.key.type");
			try_field(w->tally, w->image, block->logical, block->data, at + 9, 8, kind, "ptr.key.offset");
			try_field(w->tally, w->image, block->logical, block->data, at + 17, 8, kind, "ptr.blockptr");
			try_field(w->tally, w->image, block->logical, block->data, at + 25, 8, kind, "ptr.generation");
		}
	}
	return 0;
}

/* Its root item has no references; the ORPHAN item of the root tree says so as well. */
static bool is_deleted(const struct image *image, u64 id)
{
	const struct key key = { ORPHAN_OBJECTID, ORPHAN_ITEM_KEY, id };
	struct cursor cursor = cursor_init(&image->fs->root_tree);
	bool is_there = cursor_find(&cursor, &key, NULL) == 0;

	cursor_done(&cursor);
	return is_there;
}

static int try_tree(void *arg, const struct btrkit_tree_info *info)
{
	struct walking *from = arg, w = { .tally = from->tally, .image = from->image, .tree = info->id };
	const struct tree_walk walk = { visit, NULL, &w };
	struct tree tree;

	if (fs_tree(w.image->fs, info->id, &tree, NULL) < 0)
		return 0;
	w.is_deleted = is_deleted(w.image, info->id);
	return tree_walk(&tree, &walk, NULL);
}

/* Superblock 0 of each device, with a right checksum. */
static void try_supers(struct tally *tally, const struct image *image)
{
	static const struct field members[] = { SUPER_FIELDS };

	for (size_t i = 0; i < image->nr_paths; i++) {
		struct disk_super good, bad;

		blockdev_read(image->dev[i], 65536, &good, sizeof(good), NULL);
		for (size_t f = 0; f < sizeof(members) / sizeof(members[0]); f++)
			for (enum change change = 0; change < NR_CHANGES; change++) {
				struct verdict verdict;
				const char *reason = harmless_reason("super", members[f].name, change);

				bad = good;
				if (!apply_change((u8 *)&bad + members[f].at, members[f].size, change) || !is_wanted(tally))
					continue;
				super_finish(&bad, image->fs->csum, 65536);
				if (members[f].at == offsetof(struct disk_super, bytenr)) {
					apply_change((u8 *)&bad + members[f].at, members[f].size, change);
					csum_compute(image->fs->csum, bad.fsid, sizeof(bad) - CSUM_SIZE, bad.csum);
				}
				blockdev_write(image->dev[i], 65536, &bad, sizeof(bad), NULL);
				check_image(image, &verdict);
				if (tally->has_peers)
					compare_peers(image, &verdict, "super", members[f].name, change);
				blockdev_write(image->dev[i], 65536, &good, sizeof(good), NULL);
				tally->nr_mutations++;
				tally->nr_noticed += is_noticed(tally, &verdict);
				tally->nr_harmless += !is_noticed(tally, &verdict) && reason;
				if (!is_noticed(tally, &verdict) && !reason && !tally->has_peers)
					printf("not noticed: super %s %s\n", members[f].name, change_name(change));
			}
	}
}

static int open_image(struct image *image)
{
	struct btrkit_open_options options;

	btrkit_open_options_init(&options);
	options.no_device_scan = true;
	if (btrkit_fs_open(image->paths, image->nr_paths, &options, &image->fs, NULL) < 0)
		return -1;
	for (size_t i = 0; i < image->nr_paths; i++) {
		struct super_choice choice;

		if (file_device_open(image->paths[i], FILE_DEVICE_WRITE, 0, 0, &image->dev[i], NULL) < 0 ||
		    super_read(image->dev[i], -1, &choice, NULL) < 0)
			return -1;
		image->devid[i] = le64_get(choice.super.dev_item.devid);
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool has_peers = argc == 5 && strcmp(argv[2], "--peers") == 0;
	struct tally tally = { .is_all = argc > 1 && strcmp(argv[argc - 1], "--all") == 0, .has_peers = has_peers };
	struct image image = { .paths = (const char *const *)argv + 1, .nr_paths = has_peers ? 1 : (size_t)(argc - 1 - tally.is_all),
			       .is_metadata_only = has_peers };
	struct walking w = { .tally = &tally, .image = &image };
	struct verdict verdict;

	if (has_peers) {
		tally.stride = MAX(strtoull(argv[3], NULL, 10), 1ULL);
		tally.turn = tally.stride - strtoull(argv[4], NULL, 10) % tally.stride;
	}
	if (image.nr_paths == 0 || image.nr_paths > 8 || open_image(&image) < 0) {
		fprintf(stderr, "mutate: cannot open the image\n");
		return 2;
	}
	check_image(&image, &verdict);
	tally.baseline = verdict.errors;
	image.has_lowmem = has_peers && strcmp(ask_peer(&image, "lowmem"), "clean") == 0;
	if (verdict.has_error) {
		fprintf(stderr, "mutate: the image is not sound: %s\n", verdict.first);
		return 2;
	}
	btrkit_tree_for_each(image.fs, try_tree, &w, NULL);
	try_supers(&tally, &image);
	check_image(&image, &verdict);
	if (is_noticed(&tally, &verdict)) {
		fprintf(stderr, "mutate: the image was not put back: %s\n", verdict.first);
		return 2;
	}
	if (!has_peers)
		printf("%llu mutations: %llu noticed, %llu harmless, %llu missed\n", (ull)tally.nr_mutations, (ull)tally.nr_noticed,
	       (ull)tally.nr_harmless, (ull)(tally.nr_mutations - tally.nr_noticed - tally.nr_harmless));
	btrkit_fs_close(image.fs);
	for (size_t i = 0; i < image.nr_paths; i++)
		blockdev_close(image.dev[i]);
	return !has_peers && tally.nr_mutations != tally.nr_noticed + tally.nr_harmless;
}
