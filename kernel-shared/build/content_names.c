/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Items that hold names: INODE_REF and INODE_EXTREF of what is named, DIR_ITEM and DIR_INDEX of directories, xattrs. */
#include <sys/stat.h>

#include "kernel-shared/build/content_items.h"
#include "kernel-shared/format/file_type.h"
#include "kernel-shared/format/leaf.h"
#include "kernel-shared/format/name_hash.h"

/* Directory positions count from 2: 0 and 1 stand for "." and "..", which are not stored. */
#define DIR_INDEX_FIRST 2

static const struct content_dirent *dirent_at(const struct btrkit_content *content, u32 place)
{
	return &content->dirents.items[content->order[place]];
}

static u64 dir_index(const struct btrkit_content *content, u32 place)
{
	return DIR_INDEX_FIRST + place - content->nodes.items[dirent_at(content, place)->parent].data;
}

static u64 parent_ino(const struct btrkit_content *content, u32 place)
{
	return content_ino(&content->nodes.items[dirent_at(content, place)->parent]);
}

static int path_failure(const struct btrkit_content *content, u32 node, int err, const char *what, struct diag *d)
{
	char path[512];

	btrkit_content_path(content, node, path, sizeof(path));
	return diag_fail(d, err, "/%s: %s", path, what);
}

/* --- What an inode is called ------------------------------------------------------------------------- */

static u8 *pack_ref(const struct btrkit_content *content, u32 place, u8 *at)
{
	const struct content_dirent *dirent = dirent_at(content, place);
	struct disk_inode_ref *ref = (struct disk_inode_ref *)at;

	le64_put(&ref->index, dir_index(content, place));
	le16_put(&ref->name_len, dirent->name_len);
	memcpy(ref->name, dirent_name(content, dirent), dirent->name_len);
	return at + sizeof(*ref) + dirent->name_len;
}

/* One INODE_REF with as many of the names @places[0..count) of one directory as fit; returns how many in *ret_taken. */
static int ref_item(struct item_maker *maker, u64 ino, const u32 *places, u32 count, u32 *ret_taken, struct diag *d)
{
	const struct btrkit_content *content = maker->content;
	u32 limit = leaf_item_max_bytes(content->options.id.nodesize);
	u32 size = 0, taken = 0;
	void *data;
	u8 *at;
	int err;

	for (; taken < count; taken++) {
		u32 one = (u32)sizeof(struct disk_inode_ref) + dirent_at(content, places[taken])->name_len;

		if (size + one > limit)
			break;
		size += one;
	}
	err = item_add(maker, ino, INODE_REF_KEY, parent_ino(content, places[0]), size, &data, d);
	if (err)
		return err;
	at = data;
	for (u32 i = 0; at && i < taken; i++)
		at = pack_ref(content, places[i], at);
	*ret_taken = taken;
	return 0;
}

static int compare_hashed(const void *a, const void *b)
{
	const struct hashed_name *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->place < y->place ? -1 : x->place > y->place;
}

static void sort_scratch(struct item_maker *maker)
{
	array_sort(&maker->names, compare_hashed);
}

/* How many entries from @first share its hash. */
static size_t same_hash(const struct item_maker *maker, size_t first)
{
	size_t n = 1;

	while (first + n < maker->names.len && maker->names.items[first + n].hash == maker->names.items[first].hash)
		n++;
	return n;
}

static int extref_item(struct item_maker *maker, u64 ino, const struct hashed_name *names, size_t count,
		       struct diag *d)
{
	const struct btrkit_content *content = maker->content;
	u32 size = 0;
	void *data;
	u8 *at;
	int err;

	for (size_t i = 0; i < count; i++)
		size += (u32)sizeof(struct disk_inode_extref) + dirent_at(content, names[i].place)->name_len;
	if (size > leaf_item_max_bytes(content->options.id.nodesize))
		return path_failure(content, dirent_at(content, names[0].place)->node, -EMLINK,
				    "too many hard links whose names have one hash", d);
	err = item_add(maker, ino, INODE_EXTREF_KEY, names[0].hash, size, &data, d);
	if (err || !data)
		return err;
	at = data;
	for (size_t i = 0; i < count; i++) {
		const struct content_dirent *dirent = dirent_at(content, names[i].place);
		struct disk_inode_extref *ref = (struct disk_inode_extref *)at;

		le64_put(&ref->parent_objectid, parent_ino(content, names[i].place));
		le64_put(&ref->index, dir_index(content, names[i].place));
		le16_put(&ref->name_len, dirent->name_len);
		memcpy(ref->name, dirent_name(content, dirent), dirent->name_len);
		at += sizeof(*ref) + dirent->name_len;
	}
	return 0;
}

