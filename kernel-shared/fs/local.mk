# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/data.c %D%/data.h \
	%D%/dir.c \
	%D%/error.c \
	%D%/file.c \
	%D%/file_extent.c %D%/file_extent.h \
	%D%/file_layer.h \
	%D%/fs.h \
	%D%/inode.c %D%/inode.h \
	%D%/open.c \
	%D%/open_paths.c \
	%D%/path.c \
	%D%/roots.c \
	%D%/subvol.c \
	%D%/used.c \
	%D%/view.c

script_tests += tests/cli/wrong-device.sh
