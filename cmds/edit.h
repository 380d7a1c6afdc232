/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `btrkit edit`: each command is a statement with a fixed number of operands, run in a session, which is one transaction. A
 * batch is a session with the statements of a file.
 */
#ifndef BTRKIT_CMDS_EDIT_H
#define BTRKIT_CMDS_EDIT_H

#include <btrkit/btrkit.h>

#include "cmds/open.h"

/* The options of all statements; each has some of them. */
struct edit_command {
	struct open_command open;
	const char *subvol, *mode, *owner, *date, *device, *offset;
	bool is_dry_run, is_forced, is_recursive, is_read_only, is_exchange, is_no_replace, do_make_parents;
};

struct edit_session {
	struct btrkit_fs *fs;
	struct btrkit_edit *edit; /* NULL: the filesystem is open for reading */
	struct btrkit_inode top; /* that paths begin from */
	struct btrkit_error error;
	u8 *buf; /* EDIT_BUF_BYTES; from session_buf() */
};
#define EDIT_BUF_BYTES ((size_t)16 * MIB)

struct edit_statement {
	const struct option_table *table; /* its command is "btrkit edit NAME" */
	unsigned nr_operands;
	bool is_reading; /* changes nothing */
	/* 0, or a negative errno with the reason in session->error. */
	int (*run)(struct edit_session *session, const struct edit_command *command, char **operands);
};

extern const struct edit_statement statement_chmod, statement_chown, statement_cp, statement_get, statement_label, statement_ln;
extern const struct edit_statement statement_mkdir, statement_mknod, statement_mv, statement_put, statement_rm, statement_rmdir;
extern const struct edit_statement statement_rmxattr, statement_setxattr, statement_snapshot, statement_subvol;
extern const struct edit_statement statement_symlink, statement_touch;
extern const struct edit_statement statement_truncate;

/* Rows that every statement has: AT() is offsetof(struct edit_command, member). */
#define EDIT_AT(member) offsetof(struct edit_command, member)
#define EDIT_ROWS                                                                                                        \
	{ 0, "subvol", "SUBVOL", OPTION_STRING, EDIT_AT(subvol),                                                         \
	  "paths begin in this subvolume: an id, a path, or default", false },                                           \
	{ 'f', "force", NULL, OPTION_FLAG, EDIT_AT(is_forced), "change read-only subvolumes, too", false },              \
	{ 'n', "dry-run", NULL, OPTION_FLAG, EDIT_AT(is_dry_run), "do all of it, but write nothing to the devices", false }, \
	EDIT_OPEN_ROWS
#define EDIT_OPEN_ROWS                                                                                                   \
	{ 0, NULL, NULL, OPTION_HEADING, 0, "Finding the filesystem", false },                                           \
	{ 0, "scan", "DIR", OPTION_STRING, OPEN_OPTION(struct edit_command, open, scan_dir),                             \
	  "look for further devices among the files of DIR", false },                                                    \
	{ 0, "no-scan", NULL, OPTION_FLAG, OPEN_OPTION(struct edit_command, open, no_scan),                              \
	  "do not look for further devices on this host", false },                                                       \
	{ 0, "offset", "BYTES", OPTION_SIZE, OPEN_OPTION(struct edit_command, open, offset_bytes),                       \
	  "the filesystem begins so far within the image", false }

/* --- For statements (edit_session.c) ------------------------------------------------------------------------------------ */

/* Set session->error; returns @err. */
__attribute__((format(printf, 3, 4))) int session_fail(struct edit_session *session, int err, const char *format, ...);
/* The buffer, or NULL with session->error set. */
u8 *session_buf(struct edit_session *session);

/* What @path names; symbolic links on the way are followed, the last one too if @do_follow. */
int session_find(struct edit_session *session, const char *path, bool do_follow, struct btrkit_inode *ret_inode);
/* The directory that @path's last name is in, and that name. */
struct edit_place {
	struct btrkit_inode dir;
	const char *name; /* in the path */
	size_t name_len;
	bool has_inode; /* there is something of that name */
	struct btrkit_inode inode;
	struct btrkit_stat stat; /* of that */
	bool is_subvol; /* that is a subvolume's top directory */
};
int session_place(struct edit_session *session, const char *path, struct edit_place *ret_place);
/* As cp(1) does it: where @path is a directory, the place in it with the last name of @source. */
int session_place_for(struct edit_session *session, const char *path, const char *source, struct edit_place *ret_place);
/* Look for @name in @dir. */
int session_place_in(struct edit_session *session, const struct btrkit_inode *dir, const char *name, size_t name_len,
		  struct edit_place *ret_place);

/*
 * A new inode for somebody whose umask is 022. @attr->mode is what the umask leaves. @exact: BTRKIT_SET_MODE and BTRKIT_SET_GID
 * bits of what was asked for by name, and so is not for the directory to decide.
 */
int session_create(struct edit_session *session, const struct edit_place *place, const struct btrkit_node_attr *attr,
		   unsigned exact, struct btrkit_inode *ret_inode);
/* A new inode that is a copy has nobody's ACL, and the owner and mode of what was copied. */
int session_make_exact(struct edit_session *session, const struct btrkit_inode *inode, const struct btrkit_node_attr *attr);
/* An attribute of what was copied; not the compression of a file that, where it is now, cannot have one. */
int session_copy_xattr(struct edit_session *session, const struct btrkit_inode *inode, const char *name, const void *value,
		       size_t value_len);

/* "644" with @type's bits. NULL: @preset. */
int session_parse_mode(struct edit_session *session, const char *text, u32 preset, u32 *ret_mode);
/* "UID", "UID:GID", ":GID" into @attr; returns the BTRKIT_SET_* bits, or a negative errno. NULL: none. */
int session_parse_owner(struct edit_session *session, const char *text, struct btrkit_node_attr *attr);
/* The time of day, or what SOURCE_DATE_EPOCH says it is. */
int session_now(struct edit_session *session, struct btrkit_time *ret_time, bool *ret_is_fixed);
/* "@SECONDS[.FRACTION]" or "YYYY-MM-DD[ HH:MM[:SS]]" in UTC. NULL: now. */
int session_parse_date(struct edit_session *session, const char *text, struct btrkit_time *ret_time);

/* Call @fn for each entry of a directory, which it may remove or change. Another result than 0 ends it. */
typedef int (*edit_entry_fn)(struct edit_session *session, const struct edit_place *place, void *arg);
int session_each_entry(struct edit_session *session, const struct btrkit_inode *dir, edit_entry_fn fn, void *arg);
/* Call @fn for @inode and all that is below it, but for what is in other subvolumes. */
typedef int (*edit_inode_fn)(struct edit_session *session, const struct btrkit_inode *inode, void *arg);
int session_each_inode(struct edit_session *session, const struct btrkit_inode *inode, bool is_recursive, edit_inode_fn fn,
		    void *arg);

#endif
