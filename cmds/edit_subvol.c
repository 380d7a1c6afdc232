/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `btrkit edit subvol` and `btrkit edit label`. */
#include <errno.h>
#include <sys/stat.h>

#include "cmds/cmds.h"
#include "cmds/edit.h"
#include "cmds/resolve.h"

/* The subvolume whose top PATH is, or which has this id. */
static int find_subvol(struct edit_session *session, const char *text, u64 *ret_id)
{
	struct btrkit_inode inode;
	struct btrkit_subvol subvol;
	int err = resolve_top(session->fs, text, &inode, &session->error);

	if (!err)
		err = btrkit_subvol_get(session->fs, inode.subvol, &subvol, &session->error);
	if (!err && inode.ino != subvol.top_dir)
		err = session_fail(session, -EINVAL, "%s: is not a subvolume", text);
	if (!err)
		*ret_id = inode.subvol;
	return err;
}

static int make(struct edit_session *session, const struct edit_command *command, const char *path)
{
	struct btrkit_node_attr attr = { .mode = 0755 };
	struct edit_place place;
	u64 id;
	int mask = session_parse_owner(session, command->owner, &attr);
	int err = mask < 0 ? mask : session_parse_mode(session, command->mode, 0755, &attr.mode);

	if (!err)
		err = session_place(session, path, &place);
	if (err)
		return err;
	err = btrkit_edit_subvol_create(session->edit, &place.dir, place.name, place.name_len, &attr, &id, &session->error);
	if (!err && command->mode) {
		const struct btrkit_inode top = { id, BTRKIT_TOP_DIR };

		err = btrkit_edit_set_attr(session->edit, &top, BTRKIT_SET_MODE, &attr, &session->error);
	}
	if (!err && command->is_read_only)
		err = btrkit_edit_set_read_only(session->edit, id, true, &session->error);
	return err;
}

static int snapshot(struct edit_session *session, const struct edit_command *command, const char *from, const char *path)
{
	struct edit_place place;
	u64 source, id;
	int err = find_subvol(session, from, &source);

	if (!err)
		err = session_place_for(session, path, from, &place);
	return err ? err
		   : btrkit_edit_snapshot(session->edit, source, &place.dir, place.name, place.name_len, command->is_read_only, &id,
					  &session->error);
}

static int run_subvol(struct edit_session *session, const struct edit_command *command, char **operands)
{
	const char *action = operands[0], *path = operands[1];
	u64 id;
	int err;

	if (strcmp(action, "create") == 0)
		return make(session, command, path);
	err = find_subvol(session, path, &id);
	if (err)
		return err;
	if (strcmp(action, "delete") == 0)
		return btrkit_edit_subvol_delete(session->edit, id, &session->error);
	if (strcmp(action, "set-default") == 0)
		return btrkit_edit_set_default(session->edit, id, &session->error);
	if (strcmp(action, "set-read-only") == 0 || strcmp(action, "set-writable") == 0)
		return btrkit_edit_set_read_only(session->edit, id, strcmp(action, "set-read-only") == 0, &session->error);
	return session_fail(session, -EINVAL, "unknown action \"%s\": create, delete, set-default, set-read-only, set-writable",
			 action);
}

static const struct option_row subvol_rows[] = {
	{ 'm', "mode", "MODE", OPTION_STRING, EDIT_AT(mode), "permissions of a new one's top directory (755)", false },
	{ 'o', "owner", "UID[:GID]", OPTION_STRING, EDIT_AT(owner), "its owner, by numbers (0:0)", false },
	{ 'r', "read-only", NULL, OPTION_FLAG, EDIT_AT(is_read_only), "a new one is read-only", false },
	EDIT_ROWS,
};
const struct option_table edit_subvol_option_table = {
	.command = "btrkit edit subvol",
	.usage = "[options] create|delete|set-default|set-read-only|set-writable SUBVOL DEVICE...",
	.summary = "Make, delete or change a subvolume. SUBVOL is a path or, but for create, an id.",
	.rows = subvol_rows,
	.nr_rows = ARRAY_LEN(subvol_rows),
};
const struct edit_statement statement_subvol = { &edit_subvol_option_table, 2, false, run_subvol };

static int run_snapshot(struct edit_session *session, const struct edit_command *command, char **operands)
{
	return snapshot(session, command, operands[0], operands[1]);
}

static const struct option_row snapshot_rows[] = {
	{ 'r', "read-only", NULL, OPTION_FLAG, EDIT_AT(is_read_only), "make it read-only", false },
	EDIT_ROWS,
};
const struct option_table edit_snapshot_option_table = {
	.command = "btrkit edit snapshot",
	.usage = "[options] SUBVOL PATH DEVICE...",
	.summary = "Make a snapshot of a subvolume, which is named by its path or id.",
	.rows = snapshot_rows,
	.nr_rows = ARRAY_LEN(snapshot_rows),
};
const struct edit_statement statement_snapshot = { &edit_snapshot_option_table, 2, false, run_snapshot };

static int run_label(struct edit_session *session, const struct edit_command *command, char **operands)
{
	(void)command;
	return btrkit_edit_set_label(session->edit, operands[0], &session->error);
}

static const struct option_row plain_rows[] = { EDIT_ROWS };
const struct option_table edit_label_option_table = {
	.command = "btrkit edit label",
	.usage = "[options] LABEL DEVICE...",
	.summary = "Set the label of the filesystem.",
	.rows = plain_rows,
	.nr_rows = ARRAY_LEN(plain_rows),
};
const struct edit_statement statement_label = { &edit_label_option_table, 1, false, run_label };
