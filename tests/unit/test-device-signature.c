/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* kernel-shared/device/signature: what is on a device already, one or several things, at its beginning or elsewhere. */
#include "tests/unit/device_super.h"

#include <sys/mman.h>
#include <unistd.h>

#include "kernel-shared/device/signature.h"

#define BYTES (70 * MIB)

static int sparse_file(void)
{
	int fd = memfd_create("signatures", 0);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, BYTES), 0);
	return fd;
}

static void put(int fd, u64 at, const void *bytes, size_t len)
{
	assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
}

static void put_btrfs(int fd, u64 base, unsigned mirror)
{
	struct disk_super super = make_super(0xf5, 1, 1, 10);

	super_finish(&super, csum_kind_by_type(CSUM_TYPE_CRC32C), super_mirror_physical(mirror));
	put(fd, base + super_mirror_physical(mirror), &super, sizeof(super));
}

/* Swap space of 4 KiB pages: its header is at 1 KiB, its magic the last of the first page. */
static void put_swap(int fd, u64 base)
{
	struct {
		le32 version, last_page, nr_bad_pages;
		u8 uuid[UUID_SIZE];
	} header = { 0 };

	le32_put(&header.version, 1);
	le32_put(&header.last_page, 1000);
	memset(header.uuid, 0x5a, UUID_SIZE);
	put(fd, base + 1024, &header, sizeof(header));
	put(fd, base + 4086, "SWAPSPACE2", 10);
}

/* A partition table of one Linux partition. */
static void put_dos_table(int fd, u64 base)
{
	u8 sector[512] = { 0 };

	sector[446 + 4] = 0x83;
	sector[446 + 9] = 8; /* begins at sector 2048 */
	sector[446 + 13] = 8;
	sector[510] = 0x55;
	sector[511] = 0xaa;
	put(fd, base, sector, sizeof(sector));
}

static const struct signature *find(const struct signature_list *list, const char *type)
{
	array_for_each(&list->found, signature)
		if (strcmp(signature->type, type) == 0)
			return signature;
	return NULL;
}

static void nothing_is_found_on_an_empty_device(void **state)
{
	struct signature_list list = { 0 };
	int fd = sparse_file();

	(void)state;
	assert_int_equal(signature_find(fd, "f", 0, BYTES, &list, NULL), 0);
	assert_int_equal(list.found.len, 0);
	assert_int_equal(signature_find(fd, "f", 0, 0, &list, NULL), 0);
	assert_int_equal(list.found.len, 0);
	signature_list_done(&list);
	close(fd);
}

static void each_signature_is_found_with_its_place(void **state)
{
	static const u64 bases[] = { 0, MIB };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
		struct signature_list list = { 0 };
		const struct signature *found;
		u8 magic[8];
		int fd = sparse_file();

		put_btrfs(fd, bases[i], 0);
		put_swap(fd, bases[i]);
		put_dos_table(fd, bases[i]);
		assert_int_equal(signature_find(fd, "f", bases[i], BYTES - bases[i], &list, NULL), 0);
		found = find(&list, "btrfs");
		assert_non_null(found);
		assert_int_equal(found->physical, 64 * KIB + 0x40);
		assert_int_equal(found->len, 8);
		assert_int_equal(pread(fd, magic, sizeof(magic), (off_t)(bases[i] + found->physical)), 8);
		assert_memory_equal(magic, "_BHRfS_M", 8);
		found = find(&list, "swap");
		assert_non_null(found);
		assert_int_equal(found->physical, 4086);
		assert_int_equal(found->len, 10);
		found = find(&list, "dos");
		assert_non_null(found);
		assert_int_equal(found->physical, 510);
		signature_list_done(&list);
		close(fd);
	}
}

/* Of both generations, as a superblock, as the list of these, and as both; libblkid need not know it. */
static void bcachefs_is_found(void **state)
{
	static const u8 magics[][16] = {
		{ 0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef },
		{ 0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81 },
	};
	static const u64 places[] = { 4120, 3584 };

	(void)state;
	for (unsigned at = 1; at < 4; at++) {
		for (size_t i = 0; i < ARRAY_LEN(magics); i++) {
			struct signature_list list = { 0 };
			int fd = sparse_file();

			for (unsigned place = 0; place < 2; place++)
				if (at >> place & 1)
					put(fd, MIB + places[place], magics[i], sizeof(magics[i]));
			assert_int_equal(signature_find(fd, "f", MIB, BYTES - MIB, &list, NULL), 0);
			assert_int_equal(list.found.len, at == 3 ? 2 : 1);
			assert_int_equal(list.found.items[0].physical, places[at == 2]);
			assert_string_equal(list.found.items[0].type, "bcachefs");
			signature_list_done(&list);
			assert_int_equal(signature_find(fd, "f", 0, 4000, &list, NULL), 0);
			close(fd);
		}
	}
}

/* Wiping what was found, as making a filesystem does, leaves nothing to find. */
static void what_is_wiped_is_gone(void **state)
{
	struct signature_list list = { 0 }, rest = { 0 };
	u8 zero[512] = { 0 };
	int fd = sparse_file();

	(void)state;
	put_btrfs(fd, 0, 0);
	put_swap(fd, 0);
	put_dos_table(fd, 0);
	assert_int_equal(signature_find(fd, "f", 0, BYTES, &list, NULL), 0);
	assert_true(list.found.len >= 3);
	array_for_each(&list.found, signature)
		put(fd, signature->physical, zero, signature->len);
	assert_int_equal(signature_find(fd, "f", 0, BYTES, &rest, NULL), 0);
	assert_int_equal(rest.found.len, 0);
	signature_list_done(&list);
	signature_list_done(&rest);
	close(fd);
}

/* A filesystem in a part of the file is not seen from another part. */
static void only_the_range_is_looked_at(void **state)
{
	struct signature_list list = { 0 };
	int fd = sparse_file();

	(void)state;
	put_btrfs(fd, MIB, 0);
	assert_int_equal(signature_find(fd, "f", 0, MIB, &list, NULL), 0);
	assert_int_equal(list.found.len, 0);
	assert_int_equal(signature_find(fd, "f", 0, BYTES, &list, NULL), 0);
	assert_int_equal(list.found.len, 0);
	assert_int_equal(signature_find(fd, "f", 2 * MIB, BYTES - 2 * MIB, &list, NULL), 0);
	assert_int_equal(list.found.len, 0);
	assert_int_equal(signature_find(fd, "f", MIB, BYTES - MIB, &list, NULL), 0);
	assert_non_null(find(&list, "btrfs"));
	signature_list_done(&list);
	close(fd);
}

static void a_superblock_with_a_wrong_checksum_is_one_too(void **state)
{
	struct signature_list list = { 0 };
	int fd = sparse_file();

	(void)state;
	put_btrfs(fd, 0, 0);
	put(fd, 65536, "wrong", 5);
	assert_int_equal(signature_find(fd, "f", 0, BYTES, &list, NULL), 0);
	assert_non_null(find(&list, "btrfs"));
	signature_list_done(&list);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_found_on_an_empty_device),
		cmocka_unit_test(each_signature_is_found_with_its_place),
		cmocka_unit_test(bcachefs_is_found),
		cmocka_unit_test(what_is_wiped_is_gone),
		cmocka_unit_test(only_the_range_is_looked_at),
		cmocka_unit_test(a_superblock_with_a_wrong_checksum_is_one_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
