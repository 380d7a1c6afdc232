/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Judging an inode by all of its items. Proves link count, size, bytes, kinds of items, extents and their checksums. */
#include "check/inode_part.h"
#include "kernel-shared/format/file_type.h"

#include <sys/stat.h>

typedef unsigned long long ull;

#define INODE(part) AT(.tree = (part)->tree, .inode = (part)->ino, .logical = (part)->leaf)

/* --- The kinds of files -------------------------------------------------------------------------------------------- */

static void judge_links(struct check *check, const struct inode_part *part)
{
	if (part->nr_names != part->nlink)
		complain(check, INODE_NLINK_WRONG, INODE(part), (ull)part->tree, (ull)part->ino, part->nlink,
			 (ull)part->nr_names);
	if (S_ISDIR(part->mode) && part->nr_names > 1)
		complain(check, DIR_HARD_LINKED, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->nr_names);
}

static void judge_directory(struct check *check, const struct inode_part *part)
{
	if (part->size != part->dir_name_bytes)
		complain(check, DIR_SIZE_WRONG, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->size,
			 (ull)part->dir_name_bytes);
	if (part->has_extents)
		complain(check, INODE_ITEM_MISFIT, INODE(part), (ull)part->tree, (ull)part->ino, "a directory", "file extents");
	/* nbytes means nothing here: mkfs.btrfs gives the top directory a nodesize, Linux none. */
}

static void judge_symlink(struct check *check, const struct inode_part *part)
{
	if (!(part->kinds & PART_HAS_INLINE) || (part->kinds & PART_HAS_REGULAR))
		complain(check, SYMLINK_TARGET_BAD, INODE(part), (ull)part->tree, (ull)part->ino, "not in one inline extent");
	/* btrfs-convert stores the terminating zero, too. */
	else if (part->size != part->inline_bytes && part->size + 1 != part->inline_bytes)
		complain(check, SYMLINK_TARGET_BAD, INODE(part), (ull)part->tree, (ull)part->ino,
			 "its length is not the size of the inode");
	if (part->flags & (INODE_IMMUTABLE | INODE_APPEND))
		complain(check, SYMLINK_FLAGS_BAD, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->flags);
}

/* Without no-holes each byte up to the end has an extent, be it one that is a hole. */
static void judge_holes(struct check *check, const struct inode_part *part)
{
	u64 sectorsize = check_sectorsize(check), end = round_up_u64(part->size, sectorsize);

	if ((le64_get(check->fs->super.incompat_flags) & INCOMPAT_NO_HOLES) || part->size == 0)
		return;
	if (!part->has_extents || part->first_extent > 0)
		complain(check, FILE_EXTENT_GAP, INODE(part), (ull)part->tree, (ull)part->ino, 0ULL);
	else if (part->gap_bytes && part->first_gap < end)
		complain(check, FILE_EXTENT_GAP, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->first_gap);
	else if (part->last_extent_end < end && !(part->kinds & PART_HAS_INLINE))
		complain(check, FILE_EXTENT_GAP, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->last_extent_end);
}

static void judge_csums(struct check *check, const struct inode_part *part)
{
	u64 missing = part->csum_needed_bytes - MIN(part->csum_found_bytes, part->csum_needed_bytes);
	bool is_nodatasum = part->flags & INODE_NODATASUM;

	/* What a block of the checksum tree held that cannot be read was told with that block. */
	if (!is_nodatasum && missing && !check->is_csum_tree_short)
		complain(check, CSUM_MISSING, INODE(part), (ull)part->tree, (ull)part->ino, (ull)missing,
			 (ull)part->csum_missing_logical);
	if (is_nodatasum && part->compressed_bare_bytes && !check->is_csum_tree_short)
		complain(check, CSUM_MISSING_COMPRESSED, INODE(part), (ull)part->tree, (ull)part->ino,
			 (ull)part->compressed_bare_bytes);
	if (is_nodatasum && part->csum_found_bytes)
		complain(check, CSUM_UNWANTED, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->csum_found_bytes);
	if (part->prealloc_csum_bytes)
		complain(check, CSUM_OF_PREALLOC, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->prealloc_csum_bytes);
}

