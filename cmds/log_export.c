/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit log export`: the contents of logged files, as they would be after a replay. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmds/cmds.h"
#include "cmds/log.h"
#include "common/base/cleanup.h"
#include "common/cli/report.h"

typedef unsigned long long ull;

#define PIECE_BYTES ((size_t)MIB)
/* After a bad place, reading goes on in steps of this. */
#define STEP_BYTES ((size_t)4096)

struct log_export_command {
	struct open_command open;
	bool is_log_only;
};

#define AT(member) offsetof(struct log_export_command, member)
static const struct option_row rows[] = {
	{ 0, "logged-only", NULL, OPTION_FLAG, AT(is_log_only), "only the ranges that the log has; the rest are holes", false },
	OPEN_OPTION_ROWS(struct log_export_command, open),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = open_option_call(&((struct log_export_command *)target)->open, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table log_export_option_table = {
	.command = "btrkit log export",
	.usage = "[options] DIR DEVICE...",
	.summary = "Write the files whose contents the log changes into the folder DIR, below the id of their subvolume, as they\n"
		   "would be after a replay.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

struct exporting {
	const struct log_export_command *command;
	const struct btrkit_log *log;
	int dir_fd;
	u8 *buf; /* PIECE_BYTES */
	u64 subvol; /* whose prefix is known */
	size_t prefix_len; /* of the subvolume's own path */
	u64 nr_files, nr_bytes;
	int status;
};

static void complain(struct exporting *e, const char *path, const char *what)
{
	e->status = report_error(e->command->open.name, "%s: %s", path, what);
}

/* --- Places ------------------------------------------------------------------------------------------------------- */

static int take_prefix(void *arg, const struct btrkit_log_subvol *subvol)
{
	struct exporting *e = arg;

	if (subvol->id == e->subvol)
		e->prefix_len = subvol->path && strcmp(subvol->path, "/") != 0 ? strlen(subvol->path) : 0;
	return 0;
}

/* "5/dir/file" below DIR; of what has no name "5.unnamed/257". -ENAMETOOLONG. */
static int export_path(struct exporting *e, const struct btrkit_log_inode *inode, char *buf, size_t cap)
{
	int len;

	if (e->subvol != inode->inode.subvol) {
		e->subvol = inode->inode.subvol;
		e->prefix_len = 0;
		(void)btrkit_log_subvol_for_each(e->log, take_prefix, e, NULL);
	}
	if (inode->path_after && strlen(inode->path_after) >= e->prefix_len)
		len = snprintf(buf, cap, "%llu%s", (ull)e->subvol, inode->path_after + e->prefix_len);
	else
		len = snprintf(buf, cap, "%llu.unnamed/%llu", (ull)e->subvol, (ull)inode->inode.ino);
	return len < 0 || (size_t)len >= cap ? -ENAMETOOLONG : 0;
}

/*
 * Open the folder that @path, below DIR, lies in, making those that are missing; *ret_name is the rest. Never through a link:
 * names come from a filesystem that nobody has vouched for.
 */
static int open_parent(const struct exporting *e, char *path, int *ret_fd, const char **ret_name)
{
	_close_ int fd = openat(e->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char *at = path, *slash;

	while (fd >= 0 && (slash = strchr(at, '/'))) {
		int inner;

		*slash = '\0';
		if (mkdirat(fd, at, 0777) < 0 && errno != EEXIST)
			return -errno;
		inner = openat(fd, at, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		*slash = '/';
		at = slash + 1;
		close(fd);
		fd = inner;
	}
	if (fd < 0)
		return -errno;
	*ret_name = at;
	*ret_fd = take_fd(fd);
	return 0;
}

/* --- Contents ------------------------------------------------------------------------------------------------------- */

static int write_piece(const struct exporting *e, int fd, u64 offset, size_t len)
{
	const u8 *from = e->buf;

	while (len > 0) {
		ssize_t n = pwrite(fd, from, len, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		from += n;
		offset += (u64)n;
		len -= (size_t)n;
	}
	return 0;
}

/* What cannot be read is left out, counted and named. */
struct bad_bytes {
	u64 nr;
	struct btrkit_error first;
};

static int copy_range(struct exporting *e, struct btrkit_file *from, int fd, u64 offset, u64 len, struct bad_bytes *bad)
{
	size_t piece = PIECE_BYTES;

	while (len > 0) {
		struct btrkit_error error = { 0 };
		size_t got = 0, want = (size_t)MIN(len, (u64)piece);
		int err = btrkit_file_read(from, offset, e->buf, want, &got, &error);
		int write_err = write_piece(e, fd, offset, got);

		if (write_err)
			return write_err;
		e->nr_bytes += got;
		if (!err && got < want)
			return 0; /* the end of the file */
		if (err && got == 0 && want <= STEP_BYTES) {
			if (bad->nr == 0)
				bad->first = error;
			bad->nr += want;
			got = want;
		}
		offset += got;
		len -= got;
		piece = err ? STEP_BYTES : PIECE_BYTES;
	}
	return 0;
}

static int copy_contents(struct exporting *e, struct btrkit_file *from, int fd, const char *path)
{
	struct btrkit_error error = { 0 };
	struct btrkit_file_range range;
	struct bad_bytes bad = { 0 };
	char text[BTRKIT_ERROR_TEXT_MAX + 64];
	int err;

	for (u64 at = 0; (err = btrkit_file_range_at(from, at, &range, &error)) == 0; at += range.len) {
		err = range.kind == BTRKIT_RANGE_DATA ? copy_range(e, from, fd, range.offset, range.len, &bad) : 0;
		if (err) {
			complain(e, path, strerror(-err));
			return err;
		}
	}
	if (err < 0)
		complain(e, path, error.text);
	if (bad.nr) {
		snprintf(text, sizeof(text), "%llu bytes cannot be read: %s", (ull)bad.nr, bad.first.text);
		complain(e, path, text);
	}
	if (btrkit_file_nr_skipped(from))
		complain(e, path, "parts of the committed file's map cannot be read, data may be missing");
	if (ftruncate(fd, (off_t)btrkit_file_size(from)) < 0)
		complain(e, path, strerror(errno));
	return 0;
}

static struct timespec time_of(const struct btrkit_time *time)
{
	return (struct timespec){ .tv_sec = time->sec, .tv_nsec = (long)MIN(time->nsec, 999999999U) };
}

static void export_regular(struct exporting *e, const struct btrkit_log_inode *inode, struct btrkit_file *from, int dir_fd,
			   const char *name, const char *path)
{
	const struct timespec times[] = { time_of(&inode->after->atime), time_of(&inode->after->mtime) };
	_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0) {
		complain(e, path, strerror(errno));
		return;
	}
	if (copy_contents(e, from, fd, path) < 0)
		return;
	if (fchmod(fd, inode->after->mode & 0777) < 0 || futimens(fd, times) < 0 || fsync(fd) < 0)
		complain(e, path, strerror(errno));
	e->nr_files++;
}

static void export_symlink(struct exporting *e, struct btrkit_file *from, int dir_fd, const char *name, const char *path)
{
	struct btrkit_error error = { 0 };
	char target[PATH_MAX];
	size_t len;
	int err = btrkit_file_read(from, 0, target, sizeof(target) - 1, &len, &error);

	if (err < 0) {
		complain(e, path, error.text);
		return;
	}
	target[len] = '\0';
	if (symlinkat(target, dir_fd, name) < 0)
		complain(e, path, strerror(errno));
	else
		e->nr_files++;
}

/* --- Which -------------------------------------------------------------------------------------------------------------- */

static bool has_new_contents(const struct btrkit_log_inode *inode)
{
	if (!S_ISREG(inode->after->mode) && !S_ISLNK(inode->after->mode))
		return false;
	if (inode->is_removed)
		return inode->nr_extents > 0;
	return inode->is_new || inode->nr_extents || inode->nr_dropped || inode->before->size != inode->after->size;
}

static int export_inode(void *arg, const struct btrkit_log_inode *inode)
{
	struct exporting *e = arg;
	struct btrkit_error error = { 0 };
	struct btrkit_file *from = NULL;
	char path[PATH_MAX * 4 + 64];
	const char *name = path;
	_close_ int dir_fd = -1;
	int err;

	if (!has_new_contents(inode))
		return 0;
	err = export_path(e, inode, path, sizeof(path));
	if (!err)
		err = open_parent(e, path, &dir_fd, &name);
	if (err) {
		complain(e, path, strerror(-err));
		return 0;
	}
	if (btrkit_log_file_open(e->log, &inode->inode, e->command->is_log_only, &from, &error) < 0) {
		complain(e, path, error.text);
		return 0;
	}
	btrkit_file_skip_damage(from);
	if (S_ISLNK(inode->after->mode))
		export_symlink(e, from, dir_fd, name, path);
	else
		export_regular(e, inode, from, dir_fd, name, path);
	btrkit_file_close(from);
	return 0;
}

static int export_all(struct log_export_command *command, const char *dir, const struct btrkit_log *log)
{
	struct exporting e = { .command = command, .log = log, .dir_fd = -1 };
	struct btrkit_error error = { 0 };
	struct btrkit_log_info info;

	if (mkdir(dir, 0777) < 0 && errno != EEXIST)
		return report_error(command->open.name, "%s: %s", dir, strerror(errno));
	e.dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (e.dir_fd < 0)
		return report_error(command->open.name, "%s: %s", dir, strerror(errno));
	e.buf = malloc(PIECE_BYTES);
	if (!e.buf)
		complain(&e, dir, "out of memory");
	else if (btrkit_log_inode_for_each(log, export_inode, &e, &error) < 0)
		complain(&e, dir, error.text);
	free(e.buf);
	close(e.dir_fd);
	report_losses(&command->open, log);
	btrkit_log_get_info(log, &info, sizeof(info));
	printf("%llu files, %llu bytes\n", (ull)e.nr_files, (ull)e.nr_bytes);
	return e.status || info.nr_losses ? EXIT_FAILED : 0;
}

int cmd_log_export(int argc, char **argv)
{
	const struct option_table *table = &log_export_option_table;
	struct log_export_command command = { .open = { .name = table->command, .knows_log = true } };
	struct btrkit_log *log = NULL;
	struct btrkit_fs *fs = NULL;
	int first, status, err;
	enum options_result result = options_parse(table, argc, argv, &command, &first);

	if (result != OPTIONS_RUN)
		return options_exit_status(result);
	if (argc - first < 2)
		return usage_error(table, "needs a folder and a device or image file");
	if (open_filesystem(&command.open, argv + first + 1, argc - first - 1, &fs) < 0)
		return EXIT_FAILED;
	err = open_log(&command.open, fs, &log);
	status = err < 0 ? EXIT_FAILED : 0;
	if (err > 0)
		puts("there is no log");
	else if (err == 0)
		status = export_all(&command, argv[first], log);
	btrkit_log_close(log);
	btrkit_fs_close(fs);
	return status;
}
