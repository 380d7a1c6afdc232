/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the table as it was filled to the order in which everything is written.
 *
 * Nothing depends on the order of adding: names of a directory are sorted by their bytes; inodes are numbered
 * directory by directory, all names of one before those of its first sub-directory. Subvolumes come after the tree
 * that holds them, each with numbers of its own.
 */
#include <sys/stat.h>

#include "kernel-shared/build/content.h"
#include "kernel-shared/format/leaf.h"

static int no_memory(struct diag *d)
{
	return diag_no_memory(d, "sorting the files");
}

static int compare_names(const void *a, const void *b, void *arg)
{
	const struct btrkit_content *content = arg;
	const struct content_dirent *x = &content->dirents.items[*(const u32 *)a];
	const struct content_dirent *y = &content->dirents.items[*(const u32 *)b];
	int order = memcmp(dirent_name(content, x), dirent_name(content, y), MIN(x->name_len, y->name_len));

	return order ? order : (int)x->name_len - (int)y->name_len;
}

/* Most sources give a directory's names in order. */
static void sort_directory(struct btrkit_content *content, u32 *order, u32 count)
{
	for (u32 i = 1; i < count; i++) {
		if (compare_names(&order[i - 1], &order[i], content) > 0) {
			qsort_r(order, count, sizeof(*order), compare_names, content);
			return;
		}
	}
}

/* Names that were added without looking for what is there may be there twice. */
static int judge_directory(const struct btrkit_content *content, u32 directory, struct diag *d)
{
	const struct content_node *node = &content->nodes.items[directory];
	const u32 *order = content->order + node->data;
	char path[512];

	for (u32 i = 1; content->options.is_placed && i < node->first_extent; i++) {
		if (compare_names(&order[i - 1], &order[i], (void *)(uintptr_t)content) != 0)
			continue;
		btrkit_content_path(content, content->dirents.items[order[i]].node, path, sizeof(path));
		return diag_fail(d, -EUCLEAN, "/%s: its directory has that name twice", path);
	}
	return 0;
}

/* Fill order[]: names grouped by directory (counting sort), sorted within each. */
static int sort_names(struct btrkit_content *content, struct diag *d)
{
	struct content_node *nodes = content->nodes.items;
	u64 at = 0;

	content->order = malloc(MAX(content->dirents.len, (size_t)1) * sizeof(u32));
	if (!content->order)
		return no_memory(d);
	for (size_t n = 0; n < content->nodes.len; n++)
		if (S_ISDIR(nodes[n].mode))
			nodes[n].first_extent = 0;
	array_for_each(&content->dirents, dirent)
		if (dirent->node != CONTENT_NONE)
			nodes[dirent->parent].first_extent++;
	for (size_t n = 0; n < content->nodes.len; n++) {
		if (!S_ISDIR(nodes[n].mode))
			continue;
		nodes[n].data = at;
		at += nodes[n].first_extent;
		nodes[n].first_extent = 0;
	}
	content->nr_order = (u32)at;
	for (u32 i = 0; i < content->dirents.len; i++) {
		const struct content_dirent *dirent = &content->dirents.items[i];
		struct content_node *parent = &nodes[dirent->parent];

		if (dirent->node != CONTENT_NONE)
			content->order[parent->data + parent->first_extent++] = i;
	}
	for (u32 n = 0; n < content->nodes.len; n++) {
		int err;

		if (!S_ISDIR(nodes[n].mode))
			continue;
		sort_directory(content, content->order + nodes[n].data, nodes[n].first_extent);
		err = judge_directory(content, n, d);
		if (err)
			return err;
	}
	return 0;
}

struct numbering {
	struct btrkit_content *content;
	ARRAY(u32) pending; /* directories still to be entered, last one first */
	u32 subvol; /* index of the one being numbered */
	u32 *copies; /* of each node that has a name in an earlier subvolume, its copy in this one; NULL: none so far */
};

static void take_number(struct btrkit_content *content, struct content_subvol *subvol, u32 node)
{
	content->nodes.items[node].ino = subvol->count++;
	content->sequence[content->nr_sequence++] = node;
}

/*
 * A hard link cannot reach into another subvolume: a node with names on both sides becomes one of its own there, with
 * the same contents. mkfs.btrfs does the same.
 */
