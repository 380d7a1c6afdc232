/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For tests: the tree of a bcachefs volume, asked for inode by inode, as one line for each path:
 *
 *	PATH \t TYPE \t MODE \t UID \t GID \t SIZE \t NLINK \t MTIME in ns \t RDEV \t TARGET \t SHA-256
 *
 *	sourcetree [--no-journal] [--xattrs | --used | --scan] DEVICE...
 *
 * On the way it asks for each name again, and for the data of each file a second time, in other pieces, and where the source says that
 * the data lies on a device as it is. --xattrs: lines "INODE:NAME:VALUE" instead, values to their first NUL. --used: ranges
 * in use, "DEVICE BEGIN LENGTH". --scan: how many inodes and names a scan tells.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/csum/csum.h"
#include "convert/bcachefs/bch_source.h"
#include "kernel-shared/device/file_device.h"

#define PIECE 1000003
#define PATH_BYTES 8192

struct name {
	char *name;
	size_t len;
	u64 subvol, ino; /* ino 0: the top of subvol */
};

struct one {
	struct source_sink sink;
	struct source_inode inode;
	char *target;
	u8 *bytes;
	size_t nr_bytes;
	bool has_bytes;
	ARRAY(struct source_run) runs;
	ARRAY(struct name) names;
	u64 subvol;
};

static struct {
	struct source *source;
	struct blockdev *devs[8];
	size_t nr_devs;
	bool do_xattrs;
	int nr_bad;
} tree;

static void *copy_of(const void *data, size_t len)
{
	char *copy = malloc(len + 1);

	if (!copy)
		exit(1);
	if (len)
		memcpy(copy, data, len);
	copy[len] = '\0';
	return copy;
}

static struct one *one_of(struct source_sink *sink)
{
	return container_of(sink, struct one, sink);
}

static void complain(const char *path, const char *what, const struct diag *d)
{
	fprintf(stderr, "%s: %s%s%s\n", path, what, d ? ": " : "", d ? d->text : "");
	tree.nr_bad++;
}

static int on_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	(void)d;
	one_of(sink)->inode = *inode;
	return 0;
}

static int on_xattr(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d)
{
	(void)sink, (void)d;
	if (!tree.do_xattrs)
		return 0;
	printf("%" PRIu64 ":%s:%.*s\n", ino, name, (int)strnlen(value, len), (const char *)value);
	return 0;
}

static int on_symlink(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	(void)ino, (void)d;
	free(one_of(sink)->target);
	one_of(sink)->target = copy_of(target, len);
	return 0;
}

static int on_runs(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	struct one *one = one_of(sink);

	for (size_t i = 0; i < nr; i++) {
		u64 all = runs[i].file_offset | runs[i].len | (runs[i].is_encoded ? 0 : runs[i].physical);

		if (all % tree.source->info.block_bytes != 0 || runs[i].len == 0 || runs[i].device >= tree.nr_devs ||
		    (i && runs[i].file_offset < runs[i - 1].file_offset + runs[i - 1].len))
			return diag_fail(d, -EINVAL, "inode %" PRIu64 ": run %zu is not as it should be", ino, i);
		if (array_push(&one->runs, runs[i]) < 0)
			exit(1);
	}
	return nr ? 0 : diag_fail(d, -EINVAL, "inode %" PRIu64 ": no runs were told", ino);
}

static int on_bytes(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d)
{
	struct one *one = one_of(sink);

	(void)ino, (void)d;
	free(one->bytes);
	one->bytes = copy_of(data, len);
	one->nr_bytes = len;
	one->has_bytes = true;
	return 0;
}

static int on_entry(struct source_sink *sink, u64 dir, const char *name, size_t len, u64 ino, struct diag *d)
{
	struct one *one = one_of(sink);

	(void)dir, (void)d;
	return array_push(&one->names, (struct name){ copy_of(name, len), len, one->subvol, ino });
}

static int on_subvol(struct source_sink *sink, u64 dir, const char *name, size_t len, u64 subvol, struct diag *d)
{
	(void)dir, (void)d;
	return array_push(&one_of(sink)->names, (struct name){ copy_of(name, len), len, subvol, 0 });
}

