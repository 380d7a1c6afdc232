# SPDX-License-Identifier: LGPL-2.1-or-later
"""Change single items, blocks and superblocks of a filesystem, with right checksums: damage whose meaning alone is wrong.

An Editor reads with btrfsread.py and writes every copy of a block. Leaves are packed anew after a change; a leaf must have
room for what is added. Trees are named by id, subvolumes too.
"""
import functools
import os
import struct

import btrfsread as b

b.checksum_of = functools.cache(b.checksum_of)  # crc32c is compiled once

SUPER_OFFSET = {}
at = 32
for name, kind in b.SUPER_FIELDS:
    SUPER_OFFSET[name] = at, kind
    at += struct.calcsize('<' + kind)
CHUNK_ARRAY_AT, BACKUPS_AT = 0x32b, 0xb2b
HEADER_FIELDS = {'fsid': (32, '16s'), 'bytenr': (48, 'Q'), 'flags': (56, 'Q'), 'chunk_uuid': (64, '16s'),
                 'generation': (80, 'Q'), 'owner': (88, 'Q'), 'nritems': (96, 'I'), 'level': (100, 'B')}


class Editor(b.Trees):
    # --- Finding ---------------------------------------------------------------------------------------

    def place(self, tree):
        """(logical, level) of a tree's root block."""
        if tree == b.ROOT_TREE:
            return self.super.root, self.super.root_level
        if tree == b.CHUNK_TREE:
            return self.super.chunk_root, self.super.chunk_root_level
        return b.root_place(self.roots()[tree][1])[:2]

    def leaves(self, tree):
        """Paths to all leaves: [(block, slot)...] from the root, then the leaf."""
        def below(logical, path):
            block = self.read_block(logical)
            if block.level == 0:
                yield path, block
                return
            for slot, (_, child, _) in enumerate(block.children()):
                yield from below(child, path + [(block, slot)])
        yield from below(self.place(tree)[0], [])

    def items(self, tree, kind=None, objectid=None):
        for _, leaf in self.leaves(tree):
            for key, data in leaf.items():
                if kind in (None, key[1]) and objectid in (None, key[0]):
                    yield key, data

    def first(self, tree, kind, objectid=None, wanted=lambda key, data: True):
        """The first (key, data) of this kind."""
        return next((key, data) for key, data in self.items(tree, kind, objectid) if wanted(key, data))

    def get(self, tree, key):
        return next(data for k, data in self.items(tree) if k == key)

    def ino(self, tree, path):
        """The inode of a path inside one subvolume."""
        ino = 256
        for part in path.split('/'):
            ino = next(location[0] for key, data in self.items(tree, b.DIR_INDEX, ino)
                       for location, _, name, _ in b.dir_entries(data) if name == os.fsencode(part))
        return ino

    def extents(self, tree, ino):
        return [(key, b.FileExtent(key[2], data)) for key, data in self.items(tree, b.EXTENT_DATA, ino)]

    # --- Blocks ------------------------------------------------------------------------------------------

    def write_raw(self, logical, raw, only=None):
        """All copies, or copy @only (from 0)."""
        for nr, (index, physical) in enumerate(self.chunk_of(logical).places(logical)[0]):
            if only in (None, nr):
                with open(self.devices[self.chunk_of(logical).stripes[index][0]].path, 'r+b') as f:
                    f.seek(physical)
                    f.write(raw)

    def write_block(self, logical, raw, only=None):
        raw = bytearray(raw)
        digest = self.digest(bytes(raw[32:]))
        raw[:32] = digest.ljust(32, b'\0')
        self.write_raw(logical, bytes(raw), only)

    def header(self, logical, only=None, **fields):
        raw = bytearray(self.read_block(logical).raw)
        for name, value in fields.items():
            at, kind = HEADER_FIELDS[name]
            struct.pack_into('<' + kind, raw, at, value)
        self.write_block(logical, raw, only)

    def pointer(self, logical, slot, key=None, child=None, generation=None):
        raw = bytearray(self.read_block(logical).raw)
        at = b.HEADER.size + slot * b.PTR.size
        objectid, kind, offset, was_child, was_generation = b.PTR.unpack_from(raw, at)
        b.PTR.pack_into(raw, at, *(key or (objectid, kind, offset)), was_child if child is None else child,
                        was_generation if generation is None else generation)
        self.write_block(logical, raw)

    def pack(self, block, items):
        """The raw leaf with these items instead."""
        raw = bytearray(self.node)
        raw[:b.HEADER.size] = block.raw[:b.HEADER.size]
        struct.pack_into('<I', raw, 96, len(items))
        end = self.node - b.HEADER.size
        for i, (key, data) in enumerate(items):
            end -= len(data)
            b.ITEM.pack_into(raw, b.HEADER.size + i * b.ITEM.size, *key, end, len(data))
            raw[b.HEADER.size + end:b.HEADER.size + end + len(data)] = data
        if end < len(items) * b.ITEM.size:
            raise b.Damaged('leaf %d has no room' % block.logical)
        return raw

    def replace_leaf(self, path, leaf, items):
        self.write_block(leaf.logical, self.pack(leaf, items))
        if items and leaf.keys()[0] != items[0][0]:
            for block, slot in reversed(path):
                self.pointer(block.logical, slot, key=items[0][0])
                if slot:
                    break

    # --- Items -------------------------------------------------------------------------------------------

    def edit(self, tree, change):
        """change(key, data) for each item: the same, another (key, data), None to drop it, or a list. Returns how many
        differ."""
        count = 0
        for path, leaf in list(self.leaves(tree)):
            old, new = list(leaf.items()), []
            for key, data in old:
                result = change(key, data)
                new += result if isinstance(result, list) else [result] if result else []
            if new != old:
                self.replace_leaf(path, leaf, new)
                count += 1
        if not count:
            raise b.Damaged('nothing in tree %d was changed' % tree)

    def drop(self, tree, *keys):
        self.edit(tree, lambda key, data: None if key in keys else (key, data))

    def set(self, tree, key, data):
        self.edit(tree, lambda k, d: (k, data if k == key else d))

    def rekey(self, tree, key, new):
        """The item must stay at its place in the order, unless that is the damage."""
        self.edit(tree, lambda k, d: (new if k == key else k, d))

    def patch(self, tree, key, at, kind, value):
        data = bytearray(self.get(tree, key))
        struct.pack_into('<' + kind, data, at, value)
        self.set(tree, key, bytes(data))

    def field(self, tree, key, at, kind):
        return struct.unpack_from('<' + kind, self.get(tree, key), at)[0]

    def add(self, tree, key, data):
        """Into the leaf where it belongs."""
        paths = list(self.leaves(tree))
        path, leaf = max((p for p in paths if p[1].count and p[1].keys()[0] <= key), key=lambda p: p[1].keys()[0],
                         default=paths[0])
        self.replace_leaf(path, leaf, sorted(list(leaf.items()) + [(key, data)], key=lambda item: item[0]))

    def move(self, tree, key, new):
        """Away from its place to where the new key belongs."""
        data = self.get(tree, key)
        self.drop(tree, key)
        self.add(tree, new, data)

    # --- Superblocks -------------------------------------------------------------------------------------

    def super_raw(self, change, only=None):
        """change(bytearray) of all superblocks, or mirror @only of each device; a wanted checksum follows."""
        for device in self.devices.values():
            with open(device.path, 'r+b') as f:
                for mirror, at, _ in device.supers:
                    if only in (None, mirror):
                        f.seek(at)
                        raw = bytearray(f.read(4096))
                        change(raw)
                        raw[:32] = self.digest(bytes(raw[32:])).ljust(32, b'\0')
                        f.seek(at)
                        f.write(raw)

    def set_super(self, only=None, **fields):
        def change(raw):
            for name, value in fields.items():
                at, kind = SUPER_OFFSET[name]
                struct.pack_into('<' + kind, raw, at, value)
        self.super_raw(change, only)

    def patch_super(self, at, kind, value, only=None):
        self.super_raw(lambda raw: struct.pack_into('<' + kind, raw, at, value), only)

    def sys_array(self, change):
        """change(bytearray of the first chunk item in the superblock's array)"""
        def edit(raw):
            item = raw[CHUNK_ARRAY_AT + 17:CHUNK_ARRAY_AT + 17 + 112]
            change(item)
            raw[CHUNK_ARRAY_AT + 17:CHUNK_ARRAY_AT + 17 + 112] = item
        self.super_raw(edit)
