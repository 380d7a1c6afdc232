#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `btrkit device resize min` and `fix-size` under what Linux has aged: what is planned is what is done, and one unit less is refused.
# BTRKIT_TEST_ALL=1: more shapes; BTRKIT_TEST_KEEP=DIR keeps what fails.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/interop/reshape_steps.sh"
BTRKIT=$(realpath "$BTRKIT")
export BTRKIT
reshape_tap reshape_least.py "$([ -n "$BTRKIT_TEST_ALL" ] && echo all || echo quick)"
done_testing
