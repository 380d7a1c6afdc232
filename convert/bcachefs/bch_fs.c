/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Opening a volume in stages: superblocks; journal; roots and snapshots. */
#include "convert/bcachefs/bch_fs.h"

#include <stdio.h>

#include "convert/bcachefs/bch_logged_ops.h"
#include "convert/bcachefs/bch_node_cache.h"
#include "convert/bcachefs/bch_pieces.h"

#define MEMORY_DEFAULT (64 * MIB)
#define NODE_CACHE_BYTES (64 * MIB)

/* Where in a superblock its magic is: without these bytes in the first one nobody takes the device for bcachefs. */
#define MAGIC_PHYSICAL (BCH_SUPER_SECTOR * BCH_SECTOR_BYTES + offsetof(struct disk_bch_super, magic))

static void free_passphrase(struct source_options *options)
{
	if (options->passphrase)
		explicit_bzero((char *)options->passphrase, strlen(options->passphrase));
	free((char *)options->passphrase);
	options->passphrase = NULL;
}

static void free_options(struct source_options *options)
{
	if (!options)
		return;
	free_passphrase(options);
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

/* Entries of the journal that only members have which are missing leave no hole where they were the last ones. */
static bool may_lack_end(const struct bch_fs *fs)
{
	return fs->uses_journal && fs->nr_missing > 0 && fs->nr_missing >= fs->super->metadata_replicas;
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
	info->has_lost_snapshots = fs->snapshots.is_subvols_lost || fs->snapshots.is_list_lost;
	info->is_incomplete = may_lack_end(fs) ||
			      (fs->uses_journal && fs->journal && !bch_journal_is_whole(fs->journal));
}

/* --- Journal ---------------------------------------- */

/*
 * Bits without which a volume is older than spring 2020, and replay was another then. All but the first are set while
 * it is in use only: of one that says it was left cleanly, and was not, they tell nothing.
 */
static int judge_replay(const struct bch_fs *fs, struct diag *d)
{
	static const unsigned needed[] = { BCH_FEATURE_NEW_EXTENT_OVERWRITE, BCH_FEATURE_EXTENTS_ABOVE_BTREE_UPDATES,
					   BCH_FEATURE_BTREE_UPDATES_JOURNALLED };
	size_t nr = fs->super->is_clean ? 1 : ARRAY_LEN(needed);

	for (size_t i = 0; i < nr; i++)
		if (!(fs->super->features & needed[i]))
			return diag_fail(d, -EOPNOTSUPP,
					 "%s: the volume was not left cleanly, and lacks the feature %s: replaying the "
					 "journal of so old a "
					 "volume is not supported",
					 fs->devices[fs->super->dev_idx].dev->name,
					 bch_feature_name((unsigned)__builtin_ctz(needed[i])));
	return 0;
}

/* What is wrong with the volume is said of the device with its newest superblock. */
static int name_device(const struct bch_fs *fs, int err, struct diag *d)
{
	return err < 0 ? diag_context(d, err, "%s", fs->devices[fs->super->dev_idx].dev->name) : 0;
}

static int open_crypt(struct bch_fs *fs, struct diag *d)
{
	struct source_options *options = (struct source_options *)fs->options;
	int err;

	if (!fs->super->is_encrypted)
		return 0;
	err = bch_crypt_open(fs->super->crypt, fs->super->uuid, options->passphrase, &fs->crypt, d);
	free_passphrase(options);
	return name_device(fs, err, d);
}

/*
 * Of a clean volume the journal's end is read, to see that nobody has written since; one whose journal is not wanted is
 * read without it if that is all there is to be had.
 */
static int open_journal(struct bch_fs *fs, struct diag *d)
{
	int err = fs->super->is_clean && !fs->options->whole_journal ? bch_journal_read_end(fs, &fs->journal, d) : 1;

	if (err == 1)
		err = bch_journal_read(fs, &fs->journal, d);
	if (err == -ENOMEM || (err && !fs->super->is_clean && !fs->options->no_journal))
		return err;
	if (err) {
		diag_note(d, DIAG_WARNING, "%s: %s: goes on without the journal",
			  fs->devices[fs->super->dev_idx].dev->name, d ? d->text : "journal");
		diag_clear(d);
		return 0;
	}
	if (fs->super->is_clean && fs->journal->is_clean_wrong) {
		diag_note(d, DIAG_WARNING,
			  "%s: the superblock says that the volume was left cleanly, and its journal that it was not: "
			  "the journal is believed",
			  fs->devices[fs->super->dev_idx].dev->name);
		fs->uses_journal = !fs->options->no_journal;
	}
	if (may_lack_end(fs))
		diag_note(d, DIAG_WARNING,
			  "%s: the last entries of the journal may be on what is missing alone: files may be older than they were",
			  fs->devices[fs->super->dev_idx].dev->name);
	return 0;
}

/* --- Roots ---------------------------------------- */

/*
 * Without its journal a volume that was in use is read from the roots that the journal has all the same: those in the
 * superblock are of the time before, and what they led to may be anything by now.
 */
static int read_roots(struct bch_fs *fs, struct diag *d)
{
	u64 memory_bytes = fs->options->memory_bytes ? fs->options->memory_bytes : MEMORY_DEFAULT;
	bool is_clean = fs->super->is_clean && !(fs->journal && fs->journal->is_clean_wrong);

	if (!is_clean && fs->journal && fs->journal->newest_seq != 0)
		return bch_journal_gather(fs, fs->journal, &fs->spill, memory_bytes, fs->roots, d);
	if (!is_clean && !fs->super->clean)
		return diag_fail(d, -EUCLEAN, "neither the journal nor the superblock says where the btrees are");
	if (!is_clean)
		diag_note(d, DIAG_WARNING,
			  "%s: the volume is read as it was when it was left cleanly for the last time, as far as that "
			  "is still there",
			  fs->devices[fs->super->dev_idx].dev->name);
	return bch_clean_roots(fs, fs->roots, d);
}

static int open_all(struct bch_fs *fs, struct diag *d)
{
	int err = read_roots(fs, d);

	if (err)
		return err;
	fs->cache = bch_node_cache_new(NODE_CACHE_BYTES);
	fs->pieces = bch_pieces_new();
	if (!fs->cache || !fs->pieces)
		return diag_no_memory(d, "nodes of btrees");
	err = bch_snapshots_read(fs, &fs->snapshots, d);
	return err ? err : bch_logged_ops_read(fs, d);
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
	if (stage >= BCH_STAGE_JOURNAL)
		err = open_crypt(fs, d);
	if (!err && stage >= BCH_STAGE_JOURNAL)
		err = name_device(fs, open_journal(fs, d), d);
	if (!err && stage >= BCH_STAGE_ALL && fs->uses_journal)
		err = judge_replay(fs, d);
	if (!err && stage >= BCH_STAGE_ALL)
		err = name_device(fs, open_all(fs, d), d);
	if (err)
		return err;
	fill_info(fs);
	*ret_fs = take_ptr(fs);
	return 0;
}

void bch_fs_close(struct bch_fs *fs)
{
	if (!fs)
		return;
	bch_logged_ops_done(fs);
	bch_snapshots_done(&fs->snapshots);
	bch_node_cache_free(fs->cache);
	bch_pieces_free(fs->pieces);
	bch_journal_free(fs->journal);
	bch_crypt_free(fs->crypt);
	for (unsigned i = 0; i < BCH_DEVICES_MAX; i++)
		bch_super_free(fs->devices[i].super);
	free_options((struct source_options *)fs->options);
	free(fs);
}
