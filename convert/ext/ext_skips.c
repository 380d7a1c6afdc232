/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_skips.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>

#include "convert/ext/ext_dir.h"
#include "convert/ext/ext_table.h"

#define NAMED_MAX 3 /* files that a refusal names */

struct place {
	u32 ino;
	char *path;
};

struct walk {
	const struct ext_fs *ext;
	struct ext_skips *skips;
	struct ext_map map;
	u8 *raw; /* an inode */
	ARRAY(struct place) stack; /* directories to be looked into */
	const char *path; /* of the one that is */
	char named[512];
	size_t named_len;
};

const char *ext_skips_reason(const struct ext_inode *inode)
{
	return inode->flags & EXT4_ENCRYPT_FL  ? "is encrypted" :
	       inode->flags & EXT4_VERITY_FL   ? "has fs-verity" :
	       inode->flags & EXT4_CASEFOLD_FL ? "does not tell upper from lower case" :
						 NULL;
}

void ext_skips_done(struct ext_skips *skips)
{
	ext_bits_done(&skips->left_out);
	ext_bits_done(&skips->unreadable);
	ext_bits_done(&skips->reached);
	free(skips->nr_names);
	*skips = (struct ext_skips){ 0 };
}

static int init_left_out(struct ext_skips *skips, const struct ext_fs *ext, struct diag *d)
{
	u64 nr = (u64)ext->nr_inodes + 1;

	if (skips->left_out.pieces)
		return 0;
	if (ext_bits_init(&skips->left_out, nr, ext->inodes_per_group) < 0 ||
	    ext_bits_init(&skips->unreadable, nr, ext->inodes_per_group) < 0)
		return diag_no_memory(d, "files that are left out");
	return 0;
}

int ext_skips_add_unreadable(struct ext_skips *skips, const struct ext_fs *ext, u32 ino, struct diag *d)
{
	int err = init_left_out(skips, ext, d);

	if (!err && (ext_bits_set(&skips->left_out, ino) < 0 || ext_bits_set(&skips->unreadable, ino) < 0))
		err = diag_no_memory(d, "files that are left out");
	skips->is_active = true;
	return err;
}

static int find_unsupported(void *ctx, const struct ext_inode *inode, struct diag *d)
{
	struct ext_skips *skips = ctx;

	if (!ext_skips_reason(inode) || inode->flags & EXT4_EA_INODE_FL)
		return 0;
	skips->is_active = skips->has_unsupported = true;
	return ext_bits_set(&skips->left_out, inode->ino) < 0 ? diag_no_memory(d, "unsupported files") : 0;
}

static void tell_left_out(const struct ext_fs *ext, const char *path, const char *why)
{
	if (ext->left_out)
		ext->left_out(ext->left_out_ctx, path, why);
}

static int report(struct walk *walk, const char *path, u32 ino, struct diag *d)
{
	const struct ext_fs *ext = walk->ext;
	struct ext_inode inode;
	const char *why;
	int err;

	if (ext_bits_test(&walk->skips->unreadable, ino)) {
		diag_note(d, DIAG_WARNING, "%s (inode %u) cannot be read and is left out", path, ino);
		tell_left_out(ext, path, "cannot be read");
		return 0;
	}
	err = ext_inode_read(ext, ino, walk->raw, &inode, d);
	if (err)
		return err;
	why = ext_skips_reason(&inode) ?: "is damaged";
	if (ext->do_skip_unsupported) {
		diag_note(d, DIAG_WARNING, "%s (inode %u) %s and is left out", path, ino, why);
		tell_left_out(ext, path, why);
	} else if (walk->skips->nr_found < NAMED_MAX && walk->named_len < sizeof(walk->named)) {
		walk->named_len += (size_t)snprintf(walk->named + walk->named_len, sizeof(walk->named) - walk->named_len, "%s%s %s",
						    walk->named_len ? "; " : "", path, why);
	}
	walk->skips->nr_found++;
	return 0;
}

static int is_directory(struct walk *walk, const struct ext_entry *entry, bool *ret_is, struct diag *d)
{
	struct ext_inode inode;
	int err;

	*ret_is = entry->file_type == EXT2_FT_DIR;
	if (entry->file_type != EXT2_FT_UNKNOWN)
		return 0;
	err = ext_inode_read(walk->ext, entry->ino, walk->raw, &inode, d);
	*ret_is = !err && S_ISDIR(inode.mode);
	return err;
}

