# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/block_cache.c %D%/block_cache.h \
	%D%/block_source.h
