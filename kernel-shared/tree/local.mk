# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/block_source.h \
	%D%/cursor.c \
	%D%/edit.c %D%/edit.h \
	%D%/edit_merge.c \
	%D%/edit_split.c \
	%D%/tree.h \
	%D%/walk.c

unit_tests += tests/unit/test-tree tests/unit/test-tree-edit
tests_unit_test_tree_SOURCES = tests/unit/test-tree.c tests/unit/hand_tree.h tests/unit/memory_volume.h
tests_unit_test_tree_edit_SOURCES = tests/unit/test-tree-edit.c tests/unit/counting_source.h \
	tests/unit/memory_volume.h
