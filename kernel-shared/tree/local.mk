# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/cursor.c \
	%D%/tree.h \
	%D%/walk.c
