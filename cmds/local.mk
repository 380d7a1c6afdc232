# SPDX-License-Identifier: LGPL-2.1-or-later
btrkit_SOURCES += %D%/main.c
