/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "convert/ext/ext_xattr.h"

#include <inttypes.h>
#include <stdio.h>

#include "common/csum/csum.h"
#include "convert/source/short_acl.h"

#define VALUE_BYTES_MAX (16 * MIB) /* of what libext2fs takes for possible */
#define NAME_MAX_BYTES 255

enum {
	INDEX_USER = 1,
	INDEX_ACL_ACCESS = 2,
	INDEX_ACL_DEFAULT = 3,
	INDEX_TRUSTED = 4,
	INDEX_SECURITY = 6,
	INDEX_SYSTEM = 7, /* "data": inline data */
	INDEX_RICHACL = 8,
	INDEX_ENCRYPTION = 9,
	NR_INDEXES,
};

static const char *const prefixes[NR_INDEXES] = {
	[INDEX_USER] = "user.",
	[INDEX_ACL_ACCESS] = "system.posix_acl_access",
	[INDEX_ACL_DEFAULT] = "system.posix_acl_default",
	[INDEX_TRUSTED] = "trusted.",
	[INDEX_SECURITY] = "security.",
};

/* One attribute, in the inode or a block. */
struct xattr {
	const struct disk_ext_xattr_entry *entry;
	const char *name;
	const u8 *value; /* NULL: in inode value_ino */
	size_t value_len;
	u32 value_ino;
};

/* Where a list of attributes is. Offsets of values count from @base, entries begin at @at. */
struct xattr_list {
	const u8 *base, *end;
	const u8 *at;
	bool is_block;
	u32 ino;
};

int ext_xattrs_init(struct ext_xattrs *xattrs, const struct ext_fs *ext, struct ext_claims *claims, struct diag *d)
{
	xattrs->ext = ext;
	xattrs->claims = claims;
	xattrs->value_inode = malloc(ext->inode_bytes);
	if (!xattrs->value_inode || ext_bits_init(&xattrs->claimed_blocks, ext->nr_blocks, (u64)ext->block_bytes * 8) < 0)
		return diag_no_memory(d, "extended attributes");
	return ext_map_init(&xattrs->value_map, ext, NULL, d);
}

void ext_xattrs_done(struct ext_xattrs *xattrs)
{
	ext_bits_done(&xattrs->claimed_blocks);
	ext_map_done(&xattrs->value_map);
	for (unsigned i = 0; i < EXT_XATTR_CACHED_BLOCKS; i++)
		free(xattrs->cache[i]);
	free(xattrs->value_inode);
	free(xattrs->value);
	free(xattrs->acl);
	*xattrs = (struct ext_xattrs){ 0 };
}

/* --- Lists of entries ------------------------------------------------------------------------------------------- */

static int fail_list(const struct xattr_list *list, const char *what, struct diag *d)
{
	return diag_fail(d, -EUCLEAN, "inode %u: extended attributes%s: %s; run e2fsck -f", list->ino,
			 list->is_block ? " in a block" : "", what);
}

/* What is hashed is the name, and then the value in words. Linux took bytes of names as signed or not, as the machine did. */
static u32 hash_entry(const struct xattr *xattr, bool is_signed)
{
	u32 hash = 0;

	for (unsigned i = 0; i < xattr->entry->name_len; i++)
		hash = (hash << 5) ^ (hash >> 27) ^ (is_signed ? (u32)(s32)(signed char)xattr->name[i] : (u8)xattr->name[i]);
	for (size_t at = 0; at < xattr->value_len; at += sizeof(le32)) {
		le32 word = { { 0 } };

		memcpy(&word, xattr->value + at, MIN(sizeof(word), xattr->value_len - at));
		hash = (hash << 16) ^ (hash >> 16) ^ le32_get(word);
	}
	return hash;
}

