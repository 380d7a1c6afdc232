/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The inside of `btrkit restore`: a walk that makes files in one thread, workers that fill them. */
#ifndef BTRKIT_CMDS_RESTORE_H
#define BTRKIT_CMDS_RESTORE_H

#include <btrkit/file.h>
#include <pthread.h>

#include "cmds/open.h"
#include "common/base/array.h"
#include "common/cli/progress_bar.h"
#include "common/work/pool.h"
#include "common/work/progress.h"

struct restore_command {
	struct open_command open;
	const char *path, *subvol;
	bool may_overwrite, is_dry_run, no_subvols, do_set_flags, is_quiet, is_json;
	unsigned threads, verbosity;
	enum progress_mode progress;
};

/* A directory that was made; its own owner, mode and times come last, when nothing more is put into it. */
struct restored_dir {
	int fd; /* -1: dry run */
	struct btrkit_inode inode;
	struct btrkit_stat st;
	char *path; /* from the destination, for messages and hard links; "" is the destination itself */
	unsigned refs; /* the walk, and files of it that wait to be filled */
	bool gets_metadata; /* stands for a directory that is extracted; else it stays what it is */
};

/* A regular file that was made and waits for its contents. */
struct pending_file {
	struct restored_dir *dir;
	int fd;
	struct btrkit_stat st;
	char *path;
	struct btrkit_file *from; /* what it is filled from; NULL: that cannot be, for the reason in why, or was not tried yet */
	struct btrkit_error *why;
	bool is_filled;
};

struct restore {
	const struct restore_command *command;
	struct open_command *open;
	struct btrkit_fs *fs;
	struct pool *pool;
	struct progress progress;
	struct cancel *cancel;
	int dest_fd;
	bool keeps_dest; /* the destination is somebody's already, and keeps its own metadata */
	ARRAY(struct pending_file) pending;
	u8 **buffers; /* one for each worker */
	void *met; /* of restore_links.c */
	struct btrkit_error error; /* the walk's, here because it goes deep */
	u64 nr_files, nr_dirs, nr_links, nr_others; /* the walk's */
	atomic_ullong nr_bytes, nr_errors;
	atomic_ullong nr_lost; /* of nr_errors: what the filesystem does not give */
	atomic_bool has_said_owner, has_said_xattr; /* each is said once */
};

/* Report what failed; counted, and the rest goes on. */
__attribute__((format(printf, 2, 3))) void restore_complain(struct restore *r, const char *format, ...);

/* The same where it is the filesystem that does not give something. */
__attribute__((format(printf, 2, 3))) void restore_lose(struct restore *r, const char *format, ...);

/* Did a signal ask to stop? */
bool restore_is_cancelled(const struct restore *r);

/*
 * Extract what is at @inode: a directory into @dest_fd, anything else there under @name. Fails only for lack of memory, or
 * with -ECANCELED; files that were not filled by then are gone.
 */
int restore_tree(struct restore *r, const struct btrkit_inode *inode, const char *name);

/* --- Inodes that were met before (restore_links.c) --- */

/* The path of the first name, NULL: none yet. */
const char *restore_met(const struct restore *r, const struct btrkit_inode *inode);
int restore_remember(struct restore *r, const struct btrkit_inode *inode, const char *path);
void restore_forget_all(struct restore *r);
/* Make @name in @dir_fd another name of the file at @first below the destination. 0 or -errno. */
int restore_link(const struct restore *r, const char *first, int dir_fd, const char *name);

/* Open what a file is to be filled from, so that it begins to be read; in a worker, before any is filled. */
void restore_open(struct restore *r, struct pending_file *file);
/* Fill one file and give it its metadata; in a worker. */
void restore_fill(struct restore *r, unsigned worker, struct pending_file *file);

/* Owner, mode, attributes and times of an open file or directory. */
void restore_metadata_fd(struct restore *r, int fd, const struct btrkit_stat *st, const char *path);
/* The same of a symbolic link or special file, by name. */
void restore_metadata_at(struct restore *r, int dir_fd, const char *name, const struct btrkit_stat *st, const char *path);
/* Flags that must be set while a file is empty (no copy on write), with --inode-flags. */
void restore_early_flags(struct restore *r, int fd, const struct btrkit_stat *st);

#endif
