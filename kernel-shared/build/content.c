/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names: adding, finding, replacing and taking away. */
#include <stdio.h>
#include <sys/stat.h>

#include "common/csum/csum.h"
#include "kernel-shared/build/content.h"

#define SLOTS_MIN 1024

int content_error(struct btrkit_error *error, const struct diag *d)
{
	if (error) {
		error->err = d->err;
		memcpy(error->text, d->text, sizeof(error->text));
	}
	return d->err;
}

__attribute__((format(printf, 3, 4))) static int fail(struct btrkit_error *error, int err, const char *format, ...)
{
	va_list args;

	if (!error)
		return err;
	error->err = err;
	va_start(args, format);
	vsnprintf(error->text, sizeof(error->text), format, args);
	va_end(args);
	return err;
}

static int no_memory(struct btrkit_error *error)
{
	return fail(error, -ENOMEM, "out of memory for the table of files");
}

int content_store_bytes(struct btrkit_content *content, const void *from, size_t len, u64 *ret_offset)
{
	/* What is to be stored may be a name that was handed out from here: it moves with the rest. */
	uintptr_t within = (uintptr_t)from - (uintptr_t)content->bytes.items;
	bool is_own = content->bytes.items && (uintptr_t)from >= (uintptr_t)content->bytes.items &&
		      within < content->bytes.len;
	int err = array_reserve(&content->bytes, len);

	if (err)
		return err;
	if (len)
		memcpy(content->bytes.items + content->bytes.len, is_own ? content->bytes.items + within : from, len);
	*ret_offset = content->bytes.len;
	content->bytes.len += len;
	return 0;
}

static u32 hash_of_name(u32 parent, const char *name, size_t len)
{
	return crc32c_update(parent * 2654435761U, name, len);
}

static u64 name_slot_start(u32 hash, u64 mask)
{
	return (hash * 0x9E3779B97F4A7C15ULL >> 20) & mask;
}

/* The slot that holds (parent, name), or the empty one where it belongs. */
static struct content_name_slot *find_name_slot(const struct btrkit_content *content, u32 hash, u32 parent,
						const char *name, size_t len)
{
	u64 at = name_slot_start(hash, content->name_slots_mask);

	for (;; at = (at + 1) & content->name_slots_mask) {
		struct content_name_slot *slot = &content->name_slots[at];
		const struct content_dirent *dirent;

		if (slot->dirent == 0)
			return slot;
		if (slot->hash != hash)
			continue;
		dirent = &content->dirents.items[slot->dirent - 1];
		if (dirent->parent == parent && dirent->name_len == len &&
		    memcmp(dirent_name(content, dirent), name, len) == 0)
			return slot;
	}
}

static int grow_name_slots(struct btrkit_content *content)
{
	u64 old_mask = content->name_slots_mask, mask = old_mask * 2 + 1;
	struct content_name_slot *slots;

	if (content->dirents.len * 4 < (old_mask + 1) * 3)
		return 0;
	slots = calloc(mask + 1, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	for (u64 i = 0; i <= old_mask; i++) {
		const struct content_name_slot *from = &content->name_slots[i];
		u64 at = name_slot_start(from->hash, mask);

		if (from->dirent == 0)
			continue;
		while (slots[at].dirent != 0)
			at = (at + 1) & mask;
		slots[at] = *from;
	}
	free(content->name_slots);
	content->name_slots = slots;
	content->name_slots_mask = mask;
	return 0;
}

static void set_attr(struct content_node *node, const struct btrkit_node_attr *attr)
{
	node->mode = attr->mode;
	node->uid = attr->uid;
	node->gid = attr->gid;
	node->mtime_sec = attr->mtime.sec;
	node->mtime_nsec = attr->mtime.nsec;
	node->atime_sec = attr->atime.sec;
	node->atime_nsec = attr->atime.nsec;
	node->ctime_sec = attr->ctime.sec;
	node->ctime_nsec = attr->ctime.nsec;
}

struct content_rare *content_rare_make(struct btrkit_content *content, u32 node)
{
	struct content_node *at = &content->nodes.items[node];

	if (at->rare == CONTENT_NONE) {
		if (array_push(&content->rare, (struct content_rare){ .node = node }) < 0)
			return NULL;
		at->rare = (u32)content->rare.len - 1;
	}
	return &content->rare.items[at->rare];
}

u32 content_inode_flags(const struct btrkit_content *content, const struct content_node *node)
{
	const struct content_rare *rare = content_rare(content, node);

	return rare ? rare->inode_flags : 0;
}

static bool mode_is_valid(u32 mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return (mode & ~(u32)(S_IFMT | 07777)) == 0;
	default:
		return false;
	}
}

