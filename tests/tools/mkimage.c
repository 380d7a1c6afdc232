/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests: btrkit_mkfs() from the command line, with content that is made up. Arguments are NAME=VALUE for options and
 * content, anything else is a device. What is printed: the plan, one fact per line.
 *
 *	mkimage [size=N] [nodesize=N] [data=raid1] [features=^no-holes] [files=N] [file-bytes=N] ... DEVICE...
 */
#include <btrkit/mkfs.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef unsigned long long ull;

struct wanted {
	uint64_t size, files, file_bytes, dirs, subvols;
};

static int set_string(struct btrkit_mkfs_options *o, const char *name, const char *value)
{
	const struct {
		const char *name;
		const char **field;
	} strings[] = {
		{ "label", &o->label },		    { "fsid", &o->fsid },
		{ "device-uuid", &o->device_uuid }, { "csum", &o->csum },
		{ "data", &o->data_profile },	    { "metadata", &o->metadata_profile },
		{ "features", &o->features },	    { "seed", &o->seed },
		{ "compress", &o->compress },
	};

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
		if (strcmp(strings[i].name, name) != 0)
			continue;
		*strings[i].field = value;
		return 1;
	}
	return 0;
}

static int set_flag(struct btrkit_mkfs_options *o, const char *name, uint64_t n)
{
	const struct {
		const char *name;
		bool *field;
	} flags[] = {
		{ "mixed", &o->is_mixed },     { "shrink", &o->is_shrink },	 { "force", &o->is_forced },
		{ "dry-run", &o->is_dry_run }, { "no-discard", &o->no_discard },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (strcmp(flags[i].name, name) != 0)
			continue;
		*flags[i].field = n != 0;
		return 1;
	}
	return 0;
}

static int set_number(struct btrkit_mkfs_options *o, struct wanted *w, const char *name, const char *value)
{
	const struct {
		const char *name;
		uint64_t *field;
	} numbers[] = {
		{ "size", &w->size },	{ "files", &w->files },		 { "file-bytes", &w->file_bytes },
		{ "dirs", &w->dirs },	{ "subvols", &w->subvols },	 { "offset", &o->offset_bytes },
		{ "free", &o->free_bytes },
	};
	char *unit;
	uint64_t n = strtoull(value, &unit, 0);

	n <<= *unit == 'k' ? 10 : *unit == 'm' ? 20 : *unit == 'g' ? 30 : *unit == 't' ? 40 : 0;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		if (strcmp(numbers[i].name, name) != 0)
			continue;
		*numbers[i].field = n;
		return 1;
	}
	if (strcmp(name, "nodesize") == 0)
		o->nodesize = (uint32_t)n;
	else if (strcmp(name, "sectorsize") == 0)
		o->sectorsize = (uint32_t)n;
	else if (strcmp(name, "threads") == 0)
		o->threads = (unsigned)n;
	else if (strcmp(name, "epoch") == 0)
		o->has_epoch = true, o->epoch_sec = (int64_t)n;
	else
		return set_flag(o, name, n);
	return 1;
}

static int add_dir(struct btrkit_content *content, uint64_t n, bool is_subvol, btrkit_node *ret_dir,
		   struct btrkit_error *error)
{
	const struct btrkit_node_attr attr = { .mode = S_IFDIR | 0755, .mtime = { 1000000000, 5 } };
	char name[40];
	int err;

	snprintf(name, sizeof(name), "dir%llu", (ull)n);
	err = btrkit_content_add(content, BTRKIT_TOP_NODE, name, strlen(name), &attr, ret_dir, error);
	if (!err && is_subvol)
		err = btrkit_content_set_subvol(content, *ret_dir, n == 1 ? BTRKIT_SUBVOL_RDONLY : 0, error);
	return err;
}

