/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <sys/stat.h>

#include "tests/fuzz/content_model.h"

#define STEPS_MAX 300
#define NAMES 40

/* --- Names and bytes that follow from numbers ------------------------------------------------------------------- */

size_t model_name(unsigned number, char name[256])
{
	size_t len = (size_t)snprintf(name, 256, "name-%u", number);

	if (number % 4 == 3) {
		memset(name + len, 'x', 255 - len);
		len = 255;
		name[len] = '\0';
	}
	return len;
}

u8 model_byte(u8 pattern, u64 offset)
{
	return (u8)(pattern + (pattern % 2 ? offset / 300 : offset * offset / 7));
}

bool is_model_data(const struct model_node *node, u64 offset)
{
	for (unsigned i = 0; i < node->nr_ranges; i++)
		if (offset >= node->ranges[i].offset && offset - node->ranges[i].offset < node->ranges[i].len)
			return true;
	return node->nr_ranges == 0;
}

/* --- A source that makes up its bytes ------------------------------------------------------------------------------ */

/* The cookie is the model's node. */
static int source_open(void *ctx, unsigned worker, btrkit_node node, uint64_t cookie, void **ret_handle,
		       struct btrkit_error *error)
{
	(void)ctx, (void)worker, (void)node, (void)error;
	*ret_handle = (void *)(uintptr_t)cookie;
	return 0;
}

static int source_read(void *ctx, void *handle, uint64_t offset, void *buf, size_t len, struct btrkit_error *error)
{
	const struct model_node *node = handle;

	(void)ctx, (void)error;
	fuzz_require(offset <= node->size && len <= node->size - offset);
	for (size_t i = 0; i < len; i++)
		((u8 *)buf)[i] = is_model_data(node, offset + i) ? model_byte(node->pattern, offset + i) : 0;
	return 0;
}

static void source_close(void *ctx, void *handle)
{
	(void)ctx, (void)handle;
}

static const struct btrkit_data_source source = { .open = source_open, .read = source_read, .close = source_close };

/* --- Steps ------------------------------------------------------------------------------------------------------------ */

struct step {
	u8 what, dir, node, name;
	le16 amount;
	u8 pattern, unused;
};

static struct model_child *find_child(struct model_node *dir, unsigned name)
{
	for (unsigned i = 0; i < dir->nr_children; i++)
		if (dir->child[i].name == name)
			return &dir->child[i];
	return NULL;
}

static void put_child(struct model_node *dir, unsigned name, unsigned node)
{
	struct model_child *child = find_child(dir, name);

	if (!child)
		child = &dir->child[dir->nr_children++];
	*child = (struct model_child){ (u16)name, (u16)node };
}

/* A directory that is known to the content, reachable or not. */
static unsigned some_dir(const struct model *model, unsigned wish)
{
	for (unsigned i = 0; i < model->nr_nodes; i++)
		if (S_ISDIR(model->node[(wish + i) % model->nr_nodes].mode))
			return (wish + i) % model->nr_nodes;
	return 0;
}

static void step_add(struct model *model, const struct step *step, unsigned parent)
{
	static const u32 modes[] = { S_IFREG | 0644, S_IFDIR | 0755, S_IFREG | 0600, S_IFLNK | 0777, S_IFDIR | 0700,
				     S_IFIFO | 0640 };
	struct btrkit_node_attr attr = { .mode = modes[step->node % ARRAY_LEN(modes)] };
	struct model_node *dir = &model->node[parent];
	struct model_child *child = find_child(dir, step->name % NAMES);
	unsigned expected = model->nr_nodes;
	btrkit_node node;
	char name[256];
	size_t len = model_name(step->name % NAMES, name);

	if (expected == MODEL_NODES_MAX)
		return;
	fuzz_require(btrkit_content_add(model->content, parent, name, len, &attr, &node, NULL) == 0);
	if (child && S_ISDIR(attr.mode) && S_ISDIR(model->node[child->node].mode)) {
		expected = child->node;
		model->node[expected].mode = attr.mode;
	} else {
		model->node[model->nr_nodes++] = (struct model_node){ .mode = attr.mode };
		put_child(dir, step->name % NAMES, expected);
	}
	fuzz_require(node == expected);
	if (S_ISLNK(attr.mode)) {
		fuzz_require(btrkit_content_set_symlink(model->content, node, name, len, NULL) == 0);
		model->node[node].size = len;
	}
}

static void step_link(struct model *model, const struct step *step, unsigned parent)
{
	unsigned node = step->node % model->nr_nodes;
	char name[256];
	size_t len = model_name(step->name % NAMES, name);
	int err = btrkit_content_link(model->content, parent, name, len, node, NULL);

	fuzz_require(err == (S_ISDIR(model->node[node].mode) ? -EISDIR : 0));
	if (!err)
		put_child(&model->node[parent], step->name % NAMES, node);
}

