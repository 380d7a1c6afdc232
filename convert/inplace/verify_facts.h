/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Facts about inodes, the form that both sides of the verification are brought to, and their sums.
 *
 * A fact is hashed with a key that nobody knows beforehand. What the source says is added to the inode's sum, what the new tree
 * says is taken away, in any order and by any thread: 0 is left when both say the same. Two lanes of 64 bits make it as
 * unlikely as need be that differences cancel out.
 *
 * A run is hashed as where it begins minus where it ends. So runs that go on from each other give the same sum as one run,
 * wherever they are cut, and a file that lies over many leaves needs no joining.
 */
#ifndef BTRKIT_CONVERT_INPLACE_VERIFY_FACTS_H
#define BTRKIT_CONVERT_INPLACE_VERIFY_FACTS_H

#include "convert/inplace/verify.h"

enum fact_kind {
	FACT_INODE,
	FACT_BYTES, /* a link target, or contents that lie in the inode */
	FACT_RUN, /* bytes of a file on the device */
	FACT_XATTR,
	FACT_NAME, /* of a directory's entry */
	FACT_LINKS, /* names of the inode: the source gives them one by one */
	FACT_ODD, /* anything that must not be: name has the words */
};

/* Hashed as it is: no padding. */
struct inode_fact {
	u64 mode, uid, gid, rdev_major, rdev_minor;
	u64 size; /* of files and links; 0 else */
	u64 flags;
	struct {
		u64 sec, nsec;
	} time[4]; /* access, modification, change, birth */
};

struct fact {
	enum fact_kind kind;
	union {
		const struct inode_fact *inode;
		u64 links;
		struct {
			u64 child;
			bool is_subvol; /* child is that */
		};
		struct {
			u64 file_offset, physical, len;
		};
	};
	const void *name; /* of entries and attributes */
	size_t name_len;
	const void *value; /* of attributes; and bytes */
	size_t value_len;
};

/* Takes facts, from any thread. 0 or a negative errno. */
struct fact_sink {
	int (*add)(struct fact_sink *sink, u64 ino, const struct fact *fact, struct diag *d);
	bool (*wants)(struct fact_sink *sink, u64 ino); /* NULL: all */
	bool wants_all_names; /* whatever the directory */
};

static inline bool fact_is_wanted(struct fact_sink *sink, u64 ino)
{
	return !sink->wants || sink->wants(sink, ino);
}

static inline int fact_add_odd(struct fact_sink *sink, u64 ino, const char *words, struct diag *d)
{
	const struct fact fact = { .kind = FACT_ODD, .name = words, .name_len = strlen(words) };

	return sink->add(sink, ino, &fact, d);
}

struct fact_sum {
	u64 lane[2];
};

struct fact_key {
	u64 seed;
	struct fact_sum link; /* of one name: any number that is not known beforehand */
};

void fact_key_init(struct fact_key *key);
struct fact_sum fact_hash(const struct fact_key *key, const struct fact *fact);

/* --- One tree and what it has to be ---------------------------------------------------------------------------------- */

struct verify;

struct verify_tree {
	struct tree tree;
	u64 nr_inos; /* from FIRST_FREE_OBJECTID on, up to the last that the tree has */
	struct fact_sum *sums;
	u64 *has_bytes; /* a bit for each inode: its contents, or link target, lie in it */
	bool is_saved; /* the saved subvolume: attributes of inodes are not compared */
	u64 image_ino; /* there */
	_Atomic(u64) missing_ino; /* the source has an inode of this number, behind the last of the tree; 0: no */
	/* Tell @sink what has to be in the tree. */
	int (*expect)(struct verify *v, struct fact_sink *sink, bool is_detail, struct diag *d);
};

/* Data that was stored anew: bytes of the device, or of the source, against bytes of the filesystem. */
struct copied {
	u64 physical, logical, len;
	u64 ino; /* whose contents the source's journal changes; 0: moved bytes */
	u64 file_offset;
};