/* Directories, of which the first are subvolumes, of files whose bytes depend on their number. */
static int fill(struct btrkit_content *content, const struct wanted *w, struct btrkit_error *error)
{
	const struct btrkit_node_attr attr = { .mode = S_IFREG | 0644, .mtime = { 1234567890, 123456789 } };
	uint64_t dirs = w->dirs ? w->dirs : 1;
	uint64_t per_dir = (w->files + dirs - 1) / dirs;
	unsigned char *data = malloc(w->file_bytes + 1);
	btrkit_node dir = BTRKIT_TOP_NODE, file;
	int err = 0;

	for (uint64_t n = 0; n < w->files && !err; n++) {
		char name[40];

		if (n % per_dir == 0)
			err = add_dir(content, n / per_dir, n / per_dir < w->subvols, &dir, error);
		for (uint64_t i = 0; i < w->file_bytes; i++)
			data[i] = (unsigned char)(n * 7919 + i / 64);
		snprintf(name, sizeof(name), "file%llu", (ull)n);
		if (!err)
			err = btrkit_content_add(content, dir, name, strlen(name), &attr, &file, error);
		if (!err && w->file_bytes)
			err = btrkit_content_set_data(content, file, data, w->file_bytes, 0, error);
	}
	free(data);
	return err;
}

static void show(const struct btrkit_mkfs_plan *plan)
{
	printf("fsid %s\nnodesize %u\nsectorsize %u\ncsum %s\nfeatures %s\n", plan->fsid, plan->nodesize, plan->sectorsize,
	       plan->csum, plan->features);
	printf("total_bytes %llu\nneeded_bytes %llu\nused_bytes %llu\n", (ull)plan->total_bytes, (ull)plan->needed_bytes,
	       (ull)plan->used_bytes);
	for (size_t i = 0; i < plan->nr_devices; i++)
		printf("device %llu %s size %llu allocated %llu\n", (ull)plan->devices[i].devid, plan->devices[i].path,
		       (ull)plan->devices[i].size_bytes, (ull)plan->devices[i].allocated_bytes);
	for (size_t i = 0; i < plan->nr_chunks; i++)
		printf("chunk %s %s logical %llu length %llu used %llu stripes %zu\n", plan->chunks[i].kind,
		       plan->chunks[i].profile, (ull)plan->chunks[i].logical, (ull)plan->chunks[i].length,
		       (ull)plan->chunks[i].used_bytes, plan->chunks[i].nr_stripes);
}

static int make(struct btrkit_mkfs_options *options, const struct wanted *wanted)
{
	struct btrkit_content *content = NULL;
	struct btrkit_mkfs_plan *plan = NULL;
	struct btrkit_error error = { 0 };
	int err = 0;

	if (wanted->files) {
		err = btrkit_content_new(&content);
		if (!err)
			err = fill(content, wanted, &error);
	}
	if (!err)
		err = btrkit_mkfs(options, content, &plan, &error);
	if (err)
		fprintf(stderr, "mkimage: %s (%s)\n", error.text, strerror(-err));
	else
		show(plan);
	btrkit_mkfs_plan_free(plan);
	btrkit_content_free(content);
	return err != 0;
}

int main(int argc, char **argv)
{
	struct btrkit_mkfs_options options;
	struct btrkit_mkfs_device *devices = calloc((size_t)argc, sizeof(*devices));
	struct wanted wanted = { 0 };
	int code;

	btrkit_mkfs_options_init(&options);
	for (int i = 1; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (!value) {
			devices[options.nr_devices++].path = argv[i];
			continue;
		}
		*value++ = '\0';
		if (!set_string(&options, argv[i], value) && !set_number(&options, &wanted, argv[i], value)) {
			fprintf(stderr, "mkimage: unknown %s\n", argv[i]);
			free(devices);
			return 2;
		}
	}
	for (size_t i = 0; i < options.nr_devices; i++)
		devices[i].size_bytes = wanted.size;
	options.devices = devices;
	code = make(&options, &wanted);
	free(devices);
	return code;
}
