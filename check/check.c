/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* btrkit_check(): opening, the passes in their order, what they share. */
#include "check/check.h"

#include <sys/random.h>
#include <xxhash.h>

#include "check/block_table.h"
#include "check/leaf_extent.h"
#include "kernel-shared/build/job.h"
#include "kernel-shared/treelog/log_replay.h"

typedef unsigned long long ull;

/* Of tree blocks that are looked up one by one, which are few: nearly all are read in order, past the cache. */
#define CACHE_BYTES (16 * MIB)
/* Paths to subvolumes and directories are looked up again and again. */
#define FINDER_CACHE_BYTES (8 * MIB)

void btrkit_check_options_init_size(struct btrkit_check_options *options, size_t struct_size)
{
	memset(options, 0, struct_size);
	options->struct_size = struct_size;
	btrkit_open_options_init(&options->open);
	options->open.is_exclusive = true;
}

/* --- What passes share ------------------------------------------------------------------------------------------ */

u64 check_hash(const struct check *check, const void *bytes, size_t len)
{
	return XXH3_64bits_withSeed(bytes, len, check->hash_seed);
}

void check_generation(struct check *check, u64 tree, u64 leaf, const struct key *key, u64 generation)
{
	if (generation > check->generation)
		complain(check, ITEM_GENERATION_WRONG, AT(.tree = tree, .logical = leaf, .has_key = true, .key = *key),
			 (long long)tree, (long long)key->objectid, key->type, (ull)key->offset, (ull)generation,
			 (ull)check->generation);
}

size_t check_group_of(const struct check *check, u64 logical)
{
	const struct chunk_map *chunks = check->fs->volume->chunks;
	size_t low = 0, high = chunk_map_count(chunks);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct chunk *chunk = chunk_map_at(chunks, middle);

		if (logical < chunk->logical)
			high = middle;
		else if (logical - chunk->logical >= chunk->length)
			low = middle + 1;
		else
			return middle;
	}
	return SIZE_MAX;
}

u64 extent_length(struct check *check, u64 logical)
{
	const struct key last = { logical, METADATA_ITEM_KEY, UINT64_MAX };
	struct cursor cursor;
	struct tree tree;
	u64 len = 0;

	if (fs_tree(check->fs, EXTENT_TREE_OBJECTID, &tree, NULL) < 0)
		return 0;
	cursor = cursor_init(&tree);
	if (cursor_seek_back(&cursor, &last, NULL) == 0 && cursor_key(&cursor).objectid == logical)
		len = cursor_key(&cursor).type == METADATA_ITEM_KEY ? check_nodesize(check) : cursor_key(&cursor).offset;
	cursor_done(&cursor);
	return len;
}

bool check_is_full_backref(struct check *check, unsigned worker, u64 logical)
{
	return ranges_cover(&check->workers[worker].full_backrefs, logical);
}

static bool root_leads_to(struct check *check, const struct check_root *root, u8 level, const struct key *key, u64 logical)
{
	u64 at = root->logical;

	if (root->level < level)
		return false;
	for (u8 l = root->level; l > level; l--) {
		const struct block_expect expect = { .logical = at, .level = l };
		_cleanup_(block_putp) struct tree_block *node = NULL;
		u32 slot;

		if (block_get(check->fs->cache, &expect, &node, NULL) < 0)
			return false;
		if (block_search(node->data, key, &slot) != 0 && slot-- == 0)
			return false;
		at = node_blockptr(node->data, slot);
	}
	return at == logical;
}

bool check_leads_to(struct check *check, u64 id, u8 level, const struct key *key, u64 logical)
{
	array_for_each(&check->roots, root)
		if (root->id == id && !root->is_reloc && root_leads_to(check, root, level, key, logical))
			return true;
	return false;
}

/* --- The passes ------------------------------------------------------------------------------------------------- */

