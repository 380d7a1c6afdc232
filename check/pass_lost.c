/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files behind blocks that cannot be read. What such a block of a subvolume held is gone, but its parent tells which inodes
 * it was about, and directories that can be read still have the names of these. Of the checksum tree, the parent tells
 * which data has lost its checksums.
 */
#include "check/block_table.h"
#include "kernel-shared/fs/inode.h"

typedef unsigned long long ull;

/* So many names are looked at for one block in one subvolume. */
#define NAMES_MAX 65536

/* A name that leads to such an inode, from a DIR_INDEX or a DIR_ITEM: the other one may be lost. */
struct lost_name {
	u64 ino;
	struct key key;
	u8 len;
	char name[NAME_LEN_MAX];
};

struct search {
	struct check *check;
	struct ranges inodes; /* items of these were in lost blocks of subvolumes */
	struct ranges_reader *readers; /* of these, one for each worker */
	struct sorter *found;
	struct sequence *names; /* the same by inode; struct lost_name, each once */
};

/* Items of inodes [start, end) were in the block or below. */
static struct range inodes_of(const struct lost_block *lost)
{
	u64 first = MAX(lost->first_key.objectid, FIRST_FREE_OBJECTID);
	/* Of the inode that the next block begins with, items before that one may have been here. */
	u64 last = lost->limit.objectid - (lost->limit.type <= INODE_ITEM_KEY);

	return (struct range){ first, MIN(MAX(last, first), LAST_FREE_OBJECTID) + 1 };
}

static int list_inodes(struct search *search, struct diag *d)
{
	struct sequence_reader reader = sequence_read_from(search->check->lost_blocks, 0);
	const void *record;
	int err;

	while ((err = sequence_next(&reader, &record, d)) == 0) {
		const struct lost_block *lost = record;
		const struct range inodes = inodes_of(lost);

		if (lost->tree != CSUM_TREE_OBJECTID && inodes.start < inodes.end)
			err = ranges_add(&search->inodes, &inodes, 1, d);
		if (err)
			break;
	}
	sequence_reader_done(&reader);
	return err < 0 ? err : ranges_tidy(&search->inodes, d);
}

/* --- Names that lead there --------------------------------------------------------------------------------------------- */

static bool is_subvol_leaf(const struct check *check, const struct block_record *record)
{
	(void)check;
	return tree_id_is_subvol(record->tree);
}

/* The entries of a DIR_INDEX or DIR_ITEM that was found to be good. */
static int take_entries(struct search *search, unsigned worker, const struct key *key, const u8 *at, u32 left, struct diag *d)
{
	int err = 0;

	while (left >= sizeof(struct disk_dir_item) && !err) {
		const struct disk_dir_item *item = (const void *)at;
		u32 bytes = (u32)sizeof(*item) + le16_get(item->name_len) + le16_get(item->data_len);
		struct lost_name name = { .ino = le64_get(item->location.objectid), .key = *key,
					  .len = (u8)le16_get(item->name_len) };

		if (item->location.type == INODE_ITEM_KEY && ranges_cover(&search->readers[worker], name.ino)) {
			memcpy(name.name, item->name, name.len);
			err = sorter_add(search->found, &name, 1, d);
		}
		at += bytes;
		left -= MIN(bytes, left);
	}
	return err;
}

static int visit_leaf(void *ctx, unsigned worker, size_t n, const struct block_record *record, const u8 *leaf, struct diag *d)
{
	struct search *search = ctx;
	const struct block_check_params *params = block_cache_check_params(search->check->fs->cache);
	int err = 0;

	(void)n;
	(void)record;
	for (u32 slot = 0; slot < block_nritems(leaf) && !err; slot++) {
		const struct key key = leaf_key(leaf, slot);

		if ((key.type == DIR_INDEX_KEY || key.type == DIR_ITEM_KEY) && block_check_item(params, leaf, slot, NULL) == 0)
			err = take_entries(search, worker, &key, leaf_item_data(leaf, slot), leaf_item_bytes(leaf, slot), d);
	}
	return err;
}

static int by_inode(const void *a, const void *b)
{
	const struct lost_name *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->len != y->len || key_compare(&x->key, &y->key) != 0)
		return key_compare(&x->key, &y->key) ? key_compare(&x->key, &y->key) : (int)x->len - (int)y->len;
	return memcmp(x->name, y->name, x->len);
}

/* Snapshots have the same names again and again. */
static int sort_names(struct search *search, struct diag *d)
{
	struct lost_name last = { 0 };
	const void *record;
	int err = sorter_sort(search->found, d);

	while (!err && (err = sorter_next(search->found, &record, d)) == 0) {
		if (last.len && by_inode(&last, record) == 0)
			continue;
		last = *(const struct lost_name *)record;
		err = sequence_append(search->names, &last, d);
	}
	return err < 0 ? err : 0;
}

/* The first name of an inode at or behind @ino. */
static int find_name(struct sequence_reader *reader, u64 ino, struct diag *d)
{
	u64 low = 0, high = sequence_count(reader->sequence);
	const void *record;

	while (low < high) {
		u64 middle = low + (high - low) / 2;
		int err;

		reader->next = middle;
		err = sequence_next(reader, &record, d);
		if (err)
			return err;
		if (((const struct lost_name *)record)->ino < ino)
			low = middle + 1;
		else
			high = middle;
	}
	reader->next = low;
	return 0;
}

/* --- Paths ------------------------------------------------------------------------------------------------------------- */

