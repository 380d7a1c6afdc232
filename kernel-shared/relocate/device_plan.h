/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a struct btrkit_device_plan is: the devices before and after an operation, and its steps. */
#ifndef BTRKIT_KERNEL_SHARED_RELOCATE_DEVICE_PLAN_H
#define BTRKIT_KERNEL_SHARED_RELOCATE_DEVICE_PLAN_H

#include <btrkit/device.h>

#include "kernel-shared/fs/fs.h"
#include "kernel-shared/relocate/relocate.h"

/* What leaves a device goes in one of these orders; where there is little room, one of them may do and the other may not. */
enum evacuate_order {
	EVACUATE_WHOLE_FIRST,
	EVACUATE_LARGEST_FIRST,
};

struct plan_order {
	u64 devid;
	enum evacuate_order order;
};

struct btrkit_device_plan {
	struct btrkit_device_plan_info info; /* without the numbers that are counted */
	ARRAY(struct btrkit_device_change) devices; /* by devid; their paths are owned */
	ARRAY(struct btrkit_device_step) steps;
	size_t nr_tightened; /* so many of the steps, the first ones, are tighten()'s */
	ARRAY(struct plan_order) orders; /* of devices from which something goes */
};
DEFINE_FREEP(struct btrkit_device_plan *, btrkit_device_plan_free)

/* A plan for @operation, a constant, with the devices of @fs as they are: before and after alike. */
int device_plan_new(const struct btrkit_fs *fs, const char *operation, struct btrkit_device_plan **ret_plan, struct diag *d);

/* The row of a device; NULL: there is none. */
struct btrkit_device_change *device_plan_find(struct btrkit_device_plan *plan, u64 devid);

/* The order that was chosen for a device last; the first, if none was. */
enum evacuate_order device_plan_order(const struct btrkit_device_plan *plan, u64 devid);

/* A device that was not there. @devid: that it will get, the highest. */
int device_plan_add_device(struct btrkit_device_plan *plan, u64 devid, const u8 *uuid, const char *path, u64 total_bytes,
			   struct diag *d);

/* Another device is device @devid. -ENOMEM. */
int device_plan_set_path(struct btrkit_device_plan *plan, u64 devid, const char *path, struct diag *d);

/* One more step, as it is planned; of @chunk as it is now. */
int device_plan_add_step(struct btrkit_device_plan *plan, const struct chunk *chunk, const struct relocate_step *step,
			 struct diag *d);

/* The step of block group @logical is done, as @step says: otherwise than it was planned, perhaps. What was not planned is not told. */
void device_plan_mark_done(struct btrkit_device_plan *plan, u64 logical, const struct relocate_step *step);

/* What is allocated on the devices afterwards is what @chunks say. */
void device_plan_set_after(struct btrkit_device_plan *plan, const struct chunk_map *chunks);

#endif