static int walk_entry(void *ctx, const struct ext_entry *entry, struct diag *d)
{
	struct walk *walk = ctx;
	_free_ char *path = NULL;
	bool is_dir;
	int err;

	if (entry->ino > walk->ext->nr_inodes)
		return diag_fail(d, -EUCLEAN, "%s/%.*s leads to inode %u, of %u; run e2fsck -f", walk->path, (int)entry->name_len,
				 entry->name, entry->ino, walk->ext->nr_inodes);
	if (asprintf(&path, "%s/%.*s", walk->path, (int)entry->name_len, entry->name) < 0) {
		path = NULL;
		return diag_no_memory(d, "paths");
	}
	if (ext_bits_test(&walk->skips->left_out, entry->ino))
		return report(walk, path, entry->ino, d);
	if (walk->skips->nr_names[entry->ino] < UINT16_MAX)
		walk->skips->nr_names[entry->ino]++;
	err = ext_bits_set(&walk->skips->reached, entry->ino);
	if (err)
		return err < 0 ? diag_no_memory(d, "paths") : 0;
	err = is_directory(walk, entry, &is_dir, d);
	if (err || !is_dir)
		return err;
	if (array_push(&walk->stack, (struct place){ entry->ino, path }) < 0)
		return diag_no_memory(d, "paths");
	path = NULL;
	return 0;
}

static void report_directory(const struct walk *walk, const struct ext_inode *inode, struct diag *d)
{
	diag_note(d, DIAG_WARNING, "%s/ (inode %u): %u blocks of the directory cannot be read; what only they name is left out", walk->path,
		  inode->ino, walk->map.nr_unread);
	tell_left_out(walk->ext, *walk->path ? walk->path : "/", "has names that cannot be read");
}

static int walk_tree(struct walk *walk, struct diag *d)
{
	_free_ u8 *raw = malloc(walk->ext->inode_bytes); /* not walk->raw: it lasts while entries are told */
	struct ext_inode inode;

	if (!raw || array_push(&walk->stack, (struct place){ EXT2_ROOT_INO, NULL }) < 0 ||
	    ext_bits_set(&walk->skips->reached, EXT2_ROOT_INO) < 0)
		return diag_no_memory(d, "paths");
	while (walk->stack.len > 0) {
		struct place place = walk->stack.items[--walk->stack.len];
		_free_ char *path = place.path;
		int err = ext_inode_read(walk->ext, place.ino, raw, &inode, d);

		if (!err && (inode.links_count == 0 || !S_ISDIR(inode.mode)))
			return diag_fail(d, -EUCLEAN, "%s (inode %u) is no directory; run e2fsck -f", path ?: "/", place.ino);
		walk->path = path ?: "";
		if (!err)
			err = ext_dir_entries(&walk->map, &inode, false, walk_entry, walk, d);
		if (err)
			return err;
		if (walk->map.nr_unread)
			report_directory(walk, &inode, d);
	}
	return 0;
}

static void walk_done(struct walk *walk)
{
	ext_map_done(&walk->map);
	array_for_each(&walk->stack, place)
		free(place->path);
	array_done(&walk->stack);
	free(walk->raw);
}

int ext_skips_find(struct ext_skips *skips, const struct ext_fs *ext, struct diag *d)
{
	_cleanup_(walk_done) struct walk walk = { .ext = ext, .skips = skips };
	struct ext2_super_block *super = ext->fs->super;
	u64 nr = (u64)ext->nr_inodes + 1;
	int err;

	if (!ext2fs_has_feature_encrypt(super) && !ext2fs_has_feature_verity(super) && !ext2fs_has_feature_casefold(super) &&
	    !ext->source.is_partly_unreadable)
		return 0;
	err = init_left_out(skips, ext, d);
	if (!err)
		err = ext_table_scan(ext, find_unsupported, NULL, skips, d);
	/* A directory may lack some of its names. */
	skips->is_active |= ext->source.is_partly_unreadable;
	if (err || !skips->is_active)
		return err;
	if (ext_bits_test(&skips->unreadable, EXT2_ROOT_INO))
		return diag_fail(d, -EIO, "%s: the root directory cannot be read", ext->dev->name);
	if (ext_bits_test(&skips->left_out, EXT2_ROOT_INO))
		return diag_fail(d, -EOPNOTSUPP, "%s: the root directory is encrypted or does not tell upper from lower case, which cannot be "
				 "converted", ext->dev->name);
	skips->nr_names = calloc(nr, sizeof(*skips->nr_names));
	walk.raw = malloc(ext->inode_bytes);
	if (!skips->nr_names || !walk.raw || ext_bits_init(&skips->reached, nr, ext->inodes_per_group) < 0)
		return diag_no_memory(d, "unsupported files");
	err = ext_map_init(&walk.map, ext, NULL, d);
	if (!err)
		err = walk_tree(&walk, d);
	if (err || ext->do_skip_unsupported || !skips->has_unsupported)
		return err;
	return diag_fail(d, -EOPNOTSUPP, "%s: %" PRIu64 " files cannot be converted: %s%s", ext->dev->name, skips->nr_found, walk.named,
			 skips->nr_found > NAMED_MAX ? "; ..." : "");
}
