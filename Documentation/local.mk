# SPDX-License-Identifier: LGPL-2.1-or-later
# The examples use what is installed: public headers and the shared library, nothing else.
noinst_PROGRAMS += Documentation/examples/make-from-memory
Documentation_examples_make_from_memory_SOURCES = Documentation/examples/make-from-memory.c
Documentation_examples_make_from_memory_LDADD = libbtrkit.la
