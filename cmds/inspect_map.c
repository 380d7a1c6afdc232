/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The chunk layout of each device as a map on a terminal. */
#include <stdio.h>

#include "cmds/inspect.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

#define MAP_CELLS 64

typedef unsigned long long ull;

struct kind_look {
	const char *kind;
	char letter;
	const char *color; /* ANSI */
};
static const struct kind_look looks[] = {
	{ "data", 'd', "\033[34m" },
	{ "metadata", 'm', "\033[33m" },
	{ "system", 's', "\033[31m" },
	{ "data+metadata", 'x', "\033[32m" },
};

static const struct kind_look *look_of(const char *kind)
{
	for (size_t i = 0; i < ARRAY_LEN(looks); i++)
		if (strcmp(looks[i].kind, kind) == 0)
			return &looks[i];
	return NULL;
}

static bool is_well_filled(const struct layout_piece *piece)
{
	return piece->has_used && piece->used_bytes >= piece->chunk_length / 2;
}

/* The piece that takes most of [from, to) on the device; NULL: most is free. */
static const struct layout_piece *piece_in_cell(const struct device_layout *layout, u64 devid, u64 from, u64 to)
{
	const struct layout_piece *best = NULL;
	u64 best_bytes = 0, taken = 0;

	array_for_each(&layout->pieces, piece) {
		u64 begin = MAX(piece->physical, from), end = MIN(piece->physical + piece->length, to);

		if (piece->devid != devid || begin >= end)
			continue;
		taken += end - begin;
		if (end - begin > best_bytes) {
			best_bytes = end - begin;
			best = piece;
		}
	}
	return taken * 2 >= to - from ? best : NULL;
}

static void print_bar(const struct device_layout *layout, const struct btrkit_device_info *device, bool has_color, FILE *file)
{
	fputs("  [", file);
	for (unsigned cell = 0; cell < MAP_CELLS; cell++) {
		u64 from = (u64)((double)device->total_bytes / MAP_CELLS * cell);
		u64 to = (u64)((double)device->total_bytes / MAP_CELLS * (cell + 1));
		const struct layout_piece *piece = piece_in_cell(layout, device->devid, from, to);
		const struct kind_look *look = piece ? look_of(piece->kind) : NULL;

		if (!look)
			fputc(piece ? '?' : '.', file);
		else
			fprintf(file, "%s%c%s", has_color ? look->color : "",
				is_well_filled(piece) ? look->letter - 'a' + 'A' : look->letter,
				has_color ? "\033[0m" : "");
	}
	fputs("]\n", file);
}

static void print_fill(const struct layout_piece *piece, FILE *file)
{
	if (piece->has_used && piece->chunk_length)
		fprintf(file, "%5.1f %%\n", 100.0 * (double)piece->used_bytes / (double)piece->chunk_length);
	else
		fputs("      ?\n", file);
}

static void print_free(u64 from, u64 to, FILE *file)
{
	char size[SIZE_TEXT_MAX];

	if (from < to)
		fprintf(file, "  %16llu %10s  free\n", (ull)from, size_format(to - from, size));
}

static void print_device(const struct device_layout *layout, const struct btrkit_device_info *device, FILE *file)
{
	char size[SIZE_TEXT_MAX], allocated[SIZE_TEXT_MAX];
	u64 end = 0;

	fprintf(file, "Device %llu: ", (ull)device->devid);
	if (device->path)
		print_escaped(file, device->path, strlen(device->path));
	else
		fputs("missing", file);
	fprintf(file, ", %s, allocated %s\n", size_format(device->total_bytes, size),
		size_format(device_layout_allocated_bytes(layout, device->devid), allocated));
	print_bar(layout, device, is_decorated(file), file);
	fprintf(file, "  %16s %10s  %-14s%-9s%16s %7s\n", "physical", "length", "kind", "profile", "chunk", "filled");
	array_for_each(&layout->pieces, piece) {
		if (piece->devid != device->devid)
			continue;
		print_free(end, piece->physical, file);
		fprintf(file, "  %16llu %10s  %-14s%-9s%16llu ", (ull)piece->physical, size_format(piece->length, size),
			piece->kind, piece->profile, (ull)piece->logical);
		print_fill(piece, file);
		end = MAX(end, piece->physical + piece->length);
	}
	print_free(end, device->total_bytes, file);
}

void chunk_map_print(const struct device_layout *layout, FILE *file)
{
	fputs("d data  m metadata  s system  x data+metadata  . free; capital letters: at least half filled\n", file);
	array_for_each(&layout->devices, device) {
		fputc('\n', file);
		print_device(layout, device, file);
	}
}
