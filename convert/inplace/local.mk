# SPDX-License-Identifier: LGPL-2.1-or-later
# Converting in place, and back.
library_la_SOURCES += \
	%D%/rollback.c %D%/rollback.h \
	%D%/rollback_image.c \
	%D%/rollback_lost.c \
	%D%/rollback_restore.c \
	%D%/rollback_saved.c \
	%D%/rollback_verify.c

script_tests += tests/interop/rollback.sh
EXTRA_DIST += tests/tools/ext_used.py
