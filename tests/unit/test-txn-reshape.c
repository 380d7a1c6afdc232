/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chunks that get other stripes or go, devices that come, go and change: committed they are sound, aborted they never
 * were. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "kernel-shared/device/file_device.h"
#include "kernel-shared/txn/reshape.h"
#include "kernel-shared/volume/volume.h"
#include "tests/unit/txn_work.h"

#define DEVICE_BYTES (4 * GIB)

/* Everything that is in use in a chunk, taken out and put in again. */
struct held {
	struct volume *volume;
	struct {
		u64 logical, len;
		u8 *bytes;
	} ranges[1000];
	size_t nr;
};

static int hold(void *ctx, u64 logical, u64 len, struct diag *d)
{
	struct held *held = ctx;

	assert_true(held->nr < ARRAY_LEN(held->ranges));
	held->ranges[held->nr].logical = logical;
	held->ranges[held->nr].len = len;
	held->ranges[held->nr].bytes = malloc(len);
	return volume_read(held->volume, logical, held->ranges[held->nr++].bytes, len, 0, d);
}

static void put_again(struct held *held)
{
	struct diag d = { 0 };

	for (size_t i = 0; i < held->nr; i++) {
		if (volume_write(held->volume, held->ranges[i].logical, held->ranges[i].bytes, held->ranges[i].len,
				 &d) != 0)
			fail_msg("%s", d.text);
		free(held->ranges[i].bytes);
	}
}

static void must(int err, const struct diag *d)
{
	if (err)
		fail_msg("%s", d->text);
}

static int move(struct txn_fixture *f, u64 logical, u64 profile, bool may_keep)
{
	static struct held held;
	_free_ struct chunk *to = NULL;
	struct diag d = { 0 };
	int err;

	held = (struct held){ .volume = f->fs->volume };
	must(txn_for_each_used(f->txn, logical, hold, &held, &d), &d);
	err = txn_place_chunk(f->txn, logical, profile, may_keep, &to, &d);
	if (err && err != -ERANGE)
		fail_msg("%s", d.text);
	if (!err)
		must(txn_replace_chunk(f->txn, to, &d), &d);
	put_again(&held);
	return err;
}

/* Addresses of all chunks. */
static size_t all_chunks(const struct txn_fixture *f, u64 *ret_logical, size_t cap)
{
	size_t nr = chunk_map_count(f->fs->volume->chunks);

	assert_true(nr <= cap);
	for (size_t i = 0; i < nr; i++)
		ret_logical[i] = chunk_map_at(f->fs->volume->chunks, i)->logical;
	return nr;
}

static void reopen_and_check(struct txn_fixture *f, const char *what)
{
	txn_fixture_close(f);
	txn_fixture_check(f, what, true);
	txn_fixture_open(f);
}

static const struct txn_shape shapes[] = {
	{ "dup", 16384, "dup", "single", 1, DEVICE_BYTES, NULL, false },
	{ "two devices", 4096, "raid1", "raid0", 2, DEVICE_BYTES, NULL, false },
	{ "no block group tree", 16384, "raid1", "single", 2, DEVICE_BYTES, "^block-group-tree", false },
	{ "mixed", 4096, "dup", "dup", 2, DEVICE_BYTES, NULL, true },
	{ "four devices", 16384, "raid1c3", "raid10", 4, DEVICE_BYTES, NULL, false },
	{ "parity", 16384, "raid6", "raid5", 4, DEVICE_BYTES, NULL, false },
};

/* All chunks, one by one and at once, are put somewhere else, with the profile that they have. */
static void every_chunk_moves(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct txn_fixture f;
		struct diag d = { 0 };
		u64 logical[32];
		size_t nr;

		txn_fixture_make(&f, &shapes[s]);
		nr = all_chunks(&f, logical, ARRAY_LEN(logical));
		for (unsigned round = 0; round < 2; round++) {
			for (size_t i = 0; i < nr; i++) {
				u64 type = chunk_map_find(f.fs->volume->chunks, logical[i])->type;

				assert_int_equal(move(&f, logical[i], type & BLOCK_GROUP_PROFILE_MASK, false), 0);
				if (round == 0)
					must(txn_commit(f.txn, &d), &d);
			}
			must(txn_commit(f.txn, &d), &d);
			reopen_and_check(&f, shapes[s].name);
		}
		txn_fixture_done(&f);
	}
}

