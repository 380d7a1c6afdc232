/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Instead of everything else in this folder, in a build without libext2fs. */
#include "convert/ext/ext_disk.h"
#include "convert/ext/ext_journal.h"
#include "convert/ext/ext_source.h"

#define EXT_MAGIC 0xef53

static int absent_open(struct blockdev *const *devs, size_t nr_devs, const struct source_options *options, struct source **ret_source,
		       struct diag *d)
{
	struct blockdev *dev = devs[0];
	le16 magic;
	int err;

	(void)nr_devs, (void)options, (void)ret_source;
	if (dev->size_bytes < EXT_SUPER_OFFSET + EXT_SUPER_BYTES)
		return 1;
	err = blockdev_read(dev, EXT_MAGIC_OFFSET, &magic, sizeof(magic), d);
	if (err)
		return err;
	if (le16_get(magic) != EXT_MAGIC)
		return 1;
	return diag_fail(d, -EOPNOTSUPP, "%s: this build has no libext2fs, without which ext2, ext3 and ext4 cannot be read", dev->name);
}

const struct source_ops source_ext_ops = { .type = "ext4", .open = absent_open };

int ext_journal_look(struct blockdev *dev, struct blockdev *journal_dev, const struct jbd2_watcher *watcher,
		     struct jbd2_info *ret_info, struct diag *d)
{
	(void)journal_dev, (void)watcher, (void)ret_info;
	return absent_open(&dev, 1, NULL, NULL, d);
}
