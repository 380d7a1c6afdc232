/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/space/extent_item.h"
#include "kernel-shared/format/name_hash.h"

typedef unsigned long long ull;

struct inline_ref {
	struct extent_ref ref;
	u64 count;
};

/* An extent item taken apart. */
struct record {
	struct key key;
	u64 refs, generation, flags;
	struct disk_tree_block_info info;
	bool has_info;
	bool has_keyed; /* some references have items of their own */
	ARRAY(struct inline_ref) inlined; /* in their order */
};

/* --- References ---------------------------------------- */

static u64 rank_of(const struct extent_ref *ref)
{
	return ref->type == EXTENT_DATA_REF_KEY ? extent_data_ref_hash(ref->root, ref->objectid, ref->offset)
						: ref->root;
}

static bool ref_equal(const struct extent_ref *a, const struct extent_ref *b)
{
	return a->type == b->type && a->root == b->root &&
	       (a->type != EXTENT_DATA_REF_KEY || (a->objectid == b->objectid && a->offset == b->offset));
}

int extent_ref_compare(const struct extent_ref *a, const struct extent_ref *b)
{
	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (a->root != b->root)
		return a->root < b->root ? -1 : 1;
	if (a->objectid != b->objectid)
		return a->objectid < b->objectid ? -1 : 1;
	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	return 0;
}

static u32 inline_bytes(u8 type)
{
	switch (type) {
	case EXTENT_DATA_REF_KEY:
		return 1 + sizeof(struct disk_extent_data_ref);
	case SHARED_DATA_REF_KEY:
		return sizeof(struct disk_extent_inline_ref) + sizeof(struct disk_shared_data_ref);
	default:
		return sizeof(struct disk_extent_inline_ref);
	}
}

/* The blocks were checked: what follows lies within the item, and its types are known. */
static struct inline_ref inline_get(const u8 *from)
{
	const struct disk_extent_inline_ref *ref = (const void *)from;
	const struct disk_extent_data_ref *data = (const void *)(from + 1);
	const struct disk_shared_data_ref *shared = (const void *)(ref + 1);
	struct inline_ref got = { .ref = { .type = from[0] }, .count = 1 };

	if (from[0] == EXTENT_DATA_REF_KEY) {
		got.ref.root = le64_get(data->root);
		got.ref.objectid = le64_get(data->objectid);
		got.ref.offset = le64_get(data->offset);
		got.count = le32_get(data->count);
		return got;
	}
	got.ref.root = le64_get(ref->offset);
	if (from[0] == SHARED_DATA_REF_KEY)
		got.count = le32_get(shared->count);
	return got;
}

static u32 inline_put(u8 *to, const struct inline_ref *inlined)
{
	struct disk_extent_inline_ref *ref = (void *)to;
	struct disk_extent_data_ref *data = (void *)(to + 1);

	to[0] = inlined->ref.type;
	if (inlined->ref.type == EXTENT_DATA_REF_KEY) {
		le64_put(&data->root, inlined->ref.root);
		le64_put(&data->objectid, inlined->ref.objectid);
		le64_put(&data->offset, inlined->ref.offset);
		le32_put(&data->count, (u32)inlined->count);
	} else {
		le64_put(&ref->offset, inlined->ref.root);
		if (inlined->ref.type == SHARED_DATA_REF_KEY)
			le32_put(&((struct disk_shared_data_ref *)(ref + 1))->count, (u32)inlined->count);
	}
	return inline_bytes(inlined->ref.type);
}

/* --- Extent items ---------------------------------------- */

static void unpack_fixed(const struct key *key, const void *data, struct extent_info *ret_info, u32 *ret_bytes)
{
	const struct disk_extent_item *item = data;

	*ret_info = (struct extent_info){
		.refs = le64_get(item->refs),
		.generation = le64_get(item->generation),
		.flags = le64_get(item->flags),
	};
	*ret_bytes = sizeof(*item);
	if (key->type == EXTENT_ITEM_KEY && (ret_info->flags & EXTENT_FLAG_TREE_BLOCK))
		*ret_bytes += sizeof(struct disk_tree_block_info);
}

