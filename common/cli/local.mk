# SPDX-License-Identifier: LGPL-2.1-or-later
# What commands have in common. Not part of the library: this prints.
noinst_LTLIBRARIES += libcli.la
libcli_la_CFLAGS = $(AM_CFLAGS) $(JSON_CFLAGS)
libcli_la_LIBADD = library.la $(JSON_LIBS)
libcli_la_SOURCES = \
	%D%/interrupt.c %D%/interrupt.h \
	%D%/json.c %D%/json.h \
	%D%/options.c %D%/options.h \
	%D%/progress_bar.c %D%/progress_bar.h \
	%D%/report.c %D%/report.h \
	%D%/size.c %D%/size.h

unit_tests += tests/unit/test-cli
tests_unit_test_cli_SOURCES = tests/unit/test-cli.c
tests_unit_test_cli_LDADD = libcli.la $(unit_ldadd)
