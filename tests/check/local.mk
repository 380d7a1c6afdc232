# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += tests/check/mutate tests/check/starve
tests_check_starve_SOURCES = %D%/starve.c
tests_check_starve_LDADD = library.la
tests_check_mutate_SOURCES = %D%/mutate.c %D%/fields.c %D%/fields.h
tests_check_mutate_LDADD = library.la
script_tests += \
	%D%/catalogue.sh \
	%D%/clean.sh \
	%D%/crashed.sh \
	%D%/devices.sh \
	%D%/fixtures.sh \
	%D%/known-damage.sh \
	%D%/memory.sh \
	%D%/mutations.sh \
	%D%/paths.sh \
	%D%/schema.sh \
	tests/cli/check.sh
EXTRA_DIST += \
	%D%/fixtures.tsv \
	%D%/known_damage.py \
	%D%/paths.py \
	tests/tools/churn.py \
	tests/tools/jsonlines.py \
	tests/tools/problems.py \
	tests/tools/quota_ctl.py \
	tests/tools/schema.py \
	tests/tools/treeedit.py
