/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <btrkit/content.h>

#include "common/base/cleanup.h"
#include "mkfs/manifest.h"

void manifest_init(struct manifest *manifest, const char *name, char *text)
{
	*manifest = (struct manifest){ .name = name, .text = text, .at = text, .next_line = 1 };
}

void manifest_done(struct manifest *manifest)
{
	free(manifest->text);
	free(manifest->directory);
	free(manifest->path);
}

static int bad(const struct manifest *manifest, struct diag *d, const char *word, const char *what)
{
	return diag_fail(d, -EINVAL, "%s: line %u: \"%s\" %s", manifest->name, manifest->line, word, what);
}

/* --- Lines and words --------------------------------------------------------------------------------------- */

/* The next line that says something, continued lines joined; NULL: the end. */
static char *next_line(struct manifest *manifest)
{
	while (*manifest->at) {
		char *line = manifest->at, *to = line, *from = line;

		manifest->line = manifest->next_line;
		for (; *from && *from != '\n'; from++) {
			if (from[0] == '\\' && from[1] == '\n') {
				from++;
				manifest->next_line++;
				continue;
			}
			*to++ = *from;
		}
		manifest->at = *from ? from + 1 : from;
		manifest->next_line++;
		*to = '\0';
		line += strspn(line, " \t\r");
		if (*line && *line != '#')
			return line;
	}
	return NULL;
}

/* Cut the next word off; NULL: none left. */
static char *next_word(char **at)
{
	char *word = *at + strspn(*at, " \t\r");
	size_t len = strcspn(word, " \t\r");

	if (len == 0)
		return NULL;
	*at = word + len + (word[len] != '\0');
	word[len] = '\0';
	return word;
}

/* Undo the escapes of vis(3) in place: \ooo, and a letter for what is often needed. */
static int unescape(const struct manifest *manifest, char *word, struct diag *d)
{
	static const char letters[] = "abfnrtvs\\#0", bytes[] = "\a\b\f\n\r\t\v \\#";
	char *to = word;

	for (const char *from = word; *from; from++) {
		unsigned value = 0, digits = 0;
		const char *letter;

		if (*from != '\\') {
			*to++ = *from;
			continue;
		}
		for (; digits < 3 && from[1] >= '0' && from[1] <= '7'; digits++, from++)
			value = value * 8 + (unsigned)(from[1] - '0');
		letter = digits || !from[1] ? NULL : strchr(letters, from[1]);
		if (digits == 3 && value > 0 && value < 256)
			*to++ = (char)value;
		else if (letter && *letter != '0')
			*to++ = bytes[letter - letters], from++;
		else
			return bad(manifest, d, word, "has an escape that is not known");
	}
	*to = '\0';
	return 0;
}

/* --- Values ---------------------------------------------------------------------------------------------------- */

static int parse_number(const struct manifest *manifest, const char *value, int base, u64 limit, u64 *ret, struct diag *d)
{
	char *end;

	errno = 0;
	*ret = strtoull(value, &end, base);
	if (!isdigit((unsigned char)value[0]) || *end || errno || *ret > limit)
		return bad(manifest, d, value, "is not a number that can be here");
	return 0;
}

static int parse_type(const struct manifest *manifest, const char *value, u32 *ret_type, struct diag *d)
{
	static const struct {
		const char *name;
		u32 type;
	} types[] = { { "file", S_IFREG }, { "dir", S_IFDIR }, { "link", S_IFLNK }, { "char", S_IFCHR },
		      { "block", S_IFBLK }, { "fifo", S_IFIFO }, { "socket", S_IFSOCK } };

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(value, types[i].name) == 0) {
			*ret_type = types[i].type;
			return 0;
		}
	}
	return bad(manifest, d, value, "is not a type");
}

/* Seconds, which may be negative, and after a dot nanoseconds. */
static int parse_time(const struct manifest *manifest, const char *value, struct btrkit_time *ret_time, struct diag *d)
{
	char *end;
	unsigned long nsec = 0;

	errno = 0;
	ret_time->sec = strtoll(value, &end, 10);
	if (end > value && *end == '.' && isdigit((unsigned char)end[1]))
		nsec = strtoul(end + 1, &end, 10);
	if (end == value || *end || errno || nsec > 999999999)
		return bad(manifest, d, value, "is not a time");
	ret_time->nsec = (u32)nsec;
	return 0;
}