/* Take the next entry. 1: no more. */
static int next_xattr(struct xattr_list *list, struct xattr *ret_xattr, struct diag *d)
{
	const struct disk_ext_xattr_entry *entry = (const void *)list->at;
	size_t room = (size_t)(list->end - list->at), len, offset, value_len;
	static const u8 zeroes[4];
	u32 hash;

	if (room < sizeof(zeroes))
		return fail_list(list, "the list does not end", d);
	if (memcmp(list->at, zeroes, sizeof(zeroes)) == 0)
		return 1;
	if (room < sizeof(*entry))
		return fail_list(list, "an entry is cut off", d);
	len = (size_t)round_up_u64(sizeof(*entry) + entry->name_len, 4);
	if (room < len)
		return fail_list(list, "a name is cut off", d);
	offset = le16_get(entry->value_offset);
	value_len = le32_get(entry->value_bytes);
	*ret_xattr = (struct xattr){
		.entry = entry,
		.name = (const char *)(entry + 1),
		.value_len = value_len,
		.value_ino = le32_get(entry->value_ino),
	};
	if (memchr(ret_xattr->name, '\0', entry->name_len))
		return fail_list(list, "a name holds a NUL", d);
	list->at += len;
	if (ret_xattr->value_ino)
		return 0;
	if (value_len > 0 && (offset > (size_t)(list->end - list->base) || value_len > (size_t)(list->end - list->base) - offset))
		return fail_list(list, "a value lies outside", d);
	ret_xattr->value = list->base + (value_len ? offset : 0);
	hash = le32_get(entry->hash);
	if ((list->is_block || hash != 0) && hash != hash_entry(ret_xattr, false) && hash != hash_entry(ret_xattr, true))
		return fail_list(list, "a value does not fit its hash", d);
	return 0;
}

/* The list behind the fixed fields of an inode. False: there is none. */
static bool list_in_inode(const struct ext_inode *inode, struct xattr_list *ret_list)
{
	const u8 *raw = (const u8 *)inode->disk;
	le32 magic;

	if (inode->bytes == EXT_OLD_INODE_BYTES || inode->extra_end == EXT_OLD_INODE_BYTES ||
	    inode->bytes - inode->extra_end < sizeof(magic))
		return false;
	memcpy(&magic, raw + inode->extra_end, sizeof(magic));
	if (le32_get(magic) != EXT_XATTR_MAGIC)
		return false;
	ret_list->base = ret_list->at = raw + inode->extra_end + sizeof(magic);
	ret_list->end = raw + inode->bytes;
	ret_list->is_block = false;
	ret_list->ino = inode->ino;
	return true;
}

int ext_xattr_inline_data(const struct ext_fs *ext, const struct ext_inode *inode, const u8 **ret_data, size_t *ret_len,
			  struct diag *d)
{
	struct xattr_list list;
	struct xattr xattr;
	int err = 0;

	if (!ext2fs_has_feature_inline_data(ext->fs->super) || !list_in_inode(inode, &list))
		return diag_fail(d, -EUCLEAN, "inode %u: its contents should be in the inode, and are not; run e2fsck -f", inode->ino);
	while ((err = next_xattr(&list, &xattr, d)) == 0) {
		if (xattr.entry->name_index != INDEX_SYSTEM || xattr.entry->name_len != 4 || memcmp(xattr.name, "data", 4) != 0)
			continue;
		if (xattr.value_ino)
			return fail_list(&list, "inline data is elsewhere", d);
		*ret_data = xattr.value;
		*ret_len = xattr.value_len;
		return 0;
	}
	return err < 0 ? err : fail_list(&list, "inline data is missing", d);
}

/* --- Blocks ----------------------------------------------------------------------------------------------------- */

static bool is_block_csum_right(const struct ext_fs *ext, u64 block, const u8 *buf)
{
	const struct disk_ext_xattr_header *header = (const void *)buf;
	size_t at = offsetof(struct disk_ext_xattr_header, csum);
	u8 zeroes[sizeof(le32)] = { 0 };
	le64 number;
	u32 csum;

	le64_put(&number, block);
	csum = crc32c_update(ext->csum_seed, &number, sizeof(number));
	csum = crc32c_update(csum, buf, at);
	csum = crc32c_update(csum, zeroes, sizeof(zeroes));
	csum = crc32c_update(csum, buf + at + sizeof(zeroes), ext->block_bytes - at - sizeof(zeroes));
	return csum == le32_get(header->csum);
}

static int claim_block(struct ext_xattrs *xattrs, u64 block, u32 ino, struct diag *d)
{
	int seen = ext_bits_set(&xattrs->claimed_blocks, block);

	if (seen < 0)
		return diag_no_memory(d, "blocks of attributes");
	return seen || !xattrs->claims ? 0 : ext_claims_take(xattrs->claims, block / xattrs->ext->cluster_blocks, 1, ino, d);
}

