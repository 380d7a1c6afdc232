/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* convert/bcachefs: names and extended attributes, their hashes, ACLs; values that images have, and values that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/csum/csum.h"
#include "convert/bcachefs/bch_inode.h"
#include "convert/bcachefs/bch_look.h"
#include "convert/bcachefs/bch_siphash.h"

/* From the paper: the key is 00 01 02 ... 0f, the data 00 01 02 ... */
static void test_siphash(void **state)
{
	static const u64 expected[] = {
		0x726fdb47dd0e0e31ULL, 0x74f839c593dc67fdULL, 0x0d6c8009d9a94f5aULL, 0x85676696d7fb7e2dULL,
		0xcf2794e0277187b7ULL, 0x18765564cd99a68dULL, 0xcbc9466e58fee3ceULL, 0xab0200f58b01d137ULL,
		0x93f5f5799a932462ULL, 0x9e0082df0ba9e4b0ULL, 0x7a5dbbc594ddb9f3ULL, 0xf4b32f46226bada7ULL,
		0x751e8fbc860ee5fbULL, 0x14ea5627c0843d90ULL, 0xf723ca908e7af2eeULL, 0xa129ca6149be45e5ULL,
	};
	u8 data[ARRAY_LEN(expected)];

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (u8)i;
	for (size_t len = 0; len < ARRAY_LEN(expected); len++)
		assert_true(bch_siphash(0x0706050403020100ULL, 0x0f0e0d0c0b0a0908ULL, data, len) == expected[len]);
}

static u64 name_hash(u8 type, u64 seed, u64 flags, const char *name)
{
	struct bch_inode dir = { .hash_type = type, .hash_seed = seed, .flags = flags };
	u64 hash = 0;

	assert_int_equal(bch_name_hash(NULL, &dir, name, strlen(name), &hash), 0);
	return hash;
}

/* As images of 2020 and 2025 have them. */
static void test_name_hashes(void **state)
{
	struct bch_inode dir = { .hash_type = 4 };
	u64 hash;

	(void)state;
	assert_true(name_hash(3, 0xcd891880223d0289ULL, 0, "sym2") == 415527929577881390ULL);
	assert_true(name_hash(3, 0xcd891880223d0289ULL, 0, "dir1") == 1244630374739806574ULL);
	assert_true(name_hash(3, 0xcd891880223d0289ULL, 0, "fifo") == 2429123662569347608ULL);
	assert_true(name_hash(3, 0x9ca01f6877baa5f5ULL, 0, "sparse") == 924250237993317946ULL);
	assert_true(name_hash(3, 0x9ca01f6877baa5f5ULL, 0, "to_trunc") == 2507682495016617237ULL);
	assert_true(name_hash(3, 0xcd891880223d0289ULL, BCH_INODE_31BIT_DIRENT_OFFSET, "sym2") == (415527929577881390ULL & INT32_MAX));
	assert_int_equal(bch_name_hash(NULL, &dir, "a", 1, &hash), -EOPNOTSUPP);
}

static void test_xattr_hash(void **state)
{
	struct bch_inode inode = { .hash_type = 3, .hash_seed = 0xeca82871fa13db4eULL, .flags = BCH_INODE_31BIT_DIRENT_OFFSET };
	u64 hash;

	(void)state;
	assert_int_equal(bch_xattr_hash(NULL, &inode, 0, "dirattr", 7, &hash), 0);
	assert_true(hash == 8445343647382467651ULL);
	assert_int_equal(bch_xattr_hash(NULL, &inode, 0, "x", 10000, &hash), -EINVAL);
}

/* Made from the published pieces: SHA-256 of eight zeroes is af5570f5a1810b7a f78caf4bc70a660f ... */
static void test_old_siphash(void **state)
{
	(void)state;
	if (!csum_kind_by_type(CSUM_TYPE_SHA256)) {
		skip();
		return;
	}
	assert_true(name_hash(2, 0, 0, "name") == bch_siphash(0x7a0b81a1f57055afULL, 0x0f660ac74baf8cf7ULL, "name", 4) >> 1);
}

/* --- Dirents ---------------------------------------------------------------------------------------------------- */

static struct bch_key key_of(u8 type, const void *value, size_t len)
{
	return (struct bch_key){ .type = type, .pos = { 4096, 7, UINT32_MAX }, .value = value, .value_bytes = (u32)len };
}

