/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check/references.h"

#include "check/block_table.h"
#include "kernel-shared/format/name_hash.h"

typedef unsigned long long ull;

void reference_sums_flush(struct check *check, struct reference_sums *sums)
{
	if (sums->refs && sums->group < check->nr_groups)
		__atomic_add_fetch(&check->groups[sums->group].refs, sums->refs, __ATOMIC_RELAXED);
	sums->refs = 0;
}

/* While details of some groups are wanted, their references are kept, not summed. */
static void collect(struct check *check, const struct reference *reference, s64 count)
{
	const struct counted_reference counted = { *reference, count };
	size_t group = check_group_of(check, reference->logical);
	int err;

	if (group == SIZE_MAX || !check->groups[group].wants_detail)
		return;
	err = sorter_add(check->detail, &counted, 1, NULL);
	if (err)
		atomic_store(&check->detail_err, err);
}

void reference_sums_add(struct check *check, struct reference_sums *sums, const struct reference *reference, s64 count)
{
	const struct chunk *chunk;

	if (check->detail) {
		collect(check, reference, count);
		return;
	}
	chunk = sums->group < check->nr_groups ? chunk_map_at(check->fs->volume->chunks, sums->group) : NULL;
	if (!chunk || reference->logical - chunk->logical >= chunk->length) {
		reference_sums_flush(check, sums);
		sums->group = check_group_of(check, reference->logical);
	}
	sums->refs += (u64)count * check_hash(check, reference, sizeof(*reference));
}

void found_data_reference(struct check *check, struct reference_sums *sums, const u8 *leaf, bool is_full_backref,
			  const struct key *key, const struct disk_file_extent_item *item)
{
	const struct disk_header *header = block_header(leaf);
	struct reference reference = { .logical = le64_get(item->disk_bytenr), .len = le64_get(item->disk_num_bytes) };

	if (item->type == FILE_EXTENT_INLINE || reference.logical == 0)
		return;
	if (is_full_backref) {
		reference.type = SHARED_DATA_REF_KEY;
		reference.root = le64_get(header->bytenr);
	} else {
		reference.type = EXTENT_DATA_REF_KEY;
		reference.root = le64_get(header->owner);
		reference.objectid = key->objectid;
		reference.offset = key->offset - le64_get(item->offset);
	}
	if (check_group_of(check, reference.logical) == SIZE_MAX) {
		if (!check->detail)
			complain(check, FILE_EXTENT_OUTSIDE,
				 AT(.tree = le64_get(header->owner), .inode = key->objectid, .logical = reference.logical),
				 (ull)le64_get(header->owner), (ull)key->objectid, (ull)key->offset, (ull)reference.logical);
		return;
	}
	reference_sums_add(check, sums, &reference, -1);
}

/* --- Tree blocks ------------------------------------------------------------------------------------------------------ */

static int visit_node(void *ctx, unsigned worker, size_t n, const struct block_record *record, const u8 *node, struct diag *d)
{
	struct check *check = ctx;
	struct reference_sums sums = { .group = SIZE_MAX };
	u8 level = block_level(node);
	bool is_full = check_is_full_backref(check, worker, record->logical);

	(void)n;
	(void)d;
	for (u32 slot = node_first_slot(check, record, node, level); slot < block_nritems(node); slot++) {
		const struct reference reference = {
			.logical = node_blockptr(node, slot),
			.len = check_nodesize(check),
			.type = (is_full ? SHARED_BLOCK_REF_KEY : TREE_BLOCK_REF_KEY) | (u64)(level - 1) << 8,
			.root = is_full ? record->logical : record->owner,
		};

		reference_sums_add(check, &sums, &reference, -1);
	}
	reference_sums_flush(check, &sums);
	return 0;
}

/* The root of a relocation tree is its own parent. */
static void found_root(struct check *check, struct reference_sums *sums, const struct check_root *root)
{
	const struct reference reference = {
		.logical = root->logical,
		.len = check_nodesize(check),
		.type = (root->is_reloc ? SHARED_BLOCK_REF_KEY : TREE_BLOCK_REF_KEY) | (u64)root->level << 8,
		.root = root->is_reloc ? root->logical : root->id,
	};

	reference_sums_add(check, sums, &reference, -1);
}

/*
 * By which kind of reference a node's children are recorded is known only when the extent tree has been read. Nodes are one
 * block in a hundred: they are read again, rather than all their pointers kept.
 */
