/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Random changes through <btrkit/edit.h>, the same to a model in memory, with commits, aborts and reopenings between. After
 * each commit the check finds nothing, and what can be read is what the model has. On all profiles and node sizes.
 *
 *	tests/model/test-edit-model SHAPE SEED STEPS [IMAGE]     one run by hand; IMAGE is kept (with several devices IMAGE.1, ...)
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "tests/model/edit_model.h"
#include "tests/model/edit_shapes.h"

#define NR_NAMES 24

struct run {
	struct shaped_fs on;
	u64 seed;
	struct edit_model model, committed;
	struct btrkit_error error;
	u64 nr_done, nr_refused;
};

static u32 number(struct run *r, u32 below)
{
	r->seed = r->seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(r->seed >> 33) % below;
}

/* --- Choosing -------------------------------------------------------------------------------------------------------------- */

static const char *random_name(struct run *r, char *buf)
{
	/* The last two have one hash. */
	static const char *const odd[] = { "a name with\nodd bytes \xff", "f1442fd9d", "ffca2be6a" };
	u32 n = number(r, NR_NAMES);

	if (n < ARRAY_LEN(odd))
		sprintf(buf, "%s", odd[n]);
	else
		sprintf(buf, n % 5 ? "n%u" : "a-longer-name-for-the-file-that-has-number-%u", n);
	return buf;
}

static struct btrkit_inode id_of(const struct model_inode *inode)
{
	return (struct btrkit_inode){ inode->subvol, inode->ino };
}

/* Any inode of this type, 0: of any; NULL: there is none. */
static struct model_inode *random_inode(struct run *r, u32 type)
{
	size_t nr = r->model.inodes.len, start = number(r, (u32)nr);

	for (size_t i = 0; i < nr; i++) {
		struct model_inode *inode = &r->model.inodes.items[(start + i) % nr];

		if (inode->nlink && (!type || (inode->mode & S_IFMT) == type))
			return inode;
	}
	return NULL;
}

static bool is_read_only(struct run *r, u64 subvol)
{
	return model_subvol(&r->model, subvol)->is_read_only;
}

/* What was done has come out as it should. */
static bool expect(struct run *r, const char *what, int err, int expected)
{
	if (err != expected)
		fail_msg("%s step %llu: %s: %d (%s), not %d", r->on.what, (unsigned long long)(r->nr_done + r->nr_refused), what, err,
			 err ? r->error.text : "", expected);
	if (err)
		r->nr_refused++;
	else
		r->nr_done++;
	return err == 0;
}

/* --- Names ------------------------------------------------------------------------------------------------------------------- */

static void do_create(struct run *r)
{
	static const u32 types[] = { S_IFREG, S_IFREG, S_IFREG, S_IFDIR, S_IFDIR, S_IFIFO, S_IFCHR, S_IFLNK };
	struct model_inode *dir = random_inode(r, S_IFDIR), *made;
	const struct btrkit_inode dir_id = id_of(dir);
	const u32 dir_mode = dir->mode, dir_gid = dir->gid;
	struct btrkit_node_attr attr = { .mode = types[number(r, ARRAY_LEN(types))] | 0644, .uid = number(r, 5) };
	struct btrkit_inode id;
	char name[64], target[600];
	int expected = is_read_only(r, dir_id.subvol) ? -EROFS : 0, err;
	u32 target_len = 1 + number(r, sizeof(target) - 1);

	random_name(r, name);
	memset(target, 't', sizeof(target));
	if (S_ISCHR(attr.mode)) {
		attr.rdev_major = 7;
		attr.rdev_minor = 300;
	}
	if (S_ISREG(attr.mode) && number(r, 8) == 0)
		attr.inode_flags = number(r, 2) ? BTRKIT_INODE_NODATACOW : BTRKIT_INODE_NODATASUM;
	if (!expected && model_name(&r->model, &dir_id, name))
		expected = -EEXIST;
	if (S_ISLNK(attr.mode))
		err = btrkit_edit_symlink(r->on.edit, &dir_id, name, strlen(name), target, target_len, &attr, &id, &r->error);
	else
		err = btrkit_edit_create(r->on.edit, &dir_id, name, strlen(name), &attr, &id, &r->error);
	if (!expect(r, "create", err, expected))
		return;
	if (S_ISLNK(attr.mode))
		attr.mode = S_IFLNK | 0777;
	made = model_inode_add(&r->model, id.subvol, id.ino, attr.mode);
	made->uid = attr.uid;
	if (dir_mode & S_ISGID) {
		made->gid = dir_gid;
		made->mode |= S_ISDIR(attr.mode) ? S_ISGID : 0;
	}
	if (S_ISLNK(attr.mode))
		model_write(made, 0, (const u8 *)target, target_len);
	model_name_add(&r->model, &dir_id, name, &id);
}

