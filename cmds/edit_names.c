/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit edit rm`, mv, cp, mkdir, rmdir, ln, symlink, mknod. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "cmds/cmds.h"
#include "cmds/edit.h"

static int no_such(struct edit_session *session, const char *path)
{
	return session_fail(session, -ENOENT, "%s: %s", path, strerror(ENOENT));
}

/* Owner, permissions and the like as the options say; *ret_exact: which they do say, as for session_create(). */
static int attr_of_options(struct edit_session *session, const struct edit_command *command, u32 preset,
			   struct btrkit_node_attr *ret_attr, unsigned *ret_exact)
{
	int mask;

	*ret_attr = (struct btrkit_node_attr){ 0 };
	mask = session_parse_owner(session, command->owner, ret_attr);
	if (mask < 0)
		return mask;
	*ret_exact = ((unsigned)mask & BTRKIT_SET_GID) | (command->mode ? BTRKIT_SET_MODE : 0);
	return session_parse_mode(session, command->mode, preset, &ret_attr->mode);
}

static const struct option_row plain_rows[] = { EDIT_ROWS };

#define MODE_ROW(preset) { 'm', "mode", "MODE", OPTION_STRING, EDIT_AT(mode), "permissions in octal digits (" preset ")", false }
#define OWNER_ROW { 'o', "owner", "UID[:GID]", OPTION_STRING, EDIT_AT(owner), "owner and group, by numbers (0:0)", false }

/* --- rm, rmdir -------------------------------------------------------------------------------------------------------------- */

static int remove_entry(struct edit_session *session, const struct edit_place *place, void *arg)
{
	int err = 0;

	if (place->inode.ino == BTRKIT_EMPTY_DIR || (S_ISDIR(place->stat.mode) && place->is_subvol))
		return btrkit_edit_rmdir(session->edit, &place->dir, place->name, place->name_len, &session->error);
	if (!S_ISDIR(place->stat.mode))
		return btrkit_edit_unlink(session->edit, &place->dir, place->name, place->name_len, &session->error);
	err = session_each_entry(session, &place->inode, remove_entry, arg);
	return err ? err : btrkit_edit_rmdir(session->edit, &place->dir, place->name, place->name_len, &session->error);
}

static int run_rm(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct edit_place place;
	int err = session_place(session, operands[0], &place);

	if (!err && !place.has_inode)
		err = no_such(session, operands[0]);
	if (!err && S_ISDIR(place.stat.mode) && !command->is_recursive)
		err = session_fail(session, -EISDIR, "%s: is a directory; -r removes it", operands[0]);
	return err ? err : remove_entry(session, &place, NULL);
}

static const struct option_row rm_rows[] = {
	{ 'r', "recursive", NULL, OPTION_FLAG, EDIT_AT(is_recursive), "a directory with all that is in it", false },
	EDIT_ROWS,
};
const struct option_table edit_rm_option_table = {
	.command = "btrkit edit rm",
	.usage = "[options] PATH DEVICE...",
	.summary = "Remove a file. Subvolumes are not removed, see btrkit edit subvol.",
	.rows = rm_rows,
	.nr_rows = ARRAY_LEN(rm_rows),
};
const struct edit_statement statement_rm = { &edit_rm_option_table, 1, false, run_rm };

static int run_rmdir(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct edit_place place;
	int err = session_place(session, operands[0], &place);

	(void)command;
	return err ? err : btrkit_edit_rmdir(session->edit, &place.dir, place.name, place.name_len, &session->error);
}

const struct option_table edit_rmdir_option_table = {
	.command = "btrkit edit rmdir",
	.usage = "[options] PATH DEVICE...",
	.summary = "Remove an empty directory.",
	.rows = plain_rows,
	.nr_rows = ARRAY_LEN(plain_rows),
};
const struct edit_statement statement_rmdir = { &edit_rmdir_option_table, 1, false, run_rmdir };

/* --- mv ----------------------------------------------------------------------------------------------------------------------- */

static int run_mv(struct edit_session *session, const struct edit_command *command, char **operands)
{
	unsigned flags = (command->is_exchange ? BTRKIT_RENAME_EXCHANGE : 0) | (command->is_no_replace ? BTRKIT_RENAME_NOREPLACE : 0);
	struct edit_place old, new;
	int err = session_place(session, operands[0], &old);

	if (!err)
		err = command->is_exchange ? session_place(session, operands[1], &new)
					   : session_place_for(session, operands[1], operands[0], &new);
	return err ? err
		   : btrkit_edit_rename(session->edit, &old.dir, old.name, old.name_len, &new.dir, new.name, new.name_len, flags,
					&session->error);
}

static const struct option_row mv_rows[] = {
	{ 'x', "exchange", NULL, OPTION_FLAG, EDIT_AT(is_exchange), "both exist, and are exchanged", false },
	{ 0, "no-replace", NULL, OPTION_FLAG, EDIT_AT(is_no_replace), "fail if NEW exists", false },
	EDIT_ROWS,
};
const struct option_table edit_mv_option_table = {
	.command = "btrkit edit mv",
	.usage = "[options] OLD NEW DEVICE...",
	.summary = "Rename or move a file, a directory or a subvolume; into NEW if that is a directory.",
	.rows = mv_rows,
	.nr_rows = ARRAY_LEN(mv_rows),
};
const struct edit_statement statement_mv = { &edit_mv_option_table, 2, false, run_mv };

/* --- cp ----------------------------------------------------------------------------------------------------------------------- */

static void attr_of_stat(const struct btrkit_stat *stat, struct btrkit_node_attr *ret_attr)
{
	const u32 flags = BTRKIT_INODE_NODATASUM | BTRKIT_INODE_NODATACOW | BTRKIT_INODE_NOCOMPRESS;

	*ret_attr = (struct btrkit_node_attr){
		.mode = stat->mode,
		.uid = stat->uid,
		.gid = stat->gid,
		.rdev_major = stat->rdev_major,
		.rdev_minor = stat->rdev_minor,
		.inode_flags = (u32)stat->flags & flags,
		.atime = stat->atime,
		.mtime = stat->mtime,
	};
}

struct kept_xattr {
	char name[BTRKIT_NAME_MAX + 1];
	size_t len;
	u8 value[65536];
};

/* Nothing may be changed while they are listed: one is kept, behind those that were copied. */
struct next_xattr {
	size_t skip;
	struct kept_xattr *kept;
};

static int keep_next(void *arg, const char *name, size_t name_len, const void *value, size_t value_len)
{
	struct next_xattr *next = arg;

	if (next->skip-- > 0)
		return 0;
	if (name_len > BTRKIT_NAME_MAX || value_len > sizeof(next->kept->value))
		return -E2BIG;
	memcpy(next->kept->name, name, name_len);
	next->kept->name[name_len] = '\0';
	memcpy(next->kept->value, value, value_len);
	next->kept->len = value_len;
	return 1;
}

static int copy_xattrs(struct edit_session *session, const struct btrkit_inode *from, const struct btrkit_inode *to)
{
	struct kept_xattr *kept = (struct kept_xattr *)session_buf(session);

	for (size_t nr = 0;; nr++) {
		struct next_xattr next = { nr, kept };
		int err;

		if (!kept)
			return -ENOMEM;
		err = btrkit_xattr_for_each(session->fs, from, keep_next, &next, &session->error);
		if (err <= 0)
			return err;
		err = session_copy_xattr(session, to, kept->name, kept->value, kept->len);
		if (err)
			return err;
	}
}

/* Whether data has checksums has to be as it was, for it is shared; not what the directory hands on. */
static int copy_data(struct edit_session *session, const struct edit_place *from, const struct btrkit_inode *to)
{
	const u32 about_data = BTRKIT_INODE_NODATASUM | BTRKIT_INODE_NODATACOW;
	struct btrkit_node_attr attr = { 0 };
	struct btrkit_stat made;
	int err = btrkit_stat(session->fs, to, &made, &session->error);

	if (!err && ((made.flags ^ from->stat.flags) & about_data)) {
		attr.inode_flags = ((u32)made.flags & BTRKIT_INODE_NOCOMPRESS) | ((u32)from->stat.flags & about_data);
		err = btrkit_edit_set_attr(session->edit, to, BTRKIT_SET_FLAGS, &attr, &session->error);
	}
	if (err || !from->stat.size)
		return err;
	return btrkit_edit_clone(session->edit, &from->inode, 0, 0, to, 0, &session->error);
}

static int make_copy(struct edit_session *session, const struct edit_place *from, const struct edit_place *to,
		     struct btrkit_inode *ret_inode)
{
	struct btrkit_node_attr attr;
	char target[4096];
	int err;

	attr_of_stat(&from->stat, &attr);
	if (S_ISLNK(attr.mode)) {
		err = btrkit_readlink(session->fs, &from->inode, target, sizeof(target), &session->error);
		if (!err)
			err = btrkit_edit_symlink(session->edit, &to->dir, to->name, to->name_len, target, strlen(target), &attr,
						  ret_inode, &session->error);
	} else {
		err = btrkit_edit_create(session->edit, &to->dir, to->name, to->name_len, &attr, ret_inode, &session->error);
	}
	if (!err)
		err = session_make_exact(session, ret_inode, &attr);
	return err || !S_ISREG(attr.mode) ? err : copy_data(session, from, ret_inode);
}

static int copy_entry(struct edit_session *session, const struct edit_place *from, const struct edit_place *to);

static int copy_into(struct edit_session *session, const struct edit_place *from, void *arg)
{
	const struct btrkit_inode *dir = arg;
	struct edit_place to;
	int err;

	if (from->is_subvol || from->inode.ino == BTRKIT_EMPTY_DIR)
		return 0;
	err = session_place_in(session, dir, from->name, from->name_len, &to);
	return err ? err : copy_entry(session, from, &to);
}

static int copy_entry(struct edit_session *session, const struct edit_place *from, const struct edit_place *to)
{
	struct btrkit_node_attr attr;
	struct btrkit_inode inode;
	int err = 0;

	if (to->has_inode && S_ISDIR(to->stat.mode) && S_ISDIR(from->stat.mode))
		return session_fail(session, -EEXIST, "%.*s: exists", (int)to->name_len, to->name);
	if (to->has_inode && to->inode.subvol == from->inode.subvol && to->inode.ino == from->inode.ino)
		return session_fail(session, -EINVAL, "%.*s: is the same file", (int)to->name_len, to->name);
	if (to->has_inode)
		err = btrkit_edit_unlink(session->edit, &to->dir, to->name, to->name_len, &session->error);
	if (!err)
		err = make_copy(session, from, to, &inode);
	if (!err)
		err = copy_xattrs(session, &from->inode, &inode);
	if (!err && S_ISDIR(from->stat.mode))
		err = session_each_entry(session, &from->inode, copy_into, &inode);
	attr_of_stat(&from->stat, &attr);
	return err ? err
		   : btrkit_edit_set_attr(session->edit, &inode, BTRKIT_SET_ATIME | BTRKIT_SET_MTIME, &attr, &session->error);
}

/* A directory cannot be copied to a place in itself. */
static int check_not_below(struct edit_session *session, const struct edit_place *from, const struct edit_place *to)
{
	struct btrkit_inode at = to->dir, up;

	for (unsigned depth = 0; depth < 65536; depth++) {
		if (at.subvol == from->inode.subvol && at.ino == from->inode.ino)
			return session_fail(session, -EINVAL, "%.*s: cannot be copied into itself", (int)from->name_len, from->name);
		if (at.subvol == BTRKIT_TOP_SUBVOL && at.ino == BTRKIT_TOP_DIR)
			return 0;
		if (btrkit_lookup(session->fs, &at, "..", &up, &session->error) != 0)
			return session->error.err;
		at = up;
	}
	return session_fail(session, -EUCLEAN, "directories lie in a ring");
}

static int run_cp(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct edit_place from, to;
	int err = session_place(session, operands[0], &from);

	if (!err && !from.has_inode)
		err = no_such(session, operands[0]);
	if (!err && S_ISDIR(from.stat.mode) && !command->is_recursive)
		err = session_fail(session, -EISDIR, "%s: is a directory; -r copies it", operands[0]);
	if (!err)
		err = session_place_for(session, operands[1], operands[0], &to);
	if (!err && S_ISDIR(from.stat.mode))
		err = check_not_below(session, &from, &to);
	return err ? err : copy_entry(session, &from, &to);
}

static const struct option_row cp_rows[] = {
	{ 'r', "recursive", NULL, OPTION_FLAG, EDIT_AT(is_recursive), "a directory with all in it, but for subvolumes", false },
	EDIT_ROWS,
};
const struct option_table edit_cp_option_table = {
	.command = "btrkit edit cp",
	.usage = "[options] OLD NEW DEVICE...",
	.summary = "Copy a file with its attributes; the data is shared. Into NEW if that is a directory.",
	.rows = cp_rows,
	.nr_rows = ARRAY_LEN(cp_rows),
};
const struct edit_statement statement_cp = { &edit_cp_option_table, 2, false, run_cp };

/* --- mkdir, mknod ------------------------------------------------------------------------------------------------------------- */

/* As with mkdir -p: what is missing of the path. */
static int make_parents(struct edit_session *session, const struct btrkit_node_attr *attr, unsigned exact, char *path)
{
	int err = 0;

	for (char *slash = path; !err && (slash = strchr(slash + 1, '/')) != NULL;) {
		struct btrkit_inode inode;
		struct edit_place place;

		if (slash[1] == '\0' || slash[1] == '/')
			continue;
		*slash = '\0';
		if (session_find(session, path, true, &inode) == -ENOENT) {
			err = session_place(session, path, &place);
			if (!err)
				err = session_create(session, &place, attr, exact, &inode);
		}
		*slash = '/';
	}
	return err;
}

static int run_mkdir(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct btrkit_node_attr attr, parents;
	struct edit_place place;
	struct btrkit_inode inode;
	unsigned exact;
	int err = attr_of_options(session, command, S_IFDIR | 0755, &attr, &exact);

	parents = attr;
	parents.mode = S_IFDIR | 0755;
	if (!err && command->do_make_parents)
		err = make_parents(session, &parents, exact & ~BTRKIT_SET_MODE, operands[0]);
	if (!err)
		err = session_place(session, operands[0], &place);
	if (err || (command->do_make_parents && place.has_inode && S_ISDIR(place.stat.mode)))
		return err;
	return session_create(session, &place, &attr, exact, &inode);
}

static const struct option_row mkdir_rows[] = {
	{ 'p', "parents", NULL, OPTION_FLAG, EDIT_AT(do_make_parents), "and what is missing above it; no error if it exists", false },
	MODE_ROW("755"),
	OWNER_ROW,
	EDIT_ROWS,
};
const struct option_table edit_mkdir_option_table = {
	.command = "btrkit edit mkdir",
	.usage = "[options] PATH DEVICE...",
	.summary = "Make a directory.",
	.rows = mkdir_rows,
	.nr_rows = ARRAY_LEN(mkdir_rows),
};
const struct edit_statement statement_mkdir = { &edit_mkdir_option_table, 1, false, run_mkdir };

static int run_mknod(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct btrkit_node_attr attr;
	struct btrkit_inode inode;
	struct edit_place place;
	const char *type = operands[1];
	unsigned exact;
	char more;
	int err = attr_of_options(session, command, 0644, &attr, &exact);

	if (err)
		return err;
	attr.mode |= strcmp(type, "b") == 0 ? S_IFBLK : strcmp(type, "c") == 0 ? S_IFCHR : strcmp(type, "p") == 0 ? S_IFIFO
		     : strcmp(type, "s") == 0 ? S_IFSOCK : 0;
	if (!(attr.mode & S_IFMT))
		return session_fail(session, -EINVAL, "\"%s\" is no type: b, c, p or s", type);
	if (command->device && sscanf(command->device, "%u:%u%c", &attr.rdev_major, &attr.rdev_minor, &more) != 2)
		return session_fail(session, -EINVAL, "\"%s\" is no device: MAJOR:MINOR", command->device);
	if (!command->device == (S_ISBLK(attr.mode) || S_ISCHR(attr.mode)))
		return session_fail(session, -EINVAL, "--device goes with types b and c");
	err = session_place(session, operands[0], &place);
	return err ? err : session_create(session, &place, &attr, exact, &inode);
}

static const struct option_row mknod_rows[] = {
	{ 0, "device", "MAJOR:MINOR", OPTION_STRING, EDIT_AT(device), "of types b and c", false },
	MODE_ROW("644"),
	OWNER_ROW,
	EDIT_ROWS,
};
const struct option_table edit_mknod_option_table = {
	.command = "btrkit edit mknod",
	.usage = "[options] PATH b|c|p|s DEVICE...",
	.summary = "Make a block or character device, a fifo or a socket.",
	.rows = mknod_rows,
	.nr_rows = ARRAY_LEN(mknod_rows),
};
const struct edit_statement statement_mknod = { &edit_mknod_option_table, 2, false, run_mknod };

/* --- ln, symlink --------------------------------------------------------------------------------------------------------------- */

static int run_ln(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct edit_place place;
	struct btrkit_inode inode;
	int err = session_find(session, operands[0], false, &inode);

	(void)command;
	if (!err)
		err = session_place_for(session, operands[1], operands[0], &place);
	return err ? err : btrkit_edit_link(session->edit, &inode, &place.dir, place.name, place.name_len, &session->error);
}

const struct option_table edit_ln_option_table = {
	.command = "btrkit edit ln",
	.usage = "[options] OLD NEW DEVICE...",
	.summary = "Give a file another name, a hard link; in NEW if that is a directory.",
	.rows = plain_rows,
	.nr_rows = ARRAY_LEN(plain_rows),
};
const struct edit_statement statement_ln = { &edit_ln_option_table, 2, false, run_ln };

static int run_symlink(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct btrkit_node_attr attr;
	struct btrkit_inode inode;
	struct edit_place place;
	unsigned exact;
	int err = attr_of_options(session, command, 0, &attr, &exact);

	if (!err)
		err = session_place(session, operands[1], &place);
	if (!err)
		err = btrkit_edit_symlink(session->edit, &place.dir, place.name, place.name_len, operands[0], strlen(operands[0]),
					  &attr, &inode, &session->error);
	return err || !exact ? err : btrkit_edit_set_attr(session->edit, &inode, exact, &attr, &session->error);
}

static const struct option_row symlink_rows[] = { OWNER_ROW, EDIT_ROWS };
const struct option_table edit_symlink_option_table = {
	.command = "btrkit edit symlink",
	.usage = "[options] TARGET PATH DEVICE...",
	.summary = "Make a symbolic link to TARGET, which need not exist.",
	.rows = symlink_rows,
	.nr_rows = ARRAY_LEN(symlink_rows),
};
const struct edit_statement statement_symlink = { &edit_symlink_option_table, 2, false, run_symlink };
