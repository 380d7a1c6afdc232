#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""From the catalogue of problems (btrkit check --list-problems --json) to its page, Documentation/problems.rst:
problems.py <catalogue >page"""
import json
import sys
import textwrap

HEAD = """.. SPDX-License-Identifier: LGPL-2.1-or-later
.. Made from check/problems.def by tests/tools/problems.py.

=================================
What ``btrkit check`` can find
=================================

Each problem has a code, which stays the same from version to version, and a severity. Errors and fatal problems make the exit
status 4; warnings do so with ``--strict``. Listed are what a problem means, and what a repair would do.
"""


def wrapped(text):
    return textwrap.fill(text, 118, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)


print(HEAD)
for line in sys.stdin:
    kind = json.loads(line)
    print(f"``{kind['code']}`` ({kind['severity']})")
    print(wrapped(kind["meaning"]))
    print()
    print(wrapped("*Repair:* " + kind["repair"]))
    print()
