#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Devices come, and profiles change, with the power cut at every moment, by devices that fail or are full, with
# memory that is not there, and killed: what is left is sound, shows the same files, and the same command comes to its end.
# BTRKIT_TEST_ALL=1: every moment, and more of each; BTRKIT_TEST_KEEP=DIR keeps what fails.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/interop/reshape_steps.sh"
RECORDER=$(realpath "${builddir:-.}/tests/tools/recorded_btrkit")
BTRKIT=$(realpath "$BTRKIT")
export RECORDER BTRKIT
if [ -n "$BTRKIT_TEST_ALL" ]; then
	reshape_tap reshape_cuts.py --cuts 0 --seeds 6 --faults 200 --linux 20 $(python3 "$tools/reshape_cuts.py" --scratch none list | grep -vx -e remove -e remove-first -e shrink -e sprout -e replace)
else
	reshape_tap reshape_cuts.py --cuts 16 --faults 2 --linux 16 single-to-raid1 raid0-to-raid5 compact add
fi
done_testing
