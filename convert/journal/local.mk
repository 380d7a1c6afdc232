# SPDX-License-Identifier: LGPL-2.1-or-later
# Journals of other filesystems, laid over what is on the device.
library_la_SOURCES += %D%/jbd2.h