static int store_rare_attr(struct btrkit_content *content, u32 node, const struct btrkit_node_attr *attr,
			   struct btrkit_error *error)
{
	struct content_rare *rare;

	if (!attr->rdev_major && !attr->rdev_minor && !attr->inode_flags &&
	    content->nodes.items[node].rare == CONTENT_NONE)
		return 0;
	rare = content_rare_make(content, node);
	if (!rare)
		return no_memory(error);
	rare->rdev_major = attr->rdev_major;
	rare->rdev_minor = attr->rdev_minor;
	rare->inode_flags = attr->inode_flags;
	return 0;
}

static int new_node(struct btrkit_content *content, const struct btrkit_node_attr *attr, u32 *ret_node,
		    struct btrkit_error *error)
{
	struct content_node node = {
		.xattrs = CONTENT_NONE,
		.rare = CONTENT_NONE,
		.dirent = CONTENT_NONE,
		.ino = CONTENT_NONE,
	};
	int err;

	if (content->nodes.len >= CONTENT_NONE - 1)
		return fail(error, -EOVERFLOW, "more than 2^32 files");
	set_attr(&node, attr);
	if (array_push(&content->nodes, node) < 0)
		return no_memory(error);
	err = store_rare_attr(content, (u32)content->nodes.len - 1, attr, error);
	if (err) {
		content->nodes.len--;
		return err;
	}
	*ret_node = (u32)content->nodes.len - 1;
	return 0;
}

/* --- Without looking for what is there ---------------------------------------- */

static int set_otime(struct btrkit_content *content, u32 node, const struct btrkit_time *otime)
{
	if (!otime)
		return 0;
	if (array_reserve(&content->otimes, node + 1 - MIN((size_t)node, content->otimes.len)) < 0)
		return -ENOMEM;
	while (content->otimes.len <= node)
		content->otimes.items[content->otimes.len++] = (struct btrkit_time){ 0 };
	content->otimes.items[node] = *otime;
	return 0;
}

int content_add_node(struct btrkit_content *content, const struct btrkit_node_attr *attr,
		     const struct btrkit_time *otime, u32 *ret_node, struct diag *d)
{
	struct btrkit_error error = { 0 };

	if (new_node(content, attr, ret_node, &error) < 0 || set_otime(content, *ret_node, otime) < 0)
		return error.err ? diag_fail(d, error.err, "%s", error.text) : diag_no_memory(d, "files");
	return 0;
}

int content_set_node(struct btrkit_content *content, u32 node, const struct btrkit_node_attr *attr,
		     const struct btrkit_time *otime, struct diag *d)
{
	set_attr(&content->nodes.items[node], attr);
	if (store_rare_attr(content, node, attr, NULL) < 0 || set_otime(content, node, otime) < 0)
		return diag_no_memory(d, "files");
	return 0;
}

int content_add_name(struct btrkit_content *content, u32 parent, const char *name, size_t len, u32 node, struct diag *d)
{
	struct content_dirent dirent = { .parent = parent, .node = node, .name_len = (u8)len };
	u64 offset;

	if (content->dirents.len >= CONTENT_NONE - 1)
		return diag_fail(d, -EOVERFLOW, "more than 2^32 names");
	if (content_store_bytes(content, name, len, &offset) < 0)
		return diag_no_memory(d, "names");
	dirent.name_low = (u32)offset;
	dirent.name_high = (u8)(offset >> 32);
	if (content->nodes.items[node].dirent == CONTENT_NONE)
		content->nodes.items[node].dirent = (u32)content->dirents.len;
	return array_push(&content->dirents, dirent) < 0 ? diag_no_memory(d, "names") : 0;
}

int btrkit_content_new(struct btrkit_content **ret_content)
{
	const struct btrkit_node_attr top = { .mode = S_IFDIR | 0755 };
	struct btrkit_content *content = calloc(1, sizeof(*content));
	u32 node;

	if (!content)
		return -ENOMEM;
	content->spool_fd = -1;
	content->name_slots = calloc(SLOTS_MIN, sizeof(*content->name_slots));
	content->xattr_slots = calloc(SLOTS_MIN, sizeof(u32));
	content->name_slots_mask = content->xattr_slots_mask = SLOTS_MIN - 1;
	if (!content->name_slots || !content->xattr_slots || new_node(content, &top, &node, NULL) < 0) {
		btrkit_content_free(content);
		return -ENOMEM;
	}
	*ret_content = content;
	return 0;
}

