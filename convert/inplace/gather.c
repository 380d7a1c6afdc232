/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/inplace/gather.h"

#include <stdio.h>
#include <sys/stat.h>

typedef unsigned long long ull;

#define PAGE_BITS 10
#define PAGE_NODES (1U << PAGE_BITS)
#define INO_MAX (1ULL << 40)

struct gathering {
	struct source_sink sink;
	struct gathered *to;
	const struct gather_options *options;
	struct progress *progress;
};

/* --- Inode numbers ---------------------------------------- */

u32 gathered_node(const struct gathered *gathered, u64 ino)
{
	const struct node_table *table = &gathered->nodes;

	if (ino >> PAGE_BITS >= table->pages.len || !table->pages.items[ino >> PAGE_BITS])
		return CONTENT_NONE;
	return table->pages.items[ino >> PAGE_BITS][ino % PAGE_NODES];
}

static int set_node(struct gathered *gathered, u64 ino, u32 node, struct diag *d)
{
	struct node_table *table = &gathered->nodes;
	u64 page = ino >> PAGE_BITS;

	if (ino >= INO_MAX)
		return diag_fail(d, -EUCLEAN, "inode number %llu is too large", (ull)ino);
	while (table->pages.len <= page)
		if (array_push(&table->pages, (u32 *)NULL) < 0)
			return diag_no_memory(d, "inode numbers");
	if (!table->pages.items[page]) {
		table->pages.items[page] = malloc(PAGE_NODES * sizeof(u32));
		if (!table->pages.items[page])
			return diag_no_memory(d, "inode numbers");
		memset(table->pages.items[page], 0xff, PAGE_NODES * sizeof(u32));
	}
	table->pages.items[page][ino % PAGE_NODES] = node;
	return 0;
}

/* The node of an inode of which perhaps only a name is known yet. Mode 0 marks such a one. */
static int take_node(struct gathering *g, u64 ino, u32 *ret_node, struct diag *d)
{
	const struct btrkit_node_attr unknown = { 0 };
	int err;

	*ret_node = ino == g->options->top_ino ? BTRKIT_TOP_NODE : gathered_node(g->to, ino);
	if (*ret_node != CONTENT_NONE)
		return 0;
	err = content_add_node(g->to->content, &unknown, NULL, ret_node, d);
	return err ? err : set_node(g->to, ino, *ret_node, d);
}

/* --- What the source tells ---------------------------------------- */

static struct gathering *of(struct source_sink *sink)
{
	return container_of(sink, struct gathering, sink);
}

static int take_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	struct gathering *g = of(sink);
	const struct btrkit_node_attr attr = {
		.mode = inode->mode,
		.uid = inode->uid,
		.gid = inode->gid,
		.rdev_major = inode->rdev_major,
		.rdev_minor = inode->rdev_minor,
		/* The saved image has checksums of all blocks. */
		.inode_flags = inode->inode_flags & ~(BTRKIT_INODE_NODATASUM | BTRKIT_INODE_NODATACOW),
		.atime = inode->atime,
		.mtime = inode->mtime,
		.ctime = inode->ctime,
	};
	struct content_node *node;
	u32 index;
	int err = 0;

	if (S_ISREG(inode->mode) && inode->size > INT64_MAX)
		err = diag_fail(d, -EUCLEAN, "inode %llu: no file can have %llu bytes", (ull)inode->ino, (ull)inode->size);
	if (!err)
		err = take_node(g, inode->ino, &index, d);
	if (err)
		return err;
	if (inode->ino == g->options->top_ino) {
		if (!S_ISDIR(inode->mode))
			return diag_fail(d, -EUCLEAN, "inode %llu is to be the top directory and is none", (ull)inode->ino);
		err = set_node(g->to, inode->ino, index, d);
	} else if (g->to->content->nodes.items[index].mode) {
		return diag_fail(d, -EUCLEAN, "inode %llu is there twice", (ull)inode->ino);
	}
	if (!err)
		err = content_set_node(g->to->content, index, &attr, &inode->otime, d);
	if (err)
		return err;
	node = &g->to->content->nodes.items[index];
	if (S_ISREG(inode->mode)) {
		node->size = inode->size;
		node->data_kind = CONTENT_DATA_NONE;
	}
	progress_add(g->progress, 0, 1);
	return 0;
}

