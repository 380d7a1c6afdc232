/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the topics of `btrkit inspect` share: the layout of a filesystem's chunks on its devices. */
#ifndef BTRKIT_CMDS_INSPECT_H
#define BTRKIT_CMDS_INSPECT_H

#include <btrkit/inspect.h>
#include <stdio.h>

#include "common/base/array.h"
#include "common/base/diag.h"
#include "common/cli/json.h"

/* One stripe of a chunk. */
struct layout_piece {
	u64 devid;
	u64 physical;
	u64 length;
	u64 logical; /* of the chunk */
	u64 chunk_length, used_bytes;
	bool has_used;
	const char *kind, *profile;
};

/* All chunks of one kind and profile. */
struct layout_class {
	const char *kind, *profile;
	u64 length, used_bytes; /* logical */
	u64 physical_bytes;
	u64 nr_chunks;
	bool has_used;
};

struct device_layout {
	struct btrkit_fs_info info;
	ARRAY(struct btrkit_device_info) devices;
	ARRAY(struct layout_piece) pieces; /* by device, then by place */
	ARRAY(struct layout_class) classes;
};

int device_layout_read(struct btrkit_fs *fs, struct device_layout *ret_layout, struct btrkit_error *error);
void device_layout_done(struct device_layout *layout);
/* The sum of a device's pieces. */
u64 device_layout_allocated_bytes(const struct device_layout *layout, u64 devid);
struct json *device_layout_json(const struct device_layout *layout);

/* A map of each device: text for a terminal, and as a picture. */
void chunk_map_print(const struct device_layout *layout, FILE *file);
int chunk_map_write_svg(const struct device_layout *layout, const char *path, struct diag *d);

/* What `btrkit inspect tree` shows of bcachefs: @tree NULL: all btrees. */
int btrees_list(struct btrkit_fs *fs, bool is_json, struct btrkit_error *error);
int btrees_show(struct btrkit_fs *fs, const char *tree, bool is_json, struct btrkit_error *error);

#endif
