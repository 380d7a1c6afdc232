# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/block_check.c %D%/block_check.h \
	%D%/disk.h \
	%D%/features.c %D%/features.h \
	%D%/file_type.h \
	%D%/item_check_extent.c \
	%D%/item_check_inode.c \
	%D%/item_check_names.c \
	%D%/item_check_volume.c \
	%D%/key.h \
	%D%/leaf.c %D%/leaf.h \
	%D%/leaf_edit.c %D%/leaf_edit.h \
	%D%/name_hash.h \
	%D%/super_check.c %D%/super_check.h

unit_tests += tests/unit/test-format-check tests/unit/test-format-items tests/unit/test-format-super \
	tests/unit/test-format-volumes tests/unit/test-leaf-edit
tests_unit_test_format_check_SOURCES = tests/unit/test-format-check.c tests/unit/sound_leaf.h
tests_unit_test_format_items_SOURCES = tests/unit/test-format-items.c tests/unit/sound_leaf.h
tests_unit_test_format_volumes_SOURCES = tests/unit/test-format-volumes.c tests/unit/sound_leaf.h
tests_unit_test_format_super_SOURCES = tests/unit/test-format-super.c
tests_unit_test_leaf_edit_SOURCES = tests/unit/test-leaf-edit.c
