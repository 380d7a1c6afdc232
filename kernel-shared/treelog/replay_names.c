/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a replay does to names. */
#include <sys/stat.h>

#include "kernel-shared/format/file_type.h"
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/treelog/replaying.h"

typedef unsigned long long ull;

static bool is_named(const struct replay_entry *entry, const u8 *name, u16 name_len)
{
	return entry->name_len == name_len && memcmp(entry->name, name, name_len) == 0;
}

int replaying_unlink(struct replaying *r, const struct replay_entry *entry, struct diag *d)
{
	int err;

	if (entry->is_subvol)
		return replaying_lose(r, BTRKIT_LOG_LOSS_ITEM, entry->dir, d,
				      "directory %llu: entry %llu leads to a subvolume, which no log can remove",
				      (ull)entry->dir, (ull)entry->index);
	err = r->ops->unlink(r->ctx, entry, d);
	return err ? err : replaying_touch(r, entry->ino, d);
}

/* A directory has one name: where a new one was logged, the old one has gone. */
static int unlink_other_names(struct replaying *r, const struct replay_entry *entry, struct diag *d)
{
	struct replay_entries names = { 0 };
	int err = r->ops->list_names(r->ctx, entry->ino, &names, d);

	for (size_t i = 0; i < names.list.len && !err; i++)
		err = replaying_unlink(r, &names.list.items[i], d);
	array_done(&names.list);
	return err;
}

static int link_entry(struct replaying *r, const struct replay_entry *entry, struct diag *d)
{
	int err = entry->type == FT_DIR ? unlink_other_names(r, entry, d) : 0;

	if (!err)
		err = r->ops->link(r->ctx, entry, d);
	return err ? err : replaying_touch(r, entry->ino, d);
}

/* Make room for @entry: what is at its index, or has its name, goes. */
static int unlink_in_the_way(struct replaying *r, const struct replay_entry *entry, struct diag *d)
{
	struct replay_entry old;
	int err = r->ops->find_index(r->ctx, entry->dir, entry->index, &old, d);

	if (!err)
		err = replaying_unlink(r, &old, d);
	if (err >= 0)
		err = r->ops->find_name(r->ctx, entry->dir, entry->name, entry->name_len, &old, d);
	if (!err)
		err = replaying_unlink(r, &old, d);
	return err < 0 ? err : 0;
}

/*
 * Can @entry be, of what is there? 1: yes; 0: one of both inodes was perhaps never logged; or it cannot, and that was told. The type
 * is that of the log.
 */
static int judge_link(struct replaying *r, const struct replay_entry *entry, struct diag *d)
{
	struct disk_inode_item dir, inode;
	int err = r->ops->find_inode(r->ctx, entry->dir, &dir, d);

	if (!err)
		err = r->ops->find_inode(r->ctx, entry->ino, &inode, d);
	if (err)
		return err < 0 ? err : 0;
	if (S_ISDIR(le32_get(dir.mode)) && entry->ino != r->subvol->top_dir && entry->ino != entry->dir &&
	    entry->type == file_type_of_mode(le32_get(inode.mode)))
		return 1;
	return replaying_lose(r, BTRKIT_LOG_LOSS_ITEM, entry->ino, d,
			      "inode %llu of type %u cannot have a name in inode %llu: modes are 0%o and 0%o", (ull)entry->ino,
			      entry->type, (ull)entry->dir, le32_get(inode.mode), le32_get(dir.mode));
}

static int inode_is_there(struct replaying *r, u64 ino, struct disk_inode_item *ret_item, struct diag *d)
{
	int err = r->ops->find_inode(r->ctx, ino, ret_item, d);

	return err < 0 ? err : err == 0;
}

/* --- Deletions ------------------------------------------------------------------------------------------------------ */