struct pass {
	int (*run)(struct check *check, struct diag *d);
	const char *phase;
	bool is_quick; /* runs also in a quick check */
	bool needs_data; /* runs only when data is read */
	bool needs_whole; /* relies on trees that can be found */
};

static const struct pass passes[] = {
	{ .run = pass_supers, .phase = "superblocks", .is_quick = true },
	{ .run = pass_roots, .phase = "roots", .is_quick = true },
	{ .run = pass_chunks, .phase = "chunks", .is_quick = true },
	{ .run = pass_nodes, .phase = "nodes" },
	{ .run = pass_space_leaves, .phase = "space" },
	{ .run = pass_fs_leaves, .phase = "files" },
	{ .run = pass_lost, .phase = "files" },
	{ .run = pass_owners, .phase = "owners", .needs_whole = true },
	{ .run = pass_space, .phase = "space", .needs_whole = true },
	{ .run = pass_subvols, .phase = "subvolumes", .needs_whole = true },
	{ .run = pass_quotas, .phase = "quotas", .needs_whole = true },
	{ .run = pass_log, .phase = "log", .needs_whole = true },
	{ .run = pass_csums, .phase = "checksums", .needs_whole = true },
	{ .run = pass_data, .phase = "data", .needs_data = true, .needs_whole = true },
};

static int run_passes(struct check *check, struct diag *d)
{
	for (size_t i = 0; i < ARRAY_LEN(passes); i++) {
		const struct pass *pass = &passes[i];
		int err;

		if (check->stage != CHECK_WHOLE && (pass->run == pass_supers) != (check->stage == CHECK_SUPERS))
			continue;
		if ((check->options->is_quick && !pass->is_quick) || (pass->needs_data && !(check->options->do_data && check_has_data(check))) ||
		    (pass->needs_whole && check->fs->partial_why))
			continue;
		progress_begin(check->progress, pass->phase, 0, 0);
		err = pass->run(check, d);
		if (!err)
			err = check->sink.err;
		if (!err && atomic_load(&check->cancel->is_requested))
			err = diag_fail(d, -ECANCELED, "cancelled");
		if (err)
			return err;
	}
	return 0;
}

/* What grows with the filesystem. The shares of what is there at one time add up to the whole. */
static int prepare_tables(struct check *check)
{
	struct spill *spill = &check->spill;
	u64 memory = check->memory_bytes;
	int err = block_table_new(check, &check->blocks);

	if (!err)
		err = extent_facts_new(check);
	if (!err)
		err = sequence_new(spill, sizeof(struct lost_block), memory / 32, &check->lost_blocks);
	if (!err)
		err = ranges_init(&check->csums, spill, memory / 8);
	if (!err)
		err = ranges_init(&check->data_extents, spill, memory / 8);
	if (!err)
		err = ranges_init(&check->full_backrefs, spill, memory / 16);
	if (!err)
		err = ranges_init(&check->log_extents, spill, memory / 32);
	check->workers = calloc(pool_threads(check->pool), sizeof(*check->workers));
	for (unsigned w = 0; w < pool_threads(check->pool) && check->workers; w++)
		check->workers[w] = (struct check_worker){ ranges_read(&check->csums), ranges_read(&check->full_backrefs) };
	return check->workers ? err : -ENOMEM;
}

static int prepare(struct check *check, struct diag *d)
{
	const struct block_expect expect = { .logical = check->fs->chunk_tree.root_logical, .level = -1 };
	_cleanup_(block_putp) struct tree_block *chunk_root = NULL;

	check->generation = le64_get(check->fs->super.generation);
	if (block_get(check->fs->cache, &expect, &chunk_root, NULL) == 0) {
		memcpy(check->chunk_tree_uuid, block_header(chunk_root->data)->chunk_tree_uuid, UUID_SIZE);
		check->has_chunk_tree_uuid = true;
	}
	check->nr_groups = chunk_map_count(check->fs->volume->chunks);
	check->groups = calloc(MAX(check->nr_groups, (size_t)1), sizeof(*check->groups));
	if (!check->groups || prepare_tables(check) < 0)
		return diag_no_memory(d, "the check");
	if (getrandom(&check->hash_seed, sizeof(check->hash_seed), GRND_NONBLOCK) < 0)
		check->hash_seed = 0x9E3779B97F4A7C15ULL; /* early at boot: damage does not choose its hashes */
	return 0;
}

