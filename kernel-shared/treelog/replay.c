/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The passes of the replay, and what becomes of inodes, attributes and extents. */
#include <stdio.h>
#include <sys/stat.h>

#include "common/base/checked.h"
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/treelog/replaying.h"

typedef unsigned long long ull;

int replaying_touch(struct replaying *r, u64 ino, struct diag *d)
{
	struct inode_list *list = &r->touched[r->subvol - r->log->subvols.items];

	if (list->inos.len && list->inos.items[list->inos.len - 1] == ino)
		return 0;
	return array_push(&list->inos, ino) < 0 ? diag_no_memory(d, "the inodes that replay touches") : 0;
}

int replaying_lose(struct replaying *r, enum btrkit_log_loss_kind kind, u64 ino, struct diag *d, const char *format, ...)
{
	char text[DIAG_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return r->ops->lose(r->ctx, kind, ino, text, d);
}

static const void *item_data(const struct replaying *r, const struct treelog_item *item)
{
	return treelog_data(r->log, item);
}

/* --- Pass 1: inodes --------------------------------------------------------------------------------------------- */

static bool log_has_xattr(const struct replaying *r, u64 ino, const struct replay_xattr *xattr)
{
	const struct key key = { ino, XATTR_ITEM_KEY, name_hash(xattr->name, xattr->name_len) };
	const struct treelog_item *item = treelog_find(r->subvol, &key);
	const struct disk_dir_item *entry;

	for (u32 at = 0; item && treelog_dir_item_next(item_data(r, item), item->data_bytes, &at, &entry);)
		if (le16_get(entry->name_len) == xattr->name_len && memcmp(entry->name, xattr->name, xattr->name_len) == 0)
			return true;
	return false;
}

/* Attributes that the log does not have go: it has all of a logged inode. */
static int delete_xattrs(struct replaying *r, u64 ino, struct diag *d)
{
	struct replay_xattrs xattrs = { 0 };
	int err;

	if (treelog_may_lack(r->subvol, ino, XATTR_ITEM_KEY, XATTR_ITEM_KEY))
		return replaying_lose(r, BTRKIT_LOG_LOSS_INCOMPLETE, ino, d,
				      "inode %llu: attributes that were removed cannot be told: a part of the log is damaged",
				      (ull)ino);
	err = r->ops->list_xattrs(r->ctx, ino, &xattrs, d);
	for (size_t i = 0; i < xattrs.list.len && !err; i++)
		if (!log_has_xattr(r, ino, &xattrs.list.items[i]))
			err = r->ops->delete_xattr(r->ctx, ino, xattrs.list.items[i].name, xattrs.list.items[i].name_len, d);
	array_done(&xattrs.list);
	return err;
}

/* Not even Linux writes nbytes into a log that one could use. */
static void keep_sizes(struct disk_inode_item *item, const struct disk_inode_item *old)
{
	item->nbytes = old->nbytes;
	if (S_ISDIR(le32_get(item->mode)))
		item->size = old->size;
}

/* A symbolic link has its target from the beginning, in one item, and keeps it. @old: NULL, if it is new. */
static bool has_target(const struct replaying *r, u64 ino, const struct disk_inode_item *logged, const struct disk_inode_item *old)
{
	const struct key key = { ino, EXTENT_DATA_KEY, 0 };
	const struct treelog_item *item = treelog_find(r->subvol, &key);
	const struct disk_file_extent_item *extent = item ? item_data(r, item) : NULL;

	if (old)
		return le64_get(logged->size) == le64_get(old->size);
	return item && !item->is_refused && extent->type == FILE_EXTENT_INLINE && le64_get(logged->size) &&
	       le64_get(extent->ram_bytes) == le64_get(logged->size);
}

/* "It exists" says nothing of an inode that is there, but what a file's size is, unless that is 0: not known. */
static int copy_size(struct replaying *r, u64 ino, const struct disk_inode_item *logged, const struct disk_inode_item *old,
		     struct diag *d)
{
	if (!S_ISREG(le32_get(old->mode)) || le64_get(logged->size) == 0 || le64_get(logged->size) == le64_get(old->size))
		return 0;
	return r->ops->set_size(r->ctx, ino, le64_get(logged->size), d);
}

static int copy_inode(struct replaying *r, u64 ino, const struct disk_inode_item *logged, struct diag *d)
{
	struct disk_inode_item item = *logged, old = { 0 };
	int found = r->ops->find_inode(r->ctx, ino, &old, d);

	if (found < 0)
		return found;
	if (le64_get(logged->generation) == 0 && found == 0)
		return copy_size(r, ino, logged, &old, d);
	if (le64_get(logged->generation) == 0)
		le64_put(&item.generation, r->log->generation);
	if (found == 0 && (le32_get(item.mode) & S_IFMT) != (le32_get(old.mode) & S_IFMT))
		return replaying_lose(r, BTRKIT_LOG_LOSS_ITEM, ino, d,
				      "inode %llu has mode 0%o, and 0%o in the log: it cannot become something else", (ull)ino,
				      le32_get(old.mode), le32_get(logged->mode));
	if (S_ISLNK(le32_get(item.mode)) && !has_target(r, ino, logged, found == 0 ? &old : NULL))
		return replaying_lose(r, BTRKIT_LOG_LOSS_INCOMPLETE, ino, d,
				      "inode %llu: the log does not have the target of the symbolic link", (ull)ino);
	keep_sizes(&item, &old);
	if (found == 0 && memcmp(&item, &old, sizeof(item)) == 0)
		return 0;
	return r->ops->put_inode(r->ctx, ino, &item, found == 1, d);
}

/* What was allocated beyond the end of a file and is not in the log has gone; what is in the log comes later. */
static int drop_beyond_end(struct replaying *r, u64 ino, struct diag *d)
{
	struct disk_inode_item item;
	u64 from;
	int err = r->ops->find_inode(r->ctx, ino, &item, d);

	if (err)
		return err < 0 ? err : 0;
	if (!S_ISREG(le32_get(item.mode)) ||
	    !checked_round_up(le64_get(item.size), r->log->fs->volume->sectorsize, &from))
		return 0;
	return r->ops->drop_extents(r->ctx, ino, from, UINT64_MAX, d);
}

static int replay_inode(struct replaying *r, const struct treelog_item *item, struct diag *d)
{
	const struct disk_inode_item *logged = item_data(r, item);
	u64 ino = item->key.objectid;
	int err = delete_xattrs(r, ino, d);

	if (!err && S_ISDIR(le32_get(logged->mode)))
		err = replaying_delete_entries(r, ino, d);
	if (!err)
		err = copy_inode(r, ino, logged, d);
	if (!err && S_ISREG(le32_get(logged->mode)))
		err = drop_beyond_end(r, ino, d);
	if (!err && S_ISREG(le32_get(logged->mode)) &&
	    treelog_may_lack(r->subvol, ino, EXTENT_DATA_KEY, EXTENT_DATA_KEY))
		err = replaying_lose(r, BTRKIT_LOG_LOSS_INCOMPLETE, ino, d,
				     "inode %llu: contents may be missing: a part of the log is damaged", (ull)ino);
	return err ? err : replaying_touch(r, ino, d);
}

/* --- Pass 3: attributes and extents ------------------------------------------------------------------------------- */

static int replay_xattrs(struct replaying *r, const struct treelog_item *item, struct diag *d)
{
	const struct disk_dir_item *entry;
	int err = 0;

	for (u32 at = 0; !err && treelog_dir_item_next(item_data(r, item), item->data_bytes, &at, &entry);)
		err = r->ops->set_xattr(r->ctx, item->key.objectid, entry->name, le16_get(entry->name_len),
					entry->name + le16_get(entry->name_len), le16_get(entry->data_len), d);
	return err;
}

static bool is_hole(const struct disk_file_extent_item *extent)
{
	return extent->type != FILE_EXTENT_INLINE && le64_get(extent->disk_bytenr) == 0;
}

/* A file may have all of them; a symbolic link its target, whole; nothing else any. 1: yes; 0: no, and this was told. */
static int may_have_extent(struct replaying *r, const struct treelog_item *item, struct diag *d)
{
	const struct disk_file_extent_item *extent = treelog_data(r->log, item);
	struct disk_inode_item inode;
	int err = r->ops->find_inode(r->ctx, item->key.objectid, &inode, d);

	if (err)
		return err < 0 ? err : 0;
	if (S_ISREG(le32_get(inode.mode)))
		return 1;
	if (S_ISLNK(le32_get(inode.mode)) && extent->type == FILE_EXTENT_INLINE &&
	    le64_get(extent->ram_bytes) == le64_get(inode.size))
		return 1;
	return replaying_lose(r, BTRKIT_LOG_LOSS_ITEM, item->key.objectid, d,
			      "inode %llu has mode 0%o, and cannot have the extent at %llu that the log gives it",
			      (ull)item->key.objectid, le32_get(inode.mode), (ull)item->key.offset);
}

static int replay_extent(struct replaying *r, const struct treelog_item *item, struct diag *d)
{
	const struct disk_file_extent_item *extent = item_data(r, item);
	bool has_no_holes = le64_get(r->log->fs->super.incompat_flags) & INCOMPAT_NO_HOLES, is_there;
	u64 ino = item->key.objectid, from, to;
	int err = may_have_extent(r, item, d);

	if (err <= 0)
		return err;
	err = r->ops->has_extent(r->ctx, ino, item->key.offset, extent, item->data_bytes, &is_there, d);

	if (err || is_there)
		return err;
	if (!treelog_extent_range(r->log, item, &from, &to))
		return 0; /* refused when it was read */
	err = r->ops->judge_data(r->ctx, ino, item, d);
	if (err)
		return err < 0 ? err : 0;
	err = r->ops->drop_extents(r->ctx, ino, from, to, d);
	/* Holes are logged always: they say that what was there has gone. */
	if (err || (has_no_holes && is_hole(extent)))
		return err;
	return r->ops->insert_extent(r->ctx, ino, item, d);
}

static int replay_rest(struct replaying *r, const struct treelog_item *item, struct diag *d)
{
	struct disk_inode_item inode;
	int err;

	if (item->key.type != XATTR_ITEM_KEY && item->key.type != INODE_REF_KEY && item->key.type != INODE_EXTREF_KEY &&
	    item->key.type != EXTENT_DATA_KEY)
		return 0;
	err = r->ops->find_inode(r->ctx, item->key.objectid, &inode, d);
	if (err < 0)
		return err;
	if (err)
		return replaying_lose(r, BTRKIT_LOG_LOSS_INCOMPLETE, item->key.objectid, d,
				      "item (%llu %u %llu) is of an inode that is neither in the log nor in the subvolume",
				      (ull)item->key.objectid, item->key.type, (ull)item->key.offset);
	if (item->key.type == XATTR_ITEM_KEY)
		return replay_xattrs(r, item, d);
	if (item->key.type == EXTENT_DATA_KEY)
		return replay_extent(r, item, d);
	return replaying_refs(r, item, d);
}

/* --- Link counts --------------------------------------------------------------------------------------------------- */

static int count_names(struct replaying *r, u64 ino, u32 *ret_count, struct diag *d)
{
	struct replay_entries names = { 0 };
	int err = r->ops->list_names(r->ctx, ino, &names, d);

	*ret_count = (u32)names.list.len;
	array_done(&names.list);
	return err;
}

static int let_go(struct replaying *r, u64 ino, const struct disk_inode_item *item, bool is_lost, struct diag *d)
{
	int err = S_ISDIR(le32_get(item->mode)) ? replaying_delete_all_entries(r, ino, d) : 0;

	if (!err && is_lost)
		err = replaying_lose(r, BTRKIT_LOG_LOSS_UNNAMED, ino, d, "inode %llu is new, and no name leads to it",
				     (ull)ino);
	return err ? err : r->ops->add_orphan(r->ctx, ino, d);
}

static int fix_link_count(struct replaying *r, u64 ino, struct diag *d)
{
	struct disk_inode_item item;
	u32 count, nlink;
	bool is_lost; /* a new one that was, for all that can be told, not removed again */
	int err = ino == r->subvol->top_dir ? 1 : r->ops->find_inode(r->ctx, ino, &item, d);

	if (!err)
		err = count_names(r, ino, &count, d);
	if (err)
		return err < 0 ? err : 0;
	nlink = S_ISDIR(le32_get(item.mode)) ? MIN(count, 1U) : count;
	if (nlink == le32_get(item.nlink))
		return 0;
	err = r->ops->set_nlink(r->ctx, ino, nlink, d);
	if (err || nlink)
		return err;
	is_lost = le64_get(item.generation) >= r->log->generation &&
		  treelog_may_lack(r->subvol, ino, INODE_REF_KEY, INODE_EXTREF_KEY);
	return let_go(r, ino, &item, is_lost, d);
}

static int by_number(const void *a, const void *b)
{
	u64 left = *(const u64 *)a, right = *(const u64 *)b;

	return left < right ? -1 : left > right;
}

/* --- The order ------------------------------------------------------------------------------------------------------ */

/* What a damaged subvolume keeps from being done is lost, and no reason to stop by itself. */
static int weigh(struct replaying *r, u64 ino, int err, struct diag *d)
{
	char why[DIAG_TEXT_MAX] = "";

	if (err != -EUCLEAN && err != -EIO)
		return err;
	if (d)
		snprintf(why, sizeof(why), "%s", d->text);
	diag_clear(d);
	return replaying_lose(r, BTRKIT_LOG_LOSS_SUBVOL, ino, d, "inode %llu: %s", (ull)ino, why);
}

/* Unlinking may touch more of them. */
static int fix_link_counts(struct replaying *r, struct diag *d)
{
	struct inode_list *touched = &r->touched[r->subvol - r->log->subvols.items];
	int err = 0;

	while (touched->inos.len && !err) {
		struct inode_list now = *touched;

		*touched = (struct inode_list){ 0 };
		array_sort(&now.inos, by_number);
		for (size_t i = now.inos.len; i-- > 0 && !err;)
			if (i + 1 == now.inos.len || now.inos.items[i] != now.inos.items[i + 1])
				err = weigh(r, now.inos.items[i], fix_link_count(r, now.inos.items[i], d), d);
		array_done(&now.inos);
	}
	return err;
}

typedef int (*replay_item_fn)(struct replaying *r, const struct treelog_item *item, struct diag *d);

static int replay_items(struct replaying *r, u8 type, replay_item_fn fn, struct diag *d)
{
	array_for_each(&r->subvol->items, item) {
		int err;

		if ((type && item->key.type != type) || item->is_refused || treelog_is_unlinked(r->subvol, item->key.objectid))
			continue;
		err = weigh(r, item->key.objectid, fn(r, item, d), d);
		if (err)
			return err;
	}
	return 0;
}

static int replay_pass(struct replaying *r, u8 type, replay_item_fn fn, struct diag *d)
{
	bool is_last = type == 0;
	int err = 0;

	for (size_t i = r->log->subvols.len; i-- > 0 && !err;) {
		r->subvol = &r->log->subvols.items[i];
		if (r->subvol->is_missing)
			continue;
		err = r->ops->begin(r->ctx, r->subvol, d);
		if (!err)
			err = replay_items(r, type, fn, d);
		if (!err && is_last)
			err = fix_link_counts(r, d);
	}
	return err;
}

int treelog_replay(const struct treelog *log, const struct replay_ops *ops, void *ctx, struct diag *d)
{
	struct replaying r = { .log = log, .ops = ops, .ctx = ctx };
	int err;

	r.touched = calloc(log->subvols.len + 1, sizeof(*r.touched));
	if (!r.touched)
		return diag_no_memory(d, "the inodes that replay touches");
	err = replay_pass(&r, INODE_ITEM_KEY, replay_inode, d);
	if (!err)
		err = replay_pass(&r, DIR_INDEX_KEY, replaying_dir_index, d);
	if (!err)
		err = replay_pass(&r, 0, replay_rest, d);
	for (size_t i = 0; i < log->subvols.len; i++)
		array_done(&r.touched[i].inos);
	free(r.touched);
	return err;
}
