# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/crc32c.c \
	%D%/csum.c %D%/csum.h

unit_tests += tests/unit/test-csum
tests_unit_test_csum_SOURCES = tests/unit/test-csum.c