struct verify {
	const struct verify_input *input;
	struct btrkit_fs *fs;
	u32 sectorsize;
	struct fact_key key;
	struct cancel *cancel;
	struct progress *progress;
	struct verify_tree files, saved;
	ARRAY(struct copied) copied;
};

static inline bool verify_is_cancelled(const struct verify *v)
{
	return cancel_is_requested(v->cancel);
}

static inline bool verify_tree_has_bytes(const struct verify_tree *tree, u64 ino)
{
	u64 index = ino - FIRST_FREE_OBJECTID;

	return index < tree->nr_inos && (tree->has_bytes[index / 64] >> index % 64 & 1);
}

/* Sums. @is_source: facts are added, else taken away. */
struct sum_sink {
	struct fact_sink sink;
	const struct fact_key *key;
	struct verify_tree *tree;
	bool is_source;
};
void sum_sink_init(struct sum_sink *sums, const struct fact_key *key, struct verify_tree *tree, bool is_source);

/*
 * A run of file @ino, piece by piece as the logical address has it on the device: verify_add_logical() for what the new
 * filesystem has, verify_add_physical() for what the source has, which may have been moved.
 */
int verify_add_logical(const struct verify *v, struct fact_sink *sink, u64 ino, u64 file_offset, u64 logical, u64 len,
		       struct diag *d);
int verify_add_physical(const struct verify *v, struct fact_sink *sink, u64 ino, u64 file_offset, u64 physical, u64 len,
			struct diag *d);

/* --- The new side (verify_tree.c) -------------------------------------------------------------------------------------- */

/* Find subvolume @id and make room for its sums. -EBADMSG: it is not there. */
int verify_tree_open(struct verify *v, u64 id, struct verify_tree *tree, struct diag *d);
void verify_tree_done(struct verify_tree *tree);
/* Take the sums of all leaves away, in all threads. */
int verify_tree_sum(struct verify *v, struct verify_tree *tree, struct diag *d);
/* All facts of one inode. */
int verify_tree_inode(const struct verify *v, const struct verify_tree *tree, u64 ino, struct fact_sink *sink, struct diag *d);

/* --- The source's side --------------------------------------------------------------------------------------------------- */

/* What the files have to be, and what the saved image: verify_source.c, verify_saved.c. */
int verify_expect_files(struct verify *v, struct fact_sink *sink, bool is_detail, struct diag *d);
int verify_expect_saved(struct verify *v, struct fact_sink *sink, bool is_detail, struct diag *d);
/* Subvolumes: which there are, which of them is read-only; the saved one's tree is opened. */
int verify_judge_subvols(struct verify *v, struct diag *d);
/* All data that was stored anew, against where it comes from. */
int verify_copied(struct verify *v, struct diag *d);
/* Checksums are there for all data but what cannot be read. */
int verify_unreadable(struct verify *v, struct diag *d);

/* Small files whose contents the new filesystem has in the inode: read in the order of the device (verify_contents.c). */
struct small_file {
	u64 ino;
	u32 size;
	u32 first_run, nr_runs; /* in the queue's runs */
};
struct contents_queue {
	struct verify *v;
	struct fact_sink *sink;
	ARRAY(struct small_file) files;
	ARRAY(struct source_run) runs;
};
/* Files up to this size can be queued. */
#define CONTENTS_BYTES_MAX ((u32)(64 * KIB))
int contents_queue_add(struct contents_queue *queue, u64 ino, u32 size, const struct source_run *runs, size_t nr_runs,
		       struct diag *d);
/* Tell the sink of the bytes of all that are queued. */
int contents_queue_flush(struct contents_queue *queue, struct diag *d);
void contents_queue_done(struct contents_queue *queue);

/* --- In words (verify_detail.c) ------------------------------------------------------------------------------------------- */

/* 0: all sums of the tree are 0. -EBADMSG, with what differs. */
int verify_judge_sums(struct verify *v, struct verify_tree *tree, struct diag *d);

/* Path of an inode of the new filesystem, or its number where it has none; into @buf, which is returned. */
const char *verify_path(const struct verify *v, u64 subvol, u64 ino, char *buf, size_t cap);

#endif
