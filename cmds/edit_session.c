/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What statements have in common: places, modes, owners, dates, walks. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include "cmds/edit.h"
#include "cmds/resolve.h"
#include "common/base/array.h"
#include "common/base/cleanup.h"

#define DEPTH_MAX 2000

int session_fail(struct edit_session *session, int err, const char *format, ...)
{
	va_list args;

	session->error.err = err;
	va_start(args, format);
	vsnprintf(session->error.text, sizeof(session->error.text), format, args);
	va_end(args);
	return err;
}

u8 *session_buf(struct edit_session *session)
{
	if (!session->buf)
		session->buf = malloc(EDIT_BUF_BYTES);
	if (!session->buf)
		session_fail(session, -ENOMEM, "out of memory");
	return session->buf;
}

/* --- Places --------------------------------------------------------------------------------------------------------------- */

int session_find(struct edit_session *session, const char *path, bool do_follow, struct btrkit_inode *ret_inode)
{
	return resolve_path(session->fs, &session->top, path, do_follow, ret_inode, &session->error);
}

int session_place_in(struct edit_session *session, const struct btrkit_inode *dir, const char *name, size_t name_len,
		  struct edit_place *ret_place)
{
	int err;

	*ret_place = (struct edit_place){ .dir = *dir, .name = name, .name_len = name_len };
	err = btrkit_lookup_name(session->fs, dir, name, name_len, &ret_place->inode, &session->error);
	if (err == -ENOENT)
		return 0;
	if (!err)
		err = btrkit_stat(session->fs, &ret_place->inode, &ret_place->stat, &session->error);
	ret_place->has_inode = !err;
	ret_place->is_subvol = !err && ret_place->inode.subvol != dir->subvol;
	return err;
}

int session_place(struct edit_session *session, const char *path, struct edit_place *ret_place)
{
	size_t end = strlen(path), start;
	char parent[PATH_MAX];
	struct btrkit_inode dir;
	int err;

	while (end > 0 && path[end - 1] == '/')
		end--;
	for (start = end; start > 0 && path[start - 1] != '/';)
		start--;
	if (start == end)
		return session_fail(session, -EINVAL, "\"%s\" names no file", path);
	if (start >= sizeof(parent))
		return session_fail(session, -ENAMETOOLONG, "the path is too long");
	memcpy(parent, path, start);
	parent[start] = '\0';
	err = session_find(session, parent, true, &dir);
	return err ? err : session_place_in(session, &dir, path + start, end - start, ret_place);
}

int session_place_for(struct edit_session *session, const char *path, const char *source, struct edit_place *ret_place)
{
	size_t end = strlen(source), start;
	struct btrkit_inode inode;
	struct btrkit_stat stat;

	while (end > 0 && source[end - 1] == '/')
		end--;
	for (start = end; start > 0 && source[start - 1] != '/';)
		start--;
	if (start < end && session_find(session, path, true, &inode) == 0 &&
	    btrkit_stat(session->fs, &inode, &stat, &session->error) == 0 && S_ISDIR(stat.mode))
		return session_place_in(session, &inode, source + start, end - start, ret_place);
	return session_place(session, path, ret_place);
}

/* --- Values --------------------------------------------------------------------------------------------------------------- */

int session_parse_mode(struct edit_session *session, const char *text, u32 preset, u32 *ret_mode)
{
	char *end;
	unsigned long mode;

	*ret_mode = preset;
	if (!text)
		return 0;
	errno = 0;
	mode = strtoul(text, &end, 8);
	if (end == text || *end || mode > 07777 || text[0] < '0' || text[0] > '7')
		return session_fail(session, -EINVAL, "\"%s\" is no mode: up to four octal digits", text);
	*ret_mode = (preset & ~(u32)07777) | (u32)mode;
	return 0;
}

static bool parse_id(const char *text, size_t len, u32 *ret_id)
{
	u64 id = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || i >= 10)
			return false;
		id = id * 10 + (u64)(text[i] - '0');
	}
	*ret_id = (u32)id;
	return len > 0 && id < UINT32_MAX;
}

int session_parse_owner(struct edit_session *session, const char *text, struct btrkit_node_attr *attr)
{
	size_t len = text ? strcspn(text, ":") : 0;
	int mask = 0;

	if (!text)
		return 0;
	if (len) {
		if (!parse_id(text, len, &attr->uid))
			return session_fail(session, -EINVAL, "\"%s\" is no owner: UID, UID:GID or :GID, in numbers", text);
		mask |= BTRKIT_SET_UID;
	}
	if (text[len] == ':') {
		if (!parse_id(text + len + 1, strlen(text + len + 1), &attr->gid))
			return session_fail(session, -EINVAL, "\"%s\" is no owner: UID, UID:GID or :GID, in numbers", text);
		mask |= BTRKIT_SET_GID;
	}
	return mask ? mask : session_fail(session, -EINVAL, "\"%s\" is no owner", text);
}

