# SPDX-License-Identifier: LGPL-2.1-or-later
# ext2, ext3 and ext4, through libext2fs.
library_la_SOURCES += %D%/ext_source.h %D%/ext_disk.h %D%/ext_journal.h
if HAVE_EXT2FS
library_la_SOURCES += \
	%D%/ext_bits.c %D%/ext_bits.h \
	%D%/ext_claims.c %D%/ext_claims.h \
	%D%/ext_contents.c %D%/ext_contents.h \
	%D%/ext_dir.c %D%/ext_dir.h \
	%D%/ext_fs.h \
	%D%/ext_inode.c %D%/ext_inode.h \
	%D%/ext_io.c %D%/ext_io.h \
	%D%/ext_look.c %D%/ext_look.h \
	%D%/ext_journal.c \
	%D%/ext_map.c %D%/ext_map.h \
	%D%/ext_scan.c %D%/ext_scan.h \
	%D%/ext_skips.c %D%/ext_skips.h \
	%D%/ext_source.c \
	%D%/ext_super.c \
	%D%/ext_table.c %D%/ext_table.h \
	%D%/ext_tree.c %D%/ext_tree.h \
	%D%/ext_used.c \
	%D%/ext_xattr.c %D%/ext_xattr.h
else
library_la_SOURCES += %D%/ext_absent.c
endif

if HAVE_EXT2FS
noinst_PROGRAMS += tests/tools/sourcelist
tests_tools_sourcelist_SOURCES = tests/tools/sourcelist.c
tests_tools_sourcelist_LDADD = library.la
unit_tests += tests/unit/test-ext-source
tests_unit_test_ext_source_SOURCES = tests/unit/test-ext-source.c
# These convert what mke2fs has made.
unit_tests += tests/unit/test-convert-lies
tests_unit_test_convert_lies_SOURCES = tests/unit/test-convert-lies.c tests/unit/ext_image.h
unit_tests += tests/unit/test-convert-estimate
tests_unit_test_convert_estimate_SOURCES = tests/unit/test-convert-estimate.c tests/unit/ext_image.h
unit_tests += tests/unit/test-convert-faults
tests_unit_test_convert_faults_SOURCES = tests/unit/test-convert-faults.c tests/unit/ext_image.h
unit_tests += tests/unit/test-convert-unreadable
tests_unit_test_convert_unreadable_SOURCES = tests/unit/test-convert-unreadable.c tests/unit/ext_image.h
endif
EXTRA_DIST += tests/tools/kernellist.py
script_tests += tests/interop/ext-files.sh tests/interop/ext-source.sh
EXTRA_DIST += tests/interop/ext_tree.sh
