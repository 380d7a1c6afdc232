/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A source's files as content of a filesystem to be made, and where their data lies. */
#ifndef BTRKIT_CONVERT_INPLACE_GATHER_H
#define BTRKIT_CONVERT_INPLACE_GATHER_H

#include "convert/inplace/space_plan.h"
#include "convert/source/source.h"

/* Data of a file on the device. */
struct gathered_run {
	u64 physical, file_offset, len;
	u32 node;
	bool is_overlaid;
};

/* Nodes by the source's inode numbers: pages of a table, for those numbers that occur. */
struct node_table {
	ARRAY(u32 *) pages;
};

struct gathered {
	struct btrkit_content *content; /* owned */
	ARRAY(struct gathered_run) runs; /* ascending by physical */
	struct space_ranges overlaid; /* of runs: what has newer contents in the journal */
	struct node_table nodes; /* after gathered_keep_inos(): of inode numbers instead */
	u64 nr_left_out; /* inodes that the source named but did not tell, for it was to skip them */
};

struct gather_options {
	u64 top_ino;
	bool do_skip_unsupported; /* names of inodes that are not told are left out; else that is an error */
	/* Files that are no longer are stored in the trees, which is why nobody has to know where they lie. */
	u32 max_inline_bytes;
	const struct space_ranges *unreadable; /* small files that touch any of it keep their blocks; NULL: none */
};

/* Scan all of @source. -EUCLEAN: what it tells does not fit together. */
int gather(struct source *source, const struct gather_options *options, struct progress *progress,
	   struct gathered *ret_gathered, struct diag *d);
void gathered_done(struct gathered *gathered);

/* Add the saved subvolume's directory, under a name that is free; to be freed. */
int gather_add_saved_subvol(struct gathered *gathered, char **ret_name, struct diag *d);

/* The node of an inode; CONTENT_NONE: not known. */
u32 gathered_node(const struct gathered *gathered, u64 ino);

/* Everything is written: forget all but which inode became which. */
void gathered_keep_inos(struct gathered *gathered);
/* What an inode became; 0: nothing. Only after gathered_keep_inos(). */
u64 gathered_ino(const struct gathered *gathered, u64 source_ino);

#endif
