# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/device_usage.c \
	%D%/relocate.h
