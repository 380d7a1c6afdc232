# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += tests/check/mutate tests/check/starve
tests_check_starve_SOURCES = %D%/starve.c
tests_check_starve_LDADD = library.la
tests_check_mutate_SOURCES = %D%/mutate.c %D%/fields.c %D%/fields.h
tests_check_mutate_LDADD = library.la
script_tests += \
	%D%/aged.sh \
	%D%/bcachefs.sh \
	%D%/bcachefs-damage.sh \
	%D%/catalogue.sh \
	%D%/clean.sh \
	%D%/crashed.sh \
	%D%/crashed-devices.sh \
	%D%/devices.sh \
	%D%/fixtures.sh \
	%D%/known-damage.sh \
	%D%/memory.sh \
	%D%/mkfs-btrfs.sh \
	%D%/mutations.sh \
	%D%/paths.sh \
	%D%/replacing.sh \
	%D%/schema.sh \
	%D%/unfinished.sh \
	%D%/verdicts.sh \
	%D%/space-cache.sh \
	tests/cli/check.sh
EXTRA_DIST += \
	%D%/aging.sh \
	%D%/fixtures.tsv \
	%D%/images.sh \
	%D%/known_damage.py \
	%D%/stale_leaf.py \
	%D%/paths.py \
	%D%/power_cut.sh \
	%D%/verdicts.tsv \
	%D%/space_cache.py \
	tests/tools/bcachefs_damage.py \
	tests/tools/churn.py \
	tests/tools/jsonlines.py \
	tests/tools/problems.py \
	tests/tools/quota_ctl.py \
	tests/tools/replace_ctl.py \
	tests/tools/schema.py \
	tests/tools/edit_aged.py \
	tests/tools/treeedit.py \
	tests/tools/verdicts.py

# All mutations, and whether each row of the table of verdicts is still needed.
.PHONY: check-verdicts
check-verdicts: all tests/check/mutate$(EXEEXT)
	$(AM_V_at)VERDICTS=whole $(MAKE) $(AM_MAKEFLAGS) check-TESTS TESTS=tests/check/verdicts.sh