static int miscounted(const struct record *record, struct diag *d)
{
	return diag_fail(d, -EUCLEAN, "extent %llu: does not have as many references as it counts; check the filesystem first",
			 (ull)record->key.objectid);
}

static int record_read(struct record *record, const struct edit *edit, struct diag *d)
{
	const u8 *data = edit_data(edit);
	u32 bytes = edit_data_bytes(edit), at;
	struct extent_info info;
	u64 counted = 0;

	record->key = edit_key(edit);
	unpack_fixed(&record->key, data, &info, &at);
	record->refs = info.refs;
	record->generation = info.generation;
	record->flags = info.flags;
	record->has_info = at > sizeof(struct disk_extent_item);
	if (record->has_info)
		memcpy(&record->info, data + sizeof(struct disk_extent_item), sizeof(record->info));
	while (at < bytes) {
		if (array_push(&record->inlined, inline_get(data + at)) < 0)
			return diag_no_memory(d, "back references");
		counted += data[at] == EXTENT_OWNER_REF_KEY ? 0 : record->inlined.items[record->inlined.len - 1].count;
		at += inline_bytes(data[at]);
	}
	record->has_keyed = counted != record->refs;
	return counted > record->refs ? miscounted(record, d) : 0;
}

static u32 record_bytes(const struct record *record)
{
	u32 bytes = sizeof(struct disk_extent_item) + (record->has_info ? (u32)sizeof(record->info) : 0);

	array_for_each (&record->inlined, inlined)
		bytes += inline_bytes(inlined->ref.type);
	return bytes;
}

static void record_pack(const struct record *record, u8 *to)
{
	struct disk_extent_item *item = (void *)to;

	le64_put(&item->refs, record->refs);
	le64_put(&item->generation, record->generation);
	le64_put(&item->flags, record->flags);
	to += sizeof(*item);
	if (record->has_info) {
		memcpy(to, &record->info, sizeof(record->info));
		to += sizeof(record->info);
	}
	array_for_each (&record->inlined, inlined)
		to += inline_put(to, inlined);
}

/* Items stay smaller than this when they get an inline reference: where Linux stops, too. */
static u32 inline_limit(const struct extent_records *records)
{
	return (leaf_data_bytes(records->nodesize) >> 4) - (u32)sizeof(struct disk_item);
}

static int record_insert(struct record *record, const struct inline_ref *new, struct diag *d)
{
	size_t at = 0;

	while (at < record->inlined.len) {
		const struct extent_ref *there = &record->inlined.items[at].ref;

		if (there->type > new->ref.type || (there->type == new->ref.type &&rank_of(there) < rank_of(&new->ref)))
			break;
		at++;
	}
	if (array_reserve(&record->inlined, 1) < 0)
		return diag_no_memory(d, "back references");
	memmove(record->inlined.items + at + 1, record->inlined.items + at,
		(record->inlined.len - at) * sizeof(*record->inlined.items));
	record->inlined.items[at] = *new;
	record->inlined.len++;
	return 0;
}

/* --- References with items of their own ---------------------------------------- */

static u32 keyed_bytes(u8 type)
{
	return type == EXTENT_DATA_REF_KEY   ? sizeof(struct disk_extent_data_ref)
	       : type == SHARED_DATA_REF_KEY ? sizeof(struct disk_shared_data_ref)
					     : 0;
}

static bool is_data_ref(const struct edit *edit, const struct extent_ref *ref)
{
	const struct disk_extent_data_ref *data = edit_data(edit);

	return le64_get(data->root) == ref->root && le64_get(data->objectid) == ref->objectid &&
	       le64_get(data->offset) == ref->offset;
}

/*
 * Stand on the reference's item: 0; or 1 with the key where it would be. Data references by tree are found by a hash; one
 * whose key another had has got a later key, and that other may be gone since: so the search goes on over holes. It ends
 * where no key can be that began at this hash, as there are no more than 2^32 references.
 */
