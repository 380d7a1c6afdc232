#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Does btrkit check name the files that a damage reaches, in all subvolumes and snapshots?

  paths.py BTRKIT IMAGE SCRATCH

damages copies of a sound IMAGE (paths.sh makes it), one thing at a time, and compares the paths that are printed with those
that a walk over all of its trees finds. Speaks TAP without the plan; the last line is how many tests there were.
"""
import collections
import json
import os
import shutil
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'tools'))
import btrfsread as b

FIRST_PATHS = 10


class Oracle(b.Trees):
    """Every item of every subvolume, with the blocks above it."""

    def __init__(self, path):
        super().__init__([path])
        self.path = path
        self.trees = {}
        self.backrefs = {}
        for key, item in self.walk(b.ROOT_TREE, self.super.root, self.super.root_level):
            if key[1] == b.ROOT_ITEM and (key[0] == b.FS_TREE or b.FIRST_FREE <= key[0] <= b.LAST_FREE):
                self.trees[key[0]] = self.items_of(key[0], item)
            elif key[1] == b.ROOT_BACKREF:
                dirid, _, size = struct.unpack_from('<QQH', item)
                self.backrefs[key[0]] = key[2], dirid, item[18:18 + size]
        self.index()

    def items_of(self, tree, root_item):
        """[(key, item, blocks from the root to the leaf)]"""
        above, found, leaf = {}, [], []

        def visit(block, parent, _):
            above[block.logical] = above[parent.logical] + [block] if parent else [block]
            leaf[:] = [block.logical]

        for key, item in self.walk(tree, *b.root_place(root_item), visit):
            found.append((key, item, above[leaf[0]]))
        return found

    def index(self):
        """Per subvolume: items by inode, parents and names of inodes, entries of directories, inodes by block."""
        self.of_inode, self.refs, self.entries, self.blocks = {}, {}, {}, {}
        for tree, items in self.trees.items():
            of_inode, refs = collections.defaultdict(list), {}
            entries, blocks = collections.defaultdict(list), collections.defaultdict(set)
            for key, item, above in items:
                if not b.FIRST_FREE <= key[0] <= b.LAST_FREE:
                    continue
                of_inode[key[0]].append((key, item, above))
                for block in above:
                    blocks[block.logical].add(key[0])
                if key[1] == b.INODE_REF and key[0] not in refs:
                    refs[key[0]] = next((parent, name, above) for parent, _, name in b.inode_refs(key, item))
                elif key[1] in (b.DIR_ITEM, b.DIR_INDEX):
                    for location, _, name, _ in b.dir_entries(item):
                        if location[1] == b.INODE_ITEM:
                            entries[location[0]].append((key[0], name, above))
            self.of_inode[tree], self.refs[tree], self.entries[tree], self.blocks[tree] = of_inode, refs, entries, blocks

    def path_of(self, tree, ino, without=None):
        """None: some name on the way is in, or below, the block @without."""
        names = []
        while (tree, ino) != (b.FS_TREE, b.FIRST_FREE):
            if ino == b.FIRST_FREE:
                tree, ino, name = self.backrefs[tree]
            else:
                ino, name, above = self.refs[tree][ino]
                if without in [block.logical for block in above]:
                    return None
            names.append(os.fsdecode(name))
        return '/' + '/'.join(reversed(names))

    def paths(self, is_hit):
        """Of all inodes that have an item for which is_hit(key, item)."""
        return {self.path_of(tree, ino) for tree, inodes in self.of_inode.items() for ino, items in inodes.items()
                if any(is_hit(key, item) for key, item, _ in items)}

    def find(self, tree, name):
        """Inode of a name in the top directory of a subvolume."""
        return next(ino for ino, found in self.entries[tree].items() for parent, entry, _ in found
                    if parent == b.FIRST_FREE and os.fsdecode(entry) == name)

    def item(self, tree, ino, kind):
        return next(found for found in self.of_inode[tree][ino] if found[0][1] == kind)

    def flags(self, tree, ino):
        return b.INODE.unpack_from(self.item(tree, ino, b.INODE_ITEM)[1])[10]

    # --- What damage reaches ----------------------------------------------------------------------------------------

    def in_block(self, logical):
        return {self.path_of(tree, ino) for tree, blocks in self.blocks.items() for ino in blocks.get(logical, ())}

    def behind_block(self, logical):
        """Those of them whose names are elsewhere, or that are the top of a subvolume."""
        found = set()
        for tree, blocks in self.blocks.items():
            for ino in blocks.get(logical, ()):
                if ino == b.FIRST_FREE:
                    found.add(self.path_of(tree, ino))
                for parent, name, above in self.entries[tree][ino]:
                    folder = self.path_of(tree, parent, logical)
                    if folder is not None and logical not in [block.logical for block in above]:
                        found.add(folder.rstrip('/') + '/' + os.fsdecode(name))
                        break
        return found

    def in_data(self, start, end):
        def is_hit(key, item):
            extent = b.FileExtent(key[2], item) if key[1] == b.EXTENT_DATA else None
            return extent and extent.type == 1 and extent.logical + extent.skip < end and \
                extent.logical + extent.skip + extent.bytes > start
        return self.paths(is_hit)

    def in_extent(self, logical):
        return self.paths(lambda key, item: key[1] == b.EXTENT_DATA and b.FileExtent(key[2], item).logical == logical)

    def same_inode(self, tree, ino):
        """Where all leaves of the inode are the same."""
        leaves = {t: [above[-1].logical for _, _, above in inodes.get(ino, ())] for t, inodes in self.of_inode.items()}
        return {self.path_of(t, ino) for t in leaves if leaves[t] == leaves[tree]}


class Damage:
    """A copy of the image, to be changed."""

    def __init__(self, oracle, scratch):
        self.volume = oracle
        self.path = os.path.join(scratch, 'damaged')
        subprocess.run(['cp', '--sparse=always', oracle.path, self.path], check=True)

    def write(self, logical, raw, copies=None):
        for index, at in self.volume.chunk_of(logical).places(logical)[0]:
            if copies is None or index in copies:
                with open(self.path, 'r+b') as f:
                    f.seek(at)
                    f.write(raw)

    def spoil(self, logical, copies=None):
        raw = bytearray(self.volume.read_block(logical).raw)
        raw[200] ^= 0xff
        self.write(logical, raw, copies)

    def write_block(self, block, raw):
        raw[:self.volume.csum_size] = self.volume.digest(bytes(raw[32:]))
        self.write(block.logical, raw)

    def slot(self, block, key):
        return block.keys().index(key)

    def change(self, block, key, at, value):
        """Bytes of an item become @value."""
        raw = bytearray(block.raw)
        _, _, _, start, _ = b.ITEM.unpack_from(raw, b.HEADER.size + self.slot(block, key) * b.ITEM.size)
        start += b.HEADER.size + at
        raw[start:start + len(value)] = value
        self.write_block(block, raw)

    def drop(self, block, key):
        """Take an item out of its leaf."""
        kept = [(k, item) for k, item in block.items() if k != key]
        raw = bytearray(len(block.raw))
        raw[:b.HEADER.size] = block.raw[:b.HEADER.size]
        struct.pack_into('<I', raw, b.HEADER.size - 5, len(kept))
        end = len(raw) - b.HEADER.size
        for i, (k, item) in enumerate(kept):
            end -= len(item)
            b.ITEM.pack_into(raw, b.HEADER.size + i * b.ITEM.size, *k, end, len(item))
            raw[b.HEADER.size + end:b.HEADER.size + end + len(item)] = item
        self.write_block(block, raw)


class Tap:
    def __init__(self, btrkit, oracle, scratch):
        self.btrkit, self.oracle, self.scratch, self.count = btrkit, oracle, scratch, 0

    def problems(self, path):
        result = subprocess.run([self.btrkit, 'check', '--json', '--data', '--no-scan', path], capture_output=True)
        return [entry for entry in map(json.loads, result.stdout.splitlines()) if entry['type'] == 'problem']

    def ok(self, name, is_good, *remarks):
        self.count += 1
        print('%sok %d - %s' % ('' if is_good else 'not ', self.count, name))
        for remark in [] if is_good else remarks:
            print('# %s' % str(remark)[:3000])

    def case(self, name, damage, code, *wanted):
        """The problems of @code that are found, and only these, reach these sets of paths."""
        found = [p for p in self.problems(damage.path) if p['code'] == code]
        wanted = sorted(wanted, key=sorted)
        is_good = len(found) == len(wanted) and all(wanted)
        left = list(wanted)
        for problem in found:
            match = [paths for paths in left if problem['total_paths'] == len(paths) and set(problem['paths']) <= paths and
                     len(problem['paths']) == min(len(paths), FIRST_PATHS)]
            is_good = is_good and bool(match)
            if match:
                left.remove(match[0])
        self.ok('%s: %s' % (name, code), is_good, 'wanted %s' % [(len(w), sorted(w)[:12]) for w in wanted],
                *(('found %d %s %s' % (p['total_paths'], p['paths'], p['text'])) for p in found[:40]))


def extents_of(oracle, tree, ino):
    return [b.FileExtent(key[2], item) for key, item, _ in oracle.of_inode[tree].get(ino, ()) if key[1] == b.EXTENT_DATA]


def block_with(oracle, tree, wanted):
    """The leaf of another tree that has the item with a key for which @wanted(key), and that key."""
    key, item = oracle.roots()[tree]
    leaf = []
    for key, item in oracle.walk(tree, *b.root_place(item), lambda block, parent, of: leaf.append(block)):
        if wanted(key):
            return leaf[-1], key
    raise KeyError('no such item in tree %d' % tree)


def data_cases(tap, oracle, make, s):
    noise, half = oracle.find(s, 'noise'), oracle.find(s, 'half')
    extent = extents_of(oracle, s, noise)[0]
    for name, at, start in (('data of clones', extent, extent.logical + 8192),
                            ('data that a clone no longer has', extents_of(oracle, s, half)[0],
                             extents_of(oracle, s, half)[0].logical + 4096)):
        damage = make()
        damage.write(start, b'damage')
        tap.case(name, damage, 'data-lost', oracle.in_data(start, start + 4096))

    leaf, key = block_with(oracle, b.EXTENT_TREE, lambda key: key[:2] == (extent.logical, b.EXTENT_ITEM))
    damage = make()
    damage.change(leaf, key, 0, struct.pack('<Q', 77))
    tap.case('count of an extent item', damage, 'extent-count-wrong', oracle.in_extent(extent.logical))
    damage = make()
    damage.drop(leaf, key)
    tap.case('no extent item', damage, 'extent-missing', oracle.in_extent(extent.logical))
    damage = make()
    damage.change(leaf, key, 16, struct.pack('<Q', 1 << 40 | 1))
    tap.case('flags of an extent item', damage, 'extent-flags-unknown', oracle.in_extent(extent.logical))

    leaves = all_leaves(oracle, b.CSUM_TREE)
    tap.ok('checksums are in several leaves (%d)' % len(leaves), len(leaves) > 2)
    for i, name in ((0, 'the first leaf'), (1, 'a leaf')):
        damage = make()
        damage.spoil(leaves[i][0].logical)
        tap.case('%s of checksums' % name, damage, 'csums-behind-block', oracle.in_data(leaves[i][1][2], leaves[i + 1][1][2]) -
                 {oracle.path_of(tree, ino) for tree, inodes in oracle.of_inode.items() for ino in inodes
                  if oracle.flags(tree, ino) & 1})


def all_leaves(oracle, tree):
    """[(leaf, its first key)]"""
    _, item = oracle.roots()[tree]
    blocks = []
    for _ in oracle.walk(tree, *b.root_place(item), lambda block, parent, of: blocks.append(block)):
        pass
    return [(block, block.keys()[0]) for block in blocks if block.level == 0]


def inode_cases(tap, oracle, make, s):
    noise, early = oracle.find(s, 'noise'), oracle.find(s, 'early')
    old = min(tree for tree in oracle.trees if tree > s)
    for name, tree, ino in (('an inode', s, noise), ('an inode that changed later, as it is', s, early),
                            ('as it was', old, early)):
        key, _, above = oracle.item(tree, ino, b.INODE_ITEM)
        damage = make()
        damage.change(above[-1], key, 24, struct.pack('<Q', 12345))
        tap.case(name, damage, 'inode-nbytes-wrong', oracle.same_inode(tree, ino))
    key, _, above = oracle.item(s, noise, b.EXTENT_DATA)
    damage = make()
    damage.change(above[-1], key, 20, b'\x09')
    tap.case('a file extent that cannot be', damage, 'file-extent-bad', oracle.same_inode(s, noise))

    # Without checksums: the clone is another file.
    leaf, key = next((leaf, leaf.keys()[-1]) for leaf, first in all_leaves(oracle, b.CSUM_TREE) if leaf.count > 1)
    damage = make()
    damage.drop(leaf, key)
    size = (len(next(item for k, item in leaf.items() if k == key)) // oracle.csum_size_of_data) * oracle.sector
    groups = set()
    for tree, inodes in oracle.of_inode.items():
        for ino in inodes:
            if not oracle.flags(tree, ino) & 1 and any(e.type == 1 and e.logical + e.skip < key[2] + size and
                                                       e.logical + e.skip + e.bytes > key[2]
                                                       for e in extents_of(oracle, tree, ino)):
                groups.add(frozenset(oracle.same_inode(tree, ino)))
    tap.case('no checksums', damage, 'csum-missing', *groups)


def block_cases(tap, oracle, make, s):
    shared = collections.Counter(logical for blocks in oracle.blocks.values() for logical in blocks)
    levels = {block.logical: block.level for items in oracle.trees.values() for _, _, above in items for block in above}
    for level, name in ((0, 'leaf'), (1, 'node')):
        most = [logical for logical, _ in shared.most_common() if levels[logical] == level]
        few = [logical for logical in most if 1 < shared[logical] < shared[most[0]]]
        for kind, logical in (('shared by all', most[0]), ('shared by some', few[-1]), ('of one', most[-1])):
            damage = make()
            damage.spoil(logical)
            tap.case('%s %s, unreadable' % (name, kind), damage, 'files-behind-block', oracle.behind_block(logical))
            damage = make()
            damage.spoil(logical, [1])
            tap.case('%s %s, one copy' % (name, kind), damage, 'block-copy-bad', oracle.in_block(logical))
        leaf, key = block_with(oracle, b.EXTENT_TREE, lambda key: key[:2] == (most[0], b.METADATA_ITEM))
        damage = make()
        damage.drop(leaf, key)
        tap.case('no extent item of a %s' % name, damage, 'extent-missing', oracle.in_block(most[0]))


def main(btrkit, image, scratch):
    oracle = Oracle(image)
    oracle.csum_size_of_data = {0: 4, 1: 8, 2: 32, 3: 32}[oracle.super.csum_type]
    tap = Tap(btrkit, oracle, scratch)
    s = min(tree for tree in oracle.trees if tree != b.FS_TREE)
    tap.ok('sound to begin with', not tap.problems(image), tap.problems(image)[:3])
    tap.ok('there are enough snapshots (%d subvolumes)' % len(oracle.trees), len(oracle.trees) > 13)

    def make():
        return Damage(oracle, scratch)

    data_cases(tap, oracle, make, s)
    inode_cases(tap, oracle, make, s)
    block_cases(tap, oracle, make, s)
    print(tap.count)


if __name__ == '__main__':
    main(*sys.argv[1:])
