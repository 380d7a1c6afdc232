/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files with several names become files with several names; and directories have one name only. */
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <string.h>
#include <unistd.h>

#include "cmds/restore.h"

struct met_inode {
	struct btrkit_inode inode;
	char *path; /* of its first name */
};

static int compare_met(const void *a, const void *b)
{
	const struct met_inode *left = a, *right = b;

	if (left->inode.subvol != right->inode.subvol)
		return left->inode.subvol < right->inode.subvol ? -1 : 1;
	return left->inode.ino < right->inode.ino ? -1 : left->inode.ino > right->inode.ino;
}

const char *restore_met(const struct restore *r, const struct btrkit_inode *inode)
{
	const struct met_inode wanted = { .inode = *inode };
	struct met_inode *const *found = tfind(&wanted, &r->met, compare_met);

	return found ? (*found)->path : NULL;
}

int restore_remember(struct restore *r, const struct btrkit_inode *inode, const char *path)
{
	struct met_inode *met = malloc(sizeof(*met));

	if (!met)
		return -ENOMEM;
	*met = (struct met_inode){ *inode, strdup(path) };
	if (met->path && tsearch(met, &r->met, compare_met))
		return 0;
	free(met->path);
	free(met);
	return -ENOMEM;
}

static void forget(void *of)
{
	struct met_inode *met = of;

	free(met->path);
	free(met);
}

void restore_forget_all(struct restore *r)
{
	tdestroy(r->met, forget);
	r->met = NULL;
}

/* Step by step, so that a path may be of any length, and no link that somebody put there meanwhile leads elsewhere. */
int restore_link(const struct restore *r, const char *first, int dir_fd, const char *name)
{
	int at = r->dest_fd, result;

	for (const char *slash; (slash = strchr(first, '/')); first = slash + 1) {
		_free_ char *component = strndup(first, (size_t)(slash - first));
		int below = component ? openat(at, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
		int err = component ? errno : ENOMEM;

		if (at != r->dest_fd)
			close(at);
		if (below < 0)
			return -err;
		at = below;
	}
	result = linkat(at, first, dir_fd, name, 0) < 0 ? -errno : 0;
	if (at != r->dest_fd)
		close(at);
	return result;
}
