# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/disk.h \
	%D%/key.h
