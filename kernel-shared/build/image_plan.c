/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From content to addresses. Filesystem and checksum trees depend only on where the data lies; the trees about space
 * depend on each other and on themselves. The latter are sized again and again, each time with the layout that the
 * sizes before gave, until they stay the same. More blocks never make a tree smaller, so that comes to an end.
 */
#include "kernel-shared/build/content.h"
#include "kernel-shared/build/image.h"
#include "kernel-shared/build/placed_data.h"

typedef unsigned long long ull;

#define ROUNDS_MAX 64
#define SLACK_INSERTIONS 40
#define OPERATION_INSERTIONS 18
#define GLOBAL_RESERVE_MAX (512 * MIB)

void image_done(struct image *image)
{
	for (size_t i = 0; i < image->nr_trees; i++)
		free(image->trees[i].leaf_keys);
	free(image->trees);
	free(image->devices);
	free(image->used_bytes);
	free(image->device_bytes);
	layout_done(&image->layout);
	*image = (struct image){ 0 };
}

const struct image_tree *image_tree_of(const struct image *image, u64 owner)
{
	for (size_t i = 0; i < image->nr_trees; i++)
		if (image->trees[i].owner == owner)
			return &image->trees[i];
	return NULL;
}

/* --- Which trees there are ------------------------------------------------------------------------------ */

static struct image_tree *add_tree(struct image *image, u64 owner,
				   int (*emit)(const struct image *, struct item_stream *, struct diag *),
				   bool is_dependent)
{
	struct image_tree *tree = &image->trees[image->nr_trees++];

	*tree = (struct image_tree){
		.owner = owner,
		.emit = emit,
		.is_dependent = is_dependent,
		.shape = { .blocks = { 1 }, .nr_levels = 1 },
	};
	return tree;
}

static void add_fs_trees(struct image *image)
{
	size_t nr_subvols = image->content ? content_nr_subvols(image->content) : 1;

	for (size_t i = 0; i < nr_subvols; i++) {
		struct image_tree *tree = add_tree(image, FS_TREE_OBJECTID, image->content ? NULL : emit_empty_dir_tree, false);

		tree->subvol = i;
		if (image->content)
			tree->owner = content_subvol_at(image->content, i)->root_id;
		if (image->placed && tree->owner == SAVED_ROOT_ID)
			tree->emit = emit_saved_tree;
		image->subvol_uuid(image, tree->owner, tree->uuid);
	}
}

/* Chunk tree first, then by address: what does not depend on the layout before what does. */
static int make_trees(struct image *image, struct diag *d)
{
	size_t nr_subvols = image->content ? content_nr_subvols(image->content) : 1;

	if (image->trees)
		return 0;
	image->trees = calloc(nr_subvols + 12, sizeof(*image->trees));
	if (!image->trees)
		return diag_no_memory(d, "the trees");
	add_tree(image, CHUNK_TREE_OBJECTID, emit_chunk_tree, true);
	add_fs_trees(image);
	add_tree(image, CSUM_TREE_OBJECTID, image->content ? NULL : emit_nothing, false);
	add_tree(image, DATA_RELOC_TREE_OBJECTID, emit_empty_dir_tree, false);
	add_tree(image, UUID_TREE_OBJECTID, emit_uuid_tree, false);
	if (image->quota)
		add_tree(image, QUOTA_TREE_OBJECTID, emit_quota_tree, false);
	add_tree(image, ROOT_TREE_OBJECTID, emit_root_tree, false);
	add_tree(image, DEV_TREE_OBJECTID, emit_dev_tree, true);
	if (image->compat_ro & COMPAT_RO_BLOCK_GROUP_TREE)
		add_tree(image, BLOCK_GROUP_TREE_OBJECTID, emit_block_group_tree, true);
	if (image->compat_ro & COMPAT_RO_FREE_SPACE_TREE)
		add_tree(image, FREE_SPACE_TREE_OBJECTID, emit_free_space_tree, true);
	add_tree(image, EXTENT_TREE_OBJECTID, emit_extent_tree, true);
	return 0;
}

/* --- Sizing ------------------------------------------------------------------------------------------- */

