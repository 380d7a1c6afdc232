/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The replay's operations, which keep a list of what they would do. */
#include <sys/stat.h>

#include "kernel-shared/format/name_hash.h"
#include "kernel-shared/fs/data.h"
#include "kernel-shared/fs/file_extent.h"
#include "kernel-shared/fs/inode.h"
#include "kernel-shared/treelog/plan.h"

typedef unsigned long long ull;

void plan_free(struct plan *plan)
{
	if (!plan)
		return;
	cursor_done(&plan->cursor);
	array_done(&plan->steps);
	array_done(&plan->steps_by_inode);
	array_done(&plan->inodes);
	array_done(&plan->names);
	array_done(&plan->bytes);
	free(plan->inode_chains.heads);
	for (unsigned which = 0; which < NAMES_CHAINS; which++)
		free(plan->name_chains[which].heads);
	treelog_losses_done(&plan->losses);
	free(plan);
}

int plan_keep_bytes(struct plan *plan, const void *bytes, size_t len, u64 *ret_at, struct diag *d)
{
	if (array_reserve(&plan->bytes, len + 1) < 0)
		return diag_no_memory(d, "the plan of the replay");
	*ret_at = plan->bytes.len;
	if (len)
		memcpy(plan->bytes.items + plan->bytes.len, bytes, len);
	plan->bytes.items[plan->bytes.len + len] = 0;
	plan->bytes.len += len + 1;
	return 0;
}

static int add_step(struct plan *plan, struct plan_step step, struct diag *d)
{
	step.subvol = plan->subvol->id;
	if (plan->steps.len >= UINT32_MAX)
		return diag_fail(d, -EOVERFLOW, "the replay has too many steps");
	return array_push(&plan->steps, step) < 0 ? diag_no_memory(d, "the plan of the replay") : 0;
}

/* --- Inodes ------------------------------------------------------------------------------------------------------- */

struct plan_inode *plan_inode_known(const struct plan *plan, u64 subvol, u64 ino)
{
	u32 link = plan->inode_chains.nr ? *plan_chain(&plan->inode_chains, plan_hash(subvol, ino, 0)) : 0;

	while (link && (plan->inodes.items[link - 1].ino != ino || plan->inodes.items[link - 1].subvol != subvol))
		link = plan->inodes.items[link - 1].next;
	return link ? &plan->inodes.items[link - 1] : NULL;
}

static struct plan_inode *known_inode(const struct plan *plan, u64 ino)
{
	return plan_inode_known(plan, plan->subvol->id, ino);
}

static void chain_inode(struct plan *plan, size_t at)
{
	struct plan_inode *inode = &plan->inodes.items[at];
	u32 *head = plan_chain(&plan->inode_chains, plan_hash(inode->subvol, inode->ino, 0));

	inode->next = *head;
	*head = (u32)at + 1;
}

static int read_committed_inode(struct plan *plan, u64 ino, struct disk_inode_item *ret_item, struct diag *d)
{
	const struct key key = { ino, INODE_ITEM_KEY, 0 };
	int err = cursor_find(&plan->cursor, &key, d);

	if (!err)
		memcpy(ret_item, cursor_data(&plan->cursor), sizeof(*ret_item)); /* block_check() knows its size */
	return err;
}

/* The inode, known from now on. The pointer is good until the next one becomes known. */
static int know_inode(struct plan *plan, u64 ino, struct plan_inode **ret_inode, struct diag *d)
{
	struct plan_inode inode = { .subvol = plan->subvol->id, .ino = ino, .dropped_from = UINT64_MAX };
	int err;

	*ret_inode = known_inode(plan, ino);
	if (*ret_inode)
		return 0;
	err = read_committed_inode(plan, ino, &inode.before, d);
	if (err < 0)
		return err;
	inode.was_there = inode.is_there = err == 0;
	inode.after = inode.before;
	if (plan->inodes.len >= plan->inode_chains.nr) {
		if (plan_chains_grow(&plan->inode_chains) < 0)
			return diag_no_memory(d, "the log's inodes");
		for (size_t i = 0; i < plan->inodes.len; i++)
			chain_inode(plan, i);
	}
	if (plan->inodes.len >= UINT32_MAX - 1 || array_push(&plan->inodes, inode) < 0)
		return diag_no_memory(d, "the log's inodes");
	chain_inode(plan, plan->inodes.len - 1);
	*ret_inode = &plan->inodes.items[plan->inodes.len - 1];
	return 0;
}