static int keyed_seek(struct edit *edit, u64 logical, const struct extent_ref *ref, struct key *ret_key, struct diag *d)
{
	const struct key first = { logical, ref->type, rank_of(ref) };
	int err;

	*ret_key = first;
	if (ref->type != EXTENT_DATA_REF_KEY)
		return edit_seek(edit, &first, d);
	for (err = edit_seek_from(edit, &first, d); err == 0; err = edit_next(edit, d)) {
		const struct key key = edit_key(edit);

		if (key.objectid != logical || key.type != ref->type || key.offset - first.offset > UINT32_MAX)
			return 1;
		if (is_data_ref(edit, ref))
			return 0;
		if (key.offset == ret_key->offset)
			ret_key->offset++;
	}
	return err;
}

static le32 *keyed_count(const struct edit *edit, u8 type)
{
	if (type == EXTENT_DATA_REF_KEY)
		return &((struct disk_extent_data_ref *)edit_data(edit))->count;
	return type == SHARED_DATA_REF_KEY ? &((struct disk_shared_data_ref *)edit_data(edit))->count : NULL;
}

static int keyed_insert(struct edit *edit, const struct key *key, const struct inline_ref *ref, struct diag *d)
{
	void *data;
	int err = edit_insert(edit, key, keyed_bytes(key->type), &data, d);

	if (err)
		return err;
	if (key->type == EXTENT_DATA_REF_KEY) {
		struct disk_extent_data_ref *item = data;

		le64_put(&item->root, ref->ref.root);
		le64_put(&item->objectid, ref->ref.objectid);
		le64_put(&item->offset, ref->ref.offset);
		le32_put(&item->count, (u32)ref->count);
	} else if (key->type == SHARED_DATA_REF_KEY) {
		le32_put(&((struct disk_shared_data_ref *)data)->count, (u32)ref->count);
	}
	return 0;
}

static int not_there(u64 logical, const struct extent_ref *ref, struct diag *d)
{
	return diag_fail(d, -EUCLEAN,
			 "extent %llu: its reference of type %u by %llu (inode %llu, offset %llu) is not recorded; "
			 "check the filesystem first",
			 (ull)logical, ref->type, (ull)ref->root, (ull)ref->objectid, (ull)ref->offset);
}

/* A new count from an old one; a tree block's reference is there once or not at all. */
static int add_count(u64 logical, const struct extent_ref *ref, u64 *count, s64 delta, struct diag *d)
{
	bool is_data = ref->type == EXTENT_DATA_REF_KEY || ref->type == SHARED_DATA_REF_KEY;

	if (delta < 0 && (u64)-delta > *count)
		return not_there(logical, ref, d);
	*count += (u64)delta;
	if (*count > (is_data ? UINT32_MAX : 1))
		return diag_fail(d, -EUCLEAN, "extent %llu: %llu references of type %u by %llu", (ull)logical,
				 (ull)*count, ref->type, (ull)ref->root);
	return 0;
}

/* --- One change ---------------------------------------- */

static int change_inline(struct record *record, size_t at, const struct ref_change *change, struct diag *d)
{
	struct inline_ref *inlined = &record->inlined.items[at];
	int err = add_count(record->key.objectid, &change->ref, &inlined->count, change->delta, d);

	if (!err && inlined->count == 0) {
		memmove(inlined, inlined + 1, (record->inlined.len - at - 1) * sizeof(*inlined));
		record->inlined.len--;
	}
	return err;
}

/* A reference that is not recorded yet. */
static int add_ref(const struct extent_records *records, struct record *record, struct edit *edit,
		   const struct ref_change *change, struct diag *d)
{
	struct inline_ref new = { change->ref, 0 };
	struct key key;
	int err = add_count(record->key.objectid, &change->ref, &new.count, change->delta, d);

	if (err)
		return err;
	if (record_bytes(record) + inline_bytes(change->ref.type) < inline_limit(records))
		return record_insert(record, &new, d);
	err = keyed_seek(edit, record->key.objectid, &change->ref, &key, d);
	if (err == 0)
		return diag_fail(d, -EUCLEAN, "extent %llu: has more references than it counts",
				 (ull)record->key.objectid);
	if (err == 1)
		err = keyed_insert(edit, &key, &new, d);
	record->has_keyed = true;
	return err;
}

