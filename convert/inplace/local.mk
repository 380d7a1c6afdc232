# SPDX-License-Identifier: LGPL-2.1-or-later
# Converting in place, and back.
library_la_SOURCES += \
	%D%/build.c \
	%D%/conversion.h \
	%D%/convert.c \
	%D%/estimate.c \
	%D%/finish.c %D%/finish.h \
	%D%/finish_compact.c \
	%D%/finish_defragment.c \
	%D%/flip.c \
	%D%/gather.c %D%/gather.h \
	%D%/options.c \
	%D%/placing.c %D%/placing.h \
	%D%/plan.c \
	%D%/rollback.c %D%/rollback.h \
	%D%/rollback_image.c \
	%D%/rollback_lost.c \
	%D%/rollback_restore.c \
	%D%/rollback_saved.c \
	%D%/rollback_verify.c \
	%D%/skip_unreadable.c \
	%D%/sources.c %D%/sources.h \
	%D%/space_layout.c \
	%D%/space_plan.c %D%/space_plan.h \
	%D%/unreadable.c \
	%D%/unreadable_device.c %D%/unreadable_device.h \
	%D%/verify.c %D%/verify.h \
	%D%/verify_contents.c \
	%D%/verify_detail.c \
	%D%/verify_facts.c %D%/verify_facts.h \
	%D%/verify_saved.c \
	%D%/verify_source.c \
	%D%/verify_tree.c

unit_tests += tests/unit/test-convert-verify tests/unit/test-gather tests/unit/test-space-plan
tests_unit_test_convert_verify_SOURCES = tests/unit/test-convert-verify.c tests/unit/convert_fixture.h
script_tests += tests/interop/rollback.sh tests/interop/rollback-cuts.sh tests/interop/convert-cuts.sh
tests_unit_test_space_plan_SOURCES = tests/unit/test-space-plan.c
tests_unit_test_gather_SOURCES = tests/unit/test-gather.c
EXTRA_DIST += tests/tools/ext_used.py
check_PROGRAMS += tests/tools/rollback_cuts
tests_tools_rollback_cuts_SOURCES = tests/tools/rollback_cuts.c
tests_tools_rollback_cuts_LDADD = library.la
if HAVE_EXT2FS
check_PROGRAMS += tests/tools/convert_cuts
tests_tools_convert_cuts_SOURCES = tests/tools/convert_cuts.c tests/tools/source_ranges.h
tests_tools_convert_cuts_LDADD = library.la
check_PROGRAMS += tests/tools/convert_faulty
tests_tools_convert_faulty_SOURCES = tests/tools/convert_faulty.c
tests_tools_convert_faulty_LDADD = library.la
endif
script_tests += tests/interop/convert.sh tests/interop/convert-journal.sh tests/interop/convert-rollback.sh \
	tests/interop/convert-space.sh tests/interop/convert-flags.sh tests/interop/convert-unreadable.sh
EXTRA_DIST += tests/interop/conversion_steps.sh tests/tools/ext_fill.py
script_tests += tests/interop/convert-finish.sh
