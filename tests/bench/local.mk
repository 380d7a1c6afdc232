# SPDX-License-Identifier: LGPL-2.1-or-later
# Benchmarks are no tests: `make bench` runs them, with arguments in BENCH_FLAGS.
noinst_PROGRAMS += tests/bench/floor tests/bench/items tests/bench/measure tests/bench/reshape_floor
tests_bench_floor_SOURCES = %D%/floor.c
tests_bench_floor_LDADD = library.la
tests_bench_items_SOURCES = %D%/items.c %D%/items_work.h
tests_bench_items_LDADD = library.la
tests_bench_measure_SOURCES = %D%/measure.c
tests_bench_measure_LDADD =
tests_bench_reshape_floor_SOURCES = %D%/reshape_floor.c
tests_bench_reshape_floor_LDADD =
EXTRA_DIST += %D%/bcachefs.sh %D%/check.sh %D%/convert.sh %D%/items.sh %D%/items_lmdb.c %D%/log.sh %D%/mkfs.sh %D%/reshape.sh

bench: btrkit$(EXEEXT) tests/bench/floor$(EXEEXT) tests/bench/measure$(EXEEXT)
	BTRKIT='$(abs_builddir)/btrkit' builddir='$(abs_builddir)' srcdir='$(abs_srcdir)' \
		$(SHELL) $(srcdir)/tests/bench/mkfs.sh $(BENCH_FLAGS)
bench-bcachefs: btrkit$(EXEEXT) tests/bench/measure$(EXEEXT) tests/tools/bcachefs_grow$(EXEEXT)
	BTRKIT='$(abs_builddir)/btrkit' builddir='$(abs_builddir)' srcdir='$(abs_srcdir)' $(SHELL) $(srcdir)/tests/bench/bcachefs.sh $(BENCH_FLAGS)
bench-check: btrkit$(EXEEXT)
	BTRKIT='$(abs_builddir)/btrkit' builddir='$(abs_builddir)' $(SHELL) $(srcdir)/tests/bench/check.sh $(BENCH_FLAGS)
bench-convert: btrkit$(EXEEXT) tests/bench/measure$(EXEEXT)
	BTRKIT='$(abs_builddir)/btrkit' builddir='$(abs_builddir)' $(SHELL) $(srcdir)/tests/bench/convert.sh $(BENCH_FLAGS)
bench-items: tests/bench/items$(EXEEXT)
	CC='$(CC)' builddir='$(abs_builddir)' srcdir='$(abs_srcdir)' $(SHELL) $(srcdir)/tests/bench/items.sh $(BENCH_FLAGS)
bench-log: btrkit$(EXEEXT) tests/bench/measure$(EXEEXT)
	BTRKIT='$(abs_builddir)/btrkit' builddir='$(abs_builddir)' $(SHELL) $(srcdir)/tests/bench/log.sh $(BENCH_FLAGS)
bench-reshape: btrkit$(EXEEXT) tests/bench/measure$(EXEEXT) tests/bench/reshape_floor$(EXEEXT)
	BTRKIT='$(abs_builddir)/btrkit' builddir='$(abs_builddir)' $(SHELL) $(srcdir)/tests/bench/reshape.sh $(BENCH_FLAGS)
.PHONY: bench bench-bcachefs bench-check bench-convert bench-items bench-log bench-reshape