/* --- Contents --------------------------------------------------------------------------------------------------- */

static void compare_runs(const struct one *one, const u8 *data, const char *path)
{
	u64 size = one->inode.size;

	array_for_each(&one->runs, run) {
		u64 len = run->file_offset < size ? MIN(run->len, size - run->file_offset) : 0;
		struct diag d = { 0 };
		u8 *there;

		if (run->is_encoded || len == 0)
			continue;
		there = malloc(len);
		if (!there)
			exit(1);
		if (blockdev_read(tree.devs[run->device], run->physical, there, len, &d) < 0)
			complain(path, "a run cannot be read", &d);
		else if (memcmp(there, data + run->file_offset, len) != 0)
			complain(path, "a run has other data", NULL);
		free(there);
	}
}

static bool read_pieces(const struct one *one, u8 *data, size_t piece, const char *path)
{
	u64 size = one->inode.size;

	for (u64 at = 0; at < size; at += piece) {
		struct diag d = { 0 };
		u64 bad = UINT64_MAX;
		size_t len = (size_t)MIN((u64)piece, size - at);

		if (tree.source->ops->read_file(tree.source, one->subvol, one->inode.ino, at, data + at, len, &bad, &d) < 0) {
			fprintf(stderr, "bad from byte %" PRIu64 "\n", bad);
			complain(path, "cannot be read", &d);
			return false;
		}
	}
	return true;
}

static void print_contents(const struct one *one, const char *path)
{
	const struct csum_kind *sha256 = csum_kind_by_type(CSUM_TYPE_SHA256);
	u64 size = one->inode.size;
	u8 *data = malloc(size + 1), *again = malloc(size + 1), csum[CSUM_BYTES_MAX];

	if (!data || !again || !sha256)
		exit(1);
	memset(data, 0x55, size + 1);
	memset(again, 0xaa, size + 1);
	if (!read_pieces(one, data, PIECE, path)) {
		printf("ERROR");
	} else {
		read_pieces(one, again, size < 100000 ? 501 : 4099, path);
		if (memcmp(data, again, size) != 0)
			complain(path, "pieces differ", NULL);
		if (one->has_bytes && (one->nr_bytes != size || memcmp(data, one->bytes, size) != 0))
			complain(path, "inline data differs", NULL);
		compare_runs(one, data, path);
		csum_compute(sha256, data, size, csum);
		for (unsigned i = 0; i < sha256->size_bytes; i++)
			printf("%02x", csum[i]);
	}
	free(data);
	free(again);
}

/* --- Tree ------------------------------------------------------------------------------------------------------- */

static void print_text(const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '\t' || *text == '\n')
			printf("\\%03o", *text);
		else
			putchar(*text);
	}
}

static char type_of(u32 mode)
{
	return S_ISREG(mode) ? 'f' : S_ISDIR(mode) ? 'd' : S_ISLNK(mode) ? 'l' : S_ISFIFO(mode) ? 'p' : S_ISCHR(mode) ? 'c' :
	       S_ISBLK(mode) ? 'b' : 's';
}

static void print_one(const struct one *one, const char *path)
{
	const struct source_inode *inode = &one->inode;

	print_text(path);
	printf("\t%c\t%o\t%" PRIu32 "\t%" PRIu32 "\t%" PRIu64 "\t%" PRIu32 "\t%" PRId64 "\t", type_of(inode->mode), inode->mode & 07777,
	       inode->uid, inode->gid, inode->size, inode->nlink, inode->mtime.sec * 1000000000 + inode->mtime.nsec);
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode))
		printf("%" PRIu32 ":%" PRIu32 "\t", inode->rdev_major, inode->rdev_minor);
	else
		printf("-\t");
	print_text(one->target ? one->target : "-");
	putchar('\t');
	if (S_ISREG(inode->mode))
		print_contents(one, path);
	else
		putchar('-');
	putchar('\n');
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct name *)a)->name, ((const struct name *)b)->name);
}

static void walk(u64 subvol, u64 ino, const char *path);