static int split_link(struct numbering *n, u32 place, struct diag *d)
{
	struct btrkit_content *content = n->content;
	struct content_dirent *dirent = &content->dirents.items[content->order[place]];
	u32 original = dirent->node;

	if (!n->copies) {
		n->copies = malloc(content->nodes.len * sizeof(u32));
		if (!n->copies)
			return no_memory(d);
		for (size_t i = 0; i < content->nodes.len; i++)
			n->copies[i] = CONTENT_NONE;
	}
	if (n->copies[original] == CONTENT_NONE) {
		struct content_node copy = content->nodes.items[original];

		copy.ino = CONTENT_NONE;
		copy.nlink = 0;
		n->copies[original] = (u32)content->nodes.len;
		if (content->nodes.len >= CONTENT_NONE - 1 || array_push(&content->nodes, copy) < 0)
			return no_memory(d);
	}
	dirent->node = n->copies[original];
	return 0;
}

/* Has the node a number already, but in another subvolume than the one that is being numbered? */
static bool is_elsewhere(const struct numbering *n, u32 node)
{
	const struct btrkit_content *content = n->content;
	const struct content_subvol *subvol = &content->subvols.items[n->subvol];
	u32 ino = content->nodes.items[node].ino;

	return ino != CONTENT_NONE && (ino >= subvol->count || content->sequence[subvol->first + ino] != node);
}

/* Number what the name at @place leads to, unless another name did already. */
static int number_child(struct numbering *n, u32 place, struct diag *d)
{
	struct btrkit_content *content = n->content;
	u32 child = content->dirents.items[content->order[place]].node;
	const struct content_rare *rare = content_rare(content, &content->nodes.items[child]);
	struct content_node *node;

	if (is_elsewhere(n, child)) {
		int err = split_link(n, place, d);

		if (err)
			return err;
		child = content->dirents.items[content->order[place]].node;
	}
	node = &content->nodes.items[child];
	if (rare && rare->is_subvol) {
		struct content_subvol inner = {
			.node = child,
			.parent = n->subvol,
			.root_id = FIRST_FREE_OBJECTID + content->subvols.len - 1,
			.flags = rare->subvol_flags,
			.order = place,
		};

		node->dirent = place;
		node->nlink = 1;
		return array_push(&content->subvols, inner) < 0 ? no_memory(d) : 0;
	}
	node->nlink++;
	if (node->ino == CONTENT_NONE) {
		node->dirent = place;
		take_number(content, &content->subvols.items[n->subvol], child);
	}
	return 0;
}

static int number_directory(struct numbering *n, u32 directory, struct diag *d)
{
	struct btrkit_content *content = n->content;
	u32 first = (u32)content->nodes.items[directory].data;
	u32 count = content->nodes.items[directory].first_extent;
	u64 names_bytes = 0;

	for (u32 place = first; place < first + count; place++) {
		int err = number_child(n, place, d);

		if (err)
			return err;
		names_bytes += content->dirents.items[content->order[place]].name_len;
	}
	/* As Linux counts: each name twice, for its DIR_ITEM and its DIR_INDEX. */
	content->nodes.items[directory].size = 2 * names_bytes;
	for (u32 place = first + count; place-- > first;) {
		u32 child = content->dirents.items[content->order[place]].node;
		const struct content_node *node = &content->nodes.items[child];
		const struct content_rare *rare = content_rare(content, node);

		if (S_ISDIR(node->mode) && !(rare && rare->is_subvol) && array_push(&n->pending, child) < 0)
			return no_memory(d);
	}
	return 0;
}

static int number_subvol(struct btrkit_content *content, u32 index, struct diag *d)
{
	struct numbering n = { .content = content, .subvol = index };
	struct content_subvol *subvol = &content->subvols.items[index];
	int err;

	subvol->first = content->nr_sequence;
	take_number(content, subvol, subvol->node);
	content->nodes.items[subvol->node].nlink = 1;
	err = array_push(&n.pending, subvol->node) < 0 ? no_memory(d) : 0;
	while (!err && n.pending.len > 0)
		err = number_directory(&n, n.pending.items[--n.pending.len], d);
	array_done(&n.pending);
	free(n.copies);
	return err;
}

static int number_inodes(struct btrkit_content *content, struct diag *d)
{
	const struct content_rare *rare = content_rare(content, &content->nodes.items[BTRKIT_TOP_NODE]);
	struct content_subvol top = {
		.node = BTRKIT_TOP_NODE,
		.root_id = FS_TREE_OBJECTID,
		.flags = rare && rare->is_subvol ? rare->subvol_flags : 0,
		.order = CONTENT_NONE,
	};

	/* Each but the top has a name to itself at least. */
	content->sequence = malloc((content->dirents.len + 1) * sizeof(u32));
	if (!content->sequence || array_push(&content->subvols, top) < 0)
		return no_memory(d);
	for (u32 i = 0; i < content->subvols.len; i++) {
		int err = number_subvol(content, i, d);

		if (err)
			return err;
	}
	return 0;
}