static bool parse_seconds(const char *text, struct btrkit_time *ret_time)
{
	char *end;
	u32 nsec = 0, unit = 100000000;
	long long sec;

	errno = 0;
	sec = strtoll(text, &end, 10);
	if (end == text || errno)
		return false;
	if (*end == '.')
		for (end++; *end >= '0' && *end <= '9' && unit; end++, unit /= 10)
			nsec += (u32)(*end - '0') * unit;
	*ret_time = (struct btrkit_time){ sec, nsec };
	return *end == '\0';
}

int session_now(struct edit_session *session, struct btrkit_time *ret_time, bool *ret_is_fixed)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	struct timespec now;

	*ret_is_fixed = epoch && *epoch;
	if (!*ret_is_fixed) {
		clock_gettime(CLOCK_REALTIME, &now);
		*ret_time = (struct btrkit_time){ now.tv_sec, (u32)now.tv_nsec };
		return 0;
	}
	if (!parse_seconds(epoch, ret_time) || ret_time->nsec)
		return session_fail(session, -EINVAL, "SOURCE_DATE_EPOCH=%s is not a number", epoch);
	return 0;
}

int session_parse_date(struct edit_session *session, const char *text, struct btrkit_time *ret_time)
{
	static const char *const formats[] = { "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%d %H:%M", "%Y-%m-%d" };
	bool is_fixed;

	if (!text)
		return session_now(session, ret_time, &is_fixed);
	if (text[0] == '@' && parse_seconds(text + 1, ret_time))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(formats); i++) {
		struct tm tm = { 0 };
		const char *end = strptime(text, formats[i], &tm);

		if (!end || *end)
			continue;
		*ret_time = (struct btrkit_time){ .sec = timegm(&tm) };
		return 0;
	}
	return session_fail(session, -EINVAL, "\"%s\" is no date: @SECONDS or YYYY-MM-DD HH:MM:SS, in UTC", text);
}

/* --- Walks ---------------------------------------------------------------------------------------------------------------- */

struct names {
	ARRAY(char *) list; /* owned; a NUL ends each, for none can be in a name */
};

static void names_done(struct names *names)
{
	array_for_each(&names->list, name)
		free(*name);
	array_done(&names->list);
}

static int read_names(struct edit_session *session, const struct btrkit_inode *dir, struct names *names)
{
	struct btrkit_dir_entry entry;
	struct btrkit_dir *open;
	int err = btrkit_dir_open(session->fs, dir, &open, &session->error);

	if (err)
		return err;
	while ((err = btrkit_dir_next(open, &entry, &session->error)) == 0) {
		char *name = strdup(entry.name);

		if (name && array_push(&names->list, name) == 0)
			continue;
		free(name);
		err = session_fail(session, -ENOMEM, "out of memory");
		break;
	}
	btrkit_dir_close(open);
	return err < 0 ? err : 0;
}

int session_each_entry(struct edit_session *session, const struct btrkit_inode *dir, edit_entry_fn fn, void *arg)
{
	_cleanup_(names_done) struct names names = { 0 };
	int err = read_names(session, dir, &names);

	for (size_t i = 0; i < names.list.len && !err; i++) {
		struct edit_place place;

		err = session_place_in(session, dir, names.list.items[i], strlen(names.list.items[i]), &place);
		if (!err)
			err = fn(session, &place, arg);
	}
	return err;
}

struct walk {
	edit_inode_fn fn;
	void *arg;
	unsigned depth;
};

static int walk_entry(struct edit_session *session, const struct edit_place *place, void *arg)
{
	struct walk *walk = arg;
	int err;

	if (place->is_subvol || place->inode.ino == BTRKIT_EMPTY_DIR)
		return 0;
	if (walk->depth == DEPTH_MAX)
		return session_fail(session, -ELOOP, "directories lie too deep in each other");
	walk->depth++;
	err = walk->fn(session, &place->inode, walk->arg);
	if (!err && S_ISDIR(place->stat.mode))
		err = session_each_entry(session, &place->inode, walk_entry, walk);
	walk->depth--;
	return err;
}

int session_each_inode(struct edit_session *session, const struct btrkit_inode *inode, bool is_recursive, edit_inode_fn fn,
		    void *arg)
{
	struct walk walk = { fn, arg, 0 };
	struct btrkit_stat stat;
	int err = btrkit_stat(session->fs, inode, &stat, &session->error);

	if (!err)
		err = fn(session, inode, arg);
	if (err || !is_recursive || !S_ISDIR(stat.mode))
		return err;
	return session_each_entry(session, inode, walk_entry, &walk);
}
