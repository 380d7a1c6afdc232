# SPDX-License-Identifier: LGPL-2.1-or-later
# btrkit, except that what it writes is recorded, and that it can be made to fail.
check_PROGRAMS += tests/tools/recorded_btrkit
tests_tools_recorded_btrkit_SOURCES = tests/tools/recorded_io.c
tests_tools_recorded_btrkit_LDADD = $(btrkit_OBJECTS) $(btrkit_LDADD)
script_tests += %D%/device-least.sh %D%/reshape-cuts.sh %D%/reshape-devices.sh %D%/restripe.sh
EXTRA_DIST += %D%/degraded_steps.sh %D%/reshape_steps.sh \
	tests/tools/reshape_cuts.py tests/tools/reshape_devices.py tests/tools/reshape_fs.py tests/tools/reshape_least.py tests/tools/reshape_matrix.py \
	tests/tools/reshape_turns.py
