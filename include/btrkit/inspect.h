/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Looking at the structures of a filesystem: superblocks, trees and chunks, as rows of named values.
 *
 * What is found is handed to a printer, which makes text, JSON or anything else of it: values have names, and stand in
 * objects (their members are named) and lists (theirs are not). Names and their meaning are those of
 * Documentation/btrkit-inspect.rst.
 */
#ifndef BTRKIT_INSPECT_H
#define BTRKIT_INSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/file.h>
#include <btrkit/fs.h>

#ifdef __cplusplus
extern "C" {
#endif

enum btrkit_value_kind {
	BTRKIT_VALUE_UNSIGNED, /* number */
	BTRKIT_VALUE_SIGNED, /* number, as int64_t */
	BTRKIT_VALUE_FLAGS, /* number, best shown in hexadecimal; text: names of its bits, "A|B" */
	BTRKIT_VALUE_TEXT, /* text */
	BTRKIT_VALUE_NAME, /* len bytes at text: a file's name or an attribute's value, in no encoding */
	BTRKIT_VALUE_BOOL, /* number 0 or 1 */
	BTRKIT_VALUE_KEY, /* objectid, number (its type) and offset; text: "(objectid TYPE offset)" with names where known */
};

struct btrkit_value {
	enum btrkit_value_kind kind;
	uint64_t number;
	const char *text; /* valid during the call; NUL-terminated but for BTRKIT_VALUE_NAME */
	size_t len;
	uint64_t objectid, offset; /* of a key */
};

struct btrkit_printer {
	void *ctx;
	/* An object or a list begins; @name is NULL in a list and at the top. */
	void (*begin)(void *ctx, const char *name, bool is_list);
	void (*end)(void *ctx);
	void (*value)(void *ctx, const char *name, const struct btrkit_value *value);
};

/*
 * Superblock copy @mirror (0, 1, 2) of the device or file at @path, whatever it holds, as one object. @do_show_arrays:
 * with its chunk array and backup roots. -ENOENT: the device is too small to have that copy; -EMEDIUMTYPE: there is no
 * superblock there, and @is_forced is not set.
 */
BTRKIT_API int btrkit_inspect_super(const char *path, uint64_t offset_bytes, unsigned mirror, bool do_show_arrays,
				    bool is_forced, const struct btrkit_printer *printer, struct btrkit_error *error);

/*
 * The same for bcachefs: @copy, in the order of its layout, or all copies, as one object each; @is_full: with what the superblock says of
 * the end of the journal. Keys of encrypted volumes are never shown. -ENOENT: there is no such copy; -EMEDIUMTYPE: there is none at
 * all.
 */
BTRKIT_API int btrkit_inspect_super_bcachefs(const char *path, uint64_t offset_bytes, unsigned copy, bool do_all, bool is_full,
					     const struct btrkit_printer *printer, struct btrkit_error *error);

/* --- Trees ----------------------------------------------------------------------------------------------------- */

struct btrkit_tree_info {
	uint64_t id;
	/*
	 * Of log and relocation trees, which share an id: the subvolume. Of snapshots: the transaction that made them.
	 */
	uint64_t offset;
	const char *name; /* "EXTENT_TREE", ...; NULL: a subvolume */
	uint64_t logical; /* of the root block */
	uint64_t generation;
	int level;
};
/*
 * Call @fn for each tree: root, chunk, those of the root tree by id, the tree of log trees, and each log tree. A result
 * other than 0 ends it and is returned.
 */
typedef int (*btrkit_tree_fn)(void *arg, const struct btrkit_tree_info *tree);
BTRKIT_API int btrkit_tree_for_each(struct btrkit_fs *fs, btrkit_tree_fn fn, void *arg, struct btrkit_error *error);

/* "extent", "EXTENT_TREE", "5", "-9", ... to a tree's id. -EINVAL: there is no tree of that name. */
BTRKIT_API int btrkit_tree_id_parse(const char *text, uint64_t *ret_id);

/*
 * Every block of tree @id, one object each, parents before children; of TREE_LOG and TREE_RELOC, all of the trees with that
 * id. A block that cannot be read is shown as an object
 * that says so, and the rest goes on; the result is then -EUCLEAN.
 */
BTRKIT_API int btrkit_inspect_tree(struct btrkit_fs *fs, uint64_t id, const struct btrkit_printer *printer,
				   struct btrkit_error *error);

/* The same of all trees. */
BTRKIT_API int btrkit_inspect_all(struct btrkit_fs *fs, const struct btrkit_printer *printer, struct btrkit_error *error);

/* The block at @logical; @do_follow: and all below it. */
BTRKIT_API int btrkit_inspect_block(struct btrkit_fs *fs, uint64_t logical, bool do_follow,
				    const struct btrkit_printer *printer, struct btrkit_error *error);

/* All items of one inode in its subvolume's tree, one object each. */
BTRKIT_API int btrkit_inspect_inode(struct btrkit_fs *fs, const struct btrkit_inode *inode,
				    const struct btrkit_printer *printer, struct btrkit_error *error);

/* --- Btrees of bcachefs ------------------------------------------------------------------------------------------ */

/* For a filesystem that btrkit_source_open() has opened. -EOPNOTSUPP: it is of another kind. */

struct btrkit_btree_info {
	uint8_t id;
	bool has_root; /* else only the journal may have keys of it */
	uint8_t level; /* of the root; leaves have 0 */
	const char *name; /* "extents", ...; "btree 40" where it has none. Valid during the call */
};
/* Call @fn for each btree by id. A result other than 0 ends it and is returned. */
typedef int (*btrkit_btree_fn)(void *arg, const struct btrkit_btree_info *btree);
BTRKIT_API int btrkit_btree_for_each(struct btrkit_fs *fs, btrkit_btree_fn fn, void *arg, struct btrkit_error *error);

/*
 * All keys of the btree of that name or id, of all btrees if it is NULL, as they are with the journal laid over: an object for the
 * btree, then one for each key, ascending. A range that cannot be read is shown as an object that says so, and the rest goes on; the
 * result is then -EUCLEAN. -EINVAL: there is no btree of that name.
 */
BTRKIT_API int btrkit_inspect_btree(struct btrkit_fs *fs, const char *name, const struct btrkit_printer *printer,
				    struct btrkit_error *error);

/* --- Chunks ---------------------------------------------------------------------------------------------------- */

struct btrkit_chunk_stripe {
	uint64_t devid;
	uint64_t physical;
	uint64_t length;
};

struct btrkit_chunk {
	uint64_t logical;
	uint64_t length;
	const char *kind; /* "data", "metadata", "system", "data+metadata" */
	const char *profile; /* "single", "DUP", "RAID1", ... */
	uint64_t used_bytes; /* of them */
	bool has_used; /* used_bytes is known: the block group's item could be read */
	size_t nr_stripes;
	const struct btrkit_chunk_stripe *stripes; /* valid during the call */
};
/* Call @fn for each chunk by logical address. A result other than 0 ends it and is returned. */
typedef int (*btrkit_chunk_fn)(void *arg, const struct btrkit_chunk *chunk);
BTRKIT_API int btrkit_chunk_for_each(struct btrkit_fs *fs, btrkit_chunk_fn fn, void *arg, struct btrkit_error *error);

/* The name of feature bit @bit of the superblock's incompat (@is_compat_ro: compat_ro) flags into @buf; returns @buf. */
BTRKIT_API const char *btrkit_feature_name(bool is_compat_ro, unsigned bit, char *buf, size_t cap);

#ifdef __cplusplus
}
#endif

#endif
