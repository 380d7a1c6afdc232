/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A scan of the source into facts about the inodes that its files have become. Where contents lie in the new filesystem is up to
 * the build in two cases: small files may have theirs in the inode, and what the source's journal changes, or holds in the
 * source's own inode, has no place on the device and was stored anew. Then the new tree is asked for the place, and the contents
 * are compared.
 */
#include <sys/stat.h>

#include "common/base/checked.h"
#include "convert/inplace/verify_facts.h"
#include "kernel-shared/fs/file_extent.h"

typedef unsigned long long ull;

struct scan {
	struct source_sink source;
	struct verify *v;
	struct fact_sink *facts;
	bool is_detail;
	u64 source_ino, ino; /* the inode that the scan is at; ino 0: it is left out */
	u32 mode;
	u64 size;
	bool has_contents; /* they were told, or are in the queue */
	struct contents_queue queue;
	struct cursor cursor; /* in the new tree, for what was stored anew */
};

static struct scan *scan_of(struct source_sink *sink)
{
	return container_of(sink, struct scan, source);
}

/* Is @source_ino the inode that the scan is at, one that is taken over and wanted? */
static bool is_of_interest(const struct scan *scan, u64 source_ino)
{
	return scan->ino && scan->source_ino == source_ino && fact_is_wanted(scan->facts, scan->ino);
}

/* --- Inodes ------------------------------------------------------------------------------------------------------------ */

/* Size of its contents, where that means something. */
static u64 contents_bytes(const struct source_inode *inode)
{
	return S_ISREG(inode->mode) || S_ISLNK(inode->mode) ? inode->size : 0;
}

static u64 expected_flags(const struct verify *v, u32 flags)
{
	if (flags & INODE_NODATACOW)
		flags |= INODE_NODATASUM;
	return v->input->has_csums ? flags : flags & ~INODE_NODATASUM;
}

static int inode_fact(struct scan *scan, const struct source_inode *from, struct diag *d)
{
	const struct btrkit_time *times[] = { &from->atime, &from->mtime, &from->ctime, &from->otime };
	bool is_device = S_ISCHR(from->mode) || S_ISBLK(from->mode);
	struct inode_fact inode = {
		.mode = from->mode,
		.uid = from->uid,
		.gid = from->gid,
		.rdev_major = is_device ? from->rdev_major : 0,
		.rdev_minor = is_device ? from->rdev_minor : 0,
		.size = contents_bytes(from),
		.flags = expected_flags(scan->v, from->inode_flags),
	};
	const struct fact fact = { .kind = FACT_INODE, .inode = &inode };

	for (unsigned i = 0; i < ARRAY_LEN(times); i++) {
		inode.time[i].sec = (u64)times[i]->sec;
		inode.time[i].nsec = times[i]->nsec;
	}
	return scan->facts->add(scan->facts, scan->ino, &fact, d);
}

/* A small file of which the source has told no contents is one hole, and may lie in the inode as zeroes. */
static int finish_inode(struct scan *scan, struct diag *d)
{
	if (!scan->ino || scan->has_contents || !S_ISREG(scan->mode) || !scan->size || scan->size > CONTENTS_BYTES_MAX ||
	    !verify_tree_has_bytes(&scan->v->files, scan->ino) || !fact_is_wanted(scan->facts, scan->ino))
		return 0;
	return contents_queue_add(&scan->queue, scan->ino, (u32)scan->size, NULL, 0, d);
}

static int take_inode(struct source_sink *sink, const struct source_inode *inode, struct diag *d)
{
	struct scan *scan = scan_of(sink);
	const struct verify_input *input = scan->v->input;
	int err = finish_inode(scan, d);

	if (err)
		return err;
	if (verify_is_cancelled(scan->v))
		return diag_fail(d, -ECANCELED, "cancelled");
	if (!scan->is_detail)
		progress_add(scan->v->progress, 0, 1);
	scan->source_ino = inode->ino;
	scan->ino = input->btrfs_ino(input->ctx, inode->ino);
	scan->mode = inode->mode;
	scan->size = inode->size;
	scan->has_contents = false;
	return is_of_interest(scan, inode->ino) ? inode_fact(scan, inode, d) : 0;
}