static int op_begin(void *ctx, const struct treelog_subvol *subvol, struct diag *d)
{
	struct plan *plan = ctx;

	(void)d;
	plan->subvol = subvol;
	cursor_done(&plan->cursor);
	plan->cursor = cursor_init(&subvol->committed);
	return 0;
}

static int op_find_inode(void *ctx, u64 ino, struct disk_inode_item *ret_item, struct diag *d)
{
	struct plan *plan = ctx;
	const struct plan_inode *inode = known_inode(plan, ino);

	if (!inode)
		return read_committed_inode(plan, ino, ret_item, d);
	if (!inode->is_there)
		return 1;
	*ret_item = inode->after;
	return 0;
}

/* Takes @step, which has action and number. */
static int set_inode(struct plan *plan, struct plan_step step, const struct disk_inode_item *item, struct diag *d)
{
	struct plan_inode *inode;
	int err = know_inode(plan, step.ino, &inode, d);

	if (err)
		return err;
	inode->after = *item;
	inode->is_there = inode->is_changed = true;
	err = plan_keep_bytes(plan, item, sizeof(*item), &step.name_at, d);
	return err ? err : add_step(plan, step, d);
}

static int op_put_inode(void *ctx, u64 ino, const struct disk_inode_item *item, bool is_new, struct diag *d)
{
	return set_inode(ctx, (struct plan_step){ .action = is_new ? BTRKIT_LOG_CREATE : BTRKIT_LOG_SET, .ino = ino }, item, d);
}

static int op_set_size(void *ctx, u64 ino, u64 size_bytes, struct diag *d)
{
	struct disk_inode_item item;
	int err = op_find_inode(ctx, ino, &item, d);

	if (err)
		return err < 0 ? err : diag_fail(d, -EUCLEAN, "inode %llu is not there", (ull)ino);
	le64_put(&item.size, size_bytes);
	return set_inode(ctx, (struct plan_step){ .action = BTRKIT_LOG_SET, .ino = ino, .is_size_only = true }, &item, d);
}

static int op_set_nlink(void *ctx, u64 ino, u32 nlink, struct diag *d)
{
	struct plan *plan = ctx;
	struct plan_step step = { .action = BTRKIT_LOG_SET_LINKS, .ino = ino, .nlink = nlink };
	struct plan_inode *inode;
	int err = know_inode(plan, ino, &inode, d);

	if (err)
		return err;
	le32_put(&inode->after.nlink, nlink);
	inode->is_changed = true;
	return add_step(plan, step, d);
}

static int op_add_orphan(void *ctx, u64 ino, struct diag *d)
{
	struct plan *plan = ctx;
	struct plan_step step = { .action = BTRKIT_LOG_ORPHAN, .ino = ino };
	struct plan_inode *inode;
	int err = know_inode(plan, ino, &inode, d);

	if (err)
		return err;
	inode->is_removed = true;
	return add_step(plan, step, d);
}

/* --- Names ----------------------------------------------------------------------------------------------------------- */

static int op_find_name(void *ctx, u64 dir, const u8 *name, u16 name_len, struct replay_entry *ret_entry, struct diag *d)
{
	struct plan *plan = ctx;

	return plan_find_name(plan, &plan->cursor, plan->subvol->id, dir, name, name_len, ret_entry, d);
}

static int op_find_index(void *ctx, u64 dir, u64 index, struct replay_entry *ret_entry, struct diag *d)
{
	struct plan *plan = ctx;

	return plan_find_index(plan, &plan->cursor, plan->subvol->id, dir, index, ret_entry, d);
}

static int op_next_entry(void *ctx, u64 dir, u64 from, struct replay_entry *ret_entry, struct diag *d)
{
	struct plan *plan = ctx;

	return plan_next_entry(plan, &plan->cursor, plan->subvol->id, dir, from, ret_entry, d);
}

static int op_list_names(void *ctx, u64 ino, struct replay_entries *names, struct diag *d)
{
	struct plan *plan = ctx;

	return plan_list_names(plan, &plan->cursor, plan->subvol->id, ino, names, d);
}

