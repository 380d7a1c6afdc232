/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A directory source's state, shared by scanning it and by reading its files later. */
#ifndef BTRKIT_MKFS_SOURCE_DIR_H
#define BTRKIT_MKFS_SOURCE_DIR_H

#include <pthread.h>

#include <sys/stat.h>

#include "mkfs/source.h"

/* An inode of the host with several names, and the node that it became. */
struct link_slot {
	dev_t dev;
	ino_t ino;
	btrkit_node node;
	bool is_used;
};

/* What a worker has open: the file that it reads, and the directory of the last one. -1: nothing. */
struct source_worker {
	btrkit_node directory, file;
	int directory_fd, file_fd;
	u64 stamp; /* of the file when it was scanned */
};

/* What tells a file that has changed from one that has not, beside its size; the cookie of its data. */
static inline u64 directory_source_stamp(const struct stat *st)
{
	return (u64)st->st_mtim.tv_sec << 30 ^ (u64)st->st_mtim.tv_nsec;
}

#define DIRECTORY_WORKERS_MAX 1024

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
	struct link_slot *links;
	u64 links_mask, nr_links;
	struct source_worker *workers;
};

int directory_source_new(struct btrkit_content *content, btrkit_node dest, const char *path,
			 const struct source_options *options, struct directory_source **ret_source, struct diag *d);

/* The path of a node below the source's top, "" for the top itself; to be freed. NULL: out of memory. */
char *directory_source_path(const struct directory_source *source, btrkit_node node);

/* Open a path below the top however long it is, never following a link at its end. Negative errno. */
int directory_source_open(const struct directory_source *source, const char *path, int flags);

#endif
