/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdio.h>
#include <sys/stat.h>

#include "mkfs/manifest.h"
#include "mkfs/source.h"

static u32 map_id(const struct id_map *maps, size_t nr_maps, u32 id)
{
	for (size_t i = 0; i < nr_maps; i++)
		if (id >= maps[i].from && id - maps[i].from < maps[i].count)
			return maps[i].to + (id - maps[i].from);
	return id;
}

void owner_rules_apply(const struct owner_rules *rules, struct btrkit_node_attr *attr)
{
	if (rules->has_owner) {
		attr->uid = rules->uid;
		attr->gid = rules->gid;
		return;
	}
	attr->uid = map_id(rules->uid_maps.items, rules->uid_maps.len, attr->uid);
	attr->gid = map_id(rules->gid_maps.items, rules->gid_maps.len, attr->gid);
}

static void map_acl(const struct owner_rules *rules, u8 *value, size_t len)
{
	for (size_t at = sizeof(le32); at + sizeof(struct acl_entry) <= len; at += sizeof(struct acl_entry)) {
		struct acl_entry *entry = (struct acl_entry *)(value + at);

		if (le16_get(entry->tag) == ACL_TAG_USER)
			le32_put(&entry->id, map_id(rules->uid_maps.items, rules->uid_maps.len, le32_get(entry->id)));
		else if (le16_get(entry->tag) == ACL_TAG_GROUP)
			le32_put(&entry->id, map_id(rules->gid_maps.items, rules->gid_maps.len, le32_get(entry->id)));
	}
}

int source_set_xattr(struct btrkit_content *content, btrkit_node node, const char *name, const void *value, size_t len,
		     const struct owner_rules *rules, struct btrkit_error *error)
{
	_free_ u8 *mapped = NULL;

	if (rules->has_owner || strncmp(name, "system.posix_acl_", 17) != 0)
		return btrkit_content_set_xattr(content, node, name, value, len, error);
	mapped = malloc(len + 1);
	if (!mapped) {
		error->err = -ENOMEM;
		snprintf(error->text, sizeof(error->text), "out of memory for an attribute");
		return -ENOMEM;
	}
	memcpy(mapped, value, len);
	map_acl(rules, mapped, len);
	return btrkit_content_set_xattr(content, node, name, mapped, len, error);
}

void source_free_all(struct source *source)
{
	while (source) {
		struct source *next = source->next;

		source->free(source);
		source = next;
	}
}

int source_make_directory(struct btrkit_content *content, btrkit_node from, const char *path,
			  const struct source_options *options, btrkit_node *ret_node, struct diag *d)
{
	struct btrkit_node_attr attr = {
		.mode = S_IFDIR | 0755,
		.mtime = options->now,
		.atime = options->now,
		.ctime = options->now,
	};
	btrkit_node node = from;

	owner_rules_apply(options->owners, &attr);
	for (const char *at = path; *at;) {
		size_t len = strcspn(at, "/");
		struct btrkit_error error = { 0 };
		struct btrkit_node_attr existing;
		btrkit_node child;

		if (len == 0 || (len == 1 && at[0] == '.')) {
			at += len + (at[len] == '/');
			continue;
		}
		if (btrkit_content_lookup(content, node, at, len, &child) < 0) {
			if (btrkit_content_add(content, node, at, len, &attr, &child, &error) < 0)
				return diag_from_error(d, &error);
		} else {
			btrkit_content_get_attr(content, child, &existing);
			if (!S_ISDIR(existing.mode))
				return diag_fail(d, -ENOTDIR, "%s: \"%.*s\" is not a directory", path, (int)len, at);
		}
		node = child;
		at += len + (at[len] == '/');
	}
	*ret_node = node;
	return 0;
}

int source_add_file(struct btrkit_content *content, btrkit_node dest, const char *path,
		    const struct source_options *options, struct source **ret_source, struct diag *d)
{
	_cleanup_(archive_input_closep) struct archive_input *input = NULL;
	const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
	int err = archive_input_open(path, &input, d);

	if (err)
		return err;
	if (archive_input_begins_with(input, MANIFEST_MAGIC))
		return source_add_manifest(content, dest, name, input, options, ret_source, d);
	return source_add_archive(content, dest, name, input, options, ret_source, d);
}