static bool log_has_entry(const struct replaying *r, const struct replay_entry *entry)
{
	const struct key key = { entry->dir, DIR_INDEX_KEY, entry->index };
	const struct treelog_item *item = treelog_find(r->subvol, &key);
	const struct disk_dir_item *logged;
	u32 at = 0;

	return item && treelog_dir_item_next(treelog_data(r->log, item), item->data_bytes, &at, &logged) &&
	       is_named(entry, logged->name, le16_get(logged->name_len));
}

/* The ranges' union needs no making: an entry in two of them is gone when the second one is looked at. */
static int delete_in_range(struct replaying *r, u64 dir, u64 first, u64 last, struct diag *d)
{
	struct replay_entry entry;
	int err;

	for (u64 from = first; (err = r->ops->next_entry(r->ctx, dir, from, &entry, d)) == 0; from = entry.index + 1) {
		if (entry.index > last)
			return 0;
		if (!log_has_entry(r, &entry))
			err = replaying_unlink(r, &entry, d);
		if (err || entry.index == UINT64_MAX)
			return err;
	}
	return err < 0 ? err : 0;
}

int replaying_delete_entries(struct replaying *r, u64 dir, struct diag *d)
{
	const struct key first = { dir, DIR_LOG_INDEX_KEY, 0 };
	size_t at = treelog_seek(r->subvol, &first);
	int err = 0;

	if (treelog_may_lack(r->subvol, dir, DIR_LOG_INDEX_KEY, DIR_INDEX_KEY))
		return replaying_lose(r, BTRKIT_LOG_LOSS_INCOMPLETE, dir, d,
				      "directory %llu: names that were removed cannot be told: a part of the log is damaged",
				      (ull)dir);
	for (; at < r->subvol->items.len && !err; at++) {
		const struct treelog_item *item = &r->subvol->items.items[at];
		const struct disk_dir_log_item *range = treelog_data(r->log, item);

		if (item->key.objectid != dir || item->key.type != DIR_LOG_INDEX_KEY)
			break;
		if (!item->is_refused)
			err = delete_in_range(r, dir, item->key.offset, le64_get(range->end), d);
	}
	return err;
}

int replaying_delete_all_entries(struct replaying *r, u64 dir, struct diag *d)
{
	struct replay_entry entry;
	int err;

	for (u64 from = 0; (err = r->ops->next_entry(r->ctx, dir, from, &entry, d)) == 0; from = entry.index + 1) {
		err = replaying_unlink(r, &entry, d);
		if (err || entry.index == UINT64_MAX)
			return err;
	}
	return err < 0 ? err : 0;
}

/* --- Directory entries ------------------------------------------------------------------------------------------------ */

/* Logs of older kernels have all entries of a directory, those of subvolumes too. One that is there stays; no log can make one. */
static int replay_subvol_entry(struct replaying *r, const struct replay_entry *entry, struct diag *d)
{
	struct replay_entry old;
	int err = r->ops->find_name(r->ctx, entry->dir, entry->name, entry->name_len, &old, d);

	if (err < 0 || (err == 0 && old.is_subvol && old.ino == entry->ino && old.index == entry->index && old.type == entry->type))
		return err;
	return replaying_lose(r, BTRKIT_LOG_LOSS_ITEM, entry->dir, d,
			      "directory %llu: entry %llu leads to a subvolume, which no log can make", (ull)entry->dir,
			      (ull)entry->index);
}

int replaying_dir_index(struct replaying *r, const struct treelog_item *item, struct diag *d)
{
	const struct disk_dir_item *logged;
	struct replay_entry entry, old;
	struct key location;
	u32 at = 0;
	int err;

	if (!treelog_dir_item_next(treelog_data(r->log, item), item->data_bytes, &at, &logged))
		return 0;
	location = key_unpack(&logged->location);
	entry = (struct replay_entry){
		.dir = item->key.objectid,
		.index = item->key.offset,
		.ino = location.objectid,
		.type = logged->type,
		.name_len = le16_get(logged->name_len),
	};
	memcpy(entry.name, logged->name, entry.name_len);
	if (location.type != INODE_ITEM_KEY)
		return replay_subvol_entry(r, &entry, d);
	err = judge_link(r, &entry, d);
	if (err <= 0)
		return err;
	err = r->ops->find_name(r->ctx, entry.dir, entry.name, entry.name_len, &old, d);
	if (err < 0 || (err == 0 && old.ino == entry.ino && old.index == entry.index && old.type == entry.type))
		return err;
	err = unlink_in_the_way(r, &entry, d);
	if (err || treelog_has_ref(r->log, r->subvol, entry.ino, entry.dir, entry.name, entry.name_len))
		return err;
	return link_entry(r, &entry, d);
}

