/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A directory as source. Directories are read level by level, those of one level in parallel; the coordinating thread
 * adds what they hold to the content, from which workers only take the paths of directories. The order does not matter:
 * the content sorts.
 */
#include <sys/stat.h>

#include "mkfs/source_dir_scan.h"

static char *locked_path(struct directory_source *source, btrkit_node node)
{
	char *path;

	pthread_mutex_lock(&source->content_lock);
	path = directory_source_path(source, node);
	pthread_mutex_unlock(&source->content_lock);
	return path;
}

static int read_directory(void *ctx, unsigned worker, u64 i, void **ret_item, struct diag *d)
{
	struct directory_source *source = ctx;
	_free_ char *path = locked_path(source, source->level.items[i]);
	struct found_directory *found;
	int err;

	if (!path)
		return diag_no_memory(d, "a directory's path");
	err = found_directory_read(source, worker, path, &found, d);
	if (!err)
		*ret_item = found;
	return err;
}

/* --- Into the content ------------------------------------------------------------------------------------ */

static struct btrkit_node_attr attr_of(const struct directory_source *source, const struct found_entry *entry)
{
	struct btrkit_node_attr attr = {
		.mode = entry->mode,
		.uid = entry->uid,
		.gid = entry->gid,
		.mtime = { entry->mtime_sec, entry->mtime_nsec },
		.atime = { entry->atime_sec, entry->atime_nsec },
		.ctime = { entry->ctime_sec, entry->ctime_nsec },
	};

	if (S_ISCHR(entry->mode) || S_ISBLK(entry->mode)) {
		attr.rdev_major = kernel_dev_major((u32)entry->size);
		attr.rdev_minor = kernel_dev_minor((u32)entry->size);
	}
	owner_rules_apply(source->options->owners, &attr);
	return attr;
}

static const struct found_extra *extra_of(const struct found_directory *found, const struct found_entry *entry)
{
	static const struct found_extra none;

	return entry->extra == FOUND_NONE ? &none : &found->extras.items[entry->extra];
}

/* The slot of an inode, or the empty one where it belongs. */
static struct link_slot *link_slot(struct link_slot *slots, u64 mask, u32 dev, u64 ino)
{
	u64 at = ino * 0x9E3779B97F4A7C15ULL >> 20 & mask;

	while (slots[at].node != BTRKIT_TOP_NODE && (slots[at].ino != ino || slots[at].dev != dev))
		at = (at + 1) & mask;
	return &slots[at];
}

/* The node of an inode with several names that was seen before; where it belongs if not. */
static int find_link(struct directory_source *source, const struct found_entry *entry, struct link_slot **ret_slot)
{
	if (source->nr_links * 4 >= (source->links_mask + 1) * 3) {
		u64 mask = source->links_mask * 2 + 1;
		struct link_slot *slots = calloc(mask + 1, sizeof(*slots));

		if (!slots)
			return -ENOMEM;
		for (u64 i = 0; i <= source->links_mask; i++) {
			const struct link_slot *from = &source->links[i];

			if (from->node != BTRKIT_TOP_NODE)
				*link_slot(slots, mask, from->dev, from->ino) = *from;
		}
		free(source->links);
		source->links = slots;
		source->links_mask = mask;
	}
	*ret_slot = link_slot(source->links, source->links_mask, entry->dev, entry->ino);
	return 0;
}

static int add_xattrs(struct directory_source *source, const struct found_directory *found,
		      const struct found_extra *extra, btrkit_node node, struct btrkit_error *error)
{
	const char *at = extra->nr_xattrs ? found->bytes.items + extra->xattrs : NULL;

	for (u32 i = 0; i < extra->nr_xattrs; i++) {
		const char *name = at;
		u32 len;
		int err;

		at += strlen(at) + 1;
		memcpy(&len, at, sizeof(len));
		at += sizeof(len);
		err = source_set_xattr(source->content, node, name, at, len, source->options->owners, error);
		if (err)
			return err;
		at += len;
	}
	return 0;
}

static int set_data(struct directory_source *source, const struct found_directory *found,
		    const struct found_entry *entry, btrkit_node node, struct btrkit_error *error)
{
	static const struct btrkit_data_range none;
	const struct found_extra *extra = extra_of(found, entry);
	const struct btrkit_data_range *ranges = NULL;

	if (entry->small != SMALL_FILE_NOT_KEPT)
		return btrkit_content_set_source(source->content, node, small_files_source(source->small), entry->small,
						 entry->size, NULL, 0, error);
	if (extra->is_sparse)
		ranges = extra->nr_ranges ? &found->ranges.items[extra->first_range] : &none;
	return btrkit_content_set_source(source->content, node, &source->data,
					 directory_source_stamp(entry->mtime_sec, entry->mtime_nsec), entry->size, ranges,
					 extra->nr_ranges, error);
}

