/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * items btrkit IMAGE NR BATCH [NODESIZE]	changes in transactions, in a filesystem that is made in IMAGE
 * items mounted DIR NR BATCH		the same by extended attributes of files in DIR, a mounted filesystem
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <btrkit/btrkit.h>

#include "kernel-shared/fs/fs.h"
#include "kernel-shared/txn/txn.h"
#include "tests/bench/items_work.h"

#define NR_FILES 2000

/* --- btrkit ---------------------------------------- */

struct ours {
	struct btrkit_fs *fs;
	struct txn *txn;
	struct tree_root *root;
	struct edit edit;
	struct diag d;
};

static int tell(int err, const struct diag *d)
{
	if (err)
		fprintf(stderr, "%s\n", d->text);
	return err;
}

/* Neighbours in the tree are as the attributes of files would be. */
static struct key key_of(u64 n)
{
	return (struct key){ 1000 + n % NR_FILES, STRING_ITEM_KEY, n };
}

static int ours_put(void *arg, u64 n)
{
	struct ours *ours = arg;
	const struct key key = key_of(n);
	void *data;
	int err = edit_insert(&ours->edit, &key, VALUE_BYTES, &data, &ours->d);

	if (!err)
		memset(data, (int)n, VALUE_BYTES);
	return tell(err, &ours->d);
}

static int ours_take(void *arg, u64 n)
{
	struct ours *ours = arg;
	const struct key key = key_of(n);

	return tell(edit_delete_key(&ours->edit, &key, &ours->d), &ours->d);
}

static int ours_commit(void *arg)
{
	struct ours *ours = arg;

	edit_done(&ours->edit);
	return tell(txn_commit(ours->txn, &ours->d), &ours->d);
}

static int ours_make(const char *path, u32 nodesize, struct diag *d)
{
	const struct btrkit_mkfs_device device = { path, 8 * GIB };
	struct btrkit_mkfs_options options;
	struct btrkit_error error;
	int err;

	btrkit_mkfs_options_init(&options);
	options.devices = &device;
	options.nr_devices = 1;
	options.nodesize = nodesize;
	options.metadata_profile = "single";
	options.is_forced = true;
	err = btrkit_mkfs(&options, NULL, NULL, &error);
	return err ? diag_fail(d, err, "%s", error.text) : 0;
}

static int ours_open(struct ours *ours, const char *path)
{
	const struct device_set_options for_devices = { .is_writable = true, .super_mirror = -1 };
	const struct fs_options for_fs = { 0 };
	struct device_set *devices;
	struct txn_target target;
	int err = device_set_open(&path, 1, &for_devices, &devices, &ours->d);

	if (!err)
		err = fs_open_devices(devices, &for_fs, &ours->fs, &ours->d);
	if (err)
		return err;
	target = (struct txn_target){
		.volume = ours->fs->volume,
		.cache = ours->fs->cache,
		.csum = ours->fs->csum,
		.super = &ours->fs->super,
		.root_tree = &ours->fs->root_tree,
		.chunk_tree = &ours->fs->chunk_tree,
	};
	err = txn_new(&target, false, &ours->txn, &ours->d);
	if (!err)
		err = txn_tree(ours->txn, FS_TREE_OBJECTID, &ours->root, &ours->d);
	if (!err)
		ours->edit = edit_init(ours->root);
	return err;
}

static int run_ours(const char *path, u64 nr, u64 batch, u32 nodesize)
{
	static struct ours ours;
	const struct store store = { "btrkit", ours_put, ours_take, ours_commit, &ours };
	int err = ours_make(path, nodesize, &ours.d);

	if (!err)
		err = ours_open(&ours, path);
	err = err ? tell(err, &ours.d) : items_work(&store, nr, batch);
	edit_done(&ours.edit);
	txn_free(ours.txn);
	btrkit_fs_close(ours.fs);
	return err;
}

/* --- A mounted filesystem ---------------------------------------- */

static int name_of(char *name, u64 n)
{
	return snprintf(name, 32, "user.%llu", (unsigned long long)n);
}

struct mounted {
	int dir;
	int file[NR_FILES];
};

static int mounted_put(void *arg, u64 n)
{
	struct mounted *mounted = arg;
	char name[32], value[VALUE_BYTES];

	name_of(name, n);
	memset(value, (int)n, sizeof(value));
	if (fsetxattr(mounted->file[n % NR_FILES], name, value, sizeof(value), XATTR_CREATE) == 0)
		return 0;
	perror("fsetxattr");
	return -1;
}

static int mounted_take(void *arg, u64 n)
{
	struct mounted *mounted = arg;
	char name[32];

	name_of(name, n);
	if (fremovexattr(mounted->file[n % NR_FILES], name) == 0)
		return 0;
	perror("fremovexattr");
	return -1;
}

static int mounted_commit(void *arg)
{
	const struct mounted *mounted = arg;

	return syncfs(mounted->dir);
}

static int run_mounted(const char *path, u64 nr, u64 batch)
{
	static struct mounted mounted;
	const struct store store = { "mounted", mounted_put, mounted_take, mounted_commit, &mounted };
	const struct rlimit files = { NR_FILES + 100, NR_FILES + 100 };

	mounted.dir = open(path, O_RDONLY | O_DIRECTORY);
	if (mounted.dir < 0 || setrlimit(RLIMIT_NOFILE, &files) != 0) {
		perror(path);
		return -1;
	}
	for (unsigned i = 0; i < NR_FILES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "f%u", i);
		mounted.file[i] = openat(mounted.dir, name, O_CREAT | O_RDWR, 0600);
		if (mounted.file[i] < 0) {
			perror(name);
			return -1;
		}
	}
	return items_work(&store, nr, batch);
}

int main(int argc, char **argv)
{
	u64 nr = argc > 3 ? strtoull(argv[3], NULL, 10) : 0, batch = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;

	if (nr && batch && strcmp(argv[1], "btrkit") == 0)
		return run_ours(argv[2], nr, batch, argc > 5 ? (u32)strtoul(argv[5], NULL, 10) : 16384) != 0;
	if (nr && batch && strcmp(argv[1], "mounted") == 0)
		return run_mounted(argv[2], nr, batch) != 0;
	fprintf(stderr, "usage: items btrkit IMAGE NR BATCH [NODESIZE] | items mounted DIR NR BATCH\n");
	return 2;
}
