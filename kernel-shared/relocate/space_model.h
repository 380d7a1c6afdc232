/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The devices and chunks of a filesystem as values: where everything would lie if block groups moved, one after the other, as
 * relocate_group() would move them. Nothing of the filesystem is changed; after space_model_init() it is only asked where the last
 * byte in use of a block group is.
 */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_SPACE_MODEL_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_SPACE_MODEL_H

#include "kernel-shared/relocate/relocate.h"

struct model_device {
	u64 devid;
	u8 uuid[UUID_SIZE];
	u64 total_bytes;
	u64 end_bytes; /* new stripes keep below; 0: nothing new goes there */
	bool is_seed;
};

struct model_group {
	u64 logical;
	u64 used_bytes;
	bool is_filled; /* with what was elsewhere: where it has something in use is not known */
};

struct space_model {
	struct btrkit_fs *fs; /* whose model it is; NULL: made up */
	bool is_cut; /* devices end before some chunks: nothing new can be written to what has to move */
	u64 put_aside_bytes; /* of metadata, for commits */
	struct chunk_map *chunks; /* owned */
	ARRAY(struct model_device) devices;
	ARRAY(struct model_group) groups;
};

/* As the filesystem is now; space_model_done() in any case. */
int space_model_init(struct space_model *model, struct btrkit_fs *fs, struct diag *d);
/* A second one, to try something with. */
int space_model_copy(const struct space_model *from, struct space_model *ret_model, struct diag *d);
void space_model_done(struct space_model *model);

/* NULL: there is none. */
struct model_device *space_model_device(struct space_model *model, u64 devid);

/* Bytes on @devid that chunks take, and where the last of them ends. */
u64 space_model_allocated(const struct space_model *model, u64 devid);
u64 space_model_end(const struct space_model *model, u64 devid);
/* Bytes of all devices together that new stripes could take. */
int space_model_room(const struct space_model *model, u64 *ret_bytes, struct diag *d);

/* Has it a stripe that may not stay where it is? New things go there last, as it has to move itself. */
bool space_model_is_misplaced(const struct space_model *model, const struct chunk *chunk);

/* Block group @logical ends after @length bytes. 1: it cannot, or that is not known; nothing is changed then. */
int space_model_shorten(struct space_model *model, u64 logical, u64 length, struct diag *d);

/*
 * The step by which block group @logical comes to where the devices' ends allow, as the profile that it has; relocate_step_done().
 * @may_scatter: extent by extent, if the whole has no room; what others have free counts for that but for a reserve, as pieces do not
 * fit into each other to the last byte, and trees grow. -ENOSPC: there is no room for what it holds, in no way that is allowed; then,
 * unless @may_scatter, nothing is changed.
 */
int space_model_move(struct space_model *model, u64 logical, bool may_scatter, struct relocate_step *ret_step, struct diag *d);

/* Block groups with a stripe on @devid that reaches beyond @end_bytes; the largest first, as they are hardest to place. */
struct group_list {
	ARRAY(u64) logical;
};
int space_model_beyond(const struct space_model *model, u64 devid, u64 end_bytes, struct group_list *ret_groups, struct diag *d);

/* Those with least in use first. */
void space_model_sort_by_use(const struct space_model *model, struct group_list *groups);

#endif