static int take_xattr(struct source_sink *sink, u64 ino, const char *name, const void *value, size_t len, struct diag *d)
{
	struct scan *scan = scan_of(sink);
	const struct fact fact = {
		.kind = FACT_XATTR, .name = name, .name_len = strlen(name), .value = value, .value_len = len,
	};

	if (scan->v->input->no_xattrs || !is_of_interest(scan, ino))
		return 0;
	return scan->facts->add(scan->facts, scan->ino, &fact, d);
}

static int take_symlink(struct source_sink *sink, u64 ino, const char *target, size_t len, struct diag *d)
{
	struct scan *scan = scan_of(sink);
	const struct fact fact = { .kind = FACT_BYTES, .value = target, .value_len = len };

	return is_of_interest(scan, ino) ? scan->facts->add(scan->facts, scan->ino, &fact, d) : 0;
}

/* --- Names -------------------------------------------------------------------------------------------------------------- */

static int add_name(struct scan *scan, u64 dir, const char *name, size_t name_len, u64 child, bool is_subvol, struct diag *d)
{
	const struct fact fact = {
		.kind = FACT_NAME, .child = child, .is_subvol = is_subvol, .name = name, .name_len = name_len,
	};

	if (!fact_is_wanted(scan->facts, dir) && !scan->facts->wants_all_names)
		return 0;
	return scan->facts->add(scan->facts, dir, &fact, d);
}

static int add_link(struct scan *scan, u64 ino, struct diag *d)
{
	const struct fact fact = { .kind = FACT_LINKS, .links = 1 };

	return fact_is_wanted(scan->facts, ino) ? scan->facts->add(scan->facts, ino, &fact, d) : 0;
}

static int take_entry(struct source_sink *sink, u64 dir_ino, const char *name, size_t name_len, u64 child_ino, struct diag *d)
{
	struct scan *scan = scan_of(sink);
	const struct verify_input *input = scan->v->input;
	u64 child;
	int err;

	if (!scan->ino || scan->source_ino != dir_ino)
		return 0;
	child = input->btrfs_ino(input->ctx, child_ino);
	if (!child)
		return 0;
	err = add_name(scan, scan->ino, name, name_len, child, false, d);
	return err ? err : add_link(scan, child, d);
}

/* What the source has not: the saved subvolume's name, and the link that a top directory is counted with. */
static int add_top(struct scan *scan, struct diag *d)
{
	const char *name = scan->v->input->saved_name;
	int err = add_name(scan, FIRST_FREE_OBJECTID, name, strlen(name), SAVED_ROOT_ID, true, d);

	return err ? err : add_link(scan, FIRST_FREE_OBJECTID, d);
}

/* --- Contents that were stored anew --------------------------------------------------------------------------------------- */

/*
 * The new filesystem's extent at @at, at most @len bytes of it: its logical address into *ret_logical, 0 if that is no plain
 * extent.
 */
static int find_stored(struct scan *scan, u64 at, u64 len, u64 *ret_logical, u64 *ret_len, struct diag *d)
{
	struct file_extent extent;
	u64 within, logical;
	int err = file_extent_find(&scan->cursor, scan->ino, at, at + len, scan->v->sectorsize, &extent, d);

	if (err)
		return err;
	within = at - extent.file_offset;
	*ret_logical = 0;
	*ret_len = MIN(len, extent.len - within);
	if (extent.kind == EXTENT_REGULAR && !extent.compression &&
	    checked_add(extent.disk_bytenr, extent.extent_offset, &logical) && checked_add(logical, within, &logical))
		*ret_logical = logical;
	return 0;
}

static int remember_copy(struct scan *scan, u64 file_offset, u64 physical, u64 logical, u64 len, struct diag *d)
{
	const struct copied copied = { physical, logical, len, scan->ino, file_offset };

	if (scan->is_detail)
		return 0;
	return array_push(&scan->v->copied, copied) < 0 ? diag_no_memory(d, "contents to be compared") : 0;
}

