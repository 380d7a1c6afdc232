/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every copy of every extent, of all snapshots, and of what files share: it lies within a device that is there, and, if data is to be
 * read, matches its checksum and can be decompressed. Then, that what files share is there. Keys are read in order, their data by all
 * threads.
 */
#include <stdio.h>

#include "check/ranges.h"
#include "convert/bcachefs/bch_check_key.h"
#include "convert/bcachefs/bch_checksum.h"
#include "convert/bcachefs/bch_extent.h"
#include "convert/bcachefs/bch_logged_ops.h"

typedef unsigned long long ull;

#define JOBS 128
#define WHY_MAX 160
#define PLAIN_BYTES (1024 * 1024) /* read at once of what has no checksum */

struct data_job {
	struct bch_key key;
	u8 value[255 * 8];
	struct bch_extent extent;
	unsigned nr_good;
	bool is_bad[BCH_REPLICAS_MAX];
	char why[BCH_REPLICAS_MAX][WHY_MAX];
	u64 read_bytes;
	int err; /* what ends the check */
};

/* Where a file refers to what is shared. */
struct pointer {
	struct bch_pos pos;
	u64 first, nr_sectors;
};

struct data_pass {
	struct bch_check *check;
	u8 btree;
	struct data_job *jobs; /* JOBS of them */
	unsigned nr_jobs;
	struct sequence *pointers;
	struct ranges shared; /* sectors of the reflink btree that can be read */
};

/* --- Reading, in threads ---------------------------------------------------------------------------------------------- */

static int read_plain(struct bch_check *check, const struct data_job *job, const struct bch_replica *replica, struct diag *d)
{
	u64 left = (u64)job->key.size_sectors * BCH_SECTOR_BYTES, at = replica->physical;
	u8 *buf = malloc(PLAIN_BYTES);
	int err = buf ? 0 : -ENOMEM;

	for (u64 now; !err && left > 0; left -= now, at += now) {
		now = MIN(left, (u64)PLAIN_BYTES);
		err = bch_device_read(check->fs, replica->device, at, buf, now, d);
	}
	free(buf);
	return err;
}

static int read_replica(struct bch_check *check, struct data_job *job, const struct bch_replica *replica, struct diag *d)
{
	u8 *buf;
	int err;

	if (replica->crc.csum_type == BCH_CSUM_NONE &&
	    (replica->crc.compression == BCH_COMPRESSION_NONE || replica->crc.compression == BCH_COMPRESSION_INCOMPRESSIBLE) &&
	    replica->crc.usize_sectors == job->key.size_sectors)
		return read_plain(check, job, replica, d);
	buf = malloc(MAX((size_t)replica->crc.usize_sectors * BCH_SECTOR_BYTES, (size_t)1));
	if (!buf)
		return diag_no_memory(d, "data");
	err = bch_replica_read(check->fs, &job->key, replica, buf, d);
	free(buf);
	return err;
}

/* Without reading: can it be there at all? */
static int judge_place(const struct bch_check *check, const struct data_job *job, const struct bch_replica *replica, struct diag *d)
{
	const struct bch_fs *fs = check->fs;
	u64 bytes = (u64)(replica->crc.csize_sectors ? replica->crc.csize_sectors : job->key.size_sectors) * BCH_SECTOR_BYTES;
	const struct blockdev *dev = replica->device < BCH_DEVICES_MAX ? fs->devices[replica->device].dev : NULL;

	if (!dev)
		return diag_fail(d, -ENXIO, "device %u is not there", replica->device);
	if (replica->physical > dev->size_bytes || bytes > dev->size_bytes - replica->physical)
		return diag_fail(d, -EUCLEAN, "it would lie beyond the end of %s", dev->name);
	return 0;
}

static int run_job(void *ctx, unsigned worker, u64 i, struct diag *d)
{
	struct data_pass *pass = ctx;
	struct bch_check *check = pass->check;
	struct data_job *job = &pass->jobs[i];
	bool wants_data = check->options->do_data;

	(void)worker, (void)d;
	for (unsigned r = 0; r < job->extent.nr_replicas; r++) {
		const struct bch_replica *replica = &job->extent.replica[r];
		struct diag why = { 0 };
		int err;

		if (replica->is_cached)
			continue;
		err = replica->is_unwritten ? 0 : judge_place(check, job, replica, &why);
		if (!err && wants_data && !replica->is_unwritten && !(check->options->only_first_copy && job->nr_good)) {
			err = read_replica(check, job, replica, &why);
			job->read_bytes += (u64)replica->crc.csize_sectors * BCH_SECTOR_BYTES;
		}
		if (err == -ENOMEM)
			return diag_no_memory(d, "data");
		job->nr_good += err == 0;
		/* What is on a device that is not given is not known to be bad. */
		job->is_bad[r] = err < 0 && err != -ENXIO;
		snprintf(job->why[r], WHY_MAX, "%.*s", WHY_MAX - 1, err ? why.text : "");
	}
	return 0;
}

