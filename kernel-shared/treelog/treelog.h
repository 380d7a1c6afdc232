/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The tree log: what was fsynced after the last commit and waits to be replayed. Here it is read into memory and judged;
 * replay.h knows what it means.
 *
 * The superblock leads to a tree whose items lead to one log tree for each subvolume. All of these blocks lie in free space
 * of metadata chunks, and have the generation of the transaction that was never committed. A part that is damaged is told of
 * as a loss and leaves a gap; everything else is there.
 *
 * After treelog_read() nothing changes: any number of threads may look.
 * Source: fs logs made by Linux, and what its replay made of them.
 */
#ifndef BTRKIT_KERNEL_SHARED_TREELOG_TREELOG_H
#define BTRKIT_KERNEL_SHARED_TREELOG_TREELOG_H

#include <btrkit/log.h>

#include "kernel-shared/fs/fs.h"

struct treelog_item {
	struct key key;
	u64 data_at; /* in treelog.data */
	u32 data_bytes;
	bool is_refused; /* cannot be honoured; a loss says why */
};

/* Keys [from, to) are not known: what held them is damaged. */
struct treelog_gap {
	struct key from, to;
	bool has_to; /* false: to the end of the tree */
};

struct treelog_subvol {
	u64 id;
	struct tree tree; /* of the log */
	struct tree committed; /* of the subvolume */
	u64 top_dir;
	bool is_missing; /* there is no such subvolume: nothing of this can be replayed */
	u64 nr_blocks;
	ARRAY(struct treelog_item) items; /* by key */
	ARRAY(struct treelog_gap) gaps;
	ARRAY(u64) unlinked; /* inodes whose item says that they have no name: replay leaves them alone; ascending */
};

struct treelog_loss {
	enum btrkit_log_loss_kind kind;
	u64 subvol, ino; /* 0: of none */
	u64 logical; /* of a block or an extent; 0: of none */
	size_t text_at; /* in treelog_losses.text */
};

struct treelog_losses {
	ARRAY(struct treelog_loss) list;
	ARRAY(char) text;
};

/* Record a loss; the text as printf() makes it. -ENOMEM. */
__attribute__((format(printf, 6, 7))) int treelog_lose(struct treelog_losses *losses, enum btrkit_log_loss_kind kind,
						       u64 subvol, u64 ino, u64 logical, const char *format, ...);
void treelog_losses_done(struct treelog_losses *losses);

struct treelog {
	struct btrkit_fs *fs;
	u64 root_logical;
	u64 generation; /* of all of its blocks: one more than the superblock's */
	ARRAY(struct treelog_subvol) subvols; /* by id */
	ARRAY(u64) blocks; /* logical addresses: nothing may be allocated there before all is replayed */
	ARRAY(u8) data;
	struct treelog_losses losses;
};

/* Read the log of @fs. -ENOENT: there is none. Damage does not fail; it is in ret_log->losses. */
int treelog_read(struct btrkit_fs *fs, struct treelog **ret_log, struct diag *d);
void treelog_free(struct treelog *log);
DEFINE_FREEP(struct treelog *, treelog_free)

/* Replay takes them from the last to the first. NULL: @id has no log. */
const struct treelog_subvol *treelog_subvol_find(const struct treelog *log, u64 id);

static inline const void *treelog_data(const struct treelog *log, const struct treelog_item *item)
{
	return log->data.items + item->data_at;
}

/* Index of the first item at or after @key; items.len: there is none. */
size_t treelog_seek(const struct treelog_subvol *subvol, const struct key *key);
/* The item of exactly @key, or NULL. */
const struct treelog_item *treelog_find(const struct treelog_subvol *subvol, const struct key *key);

/* May items of @ino with types [first_type, last_type] be missing, because a part of the log is damaged? */
bool treelog_may_lack(const struct treelog_subvol *subvol, u64 ino, u8 first_type, u8 last_type);

/* Does the log say of @ino that it has no name? */
bool treelog_is_unlinked(const struct treelog_subvol *subvol, u64 ino);

/*
 * Put the log's checksums of @nr sectors at @logical into @csums, and true into @is_known where there is one; the rest of both
 * is left alone.
 */
void treelog_csums(const struct treelog *log, const struct treelog_subvol *subvol, u64 logical, u32 nr, u8 *csums,
		   bool *is_known);

/* The part of a file that an EXTENT_DATA item covers, up to the end of its last sector; false: impossible numbers. */
bool treelog_extent_range(const struct treelog *log, const struct treelog_item *item, u64 *ret_from, u64 *ret_to);

/* --- Names in items ---------------------------------------------------------------------------------------------- */

struct treelog_ref {
	u64 dir, index;
	const u8 *name;
	u16 name_len;
};
/* One name of an INODE_REF or INODE_EXTREF item: begin with *at = 0; false: no more. */
bool treelog_ref_next(const struct key *key, const void *data, u32 bytes, u32 *at, struct treelog_ref *ret_ref);

/* One entry of a DIR_ITEM, DIR_INDEX or XATTR_ITEM, in the same way. */
bool treelog_dir_item_next(const void *data, u32 bytes, u32 *at, const struct disk_dir_item **ret_entry);

/* Does the log have a reference of @ino for @name in @dir? */
bool treelog_has_ref(const struct treelog *log, const struct treelog_subvol *subvol, u64 ino, u64 dir, const u8 *name,
		     u16 name_len);

#endif
