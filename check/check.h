/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The check's context and its passes. Each pass states at the top of its file what it proves, and which facts it leaves
 * for later ones.
 *
 * The idea: every tree block is read once, in physical order, all copies of it, by all threads. What can be judged from a
 * leaf alone is judged there. What must agree between leaves is either folded along the key order (an inode whose items
 * lie in two leaves), or compared by sums of keyed hashes that do not depend on order: all directory indexes against all
 * names of inodes, all references that trees make against all that the extent tree records, free space against extents.
 * Sums that differ are looked into by a detail pass, which lists the single items; a sound filesystem never needs one, and
 * therefore no table of its extents or names.
 *
 * Tables that grow with the filesystem are sorted records, written and read in order (common/spill): each takes a fixed
 * share of the memory that there is, and what does not fit goes to temporary files.
 */
#ifndef BTRKIT_CHECK_CHECK_H
#define BTRKIT_CHECK_CHECK_H

#include <btrkit/check.h>

#include "check/paths.h"
#include "check/problem.h"
#include "check/ranges.h"
#include "common/base/array.h"
#include "common/work/pool.h"
#include "common/work/progress.h"
#include "kernel-shared/format/leaf.h"
#include "kernel-shared/fs/fs.h"

struct block_table;

/* Sums over one block group, from all workers. */
struct group_sums {
	u64 used_bytes;
	u64 refs; /* recorded references - found ones, hashed: 0 when they are the same */
	u64 space; /* boundaries of extents and free space: 0 when they fill the group without gap or overlap */
	bool wants_detail; /* its references differ */
};

/* A tree that the root tree knows, or one of the superblock's own. */
struct check_root {
	u64 id; /* of the tree, or of the subvolume that a relocation tree belongs to */
	bool is_reloc;
	u64 logical, generation;
	u8 level;
	u32 refs; /* of the root item */
	bool is_dropping; /* being deleted: parts of it are gone */
	struct key drop_progress;
	u8 drop_level;
	struct key item_key;
};

/*
 * A subvolume that is deleted or being deleted. Its blocks and extents are in use as long as they are there. Its inodes are
 * not whole: Linux drops what it had not written yet of them, sizes, link counts and directory indexes, and a power cut
 * shows that.
 */
bool root_is_deleted(const struct check_root *root);

/* Bytes that were allocated for subvolume @root. */
struct owner_sum {
	u64 root, bytes;
};
struct owner_sums {
	ARRAY(struct owner_sum) list; /* by root, ascending */
};

/* What each worker has for itself; between two sweeps, the caller's thread uses that of worker 0. */
struct check_worker {
	struct ranges_reader csums, full_backrefs;
};

/* A filesystem with a log is looked at twice: its superblocks as they are, and the rest as it is after the replay. */
enum check_stage { CHECK_WHOLE, CHECK_SUPERS, CHECK_BEHIND_SUPERS };

struct check {
	const struct btrkit_check_options *options;
	struct btrkit_fs *fs;
	struct pool *pool;
	struct progress *progress; /* may be NULL */
	struct cancel *cancel;
	struct problem_sink sink;
	struct path_finder finder;
	struct btrkit_check_result *result;
	enum check_stage stage;
	u64 hash_seed;
	u64 generation; /* of the superblock: nothing is newer */
	u8 chunk_tree_uuid[UUID_SIZE]; /* as the chunk tree's root has it */
	bool has_chunk_tree_uuid;

	ARRAY(struct check_root) roots;
	/* Tables take shares of the memory; what does not fit into a share goes to temporary files. */
	u64 memory_bytes;
	struct spill spill;
	struct block_table *blocks;
	/* By the index of the chunk in the chunk map. */
	struct group_sums *groups;
	size_t nr_groups;
	struct ranges csums; /* data that has checksums */
	struct ranges data_extents; /* data that extents cover */
	struct ranges log_extents; /* data that an unreplayed log has */
	struct ranges full_backrefs; /* blocks whose references are by their parent's address */
	struct sorter *extent_facts; /* struct extent_fact, in the order of the extent tree */
	struct sequence *lost_blocks; /* struct lost_block */
	struct check_worker *workers;
	u64 simple_quotas_since; /* the generation from which on extents count for who allocated them; 0: there are none */
	struct owner_sums owners; /* of data and blocks */
	ARRAY(u64) orphan_roots; /* ORPHAN items of the root tree */
	/* While a detail pass runs: the references of some groups are kept instead of summed. */
	struct sorter *detail;
	_Atomic(int) detail_err; /* not all could be kept */
	bool is_incomplete; /* some block could not be read: what is missing may be in it */
	bool is_csum_tree_short; /* as above, one of the checksum tree */
	bool is_extent_tree_short; /* as above, one of the extent tree; or there is none */
};

