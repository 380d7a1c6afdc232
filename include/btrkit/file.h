/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Files and directories of an open filesystem: finding, listing, reading.
 *
 * Names and paths are bytes: any but '/' and NUL, in no particular encoding. All calls may be made from several threads
 * at once; a struct btrkit_file or btrkit_dir belongs to one thread at a time.
 */
#ifndef BTRKIT_FILE_H
#define BTRKIT_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/fs.h>
#include <btrkit/time.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BTRKIT_NAME_MAX 255
#define BTRKIT_TOP_SUBVOL ((uint64_t)5)
#define BTRKIT_TOP_DIR ((uint64_t)256) /* the inode of every subvolume's top directory */
/*
 * A directory entry may lead to a subvolume that is not there: it was left behind by a snapshot or a deletion. Linux
 * shows an empty directory with this inode number.
 */
#define BTRKIT_EMPTY_DIR ((uint64_t)2)

/* Names one file, directory, ... within a filesystem. */
struct btrkit_inode {
	uint64_t subvol;
	uint64_t ino;
};

/* Does it stand for such a subvolume? Only other filesystems have a subvolume 1 (source.h), in which inode 2 is one like others. */
static inline bool btrkit_inode_is_empty_dir(const struct btrkit_inode *inode)
{
	return inode->ino == BTRKIT_EMPTY_DIR && inode->subvol != 1;
}

/* The top directory of the whole filesystem, from which all subvolumes that have a path are reached. */
#define BTRKIT_INODE_TOP ((struct btrkit_inode){ BTRKIT_TOP_SUBVOL, BTRKIT_TOP_DIR })

/*
 * Follow @path from directory @from (NULL: the top of the filesystem), into subvolumes, with "." and ".."; symbolic links
 * are not followed. A leading '/' means nothing. -ENOENT, -ENOTDIR, -ENAMETOOLONG, -EUCLEAN, -EIO.
 */
BTRKIT_API int btrkit_lookup(struct btrkit_fs *fs, const struct btrkit_inode *from, const char *path,
			     struct btrkit_inode *ret_inode, struct btrkit_error *error);

/* The entry @name of directory @dir; no "." and "..". */
BTRKIT_API int btrkit_lookup_name(struct btrkit_fs *fs, const struct btrkit_inode *dir, const char *name,
				  size_t name_len, struct btrkit_inode *ret_inode, struct btrkit_error *error);

/*
 * One path of an inode from the top of the filesystem, "/" for the top itself. NUL-terminated into @buf.
 * -ENOENT: it has no name; -ERANGE: longer than @cap.
 */
BTRKIT_API int btrkit_path(struct btrkit_fs *fs, const struct btrkit_inode *inode, char *buf, size_t cap,
			   struct btrkit_error *error);

struct btrkit_stat {
	struct btrkit_inode inode;
	uint64_t generation, transid;
	uint64_t size; /* of a directory: twice the bytes of its names; 0 in filesystems that are not Btrfs */
	uint64_t allocated_bytes; /* on disk, of one copy; 0 in filesystems that are not Btrfs */
	uint32_t nlink;
	uint32_t mode; /* file type and permissions, as stat(2) */
	uint32_t uid, gid;
	uint32_t rdev_major, rdev_minor;
	uint64_t flags; /* BTRKIT_INODE_* of content.h, and others as on disk */
	uint64_t sequence;
	struct btrkit_time atime, mtime, ctime, otime; /* otime: when it was made */
};
BTRKIT_API int btrkit_stat(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct btrkit_stat *ret_stat,
			   struct btrkit_error *error);

/* The target of a symbolic link, NUL-terminated into @buf. -EINVAL: it is none; -ERANGE: longer than @cap. */
BTRKIT_API int btrkit_readlink(struct btrkit_fs *fs, const struct btrkit_inode *inode, char *buf, size_t cap,
			       struct btrkit_error *error);

/*
 * Call @fn for each extended attribute; ACLs and capabilities are among them under the kernel's names. A result other
 * than 0 ends the listing and is returned.
 */
typedef int (*btrkit_xattr_fn)(void *arg, const char *name, size_t name_len, const void *value, size_t value_len);
BTRKIT_API int btrkit_xattr_for_each(struct btrkit_fs *fs, const struct btrkit_inode *inode, btrkit_xattr_fn fn,
				     void *arg, struct btrkit_error *error);
