/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening a filesystem that is not mounted. Nothing is ever written unless it is opened to be changed (is_writable, see
 * edit.h), also not the log: what was fsynced after the last commit is seen only once the log has been replayed
 * (btrkit_fs_info.has_log).
 *
 *	struct btrkit_open_options options;
 *	const char *paths[] = { "disk.img" };
 *
 *	btrkit_open_options_init(&options);
 *	err = btrkit_fs_open(paths, 1, &options, &fs, &error);
 *
 * An open filesystem may be read by several threads at once; btrkit_fs_close() when all are done.
 */
#ifndef BTRKIT_FS_H
#define BTRKIT_FS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>

#ifdef __cplusplus
extern "C" {
#endif

struct btrkit_fs;

struct btrkit_open_options {
	size_t struct_size; /* set by btrkit_open_options_init() */
	int super_mirror; /* 0, 1, 2; -1, the default: the newest one that is valid */
	uint64_t tree_root; /* logical address of another root tree's root; 0: the superblock's */
	uint64_t chunk_root; /* the same for the chunk tree */
	bool use_backup_roots; /* when the root tree cannot be read: the newest of the superblock's backups that can */
	bool refuse_missing; /* fail when a device is missing; else the others make up for it where they can */
	bool ignore_data_csums; /* hand out file data that does not match its checksum, or has none */
	bool is_exclusive; /* fail with -EBUSY when a device is mounted or somebody else has it locked */
	bool no_device_scan; /* do not look among the host's block devices for devices that @paths lacks */
	const char *scan_dir; /* look for them among the files of this folder; NULL: do not */
	uint64_t offset_bytes; /* where the filesystem begins within each device or file */
	size_t cache_bytes; /* of tree blocks kept in memory; 0: 64 MiB, 16 MiB where chunks move (device.h, restripe.h) */
	btrkit_note_fn note; /* told of missing devices, bad copies that others replaced, ...; may be NULL */
	void *note_arg;
	bool knows_log; /* the caller knows that there may be a log: no note tells of it */
	/*
	 * To change it, see edit.h; exclusive in any case. It is refused with -EROFS or -EOPNOTSUPP (its features), -ENODEV (a
	 * device is missing), -EBUSY (there is a log, which has to be replayed first), with the reason in the text; -EINVAL with
	 * other roots or superblocks than the newest.
	 */
	bool is_writable;
	bool is_overlaid; /* with is_writable: the devices are only read, changes stay in memory and end with the filesystem */
	/*
	 * With is_writable: devices may be missing, and such as have stale contents are left out. Nothing new goes to block groups
	 * that have a part on these.
	 */
	bool may_be_degraded;
};

/* Set everything to the default. */
#define btrkit_open_options_init(options) btrkit_open_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_open_options_init_size(struct btrkit_open_options *options, size_t struct_size);

/*
 * Open the filesystem on the devices or image files at @paths. @options NULL: the defaults. Damage to what is not needed
 * to find files (the extent tree, free space, ...) does no harm here.
 * -EMEDIUMTYPE: no Btrfs; -EOPNOTSUPP: a feature that is unknown or not supported, named in the text; -EUCLEAN: damaged
 * beyond reading; -ENODEV: refuse_missing; -EBUSY; or what the system reports for a path.
 */
BTRKIT_API int btrkit_fs_open(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
			      struct btrkit_fs **ret_fs, struct btrkit_error *error);
BTRKIT_API void btrkit_fs_close(struct btrkit_fs *fs); /* NULL allowed */

struct btrkit_fs_info {
	char fsid[37];
	char label[257];
	uint64_t generation;
	uint32_t sectorsize, nodesize;
	const char *csum; /* "crc32c", "xxhash", "sha256", "blake2" */
	uint64_t total_bytes, used_bytes;
	uint64_t compat, compat_ro, incompat; /* feature bits as in the superblock */
	size_t nr_devices;
	size_t nr_missing;
	bool has_log; /* there is an unreplayed log: the newest fsynced changes are not seen */
	bool is_read_only; /* it has compat_ro features that nobody here knows: must not be changed */
	uint64_t default_subvol; /* what a mount shows without being told otherwise */
	/*
	 * Of filesystems that are not Btrfs: parts of the journal that are needed are damaged or missing, so that some changes may not be
	 * seen. Notes have told which.
	 */
	bool is_incomplete;
	/*
	 * Of filesystems that are not Btrfs: keys of subvolumes or snapshots are lost, and others stand in for them. What is not sure to be a
	 * subvolume's is not shown. Notes have told more.
	 */
	bool has_lost_snapshots;
};
/* @ret_info is filled up to @struct_size, sizeof(*ret_info). */
BTRKIT_API void btrkit_fs_get_info(const struct btrkit_fs *fs, struct btrkit_fs_info *ret_info, size_t struct_size);

struct btrkit_device_info {
	uint64_t devid;
	char uuid[37];
	uint64_t total_bytes, used_bytes;
	const char *path; /* belongs to @fs; NULL: missing */
};
/* -ENOENT: no more than @index devices. */
BTRKIT_API int btrkit_fs_device_at(const struct btrkit_fs *fs, size_t index, struct btrkit_device_info *ret_info);

#ifdef __cplusplus
}
#endif

#endif
