/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The way back: a Btrfs filesystem that was an ext2, ext3 or ext4 becomes that again.
 *
 * A conversion keeps the old filesystem, block for block, as the file "image" in the subvolume with the id 256, "ext2_saved".
 * It is of no account who converted it: this library or btrfs-convert.
 *
 *	struct btrkit_rollback_options options;
 *
 *	btrkit_rollback_options_init(&options);
 *	options.path = "/dev/sdx2";
 *	err = btrkit_convert_rollback(&options, NULL, &error);
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

/* Zero and NULL mean the default. Strings stay the caller's. */
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

#ifdef __cplusplus
}
#endif

#endif