static int node_told(struct gathering *g, u64 ino, u32 type, u32 *ret_node, struct diag *d)
{
	*ret_node = gathered_node(g->to, ino);
	if (*ret_node == CONTENT_NONE || (type && (g->to->content->nodes.items[*ret_node].mode & S_IFMT) != type))
		return diag_fail(d, -EUCLEAN, "inode %llu is not of the type that its data is of", (ull)ino);
	return 0;
}

static int pass_on(const struct btrkit_error *error, u64 ino, struct diag *d)
{
	return error->err ? diag_fail(d, error->err, "inode %llu: %s", (ull)ino, error->text) : 0;
}

static int take_xattr(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d)
{
	struct gathering *g = of(sink);
	struct btrkit_error error = { 0 };
	u32 node;
	int err = node_told(g, ino, 0, &node, d);

	if (err)
		return err;
	error.err = btrkit_content_set_xattr(g->to->content, node, name, value, len, &error);
	return pass_on(&error, ino, d);
}

static int take_symlink(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	struct gathering *g = of(sink);
	struct btrkit_error error = { 0 };
	u32 node;
	int err = node_told(g, ino, S_IFLNK, &node, d);

	if (err)
		return err;
	error.err = btrkit_content_set_symlink(g->to->content, node, target, len, &error);
	return pass_on(&error, ino, d);
}

static int note_overlaid(struct gathered *to, const struct source_run *run, struct diag *d)
{
	return array_push(&to->overlaid.list, (struct space_range){ run->physical, run->len }) < 0
		       ? diag_no_memory(d, "ranges in the journal")
		       : 0;
}

static bool is_unreadable(const struct gathering *g, const struct source_run *run)
{
	const struct space_ranges *known = g->options->unreadable;
	size_t at = known ? array_lower_bound(&known->list, it, it->physical + it->len <= run->physical) : 0;

	return known && at < known->list.len && known->list.items[at].physical < run->physical + run->len;
}

static int take_runs(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	struct gathering *g = of(sink);
	struct content_node *at;
	u32 node;
	int err = node_told(g, ino, S_IFREG, &node, d);

	if (err)
		return err;
	at = &g->to->content->nodes.items[node];
	/* What a small file may be read from, if its data goes into the tree: its only block. */
	if (nr == 1 && runs[0].file_offset == 0) {
		at->data_kind = CONTENT_DATA_PLACED;
		at->data = runs[0].physical;
	}
	if (at->data_kind == CONTENT_DATA_PLACED && is_unreadable(g, &runs[0]))
		at->data_kind = CONTENT_DATA_STAYS;
	if (at->data_kind == CONTENT_DATA_PLACED && at->size > 0 && at->size <= g->options->max_inline_bytes)
		return 0;
	for (size_t i = 0; i < nr && !err; i++) {
		const struct gathered_run run = { runs[i].physical, runs[i].file_offset, runs[i].len, node,
						  runs[i].is_overlaid };

		if (array_push(&g->to->runs, run) < 0)
			err = diag_no_memory(d, "where files lie");
		if (!err && run.is_overlaid)
			err = note_overlaid(g->to, &runs[i], d);
	}
	return err;
}

static int take_bytes(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d)
{
	struct gathering *g = of(sink);
	struct btrkit_error error = { 0 };
	u32 node;
	int err = node_told(g, ino, S_IFREG, &node, d);

	if (err)
		return err;
	if (len != g->to->content->nodes.items[node].size)
		return diag_fail(d, -EUCLEAN, "inode %llu: is %llu bytes long and has %zu", (ull)ino,
				 (ull)g->to->content->nodes.items[node].size, len);
	error.err = btrkit_content_set_data(g->to->content, node, data, len, 0, &error);
	return pass_on(&error, ino, d);
}

