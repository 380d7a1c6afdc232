/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory source's state, shared by scanning it and by reading its files later. */
#ifndef BTRKIT_MKFS_SOURCE_DIR_H
#define BTRKIT_MKFS_SOURCE_DIR_H

#include <pthread.h>

#include "mkfs/source.h"

/* An inode of the host with several names, and the node that it became; BTRKIT_TOP_NODE: an empty slot. */
struct link_slot {
	u64 ino;
	u32 dev;
	btrkit_node node;
};

/* What a worker has open: the file that it reads, and the directory of the last one. -1: nothing. */
struct source_worker {
	btrkit_node directory, file;
	int directory_fd, file_fd;
	u64 stamp; /* of the file when it was scanned */
};

/* What tells a file that has changed from one that has not, beside its size; the cookie of its data. */
static inline u64 directory_source_stamp(s64 mtime_sec, u32 mtime_nsec)
{
	return (u64)mtime_sec << 30 ^ mtime_nsec;
}

#define DIRECTORY_WORKERS_MAX 1024

struct small_files;

struct directory_source {
	struct source base;
	struct btrkit_data_source data;
	struct btrkit_content *content;
	pthread_mutex_t content_lock; /* while scanning: what the coordinator adds to, workers take paths from */
	btrkit_node dest;
	char *path;
	int top_fd;
	const struct source_options *options; /* while scanning */
	bool has_no_xattrs;
	ARRAY(btrkit_node) level, next_level; /* directories to read now, and after these */
	struct link_slot *links; /* while scanning */
	u64 links_mask, nr_links;
	struct source_worker *workers;
	struct small_files *small; /* NULL: none are kept */
};

int directory_source_new(struct btrkit_content *content, btrkit_node dest, const char *path,
			 const struct source_options *options, struct directory_source **ret_source, struct diag *d);

/* The path of a node below the source's top, "" for the top itself; to be freed. NULL: out of memory. */
char *directory_source_path(const struct directory_source *source, btrkit_node node);

/* Open a path below the top however long it is, never following a link at its end. Negative errno. */
int directory_source_open(const struct directory_source *source, const char *path, int flags);

#endif
