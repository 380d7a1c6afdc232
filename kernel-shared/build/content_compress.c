/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Compressing before anything is placed: 128 KiB pieces in parallel, results taken in order and kept in an unlinked
 * temporary file, so that the layout is exact and nothing is compressed twice.
 *
 * The rule, which does not depend on threads: a piece is stored compressed when that saves at least one sector; a file
 * whose first piece does not compress is stored raw altogether. Files that asked for it, and those without checksums,
 * are not compressed.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "common/spill/spill.h"
#include "kernel-shared/build/content.h"

#define PIECE_BYTES COMPRESSED_EXTENT_BYTES_MAX

/* A range of a file that becomes extents: compressed by pieces, or raw. */
struct piece {
	u32 node;
	bool is_inline;
	u64 file_offset;
	u32 len; /* bytes of the file */
};

struct compressed {
	u32 len; /* 0: not worth it, or raw */
	u8 bytes[];
};

struct measuring {
	struct btrkit_content *content;
	struct progress *progress;
	struct codec_workspace **workspaces;
	struct content_reader *readers;
	u8 **raw; /* one buffer of PIECE_BYTES for each worker */
	ARRAY(struct piece) pieces;
	u32 raw_node; /* file whose first piece did not compress */
	u64 spool_len;
	const struct linear_space *no_space;
};

static bool wants_compression(const struct btrkit_content *content, u32 index)
{
	u32 flags = content_inode_flags(content, &content->nodes.items[index]);

	return !(flags & (INODE_NOCOMPRESS | INODE_NODATACOW | INODE_NODATASUM));
}

static int add_pieces(struct measuring *m, u32 index, u64 from, u64 to, struct diag *d)
{
	const struct btrkit_content *content = m->content;
	u64 size = content->nodes.items[index].size;
	u64 step = wants_compression(content, index) ? PIECE_BYTES : EXTENT_BYTES_MAX;

	for (; from < to; from += step) {
		struct piece piece = { index, false, from, (u32)(MIN(MIN(to, size), from + step) - from) };

		if (array_push(&m->pieces, piece) < 0)
			return diag_no_memory(d, "pieces of files");
	}
	return 0;
}

static int list_file(struct measuring *m, u32 index, struct diag *d)
{
	const struct btrkit_content *content = m->content;
	const struct content_node *node = &content->nodes.items[index];
	const struct content_rare *rare = content_rare(content, node);
	u64 sectorsize = content->options.sectorsize, end = 0;

	if (node->is_inline) {
		struct piece piece = { index, true, 0, (u32)node->size };

		if (!wants_compression(content, index))
			return 0;
		return array_push(&m->pieces, piece) < 0 ? diag_no_memory(d, "pieces of files") : 0;
	}
	if (!rare || !rare->has_ranges)
		return add_pieces(m, index, 0, node->size, d);
	for (u32 r = 0; r < rare->nr_ranges; r++) {
		const struct btrkit_data_range *range = &content->ranges.items[rare->first_range + r];
		u64 from = MAX(end, round_down_u64(range->offset, sectorsize));
		int err;

		end = round_up_u64(range->offset + range->len, sectorsize);
		err = add_pieces(m, index, from, end, d);
		if (err)
			return err;
	}
	return 0;
}

