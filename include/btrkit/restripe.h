/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Restriping: chunks of a filesystem that is not mounted get another profile or other places, or are emptied so that their space
 * comes back. What Linux calls a balance.
 *
 * What runs is recorded in the filesystem as Linux records it. A run that was cancelled or cut short goes on with
 * btrkit_restripe_resume(), or when Linux mounts the filesystem; and so does here a balance that was paused under Linux.
 *
 *	struct btrkit_restripe_options options;
 *
 *	btrkit_restripe_options_init(&options);
 *	options.data = "convert=raid1,soft";
 *	err = btrkit_restripe_start(paths, 2, NULL, &options, &result, &error);
 */
#ifndef BTRKIT_RESTRIPE_H
#define BTRKIT_RESTRIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/fs.h>
#include <btrkit/job.h>

#ifdef __cplusplus
extern "C" {
#endif

/* As Linux counts them. */
struct btrkit_restripe_counts {
	uint64_t considered; /* chunks that were looked at */
	uint64_t expected; /* that the filters choose */
	uint64_t completed; /* of these, done */
};

/* One chunk, and what is done with it. */
struct btrkit_restripe_chunk {
	uint64_t logical, length, used_bytes;
	const char *kind; /* "data", "metadata", "system", "data+metadata" */
	const char *from, *to; /* profiles: "single", "dup", "raid1", ... */
	/* "nothing", "remove": it is empty; "drop": copies are verified and others dropped; "chunk": copied as it is; "extents": emptied */
	const char *way;
	uint64_t written_bytes; /* on all devices; of "extents": about */
	bool is_done; /* it is told of when it is planned in a dry run, else when it is done */
	struct btrkit_restripe_counts counts; /* of the run so far */
};
typedef void (*btrkit_restripe_chunk_fn)(void *arg, const struct btrkit_restripe_chunk *chunk);

/* A device: how much of it is in chunks. */
struct btrkit_restripe_device {
	uint64_t devid;
	const char *path; /* NULL: missing */
	uint64_t total_bytes;
	uint64_t before_bytes, after_bytes; /* in chunks; after a dry run as planned, about where extents are moved */
};
typedef void (*btrkit_restripe_device_fn)(void *arg, const struct btrkit_restripe_device *device);

/* Zero and NULL mean the default. Strings stay the caller's. */
struct btrkit_restripe_options {
	size_t struct_size; /* set by btrkit_restripe_options_init() */
	/*
	 * Filters of btrfs-balance(8), separated by commas; "": all chunks of this kind, NULL: none of them. Those of metadata are
	 * those of the system, too, unless that has its own, which needs is_forced. All three NULL: all chunks.
	 */
	const char *data, *metadata, *system;
	bool is_forced; /* metadata may lose its redundancy */
	bool is_dry_run; /* say what would be done */
	bool do_copy; /* write all stripes anew, also where those that are there would do */
	bool do_discard; /* tell the devices, or image files, of space that is given up */
	const uint64_t *devids; /* the result lies on these alone; NULL: any, or, resumed, those that it was begun with */
	size_t nr_devids;
	unsigned threads; /* 0: one for each CPU */
	struct btrkit_job *job; /* progress, in bytes that were verified or written, and chunks as files; may be NULL */
	btrkit_note_fn note; /* may be NULL */
	void *note_arg;
	btrkit_restripe_chunk_fn chunk; /* may be NULL */
	btrkit_restripe_device_fn device; /* told of each at the end, or when that is not possible or is a dry run; may be NULL */
	void *arg; /* of these two */
};

#define btrkit_restripe_options_init(options) btrkit_restripe_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_restripe_options_init_size(struct btrkit_restripe_options *options, size_t struct_size);

struct btrkit_restripe_result {
	struct btrkit_restripe_counts counts;
	uint64_t nr_dropped, nr_moved, nr_emptied, nr_removed; /* chunks, by what is done with them */
	uint64_t used_bytes; /* in chunks that are worked on */
	uint64_t written_bytes; /* planned, on all devices */
	uint64_t lacking_bytes; /* -ENOSPC: in use in the chunks for which there is no room */
	bool has_begun; /* after a failure: it is recorded as interrupted */
};

/*
 * Restripe the filesystem on the devices at @paths. @open_options as for btrkit_fs_open(), which opens only what is neither mounted
 * nor in use. *ret_result, unless NULL, is filled as far as it is known, also after a failure.
 *
 * Before anything is changed: -EINVAL: filters that cannot be read, or a profile that is not possible; -EPERM: without force; -EBUSY: in
 * use, or there is an interrupted run; -ENOSPC: it does not fit, with the numbers in the text; -ENODEV: a device is missing.
 * Afterwards, -ECANCELED, -EIO, -ENOSPC and others leave a whole filesystem with an interrupted run.
 */
BTRKIT_API int btrkit_restripe_start(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *open_options,
				     const struct btrkit_restripe_options *options,
				     struct btrkit_restripe_result *ret_result, struct btrkit_error *error);
/* Go on with an interrupted run, whoever began it, with its filters: those of @options do not count. -ENOENT: there is none. */
BTRKIT_API int btrkit_restripe_resume(const char *const *paths, size_t nr_paths,
				      const struct btrkit_open_options *open_options,
				      const struct btrkit_restripe_options *options,
				      struct btrkit_restripe_result *ret_result, struct btrkit_error *error);
/* Forget an interrupted run: what it has done stays. -ENOENT: there is none. */
BTRKIT_API int btrkit_restripe_cancel(const char *const *paths, size_t nr_paths,
				      const struct btrkit_open_options *open_options, struct btrkit_error *error);

#define BTRKIT_RESTRIPE_FILTER_MAX 512
#define BTRKIT_RESTRIPE_DEVICES_MAX 1024

/* An interrupted run. */
struct btrkit_restripe_status {
	bool has_data, has_metadata, has_system; /* kinds that it is about */
	bool is_forced;
	char data[BTRKIT_RESTRIPE_FILTER_MAX], metadata[BTRKIT_RESTRIPE_FILTER_MAX], system[BTRKIT_RESTRIPE_FILTER_MAX];
	uint64_t nr_left; /* chunks that a resumed run chooses */
	uint64_t left_bytes; /* in use in these */
	char devices[BTRKIT_RESTRIPE_DEVICES_MAX]; /* ids, separated by commas, of those that the result has to be on; empty: any */
};
/* -ENOENT: there is none. */
BTRKIT_API int btrkit_restripe_get_status(struct btrkit_fs *fs, struct btrkit_restripe_status *ret_status, size_t struct_size,
					  struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