/* On four devices, from each profile that works in place of the one before. */
static void every_profile(void **state)
{
	static const u64 order[] = { BLOCK_GROUP_RAID1,	  0,
				     BLOCK_GROUP_RAID0,	  BLOCK_GROUP_RAID1C3,
				     BLOCK_GROUP_DUP,	  BLOCK_GROUP_RAID5,
				     BLOCK_GROUP_RAID1C4, BLOCK_GROUP_RAID10,
				     BLOCK_GROUP_RAID6,	  0 };
	static const struct txn_shape shape = { "profiles", 16384, "raid1", "single", 4, DEVICE_BYTES, NULL, false };
	struct txn_fixture f;
	struct diag d = { 0 };
	u64 logical[32];
	size_t nr;

	(void)state;
	txn_fixture_make(&f, &shape);
	nr = all_chunks(&f, logical, ARRAY_LEN(logical));
	for (size_t p = 0; p < ARRAY_LEN(order); p++) {
		for (size_t i = 0; i < nr; i++) {
			int err = move(&f, logical[i], order[p], true);

			/* Three data stripes do not divide every length. */
			assert_true(err == 0 || err == -ERANGE);
		}
		must(txn_commit(f.txn, &d), &d);
		reopen_and_check(&f, profile_by_flags(order[p])->name);
		assert_int_equal(!!(le64_get(f.fs->super.incompat_flags) & INCOMPAT_RAID56),
				 order[p] == BLOCK_GROUP_RAID5 || order[p] == BLOCK_GROUP_RAID6);
	}
	txn_fixture_done(&f);
}

static void what_may_stay_stays(void **state)
{
	static const struct txn_shape shape = { "staying", 16384, "raid1", "raid1", 2, DEVICE_BYTES, NULL, false };
	struct txn_fixture f;
	struct diag d = { 0 };
	u64 logical[32];
	size_t nr;

	(void)state;
	txn_fixture_make(&f, &shape);
	nr = all_chunks(&f, logical, ARRAY_LEN(logical));
	for (size_t i = 0; i < nr; i++) {
		const struct chunk *old = chunk_map_find(f.fs->volume->chunks, logical[i]);
		struct chunk *to;

		must(txn_place_chunk(f.txn, logical[i], BLOCK_GROUP_RAID1, true, &to, &d), &d);
		assert_int_equal(to->stripe[0].physical,
				 old->stripe[to->stripe[0].devid == old->stripe[0].devid ? 0 : 1].physical);
		free(to);
		must(txn_place_chunk(f.txn, logical[i], 0, true, &to, &d), &d);
		assert_int_equal(to->num_stripes, 1);
		assert_int_equal(to->stripe[0].physical,
				 old->stripe[to->stripe[0].devid == old->stripe[0].devid ? 0 : 1].physical);
		must(txn_replace_chunk(f.txn, to, &d), &d);
		assert_int_equal(txn_replace_chunk(f.txn, to, &d), -EBUSY);
		free(to);
	}
	must(txn_commit(f.txn, &d), &d);
	reopen_and_check(&f, "raid1 to single");
	txn_fixture_done(&f);
}

