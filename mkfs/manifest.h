/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading an mtree manifest, mtree(5): one entry after the other, each with what it says and nothing else, so that a
 * manifest can change an owner here and a mode there. Names of users and checksums of files are passed over.
 */
#ifndef BTRKIT_MKFS_MANIFEST_H
#define BTRKIT_MKFS_MANIFEST_H

#include <btrkit/time.h>

#include "common/base/array.h"
#include "common/base/diag.h"

#define MANIFEST_MAGIC "#mtree"

/* What an entry may say. */
enum manifest_field {
	MANIFEST_TYPE = 1 << 0,
	MANIFEST_MODE = 1 << 1,
	MANIFEST_UID = 1 << 2,
	MANIFEST_GID = 1 << 3,
	MANIFEST_TIME = 1 << 4,
	MANIFEST_SIZE = 1 << 5,
	MANIFEST_LINK = 1 << 6,
	MANIFEST_CONTENTS = 1 << 7,
	MANIFEST_DEVICE = 1 << 8,
	MANIFEST_FLAGS = 1 << 9,
	MANIFEST_OPTIONAL = 1 << 10,
};

struct manifest_entry {
	const char *path; /* below the top, without "." and "..", "" for the top itself; the manifest's until the next entry */
	unsigned said; /* manifest_field bits; the others below are unset */
	u32 type; /* S_IFREG, ... */
	u32 mode; /* permissions */
	u32 uid, gid;
	struct btrkit_time time;
	u64 size_bytes;
	const char *link, *contents; /* as path */
	u32 device_major, device_minor;
	u32 inode_flags; /* BTRKIT_INODE_* */
};

struct manifest {
	const char *name; /* for messages */
	char *text, *at; /* owned; what is left of it */
	unsigned line; /* where the current entry begins, from 1 */
	unsigned next_line;
	struct manifest_entry defaults; /* of /set */
	char *directory; /* that names without a slash are in */
	char *path;
};

/* Takes over @text, which ends with NUL and is changed. */
void manifest_init(struct manifest *manifest, const char *name, char *text);
void manifest_done(struct manifest *manifest);

/* 1: *ret_entry is the next one; 0: there are no more; -EINVAL, with the line, for what cannot be understood. */
int manifest_next(struct manifest *manifest, struct manifest_entry *ret_entry, struct diag *d);

#endif