/* As Linux counts a directory's size: each name twice. */
static int resize_dir(struct plan *plan, const struct replay_entry *entry, bool is_link, struct diag *d)
{
	struct plan_inode *dir;
	int err = know_inode(plan, entry->dir, &dir, d);
	u64 size, names = 2 * (u64)entry->name_len;

	if (err)
		return err;
	size = le64_get(dir->after.size);
	le64_put(&dir->after.size, is_link ? size + names : size - MIN(size, names));
	return 0;
}

static int change_name(struct plan *plan, const struct replay_entry *entry, bool is_link, struct diag *d)
{
	struct plan_step step = { .action = is_link ? BTRKIT_LOG_LINK : BTRKIT_LOG_UNLINK, .ino = entry->ino,
				  .from = entry->dir, .to = entry->index, .name_len = entry->name_len };
	struct plan_inode *inode;
	int err = know_inode(plan, entry->ino, &inode, d);

	if (err)
		return err;
	inode->nr_linked += is_link;
	inode->nr_unlinked += !is_link;
	err = resize_dir(plan, entry, is_link, d);
	if (!err)
		err = plan_set_name(plan, plan->subvol->id, entry, is_link, d);
	if (!err)
		err = plan_keep_bytes(plan, entry->name, entry->name_len, &step.name_at, d);
	return err ? err : add_step(plan, step, d);
}

static int op_link(void *ctx, const struct replay_entry *entry, struct diag *d)
{
	return change_name(ctx, entry, true, d);
}

static int op_unlink(void *ctx, const struct replay_entry *entry, struct diag *d)
{
	return change_name(ctx, entry, false, d);
}

/* --- Attributes ------------------------------------------------------------------------------------------------------- */

static int op_list_xattrs(void *ctx, u64 ino, struct replay_xattrs *xattrs, struct diag *d)
{
	struct plan *plan = ctx;
	const struct key first = { ino, XATTR_ITEM_KEY, 0 };
	const struct disk_dir_item *entry;
	int err;

	for (err = cursor_seek(&plan->cursor, &first, d); err == 0; err = cursor_next(&plan->cursor, d)) {
		if (!cursor_is_at(&plan->cursor, ino, XATTR_ITEM_KEY))
			return 0;
		for (u32 at = 0; dir_item_next(&plan->cursor, &at, &entry);) {
			struct replay_xattr xattr = { .name_len = MIN(le16_get(entry->name_len), (u16)NAME_LEN_MAX) };

			memcpy(xattr.name, entry->name, xattr.name_len);
			if (array_push(&xattrs->list, xattr) < 0)
				return diag_no_memory(d, "attributes");
		}
	}
	return err < 0 ? err : 0;
}

/* Linux logs all attributes of an inode: most of them are there already. */
static int xattr_is_there(struct plan *plan, u64 ino, const u8 *name, u16 name_len, const u8 *value, u16 value_len,
			  struct diag *d)
{
	const struct key key = { ino, XATTR_ITEM_KEY, name_hash(name, name_len) };
	const struct disk_dir_item *entry;
	int err = cursor_find(&plan->cursor, &key, d);

	for (u32 at = 0; err == 0 && dir_item_next(&plan->cursor, &at, &entry);)
		if (le16_get(entry->name_len) == name_len && memcmp(entry->name, name, name_len) == 0)
			return le16_get(entry->data_len) == value_len &&
			       memcmp(entry->name + name_len, value, value_len) == 0;
	return err < 0 ? err : 0;
}

static int op_set_xattr(void *ctx, u64 ino, const u8 *name, u16 name_len, const u8 *value, u16 value_len, struct diag *d)
{
	struct plan *plan = ctx;
	struct plan_step step = { .action = BTRKIT_LOG_SET_XATTR, .ino = ino, .name_len = name_len, .value_len = value_len };
	struct plan_inode *inode;
	int err = xattr_is_there(plan, ino, name, name_len, value, value_len, d);

	if (err)
		return err < 0 ? err : 0;
	err = know_inode(plan, ino, &inode, d);
	if (err)
		return err;
	inode->nr_xattrs_set++;
	err = plan_keep_bytes(plan, name, name_len, &step.name_at, d);
	if (!err)
		err = plan_keep_bytes(plan, value, value_len, &step.value_at, d);
	return err ? err : add_step(plan, step, d);
}