static void check_dirent(const u8 *value, size_t len, const char *name, u8 type, u64 ino)
{
	struct bch_key key = key_of(BCH_KEY_DIRENT, value, len);
	struct bch_dirent dirent;
	struct diag d = { 0 };

	assert_int_equal(bch_dirent_get(&key, &dirent, &d), 0);
	assert_int_equal(dirent.name_len, strlen(name));
	assert_memory_equal(dirent.name, name, dirent.name_len);
	assert_int_equal(dirent.type, type);
	assert_true(dirent.ino == ino);
}

static void check_bad_dirent(const u8 *value, size_t len)
{
	struct bch_key key = key_of(BCH_KEY_DIRENT, value, len);
	struct bch_dirent dirent;
	struct diag d = { 0 };

	assert_int_equal(bch_dirent_get(&key, &dirent, &d), -EUCLEAN);
	assert_true(strlen(d.text) > 0);
}

static void test_dirents(void **state)
{
	static const u8 link[] = { 0x71, 0, 0, 0x80, 0, 0, 0, 0, 10, 's', 'y', 'm', '2', 0, 0, 0 };
	static const u8 sparse[] = { 0x46, 0x10, 0, 0, 0, 0, 0, 0, 8, 's', 'p', 'a', 'r', 's', 'e', 0 };
	static const u8 folded[24] = { 5, 0, 0, 0, 0, 0, 0, 0, 0x88, 0, 3, 0, 3, 0, 'A', 'b', 'C', 'a', 'b', 'c' };
	static const u8 subvol[] = { 2, 0, 0, 0, 1, 0, 0, 0, 16, 's', 'v', '1', 0, 0, 0, 0 };
	struct bch_key key = key_of(BCH_KEY_DIRENT, subvol, sizeof(subvol));
	struct bch_dirent dirent;
	struct diag d = { 0 };

	(void)state;
	check_dirent(link, sizeof(link), "sym2", 10, 0x80000071);
	check_dirent(sparse, sizeof(sparse), "sparse", 8, 0x1046);
	check_dirent(folded, sizeof(folded), "AbC", 8, 5);
	/* Its place is made from the other form. */
	key.value = folded;
	key.value_bytes = sizeof(folded);
	assert_int_equal(bch_dirent_get(&key, &dirent, &d), 0);
	assert_int_equal(dirent.hashed_len, 3);
	assert_memory_equal(dirent.hashed, "abc", 3);
	key.value = subvol;
	key.value_bytes = sizeof(subvol);
	assert_int_equal(bch_dirent_get(&key, &dirent, &d), 0);
	assert_int_equal(dirent.type, BCH_DT_SUBVOL);
	assert_int_equal(dirent.subvol, 2);
	assert_int_equal(dirent.parent_subvol, 1);
	assert_true(bch_dirent_is_of(&dirent, &(struct bch_subvol){ .id = 1 }));
	assert_false(bch_dirent_is_of(&dirent, &(struct bch_subvol){ .id = 3 }));
	dirent.parent_subvol = 0; /* before 0.17 */
	assert_true(bch_dirent_is_of(&dirent, &(struct bch_subvol){ .id = 3 }));
	key.type = BCH_KEY_XATTR;
	assert_int_equal(bch_dirent_get(&key, &dirent, &d), -EUCLEAN);
}

static void test_bad_dirents(void **state)
{
	static const u8 empty[16] = { 1, 0, 0, 0, 0, 0, 0, 0, 8 };
	static const u8 dot[16] = { 1, 0, 0, 0, 0, 0, 0, 0, 8, '.' };
	static const u8 dots[16] = { 1, 0, 0, 0, 0, 0, 0, 0, 8, '.', '.' };
	static const u8 slash[16] = { 1, 0, 0, 0, 0, 0, 0, 0, 8, 'a', '/', 'b' };
	static const u8 nul[16] = { 1, 0, 0, 0, 0, 0, 0, 0, 8, 'a', 0, 'b' };
	static const u8 long_fold[24] = { 5, 0, 0, 0, 0, 0, 0, 0, 0x88, 0, 3, 0, 8, 0, 'A', 'b', 'C' };
	static const u8 no_fold[16] = { 5, 0, 0, 0, 0, 0, 0, 0, 0x88, 0, 0, 0, 1, 0, 'A' };
	u8 too_long[528] = { 0 };

	(void)state;
	check_bad_dirent(empty, 0);
	check_bad_dirent(empty, 8);
	check_bad_dirent(empty, 9);
	check_bad_dirent(empty, sizeof(empty));
	check_bad_dirent(dot, sizeof(dot));
	check_bad_dirent(dots, sizeof(dots));
	check_bad_dirent(slash, sizeof(slash));
	check_bad_dirent(nul, sizeof(nul));
	check_bad_dirent(long_fold, sizeof(long_fold));
	check_bad_dirent(no_fold, sizeof(no_fold));
	memset(too_long + 9, 'x', sizeof(too_long) - 9);
	check_bad_dirent(too_long, sizeof(too_long));
}

