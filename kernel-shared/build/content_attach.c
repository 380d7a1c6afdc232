/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What hangs on a node: link targets, xattrs, data, being a subvolume. */
#include <stdio.h>
#include <sys/stat.h>

#include "kernel-shared/build/content.h"
#include "kernel-shared/format/name_hash.h"

#define XATTR_NAME_MAX 255
#define XATTR_VALUE_MAX 65535
#define SYMLINK_MAX 4095

__attribute__((format(printf, 5, 6))) static int fail_at(const struct btrkit_content *content, u32 node,
							  struct btrkit_error *error, int err, const char *format, ...)
{
	char path[512];
	va_list args;
	int used;

	if (!error)
		return err;
	btrkit_content_path(content, node, path, sizeof(path));
	error->err = err;
	used = snprintf(error->text, sizeof(error->text), "/%s: ", path);
	va_start(args, format);
	vsnprintf(error->text + used, sizeof(error->text) - (size_t)used, format, args);
	va_end(args);
	return err;
}

static int check_node(const struct btrkit_content *content, u32 node, u32 type, const char *what,
		      struct btrkit_error *error)
{
	if (content->is_finished || node >= content->nodes.len)
		return fail_at(content, BTRKIT_TOP_NODE, error, -EINVAL, "no such node, or already written");
	if (type && (content->nodes.items[node].mode & S_IFMT) != type)
		return fail_at(content, node, error, -EINVAL, "not a %s", what);
	return 0;
}

int btrkit_content_set_symlink(struct btrkit_content *content, btrkit_node node, const char *target,
			       size_t target_len, struct btrkit_error *error)
{
	int err = check_node(content, node, S_IFLNK, "symbolic link", error);
	u64 offset;

	if (err)
		return err;
	if (target_len == 0 || target_len > SYMLINK_MAX || memchr(target, 0, target_len))
		return fail_at(content, node, error, -EINVAL, "impossible link target of %zu bytes", target_len);
	if (content_store_bytes(content, target, target_len, &offset) < 0)
		return fail_at(content, node, error, -ENOMEM, "out of memory");
	content->nodes.items[node].data = offset;
	content->nodes.items[node].size = target_len;
	content->nodes.items[node].data_kind = CONTENT_DATA_COPY;
	return 0;
}

static u64 xattr_hash(const void *name, size_t name_len, const void *value, size_t value_len)
{
	return ((u64)crc32c_update(7, name, name_len) << 32 | crc32c_update(9, value, value_len)) *
	       0x9E3779B97F4A7C15ULL;
}

static u32 *find_xattr_slot(const struct btrkit_content *content, const void *name, size_t name_len,
			    const void *value, size_t value_len)
{
	u64 at = xattr_hash(name, name_len, value, value_len) >> 20 & content->xattr_slots_mask;

	for (;; at = (at + 1) & content->xattr_slots_mask) {
		u32 *slot = &content->xattr_slots[at];
		const struct content_xattr *xattr;
		const u8 *bytes;

		if (*slot == 0)
			return slot;
		xattr = &content->xattrs.items[*slot - 1];
		bytes = content_bytes(content, xattr->bytes);
		if (xattr->name_len == name_len && xattr->value_len == value_len && memcmp(bytes, name, name_len) == 0 &&
		    (value_len == 0 || memcmp(bytes + name_len, value, value_len) == 0))
			return slot;
	}
}

static int grow_xattr_slots(struct btrkit_content *content)
{
	u64 count = content->xattr_slots_mask + 1;
	u32 *slots;

	if (content->xattrs.len * 4 < count * 3)
		return 0;
	slots = calloc(count * 2, sizeof(*slots));
	if (!slots)
		return -ENOMEM;
	free(content->xattr_slots);
	content->xattr_slots = slots;
	content->xattr_slots_mask = count * 2 - 1;
	for (u32 i = 0; i < content->xattrs.len; i++) {
		const struct content_xattr *xattr = &content->xattrs.items[i];
		const u8 *bytes = content_bytes(content, xattr->bytes);

		*find_xattr_slot(content, bytes, xattr->name_len, bytes + xattr->name_len, xattr->value_len) = i + 1;
	}
	return 0;
}

/* The index of the (name, value) pair, stored if it is new. */
static int intern_xattr(struct btrkit_content *content, const char *name, size_t name_len, const void *value,
			size_t value_len, u32 *ret_xattr)
{
	struct content_xattr xattr = {
		.hash = (u32)name_hash(name, name_len),
		.name_len = (u8)name_len,
		.value_len = (u16)value_len,
	};
	u64 value_offset;
	u32 *slot;

	if (grow_xattr_slots(content) < 0)
		return -ENOMEM;
	slot = find_xattr_slot(content, name, name_len, value, value_len);
	if (*slot == 0) {
		if (content_store_bytes(content, name, name_len, &xattr.bytes) < 0 ||
		    content_store_bytes(content, value, value_len, &value_offset) < 0 ||
		    array_push(&content->xattrs, xattr) < 0)
			return -ENOMEM;
		*slot = (u32)content->xattrs.len;
	}
	*ret_xattr = *slot - 1;
	return 0;
}

/* Take the xattr called @name off the node's list, if it is there. */
static void unlink_xattr(struct btrkit_content *content, struct content_node *node, const char *name, size_t name_len)
{
	for (u32 *link = &node->xattrs; *link != CONTENT_NONE; link = &content->xattr_links.items[*link].next) {
		const struct content_xattr *xattr =
			&content->xattrs.items[content->xattr_links.items[*link].xattr];

		if (xattr->name_len == name_len && memcmp(content_bytes(content, xattr->bytes), name, name_len) == 0) {
			*link = content->xattr_links.items[*link].next;
			return;
		}
	}
}

