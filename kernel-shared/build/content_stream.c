/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The items of whole subvolume trees. To write one, workers make the items of runs of inodes (reading inline files as
 * they go), and the builder takes the runs in order. A large directory is a run of its own, whose items go from the
 * table of files straight into the tree: there is nothing to be read for it, and they would take much memory.
 */
#include <sys/stat.h>

#include "kernel-shared/build/content_items.h"

/* Inodes and names made at a time: enough to amortise, few enough to keep all workers busy and memory small. */
#define RUN_INODES 256
#define RUN_NAMES 2048

/* --- Sizing ------------------------------------------------------------------------------------------ */

struct sizing_sink {
	struct item_sink sink;
	struct tree_sizer *sizer;
};

static int count_item(struct item_sink *sink, const struct key *key, u32 size, void **ret_data, struct diag *d)
{
	(void)key;
	(void)d;
	tree_sizer_add(container_of(sink, struct sizing_sink, sink)->sizer, size);
	*ret_data = NULL;
	return 0;
}

int content_size_tree(struct btrkit_content *content, size_t index, struct pool *pool, struct tree_sizer *sizer,
		      struct diag *d)
{
	const struct content_subvol *subvol = &content->subvols.items[index];
	struct sizing_sink counting = { { count_item }, sizer };
	_cleanup_(item_maker_done) struct item_maker maker = {
		.content = content,
		.subvol = subvol,
		.sink = &counting.sink,
	};

	(void)pool; /* counting needs no file contents, and is over before threads would pay */
	for (u32 i = subvol->first; i < subvol->first + subvol->count; i++) {
		int err = content_inode_items(&maker, i, d);

		if (err)
			return err;
	}
	return 0;
}

/* --- Writing ------------------------------------------------------------------------------------------ */

/* Items one after another: key, size, data; every record begins at a multiple of 8 bytes. */
struct item_record {
	struct key key;
	u32 size;
};

struct item_run {
	struct item_sink sink;
	u8 *bytes;
	size_t len, cap;
};

static int record_item(struct item_sink *sink, const struct key *key, u32 size, void **ret_data, struct diag *d)
{
	struct item_run *run = container_of(sink, struct item_run, sink);
	size_t needed = sizeof(struct item_record) + round_up_u64(size, 8);
	struct item_record *record;

	if (array_grow((void **)&run->bytes, &run->cap, run->len, needed, 1) < 0)
		return diag_no_memory(d, "items");
	record = (struct item_record *)(run->bytes + run->len);
	record->key = *key;
	record->size = size;
	run->len += needed;
	*ret_data = record + 1;
	return 0;
}

struct run_range {
	u32 first, count; /* of sequence[] */
};

struct tree_stream {
	struct btrkit_content *content;
	ARRAY(struct run_range) runs;
	const struct content_subvol *subvol;
	struct tree_builder *builder;
	struct progress *progress;
	struct content_reader *readers; /* one for each worker */
	struct item_maker *makers;
};

/* Names in the directory at @place of sequence[], 0 for other inodes. */
static u32 names_at(const struct btrkit_content *content, u32 place)
{
	const struct content_node *node = &content->nodes.items[content->sequence[place]];

	return S_ISDIR(node->mode) ? node->first_extent : 0;
}

static bool is_large_directory(const struct btrkit_content *content, const struct run_range *range)
{
	return range->count == 1 && names_at(content, range->first) > RUN_NAMES;
}

static int plan_runs(struct tree_stream *stream, struct diag *d)
{
	u32 place = stream->subvol->first, end = place + stream->subvol->count;

	while (place < end) {
		struct run_range range = { .first = place };
		u64 names = 0;

		while (place < end && range.count < RUN_INODES) {
			names += names_at(stream->content, place);
			if (range.count > 0 && names > RUN_NAMES)
				break;
			range.count++;
			place++;
		}
		if (array_push(&stream->runs, range) < 0)
			return diag_no_memory(d, "runs of inodes");
	}
	return 0;
}

