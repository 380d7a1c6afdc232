/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Chunks: which device stripes hold a logical range. The map is sorted by logical address; chunks never overlap.
 * Not thread-safe while chunks are added; lookups may run in parallel.
 * Source: UAPI header linux/btrfs_tree.h (chunk items), Btrfs documentation, "On-disk format".
 */
#ifndef BTRKIT_KERNEL_SHARED_VOLUME_CHUNK_MAP_H
#define BTRKIT_KERNEL_SHARED_VOLUME_CHUNK_MAP_H

#include "common/base/cleanup.h"
#include "common/base/diag.h"
#include "kernel-shared/volume/profile.h"

struct chunk_stripe {
	u64 devid;
	u64 physical;
	u8 dev_uuid[UUID_SIZE];
};

struct chunk {
	u64 logical;
	u64 length;
	u64 type; /* BLOCK_GROUP_* */
	u16 num_stripes;
	u16 sub_stripes;
	const struct profile *profile;
	u64 stripe_bytes; /* taken on each stripe's device */
	struct chunk_stripe stripe[];
};

struct chunk_map;

/* A chunk with room for @num_stripes stripes, zeroed; free() it. NULL: out of memory. */
struct chunk *chunk_new(u16 num_stripes);
/* Another one like @chunk. */
struct chunk *chunk_dup(const struct chunk *chunk);
/* One that ends after @length bytes. */
struct chunk *chunk_dup_shorter(const struct chunk *chunk, u64 length);
/* The length of all chunks with its stripes is a multiple of this. */
u64 chunk_row_bytes(const struct chunk *chunk);
/* Set profile, sub_stripes and stripe_bytes from type, length and num_stripes. */
void chunk_derive(struct chunk *chunk);

int chunk_map_new(struct chunk_map **ret_map);
void chunk_map_free(struct chunk_map *map);
DEFINE_FREEP(struct chunk_map *, chunk_map_free)

/* All chunks of @from once more. -ENOMEM. */
int chunk_map_copy(const struct chunk_map *from, struct chunk_map **ret_map, struct diag *d);

/* Add a copy of @chunk. -EUCLEAN: it overlaps another. */
int chunk_map_add(struct chunk_map *map, const struct chunk *chunk, struct diag *d);

/* Check a chunk item, whatever it says, and add it; one that is already there with equal contents is accepted. */
int chunk_map_add_item(struct chunk_map *map, const struct key *key, const void *item, u32 item_bytes,
		       u32 sectorsize, struct diag *d);

/* The chunk that covers @logical, or NULL. Belongs to the map, valid until the map changes. */
const struct chunk *chunk_map_find(const struct chunk_map *map, u64 logical);

size_t chunk_map_count(const struct chunk_map *map);
const struct chunk *chunk_map_at(const struct chunk_map *map, size_t index); /* in order of logical */

/*
 * Put @chunk, which was allocated by chunk_new() and is taken over, in the place of the one at the
 * same logical range, which is returned. Cannot fail. NULL: there is none of that range, and @chunk
 * is the caller's.
 */
struct chunk *chunk_map_swap(struct chunk_map *map, struct chunk *chunk);
/* Take out the chunk at just @logical, for the caller to free; NULL: there is none. */
struct chunk *chunk_map_take_out(struct chunk_map *map, u64 logical);
/* Put one in again that was taken out, while the map has no more chunks than it had then: cannot
 * fail. */
void chunk_map_put_back(struct chunk_map *map, struct chunk *chunk);

/* Forget the chunk at just @logical, if there is one. */
void chunk_map_remove(struct chunk_map *map, u64 logical);

/* Where the stripes of a chunk, and of all chunks, on a device end; 0: there are none. */
u64 chunk_end_on(const struct chunk *chunk, u64 devid);
u64 chunk_map_end_on(const struct chunk_map *map, u64 devid);
/* Bytes that the stripes of all chunks have on a device. */
u64 chunk_map_allocated_on(const struct chunk_map *map, u64 devid);

/* The item's bytes for @chunk into @out; returns how many, 0 if @cap is too small. */
u32 chunk_item_pack(const struct chunk *chunk, u32 sectorsize, void *out, size_t cap);

/* Add the superblock's own system chunks. */
int sys_chunk_array_read(struct chunk_map *map, const struct disk_super *super, struct diag *d);
/* Put the SYSTEM chunks of @map into the superblock. -ENOSPC: they do not fit. */
int sys_chunk_array_write(const struct chunk_map *map, struct disk_super *super, struct diag *d);
/* Those of them for which @is_wanted says so. */
int sys_chunk_array_write_some(const struct chunk_map *map, bool (*is_wanted)(void *ctx, const struct chunk *chunk),
			       void *ctx, struct disk_super *super, struct diag *d);

struct logical_range {
	u64 logical;
	u64 len;
};

/*
 * The parts of a chunk that lie on a superblock mirror of one of its devices: 64 KiB at each mirror, the whole row on
 * striped profiles. Nothing may be allocated there. At most @cap are stored, ascending and merged; returns how many
 * there are.
 */
size_t chunk_reserved_ranges(const struct chunk *chunk, struct logical_range *ret_ranges, size_t cap);
/* Bound for @cap above. */
#define CHUNK_RESERVED_MAX(num_stripes) ((size_t)(num_stripes)*SUPER_MIRROR_MAX)

#endif