static void judge_file(struct check *check, const struct inode_part *part)
{
	if (part->nlink == 0)
		return; /* its deletion may be half done */
	if (part->nbytes != part->found_nbytes)
		complain(check, INODE_NBYTES_WRONG, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->nbytes,
			 (ull)part->found_nbytes);
	judge_holes(check, part);
	judge_csums(check, part);
	/* Linux cannot cut compressed data: it leaves it as it is, and the size tells how much of it counts. */
	if (part->inline_bytes > part->size && !(part->kinds & PART_HAS_COMPRESSED_INLINE) && !S_ISLNK(part->mode))
		complain(check, INLINE_BEYOND_SIZE, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->inline_bytes,
			 (ull)part->size);
	if (part->data_end > round_up_u64(part->size, check_sectorsize(check)))
		complain(check, FILE_EXTENT_BEYOND_SIZE, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->data_end,
			 (ull)part->size);
	if ((part->flags & INODE_RO_VERITY) && !(part->kinds & PART_HAS_VERITY))
		complain(check, VERITY_ITEMS_MISSING, INODE(part), (ull)part->tree, (ull)part->ino);
}

static void judge_special(struct check *check, const struct inode_part *part)
{
	if (part->has_extents)
		complain(check, INODE_ITEM_MISFIT, INODE(part), (ull)part->tree, (ull)part->ino, "a special file",
			 "file extents");
	if (part->size || part->nbytes)
		complain(check, SPECIAL_HAS_SIZE, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->size,
			 (ull)part->nbytes);
}

/* The directory that @dir lies in; 0: cannot be told. */
static u64 parent_of(const struct tree *tree, u64 dir)
{
	const struct key first = { dir, INODE_REF_KEY, 0 };
	struct cursor cursor = cursor_init(tree);
	u64 parent = 0;

	if (cursor_seek(&cursor, &first, NULL) == 0 && cursor_is_at(&cursor, dir, INODE_REF_KEY))
		parent = cursor_key(&cursor).offset;
	cursor_done(&cursor);
	return parent;
}

/*
 * Directories in a circle have right names in all directions, but no path. The lowest of the circle lies in a higher one,
 * which few directories do; from these the way up is gone until it comes to a lower one, or back. Should it come into
 * another circle, the steps run out: then that is reported by its own lowest directory.
 */
static void judge_loop(struct check *check, const struct inode_part *part)
{
	u64 dir = part->parent, hare;
	struct fs_root root;

	if (part->parent <= part->ino || fs_subvol_root(check->fs, part->tree, &root, NULL) < 0)
		return;
	hare = dir;
	while (dir > part->ino) {
		dir = parent_of(&root.tree, dir);
		for (int i = 0; i < 2 && hare > part->ino; i++)
			hare = parent_of(&root.tree, hare);
		if (dir > part->ino && dir == hare)
			return; /* another circle */
	}
	if (dir == part->ino)
		complain(check, DIR_LOOP, INODE(part), (ull)part->tree, (ull)part->ino, (ull)part->parent);
}

/* An inode without a name waits for deletion; the ORPHAN item is what makes that happen. */
static void judge_orphan(struct check *check, const struct inode_part *part)
{
	const struct key key = { ORPHAN_OBJECTID, ORPHAN_ITEM_KEY, part->ino };
	struct cursor cursor;
	struct fs_root root;

	if (part->nlink || part->nr_names || fs_subvol_root(check->fs, part->tree, &root, NULL) < 0)
		return;
	cursor = cursor_init(&root.tree);
	if (cursor_find(&cursor, &key, NULL) == 1)
		complain(check, ORPHAN_ITEM_MISSING, INODE(part), (ull)part->tree, (ull)part->ino);
	cursor_done(&cursor);
}

void inode_judge(struct check *check, const struct inode_part *part, struct fs_sums *sums)
{
	struct hashed_type type = { part->ino, file_type_of_mode(part->mode) };

	if (part->ino == 0 || part->ino == HOLE_INO || (part->kinds & PART_IS_SPOILED))
		return;
	if (!part->has_item) {
		complain(check, INODE_ITEM_MISSING, INODE(part), (ull)part->tree, (ull)part->ino);
		return;
	}
	sums->nr_inodes++;
	if (!(part->kinds & PART_IS_OWN_PARENT))
		sums->inode_types += part->nr_names * check_hash(check, &type, sizeof(type));
	judge_links(check, part);
	judge_orphan(check, part);
	if (!S_ISDIR(part->mode) && (part->kinds & PART_HAS_DIR_ITEMS))
		complain(check, INODE_ITEM_MISFIT, INODE(part), (ull)part->tree, (ull)part->ino, "not a directory",
			 "directory entries");
	switch (part->mode & S_IFMT) {
	case S_IFDIR:
		judge_directory(check, part);
		judge_loop(check, part);
		break;
	case S_IFLNK:
		judge_symlink(check, part);
		judge_file(check, part);
		break;
	case S_IFREG:
		judge_file(check, part);
		break;
	default:
		judge_special(check, part);
	}
}