static void do_link(struct run *r)
{
	struct model_inode *inode = random_inode(r, number(r, 10) ? S_IFREG : 0), *dir = random_inode(r, S_IFDIR);
	struct btrkit_inode id, dir_id = id_of(dir);
	char name[64];
	int expected = 0;

	if (!inode)
		return;
	id = id_of(inode);
	random_name(r, name);
	if (is_read_only(r, dir_id.subvol))
		expected = -EROFS;
	else if (model_name(&r->model, &dir_id, name))
		expected = -EEXIST;
	else if (id.subvol != dir_id.subvol)
		expected = -EXDEV;
	else if (S_ISDIR(inode->mode))
		expected = -EPERM;
	if (!expect(r, "link", btrkit_edit_link(r->on.edit, &id, &dir_id, name, strlen(name), &r->error), expected))
		return;
	inode->nlink++;
	model_name_add(&r->model, &dir_id, name, &id);
}

static struct model_name *random_entry(struct run *r)
{
	for (unsigned i = 0; i < 100 && r->model.names.len; i++) {
		struct model_name *name = &r->model.names.items[number(r, (u32)r->model.names.len)];

		if (!name->is_gone)
			return name;
	}
	return NULL;
}

static bool is_subvol_name(const struct model_name *name)
{
	return name->inode.subvol != name->dir.subvol && name->inode.ino != BTRKIT_EMPTY_DIR;
}

static bool is_dir_name(struct run *r, const struct model_name *name)
{
	return name->inode.ino == BTRKIT_EMPTY_DIR || S_ISDIR(model_inode(&r->model, &name->inode)->mode);
}

static void drop(struct run *r, struct model_name *name)
{
	struct model_inode *inode = model_inode(&r->model, &name->inode);

	name->is_gone = true;
	if (inode)
		inode->nlink--;
}

static void do_remove(struct run *r)
{
	struct model_name *name = random_entry(r);
	bool is_rmdir = number(r, 2), is_dir;
	int err, expected = 0;

	if (!name)
		return;
	is_dir = is_dir_name(r, name);
	if (is_read_only(r, name->dir.subvol))
		expected = -EROFS;
	else if (is_subvol_name(name))
		expected = is_rmdir ? -EBUSY : -EISDIR;
	else if (is_dir != is_rmdir)
		expected = is_dir ? -EISDIR : -ENOTDIR;
	else if (is_dir && name->inode.ino != BTRKIT_EMPTY_DIR && !model_dir_is_empty(&r->model, &name->inode))
		expected = -ENOTEMPTY;
	err = is_rmdir ? btrkit_edit_rmdir(r->on.edit, &name->dir, name->name, strlen(name->name), &r->error)
		       : btrkit_edit_unlink(r->on.edit, &name->dir, name->name, strlen(name->name), &r->error);
	if (expect(r, "remove", err, expected))
		drop(r, name);
}

