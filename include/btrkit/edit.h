/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changing a filesystem that is not mounted: files, directories, attributes, subvolumes.
 *
 *	options.is_writable = true;
 *	err = btrkit_fs_open(paths, 1, &options, &fs, &error);
 *	err = btrkit_edit_new(fs, NULL, &edit, &error);
 *	err = btrkit_edit_create(edit, &BTRKIT_INODE_TOP, "file", 4, &attr, &inode, &error);
 *	err = btrkit_edit_write(edit, &inode, 0, "hello\n", 6, &error);
 *	err = btrkit_edit_commit(edit, &error);
 *	btrkit_edit_free(edit);
 *	btrkit_fs_close(fs);
 *
 * Nothing is seen on the devices before btrkit_edit_commit(): all changes become visible together, in one write behind a
 * flush, and a crash leaves the state before or the state after. File data is written earlier, to free space.
 *
 * The functions for reading see the changes at once. A struct btrkit_file or btrkit_dir must be closed before anything is
 * changed. A filesystem that is open for changes belongs to one thread.
 *
 * A function that fails has changed nothing, and what was changed before is kept, as long as it fails for a reason that its
 * comment has. When it fails in the midst of changes (-EIO, -ENOMEM, -EUCLEAN, -ENOSPC for tree blocks), everything since
 * the last commit is forgotten, and all but btrkit_edit_abort() and btrkit_edit_free() then fail with -ESHUTDOWN. So one has to
 * look only at the result of btrkit_edit_commit().
 *
 * Every function may fail with: -EROFS, a read-only subvolume, unless options.is_forced; -ENOENT, there is no such inode or
 * subvolume; -ENOTDIR, @dir is no directory; -EPERM, it stands for a subvolume that is not there; -EINVAL, an impossible name;
 * -ENAMETOOLONG. Permissions, and the flags that make files immutable, are not looked at.
 */
#ifndef BTRKIT_EDIT_H
#define BTRKIT_EDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/content.h>
#include <btrkit/error.h>
#include <btrkit/file.h>
#include <btrkit/fs.h>
#include <btrkit/time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct btrkit_edit;

struct btrkit_edit_options {
	size_t struct_size; /* set by btrkit_edit_options_init() */
	bool has_now; /* take @now for the time of day */
	struct btrkit_time now;
	bool is_forced; /* change read-only subvolumes, too */
};
#define btrkit_edit_options_init(options) btrkit_edit_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_edit_options_init_size(struct btrkit_edit_options *options, size_t struct_size);

/*
 * Begin to change @fs, which was opened with is_writable and must outlive the edit; one edit at a time. @options NULL: the
 * defaults. -EROFS: it was opened for reading; -EBUSY: there is another edit.
 */
BTRKIT_API int btrkit_edit_new(struct btrkit_fs *fs, const struct btrkit_edit_options *options,
			       struct btrkit_edit **ret_edit, struct btrkit_error *error);
/* Forgets what is not committed. NULL allowed. */
BTRKIT_API void btrkit_edit_free(struct btrkit_edit *edit);

/*
 * Make all changes permanent. The edit may be used further. When this fails, the old state is on the devices, unless it was
 * writing the superblocks that failed: then either state is, and everything but btrkit_edit_abort() and btrkit_edit_free()
 * fails with -ESHUTDOWN until the filesystem is opened again.
 */
BTRKIT_API int btrkit_edit_commit(struct btrkit_edit *edit, struct btrkit_error *error);
/* Forget all changes since the last commit. */
BTRKIT_API void btrkit_edit_abort(struct btrkit_edit *edit);
/* Is there something to commit? */
BTRKIT_API bool btrkit_edit_has_changes(const struct btrkit_edit *edit);

/* --- Names ------------------------------------------------------------------------------------------------------------ */

/*
 * A new inode, called @name in @dir. @attr: as for mkfs; times that are all zero are now. No contents. From the directory it
 * inherits what it would in Linux, with no umask: the group, if that is set-group-ID, and a directory that bit, too; the flags
 * NODATACOW, NOCOMPRESS and COMPRESS; the property btrfs.compression, without its level; default ACLs, which also limit @attr's
 * permissions. Labels of security modules it does not get. Who wants @attr as it is calls btrkit_edit_set_attr() and
 * btrkit_edit_remove_xattr() behind this.
 * -EEXIST; -EUCLEAN, nothing is changed: a damaged default ACL; -ENOSPC: there are no more inode numbers; -EOVERFLOW: too many
 * names with the same hash.
 */