static int read_block(struct ext_xattrs *xattrs, u64 block, u32 ino, const u8 **ret_buf, struct diag *d)
{
	const struct ext_fs *ext = xattrs->ext;
	unsigned slot = block % EXT_XATTR_CACHED_BLOCKS;
	const struct disk_ext_xattr_header *header;
	int err;

	if (block >= ext->nr_blocks)
		return diag_fail(d, -EUCLEAN, "inode %u: its attributes are in block %" PRIu64 " of %" PRIu64 "; run e2fsck -f", ino,
				 block, ext->nr_blocks);
	err = claim_block(xattrs, block, ino, d);
	if (err)
		return err;
	if (!xattrs->cache[slot])
		xattrs->cache[slot] = malloc(ext->block_bytes);
	if (!xattrs->cache[slot])
		return diag_no_memory(d, "blocks of attributes");
	*ret_buf = xattrs->cache[slot];
	if (xattrs->cached[slot] == block)
		return 0;
	xattrs->cached[slot] = 0;
	err = ext_read_blocks(ext, block, 1, xattrs->cache[slot], d);
	if (err)
		return err;
	header = (const void *)xattrs->cache[slot];
	if (le32_get(header->magic) != EXT_XATTR_MAGIC || le32_get(header->blocks) != 1)
		return diag_fail(d, -EUCLEAN, "inode %u: block %" PRIu64 " has no attributes; run e2fsck -f", ino, block);
	if (ext->has_metadata_csum && !is_block_csum_right(ext, block, xattrs->cache[slot]))
		return diag_fail(d, -EUCLEAN, "inode %u: block %" PRIu64 " of attributes has a bad checksum; run e2fsck -f", ino, block);
	xattrs->cached[slot] = block;
	return 0;
}

/* --- Values in inodes of their own ------------------------------------------------------------------------------ */

static int grow(u8 **buf, size_t *size, size_t wanted, struct diag *d)
{
	u8 *grown;

	if (*size >= wanted)
		return 0;
	grown = realloc(*buf, wanted);
	if (!grown)
		return diag_no_memory(d, "an extended attribute");
	*buf = grown;
	*size = wanted;
	return 0;
}

static int read_value_runs(struct ext_xattrs *xattrs, size_t len, struct diag *d)
{
	u32 block_bytes = xattrs->ext->block_bytes;

	array_for_each(&xattrs->value_map.runs, run) {
		int err;

		if (run->file_offset >= round_up_u64(len, block_bytes))
			break;
		err = ext_read_blocks(xattrs->ext, run->physical / block_bytes,
				      (u32)(MIN(run->len, round_up_u64(len, block_bytes) - run->file_offset) / block_bytes),
				      xattrs->value + run->file_offset, d);
		if (err)
			return err;
	}
	return 0;
}

static int read_value_inode(struct ext_xattrs *xattrs, struct xattr *xattr, u32 ino, struct diag *d)
{
	const struct ext_fs *ext = xattrs->ext;
	struct ext_inode inode;
	size_t room;
	int err;

	err = ext_inode_read(ext, xattr->value_ino, xattrs->value_inode, &inode, d);
	if (err)
		return err;
	if (!ext2fs_has_feature_ea_inode(ext->fs->super) || inode.links_count == 0 || !(inode.flags & EXT4_EA_INODE_FL) ||
	    inode.flags & EXT4_INLINE_DATA_FL || inode.size != xattr->value_len || xattr->value_len > VALUE_BYTES_MAX)
		return diag_fail(d, -EUCLEAN, "inode %u: an attribute of %zu bytes is in inode %u, which is not its value; run e2fsck -f",
				 ino, xattr->value_len, inode.ino);
	room = (size_t)round_up_u64(xattr->value_len, ext->block_bytes);
	err = grow(&xattrs->value, &xattrs->value_size, room, d);
	if (err)
		return err;
	memset(xattrs->value, 0, room);
	err = ext_map_inode(&xattrs->value_map, &inode, d);
	if (!err)
		err = read_value_runs(xattrs, xattr->value_len, d);
	if (err)
		return err;
	/* The inode's atime is the value's checksum, unless Lustre made it: then it knows its owner. */
	if (crc32c_update(ext->csum_seed, xattrs->value, xattr->value_len) != le32_get(inode.disk->atime) &&
	    le32_get(inode.disk->mtime) != ino)
		return diag_fail(d, -EUCLEAN, "inode %u: the value of an attribute in inode %u has a bad checksum; run e2fsck -f", ino,
				 inode.ino);
	xattr->value = xattrs->value;
	return 0;
}

