# SPDX-License-Identifier: LGPL-2.1-or-later
btrkit_SOURCES += \
	%D%/cat.c \
	%D%/check.c \
	%D%/convert.c %D%/convert.h \
	%D%/convert_finish.c \
	%D%/convert_rollback.c \
	%D%/convert_run.c \
	%D%/cmds.h \
	%D%/device.c %D%/device.h \
	%D%/device_add.c \
	%D%/device_fix_size.c \
	%D%/device_list.c \
	%D%/device_lost.c \
	%D%/device_print.c \
	%D%/device_remove.c \
	%D%/device_replace.c \
	%D%/device_resize.c \
	%D%/device_seed.c \
	%D%/device_sprout.c \
	%D%/file_type.h \
	%D%/edit.c %D%/edit.h \
	%D%/edit_attr.c \
	%D%/edit_files.c \
	%D%/edit_names.c \
	%D%/edit_new.c \
	%D%/edit_session.c \
	%D%/edit_subvol.c \
	%D%/fsck.c \
	%D%/inspect.c %D%/inspect.h \
	%D%/inspect_btrees.c \
	%D%/inspect_chunks.c \
	%D%/inspect_layout.c \
	%D%/inspect_map.c \
	%D%/inspect_svg.c \
	%D%/job.c %D%/job.h \
	%D%/journal.c %D%/journal.h \
	%D%/judge.c %D%/judge.h \
	%D%/log.h \
	%D%/log_clear.c \
	%D%/log_export.c \
	%D%/log_replay.c \
	%D%/log_show.c \
	%D%/ls.c \
	%D%/main.c \
	%D%/open.c %D%/open.h \
	%D%/printer.c %D%/printer.h \
	%D%/resolve.c %D%/resolve.h \
	%D%/restore.c %D%/restore.h \
	%D%/restore_data.c \
	%D%/restore_links.c \
	%D%/restore_metadata.c \
	%D%/restore_tree.c \
	%D%/restripe.c %D%/restripe.h \
	%D%/restripe_runner.c \
	%D%/restripe_state.c

# Each command is also installed under a name of its own, a link to the program. The names are those of the table in main.c.
command_names = `sed -n '/ commands\[\] = {/,/^};/s/^\t{ \.name = "\([a-z-]*\)".*/btrkit-\1/p' $(srcdir)/cmds/main.c`
# fsck(8) looks for fsck.TYPE.
if COMPAT_NAMES
compat_names = fsck.btrkit mkfs.btrfs btrfs
else
compat_names = fsck.btrkit
endif

install-exec-hook:
	@program=`echo btrkit | sed '$(transform)'`$(EXEEXT); \
	for name in $(command_names) $(compat_names); do \
		link='$(DESTDIR)$(bindir)'/$$name$(EXEEXT); \
		rm -f "$$link" && $(LN_S) $$program "$$link" || exit 1; \
	done
install-data-hook:
	@for name in $(command_names); do \
		link='$(DESTDIR)$(bashcompletiondir)'/$$name; \
		rm -f "$$link" && $(LN_S) btrkit "$$link" || exit 1; \
	done
uninstall-hook:
	@for name in $(command_names) $(compat_names); do \
		rm -f '$(DESTDIR)$(bindir)'/$$name$(EXEEXT) '$(DESTDIR)$(bashcompletiondir)'/$$name; \
	done
	@rmdir '$(DESTDIR)$(btrkitincludedir)' 2>/dev/null || :

script_tests += \
	tests/cli/device.sh \
	tests/cli/device-missing.sh \
	tests/cli/edit.sh \
	tests/cli/inspect.sh \
	tests/cli/convert.sh \
	tests/cli/convert-badinput.sh \
	tests/cli/convert-edges.sh \
	tests/cli/restore.sh \
	tests/cli/unreplayed-log.sh \
	tests/interop/device.sh \
	tests/interop/false-alarms.sh \
	tests/interop/changed-fsid.sh \
	tests/interop/reader.sh \
	tests/interop/device-degraded.sh tests/interop/device-turns.sh \
	tests/interop/seed.sh \
	tests/interop/sprout.sh \
	tests/interop/used-ranges.sh
EXTRA_DIST += tests/cli/inspect.fields tests/tools/damage tests/tools/dumpkeys.py tests/tools/genbtrfs.py tests/tools/listing.py
