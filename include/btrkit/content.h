/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What goes into a filesystem that is being made: a tree of nodes (directories, files, links, devices, ...) put
 * together in memory, in any order, before btrkit_mkfs() writes all of it.
 *
 * A node is a small number; 0 is the top directory. File contents are not held here unless they are given from
 * memory: a data source is asked for them when they are written, from several threads.
 *
 * Adding is for one thread at a time. Two contents may be filled in two threads.
 */
#ifndef BTRKIT_CONTENT_H
#define BTRKIT_CONTENT_H

#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct btrkit_content;
typedef uint32_t btrkit_node;

#define BTRKIT_TOP_NODE ((btrkit_node)0)

/* Inode flags that can be set, as `lsattr` shows them and mkfs.btrfs --inode-flags names two of them. */
#define BTRKIT_INODE_NODATASUM (1U << 0)
#define BTRKIT_INODE_NODATACOW (1U << 1) /* implies NODATASUM */
#define BTRKIT_INODE_NOCOMPRESS (1U << 3)
#define BTRKIT_INODE_SYNC (1U << 5)
#define BTRKIT_INODE_IMMUTABLE (1U << 6)
#define BTRKIT_INODE_APPEND (1U << 7)
#define BTRKIT_INODE_NODUMP (1U << 8)
#define BTRKIT_INODE_NOATIME (1U << 9)
#define BTRKIT_INODE_DIRSYNC (1U << 10)
#define BTRKIT_INODE_COMPRESS (1U << 11) /* of new filesystems; not with NOCOMPRESS, and Linux wants btrfs.compression, too */

struct btrkit_node_attr {
	uint32_t mode; /* file type and permissions, as stat(2) */
	uint32_t uid;
	uint32_t gid;
	uint32_t rdev_major; /* of character and block devices */
	uint32_t rdev_minor;
	uint32_t inode_flags; /* BTRKIT_INODE_* */
	struct btrkit_time atime, mtime, ctime;
};

BTRKIT_API int btrkit_content_new(struct btrkit_content **ret_content);
BTRKIT_API void btrkit_content_free(struct btrkit_content *content);

/*
 * Add @name (1 to 255 bytes, any but '/' and NUL) to directory @parent. A directory that exists there already is kept
 * and takes the new attributes; anything else that exists is replaced, with all below it.
 * -ENAMETOOLONG, -EINVAL (an impossible name or mode), -ENOTDIR (@parent is none), -ENOMEM, -EOVERFLOW.
 */
BTRKIT_API int btrkit_content_add(struct btrkit_content *content, btrkit_node parent, const char *name,
				  size_t name_len, const struct btrkit_node_attr *attr, btrkit_node *ret_node,
				  struct btrkit_error *error);

/*
 * Another name for @node, which must not be a directory. Replaces what exists, as above. Names that end up in different
 * subvolumes stand for a file in each.
 */
BTRKIT_API int btrkit_content_link(struct btrkit_content *content, btrkit_node parent, const char *name,
				   size_t name_len, btrkit_node node, struct btrkit_error *error);

/* Take a name away, with all below it. -ENOENT. */
BTRKIT_API int btrkit_content_remove(struct btrkit_content *content, btrkit_node parent, const char *name,
				     size_t name_len, struct btrkit_error *error);

/* -ENOENT when there is no such name. */
BTRKIT_API int btrkit_content_lookup(const struct btrkit_content *content, btrkit_node parent, const char *name,
				     size_t name_len, btrkit_node *ret_node);

BTRKIT_API void btrkit_content_get_attr(const struct btrkit_content *content, btrkit_node node,
					struct btrkit_node_attr *ret_attr);
BTRKIT_API int btrkit_content_set_attr(struct btrkit_content *content, btrkit_node node,
				       const struct btrkit_node_attr *attr, struct btrkit_error *error);

/* The target of a symbolic link; copied. 1 to 4095 bytes without NUL. */
BTRKIT_API int btrkit_content_set_symlink(struct btrkit_content *content, btrkit_node node, const char *target,
					  size_t target_len, struct btrkit_error *error);

/*
 * An extended attribute; @name with its prefix ("user.x"), ACLs as the kernel's system.posix_acl_* values. Copied; one
 * of the same name is replaced. Limits that depend on the nodesize are checked when the filesystem is made.
 */
BTRKIT_API int btrkit_content_set_xattr(struct btrkit_content *content, btrkit_node node, const char *name,
					const void *value, size_t value_len, struct btrkit_error *error);

/* The contents of a regular file, from memory; @is_borrowed: not copied, must outlive the content. */
BTRKIT_API int btrkit_content_set_data(struct btrkit_content *content, btrkit_node node, const void *data,
				       uint64_t len, int is_borrowed, struct btrkit_error *error);

/* Where contents of files come from. Functions return 0 or a negative errno, with the reason in @error. */
struct btrkit_data_source {
	void *ctx;
	/*
	 * Called from several threads; @worker is below the number of threads. One worker has one file open at a time, and
	 * its calls never overlap.
	 */
	int (*open)(void *ctx, unsigned worker, btrkit_node node, uint64_t cookie, void **ret_handle,
		    struct btrkit_error *error);
	/* Exactly @len bytes at @offset. -ESTALE when the file has become shorter. */
	int (*read)(void *ctx, void *handle, uint64_t offset, void *buf, size_t len, struct btrkit_error *error);
	/* After the last read of a whole file, or NULL: 0, or -ESTALE when it is longer than @size now. */
	int (*check)(void *ctx, void *handle, uint64_t size, struct btrkit_error *error);
	void (*close)(void *ctx, void *handle);
	/* A descriptor to share blocks with (--reflink), or -1; NULL: none. */
	int (*descriptor)(void *ctx, void *handle, uint64_t *ret_base_offset);
};

/*
 * A part of a file that holds data; the rest is holes. Where a range begins or ends within a sector the source is asked for
 * the rest of that sector too, and gives zeroes.
 */
struct btrkit_data_range {
	uint64_t offset;
	uint64_t len;
};

/*
 * The contents of a regular file of @size bytes, read later from @source, which must outlive the content. @cookie is the
 * source's. @ranges: NULL for a file without holes; else ascending and without overlap; copied.
 */
BTRKIT_API int btrkit_content_set_source(struct btrkit_content *content, btrkit_node node,
					 const struct btrkit_data_source *source, uint64_t cookie, uint64_t size,
					 const struct btrkit_data_range *ranges, size_t nr_ranges,
					 struct btrkit_error *error);

/* Subvolumes: a directory that is the top of its own tree. */
#define BTRKIT_SUBVOL_RDONLY (1U << 0)
#define BTRKIT_SUBVOL_DEFAULT (1U << 1) /* what a mount without subvol= shows; one at most */
BTRKIT_API int btrkit_content_set_subvol(struct btrkit_content *content, btrkit_node node, unsigned flags,
					 struct btrkit_error *error);

/* The node's path from the top, without a leading '/', NUL-terminated, cut at @cap. Returns its length. */
BTRKIT_API size_t btrkit_content_path(const struct btrkit_content *content, btrkit_node node, char *buf, size_t cap);

/* The directory that holds the node's first name, and that name (not NUL-terminated, the content's). */
BTRKIT_API btrkit_node btrkit_content_parent(const struct btrkit_content *content, btrkit_node node,
					     const char **ret_name, size_t *ret_name_len);

/* Nodes and data bytes so far. */
BTRKIT_API uint64_t btrkit_content_nr_nodes(const struct btrkit_content *content);

#ifdef __cplusplus
}
#endif

#endif
