# SPDX-License-Identifier: LGPL-2.1-or-later
btrkit_SOURCES += \
	%D%/cat.c \
	%D%/cmds.h \
	%D%/inspect.c %D%/inspect.h \
	%D%/inspect_chunks.c \
	%D%/inspect_layout.c \
	%D%/inspect_map.c \
	%D%/inspect_svg.c \
	%D%/ls.c \
	%D%/main.c \
	%D%/open.c %D%/open.h \
	%D%/printer.c %D%/printer.h \
	%D%/resolve.c %D%/resolve.h \
	%D%/restore.c %D%/restore.h \
	%D%/restore_data.c \
	%D%/restore_metadata.c \
	%D%/restore_tree.c
