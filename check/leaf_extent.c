/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Proves of each extent that it lies in one block group of its kind, does not overlap its neighbour, and that its count is
 * the sum of its references.
 */
#include "check/leaf_extent.h"

#include "check/quota_groups.h"
#include "check/references.h"
#include "kernel-shared/format/name_hash.h"

typedef unsigned long long ull;

struct reading {
	struct check *check;
	u64 logical; /* of the leaf */
	struct space_findings *findings;
	struct extent_fact *fact;
	struct reference_sums sums;
	struct key key;
};

/* Add [start, end), joined to the one before it where they meet. */
#define add_range(ranges, from, to, d)                                                             \
	({                                                                                         \
		__auto_type ranges_ = (ranges);                                                    \
		struct range range_ = { (from), (to) };                                            \
		int range_err_ = 0;                                                                \
		if (ranges_->len && ranges_->items[ranges_->len - 1].end == range_.start)          \
			ranges_->items[ranges_->len - 1].end = range_.end;                         \
		else if (array_push(ranges_, range_) < 0)                                          \
			range_err_ = diag_no_memory((d), "the table of extents");                  \
		range_err_;                                                                        \
	})

/* --- Extents --------------------------------------------------------------------------------------------------------------- */

static void judge_place(struct reading *r, u64 len, bool is_block)
{
	struct check *check = r->check;
	size_t group = check_group_of(check, r->key.objectid);
	const struct chunk *chunk = group == SIZE_MAX ? NULL : chunk_map_at(check->fs->volume->chunks, group);
	u64 wanted = is_block ? BLOCK_GROUP_METADATA | BLOCK_GROUP_SYSTEM : BLOCK_GROUP_DATA;

	if (!chunk || r->key.objectid - chunk->logical + len > chunk->length) {
		complain(check, EXTENT_OUTSIDE, AT(.extent = r->key.objectid), (ull)r->key.objectid, (ull)len,
			 chunk ? "reaches out of its chunk" : "lies in no chunk");
		return;
	}
	if (!(chunk->type & wanted))
		complain(check, EXTENT_GROUP_MISFIT, AT(.extent = r->key.objectid), (ull)r->key.objectid,
			 is_block ? "a tree block" : "data", (ull)chunk->logical);
	if (is_block && r->key.objectid / STRIPE_LEN_BYTES != (r->key.objectid + len - 1) / STRIPE_LEN_BYTES)
		complain(check, BLOCK_CROSSES_STRIPE, AT(.logical = r->key.objectid), (ull)r->key.objectid);
	__atomic_add_fetch(&check->groups[group].used_bytes, len, __ATOMIC_RELAXED);
	__atomic_add_fetch(&check->groups[group].space,
			   check_hash(check, &(u64){ r->key.objectid }, sizeof(u64)) -
				   check_hash(check, &(u64){ r->key.objectid + len }, sizeof(u64)),
			   __ATOMIC_RELAXED);
}

void extent_judge_count(struct check *check, const struct extent_fact *fact)
{
	if (fact->last_logical && fact->last_refs != fact->last_counted)
		complain(check, EXTENT_COUNT_WRONG, AT(.extent = fact->last_logical), (ull)fact->last_logical,
			 (ull)fact->last_refs, (ull)fact->last_counted);
}

/* For simple quotas: the owner comes first of all references. */
static int charge_owner(struct reading *r, const struct disk_extent_item *item, u32 size, u64 len)
{
	const struct disk_extent_inline_ref *ref = (const void *)(item + 1);
	u64 since = r->check->simple_quotas_since;

	if (!since || le64_get(item->generation) < since || size < sizeof(*item) + sizeof(*ref) ||
	    ref->type != EXTENT_OWNER_REF_KEY || !tree_id_is_subvol(le64_get(ref->offset)))
		return 0;
	return owner_sums_add(&r->findings->owners, le64_get(ref->offset), len);
}

static int read_extent(struct reading *r, const void *data, u32 size, struct diag *d)
{
	struct check *check = r->check;
	const struct disk_extent_item *item = data;
	u64 flags = le64_get(item->flags), len;
	bool is_block = flags & EXTENT_FLAG_TREE_BLOCK;
	struct extent_fact *fact = r->fact;

	len = r->key.type == METADATA_ITEM_KEY ? check_nodesize(check) : r->key.offset;
	if (flags & ~(EXTENT_FLAG_DATA | EXTENT_FLAG_TREE_BLOCK | EXTENT_FLAG_FULL_BACKREF))
		complain(check, EXTENT_FLAGS_UNKNOWN, AT(.extent = r->key.objectid), (ull)r->key.objectid, (ull)flags);
	check_generation(check, EXTENT_TREE_OBJECTID, r->logical, &r->key, le64_get(item->generation));
	extent_judge_count(check, fact);
	if (fact->last_logical && r->key.objectid < fact->last_end)
		complain(check, EXTENT_OVERLAP, AT(.extent = r->key.objectid), (ull)r->key.objectid, (ull)fact->last_logical,
			 (ull)fact->last_end);
	judge_place(r, len, is_block);
	if (!fact->first_start)
		fact->first_start = r->key.objectid;
	fact->last_logical = r->key.objectid;
	fact->last_len = len;
	fact->last_end = r->key.objectid + len;
	fact->last_refs = le64_get(item->refs);
	fact->last_counted = recorded_inline_references(check, &r->sums, &r->key, data, size, r->logical);
	r->findings->nr_extents++;
	if (flags & EXTENT_FLAG_FULL_BACKREF) {
		int err = add_range(&r->findings->full_backrefs, r->key.objectid, fact->last_end, d);

		if (err)
			return err;
	}
	if (!is_block && charge_owner(r, item, size, len) < 0)
		return diag_no_memory(d, "quota groups");
	return is_block ? 0 : add_range(&r->findings->data_extents, r->key.objectid, fact->last_end, d);
}

