/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices of a filesystem that is not mounted: what each holds, and how devices come, go and change their size.
 */
#ifndef BTRKIT_DEVICE_H
#define BTRKIT_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/fs.h>
#include <btrkit/job.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- What devices hold ------------------------------------------------------------------------------------------- */

/* Space that chunks of one kind and profile take on a device. */
struct btrkit_device_share {
	const char *kind; /* "data", "metadata", "system", "data+metadata" */
	const char *profile; /* "single", "DUP", "RAID1", ... */
	uint64_t bytes; /* on this device, every stripe counted */
};

struct btrkit_device_usage {
	uint64_t devid;
	char uuid[37];
	const char *path; /* NULL: missing; valid during the call, as all pointers here */
	bool is_seed; /* it belongs to a seed, and is never written */
	uint64_t total_bytes; /* that the filesystem has of it */
	uint64_t host_bytes; /* of the device or file; 0: missing */
	uint64_t slack_bytes; /* behind what the filesystem has */
	uint64_t lacking_bytes; /* that the filesystem has, and the device does not: it was made smaller; 0: missing */
	uint64_t recorded_bytes; /* in chunks, as its item says */
	uint64_t allocated_bytes; /* in chunks, as these say */
	uint64_t unallocated_bytes; /* 0: chunks take more than there is */
	size_t nr_shares;
	const struct btrkit_device_share *shares; /* by kind and profile, in the order of the chunks */
};

/* Call @fn for each device by devid, missing ones too. A result other than 0 ends it and is returned. */
typedef int (*btrkit_device_usage_fn)(void *arg, const struct btrkit_device_usage *usage);
BTRKIT_API int btrkit_device_usage_for_each(struct btrkit_fs *fs, btrkit_device_usage_fn fn, void *arg,
					    struct btrkit_error *error);

/* --- Changing them ------------------------------------------------------------------------------------------------- */

/*
 * All of these open the filesystem on @paths themselves, any of its devices; those that are not named are looked for as
 * btrkit_fs_open() does. -EBUSY: a device is mounted or in use, or there is a log, which has to be replayed first; -EROFS,
 * -EOPNOTSUPP: the filesystem cannot be changed; -ENODEV: a device is missing; -EUCLEAN: damage was met; -ENOSPC: there is not enough
 * room, the text says how much there would have to be; -EINVAL; -EIO; -ECANCELED.
 *
 * Whatever stops them, a power cut too, the filesystem is whole. What was moved until then has moved, and the same call goes on
 * from there.
 */
struct btrkit_device_options {
	size_t struct_size; /* set by btrkit_device_options_init() */
	struct btrkit_open_options open; /* how to find the devices; exclusive in any case */
	bool is_forced; /* overwrite what a new device holds; go on where a refusal says that it can be forced */
	bool is_dry_run; /* only plan; no device is opened for writing */
	bool do_truncate; /* an image file that the filesystem no longer has all of is cut, after the commit */
	const char *device_uuid; /* of the only new device, as text; NULL: a random one */
	unsigned threads; /* 0: one for each CPU */
	struct btrkit_job *job; /* progress and cancelling; may be NULL */
};
#define btrkit_device_options_init(options) btrkit_device_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_device_options_init_size(struct btrkit_device_options *options, size_t struct_size);

/* What is to be done, or was done. */
struct btrkit_device_plan;
BTRKIT_API void btrkit_device_plan_free(struct btrkit_device_plan *plan); /* NULL allowed */

struct btrkit_device_plan_info {
	const char *operation; /* "add", "remove", "resize", ... */
	char fsid[37];
	uint64_t nr_devices, nr_steps;
	uint64_t nr_steps_done;
	uint64_t move_bytes; /* in use in what moves: to be read and verified */
	uint64_t write_bytes; /* of that on all devices, copies and parity included */
	uint64_t minimum_bytes; /* of resize: the least size that the device can get; 0: not worked out */
	uint64_t mended_bytes; /* of replace: bad or missing on the device, and good elsewhere */
	uint64_t lost_bytes; /* no copy was good */
};
/* @ret_info is filled up to @struct_size, sizeof(*ret_info). */
BTRKIT_API void btrkit_device_plan_get_info(const struct btrkit_device_plan *plan, struct btrkit_device_plan_info *ret_info,
					    size_t struct_size);

/* A device before and after. */
struct btrkit_device_change {
	uint64_t devid;
	char uuid[37];
	const char *path; /* belongs to the plan; NULL: missing */
	bool is_new, is_removed;
	uint64_t total_bytes_before, total_bytes_after; /* that the filesystem has of it; 0: it is not a device of it */
	uint64_t allocated_bytes_before, allocated_bytes_after; /* in chunks */
};
/* By devid. -ENOENT: no more than @index devices. */
BTRKIT_API int btrkit_device_plan_device_at(const struct btrkit_device_plan *plan, size_t index,
					    struct btrkit_device_change *ret_change);

