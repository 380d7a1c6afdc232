/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A filesystem as plain arrays in memory, beside which a real one is changed: what names there are, what they lead to, what
 * is in files. Include after cmocka.h.
 */
#ifndef BTRKIT_TESTS_MODEL_EDIT_MODEL_H
#define BTRKIT_TESTS_MODEL_EDIT_MODEL_H

#include <btrkit/btrkit.h>

#include "common/base/array.h"

#define MODEL_FILE_MAX (400 * KIB)
#define MODEL_XATTRS_MAX 4

struct model_xattr {
	char name[24]; /* "": none */
	u32 len;
	u8 fill;
};

/* Of one subvolume. */
struct model_inode {
	u64 subvol, ino;
	u32 mode, uid, gid, nlink; /* nlink 0: gone */
	s64 mtime_sec;
	u64 size;
	u8 *data; /* size bytes; of a symbolic link its target */
	u64 data_cap;
	struct model_xattr xattrs[MODEL_XATTRS_MAX];
};

struct model_name {
	struct btrkit_inode dir;
	char name[64];
	struct btrkit_inode inode; /* ino BTRKIT_EMPTY_DIR: a subvolume that is not there */
	bool is_gone;
};

struct model_subvol {
	u64 id;
	bool is_read_only, is_gone;
};

struct edit_model {
	ARRAY(struct model_inode) inodes; /* by (subvol, ino) of making; those gone stay */
	ARRAY(struct model_name) names;
	ARRAY(struct model_subvol) subvols;
	u64 default_subvol;
	char label[64];
};

void model_init(struct edit_model *model);
void model_done(struct edit_model *model);
void model_copy(struct edit_model *to, const struct edit_model *from);

struct model_inode *model_inode(struct edit_model *model, const struct btrkit_inode *inode);
struct model_inode *model_inode_add(struct edit_model *model, u64 subvol, u64 ino, u32 mode);
struct model_name *model_name(struct edit_model *model, const struct btrkit_inode *dir, const char *name);
void model_name_add(struct edit_model *model, const struct btrkit_inode *dir, const char *name,
		    const struct btrkit_inode *inode);
bool model_dir_is_empty(struct edit_model *model, const struct btrkit_inode *dir);
struct model_subvol *model_subvol(struct edit_model *model, u64 id);
/* Does @inode lie in @dir, or is it @dir? Across subvolumes. */
bool model_is_below(struct edit_model *model, const struct btrkit_inode *inode, const struct btrkit_inode *dir);
/* Bytes change, and the file grows to hold them; @data NULL: zeroes. */
void model_write(struct model_inode *inode, u64 offset, const u8 *data, u64 len);
void model_truncate(struct model_inode *inode, u64 size);

/* All that the model knows is in @fs, and nothing else. Fails the test if not; @what says where. */
void model_compare(struct edit_model *model, struct btrkit_fs *fs, const char *what);

#endif
