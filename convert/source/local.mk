# SPDX-License-Identifier: LGPL-2.1-or-later
# Filesystems that can become Btrfs: the interface that each kind implements.
library_la_SOURCES += %D%/source.h
library_la_SOURCES += %D%/short_acl.c %D%/short_acl.h
