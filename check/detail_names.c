/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The single names behind sums that differ. Names are dealt into buckets; a first walk finds the buckets that differ, a
 * second keeps only what is in these.
 */
#include <sys/stat.h>
#include <xxhash.h>

#include "check/check.h"
#include "kernel-shared/format/file_type.h"

typedef unsigned long long ull;

#define NR_BUCKETS 4096

enum name_kind { NAME_INDEX, NAME_ITEM, NAME_REF };

struct name {
	u64 dir, hash; /* of the bytes */
	u64 index; /* INDEX and REF */
	struct key location; /* of a REF: its inode */
	enum name_kind kind;
	u8 type;
	u8 len;
	char bytes[NAME_LEN_MAX];
};

struct inode_type {
	u64 ino;
	u8 type; /* of the entry; of the inode */
	bool is_inode;
	u64 dir;
};

struct detail {
	struct check *check;
	u64 tree;
	u64 *sums; /* of each bucket */
	bool is_counting; /* the first walk: fills sums; the second keeps names and types */
	struct sorter *names; /* struct name; the second */
	struct sorter *types; /* struct inode_type */
	int err;
	struct diag why;
};

static u64 bucket_of(const struct detail *detail, u64 dir, u64 hash)
{
	const u64 both[2] = { dir, hash };

	return check_hash(detail->check, both, sizeof(both)) % NR_BUCKETS;
}

/*
 * For the first walk: an entry of each kind adds what the two others take away. A name that leads to a subvolume has no
 * REF, so that its INDEX and ITEM balance by themselves.
 */
static void count_name(struct detail *detail, const struct name *name)
{
	const u64 entry[6] = { 1, name->dir, name->hash, name->location.objectid, name->location.offset,
			       (u64)name->location.type << 8 | name->type };
	const u64 ref[5] = { 2, name->dir, name->hash, name->location.objectid, name->index };
	u64 *sum = &detail->sums[bucket_of(detail, name->dir, name->hash)];
	u64 entry_hash = check_hash(detail->check, entry, sizeof(entry)), ref_hash = check_hash(detail->check, ref, sizeof(ref));

	if (name->kind == NAME_INDEX)
		*sum += entry_hash + (name->location.type == INODE_ITEM_KEY ? ref_hash : 0);
	else
		*sum -= name->kind == NAME_ITEM ? entry_hash : ref_hash;
}

static void take_name(struct detail *detail, struct name name, const u8 *bytes, u16 len)
{
	name.hash = XXH3_64bits_withSeed(bytes, len, ~detail->check->hash_seed);
	name.len = (u8)MIN(len, (u16)NAME_LEN_MAX);
	if (detail->is_counting) {
		count_name(detail, &name);
		return;
	}
	if (!detail->sums[bucket_of(detail, name.dir, name.hash)])
		return;
	memcpy(name.bytes, bytes, name.len);
	if (!detail->err)
		detail->err = sorter_add(detail->names, &name, 1, &detail->why);
}

static void take_type(struct detail *detail, u64 ino, u8 type, bool is_inode, u64 dir)
{
	const struct inode_type taken = { ino, type, is_inode, dir };

	if (!detail->is_counting && !detail->err)
		detail->err = sorter_add(detail->types, &taken, 1, &detail->why);
}

static void take_entries(struct detail *detail, const struct key *key, const u8 *at, u32 left)
{
	while (left >= sizeof(struct disk_dir_item)) {
		const struct disk_dir_item *item = (const void *)at;
		u32 bytes = (u32)sizeof(*item) + le16_get(item->name_len) + le16_get(item->data_len);
		const struct name name = {
			.dir = key->objectid,
			.index = key->type == DIR_INDEX_KEY ? key->offset : 0,
			.location = key_unpack(&item->location),
			.kind = key->type == DIR_INDEX_KEY ? NAME_INDEX : NAME_ITEM,
			.type = item->type,
		};

		take_name(detail, name, item->name, le16_get(item->name_len));
		if (name.kind == NAME_INDEX && name.location.type == INODE_ITEM_KEY)
			take_type(detail, name.location.objectid, name.type, false, name.dir);
		at += bytes;
		left -= bytes;
	}
}