/* --- What they found --------------------------------------------------------------------------------------------------- */

static const char *why_lost(const struct data_job *job)
{
	const char *why = "there is no pointer to any";

	if (job->extent.is_poisoned)
		return "it was bad when it was written";
	for (unsigned r = 0; r < job->extent.nr_replicas; r++) {
		if (job->why[r][0])
			return job->why[r];
		if (job->extent.replica[r].is_cached)
			why = "there are only cached ones, which may be stale";
	}
	return why;
}

static void complain_lost(struct data_pass *pass, const struct bch_key *key, const char *why)
{
	struct path_list paths = { 0 };
	char name[16], at[BCH_POS_TEXT_MAX];

	if (pass->btree == BCH_EXTENTS)
		bch_paths_of_key(pass->check, pass->btree, &key->pos, &paths);
	complain(pass->check, BCH_DATA_LOST, AT(.inode = key->pos.inode, .paths = &paths), bch_btree_name(pass->btree, name),
		 bch_pos_text(&key->pos, at), key->size_sectors, why);
	path_list_done(&paths);
}

static void complain_of_copies(struct data_pass *pass, const struct data_job *job)
{
	struct path_list paths = { 0 };
	char name[16], at[BCH_POS_TEXT_MAX];

	for (unsigned r = 0; r < job->extent.nr_replicas; r++) {
		const struct bch_replica *replica = &job->extent.replica[r];

		if (!job->is_bad[r])
			continue;
		if (pass->btree == BCH_EXTENTS && !paths.total)
			bch_paths_of_key(pass->check, pass->btree, &job->key.pos, &paths);
		complain(pass->check, BCH_EXTENT_COPY_BAD,
			 AT(.devid = replica->device, .physical = replica->physical, .inode = job->key.pos.inode, .paths = &paths),
			 bch_btree_name(pass->btree, name), bch_pos_text(&job->key.pos, at), r, (unsigned)replica->device,
			 (ull)replica->physical, job->why[r]);
	}
	path_list_done(&paths);
}

static int mark_shared(struct data_pass *pass, const struct bch_key *key, struct diag *d)
{
	struct range range = { key->pos.offset - MIN((u64)key->size_sectors, key->pos.offset), key->pos.offset };

	return pass->btree == BCH_REFLINK && range.start < range.end ? ranges_add(&pass->shared, &range, 1, d) : 0;
}

static int finish_jobs(struct data_pass *pass, struct diag *d)
{
	struct bch_check *check = pass->check;
	int err = pool_for_each(check->pool, pass->nr_jobs, run_job, pass, d);

	for (unsigned i = 0; i < pass->nr_jobs && !err; i++) {
		const struct data_job *job = &pass->jobs[i];

		check->result->nr_extents++;
		check->result->data_bytes += job->read_bytes;
		progress_add(check->progress, job->read_bytes, 0);
		if (!job->nr_good || job->extent.is_poisoned)
			complain_lost(pass, &job->key, why_lost(job));
		else
			err = mark_shared(pass, &job->key, d);
		if (job->nr_good)
			complain_of_copies(pass, job);
	}
	pass->nr_jobs = 0;
	return err;
}

/* --- Keys ------------------------------------------------------------------------------------------------------------- */

static int add_job(struct data_pass *pass, const struct bch_key *key, size_t entries_at, struct diag *d)
{
	struct data_job *job = &pass->jobs[pass->nr_jobs];
	struct diag why = { 0 };
	int err;

	*job = (struct data_job){ .key = *key };
	if (key->value_bytes < entries_at || key->value_bytes > sizeof(job->value)) {
		bch_complain_of_key(pass->check, pass->btree, &key->pos, "its value is too short");
		return 0;
	}
	memcpy(job->value, key->value, key->value_bytes);
	job->key.value = job->value;
	err = bch_extent_get(pass->check->fs, job->value + entries_at, key->value_bytes - entries_at, key->size_sectors, &job->extent,
			     &why);
	if (err == -ENOMEM)
		return diag_copy(d, &why);
	if (err < 0) {
		bch_complain_of_key(pass->check, pass->btree, &key->pos, why.text);
		return 0;
	}
	return ++pass->nr_jobs == JOBS ? finish_jobs(pass, d) : 0;
}

