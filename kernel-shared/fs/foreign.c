/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel-shared/fs/foreign.h"

int fs_new_foreign(const struct foreign_ops *ops, void *ctx, const struct fs_note *note, struct btrkit_fs **ret_fs, struct diag *d)
{
	struct btrkit_fs *fs = calloc(1, sizeof(*fs));

	if (!fs) {
		ops->close(ctx);
		return diag_no_memory(d, "the filesystem");
	}
	pthread_mutex_init(&fs->roots_lock, NULL);
	fs->foreign = ops;
	fs->foreign_ctx = ctx;
	fs->note = *note;
	fs->is_read_only = true;
	*ret_fs = fs;
	return 0;
}

int fs_check_is_btrfs(const struct btrkit_fs *fs, struct diag *d)
{
	if (!fs->foreign)
		return 0;
	return diag_fail(d, -EOPNOTSUPP, "this is %s, of which files can be read, but nothing else", fs->foreign->type(fs->foreign_ctx));
}