static void free_run(void *ctx, void *item)
{
	struct item_run *run = item;

	(void)ctx;
	if (run)
		free(run->bytes);
	free(run);
}

static int make_run(void *ctx, unsigned worker, u64 i, void **ret_item, struct diag *d)
{
	struct tree_stream *stream = ctx;
	const struct run_range *range = &stream->runs.items[i];
	struct item_maker *maker = &stream->makers[worker];
	struct item_run *run = calloc(1, sizeof(*run));
	int err = 0;

	if (!run)
		return diag_no_memory(d, "items");
	run->sink.add = record_item;
	maker->sink = &run->sink;
	for (u32 at = 0; at < range->count && !err && !is_large_directory(stream->content, range); at++)
		err = content_inode_items(maker, range->first + at, d);
	if (err)
		free_run(NULL, run);
	else
		*ret_item = run;
	return err;
}

struct direct_sink {
	struct item_sink sink;
	struct tree_builder *builder;
};

static int direct_item(struct item_sink *sink, const struct key *key, u32 size, void **ret_data, struct diag *d)
{
	return tree_builder_reserve(container_of(sink, struct direct_sink, sink)->builder, key, size, ret_data, d);
}

static int add_directly(struct tree_stream *stream, const struct run_range *range, struct diag *d)
{
	struct direct_sink direct = { { direct_item }, stream->builder };
	_cleanup_(item_maker_done) struct item_maker maker = {
		.content = stream->content,
		.subvol = stream->subvol,
		.sink = &direct.sink,
	};

	return content_inode_items(&maker, range->first, d);
}

static int take_run(void *ctx, u64 i, void *item, struct diag *d)
{
	struct tree_stream *stream = ctx;
	const struct run_range *range = &stream->runs.items[i];
	struct item_run *run = item;
	int err = 0;

	if (is_large_directory(stream->content, range))
		err = add_directly(stream, range, d);
	for (size_t at = 0; at < run->len && !err;) {
		const struct item_record *record = (const struct item_record *)(run->bytes + at);

		err = tree_builder_add(stream->builder, &record->key, record + 1, record->size, d);
		at += sizeof(*record) + round_up_u64(record->size, 8);
	}
	progress_add(stream->progress, 0, range->count);
	free_run(NULL, run);
	return err;
}

static void stream_done(struct tree_stream *stream, unsigned workers)
{
	for (unsigned w = 0; w < workers; w++) {
		if (stream->readers)
			content_reader_done(&stream->readers[w]);
		if (stream->makers)
			item_maker_done(&stream->makers[w]);
	}
	free(stream->readers);
	free(stream->makers);
	array_done(&stream->runs);
}

int content_write_tree(struct btrkit_content *content, size_t index, struct pool *pool, struct progress *progress,
		       struct tree_builder *builder, struct diag *d)
{
	const struct content_subvol *subvol = &content->subvols.items[index];
	unsigned workers = pool_threads(pool);
	struct tree_stream stream = {
		.content = content,
		.subvol = subvol,
		.builder = builder,
		.progress = progress,
		.readers = calloc(workers, sizeof(*stream.readers)),
		.makers = calloc(workers, sizeof(*stream.makers)),
	};
	const struct pool_stream pipeline = { make_run, take_run, free_run, &stream };
	int err;

	if (!stream.readers || !stream.makers) {
		stream_done(&stream, 0);
		return diag_no_memory(d, "a subvolume's items");
	}
	for (unsigned w = 0; w < workers; w++) {
		stream.readers[w] = (struct content_reader){ .content = content, .worker = w, .node = CONTENT_NONE };
		stream.makers[w] = (struct item_maker){
			.content = content,
			.subvol = subvol,
			.reader = &stream.readers[w],
		};
	}
	err = plan_runs(&stream, d);
	if (!err)
		err = pool_pipeline(pool, stream.runs.len, workers * 4, &pipeline, d);
	stream_done(&stream, workers);
	return err;
}
