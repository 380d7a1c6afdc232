/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Convert an image file as if blocks of it could not be read.
 *
 *	convert_faulty IMAGE BLOCK...
 *
 * Blocks of 4 KiB, by their numbers. What is skipped is printed, a path and a reason on a line. 1: it is not converted.
 */
#include <stdio.h>
#include <stdlib.h>

#include "convert/inplace/conversion.h"
#include "kernel-shared/device/fault_device.h"
#include "kernel-shared/device/file_device.h"

#define BLOCK_BYTES 4096

static void print_loss(void *arg, const struct btrkit_convert_loss *loss)
{
	(void)arg;
	printf("%s: %s\n", loss->path, loss->why);
}

int main(int argc, char **argv)
{
	struct btrkit_convert_options options;
	struct fault_list list = { 0 };
	struct blockdev *below, *dev = NULL;
	struct diag d = { 0 };
	int err;

	if (argc < 2)
		return 2;
	for (int i = 2; i < argc; i++)
		if (array_push(&list.faults, (struct fault){ 0, strtoull(argv[i], NULL, 0) * BLOCK_BYTES, BLOCK_BYTES }) < 0)
			return 1;
	btrkit_convert_options_init(&options);
	options.path = argv[1];
	options.do_skip_unreadable = true;
	options.loss = print_loss;
	err = file_device_open(argv[1], FILE_DEVICE_WRITE, 0, 0, &below, &d);
	if (!err && fault_device_new(below, &list, 0, &dev) < 0) {
		blockdev_close(below);
		err = -1;
	}
	if (!err)
		err = convert_device(&options, dev, NULL, &d);
	if (err)
		fprintf(stderr, "%s\n", d.text);
	blockdev_close(dev);
	array_done(&list.faults);
	return err ? 1 : 0;
}
