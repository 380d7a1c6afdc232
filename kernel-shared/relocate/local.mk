# SPDX-License-Identifier: LGPL-2.1-or-later
# Seeds, and what grows from them.
library_la_SOURCES += \
	%D%/device_seed.c \
	%D%/device_sprout.c \
	%D%/off_seed.c %D%/off_seed.h \
	%D%/seed_mark.c %D%/seed_mark.h \
	%D%/sprout.c %D%/sprout.h
unit_tests += tests/unit/test-sprout
tests_unit_test_sprout_SOURCES = tests/unit/test-sprout.c tests/unit/failing_malloc.h tests/unit/layered_fs.h tests/unit/txn_fixture.h

library_la_SOURCES += \
	%D%/block_marks.c %D%/block_marks.h \
	%D%/device_add.c \
	%D%/device_change.c %D%/device_change.h \
	%D%/device_fix_size.c \
	%D%/device_plan.c %D%/device_plan.h \
	%D%/device_remove.c \
	%D%/device_remove_missing.c \
	%D%/device_replace.c \
	%D%/device_resize.c \
	%D%/device_usage.c \
	%D%/evacuate.c %D%/evacuate.h \
	%D%/good_copy.c %D%/good_copy.h \
	%D%/lost_bytes.c %D%/lost_bytes.h \
	%D%/lost_files.c %D%/lost_files.h \
	%D%/move_chunk.c %D%/move_chunk.h \
	%D%/move_chunk_good.c \
	%D%/move_chunk_read.c \
	%D%/move_chunk_write.c \
	%D%/move_extents.c %D%/move_extents.h \
	%D%/move_extents_blocks.c \
	%D%/move_extents_caches.c \
	%D%/move_extents_data.c \
	%D%/move_extents_descent.c \
	%D%/move_extents_split.c \
	%D%/move_extents_sweep.c \
	%D%/move_extents_trees.c \
	%D%/new_device.c %D%/new_device.h \
	%D%/rebuild.c %D%/rebuild.h \
	%D%/relocate.c %D%/relocate.h \
	%D%/remove_missing.c %D%/remove_missing.h \
	%D%/restripe.c %D%/restripe.h \
	%D%/restripe_filters.c %D%/restripe_filters.h \
	%D%/restripe_item.c \
	%D%/restripe_judge.c \
	%D%/restripe_parse.c \
	%D%/restripe_plan.c \
	%D%/restripe_run.c \
	%D%/salvage.c %D%/salvage.h \
	%D%/space_model.c %D%/space_model.h \
	%D%/swap_device.c %D%/swap_device.h \
	%D%/tighten.c %D%/tighten.h \
	%D%/unit_copies.c %D%/unit_copies.h

script_tests += tests/cli/restripe.sh tests/interop/restripe-filters.sh tests/interop/restripe-resume.sh

unit_tests += tests/unit/test-degraded
tests_unit_test_degraded_SOURCES = tests/unit/test-degraded.c tests/unit/txn_fixture.h tests/unit/txn_work.h

unit_tests += tests/unit/test-relocate tests/unit/test-relocate-faults
tests_unit_test_relocate_SOURCES = tests/unit/test-relocate.c tests/unit/layered_fs.h tests/unit/relocate_fixture.h \
	tests/unit/txn_fixture.h
tests_unit_test_relocate_faults_SOURCES = tests/unit/test-relocate-faults.c tests/unit/failing_malloc.h tests/unit/layered_fs.h \
	tests/unit/relocate_fixture.h tests/unit/txn_fixture.h

reshape_fixture = tests/unit/failing_files.h tests/unit/failing_malloc.h tests/unit/layered_fs.h tests/unit/relocate_fixture.h \
	tests/unit/reshape_fixture.h tests/unit/txn_fixture.h
unit_tests += tests/unit/test-device-faults tests/unit/test-reshape-full tests/unit/test-restripe-faults
tests_unit_test_device_faults_SOURCES = tests/unit/test-device-faults.c $(reshape_fixture)
tests_unit_test_reshape_full_SOURCES = tests/unit/test-reshape-full.c $(reshape_fixture)
tests_unit_test_restripe_faults_SOURCES = tests/unit/test-restripe-faults.c $(reshape_fixture)

unit_tests += tests/unit/test-restripe tests/unit/test-restripe-filters
tests_unit_test_restripe_SOURCES = tests/unit/test-restripe.c tests/unit/failing_malloc.h tests/unit/txn_fixture.h
tests_unit_test_restripe_filters_SOURCES = tests/unit/test-restripe-filters.c

check_PROGRAMS += tests/tools/move_extents
tests_tools_move_extents_SOURCES = tests/tools/move_extents.c
tests_tools_move_extents_LDADD = library.la
script_tests += tests/interop/move-extents.sh

unit_tests += tests/unit/test-move-extents tests/unit/test-move-extents-faults
tests_unit_test_move_extents_SOURCES = tests/unit/test-move-extents.c tests/unit/moving_fixture.h tests/unit/txn_fixture.h \
	tests/unit/txn_work.h
tests_unit_test_move_extents_LDADD = $(unit_ldadd)
tests_unit_test_move_extents_faults_SOURCES = tests/unit/test-move-extents-faults.c tests/unit/failing_malloc.h \
	tests/unit/layered_fs.h tests/unit/moving_fixture.h tests/unit/txn_fixture.h tests/unit/txn_work.h
tests_unit_test_move_extents_faults_LDADD = $(unit_ldadd)

unit_tests += tests/unit/test-space-model
tests_unit_test_space_model_SOURCES = tests/unit/test-space-model.c
