/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Directories as they are after some steps: what was linked and unlinked over what was committed. */
#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/fs/inode.h"
#include "kernel-shared/treelog/plan.h"

typedef unsigned long long ull;

int plan_chains_grow(struct plan_chains *chains)
{
	size_t nr = chains->nr ? chains->nr * 2 : 64;
	u32 *heads = calloc(nr, sizeof(*heads));

	if (!heads)
		return -ENOMEM;
	free(chains->heads);
	*chains = (struct plan_chains){ heads, nr };
	return 0;
}

/* --- What steps have changed ----------------------------------------------------------------------------------------- */

static u64 name_chain_hash(unsigned which, u64 subvol, u64 dir, u64 index, u64 ino, const u8 *name, u16 name_len)
{
	switch (which) {
	case NAMES_BY_INDEX:
		return plan_hash(subvol, dir, index);
	case NAMES_BY_NAME:
		return plan_hash(subvol, dir, name_hash(name, name_len));
	case NAMES_BY_DIR:
		return plan_hash(subvol, dir, 0);
	default:
		return plan_hash(subvol, ino, 0);
	}
}

static void chain_name(struct plan *plan, unsigned which, size_t at)
{
	struct plan_name *name = &plan->names.items[at];
	u64 hash = name_chain_hash(which, name->subvol, name->dir, name->index, name->ino, plan->bytes.items + name->name_at,
				   name->name_len);
	u32 *head = plan_chain(&plan->name_chains[which], hash);

	name->next[which] = *head;
	*head = (u32)at + 1;
}

static const struct plan_name *first_name(const struct plan *plan, unsigned which, u64 subvol, u64 dir, u64 index, u64 ino,
					  const u8 *name, u16 name_len)
{
	const struct plan_chains *chains = &plan->name_chains[which];
	u32 link = chains->nr ? *plan_chain(chains, name_chain_hash(which, subvol, dir, index, ino, name, name_len)) : 0;

	return link ? &plan->names.items[link - 1] : NULL;
}

static const struct plan_name *next_name(const struct plan *plan, unsigned which, const struct plan_name *name)
{
	return name->next[which] ? &plan->names.items[name->next[which] - 1] : NULL;
}

static bool has_name(const struct plan *plan, const struct plan_name *at, const u8 *name, u16 name_len)
{
	return at->name_len == name_len && memcmp(plan->bytes.items + at->name_at, name, name_len) == 0;
}

/* What steps made of this very entry; NULL: nothing. */
static const struct plan_name *find_changed(const struct plan *plan, u64 subvol, const struct replay_entry *entry)
{
	const struct plan_name *at = first_name(plan, NAMES_BY_INDEX, subvol, entry->dir, entry->index, 0, NULL, 0);

	for (; at; at = next_name(plan, NAMES_BY_INDEX, at))
		if (at->subvol == subvol && at->dir == entry->dir && at->index == entry->index && at->ino == entry->ino &&
		    has_name(plan, at, entry->name, entry->name_len))
			return at;
	return NULL;
}

static void entry_of(const struct plan *plan, const struct plan_name *name, struct replay_entry *ret_entry)
{
	*ret_entry = (struct replay_entry){
		.dir = name->dir,
		.index = name->index,
		.ino = name->ino,
		.type = name->type,
		.is_extref = name->is_extref,
		.name_len = name->name_len,
	};
	memcpy(ret_entry->name, plan->bytes.items + name->name_at, name->name_len);
}

static int grow_chains(struct plan *plan, struct diag *d)
{
	if (plan->names.len < plan->name_chains[0].nr)
		return 0;
	for (unsigned which = 0; which < NAMES_CHAINS; which++) {
		if (plan_chains_grow(&plan->name_chains[which]) < 0)
			return diag_no_memory(d, "the log's names");
		for (size_t i = 0; i < plan->names.len; i++)
			chain_name(plan, which, i);
	}
	return 0;
}

int plan_set_name(struct plan *plan, u64 subvol, const struct replay_entry *entry, bool is_present, struct diag *d)
{
	struct plan_name *old = (struct plan_name *)find_changed(plan, subvol, entry);
	struct plan_name name = { subvol, entry->dir, entry->index, entry->ino, 0, entry->name_len, entry->type,
				  entry->is_extref, is_present, { 0 } };
	int err;

	if (old) {
		plan->nr_present += (size_t)is_present - (size_t)old->is_present;
		old->is_present = is_present;
		old->type = entry->type;
		return 0;
	}
	err = grow_chains(plan, d);
	if (!err)
		err = plan_keep_bytes(plan, entry->name, entry->name_len, &name.name_at, d);
	if (err)
		return err;
	if (plan->names.len >= UINT32_MAX - 1 || array_push(&plan->names, name) < 0)
		return diag_no_memory(d, "the log's names");
	plan->nr_present += is_present;
	for (unsigned which = 0; which < NAMES_CHAINS; which++)
		chain_name(plan, which, plan->names.len - 1);
	return 0;
}

