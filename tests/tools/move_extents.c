/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests: empty block groups by moving their extents.
 *
 *	move_extents [-n] WHICH DEVICE...
 *
 * WHICH: the logical address of a block group; or data, metadata, system or all for each group of the kind that there
 * is in the beginning, one after the other; with a + in front, all of these at once. -n: no new block groups. Prints
 * what was moved.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel-shared/relocate/relocate.h"
#include "kernel-shared/volume/volume.h"

#define GROUPS_MAX 4096

static void tell(void *arg, enum diag_severity severity, const char *text)
{
	(void)arg;
	(void)severity;
	fprintf(stderr, "note: %s\n", text);
}

static struct btrkit_fs *open_fs(char **paths, int nr, struct diag *d)
{
	const struct device_set_options for_devices = { .is_writable = true, .is_exclusive = true, .super_mirror = -1 };
	const struct fs_options for_fs = { .is_writable = true };
	struct device_set *devices;
	struct btrkit_fs *fs;

	if (device_set_open((const char *const *)paths, (size_t)nr, &for_devices, &devices, d) != 0 ||
	    fs_open_devices(devices, &for_fs, &fs, d) != 0)
		return NULL;
	return fs;
}

static u64 type_of(const char *which)
{
	if (strcmp(which, "data") == 0)
		return BLOCK_GROUP_DATA;
	if (strcmp(which, "metadata") == 0)
		return BLOCK_GROUP_METADATA;
	if (strcmp(which, "system") == 0)
		return BLOCK_GROUP_SYSTEM;
	return strcmp(which, "all") == 0 ? BLOCK_GROUP_TYPE_MASK : 0;
}

static size_t choose(const struct btrkit_fs *fs, const char *which, u64 *groups)
{
	u64 type = type_of(which), logical = strtoull(which, NULL, 0);
	size_t nr = 0;

	for (size_t i = 0; i < chunk_map_count(fs->volume->chunks) && nr < GROUPS_MAX; i++) {
		const struct chunk *chunk = chunk_map_at(fs->volume->chunks, i);

		if (type ? (chunk->type & type) != 0 : chunk->logical == logical)
			groups[nr++] = chunk->logical;
	}
	return nr;
}

static int move(struct relocate *relocate, const u64 *groups, size_t nr, size_t at_once, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < nr && !err; i += at_once) {
		u64 used;

		err = txn_group_used_bytes(relocate->fs->txn, groups[i], &used, d);
		if (!err)
			err = move_extents(relocate, groups + i, at_once, d);
		if (!err)
			printf("%" PRIu64 ": %" PRIu64 " bytes\n", groups[i], used);
	}
	return err;
}

int main(int argc, char **argv)
{
	struct diag d = { .note = tell };
	struct relocate relocate = { 0 };
	bool is_at_once, is_limited = argc > 1 && strcmp(argv[1], "-n") == 0;
	static u64 groups[GROUPS_MAX];
	size_t nr;
	int err;

	argc -= is_limited;
	argv += is_limited;
	if (argc < 3)
		return 2;
	is_at_once = argv[1][0] == '+';
	relocate.fs = open_fs(argv + 2, argc - 2, &d);
	if (!relocate.fs || pool_new(0, NULL, &relocate.pool) != 0) {
		fprintf(stderr, "%s\n", d.text);
		return 1;
	}
	nr = choose(relocate.fs, argv[1] + is_at_once, groups);
	for (size_t i = 0; is_limited && i < relocate.fs->volume->devices->devices.len; i++)
		(void)txn_limit_device(relocate.fs->txn, relocate.fs->volume->devices->devices.items[i].devid, 0, NULL);
	err = nr ? move(&relocate, groups, nr, is_at_once ? nr : 1, &d) : 0;
	if (err)
		fprintf(stderr, "%s\n", d.text);
	pool_free(relocate.pool);
	btrkit_fs_close(relocate.fs);
	return err ? 1 : nr == 0;
}
