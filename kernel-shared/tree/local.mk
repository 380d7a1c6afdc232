# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/cursor.c \
	%D%/tree.h \
	%D%/walk.c

unit_tests += tests/unit/test-tree
tests_unit_test_tree_SOURCES = tests/unit/test-tree.c tests/unit/hand_tree.h tests/unit/memory_volume.h