/* --- What was committed ---------------------------------------------------------------------------------------------- */

/* The index under which a subvolume stands in its directory; 0: the root tree does not know. */
static u64 subvol_index(const struct plan *plan, u64 subvol, u64 id, struct diag *d)
{
	_cleanup_(cursor_done) struct cursor cursor = cursor_init(&plan->log->fs->root_tree);
	const struct key key = { subvol, ROOT_REF_KEY, id };
	const struct disk_root_ref *ref;

	if (cursor_find(&cursor, &key, d) != 0 || cursor_data_bytes(&cursor) < sizeof(*ref)) {
		diag_clear(d);
		return 0;
	}
	ref = cursor_data(&cursor);
	return le64_get(ref->sequence);
}

/* The index of a name, from the reference that its inode has. */
static int ref_index(struct cursor *cursor, const struct replay_entry *entry, u64 *ret_index, struct diag *d)
{
	const struct key keys[] = {
		{ entry->ino, INODE_REF_KEY, entry->dir },
		{ entry->ino, INODE_EXTREF_KEY, extref_hash(entry->dir, entry->name, entry->name_len) },
	};

	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		struct treelog_ref ref;
		int err = cursor_find(cursor, &keys[i], d);

		if (err < 0)
			return err;
		for (u32 at = 0; err == 0 && treelog_ref_next(&keys[i], cursor_data(cursor), cursor_data_bytes(cursor), &at, &ref);)
			if (ref.dir == entry->dir && ref.name_len == entry->name_len &&
			    memcmp(ref.name, entry->name, ref.name_len) == 0) {
				*ret_index = ref.index;
				return 0;
			}
	}
	return diag_fail(d, -EUCLEAN, "inode %llu has no reference for its name in directory %llu", (ull)entry->ino,
			 (ull)entry->dir);
}

static void entry_of_item(u64 dir, u64 index, const struct disk_dir_item *item, struct replay_entry *ret_entry)
{
	const struct key location = key_unpack(&item->location);

	*ret_entry = (struct replay_entry){
		.dir = dir,
		.index = index,
		.ino = location.objectid,
		.type = item->type,
		.is_subvol = location.type == ROOT_ITEM_KEY,
		.name_len = MIN(le16_get(item->name_len), (u16)NAME_LEN_MAX),
	};
	memcpy(ret_entry->name, item->name, ret_entry->name_len);
}

static int committed_find_name(const struct plan *plan, struct cursor *cursor, u64 subvol, u64 dir, const u8 *name,
			       u16 name_len, struct replay_entry *ret_entry, struct diag *d)
{
	const struct key key = { dir, DIR_ITEM_KEY, name_hash(name, name_len) };
	const struct disk_dir_item *item;
	int err = cursor_find(cursor, &key, d);

	for (u32 at = 0; err == 0 && dir_item_next(cursor, &at, &item);) {
		if (le16_get(item->name_len) != name_len || memcmp(item->name, name, name_len) != 0)
			continue;
		entry_of_item(dir, 0, item, ret_entry);
		if (!ret_entry->is_subvol)
			return ref_index(cursor, ret_entry, &ret_entry->index, d);
		ret_entry->index = subvol_index(plan, subvol, ret_entry->ino, d);
		return 0;
	}
	return err < 0 ? err : 1;
}

/* --- Both together --------------------------------------------------------------------------------------------------- */

int plan_find_name(const struct plan *plan, struct cursor *cursor, u64 subvol, u64 dir, const u8 *name, u16 name_len,
		   struct replay_entry *ret_entry, struct diag *d)
{
	const struct plan_name *at = first_name(plan, NAMES_BY_NAME, subvol, dir, 0, 0, name, name_len);
	int err;

	for (; at; at = next_name(plan, NAMES_BY_NAME, at))
		if (at->is_present && at->subvol == subvol && at->dir == dir && has_name(plan, at, name, name_len)) {
			entry_of(plan, at, ret_entry);
			return 0;
		}
	err = committed_find_name(plan, cursor, subvol, dir, name, name_len, ret_entry, d);
	return err ? err : find_changed(plan, subvol, ret_entry) != NULL;
}

