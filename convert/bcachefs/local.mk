# SPDX-License-Identifier: LGPL-2.1-or-later
# bcachefs, read without any of its own tools.
library_la_SOURCES += %D%/bch_disk.h
library_la_SOURCES += %D%/bch_bset.c %D%/bch_bset.h
library_la_SOURCES += %D%/bch_devices.c
library_la_SOURCES += %D%/bch_checksum.c %D%/bch_checksum.h
library_la_SOURCES += %D%/bch_cursor.c %D%/bch_cursor.h %D%/bch_level.c %D%/bch_level.h %D%/bch_walk.c
library_la_SOURCES += %D%/bch_crypt.c %D%/bch_crypt.h
library_la_SOURCES += %D%/bch_extent.h
library_la_SOURCES += %D%/bch_fs.c %D%/bch_fs.h
library_la_SOURCES += %D%/bch_inode.h
library_la_SOURCES += %D%/bch_jentry.c
library_la_SOURCES += %D%/bch_journal.c %D%/bch_journal.h
library_la_SOURCES += %D%/bch_journal_gather.c
library_la_SOURCES += %D%/bch_key.c %D%/bch_key.h
library_la_SOURCES += %D%/bch_node.c %D%/bch_node.h %D%/bch_node_cache.c %D%/bch_node_cache.h
library_la_SOURCES += %D%/bch_source.h
library_la_SOURCES += %D%/bch_super.c %D%/bch_super.h
library_la_SOURCES += %D%/bch_super_decode.c %D%/bch_super_decode.h
library_la_SOURCES += %D%/bch_super_names.c
# Files: extents, inodes, names, snapshots.
library_la_SOURCES += \
	%D%/bch_acl.c \
	%D%/bch_decompress.c %D%/bch_decompress.h \
	%D%/bch_extent.c \
	%D%/bch_hash.c \
	%D%/bch_inode.c \
	%D%/bch_names.c \
	%D%/bch_siphash.c %D%/bch_siphash.h \
	%D%/bch_varint.h
unit_tests += tests/unit/test-bch-cursor tests/unit/test-bch-node
tests_unit_test_bch_cursor_SOURCES = tests/unit/test-bch-cursor.c tests/unit/hand_bch.h
tests_unit_test_bch_node_SOURCES = tests/unit/test-bch-node.c tests/unit/hand_bch.h
