/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plain second idea of what a content holds: the same calls make the content and the model, and afterwards the
 * filesystem must be what the model says.
 */
#ifndef BTRKIT_TESTS_FUZZ_CONTENT_MODEL_H
#define BTRKIT_TESTS_FUZZ_CONTENT_MODEL_H

#include <btrkit/content.h>
#include <btrkit/fs.h>

#include "tests/fuzz/fuzz.h"

#define MODEL_NODES_MAX 160
#define MODEL_CHILDREN_MAX 96
#define MODEL_XATTRS 6
#define MODEL_RANGES_MAX 3

struct model_child {
	u16 name; /* number: see model_name() */
	u16 node;
};

struct model_node {
	u32 mode;
	bool is_subvol;
	u64 size;
	u8 pattern; /* of the data */
	unsigned nr_ranges; /* 0: no holes */
	struct btrkit_data_range ranges[MODEL_RANGES_MAX];
	struct {
		bool is_set;
		u16 len;
		u8 pattern;
	} xattr[MODEL_XATTRS];
	struct model_child child[MODEL_CHILDREN_MAX];
	unsigned nr_children;
};

struct model {
	struct btrkit_content *content; /* to be freed by the caller */
	struct model_node node[MODEL_NODES_MAX]; /* by the content's numbers */
	unsigned nr_nodes;
};

/* The name of a number, and its length; every fourth one is as long as names may be. */
size_t model_name(unsigned number, char name[256]);
/* Byte @offset of data or of a value. */
u8 model_byte(u8 pattern, u64 offset);
/* Or does the file have a hole there? */
bool is_model_data(const struct model_node *node, u64 offset);

/* Run the input's steps on a new content and the model beside it. */
struct model *model_new(struct fuzz_input *input);

/* Is the filesystem what the model says? */
void model_compare(const struct model *model, struct btrkit_fs *fs);

#endif