static int expected_rename(struct run *r, const struct model_name *old, const struct btrkit_inode *dir, const char *new_name,
			   const struct model_name *target, unsigned flags)
{
	bool is_exchange = flags & BTRKIT_RENAME_EXCHANGE, is_moved = old->dir.subvol != dir->subvol || old->dir.ino != dir->ino;

	(void)new_name;
	if (is_read_only(r, old->dir.subvol) || is_read_only(r, dir->subvol))
		return -EROFS;
	if (is_exchange && !target)
		return -ENOENT;
	if (target && (flags & BTRKIT_RENAME_NOREPLACE))
		return -EEXIST;
	if (target && target->inode.ino != BTRKIT_EMPTY_DIR && memcmp(&target->inode, &old->inode, sizeof(old->inode)) == 0)
		return 1;
	if (old->dir.subvol != dir->subvol && !is_subvol_name(old))
		return -EXDEV;
	if (old->inode.ino == BTRKIT_EMPTY_DIR && is_moved)
		return -EPERM;
	if (old->inode.ino != BTRKIT_EMPTY_DIR && is_dir_name(r, old) && model_is_below(&r->model, dir, &old->inode))
		return -EINVAL;
	if (is_exchange && old->dir.subvol != dir->subvol && !is_subvol_name(target))
		return -EXDEV;
	if (is_exchange && target->inode.ino == BTRKIT_EMPTY_DIR && is_moved)
		return -EPERM;
	if (is_exchange && target->inode.ino != BTRKIT_EMPTY_DIR && is_dir_name(r, target) &&
	    model_is_below(&r->model, &old->dir, &target->inode))
		return -EINVAL;
	if (is_exchange || !target)
		return 0;
	if (is_subvol_name(target))
		return -EBUSY;
	if (is_dir_name(r, target) != is_dir_name(r, old))
		return is_dir_name(r, target) ? -EISDIR : -ENOTDIR;
	if (is_dir_name(r, target) && target->inode.ino != BTRKIT_EMPTY_DIR && !model_dir_is_empty(&r->model, &target->inode))
		return -ENOTEMPTY;
	return 0;
}

static bool is_read_only_top(struct run *r, const struct model_name *name)
{
	return name && is_subvol_name(name) && is_read_only(r, name->inode.subvol);
}

static void do_rename(struct run *r)
{
	struct model_name *old = random_entry(r), *target;
	struct model_inode *dir = random_inode(r, S_IFDIR);
	struct btrkit_inode dir_id = id_of(dir), moved;
	unsigned flags = number(r, 3) ? 0 : 1 + number(r, 2);
	char new_name[64];
	int err, expected;

	if (!old)
		return;
	if (number(r, 3) == 0)
		dir_id = old->dir;
	random_name(r, new_name);
	target = model_name(&r->model, &dir_id, new_name);
	if (old->inode.ino == BTRKIT_EMPTY_DIR && target && target->inode.ino == BTRKIT_EMPTY_DIR)
		return; /* whether they stand for one subvolume is not known here */
	if (is_read_only_top(r, old) || is_read_only_top(r, target))
		return;
	expected = expected_rename(r, old, &dir_id, new_name, target, flags);
	err = btrkit_edit_rename(r->on.edit, &old->dir, old->name, strlen(old->name), &dir_id, new_name, strlen(new_name), flags,
				 &r->error);
	if (!expect(r, "rename", err, expected == 1 ? 0 : expected) || expected == 1)
		return;
	if (flags & BTRKIT_RENAME_EXCHANGE) {
		moved = target->inode;
		target->inode = old->inode;
		old->inode = moved;
		return;
	}
	if (target)
		drop(r, target);
	old->dir = dir_id;
	snprintf(old->name, sizeof(old->name), "%s", new_name);
}

/* --- Contents ------------------------------------------------------------------------------------------------------------------ */

static u64 random_offset(struct run *r)
{
	switch (number(r, 4)) {
	case 0:
		return 0;
	case 1:
		return number(r, 3000);
	case 2:
		return number(r, MODEL_FILE_MAX / 4096) * 4096ULL;
	default:
		return number(r, MODEL_FILE_MAX);
	}
}

static u64 random_len(struct run *r)
{
	u32 kind = number(r, 6);

	return kind < 2 ? 1 + number(r, 3000) : kind < 5 ? 1 + number(r, 40000) : 4096ULL * (1 + number(r, 30));
}

static void do_write(struct run *r)
{
	struct model_inode *inode = random_inode(r, S_IFREG);
	u64 offset = random_offset(r), len = random_len(r);
	struct btrkit_inode id;
	u8 *data;

	if (!inode)
		return;
	id = id_of(inode);
	data = malloc(len);
	assert_non_null(data);
	for (u64 i = 0; i < len; i++)
		data[i] = (u8)number(r, 256);
	if (expect(r, "write", btrkit_edit_write(r->on.edit, &id, offset, data, len, &r->error),
		   is_read_only(r, id.subvol) ? -EROFS : 0))
		model_write(inode, offset, data, len);
	free(data);
}