static int op_delete_xattr(void *ctx, u64 ino, const u8 *name, u16 name_len, struct diag *d)
{
	struct plan *plan = ctx;
	struct plan_step step = { .action = BTRKIT_LOG_DELETE_XATTR, .ino = ino, .name_len = name_len };
	struct plan_inode *inode;
	int err = know_inode(plan, ino, &inode, d);

	if (err)
		return err;
	inode->nr_xattrs_deleted++;
	err = plan_keep_bytes(plan, name, name_len, &step.name_at, d);
	return err ? err : add_step(plan, step, d);
}

/* --- Extents ----------------------------------------------------------------------------------------------------------- */

static int unpack_extent(struct plan *plan, struct file_extent *ret_extent, struct diag *d)
{
	return file_extent_unpack(&plan->cursor, plan->log->fs->volume->sectorsize, ret_extent, d);
}

static int op_has_extent(void *ctx, u64 ino, u64 file_offset, const void *data, u32 bytes, bool *ret_has, struct diag *d)
{
	struct plan *plan = ctx;
	const struct plan_inode *inode = known_inode(plan, ino);
	const struct key key = { ino, EXTENT_DATA_KEY, file_offset };
	struct file_extent extent;
	int err = cursor_find(&plan->cursor, &key, d);

	*ret_has = false;
	if (err)
		return err < 0 ? err : 0;
	if (cursor_data_bytes(&plan->cursor) != bytes || memcmp(cursor_data(&plan->cursor), data, bytes) != 0)
		return 0;
	err = unpack_extent(plan, &extent, d);
	/* What was cut off, or has gone, is not the same any more. */
	*ret_has = !err && (!inode || file_offset + extent.len <= inode->dropped_from);
	return err;
}

/* Is there anything but holes in [from, to) of the committed file? */
static int has_contents(struct plan *plan, u64 ino, u64 from, u64 to, bool *ret_has, struct diag *d)
{
	const struct key key = { ino, EXTENT_DATA_KEY, from }, first = { ino, EXTENT_DATA_KEY, 0 };
	struct file_extent extent;
	int err = cursor_seek_back(&plan->cursor, &key, d);

	*ret_has = false;
	if (err == 1 || (err == 0 && !cursor_is_at(&plan->cursor, ino, EXTENT_DATA_KEY)))
		err = cursor_seek(&plan->cursor, &first, d);
	for (; err == 0 && cursor_is_at(&plan->cursor, ino, EXTENT_DATA_KEY); err = cursor_next(&plan->cursor, d)) {
		if (cursor_key(&plan->cursor).offset >= to)
			return 0;
		err = unpack_extent(plan, &extent, d);
		if (err)
			return err;
		if (extent.kind == EXTENT_HOLE || extent.file_offset + extent.len <= from)
			continue;
		*ret_has = true;
		return 0;
	}
	return err < 0 ? err : 0;
}

static int op_drop_extents(void *ctx, u64 ino, u64 from, u64 to, struct diag *d)
{
	struct plan *plan = ctx;
	struct plan_step step = { .action = BTRKIT_LOG_DROP, .ino = ino, .from = from, .to = to };
	struct plan_inode *inode = known_inode(plan, ino);
	u64 end = inode ? MIN(to, inode->dropped_from) : to;
	bool has = false;
	int err = from < end ? has_contents(plan, ino, from, end, &has, d) : 0;

	if (err || !has)
		return err;
	err = know_inode(plan, ino, &inode, d);
	if (err)
		return err;
	inode->nr_dropped++;
	if (to == UINT64_MAX)
		inode->dropped_from = MIN(inode->dropped_from, from);
	return add_step(plan, step, d);
}

