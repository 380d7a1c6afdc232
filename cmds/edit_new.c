/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * New inodes: those that a user asks for take over from their directory what Linux hands on; those that are copies are what was
 * copied.
 */
#include <errno.h>
#include <sys/stat.h>

#include "cmds/cmds.h"
#include "cmds/edit.h"

static const char access_acl[] = "system.posix_acl_access", default_acl[] = "system.posix_acl_default";

/* 1: it has. */
static int has_xattr(struct edit_session *session, const struct btrkit_inode *inode, const char *name)
{
	size_t len;
	u8 none;
	int err = btrkit_xattr_get(session->fs, inode, name, &none, 0, &len, &session->error);

	if (err == -ENODATA)
		return 0;
	return err && err != -ERANGE ? err : 1;
}

int session_create(struct edit_session *session, const struct edit_place *place, const struct btrkit_node_attr *attr,
		   unsigned exact, struct btrkit_inode *ret_inode)
{
	struct btrkit_node_attr wanted = *attr;
	struct btrkit_stat made;
	int err = has_xattr(session, &place->dir, default_acl);

	if (err < 0)
		return err;
	/* The umask that the preset stands for has no say where an ACL does. */
	if (err && !(exact & BTRKIT_SET_MODE))
		wanted.mode |= S_ISDIR(attr->mode) ? 0777 : 0666;
	err = btrkit_edit_create(session->edit, &place->dir, place->name, place->name_len, &wanted, ret_inode, &session->error);
	if (err || !exact)
		return err;
	err = btrkit_stat(session->fs, ret_inode, &made, &session->error);
	if (S_ISDIR(attr->mode))
		wanted.mode |= made.mode & S_ISGID;
	return err ? err : btrkit_edit_set_attr(session->edit, ret_inode, exact, &wanted, &session->error);
}

int session_make_exact(struct edit_session *session, const struct btrkit_inode *inode, const struct btrkit_node_attr *attr)
{
	unsigned mask = BTRKIT_SET_UID | BTRKIT_SET_GID | (S_ISLNK(attr->mode) ? 0 : BTRKIT_SET_MODE);
	const char *const names[] = { access_acl, default_acl };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		int err = has_xattr(session, inode, names[i]);

		if (err > 0)
			err = btrkit_edit_remove_xattr(session->edit, inode, names[i], &session->error);
		if (err)
			return err;
	}
	return btrkit_edit_set_attr(session->edit, inode, mask, attr, &session->error);
}

int session_copy_xattr(struct edit_session *session, const struct btrkit_inode *inode, const char *name, const void *value,
		       size_t value_len)
{
	int err = btrkit_edit_set_xattr(session->edit, inode, name, value, value_len, &session->error);

	return err == -EINVAL && strcmp(name, "btrfs.compression") == 0 ? 0 : err;
}