/* All names that did not fit into INODE_REF items, as INODE_EXTREFs in the order of their hashes. */
static int extref_items(struct item_maker *maker, u64 ino, struct diag *d)
{
	sort_scratch(maker);
	for (size_t i = 0, n; i < maker->names.len; i += n) {
		int err;

		n = same_hash(maker, i);
		err = extref_item(maker, ino, &maker->names.items[i], n, d);
		if (err)
			return err;
	}
	return 0;
}

static int several_refs(struct item_maker *maker, const struct content_node *node, u64 ino, struct diag *d)
{
	const struct btrkit_content *content = maker->content;
	const u32 *places = &content->links[node->dirent];

	maker->names.len = 0;
	for (u32 i = 0, n; i < node->nlink; i += n) {
		u64 parent = parent_ino(content, places[i]);
		u32 taken;
		int err;

		for (n = 1; i + n < node->nlink && parent_ino(content, places[i + n]) == parent;)
			n++;
		err = ref_item(maker, ino, places + i, n, &taken, d);
		if (err)
			return err;
		if (taken < n && !content->options.has_extref)
			return path_failure(content, dirent_at(content, places[0])->node, -EMLINK,
					    "too many hard links in one directory without the extref feature", d);
		for (u32 l = i + taken; l < i + n; l++) {
			const struct content_dirent *dirent = dirent_at(content, places[l]);
			u32 hash = (u32)extref_hash(parent, dirent_name(content, dirent), dirent->name_len);

			if (array_push(&maker->names, (struct hashed_name){ hash, places[l] }) < 0)
				return diag_no_memory(d, "hard links");
		}
	}
	return extref_items(maker, ino, d);
}

/* The top directory of a tree is its own parent. */
static int top_ref(struct item_maker *maker, struct diag *d)
{
	struct disk_inode_ref *ref;
	void *data;
	int err = item_add(maker, FIRST_FREE_OBJECTID, INODE_REF_KEY, FIRST_FREE_OBJECTID, sizeof(*ref) + 2, &data, d);

	if (err || !data)
		return err;
	ref = data;
	le64_put(&ref->index, 0);
	le16_put(&ref->name_len, 2);
	memcpy(ref->name, "..", 2);
	return 0;
}

int content_ref_items(struct item_maker *maker, const struct content_node *node, u64 ino, struct diag *d)
{
	u32 taken;

	if (ino == FIRST_FREE_OBJECTID)
		return top_ref(maker, d);
	if (node->nlink > 1 && !S_ISDIR(node->mode))
		return several_refs(maker, node, ino, d);
	return ref_item(maker, ino, &node->dirent, 1, &taken, d);
}

/* --- Xattrs ------------------------------------------------------------------------------------------- */

static u8 *pack_xattr(const struct btrkit_content *content, const struct content_xattr *xattr, u8 *at)
{
	struct disk_dir_item *item = (struct disk_dir_item *)at;

	memset(item, 0, sizeof(*item));
	le64_put(&item->transid, content->options.id.generation);
	le16_put(&item->data_len, xattr->value_len);
	le16_put(&item->name_len, xattr->name_len);
	item->type = FT_XATTR;
	memcpy(item->name, content_bytes(content, xattr->bytes), (size_t)xattr->name_len + xattr->value_len);
	return at + sizeof(*item) + xattr->name_len + xattr->value_len;
}

static int xattr_item(struct item_maker *maker, u32 node, u64 ino, const struct hashed_name *names, size_t count,
		      struct diag *d)
{
	const struct btrkit_content *content = maker->content;
	u32 limit = leaf_item_max_bytes(content->options.id.nodesize);
	u64 size = 0;
	void *data;
	u8 *at;
	int err;

	for (size_t i = 0; i < count; i++) {
		const struct content_xattr *xattr = &content->xattrs.items[names[i].place];

		size += sizeof(struct disk_dir_item) + xattr->name_len + xattr->value_len;
		if (size > limit) {
			char path[512];

			btrkit_content_path(content, node, path, sizeof(path));
			return diag_fail(d, -E2BIG, "/%s: xattr %.*s of %u bytes does not fit into a block of %u", path,
					 xattr->name_len, (const char *)content_bytes(content, xattr->bytes),
					 xattr->value_len, content->options.id.nodesize);
		}
	}
	err = item_add(maker, ino, XATTR_ITEM_KEY, names[0].hash, (u32)size, &data, d);
	if (err || !data)
		return err;
	at = data;
	for (size_t i = 0; i < count; i++)
		at = pack_xattr(content, &content->xattrs.items[names[i].place], at);
	return 0;
}

/* Order by hash, then by name: xattrs were interned in an order that depends on the source. */
static int compare_xattrs(const void *a, const void *b, void *arg)
{
	const struct btrkit_content *content = arg;
	const struct hashed_name *x = a, *y = b;
	const struct content_xattr *p = &content->xattrs.items[x->place], *q = &content->xattrs.items[y->place];
	int order;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	order = memcmp(content_bytes(content, p->bytes), content_bytes(content, q->bytes), MIN(p->name_len, q->name_len));
	return order ? order : (int)p->name_len - (int)q->name_len;
}

