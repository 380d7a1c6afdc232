# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/content.c %D%/content.h \
	%D%/content_attach.c \
	%D%/content_compress.c \
	%D%/content_csums.c %D%/content_csums.h \
	%D%/content_data.c \
	%D%/content_data_write.c \
	%D%/content_file_items.c \
	%D%/content_finish.c \
	%D%/content_items.c %D%/content_items.h \
	%D%/content_names.c \
	%D%/content_read.c \
	%D%/content_stream.c \
	%D%/image.h \
	%D%/image_extents.c \
	%D%/image_plan.c \
	%D%/image_roots.c \
	%D%/image_space.c \
	%D%/image_write.c \
	%D%/item_stream.h \
	%D%/job.c %D%/job.h \
	%D%/layout.c %D%/layout.h \
	%D%/linear_space.c %D%/linear_space.h \
	%D%/making.h \
	%D%/making_options.c \
	%D%/making_report.c \
	%D%/making_targets.c \
	%D%/mkfs.c \
	%D%/placed_data.c %D%/placed_data.h \
	%D%/placed_saved.c \
	%D%/tree_builder.c %D%/tree_builder.h \
	%D%/tree_shape.c %D%/tree_shape.h

script_tests += tests/cli/mkfs-build.sh

# Makes images from the command line, for tests.
noinst_PROGRAMS += tests/tools/mkimage
tests_tools_mkimage_SOURCES = tests/tools/mkimage.c
tests_tools_mkimage_LDADD = library.la

unit_tests += tests/unit/test-build-csums tests/unit/test-build-layout tests/unit/test-build-readback \
	tests/unit/test-build-trees \
	tests/unit/test-content
tests_unit_test_content_SOURCES = tests/unit/test-content.c tests/unit/colliding_names.h tests/unit/made_fs.h
tests_unit_test_build_csums_SOURCES = tests/unit/test-build-csums.c
tests_unit_test_build_layout_SOURCES = tests/unit/test-build-layout.c
tests_unit_test_build_readback_SOURCES = tests/unit/test-build-readback.c
tests_unit_test_build_trees_SOURCES = tests/unit/test-build-trees.c
unit_tests += tests/unit/test-mkfs-cuts
tests_unit_test_mkfs_cuts_SOURCES = tests/unit/test-mkfs-cuts.c
unit_tests += tests/unit/test-threads
tests_unit_test_threads_SOURCES = tests/unit/test-threads.c
