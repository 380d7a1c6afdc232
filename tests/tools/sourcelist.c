/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests: everything that a source of a conversion tells, as tests/tools/kernellist.py shows a mounted filesystem. One line
 * for each path:
 *
 *	PATH \t type mode uid gid nlink size rdev flags ino atime mtime ctime otime \t target \t crc32 of contents \t xattrs
 *
 *	sourcelist [--skip-unsupported] [--info | --used | --runs | --scan] DEVICE
 *
 * --info: what is known before the scan. --used: ranges in use. --runs: of each file. --scan: scan only, and count.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "common/base/checked.h"
#include "convert/ext/ext_source.h"
#include "kernel-shared/device/file_device.h"

#define LARGE (16 << 20)
#define UNIT 65536

struct text {
	char *name;
	size_t len;
	u8 *value;
	size_t value_len;
};

struct child {
	char *name;
	size_t len;
	u64 ino;
};

struct listed {
	struct source_inode inode;
	bool is_there;
	char *target;
	size_t target_len;
	ARRAY(struct source_run) runs;
	u8 *bytes;
	size_t nr_bytes;
	ARRAY(struct text) xattrs;
	ARRAY(struct child) children;
};

struct list {
	struct source_sink sink;
	struct source *source;
	ARRAY(struct listed) inodes; /* by number */
	bool do_show_runs, is_count_only;
	u64 nr_inodes, nr_entries, nr_runs, nr_xattrs;
	struct diag *d;
	int err;
};

static void *copy_of(const void *data, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		exit(1);
	memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

static struct list *list_of(struct source_sink *sink)
{
	return container_of(sink, struct list, sink);
}

static struct listed *listed_of(struct list *list, u64 ino)
{
	while (list->inodes.len <= ino)
		if (array_push(&list->inodes, (struct listed){ .is_there = false }) < 0)
			exit(1);
	return &list->inodes.items[ino];
}

static int on_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	struct list *list = list_of(sink);
	struct listed *listed;

	list->nr_inodes++;
	if (list->is_count_only)
		return 0;
	listed = listed_of(list, inode->ino);
	if (listed->is_there)
		return diag_fail(d, -EINVAL, "inode %" PRIu64 " was told twice", inode->ino);
	listed->inode = *inode;
	listed->is_there = true;
	return 0;
}

static int on_xattr(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d)
{
	struct list *list = list_of(sink);

	(void)d;
	list->nr_xattrs++;
	if (list->is_count_only)
		return 0;
	return array_push(&listed_of(list, ino)->xattrs,
			  (struct text){ copy_of(name, strlen(name)), strlen(name), copy_of(value, len), len });
}

static int on_symlink(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	struct list *list = list_of(sink);

	(void)d;
	if (list->is_count_only)
		return 0;
	listed_of(list, ino)->target = copy_of(target, len);
	listed_of(list, ino)->target_len = len;
	return 0;
}

/* They have to be as the interface says. */
static int check_runs(const struct list *list, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	u32 block_bytes = list->source->info.block_bytes;

	for (size_t i = 0; i < nr; i++) {
		u64 all = runs[i].file_offset | runs[i].physical | runs[i].len;
		const struct source_run *last = i ? &runs[i - 1] : NULL;

		if (all % block_bytes != 0 || runs[i].len == 0 ||
		    !range_fits(runs[i].physical, runs[i].len, list->source->info.total_bytes) ||
		    (last && runs[i].file_offset < last->file_offset + last->len) ||
		    (last && runs[i].file_offset == last->file_offset + last->len &&
		     runs[i].physical == last->physical + last->len && runs[i].is_overlaid == last->is_overlaid))
			return diag_fail(d, -EINVAL, "inode %" PRIu64 ": run %zu is not as it should be", ino, i);
	}
	return nr ? 0 : diag_fail(d, -EINVAL, "inode %" PRIu64 ": no runs were told", ino);
}

static int on_runs(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	struct list *list = list_of(sink);
	int err = check_runs(list, ino, runs, nr, d);

	list->nr_runs += nr;
	for (size_t i = 0; !err && !list->is_count_only && i < nr; i++)
		err = array_push(&listed_of(list, ino)->runs, runs[i]);
	return err;
}

static int on_bytes(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d)
{
	struct list *list = list_of(sink);

	(void)d;
	if (list->is_count_only)
		return 0;
	listed_of(list, ino)->bytes = copy_of(data, len);
	listed_of(list, ino)->nr_bytes = len;
	return 0;
}