/* Have all sectors a checksum, in the log or in the checksum tree? If they are only reserved: has none of them one in the latter? */
static int csums_fit(struct plan *plan, u64 logical, u64 len, bool is_reserved, bool *ret_fit, struct diag *d)
{
	u32 sectorsize = plan->log->fs->volume->sectorsize;
	struct data_reader *reader = malloc(sizeof(*reader));
	int err = 0;

	if (!reader)
		return diag_no_memory(d, "checksums");
	data_reader_init(reader, plan->log->fs);
	*ret_fit = true;
	for (u64 done = 0; done < len && *ret_fit && !err;) {
		u32 nr = (u32)MIN((len - done) / sectorsize, (u64)DATA_BATCH_SECTORS);

		memset(reader->is_known, false, nr * sizeof(reader->is_known[0]));
		if (nr == 0)
			break;
		if (!is_reserved)
			treelog_csums(plan->log, plan->subvol, logical + done, nr, reader->expected, reader->is_known);
		if (memchr(reader->is_known, false, nr))
			err = data_csums_load(reader, logical + done, nr, d);
		if (!is_reserved)
			treelog_csums(plan->log, plan->subvol, logical + done, nr, reader->expected, reader->is_known);
		*ret_fit = !memchr(reader->is_known, is_reserved, nr);
		done += (u64)nr * sectorsize;
	}
	data_reader_done(reader);
	free(reader);
	return err;
}

static int op_judge_data(void *ctx, u64 ino, const struct treelog_item *item, struct diag *d)
{
	struct plan *plan = ctx;
	const struct disk_file_extent_item *extent = treelog_data(plan->log, item);
	bool is_compressed = extent->compression != COMPRESS_NONE, is_reserved = extent->type == FILE_EXTENT_PREALLOC;
	bool do_fit = true;
	struct disk_inode_item inode;
	u64 disk;
	int err = op_find_inode(plan, ino, &inode, d);

	if (err || extent->type == FILE_EXTENT_INLINE)
		return err < 0 ? err : 0;
	disk = le64_get(extent->disk_bytenr);
	if (disk == 0 || !plan->log->fs->has_csum_tree ||
	    ((le64_get(inode.flags) & INODE_NODATASUM) && !is_compressed && !is_reserved))
		return 0;
	err = csums_fit(plan, is_compressed ? disk : disk + le64_get(extent->offset),
			is_compressed ? le64_get(extent->disk_num_bytes) : le64_get(extent->num_bytes), is_reserved, &do_fit,
			d);
	if (err || do_fit)
		return err;
	if (treelog_lose(&plan->losses, BTRKIT_LOG_LOSS_CSUM, plan->subvol->id, ino, disk,
			 "inode %llu at %llu: %s of the extent %llu has %s", (ull)ino, (ull)item->key.offset,
			 is_reserved ? "reserved space" : "data", (ull)disk, is_reserved ? "a checksum" : "no checksum") < 0)
		return diag_no_memory(d, "losses");
	return 1;
}

static int op_insert_extent(void *ctx, u64 ino, const struct treelog_item *item, struct diag *d)
{
	struct plan *plan = ctx;
	struct plan_step step = { .action = BTRKIT_LOG_EXTENT, .ino = ino, .item = item };
	const struct disk_file_extent_item *extent = treelog_data(plan->log, item);
	struct plan_inode *inode;
	int err = know_inode(plan, ino, &inode, d);

	if (err)
		return err;
	inode->nr_extents++;
	inode->data_bytes += le64_get(extent->type == FILE_EXTENT_INLINE ? extent->ram_bytes : extent->num_bytes);
	return add_step(plan, step, d);
}

static int op_lose(void *ctx, enum btrkit_log_loss_kind kind, u64 ino, const char *text, struct diag *d)
{
	struct plan *plan = ctx;

	if (treelog_lose(&plan->losses, kind, plan->subvol->id, ino, 0, "%s", text) < 0)
		return diag_no_memory(d, "losses");
	return 0;
}

static const struct replay_ops plan_ops = {
	.begin = op_begin,
	.find_inode = op_find_inode,
	.find_name = op_find_name,
	.find_index = op_find_index,
	.next_entry = op_next_entry,
	.list_names = op_list_names,
	.list_xattrs = op_list_xattrs,
	.has_extent = op_has_extent,
	.judge_data = op_judge_data,
	.put_inode = op_put_inode,
	.set_size = op_set_size,
	.link = op_link,
	.unlink = op_unlink,
	.drop_extents = op_drop_extents,
	.insert_extent = op_insert_extent,
	.set_xattr = op_set_xattr,
	.delete_xattr = op_delete_xattr,
	.set_nlink = op_set_nlink,
	.add_orphan = op_add_orphan,
	.lose = op_lose,
};

