/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_look.h"

#include <inttypes.h>
#include <sys/stat.h>

#include "convert/ext/ext_contents.h"
#include "convert/ext/ext_dir.h"
#include "convert/ext/ext_xattr.h"

/* What one thread needs. */
struct ext_look {
	struct ext_look *next; /* in ext->looks */
	struct ext_contents contents;
	struct ext_xattrs xattrs;
	u8 *raw; /* an inode */
};

/* --- Memory, used again ----------------------------------------------------------------------------------------- */

static void look_free(struct ext_look *look)
{
	if (!look)
		return;
	ext_contents_done(&look->contents);
	ext_xattrs_done(&look->xattrs);
	free(look->raw);
	free(look);
}
DEFINE_FREEP(struct ext_look *, look_free)

static int look_get(struct ext_fs *ext, struct ext_look **ret_look, struct diag *d)
{
	_cleanup_(look_freep) struct ext_look *look = NULL;
	int err;

	pthread_mutex_lock(&ext->looks_lock);
	look = ext->looks;
	if (look)
		ext->looks = look->next;
	pthread_mutex_unlock(&ext->looks_lock);
	if (!look) {
		look = calloc(1, sizeof(*look));
		if (!look || !(look->raw = malloc(ext->inode_bytes)))
			return diag_no_memory(d, "a look at a file");
		err = ext_contents_init(&look->contents, ext, NULL, d);
		if (!err)
			err = ext_xattrs_init(&look->xattrs, ext, NULL, d);
		if (err)
			return err;
	}
	*ret_look = take_ptr(look);
	return 0;
}

static void look_put(struct ext_fs *ext, struct ext_look *look)
{
	pthread_mutex_lock(&ext->looks_lock);
	look->next = ext->looks;
	ext->looks = look;
	pthread_mutex_unlock(&ext->looks_lock);
}

void ext_looks_free(struct ext_fs *ext)
{
	for (struct ext_look *look = ext->looks, *next; look; look = next) {
		next = look->next;
		look_free(look);
	}
	ext->looks = NULL;
}

/* --- Looking ---------------------------------------------------------------------------------------------------- */

static int read_inode(struct ext_fs *ext, struct ext_look *look, u64 subvol, u64 ino, struct ext_inode *ret_inode, struct diag *d)
{
	int err;

	if (subvol != SOURCE_ONLY_SUBVOL || ino == 0 || ino > ext->nr_inodes || ext_inode_is_own(ext, (u32)ino))
		return diag_fail(d, -ENOENT, "there is no inode %" PRIu64 " for files", ino);
	err = ext_inode_read(ext, (u32)ino, look->raw, ret_inode, d);
	if (!err && (ret_inode->links_count == 0 || ret_inode->flags & EXT4_EA_INODE_FL))
		return diag_fail(d, -ENOENT, "inode %" PRIu64 " has a name, but is free; run e2fsck -f", ino);
	return err;
}

struct entry_user {
	struct source_sink *sink;
	u64 dir_ino;
};

static int tell_entry(void *ctx, const struct ext_entry *entry, struct diag *d)
{
	struct entry_user *user = ctx;

	return user->sink->entry(user->sink, user->dir_ino, entry->name, entry->name_len, entry->ino, d);
}

/* What was passed over is missing. */
static int judge_unread(const struct ext_look *look, const struct ext_inode *inode, struct diag *d)
{
	if (!look->contents.map.nr_unread)
		return 0;
	return diag_fail(d, -EUCLEAN, "directory inode %u: %u blocks of it are damaged or cannot be read; run e2fsck -f", inode->ino,
			 look->contents.map.nr_unread);
}

static int check_not_encrypted(const struct ext_inode *inode, struct diag *d)
{
	if (!(inode->flags & EXT4_ENCRYPT_FL))
		return 0;
	return diag_fail(d, -EOPNOTSUPP, "inode %u is encrypted: without its key there is nothing to read", inode->ino);
}

static int tell_contents(struct ext_look *look, const struct ext_inode *inode, struct source_sink *sink, struct diag *d)
{
	struct entry_user user = { sink, inode->ino };
	bool is_wanted = (S_ISREG(inode->mode) && sink->runs && sink->bytes) || (S_ISLNK(inode->mode) && sink->symlink) ||
			 (S_ISDIR(inode->mode) && sink->entry);
	int err = is_wanted ? check_not_encrypted(inode, d) : 0;

	if (err || !is_wanted)
		return err;
	if (S_ISREG(inode->mode))
		return ext_contents_tell_file(&look->contents, inode, sink, d);
	if (S_ISLNK(inode->mode))
		return ext_contents_tell_link(&look->contents, inode, sink, d);
	err = ext_dir_entries(&look->contents.map, inode, false, tell_entry, &user, d);
	return err ?: judge_unread(look, inode, d);
}

static int look_at(struct ext_fs *ext, struct ext_look *look, u64 subvol, u64 ino, struct source_sink *sink, struct diag *d)
{
	struct source_inode described;
	struct ext_inode inode;
	int err = read_inode(ext, look, subvol, ino, &inode, d);

	if (err)
		return err;
	ext_inode_describe(&inode, &described);
	err = sink->inode(sink, &described, d);
	if (!err && sink->xattr)
		err = ext_xattrs_tell(&look->xattrs, &inode, sink, d);
	return err ?: tell_contents(look, &inode, sink, d);
}

int ext_look(struct source *source, u64 subvol, u64 ino, struct source_sink *sink, struct diag *d)
{
	struct ext_fs *ext = ext_fs_of(source);
	struct ext_look *look;
	int err = look_get(ext, &look, d);

	if (err)
		return err;
	err = look_at(ext, look, subvol, ino, sink, d);
	look_put(ext, look);
	return err;
}

/* --- By name ---------------------------------------------------------------------------------------------------- */

struct finding {
	const char *name;
	size_t name_len;
	u32 ino;
};

static int compare_entry(void *ctx, const struct ext_entry *entry, struct diag *d)
{
	struct finding *finding = ctx;

	(void)d;
	if (entry->name_len != finding->name_len || memcmp(entry->name, finding->name, entry->name_len) != 0)
		return 0;
	finding->ino = entry->ino;
	return 1;
}

static int find_name(struct ext_fs *ext, struct ext_look *look, u64 subvol, u64 dir_ino, struct finding *finding, struct diag *d)
{
	struct ext_inode inode;
	int err = read_inode(ext, look, subvol, dir_ino, &inode, d);

	if (!err && !S_ISDIR(inode.mode))
		return diag_fail(d, -ENOTDIR, "inode %u is not a directory", inode.ino);
	if (!err)
		err = check_not_encrypted(&inode, d);
	if (!err)
		err = ext_dir_entries(&look->contents.map, &inode, false, compare_entry, finding, d);
	if (err)
		return MIN(err, 0);
	err = judge_unread(look, &inode, d);
	return err ?: diag_fail(d, -ENOENT, "directory inode %u has no entry of this name", inode.ino);
}

int ext_look_up(struct source *source, u64 subvol, u64 dir_ino, const char *name, size_t name_len, u64 *ret_subvol, u64 *ret_ino,
		struct diag *d)
{
	struct finding finding = { .name = name, .name_len = name_len };
	struct ext_fs *ext = ext_fs_of(source);
	struct ext_look *look;
	int err = look_get(ext, &look, d);

	if (err)
		return err;
	err = find_name(ext, look, subvol, dir_ino, &finding, d);
	look_put(ext, look);
	if (err)
		return err;
	*ret_subvol = subvol;
	*ret_ino = finding.ino;
	return 0;
}
