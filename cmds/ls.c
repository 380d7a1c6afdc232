/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit ls`: the files of an unmounted filesystem. */
#include <btrkit/content.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "cmds/cmds.h"
#include "cmds/file_type.h"
#include "cmds/open.h"
#include "cmds/resolve.h"
#include "common/base/array.h"
#include "common/base/cleanup.h"
#include "common/cli/json.h"
#include "common/cli/report.h"

typedef unsigned long long ull;

/* Names one above the other, and no deeper: a damaged filesystem may hold a ring of directories. */
#define DEPTH_MAX 4096

struct ls_command {
	struct open_command open;
	const char *path, *subvol;
	bool is_long, is_recursive, do_show_inode, is_directory_itself, is_json;
};

#define AT(member) offsetof(struct ls_command, member)
static const struct option_row rows[] = {
	{ 'p', "path", "PATH", OPTION_STRING, AT(path), "list this directory or file (the top)", false },
	{ 'l', "long", NULL, OPTION_FLAG, AT(is_long), "mode, links, owner, group, size, time and links' targets", false },
	{ 'R', "recursive", NULL, OPTION_FLAG, AT(is_recursive), "and all directories and subvolumes below", false },
	{ 'd', "directory", NULL, OPTION_FLAG, AT(is_directory_itself), "list a directory itself, not what it holds", false },
	{ 'i', "inode", NULL, OPTION_FLAG, AT(do_show_inode), "with subvolume and inode numbers", false },
	{ 0, "subvol", "SUBVOL", OPTION_STRING, AT(subvol), "PATH begins in this subvolume: an id, a path, or default", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON, an object on each line", false },
	OPEN_OPTION_ROWS(struct ls_command, open),
	SOURCE_OPTION_ROWS(struct ls_command, open),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = open_option_call(&((struct ls_command *)target)->open, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table ls_option_table = {
	.command = "btrkit ls",
	.usage = "[options] DEVICE...",
	.summary = "List the files of an unmounted filesystem.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

struct entry {
	char *name; /* owned */
	size_t name_len;
	u32 type;
	bool is_subvol;
	struct btrkit_inode inode;
};

struct listing {
	struct btrkit_fs *fs;
	const struct ls_command *command;
	int status;
	bool is_first; /* nothing was printed yet */
	char path[PATH_MAX * 4]; /* of the directory being listed, as the user began it */
	size_t path_len;
	/* Directories that are being listed, from the first one down. */
	struct btrkit_inode above[DEPTH_MAX];
	unsigned depth;
};

static void complain(struct listing *l, const struct btrkit_error *error)
{
	report_error(ls_option_table.command, "%s", error->text);
	l->status = status_of_loss(l->fs);
}

/* --- One entry ------------------------------------------------------------------------------------------------- */

static void format_mode(u32 mode, char text[11])
{
	static const char bits[] = "rwxrwxrwx";
	const char type = S_ISDIR(mode)	   ? 'd'
			  : S_ISLNK(mode)  ? 'l'
			  : S_ISCHR(mode)  ? 'c'
			  : S_ISBLK(mode)  ? 'b'
			  : S_ISFIFO(mode) ? 'p'
			  : S_ISSOCK(mode) ? 's'
					   : '-';

	text[0] = type;
	for (int i = 0; i < 9; i++)
		text[1 + i] = mode & (0400U >> i) ? bits[i] : '-';
	if (mode & S_ISUID)
		text[3] = mode & S_IXUSR ? 's' : 'S';
	if (mode & S_ISGID)
		text[6] = mode & S_IXGRP ? 's' : 'S';
	if (mode & S_ISVTX)
		text[9] = mode & S_IXOTH ? 't' : 'T';
	text[10] = '\0';
}

/* In UTC: output does not depend on where it is made. Years that the C library cannot name are shown as seconds. */
static void format_time(const struct btrkit_time *time, char text[64])
{
	time_t sec = time->sec;
	struct tm tm;

	if (!gmtime_r(&sec, &tm) || strftime(text, 64, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(text, 64, "@%lld", (long long)time->sec);
}

static void print_long(struct listing *l, const struct entry *entry)
{
	struct btrkit_error error = { 0 };
	struct btrkit_stat st;
	char mode[11], mtime[64], size[40];

	if (btrkit_inode_is_empty_dir(&entry->inode)) {
		printf("d??????????  %-39s ", "(subvolume that is not there)");
		return;
	}
	if (btrkit_stat(l->fs, &entry->inode, &st, &error) < 0) {
		complain(l, &error);
		printf("?????????? %-40s ", "(unreadable)");
		return;
	}
	format_mode(st.mode, mode);
	format_time(&st.mtime, mtime);
	if (S_ISCHR(st.mode) || S_ISBLK(st.mode))
		snprintf(size, sizeof(size), "%u, %u", st.rdev_major, st.rdev_minor);
	else
		snprintf(size, sizeof(size), "%llu", (ull)st.size);
	printf("%s %3u %5u %5u %10s %s ", mode, st.nlink, st.uid, st.gid, size, mtime);
}

static void print_target(struct listing *l, const struct entry *entry)
{
	struct btrkit_error error = { 0 };
	char target[PATH_MAX];

	if (btrkit_readlink(l->fs, &entry->inode, target, sizeof(target), &error) < 0) {
		complain(l, &error);
		return;
	}
	fputs(" -> ", stdout);
	print_escaped(stdout, target, strlen(target));
}

static void put_time(struct json *object, const char *name, const struct btrkit_time *time)
{
	struct json *value = json_new_object();

	json_set_s64(value, "sec", time->sec);
	json_set_u64(value, "nsec", time->nsec);
	json_set(object, name, value);
}

static void put_stat(struct listing *l, struct json *object, const struct entry *entry)
{
	struct btrkit_error error = { 0 };
	struct btrkit_stat st;
	char target[PATH_MAX];

	if (btrkit_stat(l->fs, &entry->inode, &st, &error) < 0) {
		complain(l, &error);
		json_set_string(object, "error", error.text);
		return;
	}
	json_set_u64(object, "mode", st.mode & 07777);
	json_set_u64(object, "nlink", st.nlink);
	json_set_u64(object, "uid", st.uid);
	json_set_u64(object, "gid", st.gid);
	json_set_u64(object, "size_bytes", st.size);
	json_set_u64(object, "allocated_bytes", st.allocated_bytes);
	if (S_ISCHR(st.mode) || S_ISBLK(st.mode)) {
		json_set_u64(object, "rdev_major", st.rdev_major);
		json_set_u64(object, "rdev_minor", st.rdev_minor);
	}
	json_set_u64(object, "flags", st.flags);
	json_set_u64(object, "generation", st.generation);
	put_time(object, "atime", &st.atime);
	put_time(object, "mtime", &st.mtime);
	put_time(object, "ctime", &st.ctime);
	put_time(object, "otime", &st.otime);
	if (S_ISLNK(st.mode) && btrkit_readlink(l->fs, &entry->inode, target, sizeof(target), &error) == 0)
		json_set_string(object, "target", target);
}

static void print_json(struct listing *l, const struct entry *entry)
{
	struct json *object = json_new_object();
	char path[sizeof(l->path) + BTRKIT_NAME_MAX + 2];
	int len = snprintf(path, sizeof(path), "%.*s%s%.*s", (int)l->path_len, l->path,
			   l->path_len && l->path[l->path_len - 1] != '/' ? "/" : "", (int)entry->name_len, entry->name);

	json_set_bytes(object, "path", path, (size_t)len);
	json_set_string(object, "type", file_type_name(entry->type));
	json_set_u64(object, "subvolume", entry->inode.subvol);
	json_set_u64(object, "inode", entry->inode.ino);
	if (entry->is_subvol)
		json_set_bool(object, "is_subvolume", true);
	if (l->command->is_long && !btrkit_inode_is_empty_dir(&entry->inode))
		put_stat(l, object, entry);
	json_print(object, stdout, true);
	json_free(object);
}

static void print_entry(struct listing *l, const struct entry *entry)
{
	if (l->command->is_json) {
		print_json(l, entry);
		return;
	}
	if (l->command->do_show_inode)
		printf("%6llu %8llu ", (ull)entry->inode.subvol, (ull)entry->inode.ino);
	if (l->command->is_long)
		print_long(l, entry);
	print_escaped(stdout, entry->name, entry->name_len);
	if (l->command->is_long && entry->type == S_IFLNK)
		print_target(l, entry);
	putchar('\n');
}

/* --- Directories ----------------------------------------------------------------------------------------------- */

struct entries {
	ARRAY(struct entry) list;
};

static void entries_done(struct entries *entries)
{
	array_for_each(&entries->list, entry)
		free(entry->name);
	array_done(&entries->list);
}

static int by_name(const void *a, const void *b)
{
	const struct entry *left = a, *right = b;
	int order = memcmp(left->name, right->name, MIN(left->name_len, right->name_len));

	return order ? order : (left->name_len > right->name_len) - (left->name_len < right->name_len);
}

/* All entries, sorted; as many as can be read when the directory is damaged. */
static void read_entries(struct listing *l, const struct btrkit_inode *dir, struct entries *entries)
{
	struct btrkit_error error = { 0 };
	struct btrkit_dir_entry from;
	struct btrkit_dir *open = NULL;
	int err = btrkit_dir_open(l->fs, dir, &open, &error);

	if (!err)
		btrkit_dir_skip_damage(open);
	while (!err && (err = btrkit_dir_next(open, &from, &error)) == 0) {
		struct entry entry = { strndup(from.name, from.name_len), from.name_len, from.type, from.is_subvol,
				       from.inode };

		if (entry.name && array_push(&entries->list, entry) == 0)
			continue;
		free(entry.name);
		snprintf(error.text, sizeof(error.text), "out of memory");
		err = -ENOMEM;
	}
	if (err < 0)
		complain(l, &error);
	if (open && btrkit_dir_nr_skipped(open))
		l->status = status_of_loss(l->fs);
	btrkit_dir_close(open);
	array_sort(&entries->list, by_name);
}

static bool is_above(const struct listing *l, const struct btrkit_inode *dir)
{
	for (unsigned i = 0; i < l->depth; i++)
		if (l->above[i].subvol == dir->subvol && l->above[i].ino == dir->ino)
			return true;
	return false;
}

static void list_directory(struct listing *l, const struct btrkit_inode *dir);

static void list_below(struct listing *l, const struct entry *entry)
{
	size_t len = l->path_len;
	bool needs_slash = len == 0 || l->path[len - 1] != '/';

	if (entry->type != S_IFDIR || btrkit_inode_is_empty_dir(&entry->inode))
		return;
	if (l->depth == DEPTH_MAX || is_above(l, &entry->inode) || len + entry->name_len + 2 > sizeof(l->path)) {
		l->status = report_error(ls_option_table.command, "%.*s/%.*s: %s", (int)len, l->path,
					 (int)entry->name_len, entry->name,
					 is_above(l, &entry->inode) ? "lies within itself" : "nested too deep");
		return;
	}
	if (needs_slash)
		l->path[l->path_len++] = '/';
	memcpy(l->path + l->path_len, entry->name, entry->name_len);
	l->path_len += entry->name_len;
	list_directory(l, &entry->inode);
	l->path_len = len;
}

static void list_directory(struct listing *l, const struct btrkit_inode *dir)
{
	_cleanup_(entries_done) struct entries entries = { 0 };

	read_entries(l, dir, &entries);
	if (l->command->is_recursive && !l->command->is_json) {
		if (!l->is_first)
			putchar('\n');
		print_escaped(stdout, l->path, l->path_len);
		puts(":");
	}
	l->is_first = false;
	array_for_each(&entries.list, entry)
		print_entry(l, entry);
	if (!l->command->is_recursive)
		return;
	l->above[l->depth++] = *dir;
	array_for_each(&entries.list, entry)
		list_below(l, entry);
	l->depth--;
}

static int list(struct btrkit_fs *fs, const struct ls_command *command, struct listing *l)
{
	const char *path = command->path ? command->path : "/";
	struct btrkit_error error = { 0 };
	struct btrkit_inode top, inode;
	struct btrkit_stat st = { .mode = S_IFDIR };
	int err = resolve_top(fs, command->subvol, &top, &error);

	if (!err)
		err = resolve_path(fs, &top, path, !command->is_long && !command->is_directory_itself, &inode, &error);
	if (err)
		return report_error(ls_option_table.command, "%s", error.text);
	/* What a directory holds may be there even when its inode is not. */
	if (btrkit_stat(fs, &inode, &st, &error) < 0)
		complain(l, &error);
	if (strlen(path) >= sizeof(l->path))
		return report_error(ls_option_table.command, "%s: too long", path);
	if (!S_ISDIR(st.mode) || command->is_directory_itself) {
		const struct entry itself = { (char *)(uintptr_t)path, strlen(path), st.mode & S_IFMT, false, inode };

		print_entry(l, &itself);
		return l->status;
	}
	l->path_len = strlen(path);
	memcpy(l->path, path, l->path_len);
	while (l->path_len > 1 && l->path[l->path_len - 1] == '/')
		l->path_len--;
	if (!btrkit_inode_is_empty_dir(&inode))
		list_directory(l, &inode);
	return l->status;
}

int cmd_ls(int argc, char **argv)
{
	const struct option_table *table = &ls_option_table;
	struct ls_command command = { .open = { .name = table->command, .takes_sources = true } };
	_free_ struct listing *l = calloc(1, sizeof(*l));
	struct btrkit_fs *fs = NULL;
	int first, status;

	if (open_command_parse(table, argc, argv, &command, &command.is_json, &first, &status) != OPTIONS_RUN)
		return status;
	if (!l)
		return report_error(table->command, "out of memory");
	if (open_filesystem(&command.open, argv + first, argc - first, &fs) < 0)
		return EXIT_FAILED;
	l->fs = fs;
	l->command = &command;
	l->is_first = true;
	status = list(fs, &command, l);
	if (!status && reason_of_doubt(fs)) {
		report_error(table->command, "%s", reason_of_doubt(fs));
		status = status_of_loss(fs);
	}
	btrkit_fs_close(fs);
	return status;
}
