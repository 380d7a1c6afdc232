# SPDX-License-Identifier: LGPL-2.1-or-later
unit_tests += %D%/test-edit-collisions %D%/test-edit-faults %D%/test-edit-model
tests_model_test_edit_collisions_SOURCES = %D%/test-edit-collisions.c %D%/edit_shapes.h tests/unit/colliding_names.h
tests_model_test_edit_model_SOURCES = %D%/test-edit-model.c %D%/edit_model.c %D%/edit_model.h %D%/edit_shapes.h
tests_model_test_edit_faults_SOURCES = %D%/test-edit-faults.c %D%/edit_shapes.h tests/unit/failing_malloc.h tests/unit/refusing_source.h
# One request for space is refused, wherever it comes from.
tests_model_test_edit_faults_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=txn_alloc_data
unit_tests += %D%/test-bch-journal-model
tests_model_test_bch_journal_model_SOURCES = %D%/test-bch-journal-model.c %D%/chance.h tests/unit/hand_bch_journal.h
script_tests += tests/interop/edit-kernel.sh tests/interop/edit-aged.sh tests/interop/edit-inherit.sh \
	tests/interop/edit-collisions.sh \
	tests/interop/free-space-forms.sh
EXTRA_DIST += tests/tools/free_space_forms.py
