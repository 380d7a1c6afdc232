/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The content table behind include/btrkit/content.h, and what the image builder asks of it.
 *
 * Life: nodes are added -> content_finish() sorts names and numbers inodes -> content_measure() when data is compressed
 * -> content_assign_data() gives data extents their addresses (again whenever the layout changes) -> trees are sized
 * and written from it. Everything about a node is an index into an array: a million files cost about 150 bytes each.
 */
#ifndef BTRKIT_KERNEL_SHARED_BUILD_CONTENT_H
#define BTRKIT_KERNEL_SHARED_BUILD_CONTENT_H

#include <btrkit/content.h>

#include "common/base/array.h"
#include "common/compress/codec.h"
#include "common/work/pool.h"
#include "common/work/progress.h"
#include "kernel-shared/build/linear_space.h"
#include "kernel-shared/build/tree_builder.h"
#include "kernel-shared/build/tree_shape.h"
#include "kernel-shared/volume/volume.h"

#define CONTENT_NONE UINT32_MAX
#define CONTENT_NOT_SPOOLED UINT64_MAX
#define CONTENT_INLINE_DEFAULT 2048 /* for content_options.max_inline_bytes: Linux's max_inline */

enum content_data_kind {
	CONTENT_DATA_NONE,
	CONTENT_DATA_SOURCE,
	CONTENT_DATA_COPY,
	CONTENT_DATA_BORROWED,
	CONTENT_DATA_SPOOLED_INLINE, /* compressed, in the spool */
	CONTENT_DATA_PLACED, /* on the device already: content_node.data is where its first byte lies */
	CONTENT_DATA_STAYS, /* on the device already, and not to be read: never inline */
};

/* Where spooled inline data lies, in content_node.data: offset in the spool, then its length in the low bits. */
#define SPOOLED_INLINE_LEN_BITS 12
#define CONTENT_INLINE_MAX ((1u << SPOOLED_INLINE_LEN_BITS) - 1)

struct content_node {
	s64 mtime_sec, atime_sec, ctime_sec;
	u64 size; /* of a file or link target; of a directory, after finishing: what its inode shows */
	u64 data; /* source cookie, arena offset, address or place in the spool; of a directory, after finishing: first child in order[] */
	u32 mtime_nsec, atime_nsec, ctime_nsec;
	u32 mode, uid, gid;
	u32 xattrs; /* first link in xattr_links[]; CONTENT_NONE: no xattrs */
	u32 rare; /* index into rare[]; CONTENT_NONE: nothing rare */
	u32 dirent; /* first name; after finishing: its place in order[], or with several names in links[] */
	u32 ino; /* after finishing: inode number - FIRST_FREE_OBJECTID; CONTENT_NONE: not reachable */
	u32 nlink; /* after finishing */
	u32 first_extent; /* files: into extents[]; of a directory, after finishing: number of children */
	u16 source; /* index into sources[] */
	u8 data_kind; /* enum content_data_kind */
	u8 is_inline; /* the data is in the tree, not in an extent */
};

/* What few nodes have. */
struct content_rare {
	u32 node;
	u32 rdev_major, rdev_minor;
	u32 inode_flags;
	u32 subvol_flags;
	bool is_subvol;
	bool has_ranges;
	u32 nr_ranges;
	u64 first_range; /* into ranges[] */
};

struct content_dirent {
	u32 parent;
	u32 node; /* CONTENT_NONE: taken away */
	u32 name_low;
	u8 name_high; /* arena offsets have 40 bits */
	u8 name_len;
	u16 unused;
};

/* Of the table that finds names. With the hash at hand, only the name that is meant is ever looked at. */
struct content_name_slot {
	u32 dirent; /* index + 1; 0: empty */
	u32 hash;
};

struct content_xattr { /* one name and value, shared by all nodes that have both equal */
	u64 bytes; /* arena offset: name, then value */
	u32 hash; /* of the name, as in keys */
	u16 value_len;
	u8 name_len;
};

struct content_xattr_link {
	u32 xattr;
	u32 next;
};