static void walk_names(struct one *one, const char *path)
{
	array_sort(&one->names, compare_names);
	array_for_each(&one->names, name) {
		u64 subvol = 0, ino = 0;
		struct diag d = { 0 };
		char below[PATH_BYTES];

		snprintf(below, sizeof(below), "%s/%s", path[1] ? path : "", name->name);
		if (tree.source->ops->look_up(tree.source, one->subvol, one->inode.ino, name->name, name->len, &subvol, &ino, &d) < 0)
			complain(below, "is not found", &d);
		else if (subvol != name->subvol || (name->ino && ino != name->ino))
			complain(below, "leads elsewhere", NULL);
		else
			walk(subvol, ino, below);
		free(name->name);
	}
}

static void walk(u64 subvol, u64 ino, const char *path)
{
	struct one one = { .sink = { .inode = on_inode, .xattr = on_xattr, .symlink = on_symlink, .runs = on_runs, .bytes = on_bytes,
				     .entry = on_entry, .subvol = on_subvol },
			   .subvol = subvol };
	struct diag d = { 0 };

	if (tree.source->ops->look(tree.source, subvol, ino, &one.sink, &d) < 0)
		complain(path, "look", &d);
	if (!tree.do_xattrs)
		print_one(&one, path);
	walk_names(&one, path);
	array_done(&one.names);
	array_done(&one.runs);
	free(one.target);
	free(one.bytes);
}

static int count_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	(void)inode, (void)d;
	one_of(sink)->inode.ino++;
	return 0;
}

static int count_entry(struct source_sink *sink, u64 dir, const char *name, size_t len, u64 ino, struct diag *d)
{
	(void)dir, (void)name, (void)len, (void)ino, (void)d;
	one_of(sink)->inode.nlink++;
	return 0;
}

static int scan(struct diag *d)
{
	struct one one = { .sink = { .inode = count_inode, .xattr = on_xattr, .symlink = on_symlink, .runs = on_runs, .bytes = on_bytes,
				     .entry = count_entry } };
	int err = tree.source->ops->scan(tree.source, &one.sink, NULL, d);

	printf("%" PRIu64 " inodes, %" PRIu32 " names\n", one.inode.ino, one.inode.nlink);
	array_done(&one.runs);
	free(one.target);
	free(one.bytes);
	return err;
}

static int print_range(void *ctx, u64 physical, u64 len, struct diag *d)
{
	(void)d;
	printf("%" PRIu32 " %" PRIu64 " %" PRIu64 "\n", *(const u32 *)ctx, physical, len);
	return 0;
}

static void print_note(void *arg, enum diag_severity severity, const char *text)
{
	(void)arg, (void)severity;
	fprintf(stderr, "note: %s\n", text);
}

int main(int argc, char **argv)
{
	struct diag d = { .note = print_note };
	struct source_options options = { .only_reads = true };
	bool do_used = false, do_scan = false;
	int err = 0;

	for (int i = 1; i < argc && !err; i++) {
		if (strcmp(argv[i], "--no-journal") == 0)
			options.no_journal = true;
		else if (strcmp(argv[i], "--xattrs") == 0)
			tree.do_xattrs = true;
		else if (strcmp(argv[i], "--used") == 0)
			do_used = true;
		else if (strcmp(argv[i], "--scan") == 0)
			do_scan = true;
		else if (tree.nr_devs < ARRAY_LEN(tree.devs))
			err = file_device_open(argv[i], 0, 0, 0, &tree.devs[tree.nr_devs++], &d);
	}
	if (!err)
		err = source_bcachefs_ops.open(tree.devs, tree.nr_devs, &options, &tree.source, &d);
	for (u32 device = 0; !err && do_used && device < tree.nr_devs; device++)
		err = tree.source->ops->used_ranges(tree.source, device, print_range, &device, &d);
	if (err || do_used)
		;
	else if (do_scan)
		err = scan(&d);
	else
		walk(tree.source->info.top_subvol, tree.source->info.top_ino, "/");
	if (err)
		fprintf(stderr, "%d %s\n", err, d.text);
	source_close(tree.source);
	for (size_t i = 0; i < tree.nr_devs; i++)
		blockdev_close(tree.devs[i]);
	return err || tree.nr_bad ? 1 : 0;
}