static void do_resize(struct run *r)
{
	struct model_inode *inode = random_inode(r, S_IFREG);
	u64 offset = random_offset(r), len = random_len(r);
	struct btrkit_inode id;
	int err, expected, kind = (int)number(r, 4);
	bool is_size_kept = number(r, 2);

	if (!inode)
		return;
	id = id_of(inode);
	expected = is_read_only(r, id.subvol) ? -EROFS : 0;
	if (kind < 2) {
		err = btrkit_edit_truncate(r->on.edit, &id, offset, &r->error);
		if (expect(r, "truncate", err, expected))
			model_truncate(inode, offset);
	} else if (kind == 2) {
		err = btrkit_edit_punch_hole(r->on.edit, &id, offset, len, &r->error);
		if (expect(r, "punch", err, expected) && offset < inode->size)
			model_write(inode, offset, NULL, MIN(len, inode->size - offset));
	} else {
		err = btrkit_edit_preallocate(r->on.edit, &id, offset, len, is_size_kept, &r->error);
		if (expect(r, "preallocate", err, expected) && !is_size_kept && offset + len > inode->size)
			model_truncate(inode, offset + len);
	}
}

static void do_clone(struct run *r)
{
	struct model_inode *from = random_inode(r, S_IFREG), *inode = random_inode(r, S_IFREG);
	u64 sectors, from_offset, len, offset = number(r, 40) * 4096ULL;
	struct btrkit_inode from_id, id;
	struct btrkit_stat from_stat, stat;
	bool is_partial = number(r, 2);
	int expected = 0;
	u8 *copy;

	if (!from || !inode || from->size == 0)
		return;
	from_id = id_of(from);
	id = id_of(inode);
	sectors = from->size / 4096;
	from_offset = number(r, (u32)sectors + 1) * 4096;
	len = is_partial && sectors ? (1 + number(r, (u32)sectors)) * 4096ULL : from->size - MIN(from_offset, from->size);
	if (len == 0)
		return;
	assert_int_equal(btrkit_stat(r->on.fs, &from_id, &from_stat, NULL), 0);
	assert_int_equal(btrkit_stat(r->on.fs, &id, &stat, NULL), 0);
	if (is_read_only(r, id.subvol))
		expected = -EROFS;
	else if (from_offset + len > from->size ||
		 (len % 4096 && (from_offset + len != from->size || offset + len < inode->size)) ||
		 (from == inode && from_offset < offset + len && offset < from_offset + len) ||
		 ((from_stat.flags ^ stat.flags) & BTRKIT_INODE_NODATASUM))
		expected = -EINVAL;
	if (!expect(r, "clone", btrkit_edit_clone(r->on.edit, &from_id, from_offset, len, &id, offset, &r->error), expected))
		return;
	copy = malloc(len);
	assert_non_null(copy);
	memcpy(copy, from->data + from_offset, len);
	model_write(inode, offset, copy, len);
	free(copy);
}

/* --- Attributes ----------------------------------------------------------------------------------------------------------------- */

static void do_attr(struct run *r)
{
	struct model_inode *inode = random_inode(r, 0);
	const struct btrkit_inode id = id_of(inode);
	const struct btrkit_node_attr attr = { .mode = number(r, 07777), .uid = number(r, 100), .gid = number(r, 100) };
	unsigned mask = number(r, 8);
	int expected = is_read_only(r, id.subvol) ? -EROFS : (mask & BTRKIT_SET_MODE) && S_ISLNK(inode->mode) ? -EOPNOTSUPP : 0;

	if (!expect(r, "attr", btrkit_edit_set_attr(r->on.edit, &id, mask, &attr, &r->error), expected))
		return;
	if (mask & BTRKIT_SET_MODE)
		inode->mode = (inode->mode & S_IFMT) | attr.mode;
	if (mask & BTRKIT_SET_UID)
		inode->uid = attr.uid;
	if (mask & BTRKIT_SET_GID)
		inode->gid = attr.gid;
}

