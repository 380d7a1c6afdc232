/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cmds/resolve.h"

#include <btrkit/subvol.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define LINKS_MAX 40

int resolve_top(struct btrkit_fs *fs, const char *subvol, struct btrkit_inode *ret_top, struct btrkit_error *error)
{
	struct btrkit_fs_info info;
	struct btrkit_subvol found;
	char *end = NULL;
	u64 id;
	int err;

	if (!subvol)
		return btrkit_lookup(fs, NULL, "", ret_top, error);
	if (strcmp(subvol, "default") == 0) {
		btrkit_fs_get_info(fs, &info, sizeof(info));
		id = info.default_subvol;
	} else {
		id = strtoull(subvol, &end, 10);
		if (end == subvol || *end)
			return resolve_path(fs, &BTRKIT_INODE_TOP, subvol, true, ret_top, error);
	}
	err = btrkit_subvol_get(fs, id, &found, error);
	if (!err)
		*ret_top = (struct btrkit_inode){ id, found.top_dir };
	return err;
}

struct resolving {
	struct btrkit_fs *fs;
	struct btrkit_inode top;
	unsigned nr_links;
	struct btrkit_error *error;
};

static int fail(struct resolving *r, int err, const char *path, size_t len)
{
	r->error->err = err;
	snprintf(r->error->text, sizeof(r->error->text), "%.*s: %s", (int)MIN(len, (size_t)800), path, strerror(-err));
	return err;
}

static int follow(struct resolving *r, struct btrkit_inode at, const char *path, bool do_follow_last,
		  struct btrkit_inode *ret_inode);

/* One name of @path, of @len bytes at @name, below *at. */
static int step(struct resolving *r, struct btrkit_inode *at, const char *path, const char *name, size_t len,
		bool do_follow)
{
	char target[PATH_MAX];
	struct btrkit_inode found;
	struct btrkit_stat st;
	int err;

	if (len == 2 && name[0] == '.' && name[1] == '.') {
		if (at->subvol == r->top.subvol && at->ino == r->top.ino)
			return 0;
		return btrkit_lookup(r->fs, at, "..", at, r->error);
	}
	err = len == 1 && name[0] == '.' ? 0 : btrkit_lookup_name(r->fs, at, name, len, &found, r->error);
	if (err == -ENOENT || err == -ENOTDIR || err == -ENAMETOOLONG)
		return fail(r, err, path, (size_t)(name + len - path)); /* with the path as the user knows it */
	if (err || (len == 1 && name[0] == '.'))
		return err;
	if (!btrkit_inode_is_empty_dir(&found) && do_follow) {
		err = btrkit_stat(r->fs, &found, &st, r->error);
		if (err)
			return err;
		if (S_ISLNK(st.mode)) {
			if (r->nr_links++ == LINKS_MAX)
				return fail(r, -ELOOP, path, (size_t)(name + len - path));
			err = btrkit_readlink(r->fs, &found, target, sizeof(target), r->error);
			return err ? err : follow(r, target[0] == '/' ? r->top : *at, target, true, at);
		}
	}
	*at = found;
	return 0;
}

/* Is it known to be no directory? */
static bool is_other(struct resolving *r, const struct btrkit_inode *at)
{
	struct btrkit_stat st;

	return btrkit_stat(r->fs, at, &st, NULL) == 0 && !S_ISDIR(st.mode);
}

static int follow(struct resolving *r, struct btrkit_inode at, const char *path, bool do_follow_last,
		  struct btrkit_inode *ret_inode)
{
	for (const char *name = path; *name;) {
		size_t len = strcspn(name, "/"), slashes = strspn(name + len, "/");
		bool is_last = name[len + slashes] == '\0' && slashes == 0;
		int err = len ? step(r, &at, path, name, len, !is_last || do_follow_last) : 0;

		name += len + slashes;
		if (!err && slashes && !*name && is_other(r, &at))
			err = fail(r, -ENOTDIR, path, (size_t)(name - path));
		if (err)
			return err;
	}
	*ret_inode = at;
	return 0;
}

int resolve_path(struct btrkit_fs *fs, const struct btrkit_inode *top, const char *path, bool do_follow_last,
		 struct btrkit_inode *ret_inode, struct btrkit_error *error)
{
	struct resolving r = { .fs = fs, .top = *top, .error = error };

	return follow(&r, *top, path, do_follow_last, ret_inode);
}
