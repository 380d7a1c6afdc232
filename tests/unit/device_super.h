/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Valid superblocks of made-up devices, for tests. */
#ifndef BTRKIT_TESTS_UNIT_DEVICE_SUPER_H
#define BTRKIT_TESTS_UNIT_DEVICE_SUPER_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>

#include "kernel-shared/device/super.h"

/* Filesystem @fsid (each byte of its id), device @devid of @num_devices whose uuid is @devid everywhere. */
static inline struct disk_super make_super(u8 fsid, u64 devid, u64 num_devices, u64 generation)
{
	struct disk_super super;

	memset(&super, 0, sizeof(super));
	memset(super.fsid, fsid, UUID_SIZE);
	memset(super.dev_item.fsid, fsid, UUID_SIZE);
	memset(super.dev_item.uuid, (int)devid, UUID_SIZE);
	le64_put(&super.magic, SUPER_MAGIC);
	le64_put(&super.generation, generation);
	le64_put(&super.root, 30 * MIB);
	le64_put(&super.chunk_root, 22 * MIB);
	le64_put(&super.total_bytes, GIB);
	le64_put(&super.num_devices, num_devices);
	le32_put(&super.sectorsize, 4096);
	le32_put(&super.nodesize, 16384);
	le32_put(&super.leafsize, 16384);
	le32_put(&super.stripesize, 4096);
	le32_put(&super.sys_chunk_array_size, 97);
	le64_put(&super.dev_item.devid, devid);
	le64_put(&super.dev_item.total_bytes, 65 * MIB);
	return super;
}

/* Put it at mirror @mirror, with its place and checksum. */
static inline void put_super(struct blockdev *dev, struct disk_super super, unsigned mirror)
{
	super_finish(&super, csum_kind_by_type(le16_get(super.csum_type)), super_mirror_physical(mirror));
	assert_int_equal(blockdev_write(dev, super_mirror_physical(mirror), &super, sizeof(super), NULL), 0);
}

/* What a diag's notes said, one after the other. */
struct notes {
	unsigned count;
	char text[8 * DIAG_TEXT_MAX];
};

static inline void take_note(void *arg, enum diag_severity severity, const char *text)
{
	struct notes *notes = arg;
	size_t at = strlen(notes->text);

	(void)severity;
	notes->count++;
	snprintf(notes->text + at, sizeof(notes->text) - at, "%s\n", text);
}

static inline void assert_says(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("\"%s\" does not say \"%s\"", text, words);
}

#endif
