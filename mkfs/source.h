/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the content of a new filesystem comes from: directories and archives, read one after the other into a
 * btrkit_content. Files of directories are read again when their data is written.
 */
#ifndef BTRKIT_MKFS_SOURCE_H
#define BTRKIT_MKFS_SOURCE_H

#include <btrkit/content.h>

#include "common/base/array.h"
#include "common/base/diag.h"
#include "common/work/pool.h"
#include "common/work/progress.h"
#include "mkfs/archive_input.h"

/* FROM..FROM+COUNT-1 become TO..TO+COUNT-1. */
struct id_map {
	u32 from, to, count;
};

/* How owners are changed on the way in. */
struct owner_rules {
	bool has_owner; /* everything belongs to these */
	u32 uid, gid;
	ARRAY(struct id_map) uid_maps;
	ARRAY(struct id_map) gid_maps;
};

void owner_rules_apply(const struct owner_rules *rules, struct btrkit_node_attr *attr);

/* An entry of an ACL as the kernel keeps it in system.posix_acl_*, behind a le32 version. */
struct acl_entry {
	le16 tag, perm;
	le32 id; /* of ACL_TAG_USER and ACL_TAG_GROUP, else all ones */
};
#define ACL_TAG_USER 0x02
#define ACL_TAG_GROUP 0x08

/* An attribute as a source has it; in ACLs, the ids of users and groups are mapped. */
int source_set_xattr(struct btrkit_content *content, btrkit_node node, const char *name, const void *value, size_t len,
		     const struct owner_rules *rules, struct btrkit_error *error);

struct source_options {
	const struct owner_rules *owners;
	bool ignore_unreadable; /* leave out what cannot be read, with a warning each */
	void (*warn)(void *arg, const char *text);
	void *warn_arg;
	struct pool *pool;
	struct progress *progress;
	struct btrkit_time now; /* for directories that no source describes */
	const char *spool_dir; /* for the contents of archives and of small files */
	bool do_keep_small; /* contents are wanted, not only names and sizes */
};

/* A source that was read; it serves file data until it is freed, which must be after the filesystem was made. */
struct source {
	void (*free)(struct source *source);
	struct source *next;
};
void source_free_all(struct source *source);

/* Read the tree of directory @path (but not the directory's own name) into @dest. */
int source_add_directory(struct btrkit_content *content, btrkit_node dest, const char *path,
			 const struct source_options *options, struct source **ret_source, struct diag *d);

/* Read archive or manifest @path, "-" for standard input, into @dest. -EOPNOTSUPP: built without libarchive. */
int source_add_file(struct btrkit_content *content, btrkit_node dest, const char *path,
		    const struct source_options *options, struct source **ret_source, struct diag *d);

/* What source_add_file() calls for what it found at the beginning of @input. */
int source_add_archive(struct btrkit_content *content, btrkit_node dest, const char *path,
		       struct archive_input *input, const struct source_options *options, struct source **ret_source,
		       struct diag *d);
int source_add_manifest(struct btrkit_content *content, btrkit_node dest, const char *path,
			struct archive_input *input, const struct source_options *options, struct source **ret_source,
			struct diag *d);

/* The directory at @path within the content, made where it does not exist. */
int source_make_directory(struct btrkit_content *content, btrkit_node from, const char *path,
			  const struct source_options *options, btrkit_node *ret_node, struct diag *d);

/* Carry a failure of the public API over. */
static inline int diag_from_error(struct diag *d, const struct btrkit_error *error)
{
	return diag_fail(d, error->err, "%s", error->text);
}

#endif