struct content_extent {
	u64 logical;
	u64 file_offset;
	u64 spool_offset; /* of compressed bytes; CONTENT_NOT_SPOOLED: raw, read from its source */
	u32 disk_bytes; /* sector-rounded */
	u32 num_bytes; /* in the file, sector-rounded; more than disk_bytes: compressed */
	u32 node;
	u32 stored_bytes; /* bytes to write: compressed length, or the file's bytes before padding */
};

struct content_subvol {
	u32 node; /* its top directory */
	u32 parent; /* index of the subvolume that holds its name */
	u64 root_id;
	u32 first; /* in sequence[] */
	u32 count;
	u32 flags; /* BTRKIT_SUBVOL_* */
	u32 order; /* place of its name in order[]; the first one has none */
	u8 uuid[UUID_SIZE];
};

struct content_options {
	struct block_identity id;
	u32 sectorsize;
	u32 max_inline_bytes;
	bool has_no_holes, has_extref;
	bool has_epoch; /* times later than this are set to it, and only mtime counts */
	s64 epoch_sec;
	struct btrkit_time now; /* otime of everything */
	const struct codec *codec; /* NULL: nothing is compressed */
	int compress_level;
	lzo_compress_fn lzo_compress;
	const char *spool_dir; /* where the compressed data waits; NULL: TMPDIR or /var/tmp as decided by the caller */
	bool is_dry_run; /* compressed data is measured, not kept */
	bool use_reflink;
	bool is_placed; /* data lies where it is: the extents are made by others, see placed_data.h */
	bool no_datasum; /* for all files */
	int (*read_placed)(void *ctx, u64 physical, void *buf, size_t len, struct diag *d); /* from several threads */
	void *placed_ctx;
};

struct btrkit_content {
	ARRAY(struct content_node) nodes;
	ARRAY(struct content_dirent) dirents;
	ARRAY(struct content_rare) rare;
	ARRAY(u8) bytes; /* arena of names, targets, xattrs, copied data */
	ARRAY(struct content_xattr) xattrs;
	ARRAY(struct content_xattr_link) xattr_links;
	ARRAY(struct btrkit_data_range) ranges;
	ARRAY(const struct btrkit_data_source *) sources;
	ARRAY(struct btrkit_time) otimes; /* by node, as far as they are known; others are made now */
	struct content_name_slot *name_slots; /* open addressing; freed when finished */
	u32 *xattr_slots;
	u64 name_slots_mask, xattr_slots_mask;

	/* After content_finish() */
	bool is_finished;
	struct content_options options;
	u32 *order; /* dirents of each directory together, by name */
	u32 nr_order;
	u32 *sequence; /* nodes by subvolume and inode number */
	u32 nr_sequence;
	u32 *links; /* places in order[] of the names of nodes with several, grouped */
	ARRAY(struct content_subvol) subvols; /* [0]: the top-level filesystem tree */

	/* After content_assign_data() */
	ARRAY(struct content_extent) extents;
	bool is_measured;
	int spool_fd;
	u64 data_bytes;
};

/*
 * For those who know that names are given once: a node without a name, a name for a node, and what a node is once that is
 * known. @otime NULL: now. -ENOMEM, -EOVERFLOW.
 */
int content_add_node(struct btrkit_content *content, const struct btrkit_node_attr *attr,
		     const struct btrkit_time *otime, u32 *ret_node, struct diag *d);
int content_set_node(struct btrkit_content *content, u32 node, const struct btrkit_node_attr *attr,
		     const struct btrkit_time *otime, struct diag *d);
int content_add_name(struct btrkit_content *content, u32 parent, const char *name, size_t len, u32 node, struct diag *d);

/* Sort, number, count; nothing can be added afterwards. */
int content_finish(struct btrkit_content *content, const struct content_options *options, struct diag *d);

/* Compress all data, so that its size is known; a no-op without a codec. */
int content_measure(struct btrkit_content *content, struct pool *pool, struct progress *progress, struct diag *d);

