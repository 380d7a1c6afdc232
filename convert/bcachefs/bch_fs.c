/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening a volume in stages: superblocks; journal; roots and snapshots. */
#include "convert/bcachefs/bch_fs.h"

#include <stdio.h>

/* Where in a superblock its magic is: without these bytes in the first one nobody takes the device for bcachefs. */
#define MAGIC_PHYSICAL (BCH_SUPER_SECTOR * BCH_SECTOR_BYTES + offsetof(struct disk_bch_super, magic))

static void free_options(struct source_options *options)
{
	if (!options)
		return;
	if (options->passphrase)
		explicit_bzero((char *)options->passphrase, strlen(options->passphrase));
	free((char *)options->passphrase);
	free((char *)options->tmpdir);
	free(options);
}

static struct source_options *copy_options(const struct source_options *options)
{
	struct source_options *copy = malloc(sizeof(*copy));

	if (!copy)
		return NULL;
	*copy = *options;
	copy->tmpdir = strdup(options->tmpdir ? options->tmpdir : "/var/tmp");
	copy->passphrase = options->passphrase ? strdup(options->passphrase) : NULL;
	if (copy->tmpdir && !options->passphrase == !copy->passphrase)
		return copy;
	free_options(copy);
	return NULL;
}

static void fill_info(struct bch_fs *fs)
{
	struct source_info *info = &fs->source.info;

	info->type = "bcachefs";
	snprintf(info->label, sizeof(info->label), "%s", fs->super->label);
	memcpy(info->uuid, fs->super->user_uuid, sizeof(info->uuid));
	info->block_bytes = fs->super->block_bytes;
	array_for_each (&fs->super->members, member)
		if (member->is_used)
			info->total_bytes += member->nr_buckets * member->bucket_bytes;
	info->top_subvol = BCH_TOP_SUBVOL;
	info->top_ino = BCH_TOP_INODE;
	info->magic_physical = MAGIC_PHYSICAL;
	info->magic_len = sizeof(((struct disk_bch_super *)NULL)->magic);
	info->has_journal = fs->uses_journal;
}

int bch_fs_open(struct blockdev *const *devs, size_t nr_devs, const struct source_options *options,
		enum bch_stage stage, struct bch_fs **ret_fs, struct diag *d)
{
	_cleanup_(bch_fs_closep) struct bch_fs *fs = calloc(1, sizeof(*fs));
	int err;

	if (!fs)
		return diag_no_memory(d, "a volume");
	fs->options = copy_options(options);
	if (!fs->options)
		return diag_no_memory(d, "a volume");
	fs->spill.dir = fs->options->tmpdir;
	err = bch_devices_match(fs, devs, nr_devs, d);
	if (err)
		return err;
	fs->uses_journal = !fs->super->is_clean && !options->no_journal;
	fill_info(fs);
	(void)stage;
	*ret_fs = take_ptr(fs);
	return 0;
}

void bch_fs_close(struct bch_fs *fs)
{
	if (!fs)
		return;
	for (unsigned i = 0; i < BCH_DEVICES_MAX; i++)
		bch_super_free(fs->devices[i].super);
	free_options((struct source_options *)fs->options);
	free(fs);
}
