# SPDX-License-Identifier: LGPL-2.1-or-later
library_la_SOURCES += \
	%D%/chunk_map.c %D%/chunk_map.h \
	%D%/map.h \
	%D%/parity_row.c %D%/parity_row.h \
	%D%/placement_again.c \
	%D%/placement.c %D%/placement.h \
	%D%/profile.c %D%/profile.h \
	%D%/raid56.c %D%/raid56.h \
	%D%/volume.c %D%/volume.h

unit_tests += tests/unit/test-placement tests/unit/test-volume-chunks tests/unit/test-volume-copies tests/unit/test-volume-raid56
tests_unit_test_volume_raid56_SOURCES = tests/unit/test-volume-raid56.c tests/unit/memory_volume.h
tests_unit_test_volume_copies_SOURCES = tests/unit/test-volume-copies.c tests/unit/memory_volume.h
tests_unit_test_volume_chunks_SOURCES = tests/unit/test-volume-chunks.c
tests_unit_test_placement_SOURCES = tests/unit/test-placement.c