static int compress_piece(void *ctx, unsigned worker, u64 i, void **ret_item, struct diag *d)
{
	struct measuring *m = ctx;
	const struct piece *piece = &m->pieces.items[i];
	u32 sectorsize = m->content->options.sectorsize;
	struct compressed *out;
	size_t cap, len = 0;
	int err = 0;

	/* What saves nothing is refused by the codec itself: the room it gets is that small. */
	cap = piece->is_inline ? piece->len - 1 : round_up_u64(piece->len, sectorsize) - sectorsize;
	out = malloc(sizeof(*out) + MAX(cap, (size_t)1));
	if (!out)
		return diag_no_memory(d, "compressed data");
	out->len = 0;
	*ret_item = out;
	if (cap == 0 || piece->len > PIECE_BYTES || !wants_compression(m->content, piece->node))
		return 0;
	err = content_read(&m->readers[worker], piece->node, piece->file_offset, m->raw[worker], piece->len, d);
	if (!err) {
		err = codec_compress(m->workspaces[worker], m->raw[worker], piece->len, out->bytes, cap, &len);
		if (err == -E2BIG)
			err = len = 0;
		else if (err)
			diag_fail(d, err, "cannot compress: %s", strerror(-err));
	}
	out->len = (u32)len;
	if (err) {
		free(out);
		*ret_item = NULL;
	}
	return err;
}

static int spool(struct measuring *m, const u8 *bytes, u32 len, struct diag *d)
{
	struct btrkit_content *content = m->content;

	for (u32 done = 0; done < len && content->spool_fd >= 0;) {
		ssize_t put = pwrite(content->spool_fd, bytes + done, len - done, (off_t)(m->spool_len + done));

		if (put < 0 && errno != EINTR)
			return diag_fail(d, -errno, "cannot keep compressed data in a temporary file: %s", strerror(errno));
		done += put > 0 ? (u32)put : 0;
	}
	m->spool_len += len;
	return 0;
}

/* Raw data joins the extent before it when it goes on where that one ends. */
static int add_raw(struct measuring *m, const struct piece *piece, struct diag *d)
{
	struct btrkit_content *content = m->content;
	u32 sectorsize = content->options.sectorsize;
	u32 bytes = (u32)round_up_u64(piece->len, sectorsize);
	struct content_extent *last = content->extents.len ? &content->extents.items[content->extents.len - 1] : NULL;
	struct content_extent extent = {
		.file_offset = piece->file_offset,
		.spool_offset = CONTENT_NOT_SPOOLED,
		.disk_bytes = bytes,
		.num_bytes = bytes,
		.node = piece->node,
		.stored_bytes = piece->len,
	};

	content->data_bytes += bytes;
	/* Smaller than the largest extent, so that pieces of the data space can be filled. */
	if (last && last->node == piece->node && last->spool_offset == CONTENT_NOT_SPOOLED &&
	    last->file_offset + last->num_bytes == piece->file_offset && last->num_bytes + bytes <= MIB) {
		last->disk_bytes += bytes;
		last->num_bytes += bytes;
		last->stored_bytes += piece->len;
		return 0;
	}
	return array_push(&content->extents, extent) < 0 ? diag_no_memory(d, "data extents") : 0;
}

static int add_compressed(struct measuring *m, const struct piece *piece, const struct compressed *out, struct diag *d)
{
	struct btrkit_content *content = m->content;
	u32 sectorsize = content->options.sectorsize;
	struct content_extent extent = {
		.file_offset = piece->file_offset,
		.spool_offset = m->spool_len,
		.disk_bytes = (u32)round_up_u64(out->len, sectorsize),
		.num_bytes = (u32)round_up_u64(piece->len, sectorsize),
		.node = piece->node,
		.stored_bytes = out->len,
	};

	content->data_bytes += extent.disk_bytes;
	if (array_push(&content->extents, extent) < 0)
		return diag_no_memory(d, "data extents");
	return spool(m, out->bytes, out->len, d);
}

/* Workers read the content meanwhile: nothing may move, and of the nodes only this file's changes. */
static int keep_inline(struct measuring *m, u32 index, const struct compressed *out, struct diag *d)
{
	struct content_node *node = &m->content->nodes.items[index];

	node->data = m->spool_len << SPOOLED_INLINE_LEN_BITS | out->len;
	node->data_kind = CONTENT_DATA_SPOOLED_INLINE;
	return spool(m, out->bytes, out->len, d);
}

