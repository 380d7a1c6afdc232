/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_skips.h"

#include <inttypes.h>
#include <stdio.h>

#include "convert/ext/ext_table.h"
#include "convert/ext/ext_tree.h"

#define NAMED_MAX 3 /* files that a refusal names */

struct naming {
	const struct ext_fs *ext;
	struct ext_skips *skips;
	u8 *raw; /* an inode */
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

static int report(struct naming *naming, const char *path, u32 ino, struct diag *d)
{
	const struct ext_fs *ext = naming->ext;
	struct ext_inode inode;
	const char *why;
	int err;

	if (ext_bits_test(&naming->skips->unreadable, ino)) {
		diag_note(d, DIAG_WARNING, "%s (inode %u) cannot be read and is left out", path, ino);
		tell_left_out(ext, path, "cannot be read");
		return 0;
	}
	err = ext_inode_read(ext, ino, naming->raw, &inode, d);
	if (err)
		return err;
	why = ext_skips_reason(&inode) ?: "is damaged";
	if (ext->do_skip_unsupported) {
		diag_note(d, DIAG_WARNING, "%s (inode %u) %s and is left out", path, ino, why);
		tell_left_out(ext, path, why);
	} else if (naming->skips->nr_found < NAMED_MAX && naming->named_len < sizeof(naming->named)) {
		naming->named_len += (size_t)snprintf(naming->named + naming->named_len, sizeof(naming->named) - naming->named_len, "%s%s %s",
						    naming->named_len ? "; " : "", path, why);
	}
	naming->skips->nr_found++;
	return 0;
}

static int take_name(void *ctx, const char *path, u32 ino, struct diag *d)
{
	struct naming *naming = ctx;
	struct ext_skips *skips = naming->skips;
	int seen;

	if (ext_bits_test(&skips->left_out, ino))
		return report(naming, path, ino, d);
	if (skips->nr_names[ino] < UINT16_MAX)
		skips->nr_names[ino]++;
	seen = ext_bits_set(&skips->reached, ino);
	return seen < 0 ? diag_no_memory(d, "paths") : !seen;
}

static void report_directory(void *ctx, const char *path, u32 ino, u32 nr, struct diag *d)
{
	const struct naming *naming = ctx;

	diag_note(d, DIAG_WARNING, "%s (inode %u): %u blocks of the directory cannot be read; what only they name is left out", path, ino, nr);
	tell_left_out(naming->ext, path, "has names that cannot be read");
}

static int name_all(struct naming *naming, struct diag *d)
{
	const struct ext_tree_walk walk = {
		.ext = naming->ext, .entry = take_name, .unread = report_directory, .ctx = naming,
	};

	if (ext_bits_set(&naming->skips->reached, EXT2_ROOT_INO) < 0)
		return diag_no_memory(d, "paths");
	return ext_tree_walk(&walk, d);
}

int ext_skips_find(struct ext_skips *skips, const struct ext_fs *ext, struct diag *d)
{
	struct ext_table_scan table = { .fn = find_unsupported, .ctx = skips };
	struct naming naming = { .ext = ext, .skips = skips };
	_free_ u8 *raw = malloc(ext->inode_bytes);
	struct ext2_super_block *super = ext->fs->super;
	u64 nr = (u64)ext->nr_inodes + 1;
	int err;

	if (!ext2fs_has_feature_encrypt(super) && !ext2fs_has_feature_verity(super) && !ext2fs_has_feature_casefold(super) &&
	    !ext->source.is_partly_unreadable)
		return 0;
	err = init_left_out(skips, ext, d);
	if (!err)
		err = ext_table_scan(ext, &table, d);
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
	naming.raw = raw;
	if (!skips->nr_names || !raw || ext_bits_init(&skips->reached, nr, ext->inodes_per_group) < 0)
		return diag_no_memory(d, "unsupported files");
	err = name_all(&naming, d);
	if (err || ext->do_skip_unsupported || !skips->has_unsupported)
		return err;
	return diag_fail(d, -EOPNOTSUPP, "%s: %" PRIu64 " files cannot be converted: %s%s", ext->dev->name, skips->nr_found, naming.named,
			 skips->nr_found > NAMED_MAX ? "; ..." : "");
}