BTRKIT_API int btrkit_edit_create(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name,
				  size_t name_len, const struct btrkit_node_attr *attr, struct btrkit_inode *ret_inode,
				  struct btrkit_error *error);
/* A symbolic link, of the mode that all have. @target_len: 1 to 4095, and less than a tree block. -ENAMETOOLONG. */
BTRKIT_API int btrkit_edit_symlink(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name,
				   size_t name_len, const char *target, size_t target_len,
				   const struct btrkit_node_attr *attr, struct btrkit_inode *ret_inode,
				   struct btrkit_error *error);
/*
 * Another name for @inode, of the same subvolume (-EXDEV) and not a directory (-EPERM). -EEXIST, -EMLINK, -EOVERFLOW.
 */
BTRKIT_API int btrkit_edit_link(struct btrkit_edit *edit, const struct btrkit_inode *inode, const struct btrkit_inode *dir,
				const char *name, size_t name_len, struct btrkit_error *error);
/* Take a name away, and with the last one the file. -EISDIR. */
BTRKIT_API int btrkit_edit_unlink(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name,
				  size_t name_len, struct btrkit_error *error);
/*
 * An empty directory, or the name of a subvolume that is not there. -ENOTDIR, -ENOTEMPTY; -EBUSY: it is a subvolume, see
 * btrkit_edit_subvol_delete().
 */
BTRKIT_API int btrkit_edit_rmdir(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name,
				 size_t name_len, struct btrkit_error *error);

#define BTRKIT_RENAME_NOREPLACE (1U << 0) /* -EEXIST if the new name is taken */
#define BTRKIT_RENAME_EXCHANGE (1U << 1) /* both names exist, and are exchanged */
/*
 * As renameat2(2): what has the new name is replaced, if it is no directory or an empty one. Subvolumes may move to another
 * subvolume, files not: -EXDEV. -EISDIR, -ENOTDIR, -ENOTEMPTY, -EBUSY (a subvolume would be replaced), -EINVAL (into
 * itself), -EMLINK, -EOVERFLOW.
 */
BTRKIT_API int btrkit_edit_rename(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name,
				  size_t name_len, const struct btrkit_inode *new_dir, const char *new_name,
				  size_t new_name_len, unsigned flags, struct btrkit_error *error);

/* --- Attributes -------------------------------------------------------------------------------------------------------- */

#define BTRKIT_SET_MODE (1U << 0) /* permissions only; the type stays */
#define BTRKIT_SET_UID (1U << 1)
#define BTRKIT_SET_GID (1U << 2)
#define BTRKIT_SET_ATIME (1U << 3)
#define BTRKIT_SET_MTIME (1U << 4)
#define BTRKIT_SET_CTIME (1U << 5) /* else now */
#define BTRKIT_SET_FLAGS (1U << 6) /* BTRKIT_INODE_*; NODATACOW of an empty file or a directory only: -EINVAL */
/*
 * Set what @mask has to what @attr has. An access ACL follows the mode, as with chmod(2); nothing else follows from anything: the
 * owner changes, set-user-id stays. -EOPNOTSUPP: the mode of a symbolic link.
 */
BTRKIT_API int btrkit_edit_set_attr(struct btrkit_edit *edit, const struct btrkit_inode *inode, unsigned mask,
				    const struct btrkit_node_attr *attr, struct btrkit_error *error);

/*
 * Replacing a value that is there. Any prefix. The mode follows system.posix_acl_access, and the flags of compression follow
 * btrfs.compression; that an empty value removes. -EINVAL: it is none that Linux takes, or not for this inode. -ENOSPC: does not
 * fit into a tree block; -E2BIG: more than 65535 bytes.
 */
BTRKIT_API int btrkit_edit_set_xattr(struct btrkit_edit *edit, const struct btrkit_inode *inode, const char *name,
				     const void *value, size_t value_len, struct btrkit_error *error);
/* -ENODATA. */
BTRKIT_API int btrkit_edit_remove_xattr(struct btrkit_edit *edit, const struct btrkit_inode *inode, const char *name,
					struct btrkit_error *error);

/* --- Contents ---------------------------------------------------------------------------------------------------------- */

