# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/chunk_map.c %D%/chunk_map.h \
	%D%/profile.c %D%/profile.h
