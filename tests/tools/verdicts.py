#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where btrkit check and btrfs check do not agree, does a table say who is right?

  verdicts.py TABLE sample|whole OBSERVED...

OBSERVED are lines with tabs between: kind of item, field, change, the verdicts of btrkit check, btrfs check and its lowmem mode
("-": not asked), code. Prints each disagreement that has no row in TABLE, and with `whole` each row that is not needed; exits
1 if there is any.
"""
import collections
import re
import sys

NAMES = {
    0: 'FREE_SPACE', 1: 'INODE_ITEM', 12: 'INODE_REF', 13: 'INODE_EXTREF', 24: 'XATTR_ITEM', 48: 'ORPHAN_ITEM', 84: 'DIR_ITEM',
    96: 'DIR_INDEX', 108: 'EXTENT_DATA', 128: 'EXTENT_CSUM', 132: 'ROOT_ITEM', 144: 'ROOT_BACKREF', 156: 'ROOT_REF',
    168: 'EXTENT_ITEM', 169: 'METADATA_ITEM', 176: 'TREE_BLOCK_REF', 178: 'EXTENT_DATA_REF', 182: 'SHARED_BLOCK_REF',
    184: 'SHARED_DATA_REF', 192: 'BLOCK_GROUP_ITEM', 198: 'FREE_SPACE_INFO', 199: 'FREE_SPACE_EXTENT',
    200: 'FREE_SPACE_BITMAP', 204: 'DEV_EXTENT', 216: 'DEV_ITEM', 228: 'CHUNK_ITEM', 240: 'QGROUP_STATUS', 242: 'QGROUP_INFO',
    244: 'QGROUP_LIMIT', 246: 'QGROUP_RELATION', 248: 'TEMPORARY_ITEM', 249: 'PERSISTENT_ITEM', 251: 'UUID_SUBVOL',
    252: 'UUID_RECEIVED',
}


def item_name(kind):
    """Subvolumes' items are of the same kind in all; those of the root tree are not: free space caches, its directory."""
    match = re.match(r'tree (-?\d+) (.*)', kind)
    if not match:
        return kind
    tree, rest = int(match[1]), match[2]
    rest = re.sub(r'type (\d+)', lambda number: NAMES.get(int(number[1]), number[0]), rest)
    return 'root tree ' + rest if tree == 1 and 'ROOT_' not in rest and rest not in ('leaf', 'node') else rest


def read_table(path):
    rows = {}
    with open(path, encoding='utf-8') as f:
        for line in f:
            if line.strip() and not line.startswith('#'):
                item, field, ours, default, lowmem, right, why = line.rstrip('\n').split('\t')
                if not why or right not in ('btrkit', 'btrfs', 'both') or (item, field, ours, default) in rows:
                    sys.exit('%s: odd row: %s %s' % (path, item, field))
                rows[item, field, ours, default] = set(lowmem.split('/'))
    return rows


def observe(paths):
    """{(item, field, ours, default): {lowmem: number}} of what is not agreed on"""
    found = collections.defaultdict(collections.Counter)
    total = 0
    for path in paths:
        with open(path, encoding='utf-8') as f:
            for line in f:
                kind, field, _, ours, default, lowmem, _ = line.rstrip('\n').split('\t')
                total += 1
                if ours != default or lowmem not in ('-', ours):
                    found[item_name(kind), field, ours, default][lowmem] += 1
    return found, total


def main(table, how, *paths):
    rows = read_table(table)
    found, total = observe(paths)
    missing = [(*key, lowmem) for key, modes in found.items() for lowmem in modes
               if key not in rows or lowmem != '-' and lowmem not in rows[key] - {'-'}]
    for entry in sorted(missing):
        print('no row: %s' % '\t'.join(entry))
    idle = []
    if how == 'whole':
        idle = [(*key, mode) for key, modes in rows.items() for mode in modes
                if key not in found or mode not in found[key] and mode != '-']
        for entry in sorted(idle):
            print('not needed: %s' % '\t'.join(entry))
    count = sum(sum(modes.values()) for modes in found.values())
    print('# %d verdicts, %d disagreements of %d kinds' % (total, count, len(found)))
    return bool(missing or idle)


if __name__ == '__main__':
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