static int take_entry(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 child_ino,
		      struct diag *d)
{
	struct gathering *g = of(sink);
	u32 dir, child;
	int err = node_told(g, dir_ino, S_IFDIR, &dir, d);

	if (err)
		return err;
	if (name_len == 0 || name_len > NAME_LEN_MAX || memchr(name, '/', name_len) || memchr(name, 0, name_len) ||
	    (name_len <= 2 && memcmp(name, "..", name_len) == 0))
		return diag_fail(d, -EUCLEAN, "directory %llu: impossible name of %zu bytes", (ull)dir_ino, name_len);
	if (child_ino == g->options->top_ino)
		return diag_fail(d, -EUCLEAN, "directory %llu: a name leads to the top directory", (ull)dir_ino);
	err = take_node(g, child_ino, &child, d);
	return err ? err : content_add_name(g->to->content, dir, name, name_len, child, d);
}

/* --- All of it ---------------------------------------- */

/* Names of inodes that were not told. */
static int drop_unknown(struct gathering *g, struct diag *d)
{
	struct btrkit_content *content = g->to->content;

	array_for_each(&content->dirents, dirent) {
		char path[512];

		if (content->nodes.items[dirent->node].mode)
			continue;
		if (!g->options->do_skip_unsupported) {
			btrkit_content_path(content, dirent->node, path, sizeof(path));
			return diag_fail(d, -EUCLEAN, "/%s: leads to an inode that is not in use", path);
		}
		dirent->node = CONTENT_NONE;
		g->to->nr_left_out++;
	}
	return 0;
}

/* A directory that has two names, or is below itself, would be entered more than once, or never. */
static int judge_directories(const struct gathered *gathered, struct diag *d)
{
	const struct btrkit_content *content = gathered->content;
	_free_ u8 *has_name = calloc(content->nodes.len, 1);

	if (!has_name)
		return diag_no_memory(d, "directories");
	array_for_each(&content->dirents, dirent) {
		if (dirent->node == CONTENT_NONE || !S_ISDIR(content->nodes.items[dirent->node].mode))
			continue;
		if (has_name[dirent->node]++)
			return diag_fail(d, -EUCLEAN, "\"%.*s\": the second name of a directory", dirent->name_len,
					 dirent_name(content, dirent));
	}
	return 0;
}

static int by_physical(const void *a, const void *b)
{
	const struct gathered_run *x = a, *y = b;

	return x->physical < y->physical ? -1 : x->physical > y->physical;
}

static int by_start(const void *a, const void *b)
{
	const struct space_range *x = a, *y = b;

	return x->physical < y->physical ? -1 : x->physical > y->physical;
}

static int sort_runs(struct gathered *gathered, struct diag *d)
{
	array_sort(&gathered->runs, by_physical);
	array_sort(&gathered->overlaid.list, by_start);
	for (size_t i = 1; i < gathered->runs.len; i++) {
		const struct gathered_run *before = &gathered->runs.items[i - 1], *run = before + 1;

		if (before->physical + before->len > run->physical)
			return diag_fail(d, -EUCLEAN, "bytes at %llu belong to two files, or twice to one", (ull)run->physical);
	}
	return 0;
}

int gather(struct source *source, const struct gather_options *options, struct progress *progress,
	   struct gathered *ret_gathered, struct diag *d)
{
	struct gathering g = {
		.sink = { take_inode, take_xattr, take_symlink, take_runs, take_bytes, take_entry, NULL },
		.to = ret_gathered,
		.options = options,
		.progress = progress,
	};
	int err;

	*ret_gathered = (struct gathered){ 0 };
	if (btrkit_content_new(&ret_gathered->content) < 0)
		return diag_no_memory(d, "files");
	ret_gathered->content->nodes.items[BTRKIT_TOP_NODE].mode = 0;
	err = source->ops->scan(source, &g.sink, progress, d);
	if (!err && gathered_node(ret_gathered, options->top_ino) == CONTENT_NONE)
		err = diag_fail(d, -EUCLEAN, "there is no top directory");
	if (!err)
		err = drop_unknown(&g, d);
	if (!err)
		err = judge_directories(ret_gathered, d);
	if (!err)
		err = sort_runs(ret_gathered, d);
	if (err)
		gathered_done(ret_gathered);
	return err;
}

