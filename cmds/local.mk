# SPDX-License-Identifier: LGPL-2.1-or-later
btrkit_SOURCES += \
	%D%/cmds.h \
	%D%/main.c
