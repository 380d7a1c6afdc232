# SPDX-License-Identifier: LGPL-2.1-or-later
# Journals of other filesystems, laid over what is on the device.
library_la_SOURCES += \
	%D%/jbd2.c %D%/jbd2.h \
	%D%/jbd2_checksum.c %D%/jbd2_checksum.h \
	%D%/jbd2_disk.h \
	%D%/jbd2_fast_commit.c \
	%D%/jbd2_inner.h \
	%D%/jbd2_super.c \
	%D%/jbd2_walk.c \
	%D%/journal_merge.c %D%/journal_merge.h \
	%D%/journal_overlay.c %D%/journal_overlay.h \
	%D%/journal_table.c %D%/journal_table.h

unit_tests += tests/unit/test-jbd2 tests/unit/test-jbd2-damage tests/unit/test-journal-overlay tests/model/test-journal-model
tests_unit_test_jbd2_SOURCES = tests/unit/test-jbd2.c tests/unit/hand_journal.h tests/unit/hand_journal_assert.h \
	tests/unit/failing_malloc.h
tests_unit_test_jbd2_damage_SOURCES = tests/unit/test-jbd2-damage.c tests/unit/hand_journal.h tests/unit/hand_journal_assert.h
tests_model_test_journal_model_SOURCES = tests/model/test-journal-model.c tests/model/chance.h tests/unit/hand_journal.h
tests_unit_test_journal_overlay_SOURCES = tests/unit/test-journal-overlay.c tests/unit/hand_journal.h

noinst_PROGRAMS += tests/tools/extjournal
tests_tools_extjournal_SOURCES = tests/tools/extjournal.c
tests_tools_extjournal_LDADD = library.la
script_tests += tests/interop/ext-journal.sh tests/interop/ext-journal-damage.sh
EXTRA_DIST += tests/tools/journal_damage.py
