# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/codec.c %D%/codec.h \
	%D%/lzo.c \
	%D%/lzo1x.c %D%/lzo1x.h \
	%D%/zlib.c \
	%D%/zstd.c
