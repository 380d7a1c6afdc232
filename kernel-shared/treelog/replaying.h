/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shared by the files of the replay; see replay.h. */
#ifndef BTRKIT_KERNEL_SHARED_TREELOG_REPLAYING_H
#define BTRKIT_KERNEL_SHARED_TREELOG_REPLAYING_H

#include "kernel-shared/treelog/replay.h"

struct inode_list {
	ARRAY(u64) inos;
};

struct replaying {
	const struct treelog *log;
	const struct replay_ops *ops;
	void *ctx;
	const struct treelog_subvol *subvol; /* that it is at */
	/* Inodes whose link counts have to be looked at, for each subvolume of the log; some stand in it twice. */
	struct inode_list *touched;
};

/* The link count of @ino has to be looked at. */
int replaying_touch(struct replaying *r, u64 ino, struct diag *d);

/* A loss that is no failure, unless the operations say so. */
__attribute__((format(printf, 5, 6))) int replaying_lose(struct replaying *r, enum btrkit_log_loss_kind kind, u64 ino,
							 struct diag *d, const char *format, ...);

/* --- Names (replay_names.c) -------------------------------------------------------------------------------------- */

int replaying_unlink(struct replaying *r, const struct replay_entry *entry, struct diag *d);
/* Entries of @dir in the log's ranges that the log does not have go. */
int replaying_delete_entries(struct replaying *r, u64 dir, struct diag *d);
int replaying_delete_all_entries(struct replaying *r, u64 dir, struct diag *d);
/* Of a DIR_INDEX item. */
int replaying_dir_index(struct replaying *r, const struct treelog_item *item, struct diag *d);
/* Of an INODE_REF or INODE_EXTREF item. */
int replaying_refs(struct replaying *r, const struct treelog_item *item, struct diag *d);

#endif