/* "native,major,minor" and the like, or one number as stat(2) gives it. */
static int parse_device(const struct manifest *manifest, const char *value, struct manifest_entry *entry, struct diag *d)
{
	_free_ char *copy = NULL;
	const char *comma = strchr(value, ',');
	char *second;
	u64 major_number, minor_number;
	int err;

	if (!comma) {
		err = parse_number(manifest, value, 0, UINT64_MAX, &major_number, d);
		entry->device_major = major((dev_t)major_number);
		entry->device_minor = minor((dev_t)major_number);
		return err;
	}
	copy = strdup(isdigit((unsigned char)value[0]) ? value : comma + 1);
	if (!copy)
		return diag_no_memory(d, manifest->name);
	second = strchr(copy, ',');
	if (!second)
		return bad(manifest, d, value, "is not a device");
	*second++ = '\0';
	err = parse_number(manifest, copy, 0, UINT32_MAX, &major_number, d);
	if (!err)
		err = parse_number(manifest, second, 0, UINT32_MAX, &minor_number, d);
	if (err)
		return err;
	entry->device_major = (u32)major_number;
	entry->device_minor = (u32)minor_number;
	return 0;
}

/* Names of chflags(1) and of chattr(1), separated by commas; "none". */
static int parse_flags(const struct manifest *manifest, char *value, u32 *ret_flags, struct diag *d)
{
	static const struct {
		const char *names;
		u32 flag;
	} known[] = {
		{ " uchg uchange uimmutable schg schange simmutable immutable ", BTRKIT_INODE_IMMUTABLE },
		{ " uappnd uappend sappnd sappend append ", BTRKIT_INODE_APPEND },
		{ " nodump ", BTRKIT_INODE_NODUMP },
		{ " noatime ", BTRKIT_INODE_NOATIME },
		{ " sync ", BTRKIT_INODE_SYNC },
		{ " dirsync ", BTRKIT_INODE_DIRSYNC },
		{ " nocompress ", BTRKIT_INODE_NOCOMPRESS },
		{ " nocow nodatacow ", BTRKIT_INODE_NODATACOW | BTRKIT_INODE_NODATASUM },
		{ " none ", 0 },
	};
	char *rest = NULL, wanted[64];

	*ret_flags = 0;
	for (char *name = strtok_r(value, ",", &rest); name; name = strtok_r(NULL, ",", &rest)) {
		size_t i = 0;

		snprintf(wanted, sizeof(wanted), " %s ", name);
		while (i < ARRAY_LEN(known) && !strstr(known[i].names, wanted))
			i++;
		if (i == ARRAY_LEN(known))
			return bad(manifest, d, name, "is not a flag that can be kept");
		*ret_flags |= known[i].flag;
	}
	return 0;
}

/* --- Keywords -------------------------------------------------------------------------------------------------- */

static const struct keyword {
	const char *name;
	unsigned field; /* 0: passed over */
	bool has_no_value;
} keywords[] = {
	{ "type", MANIFEST_TYPE, false }, { "mode", MANIFEST_MODE, false }, { "uid", MANIFEST_UID, false },
	{ "gid", MANIFEST_GID, false }, { "time", MANIFEST_TIME, false }, { "size", MANIFEST_SIZE, false },
	{ "link", MANIFEST_LINK, false }, { "contents", MANIFEST_CONTENTS, false },
	{ "content", MANIFEST_CONTENTS, false }, { "device", MANIFEST_DEVICE, false },
	{ "flags", MANIFEST_FLAGS, false }, { "optional", MANIFEST_OPTIONAL, true },
	{ "nochange", 0, true }, { "ignore", 0, true },
	/* What a copy of the tree has anyway, or what the host calls things. */
	{ "uname", 0, false }, { "gname", 0, false }, { "nlink", 0, false }, { "inode", 0, false },
	{ "resdevice", 0, false }, { "tags", 0, false }, { "cksum", 0, false }, { "md5", 0, false },
	{ "md5digest", 0, false }, { "sha1", 0, false }, { "sha1digest", 0, false }, { "sha256", 0, false },
	{ "sha256digest", 0, false }, { "sha384", 0, false }, { "sha384digest", 0, false }, { "sha512", 0, false },
	{ "sha512digest", 0, false }, { "rmd160", 0, false }, { "rmd160digest", 0, false },
	{ "ripemd160digest", 0, false },
};

static const struct keyword *find_keyword(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(keywords); i++)
		if (strcmp(keywords[i].name, name) == 0)
			return &keywords[i];
	return NULL;
}

static int store_value(const struct manifest *manifest, struct manifest_entry *entry, unsigned field, char *value,
		       struct diag *d)
{
	u64 number = 0;
	int err = 0;

