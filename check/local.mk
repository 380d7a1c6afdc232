# SPDX-License-Identifier: LGPL-2.1-or-later
# The check: the library's topmost room, above kernel-shared/.
library_la_SOURCES += \
	%D%/block_sweep.c \
	%D%/block_table.c %D%/block_table.h \
	%D%/check.c %D%/check.h \
	%D%/detail_free_space.c \
	%D%/detail_names.c \
	%D%/detail_references.c \
	%D%/inode_part.c %D%/inode_part.h \
	%D%/leaf_extent.c %D%/leaf_extent.h \
	%D%/leaf_fs.c \
	%D%/memory_limit.c \
	%D%/pass_chunks.c \
	%D%/pass_csums.c \
	%D%/pass_data.c \
	%D%/pass_fs_leaves.c \
	%D%/pass_log.c \
	%D%/pass_lost.c \
	%D%/pass_nodes.c \
	%D%/pass_quotas.c \
	%D%/pass_roots.c \
	%D%/pass_space.c \
	%D%/pass_space_leaves.c \
	%D%/pass_subvols.c \
	%D%/pass_supers.c \
	%D%/paths.c %D%/paths.h \
	%D%/paths_block.c \
	%D%/paths_extent.c \
	%D%/problem.c %D%/problem.h \
	%D%/problems.def \
	%D%/quota_groups.c %D%/quota_groups.h \
	%D%/ranges.c %D%/ranges.h \
	%D%/references.c %D%/references.h \
	%D%/simple_quotas.c \
	%D%/space_cache.c %D%/space_cache.h \
	%D%/subvol_entries.c
unit_tests += tests/unit/test-check-faults tests/unit/test-check-ranges
tests_unit_test_check_ranges_SOURCES = tests/unit/test-check-ranges.c
tests_unit_test_check_faults_SOURCES = tests/unit/test-check-faults.c tests/unit/made_fs.h