void btrkit_content_free(struct btrkit_content *content)
{
	if (!content)
		return;
	array_done(&content->nodes);
	array_done(&content->dirents);
	array_done(&content->rare);
	array_done(&content->bytes);
	array_done(&content->xattrs);
	array_done(&content->xattr_links);
	array_done(&content->ranges);
	array_done(&content->sources);
	array_done(&content->otimes);
	array_done(&content->subvols);
	array_done(&content->extents);
	free(content->name_slots);
	free(content->xattr_slots);
	free(content->order);
	free(content->sequence);
	free(content->links);
	closep(&content->spool_fd);
	free(content);
}

static int check_name(const struct btrkit_content *content, btrkit_node parent, const char *name, size_t len,
		      struct btrkit_error *error)
{
	if (content->is_finished)
		return fail(error, -EINVAL, "the content was already written");
	if (parent >= content->nodes.len)
		return fail(error, -EINVAL, "no such directory node: %u", parent);
	if (!S_ISDIR(content->nodes.items[parent].mode))
		return fail(error, -ENOTDIR, "\"%.*s\": its parent is not a directory", (int)MIN(len, (size_t)255), name);
	if (len > NAME_LEN_MAX)
		return fail(error, -ENAMETOOLONG, "\"%.40s...\": name of %zu bytes, limit 255", name, len);
	if (len == 0 || memchr(name, '/', len) || memchr(name, 0, len) || (len == 1 && name[0] == '.') ||
	    (len == 2 && name[0] == '.' && name[1] == '.'))
		return fail(error, -EINVAL, "\"%.*s\": not a possible name", (int)len, name);
	return 0;
}

/* The dirent of (parent, name), made with no node if there was none. */
static int make_dirent(struct btrkit_content *content, u32 parent, const char *name, size_t len, u32 *ret_dirent,
		       struct btrkit_error *error)
{
	struct content_dirent dirent = { .parent = parent, .node = CONTENT_NONE, .name_len = (u8)len };
	u32 hash = hash_of_name(parent, name, len);
	struct content_name_slot *slot;
	u64 offset = 0;

	if (grow_name_slots(content) < 0)
		return no_memory(error);
	slot = find_name_slot(content, hash, parent, name, len);
	if (slot->dirent == 0) {
		if (content->dirents.len >= CONTENT_NONE - 1)
			return fail(error, -EOVERFLOW, "more than 2^32 names");
		if (content_store_bytes(content, name, len, &offset) < 0)
			return no_memory(error);
		dirent.name_low = (u32)offset;
		dirent.name_high = (u8)(offset >> 32);
		if (array_push(&content->dirents, dirent) < 0)
			return no_memory(error);
		*slot = (struct content_name_slot){ (u32)content->dirents.len, hash };
	}
	*ret_dirent = slot->dirent - 1;
	return 0;
}

int btrkit_content_add(struct btrkit_content *content, btrkit_node parent, const char *name, size_t name_len,
		       const struct btrkit_node_attr *attr, btrkit_node *ret_node, struct btrkit_error *error)
{
	int err = check_name(content, parent, name, name_len, error);
	u32 dirent, old, node;

	if (err)
		return err;
	if (!mode_is_valid(attr->mode))
		return fail(error, -EINVAL, "\"%.*s\": impossible mode 0%o", (int)name_len, name, attr->mode);
	err = make_dirent(content, parent, name, name_len, &dirent, error);
	if (err)
		return err;
	old = content->dirents.items[dirent].node;
	if (old != CONTENT_NONE && S_ISDIR(attr->mode) && S_ISDIR(content->nodes.items[old].mode)) {
		err = btrkit_content_set_attr(content, old, attr, error);
		if (!err)
			*ret_node = old;
		return err;
	}
	err = new_node(content, attr, &node, error);
	if (err)
		return err;
	content->nodes.items[node].dirent = dirent;
	content->dirents.items[dirent].node = node; /* what was there can no longer be reached */
	*ret_node = node;
	return 0;
}

int btrkit_content_link(struct btrkit_content *content, btrkit_node parent, const char *name, size_t name_len,
			btrkit_node node, struct btrkit_error *error)
{
	int err = check_name(content, parent, name, name_len, error);
	u32 dirent;

	if (err)
		return err;
	if (node >= content->nodes.len)
		return fail(error, -EINVAL, "\"%.*s\": hard link to nothing", (int)name_len, name);
	if (S_ISDIR(content->nodes.items[node].mode))
		return fail(error, -EISDIR, "\"%.*s\": hard link to a directory", (int)name_len, name);
	err = make_dirent(content, parent, name, name_len, &dirent, error);
	if (!err)
		content->dirents.items[dirent].node = node;
	return err;
}