/* --- Extended attributes ---------------------------------------------------------------------------------------- */

static const u8 color[16] = { 0, 5, 3, 0, 'c', 'o', 'l', 'o', 'r', 'r', 'e', 'd' };

static void test_xattrs(void **state)
{
	static const char *const names[] = { "user.color", NULL, NULL, "trusted.color", "security.color" };
	struct bch_xattr xattr;
	struct diag d = { 0 };
	u8 value[16];

	(void)state;
	memcpy(value, color, sizeof(value));
	for (u8 type = 0; type < 5; type++) {
		struct bch_key key = key_of(BCH_KEY_XATTR, value, sizeof(value));

		value[0] = type;
		assert_int_equal(bch_xattr_get(&key, &xattr, &d), names[type] ? 0 : -EUCLEAN);
		if (!names[type])
			continue;
		assert_string_equal(xattr.name, names[type]);
		assert_int_equal(xattr.value_len, 3);
		assert_memory_equal(xattr.value, "red", 3);
	}
}

static void test_bad_xattrs(void **state)
{
	struct bch_xattr xattr;
	struct diag d = { 0 };
	u8 value[264];

	(void)state;
	for (size_t byte = 0; byte < 4; byte++)
		for (unsigned to = 0; to < 256; to++) {
			u8 *exact = malloc(sizeof(color));
			struct bch_key key = key_of(BCH_KEY_XATTR, exact, sizeof(color));

			memcpy(exact, color, sizeof(color));
			exact[byte] = (u8)to;
			if (bch_xattr_get(&key, &xattr, &d) == 0)
				assert_true(xattr.value + xattr.value_len <= exact + sizeof(color));
			free(exact);
		}
	for (size_t len = 0; len < 12; len++) {
		struct bch_key key = key_of(BCH_KEY_XATTR, color, len);

		assert_int_equal(bch_xattr_get(&key, &xattr, &d), -EUCLEAN);
	}
	/* The longest name there can be. */
	memset(value, 'n', sizeof(value));
	memcpy(value, (u8[]){ 4, 255, 0, 0 }, 4);
	struct bch_key key = key_of(BCH_KEY_XATTR, value, sizeof(value));

	assert_int_equal(bch_xattr_get(&key, &xattr, &d), 0);
	assert_int_equal(strlen(xattr.name), 255 + strlen("security."));
	value[100] = 0;
	assert_int_equal(bch_xattr_get(&key, &xattr, &d), -EUCLEAN);
}

static void test_acls(void **state)
{
	static const u8 stored[] = { 1, 0, 0, 0, 1, 0, 6, 0, 2, 0, 7, 0, 0xe8, 3, 0, 0, 4, 0, 4, 0, 16, 0, 7, 0, 32, 0, 0, 0 };
	static const u8 shown[] = { 2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 7, 0, 0xe8, 3, 0, 0, 4, 0, 4, 0, 255, 255,
				    255, 255, 16, 0, 7, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255 };
	struct diag d = { 0 };
	u8 *value = NULL;
	size_t len = 0;

	(void)state;
	assert_int_equal(bch_acl_to_posix(stored, sizeof(stored), &value, &len, &d), 0);
	assert_int_equal(len, sizeof(shown));
	assert_memory_equal(value, shown, len);
	free(value);
	assert_int_equal(bch_acl_to_posix(stored, 7, &value, &len, &d), -EUCLEAN);
	assert_int_equal(bch_acl_to_posix(stored, 0, &value, &len, &d), -EUCLEAN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash),	    cmocka_unit_test(test_name_hashes),	 cmocka_unit_test(test_xattr_hash),
		cmocka_unit_test(test_old_siphash), cmocka_unit_test(test_dirents),	 cmocka_unit_test(test_bad_dirents),
		cmocka_unit_test(test_xattrs),	    cmocka_unit_test(test_bad_xattrs), cmocka_unit_test(test_acls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
