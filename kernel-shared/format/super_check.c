/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/csum/csum.h"
#include "kernel-shared/format/super_check.h"

typedef unsigned long long ull;

static bool is_block_size(u32 bytes)
{
	return is_power_of_two(bytes) && bytes >= SECTORSIZE_MIN && bytes <= SECTORSIZE_MAX;
}

static int check_csum(const struct disk_super *super, struct diag *d)
{
	u16 type = le16_get(super->csum_type);
	const struct csum_kind *kind = csum_kind_by_type(type);
	u8 computed[CSUM_SIZE];

	if (!csum_type_name(type))
		return diag_fail(d, -EUCLEAN, "unknown checksum type %u", type);
	if (!kind)
		return diag_fail(d, -EOPNOTSUPP, "checksum type %s is not built in", csum_type_name(type));
	csum_compute(kind, (const u8 *)super + CSUM_SIZE, sizeof(*super) - CSUM_SIZE, computed);
	if (memcmp(computed, super->csum, kind->size_bytes) != 0)
		return diag_fail(d, -EUCLEAN, "wrong checksum");
	return 0;
}

static int check_sizes(const struct disk_super *super, struct diag *d)
{
	u32 sectorsize = le32_get(super->sectorsize), nodesize = le32_get(super->nodesize);

	if (!is_block_size(sectorsize))
		return diag_fail(d, -EUCLEAN, "impossible sectorsize %u", sectorsize);
	if (!is_block_size(nodesize) || nodesize < sectorsize)
		return diag_fail(d, -EUCLEAN, "impossible nodesize %u (sectorsize %u)", nodesize, sectorsize);
	if (le32_get(super->leafsize) != nodesize)
		return diag_fail(d, -EUCLEAN, "leafsize %u differs from nodesize %u", le32_get(super->leafsize), nodesize);
	return 0;
}

static int check_root(const struct disk_super *super, const char *name, le64 logical, u8 level, bool is_needed,
		      struct diag *d)
{
	u64 at = le64_get(logical);

	if (at == 0 && !is_needed)
		return 0;
	if (at == 0 || at % le32_get(super->sectorsize) != 0)
		return diag_fail(d, -EUCLEAN, "%s at %llu: not a multiple of the sectorsize", name, (ull)at);
	if (level >= LEVEL_MAX)
		return diag_fail(d, -EUCLEAN, "%s has level %u, limit %d", name, level, LEVEL_MAX - 1);
	return 0;
}

static int check_roots(const struct disk_super *super, struct diag *d)
{
	int err = check_root(super, "root tree", super->root, super->root_level, true, d);

	if (!err)
		err = check_root(super, "chunk tree", super->chunk_root, super->chunk_root_level, true, d);
	if (!err)
		err = check_root(super, "log tree", super->log_root, super->log_root_level, false, d);
	return err;
}

static int check_identity(const struct disk_super *super, struct diag *d)
{
	const u8 *fsid = super_metadata_fsid(super);

	if (memcmp(super->dev_item.fsid, fsid, UUID_SIZE) != 0 &&
	    memcmp(super->dev_item.fsid, super->fsid, UUID_SIZE) != 0)
		return diag_fail(d, -EUCLEAN, "the device item's fsid is not the filesystem's");
	if (le64_get(super->dev_item.devid) == 0 && le64_get(super->dev_item.total_bytes) == 0)
		return diag_fail(d, -EUCLEAN, "no device item");
	if (!memchr(super->label, 0, LABEL_SIZE))
		return diag_fail(d, -EUCLEAN, "label is not terminated");
	return 0;
}

static int check_numbers(const struct disk_super *super, struct diag *d)
{
	u32 array_bytes = le32_get(super->sys_chunk_array_size);
	u64 generation = le64_get(super->generation);

	if (array_bytes > SYSTEM_CHUNK_ARRAY_SIZE || array_bytes < sizeof(struct disk_key) + sizeof(struct disk_chunk))
		return diag_fail(d, -EUCLEAN, "sys_chunk_array of %u bytes", array_bytes);
	if (le64_get(super->num_devices) == 0)
		return diag_fail(d, -EUCLEAN, "num_devices is 0");
	if (le64_get(super->chunk_root_generation) > generation)
		return diag_fail(d, -EUCLEAN, "chunk_root_generation %llu is newer than generation %llu",
				 (ull)le64_get(super->chunk_root_generation), (ull)generation);
	if (le64_get(super->total_bytes) == 0)
		return diag_fail(d, -EUCLEAN, "total_bytes is 0");
	return 0;
}

int super_check(const struct disk_super *super, u64 physical, struct diag *d)
{
	int err;

	if (le64_get(super->magic) != SUPER_MAGIC)
		return diag_fail(d, -EUCLEAN, "wrong magic %016llx", (ull)le64_get(super->magic));
	err = check_csum(super, d);
	if (err)
		return err;
	if (le64_get(super->bytenr) != physical)
		return diag_fail(d, -EUCLEAN, "says that it lies at %llu", (ull)le64_get(super->bytenr));
	err = check_sizes(super, d);
	if (!err)
		err = check_roots(super, d);
	if (!err)
		err = check_identity(super, d);
	return err ? err : check_numbers(super, d);
}
