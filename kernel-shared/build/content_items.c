/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "kernel-shared/build/content_items.h"

void item_maker_done(struct item_maker *maker)
{
	array_done(&maker->names);
}

static void pack_time(struct disk_timespec *to, s64 sec, u32 nsec)
{
	le64_put(&to->sec, (u64)sec);
	le32_put(&to->nsec, nsec);
}

static void pack_otime(const struct btrkit_content *content, const struct content_node *node, struct disk_inode_item *item)
{
	size_t index = (size_t)(node - content->nodes.items);
	const struct btrkit_time *known = index < content->otimes.len ? &content->otimes.items[index] : NULL;
	const struct btrkit_time *otime = known && (known->sec || known->nsec) ? known : &content->options.now;

	pack_time(&item->otime, otime->sec, otime->nsec);
}

/* Times of an inode; in reproducible mode all are the mtime, and none is later than the epoch. */
static void pack_times(const struct btrkit_content *content, const struct content_node *node,
		       struct disk_inode_item *item)
{
	const struct content_options *options = &content->options;
	s64 mtime_sec = node->mtime_sec;
	u32 mtime_nsec = node->mtime_nsec;

	if (!options->has_epoch) {
		pack_time(&item->mtime, mtime_sec, mtime_nsec);
		pack_time(&item->atime, node->atime_sec, node->atime_nsec);
		pack_time(&item->ctime, node->ctime_sec, node->ctime_nsec);
		pack_otime(content, node, item);
		return;
	}
	if (mtime_sec >= options->epoch_sec) {
		mtime_sec = options->epoch_sec;
		mtime_nsec = 0;
	}
	pack_time(&item->mtime, mtime_sec, mtime_nsec);
	pack_time(&item->atime, mtime_sec, mtime_nsec);
	pack_time(&item->ctime, mtime_sec, mtime_nsec);
	pack_time(&item->otime, mtime_sec, mtime_nsec);
}

/* Bytes in extents, sector-rounded, or the inline bytes: what Linux counts in nbytes. */
static u64 node_nbytes(const struct btrkit_content *content, u32 sequence_index)
{
	const struct content_node *node = &content->nodes.items[content->sequence[sequence_index]];
	u64 nbytes = 0;

	if (S_ISLNK(node->mode) || node->is_inline)
		return node->size;
	if (S_ISREG(node->mode))
		for (u32 e = node->first_extent; e < content_extents_end(content, sequence_index); e++)
			nbytes += content->extents.items[e].num_bytes;
	return nbytes;
}

static u32 disk_inode_flags(const struct btrkit_content *content, const struct content_node *node)
{
	u32 flags = content_inode_flags(content, node);

	if (content->options.no_datasum && S_ISREG(node->mode))
		flags |= INODE_NODATASUM;
	return flags & INODE_NODATACOW ? flags | INODE_NODATASUM : flags;
}

static int inode_item(struct item_maker *maker, u32 sequence_index, struct diag *d)
{
	const struct btrkit_content *content = maker->content;
	const struct content_node *node = &content->nodes.items[content->sequence[sequence_index]];
	const struct content_rare *rare = content_rare(content, node);
	struct disk_inode_item *item;
	void *data;
	int err = item_add(maker, content_ino(node), INODE_ITEM_KEY, 0, sizeof(*item), &data, d);

	if (err || !data)
		return err;
	item = data;
	memset(item, 0, sizeof(*item));
	le64_put(&item->generation, content->options.id.generation);
	le64_put(&item->transid, content->options.id.generation);
	le64_put(&item->size, node->size);
	le64_put(&item->nbytes, node_nbytes(content, sequence_index));
	le32_put(&item->nlink, node->nlink);
	le32_put(&item->uid, node->uid);
	le32_put(&item->gid, node->gid);
	le32_put(&item->mode, node->mode);
	/* Linux keeps its own wide encoding here: minor in the low 20 bits, major above. */
	if (rare && (S_ISCHR(node->mode) || S_ISBLK(node->mode)))
		le64_put(&item->rdev, (u64)rare->rdev_major << 20 | rare->rdev_minor);
	le64_put(&item->flags, disk_inode_flags(content, node));
	pack_times(content, node, item);
	return 0;
}

int content_inode_items(struct item_maker *maker, u32 sequence_index, struct diag *d)
{
	u32 index = maker->content->sequence[sequence_index];
	const struct content_node *node = &maker->content->nodes.items[index];
	u64 ino = content_ino(node);
	int err = inode_item(maker, sequence_index, d);

	if (!err)
		err = content_ref_items(maker, node, ino, d);
	if (!err)
		err = content_xattr_items(maker, index, ino, d);
	if (!err && S_ISDIR(node->mode))
		err = content_dir_items(maker, node, ino, d);
	else if (!err)
		err = content_file_items(maker, sequence_index, d);
	return err;
}
