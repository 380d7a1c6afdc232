# SPDX-License-Identifier: LGPL-2.1-or-later
# bcachefs, read without any of its own tools.
library_la_SOURCES += %D%/bch_disk.h
library_la_SOURCES += %D%/bch_bset.c %D%/bch_bset.h
library_la_SOURCES += %D%/bch_devices.c
library_la_SOURCES += %D%/bch_check.c %D%/bch_check.h
library_la_SOURCES += %D%/bch_check_data.c
library_la_SOURCES += %D%/bch_check_dirs.c
library_la_SOURCES += %D%/bch_check_journal.c
library_la_SOURCES += %D%/bch_check_key.h %D%/bch_check_keys.c
library_la_SOURCES += %D%/bch_check_names.c %D%/bch_check_names.h
library_la_SOURCES += %D%/bch_check_nodes.c
library_la_SOURCES += %D%/bch_check_owners.c
library_la_SOURCES += %D%/bch_check_paths.c
library_la_SOURCES += %D%/bch_check_subvols.c
library_la_SOURCES += %D%/bch_check_supers.c
library_la_SOURCES += %D%/bch_check_sweep.c
library_la_SOURCES += %D%/bch_checksum.c %D%/bch_checksum.h
library_la_SOURCES += %D%/bch_cursor.c %D%/bch_cursor.h %D%/bch_level.c %D%/bch_level.h %D%/bch_walk.c
library_la_SOURCES += %D%/bch_crypt.c %D%/bch_crypt.h
library_la_SOURCES += %D%/bch_fs.c %D%/bch_fs.h
library_la_SOURCES += %D%/bch_jentry.c
library_la_SOURCES += %D%/bch_journal.c %D%/bch_journal.h
library_la_SOURCES += %D%/bch_journal_clean.c %D%/bch_journal_inner.h
library_la_SOURCES += %D%/bch_journal_gather.c
library_la_SOURCES += %D%/bch_key.c %D%/bch_key.h
library_la_SOURCES += %D%/bch_key_versions.c %D%/bch_key_versions.h
library_la_SOURCES += %D%/bch_node.c %D%/bch_node.h %D%/bch_node_cache.c %D%/bch_node_cache.h
library_la_SOURCES += %D%/bch_show.h %D%/bch_show_btree.c %D%/bch_show_value.c
library_la_SOURCES += %D%/bch_show_super.c
library_la_SOURCES += %D%/bch_super.c %D%/bch_super.h
library_la_SOURCES += %D%/bch_super_decode.c %D%/bch_super_decode.h
library_la_SOURCES += %D%/bch_super_names.c
# Files: extents, inodes, names, snapshots.
library_la_SOURCES += \
	%D%/bch_acl.c \
	%D%/bch_decompress.c %D%/bch_decompress.h \
	%D%/bch_extent.c %D%/bch_extent.h \
	%D%/bch_file.h %D%/bch_file_read.c %D%/bch_file_walk.c \
	%D%/bch_hash.c \
	%D%/bch_inode.c %D%/bch_inode.h \
	%D%/bch_logged_ops.c %D%/bch_logged_ops.h \
	%D%/bch_look.c %D%/bch_look.h \
	%D%/bch_names.c \
	%D%/bch_pieces.c %D%/bch_pieces.h \
	%D%/bch_siphash.c %D%/bch_siphash.h \
	%D%/bch_snapshots.c %D%/bch_snapshots_lost.c \
	%D%/bch_source.c %D%/bch_source.h \
	%D%/bch_used.c %D%/bch_used.h \
	%D%/bch_varint.h \
	%D%/bch_view.c
noinst_PROGRAMS += tests/tools/sourcetree
tests_tools_sourcetree_SOURCES = tests/tools/sourcetree.c
tests_tools_sourcetree_LDADD = library.la
noinst_PROGRAMS += tests/tools/bcachefs_grow
tests_tools_bcachefs_grow_SOURCES = tests/tools/bcachefs_grow.c tests/tools/bcachefs_bulk.c tests/tools/bcachefs_bulk.h
tests_tools_bcachefs_grow_LDADD = library.la

unit_tests += tests/unit/test-bch-crypt tests/unit/test-bch-devices tests/unit/test-bch-super
tests_unit_test_bch_crypt_SOURCES = tests/unit/test-bch-crypt.c tests/unit/hand_bch_super.h
tests_unit_test_bch_devices_SOURCES = tests/unit/test-bch-devices.c tests/unit/hand_bch_device.h tests/unit/hand_bch_super.h
tests_unit_test_bch_super_SOURCES = tests/unit/test-bch-super.c tests/unit/hand_bch_device.h tests/unit/hand_bch_super.h
EXTRA_DIST += tests/tools/bcachefs_change_super.py tests/tools/bcachefs_encrypt.py tests/tools/bcachefs_super.py
script_tests += tests/interop/bcachefs-clean.sh tests/interop/bcachefs-encrypted.sh tests/interop/bcachefs-lost-subvols.sh tests/interop/bcachefs-super.sh
EXTRA_DIST += tests/tools/bcachefs_patch_extent.py
script_tests += tests/interop/bcachefs-unknown.sh tests/interop/bcachefs-upgraded.sh
unit_tests += tests/unit/test-bch-cursor tests/unit/test-bch-node tests/unit/test-bch-versions
tests_unit_test_bch_cursor_SOURCES = tests/unit/test-bch-cursor.c tests/unit/hand_bch.h
tests_unit_test_bch_node_SOURCES = tests/unit/test-bch-node.c tests/unit/hand_bch.h
tests_unit_test_bch_versions_SOURCES = tests/unit/test-bch-versions.c tests/unit/hand_bch.h
EXTRA_DIST += tests/tools/bcachefs_tree.py
script_tests += tests/interop/bcachefs-tree.sh
script_tests += tests/interop/bcachefs-grown.sh tests/interop/bcachefs-source.sh
unit_tests += tests/unit/test-bch-extent
tests_unit_test_bch_extent_SOURCES = tests/unit/test-bch-extent.c
unit_tests += tests/unit/test-bch-inode
tests_unit_test_bch_inode_SOURCES = tests/unit/test-bch-inode.c
unit_tests += tests/unit/test-bch-names
tests_unit_test_bch_names_SOURCES = tests/unit/test-bch-names.c
EXTRA_DIST += tests/tools/bcachefs_add_key.py tests/tools/bcachefs_used.py
script_tests += tests/interop/bcachefs-unfinished.sh tests/interop/bcachefs-used.sh tests/interop/foreign-refused.sh
unit_tests += tests/unit/test-bch-file
tests_unit_test_bch_file_SOURCES = tests/unit/test-bch-file.c
unit_tests += tests/unit/test-bch-journal
tests_unit_test_bch_journal_SOURCES = tests/unit/test-bch-journal.c tests/unit/hand_bch_journal.h
unit_tests += tests/unit/test-bch-lost
tests_unit_test_bch_lost_SOURCES = tests/unit/test-bch-lost.c