static void check_done(struct check *check)
{
	array_done(&check->roots);
	for (unsigned w = 0; check->workers && w < pool_threads(check->pool); w++) {
		ranges_reader_done(&check->workers[w].csums);
		ranges_reader_done(&check->workers[w].full_backrefs);
	}
	free(check->workers);
	ranges_done(&check->csums);
	ranges_done(&check->data_extents);
	ranges_done(&check->full_backrefs);
	ranges_done(&check->log_extents);
	sorter_free(check->extent_facts);
	sequence_free(check->lost_blocks);
	array_done(&check->orphan_roots);
	array_done(&check->owners.list);
	free(check->groups);
	block_table_free(check->blocks);
	array_done(&check->finder.subvols);
	fs_view_free(check->finder.view);
	pool_free(check->pool);
	problem_sink_done(&check->sink);
}

/* @about_log: NULL, or why the log was not replayed; "": it was. */
static int run_stage(struct btrkit_fs *fs, enum check_stage stage, const char *about_log,
		     const struct btrkit_check_options *options, btrkit_problem_fn fn, void *arg,
		     struct btrkit_check_result *ret_result, struct diag *d)
{
	struct cancel never = { 0 };
	struct check check = { .options = options, .fs = fs, .result = ret_result, .stage = stage };
	int err;

	problem_sink_init(&check.sink, fn, arg);
	check.sink.finder = &check.finder;
	(void)fs_view_new(fs, FINDER_CACHE_BYTES, &check.finder.view); /* without it no paths are said */
	check.cancel = options->job ? &options->job->cancel : &never;
	check.progress = options->job ? &options->job->progress : NULL;
	check.memory_bytes = options->memory_bytes ? options->memory_bytes : check_default_memory();
	check.spill.dir = options->tmpdir ? options->tmpdir : "/var/tmp";
	check.spill.is_cancelled = &check.cancel->is_requested;
	if (fs->partial_why)
		complain(&check, CANNOT_OPEN, AT(0), fs->partial_why);
	if (about_log && *about_log)
		complain(&check, LOG_NOT_REPLAYED, AT(0), about_log);
	else if (about_log)
		complain(&check, LOG_REPLAYED, AT(0));
	err = pool_new(options->threads, check.cancel, &check.pool) < 0 ? diag_no_memory(d, "threads") : prepare(&check, d);
	if (!err)
		err = run_passes(&check, d);
	for (size_t i = 0; i < ARRAY_LEN(ret_result->nr_problems); i++)
		ret_result->nr_problems[i] += check.sink.counts[i];
	ret_result->memory_bytes = check.memory_bytes;
	ret_result->spilled_bytes += atomic_load(&check.spill.written_bytes);
	check_done(&check);
	return err;
}

int check_fs(struct btrkit_fs *fs, const struct btrkit_check_options *options, btrkit_problem_fn fn, void *arg,
	     struct btrkit_check_result *ret_result, struct diag *d)
{
	return run_stage(fs, CHECK_WHOLE, NULL, options, fn, arg, ret_result, d);
}

int check_run(struct btrkit_fs *fs, const struct btrkit_check_options *options, btrkit_problem_fn fn, void *arg,
	      struct btrkit_check_result *ret_result, struct diag *d)
{
	_cleanup_(btrkit_fs_closep) struct btrkit_fs *owned = fs;

	return check_fs(owned, options, fn, arg, ret_result, d);
}

/* --- A filesystem with a log ------------------------------------------------------------------------------------------ */

