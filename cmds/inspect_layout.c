/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chunks as they lie on devices, gathered from the library. */
#include "cmds/inspect.h"

static struct layout_class *find_class(struct device_layout *layout, const struct btrkit_chunk *chunk)
{
	array_for_each(&layout->classes, class)
		if (strcmp(class->kind, chunk->kind) == 0 && strcmp(class->profile, chunk->profile) == 0)
			return class;
	if (array_push(&layout->classes, (struct layout_class){ .kind = chunk->kind, .profile = chunk->profile,
								.has_used = true }) < 0)
		return NULL;
	return &layout->classes.items[layout->classes.len - 1];
}

static int add_chunk(void *arg, const struct btrkit_chunk *chunk)
{
	struct device_layout *layout = arg;
	struct layout_class *class = find_class(layout, chunk);

	if (!class || array_reserve(&layout->pieces, chunk->nr_stripes) < 0)
		return -ENOMEM;
	class->length += chunk->length;
	class->used_bytes += chunk->used_bytes;
	class->has_used = class->has_used && chunk->has_used;
	class->nr_chunks++;
	for (size_t i = 0; i < chunk->nr_stripes; i++) {
		layout->pieces.items[layout->pieces.len++] = (struct layout_piece){
			.devid = chunk->stripes[i].devid,
			.physical = chunk->stripes[i].physical,
			.length = chunk->stripes[i].length,
			.logical = chunk->logical,
			.chunk_length = chunk->length,
			.used_bytes = chunk->used_bytes,
			.has_used = chunk->has_used,
			.kind = chunk->kind,
			.profile = chunk->profile,
		};
		class->physical_bytes += chunk->stripes[i].length;
	}
	return 0;
}

static int by_place(const void *a, const void *b)
{
	const struct layout_piece *left = a, *right = b;

	if (left->devid != right->devid)
		return left->devid < right->devid ? -1 : 1;
	return left->physical < right->physical ? -1 : left->physical > right->physical;
}

int device_layout_read(struct btrkit_fs *fs, struct device_layout *layout, struct btrkit_error *error)
{
	struct btrkit_device_info device;
	int err;

	*layout = (struct device_layout){ 0 };
	btrkit_fs_get_info(fs, &layout->info, sizeof(layout->info));
	for (size_t i = 0; btrkit_fs_device_at(fs, i, &device) == 0; i++)
		if (array_push(&layout->devices, device) < 0)
			return -ENOMEM;
	err = btrkit_chunk_for_each(fs, add_chunk, layout, error);
	if (!err)
		array_sort(&layout->pieces, by_place);
	return err;
}

void device_layout_done(struct device_layout *layout)
{
	array_done(&layout->devices);
	array_done(&layout->pieces);
	array_done(&layout->classes);
}

u64 device_layout_allocated_bytes(const struct device_layout *layout, u64 devid)
{
	u64 sum = 0;

	array_for_each(&layout->pieces, piece)
		if (piece->devid == devid)
			sum += piece->length;
	return sum;
}

static struct json *piece_json(const struct layout_piece *piece)
{
	struct json *object = json_new_object();

	json_set_u64(object, "physical", piece->physical);
	json_set_u64(object, "length_bytes", piece->length);
	json_set_string(object, "kind", piece->kind);
	json_set_string(object, "profile", piece->profile);
	json_set_u64(object, "chunk", piece->logical);
	json_set_u64(object, "chunk_length_bytes", piece->chunk_length);
	if (piece->has_used)
		json_set_u64(object, "chunk_used_bytes", piece->used_bytes);
	return object;
}

struct json *device_layout_json(const struct device_layout *layout)
{
	struct json *devices = json_new_array();

	array_for_each(&layout->devices, device) {
		struct json *object = json_new_object(), *pieces = json_new_array();

		json_set_u64(object, "devid", device->devid);
		json_set_string(object, "uuid", device->uuid);
		json_set(object, "path", device->path ? json_from_bytes(device->path, strlen(device->path)) : NULL);
		json_set_u64(object, "size_bytes", device->total_bytes);
		json_set_u64(object, "allocated_bytes", device_layout_allocated_bytes(layout, device->devid));
		array_for_each(&layout->pieces, piece)
			if (piece->devid == device->devid)
				json_append(pieces, piece_json(piece));
		json_set(object, "stripes", pieces);
		json_append(devices, object);
	}
	return devices;
}
