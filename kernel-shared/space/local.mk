# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/used_ranges.c %D%/used_ranges.h

unit_tests += tests/unit/test-space-used
tests_unit_test_space_used_SOURCES = tests/unit/test-space-used.c tests/unit/memory_volume.h