void gathered_keep_inos(struct gathered *gathered)
{
	array_for_each(&gathered->nodes.pages, page)
		for (u32 i = 0; *page && i < PAGE_NODES; i++)
			if ((*page)[i] != CONTENT_NONE)
				(*page)[i] = gathered->content->nodes.items[(*page)[i]].ino;
	btrkit_content_free(gathered->content);
	gathered->content = NULL;
	array_done(&gathered->runs);
}

u64 gathered_ino(const struct gathered *gathered, u64 source_ino)
{
	u32 number = gathered_node(gathered, source_ino);

	return number == CONTENT_NONE ? 0 : FIRST_FREE_OBJECTID + number;
}

void gathered_done(struct gathered *gathered)
{
	btrkit_content_free(gathered->content);
	array_done(&gathered->runs);
	array_done(&gathered->overlaid.list);
	array_for_each(&gathered->nodes.pages, page)
		free(*page);
	array_done(&gathered->nodes.pages);
	*gathered = (struct gathered){ 0 };
}

/* --- The saved subvolume ---------------------------------------- */

#define SAVED_NAME "ext2_saved"
#define SAVED_NAME_MAX 40

static void write_saved_name(u64 number, char *buf)
{
	if (number)
		snprintf(buf, SAVED_NAME_MAX, "%s_%llu", SAVED_NAME, (ull)number);
	else
		snprintf(buf, SAVED_NAME_MAX, "%s", SAVED_NAME);
}

/* The number that such a name has: 0 for the plain one; false: it is no such name. */
static bool saved_name_number(const struct btrkit_content *content, const struct content_dirent *dirent, u64 *ret_number)
{
	char name[SAVED_NAME_MAX] = "", same[SAVED_NAME_MAX];
	const size_t len = sizeof(SAVED_NAME) - 1;

	if (dirent->parent != BTRKIT_TOP_NODE || dirent->node == CONTENT_NONE || dirent->name_len >= sizeof(name) ||
	    dirent->name_len < len)
		return false;
	memcpy(name, dirent_name(content, dirent), dirent->name_len);
	*ret_number = name[len] == '_' ? strtoull(name + len + 1, NULL, 10) : 0;
	write_saved_name(*ret_number, same);
	return strcmp(name, same) == 0;
}

/* The first name that no file of the top directory has. Of n files, one of the first n + 1 names is free. */
static int choose_saved_name(const struct btrkit_content *content, char *buf, struct diag *d)
{
	_free_ u8 *is_taken = NULL;
	u64 nr = 0, number, first = 0;

	array_for_each(&content->dirents, dirent)
		nr += saved_name_number(content, dirent, &number);
	is_taken = calloc(nr + 1, 1);
	if (!is_taken)
		return diag_no_memory(d, "names");
	array_for_each(&content->dirents, dirent)
		if (saved_name_number(content, dirent, &number) && number <= nr)
			is_taken[number] = 1;
	while (is_taken[first])
		first++;
	write_saved_name(first, buf);
	return 0;
}

int gather_add_saved_subvol(struct gathered *gathered, char **ret_name, struct diag *d)
{
	const struct btrkit_node_attr attr = { .mode = S_IFDIR | 0755 };
	struct btrkit_error error = { 0 };
	char name[SAVED_NAME_MAX];
	u32 node;
	int err = choose_saved_name(gathered->content, name, d);

	if (!err)
		err = content_add_node(gathered->content, &attr, NULL, &node, d);
	if (!err)
		err = content_add_name(gathered->content, BTRKIT_TOP_NODE, name, strlen(name), node, d);
	if (err)
		return err;
	if (btrkit_content_set_subvol(gathered->content, node, BTRKIT_SUBVOL_RDONLY, &error) < 0)
		return diag_fail(d, error.err, "%s", error.text);
	*ret_name = strdup(name);
	return *ret_name ? 0 : diag_no_memory(d, "a name");
}