/* A block group that goes to another place. */
struct btrkit_device_step {
	const char *way; /* "move", "drop" (copies that are too many), "remove" (it is empty), "extents" (one by one), */
			 /* "shorten" (its end, where nothing is, goes) */
	const char *kind, *profile; /* as of struct btrkit_device_share */
	uint64_t logical, length;
	uint64_t used_bytes; /* to be read and verified, unless it is only shortened */
	uint64_t written_bytes; /* on all devices */
	bool is_done;
};
/* In their order. -ENOENT: no more than @index steps. */
BTRKIT_API int btrkit_device_plan_step_at(const struct btrkit_device_plan *plan, size_t index,
					  struct btrkit_device_step *ret_step);

/*
 * Add the devices or image files @new_paths, which must exist. *ret_plan, unless NULL, is the caller's to free, also after a
 * failure, when it may be NULL.
 * -EEXIST: one of them holds something, is one of the filesystem's, or is named twice; -EINVAL: it is too small.
 */
BTRKIT_API int btrkit_device_add(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
				 const char *const *new_paths, size_t nr_new, struct btrkit_device_plan **ret_plan,
				 struct btrkit_error *error);

/*
 * Remove the devices that @which names, each by its devid in decimal or by its path: what is on them goes to the others, then they
 * leave, and their superblocks are wiped. A seed is left as it is.
 * -EINVAL: a profile needs more devices than would be left; -ENOSPC; -ENOENT: it is no device of the filesystem.
 */
BTRKIT_API int btrkit_device_remove(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
				    const char *const *which, size_t nr_which, struct btrkit_device_plan **ret_plan,
				    struct btrkit_error *error);

enum btrkit_resize_kind {
	BTRKIT_RESIZE_TO, /* @bytes */
	BTRKIT_RESIZE_BY_MORE, /* @bytes more than now */
	BTRKIT_RESIZE_BY_LESS,
	BTRKIT_RESIZE_MAX, /* all of the device or file */
	BTRKIT_RESIZE_MIN, /* as little as what is on it can be moved to */
};

/*
 * The filesystem gets so much of device @devid; 0: of the one that the last of @paths is. Sizes are rounded down to whole sectors. What
 * lies beyond the new end is moved first. An image file is made longer or cut only with do_truncate.
 * -ENOSPC: the device is not that large, or what is on it needs more, and the plan's info has minimum_bytes.
 */
BTRKIT_API int btrkit_device_resize(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
				    uint64_t devid, enum btrkit_resize_kind kind, uint64_t bytes,
				    struct btrkit_device_plan **ret_plan, struct btrkit_error *error);

/*
 * Make sizes agree: what the filesystem has of each device, in the chunk tree and in the superblocks, with what there is, in whole
 * sectors; and their sum. Of a device that was made smaller, what reaches beyond its end goes elsewhere, from other copies where it has
 * to. Nothing to do is a success, with a plan that changes nothing.
 * -ENODATA: bytes in use lie behind the end of a device and nowhere else, the text says how many; nothing is changed.
 */
BTRKIT_API int btrkit_device_fix_size(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
				      struct btrkit_device_plan **ret_plan, struct btrkit_error *error);
/* --- Seeds ----------------------------------------------------------------------------------------------------------- */

struct btrkit_device_seed_result {
	char fsid[37]; /* empty: the filesystem could not be opened */
	uint64_t nr_devices; /* of its own, without those of seeds that it grew from */
	bool was_so_already; /* nothing had to be done */
};

/*
 * Mark the filesystem on @paths as a seed, from which others grow and to which nobody writes, or take the mark away, which needs
 * options->is_forced: what grew from it cannot be mounted then. Only the superblocks of its own devices are written; after a power cut
 * the same call finishes it. *ret_result may be NULL.
 * -EBUSY: mounted or in use, or a log or something else waits to be finished; -ENODEV; -EUCLEAN: a device is stale; -EOPNOTSUPP: its
 * UUID was changed (metadata_uuid); -EPERM: it has to be forced; -EIO.
 */
BTRKIT_API int btrkit_device_seed_set(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
				      struct btrkit_device_seed_result *ret_result, struct btrkit_error *error);
BTRKIT_API int btrkit_device_seed_clear(const char *const *paths, size_t nr_paths,
					const struct btrkit_device_options *options,
					struct btrkit_device_seed_result *ret_result, struct btrkit_error *error);

/*
 * Make a new filesystem on @new_path, an existing device or image file, that grows from the seed on @paths, as Linux makes one when
 * a device is added to a mounted seed. The seed's devices are opened for reading only. @fsid: of the new filesystem, as text; NULL: a
 * random one. In a dry run all is done in memory. *ret_plan, unless NULL, is the caller's to free; NULL after a failure.
 * -EINVAL: it is not a seed, or a UUID is none; -ENODEV: a device of the seed is missing; -EUCLEAN: a seed was changed after this one
 * grew from it; -EEXIST: @new_path holds something, or is one of the seed's devices; -ENOSPC: it is too small.
 */
BTRKIT_API int btrkit_device_sprout(const char *const *paths, size_t nr_paths, const struct btrkit_device_options *options,
				    const char *new_path, const char *fsid, struct btrkit_device_plan **ret_plan,
				    struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