static inline u32 check_nodesize(const struct check *check)
{
	return check->fs->volume->nodesize;
}

static inline u32 check_sectorsize(const struct check *check)
{
	return check->fs->volume->sectorsize;
}

/* What btrfs-image restores has no data, and zeroes for inline data. */
static inline bool check_has_data(const struct check *check)
{
	return !(le64_get(check->fs->super.flags) & (SUPER_FLAG_METADUMP | SUPER_FLAG_METADUMP_V2));
}

/* Complain of an item whose generation is newer than the filesystem's. */
void check_generation(struct check *check, u64 tree, u64 leaf, const struct key *key, u64 generation);

/* btrkit_check() of a filesystem that is open, and stays the caller's. */
int check_fs(struct btrkit_fs *fs, const struct btrkit_check_options *options, btrkit_problem_fn fn, void *arg,
	     struct btrkit_check_result *ret_result, struct diag *d);
/* The same of one that is taken over. */
int check_run(struct btrkit_fs *fs, const struct btrkit_check_options *options, btrkit_problem_fn fn, void *arg,
	      struct btrkit_check_result *ret_result, struct diag *d);

/* What is taken when options do not say. */
u64 check_default_memory(void);

/* A keyed hash of @len bytes that have no padding. */
u64 check_hash(const struct check *check, const void *bytes, size_t len);

/* Index of the chunk that holds @logical in the chunk map; SIZE_MAX: none. */
size_t check_group_of(const struct check *check, u64 logical);

/* The length of the extent that the extent tree has at @logical; 0: none. */
u64 extent_length(struct check *check, u64 logical);

/* Is the block one whose references are by its address? Known when the extent tree has been read. */
bool check_is_full_backref(struct check *check, unsigned worker, u64 logical);

/* Does the tree @id, followed by @key, come to the block at @logical on @level? Damage on the way means no. */
bool check_leads_to(struct check *check, u64 id, u8 level, const struct key *key, u64 logical);

/* --- Passes, in their order. Each returns a negative errno only for what ends the check. -------------------------- */

int pass_supers(struct check *check, struct diag *d); /* superblocks of all devices, all copies */
int pass_roots(struct check *check, struct diag *d); /* finds the trees */
int pass_chunks(struct check *check, struct diag *d); /* chunks, devices, device extents, block groups */
int pass_nodes(struct check *check, struct diag *d); /* all nodes; finds the leaves */
int pass_space_leaves(struct check *check, struct diag *d); /* leaves of extent, checksum, free space and small trees */
int pass_fs_leaves(struct check *check, struct diag *d); /* leaves of subvolumes */
int pass_lost(struct check *check, struct diag *d); /* the files behind blocks that cannot be read */
int pass_owners(struct check *check, struct diag *d); /* of tree blocks */
int pass_space(struct check *check, struct diag *d); /* extents, references, block groups, free space, checksums */
int pass_subvols(struct check *check, struct diag *d); /* root items, their references, uuid tree, default */
int pass_quotas(struct check *check, struct diag *d); /* the numbers of quota groups */
int pass_log(struct check *check, struct diag *d);
int pass_csums(struct check *check, struct diag *d); /* checksums of data that is not there */
int pass_data(struct check *check, struct diag *d); /* file data, every copy */

/* The single references that make the sums of groups with wants_detail differ. */
int detail_references(struct check *check, struct diag *d);
/* The single names that make a subvolume's sums differ. */
int detail_names(struct check *check, const struct check_root *root, struct diag *d);
/* The entries of a subvolume that lead to subvolumes, whose names sum up to @names, against the root tree. */
void judge_subvol_entries(struct check *check, u64 subvol, u64 names);
/* The single ranges where free space and extents disagree. */
int detail_free_space(struct check *check, size_t group, struct diag *d);

#endif
