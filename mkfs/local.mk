# SPDX-License-Identifier: LGPL-2.1-or-later
btrkit_SOURCES += \
	%D%/archive_input.c %D%/archive_input.h \
	%D%/lzo2.c %D%/lzo2.h \
	%D%/main.c \
	%D%/manifest.c %D%/manifest.h \
	%D%/options.c %D%/options.h \
	%D%/print.c \
	%D%/small_files.c %D%/small_files.h \
	%D%/source.c %D%/source.h \
	%D%/source_archive.c \
	%D%/source_dir.c %D%/source_dir.h \
	%D%/source_dir_data.c \
	%D%/source_dir_scan.c %D%/source_dir_scan.h \
	%D%/source_manifest.c
script_tests += tests/cli/mkfs-badinput.sh tests/cli/mkfs-options.sh \
	tests/interop/mkfs-rootdir.sh tests/interop/mkfs-matrix.sh \
	tests/interop/mkfs-kernel-view.sh tests/interop/mkfs-reflink.sh \
	tests/interop/mkfs-reproducible.sh
script_tests += tests/cli/mkfs-threads.sh tests/cli/mkfs-small-files.sh
EXTRA_DIST += tests/tools/pairwise.py
