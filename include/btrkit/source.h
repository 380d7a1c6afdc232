/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Other filesystems, to be read: ext2, ext3 and ext4, and bcachefs. Open, they are a struct btrkit_fs, for which the functions of
 * <btrkit/file.h> and <btrkit/subvol.h> work as for Btrfs; all others fail with -EOPNOTSUPP. Nothing is ever written. A journal that
 * was not replayed is laid over what is on the devices, in memory.
 *
 * What differs: inode numbers are those of the filesystem. BTRKIT_INODE_TOP is the top directory, though btrkit_stat() tells it under
 * another number. ext has one subvolume, 1; those of bcachefs have their own ids. Generations, transactions, allocated bytes, sizes of
 * directories and names of subvolumes are not told.
 */
#ifndef BTRKIT_SOURCE_H
#define BTRKIT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/fs.h>

#ifdef __cplusplus
extern "C" {
#endif

struct btrkit_source_options {
	size_t struct_size; /* set by btrkit_source_options_init() */
	const char *type; /* "ext" (or "ext2", ...), "bcachefs"; NULL: whatever is found */
	bool no_journal; /* as if the journal were empty: what is only on the devices, which may be inconsistent */
	bool ignore_data_csums; /* hand out file data that does not match its checksum */
	const char *passphrase; /* of an encrypted filesystem; NULL: none */
	uint64_t offset_bytes; /* where the filesystem begins within each device or file */
	uint64_t memory_bytes; /* for what the journal says; what is more goes to a temporary file. 0: a default */
	const char *tmpdir; /* for that file; NULL: /var/tmp */
	btrkit_note_fn note; /* told of missing devices, bad copies that others replaced, ...; may be NULL */
	void *note_arg;
};

/* Set everything to the default. */
#define btrkit_source_options_init(options) btrkit_source_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_source_options_init_size(struct btrkit_source_options *options, size_t struct_size);

/*
 * Open the filesystem on the devices or image files at @paths, which are all that it may have; @options NULL: the defaults. To be
 * closed with btrkit_fs_close().
 * -EMEDIUMTYPE: there is none of the known kinds, or of the one that was asked for; -EOPNOTSUPP: a feature that is unknown or not
 * supported, named in the text; -EUCLEAN: damaged beyond reading; -EINVAL: no such kind; or what the system reports for a path.
 */
BTRKIT_API int btrkit_source_open(const char *const *paths, size_t nr_paths, const struct btrkit_source_options *options,
				  struct btrkit_fs **ret_fs, struct btrkit_error *error);

/* The kind of which @path has the mark, "ext" or "bcachefs"; NULL: none, or it cannot be read. Constant. */
BTRKIT_API const char *btrkit_source_type(const char *path, uint64_t offset_bytes);

/* "ext4" and the like; NULL: @fs is Btrfs. Belongs to @fs. */
BTRKIT_API const char *btrkit_fs_source_type(const struct btrkit_fs *fs);

#ifdef __cplusplus
}
#endif

#endif
