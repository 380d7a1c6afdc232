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

static int run_job(void *ctx, unsigned worker, u64 i, struct diag *d)
{
	struct verifying *verifying = ctx;
	struct verify_worker *mine = &verifying->workers[worker];
	const struct verify_job *job = &verifying->jobs.items[i];

	for (u32 done = 0; done < job->len;) {
		u32 len = MIN(job->len - done, (u32)READ_BYTES);
		int err = rollback_read_piece(verifying->rollback, &mine->reader, job->logical + done, mine->buf, len, d);

		if (err)
			return diag_context(d, err, "the image cannot be trusted at %llu", (ull)(job->offset + done));
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
	rollback->plan.is_verified = !err;
	return err;
}
