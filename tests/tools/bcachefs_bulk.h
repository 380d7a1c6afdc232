/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For tests: a bcachefs volume written from its keys, with the superblock of one that is there. Whatever fails ends the program. */
#ifndef BTRKIT_TESTS_TOOLS_BCACHEFS_BULK_H
#define BTRKIT_TESTS_TOOLS_BCACHEFS_BULK_H

#include "common/base/array.h"
#include "convert/bcachefs/bch_key.h"

struct bulk_options {
	u32 node_bytes, bucket_bytes; /* 0: as the image has them */
	unsigned nr_bsets; /* of each node: 1 to 4 */
	unsigned fill_percent; /* of a node */
	unsigned journal_percent; /* of keys that only the journal has; 0: it was left cleanly */
};

/* A key that waits for its node. */
struct bulk_key {
	struct bch_pos pos;
	u32 size_sectors;
	u8 type;
	u16 value_bytes; /* a multiple of 8 */
	size_t value; /* where in values */
};

struct bulk {
	struct bulk_options options;
	int fd;
	u8 *super; /* struct disk_bch_super with its sections, of the image that was there */
	size_t super_bytes;
	u32 block_bytes;
	s64 time_base_ns;
	u64 at; /* the first byte that nothing has been given to */
	u64 journal_start, journal_nr; /* buckets */
	u64 nodes_written[BCH_LEVEL_MAX + 1];
	u8 root_level[BCH_BTREES_MAX];
	u64 node_seq;
	ARRAY(u8) values;
	ARRAY(struct bulk_key) keys[BCH_BTREES_MAX];
	ARRAY(u8) entries; /* of the journal: what says where the roots are */
};

__attribute__((noreturn, format(printf, 1, 2))) void bulk_die(const char *format, ...);

/* The image @base, of one device, version 1.0 to 1.31, left cleanly, is where the superblock comes from; @path is made. */
void bulk_begin(struct bulk *bulk, const char *base, const char *path, const struct bulk_options *options);

/* Bytes in one bucket for what has a pointer, blocks rounded up: where they begin. At most @want, at least one block; *ret_got of them. */
u64 bulk_allocate(struct bulk *bulk, u64 want_bytes, u64 *ret_got_bytes);
void bulk_write(struct bulk *bulk, u64 physical, const void *data, size_t len_bytes);

/* A key's length is counted in words, in a byte. */
#define BULK_VALUE_BYTES_MAX (255 * 8 - sizeof(struct disk_bch_key))

/* In any order, but no position twice; @value is copied, and filled up with zeroes to a multiple of 8 bytes. */
void bulk_key(struct bulk *bulk, u8 btree, struct bch_pos pos, u32 size_sectors, u8 type, const void *value, size_t value_bytes);

/* Nodes, journal, superblocks. Btrees of the image that are no part of files' trees are left out, as is the accounting of space. */
void bulk_finish(struct bulk *bulk);

#endif