static int take_piece(void *ctx, u64 i, void *item, struct diag *d)
{
	struct measuring *m = ctx;
	const struct piece *piece = &m->pieces.items[i];
	struct compressed *out = item;
	int err = 0;

	if (piece->file_offset == 0)
		m->raw_node = !piece->is_inline && out->len == 0 ? piece->node : CONTENT_NONE;
	if (piece->is_inline)
		err = out->len ? keep_inline(m, piece->node, out, d) : 0;
	else if (out->len == 0 || m->raw_node == piece->node)
		err = add_raw(m, piece, d);
	else
		err = add_compressed(m, piece, out, d);
	progress_add(m->progress, piece->len, 0);
	free(out);
	return err;
}

static void free_compressed(void *ctx, void *item)
{
	(void)ctx;
	free(item);
}

static int open_spool(struct btrkit_content *content, struct diag *d)
{
	const char *dir = content->options.spool_dir ? content->options.spool_dir : "/var/tmp";

	return content->options.is_dry_run ? 0 : temporary_file_open(dir, &content->spool_fd, d);
}

static int measuring_init(struct measuring *m, unsigned workers, struct diag *d)
{
	const struct content_options *options = &m->content->options;

	m->workspaces = calloc(workers, sizeof(*m->workspaces));
	m->readers = calloc(workers, sizeof(*m->readers));
	m->raw = calloc(workers, sizeof(*m->raw));
	if (!m->workspaces || !m->readers || !m->raw)
		return diag_no_memory(d, "compression");
	for (unsigned w = 0; w < workers; w++) {
		m->readers[w] = (struct content_reader){ .content = m->content, .worker = w, .node = CONTENT_NONE };
		m->raw[w] = malloc(PIECE_BYTES);
		if (!m->raw[w] || codec_workspace_new(options->codec, options->compress_level, options->sectorsize,
						      options->lzo_compress, &m->workspaces[w]) < 0)
			return diag_no_memory(d, "compression");
	}
	return open_spool(m->content, d);
}

static void measuring_done(struct measuring *m, unsigned workers)
{
	for (unsigned w = 0; w < workers; w++) {
		if (m->readers)
			content_reader_done(&m->readers[w]);
		if (m->workspaces)
			codec_workspace_free(m->workspaces[w]);
		if (m->raw)
			free(m->raw[w]);
	}
	free(m->workspaces);
	free(m->readers);
	free(m->raw);
	array_done(&m->pieces);
}

/* Each file's first extent, now that all extents stand in order. */
static void index_extents(struct btrkit_content *content)
{
	u32 e = 0;

	for (u32 i = 0; i < content->nr_sequence; i++) {
		u32 index = content->sequence[i];
		struct content_node *node = &content->nodes.items[index];

		if (!S_ISREG(node->mode))
			continue;
		node->first_extent = e;
		while (e < content->extents.len && content->extents.items[e].node == index)
			e++;
	}
}

int content_measure(struct btrkit_content *content, struct pool *pool, struct progress *progress, struct diag *d)
{
	const struct pool_stream stream = { compress_piece, take_piece, free_compressed, NULL };
	struct measuring m = { .content = content, .progress = progress, .raw_node = CONTENT_NONE };
	struct pool_stream bound = stream;
	int err = 0;

	if (!content->options.codec)
		return 0;
	for (u32 i = 0; i < content->nr_sequence && !err; i++)
		if (S_ISREG(content->nodes.items[content->sequence[i]].mode))
			err = list_file(&m, content->sequence[i], d);
	if (!err)
		err = measuring_init(&m, pool_threads(pool), d);
	bound.ctx = &m;
	if (!err)
		err = pool_pipeline(pool, m.pieces.len, pool_threads(pool) * 8, &bound, d);
	for (unsigned w = 0; w < pool_threads(pool) && !err; w++)
		err = content_reader_finish(&m.readers[w], d);
	measuring_done(&m, pool_threads(pool));
	if (err)
		return err;
	index_extents(content);
	content->is_measured = true;
	return 0;
}