static void do_xattr(struct run *r)
{
	/* Two have one hash. */
	static const char *const names[MODEL_XATTRS_MAX] = { "user.3dd1f3e4", "user.a3b1568c", "trusted.xyz", "user.c" };
	struct model_inode *inode = random_inode(r, 0);
	const struct btrkit_inode id = id_of(inode);
	u32 which = number(r, MODEL_XATTRS_MAX), len = number(r, number(r, 4) ? 60 : 3000);
	struct model_xattr *xattr = &inode->xattrs[which];
	int expected = is_read_only(r, id.subvol) ? -EROFS : 0;
	u8 value[3000], fill = (u8)number(r, 256);

	/* Linux has user.* for files and directories only, and does not show others. */
	if (!S_ISREG(inode->mode) && !S_ISDIR(inode->mode)) {
		which = 2;
		xattr = &inode->xattrs[which];
	}
	if (number(r, 3) == 0) {
		if (!expected && !xattr->name[0])
			expected = -ENODATA;
		if (expect(r, "remove xattr", btrkit_edit_remove_xattr(r->on.edit, &id, names[which], &r->error), expected))
			xattr->name[0] = '\0';
		return;
	}
	/* Those of one hash share an item. */
	if (!expected && which < 2) {
		const struct model_xattr *other = &inode->xattrs[1 - which];
		u64 bytes = 30 + strlen(names[which]) + len + (other->name[0] ? 30 + strlen(other->name) + other->len : 0);

		if (bytes > r->on.shape->nodesize - 101 - 25)
			expected = -ENOSPC;
	}
	memset(value, fill, len);
	if (!expect(r, "set xattr", btrkit_edit_set_xattr(r->on.edit, &id, names[which], value, len, &r->error), expected))
		return;
	snprintf(xattr->name, sizeof(xattr->name), "%s", names[which]);
	xattr->len = len;
	xattr->fill = fill;
}

/* --- Subvolumes ------------------------------------------------------------------------------------------------------------------- */

static struct model_subvol *random_subvol(struct run *r)
{
	for (unsigned i = 0; i < 100; i++) {
		struct model_subvol *subvol = &r->model.subvols.items[number(r, (u32)r->model.subvols.len)];

		if (!subvol->is_gone)
			return subvol;
	}
	return &r->model.subvols.items[0];
}

static void copy_subvol(struct run *r, u64 from, u64 to)
{
	size_t nr_inodes = r->model.inodes.len, nr_names = r->model.names.len;

	for (size_t i = 0; i < nr_inodes; i++) {
		struct model_inode copy = r->model.inodes.items[i];

		if (copy.subvol != from || copy.nlink == 0)
			continue;
		copy.subvol = to;
		if (copy.data) {
			u8 *data = malloc(copy.size + 1);

			assert_non_null(data);
			memcpy(data, copy.data, copy.size);
			copy.data = data;
			copy.data_cap = copy.size + 1;
		}
		assert_int_equal(array_push(&r->model.inodes, copy), 0);
	}
	for (size_t i = 0; i < nr_names; i++) {
		struct model_name copy = r->model.names.items[i];

		if (copy.dir.subvol != from || copy.is_gone)
			continue;
		if (copy.inode.ino == BTRKIT_EMPTY_DIR || copy.inode.subvol != from)
			copy.inode = (struct btrkit_inode){ to, BTRKIT_EMPTY_DIR };
		else
			copy.inode.subvol = to;
		copy.dir.subvol = to;
		assert_int_equal(array_push(&r->model.names, copy), 0);
	}
}

static void note_commit(struct run *r)
{
	model_done(&r->committed);
	model_copy(&r->committed, &r->model);
}

