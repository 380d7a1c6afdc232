/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The chunk layout of each device as a picture. */
#include <stdio.h>
#include <unistd.h>

#include "cmds/inspect.h"
#include "common/cli/size.h"

#define PICTURE_WIDTH 1000
#define MARGIN 20
#define BAR_WIDTH (PICTURE_WIDTH - 2 * MARGIN)
#define BAR_HEIGHT 48
#define DEVICE_HEIGHT 92
#define HEAD_HEIGHT 64

typedef unsigned long long ull;

struct kind_color {
	const char *kind, *light, *dark;
};
static const struct kind_color colors[] = {
	{ "data", "#cfe0f5", "#3b77bd" },
	{ "metadata", "#f8e4c0", "#d4901e" },
	{ "system", "#f4cfcf", "#b83a3a" },
	{ "data+metadata", "#d3ecd3", "#3f9142" },
};

static const struct kind_color *color_of(const char *kind)
{
	static const struct kind_color unknown = { "?", "#dddddd", "#888888" };

	for (size_t i = 0; i < ARRAY_LEN(colors); i++)
		if (strcmp(colors[i].kind, kind) == 0)
			return &colors[i];
	return &unknown;
}

/* Text of a file's name or a label: what XML gives a meaning, or forbids, is replaced. */
static void print_xml(FILE *file, const char *text)
{
	for (; *text; text++) {
		switch (*text) {
		case '&':
			fputs("&amp;", file);
			break;
		case '<':
			fputs("&lt;", file);
			break;
		case '>':
			fputs("&gt;", file);
			break;
		default:
			fputc((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f ? '?' : *text, file);
		}
	}
}

static double x_of(const struct btrkit_device_info *device, u64 physical)
{
	return MARGIN + (double)BAR_WIDTH * (double)physical / (double)MAX(device->total_bytes, (u64)1);
}

static void draw_piece(FILE *file, const struct btrkit_device_info *device, const struct layout_piece *piece, int top)
{
	const struct kind_color *color = color_of(piece->kind);
	double x = x_of(device, piece->physical), width = x_of(device, piece->physical + piece->length) - x;
	double filled = piece->has_used && piece->chunk_length ?
				MIN(1.0, (double)piece->used_bytes / (double)piece->chunk_length) : 0;
	char length[SIZE_TEXT_MAX], used[SIZE_TEXT_MAX];

	width = MAX(width, 0.5); /* seen, however small */
	fprintf(file, "<g><title>%s %s, chunk %llu\nat %llu, %s", piece->kind, piece->profile, (ull)piece->logical,
		(ull)piece->physical, size_format(piece->length, length));
	if (piece->has_used)
		fprintf(file, "\n%.1f %% filled: %s", filled * 100, size_format(piece->used_bytes, used));
	fprintf(file, "</title>\n<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" fill=\"%s\"/>\n", x, top, width,
		BAR_HEIGHT, color->light);
	if (filled > 0)
		fprintf(file, "<rect x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\" fill=\"%s\"/>\n", x,
			top + BAR_HEIGHT * (1 - filled), width, BAR_HEIGHT * filled, color->dark);
	fprintf(file, "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" class=\"edge\"/>", x, top, width, BAR_HEIGHT);
	if (width > 60)
		fprintf(file, "<text x=\"%.2f\" y=\"%d\" class=\"in\">%s</text>", x + 4, top + 14, piece->profile);
	fputs("</g>\n", file);
}

static void draw_device(FILE *file, const struct device_layout *layout, const struct btrkit_device_info *device, int top)
{
	char size[SIZE_TEXT_MAX], allocated[SIZE_TEXT_MAX];

	fprintf(file, "<text x=\"%d\" y=\"%d\">device %llu: ", MARGIN, top + 12, (ull)device->devid);
	print_xml(file, device->path ? device->path : "missing");
	fprintf(file, " (%s, allocated %s)</text>\n", size_format(device->total_bytes, size),
		size_format(device_layout_allocated_bytes(layout, device->devid), allocated));
	fprintf(file, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" class=\"free\"/>\n", MARGIN, top + 20, BAR_WIDTH,
		BAR_HEIGHT);
	array_for_each(&layout->pieces, piece)
		if (piece->devid == device->devid)
			draw_piece(file, device, piece, top + 20);
}

static void draw_legend(FILE *file, int y)
{
	int x = MARGIN;

	for (size_t i = 0; i < ARRAY_LEN(colors); i++, x += 150)
		fprintf(file,
			"<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"7\" fill=\"%s\"/>"
			"<rect x=\"%d\" y=\"%d\" width=\"14\" height=\"7\" fill=\"%s\"/>"
			"<text x=\"%d\" y=\"%d\">%s</text>\n",
			x, y, colors[i].light, x, y + 7, colors[i].dark, x + 20, y + 12, colors[i].kind);
	fprintf(file, "<text x=\"%d\" y=\"%d\">dark: used</text>\n", x, y + 12);
}

static void draw(FILE *file, const struct device_layout *layout)
{
	int height = HEAD_HEIGHT + DEVICE_HEIGHT * (int)MIN(layout->devices.len, (size_t)1000) + MARGIN;
	int top = HEAD_HEIGHT;

	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n"
		"<style>text{font:12px sans-serif;fill:#222}text.in{font-size:10px}.free{fill:#f4f4f4;stroke:#999}"
		".edge{fill:none;stroke:#555;stroke-width:.5}</style>\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"20\" font-weight=\"bold\">",
		PICTURE_WIDTH, height, PICTURE_WIDTH, height, MARGIN);
	print_xml(file, layout->info.label[0] ? layout->info.label : layout->info.fsid);
	fputs("</text>\n", file);
	draw_legend(file, 32);
	array_for_each(&layout->devices, device) {
		draw_device(file, layout, device, top);
		top += DEVICE_HEIGHT;
	}
	fputs("</svg>\n", file);
}

int chunk_map_write_svg(const struct device_layout *layout, const char *path, struct diag *d)
{
	bool is_stdout = strcmp(path, "-") == 0;
	FILE *file = is_stdout ? stdout : fopen(path, "w");
	bool is_bad;

	if (!file)
		return diag_fail(d, -errno, "%s: %s", path, strerror(errno));
	draw(file, layout);
	is_bad = fflush(file) != 0 || ferror(file);
	if (!is_stdout && fclose(file) != 0)
		is_bad = true;
	if (!is_bad)
		return 0;
	if (!is_stdout)
		(void)unlink(path); /* half a picture helps nobody; that it cannot be written is the news */
	return diag_fail(d, -EIO, "%s: %s", path, strerror(errno));
}