static int size_from_content(struct image *image, const struct image_tree *tree, struct tree_sizer *sizer,
			     struct diag *d)
{
	if (tree->owner == CSUM_TREE_OBJECTID && image->placed)
		return placed_size_csums(image->placed, &image->content->options, sizer, d);
	if (tree->owner == CSUM_TREE_OBJECTID)
		return content_size_csums(image->content, sizer, d);
	return content_size_tree(image->content, tree->subvol, image->pool, sizer, d);
}

/* The shape of a tree as things are; *ret_is_changed is set when it differs from the one before. */
static int size_tree(struct image *image, struct image_tree *tree, bool *ret_is_changed, struct diag *d)
{
	_free_ void *scratch = malloc(image->id.nodesize);
	struct item_stream stream = {
		.scratch = scratch,
		/* Others' keys are recorded when they are written; the extent tree lists itself. */
		.do_record_keys = tree->owner == EXTENT_TREE_OBJECTID && !(image->incompat & INCOMPAT_SKINNY_METADATA),
	};
	struct tree_shape shape;
	int err;

	if (!scratch)
		return diag_no_memory(d, "sizing");
	tree_sizer_init(&stream.sizer, image->id.nodesize);
	err = tree->emit ? tree->emit(image, &stream, d) : size_from_content(image, tree, &stream.sizer, d);
	if (!err && tree_sizer_finish(&stream.sizer, &shape) < 0)
		err = diag_fail(d, -EFBIG, "tree %llu would have too many levels", (ull)tree->owner);
	if (err) {
		array_done(&stream.leaf_keys);
		return err;
	}
	if (!tree_shapes_are_equal(&shape, &tree->shape))
		*ret_is_changed = true;
	tree->shape = shape;
	free(tree->leaf_keys);
	tree->leaf_keys = stream.leaf_keys.items;
	return 0;
}

static int size_trees(struct image *image, bool do_dependent, bool *ret_is_changed, struct diag *d)
{
	int err = 0;

	for (size_t i = 0; i < image->nr_trees && !err; i++)
		if (image->trees[i].is_dependent == do_dependent)
			err = size_tree(image, &image->trees[i], ret_is_changed, d);
	return err;
}

/* --- Placing ---------------------------------------------------------------------------------------------- */

static u64 tree_bytes(const struct image *image, const struct image_tree *tree)
{
	return tree_shape_total(&tree->shape) * image->id.nodesize;
}

static u64 metadata_bytes(const struct image *image)
{
	u64 total = 0;

	for (size_t i = 1; i < image->nr_trees; i++)
		total += tree_bytes(image, &image->trees[i]);
	return total;
}

/* Does Linux's global reserve grow with this tree? */
static bool is_reserved_for(u64 owner)
{
	return owner == EXTENT_TREE_OBJECTID || owner == CSUM_TREE_OBJECTID || owner == FREE_SPACE_TREE_OBJECTID ||
	       owner == BLOCK_GROUP_TREE_OBJECTID || owner == ROOT_TREE_OBJECTID;
}

/*
 * Free metadata space that Linux needs to work at all. Its global reserve is what some dozens of insertions cost at worst
 * (each 8 levels, doubled for splits), or as much as the trees about space have, up to 512 MiB; an operation needs room
 * beside it. Found by trying with Linux 6.18, for nodes of 4, 16 and 64 KiB: 38 insertions are the least with which
 * an image still lets files be made; with fewer it mounts, but only removing works.
 */
static u64 metadata_slack(const struct image *image)
{
	u64 insertion = (u64)image->id.nodesize * LEVEL_MAX * 2;
	u64 reserved = 0;

	for (size_t i = 1; i < image->nr_trees; i++)
		if (is_reserved_for(image->trees[i].owner))
			reserved += tree_bytes(image, &image->trees[i]);
	reserved = MIN(reserved, GLOBAL_RESERVE_MAX);
	return MAX(SLACK_INSERTIONS * insertion, reserved + OPERATION_INSERTIONS * insertion) + image->free_bytes / 32;
}

/* A commit after a change of chunks writes the chunk tree anew beside the old one. */
static u64 system_slack(const struct image *image)
{
	return (u64)image->id.nodesize * LEVEL_MAX;
}

static void set_needs(struct image *image)
{
	struct layout_needs *needs = &image->needs;

	needs->system_bytes = tree_bytes(image, &image->trees[0]) + system_slack(image);
	needs->metadata_bytes = metadata_bytes(image) + metadata_slack(image);
	needs->data_bytes = image->data_bytes + (needs->style == LAYOUT_EXACT ? image->free_bytes : 0);
}

