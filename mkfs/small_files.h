/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The contents of small files, kept in an unlinked temporary file from when a directory is scanned until they are
 * written: to open each file only once is a third of the whole cost of a tree of small ones. Workers write blocks of
 * their own, so what lies where is left to chance; what is read back is not.
 *
 * Nothing is kept where no temporary file can be made or grown. That is no error: the files are then read later.
 */
#ifndef BTRKIT_MKFS_SMALL_FILES_H
#define BTRKIT_MKFS_SMALL_FILES_H

#include <btrkit/content.h>

#include "common/base/types.h"

/* What is small: about what goes into the tree instead of into extents, so that it fits between two inodes. */
#define SMALL_FILE_BYTES 2048u
#define SMALL_FILE_NOT_KEPT UINT64_MAX

struct small_files;

/* In folder @spool_dir. @workers: how many of them at most. -ENOMEM. */
int small_files_new(const char *spool_dir, unsigned workers, struct small_files **ret_files);
void small_files_free(struct small_files *files);

/*
 * Keep @len bytes, SMALL_FILE_BYTES at most; returns their place, or SMALL_FILE_NOT_KEPT. Of each worker's calls no two
 * overlap.
 */
u64 small_files_keep(struct small_files *files, unsigned worker, const void *bytes, u32 len);

/* Everything was kept: from now on it can be read. Negative errno when the temporary file cannot be written. */
int small_files_finish(struct small_files *files);

/* The data source for what was kept; a file's cookie is its place. */
const struct btrkit_data_source *small_files_source(const struct small_files *files);

#endif
