/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A second way to look at an open filesystem, for a checker that names files although some items beside theirs are bad. */
#include "kernel-shared/format/super_check.h"
#include "kernel-shared/fs/fs.h"

int fs_view_new(struct btrkit_fs *fs, size_t cache_bytes, struct btrkit_fs **ret_view)
{
	struct btrkit_fs *view = calloc(1, sizeof(*view));
	int err;

	if (!view)
		return -ENOMEM;
	view->super = fs->super;
	view->csum = fs->csum;
	view->volume = fs->volume;
	view->chunk_tree = fs->chunk_tree;
	view->root_tree = fs->root_tree;
	view->default_subvol = fs->default_subvol;
	err = block_cache_new(fs->volume, block_cache_check_params(fs->cache), fs->csum, super_metadata_fsid(&fs->super),
			      cache_bytes, &view->cache);
	if (err) {
		free(view);
		return err;
	}
	block_cache_accept_bad_items(view->cache);
	view->chunk_tree.cache = view->root_tree.cache = view->cache;
	pthread_mutex_init(&view->roots_lock, NULL);
	*ret_view = view;
	return 0;
}

void fs_view_free(struct btrkit_fs *view)
{
	if (!view)
		return;
	block_cache_free(view->cache);
	pthread_mutex_destroy(&view->roots_lock);
	array_done(&view->roots);
	free(view);
}
