# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/sequence.c %D%/sequence.h \
	%D%/sorter.c %D%/sorter.h \
	%D%/spill.c %D%/spill.h

unit_tests += tests/unit/test-spill
tests_unit_test_spill_SOURCES = tests/unit/test-spill.c