static void place_trees(struct image *image)
{
	const struct linear_space *space = image->needs.is_mixed ? &image->layout.data : &image->layout.metadata;
	u64 linear = image->needs.is_mixed ? round_up_u64(image->data_linear, image->id.nodesize) : 0;

	for (size_t i = 0; i < image->nr_trees; i++) {
		struct image_tree *tree = &image->trees[i];

		if (i == 0) {
			tree->place = (struct tree_place){ &image->layout.system, 0 };
		} else {
			tree->place = (struct tree_place){ space, linear };
			linear += tree_bytes(image, tree);
		}
		tree->root_logical = tree_place_logical(&tree->place, &tree->shape, image->id.nodesize,
							tree_shape_root_level(&tree->shape), 0);
	}
}

/* Offset just after the last data extent. */
static u64 data_end(const struct image *image)
{
	u64 count = image->content ? content_nr_extents(image->content) : 0;
	struct content_extent_ref last;

	if (count == 0)
		return 0;
	content_extent_at(image->content, count - 1, &last);
	array_for_each(&image->layout.data.pieces, piece)
		if (last.logical >= piece->logical && last.logical < piece->logical + piece->len)
			return piece->linear + (last.logical - piece->logical) + last.disk_bytes;
	return 0;
}

/* Do both spaces begin with the same @bytes bytes, and have no piece end there that the other has not? */
static bool is_same_space(const struct linear_space *a, const struct linear_space *b, u64 bytes)
{
	for (size_t i = 0; i < a->pieces.len && i < b->pieces.len; i++) {
		const struct linear_piece *x = &a->pieces.items[i], *y = &b->pieces.items[i];

		if (x->linear >= bytes && y->linear >= bytes)
			return true;
		if (x->linear != y->linear || x->logical != y->logical)
			return false;
		if (x->len != y->len)
			return x->linear + MIN(x->len, y->len) >= bytes;
	}
	return a->pieces.len == b->pieces.len;
}

/*
 * Give data its addresses, unless it has them already. Extents that must not be split leave gaps at the ends of
 * pieces: *ret_missing is then how much more space to try with.
 */
static int place_data(struct image *image, struct linear_space *placed_in, u64 *ret_missing, struct diag *d)
{
	bool is_changed;
	int err;

	*ret_missing = 0;
	if (!image->content || image->placed || is_same_space(placed_in, &image->layout.data, image->data_linear))
		return 0;
	err = content_assign_data(image->content, &image->layout.data, d);
	if (err == -ENOSPC) {
		diag_clear(d);
		*ret_missing = image->layout.data.pieces.len * COMPRESSED_EXTENT_BYTES_MAX;
		return 0;
	}
	if (err)
		return err;
	linear_space_done(placed_in);
	array_for_each(&image->layout.data.pieces, piece)
		if (linear_space_add(placed_in, piece->logical, piece->len) < 0)
			return diag_no_memory(d, "the data space");
	image->data_linear = data_end(image);
	return size_trees(image, false, &is_changed, d);
}

/* One turn: layout for the sizes as they are, places, sizes. */
static int turn(struct image *image, const struct layout_device *devices, struct linear_space *placed_in,
		bool *ret_is_changed, struct diag *d)
{
	u64 missing;
	int err;

	*ret_is_changed = false;
	set_needs(image);
	layout_done(&image->layout);
	if (image->placed)
		err = image->placed->lay_out(image->placed->ctx, &image->needs, &image->layout, d);
	else
		err = layout_make(devices, image->nr_devices, &image->needs, &image->layout, d);
	if (!err)
		err = place_data(image, placed_in, &missing, d);
	if (err)
		return err;
	if (missing) {
		image->data_bytes += missing;
		*ret_is_changed = true;
		return 0;
	}
	place_trees(image);
	return size_trees(image, true, ret_is_changed, d);
}