static int on_entry(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 child_ino, struct diag *d)
{
	struct list *list = list_of(sink);

	list->nr_entries++;
	if (list->is_count_only)
		return 0;
	if (!listed_of(list, dir_ino)->is_there)
		return diag_fail(d, -EINVAL, "an entry came before directory inode %" PRIu64, dir_ino);
	return array_push(&listed_of(list, dir_ino)->children, (struct child){ copy_of(name, name_len), name_len, child_ino });
}

/* --- Output ----------------------------------------------------------------------------------------------------- */

static void print_bytes(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		u8 c = (u8)text[i];

		if (c > 32 && c < 127 && c != '\\')
			putchar(c);
		else
			printf("\\x%02x", c);
	}
}

static void print_time(const struct btrkit_time *time)
{
	printf(" %" PRId64 ".%09" PRIu32, time->sec, time->nsec);
}

/* Bytes [at, at + len) of a file, as its runs have them. */
static void read_file(struct list *list, const struct listed *listed, u64 at, u8 *buf, size_t len)
{
	memset(buf, 0, len);
	array_for_each(&listed->runs, run) {
		u64 from = MAX(at, run->file_offset), to = MIN(at + len, run->file_offset + run->len);

		if (from < to && list->source->ops->read(list->source, run->physical + (from - run->file_offset), buf + (from - at),
							 (size_t)(to - from), list->d)) {
			fprintf(stderr, "read: %s\n", list->d->text);
			exit(1);
		}
	}
}

/* Of all contents; of a large file, of its units that are not zeroes, each behind its number. */
static u32 crc_of_large(struct list *list, const struct listed *listed)
{
	static u8 buf[UNIT], zeroes[UNIT];
	u64 next = 0, size = listed->inode.size;
	u32 crc = 0;

	array_for_each(&listed->runs, run) {
		for (u64 unit = MAX(next, run->file_offset / UNIT); unit * UNIT < MIN(size, run->file_offset + run->len); unit++) {
			size_t len = (size_t)MIN((u64)UNIT, size - unit * UNIT);
			le64 number;

			read_file(list, listed, unit * UNIT, buf, len);
			next = unit + 1;
			if (memcmp(buf, zeroes, len) == 0)
				continue;
			le64_put(&number, unit);
			crc = (u32)crc32(crc, (const u8 *)&number, sizeof(number));
			crc = (u32)crc32(crc, buf, (uInt)len);
		}
	}
	return crc;
}

static u32 crc_of_file(struct list *list, const struct listed *listed)
{
	static u8 buf[LARGE];
	u64 size = listed->inode.size;

	if (listed->bytes && listed->nr_bytes != size) {
		list->err = diag_fail(list->d, -EINVAL, "inode %" PRIu64 ": contents are not as long as its size", listed->inode.ino);
		return 0;
	}
	if (listed->bytes)
		return (u32)crc32(0, listed->bytes, (uInt)size);
	if (size > LARGE)
		return crc_of_large(list, listed);
	read_file(list, listed, 0, buf, (size_t)size);
	return (u32)crc32(0, buf, (uInt)size);
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(((const struct text *)a)->name, ((const struct text *)b)->name);
}

static char letter_of(u32 mode)
{
	static const char letters[] = "?pc?d?b?f?l?s???";

	return letters[mode >> 12 & 15];
}

static void print_listed(struct list *list, struct listed *listed, const char *path)
{
	const struct source_inode *inode = &listed->inode;
	bool is_dir = S_ISDIR(inode->mode);

	print_bytes(path[0] ? path : ".", strlen(path[0] ? path : "."));
	printf("\t%c %04o %u %u ", letter_of(inode->mode), inode->mode & 07777, inode->uid, inode->gid);
	if (is_dir)
		printf("- -");
	else
		printf("%u %" PRIu64, inode->nlink, inode->size);
	printf(" %u:%u %x %" PRIu64, inode->rdev_major, inode->rdev_minor, inode->inode_flags, inode->ino);
	print_time(&inode->atime);
	print_time(&inode->mtime);
	print_time(&inode->ctime);
	print_time(&inode->otime);
	putchar('\t');
	if (listed->target)
		print_bytes(listed->target, listed->target_len);
	putchar('\t');
	if (S_ISREG(inode->mode))
		printf("%08x", crc_of_file(list, listed));
	putchar('\t');
	array_sort(&listed->xattrs, compare_texts);
	array_for_each(&listed->xattrs, xattr) {
		print_bytes(xattr->name, xattr->len);
		putchar('=');
		for (size_t i = 0; i < xattr->value_len; i++)
			printf("%02x", xattr->value[i]);
		putchar(' ');
	}
	putchar('\n');
	if (list->do_show_runs)
		array_for_each(&listed->runs, run)
			printf("  run %" PRIu64 " at %" PRIu64 " of %" PRIu64 "%s\n", run->file_offset, run->physical, run->len,
			       run->is_overlaid ? " overlaid" : "");
}