/* --- References ------------------------------------------------------------------------------------------------------- */

/* One name that the log has of an inode. */
static int replay_ref(struct replaying *r, u64 ino, u8 type, const struct treelog_ref *ref, bool is_extref, struct diag *d)
{
	struct replay_entry entry = { .dir = ref->dir, .index = ref->index, .ino = ino, .type = type, .is_extref = is_extref,
				      .name_len = ref->name_len };
	struct replay_entry old;
	int err;

	if (ref->dir == ino || ref->name_len > NAME_LEN_MAX)
		return 0; /* ".." of a top directory */
	memcpy(entry.name, ref->name, ref->name_len);
	err = judge_link(r, &entry, d);
	if (err <= 0)
		return err;
	err = r->ops->find_name(r->ctx, ref->dir, ref->name, ref->name_len, &old, d);
	if (err < 0 || (err == 0 && old.ino == ino && old.index == ref->index && !old.is_subvol))
		return err;
	err = unlink_in_the_way(r, &entry, d);
	return err ? err : link_entry(r, &entry, d);
}

/* Does the log speak for this name: for all that the inode has in a directory, or for all of a hash? */
static bool is_in_scope(const struct replaying *r, const struct replay_entry *name)
{
	const struct key in_dir = { name->ino, INODE_REF_KEY, name->dir };
	const struct key of_hash = { name->ino, INODE_EXTREF_KEY, extref_hash(name->dir, name->name, name->name_len) };

	return treelog_find(r->subvol, &in_dir) || (name->is_extref && treelog_find(r->subvol, &of_hash));
}

/* Names of which the log would tell if they were still there go. */
static int unlink_unlisted(struct replaying *r, u64 ino, struct diag *d)
{
	struct replay_entries names = { 0 };
	int err;

	if (treelog_may_lack(r->subvol, ino, INODE_REF_KEY, INODE_EXTREF_KEY))
		return replaying_lose(r, BTRKIT_LOG_LOSS_INCOMPLETE, ino, d,
				      "inode %llu: names that were removed cannot be told: a part of the log is damaged", (ull)ino);
	err = r->ops->list_names(r->ctx, ino, &names, d);
	for (size_t i = 0; i < names.list.len && !err; i++) {
		const struct replay_entry *name = &names.list.items[i];

		if (is_in_scope(r, name) &&
		    !treelog_has_ref(r->log, r->subvol, ino, name->dir, name->name, name->name_len))
			err = replaying_unlink(r, name, d);
	}
	array_done(&names.list);
	return err;
}

static bool is_first_of_inode(const struct replaying *r, const struct treelog_item *item)
{
	const struct key first = { item->key.objectid, INODE_REF_KEY, 0 };

	return &r->subvol->items.items[treelog_seek(r->subvol, &first)] == item;
}

int replaying_refs(struct replaying *r, const struct treelog_item *item, struct diag *d)
{
	u64 ino = item->key.objectid;
	struct disk_inode_item inode;
	struct treelog_ref ref;
	int err = inode_is_there(r, ino, &inode, d);

	if (err <= 0)
		return err;
	err = is_first_of_inode(r, item) ? unlink_unlisted(r, ino, d) : 0;
	for (u32 at = 0; !err && treelog_ref_next(&item->key, treelog_data(r->log, item), item->data_bytes, &at, &ref);)
		err = replay_ref(r, ino, file_type_of_mode(le32_get(inode.mode)), &ref, item->key.type == INODE_EXTREF_KEY, d);
	return err;
}
