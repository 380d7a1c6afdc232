# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/used_ranges.c %D%/used_ranges.h
