/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A whole damaged filesystem, changed: without a crash or an endless loop. One that nobody damaged is sound afterwards.
 * Devices are not written: changes stay in memory above them.
 */
#include <sys/stat.h>

#include "check/check.h"
#include "common/base/array.h"
#include "kernel-shared/device/overlay_device.h"
#include "kernel-shared/fs/edit_ops.h"
#include "tests/fuzz/damage.h"

const char fuzz_name[] = "fuzz-edit";
const unsigned fuzz_iterations = 1500;
const size_t fuzz_input_max = DAMAGE_INPUT_MAX;

#define ENTRIES_MAX 300
#define STEPS 25

struct entry {
	struct btrkit_inode dir, inode;
	char name[256];
	bool is_dir;
};

struct editing {
	struct btrkit_edit *edit;
	u64 seed;
	struct entry entries[ENTRIES_MAX];
	size_t nr_entries;
};

static u32 number(struct editing *e, u32 below)
{
	e->seed = e->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(e->seed >> 33) % below;
}

/* What there is, without going down twice; a damaged filesystem may have rings. */
static void collect(struct editing *e, const struct btrkit_inode *top)
{
	e->entries[e->nr_entries++] = (struct entry){ .dir = *top, .inode = *top, .is_dir = true };
	for (size_t at = 0; at < e->nr_entries && at < 40; at++) {
		const struct btrkit_inode inode = e->entries[at].inode;
		struct btrkit_dir_entry found;
		struct btrkit_dir *dir;

		if (!e->entries[at].is_dir || btrkit_dir_open(e->edit->fs, &inode, &dir, NULL) != 0)
			continue;
		while (e->nr_entries < ENTRIES_MAX && btrkit_dir_next(dir, &found, NULL) == 0) {
			struct entry *entry = &e->entries[e->nr_entries++];

			*entry = (struct entry){ .dir = inode, .inode = found.inode, .is_dir = S_ISDIR(found.type) };
			snprintf(entry->name, sizeof(entry->name), "%s", found.name);
		}
		btrkit_dir_close(dir);
	}
}

static int name_operation(struct editing *e, const struct entry *entry, const struct entry *other, u32 kind)
{
	const struct btrkit_node_attr attr = { .mode = (kind % 2 ? S_IFREG : S_IFDIR) | 0755 };
	struct btrkit_inode made;
	char name[16];
	u64 id;

	snprintf(name, sizeof(name), "new%u", number(e, 1000));
	switch (kind) {
	case 0:
	case 1:
		return btrkit_edit_create(e->edit, &entry->dir, name, strlen(name), &attr, &made, NULL);
	case 2:
		return btrkit_edit_unlink(e->edit, &entry->dir, entry->name, strlen(entry->name), NULL);
	case 3:
		return btrkit_edit_rmdir(e->edit, &entry->dir, entry->name, strlen(entry->name), NULL);
	case 4:
		return btrkit_edit_rename(e->edit, &entry->dir, entry->name, strlen(entry->name), &other->dir, name, strlen(name), 0, NULL);
	case 5:
		return btrkit_edit_rename(e->edit, &entry->dir, entry->name, strlen(entry->name), &other->dir, other->name,
					  strlen(other->name), number(e, 2) ? BTRKIT_RENAME_EXCHANGE : 0, NULL);
	case 6:
		return btrkit_edit_link(e->edit, &entry->inode, &other->dir, name, strlen(name), NULL);
	case 7:
		return btrkit_edit_snapshot(e->edit, entry->inode.subvol, &other->dir, name, strlen(name), number(e, 2), &id, NULL);
	default:
		return btrkit_edit_subvol_delete(e->edit, entry->inode.subvol, NULL);
	}
}

static int content_operation(struct editing *e, const struct entry *entry, const struct entry *other, u32 kind)
{
	static const u8 data[20000] = { 1, 2, 3 };
	const struct btrkit_node_attr attr = { .mode = 0700, .uid = 5 };
	u64 offset = number(e, 3) ? number(e, 40000) : number(e, 40) * 4096ULL;
	u32 len = 1 + number(e, sizeof(data));

	switch (kind) {
	case 0:
	case 1:
		return btrkit_edit_write(e->edit, &entry->inode, offset, data, len, NULL);
	case 2:
		return btrkit_edit_truncate(e->edit, &entry->inode, offset, NULL);
	case 3:
		return btrkit_edit_punch_hole(e->edit, &entry->inode, offset, len, NULL);
	case 4:
		return btrkit_edit_preallocate(e->edit, &entry->inode, offset, len, number(e, 2), NULL);
	case 5:
		return btrkit_edit_clone(e->edit, &other->inode, 0, 0, &entry->inode, round_down_u64(offset, 4096), NULL);
	case 6:
		return btrkit_edit_set_xattr(e->edit, &entry->inode, number(e, 2) ? "user.a" : "user.fuzz", data, len % 1000, NULL);
	case 7:
		return btrkit_edit_remove_xattr(e->edit, &entry->inode, "user.a", NULL);
	case 8:
		return btrkit_edit_set_attr(e->edit, &entry->inode, BTRKIT_SET_UID | BTRKIT_SET_MODE, &attr, NULL);
	default:
		return btrkit_edit_set_default(e->edit, entry->inode.subvol, NULL);
	}
}

