/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit log show`: what the replay of a log would do, as text or as JSON. */
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cmds/cmds.h"
#include "cmds/file_type.h"
#include "cmds/log.h"
#include "common/cli/json.h"
#include "common/cli/report.h"
#include "common/cli/size.h"

typedef unsigned long long ull;

struct log_show_command {
	struct open_command open;
	bool is_json, do_show_steps;
};

#define AT(member) offsetof(struct log_show_command, member)
static const struct option_row rows[] = {
	{ 0, "steps", NULL, OPTION_FLAG, AT(do_show_steps), "and each step of the replay", false },
	{ 0, "json", NULL, OPTION_FLAG, AT(is_json), "print JSON, an object on each line; with all steps", false },
	OPEN_OPTION_ROWS(struct log_show_command, open),
};
#undef AT

static int take_call(void *target, const struct option_row *row, const char *value, struct diag *d)
{
	int err = open_option_call(&((struct log_show_command *)target)->open, row, value, d);

	return err < 0 ? err : 0;
}

const struct option_table log_show_option_table = {
	.command = "btrkit log show",
	.usage = "[options] DEVICE...",
	.summary = "Show what was fsynced after the last commit and waits in the log: which files a replay would make, rename,\n"
		   "change or remove, and what of the log is damaged. Nothing is written.",
	.rows = rows,
	.nr_rows = ARRAY_LEN(rows),
	.call = take_call,
};

int open_log(const struct open_command *command, struct btrkit_fs *fs, struct btrkit_log **ret_log)
{
	struct btrkit_error error = { 0 };
	int err = btrkit_log_open(fs, ret_log, &error);

	if (err == -ENOENT)
		return 1;
	if (err < 0)
		report_error(command->name, "%s", error.text);
	return err;
}

const char *log_inode_verdict(const struct btrkit_log_inode *inode)
{
	if (inode->is_removed)
		return "removed";
	if (inode->is_new)
		return "created";
	if (inode->nr_linked && inode->nr_linked == inode->nr_unlinked)
		return "renamed";
	if (inode->nr_linked || inode->nr_unlinked)
		return inode->nr_linked > inode->nr_unlinked ? "linked" : "unlinked";
	return "changed";
}

/* --- Text ---------------------------------------------------------------------------------------------------------- */

static void print_path(const char *path)
{
	if (path)
		print_escaped(stdout, path, strlen(path));
	else
		fputs("(no name)", stdout);
}

/* What is printed of one inode's steps. */
struct details {
	const struct btrkit_log *log;
	struct btrkit_fs *fs;
	bool are_names_told; /* by the line above */
	const char *kind; /* of contents that have not been printed yet; NULL: there are none */
	u64 from, to; /* their range; UINT64_MAX: to the end */
};

static void print_contents(struct details *details)
{
	if (details->kind && details->to == UINT64_MAX)
		printf("         %s from %llu\n", details->kind, (ull)details->from);
	else if (details->kind)
		printf("         %s from %llu to %llu\n", details->kind, (ull)details->from, (ull)details->to);
	details->kind = NULL;
}

/* Neighbours of the same kind are one range; old contents make way for new ones without a line. */
static void add_contents(struct details *details, const char *kind, u64 from, u64 to)
{
	if (details->kind == kind && details->to == from) {
		details->to = to;
		return;
	}
	print_contents(details);
	details->kind = kind;
	details->from = from;
	details->to = to;
}

static void print_name(const struct details *details, const struct btrkit_log_step *step)
{
	const struct btrkit_inode dir = { step->inode.subvol, step->dir };
	bool is_link = step->action == BTRKIT_LOG_LINK;
	char path[PATH_MAX * 4] = "?";

	if (is_link || btrkit_path(details->fs, &dir, path, sizeof(path), NULL) < 0)
		(void)btrkit_log_path(details->log, &dir, path, sizeof(path), NULL);
	printf("         %c ", is_link ? '+' : '-');
	print_path(path);
	if (strcmp(path, "/") != 0)
		putchar('/');
	print_escaped(stdout, step->name, step->name_len);
	putchar('\n');
}

static const char *contents_name(const struct btrkit_file_range *range)
{
	static const char *const names[] = { [BTRKIT_RANGE_HOLE] = "a hole", [BTRKIT_RANGE_DATA] = "data",
					     [BTRKIT_RANGE_PREALLOC] = "reserved space" };

	return names[range->kind];
}

static int print_detail(void *arg, const struct btrkit_log_step *step)
{
	static const char dropped[] = "a hole";
	struct details *details = arg;

	if (step->action == BTRKIT_LOG_DROP) {
		add_contents(details, dropped, step->offset, step->len == UINT64_MAX ? UINT64_MAX : step->offset + step->len);
		return 0;
	}
	if (step->action == BTRKIT_LOG_EXTENT) {
		if (details->kind == dropped && details->from >= step->offset && details->to != UINT64_MAX)
			details->kind = NULL;
		add_contents(details, contents_name(&step->range), step->offset, step->offset + step->len);
		return 0;
	}
	print_contents(details);
	if ((step->action == BTRKIT_LOG_LINK || step->action == BTRKIT_LOG_UNLINK) && !details->are_names_told) {
		print_name(details, step);
	} else if (step->action == BTRKIT_LOG_SET_XATTR || step->action == BTRKIT_LOG_DELETE_XATTR) {
		printf("         attribute %s ", step->action == BTRKIT_LOG_SET_XATTR ? "set:" : "removed:");
		print_escaped(stdout, step->name, step->name_len);
		putchar('\n');
	}
	return 0;
}

/* Do its paths before and after say all of its names? */
static bool are_names_told(const struct btrkit_log_inode *inode)
{
	if (inode->is_new || inode->is_removed)
		return inode->nr_linked + inode->nr_unlinked <= 1;
	return inode->nr_linked == inode->nr_unlinked && inode->nr_linked <= 1 && inode->after->nlink == 1;
}

static void print_details(struct details *details, const struct btrkit_log_inode *inode)
{
	details->are_names_told = are_names_told(inode);
	details->kind = NULL;
	(void)btrkit_log_inode_step_for_each(details->log, &inode->inode, print_detail, details);
	print_contents(details);
}

static int print_inode(void *arg, const struct btrkit_log_inode *inode)
{
	char before[SIZE_TEXT_MAX], after[SIZE_TEXT_MAX];

	printf("%-8s ", log_inode_verdict(inode));
	print_path(inode->path_before ? inode->path_before : inode->path_after);
	if (inode->path_before && inode->path_after && strcmp(inode->path_before, inode->path_after) != 0) {
		fputs(" -> ", stdout);
		print_path(inode->path_after);
	}
	printf("\n         subvolume %llu inode %llu, %s", (ull)inode->inode.subvol, (ull)inode->inode.ino,
	       file_type_name(inode->after->mode));
	if (inode->before && S_ISREG(inode->after->mode) && inode->before->size != inode->after->size)
		printf(", %s -> %s", size_format(inode->before->size, before), size_format(inode->after->size, after));
	else if (!S_ISDIR(inode->after->mode))
		printf(", %s", size_format(inode->after->size, after));
	if (inode->before && inode->before->mode != inode->after->mode)
		printf(", mode %04o -> %04o", inode->before->mode & 07777, inode->after->mode & 07777);
	if (inode->nr_losses)
		printf(", %llu losses", (ull)inode->nr_losses);
	putchar('\n');
	print_details(arg, inode);
	return 0;
}

static int print_loss(void *arg, const struct btrkit_log_loss *loss)
{
	(void)arg;
	fputs("lost: ", stdout);
	if (loss->subvol)
		printf("subvolume %llu: ", (ull)loss->subvol);
	print_escaped(stdout, loss->text, strlen(loss->text));
	putchar('\n');
	return 0;
}

static int report_loss(void *arg, const struct btrkit_log_loss *loss)
{
	const struct open_command *command = arg;

	report_warning(command->name, "not in a replay: %s", loss->text);
	return 0;
}

void report_losses(const struct open_command *command, const struct btrkit_log *log)
{
	(void)btrkit_log_loss_for_each(log, report_loss, (void *)command);
}

static int print_step(void *arg, const struct btrkit_log_step *step)
{
	(void)arg;
	printf("%s %llu:%llu", step->action_name, (ull)step->inode.subvol, (ull)step->inode.ino);
	if (step->action == BTRKIT_LOG_LINK || step->action == BTRKIT_LOG_UNLINK)
		printf(" in %llu at %llu", (ull)step->dir, (ull)step->index);
	if (step->name) {
		fputs(" \"", stdout);
		print_escaped(stdout, step->name, step->name_len);
		putchar('"');
	}
	if (step->action == BTRKIT_LOG_DROP && step->len == UINT64_MAX)
		printf(" from %llu", (ull)step->offset);
	else if (step->action == BTRKIT_LOG_DROP || step->action == BTRKIT_LOG_EXTENT)
		printf(" at %llu, %llu bytes", (ull)step->offset, (ull)step->len);
	if (step->action == BTRKIT_LOG_EXTENT && step->range.logical)
		printf(", logical %llu", (ull)step->range.logical);
	if (step->stat)
		printf(" mode %o size %llu", step->stat->mode, (ull)step->stat->size);
	if (step->action == BTRKIT_LOG_SET_LINKS)
		printf(" to %u", step->nlink);
	putchar('\n');
	return 0;
}

int print_log(const struct open_command *command, struct btrkit_fs *fs, const struct btrkit_log *log)
{
	struct details details = { .log = log, .fs = fs };
	struct btrkit_error error = { 0 };
	int err = btrkit_log_inode_for_each(log, print_inode, &details, &error);

	if (err < 0)
		report_error(command->name, "%s", error.text);
	(void)btrkit_log_loss_for_each(log, print_loss, NULL);
	return err;
}

static void print_totals(const struct btrkit_log *log)
{
	struct btrkit_log_info info;

	btrkit_log_get_info(log, &info, sizeof(info));
	printf("log of transaction %llu: %llu blocks, %llu subvolumes, %llu inodes change, %llu losses\n", (ull)info.generation,
	       (ull)info.nr_blocks, (ull)info.nr_subvols, (ull)info.nr_inodes, (ull)info.nr_losses);
}

/* --- JSON ------------------------------------------------------------------------------------------------------------ */

static void print_object(struct json *object)
{
	json_print(object, stdout, true);
	json_free(object);
}

static struct json *new_line(const char *type)
{
	struct json *object = json_new_object();

	json_set_string(object, "type", type);
	return object;
}

static struct json *time_json(const struct btrkit_time *time)
{
	struct json *object = json_new_object();

	json_set_s64(object, "sec", time->sec);
	json_set_u64(object, "nsec", time->nsec);
	return object;
}

static struct json *stat_json(const struct btrkit_stat *stat)
{
	struct json *object = json_new_object();

	json_set_string(object, "type", file_type_name(stat->mode));
	json_set_u64(object, "mode", stat->mode & 07777);
	json_set_u64(object, "nlink", stat->nlink);
	json_set_u64(object, "uid", stat->uid);
	json_set_u64(object, "gid", stat->gid);
	json_set_u64(object, "size_bytes", stat->size);
	if (S_ISCHR(stat->mode) || S_ISBLK(stat->mode)) {
		json_set_u64(object, "rdev_major", stat->rdev_major);
		json_set_u64(object, "rdev_minor", stat->rdev_minor);
	}
	json_set_u64(object, "flags", stat->flags);
	json_set(object, "atime", time_json(&stat->atime));
	json_set(object, "mtime", time_json(&stat->mtime));
	json_set(object, "ctime", time_json(&stat->ctime));
	json_set(object, "otime", time_json(&stat->otime));
	return object;
}

static void set_path(struct json *object, const char *key, const char *path)
{
	if (path)
		json_set_bytes(object, key, path, strlen(path));
}

static int subvol_line(void *arg, const struct btrkit_log_subvol *subvol)
{
	struct json *object = new_line("subvolume");

	(void)arg;
	json_set_u64(object, "subvolume", subvol->id);
	set_path(object, "path", subvol->path);
	json_set_u64(object, "blocks", subvol->nr_blocks);
	json_set_u64(object, "items", subvol->nr_items);
	json_set_bool(object, "missing", subvol->is_missing);
	print_object(object);
	return 0;
}

static int inode_line(void *arg, const struct btrkit_log_inode *inode)
{
	struct json *object = new_line("inode");

	(void)arg;
	json_set_u64(object, "subvolume", inode->inode.subvol);
	json_set_u64(object, "inode", inode->inode.ino);
	json_set_string(object, "verdict", log_inode_verdict(inode));
	set_path(object, "path_before", inode->path_before);
	set_path(object, "path_after", inode->path_after);
	if (inode->before)
		json_set(object, "before", stat_json(inode->before));
	json_set(object, "after", stat_json(inode->after));
	json_set_u64(object, "names_linked", inode->nr_linked);
	json_set_u64(object, "names_unlinked", inode->nr_unlinked);
	json_set_u64(object, "extents", inode->nr_extents);
	json_set_u64(object, "data_bytes", inode->data_bytes);
	json_set_u64(object, "ranges_dropped", inode->nr_dropped);
	json_set_u64(object, "xattrs_set", inode->nr_xattrs_set);
	json_set_u64(object, "xattrs_deleted", inode->nr_xattrs_deleted);
	json_set_u64(object, "losses", inode->nr_losses);
	print_object(object);
	return 0;
}

static void set_extent(struct json *object, const struct btrkit_file_range *range)
{
	static const char *const kinds[] = { [BTRKIT_RANGE_HOLE] = "hole", [BTRKIT_RANGE_DATA] = "data",
					     [BTRKIT_RANGE_PREALLOC] = "prealloc" };

	json_set_string(object, "kind", kinds[range->kind]);
	json_set_bool(object, "inline", range->is_inline);
	if (range->compression)
		json_set_string(object, "compression", range->compression);
	if (range->logical) {
		json_set_u64(object, "logical", range->logical);
		json_set_u64(object, "disk_bytes", range->disk_bytes);
		json_set_u64(object, "extent_offset", range->extent_offset);
	}
}

static int step_line(void *arg, const struct btrkit_log_step *step)
{
	struct json *object = new_line("step");
	bool is_entry = step->action == BTRKIT_LOG_LINK || step->action == BTRKIT_LOG_UNLINK;

	(void)arg;
	json_set_string(object, "action", step->action_name);
	json_set_u64(object, "subvolume", step->inode.subvol);
	json_set_u64(object, "inode", step->inode.ino);
	if (is_entry) {
		json_set_u64(object, "directory", step->dir);
		json_set_u64(object, "index", step->index);
	}
	if (step->name)
		json_set_bytes(object, "name", step->name, step->name_len);
	if (step->action == BTRKIT_LOG_SET_XATTR)
		json_set_bytes(object, "value", step->value, step->value_len);
	if (step->action == BTRKIT_LOG_DROP || step->action == BTRKIT_LOG_EXTENT)
		json_set_u64(object, "offset_bytes", step->offset);
	if (step->action == BTRKIT_LOG_EXTENT || (step->action == BTRKIT_LOG_DROP && step->len != UINT64_MAX))
		json_set_u64(object, "length_bytes", step->len);
	if (step->action == BTRKIT_LOG_EXTENT)
		set_extent(object, &step->range);
	if (step->stat)
		json_set(object, "item", stat_json(step->stat));
	if (step->action == BTRKIT_LOG_SET_LINKS)
		json_set_u64(object, "nlink", step->nlink);
	print_object(object);
	return 0;
}

static int loss_line(void *arg, const struct btrkit_log_loss *loss)
{
	struct json *object = new_line("loss");

	(void)arg;
	json_set_string(object, "kind", loss->kind_name);
	if (loss->subvol)
		json_set_u64(object, "subvolume", loss->subvol);
	if (loss->ino)
		json_set_u64(object, "inode", loss->ino);
	if (loss->logical)
		json_set_u64(object, "logical", loss->logical);
	json_set_string(object, "text", loss->text);
	print_object(object);
	return 0;
}

/* @log NULL: there is none. */
static void print_summary_line(const struct btrkit_log *log)
{
	struct json *object = new_line("summary");
	struct btrkit_log_info info = { 0 };

	json_set_string(object, "schema", "btrkit-log-1");
	json_set_bool(object, "has_log", log != NULL);
	if (log) {
		btrkit_log_get_info(log, &info, sizeof(info));
		json_set_u64(object, "logical", info.logical);
		json_set_u64(object, "generation", info.generation);
	}
	json_set_u64(object, "blocks", info.nr_blocks);
	json_set_u64(object, "subvolumes", info.nr_subvols);
	json_set_u64(object, "inodes", info.nr_inodes);
	json_set_u64(object, "steps", info.nr_steps);
	json_set_u64(object, "losses", info.nr_losses);
	print_object(object);
}

static int print_log_json(const struct open_command *command, const struct btrkit_log *log)
{
	struct btrkit_error error = { 0 };
	int err = btrkit_log_subvol_for_each(log, subvol_line, NULL, &error);

	if (!err)
		err = btrkit_log_inode_for_each(log, inode_line, NULL, &error);
	if (err < 0) {
		report_error(command->name, "%s", error.text);
		return err;
	}
	(void)btrkit_log_step_for_each(log, step_line, NULL);
	(void)btrkit_log_loss_for_each(log, loss_line, NULL);
	print_summary_line(log);
	return 0;
}

/* --- The command ------------------------------------------------------------------------------------------------------- */

static int show(const struct log_show_command *command, struct btrkit_fs *fs, const struct btrkit_log *log)
{
	struct btrkit_log_info info;
	int err = command->is_json ? print_log_json(&command->open, log) : print_log(&command->open, fs, log);

	if (err)
		return EXIT_FAILED;
	if (command->do_show_steps && !command->is_json)
		(void)btrkit_log_step_for_each(log, print_step, NULL);
	if (!command->is_json)
		print_totals(log);
	btrkit_log_get_info(log, &info, sizeof(info));
	return info.nr_losses ? EXIT_FAILED : 0;
}

int cmd_log_show(int argc, char **argv)
{
	const struct option_table *table = &log_show_option_table;
	struct log_show_command command = { .open = { .name = table->command, .knows_log = true } };
	struct btrkit_log *log = NULL;
	struct btrkit_fs *fs = NULL;
	int first, status = 0, err;

	if (open_command_parse(table, argc, argv, &command, &command.is_json, &first, &status) != OPTIONS_RUN)
		return status;
	if (open_filesystem(&command.open, argv + first, argc - first, &fs) < 0)
		return EXIT_FAILED;
	err = open_log(&command.open, fs, &log);
	if (err < 0)
		status = EXIT_FAILED;
	else if (err == 0)
		status = show(&command, fs, log);
	else if (command.is_json)
		print_summary_line(NULL);
	else
		puts("there is no log");
	btrkit_log_close(log);
	btrkit_fs_close(fs);
	return status;
}