static void take_refs(struct detail *detail, const struct key *key, const u8 *at, u32 left)
{
	bool is_extref = key->type == INODE_EXTREF_KEY;
	u32 fixed = is_extref ? sizeof(struct disk_inode_extref) : sizeof(struct disk_inode_ref);

	while (left >= fixed) {
		const struct disk_inode_ref *ref = (const void *)at;
		const struct disk_inode_extref *extref = (const void *)at;
		u16 len = is_extref ? le16_get(extref->name_len) : le16_get(ref->name_len);
		const struct name name = {
			.dir = is_extref ? le64_get(extref->parent_objectid) : key->offset,
			.index = is_extref ? le64_get(extref->index) : le64_get(ref->index),
			.location = { key->objectid, INODE_ITEM_KEY, 0 },
			.kind = NAME_REF,
		};

		if (name.dir != key->objectid)
			take_name(detail, name, at + fixed, len);
		at += fixed + len;
		left -= fixed + len;
	}
}

static int walk(struct detail *detail, struct diag *d)
{
	struct check *check = detail->check;
	struct cursor cursor;
	struct tree tree;

	if (fs_tree(check->fs, detail->tree, &tree, NULL) < 0)
		return 0;
	cursor = cursor_init(&tree);
	cursor.do_skip_damage = true;
	for (int err = cursor_first(&cursor, NULL); err == 0 && !detail->err; err = cursor_next(&cursor, NULL)) {
		const struct key key = cursor_key(&cursor);

		if (block_check_item(block_cache_check_params(check->fs->cache), cursor.path[0].block->data,
				     cursor.path[0].slot, NULL) < 0)
			continue;
		if (key.type == DIR_ITEM_KEY || key.type == DIR_INDEX_KEY)
			take_entries(detail, &key, cursor_data(&cursor), cursor_data_bytes(&cursor));
		else if (key.type == INODE_REF_KEY || key.type == INODE_EXTREF_KEY)
			take_refs(detail, &key, cursor_data(&cursor), cursor_data_bytes(&cursor));
		else if (key.type == INODE_ITEM_KEY)
			take_type(detail, key.objectid,
				  file_type_of_mode(le32_get(((const struct disk_inode_item *)cursor_data(&cursor))->mode)), true, 0);
	}
	cursor_done(&cursor);
	if (!detail->err && atomic_load(&check->cancel->is_requested))
		return diag_fail(d, -ECANCELED, "cancelled");
	return detail->err ? diag_copy(d, &detail->why) : 0;
}

/* --- Comparing ---------------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->index != y->index)
		return x->index < y->index ? -1 : 1;
	return key_compare(&x->location, &y->location);
}

/* Each tree whose names differ is walked, those that share the inode, too. */
#define NAME_AT(detail, name) \
	AT(.tree = (detail)->tree, .inode = (name)->location.type == INODE_ITEM_KEY ? (name)->location.objectid : 0, \
	   .is_of_tree_alone = true)

/* All that is said of one name of one directory: at best one INDEX, one ITEM, one REF. */
struct said {
	struct name name[3]; /* by kind, the first of each */
	bool is_said[3];
	const struct name *first; /* of these; NULL: nothing is said yet */
};

static void add_said(struct detail *detail, struct said *said, const struct name *name)
{
	if (said->is_said[name->kind]) {
		complain(detail->check, NAME_TWICE, NAME_AT(detail, name), (ull)detail->tree, (ull)name->dir, (int)name->len,
			 name->bytes);
		return;
	}
	said->name[name->kind] = *name;
	said->is_said[name->kind] = true;
	if (!said->first)
		said->first = &said->name[name->kind];
}

