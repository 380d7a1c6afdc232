# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/inspect_chunks.c \
	%D%/inspect_trees.c \
	%D%/names.c \
	%D%/show.c %D%/show.h \
	%D%/show_block.c \
	%D%/show_extent.c \
	%D%/show_inode.c \
	%D%/show_super.c \
	%D%/show_volume.c
