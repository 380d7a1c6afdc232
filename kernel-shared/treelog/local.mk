# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/execute.c %D%/execute.h \
	%D%/judge.c %D%/judge.h \
	%D%/log.c \
	%D%/log_clear.c \
	%D%/log_file.c \
	%D%/log_replay.c %D%/log_replay.h \
	%D%/opened.h \
	%D%/placement.c %D%/placement.h \
	%D%/plan.c %D%/plan.h \
	%D%/plan_names.c \
	%D%/plan_paths.c \
	%D%/plan_sound.c \
	%D%/replay.c %D%/replay.h \
	%D%/replay_names.c \
	%D%/replaying.h \
	%D%/treelog.c %D%/treelog.h \
	%D%/treelog_read.c

script_tests += tests/cli/log.sh tests/interop/log-fixtures.sh tests/interop/log-replay-fixtures.sh
EXTRA_DIST += tests/tools/logplan.py

unit_tests += tests/unit/test-log tests/unit/test-replay-faults tests/unit/test-replay-full
tests_unit_test_replay_faults_SOURCES = tests/unit/test-replay-faults.c tests/unit/failing_malloc.h tests/unit/hand_log.h \
	tests/unit/layered_fs.h tests/unit/txn_fixture.h
tests_unit_test_replay_faults_LDADD = $(unit_ldadd)
tests_unit_test_replay_full_SOURCES = tests/unit/test-replay-full.c tests/unit/hand_log.h tests/unit/layered_fs.h \
	tests/unit/txn_fixture.h tests/unit/txn_work.h
tests_unit_test_replay_full_LDADD = $(unit_ldadd)
tests_unit_test_log_SOURCES = tests/unit/test-log.c tests/unit/hand_log.h tests/unit/made_fs.h
tests_unit_test_log_LDADD = $(unit_ldadd)
