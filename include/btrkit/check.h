/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is a filesystem sound? Everything that the format promises is checked, nothing is written, and whatever is wrong is
 * handed out, one problem at a time, with the files that it touches.
 */
#ifndef BTRKIT_CHECK_H
#define BTRKIT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/fs.h>
#include <btrkit/job.h>

#ifdef __cplusplus
extern "C" {
#endif

enum btrkit_problem_severity {
	BTRKIT_PROBLEM_NOTE, /* worth knowing, nothing is wrong */
	BTRKIT_PROBLEM_WARNING, /* odd, but nothing is lost by it */
	BTRKIT_PROBLEM_ERROR, /* wrong */
	BTRKIT_PROBLEM_FATAL, /* so wrong that the check could not go on */
};

/* A row of the catalogue: one thing that can be wrong. */
struct btrkit_problem_kind {
	const char *code; /* stable: "extent-missing" */
	enum btrkit_problem_severity severity;
	const char *message; /* as printf() formats it */
	const char *meaning; /* for the user */
	const char *repair; /* what a repair would do */
};
/* -ENOENT: no more than @index kinds. */
BTRKIT_API int btrkit_problem_kind_at(size_t index, struct btrkit_problem_kind *ret_kind);

#define BTRKIT_PROBLEM_PATHS_MAX 10

/* Something that is wrong. All pointers are valid during the call only. */
struct btrkit_problem {
	const struct btrkit_problem_kind *kind;
	const char *text; /* one line that says what and where */
	/* Where, as far as it applies; 0 where it does not. */
	uint64_t tree;
	uint64_t logical; /* of a block or an extent */
	uint64_t devid;
	uint64_t physical;
	uint64_t inode;
	bool has_key;
	uint64_t key_objectid, key_offset;
	unsigned key_type;
	/* Files that it touches, in all subvolumes and snapshots: the first ones, and how many there are in all. */
	const char *const *paths;
	size_t nr_paths;
	uint64_t total_paths;
	bool is_total_least; /* there may be more: not everything was looked at */
};

/* 0, or a negative errno, which ends the check. Never called by two threads at once. */
typedef int (*btrkit_problem_fn)(void *arg, const struct btrkit_problem *problem);

/* The least memory that tables can make do with; the program itself, its buffers and threads take up to 64 MiB more. */
#define BTRKIT_CHECK_MEMORY_MIN (16 * 1024 * 1024)

struct btrkit_check_options {
	size_t struct_size; /* set by btrkit_check_options_init() */
	struct btrkit_open_options open; /* exclusive, unless that is cleared */
	bool do_data; /* read all file data, every copy, and compare it with its checksums */
	bool only_first_copy; /* of metadata and data; else all of them are read */
	bool is_quick; /* superblocks, chunks and the trees' roots only */
	uint64_t subvol; /* check the files of this subvolume only; 0: all */
	unsigned threads; /* 0: one for each CPU */
	struct btrkit_job *job; /* progress and cancelling; may be NULL */
	/*
	 * For tables: BTRKIT_CHECK_MEMORY_MIN at least; 0: a quarter of what the machine or the control group has. What does not
	 * fit goes to temporary files without names in @tmpdir; NULL: /var/tmp.
	 */
	uint64_t memory_bytes;
	const char *tmpdir;
	/* Of bcachefs: */
	const char *passphrase; /* if it is encrypted; NULL: none */
	bool no_journal; /* check what is only on the devices, as if the journal were empty */
};
#define btrkit_check_options_init(options) btrkit_check_options_init_size((options), sizeof(*(options)))
BTRKIT_API void btrkit_check_options_init_size(struct btrkit_check_options *options, size_t struct_size);

struct btrkit_check_result {
	uint64_t nr_problems[4]; /* by severity */
	uint64_t metadata_bytes; /* of tree blocks, each copy counted, that were read */
	uint64_t data_bytes; /* read, each copy counted */
	uint64_t nr_blocks, nr_extents, nr_inodes, nr_subvols;
	uint64_t nr_unreadable_blocks; /* what is below them was not checked */
	uint64_t memory_bytes; /* that tables were allowed */
	uint64_t spilled_bytes; /* written to temporary files, because that was not enough */
};

/*
 * Check the filesystem on @paths. 0 when the check ran to its end, whatever it found; -ECANCELED, or what else kept it
 * from running, with @error; *ret_result is filled in any case.
 */
BTRKIT_API int btrkit_check(const char *const *paths, size_t nr_paths, const struct btrkit_check_options *options,
			    btrkit_problem_fn fn, void *arg, struct btrkit_check_result *ret_result,
			    struct btrkit_error *error);

/*
 * The same of a bcachefs volume, all of whose devices are @paths, as it is with its journal laid over: the same problems of its own
 * kinds. 1: there is no bcachefs on them.
 */
BTRKIT_API int btrkit_check_bcachefs(const char *const *paths, size_t nr_paths, const struct btrkit_check_options *options,
				     btrkit_problem_fn fn, void *arg, struct btrkit_check_result *ret_result,
				     struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
