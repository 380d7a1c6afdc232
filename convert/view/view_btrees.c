/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Btrees of an open bcachefs volume, by name. */
#include <btrkit/inspect.h>

#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_show.h"
#include "convert/bcachefs/bch_source.h"
#include "convert/view/view.h"
#include "kernel-shared/fs/fs.h"

static int bch_of(struct btrkit_fs *fs, struct bch_fs **ret_bch, struct diag *d)
{
	struct view *view = fs->foreign ? fs->foreign_ctx : NULL;

	if (!view || view->source->ops != &source_bcachefs_ops)
		return diag_fail(d, -EOPNOTSUPP, "only bcachefs has btrees with names");
	*ret_bch = bch_fs_of(view->source);
	return 0;
}

/* Those without a name that are not there are nothing to tell of. */
static bool is_told(const struct bch_fs *bch, u8 btree)
{
	return btree < BCH_BTREES_KNOWN || bch->roots[btree].is_there;
}

/* BCH_BTREES_MAX: there is none of that name. */
static u8 find_btree(const char *name)
{
	char buf[16], *end;
	unsigned long id = strtoul(name, &end, 10);

	if (end != name && !*end)
		return id < BCH_BTREES_MAX ? (u8)id : BCH_BTREES_MAX;
	for (u8 btree = 0; btree < BCH_BTREES_KNOWN; btree++)
		if (strcmp(bch_btree_name(btree, buf), name) == 0)
			return btree;
	return BCH_BTREES_MAX;
}

int btrkit_btree_for_each(struct btrkit_fs *fs, btrkit_btree_fn fn, void *arg, struct btrkit_error *error)
{
	struct bch_fs *bch = NULL;
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	err = bch_of(fs, &bch, &d);
	if (err)
		return fs_error(error, &d, err);
	for (u8 btree = 0; btree < BCH_BTREES_MAX; btree++) {
		const struct bch_root *root = &bch->roots[btree];
		char name[16];
		struct btrkit_btree_info info = { .id = btree, .name = bch_btree_name(btree, name), .has_root = root->is_there,
						  .level = root->is_there ? root->level : 0 };

		if (!is_told(bch, btree))
			continue;
		err = fn(arg, &info);
		if (err)
			return err;
	}
	return 0;
}

int btrkit_inspect_btree(struct btrkit_fs *fs, const char *name, const struct btrkit_printer *printer, struct btrkit_error *error)
{
	u8 first = name ? find_btree(name) : 0, last = name ? first : BCH_BTREES_MAX - 1;
	struct bch_fs *bch = NULL;
	u64 nr_lost = 0;
	struct diag d;
	int err;

	fs_diag_init(&fs->note, &d);
	err = bch_of(fs, &bch, &d);
	if (!err && first == BCH_BTREES_MAX)
		err = diag_fail(&d, -EINVAL, "\"%s\" is no btree's name or id (see --roots)", name);
	for (u8 btree = first; !err && btree <= last; btree++)
		if (name || is_told(bch, btree))
			err = bch_show_btree(printer, bch, btree, &nr_lost, &d);
	if (!err && nr_lost)
		err = diag_fail(&d, -EUCLEAN, "%llu ranges of keys cannot be read", (unsigned long long)nr_lost);
	return fs_error(error, &d, err);
}
