/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Is a device, or a loop device over a file, mounted or swapped to? A mounted Btrfs shows an anonymous device number,
 * so mountinfo's source path is compared too, by what it refers to.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/major.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "kernel-shared/device/file_device.h"

static void fclosep(FILE **file)
{
	if (*file)
		fclose(*file);
}

/* Undo the \ooo escapes of /proc/self/mountinfo in place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; from++) {
		if (from[0] == '\\' && from[1] && from[2] && from[3]) {
			*to++ = (char)((from[1] - '0') << 6 | (from[2] - '0') << 3 | (from[3] - '0'));
			from += 3;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
}

/* Is @device, an open block device, a loop device over file @target? */
static bool is_loop_over(int device, const struct stat *target)
{
	struct loop_info64 info;

	return ioctl(device, LOOP_GET_STATUS64, &info) == 0 && info.lo_device == target->st_dev &&
	       info.lo_inode == target->st_ino;
}

/* Does @source, from mountinfo or /proc/swaps, mean @target: the same device or file, or a loop device over it? */
static bool is_same_or_over(const char *source, const struct stat *target)
{
	struct stat st;
	_close_ int fd = -1;

	if (source[0] != '/' || stat(source, &st) < 0)
		return false;
	if (st.st_dev == target->st_dev && st.st_ino == target->st_ino)
		return true;
	if (!S_ISBLK(st.st_mode))
		return false;
	if (S_ISBLK(target->st_mode) && st.st_rdev == target->st_rdev)
		return true;
	if (!S_ISREG(target->st_mode) || major(st.st_rdev) != LOOP_MAJOR)
		return false;
	fd = open(source, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && is_loop_over(fd, target);
}

static int check_mounts(const char *path, const struct stat *target, struct diag *d)
{
	_cleanup_(fclosep) FILE *mounts = fopen("/proc/self/mountinfo", "re");
	_free_ char *line = NULL;
	size_t cap = 0;

	while (mounts && getline(&line, &cap, mounts) > 0) {
		char point[4096], source[4096], device[64];
		unsigned dev_major, dev_minor;
		char *tail = strstr(line, " - ");

		if (!tail || sscanf(line, "%*s %*s %63s %*s %4095s", device, point) != 2 ||
		    sscanf(tail, " - %*s %4095s", source) != 1)
			continue;
		unescape(source);
		unescape(point);
		if (S_ISBLK(target->st_mode) && sscanf(device, "%u:%u", &dev_major, &dev_minor) == 2 &&
		    makedev(dev_major, dev_minor) == target->st_rdev)
			return diag_fail(d, -EBUSY, "%s: mounted at %s", path, point);
		if (is_same_or_over(source, target))
			return diag_fail(d, -EBUSY, "%s: mounted at %s", path, point);
	}
	return 0;
}

static int check_swaps(const char *path, const struct stat *target, struct diag *d)
{
	_cleanup_(fclosep) FILE *swaps = fopen("/proc/swaps", "re");
	_free_ char *line = NULL;
	size_t cap = 0;

	while (swaps && getline(&line, &cap, swaps) > 0) {
		char source[4096];

		if (sscanf(line, "%4095s", source) != 1)
			continue;
		unescape(source);
		if (is_same_or_over(source, target))
			return diag_fail(d, -EBUSY, "%s: in use as swap", path);
	}
	return 0;
}

static void closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

/*
 * A loop device over the file that somebody claims: mountinfo names only one device of a filesystem that has several.
 * Whoever may not open loop devices has not mounted them either, or cannot know.
 */
static int check_loops(const char *path, const struct stat *target, struct diag *d)
{
	_cleanup_(closedirp) DIR *dir = S_ISREG(target->st_mode) ? opendir("/sys/block") : NULL;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		char device[sizeof("/dev/") + sizeof(entry->d_name)];
		_close_ int fd = -1, claim = -1;

		if (strncmp(entry->d_name, "loop", 4) != 0)
			continue;
		snprintf(device, sizeof(device), "/dev/%s", entry->d_name);
		fd = open(device, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || !is_loop_over(fd, target))
			continue;
		claim = open(device, O_RDONLY | O_CLOEXEC | O_EXCL);
		if (claim < 0 && errno == EBUSY)
			return diag_fail(d, -EBUSY, "%s: in use through %s", path, device);
	}
	return 0;
}

int file_device_check_not_mounted(const char *path, struct diag *d)
{
	struct stat target;
	int err;

	if (stat(path, &target) < 0)
		return errno == ENOENT ? 0 : diag_fail(d, -errno, "%s: cannot stat: %s", path, strerror(errno));
	err = check_mounts(path, &target, d);
	if (!err)
		err = check_swaps(path, &target, d);
	return err ? err : check_loops(path, &target, d);
}
