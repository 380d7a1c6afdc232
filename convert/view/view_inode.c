/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Single inodes: what they are, extended attributes, targets of links. */
#include <sys/stat.h>

#include "convert/view/view.h"

typedef unsigned long long ull;

struct btrkit_inode view_plain_inode(void *ctx, const struct btrkit_inode *inode)
{
	const struct source_info *info = &((struct view *)ctx)->source->info;

	if (inode->subvol == BTRKIT_TOP_SUBVOL && inode->ino == BTRKIT_TOP_DIR)
		return (struct btrkit_inode){ info->top_subvol, info->top_ino };
	return *inode;
}

/* --- What an inode is ------------------------------------------------------------------------------------------- */

struct stat_sink {
	struct source_sink sink;
	struct source_inode *inode;
	bool is_there;
};

static int take_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	struct stat_sink *to = container_of(sink, struct stat_sink, sink);

	(void)d;
	*to->inode = *inode;
	to->is_there = true;
	return 0;
}

static struct view_stat *slot_of(struct view *view, const struct btrkit_inode *inode)
{
	return &view->stats[(inode->ino * 31 + inode->subvol) % VIEW_STATS];
}

int view_inode(struct view *view, const struct btrkit_inode *inode, struct source_inode *ret_inode, struct diag *d)
{
	struct stat_sink to = { .sink = { .inode = take_inode }, .inode = ret_inode };
	struct view_stat *slot = slot_of(view, inode);
	bool is_remembered;
	int err;

	pthread_mutex_lock(&view->lock);
	is_remembered = slot->inode.ino == inode->ino && slot->subvol == inode->subvol && inode->ino;
	if (is_remembered)
		*ret_inode = slot->inode;
	pthread_mutex_unlock(&view->lock);
	if (is_remembered)
		return 0;
	err = view->source->ops->look(view->source, inode->subvol, inode->ino, &to.sink, d);
	if (err)
		return err;
	if (!to.is_there)
		return diag_fail(d, -ENOENT, "there is no inode %llu", (ull)inode->ino);
	pthread_mutex_lock(&view->lock);
	*slot = (struct view_stat){ inode->subvol, *ret_inode };
	slot->inode.ino = inode->ino;
	pthread_mutex_unlock(&view->lock);
	return 0;
}

int view_stat(void *ctx, const struct btrkit_inode *inode, struct btrkit_stat *ret_stat, struct diag *d)
{
	struct view *view = ctx;
	struct btrkit_inode plain = view_plain_inode(view, inode);
	struct source_inode found;
	int err = view_inode(view, &plain, &found, d);

	if (err)
		return err;
	*ret_stat = (struct btrkit_stat){
		.inode = plain,
		.size = S_ISDIR(found.mode) ? 0 : found.size,
		.nlink = found.nlink,
		.mode = found.mode,
		.uid = found.uid,
		.gid = found.gid,
		.rdev_major = found.rdev_major,
		.rdev_minor = found.rdev_minor,
		.flags = found.inode_flags,
		.atime = found.atime,
		.mtime = found.mtime,
		.ctime = found.ctime,
		.otime = found.otime,
	};
	return 0;
}

/* --- Links ------------------------------------------------------------------------------------------------------ */

struct link_sink {
	struct source_sink sink;
	u32 mode;
	u64 ino;
	char *buf;
	size_t cap;
	bool has_target;
};

static int take_link_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	container_of(sink, struct link_sink, sink)->mode = inode->mode;
	if (S_ISLNK(inode->mode))
		return 0;
	return diag_fail(d, -EINVAL, "inode %llu is not a symbolic link", (ull)inode->ino);
}

static int take_target(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	struct link_sink *to = container_of(sink, struct link_sink, sink);

	if (len >= to->cap)
		return diag_fail(d, -ERANGE, "the target of inode %llu has %zu bytes", (ull)ino, len);
	memcpy(to->buf, target, len);
	to->buf[len] = '\0';
	to->has_target = true;
	return 0;
}

int view_readlink(void *ctx, const struct btrkit_inode *inode, char *buf, size_t cap, struct diag *d)
{
	struct view *view = ctx;
	struct btrkit_inode plain = view_plain_inode(view, inode);
	struct link_sink to = { .sink = { .inode = take_link_inode, .symlink = take_target }, .buf = buf, .cap = cap };
	int err = view->source->ops->look(view->source, plain.subvol, plain.ino, &to.sink, d);

	if (err || to.has_target)
		return err;
	return diag_fail(d, -EUCLEAN, "inode %llu: a symbolic link without a target", (ull)plain.ino);
}

/* --- Extended attributes ---------------------------------------------------------------------------------------- */

struct xattr_sink {
	struct source_sink sink;
	btrkit_xattr_fn fn;
	void *arg;
	int result; /* of @fn, unless it is 0 */
};

static int ignore_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	(void)sink, (void)inode, (void)d;
	return 0;
}

static int take_xattr(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d)
{
	struct xattr_sink *to = container_of(sink, struct xattr_sink, sink);

	(void)ino, (void)d;
	to->result = to->fn(to->arg, name, strlen(name), value, len);
	return to->result;
}

int view_xattr_for_each(void *ctx, const struct btrkit_inode *inode, btrkit_xattr_fn fn, void *arg, struct diag *d)
{
	struct view *view = ctx;
	struct btrkit_inode plain = view_plain_inode(view, inode);
	struct xattr_sink to = { .sink = { .inode = ignore_inode, .xattr = take_xattr }, .fn = fn, .arg = arg };
	int err = view->source->ops->look(view->source, plain.subvol, plain.ino, &to.sink, d);

	if (to.result)
		diag_clear(d); /* what it means is the caller's to say */
	return to.result ? to.result : err;
}
