# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/block_groups.c %D%/block_groups.h \
	%D%/csum_range.c %D%/csum_range.h \
	%D%/extent_item.c %D%/extent_item.h \
	%D%/free_space_tree.c %D%/free_space_tree.h \
	%D%/sector_bits.c %D%/sector_bits.h \
	%D%/used_ranges.c %D%/used_ranges.h

unit_tests += tests/unit/test-block-groups tests/unit/test-csum-range tests/unit/test-extent-item \
	tests/unit/test-free-space-tree tests/unit/test-space-used
tests_unit_test_block_groups_SOURCES = tests/unit/test-block-groups.c tests/unit/counting_source.h \
	tests/unit/memory_volume.h
tests_unit_test_csum_range_SOURCES = tests/unit/test-csum-range.c tests/unit/counting_source.h tests/unit/memory_volume.h
tests_unit_test_space_used_SOURCES = tests/unit/test-space-used.c tests/unit/memory_volume.h
tests_unit_test_extent_item_SOURCES = tests/unit/test-extent-item.c tests/unit/counting_source.h \
	tests/unit/memory_volume.h
tests_unit_test_free_space_tree_SOURCES = tests/unit/test-free-space-tree.c tests/unit/counting_source.h \
	tests/unit/memory_volume.h
