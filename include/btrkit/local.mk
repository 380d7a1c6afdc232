# SPDX-License-Identifier: LGPL-2.1-or-later
btrkitincludedir = $(includedir)/btrkit
btrkitinclude_HEADERS = \
	%D%/btrkit.h \
	%D%/check.h \
	%D%/content.h \
	%D%/convert.h \
	%D%/device.h \
	%D%/edit.h \
	%D%/error.h \
	%D%/extents.h \
	%D%/file.h \
	%D%/fs.h \
	%D%/inspect.h \
	%D%/job.h \
	%D%/journal.h \
	%D%/log.h \
	%D%/missing.h \
	%D%/mkfs.h \
	%D%/restripe.h \
	%D%/source.h \
	%D%/subvol.h \
	%D%/time.h \
	%D%/version.h