/*
 * All of these: regular files only (-EISDIR, -EINVAL), up to 2^63 - 1 bytes (-EFBIG). -EPERM: a file with fs-verity.
 * -ENOSPC: no room for the data; writing, truncating and punching have changed nothing then. -EIO, -EUCLEAN: what has to be kept
 * of a sector cannot be read.
 */

/*
 * Write @len bytes at @offset. New data goes to free space, also in files that Linux would not copy on write, and is not
 * compressed; small files become inline as with Linux.
 */
BTRKIT_API int btrkit_edit_write(struct btrkit_edit *edit, const struct btrkit_inode *inode, uint64_t offset,
				 const void *data, size_t len, struct btrkit_error *error);
/*
 * The same with the data asked for piece by piece: @fill has to put @len bytes, those at @at of the file, into @buf. A result
 * other than 0 ends it, is returned, and is no failure of the edit: nothing is changed then.
 */
typedef int (*btrkit_fill_fn)(void *arg, uint64_t at, void *buf, size_t len);
BTRKIT_API int btrkit_edit_write_from(struct btrkit_edit *edit, const struct btrkit_inode *inode, uint64_t offset,
				      uint64_t len, btrkit_fill_fn fill, void *arg, struct btrkit_error *error);
/* Cut it off, or make it longer by a hole. */
BTRKIT_API int btrkit_edit_truncate(struct btrkit_edit *edit, const struct btrkit_inode *inode, uint64_t size,
				    struct btrkit_error *error);
/* A part becomes a hole; the size stays. */
BTRKIT_API int btrkit_edit_punch_hole(struct btrkit_edit *edit, const struct btrkit_inode *inode, uint64_t offset,
				      uint64_t len, struct btrkit_error *error);
/* Space for what is a hole now in [offset, offset + len). @is_size_kept: also behind the end, which stays where it is. */
BTRKIT_API int btrkit_edit_preallocate(struct btrkit_edit *edit, const struct btrkit_inode *inode, uint64_t offset,
				       uint64_t len, bool is_size_kept, struct btrkit_error *error);
/*
 * [offset, offset + len) of @inode becomes what [from_offset, ...) of @from is, and shares its extents; both may be in different
 * subvolumes. Offsets and length are multiples of sectors, but that the range may end with @from. -EINVAL: they are not, or
 * ranges of one file overlap, or only one of the two has checksums.
 */
BTRKIT_API int btrkit_edit_clone(struct btrkit_edit *edit, const struct btrkit_inode *from, uint64_t from_offset,
				 uint64_t len, const struct btrkit_inode *inode, uint64_t offset,
				 struct btrkit_error *error);

/* --- Subvolumes --------------------------------------------------------------------------------------------------------- */

/*
 * A new subvolume, called @name in @dir. @attr: of its top directory. As with Linux, that inherits the property
 * btrfs.compression of the subvolume which @dir is in, and @dir's default ACL only limits its permissions. -EEXIST, -EOVERFLOW.
 */
BTRKIT_API int btrkit_edit_subvol_create(struct btrkit_edit *edit, const struct btrkit_inode *dir, const char *name,
					 size_t name_len, const struct btrkit_node_attr *attr, uint64_t *ret_id,
					 struct btrkit_error *error);
/*
 * A snapshot of subvolume @source. If @source has been changed since the last commit, there is a commit first.
 * -EEXIST, -EOVERFLOW.
 */
BTRKIT_API int btrkit_edit_snapshot(struct btrkit_edit *edit, uint64_t source, const struct btrkit_inode *dir,
				    const char *name, size_t name_len, bool is_read_only, uint64_t *ret_id,
				    struct btrkit_error *error);
/*
 * Delete a subvolume with all that is in it, whether it is read-only or not. -ENOTEMPTY: it has others in it; -EPERM: it is the
 * default one, or the top.
 */
BTRKIT_API int btrkit_edit_subvol_delete(struct btrkit_edit *edit, uint64_t id, struct btrkit_error *error);
/* What is mounted when nobody asks for another. */
BTRKIT_API int btrkit_edit_set_default(struct btrkit_edit *edit, uint64_t id, struct btrkit_error *error);
/* @is_forced not needed to make it writable. What makes it a received one goes then. */
BTRKIT_API int btrkit_edit_set_read_only(struct btrkit_edit *edit, uint64_t id, bool is_read_only,
					 struct btrkit_error *error);
/* Of the filesystem: up to 255 bytes without a newline. -EINVAL. */
BTRKIT_API int btrkit_edit_set_label(struct btrkit_edit *edit, const char *label, struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
