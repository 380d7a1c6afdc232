/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The subvolumes and snapshots of an open filesystem. All calls may be made from several threads at once. */
#ifndef BTRKIT_SUBVOL_H
#define BTRKIT_SUBVOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <btrkit/error.h>
#include <btrkit/file.h>
#include <btrkit/fs.h>
#include <btrkit/time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct btrkit_subvol {
	uint64_t id;
	uint64_t parent_id; /* the subvolume in which it has its name; 0: it has none (the top, or deleted) */
	uint64_t parent_dir; /* the directory's inode there */
	char name[BTRKIT_NAME_MAX + 1];
	size_t name_len;
	uint64_t top_dir; /* inode of its top directory */
	uint64_t generation, otransid;
	char uuid[37], parent_uuid[37], received_uuid[37]; /* empty: none. parent_uuid: it is a snapshot of that one */
	struct btrkit_time ctime, otime;
	bool is_read_only;
	bool is_snapshot;
	bool is_default;
	bool is_deleted; /* being removed: parts of it are gone */
};

/* -ENOENT: there is no subvolume @id. */
BTRKIT_API int btrkit_subvol_get(struct btrkit_fs *fs, uint64_t id, struct btrkit_subvol *ret_subvol,
				 struct btrkit_error *error);

/* Call @fn for each, by id, the top first. A result other than 0 ends the listing and is returned. */
typedef int (*btrkit_subvol_fn)(void *arg, const struct btrkit_subvol *subvol);
BTRKIT_API int btrkit_subvol_for_each(struct btrkit_fs *fs, btrkit_subvol_fn fn, void *arg,
				      struct btrkit_error *error);

#ifdef __cplusplus
}
#endif

#endif
