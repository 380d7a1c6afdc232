/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tree blocks: a leaf with all its items, a node with all its pointers. */
#include "kernel-shared/format/leaf.h"
#include "common/csum/csum.h"
#include "kernel-shared/print/show.h"

static const struct flag_name header_flags[] = { { HEADER_FLAG_WRITTEN, "WRITTEN" }, { HEADER_FLAG_RELOC, "RELOC" } };

static void show_csum_item(printer *to, const struct key *key, u32 size, const struct disk_super *super)
{
	const struct csum_kind *csum = csum_kind_by_type(le16_get(super->csum_type));

	if (csum) {
		u64 sectors = size / csum->size_bytes;

		show_u64(to, "range_begin", key->offset);
		show_u64(to, "range_end", key->offset + sectors * le32_get(super->sectorsize));
		show_u64(to, "sums", sectors);
	} else {
		show_u64(to, "bytes", size);
	}
}

static void show_uuid_item(printer *to, const void *data, u32 size)
{
	const le64 *ids = data;

	show_begin_list(to, "subvolumes");
	for (u32 i = 0; i < size / sizeof(*ids); i++)
		show_u64(to, NULL, le64_get(ids[i]));
	show_end(to);
}

/* v1 free space caches: their key has type 0. */
static void show_untyped(printer *to, const struct key *key, const void *data, u32 size)
{
	const struct disk_free_space_header *header = data;
	struct key location;

	if (key->objectid != FREE_SPACE_OBJECTID || size < sizeof(*header)) {
		show_raw(to, data, size);
		return;
	}
	location = key_unpack(&header->location);
	show_key(to, "location", &location);
	show_u64(to, "generation", le64_get(header->generation));
	show_u64(to, "num_entries", le64_get(header->num_entries));
	show_u64(to, "num_bitmaps", le64_get(header->num_bitmaps));
}

void show_item(printer *to, const struct key *key, const void *data, u32 size, const struct disk_super *super)
{
	switch (key->type) {
	case 0:
		return show_untyped(to, key, data, size);
	case INODE_ITEM_KEY ... EXTENT_DATA_KEY:
		if (key->type == ORPHAN_ITEM_KEY && size == 0)
			return;
		return show_item_inode(to, key, data, size);
	case EXTENT_CSUM_KEY:
		return show_csum_item(to, key, size, super);
	case ROOT_ITEM_KEY:
	case ROOT_REF_KEY:
	case ROOT_BACKREF_KEY:
		return show_item_root(to, key, data, size);
	case EXTENT_ITEM_KEY ... SHARED_DATA_REF_KEY:
		return show_item_extent(to, key, data, size);
	case BLOCK_GROUP_ITEM_KEY ... DEV_REPLACE_KEY:
		return show_item_volume(to, key, data, size);
	case UUID_KEY_SUBVOL:
	case UUID_KEY_RECEIVED_SUBVOL:
		return show_uuid_item(to, data, size);
	case STRING_ITEM_KEY:
		return show_name(to, "string", data, size);
	default:
		show_raw(to, data, size);
	}
}

static void show_leaf_items(printer *to, const u8 *block, const struct disk_super *super)
{
	show_begin_list(to, "items");
	for (u32 slot = 0; slot < block_nritems(block); slot++) {
		const struct key key = leaf_key(block, slot);

		show_begin(to, NULL);
		show_u64(to, "slot", slot);
		show_key(to, "key", &key);
		show_u64(to, "item_offset", le32_get(leaf_item(block, slot)->offset));
		show_u64(to, "item_size", leaf_item_bytes(block, slot));
		show_item(to, &key, leaf_item_data(block, slot), leaf_item_bytes(block, slot), super);
		show_end(to);
	}
	show_end(to);
}

static void show_node_pointers(printer *to, const u8 *block)
{
	show_begin_list(to, "pointers");
	for (u32 slot = 0; slot < block_nritems(block); slot++) {
		const struct key key = node_key(block, slot);

		show_begin(to, NULL);
		show_u64(to, "slot", slot);
		show_key(to, "key", &key);
		show_u64(to, "block", node_blockptr(block, slot));
		show_u64(to, "generation", node_generation(block, slot));
		show_end(to);
	}
	show_end(to);
}

void show_block(printer *to, const u8 *block, const struct disk_super *super)
{
	const struct disk_header *header = block_header(block);
	const struct csum_kind *csum = csum_kind_by_type(le16_get(super->csum_type));

	show_begin(to, NULL);
	show_text(to, "kind", header->level ? "node" : "leaf");
	show_u64(to, "logical", le64_get(header->bytenr));
	show_u64(to, "level", header->level);
	show_u64(to, "nritems", le32_get(header->nritems));
	show_u64(to, "generation", le64_get(header->generation));
	show_s64(to, "owner", (s64)le64_get(header->owner));
	if (tree_name(le64_get(header->owner)))
		show_text(to, "owner_name", tree_name(le64_get(header->owner)));
	show_flags(to, "flags", le64_get(header->flags) & HEADER_FLAGS_MASK, header_flags, ARRAY_LEN(header_flags));
	show_u64(to, "backref_revision", le64_get(header->flags) >> HEADER_BACKREF_REV_SHIFT);
	if (csum)
		show_hex(to, "csum", header->csum, csum->size_bytes);
	show_uuid(to, "fsid", header->fsid);
	show_uuid(to, "chunk_tree_uuid", header->chunk_tree_uuid);
	if (header->level)
		show_node_pointers(to, block);
	else
		show_leaf_items(to, block, super);
	show_end(to);
}
