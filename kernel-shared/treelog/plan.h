/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the replay of a log would do, worked out without doing it: the replay's operations, answered from the committed
 * subvolumes and, over them, what the steps before have changed. All in sorted or hashed arrays, nothing on the heap for itself.
 *
 * After plan_make() nothing changes: any number of threads may look.
 */
#ifndef BTRKIT_KERNEL_SHARED_TREELOG_PLAN_H
#define BTRKIT_KERNEL_SHARED_TREELOG_PLAN_H

#include "kernel-shared/treelog/replay.h"

struct plan_step {
	enum btrkit_log_action action;
	u64 subvol, ino;
	u64 from, to; /* directory and index; or file offset and end */
	u64 name_at; /* in plan.bytes: a name; or a struct disk_inode_item */
	u64 value_at;
	u16 name_len, value_len;
	u32 nlink;
	bool is_size_only; /* all other fields of the inode item stay as they are by then */
	const struct treelog_item *item; /* of an extent */
};

/* An inode that some step is about. */
struct plan_inode {
	u64 subvol, ino;
	bool was_there, is_there;
	bool is_changed, is_removed;
	bool is_rooted; /* a directory whose way up was looked at (plan_sound.c) */
	struct disk_inode_item before, after;
	u64 dropped_from; /* in the committed file nothing is left from here on; UINT64_MAX: all is */
	u64 nr_linked, nr_unlinked, nr_extents, data_bytes, nr_dropped, nr_xattrs_set, nr_xattrs_deleted, nr_losses;
	u32 next; /* of its chain, while the plan is made */
};

enum { NAMES_BY_INDEX, NAMES_BY_NAME, NAMES_BY_DIR, NAMES_BY_INODE, NAMES_CHAINS };

/* A name that was linked or unlinked: the committed directory is not asked for it any more. */
struct plan_name {
	u64 subvol, dir, index, ino;
	u64 name_at; /* in plan.bytes */
	u16 name_len;
	u8 type;
	bool is_extref;
	bool is_present;
	u32 next[NAMES_CHAINS];
};

/* Chains of a hash table; a link is a number in an array, plus one; 0: the end. */
struct plan_chains {
	u32 *heads;
	size_t nr; /* a power of two */
};

struct plan {
	const struct treelog *log;
	const struct treelog_subvol *subvol; /* that replay is at */
	struct cursor cursor; /* in its committed tree */
	ARRAY(struct plan_step) steps;
	ARRAY(u32) steps_by_inode; /* their numbers, by subvolume, inode and number */
	ARRAY(struct plan_inode) inodes; /* in the end by subvolume and number */
	struct plan_chains inode_chains;
	ARRAY(struct plan_name) names;
	struct plan_chains name_chains[NAMES_CHAINS];
	size_t nr_present; /* of names */
	ARRAY(u8) bytes;
	struct treelog_losses losses; /* those of the log, and what replay found */
	bool is_unsound; /* nothing of it must be done, whatever is accepted; a loss says why */
};

/* Plan the replay of @log, which must outlive the plan. */
int plan_make(const struct treelog *log, struct plan **ret_plan, struct diag *d);
void plan_free(struct plan *plan);
DEFINE_FREEP(struct plan *, plan_free)

/* What replay does to an inode, or NULL. Of a plan that is made. */
const struct plan_inode *plan_inode_find(const struct plan *plan, u64 subvol, u64 ino);

/* The same while the plan is made. */
struct plan_inode *plan_inode_known(const struct plan *plan, u64 subvol, u64 ino);

/* Look whether all that the steps lead to can be; else plan->is_unsound. Before the inodes are sorted. */
int plan_judge(struct plan *plan, struct diag *d);

/* Where the steps of an inode begin in steps_by_inode, and how many there are. Of a plan that is made. */
size_t plan_steps_of(const struct plan *plan, u64 subvol, u64 ino, size_t *ret_first);

/* Copy @len bytes, and a zero byte, to the end of plan->bytes. */
int plan_keep_bytes(struct plan *plan, const void *bytes, size_t len, u64 *ret_at, struct diag *d);

/* --- Names: plan_names.c ------------------------------------------------------------------------------------------ */

/* As the operations of the same names in replay.h; @cursor in the committed tree of @subvol. */
int plan_find_name(const struct plan *plan, struct cursor *cursor, u64 subvol, u64 dir, const u8 *name, u16 name_len,
		   struct replay_entry *ret_entry, struct diag *d);
int plan_find_index(const struct plan *plan, struct cursor *cursor, u64 subvol, u64 dir, u64 index,
		    struct replay_entry *ret_entry, struct diag *d);
int plan_next_entry(const struct plan *plan, struct cursor *cursor, u64 subvol, u64 dir, u64 from,
		    struct replay_entry *ret_entry, struct diag *d);
int plan_list_names(const struct plan *plan, struct cursor *cursor, u64 subvol, u64 ino, struct replay_entries *names,
		    struct diag *d);
/* From now on the entry is there, or is not. */
int plan_set_name(struct plan *plan, u64 subvol, const struct replay_entry *entry, bool is_present, struct diag *d);

/* --- Chains --------------------------------------------------------------------------------------------------------- */

static inline u64 plan_hash(u64 a, u64 b, u64 c)
{
	u64 hash = (a * 0x9E3779B97F4A7C15ULL ^ b) * 0xC2B2AE3D27D4EB4FULL ^ c;

	hash ^= hash >> 29;
	hash *= 0x9E3779B97F4A7C15ULL;
	return hash ^ hash >> 32;
}

/* Twice as many chains, at least 64, all empty. -ENOMEM. */
int plan_chains_grow(struct plan_chains *chains);

static inline u32 *plan_chain(const struct plan_chains *chains, u64 hash)
{
	return &chains->heads[hash & (chains->nr - 1)];
}

/* --- Paths: plan_paths.c --------------------------------------------------------------------------------------------- */

/*
 * A path of an inode as it is after replay, from the top of the filesystem, NUL-terminated into @buf. -ENOENT: it has none;
 * -ERANGE: longer than @cap; -EUCLEAN: its directories go round in a ring.
 */
int plan_path(const struct plan *plan, u64 subvol, u64 ino, char *buf, size_t cap, struct diag *d);

#endif