int found_block_references(struct check *check, struct diag *d)
{
	const struct block_sweep sweep = { .visit = visit_node, .ctx = check };
	struct reference_sums sums = { .group = SIZE_MAX };
	bool was_muted = check->sink.is_muted;
	int err = 0;

	check->sink.is_muted = true;
	for (u8 level = LEVEL_MAX - 1; level > 0 && !err; level--)
		err = block_table_sweep(check, level, &sweep, d);
	check->sink.is_muted = was_muted;
	array_for_each(&check->roots, root)
		found_root(check, &sums, root);
	reference_sums_flush(check, &sums);
	return err ? err : ranges_error(&check->full_backrefs, d);
}

/* --- What the extent tree records ---------------------------------------------------------------------------------------- */

static u64 level_of_block(const struct key *key, const void *data)
{
	const struct disk_tree_block_info *info = (const void *)((const struct disk_extent_item *)data + 1);

	return key->type == METADATA_ITEM_KEY ? key->offset : info->level;
}

static void report_order(struct check *check, const struct key *key, u64 where)
{
	if (!check->detail)
		complain(check, INLINE_REFS_UNORDERED,
			 AT(.tree = EXTENT_TREE_OBJECTID, .logical = where, .extent = key->objectid, .has_key = true, .key = *key),
			 (ull)key->objectid);
}

/* What inline references of one type sort by, the largest first. */
static u64 order_of(const u8 *at)
{
	const struct disk_extent_data_ref *data = (const void *)(at + 1);
	const struct disk_extent_inline_ref *ref = (const void *)at;

	if (at[0] == EXTENT_DATA_REF_KEY)
		return extent_data_ref_hash(le64_get(data->root), le64_get(data->objectid), le64_get(data->offset));
	return le64_get(ref->offset);
}

u64 recorded_inline_references(struct check *check, struct reference_sums *sums, const struct key *key, const void *data,
			       u32 size, u64 where)
{
	const struct disk_extent_item *item = data;
	bool is_block = le64_get(item->flags) & EXTENT_FLAG_TREE_BLOCK;
	u32 at = sizeof(*item) + (is_block && key->type == EXTENT_ITEM_KEY ? sizeof(struct disk_tree_block_info) : 0);
	u64 level = is_block ? level_of_block(key, data) << 8 : 0, counted = 0, last_order = 0;
	u8 last_type = 0;

	while (at < size) {
		const u8 *from = (const u8 *)data + at;
		const struct disk_extent_inline_ref *ref = (const void *)from;
		const struct disk_extent_data_ref *data_ref = (const void *)(from + 1);
		const struct disk_shared_data_ref *shared = (const void *)(ref + 1);
		struct reference reference = { .logical = key->objectid,
					       .len = is_block ? check_nodesize(check) : key->offset,
					       .type = from[0] | level,
					       .root = le64_get(ref->offset) };
		s64 count = 1;

		if (from[0] < last_type || (from[0] == last_type && order_of(from) > last_order))
			report_order(check, key, where);
		last_type = from[0];
		last_order = order_of(from);
		at += (u32)sizeof(*ref);
		if (from[0] == EXTENT_OWNER_REF_KEY)
			continue;
		if (from[0] == EXTENT_DATA_REF_KEY) {
			reference.root = le64_get(data_ref->root);
			reference.objectid = le64_get(data_ref->objectid);
			reference.offset = le64_get(data_ref->offset);
			count = le32_get(data_ref->count);
			at += (u32)(1 + sizeof(*data_ref) - sizeof(*ref));
		} else if (from[0] == SHARED_DATA_REF_KEY) {
			count = le32_get(shared->count);
			at += (u32)sizeof(*shared);
		}
		reference_sums_add(check, sums, &reference, count);
		counted += (u64)count;
	}
	return counted;
}

u64 recorded_keyed_reference(struct check *check, struct reference_sums *sums, const struct key *key, const void *data,
			     u64 len)
{
	const struct disk_extent_data_ref *data_ref = data;
	struct reference reference = { .logical = key->objectid, .len = len, .type = key->type, .root = key->offset };
	s64 count = 1;

	if (key->type == EXTENT_DATA_REF_KEY) {
		reference.root = le64_get(data_ref->root);
		reference.objectid = le64_get(data_ref->objectid);
		reference.offset = le64_get(data_ref->offset);
		count = le32_get(data_ref->count);
	} else if (key->type == SHARED_DATA_REF_KEY) {
		count = le32_get(((const struct disk_shared_data_ref *)data)->count);
	}
	reference_sums_add(check, sums, &reference, count);
	return (u64)count;
}
