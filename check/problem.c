/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <btrkit/file.h>
#include <stdio.h>

#include "check/paths.h"
#include "check/problem.h"

static const struct btrkit_problem_kind kinds[] = {
#define PROBLEM(id, code, severity, message, meaning, repair)                                      \
	[PROBLEM_##id] = { code, BTRKIT_PROBLEM_##severity, message, meaning, repair },
#include "check/problems.def"
#undef PROBLEM
};

int btrkit_problem_kind_at(size_t index, struct btrkit_problem_kind *ret_kind)
{
	if (index >= NR_PROBLEMS)
		return -ENOENT;
	*ret_kind = kinds[index];
	return 0;
}

void problem_sink_init(struct problem_sink *sink, btrkit_problem_fn fn, void *arg)
{
	*sink = (struct problem_sink){ .fn = fn, .arg = arg };
	pthread_mutex_init(&sink->lock, NULL);
}

void problem_sink_done(struct problem_sink *sink)
{
	pthread_mutex_destroy(&sink->lock);
}

/* What has no inode, extent or data of its own is a tree block, or in one. */
static void find_paths(const struct problem_sink *sink, const struct place *place, struct path_list *ret_paths)
{
	struct path_finder *finder = sink->finder;

	if (!finder || !finder->view)
		return;
	if (place->data_len_bytes)
		paths_of_data(finder, place->data, place->data + place->data_len_bytes, false, ret_paths);
	else if (place->block)
		paths_of_block(finder, place->block, ret_paths);
	else if (place->extent)
		paths_of_extent(finder, place->extent, place->users, place->nr_users, ret_paths);
	else if (place->inode && place->is_of_tree_alone)
		path_list_add_inode(ret_paths, finder, place->tree, place->inode);
	else if (place->inode)
		paths_of_inode(finder, place->tree, place->inode, ret_paths);
	else if (place->logical && tree_id_is_subvol(place->tree))
		paths_of_block(finder, place->logical, ret_paths);
}

static u64 address_of(const struct place *place)
{
	return place->logical ? place->logical : place->extent ? place->extent : place->block ? place->block : place->data;
}

void problem_report(struct problem_sink *sink, enum problem_id id, const struct place *place, const char *message, ...)
{
	struct path_list found = { 0 };
	const struct path_list *paths;
	struct btrkit_problem problem = {
		.kind = &kinds[id],
		.tree = place->tree,
		.logical = address_of(place),
		.devid = place->devid,
		.physical = place->physical,
		.inode = place->inode,
		.has_key = place->has_key,
		.key_objectid = place->key.objectid,
		.key_type = place->key.type,
		.key_offset = place->key.offset,
	};
	char text[1536];
	va_list args;
	int err = 0;

	if (sink->is_muted)
		return;
	va_start(args, message);
	vsnprintf(text, sizeof(text), message, args);
	va_end(args);
	problem.text = text;
	paths = place->paths;
	if (!paths) {
		find_paths(sink, place, &found);
		paths = &found;
	}
	problem.paths = (const char *const *)paths->paths;
	problem.nr_paths = paths->nr_paths;
	problem.total_paths = paths->total;
	problem.is_total_least = paths->is_total_least;
	pthread_mutex_lock(&sink->lock);
	sink->counts[kinds[id].severity]++;
	if (!sink->err && sink->fn)
		err = sink->fn(sink->arg, &problem);
	if (!sink->err && err < 0)
		sink->err = err;
	pthread_mutex_unlock(&sink->lock);
	path_list_done(&found);
}

static enum problem_id id_of_item(u8 key_type)
{
	switch (key_type) {
	case INODE_ITEM_KEY:
		return PROBLEM_INODE_ITEM_BAD;
	case INODE_REF_KEY:
	case INODE_EXTREF_KEY:
	case XATTR_ITEM_KEY:
	case DIR_ITEM_KEY:
	case DIR_INDEX_KEY:
	case ROOT_REF_KEY:
	case ROOT_BACKREF_KEY:
		return PROBLEM_NAME_ITEM_BAD;
	case EXTENT_DATA_KEY:
		return PROBLEM_FILE_EXTENT_BAD;
	case EXTENT_CSUM_KEY:
		return PROBLEM_CSUM_ITEM_BAD;
	case ROOT_ITEM_KEY:
		return PROBLEM_ROOT_ITEM_BAD;
	case EXTENT_ITEM_KEY ... SHARED_DATA_REF_KEY:
		return PROBLEM_EXTENT_ITEM_BAD;
	case CHUNK_ITEM_KEY:
		return PROBLEM_CHUNK_ITEM_BAD;
	case DEV_ITEM_KEY:
	case DEV_EXTENT_KEY:
		return PROBLEM_DEVICE_ITEM_BAD;
	case BLOCK_GROUP_ITEM_KEY:
		return PROBLEM_GROUP_ITEM_BAD;
	case FREE_SPACE_INFO_KEY:
	case FREE_SPACE_EXTENT_KEY:
	case FREE_SPACE_BITMAP_KEY:
		return PROBLEM_FREE_SPACE_ITEM_BAD;
	default:
		return PROBLEM_ITEM_BAD;
	}
}

void problem_report_item(struct problem_sink *sink, u8 key_type, const struct place *place, const char *text)
{
	problem_report(sink, id_of_item(key_type), place, "%s", text);
}
