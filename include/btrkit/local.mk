# SPDX-License-Identifier: LGPL-2.1-or-later
btrkitincludedir = $(includedir)/btrkit
btrkitinclude_HEADERS = \
	%D%/content.h \
	%D%/error.h \
	%D%/job.h \
	%D%/mkfs.h