int btrkit_content_set_xattr(struct btrkit_content *content, btrkit_node node, const char *name, const void *value,
			     size_t value_len, struct btrkit_error *error)
{
	int err = check_node(content, node, 0, NULL, error);
	size_t name_len = strlen(name);
	struct content_node *at;
	u32 xattr;

	if (err)
		return err;
	at = &content->nodes.items[node];
	if (name_len == 0 || name_len > XATTR_NAME_MAX)
		return fail_at(content, node, error, -ERANGE, "xattr name of %zu bytes, limit %d", name_len,
			       XATTR_NAME_MAX);
	if (value_len > XATTR_VALUE_MAX)
		return fail_at(content, node, error, -E2BIG, "xattr %s: %zu bytes, limit %d", name, value_len,
			       XATTR_VALUE_MAX);
	unlink_xattr(content, at, name, name_len);
	if (intern_xattr(content, name, name_len, value, value_len, &xattr) < 0 ||
	    array_push(&content->xattr_links, (struct content_xattr_link){ xattr, at->xattrs }) < 0)
		return fail_at(content, node, error, -ENOMEM, "out of memory");
	at->xattrs = (u32)content->xattr_links.len - 1;
	return 0;
}

/* A file that is given contents again is without the holes that it had. */
static void forget_ranges(struct btrkit_content *content, const struct content_node *node)
{
	if (node->rare != CONTENT_NONE)
		content->rare.items[node->rare].has_ranges = false;
}

int btrkit_content_set_data(struct btrkit_content *content, btrkit_node node, const void *data, uint64_t len,
			    int is_borrowed, struct btrkit_error *error)
{
	int err = check_node(content, node, S_IFREG, "regular file", error);
	struct content_node *at;
	u64 offset = (u64)(uintptr_t)data;

	if (err)
		return err;
	if (!is_borrowed && content_store_bytes(content, data, len, &offset) < 0)
		return fail_at(content, node, error, -ENOMEM, "out of memory");
	at = &content->nodes.items[node];
	forget_ranges(content, at);
	at->data = offset;
	at->data_kind = is_borrowed ? CONTENT_DATA_BORROWED : CONTENT_DATA_COPY;
	at->size = len;
	return 0;
}

static int find_source(struct btrkit_content *content, const struct btrkit_data_source *source, u16 *ret_index)
{
	for (size_t i = content->sources.len; i-- > 0;) {
		if (content->sources.items[i] == source) {
			*ret_index = (u16)i;
			return 0;
		}
	}
	if (content->sources.len == UINT16_MAX)
		return -EOVERFLOW;
	if (array_push(&content->sources, source) < 0)
		return -ENOMEM;
	*ret_index = (u16)(content->sources.len - 1);
	return 0;
}

static int store_ranges(struct btrkit_content *content, u32 node, u64 size, const struct btrkit_data_range *ranges,
			size_t nr_ranges, struct btrkit_error *error)
{
	struct content_rare *rare = content_rare_make(content, node);
	u64 end = 0;

	if (!rare || array_reserve(&content->ranges, nr_ranges) < 0)
		return fail_at(content, node, error, -ENOMEM, "out of memory");
	for (size_t i = 0; i < nr_ranges; i++) {
		if (ranges[i].offset < end || ranges[i].len == 0 || ranges[i].offset > size ||
		    ranges[i].len > size - ranges[i].offset)
			return fail_at(content, node, error, -EINVAL, "data ranges overlap or leave the file");
		end = ranges[i].offset + ranges[i].len;
	}
	rare->has_ranges = true;
	rare->first_range = content->ranges.len;
	rare->nr_ranges = (u32)nr_ranges;
	for (size_t i = 0; i < nr_ranges; i++)
		content->ranges.items[content->ranges.len++] = ranges[i];
	return 0;
}

int btrkit_content_set_source(struct btrkit_content *content, btrkit_node node,
			      const struct btrkit_data_source *source, uint64_t cookie, uint64_t size,
			      const struct btrkit_data_range *ranges, size_t nr_ranges, struct btrkit_error *error)
{
	int err = check_node(content, node, S_IFREG, "regular file", error);
	struct content_node *at;
	u16 index;

	if (err)
		return err;
	if (size > INT64_MAX)
		return fail_at(content, node, error, -EFBIG, "%llu bytes are too many", (unsigned long long)size);
	at = &content->nodes.items[node];
	err = find_source(content, source, &index);
	if (err)
		return fail_at(content, node, error, err, "too many data sources");
	if (ranges)
		err = store_ranges(content, node, size, ranges, nr_ranges, error);
	else
		forget_ranges(content, at);
	if (err)
		return err;
	at->source = index;
	at->data = cookie;
	at->data_kind = CONTENT_DATA_SOURCE;
	at->size = size;
	return 0;
}

int btrkit_content_set_subvol(struct btrkit_content *content, btrkit_node node, unsigned flags,
			      struct btrkit_error *error)
{
	int err = check_node(content, node, S_IFDIR, "directory", error);
	struct content_rare *rare;

	if (err)
		return err;
	if (node == BTRKIT_TOP_NODE && (flags & BTRKIT_SUBVOL_RDONLY))
		return fail_at(content, node, error, -EINVAL, "the top-level subvolume cannot be read-only");
	rare = content_rare_make(content, node);
	if (!rare)
		return fail_at(content, node, error, -ENOMEM, "out of memory");
	rare->is_subvol = true;
	rare->subvol_flags = flags;
	return 0;
}