static int change_keyed(const struct extent_records *records, struct record *record, struct edit *edit,
			const struct ref_change *change, struct diag *d)
{
	struct key key;
	le32 *on_disk;
	u64 count = 1;
	int err = record->has_keyed ? keyed_seek(edit, record->key.objectid, &change->ref, &key, d) : 1;

	if (err)
		return err < 0 ? err : add_ref(records, record, edit, change, d);
	on_disk = keyed_count(edit, change->ref.type);
	if (on_disk)
		count = le32_get(*on_disk);
	err = add_count(record->key.objectid, &change->ref, &count, change->delta, d);
	if (err)
		return err;
	if (count == 0)
		return edit_delete(edit, NULL, d);
	if (on_disk)
		le32_put(on_disk, (u32)count);
	return 0;
}

static int change_ref(const struct extent_records *records, struct record *record, struct edit *edit,
		      const struct ref_change *change, struct diag *d)
{
	record->refs += (u64)change->delta;
	for (size_t i = 0; i < record->inlined.len; i++)
		if (ref_equal(&record->inlined.items[i].ref, &change->ref))
			return change_inline(record, i, change, d);
	return change_keyed(records, record, edit, change, d);
}

static int seek_item(const struct extent_records *records, const struct extent_change *change, struct edit *edit,
		     struct diag *d)
{
	struct key key = { change->logical, METADATA_ITEM_KEY, change->level };
	int err = 1;

	if (!change->is_data && records->is_skinny)
		err = edit_seek(edit, &key, d);
	if (err != 1)
		return err;
	key = (struct key){ change->logical, EXTENT_ITEM_KEY, change->len };
	err = edit_seek(edit, &key, d);
	if (err == 1)
		return diag_fail(d, -EUCLEAN, "extent %llu of %llu bytes: is not recorded; check the filesystem first",
				 (ull)change->logical, (ull)change->len);
	return err;
}

static int begin_new(const struct extent_records *records, const struct extent_change *change, struct record *record,
		     struct diag *d)
{
	const struct inline_ref owner = { { .type = EXTENT_OWNER_REF_KEY, .root = change->owner_root }, 1 };
	bool is_skinny = !change->is_data && records->is_skinny;

	record->key = (struct key){ change->logical, is_skinny ? METADATA_ITEM_KEY : EXTENT_ITEM_KEY,
				    is_skinny ? change->level : change->len };
	record->generation = change->generation;
	record->flags = change->is_data ? EXTENT_FLAG_DATA : EXTENT_FLAG_TREE_BLOCK;
	record->has_info = !change->is_data && !is_skinny;
	key_pack(&record->info.key, &change->first_key);
	record->info.level = change->level;
	return change->owner_root ? record_insert(record, &owner, d) : 0;
}

/*
 * Does the count agree with what is left? An extent is never given up while something refers to it. Of references with
 * items of their own is only seen whether there are any.
 */
static int check_counts(const struct record *record, struct edit *edit, struct diag *d)
{
	const struct key first = { record->key.objectid, METADATA_ITEM_KEY + 1, 0 };
	u64 inlined = 0;
	bool is_there;
	int err;

	array_for_each (&record->inlined, it)
		inlined += it->ref.type == EXTENT_OWNER_REF_KEY ? 0 : it->count;
	/* Below nothing, too. */
	if (inlined > record->refs || record->refs > INT64_MAX)
		return miscounted(record, d);
	if (!record->has_keyed && record->refs)
		return 0;
	err = edit_seek_from(edit, &first, d);
	if (err < 0)
		return err;
	is_there = err == 0 && edit_key(edit).objectid == first.objectid && edit_key(edit).type < BLOCK_GROUP_ITEM_KEY;
	return is_there == (record->refs > inlined) ? 0 : miscounted(record, d);
}

