#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Ranges in use of a bcachefs volume beside what its own tools listed.

    bcachefs_used.py USED LIST JOURNAL IMAGE...         each pointer of LIST, the newest of each node in JOURNAL, and superblocks and
                                                        buckets of the journal as the images have them, lie in USED
    bcachefs_used.py --fill USED IMAGE...               all else is filled with garbage

USED has lines "DEVICE BEGIN LENGTH". Prints what is not in it, and last how many places were looked for.
"""
import bisect
import os
import re
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bcachefs_encrypt import Image  # noqa: E402

PTR = re.compile(r"ptr: (?:\S+ )?(\d+):(\d+)(?::(\d+))?(?: gen|\b)")
CRC = re.compile(r"crc(?:32|64|128)?: c_size (\d+) ")
WITH_PLACE = re.compile(r"type (?:btree_ptr|extent|reflink_v)|level=[1-9]| l [1-9]")
KEY = re.compile(r"\s*(?:(\w+): )?(?:btree[= ](\S+) l(?:evel)?[= ](\d+):? )?u64s \d+ type (\w+) (\S+?)(?: snap (\d+))? len (\d+)")


def read_used(path):
    used = {}
    with open(path) as file:
        for line in file:
            device, begin, length = map(int, line.split())
            used.setdefault(device, []).append((begin, begin + length))
    for device, ranges in used.items():
        for (_, end), (begin, _) in zip(ranges, ranges[1:]):
            assert end < begin, 'device %d: %d and %d are not apart' % (device, end, begin)
    return used


def is_used(used, device, begin, length):
    ranges = used.get(device, [])
    i = bisect.bisect_right(ranges, (begin, 1 << 63)) - 1
    return i >= 0 and ranges[i][0] <= begin and begin + length <= ranges[i][1]


def keys_of(path):
    """(kind of entry, btree, level, type, position, sectors, pointers) of each key with pointers, (device, sector or bucket, offset, csize)."""
    key = None
    with open(path, errors='replace') as file:
        for line in file:
            # Of tens of thousands of lines few say where something lies.
            if 'u64s ' in line:
                if key:
                    yield key
                key = None
                if not WITH_PLACE.search(line):
                    continue
                match = KEY.match(line)
                if not match:
                    continue
                kind, btree, level, what, position, snapshot, size = match.groups()
                key, csize = (kind, btree, int(level or 0), what, (position, snapshot), int(size), []), None
            if key and 'c_size' in line:
                csize = int(CRC.search(line)[1])
            if key and 'ptr:' in line and 'cached' not in line:
                for pointer in PTR.finditer(line):
                    key[6].append((int(pointer[1]), int(pointer[2]), pointer[3] and int(pointer[3]), csize))
    if key:
        yield key


def newest_nodes(path):
    """The last pointers of each node that the journal has, by btree and level; of roots by btree."""
    nodes = {}
    for kind, btree, level, what, position, _, pointers in keys_of(path):
        if btree is None or kind in ('overwrite', 'log_bkey'):
            continue
        if what.startswith('btree_ptr'):
            nodes[(btree, 'root' if kind == 'btree_root' else level, None if kind == 'btree_root' else position)] = pointers
        elif level:
            nodes.pop((btree, level, position), None)
    return nodes


def check(used_path, list_path, journal_path, paths):
    used = read_used(used_path)
    images = [Image(path) for path in paths]
    nr = {'extents': 0, 'nodes': 0, 'supers': 0, 'buckets': 0}

    def expect(what, device, begin, length):
        nr[what] += 1
        if not is_used(used, device, begin, length):
            print('%s: device %d, %d bytes at %d are not told' % (what, device, length, begin))

    sizes = []
    for device, image in enumerate(images):
        buckets = image.buckets()
        sizes.append(buckets[0][1] - buckets[0][0])
        for begin, end in buckets:
            expect('buckets', device, begin, end - begin)
        slot = 512 << image.super[240 + 17]
        for i in range(image.super[240 + 18]):
            expect('supers', device, struct.unpack_from('<Q', image.super, 240 + 24 + 8 * i)[0] * 512, slot)
        expect('supers', device, 7 * 512, 512)

    def begin_of(pointer):
        device, place, offset, _ = pointer
        return place * 512 if offset is None else place * sizes[device] + offset * 512

    for _, _, _, what, _, size, pointers in keys_of(list_path):
        if what in ('extent', 'reflink_v'):
            for pointer in pointers:
                expect('extents', pointer[0], begin_of(pointer), 512 * (pointer[3] or size))
    for pointers in newest_nodes(journal_path).values():
        for pointer in pointers:
            expect('nodes', pointer[0], begin_of(pointer), images[0].node)
    print(', '.join('%d %s' % (number, what) for what, number in nr.items()))


def fill(used_path, paths):
    used = read_used(used_path)
    for device, path in enumerate(paths):
        with open(path, 'r+b') as file:
            at = 0
            for begin, end in used[device] + [(file.seek(0, 2),) * 2]:
                file.seek(at)
                file.write(b'\xa5Z' * ((begin - at) // 2))
                at = end


if sys.argv[1] == '--fill':
    fill(sys.argv[2], sys.argv[3:])
else:
    check(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:])