int btrkit_content_remove(struct btrkit_content *content, btrkit_node parent, const char *name, size_t name_len,
			  struct btrkit_error *error)
{
	int err = check_name(content, parent, name, name_len, error);
	const struct content_name_slot *slot;

	if (err)
		return err;
	slot = find_name_slot(content, hash_of_name(parent, name, name_len), parent, name, name_len);
	if (slot->dirent == 0 || content->dirents.items[slot->dirent - 1].node == CONTENT_NONE)
		return fail(error, -ENOENT, "\"%.*s\": not there", (int)name_len, name);
	content->dirents.items[slot->dirent - 1].node = CONTENT_NONE;
	return 0;
}

int btrkit_content_lookup(const struct btrkit_content *content, btrkit_node parent, const char *name,
			  size_t name_len, btrkit_node *ret_node)
{
	const struct content_name_slot *slot;

	if (!content->name_slots || name_len > NAME_LEN_MAX)
		return -ENOENT;
	slot = find_name_slot(content, hash_of_name(parent, name, name_len), parent, name, name_len);
	if (slot->dirent == 0 || content->dirents.items[slot->dirent - 1].node == CONTENT_NONE)
		return -ENOENT;
	*ret_node = content->dirents.items[slot->dirent - 1].node;
	return 0;
}

void btrkit_content_get_attr(const struct btrkit_content *content, btrkit_node node, struct btrkit_node_attr *ret_attr)
{
	const struct content_node *at = &content->nodes.items[node];
	const struct content_rare *rare = content_rare(content, at);

	*ret_attr = (struct btrkit_node_attr){
		.mode = at->mode,
		.uid = at->uid,
		.gid = at->gid,
		.mtime = { at->mtime_sec, at->mtime_nsec },
		.atime = { at->atime_sec, at->atime_nsec },
		.ctime = { at->ctime_sec, at->ctime_nsec },
	};
	if (rare) {
		ret_attr->rdev_major = rare->rdev_major;
		ret_attr->rdev_minor = rare->rdev_minor;
		ret_attr->inode_flags = rare->inode_flags;
	}
}

int btrkit_content_set_attr(struct btrkit_content *content, btrkit_node node, const struct btrkit_node_attr *attr,
			    struct btrkit_error *error)
{
	struct content_node *at = &content->nodes.items[node];

	if (!mode_is_valid(attr->mode) || (attr->mode & S_IFMT) != (at->mode & S_IFMT))
		return fail(error, -EINVAL, "a node's file type cannot change (mode 0%o)", attr->mode);
	set_attr(at, attr);
	return store_rare_attr(content, node, attr, error);
}

btrkit_node btrkit_content_parent(const struct btrkit_content *content, btrkit_node node, const char **ret_name,
				  size_t *ret_name_len)
{
	const struct content_node *at = &content->nodes.items[node];
	const struct content_dirent *dirent;
	u32 place = at->dirent;

	if (place == CONTENT_NONE) {
		*ret_name = "";
		*ret_name_len = 0;
		return BTRKIT_TOP_NODE;
	}
	if (content->is_finished)
		place = content->order[at->nlink > 1 && !S_ISDIR(at->mode) ? content->links[place] : place];
	dirent = &content->dirents.items[place];
	*ret_name = dirent_name(content, dirent);
	*ret_name_len = dirent->name_len;
	return dirent->parent;
}

size_t btrkit_content_path(const struct btrkit_content *content, btrkit_node node, char *buf, size_t cap)
{
	size_t len = 0, at;
	const char *name;
	size_t name_len, depth = 0;

	/* A damaged source may have directories that lie in each other: no path is longer than there are nodes. */
	for (u32 n = node; n != BTRKIT_TOP_NODE && depth < content->nodes.len; depth++) {
		n = btrkit_content_parent(content, n, &name, &name_len);
		len += name_len + (len > 0);
	}
	if (cap == 0)
		return len;
	at = len;
	buf[MIN(len, cap - 1)] = '\0';
	for (u32 n = node; depth > 0; depth--) {
		n = btrkit_content_parent(content, n, &name, &name_len);
		for (size_t i = name_len; i-- > 0;)
			if (--at < cap - 1)
				buf[at] = name[i];
		if (at > 0 && --at < cap - 1)
			buf[at] = '/';
	}
	return len;
}

uint64_t btrkit_content_nr_nodes(const struct btrkit_content *content)
{
	return content->nodes.len;
}