/* --- All ---------------------------------------------------------------------------------------------------------------- */

static int take_losses(struct plan *plan, struct diag *d)
{
	array_for_each(&plan->log->losses.list, loss)
		if (treelog_lose(&plan->losses, loss->kind, loss->subvol, loss->ino, loss->logical, "%s",
				 plan->log->losses.text.items + loss->text_at) < 0)
			return diag_no_memory(d, "losses");
	return 0;
}

static int by_inode(const void *a, const void *b)
{
	const struct plan_inode *left = a, *right = b;

	if (left->subvol != right->subvol)
		return left->subvol < right->subvol ? -1 : 1;
	return left->ino < right->ino ? -1 : left->ino > right->ino;
}

const struct plan_inode *plan_inode_find(const struct plan *plan, u64 subvol, u64 ino)
{
	size_t at = array_lower_bound(&plan->inodes, it, it->subvol < subvol || (it->subvol == subvol && it->ino < ino));

	if (at == plan->inodes.len || plan->inodes.items[at].subvol != subvol || plan->inodes.items[at].ino != ino)
		return NULL;
	return &plan->inodes.items[at];
}

/* Is step @at of an inode before this one? */
static bool is_step_before(const struct plan *plan, u32 at, u64 subvol, u64 ino)
{
	const struct plan_step *step = &plan->steps.items[at];

	return step->subvol < subvol || (step->subvol == subvol && step->ino < ino);
}

size_t plan_steps_of(const struct plan *plan, u64 subvol, u64 ino, size_t *ret_first)
{
	size_t first = array_lower_bound(&plan->steps_by_inode, it, is_step_before(plan, *it, subvol, ino)), end = first;

	for (; end < plan->steps_by_inode.len; end++) {
		const struct plan_step *step = &plan->steps.items[plan->steps_by_inode.items[end]];

		if (step->subvol != subvol || step->ino != ino)
			break;
	}
	*ret_first = first;
	return end - first;
}

static int by_inode_and_number(const void *a, const void *b, void *ctx)
{
	const struct plan_step *steps = ctx;
	u32 left = *(const u32 *)a, right = *(const u32 *)b;

	if (steps[left].subvol != steps[right].subvol)
		return steps[left].subvol < steps[right].subvol ? -1 : 1;
	if (steps[left].ino != steps[right].ino)
		return steps[left].ino < steps[right].ino ? -1 : 1;
	return left < right ? -1 : left > right;
}

static int sort_steps(struct plan *plan, struct diag *d)
{
	if (array_reserve(&plan->steps_by_inode, plan->steps.len) < 0)
		return diag_no_memory(d, "the plan of the replay");
	for (size_t i = 0; i < plan->steps.len; i++)
		plan->steps_by_inode.items[i] = (u32)i;
	plan->steps_by_inode.len = plan->steps.len;
	if (plan->steps.len > 1)
		qsort_r(plan->steps_by_inode.items, plan->steps.len, sizeof(u32), by_inode_and_number, plan->steps.items);
	return 0;
}

static void count_losses(struct plan *plan)
{
	array_for_each(&plan->losses.list, loss) {
		struct plan_inode *inode = (struct plan_inode *)plan_inode_find(plan, loss->subvol, loss->ino);

		if (inode)
			inode->nr_losses++;
	}
}

int plan_make(const struct treelog *log, struct plan **ret_plan, struct diag *d)
{
	_cleanup_(plan_freep) struct plan *plan = calloc(1, sizeof(*plan));
	int err;

	if (!plan)
		return diag_no_memory(d, "the plan of the replay");
	plan->log = log;
	/* Steps point into it, also those which have nothing there. */
	if (array_reserve(&plan->bytes, 1) < 0)
		return diag_no_memory(d, "the plan of the replay");
	err = take_losses(plan, d);
	if (!err)
		err = treelog_replay(log, &plan_ops, plan, d);
	if (!err)
		err = plan_judge(plan, d);
	if (err)
		return err;
	cursor_done(&plan->cursor);
	err = sort_steps(plan, d);
	if (err)
		return err;
	array_sort(&plan->inodes, by_inode);
	count_losses(plan);
	*ret_plan = take_ptr(plan);
	return 0;
}
