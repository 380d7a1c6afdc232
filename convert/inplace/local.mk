# SPDX-License-Identifier: LGPL-2.1-or-later
# Converting in place, and back.
library_la_SOURCES += \
	%D%/rollback.c %D%/rollback.h \
	%D%/rollback_image.c \
	%D%/rollback_lost.c \
	%D%/rollback_restore.c \
	%D%/rollback_saved.c \
	%D%/rollback_verify.c \
	%D%/verify.c %D%/verify.h \
	%D%/verify_contents.c \
	%D%/verify_detail.c \
	%D%/verify_facts.c %D%/verify_facts.h \
	%D%/verify_saved.c \
	%D%/verify_source.c \
	%D%/verify_tree.c

unit_tests += tests/unit/test-convert-verify
tests_unit_test_convert_verify_SOURCES = tests/unit/test-convert-verify.c tests/unit/convert_fixture.h
script_tests += tests/interop/rollback.sh tests/interop/rollback-cuts.sh
EXTRA_DIST += tests/tools/ext_used.py
check_PROGRAMS += tests/tools/rollback_cuts
tests_tools_rollback_cuts_SOURCES = tests/tools/rollback_cuts.c
tests_tools_rollback_cuts_LDADD = library.la