static int fill_node(struct directory_source *source, const struct found_directory *found,
		     const struct found_entry *entry, btrkit_node node, struct btrkit_error *error)
{
	const struct found_extra *extra = extra_of(found, entry);
	int err = add_xattrs(source, found, extra, node, error);

	if (!err && S_ISLNK(entry->mode))
		err = btrkit_content_set_symlink(source->content, node, found->bytes.items + extra->target,
						 extra->target_len, error);
	if (!err && S_ISREG(entry->mode))
		err = set_data(source, found, entry, node, error);
	return err;
}

static int add_entry(struct directory_source *source, const struct found_directory *found,
		     const struct found_entry *entry, btrkit_node parent, struct diag *d)
{
	const char *name = found->bytes.items + entry->name;
	struct btrkit_node_attr attr = attr_of(source, entry);
	struct link_slot *slot = NULL;
	struct btrkit_error error = { 0 };
	btrkit_node node;
	int err;

	if (entry->nlink > 1 && !S_ISDIR(entry->mode)) {
		if (find_link(source, entry, &slot) < 0)
			return diag_no_memory(d, "hard links");
		if (slot->node != BTRKIT_TOP_NODE) {
			err = btrkit_content_link(source->content, parent, name, strlen(name), slot->node, &error);
			return err ? diag_from_error(d, &error) : 0;
		}
	}
	err = btrkit_content_add(source->content, parent, name, strlen(name), &attr, &node, &error);
	if (!err)
		err = fill_node(source, found, entry, node, &error);
	if (err)
		return diag_from_error(d, &error);
	if (slot) {
		*slot = (struct link_slot){ entry->ino, entry->dev, node };
		source->nr_links++;
	}
	if (S_ISDIR(entry->mode) && array_push(&source->next_level, node) < 0)
		return diag_no_memory(d, "directories");
	progress_add(source->options->progress, S_ISREG(entry->mode) ? entry->size : 0, 1);
	return 0;
}

static int take_directory(void *ctx, u64 i, void *item, struct diag *d)
{
	struct directory_source *source = ctx;
	struct found_directory *found = item;
	int err = 0;

	for (const char *at = found->warnings.items; at && at < found->warnings.items + found->warnings.len;
	     at += strlen(at) + 1)
		source->options->warn(source->options->warn_arg, at);
	for (size_t e = 0; e < found->nr_entries && !err; e++) {
		/* For each entry anew, so that nobody waits for all of a large directory. */
		pthread_mutex_lock(&source->content_lock);
		err = add_entry(source, found, found_entry_at(found, e), source->level.items[i], d);
		pthread_mutex_unlock(&source->content_lock);
		found_directory_taken(found, e);
	}
	found_directory_free(found);
	return err;
}

static void free_found(void *ctx, void *item)
{
	(void)ctx;
	found_directory_free(item);
}

/* The top directory's own attributes. */
static int add_top(struct directory_source *source, struct diag *d)
{
	_cleanup_(found_directory_freep) struct found_directory *found = NULL;
	struct btrkit_error error = { 0 };
	struct btrkit_node_attr attr;
	int err = found_directory_top(source, &found, d);

	if (err)
		return err;
	attr = attr_of(source, found_entry_at(found, 0));
	err = btrkit_content_set_attr(source->content, source->dest, &attr, &error);
	if (!err)
		err = add_xattrs(source, found, extra_of(found, found_entry_at(found, 0)), source->dest, &error);
	return err ? diag_from_error(d, &error) : 0;
}

static int scan(struct directory_source *source, struct diag *d)
{
	const struct pool_stream stream = { read_directory, take_directory, free_found, source };
	int err = add_top(source, d);

	if (!err && array_push(&source->level, source->dest) < 0)
		err = diag_no_memory(d, "directories");
	while (!err && source->level.len > 0) {
		source->next_level.len = 0;
		err = pool_pipeline(source->options->pool, source->level.len, pool_threads(source->options->pool) * 8,
				    &stream, d);
		array_done(&source->level);
		source->level.items = take_ptr(source->next_level.items);
		source->level.len = source->next_level.len;
		source->level.cap = source->next_level.cap;
		source->next_level.len = source->next_level.cap = 0;
	}
	return err;
}

int source_add_directory(struct btrkit_content *content, btrkit_node dest, const char *path,
			 const struct source_options *options, struct source **ret_source, struct diag *d)
{
	struct directory_source *source;
	int err = directory_source_new(content, dest, path, options, &source, d);

	if (err)
		return err;
	err = scan(source, d);
	if (!err && source->small) {
		err = small_files_finish(source->small);
		if (err)
			diag_fail(d, err, "%s: cannot keep small files in a temporary file: %s", options->spool_dir,
				  strerror(-err));
	}
	array_done(&source->level);
	array_done(&source->next_level);
	free(source->links);
	source->links = NULL;
	/* Handed over also after a failure: the content refers to it. */
	*ret_source = &source->base;
	return err;
}
