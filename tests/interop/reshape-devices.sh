#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `btrkit device` under what Linux has aged: devices come, go, are replaced, shrink and get lost, and the files stay.
# BTRKIT_TEST_ALL=1: with all profiles; BTRKIT_TEST_KEEP=DIR keeps what fails.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/interop/reshape_steps.sh"
BTRKIT=$(realpath "$BTRKIT")
export BTRKIT
reshape_tap reshape_devices.py "$([ -n "$BTRKIT_TEST_ALL" ] && echo all || echo quick)"
done_testing
