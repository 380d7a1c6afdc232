#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Devices come, go, shrink and sprout, and profiles change, with the power cut at every moment, by devices that fail or are full, with
# memory that is not there, and killed: what is left is sound, shows the same files, and the same command comes to its end.
# BTRKIT_TEST_ALL=1: every moment, and more of each; BTRKIT_TEST_KEEP=DIR keeps what fails.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/interop/reshape_steps.sh"
RECORDER=$(realpath "${builddir:-.}/tests/tools/recorded_btrkit")
BTRKIT=$(realpath "$BTRKIT")
export RECORDER BTRKIT
if [ -n "$BTRKIT_TEST_ALL" ]; then
	reshape_tap reshape_cuts.py --cuts 0 --seeds 6 --faults 200 --linux 20 all
else
	reshape_tap reshape_cuts.py --cuts 12 --faults 2 --linux 12 single-to-raid1 raid0-to-raid5 remove shrink add sprout
	# Where it reads rows that have old blocks between those in use.
	reshape_tap reshape_cuts.py --cuts 1 --once 56:79 replace-missing-raid5
fi
done_testing