static void do_subvol_make(struct run *r)
{
	const struct btrkit_inode dir = id_of(random_inode(r, S_IFDIR));
	const struct btrkit_node_attr attr = { .mode = 0755, .uid = 3 };
	const struct model_subvol *source = random_subvol(r);
	u64 source_id = source->id, id;
	bool is_snapshot = number(r, 3), is_ro = number(r, 4) == 0;
	int err, expected = 0;
	char name[64];

	random_name(r, name);
	if (is_read_only(r, dir.subvol))
		expected = -EROFS;
	else if (model_name(&r->model, &dir, name))
		expected = -EEXIST;
	if (!expected && is_snapshot) {
		/* It may be committed for that. */
		assert_int_equal(btrkit_edit_commit(r->on.edit, &r->error), 0);
		note_commit(r);
	}
	err = is_snapshot ? btrkit_edit_snapshot(r->on.edit, source_id, &dir, name, strlen(name), is_ro, &id, &r->error)
			  : btrkit_edit_subvol_create(r->on.edit, &dir, name, strlen(name), &attr, &id, &r->error);
	if (!expect(r, is_snapshot ? "snapshot" : "subvolume", err, expected))
		return;
	if (is_snapshot)
		copy_subvol(r, source_id, id);
	else
		model_inode_add(&r->model, id, BTRKIT_TOP_DIR, S_IFDIR | 0755)->uid = 3;
	model_name_add(&r->model, &dir, name, &(struct btrkit_inode){ id, BTRKIT_TOP_DIR });
	assert_int_equal(array_push(&r->model.subvols, (struct model_subvol){ id, is_snapshot && is_ro, false }), 0);
}

static void do_subvol_delete(struct run *r)
{
	struct model_subvol *subvol = random_subvol(r);
	struct model_name *name = NULL;
	int expected = 0;

	array_for_each(&r->model.names, it) {
		if (it->is_gone)
			continue;
		if (is_subvol_name(it) && it->inode.subvol == subvol->id)
			name = it;
		if (it->dir.subvol == subvol->id && is_subvol_name(it))
			expected = -ENOTEMPTY;
	}
	if (subvol->id == BTRKIT_TOP_SUBVOL || subvol->id == r->model.default_subvol)
		expected = -EPERM;
	if (!expected && is_read_only(r, name->dir.subvol))
		expected = -EROFS;
	if (!expect(r, "delete subvolume", btrkit_edit_subvol_delete(r->on.edit, subvol->id, &r->error), expected))
		return;
	subvol->is_gone = true;
	name->is_gone = true;
	array_for_each(&r->model.inodes, inode)
		if (inode->subvol == subvol->id)
			inode->nlink = 0;
	array_for_each(&r->model.names, it)
		if (it->dir.subvol == subvol->id)
			it->is_gone = true;
}

static void do_whole(struct run *r)
{
	struct model_subvol *subvol = random_subvol(r);
	bool is_ro = number(r, 3) == 0;
	char label[32];

	switch (number(r, 3)) {
	case 0:
		sprintf(label, "label %u", number(r, 1000));
		expect(r, "label", btrkit_edit_set_label(r->on.edit, label, &r->error), 0);
		snprintf(r->model.label, sizeof(r->model.label), "%s", label);
		break;
	case 1:
		expect(r, "default", btrkit_edit_set_default(r->on.edit, subvol->id, &r->error), 0);
		r->model.default_subvol = subvol->id;
		break;
	default:
		if (expect(r, "read-only", btrkit_edit_set_read_only(r->on.edit, subvol->id, is_ro, &r->error),
			   subvol->id == BTRKIT_TOP_SUBVOL && is_ro ? -EPERM : 0))
			subvol->is_read_only = is_ro;
	}
}

/* --- Running ------------------------------------------------------------------------------------------------------------------------ */

static void do_commit(struct run *r, bool do_reopen)
{
	if (btrkit_edit_commit(r->on.edit, &r->error))
		fail_msg("%s: commit: %s", r->on.what, r->error.text);
	note_commit(r);
	if (do_reopen)
		shaped_fs_close(&r->on);
	shaped_fs_check(&r->on);
	if (do_reopen)
		shaped_fs_open(&r->on);
	model_compare(&r->model, r->on.fs, r->on.what);
}

static void do_abort(struct run *r)
{
	btrkit_edit_abort(r->on.edit);
	model_done(&r->model);
	model_copy(&r->model, &r->committed);
	model_compare(&r->model, r->on.fs, r->on.what);
}