int content_xattr_items(struct item_maker *maker, u32 node, u64 ino, struct diag *d)
{
	const struct btrkit_content *content = maker->content;

	maker->names.len = 0;
	for (u32 l = content->nodes.items[node].xattrs; l != CONTENT_NONE; l = content->xattr_links.items[l].next) {
		u32 xattr = content->xattr_links.items[l].xattr;
		struct hashed_name name = { content->xattrs.items[xattr].hash, xattr };

		if (array_push(&maker->names, name) < 0)
			return diag_no_memory(d, "xattrs");
	}
	if (maker->names.len > 1)
		qsort_r(maker->names.items, maker->names.len, sizeof(struct hashed_name), compare_xattrs,
			(void *)(uintptr_t)content);
	for (size_t i = 0, n; i < maker->names.len; i += n) {
		int err;

		n = same_hash(maker, i);
		err = xattr_item(maker, node, ino, &maker->names.items[i], n, d);
		if (err)
			return err;
	}
	return 0;
}

/* --- Entries of a directory -------------------------------------------------------------------------- */

static const struct content_subvol *subvol_of_top(const struct btrkit_content *content, u32 node)
{
	array_for_each(&content->subvols, subvol)
		if (subvol->node == node)
			return subvol;
	return NULL;
}

/* Where an entry leads: an inode of this tree, or the root of another. */
static struct key entry_location(const struct btrkit_content *content, u32 node)
{
	const struct content_rare *rare = content_rare(content, &content->nodes.items[node]);

	if (rare && rare->is_subvol)
		return (struct key){ subvol_of_top(content, node)->root_id, ROOT_ITEM_KEY, UINT64_MAX };
	return (struct key){ content_ino(&content->nodes.items[node]), INODE_ITEM_KEY, 0 };
}

static u32 entry_bytes(const struct btrkit_content *content, u32 place)
{
	return (u32)sizeof(struct disk_dir_item) + dirent_at(content, place)->name_len;
}

static u8 *pack_entry(const struct btrkit_content *content, u32 place, u8 *at)
{
	const struct content_dirent *dirent = dirent_at(content, place);
	struct key location = entry_location(content, dirent->node);
	struct disk_dir_item *item = (struct disk_dir_item *)at;

	key_pack(&item->location, &location);
	le64_put(&item->transid, content->options.id.generation);
	le16_put(&item->data_len, 0);
	le16_put(&item->name_len, dirent->name_len);
	item->type = file_type_of_mode(content->nodes.items[dirent->node].mode);
	memcpy(item->name, dirent_name(content, dirent), dirent->name_len);
	return at + sizeof(*item) + dirent->name_len;
}

static int dir_item(struct item_maker *maker, u64 ino, const struct hashed_name *names, size_t count, struct diag *d)
{
	const struct btrkit_content *content = maker->content;
	u64 size = 0;
	void *data;
	u8 *at;
	int err;

	for (size_t i = 0; i < count; i++)
		size += entry_bytes(content, names[i].place);
	if (size > leaf_item_max_bytes(content->options.id.nodesize))
		return path_failure(content, dirent_at(content, names[0].place)->node, -EOVERFLOW,
				    "too many names in its directory have the same hash", d);
	err = item_add(maker, ino, DIR_ITEM_KEY, names[0].hash, (u32)size, &data, d);
	at = data;
	for (size_t i = 0; !err && at && i < count; i++)
		at = pack_entry(content, names[i].place, at);
	return err;
}

int content_dir_items(struct item_maker *maker, const struct content_node *node, u64 ino, struct diag *d)
{
	const struct btrkit_content *content = maker->content;
	u32 first = (u32)node->data, count = node->first_extent;
	int err = 0;

	maker->names.len = 0;
	if (array_reserve(&maker->names, count) < 0)
		return diag_no_memory(d, "directory entries");
	for (u32 place = first; place < first + count; place++) {
		const struct content_dirent *dirent = dirent_at(content, place);
		u32 hash = (u32)name_hash(dirent_name(content, dirent), dirent->name_len);

		maker->names.items[maker->names.len++] = (struct hashed_name){ hash, place };
	}
	sort_scratch(maker);
	for (size_t i = 0, n; i < maker->names.len && !err; i += n) {
		n = same_hash(maker, i);
		err = dir_item(maker, ino, &maker->names.items[i], n, d);
	}
	for (u32 place = first; place < first + count && !err; place++) {
		void *data;

		err = item_add(maker, ino, DIR_INDEX_KEY, dir_index(content, place), entry_bytes(content, place), &data, d);
		if (!err && data)
			pack_entry(content, place, data);
	}
	return err;
}