	switch (field) {
	case MANIFEST_TYPE:
		return parse_type(manifest, value, &entry->type, d);
	case MANIFEST_MODE:
		err = parse_number(manifest, value, 8, 07777, &number, d);
		entry->mode = (u32)number;
		return err;
	case MANIFEST_UID:
		err = parse_number(manifest, value, 10, UINT32_MAX, &number, d);
		entry->uid = (u32)number;
		return err;
	case MANIFEST_GID:
		err = parse_number(manifest, value, 10, UINT32_MAX, &number, d);
		entry->gid = (u32)number;
		return err;
	case MANIFEST_TIME:
		return parse_time(manifest, value, &entry->time, d);
	case MANIFEST_SIZE:
		return parse_number(manifest, value, 10, INT64_MAX, &entry->size_bytes, d);
	case MANIFEST_LINK:
		entry->link = value;
		return unescape(manifest, value, d);
	case MANIFEST_CONTENTS:
		entry->contents = value;
		return unescape(manifest, value, d);
	case MANIFEST_DEVICE:
		return parse_device(manifest, value, entry, d);
	case MANIFEST_FLAGS:
		return parse_flags(manifest, value, &entry->inode_flags, d);
	default:
		return 0;
	}
}

static int take_word(const struct manifest *manifest, struct manifest_entry *entry, char *word, struct diag *d)
{
	char *value = strchr(word, '=');
	const struct keyword *keyword;
	int err;

	if (value)
		*value++ = '\0';
	keyword = find_keyword(word);
	if (!keyword)
		return bad(manifest, d, word, "is not a keyword of mtree");
	if (!value && !keyword->has_no_value)
		return bad(manifest, d, word, "needs a value");
	err = store_value(manifest, entry, keyword->field, value, d);
	entry->said |= keyword->field;
	return err;
}

static int take_words(const struct manifest *manifest, struct manifest_entry *entry, char *rest, struct diag *d)
{
	char *word;
	int err = 0;

	while (!err && (word = next_word(&rest)))
		err = take_word(manifest, entry, word, d);
	return err;
}

static int take_unset(struct manifest *manifest, char *rest, struct diag *d)
{
	char *word;

	while ((word = next_word(&rest))) {
		const struct keyword *keyword = find_keyword(word);

		if (!keyword && strcmp(word, "all") != 0)
			return bad(manifest, d, word, "is not a keyword of mtree");
		manifest->defaults.said &= keyword ? ~keyword->field : 0;
	}
	return 0;
}

/* --- Names ----------------------------------------------------------------------------------------------------- */

/* @name below @directory without "." and doubled slashes; ".." is refused. */
static int join(const struct manifest *manifest, const char *directory, const char *name, char **ret_path, struct diag *d)
{
	char *path = malloc(strlen(directory) + strlen(name) + 2), *to = path;

	if (!path)
		return diag_no_memory(d, manifest->name);
	to = stpcpy(to, directory);
	for (const char *at = name; *at;) {
		size_t len = strcspn(at, "/");

		if (len == 2 && at[0] == '.' && at[1] == '.') {
			free(path);
			return bad(manifest, d, name, "leads out of the manifest");
		}
		if (len > 0 && !(len == 1 && at[0] == '.')) {
			if (to > path)
				*to++ = '/';
			to = mempcpy(to, at, len);
		}
		at += len + (at[len] == '/');
	}
	*to = '\0';
	free(*ret_path);
	*ret_path = path;
	return 0;
}

/* A name with a slash is a whole path; others are in the directory that was entered last, and directories are entered. */
static int take_name(struct manifest *manifest, char *name, struct manifest_entry *entry, struct diag *d)
{
	bool is_whole = strchr(name, '/');
	int err = unescape(manifest, name, d);

	if (!err)
		err = join(manifest, is_whole || !manifest->directory ? "" : manifest->directory, name, &manifest->path, d);
	if (err)
		return err;
	entry->path = manifest->path;
	if (is_whole || !(entry->said & MANIFEST_TYPE) || entry->type != S_IFDIR)
		return 0;
	free(manifest->directory);
	manifest->directory = strdup(manifest->path);
	return manifest->directory ? 0 : diag_no_memory(d, manifest->name);
}

static void leave_directory(struct manifest *manifest)
{
	char *cut = manifest->directory ? strrchr(manifest->directory, '/') : NULL;

	if (cut)
		*cut = '\0';
	else if (manifest->directory)
		manifest->directory[0] = '\0';
}

int manifest_next(struct manifest *manifest, struct manifest_entry *ret_entry, struct diag *d)
{
	char *line;

	while ((line = next_line(manifest))) {
		char *name = next_word(&line);
		struct manifest_entry entry = manifest->defaults;
		int err = 0;

		if (strcmp(name, "..") == 0) {
			leave_directory(manifest);
		} else if (strcmp(name, "/set") == 0) {
			err = take_words(manifest, &manifest->defaults, line, d);
		} else if (strcmp(name, "/unset") == 0) {
			err = take_unset(manifest, line, d);
		} else {
			err = take_words(manifest, &entry, line, d);
			if (!err)
				err = take_name(manifest, name, &entry, d);
			if (!err) {
				*ret_entry = entry;
				return 1;
			}
		}
		if (err)
			return err;
	}
	return 0;
}
