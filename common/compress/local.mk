# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/codec.c %D%/codec.h \
	%D%/lzo.c \
	%D%/lzo1x.c %D%/lzo1x.h \
	%D%/zlib.c \
	%D%/zstd.c

# The compressor of lzo is the program's, not the library's.
unit_tests += tests/unit/test-compress
tests_unit_test_compress_SOURCES = tests/unit/test-compress.c mkfs/lzo2.c mkfs/lzo2.h
tests_unit_test_compress_LDADD = $(unit_ldadd) $(LZO_LIBS)
