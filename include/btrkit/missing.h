/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices that are missing, fail, or are to be exchanged: others take their places, or the filesystem does without them; and which
 * files are lost with them. The filesystem may be opened with devices missing here.
 */
#ifndef BTRKIT_MISSING_H
#define BTRKIT_MISSING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/device.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- Which files are lost ---------------------------------------- */

/* A file of which something is on missing devices, and nowhere else. */
struct btrkit_lost_file {
	const char *path; /* from the top of the filesystem, valid during the call; NULL: it has no name, as it was deleted */
	uint64_t subvol, ino;
	uint64_t lost_bytes; /* of its data */
	uint64_t first_offset; /* in the file, of the first of them */
	bool has_no_csums; /* nothing would tell that other bytes are in their place */
};

/*
 * Call @fn for each of them, in every subvolume and snapshot, by subvolume and inode. A result other than 0 ends it and is
 * returned. Only whole devices that are missing count; what is rotten on those that are there is for btrkit_check().
 */
typedef int (*btrkit_lost_file_fn)(void *arg, const struct btrkit_lost_file *file);
BTRKIT_API int btrkit_device_lost_files(struct btrkit_fs *fs, btrkit_lost_file_fn fn, void *arg, struct btrkit_error *error);

/* --- Other devices in their places ---------------------------------------- */

struct btrkit_replacement {
	const char *source; /* a path of a device of the filesystem, its devid as text, or "missing": the next one that is */
	const char *path; /* of the one that comes; it must exist */
};

struct btrkit_replace_options {
	size_t struct_size; /* set by btrkit_replace_options_init() */
	const struct btrkit_replacement *replacements; /* all done at once */
	size_t nr_replacements;
	bool prefers_other_copies; /* read the old device only for what no other one has */
	bool accepts_loss; /* go on though something has no good copy */
};
#define btrkit_replace_options_init(options) btrkit_replace_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_replace_options_init_size(struct btrkit_replace_options *options, size_t struct_size);

/*
 * Replace devices, missing or not, by others, which get their devids, their UUIDs and as much of their size as the filesystem has:
 * what they hold is copied and verified, what is bad or missing comes from other copies or parity, and one commit makes them
 * the filesystem's. Until then it is what it was, but that a device of RAID5/6 which was missing is there again right before the
 * commit. Superblocks of the old devices are taken away afterwards. @options: as for all operations on devices; is_forced: overwrite
 * what the new ones hold.
 * -ENODEV: there is no such device, or none is missing, or it is not clear which; -ENOSPC: the new one is smaller; -EEXIST: it holds
 * something, or is one of the filesystem's; -ENODATA, -EIO: something has no copy that is good, see accepts_loss.
 */
BTRKIT_API int btrkit_device_replace(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
				     const struct btrkit_replace_options *replace, struct btrkit_device_plan **ret_plan,
				     struct btrkit_error *error);

/* --- Without them ---------------------------------------- */

struct btrkit_remove_missing_options {
	size_t struct_size; /* set by btrkit_remove_missing_options_init() */
	const uint64_t *devids; /* NULL: all that are missing */
	size_t nr_devids;
	const char *data_profile; /* that all data gets; NULL: it keeps what it has */
	const char *metadata_profile; /* the same of metadata and system block groups */
	/*
	 * Data of which nothing is left is given up. Its files stay, with the checksums that they have: to read what was lost fails, as
	 * it did. Files without checksums have zeroes there. Never metadata.
	 */
	bool accepts_loss;
};
#define btrkit_remove_missing_options_init(options) btrkit_remove_missing_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_remove_missing_options_init_size(struct btrkit_remove_missing_options *options, size_t struct_size);

/*
 * Do without devices that are missing: what block groups had there gets a place on those that are left, empty ones go. Each step is a
 * commit; the same call goes on.
 * -ENODEV: a device is not missing, or none is; -ENODATA: data would be lost, see btrkit_device_lost_files() and accepts_loss; -ENOSPC:
 * the devices that are left are too few for a profile, or too small.
 */
BTRKIT_API int btrkit_device_remove_missing(const char *const *paths, size_t nr_paths,
					    const struct btrkit_device_options *options,
					    const struct btrkit_remove_missing_options *removal,
					    struct btrkit_device_plan **ret_plan, struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
