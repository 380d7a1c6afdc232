/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another filesystem becomes Btrfs where it lies, and back.
 *
 * File data stays where it is. Everything new is written to space that is free in the old filesystem, read back and
 * compared with it, and only then one write of the superblock makes the device Btrfs. The old filesystem is kept, block
 * for block, as the file "image" in the subvolume "ext2_saved", from which it can be restored.
 *
 *	struct btrkit_convert_options options;
 *
 *	btrkit_convert_options_init(&options);
 *	options.path = "/dev/sdx2";
 *	err = btrkit_convert(&options, NULL, &error);
 */
#ifndef BTRKIT_CONVERT_H
#define BTRKIT_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/job.h>

#ifdef __cplusplus
extern "C" {
#endif

enum btrkit_convert_verify {
	BTRKIT_CONVERT_VERIFY_FULL, /* every inode, name and mapping against the source; all data against its checksums */
	BTRKIT_CONVERT_VERIFY_META, /* the same without reading data again */
	BTRKIT_CONVERT_VERIFY_NONE,
};

enum btrkit_convert_uuid {
	BTRKIT_CONVERT_UUID_NEW,
	BTRKIT_CONVERT_UUID_COPY, /* that of the source */
	BTRKIT_CONVERT_UUID_GIVEN,
};

/* A file or directory that does not become what it was. */
struct btrkit_convert_loss {
	const char *path; /* in the source, from its top on, with a slash before it; valid during the call */
	const char *why; /* "is encrypted", "cannot be read", "cannot be read in part", ... */
	bool is_left_out; /* it is missing in the new filesystem, a directory with all that is below it */
	/* If it is there: how many bytes of it cannot be read, and where in it the first of them is. */
	uint64_t unreadable_bytes, first_offset;
};

/* Called by the thread that converts, before anything is written. */
typedef void (*btrkit_convert_loss_fn)(void *arg, const struct btrkit_convert_loss *loss);

/* Zero and NULL mean the default. Strings stay the caller's. */
struct btrkit_convert_options {
	size_t struct_size; /* set by btrkit_convert_options_init() */
	const char *path; /* a block device or an image file; not mounted */
	const char *label; /* of the new filesystem */
	bool do_copy_label; /* take the source's */
	enum btrkit_convert_uuid uuid;
	const char *fsid; /* with BTRKIT_CONVERT_UUID_GIVEN, as text */
	uint32_t nodesize; /* 16 KiB */
	const char *csum; /* "crc32c", "xxhash", "sha256", "blake2" */
	const char *features; /* changes to the default set, as after -O of mkfs */
	const char *metadata_profile; /* "dup", and "single" where there is no room for that; named: that one or nothing */
	bool no_datasum; /* no checksums for data */
	bool no_xattrs;
	bool no_inline; /* small files keep their blocks */
	bool do_skip_unsupported; /* leave out what Btrfs cannot have, with a note for each */
	enum btrkit_convert_verify verify;
	bool is_dry_run; /* plan only; the device is not opened for writing */
	unsigned threads; /* 0: one for each CPU */
	struct btrkit_job *job; /* progress and cancelling; may be NULL */
	btrkit_note_fn note; /* may be NULL */
	void *note_arg;
	/*
	 * Go on although something cannot be read; a warning names each file. All that is in use is read once more, before the plan. Files
	 * of which data cannot be read keep these blocks where they are, without checksums, so that to read them is an error (EIO) for good;
	 * those of which anything else cannot be read are left out. Space in use must be known, and the first 68 KiB and the 4 KiB
	 * at each of Btrfs' superblocks be readable: -EIO. Not with no_datasum: -EINVAL.
	 */
	bool do_skip_unreadable;
	btrkit_convert_loss_fn loss; /* told of each file that is left out or cannot be read in part; may be NULL */
	void *loss_arg;
};

#define btrkit_convert_options_init(options) btrkit_convert_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_convert_options_init_size(struct btrkit_convert_options *options, size_t struct_size);

/* What will be done, or was done. */
struct btrkit_convert_plan {
	char source_type[16]; /* "ext4" */
	char source_label[256];
	char source_uuid[37];
	char fsid[37];
	char label[256];
	uint32_t block_bytes, nodesize, sectorsize;
	char csum[16], metadata_profile[16];
	char features[256]; /* names, separated by ", " */
	uint64_t total_bytes; /* of the filesystem, before and after */
	uint64_t used_bytes; /* by the source */
	uint64_t nr_inodes;
	uint64_t journal_blocks; /* of the source, that its journal changes; 0: the journal is empty */
	uint64_t metadata_bytes; /* tree blocks, one copy */
	uint64_t needed_bytes; /* free space that is taken: all copies, and room that Btrfs needs to work */
	uint64_t available_bytes; /* free space that can be taken */
	uint64_t unallocated_bytes; /* of the new filesystem: in no chunk yet, at most */
	uint64_t moved_bytes; /* of the source, that lie where Btrfs keeps its superblocks */
	uint64_t nr_data_chunks, nr_metadata_chunks, nr_system_chunks;
	uint64_t nr_extents; /* of data */
	/* With is_dry_run: how long it may take, and how fast the device was for a sample of it; 0: not known. An estimate. */
	uint64_t estimated_seconds, read_bytes_per_second;
	uint64_t unreadable_bytes; /* with do_skip_unreadable: of all that is in use */
	uint64_t nr_left_out; /* names of files and directories, with either kind of skipping */
	uint64_t nr_unreadable_files; /* that are there, but cannot be read in part */
	bool is_finish_only; /* an interrupted conversion, of which only the end was missing */
};

/*
 * Convert. *ret_plan, unless NULL, is filled as far as it is known, also when the conversion is refused for want of space.
 *
 * Until the superblock is written the source is what it was, whatever fails. After that the device is Btrfs; should the
 * rest fail, calling this again completes it.
 * -EBUSY: mounted or in use; -EMEDIUMTYPE: no filesystem that can be converted; -EUCLEAN: the source is damaged; -EOPNOTSUPP: a
 * feature of it; -ENOSPC: with the numbers in *ret_plan and in the text; -EIO; -ECANCELED; -EBADMSG: what was built differs from the
 * source, which is untouched.
 */
BTRKIT_API int btrkit_convert(const struct btrkit_convert_options *options, struct btrkit_convert_plan *ret_plan,
			      struct btrkit_error *error);

struct btrkit_rollback_options {
	size_t struct_size; /* set by btrkit_rollback_options_init() */
	const char *path; /* a block device or an image file; not mounted */
	bool no_verify; /* do not compare the image with its checksums */
	bool do_relocate; /* move what a balance has moved home again */
	bool is_dry_run; /* say whether it can be done; nothing is written */
	unsigned threads; /* 0: one for each CPU */
	struct btrkit_job *job; /* phases "plan", "verify", "restore"; cancelled only before the first write; may be NULL */
	btrkit_note_fn note; /* may be NULL */
	void *note_arg;
};

#define btrkit_rollback_options_init(options) btrkit_rollback_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_rollback_options_init_size(struct btrkit_rollback_options *options, size_t struct_size);

struct btrkit_rollback_plan {
	char source_type[16]; /* "ext4"; empty: not known yet */
	uint64_t image_bytes; /* of the saved filesystem */
	uint64_t used_bytes; /* of these, in use by it */
	uint64_t restored_bytes; /* to be copied back to where Btrfs has its superblocks */
	uint64_t relocated_bytes; /* moved by a balance, to be moved home */
	uint64_t occupied_bytes; /* where something must go home to, and Btrfs has something else */
	/* What was changed since the conversion, and will be lost. */
	uint64_t lost_data_bytes; /* file data that the image does not have; files that Btrfs keeps in its trees are not counted */
	uint64_t nr_changed_subvols; /* in which something was changed, or which are new */
	uint64_t generation_converted, generation_now; /* of the image, and of the newest commit */
	bool has_changes; /* there is something of both of these */
	bool is_loss_unknown; /* trees that would tell are damaged: there may be more of it */
	bool is_verified; /* all data was compared with its checksums */
	uint64_t unreadable_bytes; /* that have none, as what could not be read when it was converted: they stay what they are */
};

/*
 * Restore the filesystem that was converted. Nothing is written unless it can be restored in whole; the text says exactly why
 * not. *ret_plan, unless NULL, is filled as far as it is known, also after a failure.
 * -ENOENT: the saved image is gone; -EUCLEAN: it was changed, or does not fit its checksums; -EXDEV: parts of it were moved
 * (without do_relocate, or to where it must go is something else), a device was added, or it is a seed; -ENOSPC: the device was made
 * smaller; -EOPNOTSUPP: a feature of Btrfs that is not known; -EMEDIUMTYPE: no Btrfs; -EBUSY: mounted or in use; -EIO;
 * -ECANCELED.
 * A power cut at any write leaves Btrfs, from which it can be started again, or the restored filesystem.
 */
BTRKIT_API int btrkit_convert_rollback(const struct btrkit_rollback_options *options, struct btrkit_rollback_plan *ret_plan,
				       struct btrkit_error *error);

struct btrkit_finish_options {
	size_t struct_size; /* set by btrkit_finish_options_init() */
	const char *path; /* a device of the filesystem, or an image file; not mounted */
	bool no_compact; /* delete the saved image only */
	bool is_dry_run; /* do it in memory, to say what there will be; nothing is written, and nothing is compacted */
	unsigned threads; /* 0: one for each CPU */
	struct btrkit_job *job; /* phases "delete", "compact", "defragment"; cancelled between two steps of these; may be NULL */
	btrkit_note_fn note; /* may be NULL */
	void *note_arg;
};

#define btrkit_finish_options_init(options) btrkit_finish_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_finish_options_init_size(struct btrkit_finish_options *options, size_t struct_size);

struct btrkit_finish_result {
	char source_type[16]; /* of what was saved, "ext4"; empty: it had gone before */
	uint64_t image_bytes; /* its length; 0: it had gone before */
	uint64_t freed_bytes; /* by deleting it: what no file shared with it */
	uint64_t nr_chunks_before, nr_chunks; /* of data */
	uint64_t unallocated_bytes_before, unallocated_bytes; /* of all devices */
	uint64_t moved_bytes; /* of data, to other block groups */
	uint64_t nr_fragmented; /* files in many small pieces */
	uint64_t nr_defragmented; /* of these, that were written anew */
};

/*
 * The end of a conversion: delete the saved image, after which there is no way back, and make of what is left what a filesystem
 * that never was another one looks like. Data that lies in many block groups, as the old filesystem had it, goes together; files
 * that lie in many small pieces are written anew, unless snapshots or other files share them. Where there is no room for that
 * things stay as they are, with a note. It may be interrupted, and called again, at any time: also when the image has gone.
 * *ret_result, unless NULL, is filled as far as it goes.
 * -EEXIST: there is something like a saved image, but it is not surely one, and is left alone; -EUCLEAN: damage; -EROFS, -EOPNOTSUPP,
 * -ENODEV, -EBUSY: it cannot be changed, as for btrkit_edit_new(); -EIO; -ECANCELED.
 */
BTRKIT_API int btrkit_convert_finish(const struct btrkit_finish_options *options, struct btrkit_finish_result *ret_result,
				     struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