/* Put the record where the extent's item is, or would be. */
static int write_record(const struct record *record, struct edit *edit, bool is_new, struct diag *d)
{
	u32 bytes = record_bytes(record);
	void *data;
	int err;

	if (is_new) {
		err = edit_insert(edit, &record->key, bytes, &data, d);
		if (!err)
			record_pack(record, data);
		return err;
	}
	err = edit_seek(edit, &record->key, d);
	if (err == 1)
		return diag_fail(d, -EUCLEAN, "extent %llu: its item is gone", (ull)record->key.objectid);
	if (!err && record->refs == 0)
		return edit_delete(edit, NULL, d);
	if (!err && bytes != edit_data_bytes(edit))
		err = edit_resize(edit, bytes, d);
	/* Shrinking may have merged the leaf with another. */
	if (!err && !edit->is_positioned)
		err = edit_seek(edit, &record->key, d);
	if (!err)
		record_pack(record, edit_data(edit));
	return err;
}

static int apply(const struct extent_records *records, const struct extent_change *change, struct record *record,
		 struct edit *edit, struct diag *d)
{
	int err;

	if (change->is_new) {
		err = begin_new(records, change, record, d);
	} else {
		err = seek_item(records, change, edit, d);
		if (!err)
			err = record_read(record, edit, d);
	}
	if (!err && change->is_data != ((record->flags & EXTENT_FLAG_DATA) != 0))
		err = diag_fail(d, -EUCLEAN, "extent %llu: is %s, expected the other kind", (ull)change->logical,
				change->is_data ? "a tree block" : "data");
	if (!err && change->do_set_full_backref)
		record->flags |= EXTENT_FLAG_FULL_BACKREF;
	/* Those that go first: they may make room. */
	for (unsigned is_more = 0; is_more < 2; is_more++)
		for (size_t i = 0; i < change->nr_refs && !err; i++)
			if (change->refs[i].delta && (change->refs[i].delta > 0) == is_more)
				err = change_ref(records, record, edit, &change->refs[i], d);
	if (!err)
		err = check_counts(record, edit, d);
	if (!err && change->is_new && record->refs == 0)
		return 0;
	return err ? err : write_record(record, edit, change->is_new, d);
}

int extent_apply(const struct extent_records *records, const struct extent_change *change, bool *ret_is_gone,
		 struct extent_info *ret_info, struct diag *d)
{
	struct edit edit = edit_init(records->extent_root);
	struct record record = { 0 };
	int err = apply(records, change, &record, &edit, d);

	*ret_is_gone = !err && record.refs == 0;
	*ret_info = (struct extent_info){ .generation = record.generation, .flags = record.flags };
	array_for_each(&record.inlined, inlined)
		if (inlined->ref.type == EXTENT_OWNER_REF_KEY)
			ret_info->owner_root = inlined->ref.root;
	array_done(&record.inlined);
	edit_done(&edit);
	return err;
}

/* --- Looking ---------------------------------------- */

int extent_lookup(const struct tree *extent_tree, u64 logical, u64 len, bool is_data, struct extent_info *ret_info,
		  struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(extent_tree);
	const struct key last = { logical, METADATA_ITEM_KEY, UINT64_MAX };
	struct key key;
	const u8 *data;
	u32 at;
	int err = cursor_seek_back(&cursor, &last, d);

	if (err < 0)
		return err;
	key = err ? KEY_MIN : cursor_key(&cursor);
	if (err || key.objectid != logical || (key.type != EXTENT_ITEM_KEY && key.type != METADATA_ITEM_KEY) ||
	    (is_data && (key.type != EXTENT_ITEM_KEY || key.offset != len)))
		return diag_fail(d, -ENOENT, "there is no extent at %llu", (ull)logical);
	data = cursor_data(&cursor);
	unpack_fixed(&key, data, ret_info, &at);
	if (is_data != ((ret_info->flags & EXTENT_FLAG_DATA) != 0))
		return diag_fail(d, -ENOENT, "the extent at %llu is of the other kind", (ull)logical);
	if (at < cursor_data_bytes(&cursor) && data[at] == EXTENT_OWNER_REF_KEY)
		ret_info->owner_root = inline_get(data + at).ref.root;
	return 0;
}
