#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Blocks that an ext2, ext3 or ext4 has in use, by its own bitmaps as dumpe2fs shows them.

  ext_used.py compare BEFORE AFTER [USING]
                                      do both have the same bytes in all blocks that USING (BEFORE) uses? Prints how many there are
  ext_used.py count IMAGE FROM TO     how many used blocks begin in these bytes
  ext_used.py ranges IMAGE            the used bytes, lines of offset and length
"""
import re
import subprocess
import sys


def used_blocks(image):
    text = subprocess.run(['dumpe2fs', image], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout.decode('latin1')
    block_bytes = int(re.search(r'^Block size: +(\d+)', text, re.M).group(1))
    count = int(re.search(r'^Block count: +(\d+)', text, re.M).group(1))
    cluster = re.search(r'^Cluster size: +(\d+)', text, re.M) # ranges of free clusters go from first block to first block
    ratio = int(cluster.group(1)) // block_bytes if cluster else 1
    used = bytearray(b'\1') * count
    groups = 0
    for line in re.findall(r'^  Free blocks: ?(.*)$', text, re.M):
        groups += 1
        for part in line.split(','):
            if part.strip():
                ends = part.strip().split('-')
                first, last = int(ends[0]), int(ends[-1])
                end = min(last + ratio, count)
                used[first:end] = bytes(end - first)
    assert groups, 'no groups'
    return block_bytes, used


def runs_of(used):
    at = used.find(1)
    while at >= 0:
        end = used.find(0, at)
        end = len(used) if end < 0 else end
        yield at, end
        at = used.find(1, end)


def compare(before, after, using=None):
    block_bytes, used = used_blocks(using or before)
    differing = 0
    with open(before, 'rb') as left, open(after, 'rb') as right:
        for start, end in runs_of(used):
            for at in range(start, end, 256):
                nr = min(256, end - at)
                left.seek(at * block_bytes)
                right.seek(at * block_bytes)
                a, b = left.read(nr * block_bytes), right.read(nr * block_bytes)
                assert len(a) == nr * block_bytes
                if a == b:
                    continue
                for block in range(nr):
                    if a[block * block_bytes:][:block_bytes] != b[block * block_bytes:][:block_bytes]:
                        differing += 1
                        if differing < 10:
                            print('block %d differs' % (at + block))
    print('%d blocks are used, %d differ' % (sum(used), differing))
    return 1 if differing or not sum(used) else 0


if sys.argv[1] == 'compare':
    sys.exit(compare(*sys.argv[2:]))
block_bytes, used = used_blocks(sys.argv[2])
if sys.argv[1] == 'ranges':
    for start, end in runs_of(used):
        print(start * block_bytes, (end - start) * block_bytes)
    sys.exit(0)
print(sum(used[int(sys.argv[3]) // block_bytes:int(sys.argv[4]) // block_bytes]))
