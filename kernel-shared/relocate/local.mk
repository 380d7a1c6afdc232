# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/device_usage.c \
	%D%/relocate.h \
	%D%/restripe_filters.c %D%/restripe_filters.h \
	%D%/restripe_parse.c

unit_tests += tests/unit/test-restripe-filters
tests_unit_test_restripe_filters_SOURCES = tests/unit/test-restripe-filters.c