static void print_tree(struct list *list, u64 ino, const char *path)
{
	struct listed *listed = listed_of(list, ino);

	if (!listed->is_there) {
		fprintf(stderr, "%s: inode %" PRIu64 " was not told\n", path, ino);
		exit(1);
	}
	print_listed(list, listed, path);
	for (size_t i = 0; i < listed_of(list, ino)->children.len; i++) {
		const struct child *child = &listed_of(list, ino)->children.items[i];
		size_t len = strlen(path);
		char *below = malloc(len + child->len + 2);

		if (!below)
			exit(1);
		snprintf(below, len + child->len + 2, "%s%s%s", path, len ? "/" : "", child->name);
		print_tree(list, child->ino, below);
		free(below);
	}
}

static void print_info(const struct source *source)
{
	const struct source_info *info = &source->info;

	printf("type %s\nlabel %s\nuuid ", info->type, info->label);
	for (size_t i = 0; i < sizeof(info->uuid); i++)
		printf("%02x", info->uuid[i]);
	printf("\nblock_bytes %u\ntotal_bytes %" PRIu64 "\nnr_inodes %" PRIu64 "\ntop_ino %" PRIu64 "\n", info->block_bytes,
	       info->total_bytes, info->nr_inodes, info->top_ino);
	printf("magic_physical %" PRIu64 "\nmagic_len %u\nhas_journal %d\njournal_nr_blocks %" PRIu64 "\n", info->magic_physical,
	       info->magic_len, info->has_journal, info->journal_nr_blocks);
}

static int print_range(void *ctx, u64 physical, u64 len, struct diag *d)
{
	(void)ctx, (void)d;
	printf("%" PRIu64 " %" PRIu64 "\n", physical, len);
	return 0;
}

static void list_done(struct list *list)
{
	array_for_each(&list->inodes, listed) {
		array_for_each(&listed->xattrs, xattr) {
			free(xattr->name);
			free(xattr->value);
		}
		array_for_each(&listed->children, child)
			free(child->name);
		array_done(&listed->xattrs);
		array_done(&listed->children);
		array_done(&listed->runs);
		free(listed->target);
		free(listed->bytes);
	}
	array_done(&list->inodes);
}

static int list_source(struct source *source, const char *what, struct diag *d)
{
	_cleanup_(list_done) struct list list = {
		.sink = { on_inode, on_xattr, on_symlink, on_runs, on_bytes, on_entry, NULL },
		.source = source,
		.do_show_runs = strcmp(what, "--runs") == 0,
		.is_count_only = strcmp(what, "--scan") == 0,
		.d = d,
	};
	int err;

	if (strcmp(what, "--info") == 0) {
		print_info(source);
		return 0;
	}
	if (strcmp(what, "--used") == 0)
		return source->ops->used_ranges(source, 0, print_range, NULL, d);
	err = source->ops->scan(source, &list.sink, NULL, d);
	if (err)
		return err;
	if (list.is_count_only)
		printf("%" PRIu64 " inodes, %" PRIu64 " entries, %" PRIu64 " runs, %" PRIu64 " xattrs\n", list.nr_inodes,
		       list.nr_entries, list.nr_runs, list.nr_xattrs);
	else
		print_tree(&list, source->info.top_ino, "");
	return list.err;
}

static void print_note(void *arg, enum diag_severity severity, const char *text)
{
	(void)arg;
	fprintf(stderr, "%s: %s\n", severity == DIAG_NOTE ? "note" : "warning", text);
}

int main(int argc, char **argv)
{
	struct diag d = { .note = print_note };
	_cleanup_(blockdev_closep) struct blockdev *dev = NULL;
	_cleanup_(source_closep) struct source *source = NULL;
	struct source_options options = { .do_skip_unsupported = false };
	const char *what = "";
	int err;

	for (; argc > 2; argc--, argv++) {
		if (strcmp(argv[1], "--skip-unsupported") == 0)
			options.do_skip_unsupported = true;
		else
			what = argv[1];
	}
	if (argc != 2)
		return 2;
	err = file_device_open(argv[1], 0, 0, 0, &dev, &d);
	if (!err)
		err = source_ext_ops.open(&dev, 1, &options, &source, &d);
	if (err == 1)
		fprintf(stderr, "not ext\n");
	if (!err)
		err = list_source(source, what, &d);
	if (err < 0)
		fprintf(stderr, "error %d: %s\n", err, d.text);
	return err != 0;
}
