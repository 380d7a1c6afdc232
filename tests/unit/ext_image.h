/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests of converting: an ext4 that mke2fs has made of a folder, in an image file that is not changed. */
#ifndef BTRKIT_TESTS_UNIT_EXT_IMAGE_H
#define BTRKIT_TESTS_UNIT_EXT_IMAGE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/tools/source_ranges.h"

struct ext_image {
	char dir[160], path[200];
	bool is_there; /* false: no mke2fs, or built without libext2fs */
};

/*
 * @fill: commands of the shell that fill the folder they are run in. @size: as truncate has it; @options: of mke2fs, beside -t ext4 -b
 * 4096. Always to be removed.
 */
static inline void ext_image_make(struct ext_image *image, const char *fill, const char *size, const char *options)
{
	const char *tmp = getenv("TMPDIR");
	struct source *source = NULL;
	struct blockdev *dev;
	char command[4000];

	*image = (struct ext_image){ 0 };
	snprintf(image->dir, sizeof(image->dir), "%s/btrkit-ext-XXXXXX", tmp && strlen(tmp) < 100 ? tmp : "/var/tmp");
	assert_non_null(mkdtemp(image->dir));
	snprintf(image->path, sizeof(image->path), "%s/image", image->dir);
	snprintf(command, sizeof(command),
		 "export PATH=\"$PATH:/usr/sbin:/sbin\"; cd '%s' && command -v mke2fs >/dev/null || exit 9; mkdir t && cd t && %s && cd .. &&"
		 " truncate -s %s image && mke2fs -q -t ext4 -b 4096 %s -d t image >/dev/null 2>&1",
		 image->dir, fill, size, options);
	/* Without mke2fs there is no image. */
	(void)!system(command);
	if (access(image->path, F_OK) != 0)
		return;
	dev = open_unchanged(image->path);
	assert_non_null(dev);
	image->is_there = sources_open(dev, &(const struct source_options){ 0 }, &source, NULL) == 0;
	source_close(source);
	blockdev_close(dev);
}

static inline int ext_image_remove(const struct ext_image *image)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf '%s'", image->dir);
	return system(command);
}

static inline void ext_image_need(const struct ext_image *image)
{
	if (image->is_there)
		return;
	print_message("no mke2fs, or built without libext2fs\n");
	skip();
}

#endif
