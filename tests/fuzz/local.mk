# SPDX-License-Identifier: LGPL-2.1-or-later
# Fuzz targets: with --enable-fuzzers for libFuzzer to drive, else tests that run a fixed number of mutations.
fuzz_tests += \
	tests/fuzz/fuzz-bcachefs \
	tests/fuzz/fuzz-block \
	tests/fuzz/fuzz-check \
	tests/fuzz/fuzz-chunk-array \
	tests/fuzz/fuzz-codec \
	tests/fuzz/fuzz-content \
	tests/fuzz/fuzz-edit \
	tests/fuzz/fuzz-journal \
	tests/fuzz/fuzz-log \
	tests/fuzz/fuzz-reader \
	tests/fuzz/fuzz-replay \
	tests/fuzz/fuzz-super \
	tests/fuzz/fuzz-view

check_LTLIBRARIES += libfuzz.la
libfuzz_la_CFLAGS = $(AM_CFLAGS)
libfuzz_la_LIBADD = library.la $(LZO_LIBS)
libfuzz_la_SOURCES = \
	%D%/bcachefs_images.c %D%/bcachefs_images.h \
	%D%/damage.c %D%/damage.h \
	%D%/fuzz.h \
	%D%/image_content.c %D%/image_content.h \
	%D%/image_log.c tests/unit/hand_log.h \
	%D%/images.c %D%/images.h \
	%D%/inspect_everything.c %D%/inspect_everything.h \
	%D%/mutate.c %D%/mutate.h \
	%D%/read_everything.c %D%/read_everything.h \
	%D%/replay_judge.c %D%/replay_judge.h \
	%D%/sink_printer.c %D%/sink_printer.h \
	mkfs/lzo2.c mkfs/lzo2.h

if HAVE_EXT2FS
fuzz_tests += tests/fuzz/fuzz-ext
endif

EXTRA_DIST += %D%/driver.c %D%/libfuzzer.c
if FUZZERS
fuzz_main = %D%/libfuzzer.c
fuzz_ldadd = libfuzz.la $(FUZZER_LIBS)
else
fuzz_main = %D%/driver.c
fuzz_ldadd = libfuzz.la
endif

tests_fuzz_fuzz_bcachefs_SOURCES = %D%/fuzz-bcachefs.c $(fuzz_main)
tests_fuzz_fuzz_bcachefs_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_check_SOURCES = %D%/fuzz-check.c $(fuzz_main)
tests_fuzz_fuzz_check_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_block_SOURCES = %D%/fuzz-block.c $(fuzz_main)
tests_fuzz_fuzz_block_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_chunk_array_SOURCES = %D%/fuzz-chunk-array.c $(fuzz_main)
tests_fuzz_fuzz_chunk_array_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_codec_SOURCES = %D%/fuzz-codec.c $(fuzz_main)
tests_fuzz_fuzz_codec_LDADD = $(fuzz_ldadd) $(LZO_LIBS)
tests_fuzz_fuzz_content_SOURCES = %D%/fuzz-content.c %D%/content_compare.c %D%/content_model.c %D%/content_model.h $(fuzz_main)
tests_fuzz_fuzz_content_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_edit_SOURCES = %D%/fuzz-edit.c $(fuzz_main)
tests_fuzz_fuzz_edit_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_journal_SOURCES = %D%/fuzz-journal.c tests/unit/hand_journal.h $(fuzz_main)
tests_fuzz_fuzz_journal_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_log_SOURCES = %D%/fuzz-log.c $(fuzz_main)
tests_fuzz_fuzz_log_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_reader_SOURCES = %D%/fuzz-reader.c $(fuzz_main)
tests_fuzz_fuzz_reader_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_replay_SOURCES = %D%/fuzz-replay.c $(fuzz_main)
tests_fuzz_fuzz_replay_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_super_SOURCES = %D%/fuzz-super.c $(fuzz_main)
tests_fuzz_fuzz_super_LDADD = $(fuzz_ldadd)
tests_fuzz_fuzz_view_SOURCES = %D%/fuzz-view.c $(fuzz_main)
tests_fuzz_fuzz_view_LDADD = $(fuzz_ldadd)
if HAVE_EXT2FS
tests_fuzz_fuzz_ext_SOURCES = %D%/fuzz-ext.c $(fuzz_main)
tests_fuzz_fuzz_ext_LDADD = $(fuzz_ldadd)
endif
