/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A plan for the devices of a filesystem, as text and as JSON. */
#include <stdio.h>

#include "cmds/device.h"
#include "common/cli/json.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

/* --- As text ---------------------------------------- */

static void print_change(const char *name, u64 before, u64 after)
{
	char old[SIZE_TEXT_MAX], new[SIZE_TEXT_MAX];

	printf("  %s %12s", name, size_format(before, old));
	if (before != after)
		printf(" -> %12s", size_format(after, new));
	else
		printf("    %12s", "");
}

static void print_device(const struct btrkit_device_change *device)
{
	printf("devid %4llu", (ull)device->devid);
	print_change("size", device->total_bytes_before, device->total_bytes_after);
	print_change("allocated", device->allocated_bytes_before, device->allocated_bytes_after);
	fputs("  ", stdout);
	if (device->path)
		print_escaped(stdout, device->path, strlen(device->path));
	else
		fputs("missing", stdout);
	puts(device->is_new ? "  (new)" : device->is_removed ? "  (removed)" : "");
}

static void print_step(const struct btrkit_device_step *step)
{
	char length[SIZE_TEXT_MAX], used[SIZE_TEXT_MAX], written[SIZE_TEXT_MAX];

	printf("  %-7s  %s, %s, at %llu: %s, %s in use, %s to write\n", step->way, step->kind, step->profile,
	       (ull)step->logical, size_format(step->length, length), size_format(step->used_bytes, used),
	       size_format(step->written_bytes, written));
}

void device_print_plan(const struct btrkit_device_plan *plan, bool has_steps)
{
	char moved[SIZE_TEXT_MAX], written[SIZE_TEXT_MAX];
	struct btrkit_device_plan_info info;
	struct btrkit_device_change device;
	struct btrkit_device_step step;

	btrkit_device_plan_get_info(plan, &info, sizeof(info));
	for (size_t i = 0; btrkit_device_plan_device_at(plan, i, &device) == 0; i++)
		print_device(&device);
	if (info.nr_steps)
		printf("%llu block group%s, with %s to be moved, %s to be written\n", (ull)info.nr_steps, info.nr_steps == 1 ? "" : "s",
		       size_format(info.move_bytes, moved), size_format(info.write_bytes, written));
	if (info.mended_bytes)
		printf("%s were bad or missing, and came from other copies or parity\n", size_format(info.mended_bytes, moved));
	if (info.lost_bytes)
		printf("%s had no good copy: they are lost\n", size_format(info.lost_bytes, moved));
	for (size_t i = 0; has_steps && btrkit_device_plan_step_at(plan, i, &step) == 0; i++)
		print_step(&step);
}

/* --- As JSON ---------------------------------------- */

static struct json *device_json(const struct btrkit_device_change *device)
{
	struct json *object = json_new_object();

	json_set_u64(object, "devid", device->devid);
	json_set_string(object, "uuid", device->uuid);
	json_set(object, "path", device->path ? json_from_bytes(device->path, strlen(device->path)) : NULL);
	json_set_bool(object, "is_new", device->is_new);
	json_set_bool(object, "is_removed", device->is_removed);
	json_set_u64(object, "size_before_bytes", device->total_bytes_before);
	json_set_u64(object, "size_after_bytes", device->total_bytes_after);
	json_set_u64(object, "allocated_before_bytes", device->allocated_bytes_before);
	json_set_u64(object, "allocated_after_bytes", device->allocated_bytes_after);
	return object;
}

static struct json *step_json(const struct btrkit_device_step *step)
{
	struct json *object = json_new_object();

	json_set_string(object, "way", step->way);
	json_set_string(object, "kind", step->kind);
	json_set_string(object, "profile", step->profile);
	json_set_u64(object, "logical", step->logical);
	json_set_u64(object, "length_bytes", step->length);
	json_set_u64(object, "used_bytes", step->used_bytes);
	json_set_u64(object, "written_bytes", step->written_bytes);
	json_set_bool(object, "is_done", step->is_done);
	return object;
}

static void fill_plan(struct json *object, const struct btrkit_device_plan *plan)
{
	struct json *devices = json_new_array(), *steps = json_new_array();
	struct btrkit_device_plan_info info;
	struct btrkit_device_change device;
	struct btrkit_device_step step;

	btrkit_device_plan_get_info(plan, &info, sizeof(info));
	json_set_string(object, "operation", info.operation);
	json_set_string(object, "uuid", info.fsid);
	json_set_u64(object, "moved_bytes", info.move_bytes);
	json_set_u64(object, "written_bytes", info.write_bytes);
	json_set_u64(object, "mended_bytes", info.mended_bytes);
	json_set_u64(object, "lost_bytes", info.lost_bytes);
	if (info.minimum_bytes)
		json_set_u64(object, "minimum_bytes", info.minimum_bytes);
	for (size_t i = 0; btrkit_device_plan_device_at(plan, i, &device) == 0; i++)
		json_append(devices, device_json(&device));
	for (size_t i = 0; btrkit_device_plan_step_at(plan, i, &step) == 0; i++)
		json_append(steps, step_json(&step));
	json_set(object, "devices", devices);
	json_set(object, "steps", steps);
}

void device_print_json(const struct btrkit_device_plan *plan, const char *status, const struct btrkit_error *error)
{
	struct json *object = json_new_object();

	json_set_string(object, "schema", "btrkit-device-plan-1");
	json_set_string(object, "status", status);
	if (error)
		json_set_string(object, "error", error->text);
	if (plan)
		fill_plan(object, plan);
	json_print(object, stdout, false);
	json_free(object);
}
