# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/block_cache.c %D%/block_cache.h \
	%D%/cached_block.h \
	%D%/dirty_blocks.c

unit_tests += tests/unit/test-block-cache
tests_unit_test_block_cache_SOURCES = tests/unit/test-block-cache.c tests/unit/hand_tree.h tests/unit/memory_volume.h
