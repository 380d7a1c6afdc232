/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Print which bytes of a device its filesystem uses: what a cloning program has to copy.
 *
 *	cc used-ranges.c $(pkg-config --cflags --libs btrkit) -o used-ranges
 *	./used-ranges disk.img
 */
#include <btrkit/extents.h>
#include <stdio.h>

static int print_range(void *arg, const struct btrkit_physical_range *range)
{
	uint64_t *sum = arg;

	printf("%llu %llu%s%s%s%s\n", (unsigned long long)range->physical, (unsigned long long)range->len,
	       range->kinds & BTRKIT_USED_SUPER ? " superblock" : "", range->kinds & BTRKIT_USED_SYSTEM ? " system" : "",
	       range->kinds & BTRKIT_USED_METADATA ? " metadata" : "", range->kinds & BTRKIT_USED_DATA ? " data" : "");
	*sum += range->len;
	return 0; /* go on */
}

int main(int argc, char **argv)
{
	const char *const paths[] = { argc == 2 ? argv[1] : "" };
	struct btrkit_device_info device;
	struct btrkit_error error = { 0 };
	struct btrkit_fs *fs = NULL;
	uint64_t sum = 0;
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: %s DEVICE\n", argv[0]);
		return 2;
	}
	err = btrkit_fs_open(paths, 1, NULL, &fs, &error);
	if (!err)
		err = btrkit_fs_device_at(fs, 0, &device);
	if (!err)
		err = btrkit_used_physical(fs, device.devid, print_range, &sum, &error);
	if (err)
		fprintf(stderr, "%s: %s\n", argv[0], error.text);
	else
		printf("%llu of %llu bytes\n", (unsigned long long)sum, (unsigned long long)device.total_bytes);
	btrkit_fs_close(fs);
	return err != 0;
}