/* Devices come, take everything, and go again; an abort after each step leaves what there was. */
static void devices_come_and_go(void **state)
{
	static const struct txn_shape shape = { "devices", 16384, "dup", "single", 1, DEVICE_BYTES, NULL, false };
	static const u8 uuid[UUID_SIZE] = { 1, 2, 3 };
	struct txn_fixture f;
	struct diag d = { 0 };
	char path[64] = "/tmp/btrkit-txn-XXXXXX";
	u64 logical[32], devid;
	size_t nr;
	int fd = mkstemp(path);

	(void)state;
	assert_int_equal(ftruncate(fd, DEVICE_BYTES), 0);
	close(fd);
	txn_fixture_make(&f, &shape);
	nr = all_chunks(&f, logical, ARRAY_LEN(logical));
	for (unsigned is_kept = 0; is_kept < 2; is_kept++) {
		struct blockdev *dev;

		must(file_device_open(path, FILE_DEVICE_WRITE, 0, 0, &dev, &d), &d);
		must(txn_add_device(f.txn, dev, DEVICE_BYTES, uuid, &devid, &d), &d);
		if (!is_kept) {
			txn_abort(f.txn);
			reopen_and_check(&f, "added and aborted");
		}
	}
	assert_int_equal(devid, 2);
	must(txn_commit(f.txn, &d), &d);
	f.path_list[1] = path;
	f.nr_devices = 2;
	reopen_and_check(&f, "added");
	assert_int_equal(txn_remove_device(f.txn, 1, &d), -EBUSY);
	must(txn_limit_device(f.txn, 1, 0, &d), &d);
	for (unsigned is_kept = 0; is_kept < 2; is_kept++) {
		for (size_t i = 0; i < nr; i++)
			assert_int_equal(
				move(&f, logical[i],
				     chunk_map_find(f.fs->volume->chunks, logical[i])->type & BLOCK_GROUP_PROFILE_MASK,
				     true),
				0);
		if (!is_kept)
			txn_abort(f.txn);
	}
	must(txn_commit(f.txn, &d), &d);
	must(txn_remove_device(f.txn, 1, &d), &d);
	txn_abort(f.txn);
	must(txn_remove_device(f.txn, 1, &d), &d);
	must(txn_commit(f.txn, &d), &d);
	f.path_list[0] = path;
	f.nr_devices = 1;
	reopen_and_check(&f, "the first device has gone");
	assert_int_equal(txn_resize_device(f.txn, 2, 16 * MIB, &d), -EBUSY);
	must(txn_resize_device(f.txn, 2, DEVICE_BYTES - 64 * KIB, &d), &d);
	must(txn_commit(f.txn, &d), &d);
	reopen_and_check(&f, "a smaller device");
	f.nr_devices = 1;
	txn_fixture_done(&f);
	unlink(f.paths[0]);
	unlink(path);
}

/* A chunk that nobody uses goes; one in use does not. */
static void empty_chunks_go(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct txn_fixture f;
		struct diag d = { 0 };
		u64 logical[32], at, len, used;
		size_t nr, nr_now;

		txn_fixture_make(&f, &shapes[s]);
		nr = all_chunks(&f, logical, ARRAY_LEN(logical));
		for (size_t i = 0; i < nr; i++) {
			must(txn_group_used_bytes(f.txn, logical[i], &used, &d), &d);
			assert_int_equal(txn_remove_chunk(f.txn, logical[i], &d), used ? -EBUSY : 0);
			must(txn_close_group(f.txn, logical[i], true, &d), &d);
		}
		/* All are closed: this needs a new one. */
		must(txn_alloc_data(f.txn, 64 * KIB, 64 * KIB, &at, &len, &d), &d);
		must(txn_unalloc_data(f.txn, at, len, &d), &d);
		must(txn_commit(f.txn, &d), &d);
		nr_now = all_chunks(&f, logical, ARRAY_LEN(logical));
		assert_true(nr_now > nr);
		reopen_and_check(&f, shapes[s].name);
		for (size_t i = 0; i < nr_now; i++) {
			must(txn_group_used_bytes(f.txn, logical[i], &used, &d), &d);
			if (!used)
				must(txn_remove_chunk(f.txn, logical[i], &d), &d);
		}
		txn_abort(f.txn);
		for (size_t i = 0; i < nr_now; i++) {
			must(txn_group_used_bytes(f.txn, logical[i], &used, &d), &d);
			if (!used)
				must(txn_remove_chunk(f.txn, logical[i], &d), &d);
		}
		must(txn_commit(f.txn, &d), &d);
		reopen_and_check(&f, shapes[s].name);
		txn_fixture_done(&f);
	}
}

