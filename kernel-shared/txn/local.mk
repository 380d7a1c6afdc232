# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/chunk_alloc.c \
	%D%/chunk_change.c \
	%D%/commit.c \
	%D%/cow.c \
	%D%/data.c \
	%D%/delayed_refs.c %D%/delayed_refs.h \
	%D%/device_change.c \
	%D%/device_space.c \
	%D%/judge_chunks.c \
	%D%/mend.c \
	%D%/move.c %D%/move.h \
	%D%/quotas.c \
	%D%/reshape.h \
	%D%/roots.c \
	%D%/run_refs.c \
	%D%/tree_delete.c \
	%D%/txn.c %D%/txn.h \
	%D%/txn_state.h \
	%D%/write.c

unit_tests += tests/unit/test-txn tests/unit/test-txn-chunks tests/unit/test-txn-faults tests/unit/test-txn-limits tests/unit/test-txn-parity \
	tests/unit/test-txn-reshape
tests_unit_test_txn_SOURCES = tests/unit/test-txn.c tests/unit/txn_fixture.h tests/unit/txn_work.h
tests_unit_test_txn_chunks_SOURCES = tests/unit/test-txn-chunks.c tests/unit/txn_fixture.h tests/unit/txn_work.h
tests_unit_test_txn_faults_SOURCES = tests/unit/test-txn-faults.c tests/unit/failing_malloc.h tests/unit/layered_fs.h tests/unit/refusing_source.h tests/unit/txn_fixture.h \
	tests/unit/txn_work.h
tests_unit_test_txn_limits_SOURCES = tests/unit/test-txn-limits.c tests/unit/txn_fixture.h tests/unit/txn_work.h
tests_unit_test_txn_parity_SOURCES = tests/unit/test-txn-parity.c tests/unit/layered_fs.h tests/unit/txn_fixture.h tests/unit/txn_work.h
tests_unit_test_txn_reshape_SOURCES = tests/unit/test-txn-reshape.c tests/unit/txn_fixture.h tests/unit/txn_work.h
