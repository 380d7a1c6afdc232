/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inodes of all versions: a fixed part, then those fields that are not zero up to the last that is not, as varints. */
#include "convert/bcachefs/bch_inode.h"

#include <inttypes.h>
#include <sys/stat.h>

#include <btrkit/content.h>

#include "convert/bcachefs/bch_fs.h"
#include "convert/bcachefs/bch_varint.h"

#define INODE_FLAGS_MASK (((u64)1 << 20) - 1)
#define FLAG_SYNC 1

#define NSEC_PER_SEC 1000000000

enum field {
	ATIME, CTIME, MTIME, OTIME, SIZE, SECTORS, UID, GID, NLINK, GENERATION, DEV, DATA_CHECKSUM, COMPRESSION, PROJECT,
	BACKGROUND_COMPRESSION, DATA_REPLICAS, PROMOTE_TARGET, FOREGROUND_TARGET, BACKGROUND_TARGET, ERASURE_CODE, FIELDS_SET,
	DIR, DIR_OFFSET, SUBVOL, PARENT_SUBVOL, NOCOW, DEPTH, INODES_32BIT, CASEFOLD,
	NR_FIELDS
};

static const u8 order_v2[] = {
	ATIME, CTIME, MTIME, OTIME, SIZE, SECTORS, UID, GID, NLINK, GENERATION, DEV, DATA_CHECKSUM, COMPRESSION, PROJECT,
	BACKGROUND_COMPRESSION, DATA_REPLICAS, PROMOTE_TARGET, FOREGROUND_TARGET, BACKGROUND_TARGET, ERASURE_CODE, FIELDS_SET,
	DIR, DIR_OFFSET, SUBVOL, PARENT_SUBVOL,
};
static const u8 order_v3[] = {
	ATIME, CTIME, MTIME, OTIME, UID, GID, NLINK, GENERATION, DEV, DATA_CHECKSUM, COMPRESSION, PROJECT,
	BACKGROUND_COMPRESSION, DATA_REPLICAS, PROMOTE_TARGET, FOREGROUND_TARGET, BACKGROUND_TARGET, ERASURE_CODE, FIELDS_SET,
	DIR, DIR_OFFSET, SUBVOL, PARENT_SUBVOL, NOCOW, DEPTH, INODES_32BIT, CASEFOLD,
};

struct disk_inode {
	le64 hash_seed;
	le32 flags;
	le16 mode;
};
_Static_assert(sizeof(struct disk_inode) == 14, "inode");

struct disk_inode_v2 {
	le64 journal_seq, hash_seed, flags;
	le16 mode;
};
_Static_assert(sizeof(struct disk_inode_v2) == 26, "inode_v2");

struct disk_inode_v3 {
	le64 journal_seq, hash_seed, flags, sectors, size, version;
};
_Static_assert(sizeof(struct disk_inode_v3) == 48, "inode_v3");

/* Where the fields are, and how to read them. */
struct packed {
	const u8 *at, *end;
	const u8 *order;
	unsigned nr, nr_known;
	bool is_old; /* varints of 2020 */
};

static int fail_inode(const struct bch_key *key, const char *why, struct diag *d)
{
	return diag_fail(d, -EUCLEAN, "inode %" PRIu64 ": %s", key->pos.offset, why);
}

static bool next_varint(struct packed *packed, u64 *ret)
{
	size_t len = (size_t)(packed->end - packed->at);
	int used = packed->is_old ? bch_old_varint_get(packed->at, len, ret) : bch_varint_get(packed->at, len, ret);

	if (used < 0)
		return false;
	packed->at += used;
	return true;
}

static bool get_fields(struct packed *packed, u64 values[NR_FIELDS])
{
	/* Versions that are not known may have more; these come last. */
	for (unsigned i = 0; i < MIN(packed->nr, packed->nr_known); i++) {
		unsigned field = packed->order[i];
		u64 high;

		if (!next_varint(packed, &values[field]))
			return false;
		/* Times have 96 bits, of which the upper 32 are not used. */
		if (field <= OTIME && !packed->is_old && !next_varint(packed, &high))
			return false;
	}
	return true;
}

/* The fixed part. */
static int get_head(const struct bch_key *key, struct bch_inode *inode, struct packed *packed, struct diag *d)
{
	size_t at;
	u64 flags;

	packed->end = key->value + key->value_bytes;
	packed->order = order_v2;
	packed->nr_known = ARRAY_LEN(order_v2);
	if (key->type == BCH_KEY_INODE) {
		struct disk_inode disk;

		if (key->value_bytes < sizeof(disk))
			return fail_inode(key, "its value is cut off", d);
		memcpy(&disk, key->value, sizeof(disk));
		at = sizeof(disk);
		flags = le32_get(disk.flags);
		inode->hash_seed = le64_get(disk.hash_seed);
		inode->mode = le16_get(disk.mode);
		packed->is_old = !(flags >> 31 & 1);
	} else if (key->type == BCH_KEY_INODE_V2) {
		struct disk_inode_v2 disk;

		if (key->value_bytes < sizeof(disk))
			return fail_inode(key, "its value is cut off", d);
		memcpy(&disk, key->value, sizeof(disk));
		at = sizeof(disk);
		flags = le64_get(disk.flags);
		inode->hash_seed = le64_get(disk.hash_seed);
		inode->mode = le16_get(disk.mode);
	} else {
		struct disk_inode_v3 disk;

		if (key->value_bytes < sizeof(disk))
			return fail_inode(key, "its value is cut off", d);
		memcpy(&disk, key->value, sizeof(disk));
		flags = le64_get(disk.flags);
		at = (flags >> 31 & 31) * sizeof(le64);
		if (at < sizeof(disk) || at > key->value_bytes)
			return fail_inode(key, "its fields lie outside of its value", d);
		inode->hash_seed = le64_get(disk.hash_seed);
		inode->mode = (u32)(flags >> 36 & 0xffff);
		inode->sectors = le64_get(disk.sectors);
		inode->size = le64_get(disk.size);
		packed->order = order_v3;
		packed->nr_known = ARRAY_LEN(order_v3);
	}
	inode->flags = flags & INODE_FLAGS_MASK;
	inode->hash_type = (u8)(flags >> 20 & 15);
	packed->nr = (unsigned)(flags >> 24 & 127);
	packed->at = key->value + at;
	return 0;
}