/* Of what is free behind the last used byte of each chunk one part of @divide stays. Returns how many became shorter. */
static size_t shorten_all(struct txn_fixture *f, const u64 *logical, size_t nr, u64 divide)
{
	struct diag d = { 0 };
	size_t nr_shorter = 0;

	for (size_t i = 0; i < nr; i++) {
		const struct chunk *chunk = chunk_map_find(f->fs->volume->chunks, logical[i]);
		u64 rows = chunk_row_bytes(chunk), end, length;

		must(txn_group_used_end(f->txn, logical[i], &end, &d), &d);
		length = (end + (chunk->length - end) / divide + rows - 1) / rows * rows;
		assert_int_equal(txn_shorten_chunk(f->txn, logical[i], chunk->length, &d), -EINVAL);
		assert_int_equal(txn_shorten_chunk(f->txn, logical[i], length + 4096, &d), -EINVAL);
		assert_int_equal(txn_shorten_chunk(f->txn, logical[i], 0, &d), -EINVAL);
		if (end > rows)
			assert_int_equal(txn_shorten_chunk(f->txn, logical[i], (end - 1) / rows * rows, &d), -EBUSY);
		if (length == 0 || length == chunk->length)
			continue;
		must(txn_shorten_chunk(f->txn, logical[i], length, &d), &d);
		assert_int_equal(txn_shorten_chunk(f->txn, logical[i], length, &d), -EBUSY);
		assert_int_equal(chunk_map_find(f->fs->volume->chunks, logical[i])->length, length);
		nr_shorter++;
	}
	return nr_shorter;
}

/* Chunks end earlier: aborted they do not, and what is written into them afterwards is sound. */
static void chunks_become_shorter(void **state)
{
	(void)state;
	for (size_t s = 0; s < ARRAY_LEN(shapes); s++) {
		struct txn_fixture f;
		struct diag d = { 0 };
		struct model model = { 0 };
		u64 logical[32], seed = s + 1, before[32];
		size_t nr;

		txn_fixture_make(&f, &shapes[s]);
		nr = all_chunks(&f, logical, ARRAY_LEN(logical));
		for (size_t i = 0; i < nr; i++)
			before[i] = chunk_map_find(f.fs->volume->chunks, logical[i])->length;
		assert_int_equal(shorten_all(&f, logical, nr, 2), nr);
		txn_abort(f.txn);
		for (size_t i = 0; i < nr; i++)
			assert_int_equal(chunk_map_find(f.fs->volume->chunks, logical[i])->length, before[i]);
		must(do_work(&f, FS_TREE_OBJECTID, &model, 50, 5, &seed, &d), &d);
		must(txn_commit(f.txn, &d), &d);
		/* Half of what is free, then all of it, with work in the same transaction. */
		for (u64 divide = 2; divide < 1000000; divide += 999997) {
			assert_true(shorten_all(&f, logical, nr, divide) > 0);
			must(do_work(&f, FS_TREE_OBJECTID, &model, 200, 10, &seed, &d), &d);
			must(txn_commit(f.txn, &d), &d);
			must(do_work(&f, FS_TREE_OBJECTID, &model, 200, 10, &seed, &d), &d);
			must(txn_commit(f.txn, &d), &d);
			reopen_and_check(&f, shapes[s].name);
			assert_true(has_xattrs(f.fs, FS_TREE_OBJECTID, &model));
		}
		txn_fixture_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_chunk_moves),   cmocka_unit_test(every_profile),
		cmocka_unit_test(what_may_stay_stays), cmocka_unit_test(devices_come_and_go),
		cmocka_unit_test(empty_chunks_go),     cmocka_unit_test(chunks_become_shorter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
