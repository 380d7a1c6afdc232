# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes of a log one as Linux before 5.17 wrote it.

Since then, a directory in a log has what is new in this transaction, by index, and ranges of indexes between what was there before.
Older ones logged all entries of a leaf that had changed, by name as well as by index, with ranges for either: here, all of the
directory, in one range. It means the same.
"""
import struct

import btrfsread
from btrfsread import DIR_INDEX, DIR_ITEM, HEADER, ITEM, M64

DIR_LOG_ITEM, DIR_LOG_INDEX = 60, 72
ENTRY_BYTES = btrfsread.DIR_ENTRY.size


def name_of(entry):
    length = btrfsread.DIR_ENTRY.unpack_from(entry)[5]
    return entry[ENTRY_BYTES:ENTRY_BYTES + length]


def entries_after(committed, logged, folder):
    """{index: item} of a folder as the log leaves it."""
    ranges = [(key[2], struct.unpack('<Q', item)[0]) for key, item in logged.items() if key[:2] == (folder, DIR_LOG_INDEX)]
    entries = {key[2]: item for key, item in committed.items() if key[:2] == (folder, DIR_INDEX)
               and not any(first <= key[2] <= last for first, last in ranges)}
    entries.update({key[2]: item for key, item in logged.items() if key[:2] == (folder, DIR_INDEX)})
    return entries


def made_old(committed, logged):
    """The items of a log, {key: item}."""
    items = {key: item for key, item in logged.items() if key[1] not in (DIR_LOG_INDEX, DIR_INDEX)}
    for folder in {key[0] for key in logged if key[1] == DIR_LOG_INDEX}:
        items[folder, DIR_LOG_ITEM, 0] = items[folder, DIR_LOG_INDEX, 0] = struct.pack('<Q', M64)
        for index, entry in entries_after(committed, logged, folder).items():
            items[folder, DIR_INDEX, index] = entry
            key = folder, DIR_ITEM, btrfsread.name_hash(name_of(entry))
            items[key] = items.get(key, b'') + entry
    return items


def write_leaf(reader, image, logical, items):
    block = reader.read_block(logical)
    raw, end = bytearray(block.raw), reader.node - HEADER.size
    if block.level:
        raise ValueError('a log of several leaves')
    struct.pack_into('<I', raw, HEADER.size - 5, len(items))
    for slot, (key, item) in enumerate(sorted(items.items())):
        end -= len(item)
        if end < (slot + 1) * ITEM.size:
            raise ValueError('a log that becomes too large for one leaf')
        ITEM.pack_into(raw, HEADER.size + slot * ITEM.size, *key, end, len(item))
        raw[HEADER.size + end:HEADER.size + end + len(item)] = item
    raw[:reader.csum_size] = reader.digest(bytes(raw[32:]))[:reader.csum_size]
    with open(image, 'r+b') as f:
        for _, physical in reader.chunk_of(logical).places(logical)[0]:
            f.seek(physical)
            f.write(raw)


def make_old(reader, image):
    """@reader: a LogReader of the one image."""
    roots = reader.roots()
    for key, item in reader.walk(btrfsread.TREE_LOG, reader.super.log_root, reader.super.log_root_level):
        logical, level, generation = btrfsread.root_place(item)
        logged = dict(reader.walk(btrfsread.TREE_LOG, logical, level, generation))
        committed = dict(reader.walk(key[2], *btrfsread.root_place(roots[key[2]][1])))
        write_leaf(reader, image, logical, made_old(committed, logged))