int plan_find_index(const struct plan *plan, struct cursor *cursor, u64 subvol, u64 dir, u64 index,
		    struct replay_entry *ret_entry, struct diag *d)
{
	const struct plan_name *at = first_name(plan, NAMES_BY_INDEX, subvol, dir, index, 0, NULL, 0);
	const struct key key = { dir, DIR_INDEX_KEY, index };
	const struct disk_dir_item *item;
	u32 item_at = 0;
	int err;

	for (; at; at = next_name(plan, NAMES_BY_INDEX, at))
		if (at->is_present && at->subvol == subvol && at->dir == dir && at->index == index) {
			entry_of(plan, at, ret_entry);
			return 0;
		}
	err = cursor_find(cursor, &key, d);
	if (err)
		return err;
	if (!dir_item_next(cursor, &item_at, &item))
		return diag_fail(d, -EUCLEAN, "directory %llu: damaged entry %llu", (ull)dir, (ull)index);
	entry_of_item(dir, index, item, ret_entry);
	return find_changed(plan, subvol, ret_entry) != NULL;
}

static int next_committed(const struct plan *plan, struct cursor *cursor, u64 subvol, u64 dir, u64 from,
			  struct replay_entry *ret_entry, struct diag *d)
{
	const struct key first = { dir, DIR_INDEX_KEY, from };
	const struct disk_dir_item *item;
	int err;

	for (err = cursor_seek(cursor, &first, d); err == 0; err = cursor_next(cursor, d)) {
		u32 at = 0;

		if (!cursor_is_at(cursor, dir, DIR_INDEX_KEY))
			return 1;
		if (!dir_item_next(cursor, &at, &item))
			continue;
		entry_of_item(dir, cursor_key(cursor).offset, item, ret_entry);
		if (!find_changed(plan, subvol, ret_entry))
			return 0;
	}
	return err;
}

int plan_next_entry(const struct plan *plan, struct cursor *cursor, u64 subvol, u64 dir, u64 from,
		    struct replay_entry *ret_entry, struct diag *d)
{
	int err = next_committed(plan, cursor, subvol, dir, from, ret_entry, d);
	const struct plan_name *best = NULL, *at;

	if (err < 0 || plan->nr_present == 0)
		return err;
	for (at = first_name(plan, NAMES_BY_DIR, subvol, dir, 0, 0, NULL, 0); at; at = next_name(plan, NAMES_BY_DIR, at))
		if (at->is_present && at->subvol == subvol && at->dir == dir && at->index >= from &&
		    (!best || at->index < best->index))
			best = at;
	if (best && (err == 1 || best->index < ret_entry->index)) {
		entry_of(plan, best, ret_entry);
		return 0;
	}
	return err;
}

static int add_refs_of_item(const struct plan *plan, const struct cursor *cursor, u64 subvol, struct replay_entries *names)
{
	const struct key key = cursor_key(cursor);
	struct treelog_ref ref;

	for (u32 at = 0; treelog_ref_next(&key, cursor_data(cursor), cursor_data_bytes(cursor), &at, &ref);) {
		struct replay_entry entry = { .dir = ref.dir, .index = ref.index, .ino = key.objectid,
					      .is_extref = key.type == INODE_EXTREF_KEY, .name_len = ref.name_len };

		if (ref.dir == key.objectid || ref.name_len > NAME_LEN_MAX)
			continue; /* ".." */
		memcpy(entry.name, ref.name, ref.name_len);
		if (!find_changed(plan, subvol, &entry) && array_push(&names->list, entry) < 0)
			return -ENOMEM;
	}
	return 0;
}

int plan_list_names(const struct plan *plan, struct cursor *cursor, u64 subvol, u64 ino, struct replay_entries *names,
		    struct diag *d)
{
	const struct key first = { ino, INODE_REF_KEY, 0 };
	const struct plan_name *at;
	int err;

	for (err = cursor_seek(cursor, &first, d); err == 0; err = cursor_next(cursor, d)) {
		if (!cursor_is_at(cursor, ino, INODE_REF_KEY) && !cursor_is_at(cursor, ino, INODE_EXTREF_KEY))
			break;
		if (add_refs_of_item(plan, cursor, subvol, names) < 0)
			return diag_no_memory(d, "names");
	}
	if (err < 0)
		return err;
	for (at = first_name(plan, NAMES_BY_INODE, subvol, 0, 0, ino, NULL, 0); at; at = next_name(plan, NAMES_BY_INODE, at)) {
		struct replay_entry entry;

		if (!at->is_present || at->subvol != subvol || at->ino != ino)
			continue;
		entry_of(plan, at, &entry);
		if (array_push(&names->list, entry) < 0)
			return diag_no_memory(d, "names");
	}
	return 0;
}
