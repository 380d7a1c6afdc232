/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Is the image what it was? All of its data is read, in the order of the device, and compared with the checksum tree. */
#include "convert/inplace/rollback.h"
#include "kernel-shared/fs/data.h"
#include "kernel-shared/volume/volume.h"

typedef unsigned long long ull;

/* What a thread reads before it takes the next part: enough that a disk does not have to move much between threads. */
#define JOB_BYTES (4 * MIB)
#define READ_BYTES MIB

struct verify_job {
	u64 offset, logical;
	u32 len;
};

struct verify_worker {
	struct data_reader reader;
	u8 *buf; /* READ_BYTES */
};

struct verifying {
	const struct rollback *rollback;
	ARRAY(struct verify_job) jobs;
	struct verify_worker *workers;
	_Atomic(u64) nr_bare_bytes; /* that have no checksums */
};

int rollback_read_piece(const struct rollback *rollback, struct data_reader *reader, u64 logical, void *buf, size_t len,
			struct diag *d)
{
	u32 sectorsize = rollback->fs->volume->sectorsize;
	bool is_verified = rollback->has_csums && !rollback->no_verify;
	struct diag why = { 0 };
	size_t good;
	int err = data_read(reader, logical, buf, len, is_verified, &good, d);

	/* What can be read, but not verified, is not a device's failure. */
	if (err == -EIO && is_verified &&
	    volume_read(rollback->fs->volume, logical + good, (u8 *)buf + good, sectorsize, 0, &why) == 0)
		err = -EUCLEAN;
	if (err && d)
		d->err = err;
	return err;
}

int rollback_csummed_part(const struct rollback *rollback, struct data_reader *reader, u64 logical, size_t len, size_t *ret_with,
			  size_t *ret_without, struct diag *d)
{
	u32 sectorsize = rollback->fs->volume->sectorsize;
	u32 nr = (u32)MIN(len / sectorsize, (size_t)DATA_BATCH_SECTORS), same = 1;
	int err = data_csums_load(reader, logical, nr, d);

	if (err)
		return err;
	while (same < nr && reader->is_known[same] == reader->is_known[0])
		same++;
	*ret_with = reader->is_known[0] ? (size_t)same * sectorsize : 0;
	*ret_without = reader->is_known[0] ? 0 : (size_t)same * sectorsize;
	return 0;
}

bool rollback_may_lack_csums(u64 offset, u64 len)
{
	bool may = offset >= SAVED_HEAD_BYTES;

	for (unsigned mirror = 0; mirror < SUPER_MIRROR_MAX; mirror++)
		may = may && !ranges_touch(offset, len, super_mirror_physical(mirror), SUPER_INFO_SIZE);
	return may;
}

/* A part of a job that does not stand as a whole: all that has checksums has to match them. */
static int verify_parts(struct verifying *verifying, struct verify_worker *mine, const struct verify_job *job, u32 done, u32 len,
			struct diag *d)
{
	const struct rollback *rollback = verifying->rollback;

	for (u32 end = done + len; done < end;) {
		size_t with = 0, without = 0;
		int err = rollback_csummed_part(rollback, &mine->reader, job->logical + done, end - done, &with, &without, d);

		if (!err && with)
			err = rollback_read_piece(rollback, &mine->reader, job->logical + done, mine->buf, with, d);
		else if (!err && !rollback_may_lack_csums(job->offset + done, without))
			err = diag_fail(d, -EUCLEAN, "data at %llu has no checksum", (ull)(job->logical + done));
		if (err)
			return diag_context(d, err, "the image cannot be trusted at %llu", (ull)(job->offset + done));
		atomic_fetch_add(&verifying->nr_bare_bytes, without);
		done += (u32)(with + without);
	}
	return 0;
}

static int run_job(void *ctx, unsigned worker, u64 i, struct diag *d)
{
	struct verifying *verifying = ctx;
	struct verify_worker *mine = &verifying->workers[worker];
	const struct verify_job *job = &verifying->jobs.items[i];

	for (u32 done = 0; done < job->len;) {
		u32 len = MIN(job->len - done, (u32)READ_BYTES);
		struct diag why = { .note = d->note, .note_arg = d->note_arg };
		int err = rollback_read_piece(verifying->rollback, &mine->reader, job->logical + done, mine->buf, len, &why);

		if (err)
			err = verify_parts(verifying, mine, job, done, len, d);
		if (err)
			return err;
		progress_add(verifying->rollback->progress, len, 0);
		done += len;
	}
	return 0;
}

static int make_jobs(struct verifying *verifying, u64 *ret_total_bytes, struct diag *d)
{
	*ret_total_bytes = 0;
	array_for_each(&verifying->rollback->pieces, piece) {
		for (u64 done = 0; done < piece->len;) {
			const u32 len = (u32)MIN(piece->len - done, JOB_BYTES);
			const struct verify_job job = { piece->offset + done, piece->logical + done, len };

			if (array_push(&verifying->jobs, job) < 0)
				return diag_no_memory(d, "reading the image");
			done += len;
		}
		*ret_total_bytes += piece->len;
	}
	return 0;
}

static int start_workers(struct verifying *verifying, unsigned nr, struct diag *d)
{
	verifying->workers = calloc(nr, sizeof(*verifying->workers));
	if (!verifying->workers)
		return diag_no_memory(d, "reading the image");
	for (unsigned i = 0; i < nr; i++)
		data_reader_init(&verifying->workers[i].reader, verifying->rollback->fs);
	for (unsigned i = 0; i < nr; i++) {
		verifying->workers[i].buf = malloc(READ_BYTES);
		if (!verifying->workers[i].buf)
			return diag_no_memory(d, "reading the image");
	}
	return 0;
}

static void verifying_done(struct verifying *verifying, unsigned nr)
{
	for (unsigned i = 0; i < nr && verifying->workers; i++) {
		data_reader_done(&verifying->workers[i].reader);
		free(verifying->workers[i].buf);
	}
	free(verifying->workers);
	array_done(&verifying->jobs);
}

int rollback_verify(struct rollback *rollback, struct pool *pool, struct diag *d)
{
	struct verifying verifying = { .rollback = rollback };
	u64 total_bytes;
	int err;

	if (rollback->no_verify)
		return 0;
	if (!rollback->has_csums) {
		diag_note(d, DIAG_WARNING, "the image has no checksums: whether its data is what it was cannot be told");
		return 0;
	}
	err = make_jobs(&verifying, &total_bytes, d);
	if (!err)
		err = start_workers(&verifying, pool_threads(pool), d);
	progress_begin(rollback->progress, "verify", total_bytes, 0);
	if (!err)
		err = pool_for_each(pool, verifying.jobs.len, run_job, &verifying, d);
	verifying_done(&verifying, pool_threads(pool));
	rollback->plan.unreadable_bytes = verifying.nr_bare_bytes;
	if (!err && verifying.nr_bare_bytes)
		diag_note(d, DIAG_WARNING, "%llu bytes of the image have no checksums, as what could not be read when it was converted: they stay "
					   "what they are", (ull)verifying.nr_bare_bytes);
	rollback->plan.is_verified = !err;
	return err;
}
