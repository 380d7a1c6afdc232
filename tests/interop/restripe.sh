#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `btrkit restripe` takes what Linux has aged from profile to profile: the same files, for both checks and for Linux.
# BTRKIT_TEST_ALL=1: every profile to every other on 1 to 6 devices (an hour); BTRKIT_TEST_KEEP=DIR keeps what fails.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/interop/reshape_steps.sh"
BTRKIT=$(realpath "$BTRKIT")
RECORDER=$(realpath "${builddir:-.}/tests/tools/recorded_btrkit")
export BTRKIT RECORDER
reshape_tap reshape_matrix.py "$([ -n "$BTRKIT_TEST_ALL" ] && echo all || echo quick)"
reshape_tap reshape_turns.py --rounds "$([ -n "$BTRKIT_TEST_ALL" ] && echo 20 || echo 2)"
done_testing
