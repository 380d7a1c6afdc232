# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/pool.c %D%/pool.h \
	%D%/progress.h

unit_tests += tests/unit/test-pool
tests_unit_test_pool_SOURCES = tests/unit/test-pool.c
