/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Another filesystem, as far as it has to be known to become Btrfs where it lies: which bytes it uses, its inodes and
 * names, and where the data of files is on the device. A source only reads. One kind of filesystem is one table of
 * operations.
 *
 * Life: open -> preflight facts in info -> used ranges -> scan, as often as wanted, each time the same -> close. All
 * calls are made by one thread, but read(), which any number may make at once.
 */
#ifndef BTRKIT_CONVERT_SOURCE_SOURCE_H
#define BTRKIT_CONVERT_SOURCE_SOURCE_H

#include <btrkit/content.h>
#include <btrkit/time.h>

#include "common/base/array.h"
#include "common/work/progress.h"
#include "kernel-shared/device/blockdev.h"
#include "kernel-shared/format/disk.h"

struct source;

struct source_info {
	const char *type; /* "ext4": constant */
	char label[256]; /* "" : none */
	u8 uuid[UUID_SIZE];
	u32 block_bytes; /* what it allocates at least: all physical addresses and lengths are multiples */
	u64 total_bytes; /* of the filesystem, which begins where the device begins; of all devices together */
	u64 nr_inodes; /* in use, about: for progress; 0: not known */
	u64 top_subvol, top_ino; /* of kinds that have no subvolumes: SOURCE_ONLY_SUBVOL */
	u64 magic_physical; /* where the bytes lie that make others take the device for this kind of filesystem, ... */
	u32 magic_len; /* ... to be zeroed when it no longer is */
	bool has_journal; /* entries of a journal that was not empty lie over it, in memory */
	u64 journal_nr_blocks; /* blocks that they change */
	bool is_incomplete; /* some of what the journal should have is damaged or missing; notes have told what */
	bool has_lost_snapshots; /* what tells snapshots apart is lost; notes have told what that costs */
};

/* In which all inodes are, where there are no subvolumes. Else inode numbers are those within one subvolume. */
#define SOURCE_ONLY_SUBVOL ((u64)1)

struct source_inode {
	u64 ino; /* the source's number */
	u32 mode, uid, gid;
	u32 nlink;
	u32 rdev_major, rdev_minor; /* of devices */
	u32 inode_flags; /* BTRKIT_INODE_* */
	u64 size; /* of regular files and link targets */
	struct btrkit_time atime, mtime, ctime, otime; /* otime: when it was made; not known: ctime */
};

/*
 * Bytes of a regular file that lie on the device. What no run covers are holes, or reads as zeroes for another reason
 * (allocated but never written). Ascending by file_offset, without overlap, merged where both sides go on.
 */
struct source_run {
	u64 file_offset; /* multiples of block_bytes, all three; the last run may reach beyond the file's size */
	u64 physical;
	u64 len;
	/* The journal has newer contents for some of it than the device: to be read with source_read() and stored anew. */
	bool is_overlaid;
	/*
	 * What lies there is not what the file has, but compressed, encrypted, or of another length: physical and its len say where
	 * data begins and how much of the file it is, and read_file() alone gives it.
	 */
	bool is_encoded;
	u32 device; /* index of the one on which physical is, as they were given to open() */
};

/*
 * Receives a scan. Each function returns 0, or a negative errno, which ends the scan and is what it returns. Order: all
 * that belongs to one inode together, inode() first; inodes in no particular order, the same each time. entry() after
 * inode() of the directory; the child's own inode() may come before or after. "." and ".." are not told.
 */
struct source_sink {
	int (*inode)(struct source_sink *sink, const struct source_inode *inode, struct diag *d);
	/* @name as in user space, with its prefix; ACLs as the kernel's system.posix_acl_* values. */
	int (*xattr)(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d);
	int (*symlink)(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d);
	/* All runs of a regular file; not called for one without any. */
	int (*runs)(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d);
	/* Instead of runs: contents of a small file that have no blocks of their own. */
	int (*bytes)(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d);
	int (*entry)(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 child_ino,
		     struct diag *d);
	/* Instead of entry() for a name that is the top of another subvolume. NULL: these are left out. */
	int (*subvol)(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 subvol, struct diag *d);
};

/* A subvolume, for kinds that have them. */
struct source_subvol {
	u64 id, top_ino;
	u64 parent; /* the subvolume that it is a snapshot of, or was; 0: none */
	bool is_read_only, is_snapshot;
	struct btrkit_time otime;
};

