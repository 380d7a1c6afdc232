# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/job.c %D%/job.h \
	%D%/linear_space.c %D%/linear_space.h \
	%D%/tree_builder.c %D%/tree_builder.h \
	%D%/tree_shape.c %D%/tree_shape.h