static int add_pointer(struct data_pass *pass, const struct bch_key *key, struct diag *d)
{
	struct pointer pointer = { .pos = key->pos, .nr_sectors = key->size_sectors };

	if (key->value_bytes < 8) {
		bch_complain_of_key(pass->check, pass->btree, &key->pos, "its value is too short");
		return 0;
	}
	pointer.first = le64_get(*(const le64 *)(const void *)key->value) & ((1ULL << 56) - 1);
	return sequence_append(pass->pointers, &pointer, d);
}

/* Only the file that it is in sees it, and is about to lose it. */
static bool is_truncated(const struct data_pass *pass, const struct bch_key *key)
{
	return pass->btree == BCH_EXTENTS && key->pos.offset >= key->size_sectors &&
	       key->pos.offset - key->size_sectors >= bch_truncate_sector(pass->check->fs, key->pos.snapshot, key->pos.inode);
}

static int take_key(struct data_pass *pass, const struct bch_key *key, struct diag *d)
{
	if (is_truncated(pass, key))
		return 0;
	if (!bch_key_judge(pass->check, pass->btree, key))
		return 0;
	if (key->size_sectors > key->pos.offset) {
		bch_complain_of_key(pass->check, pass->btree, &key->pos, "it would begin before the file does");
		return 0;
	}
	switch (key->type) {
	case BCH_KEY_EXTENT:
		return add_job(pass, key, 0, d);
	case BCH_KEY_REFLINK_V:
		return add_job(pass, key, 8, d);
	case BCH_KEY_INDIRECT_INLINE_DATA:
		return mark_shared(pass, key, d);
	case BCH_KEY_REFLINK_P:
		return add_pointer(pass, key, d);
	case BCH_KEY_ERROR:
		complain_lost(pass, key, "it was lost before");
		return 0;
	default:
		return 0;
	}
}

static int sweep_btree(struct data_pass *pass, u8 btree, struct diag *d)
{
	struct bch_sweep sweep;
	struct bch_key key;
	int err;

	pass->btree = btree;
	bch_sweep_init(&sweep, pass->check, btree);
	while ((err = bch_sweep_next(&sweep, &key, d)) == 0) {
		err = take_key(pass, &key, d);
		if (err < 0)
			break;
	}
	bch_sweep_done(&sweep);
	return err < 0 ? err : finish_jobs(pass, d);
}

/* --- What is shared ------------------------------------------------------------------------------------------------------ */

static bool is_covered(struct ranges_reader *reader, const struct pointer *pointer)
{
	u64 at = pointer->first, end = pointer->first + pointer->nr_sectors;
	struct range range;

	return at >= end || (ranges_find(reader, at, &range) && range.start <= at && range.end >= end);
}

static int judge_pointers(struct data_pass *pass, struct diag *d)
{
	struct sequence_reader reader = sequence_read_from(pass->pointers, 0);
	struct ranges_reader shared = ranges_read(&pass->shared);
	const void *record;
	int err = ranges_tidy(&pass->shared, d);

	while (!err && (err = sequence_next(&reader, &record, d)) == 0) {
		struct pointer pointer = *(const struct pointer *)record;
		struct path_list paths = { 0 };
		char at[BCH_POS_TEXT_MAX];

		if (is_covered(&shared, &pointer))
			continue;
		bch_paths_of_key(pass->check, BCH_EXTENTS, &pointer.pos, &paths);
		complain(pass->check, BCH_REFLINK_LOST, AT(.inode = pointer.pos.inode, .paths = &paths),
			 bch_pos_text(&pointer.pos, at), (ull)pointer.first,
			 bch_lost_has(pass->check, BCH_REFLINK, (struct bch_pos){ 0, pointer.first, 0 },
				      (struct bch_pos){ 0, pointer.first + pointer.nr_sectors, UINT32_MAX }) ?
				 "it is in a node that cannot be read" :
				 "not all of it can be read");
		path_list_done(&paths);
	}
	if (err >= 0)
		err = ranges_error(&pass->shared, d);
	sequence_reader_done(&reader);
	ranges_reader_done(&shared);
	return err;
}

int bch_pass_data(struct bch_check *check, struct diag *d)
{
	struct data_pass pass = { .check = check };
	int err;

	pass.jobs = calloc(JOBS, sizeof(*pass.jobs));
	err = pass.jobs ? ranges_init(&pass.shared, &check->spill, check->memory_bytes / 8) : -ENOMEM;
	if (!err)
		err = sequence_new(&check->spill, sizeof(struct pointer), check->memory_bytes / 8, &pass.pointers);
	if (err < 0)
		err = diag_no_memory(d, "the check");
	if (!err)
		err = sweep_btree(&pass, BCH_EXTENTS, d);
	if (!err)
		err = sweep_btree(&pass, BCH_REFLINK, d);
	if (!err)
		err = judge_pointers(&pass, d);
	sequence_free(pass.pointers);
	ranges_done(&pass.shared);
	free(pass.jobs);
	return err;
}