/* Of what the source has at @physical, newer in its journal than on the device. Its end may lie behind the file's. */
static int overlaid_facts(struct scan *scan, const struct source_run *run, u64 len, struct diag *d)
{
	u64 done = 0;

	while (done < len) {
		u64 at = run->file_offset + done, logical, piece;
		int err = find_stored(scan, at, len - done, &logical, &piece, d);

		if (!err && logical) {
			err = verify_add_logical(scan->v, scan->facts, scan->ino, at, logical, piece, d);
			if (!err && at < scan->size)
				err = remember_copy(scan, at, run->physical + done, logical, MIN(piece, scan->size - at), d);
		} else if (!err) {
			err = verify_add_physical(scan->v, scan->facts, scan->ino, at, run->physical + done, piece, d);
		}
		if (err)
			return err;
		done += piece;
	}
	return 0;
}

/* Contents that the source has in its inode, and the new filesystem in an extent. */
static int stored_bytes_facts(struct scan *scan, const u8 *bytes, size_t len, struct diag *d)
{
	u64 end = round_up_u64(len, scan->v->sectorsize);

	for (u64 at = 0; at < end;) {
		u8 found[4096];
		u64 logical, piece;
		int err = find_stored(scan, at, MIN(end - at, (u64)sizeof(found)), &logical, &piece, d);

		if (!err && logical)
			err = volume_read(scan->v->fs->volume, logical, found, piece, 0, d);
		if (!err && (!logical || (at < len && memcmp(found, bytes + at, MIN(piece, len - at)) != 0)))
			return fact_add_odd(scan->facts, scan->ino, "other contents than the source has in its inode", d);
		if (!err)
			err = verify_add_logical(scan->v, scan->facts, scan->ino, at, logical, piece, d);
		if (err)
			return err;
		at += piece;
	}
	return 0;
}

/* --- Contents -------------------------------------------------------------------------------------------------------------- */

static int take_runs(struct source_sink *sink, u64 ino, const struct source_run *runs, size_t nr, struct diag *d)
{
	struct scan *scan = scan_of(sink);
	u64 end = round_up_u64(scan->size, scan->v->sectorsize);
	int err = 0;

	if (!is_of_interest(scan, ino))
		return 0;
	scan->has_contents = true;
	if (verify_tree_has_bytes(&scan->v->files, scan->ino) && scan->size <= CONTENTS_BYTES_MAX)
		return scan->size ? contents_queue_add(&scan->queue, scan->ino, (u32)scan->size, runs, nr, d) : 0;
	for (size_t i = 0; i < nr && !err; i++) {
		u64 len = runs[i].file_offset < end ? MIN(runs[i].len, end - runs[i].file_offset) : 0;

		if (runs[i].is_overlaid)
			err = overlaid_facts(scan, &runs[i], len, d);
		else
			err = verify_add_physical(scan->v, scan->facts, scan->ino, runs[i].file_offset, runs[i].physical, len, d);
	}
	return err;
}

static int take_bytes(struct source_sink *sink, u64 ino, const void *data, size_t len, struct diag *d)
{
	struct scan *scan = scan_of(sink);
	const struct fact fact = { .kind = FACT_BYTES, .value = data, .value_len = len };

	if (!is_of_interest(scan, ino))
		return 0;
	scan->has_contents = true;
	if (len == 0)
		return 0;
	if (len <= scan->v->fs->volume->nodesize && verify_tree_has_bytes(&scan->v->files, scan->ino))
		return scan->facts->add(scan->facts, scan->ino, &fact, d);
	return stored_bytes_facts(scan, data, len, d);
}

int verify_expect_files(struct verify *v, struct fact_sink *sink, bool is_detail, struct diag *d)
{
	struct source *source = v->input->source;
	struct scan scan = {
		.source = { take_inode, take_xattr, take_symlink, take_runs, take_bytes, take_entry, NULL },
		.v = v,
		.facts = sink,
		.is_detail = is_detail,
		.queue = { .v = v, .sink = sink },
		.cursor = cursor_init(&v->files.tree),
	};
	struct diag quiet = { 0 }; /* what a scan has to say was said with the first */
	int err = add_top(&scan, d);

	if (!err)
		err = source->ops->scan(source, &scan.source, NULL, &quiet);
	if (err && quiet.err)
		err = diag_copy(d, &quiet);
	if (!err)
		err = finish_inode(&scan, d);
	if (!err)
		err = contents_queue_flush(&scan.queue, d);
	contents_queue_done(&scan.queue);
	cursor_done(&scan.cursor);
	return err;
}
