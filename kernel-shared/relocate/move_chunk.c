/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A chunk gets other stripes: the work is dealt out, and its result becomes the chunk. */
#include "kernel-shared/device/super.h"
#include "kernel-shared/relocate/move_chunk.h"
#include "kernel-shared/relocate/off_seed.h"
#include "kernel-shared/space/sector_bits.h"

typedef unsigned long long ull;

#define WINDOW_BYTES (2 * MIB)
#define WINDOWS_BYTES_MAX (24 * MIB) /* all of them together, unless a single one is larger */

int kept_stripe_of(const struct chunk *from, const struct chunk *to, u16 stripe)
{
	const struct chunk_stripe *place = &to->stripe[stripe];

	if (from->profile->is_striped != to->profile->is_striped ||
	    (to->profile->is_striped && (from->type != to->type || from->num_stripes != to->num_stripes)))
		return -1;
	for (u16 s = 0; s < from->num_stripes; s++)
		if (from->stripe[s].devid == place->devid && from->stripe[s].physical == place->physical &&
		    (!to->profile->is_striped || s == stripe))
			return s;
	return -1;
}

/* --- Is it possible? ---------------------------------------- */

static bool overlaps(u64 a, u64 a_bytes, u64 b, u64 b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

/* A new stripe lies where nothing is, now and on disk, and where there will be no superblock. */
static int judge_new_stripe(struct chunk_mover *mover, u16 stripe, struct diag *d)
{
	const struct chunk *to = mover->to;
	const struct chunk_stripe *place = &to->stripe[stripe];
	struct device_holes holes;
	bool is_free = false;
	int err = txn_device_holes(mover->relocate->fs->txn, place->devid, &holes, d);

	if (!err)
		array_for_each (&holes.holes, hole)
			is_free |= place->physical >= hole->physical && to->stripe_bytes <= hole->len &&
				   place->physical - hole->physical <= hole->len - to->stripe_bytes;
	array_done(&holes.holes);
	if (err)
		return err;
	for (u16 s = 0; s < stripe; s++)
		is_free &= to->stripe[s].devid != place->devid ||
			   !overlaps(place->physical, to->stripe_bytes, to->stripe[s].physical, to->stripe_bytes);
	for (unsigned mirror = 0; mirror < SUPER_MIRROR_MAX; mirror++)
		is_free &=
			!overlaps(place->physical, to->stripe_bytes, super_mirror_physical(mirror), STRIPE_LEN_BYTES);
	return is_free ? 0
		       : diag_fail(d, -EBUSY, "chunk %llu: its new place on device %llu at %llu is not free",
				   (ull)to->logical, (ull)place->devid, (ull)place->physical);
}

static int judge(struct chunk_mover *mover, struct diag *d)
{
	const struct chunk *from = mover->from, *to = mover->to;
	int err = 0;

	if (!from || from->logical != to->logical || from->length != to->length)
		return diag_fail(d, -EINVAL, "there is no chunk %llu of %llu bytes", (ull)to->logical, (ull)to->length);
	if ((from->type ^ to->type) & BLOCK_GROUP_TYPE_MASK)
		return diag_fail(d, -EINVAL, "chunk %llu: cannot become another kind of chunk", (ull)to->logical);
	if (!profile_stripe_count_is_valid(to->profile, to->num_stripes) ||
	    !profile_length_is_valid(to->profile, to->num_stripes, to->length))
		return diag_fail(d, -ERANGE, "chunk %llu: its %llu bytes do not divide over %u stripes of %s",
				 (ull)to->logical, (ull)to->length, to->num_stripes, to->profile->shown);
	for (u16 s = 0; s < to->num_stripes && !err; s++)
		if (kept_stripe_of(from, to, s) < 0)
			err = judge_new_stripe(mover, s, d);
	return err;
}

/* --- Beginning and end ---------------------------------------- */

static void window_done(struct window *window)
{
	free(window->bytes);
	free(window->other);
	free(window->parity);
	free(window->block);
	free(window->csums);
	free(window->is_known);
	free(window->state);
}

static void mover_done(struct chunk_mover *mover)
{
	free(mover->is_new);
	free(mover->is_kept);
	free(mover->is_missing);
	free(mover->used);
	for (size_t i = 0; i < mover->nr_windows; i++)
		window_done(&mover->windows[i]);
	free(mover->windows);
	pthread_mutex_destroy(&mover->lock);
	pthread_cond_destroy(&mover->given_back);
}

static int find_stripes(struct chunk_mover *mover, struct diag *d)
{
	const struct chunk *from = mover->from, *to = mover->to;

	mover->is_new = calloc(to->num_stripes, sizeof(bool));
	mover->is_kept = calloc(from->num_stripes, sizeof(bool));
	mover->is_missing = calloc(from->num_stripes, sizeof(bool));
	if (!mover->is_new || !mover->is_kept || !mover->is_missing)
		return diag_no_memory(d, "a chunk");
	for (u16 s = 0; s < to->num_stripes; s++) {
		int kept = kept_stripe_of(from, to, s);

		if (kept >= 0)
			mover->is_kept[kept] = true;
		else
			mover->is_new[s] = mover->has_new = true;
	}
	for (u16 s = 0; s < from->num_stripes; s++) {
		const struct device *device =
			device_set_find(mover->volume->devices, from->stripe[s].devid, from->stripe[s].dev_uuid);

		mover->is_missing[s] = !device || !device->dev;
	}
	return 0;
}

static int note_used(void *ctx, u64 logical, u64 len, struct diag *d)
{
	struct chunk_mover *mover = ctx;

	(void)d;
	sector_bits_set(mover->used, (u32)((logical - mover->from->logical) / mover->sectorsize),
			(u32)(len / mover->sectorsize));
	return 0;
}

static int find_used(struct chunk_mover *mover, struct diag *d)
{
	struct txn *txn = mover->relocate->fs->txn;
	int err;

	if (mover->from->length / mover->sectorsize > UINT32_MAX - 64)
		return diag_fail(d, -EFBIG, "chunk %llu: %llu bytes are too many", (ull)mover->from->logical,
				 (ull)mover->from->length);
	mover->nr_sectors = (u32)(mover->from->length / mover->sectorsize);
	mover->used = calloc(sector_bits_words(mover->nr_sectors), sizeof(*mover->used));
	if (!mover->used)
		return diag_no_memory(d, "a chunk");
	err = txn_for_each_used(txn, mover->from->logical, note_used, mover, d);
	if (!err)
		err = txn_read_tree(txn, EXTENT_TREE_OBJECTID, &mover->extents, d);
	return err ? err : txn_read_tree(txn, CSUM_TREE_OBJECTID, &mover->csums, d);
}

static int window_init(const struct chunk_mover *mover, struct window *window, struct diag *d)
{
	size_t nr = mover->window_bytes / mover->sectorsize;

	window->bytes = malloc(mover->window_bytes);
	window->block = malloc(mover->nodesize);
	window->csums = malloc(nr * CSUM_BYTES_MAX);
	window->is_known = malloc(nr * sizeof(bool));
	window->state = malloc(nr);
	if (mover->to->profile->parity)
		window->parity = malloc(2 * STRIPE_LEN_BYTES);
	if (!window->bytes || !window->block || !window->csums || !window->is_known || !window->state ||
	    (mover->to->profile->parity && !window->parity))
		return diag_no_memory(d, "moving a chunk");
	return 0;
}

/* Windows for all threads, or as many as memory is allowed for. */
static int make_windows(struct chunk_mover *mover, struct diag *d)
{
	const struct chunk *to = mover->to;
	u64 unit = to->profile->is_striped ? profile_data_stripes(to->profile, to->num_stripes) * STRIPE_LEN_BYTES
					   : STRIPE_LEN_BYTES;
	unsigned threads = pool_threads(mover->relocate->pool);
	u64 each;
	int err = 0;

	mover->window_bytes = MAX(WINDOW_BYTES / unit, (u64)1) * unit;
	each = mover->window_bytes * (mover->from->profile->copies > 1 ? 2 : 1);
	mover->nr_windows = MIN(MAX((size_t)(WINDOWS_BYTES_MAX / each), (size_t)1), (size_t)threads);
	mover->windows = calloc(mover->nr_windows, sizeof(*mover->windows));
	if (!mover->windows) {
		mover->nr_windows = 0;
		return diag_no_memory(d, "moving a chunk");
	}
	for (size_t i = 0; i < mover->nr_windows && !err; i++)
		err = window_init(mover, &mover->windows[i], d);
	return err;
}

/* --- One window ---------------------------------------- */

bool window_run(const struct window *window, u8 bits, u32 *at, u32 *ret_nr)
{
	u32 from = *at, end;

	while (from < window->nr && (window->state[from] & bits) != bits)
		from++;
	for (end = from; end < window->nr && (window->state[end] & bits) == bits;)
		end++;
	*at = from;
	*ret_nr = end - from;
	return end > from;
}

static struct window *take_window(struct chunk_mover *mover)
{
	struct window *window = NULL;

	LOCK_SCOPE(&mover->lock);
	for (;;) {
		for (size_t i = 0; i < mover->nr_windows && !window; i++)
			if (!mover->windows[i].is_taken)
				window = &mover->windows[i];
		if (window)
			break;
		pthread_cond_wait(&mover->given_back, &mover->lock);
	}
	window->is_taken = true;
	return window;
}

static void give_window(struct chunk_mover *mover, struct window *window)
{
	LOCK_SCOPE(&mover->lock);
	window->is_taken = false;
	pthread_cond_signal(&mover->given_back);
}

static int work_on(void *ctx, unsigned worker, u64 i, struct diag *d)
{
	struct chunk_mover *mover = ctx;
	u32 per_window = (u32)(mover->window_bytes / mover->sectorsize), first = (u32)i * per_window, nr_used = 0;
	struct window *window;
	int err = cancel_check(mover->relocate->cancel, d);

	(void)worker;
	if (err)
		return err;
	window = take_window(mover);
	window->logical = mover->from->logical + (u64)first * mover->sectorsize;
	window->nr = MIN(per_window, mover->nr_sectors - first);
	for (u32 s = 0; s < window->nr; s++) {
		bool is_used = mover->used[(first + s) / 64] >> (first + s) % 64 & 1;

		window->state[s] = is_used ? SECTOR_USED : 0;
		nr_used += is_used;
	}
	err = nr_used ? window_load(mover, window, d) : 0;
	if (!err && nr_used && mover->has_new)
		err = window_write(mover, window, d);
	give_window(mover, window);
	if (!err)
		progress_add(mover->relocate->progress, (u64)nr_used * mover->sectorsize, 0);
	return err;
}

static int copy_all(struct chunk_mover *mover, struct diag *d)
{
	u64 differing;
	int err = find_stripes(mover, d);

	if (!err)
		err = find_used(mover, d);
	if (!err)
		err = make_windows(mover, d);
	if (!err)
		err = pool_for_each(mover->relocate->pool,
				    (mover->from->length + mover->window_bytes - 1) / mover->window_bytes, work_on,
				    mover, d);
	differing = atomic_load(&mover->differing_bytes);
	if (!err && differing)
		diag_note(
			d, DIAG_NOTE,
			"chunk %llu: copies of %llu bytes that have no checksums differ; the first that could be read "
			"was taken",
			(ull)mover->from->logical, (ull)differing);
	return err;
}

int move_chunk(struct relocate *relocate, const struct chunk *to, struct diag *d)
{
	struct volume *volume = relocate->fs->volume;
	struct chunk_mover mover = {
		.relocate = relocate,
		.volume = volume,
		.from = chunk_map_find(volume->chunks, to->logical),
		.to = to,
		.sectorsize = volume->sectorsize,
		.nodesize = volume->nodesize,
	};
	bool is_of_seed = mover.from && chunk_is_of_seed(relocate->fs, mover.from);
	u64 used;
	int err = judge(&mover, d);

	if (!err)
		err = txn_group_used_bytes(relocate->fs->txn, to->logical, &used, d);
	if (err)
		return err;
	mover.is_same_geometry =
		to->profile->is_striped && to->type == mover.from->type && to->num_stripes == mover.from->num_stripes;
	if (used) {
		pthread_mutex_init(&mover.lock, NULL);
		pthread_cond_init(&mover.given_back, NULL);
		err = copy_all(&mover, d);
		mover_done(&mover);
	}
	if (!err)
		err = txn_replace_chunk(relocate->fs->txn, to, d);
	if (!err && is_of_seed && (to->type & BLOCK_GROUP_TYPE_MASK) != BLOCK_GROUP_DATA)
		err = rename_blocks(relocate->fs, to->logical, to->length, d);
	return err;
}
