#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bcachefs_patch_extent.py BTRKIT IMAGE POSITION WORD: replace the pointer of the extent at POSITION, as `inspect tree` writes it, by WORD.

For images whose metadata has no checksums. All places that hold the pointer are changed: nodes of btrees, and the journal.
"""
import json
import struct
import subprocess
import sys


def pointer_of(btrkit, path, position):
    shown = subprocess.run([btrkit, 'inspect', 'tree', '--tree', 'extents', '--json', path], capture_output=True, text=True, check=True)
    for line in shown.stdout.splitlines():
        key = json.loads(line)
        if key.get('pos') == position:
            entry = key['entries'][-1]
            return struct.pack('<Q', 1 | entry['sector'] << 4 | entry['device'] << 48 | entry['gen'] << 56)
    return sys.exit('there is no extent at %s' % position)


def main():
    btrkit, path, position, word = sys.argv[1:]
    pointer = pointer_of(btrkit, path, position)
    with open(path, 'r+b') as file:
        data = file.read()
        at = data.find(pointer)
        if at < 0:
            sys.exit('the pointer is nowhere')
        while at >= 0:
            file.seek(at)
            file.write(struct.pack('<Q', int(word, 0)))
            at = data.find(pointer, at + 8)


main()