/* --- Putting parts together ---------------------------------------------------------------------------------------- */

static void merge_extents(struct check *check, struct inode_part *part, const struct inode_part *next)
{
	bool has_gap = part->has_extents && next->has_extents && next->first_extent > part->last_extent_end;

	if (!next->has_extents)
		return;
	if (!part->gap_bytes)
		part->first_gap = has_gap ? part->last_extent_end : next->first_gap;
	if (!part->has_extents)
		part->first_extent = next->first_extent;
	else if (next->first_extent < part->last_extent_end)
		complain(check, FILE_EXTENT_OVERLAP, INODE(next), (ull)next->tree, (ull)next->ino, (ull)next->first_extent,
			 (ull)part->last_extent_end);
	part->gap_bytes += next->gap_bytes + (has_gap ? next->first_extent - part->last_extent_end : 0);
	part->last_extent_end = next->last_extent_end;
	part->has_extents = true;
}

void inode_part_merge(struct check *check, struct inode_part *part, const struct inode_part *next)
{
	if (next->has_item && !part->has_item) {
		part->has_item = true;
		part->mode = next->mode;
		part->nlink = next->nlink;
		part->size = next->size;
		part->nbytes = next->nbytes;
		part->flags = next->flags;
	}
	merge_extents(check, part, next);
	part->kinds |= next->kinds;
	part->nr_names += next->nr_names;
	part->parent = next->parent ? next->parent : part->parent;
	part->dir_name_bytes += next->dir_name_bytes;
	part->found_nbytes += next->found_nbytes;
	part->inline_bytes += next->inline_bytes;
	part->data_end = MAX(part->data_end, next->data_end);
	part->csum_needed_bytes += next->csum_needed_bytes;
	part->csum_found_bytes += next->csum_found_bytes;
	part->prealloc_csum_bytes += next->prealloc_csum_bytes;
	part->compressed_bare_bytes += next->compressed_bare_bytes;
	if (!part->csum_missing_logical)
		part->csum_missing_logical = next->csum_missing_logical;
}

static void add_sums(struct fs_sums *to, const struct fs_sums *from)
{
	to->index_names += from->index_names;
	to->ref_names += from->ref_names;
	to->index_entries += from->index_entries;
	to->item_entries += from->item_entries;
	to->entry_types += from->entry_types;
	to->inode_types += from->inode_types;
	to->subvol_names += from->subvol_names;
	to->nr_inodes += from->nr_inodes;
}

/* An empty fact: nothing on either side. */
static bool is_empty(const struct fs_fact *fact)
{
	return fact->head.ino == 0 && !fact->has_cut;
}

/* Next to what could not be read, an inode may have more items than are known. */
static void spoil_beside_hole(struct inode_part *left, struct inode_part *right)
{
	if (left->ino == HOLE_INO)
		right->kinds |= PART_IS_SPOILED;
	if (right->ino == HOLE_INO)
		left->kinds |= PART_IS_SPOILED;
}

void fs_fact_join(struct check *check, struct fs_fact *left, const struct fs_fact *right)
{
	struct inode_part *end = left->has_cut ? &left->tail : &left->head;
	struct inode_part begin = right->head;

	add_sums(&left->sums, &right->sums);
	left->is_unknown = left->is_unknown || right->is_unknown;
	if (is_empty(right))
		return;
	if (is_empty(left)) {
		left->head = right->head;
		left->tail = right->tail;
		left->has_cut = right->has_cut;
		return;
	}
	if (end->ino == begin.ino) {
		if (end->ino != HOLE_INO)
			inode_part_merge(check, end, &begin);
		if (right->has_cut && left->has_cut)
			inode_judge(check, end, &left->sums);
		if (right->has_cut)
			left->tail = right->tail;
		left->has_cut = left->has_cut || right->has_cut;
		return;
	}
	spoil_beside_hole(end, &begin);
	if (left->has_cut)
		inode_judge(check, end, &left->sums);
	if (right->has_cut)
		inode_judge(check, &begin, &left->sums);
	left->tail = right->has_cut ? right->tail : begin;
	left->has_cut = true;
}

void fs_fact_finish(struct check *check, struct fs_fact *fact)
{
	inode_judge(check, &fact->head, &fact->sums);
	if (fact->has_cut)
		inode_judge(check, &fact->tail, &fact->sums);
}
