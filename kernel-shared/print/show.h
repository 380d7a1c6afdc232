/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Handing named values to a printer: what the show_*.c files write with. */
#ifndef BTRKIT_KERNEL_SHARED_PRINT_SHOW_H
#define BTRKIT_KERNEL_SHARED_PRINT_SHOW_H

#include <btrkit/inspect.h>

#include "kernel-shared/format/disk.h"

typedef const struct btrkit_printer printer;

void show_begin(printer *to, const char *name);
void show_begin_list(printer *to, const char *name);
void show_end(printer *to);

void show_u64(printer *to, const char *name, u64 value);
void show_s64(printer *to, const char *name, s64 value);
void show_bool(printer *to, const char *name, bool value);
void show_text(printer *to, const char *name, const char *text);
void show_name(printer *to, const char *name, const void *bytes, size_t len);
void show_uuid(printer *to, const char *name, const u8 *uuid);
void show_hex(printer *to, const char *name, const u8 *bytes, size_t len);
void show_time(printer *to, const char *name, const struct disk_timespec *time);
/* "(256 INODE_ITEM 0)" with objectids that have names by these. */
void show_key(printer *to, const char *name, const struct key *key);

struct flag_name {
	u64 bit;
	const char *name;
};
/* Bits without a name are shown as a number among the names. */
void show_flags(printer *to, const char *name, u64 value, const struct flag_name *names, size_t nr_names);

/* --- Names (names.c) ----------------------------------------------------------------------------------------- */

#define NAME_TEXT_MAX 32

/* "INODE_ITEM", ...; "TYPE.99" for an unknown one, written to @buf. */
const char *key_type_name(u8 type, char buf[NAME_TEXT_MAX]);

/* The name of a tree or special objectid as far as it means one beside an item of @type, else the number. */
const char *objectid_name(u64 objectid, u8 type, char buf[NAME_TEXT_MAX]);

/* "EXTENT_TREE", ...; NULL: no tree with a name. */
const char *tree_name(u64 id);
/* The reverse, also of "extent", in any case; 0: none. */
u64 tree_id_by_name(const char *name);

/* --- Structures ---------------------------------------------------------------------------------------------- */

/* The members of an item, whatever the item: inside of the item's object. @data has passed block_check(). */
void show_item(printer *to, const struct key *key, const void *data, u32 size, const struct disk_super *super);
void show_item_inode(printer *to, const struct key *key, const void *data, u32 size);
void show_item_extent(printer *to, const struct key *key, const void *data, u32 size);
void show_item_volume(printer *to, const struct key *key, const void *data, u32 size);
void show_item_root(printer *to, const struct key *key, const void *data, u32 size);
void show_raw(printer *to, const void *data, u32 size);

void show_chunk(printer *to, const struct disk_chunk *chunk, u32 size);
void show_dev_item(printer *to, const struct disk_dev_item *item);
void show_block_group_flags(printer *to, const char *name, u64 flags);

/* A whole block as an object. */
void show_block(printer *to, const u8 *block, const struct disk_super *super);

#endif
