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
};

struct bch_snapshot {
	u32 id, parent, subvol;
	u32 flags;
};

struct bch_snapshots {
	ARRAY(struct bch_snapshot) list; /* ascending by id */
	ARRAY(struct bch_subvol) subvols; /* ascending by id; of 2020's volumes one, made up */
};

int bch_snapshots_read(struct bch_fs *fs, struct bch_snapshots *ret_snapshots, struct diag *d);
void bch_snapshots_done(struct bch_snapshots *snapshots);
const struct bch_subvol *bch_subvol_find(const struct bch_fs *fs, u32 id);
/* Is @snapshot itself or one of its ancestors @ancestor? */
bool bch_snapshot_sees(const struct bch_fs *fs, u32 snapshot, u32 ancestor);

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
 * is used again.
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