static u32 nlink_of(const struct bch_inode *inode, u32 stored)
{
	u32 more = S_ISDIR(inode->mode) ? 2 : 1;

	if (inode->flags & BCH_INODE_UNLINKED)
		return 0;
	return stored > UINT32_MAX - more ? UINT32_MAX : stored + more;
}

int bch_inode_get(const struct bch_key *key, struct bch_inode *ret_inode, struct diag *d)
{
	struct bch_inode inode = { .ino = key->pos.offset, .snapshot = key->pos.snapshot };
	struct packed packed = { 0 };
	u64 values[NR_FIELDS] = { 0 };
	int err;

	if (key->type != BCH_KEY_INODE && key->type != BCH_KEY_INODE_V2 && key->type != BCH_KEY_INODE_V3)
		return key->type == BCH_KEY_INODE_GENERATION ? 1 : fail_inode(key, "its key is of another kind", d);
	err = get_head(key, &inode, &packed, d);
	if (err)
		return err;
	if (!get_fields(&packed, values))
		return fail_inode(key, "its fields are cut off", d);
	for (unsigned field = UID; field <= DEV; field++)
		if (values[field] > UINT32_MAX)
			return fail_inode(key, "a field is too large", d);
	if (values[PROJECT] > UINT32_MAX || values[SUBVOL] > UINT32_MAX || values[PARENT_SUBVOL] > UINT32_MAX)
		return fail_inode(key, "a field is too large", d);
	if (key->type != BCH_KEY_INODE_V3) {
		inode.size = values[SIZE];
		inode.sectors = values[SECTORS];
	}
	inode.uid = (u32)values[UID];
	inode.gid = (u32)values[GID];
	inode.nlink = nlink_of(&inode, (u32)values[NLINK]);
	inode.dev = (u32)values[DEV];
	inode.atime = values[ATIME];
	inode.mtime = values[MTIME];
	inode.ctime = values[CTIME];
	inode.otime = values[OTIME];
	inode.dir = values[DIR];
	inode.dir_offset = values[DIR_OFFSET];
	inode.subvol = (u32)values[SUBVOL];
	inode.parent_subvol = (u32)values[PARENT_SUBVOL];
	inode.project = (u32)values[PROJECT];
	*ret_inode = inode;
	return 0;
}

struct btrkit_time bch_time(const struct bch_fs *fs, u64 time)
{
	__extension__ __int128 ns = (s64)time;
	s64 nsec;

	ns = ns * fs->super->time_precision_ns + fs->super->time_base_ns;
	nsec = (s64)(ns % NSEC_PER_SEC);
	return (struct btrkit_time){
		.sec = (s64)(ns / NSEC_PER_SEC) - (nsec < 0),
		.nsec = (uint32_t)(nsec < 0 ? nsec + NSEC_PER_SEC : nsec),
	};
}

static u32 inode_flags(u64 flags)
{
	return (flags & FLAG_SYNC ? BTRKIT_INODE_SYNC : 0) | (flags & BCH_INODE_IMMUTABLE ? BTRKIT_INODE_IMMUTABLE : 0) |
	       (flags & BCH_INODE_APPEND ? BTRKIT_INODE_APPEND : 0) | (flags & BCH_INODE_NODUMP ? BTRKIT_INODE_NODUMP : 0) |
	       (flags & BCH_INODE_NOATIME ? BTRKIT_INODE_NOATIME : 0);
}

void bch_source_inode(const struct bch_fs *fs, const struct bch_inode *inode, struct source_inode *ret_inode)
{
	*ret_inode = (struct source_inode){
		.ino = inode->ino,
		.mode = inode->mode,
		.uid = inode->uid,
		.gid = inode->gid,
		.nlink = inode->nlink,
		.inode_flags = inode_flags(inode->flags),
		.size = S_ISREG(inode->mode) || S_ISLNK(inode->mode) ? inode->size : 0,
		.atime = bch_time(fs, inode->atime),
		.mtime = bch_time(fs, inode->mtime),
		.ctime = bch_time(fs, inode->ctime),
		.otime = bch_time(fs, inode->otime),
	};
	if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode)) {
		ret_inode->rdev_major = inode->dev >> 8 & 0xfff;
		ret_inode->rdev_minor = (inode->dev & 0xff) | (inode->dev >> 12 & 0xfff00);
	}
}
