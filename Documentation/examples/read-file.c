/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Open an image, find a file by its path, and write its contents to standard output.
 *
 *	cc read-file.c $(pkg-config --cflags --libs btrkit) -o read-file
 *	./read-file disk.img home/me/letter.txt
 */
#include <btrkit/file.h>
#include <btrkit/fs.h>
#include <stdio.h>

#define PIECE_BYTES (1024 * 1024)

/* Damaged copies that others replaced, missing devices, ... */
static void note(void *arg, enum btrkit_severity severity, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", severity == BTRKIT_WARNING ? "warning" : "note", text);
}

static int copy_out(struct btrkit_file *file, struct btrkit_error *error)
{
	static char buf[PIECE_BYTES];
	uint64_t offset = 0;
	size_t got;

	do {
		int err = btrkit_file_read(file, offset, buf, sizeof(buf), &got, error);

		/* What is before a bad place is good. */
		fwrite(buf, 1, got, stdout);
		if (err)
			return err;
		offset += got;
	} while (got > 0);
	return 0;
}

int main(int argc, char **argv)
{
	struct btrkit_open_options options;
	struct btrkit_error error = { 0 };
	struct btrkit_inode inode;
	struct btrkit_file *file = NULL;
	struct btrkit_fs *fs = NULL;
	int err;

	if (argc < 3) {
		fprintf(stderr, "usage: %s DEVICE... PATH\n", argv[0]);
		return 2;
	}
	btrkit_open_options_init(&options);
	options.note = note;
	err = btrkit_fs_open((const char *const *)argv + 1, (size_t)argc - 2, &options, &fs, &error);
	if (!err)
		err = btrkit_lookup(fs, NULL, argv[argc - 1], &inode, &error);
	if (!err)
		err = btrkit_file_open(fs, &inode, &file, &error);
	if (!err)
		err = copy_out(file, &error);
	if (err)
		fprintf(stderr, "%s: %s\n", argv[0], error.text);
	btrkit_file_close(file);
	btrkit_fs_close(fs);
	return err != 0 || fflush(stdout) != 0;
}
