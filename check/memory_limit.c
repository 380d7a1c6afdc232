/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much memory the check takes when nobody says: a quarter of what there is, for the machine or for its control group. */
#include <stdio.h>
#include <unistd.h>

#include "check/check.h"

#define PATH_BYTES 4096

static bool read_line(const char *path, char *line, size_t size)
{
	FILE *file = fopen(path, "re");
	bool is_read = file && fgets(line, (int)size, file);

	if (file)
		(void)fclose(file);
	return is_read;
}

/* The least of the limits of the group and those around it; UINT64_MAX: there is none. */
static u64 group_limit(void)
{
	char line[PATH_BYTES], path[PATH_BYTES + 64], text[64];
	u64 least = UINT64_MAX;
	char *end;

	/* With one hierarchy there is one line: "0::/a/b". */
	if (!read_line("/proc/self/cgroup", line, sizeof(line)) || strncmp(line, "0::/", 4) != 0)
		return least;
	line[strcspn(line, "\n")] = '\0';
	for (;;) {
		unsigned long long limit;

		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", line + 3);
		if (read_line(path, text, sizeof(text)) && sscanf(text, "%llu", &limit) == 1)
			least = MIN(least, (u64)limit);
		end = strrchr(line + 3, '/');
		if (!end || end[1] == '\0')
			return least;
		*(end == line + 3 ? end + 1 : end) = '\0';
	}
}

u64 check_default_memory(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
	u64 all = pages > 0 && page_bytes > 0 ? (u64)pages * (u64)page_bytes : GIB;

	return MAX(MIN(all, group_limit()) / 4, (u64)BTRKIT_CHECK_MEMORY_MIN);
}