static void do_something(struct run *r)
{
	/* A small tree: what there is too much of goes. */
	bool is_full = r->model.inodes.len > 150 + r->on.shape->nr_files && number(r, 2);
	u32 kind = number(r, 100);

	if (kind < 18)
		is_full ? do_remove(r) : do_create(r);
	else if (kind < 24)
		do_link(r);
	else if (kind < 34)
		do_remove(r);
	else if (kind < 44)
		do_rename(r);
	else if (kind < 64)
		do_write(r);
	else if (kind < 76)
		do_resize(r);
	else if (kind < 83)
		do_clone(r);
	else if (kind < 88)
		do_attr(r);
	else if (kind < 94)
		do_xattr(r);
	else if (kind < 96)
		r->model.subvols.len < 40 && !is_full ? do_subvol_make(r) : do_subvol_delete(r);
	else if (kind < 98)
		do_subvol_delete(r);
	else
		do_whole(r);
}

/* Forget what is gone, so that the model stays small. */
static void tidy(struct run *r)
{
	struct edit_model copy;

	model_copy(&copy, &r->model);
	model_done(&r->model);
	r->model = copy;
	for (size_t i = 0; i < r->model.subvols.len;)
		if (r->model.subvols.items[i].is_gone)
			r->model.subvols.items[i] = r->model.subvols.items[--r->model.subvols.len];
		else
			i++;
}

/* What the filesystem has from the beginning. */
static void learn_made(struct run *r)
{
	static u8 bytes[300000];
	struct btrkit_inode dir, inode;

	if (r->on.shape->nr_files == 0)
		return;
	assert_int_equal(btrkit_lookup(r->on.fs, NULL, "made", &dir, NULL), 0);
	model_inode_add(&r->model, dir.subvol, dir.ino, S_IFDIR | 0755);
	model_name_add(&r->model, &BTRKIT_INODE_TOP, "made", &dir);
	for (unsigned i = 0; i < r->on.shape->nr_files; i++) {
		char name[32];

		snprintf(name, sizeof(name), "made-%u", i);
		assert_int_equal(btrkit_lookup(r->on.fs, &dir, name, &inode, NULL), 0);
		shaped_file_fill(i, bytes);
		model_write(model_inode_add(&r->model, inode.subvol, inode.ino, S_IFREG | 0644), 0, bytes, shaped_file_bytes(i));
		model_name_add(&r->model, &dir, name, &inode);
	}
}

static void run_model(const struct shape *shape, u64 seed, u64 steps, const char *image)
{
	struct run *r = calloc(1, sizeof(*r));

	assert_non_null(r);
	r->seed = seed;
	shaped_fs_make(&r->on, shape, image);
	snprintf(r->on.what, sizeof(r->on.what), "%s, seed %llu", shape->name, (unsigned long long)seed);
	model_init(&r->model);
	learn_made(r);
	model_init(&r->committed);
	note_commit(r);
	for (u64 step = 0; step < steps; step++) {
		do_something(r);
		if (number(r, 60) == 0)
			do_commit(r, number(r, 3) == 0);
		else if (number(r, 300) == 0)
			do_abort(r);
		if (step % 100 == 99)
			tidy(r);
	}
	do_commit(r, true);
	printf("# %s: %llu changes, %llu refused\n", r->on.what, (unsigned long long)r->nr_done, (unsigned long long)r->nr_refused);
	shaped_fs_done(&r->on, !image);
	model_done(&r->model);
	model_done(&r->committed);
	free(r);
}

/* Each shape gets numbers of its own. */
static void test_shape(void **state)
{
	const struct shape *shape = *state;

	run_model(shape, (u64)(shape - shapes) + 1, 300, NULL);
}

static int run_by_hand(char **args)
{
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++) {
		if (strcmp(shapes[i].name, args[0]) != 0)
			continue;
		run_model(&shapes[i], strtoull(args[1], NULL, 0), strtoull(args[2], NULL, 0), args[3]);
		return 0;
	}
	fprintf(stderr, "there is no shape %s\n", args[0]);
	return 2;
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[ARRAY_LEN(shapes)];

	if (argc >= 4)
		return run_by_hand(argv + 1);
	for (size_t i = 0; i < ARRAY_LEN(shapes); i++)
		tests[i] = (struct CMUnitTest){ shapes[i].name, test_shape, NULL, NULL, (void *)&shapes[i] };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