/* The filesystem as it is after its log was replayed, in memory. */
static int open_replayed(const char *const *paths, size_t nr_paths, const struct btrkit_open_options *options,
			 struct btrkit_fs **ret_fs, struct diag *d)
{
	struct btrkit_open_options overlaid = *options;
	_cleanup_(btrkit_fs_closep) struct btrkit_fs *fs = NULL;
	int err;

	overlaid.is_overlaid = true;
	err = fs_open_for_log(paths, nr_paths, &overlaid, &fs, d);
	if (!err)
		err = log_replay_open_fs(fs, NULL, NULL, d);
	if (!err)
		*ret_fs = take_ptr(fs);
	return err;
}

/*
 * Superblocks are judged as they are on disk, for a replay writes all of them anew. @fs is taken over. A log that cannot be
 * replayed is looked at as it lies.
 */
static int check_with_log(struct btrkit_fs *fs, const char *const *paths, size_t nr_paths,
			  const struct btrkit_check_options *options, btrkit_problem_fn fn, void *arg,
			  struct btrkit_check_result *ret_result, struct diag *d)
{
	struct diag why = { 0 };
	_cleanup_(btrkit_fs_closep) struct btrkit_fs *behind = NULL;
	int err = run_stage(fs, CHECK_SUPERS, NULL, options, fn, arg, ret_result, d);

	btrkit_fs_close(fs);
	if (err)
		return err;
	err = open_replayed(paths, nr_paths, &options->open, &behind, &why);
	if (!err)
		return run_stage(behind, CHECK_BEHIND_SUPERS, "", options, fn, arg, ret_result, d);
	if (err == -ENOMEM)
		return diag_copy(d, &why);
	err = fs_open_paths(paths, nr_paths, &options->open, true, &behind, d);
	return err ? err : run_stage(behind, CHECK_BEHIND_SUPERS, why.text, options, fn, arg, ret_result, d);
}

/* A filesystem that cannot be opened at all has one problem, which says why. */
static void report_unopenable(const struct diag *why, btrkit_problem_fn fn, void *arg, struct btrkit_check_result *result)
{
	struct check check = { 0 };

	problem_sink_init(&check.sink, fn, arg);
	complain(&check, CANNOT_OPEN, AT(0), why->text);
	memcpy(result->nr_problems, check.sink.counts, sizeof(result->nr_problems));
	problem_sink_done(&check.sink);
}

/* One whose chunk or root tree is damaged is checked as far as it can be reached. */
int btrkit_check(const char *const *paths, size_t nr_paths, const struct btrkit_check_options *options,
		 btrkit_problem_fn fn, void *arg, struct btrkit_check_result *ret_result, struct btrkit_error *error)
{
	struct btrkit_check_options known;
	struct btrkit_fs *fs;
	struct diag d = { 0 };
	int err;

	btrkit_check_options_init(&known);
	if (options)
		memcpy(&known, options, MIN(options->struct_size, sizeof(known)));
	memset(ret_result, 0, sizeof(*ret_result));
	if (known.memory_bytes && known.memory_bytes < BTRKIT_CHECK_MEMORY_MIN)
		return fs_error(error, &d, diag_fail(&d, -EINVAL, "the check needs %llu bytes of memory for its tables, at least",
						     (ull)BTRKIT_CHECK_MEMORY_MIN));
	if (!known.open.cache_bytes)
		known.open.cache_bytes = CACHE_BYTES;
	err = fs_open_paths(paths, nr_paths, &known.open, true, &fs, &d);
	if (err == -EUCLEAN || err == -EIO) {
		report_unopenable(&d, fn, arg, ret_result);
		return 0;
	}
	if (!err && le64_get(fs->super.log_root) && !known.is_quick && !fs->partial_why)
		err = check_with_log(fs, paths, nr_paths, &known, fn, arg, ret_result, &d);
	else if (!err)
		err = check_run(fs, &known, fn, arg, ret_result, &d);
	return fs_error(error, &d, err);
}