static void step_remove(struct model *model, const struct step *step, unsigned parent)
{
	struct model_node *dir = &model->node[parent];
	struct model_child *child = find_child(dir, step->name % NAMES);
	char name[256];
	size_t len = model_name(step->name % NAMES, name);

	fuzz_require(btrkit_content_remove(model->content, parent, name, len, NULL) == (child ? 0 : -ENOENT));
	if (child)
		*child = dir->child[--dir->nr_children];
}

static void step_data(struct model *model, const struct step *step)
{
	unsigned number = step->node % model->nr_nodes;
	struct model_node *node = &model->node[number];
	size_t len = le16_get(step->amount) % 4 ? le16_get(step->amount) / 4 % 5000 : le16_get(step->amount);
	u8 *data = malloc(len + 1);
	int err;

	fuzz_require(data);
	for (size_t i = 0; i < len; i++)
		data[i] = model_byte(step->pattern, i);
	err = btrkit_content_set_data(model->content, number, data, len, 0, NULL);
	fuzz_require(err == (S_ISREG(node->mode) ? 0 : -EINVAL));
	free(data);
	if (err)
		return;
	node->size = len;
	node->pattern = step->pattern;
	node->nr_ranges = 0;
}

static void step_source(struct model *model, const struct step *step)
{
	unsigned number = step->node % model->nr_nodes;
	struct model_node *node = &model->node[number];
	struct btrkit_data_range ranges[MODEL_RANGES_MAX];
	unsigned nr_ranges = step->name % (MODEL_RANGES_MAX + 1);
	u64 at = 0;
	int err;

	for (unsigned i = 0; i < nr_ranges; i++) {
		ranges[i].offset = at + (u64)step->dir * (i + 1) * 61;
		ranges[i].len = 1 + le16_get(step->amount) / (i + 2) % 20000;
		if (step->pattern % 4 == 1) /* as file systems give them */
			ranges[i] = (struct btrkit_data_range){ round_up_u64(ranges[i].offset, 4096),
								round_up_u64(ranges[i].len, 4096) };
		at = ranges[i].offset + ranges[i].len;
	}
	at += le16_get(step->amount) % 9000; /* a hole at the end */
	err = btrkit_content_set_source(model->content, number, &source, (uintptr_t)node, at, nr_ranges ? ranges : NULL,
					nr_ranges, NULL);
	fuzz_require(err == (S_ISREG(node->mode) ? 0 : -EINVAL));
	if (err)
		return;
	node->size = at;
	node->pattern = step->pattern;
	node->nr_ranges = nr_ranges;
	memcpy(node->ranges, ranges, nr_ranges * sizeof(ranges[0]));
}

static void step_xattr(struct model *model, const struct step *step)
{
	unsigned number = step->node % model->nr_nodes, which = step->name % MODEL_XATTRS;
	u16 len = le16_get(step->amount) % 700;
	u8 value[700];
	char name[16];

	snprintf(name, sizeof(name), "user.%u", which);
	for (u16 i = 0; i < len; i++)
		value[i] = model_byte(step->pattern, i);
	fuzz_require(btrkit_content_set_xattr(model->content, number, name, len ? value : NULL, len, NULL) == 0);
	model->node[number].xattr[which].is_set = true;
	model->node[number].xattr[which].len = len;
	model->node[number].xattr[which].pattern = step->pattern;
}

static void step_subvol(struct model *model, const struct step *step)
{
	unsigned number = step->node % model->nr_nodes;
	int err = btrkit_content_set_subvol(model->content, number, 0, NULL);

	fuzz_require(err == (S_ISDIR(model->node[number].mode) ? 0 : -EINVAL));
	if (!err)
		model->node[number].is_subvol = true;
}

static void take_step(struct model *model, const struct step *step)
{
	unsigned parent = some_dir(model, step->dir);
	bool has_room = model->node[parent].nr_children < MODEL_CHILDREN_MAX;

	switch (step->what % 16) {
	case 6:
	case 7:
		if (has_room)
			step_link(model, step, parent);
		break;
	case 8:
		step_remove(model, step, parent);
		break;
	case 9:
	case 10:
	case 11:
		step_data(model, step);
		break;
	case 12:
		step_source(model, step);
		break;
	case 13:
	case 14:
		step_xattr(model, step);
		break;
	case 15:
		step_subvol(model, step);
		break;
	default:
		if (has_room)
			step_add(model, step, parent);
		break;
	}
}

struct model *model_new(struct fuzz_input *input)
{
	struct model *model = calloc(1, sizeof(*model));

	fuzz_require(model && btrkit_content_new(&model->content) == 0);
	model->node[0].mode = S_IFDIR | 0755;
	model->nr_nodes = 1;
	for (unsigned n = 0; n < STEPS_MAX && input->left; n++) {
		struct step step;

		fuzz_take(input, &step, sizeof(step));
		take_step(model, &step);
	}
	return model;
}
