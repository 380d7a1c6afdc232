/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes, names, extended attributes, and which of their keys a subvolume sees. */
#ifndef BTRKIT_CONVERT_BCACHEFS_BCH_INODE_H
#define BTRKIT_CONVERT_BCACHEFS_BCH_INODE_H

#include "common/base/array.h"
#include "convert/bcachefs/bch_cursor.h"
#include "convert/source/source.h"

#define BCH_TOP_SUBVOL 1
#define BCH_TOP_INODE 4096

enum {
	BCH_INODE_IMMUTABLE = 1 << 1,
	BCH_INODE_APPEND = 1 << 2,
	BCH_INODE_NODUMP = 1 << 3,
	BCH_INODE_NOATIME = 1 << 4,
	BCH_INODE_SIZE_DIRTY = 1 << 5,
	BCH_INODE_SECTORS_DIRTY = 1 << 6,
	BCH_INODE_UNLINKED = 1 << 7,
	BCH_INODE_31BIT_DIRENT_OFFSET = 1 << 11,
};

struct bch_inode {
	u64 ino;
	u32 snapshot; /* of its key */
	u64 flags; /* BCH_INODE_* */
	u8 hash_type;
	u64 hash_seed;
	u64 size, sectors;
	u32 mode, uid, gid, nlink, dev; /* nlink with what the format leaves out added */
	u64 atime, mtime, ctime, otime; /* in units of the superblock, from its time base; signed */
	u64 dir, dir_offset; /* where a name of it is */
	u32 subvol, parent_subvol; /* of a subvolume's top */
	u32 project;
};

/* 1: a key that is no inode (a tombstone). -EUCLEAN. */
int bch_inode_get(const struct bch_key *key, struct bch_inode *ret_inode, struct diag *d);
struct btrkit_time bch_time(const struct bch_fs *fs, u64 time);
/* All that a source tells of an inode. */
void bch_source_inode(const struct bch_fs *fs, const struct bch_inode *inode, struct source_inode *ret_inode);

struct bch_dirent {
	const char *name;
	u32 name_len;
	const char *hashed; /* what its place is made from: the name, or, where case does not count, that folded */
	u32 hashed_len;
	u8 type; /* DT_*, or 16: a subvolume */
	u64 ino;
	u32 subvol, parent_subvol; /* of type 16 */
};
#define BCH_DT_SUBVOL 16
int bch_dirent_get(const struct bch_key *key, struct bch_dirent *ret_dirent, struct diag *d);

struct bch_xattr {
	char name[256 + 32]; /* with its prefix, NUL-terminated */
	const u8 *value; /* ACLs as stored: bch_acl_to_posix() makes what user space has */
	u32 value_len;
	u8 type;
};
int bch_xattr_get(const struct bch_key *key, struct bch_xattr *ret_xattr, struct diag *d);
/* system.posix_acl_* as the kernel has it; the caller frees *ret_value. */
int bch_acl_to_posix(const u8 *value, size_t len, u8 **ret_value, size_t *ret_len, struct diag *d);

/* What a name's key has as its offset, unless that is taken by another: then one of the next. */
int bch_name_hash(const struct bch_fs *fs, const struct bch_inode *dir, const char *name, size_t len, u64 *ret_hash);
int bch_xattr_hash(const struct bch_fs *fs, const struct bch_inode *inode, u8 type, const char *name, size_t len, u64 *ret_hash);

/* --- Snapshots and subvolumes --------------------------------------------------------------------------------- */

struct bch_subvol {
	u32 id, snapshot;
	u64 top_ino;
	u32 flags; /* 0 read-only, 1 snapshot, 2 unlinked */
	u32 parent; /* that it was made from; 0: none */
	u32 fs_path_parent;
	struct btrkit_time otime;
	bool is_rebuilt; /* its key is lost: this is what other keys tell of it */
	u32 first_snapshot; /* the oldest that is known to be its own; 0: none; only where keys of snapshots are lost */
	bool is_leaf_lost; /* its snapshot is the youngest that is known to be its own, and may have younger ones */
};

struct bch_snapshot {
	u32 id, parent, subvol;
	u32 flags;
	u32 children[2];
	bool is_rebuilt;
};

/* What inodes tell of a snapshot, where the keys of snapshots do not: see bch_snapshots_lost.c. */
struct bch_snapshot_fact {
	u32 id;
	u32 set; /* those of one set are of one tree; the id of one of them */
	u64 tree; /* the inode at the top of all subvolumes of its tree; 0: not known */
	u32 owner; /* the only subvolume that ever wrote to it; 0: not known */
	bool is_root; /* all of the tree descend from it */
	bool is_leaf; /* nobody descends from it */
};

struct bch_snapshots {
	ARRAY(struct bch_snapshot) list; /* ascending by id */
	ARRAY(struct bch_subvol) subvols; /* ascending by id; of 2020's volumes one, made up */
	ARRAY(struct bch_snapshot_fact) facts; /* ascending by id; empty unless something is lost */
	bool is_subvols_lost, is_list_lost; /* not all of their keys could be read */
};

int bch_snapshots_read(struct bch_fs *fs, struct bch_snapshots *ret_snapshots, struct diag *d);
void bch_snapshots_done(struct bch_snapshots *snapshots);
const struct bch_subvol *bch_subvol_find(const struct bch_fs *fs, u32 id);
/*
 * Is @snapshot, which is that of a subvolume, itself or one of its ancestors @ancestor? 1: yes, 0: no, -1: it cannot be told, as keys
 * of snapshots are lost.
 */
int bch_snapshot_judge(const struct bch_fs *fs, u32 snapshot, u32 ancestor);
static inline bool bch_snapshot_sees(const struct bch_fs *fs, u32 snapshot, u32 ancestor)
{
	return bch_snapshot_judge(fs, snapshot, ancestor) > 0;
}
/* Some keys of subvolumes or snapshots are lost: make what can be made of the others and of inodes, and tell of it. */
int bch_snapshots_rebuild(struct bch_fs *fs, struct bch_snapshots *snapshots, const struct diag *why, struct diag *d);

/* A truncation that was begun: see bch_logged_ops.h. */
struct bch_truncate {
	u32 snapshot;
	u32 nr; /* of all, in their order */
	u64 ino;
	u64 new_size;
	u64 sector; /* from here on nothing stays */
};
/*
 * The keys of a btree as one snapshot sees them: of each position the one with the lowest snapshot that is itself or an ancestor,
 * whiteouts left out. BCH_KEY_HASH_WHITEOUT is not left out: who looks for a name goes on behind it. A key is valid until the view
 * is used again. Where keys of snapshots are lost and it cannot be told which key of a position is seen, that is -EUCLEAN, and the
 * cursor's lost_min and lost_max are that position.
 */
struct bch_view {
	struct bch_cursor cursor;
	u32 snapshot;
	bool has_last;
	u64 last_inode, last_offset; /* what has been decided: older keys there are hidden */
};
void bch_view_init(struct bch_view *view, struct bch_fs *fs, u8 btree, u32 snapshot);
void bch_view_done(struct bch_view *view);
/* The first at or behind (@inode, @offset); 1: none. */
int bch_view_seek(struct bch_view *view, u64 inode, u64 offset, struct bch_key *ret_key, struct diag *d);
int bch_view_next(struct bch_view *view, struct bch_key *ret_key, struct diag *d);

#endif
