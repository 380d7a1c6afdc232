/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Beside libFuzzer's own main: `fuzz-NAME --write-seeds=DIR` writes the corpus to begin with, and ends. */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);

struct seed_writer {
	const char *dir;
	unsigned nr;
};

static void write_seed(void *ctx, const void *data, size_t len)
{
	struct seed_writer *writer = ctx;
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/seed-%u", writer->dir, writer->nr++);
	file = fopen(path, "wb");
	if (!file || fwrite(data, 1, len, file) != len) {
		perror(path);
		exit(1);
	}
	fclose(file);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	for (int i = 1; i < *argc; i++) {
		struct seed_writer writer = { .nr = 0 };

		if (strncmp((*argv)[i], "--write-seeds=", 14) != 0)
			continue;
		writer.dir = (*argv)[i] + 14;
		fuzz_seeds(write_seed, &writer);
		printf("%s: %u seeds in %s\n", fuzz_name, writer.nr, writer.dir);
		exit(0);
	}
	return 0;
}
