/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making a Btrfs filesystem on image files or block devices, empty or with the content that content.h put together.
 *
 *	struct btrkit_mkfs_options options;
 *	struct btrkit_mkfs_device device = { .path = "disk.img" };
 *
 *	btrkit_mkfs_options_init(&options);
 *	options.devices = &device;
 *	options.nr_devices = 1;
 *	err = btrkit_mkfs(&options, content, NULL, &error);
 *
 * Everything is planned before the first write; a plan that does not fit fails with the number of bytes needed. Then
 * data and trees are written, and the superblocks last: until then a device shows what it held before.
 */
#ifndef BTRKIT_MKFS_H
#define BTRKIT_MKFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/content.h>
#include <btrkit/error.h>
#include <btrkit/job.h>

#ifdef __cplusplus
extern "C" {
#endif

struct btrkit_mkfs_device {
	const char *path; /* a block device, or a file, which is made when it does not exist */
	/*
	 * Of the filesystem on it. 0: the whole device or file; for a file that does not exist or is empty, and for every
	 * device with is_shrink, exactly as much as is needed. A file that is shorter is made longer.
	 */
	uint64_t size_bytes;
};

/*
 * What to make. Zero and NULL mean the default, which is that of mkfs.btrfs 6.19. Strings stay the caller's.
 * Names of profiles, checksums and features are those of mkfs.btrfs(8).
 */
struct btrkit_mkfs_options {
	size_t struct_size; /* set by btrkit_mkfs_options_init() */
	const struct btrkit_mkfs_device *devices;
	size_t nr_devices;
	uint64_t offset_bytes; /* where the filesystem begins within each device or file; a multiple of 4096 */
	const char *label; /* at most 255 bytes */
	const char *fsid; /* as text; default: random, or derived from the seed */
	const char *device_uuid; /* of the only device */
	uint32_t nodesize, sectorsize; /* 16 KiB, 4 KiB */
	const char *csum; /* "crc32c", "xxhash", "sha256", "blake2" */
	const char *data_profile; /* "single"; with is_mixed both are the same */
	const char *metadata_profile; /* "dup" on one device, "raid1" on several */
	bool is_mixed; /* data and metadata in the same block groups */
	const char *features; /* changes to the default set, as after -O: "^no-holes,quota" */
	const char *seed; /* equal seeds give equal bytes: every id is derived from it */
	bool has_epoch; /* the time that everything gets: SOURCE_DATE_EPOCH; later times in the content are clamped to it */
	int64_t epoch_sec;
	bool is_shrink; /* exact fit on every device; a regular file is cut to it */
	uint64_t free_bytes; /* with an exact fit: room for so much more data */
	const char *compress; /* "zlib", "lzo", "zstd", with ":LEVEL"; NULL or "no": none */
	/*
	 * The lzo compressor, for the library is not linked with one: lzo1x_1_compress of lzo2 with @memory as its work
	 * memory. @dst has room for the worst case. 0 or a negative errno.
	 */
	int (*lzo_compress)(const void *src, size_t len, void *dst, size_t *ret_len, void *memory);
	const char *spool_dir; /* where compressed data waits to be written; NULL: /var/tmp */
	bool use_reflink; /* share blocks with the source files instead of copying, where the host can */
	bool no_discard; /* do not tell block devices that they are empty */
	bool is_forced; /* overwrite what exists */
	bool is_dry_run; /* plan only */
	unsigned threads; /* 0: one for each CPU. Changes nothing in the bytes written */
	struct btrkit_job *job; /* progress and cancelling; may be NULL */
	btrkit_note_fn note; /* may be NULL */
	void *note_arg;
};

/* Set everything to the default. */
#define btrkit_mkfs_options_init(options) btrkit_mkfs_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_mkfs_options_init_size(struct btrkit_mkfs_options *options, size_t struct_size);

struct btrkit_mkfs_plan_device {
	const char *path;
	uint64_t devid;
	uint64_t size_bytes; /* of the filesystem on it */
	uint64_t allocated_bytes; /* to chunks */
	char uuid[37];
	bool is_made; /* a file that did not exist */
};

struct btrkit_mkfs_plan_chunk {
	const char *kind; /* "system", "metadata", "data", "data+metadata" */
	const char *profile; /* "single", "DUP", "RAID1", ... */
	uint64_t logical;
	uint64_t length;
	uint64_t used_bytes;
	size_t nr_stripes;
	const struct btrkit_mkfs_plan_stripe {
		uint64_t devid;
		uint64_t physical;
		uint64_t length;
	} *stripes;
};

/* What is, or would be, made. */
struct btrkit_mkfs_plan {
	char fsid[37];
	const char *label;
	uint32_t nodesize, sectorsize;
	const char *csum;
	const char *data_profile, *metadata_profile, *system_profile;
	bool is_mixed;
	const char *features; /* names, separated by ", " */
	uint64_t incompat, compat_ro; /* as in the superblock */
	uint64_t total_bytes; /* of all devices */
	uint64_t used_bytes; /* of data and one copy of metadata */
	uint64_t data_bytes, metadata_bytes, system_bytes; /* used, one copy */
	uint64_t needed_bytes; /* the smallest total that would do; 0 where that was not asked: without dry run or exact fit */
	uint64_t nr_files, nr_subvols;
	size_t nr_devices;
	const struct btrkit_mkfs_plan_device *devices;
	size_t nr_chunks;
	const struct btrkit_mkfs_plan_chunk *chunks;
};

/*
 * Make the filesystem. @content: what goes into it, which is used up (free it afterwards, do not add to it); NULL: an
 * empty one. *ret_plan, unless NULL, tells what was made; free it. It is left alone after a failure.
 *
 * -EINVAL: impossible options; -EEXIST: a device holds something and is_forced is not set; -EBUSY: in use; -ENOSPC:
 * does not fit, the text has the bytes needed; or what devices and data sources report. Files that were made are
 * removed after a failure.
 */
BTRKIT_API int btrkit_mkfs(const struct btrkit_mkfs_options *options, struct btrkit_content *content,
			   struct btrkit_mkfs_plan **ret_plan, struct btrkit_error *error);
BTRKIT_API void btrkit_mkfs_plan_free(struct btrkit_mkfs_plan *plan);

struct btrkit_mkfs_feature {
	const char *name; /* as after -O */
	const char *description;
	bool is_default;
	bool is_supported; /* known by name, but not made here, if not */
};

/* The features that may be named in options.features, one after the other. -ENOENT: no more. */
BTRKIT_API int btrkit_mkfs_feature_at(size_t index, struct btrkit_mkfs_feature *ret_feature);

#ifdef __cplusplus
}
#endif

#endif
