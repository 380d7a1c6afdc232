/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Saying what is wrong: the catalogue's codes, and the one way to report. */
#ifndef BTRKIT_CHECK_PROBLEM_H
#define BTRKIT_CHECK_PROBLEM_H

#include <btrkit/check.h>
#include <pthread.h>

#include "common/base/diag.h"
#include "kernel-shared/format/key.h"

struct extent_user;
struct path_finder;
struct path_list;

enum problem_id {
#define PROBLEM(id, code, severity, message, meaning, repair) PROBLEM_##id,
#include "check/problems.def"
#undef PROBLEM
	NR_PROBLEMS
};

/* The messages as constants that the compiler compares with their arguments. */
#define PROBLEM(id, code, severity, message, meaning, repair)                                      \
	__attribute__((unused)) static const char PROBLEM_MESSAGE_##id[] = message;
#include "check/problems.def"
#undef PROBLEM

/* Where; a member is 0 (false) where it does not apply. */
struct place {
	u64 tree;
	u64 logical;
	u64 devid, physical;
	u64 inode; /* of subvolume tree: its paths are said, too, in all snapshots that share it */
	bool is_of_tree_alone; /* others that share the inode are told of by themselves */
	u64 extent; /* the paths of all files that have it are said */
	const struct extent_user *users; /* of the extent, as far as they are known */
	size_t nr_users;
	u64 block; /* a tree block: those with items in it or below are said */
	u64 data, data_len_bytes; /* an address of data, in place of an extent */
	bool has_key;
	struct key key;
	const struct path_list *paths; /* found by whoever reports */
};

struct problem_sink {
	btrkit_problem_fn fn;
	void *arg;
	pthread_mutex_t lock; /* guards what follows: problems come from all threads */
	u64 counts[4];
	int err; /* of the function; ends the check */
	bool is_muted; /* while something is read a second time, all of which was complained of before */
	struct path_finder *finder; /* NULL: not open yet */
};

void problem_sink_init(struct problem_sink *sink, btrkit_problem_fn fn, void *arg);
void problem_sink_done(struct problem_sink *sink);

__attribute__((format(printf, 4, 5))) void problem_report(struct problem_sink *sink, enum problem_id id,
							   const struct place *place, const char *message, ...);

/* complain(check, EXTENT_MISSING, &(struct place){ ... }, arguments of the message...) */
#define complain(check, id, place, ...)                                                            \
	problem_report(&(check)->sink, PROBLEM_##id, (place), PROBLEM_MESSAGE_##id, ##__VA_ARGS__)

/* An item that block_check_item() refuses: the code is that of its kind, the text what was said of it. */
void problem_report_item(struct problem_sink *sink, u8 key_type, const struct place *place, const char *text);

#define AT(...) (&(const struct place){ __VA_ARGS__ })

#endif
