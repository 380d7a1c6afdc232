/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a worker finds in one directory of the host; the content is not touched. */
#ifndef BTRKIT_MKFS_SOURCE_DIR_SCAN_H
#define BTRKIT_MKFS_SOURCE_DIR_SCAN_H

#include "mkfs/small_files.h"
#include "mkfs/source_dir.h"

#define FOUND_NONE UINT32_MAX

/* Small, because a directory may have a million of them. */
struct found_entry {
	s64 atime_sec, mtime_sec, ctime_sec;
	u64 ino;
	u64 size; /* of devices: their number, as kernel_dev() */
	u64 small; /* place of the contents among the small files; SMALL_FILE_NOT_KEPT */
	u32 atime_nsec, mtime_nsec, ctime_nsec;
	u32 mode, uid, gid, nlink;
	u32 dev; /* that holds it, as kernel_dev() */
	u32 name; /* offset into bytes[] */
	u32 extra; /* index into extras[]; FOUND_NONE: nothing of these */
};

struct found_extra {
	u32 target, target_len; /* of a symbolic link */
	u32 xattrs, nr_xattrs; /* packed: name NUL, le32 length, value */
	u32 first_range, nr_ranges;
	bool is_sparse;
};

/* Entries come in blocks, freed one by one as they are taken over. */
#define FOUND_BLOCK_ENTRIES ((size_t)1024)

struct found_directory {
	ARRAY(u32) names; /* while reading: offsets into bytes[], sorted */
	ARRAY(struct found_entry *) blocks; /* by name */
	size_t nr_entries;
	ARRAY(struct found_extra) extras;
	ARRAY(char) bytes;
	ARRAY(struct btrkit_data_range) ranges;
	ARRAY(char) warnings; /* NUL-terminated, one after the other */
};

/* Read directory @path, below the source's top, as @worker. */
int found_directory_read(struct directory_source *source, unsigned worker, const char *path,
			 struct found_directory **ret_found, struct diag *d);
/* The top directory itself: one entry, without a name. */
int found_directory_top(struct directory_source *source, struct found_directory **ret_found, struct diag *d);
void found_directory_free(struct found_directory *found);

static inline struct found_entry *found_entry_at(const struct found_directory *found, size_t index)
{
	return &found->blocks.items[index / FOUND_BLOCK_ENTRIES][index % FOUND_BLOCK_ENTRIES];
}
/* Entry @index and those before it are no longer needed. */
void found_directory_taken(struct found_directory *found, size_t index);
DEFINE_FREEP(struct found_directory *, found_directory_free)

/* The kernel's own numbering of devices: 12 bits major, 20 bits minor. */
u32 kernel_dev(dev_t dev);
static inline u32 kernel_dev_major(u32 dev)
{
	return dev >> 20;
}
static inline u32 kernel_dev_minor(u32 dev)
{
	return dev & 0xfffff;
}

#endif