/* One of them. *ret_len is set also when @cap is too small: -ERANGE. -ENODATA: there is none of that name. */
BTRKIT_API int btrkit_xattr_get(struct btrkit_fs *fs, const struct btrkit_inode *inode, const char *name, void *buf,
				size_t cap, size_t *ret_len, struct btrkit_error *error);

/* --- Directories ------------------------------------------------------------------------------------------- */

struct btrkit_dir;

struct btrkit_dir_entry {
	const char *name; /* NUL-terminated; valid until the next call */
	size_t name_len;
	uint32_t type; /* S_IFREG, S_IFDIR, ...; 0: not known */
	struct btrkit_inode inode; /* btrkit_inode_is_empty_dir(): a subvolume that is not there */
	bool is_subvol; /* inode is the top directory of another subvolume */
	uint64_t index; /* rises from entry to entry */
};

/* The entries of a directory in the order in which they were made. */
BTRKIT_API int btrkit_dir_open(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct btrkit_dir **ret_dir,
			       struct btrkit_error *error);
/*
 * Go on behind parts that are damaged, the directory's own inode among them, instead of failing: each is told of through
 * the filesystem's note function and counted.
 */
BTRKIT_API void btrkit_dir_skip_damage(struct btrkit_dir *dir);
BTRKIT_API uint64_t btrkit_dir_nr_skipped(const struct btrkit_dir *dir);
/* 0 with the next entry, or 1: there are no more. "." and ".." are not among them. */
BTRKIT_API int btrkit_dir_next(struct btrkit_dir *dir, struct btrkit_dir_entry *ret_entry, struct btrkit_error *error);
BTRKIT_API void btrkit_dir_close(struct btrkit_dir *dir); /* NULL allowed */

/* --- Contents ---------------------------------------------------------------------------------------------- */

struct btrkit_file;

/* A regular file or a symbolic link, whose target is its contents. -EISDIR, -EINVAL: something else. */
BTRKIT_API int btrkit_file_open(struct btrkit_fs *fs, const struct btrkit_inode *inode, struct btrkit_file **ret_file,
				struct btrkit_error *error);
BTRKIT_API void btrkit_file_close(struct btrkit_file *file); /* NULL allowed */
BTRKIT_API uint64_t btrkit_file_size(const struct btrkit_file *file);
/*
 * Go on where parts of the file's map cannot be read, instead of failing: what they led to reads as a hole. Each is told
 * of through the filesystem's note function and counted.
 */
BTRKIT_API void btrkit_file_skip_damage(struct btrkit_file *file);
BTRKIT_API uint64_t btrkit_file_nr_skipped(const struct btrkit_file *file);

/*
 * Read up to @len bytes at @offset; *ret_len is less only at the end of the file. Data is compared with its checksums,
 * and every copy is tried. Large reads, 1 MiB and more, are fastest.
 * -EIO: no copy is good, or readable; *ret_len tells how many bytes before the bad place are.
 */
BTRKIT_API int btrkit_file_read(struct btrkit_file *file, uint64_t offset, void *buf, size_t len, size_t *ret_len,
				struct btrkit_error *error);

enum btrkit_range_kind {
	BTRKIT_RANGE_HOLE, /* reads as zeroes, takes no space */
	BTRKIT_RANGE_DATA,
	BTRKIT_RANGE_PREALLOC, /* reads as zeroes, takes space */
};

struct btrkit_file_range {
	uint64_t offset, len; /* in the file; the last one ends at the file's size */
	enum btrkit_range_kind kind;
	bool is_inline; /* in a tree block */
	const char *compression; /* "zlib", "lzo", "zstd"; NULL: none */
	uint64_t logical; /* of the extent; 0 for holes and inline data */
	uint64_t disk_bytes; /* of the whole extent, compressed */
	uint64_t extent_offset; /* where in the (uncompressed) extent this range begins */
};

/* The range that @offset lies in, from @offset on. 1: @offset is at or behind the end of the file. */
BTRKIT_API int btrkit_file_range_at(struct btrkit_file *file, uint64_t offset, struct btrkit_file_range *ret_range,
				    struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