/* Bytes of data extents on disk. */
u64 content_data_bytes(const struct btrkit_content *content);
/* Place the extents in order into @space; splits them where the space has gaps. */
int content_assign_data(struct btrkit_content *content, const struct linear_space *space, struct diag *d);

/* The data extents in ascending order, each with its one reference. */
static inline u64 content_nr_extents(const struct btrkit_content *content)
{
	return content->extents.len;
}
struct content_extent_ref {
	u64 logical;
	u64 disk_bytes;
	u64 root_id, ino, file_offset;
};
void content_extent_at(const struct btrkit_content *content, u64 index, struct content_extent_ref *ret_ref);

size_t content_nr_subvols(const struct btrkit_content *content);
const struct content_subvol *content_subvol_at(const struct btrkit_content *content, size_t index);

/* Item sizes of subvolume @index's tree, in key order. */
int content_size_tree(struct btrkit_content *content, size_t index, struct pool *pool, struct tree_sizer *sizer,
		      struct diag *d);
/* The same items with their contents. */
int content_write_tree(struct btrkit_content *content, size_t index, struct pool *pool, struct progress *progress,
		       struct tree_builder *builder, struct diag *d);

/* Sizes of the checksum tree's items. */
int content_size_csums(struct btrkit_content *content, struct tree_sizer *sizer, struct diag *d);

/* Read, checksum and write all data; the checksum tree's items come out on the way. */
int content_write_data(struct btrkit_content *content, struct volume *volume, struct pool *pool,
		       struct progress *progress, struct tree_builder *csum_tree, struct diag *d);

/* --- Used among the content_*.c files -------------------------------------------------------------- */

static inline const u8 *content_bytes(const struct btrkit_content *content, u64 offset)
{
	return content->bytes.items + offset;
}

static inline u64 dirent_name_offset(const struct content_dirent *dirent)
{
	return (u64)dirent->name_high << 32 | dirent->name_low;
}

static inline const char *dirent_name(const struct btrkit_content *content, const struct content_dirent *dirent)
{
	return (const char *)content_bytes(content, dirent_name_offset(dirent));
}

/* Copy @len bytes into the arena. */
int content_store_bytes(struct btrkit_content *content, const void *from, size_t len, u64 *ret_offset);

/* The node's rare record, made if there is none; NULL: out of memory. */
struct content_rare *content_rare_make(struct btrkit_content *content, u32 node);
static inline const struct content_rare *content_rare(const struct btrkit_content *content, const struct content_node *node)
{
	return node->rare == CONTENT_NONE ? NULL : &content->rare.items[node->rare];
}
u32 content_inode_flags(const struct btrkit_content *content, const struct content_node *node);

/* The inode number in its subvolume, and the subvolume of a node. */
static inline u64 content_ino(const struct content_node *node)
{
	return FIRST_FREE_OBJECTID + node->ino;
}

/* Has the node data in extents, with checksums? */
bool content_has_csums(const struct btrkit_content *content, u32 node);

/* The range of extents[] that belongs to place @at of sequence[]. */
u32 content_extents_end(const struct btrkit_content *content, u32 sequence_index);

/* Record in @error and return what is in @d. */
int content_error(struct btrkit_error *error, const struct diag *d);

/* Compressed bytes back from the spool. */
int content_read_spool(const struct btrkit_content *content, u64 offset, void *buf, size_t len, struct diag *d);

/* Reading contents: one open file of one worker. */
struct content_reader {
	const struct btrkit_content *content;
	unsigned worker;
	u32 node; /* CONTENT_NONE: nothing open */
	const struct btrkit_data_source *source;
	void *handle;
};
int content_read(struct content_reader *reader, u32 node, u64 offset, void *buf, size_t len, struct diag *d);
/* The descriptor of a node's file and where in it the data begins, for sharing blocks; -1 where there is none. */
int content_descriptor(struct content_reader *reader, u32 node, int *ret_fd, u64 *ret_base_offset, struct diag *d);
/* After the last read: -ESTALE when the file has changed. */
int content_reader_finish(struct content_reader *reader, struct diag *d);
void content_reader_done(struct content_reader *reader);

#endif
