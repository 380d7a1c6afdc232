# SPDX-License-Identifier: LGPL-2.1-or-later
# All tests speak TAP, so that each case is counted: unit tests through cmocka, scripts through tests/tap.sh.
include %D%/check/local.mk
include %D%/crash/local.mk
include %D%/fuzz/local.mk
include %D%/interop/local.mk
include %D%/model/local.mk
check_PROGRAMS += $(unit_tests) $(fuzz_tests)
# The longest come first, so that no job is left with one of them in the end.
long_tests = %D%/lint/sanitizers.sh %D%/lint/builds.sh %D%/lint/install.sh
TESTS = $(unit_tests) $(long_tests) $(script_tests)
if !FUZZERS
TESTS += $(fuzz_tests)
endif
TEST_EXTENSIONS = .sh
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
SH_LOG_DRIVER = $(LOG_DRIVER)
LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/unit_tap.sh
AM_TESTS_ENVIRONMENT = \
	CMOCKA_MESSAGE_OUTPUT=TAP; export CMOCKA_MESSAGE_OUTPUT; \
	BTRKIT='$(abs_builddir)/btrkit'; export BTRKIT; \
	builddir='$(abs_builddir)'; export builddir; \
	srcdir='$(abs_srcdir)'; export srcdir; \
	CC='$(CC)'; export CC;

# Unit tests see every header of the library and link all of its objects.
unit_ldadd = library.la $(CMOCKA_LIBS)
LDADD = $(unit_ldadd)

script_tests += \
	%D%/interop/witness.sh \
	%D%/lint/headers.sh \
	%D%/lint/layers.sh \
	%D%/lint/names.sh \
	%D%/lint/options.sh \
	%D%/lint/spdx.sh
EXTRA_DIST += $(long_tests) $(script_tests) %D%/tap.sh %D%/unit_tap.sh %D%/lint/release_tree.sh %D%/lint/sources.sh \
	%D%/tools/btrfsread.py %D%/tools/manifest %D%/tools/gentree.py

# A part of the tests, for work on the code.
.PHONY: check-unit check-unit-quick check-lint
check-unit: $(unit_tests)
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(unit_tests)'
# Without those that try every operation or many filesystems.
check-unit-quick: $(unit_tests)
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) check-TESTS \
		TESTS='$(filter-out %-faults %-full %-limits %-cuts %/test-relocate %/test-degraded %/test-check-ranges,$(unit_tests))'
check-lint: all
	$(AM_V_at)$(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS='$(filter tests/lint/%,$(long_tests) $(script_tests))'
