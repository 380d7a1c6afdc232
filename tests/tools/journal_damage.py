#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A crashed ext4 whose journal is damaged, block by block: what Linux makes of it, and what we do.

  journal_damage.py EXTJOURNAL IMAGE DIR    DIR: for copies and a mount, in a folder whose loop devices the caller lets go

Each block of the log with a header has a bit flipped, and is lost; contents, some of them, have a bit flipped. Linux and we must both
refuse, or both replay to the same blocks. One thing only may differ: we refuse where blocks are lost, and Linux takes that for the end
of the log. The last line counts: "refused N, replayed N, refused by us N".
"""
import os
import random
import struct
import subprocess
import sys

MAGIC = 0xc03b3998
COMMIT = 2
EXTJOURNAL, IMAGE, DIR = sys.argv[1:]
OURS, LINUX, MOUNT = (os.path.join(DIR, name) for name in ('ours', 'linux', 'mount'))


def succeeds(*command):
    return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def output(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout


def linux_replays():
    loop = output('losetup', '-f', '--show', LINUX).strip()
    try:
        is_mounted = succeeds('mount', '-t', 'ext4', '-o', 'ro', loop, MOUNT)
        if is_mounted:
            subprocess.run(['umount', MOUNT], check=True)
        return is_mounted
    finally:
        subprocess.run(['losetup', '-d', loop], check=True)


def damages(image, block_bytes):
    """(what, place, bytes) of each damage."""
    places = [int(word) * block_bytes for word in output('debugfs', '-R', 'blocks <8>', IMAGE).split()]
    types = {}
    for number, place in enumerate(places[1:], 1):
        magic, kind = struct.unpack_from('>II', image, place)
        if magic == MAGIC:
            types[number] = kind
    last = max(types)
    for number, kind in sorted(types.items()):
        # Of a commit block, the time: what lies behind its fields does not matter.
        at = places[number] + (50 if kind == COMMIT else 500)
        yield f'block {number}, type {kind}: a bit', at, bytes([image[at] ^ 1])
        yield f'block {number}, type {kind}: lost', places[number], bytes(block_bytes)
    contents = [number for number in range(1, last) if number not in types]
    for number in random.Random(1).sample(contents, min(8, len(contents))):
        at = places[number] + 500
        yield f'block {number}, contents: a bit', at, bytes([image[at] ^ 1])


def main():
    with open(IMAGE, 'rb') as file:
        image = file.read()
    block_bytes = 1024 << struct.unpack_from('<I', image, 1024 + 24)[0]
    os.makedirs(MOUNT, exist_ok=True)
    counts = {'refused': 0, 'replayed': 0, 'refused by us': 0}
    failed = False
    for what, at, damage in damages(image, block_bytes):
        for path in OURS, LINUX:
            subprocess.run(['cp', '--sparse=always', IMAGE, path], check=True)
            with open(path, 'r+b') as file:
                file.seek(at)
                file.write(damage)
        ours, linux = succeeds(EXTJOURNAL, 'apply', OURS), linux_replays()
        if ours and linux:
            counts['replayed'] += 1
            is_good = succeeds(EXTJOURNAL, 'compare', LINUX, OURS)
        elif linux:
            counts['refused by us'] += 1
            is_good = what.endswith('lost')
        else:
            counts['refused'] += 1
            is_good = not ours
        if not is_good:
            print(f'{what}: we replay: {ours}, Linux: {linux}')
            failed = True
    print(', '.join(f'{name} {count}' for name, count in counts.items()))
    return failed


sys.exit(main())
