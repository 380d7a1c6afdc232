/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit edit chmod`, chown, touch, truncate, setxattr, rmxattr. */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "cmds/cmds.h"
#include "cmds/edit.h"
#include "common/base/cleanup.h"
#include "common/cli/size.h"

/* --- chmod, chown ----------------------------------------------------------------------------------------------------------- */

struct change {
	unsigned mask;
	struct btrkit_node_attr attr;
};

static int change_inode(struct edit_session *session, const struct btrkit_inode *inode, void *arg)
{
	const struct change *change = arg;
	struct btrkit_stat stat;
	int err = btrkit_stat(session->fs, inode, &stat, &session->error);

	/* A link's mode means nothing. */
	if (err || (change->mask == BTRKIT_SET_MODE && S_ISLNK(stat.mode)))
		return err;
	return btrkit_edit_set_attr(session->edit, inode, change->mask, &change->attr, &session->error);
}

static int change_path(struct edit_session *session, const struct edit_command *command, const char *path,
		       struct change *change, bool do_follow)
{
	struct btrkit_inode inode;
	int err = session_find(session, path, do_follow, &inode);

	return err ? err : session_each_inode(session, &inode, command->is_recursive, change_inode, change);
}

static int run_chmod(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct change change = { .mask = BTRKIT_SET_MODE };
	int err = session_parse_mode(session, operands[0], 0, &change.attr.mode);

	return err ? err : change_path(session, command, operands[1], &change, true);
}

static int run_chown(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct change change = { 0 };
	int mask = session_parse_owner(session, operands[0], &change.attr);

	if (mask < 0)
		return mask;
	change.mask = (unsigned)mask;
	return change_path(session, command, operands[1], &change, false);
}

static const struct option_row recursive_rows[] = {
	{ 'R', "recursive", NULL, OPTION_FLAG, EDIT_AT(is_recursive), "and all that is below, but for other subvolumes", false },
	EDIT_ROWS,
};

const struct option_table edit_chmod_option_table = {
	.command = "btrkit edit chmod",
	.usage = "[options] MODE PATH DEVICE...",
	.summary = "Set the permissions of a file, in octal digits.",
	.rows = recursive_rows,
	.nr_rows = ARRAY_LEN(recursive_rows),
};
const struct edit_statement statement_chmod = { &edit_chmod_option_table, 2, false, run_chmod };

const struct option_table edit_chown_option_table = {
	.command = "btrkit edit chown",
	.usage = "[options] UID[:GID]|:GID PATH DEVICE...",
	.summary = "Set the owner and the group of a file or a symbolic link, by numbers.",
	.rows = recursive_rows,
	.nr_rows = ARRAY_LEN(recursive_rows),
};
const struct edit_statement statement_chown = { &edit_chown_option_table, 2, false, run_chown };

/* --- touch, truncate ----------------------------------------------------------------------------------------------------------- */

static int run_touch(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct btrkit_node_attr attr = { .mode = S_IFREG | 0644 };
	struct edit_place place;
	int err = session_parse_date(session, command->date, &attr.mtime);

	attr.atime = attr.mtime;
	if (!err)
		err = session_place(session, operands[0], &place);
	if (!err && place.has_inode)
		err = session_find(session, operands[0], true, &place.inode);
	if (err)
		return err;
	if (!place.has_inode)
		return session_create(session, &place, &attr, 0, &place.inode);
	return btrkit_edit_set_attr(session->edit, &place.inode, BTRKIT_SET_ATIME | BTRKIT_SET_MTIME, &attr, &session->error);
}

static const struct option_row touch_rows[] = {
	{ 'd', "date", "DATE", OPTION_STRING, EDIT_AT(date), "@SECONDS, or YYYY-MM-DD HH:MM:SS in UTC (now)", false },
	EDIT_ROWS,
};
const struct option_table edit_touch_option_table = {
	.command = "btrkit edit touch",
	.usage = "[options] PATH DEVICE...",
	.summary = "Set the times of a file; an empty one is made if there is none.",
	.rows = touch_rows,
	.nr_rows = ARRAY_LEN(touch_rows),
};
const struct edit_statement statement_touch = { &edit_touch_option_table, 1, false, run_touch };

static int run_truncate(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct btrkit_inode inode;
	struct diag d = { 0 };
	u64 size;
	int err = size_parse(operands[0], &size, &d);

	(void)command;
	if (err)
		return session_fail(session, err, "%s", d.text);
	err = session_find(session, operands[1], true, &inode);
	return err ? err : btrkit_edit_truncate(session->edit, &inode, size, &session->error);
}

static const struct option_row plain_rows[] = { EDIT_ROWS };
const struct option_table edit_truncate_option_table = {
	.command = "btrkit edit truncate",
	.usage = "[options] SIZE PATH DEVICE...",
	.summary = "Cut a file off, or make it longer by a hole.",
	.rows = plain_rows,
	.nr_rows = ARRAY_LEN(plain_rows),
};
const struct edit_statement statement_truncate = { &edit_truncate_option_table, 2, false, run_truncate };

/* --- Extended attributes -------------------------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "0x" and hexadecimal digits, or the text itself. */
static int parse_value(struct edit_session *session, const char *text, u8 *buf, size_t *ret_len)
{
	size_t len = strlen(text);

	if (len / 2 > EDIT_BUF_BYTES)
		return session_fail(session, -E2BIG, "the value is too long");
	if (strncmp(text, "0x", 2) != 0) {
		memcpy(buf, text, len);
		*ret_len = len;
		return 0;
	}
	if (len % 2)
		return session_fail(session, -EINVAL, "\"%s\": an odd number of digits", text);
	for (size_t i = 2; i < len; i += 2) {
		int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return session_fail(session, -EINVAL, "\"%s\": is not hexadecimal", text);
		buf[i / 2 - 1] = (u8)(high << 4 | low);
	}
	*ret_len = len / 2 - 1;
	return 0;
}

static int run_setxattr(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct btrkit_inode inode;
	u8 *buf = session_buf(session);
	size_t len = 0;
	int err = buf ? parse_value(session, operands[1], buf, &len) : -ENOMEM;

	(void)command;
	if (!err)
		err = session_find(session, operands[2], false, &inode);
	return err ? err : btrkit_edit_set_xattr(session->edit, &inode, operands[0], buf, len, &session->error);
}

const struct option_table edit_setxattr_option_table = {
	.command = "btrkit edit setxattr",
	.usage = "[options] NAME VALUE PATH DEVICE...",
	.summary = "Set an extended attribute. VALUE is text, or 0x and hexadecimal digits.",
	.rows = plain_rows,
	.nr_rows = ARRAY_LEN(plain_rows),
};
const struct edit_statement statement_setxattr = { &edit_setxattr_option_table, 3, false, run_setxattr };

static int run_rmxattr(struct edit_session *session, const struct edit_command *command, char **operands)
{
	struct btrkit_inode inode;
	int err = session_find(session, operands[1], false, &inode);

	(void)command;
	return err ? err : btrkit_edit_remove_xattr(session->edit, &inode, operands[0], &session->error);
}

const struct option_table edit_rmxattr_option_table = {
	.command = "btrkit edit rmxattr",
	.usage = "[options] NAME PATH DEVICE...",
	.summary = "Remove an extended attribute.",
	.rows = plain_rows,
	.nr_rows = ARRAY_LEN(plain_rows),
};
const struct edit_statement statement_rmxattr = { &edit_rmxattr_option_table, 2, false, run_rmxattr };
