#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Blocks and item keys of all trees, one in a line and sorted, from either of two programs' output on standard input.

  dumpkeys.py dump     what `btrfs inspect-internal dump-tree` prints
  dumpkeys.py json     what `btrkit inspect tree --json` prints
  dumpkeys.py chunks   from dump-tree: "devid physical logical length type used" of each stripe of each chunk
"""
import json
import re
import sys

M64 = (1 << 64) - 1
NAMES = dict(ROOT_TREE=1, EXTENT_TREE=2, CHUNK_TREE=3, DEV_TREE=4, FS_TREE=5, ROOT_TREE_DIR=6, CSUM_TREE=7, QUOTA_TREE=8,
             UUID_TREE=9, FREE_SPACE_TREE=10, BLOCK_GROUP_TREE=11, DEV_STATS=0, BALANCE=-4 & M64, ORPHAN=-5 & M64,
             TREE_LOG=-6 & M64, TREE_LOG_FIXUP=-7 & M64, TREE_RELOC=-8 & M64, DATA_RELOC_TREE=-9 & M64,
             EXTENT_CSUM=-10 & M64, FREE_SPACE=-11 & M64, FREE_INO=-12 & M64, FIRST_CHUNK_TREE=256, DEV_ITEMS=1)
# Where dump-tree has names of its own for a type.
TYPES = dict(PERSISTENT_ITEM='PERSISTENT_ITEM', DEV_STATS='PERSISTENT_ITEM', BALANCE='TEMPORARY_ITEM', UNTYPED='TYPE.0')


def number(word):
    if word in NAMES:
        return NAMES[word]
    if '/' in word:
        level, subvol = word.split('/')
        return int(level) << 48 | int(subvol)
    return int(word, 0) & M64


def dump_lines(lines):
    for line in lines:
        block = re.match(r'(?:leaf|node) (\d+) (?:level \d+ )?items (\d+)', line)
        item = re.match(r'\s+(?:item \d+ )?key \((\S+) (\S+) (\S+)\) (?:itemoff \d+ itemsize (\d+)|block (\d+) gen (\d+))', line)
        if block:
            yield 'block %s %s' % block.groups()
        elif item:
            objectid, kind, offset, size, child, generation = item.groups()
            yield '%d %s %d %s' % (number(objectid), TYPES.get(kind, kind), number(offset),
                                   'size ' + size if size else 'to %s %s' % (child, generation))


def json_lines(lines):
    for line in lines:
        block = json.loads(line)
        yield 'block %d %d' % (block['logical'], block['nritems'])
        for row in block.get('items', []) + block.get('pointers', []):
            key = row['key']
            yield '%d %s %d %s' % (key['objectid'], key['text'].split()[1], key['offset'], 'size %d' % row['item_size']
                                   if 'item_size' in row else 'to %d %d' % (row['block'], row['generation']))


def chunk_lines(lines):
    chunks, used, now = {}, {}, None
    for line in lines:
        words = line.split()
        key = re.match(r'\s+item \d+ key \((\S+) (\S+) (\S+)\)', line)
        if key:
            now = key.groups()
        elif words[:1] == ['length'] and now[1] == 'CHUNK_ITEM':
            chunks[int(now[2])] = (int(words[1]), words[-1], [])
        elif words[:1] == ['stripe'] and words[2:3] == ['devid'] and now[1] == 'CHUNK_ITEM':
            chunks[int(now[2])][2].append((int(words[3]), int(words[5])))
        elif words[:3] == ['block', 'group', 'used']:
            used[int(now[0])] = int(words[3])
    for logical, (length, kind, stripes) in chunks.items():
        for devid, physical in stripes:
            yield '%d %d %d %d %s %d' % (devid, physical, logical, length, kind, used[logical])


def main(words):
    makers = {'dump': dump_lines, 'json': json_lines, 'chunks': chunk_lines}
    if len(words) != 1 or words[0] not in makers:
        print(__doc__, file=sys.stderr)
        return 2
    sys.stdin.reconfigure(errors='surrogateescape')
    print('\n'.join(sorted(makers[words[0]](sys.stdin))))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
