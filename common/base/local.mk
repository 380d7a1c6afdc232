# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/array.c %D%/array.h \
	%D%/checked.h \
	%D%/cleanup.h \
	%D%/diag.c %D%/diag.h \
	%D%/types.h
unit_tests += tests/unit/test-base
tests_unit_test_base_SOURCES = tests/unit/test-base.c
