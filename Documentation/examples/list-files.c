/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * List all files of an image with their sizes, going on behind what is damaged.
 *
 *	cc list-files.c $(pkg-config --cflags --libs btrkit) -o list-files
 *	./list-files disk.img
 */
#include <btrkit/file.h>
#include <btrkit/fs.h>
#include <stdio.h>
#include <sys/stat.h>

/* A damaged filesystem may have a directory within itself. */
#define DEPTH_MAX 64

struct listing {
	struct btrkit_fs *fs;
	unsigned depth;
	int has_failed;
};

static void complain(struct listing *l, const struct btrkit_error *error)
{
	fprintf(stderr, "list-files: %s\n", error->text);
	l->has_failed = 1;
}

static void list_directory(struct listing *l, const struct btrkit_inode *inode);

static void list_entry(struct listing *l, const struct btrkit_dir_entry *entry)
{
	struct btrkit_error error = { 0 };
	struct btrkit_stat st;

	if (entry->inode.ino == BTRKIT_EMPTY_DIR)
		return; /* a subvolume that is not there */
	if (btrkit_stat(l->fs, &entry->inode, &st, &error) < 0) {
		complain(l, &error);
		return;
	}
	/* Names are bytes: a program for a terminal would escape them. */
	printf("%*s%s", (int)l->depth * 2, "", entry->name);
	if (S_ISREG(st.mode))
		printf(" %llu", (unsigned long long)st.size);
	putchar('\n');
	if (S_ISDIR(st.mode) && l->depth < DEPTH_MAX) {
		l->depth++;
		list_directory(l, &entry->inode);
		l->depth--;
	}
}

static void list_directory(struct listing *l, const struct btrkit_inode *inode)
{
	struct btrkit_error error = { 0 };
	struct btrkit_dir_entry entry;
	struct btrkit_dir *dir = NULL;
	int err = btrkit_dir_open(l->fs, inode, &dir, &error);

	if (!err)
		btrkit_dir_skip_damage(dir);
	while (!err && (err = btrkit_dir_next(dir, &entry, &error)) == 0)
		list_entry(l, &entry);
	if (err < 0)
		complain(l, &error);
	btrkit_dir_close(dir);
}

/* Called as things are met that do not end the work; perhaps from several threads. */
static void note(void *arg, enum btrkit_severity severity, const char *text)
{
	(void)arg;
	if (severity == BTRKIT_WARNING)
		fprintf(stderr, "list-files: %s\n", text);
}

int main(int argc, char **argv)
{
	struct btrkit_open_options options;
	struct btrkit_error error = { 0 };
	struct listing l = { 0 };

	if (argc < 2) {
		fprintf(stderr, "usage: %s DEVICE...\n", argv[0]);
		return 2;
	}
	btrkit_open_options_init(&options);
	options.note = note;
	if (btrkit_fs_open((const char *const *)argv + 1, (size_t)argc - 1, &options, &l.fs, &error) < 0) {
		complain(&l, &error);
		return 1;
	}
	list_directory(&l, &BTRKIT_INODE_TOP);
	btrkit_fs_close(l.fs);
	return l.has_failed;
}