/* Linux looks for a data reference from its hash on; of two with one hash, one stands behind the other. */
static void judge_hash(const struct reading *r, const struct disk_extent_data_ref *ref)
{
	u64 hash;

	if (r->key.type != EXTENT_DATA_REF_KEY)
		return;
	hash = extent_data_ref_hash(le64_get(ref->root), le64_get(ref->objectid), le64_get(ref->offset));
	if (r->key.offset < hash)
		complain(r->check, REFERENCE_HASH_WRONG,
			 AT(.tree = le64_get(ref->root), .inode = le64_get(ref->objectid), .has_key = true, .key = r->key),
			 (ull)r->key.objectid, (ull)le64_get(ref->objectid), (ull)le64_get(ref->root), (ull)r->key.offset,
			 (ull)hash);
}

/* @head_len: of the extent that began in the leaf before, when references of it stand here. */
static void read_keyed(struct reading *r, const void *data, u64 head_len)
{
	struct extent_fact *fact = r->fact;
	bool is_of_last = fact->last_logical == r->key.objectid;
	u64 counted;

	judge_hash(r, data);
	counted = recorded_keyed_reference(r->check, &r->sums, &r->key, data, is_of_last ? fact->last_len : head_len);
	if (is_of_last) {
		fact->last_counted += counted;
	} else if (!fact->last_logical && (fact->head_logical == 0 || fact->head_logical == r->key.objectid)) {
		fact->head_logical = r->key.objectid;
		fact->head_counted += counted;
	} else {
		complain(r->check, REFERENCE_WITHOUT_EXTENT,
			 AT(.tree = EXTENT_TREE_OBJECTID, .extent = r->key.objectid, .has_key = true, .key = r->key),
			 (ull)r->key.objectid);
	}
}

int read_extent_leaf(struct check *check, const u8 *leaf, u64 head_len, struct space_findings *findings,
		     struct extent_fact *fact, struct diag *d)
{
	struct reading r = {
		.check = check,
		.logical = le64_get(block_header(leaf)->bytenr),
		.findings = findings,
		.fact = fact,
		.sums = { .group = SIZE_MAX },
	};
	int err = 0;

	*fact = (struct extent_fact){ .leaf = r.logical, .is_read = true };
	for (u32 slot = 0; slot < block_nritems(leaf) && !err; slot++) {
		struct diag why = { 0 };

		r.key = leaf_key(leaf, slot);
		if (block_check_item(block_cache_check_params(check->fs->cache), leaf, slot, &why) < 0) {
			problem_report_item(&check->sink, r.key.type,
				 AT(.tree = EXTENT_TREE_OBJECTID, .logical = r.logical, .extent = r.key.objectid, .has_key = true, .key = r.key),
				 why.text);
			continue;
		}
		switch (r.key.type) {
		case EXTENT_ITEM_KEY:
		case METADATA_ITEM_KEY:
			err = read_extent(&r, leaf_item_data(leaf, slot), leaf_item_bytes(leaf, slot), d);
			break;
		case TREE_BLOCK_REF_KEY:
		case EXTENT_DATA_REF_KEY:
		case SHARED_BLOCK_REF_KEY:
		case SHARED_DATA_REF_KEY:
			read_keyed(&r, leaf_item_data(leaf, slot), head_len);
			break;
		case BLOCK_GROUP_ITEM_KEY:
			if (!(le64_get(check->fs->super.compat_ro_flags) & COMPAT_RO_BLOCK_GROUP_TREE))
				break;
			__attribute__((fallthrough)); /* they have a tree of their own */
		default:
			complain(check, ITEM_MISPLACED,
				 AT(.tree = EXTENT_TREE_OBJECTID, .logical = r.logical, .has_key = true, .key = r.key),
				 (ull)r.logical, (long long)EXTENT_TREE_OBJECTID, (ull)r.key.objectid, r.key.type,
				 (ull)r.key.offset);
		}
	}
	reference_sums_flush(check, &r.sums);
	return err;
}

int read_csum_leaf(struct check *check, const u8 *leaf, struct space_findings *findings, struct diag *d)
{
	u32 sectorsize = check_sectorsize(check), size_bytes = check->fs->csum->size_bytes;
	u64 logical = le64_get(block_header(leaf)->bytenr);
	int err = 0;

	for (u32 slot = 0; slot < block_nritems(leaf) && !err; slot++) {
		const struct key key = leaf_key(leaf, slot);
		struct diag why = { 0 };

		if (block_check_item(block_cache_check_params(check->fs->cache), leaf, slot, &why) < 0)
			problem_report_item(&check->sink, key.type,
				 AT(.tree = CSUM_TREE_OBJECTID, .logical = logical, .has_key = true, .key = key, .data = key.offset,
				    .data_len_bytes = (u64)leaf_item_bytes(leaf, slot) / size_bytes * sectorsize),
				 why.text);
		else if (key.type != EXTENT_CSUM_KEY)
			complain(check, ITEM_MISPLACED,
				 AT(.tree = CSUM_TREE_OBJECTID, .logical = logical, .has_key = true, .key = key), (ull)logical,
				 (long long)CSUM_TREE_OBJECTID, (ull)key.objectid, key.type, (ull)key.offset);
		else
			err = add_range(&findings->csums, key.offset,
					key.offset + (u64)leaf_item_bytes(leaf, slot) / size_bytes * sectorsize, d);
	}
	return err;
}