static int settle(struct image *image, const struct layout_device *devices, struct diag *d)
{
	struct linear_space placed_in = { 0 };
	bool is_changed = true, is_ignored;
	int err;

	image->data_bytes = image->content && !image->placed ? content_data_bytes(image->content) : 0;
	image->data_linear = UINT64_MAX; /* not placed */
	for (size_t i = 0; i < image->nr_trees; i++)
		image->trees[i].shape = (struct tree_shape){ .blocks = { 1 }, .nr_levels = 1 };
	err = size_trees(image, false, &is_ignored, d);
	if (!image->content || content_nr_extents(image->content) == 0)
		image->data_linear = 0;
	for (unsigned round = 0; is_changed && !err; round++) {
		if (round == ROUNDS_MAX)
			err = diag_fail(d, -EINVAL, "the sizes of the space trees do not settle");
		else
			err = turn(image, devices, &placed_in, &is_changed, d);
	}
	linear_space_done(&placed_in);
	return err;
}

/* --- The plan --------------------------------------------------------------------------------------------- */

static int count_used(struct image *image, struct diag *d)
{
	struct image_extents at = IMAGE_EXTENTS_INIT(image);
	struct image_extent extent;
	size_t group = 0;

	free(image->used_bytes);
	image->used_bytes = calloc(chunk_map_count(image->layout.chunks), sizeof(*image->used_bytes));
	if (!image->used_bytes)
		return diag_no_memory(d, "block groups");
	while (image_extents_next(&at, &extent)) {
		const struct chunk *chunk = chunk_map_at(image->layout.chunks, group);

		while (extent.logical >= chunk->logical + chunk->length)
			chunk = chunk_map_at(image->layout.chunks, ++group);
		image->used_bytes[group] += extent.len;
	}
	return 0;
}

static void count_subvol_data(struct image *image)
{
	if (!image->quota)
		return;
	for (u64 i = 0; i < image_nr_data(image); i++) {
		struct image_data_extent extent;

		image_data_at(image, i, &extent);
		for (size_t t = 0; t < image->nr_trees; t++)
			if (image->trees[t].owner == extent.refs[0].root_id)
				image->trees[t].data_bytes += extent.len;
	}
}

static int set_device_bytes(struct image *image, bool is_exact, struct diag *d)
{
	free(image->device_bytes);
	image->device_bytes = calloc(image->nr_devices, sizeof(*image->device_bytes));
	if (!image->device_bytes)
		return diag_no_memory(d, "devices");
	for (size_t i = 0; i < image->nr_devices; i++)
		image->device_bytes[i] = is_exact ? image->layout.devices[i].end_physical
						  : round_down_u64(image->devices[i].limit_bytes, image->sectorsize);
	return 0;
}

static int settle_without_limits(struct image *image, struct diag *d)
{
	_free_ struct layout_device *endless = calloc(image->nr_devices, sizeof(*endless));

	if (!endless)
		return diag_no_memory(d, "devices");
	memcpy(endless, image->devices, image->nr_devices * sizeof(*endless));
	for (size_t i = 0; i < image->nr_devices; i++)
		endless[i].limit_bytes = LAYOUT_NO_LIMIT;
	image->needs.style = LAYOUT_EXACT;
	return settle(image, endless, d);
}

int image_needed_bytes(struct image *image, u64 *ret_bytes, struct diag *d)
{
	int err = make_trees(image, d);

	if (!err)
		err = settle_without_limits(image, d);
	if (!err)
		*ret_bytes = layout_end_bytes(&image->layout);
	return err;
}

int image_plan(struct image *image, bool is_exact, struct diag *d)
{
	int err = make_trees(image, d);

	if (err)
		return err;
	if (is_exact) {
		err = settle_without_limits(image, d);
	} else {
		image->needs.style = LAYOUT_ROOMY;
		err = settle(image, image->devices, d);
		if (err == -ENOSPC) {
			diag_clear(d);
			image->needs.style = LAYOUT_EXACT;
			err = settle(image, image->devices, d);
		}
	}
	if (!err)
		err = set_device_bytes(image, is_exact, d);
	if (err)
		return err;
	count_subvol_data(image);
	return count_used(image, d);
}

u64 image_total_bytes(const struct image *image)
{
	u64 total = 0;

	for (size_t i = 0; i < image->nr_devices; i++)
		total += image->device_bytes[i];
	return total;
}

u64 image_used_bytes(const struct image *image)
{
	u64 total = 0;

	for (size_t i = 0; i < chunk_map_count(image->layout.chunks); i++)
		total += image->used_bytes[i];
	return total;
}
