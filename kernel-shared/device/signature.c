/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <blkid/blkid.h>
#include <stdio.h>
#include <unistd.h>

#include "kernel-shared/device/signature.h"

/* A device can hardly have more; a bound for a loop over what libblkid says. */
#define SIGNATURES_MAX 64

void signature_list_done(struct signature_list *list)
{
	array_done(&list->found);
}

static void free_probe(blkid_probe *probe)
{
	blkid_free_probe(*probe);
}

/* Take down what the probe stands on and hide it from the next look. false: nothing with a place. */
static bool take_one(blkid_probe probe, struct signature *ret)
{
	const char *type = NULL, *place = NULL, *magic = NULL;
	size_t len = 0;
	bool is_table = false;

	if (blkid_probe_lookup_value(probe, "TYPE", &type, NULL) != 0) {
		is_table = true;
		if (blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL) != 0)
			return false;
	}
	if (blkid_probe_lookup_value(probe, is_table ? "PTMAGIC_OFFSET" : "SBMAGIC_OFFSET", &place, NULL) != 0 ||
	    blkid_probe_lookup_value(probe, is_table ? "PTMAGIC" : "SBMAGIC", &magic, &len) != 0)
		return false;
	*ret = (struct signature){ .physical = strtoull(place, NULL, 10), .len = (u32)len };
	snprintf(ret->type, sizeof(ret->type), "%s", type);
	return blkid_probe_hide_range(probe, ret->physical, len) == 0 && blkid_probe_step_back(probe) == 0;
}

/*
 * bcachefs, which libblkid knows only since 2.39 and only where the first superblock is whole: the magic in that, and in the list of
 * superblocks before it; as its tools wrote it until 2022, which is that of bcache, and since.
 */
static int find_bcachefs(int fd, u64 base_offset, u64 size_bytes, struct signature_list *list, struct diag *d)
{
	static const u64 places[] = { 4096 + 24, 3584 };
	static const u8 magics[][16] = {
		{ 0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef },
		{ 0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81 },
	};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct signature signature = { .type = "bcachefs", .physical = places[i], .len = sizeof(magics[0]) };
		bool is_known = size_bytes < places[i] + sizeof(magics[0]);
		u8 there[sizeof(magics[0])];

		array_for_each(&list->found, found)
			is_known |= found->physical == places[i];
		if (is_known || pread(fd, there, sizeof(there), (off_t)(base_offset + places[i])) != (ssize_t)sizeof(there) ||
		    (memcmp(there, magics[0], sizeof(there)) != 0 && memcmp(there, magics[1], sizeof(there)) != 0))
			continue;
		if (array_push(&list->found, signature) < 0)
			return diag_no_memory(d, "signatures");
	}
	return 0;
}

int signature_find(int fd, const char *name, u64 base_offset, u64 size_bytes, struct signature_list *list,
		   struct diag *d)
{
	_cleanup_(free_probe) blkid_probe probe = blkid_new_probe();

	if (!probe)
		return diag_no_memory(d, "probing");
	if (size_bytes == 0)
		return 0;
	if (blkid_probe_set_device(probe, fd, (blkid_loff_t)base_offset, (blkid_loff_t)size_bytes) != 0)
		return diag_fail(d, -EIO, "%s: libblkid cannot read it", name);
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_MAGIC | BLKID_SUBLKS_BADCSUM);
	blkid_probe_enable_partitions(probe, 1);
	blkid_probe_set_partitions_flags(probe, BLKID_PARTS_MAGIC | BLKID_PARTS_FORCE_GPT);
	for (unsigned i = 0; i < SIGNATURES_MAX && blkid_do_probe(probe) == 0; i++) {
		struct signature signature;

		if (!take_one(probe, &signature))
			continue;
		if (array_push(&list->found, signature) < 0)
			return diag_no_memory(d, "signatures");
	}
	return find_bcachefs(fd, base_offset, size_bytes, list, d);
}