struct source_options {
	/*
	 * Nothing is to be converted: what Btrfs cannot have is no reason to refuse, and what makes only a conversion unsafe (errors that are
	 * on record, a mark that it was not unmounted) is a warning.
	 */
	bool only_reads;
	bool do_skip_unsupported; /* files that Btrfs cannot have (encrypted, ...) are left out, with a note each */
	bool no_xattrs;
	bool is_force; /* go on although the source is not marked clean */
	u64 memory_bytes; /* for what the journal says; 0: a default */
	const char *tmpdir; /* for what does not fit into that; NULL: /var/tmp */
	bool whole_journal; /* of a clean volume, too, of which else only the end is read: for who checks or converts it */
	bool no_journal; /* as if it were empty: shows what only is on the devices */
	bool ignore_csums; /* hand out data that does not match its checksum */
	const char *passphrase; /* of encrypted volumes; NULL: none */
	/*
	 * Called in a scan for each name that is left out, with the reason ("is encrypted"); may be NULL. @path is that of the file in the
	 * source, with a slash before it; a directory stands for all that is below it.
	 */
	void (*left_out)(void *ctx, const char *path, const char *why);
	void *left_out_ctx;
};

typedef int (*source_range_fn)(void *ctx, u64 physical, u64 len, struct diag *d);

struct source_ops {
	const char *type;
	/*
	 * 1: not a filesystem of this kind. -EUCLEAN: damaged, or not cleanly enough left; -EOPNOTSUPP: a feature that cannot be
	 * converted, named. @devs stay the caller's and must outlive the source. Kinds that lie on one device refuse more. Devices that
	 * are missing are told as warnings, with what that costs.
	 */
	int (*open)(struct blockdev *const *devs, size_t nr_devs, const struct source_options *options, struct source **ret_source,
		    struct diag *d);
	void (*close)(struct source *source);
	/*
	 * Bytes in use of one device, by its index as they were given to open(): ascending, apart, with those of its own structures. Block
	 * multiples.
	 */
	int (*used_ranges)(struct source *source, u32 device, source_range_fn fn, void *ctx, struct diag *d);
	int (*scan)(struct source *source, struct source_sink *sink, struct progress *progress, struct diag *d);
	/* Bytes of the device as they are with the journal laid over. From any thread. NULL for kinds whose journal has no blocks. */
	int (*read)(struct source *source, u64 physical, void *buf, size_t len, struct diag *d);

	/*
	 * For who wants single files and not all: any number of threads at once, each with a sink of its own. look() tells one inode as
	 * scan() would, but may be asked for less: what @sink has no function for (NULL; it always has inode()) is not looked for and
	 * cannot fail. What a function returns ends it, also if positive, and is returned. Where entries of a directory or runs of a file
	 * are damaged or cannot be read, the others are told all the same, before it fails. -ENOENT: there is no inode of this number.
	 * -EOPNOTSUPP: it cannot be given (is encrypted without a key, ...).
	 */
	int (*look)(struct source *source, u64 subvol, u64 ino, struct source_sink *sink, struct diag *d);
	/* The inode, or the subvolume, that a directory has under a name. -ENOENT. *ret_subvol is @subvol, but at a subvolume's name. */
	int (*look_up)(struct source *source, u64 subvol, u64 dir_ino, const char *name, size_t name_len, u64 *ret_subvol, u64 *ret_ino,
		       struct diag *d);
	/*
	 * Exactly @len bytes of a regular file at @file_offset, all before its end; holes as zeroes. -EUCLEAN, -EIO: the first byte that cannot
	 * be given is at *ret_bad_offset; what is before it in @buf is right. NULL for kinds whose runs are never encoded and have no
	 * checksums: read() gives them.
	 */
	int (*read_file)(struct source *source, u64 subvol, u64 ino, u64 file_offset, void *buf, size_t len, u64 *ret_bad_offset,
			 struct diag *d);
	/* The subvolume at @index, ascending by id; 1: there are not so many. NULL where there are none. */
	int (*subvol_at)(struct source *source, size_t index, struct source_subvol *ret_subvol, struct diag *d);
};

struct source {
	const struct source_ops *ops;
	struct source_info info;
	/*
	 * Set by who has opened it: scans leave out what cannot be read (-EIO), with a warning for each name: files of which anything but
	 * the data cannot be, directories with all that is below them, names in blocks of directories. Space that is in use has to be
	 * known all the same.
	 */
	bool is_partly_unreadable;
};

static inline void source_close(struct source *source)
{
	if (source)
		source->ops->close(source);
}
DEFINE_FREEP(struct source *, source_close)

#endif