static bool has_several_names(const struct content_node *node)
{
	return node->nlink > 1 && !S_ISDIR(node->mode);
}

/* Group the places of the names of nodes with several: node.dirent becomes the first of its group in links[]. */
static int collect_links(struct btrkit_content *content, struct diag *d)
{
	struct content_node *nodes = content->nodes.items;
	u32 total = 0;

	for (u32 i = 0; i < content->nr_sequence; i++) {
		struct content_node *node = &nodes[content->sequence[i]];

		if (!has_several_names(node))
			continue;
		node->dirent = total;
		total += node->nlink;
		node->nlink = 0;
		node->first_extent = CONTENT_NONE; /* marks the group while it fills */
	}
	content->links = malloc(MAX(total, 1u) * sizeof(u32));
	if (!content->links)
		return no_memory(d);
	/* Directories in the order of their numbers, so that each group is sorted by (parent, index). */
	for (u32 i = 0; i < content->nr_sequence; i++) {
		const struct content_node *directory = &nodes[content->sequence[i]];

		if (!S_ISDIR(directory->mode))
			continue;
		for (u32 c = 0; c < directory->first_extent; c++) {
			u32 place = (u32)directory->data + c;
			struct content_node *node = &nodes[content->dirents.items[content->order[place]].node];

			if (!S_ISDIR(node->mode) && node->first_extent == CONTENT_NONE)
				content->links[node->dirent + node->nlink++] = place;
		}
	}
	for (u32 i = 0; i < content->nr_sequence; i++)
		if (!S_ISDIR(nodes[content->sequence[i]].mode))
			nodes[content->sequence[i]].first_extent = 0;
	return 0;
}

/* Files whose data goes into the tree itself: small, without holes, as Linux does with max_inline. */
static void choose_inline(struct btrkit_content *content)
{
	const struct content_options *options = &content->options;
	u32 limit = leaf_item_max_bytes(options->id.nodesize) - (u32)FILE_EXTENT_INLINE_HEADER_BYTES;

	limit = MIN(MIN(limit, options->sectorsize - 1), CONTENT_INLINE_MAX);
	array_for_each(&content->nodes, node) {
		const struct content_rare *rare = content_rare(content, node);
		/* Where nothing is laid out, what is only in memory has no other place. */
		u32 most = options->is_placed && node->data_kind == CONTENT_DATA_COPY ? limit
										      : MIN(limit, options->max_inline_bytes);

		node->is_inline = S_ISREG(node->mode) && node->size > 0 && node->size <= most &&
				  node->data_kind != CONTENT_DATA_STAYS && !(rare && rare->has_ranges);
	}
}

/* What is only in memory, and is not laid out, has to fit into the tree. */
static int judge_inline(const struct btrkit_content *content, struct diag *d)
{
	array_for_each(&content->nodes, node) {
		char path[512];

		if (!content->options.is_placed || node->data_kind != CONTENT_DATA_COPY || !S_ISREG(node->mode) ||
		    node->size == 0 || node->is_inline || node->ino == CONTENT_NONE)
			continue;
		btrkit_content_path(content, (u32)(node - content->nodes.items), path, sizeof(path));
		return diag_fail(d, -EOPNOTSUPP, "/%s: its %llu bytes lie in its inode, and do not fit into one with blocks of %u bytes",
				 path, (unsigned long long)node->size, content->options.id.nodesize);
	}
	return 0;
}

int content_finish(struct btrkit_content *content, const struct content_options *options, struct diag *d)
{
	unsigned defaults = 0;
	int err;

	if (content->is_finished)
		return diag_fail(d, -EINVAL, "the content was already written");
	content->options = *options;
	free(content->name_slots);
	free(content->xattr_slots);
	content->name_slots = NULL;
	content->xattr_slots = NULL;
	err = sort_names(content, d);
	if (!err)
		err = number_inodes(content, d);
	if (!err)
		err = collect_links(content, d);
	if (err)
		return err;
	content->is_finished = true;
	choose_inline(content);
	err = judge_inline(content, d);
	if (err)
		return err;
	array_for_each(&content->subvols, subvol)
		defaults += (subvol->flags & BTRKIT_SUBVOL_DEFAULT) != 0;
	if (defaults > 1)
		return diag_fail(d, -EINVAL, "%u default subvolumes, only one can be", defaults);
	return 0;
}

size_t content_nr_subvols(const struct btrkit_content *content)
{
	return content->subvols.len;
}

const struct content_subvol *content_subvol_at(const struct btrkit_content *content, size_t index)
{
	return &content->subvols.items[index];
}