/* Snapshots that share a block may have other names for its inodes, or none. */
static bool has_name(const struct tree *tree, const struct lost_name *name)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(tree);
	const struct disk_dir_item *item;
	u32 at = 0;

	if (cursor_find(&cursor, &name->key, NULL) != 0)
		return false;
	while (dir_item_next(&cursor, &at, &item))
		if (le16_get(item->name_len) == name->len && le64_get(item->location.objectid) == name->ino &&
		    memcmp(item->name, name->name, name->len) == 0)
			return true;
	return false;
}

static int add_paths_of(struct search *search, const struct lost_block *lost, u64 subvol, struct path_list *list, struct diag *d)
{
	struct path_finder *finder = &search->check->finder;
	struct sequence_reader reader = sequence_read_from(search->names, 0);
	const struct range inodes = inodes_of(lost);
	const void *record;
	struct fs_root root;
	u64 named = 0, left = NAMES_MAX;
	int err;

	if (fs_subvol_root(finder->view, subvol, &root, NULL) < 0)
		return 0;
	if (root.top_dir >= inodes.start && root.top_dir < inodes.end)
		path_list_add_inode(list, finder, subvol, root.top_dir);
	err = find_name(&reader, inodes.start, d);
	while (!err && (err = sequence_next(&reader, &record, d)) == 0) {
		const struct lost_name *name = record;

		if (name->ino >= inodes.end)
			break;
		if (left-- == 0) {
			list->is_total_least = true;
			break;
		}
		if (name->ino != named && has_name(&root.tree, name) &&
		    path_list_add_name(list, finder, subvol, name->key.objectid, name->name, name->len))
			named = name->ino;
	}
	sequence_reader_done(&reader);
	return err < 0 ? err : 0;
}

static void report_csums(struct check *check, const struct lost_block *lost)
{
	u64 start = lost->first_key.objectid == EXTENT_CSUM_OBJECTID ? lost->first_key.offset : 0;
	u64 end = lost->limit.objectid == EXTENT_CSUM_OBJECTID ? lost->limit.offset : UINT64_MAX;
	struct path_list list = { 0 };

	if (check->finder.view)
		paths_of_data(&check->finder, start, end, true, &list);
	complain(check, CSUMS_BEHIND_BLOCK, AT(.tree = lost->tree, .logical = lost->logical, .paths = &list),
		 (ull)lost->logical, (ull)start, (ull)end);
	path_list_done(&list);
}

static int report_files(struct search *search, const struct lost_block *lost, struct diag *d)
{
	struct check *check = search->check;
	const struct range inodes = inodes_of(lost);
	struct path_list list = { 0 };
	int err = 0;

	if (check->finder.view)
		array_for_each(&check->finder.subvols, subvol)
			if (!err && subvol_reaches_block(&check->finder, *subvol, &lost->first_key, lost->level, lost->logical))
				err = add_paths_of(search, lost, *subvol, &list, d);
	if (!err)
		complain(check, FILES_BEHIND_BLOCK, AT(.tree = lost->tree, .logical = lost->logical, .paths = &list),
			 (ull)lost->logical, (ull)lost->tree, (ull)inodes.start, (ull)(inodes.end - 1));
	path_list_done(&list);
	return err;
}

static int report_all(struct search *search, struct diag *d)
{
	struct check *check = search->check;
	struct sequence_reader reader = sequence_read_from(check->lost_blocks, 0);
	const void *record;
	int err;

	while ((err = sequence_next(&reader, &record, d)) == 0) {
		const struct lost_block *lost = record;

		if (lost->tree == CSUM_TREE_OBJECTID)
			report_csums(check, lost);
		else
			err = report_files(search, lost, d);
		if (!err)
			err = check->sink.err;
		if (!err && atomic_load(&check->cancel->is_requested))
			err = diag_fail(d, -ECANCELED, "cancelled");
		if (err)
			break;
	}
	sequence_reader_done(&reader);
	return err < 0 ? err : 0;
}

static int search_new(struct search *search)
{
	struct check *check = search->check;
	u64 memory = check->memory_bytes;
	int err = ranges_init(&search->inodes, &check->spill, memory / 32);

	if (!err)
		err = sorter_new(&check->spill, sizeof(struct lost_name), memory / 16, by_inode, &search->found);
	if (!err)
		err = sequence_new(&check->spill, sizeof(struct lost_name), memory / 16, &search->names);
	search->readers = calloc(pool_threads(check->pool), sizeof(*search->readers));
	for (unsigned w = 0; search->readers && w < pool_threads(check->pool); w++)
		search->readers[w] = ranges_read(&search->inodes);
	return search->readers ? err : -ENOMEM;
}

static void search_done(struct search *search)
{
	for (unsigned w = 0; search->readers && w < pool_threads(search->check->pool); w++)
		ranges_reader_done(&search->readers[w]);
	free(search->readers);
	ranges_done(&search->inodes);
	sorter_free(search->found);
	sequence_free(search->names);
}

int pass_lost(struct check *check, struct diag *d)
{
	struct search search = { .check = check };
	const struct block_sweep sweep = { .wanted = is_subvol_leaf, .visit = visit_leaf, .ctx = &search };
	int err;

	if (sequence_count(check->lost_blocks) == 0)
		return 0;
	err = search_new(&search) < 0 ? diag_no_memory(d, "lost blocks") : list_inodes(&search, d);
	check->sink.is_muted = true;
	if (!err)
		err = block_table_sweep(check, 0, &sweep, d);
	check->sink.is_muted = false;
	if (!err)
		err = ranges_error(&search.inodes, d);
	if (!err)
		err = sort_names(&search, d);
	if (!err)
		err = report_all(&search, d);
	search_done(&search);
	return err;
}
