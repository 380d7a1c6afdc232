# SPDX-License-Identifier: LGPL-2.1-or-later
# Pages are reStructuredText. Those of commands become man pages where there is rst2man; without it, none are installed.
manual_pages = \
	%D%/btrkit-cat.8 \
	%D%/btrkit-check.8 \
	%D%/btrkit-convert.8 \
	%D%/btrkit-device.8 \
	%D%/btrkit-edit.8 \
	%D%/btrkit-fsck.8 \
	%D%/btrkit-inspect.8 \
	%D%/btrkit-journal.8 \
	%D%/btrkit-log.8 \
	%D%/btrkit-ls.8 \
	%D%/btrkit-mkfs.8 \
	%D%/btrkit-restore.8 \
	%D%/btrkit-restripe.8 \
	%D%/btrkit.8
EXTRA_DIST += \
	%D%/architecture.rst \
	%D%/benchmarks.rst \
	%D%/btrkit-cat.rst \
	%D%/btrkit-check.rst \
	%D%/btrkit-convert.rst \
	%D%/btrkit-device.rst \
	%D%/btrkit-edit.rst \
	%D%/btrkit-fsck.rst \
	%D%/btrkit-inspect.rst \
	%D%/btrkit-journal.rst \
	%D%/btrkit-log.rst \
	%D%/btrkit-ls.rst \
	%D%/btrkit-mkfs.rst \
	%D%/btrkit-restore.rst \
	%D%/btrkit-restripe.rst \
	%D%/btrkit.rst \
	%D%/library.rst \
	%D%/on-disk.rst \
	%D%/problems.rst \
	%D%/rescue-bcachefs.rst

# What reads `btrkit check --json`, `btrkit journal --json` or `btrkit log show --json` finds the schemas of their lines here.
schemadir = $(pkgdatadir)
dist_schema_DATA = %D%/btrkit-check-1.schema.json %D%/btrkit-journal-1.schema.json %D%/btrkit-log-1.schema.json

SUFFIXES = .rst .8
.rst.8:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && $(RST2MAN) --syntax-highlight=none $< >$@.new && mv $@.new $@
%D%/mkfs.btrfs.8:
	$(AM_V_GEN)$(MKDIR_P) $(@D) && echo '.so man8/btrkit-mkfs.8' >$@
if HAVE_RST2MAN
man_MANS += $(manual_pages)
if COMPAT_NAMES
man_MANS += %D%/mkfs.btrfs.8
endif
endif
CLEANFILES += $(manual_pages) %D%/mkfs.btrfs.8

# The examples use what is installed: public headers and the shared library, nothing else.
noinst_PROGRAMS += \
	Documentation/examples/list-files \
	Documentation/examples/make-from-memory \
	Documentation/examples/read-file \
	Documentation/examples/used-ranges
Documentation_examples_list_files_SOURCES = Documentation/examples/list-files.c
Documentation_examples_list_files_LDADD = libbtrkit.la
Documentation_examples_make_from_memory_SOURCES = Documentation/examples/make-from-memory.c
Documentation_examples_make_from_memory_LDADD = libbtrkit.la
Documentation_examples_read_file_SOURCES = Documentation/examples/read-file.c
Documentation_examples_read_file_LDADD = libbtrkit.la
Documentation_examples_used_ranges_SOURCES = Documentation/examples/used-ranges.c
Documentation_examples_used_ranges_LDADD = libbtrkit.la
script_tests += tests/cli/examples.sh

# What pages show is what happens.
script_tests += tests/cli/readme.sh
EXTRA_DIST += tests/tools/console.py