/* Failures that say that something is damaged, or that the devices do not do. */
static bool is_bad(int err)
{
	return err == -EUCLEAN || err == -EIO || err == -ENOMEM;
}

static void change(struct editing *e, bool is_sound)
{
	for (unsigned step = 0; step < STEPS; step++) {
		const struct entry *entry = &e->entries[number(e, (u32)e->nr_entries)];
		const struct entry *other = &e->entries[number(e, (u32)e->nr_entries)];
		int err = number(e, 2) ? name_operation(e, entry, other, number(e, 9)) : content_operation(e, entry, other, number(e, 10));

		fuzz_require(!is_sound || !is_bad(err));
		if (err == -ESHUTDOWN || number(e, 20) == 0)
			btrkit_edit_abort(e->edit);
		if (number(e, 8) == 0) {
			err = btrkit_edit_commit(e->edit, NULL);
			fuzz_require(!is_sound || err == 0 || err == -ENOSPC || err == -ESHUTDOWN);
		}
	}
	(void)btrkit_edit_commit(e->edit, NULL);
}

static int take_problem(void *arg, const struct btrkit_problem *problem)
{
	if (problem->kind->severity >= BTRKIT_PROBLEM_ERROR)
		fprintf(stderr, "%s: %s\n", problem->kind->code, problem->text);
	(void)arg;
	return 0;
}

/* Takes the filesystem over. */
static void check_sound(struct btrkit_fs *fs)
{
	struct btrkit_check_result result = { 0 };
	struct btrkit_check_options options;
	struct diag d = { 0 };

	btrkit_check_options_init(&options);
	options.threads = 1;
	options.do_data = true;
	fuzz_require(check_run(fs, &options, take_problem, NULL, &result, &d) == 0);
	fuzz_require(result.nr_problems[BTRKIT_PROBLEM_ERROR] + result.nr_problems[BTRKIT_PROBLEM_FATAL] == 0);
}

static struct btrkit_fs *open_damaged(const struct damage *damage)
{
	const struct fs_options options = {
		.super_mirror = -1,
		.ignore_data_csums = damage->how & HOW_IGNORE_CSUMS,
		.cache_bytes = damage->how & HOW_SMALL_CACHE ? 1 : 0,
		.is_writable = true,
	};
	struct device_set *set;
	struct btrkit_fs *fs;
	struct diag d = { 0 };

	if (damage_devices(damage, &set, &d) != 0)
		return NULL;
	array_for_each(&set->devices, device)
		if (device->dev)
			fuzz_require(overlay_device_new(device->dev, &device->dev) == 0);
	return fs_open_devices(set, &options, &fs, &d) == 0 ? fs : NULL;
}

static void change_damaged(const struct damage *damage, u64 seed)
{
	const struct btrkit_edit_options options = { .struct_size = sizeof(options), .is_forced = true };
	struct editing *e = calloc(1, sizeof(*e));
	struct btrkit_fs *fs = open_damaged(damage);
	bool is_sound = damage_is_none(damage);

	fuzz_require(e);
	if (fs) {
		e->seed = seed;
		fuzz_require(btrkit_edit_new(fs, &options, &e->edit, NULL) == 0);
		collect(e, &BTRKIT_INODE_TOP);
		change(e, is_sound);
		btrkit_edit_free(e->edit);
		if (is_sound)
			check_sound(fs);
		else
			btrkit_fs_close(fs);
	}
	free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct damage damage;
	u64 seed = 1;

	for (size_t i = 0; i < size; i++)
		seed = (seed ^ data[i]) * 0x100000001b3ULL;
	damage_take(data, size, &damage);
	change_damaged(&damage, seed);
	damage_done(&damage);
	return 0;
}

void fuzz_seeds(fuzz_add_fn add, void *ctx)
{
	static const u8 hows[] = { 0, HOW_IGNORE_CSUMS, HOW_FIRST_COPY, HOW_SMALL_CACHE, HOW_BAD_CSUM };

	damage_seeds(add, ctx, hows, ARRAY_LEN(hows), 0);
}
