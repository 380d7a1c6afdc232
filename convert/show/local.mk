# SPDX-License-Identifier: LGPL-2.1-or-later
# Structures of other filesystems, as rows of named values.
library_la_SOURCES += \
	%D%/journal.c %D%/journal.h \
	%D%/journal_bch.c \
	%D%/journal_bch_verify.c \
	%D%/journal_ext.c

script_tests += tests/cli/journal.sh tests/interop/bcachefs-journal.sh
EXTRA_DIST += tests/tools/bcachefs_journal.py tests/tools/bcachefs_journal_damage.py
