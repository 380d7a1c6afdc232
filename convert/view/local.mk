# SPDX-License-Identifier: LGPL-2.1-or-later
# Files of filesystems that are not Btrfs.
library_la_SOURCES += \
	%D%/view.h \
	%D%/view_btrees.c \
	%D%/view_dir.c \
	%D%/view_file.c \
	%D%/view_inode.c \
	%D%/view_names.c \
	%D%/view_open.c

script_tests += tests/interop/bcachefs.sh
EXTRA_DIST += tests/tools/bcachefs_truth.py
