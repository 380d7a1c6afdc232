/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * items_lmdb FILE NR BATCH: the work of items.c in LMDB, for scale. No part of the build: items.sh compiles it where
 * there is LMDB.
 */
#include <endian.h>
#include <lmdb.h>
#include <string.h>

#include "tests/bench/items_work.h"

#define NR_FILES 2000

struct lmdb {
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;
};

/* As large as a key of Btrfs, and in the same order. */
struct lmdb_key {
	uint64_t objectid;
	uint8_t type;
	uint64_t offset;
} __attribute__((packed));

static struct lmdb_key key_of(uint64_t n)
{
	return (struct lmdb_key){ htobe64(1000 + n % NR_FILES), 253, htobe64(n) };
}

static int tell(int err)
{
	if (err)
		fprintf(stderr, "%s\n", mdb_strerror(err));
	return err;
}

static int lmdb_put(void *arg, uint64_t n)
{
	struct lmdb *lmdb = arg;
	struct lmdb_key key = key_of(n);
	char value[VALUE_BYTES];
	MDB_val k = { sizeof(key), &key }, v = { sizeof(value), value };

	memset(value, (int)n, sizeof(value));
	return tell(mdb_put(lmdb->txn, lmdb->dbi, &k, &v, MDB_NOOVERWRITE));
}

static int lmdb_take(void *arg, uint64_t n)
{
	struct lmdb *lmdb = arg;
	struct lmdb_key key = key_of(n);
	MDB_val k = { sizeof(key), &key };

	return tell(mdb_del(lmdb->txn, lmdb->dbi, &k, NULL));
}

static int lmdb_commit(void *arg)
{
	struct lmdb *lmdb = arg;
	int err = mdb_txn_commit(lmdb->txn);

	return tell(err ? err : mdb_txn_begin(lmdb->env, NULL, 0, &lmdb->txn));
}

int main(int argc, char **argv)
{
	static struct lmdb lmdb;
	const struct store store = { "lmdb", lmdb_put, lmdb_take, lmdb_commit, &lmdb };
	int err;

	if (argc < 4)
		return 2;
	err = mdb_env_create(&lmdb.env);
	if (!err)
		err = mdb_env_set_mapsize(lmdb.env, (size_t)8 << 30);
	if (!err)
		err = mdb_env_open(lmdb.env, argv[1], MDB_NOSUBDIR, 0600);
	if (!err)
		err = mdb_txn_begin(lmdb.env, NULL, 0, &lmdb.txn);
	if (!err)
		err = mdb_dbi_open(lmdb.txn, NULL, MDB_CREATE, &lmdb.dbi);
	if (tell(err))
		return 1;
	return items_work(&store, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10)) != 0;
}