/* --- Telling ---------------------------------------------------------------------------------------------------- */

static int tell_acl(struct ext_xattrs *xattrs, const struct xattr *xattr, u32 ino, struct source_sink *sink, struct diag *d)
{
	size_t len;
	int err = grow(&xattrs->acl, &xattrs->acl_size, short_acl_room(xattr->value_len), d);

	if (err)
		return err;
	if (xattr->entry->name_len != 0 || !short_acl_translate(xattr->value, xattr->value_len, xattrs->acl, &len))
		return diag_fail(d, -EUCLEAN, "inode %u: an ACL cannot be understood; run e2fsck -f", ino);
	return sink->xattr(sink, ino, prefixes[xattr->entry->name_index], xattrs->acl, len, d);
}

static void note_left_out(struct ext_xattrs *xattrs, unsigned index, u32 ino, struct diag *d)
{
	u32 bit = (u32)1 << MIN(index, 31U);

	if (xattrs->noted_indexes & bit)
		return;
	xattrs->noted_indexes |= bit;
	diag_note(d, DIAG_WARNING, "inode %u: an extended attribute of kind %u%s is left out, and further ones of this kind", ino, index,
		  index == INDEX_RICHACL ? " (richacl)" : "");
}

static int tell_xattr(struct ext_xattrs *xattrs, struct xattr *xattr, u32 ino, struct source_sink *sink, struct diag *d)
{
	unsigned index = xattr->entry->name_index;
	char name[sizeof("security.") + NAME_MAX_BYTES];
	int err;

	if (index == INDEX_SYSTEM && xattr->entry->name_len == 4 && memcmp(xattr->name, "data", 4) == 0)
		return 0;
	if (index >= NR_INDEXES || !prefixes[index]) {
		note_left_out(xattrs, index, ino, d);
		return 0;
	}
	if (xattr->value_ino) {
		err = read_value_inode(xattrs, xattr, ino, d);
		if (err)
			return err;
	}
	if (index == INDEX_ACL_ACCESS || index == INDEX_ACL_DEFAULT)
		return tell_acl(xattrs, xattr, ino, sink, d);
	snprintf(name, sizeof(name), "%s%.*s", prefixes[index], xattr->entry->name_len, xattr->name);
	return sink->xattr(sink, ino, name, xattr->value, xattr->value_len, d);
}

static int tell_list(struct ext_xattrs *xattrs, struct xattr_list *list, struct source_sink *sink, struct diag *d)
{
	struct xattr xattr;
	int err;

	while ((err = next_xattr(list, &xattr, d)) == 0) {
		err = tell_xattr(xattrs, &xattr, list->ino, sink, d);
		if (err)
			return err;
	}
	return err < 0 ? err : 0;
}

int ext_xattrs_tell(struct ext_xattrs *xattrs, const struct ext_inode *inode, struct source_sink *sink, struct diag *d)
{
	u64 block = le32_get(inode->disk->file_acl_lo);
	struct xattr_list list;
	const u8 *buf = NULL;
	int err = 0;

	if (!xattrs->ext->no_xattrs && list_in_inode(inode, &list))
		err = tell_list(xattrs, &list, sink, d);
	if (ext2fs_has_feature_64bit(xattrs->ext->fs->super))
		block |= (u64)le16_get(inode->disk->file_acl_hi) << 32;
	if (err || block == 0)
		return err;
	err = read_block(xattrs, block, inode->ino, &buf, d); /* also to claim it */
	if (err || xattrs->ext->no_xattrs)
		return err;
	list = (struct xattr_list){
		.base = buf,
		.at = buf + sizeof(struct disk_ext_xattr_header),
		.end = buf + xattrs->ext->block_bytes,
		.is_block = true,
		.ino = inode->ino,
	};
	return tell_list(xattrs, &list, sink, d);
}
