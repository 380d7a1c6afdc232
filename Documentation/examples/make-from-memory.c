/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Make a Btrfs image and put files into it that exist only in memory.
 *
 *	cc make-from-memory.c $(pkg-config --cflags --libs btrkit) -o make-from-memory
 *	./make-from-memory hello.img
 */
#include <btrkit/mkfs.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct btrkit_time when = { .sec = 1700000000 };

static int add_dir(struct btrkit_content *content, btrkit_node parent, const char *name, btrkit_node *ret_dir,
		   struct btrkit_error *error)
{
	const struct btrkit_node_attr attr = { .mode = S_IFDIR | 0755, .atime = when, .mtime = when, .ctime = when };

	return btrkit_content_add(content, parent, name, strlen(name), &attr, ret_dir, error);
}

static int add_file(struct btrkit_content *content, btrkit_node parent, const char *name, const void *data, size_t len,
		    struct btrkit_error *error)
{
	const struct btrkit_node_attr attr = { .mode = S_IFREG | 0644, .atime = when, .mtime = when, .ctime = when };
	btrkit_node file;
	int err = btrkit_content_add(content, parent, name, strlen(name), &attr, &file, error);

	if (!err)
		err = btrkit_content_set_data(content, file, data, len, 0, error);
	if (!err)
		err = btrkit_content_set_xattr(content, file, "user.origin", "memory", 6, error);
	return err;
}

static int fill(struct btrkit_content *content, struct btrkit_error *error)
{
	static char large[300000];
	btrkit_node dir;
	int err = add_dir(content, BTRKIT_TOP_NODE, "greetings", &dir, error);

	memset(large, 'x', sizeof(large));
	if (!err)
		err = add_file(content, dir, "hello.txt", "Hello, world\n", 13, error);
	if (!err)
		err = add_file(content, dir, "large.bin", large, sizeof(large), error);
	return err;
}

int main(int argc, char **argv)
{
	struct btrkit_mkfs_options options;
	struct btrkit_mkfs_device device = { 0 }; /* size 0: as large as the content needs */
	struct btrkit_mkfs_plan *plan = NULL;
	struct btrkit_content *content = NULL;
	struct btrkit_error error = { 0 };
	int err;

	if (argc != 2) {
		fprintf(stderr, "usage: %s IMAGE\n", argv[0]);
		return 2;
	}
	err = btrkit_content_new(&content);
	if (!err)
		err = fill(content, &error);
	device.path = argv[1];
	btrkit_mkfs_options_init(&options);
	options.devices = &device;
	options.nr_devices = 1;
	options.label = "from-memory";
	options.seed = "make-from-memory"; /* the same bytes on every run */
	if (!err)
		err = btrkit_mkfs(&options, content, &plan, &error);
	if (err)
		fprintf(stderr, "%s: %s\n", argv[0], error.text[0] ? error.text : strerror(-err));
	else
		printf("%s: %llu bytes, UUID %s\n", argv[1], (unsigned long long)plan->total_bytes, plan->fsid);
	btrkit_mkfs_plan_free(plan);
	btrkit_content_free(content);
	return err != 0;
}
