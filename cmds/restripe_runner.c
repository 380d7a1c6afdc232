/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who restripes a filesystem: the process that has its device or image file open, found in /proc. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmds/restripe.h"

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode) || S_ISBLK(b->st_mode))
		return S_ISBLK(a->st_mode) && S_ISBLK(b->st_mode) && a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Is its command line one of "btrkit restripe start" or "resume", by whatever name it was called? */
static bool is_restripe(const char *pid)
{
	char path[64], line[512];
	bool has_restripe = false, has_action = false;
	size_t len;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.20s/cmdline", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	len = fread(line, 1, sizeof(line) - 1, file);
	fclose(file);
	line[len] = '\0';
	for (const char *word = line; word < line + len; word += strlen(word) + 1) {
		has_restripe |= strcmp(word, "restripe") == 0 || strcmp(word, "balance") == 0 || strstr(word, "btrkit-restripe");
		has_action |= strcmp(word, "start") == 0 || strcmp(word, "resume") == 0;
	}
	return has_restripe && has_action;
}

static bool has_open(const char *pid, const struct stat *wanted)
{
	char dir_name[64], path[512];
	const struct dirent *entry;
	bool found = false;
	DIR *dir;

	snprintf(dir_name, sizeof(dir_name), "/proc/%.20s/fd", pid);
	dir = opendir(dir_name);
	if (!dir)
		return false;
	while (!found && (entry = readdir(dir))) {
		struct stat st;

		snprintf(path, sizeof(path), "%s/%s", dir_name, entry->d_name);
		found = stat(path, &st) == 0 && is_same_file(&st, wanted);
	}
	closedir(dir);
	return found;
}

int restripe_runner(const char *path)
{
	const struct dirent *entry;
	struct stat wanted;
	int pid = 0;
	DIR *dir;

	if (stat(path, &wanted) < 0)
		return 0;
	dir = opendir("/proc");
	if (!dir)
		return 0;
	while (!pid && (entry = readdir(dir)))
		if (isdigit((unsigned char)entry->d_name[0]) && is_restripe(entry->d_name) && has_open(entry->d_name, &wanted))
			pid = atoi(entry->d_name);
	closedir(dir);
	return pid == getpid() ? 0 : pid;
}