static void compare_name(struct detail *detail, const struct said *said)
{
	const struct name *first = said->first, *of[3];
	struct check *check = detail->check;
	ull tree = detail->tree, dir = first->dir;

	for (int kind = 0; kind < 3; kind++)
		of[kind] = said->is_said[kind] ? &said->name[kind] : NULL;
	if (!of[NAME_INDEX] && of[NAME_ITEM])
		complain(check, DIR_INDEX_MISSING, NAME_AT(detail, first), tree, dir, (int)first->len, first->bytes);
	if (of[NAME_INDEX] && !of[NAME_ITEM])
		complain(check, DIR_ITEM_MISSING, NAME_AT(detail, first), tree, dir, (int)first->len, first->bytes);
	if (!of[NAME_INDEX] && !of[NAME_ITEM])
		complain(check, DIR_ENTRY_MISSING, NAME_AT(detail, first), tree, (ull)first->location.objectid, dir,
			 (int)first->len, first->bytes);
	if (of[NAME_INDEX] && of[NAME_ITEM] &&
	    (key_compare(&of[NAME_INDEX]->location, &of[NAME_ITEM]->location) != 0 ||
	     of[NAME_INDEX]->type != of[NAME_ITEM]->type))
		complain(check, DIR_ENTRIES_DISAGREE, NAME_AT(detail, first), tree, dir, (int)first->len, first->bytes);
	if (of[NAME_INDEX] && of[NAME_INDEX]->location.type == INODE_ITEM_KEY) {
		if (!of[NAME_REF] || of[NAME_REF]->location.objectid != of[NAME_INDEX]->location.objectid)
			complain(check, INODE_REF_MISSING, NAME_AT(detail, first), tree,
				 (ull)of[NAME_INDEX]->location.objectid, dir, (int)first->len, first->bytes);
		else if (of[NAME_REF]->index != of[NAME_INDEX]->index)
			complain(check, INODE_REF_INDEX_WRONG, NAME_AT(detail, first), tree,
				 (ull)of[NAME_INDEX]->location.objectid, dir, (int)first->len, first->bytes,
				 (ull)of[NAME_REF]->index, (ull)of[NAME_INDEX]->index);
	}
}

static int compare_names(struct detail *detail, struct diag *d)
{
	struct said said = { .first = NULL };
	const void *record;
	int err = sorter_sort(detail->names, d);

	while (!err && (err = sorter_next(detail->names, &record, d)) == 0) {
		const struct name *name = record;

		if (said.first && (said.first->dir != name->dir || said.first->hash != name->hash)) {
			compare_name(detail, &said);
			said = (struct said){ .first = NULL };
		}
		add_said(detail, &said, name);
		err = detail->check->sink.err;
	}
	if (said.first)
		compare_name(detail, &said);
	return err < 0 ? err : 0;
}

static int by_inode(const void *a, const void *b)
{
	const struct inode_type *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->is_inode != y->is_inode)
		return (int)y->is_inode - (int)x->is_inode;
	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	return (int)x->type - (int)y->type;
}

static int compare_types(struct detail *detail, struct diag *d)
{
	struct inode_type inode = { 0 };
	const void *record;
	int err = sorter_sort(detail->types, d);

	while (!err && (err = sorter_next(detail->types, &record, d)) == 0) {
		const struct inode_type *type = record;

		if (type->is_inode)
			inode = *type;
		else if (!inode.is_inode || inode.ino != type->ino)
			complain(detail->check, DIR_ENTRY_DANGLES,
				 AT(.tree = detail->tree, .inode = type->dir, .is_of_tree_alone = true),
				 (ull)detail->tree, (ull)type->dir, (ull)type->ino);
		else if (inode.type != type->type)
			complain(detail->check, DIR_ENTRY_TYPE_WRONG,
				 AT(.tree = detail->tree, .inode = type->ino, .is_of_tree_alone = true),
				 (ull)detail->tree, (ull)type->dir, (ull)type->ino, type->type, inode.type);
		err = detail->check->sink.err;
	}
	return err < 0 ? err : 0;
}

static int detail_new(struct detail *detail)
{
	struct check *check = detail->check;

	detail->sums = calloc(NR_BUCKETS, sizeof(*detail->sums));
	if (!detail->sums ||
	    sorter_new(&check->spill, sizeof(struct name), check->memory_bytes / 16, by_name, &detail->names) < 0)
		return -ENOMEM;
	return sorter_new(&check->spill, sizeof(struct inode_type), check->memory_bytes / 16, by_inode, &detail->types);
}

int detail_names(struct check *check, const struct check_root *root, struct diag *d)
{
	struct detail detail = { .check = check, .tree = root->id, .is_counting = true };
	int err = detail_new(&detail) < 0 ? diag_no_memory(d, "names") : walk(&detail, d);

	detail.is_counting = false;
	if (!err)
		err = walk(&detail, d);
	if (!err)
		err = compare_names(&detail, d);
	if (!err)
		err = compare_types(&detail, d);
	sorter_free(detail.names);
	sorter_free(detail.types);
	free(detail.sums);
	return err;
}
