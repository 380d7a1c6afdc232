/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Print which bytes of a device its filesystem uses: what a cloning program has to copy. Further devices of the filesystem,
 * if it has any, follow the one that is asked about.
 *
 *	cc used-ranges.c $(pkg-config --cflags --libs btrkit) -o used-ranges
 *	./used-ranges disk.img
 */
#include <btrkit/extents.h>
#include <stdio.h>
#include <string.h>

static int print_range(void *arg, const struct btrkit_physical_range *range)
{
	uint64_t *sum = arg;

	printf("%llu %llu%s%s%s%s\n", (unsigned long long)range->physical, (unsigned long long)range->len,
	       range->kinds & BTRKIT_USED_SUPER ? " superblock" : "", range->kinds & BTRKIT_USED_SYSTEM ? " system" : "",
	       range->kinds & BTRKIT_USED_METADATA ? " metadata" : "", range->kinds & BTRKIT_USED_DATA ? " data" : "");
	*sum += range->len;
	return 0; /* go on */
}

/* By the path under which it was opened. */
static int find_device(const struct btrkit_fs *fs, const char *path, struct btrkit_device_info *ret_device)
{
	int err;

	for (size_t i = 0; (err = btrkit_fs_device_at(fs, i, ret_device)) == 0; i++)
		if (ret_device->path && strcmp(ret_device->path, path) == 0)
			return 0;
	return err;
}

int main(int argc, char **argv)
{
	struct btrkit_device_info device;
	struct btrkit_error error = { 0 };
	struct btrkit_fs *fs = NULL;
	uint64_t sum = 0;
	int err;

	if (argc < 2) {
		fprintf(stderr, "usage: %s DEVICE...\n", argv[0]);
		return 2;
	}
	err = btrkit_fs_open((const char *const *)argv + 1, (size_t)argc - 1, NULL, &fs, &error);
	if (!err)
		err = find_device(fs, argv[1], &device);
	if (!err)
		err = btrkit_used_physical(fs, device.devid, print_range, &sum, &error);
	if (err)
		fprintf(stderr, "%s: %s\n", argv[0], error.text);
	else
		printf("%llu of %llu bytes\n", (unsigned long long)sum, (unsigned long long)device.total_bytes);
	btrkit_fs_close(fs);
	return err != 0;
}
