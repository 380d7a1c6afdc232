/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long a conversion may take, before it is begun: nearly all of its time goes into reading what is in use, with checksums. A
 * little of that is done, at places that are chosen anew each time so that they are not in memory since the last time, and what it
 * took stands for the rest.
 */
#include <sys/random.h>
#include <time.h>

#include "common/csum/csum.h"
#include "convert/inplace/conversion.h"

#define SAMPLE_BYTES_MAX (64 * MIB)
#define SAMPLE_FRACTION 16 /* of what is in use */
#define SAMPLE_NSEC_MAX 1500000000ULL
#define PLACES 8
#define JOB_BYTES MIB

u64 conversion_now_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (u64)now.tv_sec * 1000000000 + (u64)now.tv_nsec;
}

/* Bytes that are read together. */
struct sample {
	u64 physical;
	u32 len;
};

struct sampling {
	const struct conversion *c;
	ARRAY(struct sample) jobs;
	u8 **buffers; /* one for each worker */
	u64 end_nsec;
	_Atomic(u64) nr_bytes;
};

/* The next @bytes in use from the one with this number on. */
static int add_place(struct sampling *s, u64 number, u64 bytes)
{
	array_for_each(&s->c->used.list, used) {
		u64 at = used->physical + number, end = used->physical + used->len;

		if (number >= used->len) {
			number -= used->len;
			continue;
		}
		for (number = 0; at < end && bytes; at += s->jobs.items[s->jobs.len - 1].len) {
			const struct sample job = { at, (u32)MIN(MIN(end - at, bytes), JOB_BYTES) };

			if (array_push(&s->jobs, job) < 0)
				return -ENOMEM;
			bytes -= job.len;
		}
		if (!bytes)
			return 0;
	}
	return 0;
}

static int choose_places(struct sampling *s)
{
	u64 used_bytes = space_ranges_bytes(&s->c->used), sectorsize = s->c->making.image.sectorsize;
	u64 place_bytes = round_down_u64(MIN(used_bytes / SAMPLE_FRACTION, SAMPLE_BYTES_MAX) / PLACES, sectorsize);
	u64 random[PLACES] = { 0 };

	if (!place_bytes)
		return 1;
	(void)!getrandom(random, sizeof(random), GRND_NONBLOCK); /* without any, they are the same each time */
	for (u64 i = 0; i < PLACES; i++) {
		u64 part = used_bytes / PLACES, from = i * part + random[i] % (part - place_bytes + 1);
		int err = add_place(s, round_down_u64(from, sectorsize), place_bytes);

		if (err)
			return err;
	}
	return 0;
}

static int take_sample(void *ctx, unsigned worker, u64 n, struct diag *d)
{
	struct sampling *s = ctx;
	const struct csum_kind *csum = s->c->making.image.id.csum;
	const struct sample *job = &s->jobs.items[n];
	u32 sectorsize = s->c->making.image.sectorsize;
	u8 computed[CSUM_BYTES_MAX];
	int err;

	if (n >= pool_threads(s->c->pool) && conversion_now_nsec() > s->end_nsec)
		return 0;
	err = blockdev_read(s->c->dev, job->physical, s->buffers[worker], job->len, d);
	for (u32 at = 0; !err && at < job->len; at += sectorsize)
		csum_compute(csum, s->buffers[worker] + at, sectorsize, computed);
	s->nr_bytes += job->len;
	return err;
}

static int sample(struct sampling *s, unsigned threads, struct diag *d)
{
	s->buffers = calloc(threads, sizeof(*s->buffers));
	for (unsigned i = 0; s->buffers && i < threads; i++) {
		s->buffers[i] = malloc(JOB_BYTES);
		if (!s->buffers[i])
			return -ENOMEM;
	}
	return s->buffers ? pool_for_each(s->c->pool, s->jobs.len, take_sample, s, d) : -ENOMEM;
}

/* Bytes that are read in a second; 0: who knows. */
static u64 sampled_speed(const struct conversion *c)
{
	struct sampling s = { .c = c };
	unsigned threads = pool_threads(c->pool);
	struct diag unused = { 0 };
	u64 begin = conversion_now_nsec(), nsec;
	int err = choose_places(&s);

	s.end_nsec = begin + SAMPLE_NSEC_MAX;
	if (!err)
		err = sample(&s, threads, &unused);
	nsec = conversion_now_nsec() - begin;
	for (unsigned i = 0; s.buffers && i < threads; i++)
		free(s.buffers[i]);
	free(s.buffers);
	array_done(&s.jobs);
	return err || !nsec ? 0 : (u64)((double)s.nr_bytes * 1e9 / (double)nsec);
}

void conversion_estimate(struct conversion *c)
{
	const struct btrkit_convert_options *options = c->options;
	u64 bytes = placed_read_bytes(&c->placed), metadata = c->plan.needed_bytes ? c->plan.metadata_bytes : 0;
	double seconds;

	if (!options->is_dry_run)
		return;
	c->plan.read_bytes_per_second = sampled_speed(c);
	if (!c->plan.read_bytes_per_second)
		return;
	metadata *= c->making.image.needs.metadata_profile->dev_stripes;
	if (options->verify != BTRKIT_CONVERT_VERIFY_NONE)
		metadata *= 2;
	if (options->verify == BTRKIT_CONVERT_VERIFY_FULL)
		bytes *= 2;
	seconds = (double)(bytes + metadata) / (double)c->plan.read_bytes_per_second;
	/* The proof scans the source once more. */
	if (options->verify != BTRKIT_CONVERT_VERIFY_NONE)
		seconds += (double)c->scan_nsec / 1e9;
	c->plan.estimated_seconds = (u64)seconds;
}
