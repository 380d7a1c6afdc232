# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/disk.h \
	%D%/features.c %D%/features.h \
	%D%/key.h \
	%D%/leaf.c %D%/leaf.h \
	%D%/name_hash.h \
	%D%/super_check.c %D%/super_check.h
