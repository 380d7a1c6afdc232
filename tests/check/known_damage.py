#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Kinds of damage that have been met in the field, each made by hand on a sound filesystem, and the codes that name it.

  known_damage.py BTRKIT SCRATCH [CASE...]       TAP on standard output

SCRATCH holds the sound filesystems, as known-damage.sh makes them: BASE.1, BASE.2... are the devices of one. A case says
which it begins with, what it does to it, and which codes must be among the problems; '-' if it stays sound. A code may be
one of a warning or a note; then the exit status is 0. Of what is 'refused', the reason is on standard error.
"""
import glob
import json
import os
import shutil
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../tools'))
import btrfsread as b
import treeedit

CASES = []
S = 256  # the subvolume /s
QUOTA_TREE = 8
INODE = {'generation': (0, 'Q'), 'transid': (8, 'Q'), 'size': (16, 'Q'), 'nbytes': (24, 'Q'), 'nlink': (40, 'I'),
         'mode': (52, 'I'), 'rdev': (56, 'Q'), 'flags': (64, 'Q')}
EXTENT = {'generation': (0, 'Q'), 'ram_bytes': (8, 'Q'), 'compression': (16, 'B'), 'type': (20, 'B'),
          'disk_bytenr': (21, 'Q'), 'disk_num_bytes': (29, 'Q'), 'offset': (37, 'Q'), 'num_bytes': (45, 'Q')}
ROOT = {'generation': (160, 'Q'), 'bytenr': (176, 'Q'), 'last_snapshot': (200, 'Q'), 'flags': (208, 'Q'),
        'refs': (216, 'I'), 'drop_objectid': (220, 'Q'), 'drop_level': (237, 'B'), 'level': (238, 'B'),
        'uuid': (247, '16s'), 'parent_uuid': (263, '16s'), 'received_uuid': (279, '16s'), 'ctransid': (295, 'Q'),
        'otransid': (303, 'Q'), 'dirid': (168, 'Q')}
DEV_ITEM = {'total': (8, 'Q'), 'used': (16, 'Q')}
CHUNK = {'length': (0, 'Q'), 'stripe_len': (16, 'Q'), 'type': (24, 'Q'), 'num_stripes': (44, 'H'), 'sub_stripes': (46, 'H'),
         'devid': (48, 'Q'), 'physical': (56, 'Q')}
IMMUTABLE, APPEND, NODATASUM = 1 << 6, 1 << 5, 1 << 0


def case(name, codes, on='modern', options=(), path=None):
    def keep(make):
        CASES.append((name, codes.split(), on, list(options), path, make))
        return make
    return keep


def inode(e, tree, path, **fields):
    ino = path if isinstance(path, int) else e.ino(tree, path)
    for name, value in fields.items():
        old = e.field(tree, (ino, b.INODE_ITEM, 0), *INODE[name])
        e.patch(tree, (ino, b.INODE_ITEM, 0), *INODE[name], value(old) if callable(value) else value)
    return ino


def extent(e, path, nr=0, tree=S, **fields):
    """Change fields of a file's extent number @nr."""
    key = e.extents(tree, e.ino(tree, path))[nr][0]
    for name, value in fields.items():
        old = e.field(tree, key, *EXTENT[name])
        e.patch(tree, key, *EXTENT[name], value(old) if callable(value) else value)
    return key


def root_item(e, tree, **fields):
    key = e.roots()[tree][0]
    for name, value in fields.items():
        old = e.field(b.ROOT_TREE, key, *ROOT[name])
        e.patch(b.ROOT_TREE, key, *ROOT[name], value(old) if callable(value) else value)
    return key


def entry(e, tree, kind, name):
    """The (key, data) of a DIR_ITEM or DIR_INDEX by its name."""
    return e.first(tree, kind, None, lambda key, data: any(n == name for _, _, n, _ in b.dir_entries(data)))


def dir_entry(ino, name, file_type=1, kind=b.INODE_ITEM, transid=1):
    return struct.pack('<QBQQHHB', ino, kind, 0 if kind == b.INODE_ITEM else b.M64, transid, 0, len(name), file_type) + name


def data_extent(e, wanted=lambda key, data: True):
    return e.first(b.EXTENT_TREE, b.EXTENT_ITEM, None,
                   lambda key, data: struct.unpack_from('<Q', data, 16)[0] & 1 and wanted(key, data))


def block_item(e, wanted=lambda key, data: True):
    """The extent item of some tree block."""
    return next((key, data) for key, data in e.items(b.EXTENT_TREE) if key[1] in (b.EXTENT_ITEM, b.METADATA_ITEM) and
                struct.unpack_from('<Q', data, 16)[0] & 2 and wanted(key, data))


def last_leaf(e, tree):
    return list(e.leaves(tree))[-1][1]


def wreck(e, logical, only=None):
    """All copies of a block become unreadable."""
    e.write_raw(logical, b'\x5a' * e.node, only)


def zero(e, logical, only=None):
    e.write_raw(logical, bytes(e.node), only)


# --- Leaves and nodes ------------------------------------------------------------------------------------------

def slot_field(e, leaf, slot, at, value):
    raw = bytearray(leaf.raw)
    struct.pack_into('<I', raw, b.HEADER.size + slot * b.ITEM.size + at, value(struct.unpack_from(
        '<I', raw, b.HEADER.size + slot * b.ITEM.size + at)[0]))
    e.write_block(leaf.logical, raw)


@case('item data is shifted', 'block-unreadable files-behind-block')
def _(e):
    slot_field(e, last_leaf(e, S), 3, 17, lambda at: at + 7)


@case('an item offset outside the leaf', 'block-unreadable files-behind-block')
def _(e):
    slot_field(e, last_leaf(e, S), 2, 17, lambda at: at | 1 << 30)


@case('an item that is too long', 'block-unreadable files-behind-block')
def _(e):
    slot_field(e, last_leaf(e, S), 2, 21, lambda size: size + 1000)


@case('keys in the wrong order', 'block-unreadable')
def _(e):
    (path, leaf) = list(e.leaves(5))[1]
    items = list(leaf.items())
    items[4], items[5] = items[5], items[4]
    e.replace_leaf(path, leaf, items)


@case('one key twice', 'block-unreadable')
def _(e):
    (path, leaf) = list(e.leaves(5))[1]
    items = list(leaf.items())
    items[5] = items[4]
    e.replace_leaf(path, leaf, items)


@case('an empty leaf', 'block-unreadable')
def _(e):
    path, leaf = list(e.leaves(5))[1]
    e.header(leaf.logical, nritems=0)


@case('a node without pointers', 'block-unreadable')
def _(e):
    e.header(e.place(5)[0], nritems=0)


@case('a node with too many pointers', 'block-unreadable')
def _(e):
    e.header(e.place(5)[0], nritems=5000)


@case('a level that is not what the parent says', 'block-unreadable')
def _(e):
    path, leaf = list(e.leaves(5))[1]
    e.header(leaf.logical, level=1)


@case('a level over the limit', 'block-unreadable')
def _(e):
    e.header(e.place(5)[0], level=9)


@case('lost write: a block of an older generation', 'block-unreadable')
def _(e):
    path, leaf = list(e.leaves(5))[2]
    e.header(leaf.logical, generation=leaf.generation - 1)


@case('lost write on one copy', 'block-copy-bad')
def _(e):
    path, leaf = list(e.leaves(5))[2]
    e.header(leaf.logical, only=1, generation=leaf.generation - 1)


@case('a block from the future', 'block-unreadable')
def _(e):
    path, leaf = list(e.leaves(5))[2]
    e.header(leaf.logical, generation=leaf.generation + 1000)


@case('a block that says it lies elsewhere', 'block-unreadable')
def _(e):
    path, leaf = list(e.leaves(5))[2]
    e.header(leaf.logical, bytenr=leaf.logical + e.node)


@case('a block of another filesystem', 'block-unreadable')
def _(e):
    path, leaf = list(e.leaves(5))[2]
    e.header(leaf.logical, fsid=b'x' * 16)


@case('two leaves of a tree swapped', 'block-unreadable')
def _(e):
    leaves = [leaf for _, leaf in e.leaves(5)]
    for one, other in ((1, 2), (2, 1)):
        raw = bytearray(leaves[one].raw)
        struct.pack_into('<Q', raw, 48, leaves[other].logical)
        e.write_block(leaves[other].logical, raw)


@case('a leaf with another subvolume for its owner', 'block-owner-wrong')
def _(e):
    path, leaf = list(e.leaves(5))[2]
    e.header(leaf.logical, owner=257)


@case('a leaf of another tree', 'block-unreadable')
def _(e):
    path, leaf = list(e.leaves(5))[2]
    e.header(leaf.logical, owner=7)


@case('a pointer to nowhere', 'block-unreadable')
def _(e):
    e.pointer(e.place(5)[0], 1, child=1 << 50)


@case('an unaligned pointer', 'block-unreadable')
def _(e):
    path, leaf = list(e.leaves(5))[1]
    e.pointer(path[-1][0].logical, path[-1][1], child=leaf.logical + 512)


@case('a pointer at 0', 'block-unreadable')
def _(e):
    e.pointer(e.place(5)[0], 1, child=0)


@case('a node that points to itself', 'block-unreadable')
def _(e):
    e.pointer(e.place(5)[0], 1, child=e.place(5)[0])


@case('two pointers to one leaf', 'pointers-disagree')
def _(e):
    node = e.read_block(e.place(5)[0])
    e.pointer(node.logical, 1, child=list(node.children())[2][1])


@case("a pointer's key is not its leaf's", 'block-unreadable')
def _(e):
    node = e.read_block(e.place(5)[0])
    key = list(node.children())[1][0]
    e.pointer(node.logical, 1, key=(key[0], key[1], key[2] - 1))


@case("a leaf's last key is beyond the next pointer", 'block-unreadable')
def _(e):
    leaf = list(e.leaves(5))[1][1]
    raw = bytearray(leaf.raw)
    struct.pack_into('<Q', raw, b.HEADER.size + (leaf.count - 1) * b.ITEM.size, 1 << 40)
    e.write_block(leaf.logical, raw)


@case('half of the metadata mirror is zeroed', 'block-copy-bad')
def _(e):
    chunk = next(c for c in e.chunks.values() if c.type & b.BG_METADATA)
    with open(e.devices[1].path, 'r+b') as f:
        f.seek(chunk.stripes[1][1])
        f.write(bytes(chunk.length // 2))


@case('both copies of a leaf are wrecked', 'block-unreadable files-behind-block', path='/d/f')
def _(e):
    wreck(e, list(e.leaves(5))[3][1].logical)


@case('copies differ, both with right checksums', 'block-copy-bad')
def _(e):
    leaf = list(e.leaves(5))[3][1]
    raw = bytearray(leaf.raw)
    raw[b.HEADER.size + b.ITEM.size * leaf.count + 8] ^= 1  # in the free room, or in the last item
    e.write_block(leaf.logical, raw, only=1)


# --- Directories and names -------------------------------------------------------------------------------------

@case('a DIR_INDEX has another name', 'dir-item-missing inode-ref-missing', path='/s/dir')
def _(e):
    key, data = entry(e, S, b.DIR_INDEX, b'alpha')
    e.set(S, key, data.replace(b'alpha', b'alpho'))


@case('a name has neither DIR_ITEM nor DIR_INDEX', 'dir-entry-missing')
def _(e):
    e.drop(S, entry(e, S, b.DIR_INDEX, b'alpha')[0], entry(e, S, b.DIR_ITEM, b'alpha')[0])


@case('a name has no DIR_INDEX', 'dir-index-missing')
def _(e):
    e.drop(S, entry(e, S, b.DIR_INDEX, b'alpha')[0])


@case('a name has no DIR_ITEM', 'dir-item-missing')
def _(e):
    e.drop(S, entry(e, S, b.DIR_ITEM, b'alpha')[0])


@case('a DIR_ITEM under the wrong hash', 'name-item-bad')
def _(e):
    key, data = entry(e, S, b.DIR_ITEM, b'alpha')
    e.set(S, key, data.replace(b'alpha', b'alpho'))


@case('an INODE_REF with another name', 'inode-ref-missing dir-entry-missing')
def _(e):
    key, data = e.first(S, b.INODE_REF, e.ino(S, 'dir/alpha'))
    e.set(S, key, data.replace(b'alpha', b'alpho'))


@case('an INODE_REF with another index', 'inode-ref-index-wrong')
def _(e):
    e.patch(S, e.first(S, b.INODE_REF, e.ino(S, 'dir/alpha'))[0], 0, 'Q', 77)


@case('one name twice in a directory', 'name-twice')
def _(e):
    folder, ino = e.ino(S, 'dir'), e.ino(S, 'dir/beta')
    e.add(S, (folder, b.DIR_INDEX, 99), dir_entry(ino, b'alpha'))
    key, data = entry(e, S, b.DIR_ITEM, b'alpha')
    e.set(S, key, data + dir_entry(ino, b'alpha'))
    key, data = e.first(S, b.INODE_REF, ino)
    e.set(S, key, data + struct.pack('<QH', 99, 5) + b'alpha')
    inode(e, S, ino, nlink=lambda n: n + 1)
    inode(e, S, folder, size=lambda n: n + 10)


@case('one name twice, but one DIR_ITEM', 'name-twice')
def _(e):
    folder, ino = e.ino(S, 'dir'), e.ino(S, 'dir/alpha')
    e.add(S, (folder, b.DIR_INDEX, 99), dir_entry(ino, b'alpha'))


@case('names of one hash', '-', on='collision')
def _(e):
    pass


@case('one of two names of one hash is lost', 'dir-item-missing', on='collision')
def _(e):
    key, data = e.first(5, b.DIR_ITEM, None, lambda key, data: len(list(b.dir_entries(data))) > 1)
    e.set(5, key, data[:len(data) // 2])


@case('a directory with two links', 'inode-item-bad')
def _(e):
    inode(e, S, 'dir', nlink=2)


@case('a directory with two names', 'dir-hard-linked')
def _(e):
    ino = e.ino(S, 'dir')
    e.add(S, (256, b.DIR_INDEX, 99), dir_entry(ino, b'twin', 2))
    e.add(S, (256, b.DIR_ITEM, b.name_hash(b'twin')), dir_entry(ino, b'twin', 2))
    key, data = e.first(S, b.INODE_REF, ino)
    e.set(S, key, data + struct.pack('<QH', 99, 4) + b'twin')
    inode(e, S, 256, size=lambda n: n + 8)


def reparent(e, child, parent, name):
    """Hang a directory elsewhere, both ways and with right sizes."""
    old_parent = e.first(S, b.INODE_REF, child)[0][2]
    e.move(S, entry(e, S, b.DIR_INDEX, name)[0], (parent, b.DIR_INDEX, 88))
    e.move(S, entry(e, S, b.DIR_ITEM, name)[0], (parent, b.DIR_ITEM, b.name_hash(name)))
    e.drop(S, (child, b.INODE_REF, old_parent))
    e.add(S, (child, b.INODE_REF, parent), struct.pack('<QH', 88, len(name)) + name)
    inode(e, S, old_parent, size=lambda n: n - 2 * len(name))
    inode(e, S, parent, size=lambda n: n + 2 * len(name))


@case('a directory in its own child', 'dir-loop')
def _(e):
    reparent(e, e.ino(S, 'dir'), e.ino(S, 'dir/below'), b'dir')


@case('a directory in itself', 'dir-loop')
def _(e):
    reparent(e, e.ino(S, 'dir'), e.ino(S, 'dir'), b'dir')


@case('a directory that nothing leads to', 'dir-entry-missing')
def _(e):
    e.drop(S, entry(e, S, b.DIR_INDEX, b'below')[0], entry(e, S, b.DIR_ITEM, b'below')[0])


@case('the size of a directory', 'dir-size-wrong')
def _(e):
    inode(e, S, 'dir', size=1)


@case('a name with a slash', 'name-item-bad')
def _(e):
    key, data = entry(e, S, b.DIR_INDEX, b'alpha')
    e.set(S, key, data.replace(b'alpha', b'al/ha'))


@case('a name with a zero byte', 'name-item-bad')
def _(e):
    key, data = entry(e, S, b.DIR_INDEX, b'alpha')
    e.set(S, key, data.replace(b'alpha', b'al\0ha'))


@case('an empty name', 'name-item-bad')
def _(e):
    e.patch(S, entry(e, S, b.DIR_INDEX, b'alpha')[0], 27, 'H', 0)


@case('a name of ..', 'name-item-bad')
def _(e):
    key, data = entry(e, S, b.DIR_INDEX, b'alpha')
    e.set(S, key, data[:27] + struct.pack('<HB', 2, 1) + b'..')


@case('an entry of the wrong type', 'dir-entries-disagree dir-entry-type-wrong')
def _(e):
    e.patch(S, entry(e, S, b.DIR_INDEX, b'alpha')[0], 29, 'B', 2)


@case('an entry of no type', 'dir-entries-disagree')
def _(e):
    e.patch(S, entry(e, S, b.DIR_INDEX, b'alpha')[0], 29, 'B', 0)


@case('an entry for an inode that is not there', 'dir-entry-dangles')
def _(e):
    folder = e.ino(S, 'dir')
    e.add(S, (folder, b.DIR_INDEX, 99), dir_entry(9999, b'ghost'))
    e.add(S, (folder, b.DIR_ITEM, b.name_hash(b'ghost')), dir_entry(9999, b'ghost'))
    inode(e, S, folder, size=lambda n: n + 10)


@case('a DIR_INDEX below 2', 'dir-index-low')
def _(e):
    folder = e.ino(S, 'dir')
    key, data = entry(e, S, b.DIR_INDEX, b'alpha')
    e.move(S, key, (folder, b.DIR_INDEX, 1))
    e.patch(S, e.first(S, b.INODE_REF, e.ino(S, 'dir/alpha'))[0], 0, 'Q', 1)


@case('one attribute twice', 'name-twice', on='attributes')
def _(e):
    key, data = e.first(5, b.XATTR_ITEM)
    e.set(5, key, data + data)


@case('an attribute under the wrong hash', 'name-item-bad', on='attributes')
def _(e):
    key, data = e.first(5, b.XATTR_ITEM)
    e.rekey(5, key, (key[0], key[1], key[2] ^ 1))


@case('an attribute longer than its item', 'name-item-bad', on='attributes')
def _(e):
    key, data = e.first(5, b.XATTR_ITEM)
    e.patch(5, key, 25, 'H', 5000)


@case('an unknown kind of item in a subvolume', 'item-misplaced')
def _(e):
    e.add(S, (e.ino(S, 'file'), 50, 0), b'')


@case('an empty item of an unknown kind at the end of a subvolume', 'item-misplaced')
def _(e):
    e.add(S, (1 << 40, 221, 0), b'')


@case('an extent item in a subvolume', 'item-misplaced')
def _(e):
    key, data = data_extent(e)
    e.add(S, key, data)


def both_entries(e, tree, name, at, kind, value):
    for item in (b.DIR_INDEX, b.DIR_ITEM):
        e.patch(tree, entry(e, tree, item, name)[0], at, kind, value)


@case('both entries lead to an inode with an offset', 'item-field-odd')
def _(e):
    both_entries(e, S, b'alpha', 9, 'Q', 5)


@case('both entries of a subvolume say that it is a file', 'item-field-odd')
def _(e):
    both_entries(e, 5, b's', 29, 'B', 1)


@case('both entries lead to nothing of a known kind', 'name-item-bad')
def _(e):
    both_entries(e, S, b'alpha', 8, 'B', 77)


@case('both entries of a file lead to another file', 'inode-ref-missing')
def _(e):
    both_entries(e, S, b'alpha', 0, 'Q', e.ino(S, 'dir/beta'))


# --- Inodes ----------------------------------------------------------------------------------------------------

@case('a file has no INODE_ITEM', 'inode-item-missing dir-entry-dangles')
def _(e):
    e.drop(S, (e.ino(S, 'dir/alpha'), b.INODE_ITEM, 0))


@case('a top directory has no INODE_ITEM', 'inode-item-missing')
def _(e):
    e.drop(S, (256, b.INODE_ITEM, 0))


@case('an inode transid from the future', 'inode-item-bad')
def _(e):
    inode(e, S, 'file', transid=1 << 40)


@case('an inode generation just from the future', 'item-generation-wrong')
def _(e):
    inode(e, S, 'file', generation=e.super.generation + 1)


@case('a mode that cannot be', 'inode-item-bad')
def _(e):
    inode(e, S, 'file', mode=0o644)


@case('a mode of 0', 'inode-item-bad')
def _(e):
    inode(e, S, 'file', mode=0)


@case('nbytes', 'inode-nbytes-wrong', path='/s/file')
def _(e):
    inode(e, S, 'file', nbytes=4096)


@case('too many links', 'inode-nlink-wrong', path='/s/file')
def _(e):
    inode(e, S, 'file', nlink=lambda n: n + 1)


@case('too few links', 'inode-nlink-wrong')
def _(e):
    inode(e, S, 'hard1', nlink=1)


@case('no links, but a name', 'inode-nlink-wrong')
def _(e):
    inode(e, S, 'file', nlink=0)


@case('no name and no ORPHAN item', 'orphan-item-missing')
def _(e):
    ino = e.ino(S, 'dir/alpha')
    inode(e, S, ino, nlink=0)
    e.drop(S, entry(e, S, b.DIR_INDEX, b'alpha')[0], entry(e, S, b.DIR_ITEM, b'alpha')[0], e.first(S, b.INODE_REF, ino)[0])
    inode(e, S, 'dir', size=lambda n: n - 10)


def orphan(e, name, parent):
    ino = e.ino(S, (parent + '/' if parent else '') + name)
    e.drop(S, entry(e, S, b.DIR_INDEX, name.encode())[0], entry(e, S, b.DIR_ITEM, name.encode())[0],
           e.first(S, b.INODE_REF, ino)[0])
    inode(e, S, ino, nlink=0)
    inode(e, S, parent or 256, size=lambda n: n - 2 * len(name))
    e.add(S, (b.ORPHAN, b.ORPHAN_ITEM, ino), b'')
    return ino


@case('an orphan', '-')
def _(e):
    orphan(e, 'alpha', 'dir')


@case('an orphan directory', '-')
def _(e):
    orphan(e, 'deep', 'dir/below')


@case('an orphan whose extents are half gone', '-')
def _(e):
    ino = orphan(e, 'small', '')
    e.drop(S, e.extents(S, ino)[0][0])


@case('an ORPHAN item without an inode', 'orphan-item-dangles')
def _(e):
    e.add(S, (b.ORPHAN, b.ORPHAN_ITEM, 77777), b'')


@case('an ORPHAN item of a file that has a name', '-')
def _(e):
    # A file whose truncation was going on: Linux just drops the item.
    e.add(S, (b.ORPHAN, b.ORPHAN_ITEM, e.ino(S, 'file')), b'')


@case('an immutable symbolic link', 'symlink-flags-bad', path='/s/link')
def _(e):
    inode(e, S, 'link', flags=IMMUTABLE | APPEND)


@case('a symbolic link without a target', 'symlink-target-bad')
def _(e):
    ino = e.ino(S, 'link')
    e.drop(S, e.extents(S, ino)[0][0])
    inode(e, S, ino, nbytes=0)


@case('a target with a zero byte', 'symlink-target-bad')
def _(e):
    key, data = e.first(S, b.EXTENT_DATA, e.ino(S, 'link'))
    e.set(S, key, data[:-2] + b'\0' + data[-1:])


@case('a size beyond what Linux can have', 'inode-item-bad')
def _(e):
    inode(e, S, 'small', size=1 << 63)


@case('a time of more than a second of nanoseconds', 'item-field-odd')
def _(e):
    e.patch(S, (e.ino(S, 'file'), b.INODE_ITEM, 0), 112 + 12 + 8, 'I', 10 ** 9)


@case('unknown inode flags', 'inode-item-bad')
def _(e):
    inode(e, S, 'file', flags=1 << 20)


@case('a block device with an extent', 'inode-item-misfit')
def _(e):
    ino = inode(e, S, 'file', mode=0o60644)
    for kind in (b.DIR_INDEX, b.DIR_ITEM):
        e.patch(S, entry(e, S, kind, b'file')[0], 29, 'B', 4)


@case('a fifo with inline data', 'inode-item-misfit')
def _(e):
    e.add(S, (e.ino(S, 'fifo'), b.EXTENT_DATA, 0), struct.pack('<QQBBHB', 1, 3, 0, 0, 0, 0) + b'abc')


@case('a fifo with a size', 'special-has-size')
def _(e):
    inode(e, S, 'fifo', size=5)


@case('a file with directory entries', 'inode-item-misfit')
def _(e):
    e.add(S, (e.ino(S, 'file'), b.DIR_INDEX, 2), dir_entry(e.ino(S, 'dir/alpha'), b'x'))


@case('leftovers of the inode cache', 'inode-cache-left')
def _(e):
    data = e.get(S, (256, b.INODE_ITEM, 0))
    data = bytearray(data)
    struct.pack_into('<I', data, 52, 0o100600)
    e.add(S, (-12 & b.M64, b.INODE_ITEM, 0), bytes(data))


@case('verity items', '-')
def _(e):
    ino = inode(e, S, 'file', flags=lambda f: f | 1 << 32)
    e.add(S, (ino, 36, 0), struct.pack('<QQB', 256, 0, 0) + bytes(7))
    e.add(S, (ino, 36, 1), bytes(256))
    e.add(S, (ino, 37, 0), bytes(2048))
    e.set_super(compat_ro=e.super.compat_ro | 4)


@case('a verity flag without items', 'verity-items-missing')
def _(e):
    inode(e, S, 'file', flags=lambda f: f | 1 << 32)
    e.set_super(compat_ro=e.super.compat_ro | 4)


# --- File extents ----------------------------------------------------------------------------------------------

@case('all file extents are lost', 'inode-nbytes-wrong extent-leaked', path='/s/file')
def _(e):
    e.drop(S, *[key for key, _ in e.extents(S, e.ino(S, 'file'))])


@case('all file extents are lost, without no-holes', 'file-extent-gap', on='old')
def _(e):
    e.drop(S, *[key for key, _ in e.extents(S, e.ino(S, 'file'))])


@case('a gap between file extents, without no-holes', 'file-extent-gap', on='old')
def _(e):
    extent(e, 'file', num_bytes=lambda n: n - 8192)


@case('a file extent at a garbage address', 'file-extent-outside')
def _(e):
    extent(e, 'file', disk_bytenr=1 << 50)


@case('a file extent at an unaligned address', 'file-extent-bad')
def _(e):
    extent(e, 'file', disk_bytenr=lambda n: n + 100)


@case('a file extent in another extent', 'extent-missing')
def _(e):
    extent(e, 'file', disk_bytenr=lambda n: n + 4096)


@case('inline ram_bytes is one too many', 'file-extent-bad')
def _(e):
    extent(e, 'small', ram_bytes=lambda n: n + 1)


@case('an inline extent is too long for its file', 'inline-beyond-size')
def _(e):
    inode(e, S, 'small', size=5)


@case('an inline extent too short for its file', '-')
def _(e):
    inode(e, S, 'small', size=3000)  # a hole follows


@case('an inline extent behind the beginning', 'file-extent-bad')
def _(e):
    key = e.extents(S, e.ino(S, 'small'))[0][0]
    e.rekey(S, key, (key[0], key[1], 4096))


@case('an inline extent before a regular one', 'file-extent-overlap')
def _(e):
    key = e.extents(S, e.ino(S, 'file'))[0][0]
    e.rekey(S, key, (key[0], key[1], 4096))
    e.add(S, key, struct.pack('<QQBBHB', 1, 5000, 0, 0, 0, 0) + bytes(5000))


@case('ram_bytes of an extent that is not compressed', 'file-extent-ram-bytes-wrong')
def _(e):
    extent(e, 'file', ram_bytes=lambda n: n - 4096)


@case('ram_bytes of a compressed extent', 'file-extent-beyond-ram')
def _(e):
    extent(e, 'text', ram_bytes=8192)


@case('a length of 0', 'file-extent-bad')
def _(e):
    extent(e, 'file', num_bytes=0)


@case('an extent that uses more than there is', 'file-extent-bad')
def _(e):
    extent(e, 'file', num_bytes=lambda n: n + 4096)


@case('an unknown type of extent', 'file-extent-bad')
def _(e):
    extent(e, 'file', type=7)


@case('an unknown compression', 'file-extent-bad')
def _(e):
    extent(e, 'text', compression=9)


@case('reserved space that is compressed', 'file-extent-bad')
def _(e):
    extent(e, 'text', type=2)


@case('an extent that reaches beyond what Linux can have', 'file-extent-bad')
def _(e):
    key = e.extents(S, e.ino(S, 'file'))[0][0]
    e.rekey(S, key, (key[0], key[1], b.M64 - 4095 - (100 << 12)))


@case('overlapping extents of a file', 'file-extent-bad')
def _(e):
    ino = e.ino(S, 'file')
    key, data = next((key, data) for key, data in e.items(S, b.EXTENT_DATA, ino))
    e.add(S, (ino, b.EXTENT_DATA, 4096), data)


@case('an extent behind the end', 'file-extent-beyond-size')
def _(e):
    inode(e, S, 'file', size=4096)


@case('an extent generation from the future', 'item-generation-wrong')
def _(e):
    extent(e, 'file', generation=1 << 40)


@case('a compressed extent in a file without checksums', 'csum-missing-compressed', path='/s/text')
def _(e):
    inode(e, S, 'text', flags=NODATASUM)
    for _, one in e.extents(S, e.ino(S, 'text')):
        drop_csums(e, one)


def drop_csums(e, extent):
    """The checksums of a data extent go."""
    start, end = extent.logical, extent.logical + extent.disk_bytes

    def change(key, data):
        if key[1] != b.EXTENT_CSUM:
            return key, data
        out, size = [], e.csum_size
        for i in range(len(data) // size):
            at = key[2] + i * e.sector
            if not start <= at < end:
                if out and out[-1][0] + len(out[-1][1]) // size * e.sector == at:
                    out[-1][1].extend(data[i * size:(i + 1) * size])
                else:
                    out.append([at, bytearray(data[i * size:(i + 1) * size])])
        return [((key[0], key[1], at), bytes(sums)) for at, sums in out]
    e.edit(b.CSUM_TREE, change)


# --- Checksums -------------------------------------------------------------------------------------------------

@case('checksums are missing', 'csum-missing', path='/s/file')
def _(e):
    drop_csums(e, e.extents(S, e.ino(S, 'file'))[0][1])


@case('a file without checksums has some', 'csum-unwanted')
def _(e):
    inode(e, S, 'file', flags=NODATASUM)


@case('overlapping checksum items', 'csum-item-bad')
def _(e):
    key, data = e.first(b.CSUM_TREE, b.EXTENT_CSUM)
    e.add(b.CSUM_TREE, (key[0], key[1], key[2] + e.sector), data[:8 * e.csum_size])


@case('checksums of no data', 'csum-without-extent')
def _(e):
    key, data = e.first(b.CSUM_TREE, b.EXTENT_CSUM)
    last = max(c.end for c in e.chunks.values())
    e.add(b.CSUM_TREE, (key[0], key[1], last), data[:8 * e.csum_size])


@case('checksums that are no whole number', 'csum-item-bad')
def _(e):
    key, data = e.first(b.CSUM_TREE, b.EXTENT_CSUM)
    e.set(b.CSUM_TREE, key, data[:-1])


@case('wrong checksums', 'data-lost', options=['--data'], path='/s/file')
def _(e):
    start = e.extents(S, e.ino(S, 'file'))[0][1].logical
    key, data = e.first(b.CSUM_TREE, b.EXTENT_CSUM, None, lambda key, data: key[2] <= start)
    at = (start - key[2]) // e.sector * e.csum_size
    e.set(b.CSUM_TREE, key, data[:at] + b'\x11' * e.csum_size + data[at + e.csum_size:])


@case('the checksum tree is new and empty', 'csum-missing')
def _(e):
    e.header(e.place(b.CSUM_TREE)[0], nritems=0)


# --- Extents and references ------------------------------------------------------------------------------------

@case('a data extent is not in the extent tree', 'extent-missing', path='/s/file')
def _(e):
    logical = e.extents(S, e.ino(S, 'file'))[0][1].logical
    e.drop(b.EXTENT_TREE, data_extent(e, lambda key, data: key[0] == logical)[0])


@case('a tree block is not in the extent tree', 'extent-missing')
def _(e):
    logical = list(e.leaves(5))[2][1].logical
    e.drop(b.EXTENT_TREE, block_item(e, lambda key, data: key[0] == logical)[0])


@case('an extent that nothing uses', 'extent-leaked')
def _(e):
    chunk = next(c for c in e.chunks.values() if c.type & b.BG_DATA)
    end = max(key[0] + key[2] for key, _ in e.items(b.EXTENT_TREE, b.EXTENT_ITEM) if chunk.start <= key[0] < chunk.end)
    if end + e.sector > chunk.end:  # no room left: take the place of the last one
        key, data = data_extent(e, lambda key, data: key[0] + key[2] == end)
        ino = struct.unpack_from('<Q', data, 33)[0]
        e.drop(S if struct.unpack_from('<Q', data, 25)[0] == S else 5, *[k for k, x in e.extents(S, ino) if x.logical == key[0]])
        return
    e.add(b.EXTENT_TREE, (end, b.EXTENT_ITEM, e.sector), struct.pack('<QQQBQQQI', 1, 1, 1, b.EXTENT_DATA_REF, 5, 257, 0, 1))


@case('a reference count that is wrong', 'extent-count-wrong')
def _(e):
    e.patch(b.EXTENT_TREE, data_extent(e)[0], 0, 'Q', 5)


@case('a reference that nobody makes', 'reference-not-found reference-not-recorded')
def _(e):
    e.patch(b.EXTENT_TREE, data_extent(e)[0], 33, 'Q', 4242)


@case('an inline reference of type 0', 'extent-item-bad')
def _(e):
    e.patch(b.EXTENT_TREE, data_extent(e)[0], 24, 'B', 0)


@case('an inline reference of a tree block for data', 'extent-item-bad')
def _(e):
    e.patch(b.EXTENT_TREE, data_extent(e)[0], 24, 'B', b.TREE_BLOCK_REF)


@case('inline references out of order', 'extent-item-bad')
def _(e):
    key, data = data_extent(e)
    ref, shared = data[24:53], struct.pack('<BQI', b.SHARED_DATA_REF, e.place(S)[0], 1)
    e.set(b.EXTENT_TREE, key, struct.pack('<Q', 2) + data[8:24] + shared + ref)


@case('a data extent from the future', 'extent-item-bad')
def _(e):
    e.patch(b.EXTENT_TREE, data_extent(e)[0], 8, 'Q', 1 << 40)


@case("a tree block's extent from the future", 'extent-item-bad')
def _(e):
    e.patch(b.EXTENT_TREE, block_item(e)[0], 8, 'Q', 1 << 40)


@case("a tree block's extent of the wrong level", 'reference-not-found reference-not-recorded')
def _(e):
    key, data = block_item(e, lambda key, data: key[1] == b.METADATA_ITEM and key[2] == 0)
    e.rekey(b.EXTENT_TREE, key, (key[0], key[1], 2))


@case("the level in a tree block's long extent item", 'reference-not-found reference-not-recorded', on='old')
def _(e):
    key, data = block_item(e, lambda key, data: key[1] == b.EXTENT_ITEM)
    e.patch(b.EXTENT_TREE, key, 24 + 17, 'B', 3)


@case('an extent item that is data and tree block', 'extent-item-bad')
def _(e):
    e.patch(b.EXTENT_TREE, data_extent(e)[0], 16, 'Q', 3)


@case('an unaligned extent item', 'extent-item-bad')
def _(e):
    key, data = data_extent(e)
    e.rekey(b.EXTENT_TREE, key, (key[0] + 512, key[1], key[2]))


@case('an extent item of length 0', 'extent-item-bad')
def _(e):
    key, data = data_extent(e)
    e.rekey(b.EXTENT_TREE, key, (key[0], key[1], 0))


@case('extents that overlap', 'extent-item-bad')
def _(e):
    key, data = data_extent(e, lambda key, data: key[2] > 4096)
    e.add(b.EXTENT_TREE, (key[0] + 4096, key[1], 4096), data)


@case('an extent beyond its block group', 'extent-outside')
def _(e):
    chunk = next(c for c in e.chunks.values() if c.type & b.BG_DATA)
    e.add(b.EXTENT_TREE, (max(c.end for c in e.chunks.values()), b.EXTENT_ITEM, 8192),
          struct.pack('<QQQBQQQI', 1, 1, 1, b.EXTENT_DATA_REF, 5, 257, 0, 1))


@case('an extent item without references', 'extent-item-bad')
def _(e):
    e.patch(b.EXTENT_TREE, data_extent(e)[0], 0, 'Q', 0)


@case('a device extent in the extent tree', 'item-misplaced')
def _(e):
    key, data = e.first(b.DEV_TREE, b.DEV_EXTENT)
    e.add(b.EXTENT_TREE, (b.M64 >> 8, b.DEV_EXTENT, key[2]), data)


@case('a keyed reference without an extent', 'reference-without-extent')
def _(e):
    chunk = next(c for c in e.chunks.values() if c.type & b.BG_DATA)
    e.add(b.EXTENT_TREE, (chunk.end - e.sector, b.SHARED_DATA_REF, e.place(S)[0]), struct.pack('<I', 1))


@case('all references are keyed', '-')
def _(e):
    key, data = data_extent(e)
    e.set(b.EXTENT_TREE, key, data[:24])
    root, ino, offset, count = struct.unpack_from('<QQQI', data, 25)
    high, low = b.crc32c_raw(0xffffffff, struct.pack('<Q', root)), b.crc32c_raw(
        b.crc32c_raw(0xffffffff, struct.pack('<Q', ino)), struct.pack('<Q', offset))
    e.add(b.EXTENT_TREE, (key[0], b.EXTENT_DATA_REF, (high << 31 ^ low) & b.M64), data[25:53])


@case('the reference of a tree block is keyed', '-')
def _(e):
    key, data = block_item(e, lambda key, data: key[1] == b.METADATA_ITEM and len(data) == 33)
    e.set(b.EXTENT_TREE, key, data[:24])
    e.add(b.EXTENT_TREE, (key[0], b.TREE_BLOCK_REF, struct.unpack_from('<Q', data, 25)[0]), b'')


@case('a keyed data reference under the wrong hash', 'reference-hash-wrong')
def _(e):
    key, data = data_extent(e)
    e.set(b.EXTENT_TREE, key, data[:24])
    e.add(b.EXTENT_TREE, (key[0], b.EXTENT_DATA_REF, 12345), data[25:53])


# --- Block groups, chunks, devices -----------------------------------------------------------------------------

def group_tree(e):
    return b.BLOCK_GROUP_TREE if b.BLOCK_GROUP_TREE in e.roots() else b.EXTENT_TREE


def group(e, flag=b.BG_DATA):
    return e.first(group_tree(e), b.BLOCK_GROUP_ITEM, None, lambda key, data: struct.unpack_from('<Q', data, 16)[0] & flag)


def chunk_key(e, flag=b.BG_DATA):
    return (256, b.CHUNK_ITEM, next(c.start for c in e.chunks.values() if c.type & flag))


for base in ('modern', 'old'):
    @case('used bytes of a block group, ' + base, 'group-used-wrong', on=base)
    def _(e):
        e.patch(group_tree(e), group(e)[0], 0, 'Q', 4096)

    @case('a block group is missing, ' + base, 'group-missing', on=base)
    def _(e):
        e.drop(group_tree(e), group(e)[0])

    @case('a block group without a chunk, ' + base, 'group-without-chunk', on=base)
    def _(e):
        end = max(c.end for c in e.chunks.values())
        e.add(group_tree(e), (end, b.BLOCK_GROUP_ITEM, 8 << 20), struct.pack('<QQQ', 0, 256, 1))


@case('a block group of impossible use', 'group-item-bad')
def _(e):
    e.patch(group_tree(e), group(e)[0], 0, 'Q', 1 << 50)


@case('a block group of another profile than its chunk', 'group-type-wrong')
def _(e):
    e.patch(group_tree(e), group(e)[0], 16, 'Q', 1 | 16)


@case('block groups in the tree that is not theirs', 'item-misplaced')
def _(e):
    key, data = group(e)
    e.add(b.EXTENT_TREE, key, data)


@case('a chunk is missing', 'group-without-chunk dev-extent-without-chunk')
def _(e):
    e.drop(b.CHUNK_TREE, chunk_key(e))


@case('an unaligned chunk', 'cannot-open')
def _(e):
    key = chunk_key(e)
    e.rekey(b.CHUNK_TREE, key, (key[0], key[1], key[2] + 512))


@case('a chunk of a profile that cannot be', 'cannot-open')
def _(e):
    e.patch(b.CHUNK_TREE, chunk_key(e), *CHUNK['type'], 1 | 8 | 16)


@case('a chunk without stripes', 'cannot-open')
def _(e):
    e.patch(b.CHUNK_TREE, chunk_key(e), *CHUNK['num_stripes'], 0)


@case('a stripe length that cannot be', 'cannot-open')
def _(e):
    e.patch(b.CHUNK_TREE, chunk_key(e), *CHUNK['stripe_len'], 0)


@case('chunks that overlap', 'cannot-open')
def _(e):
    key = chunk_key(e)
    e.patch(b.CHUNK_TREE, key, *CHUNK['length'], 1 << 40)


@case('chunks that overlap on the device', 'stripes-overlap dev-extent-missing')
def _(e):
    other = next(c for c in e.chunks.values() if not c.type & b.BG_DATA)
    e.patch(b.CHUNK_TREE, chunk_key(e), *CHUNK['physical'], other.stripes[0][1])


@case('a stripe behind the end of the device', 'stripe-outside-device dev-extent-missing')
def _(e):
    e.patch(b.CHUNK_TREE, chunk_key(e), *CHUNK['physical'], 1 << 45)


@case('a stripe on an unknown device', 'stripe-without-device')
def _(e):
    e.patch(b.CHUNK_TREE, chunk_key(e), *CHUNK['devid'], 7)


@case('a device extent is missing', 'dev-extent-missing')
def _(e):
    e.drop(b.DEV_TREE, e.first(b.DEV_TREE, b.DEV_EXTENT)[0])


@case('a device extent without a chunk', 'dev-extent-without-chunk')
def _(e):
    key, data = e.first(b.DEV_TREE, b.DEV_EXTENT)
    end = max(k[2] + struct.unpack_from('<Q', d, 24)[0] for k, d in e.items(b.DEV_TREE, b.DEV_EXTENT))
    e.add(b.DEV_TREE, (1, b.DEV_EXTENT, end), struct.pack('<QQQQ16s', 3, 256, 1 << 40, 65536, bytes(16)))


@case('device extents that overlap', 'device-item-bad')
def _(e):
    key, data = e.first(b.DEV_TREE, b.DEV_EXTENT)
    e.patch(b.DEV_TREE, key, 24, 'Q', 1 << 30)


@case('a device extent of a device that is not there', 'dev-extent-without-chunk')
def _(e):
    key, data = e.first(b.DEV_TREE, b.DEV_EXTENT)
    e.add(b.DEV_TREE, (9, b.DEV_EXTENT, key[2]), data)


@case('bytes used of a device', 'device-used-wrong')
def _(e):
    e.patch(b.CHUNK_TREE, (1, b.DEV_ITEM, 1), *DEV_ITEM['used'], 65536)


@case('the size of a device is not aligned', 'device-size-unaligned')
def _(e):
    old = e.field(b.CHUNK_TREE, (1, b.DEV_ITEM, 1), *DEV_ITEM['total'])
    e.patch(b.CHUNK_TREE, (1, b.DEV_ITEM, 1), *DEV_ITEM['total'], old + 512)


@case('an image that became shorter', 'device-too-small')
def _(e):
    path = e.devices[1].path
    os.truncate(path, os.path.getsize(path) - 65536)


@case('an image that is longer than its filesystem', '-')
def _(e):
    path = e.devices[1].path
    os.truncate(path, os.path.getsize(path) + (3 << 20) + 512)


# --- Superblock ------------------------------------------------------------------------------------------------

@case('bytes_used of the superblock', 'super-bytes-used-wrong')
def _(e):
    e.set_super(bytes_used=12345678)


@case('num_devices of the superblock', 'super-num-devices-wrong')
def _(e):
    e.set_super(num_devices=8)


@case('total_bytes of the superblock', 'super-total-bytes-wrong')
def _(e):
    e.set_super(total_bytes=e.super.total_bytes * 2)


@case('total_bytes of 0', 'cannot-open')
def _(e):
    e.set_super(total_bytes=0)


@case('bytes_used beyond all', 'super-bytes-used-wrong')
def _(e):
    e.set_super(bytes_used=b.M64)


@case('a stripe size that cannot be', 'super-field-bad')
def _(e):
    e.set_super(stripesize=0x7777)


@case('a node size of 0', 'cannot-open')
def _(e):
    e.set_super(nodesize=0)


@case('a sector size that is no power of two', 'cannot-open')
def _(e):
    e.set_super(sectorsize=5000)


@case('an unknown checksum type', 'cannot-open')
def _(e):
    e.set_super(csum_type=77)


@case('a root level over the limit', 'cannot-open')
def _(e):
    e.set_super(root_level=9)


@case('an array longer than there is room', 'cannot-open')
def _(e):
    e.set_super(array_size=5000)


@case('an array of length 0', 'cannot-open')
def _(e):
    e.set_super(array_size=0)


@case('the array: no stripes', 'cannot-open')
def _(e):
    e.sys_array(lambda item: struct.pack_into('<H', item, 44, 0))


@case('the array: a stripe length that cannot be', 'cannot-open')
def _(e):
    e.sys_array(lambda item: struct.pack_into('<Q', item, 16, 0x1000000))


@case('the array: a type that cannot be', 'cannot-open')
def _(e):
    e.sys_array(lambda item: struct.pack_into('<Q', item, 24, 0x7700))


@case('the array has the system chunk elsewhere', 'cannot-open')
def _(e):
    e.sys_array(lambda item: struct.pack_into('<Q', item, 56 + 32, struct.unpack_from('<Q', item, 56 + 32)[0] + 65536))


@case('the array lacks the system chunk', 'cannot-open')
def _(e):
    e.sys_array(lambda item: struct.pack_into('<Q', item, 0, 4096))


@case('the superblock of another filesystem', 'cannot-open')
def _(e):
    e.set_super(fsid=b'other filesystem')


@case('a superblock flag that says an error was met', 'super-error-flag')
def _(e):
    at, kind = treeedit.SUPER_OFFSET['flags']
    e.set_super(flags=e.super.flags | 4)


@case('a block group tree that is half converted', 'unfinished')
def _(e):
    e.set_super(flags=e.super.flags | 1 << 38)


@case('an image of the metadata alone', 'metadata-image', options=['--data'])
def _(e):
    chunk = next(c for c in e.chunks.values() if c.type & b.BG_DATA)
    with open(e.devices[1].path, 'r+b') as f:
        f.seek(chunk.stripes[0][1])
        f.write(bytes(chunk.length))
    key, data = e.first(S, b.EXTENT_DATA, e.ino(S, 'link'))
    e.set(S, key, data[:21] + bytes(len(data) - 21))
    e.set_super(flags=e.super.flags | 1 << 34)


@case('an fsid that is half changed', 'unfinished')
def _(e):
    e.set_super(flags=e.super.flags | 1 << 35)


@case('an incompat feature that nobody knows', 'refused')
def _(e):
    e.set_super(incompat=e.super.incompat | 1 << 50)


@case('extent tree v2', 'refused')
def _(e):
    e.set_super(incompat=e.super.incompat | 1 << 13)


@case('a compat_ro feature that nobody knows', 'feature-unknown')
def _(e):
    e.set_super(compat_ro=e.super.compat_ro | 1 << 40)


# --- Whole trees -----------------------------------------------------------------------------------------------

for name, tree, codes in (('extent', b.EXTENT_TREE, 'block-unreadable'), ('device', b.DEV_TREE, 'block-unreadable'),
                          ('checksum', b.CSUM_TREE, 'block-unreadable'), ('uuid', b.UUID_TREE, 'block-unreadable'),
                          ('free space', b.FREE_SPACE_TREE, 'block-unreadable'),
                          ('block group', b.BLOCK_GROUP_TREE, 'block-unreadable'),
                          ('top subvolume', 5, 'block-unreadable'), ("subvolume's", S, 'block-unreadable'),
                          ('data relocation', b.DATA_RELOC, 'block-unreadable'),
                          ('root', b.ROOT_TREE, 'cannot-open'), ('chunk', b.CHUNK_TREE, 'cannot-open')):
    @case('the root block of the %s tree is wrecked' % name, codes)
    def _(e, tree=tree):
        wreck(e, e.place(tree)[0])

    @case('the root block of the %s tree is zeroed' % name, codes)
    def _(e, tree=tree):
        zero(e, e.place(tree)[0])

for name, tree in (('extent', b.EXTENT_TREE), ('device', b.DEV_TREE), ('checksum', b.CSUM_TREE),
                   ('free space', b.FREE_SPACE_TREE), ('block group', b.BLOCK_GROUP_TREE),
                   ('data relocation', b.DATA_RELOC), ('top subvolume', 5)):
    @case('the %s tree has no root item' % name, 'tree-missing' if tree != 5 else 'cannot-open')
    def _(e, tree=tree):
        e.drop(b.ROOT_TREE, e.roots()[tree][0])

    @case("the %s tree's root item points to nowhere" % name, 'block-unreadable')
    def _(e, tree=tree):
        root_item(e, tree, bytenr=1 << 50)

    @case("the %s tree's root item points to another tree" % name, 'block-in-two-trees' if tree != 5 else 'block-unreadable')
    def _(e, tree=tree):
        root_item(e, tree, bytenr=e.place(b.UUID_TREE)[0])


@case('the root tree is lost, an older one leads in', '-', on='backup')
def _(e):
    # Of the backup roots, the one before the newest.
    backups = sorted(struct.unpack_from('<QQ', e.super.raw, treeedit.BACKUPS_AT + i * 168)[::-1] for i in range(4))
    generation, logical = backups[-2]
    wreck(e, e.super.root)
    return ['--tree-root', str(logical)]


# --- Subvolumes ------------------------------------------------------------------------------------------------

REF, BACKREF = (5, b.ROOT_REF, S), (S, b.ROOT_BACKREF, 5)


@case('a subvolume without ROOT_REF', 'root-ref-one-way')
def _(e):
    e.drop(b.ROOT_TREE, REF)


@case('a subvolume without ROOT_BACKREF', 'root-ref-one-way subvol-without-name')
def _(e):
    e.drop(b.ROOT_TREE, BACKREF)


@case('a subvolume without either', 'subvol-without-name')
def _(e):
    e.drop(b.ROOT_TREE, REF, BACKREF)


@case('ROOT_REF and ROOT_BACKREF disagree', 'root-refs-disagree')
def _(e):
    e.patch(b.ROOT_TREE, REF, 8, 'Q', 99)


@case('the entry of a subvolume is missing', 'subvol-entry-missing')
def _(e):
    e.drop(5, entry(e, 5, b.DIR_INDEX, b's')[0], entry(e, 5, b.DIR_ITEM, b's')[0])


@case('an entry leads to a subvolume that is not there', 'subvol-entry-dangles')
def _(e):
    for kind in (b.DIR_INDEX, b.DIR_ITEM):
        e.patch(5, entry(e, 5, kind, b's')[0], 0, 'Q', 999)


@case('an entry for a subvolume that nobody knows of', 'subvol-entry-dangles')
def _(e):
    e.add(S, (256, b.DIR_INDEX, 999), dir_entry(999, b'ghost', 2, b.ROOT_ITEM))
    e.add(S, (256, b.DIR_ITEM, b.name_hash(b'ghost')), dir_entry(999, b'ghost', 2, b.ROOT_ITEM))
    inode(e, S, 256, size=lambda n: n + 10)


@case('a snapshot has an entry of a subvolume in what it was taken from', '-')
def _(e):
    e.add(S, (256, b.DIR_INDEX, 999), dir_entry(999, b'ghost', 2, b.ROOT_ITEM))
    e.add(S, (256, b.DIR_ITEM, b.name_hash(b'ghost')), dir_entry(999, b'ghost', 2, b.ROOT_ITEM))
    inode(e, S, 256, size=lambda n: n + 10)
    e.rekey(b.ROOT_TREE, (S, b.ROOT_ITEM, 0), (S, b.ROOT_ITEM, 1))


@case('directories in a circle', 'dir-loop')
def _(e):
    reparent(e, e.ino(S, 'dir/below'), e.ino(S, 'dir/below/deep'), b'below')


@case('a subvolume is not there, its references are', 'root-ref-dangles')
def _(e):
    e.drop(b.ROOT_TREE, e.roots()[S][0])


@case('a deleted subvolume without an ORPHAN item', 'root-orphan-missing')
def _(e):
    e.drop(b.ROOT_TREE, REF, BACKREF)
    e.drop(5, entry(e, 5, b.DIR_INDEX, b's')[0], entry(e, 5, b.DIR_ITEM, b's')[0])
    inode(e, 5, 256, size=lambda n: n - 2)
    root_item(e, S, refs=0)
    if b.UUID_TREE in e.roots():
        e.drop(b.UUID_TREE, *[key for key, data in e.items(b.UUID_TREE, b.UUID_SUBVOL) if data == struct.pack('<Q', S)])


def deleted(e):
    e.drop(b.ROOT_TREE, REF, BACKREF)
    e.drop(5, entry(e, 5, b.DIR_INDEX, b's')[0], entry(e, 5, b.DIR_ITEM, b's')[0])
    inode(e, 5, 256, size=lambda n: n - 2)
    root_item(e, S, refs=0)
    e.add(b.ROOT_TREE, (b.ORPHAN, b.ORPHAN_ITEM, S), b'')
    if b.UUID_TREE in e.roots():
        e.drop(b.UUID_TREE, *[key for key, data in e.items(b.UUID_TREE, b.UUID_SUBVOL) if data == struct.pack('<Q', S)])


@case('a deleted subvolume', '-')
def _(e):
    deleted(e)


# Linux drops what it had not written yet of a deleted subvolume's inodes: sizes, link counts, directory indexes.
@case('a deleted subvolume whose last changes were never written', '-')
def _(e):
    deleted(e)
    inode(e, S, 'file', size=4096, nbytes=lambda n: n + 4096)
    inode(e, S, 'small', nlink=3)
    e.drop(S, entry(e, S, b.DIR_INDEX, b'alpha')[0])
    e.add(S, (b.ORPHAN, b.ORPHAN_ITEM, 5000), b'')


@case('an extent in a deleted subvolume that is not in the extent tree', 'extent-missing')
def _(e):
    deleted(e)
    one = e.extents(S, e.ino(S, 'file'))[0][1]
    e.drop(b.EXTENT_TREE, (one.logical, b.EXTENT_ITEM, one.disk_bytes))


@case('a bad inode that a deleted and a living subvolume share', 'dir-size-wrong')
def _(e):
    deleted(e)
    inode(e, 257, 256, size=6)
    root = e.get(b.ROOT_TREE, e.roots()[257][0])
    root_item(e, S, bytenr=struct.unpack_from('<Q', root, 176)[0])


@case('an ORPHAN item of a subvolume that is not there', 'root-orphan-dangles')
def _(e):
    e.add(b.ROOT_TREE, (b.ORPHAN, b.ORPHAN_ITEM, 4321), b'')


@case('drop_progress of a living subvolume', 'root-drop-progress-wrong')
def _(e):
    root_item(e, S, drop_objectid=300)


@case('a drop level over the limit', 'root-item-bad')
def _(e):
    root_item(e, S, drop_level=200)


@case('the generation of a root from the future', 'root-item-bad')
def _(e):
    root_item(e, S, generation=1 << 40)


@case('the generation of a root is old', 'block-unreadable')
def _(e):
    root_item(e, S, generation=lambda n: n - 1)


@case('the level of a root', 'block-unreadable')
def _(e):
    root_item(e, S, level=3)


@case('a root item with another top directory', 'root-dirid-wrong')
def _(e):
    root_item(e, S, dirid=300)


@case('unknown flags of a root', 'root-item-bad')
def _(e):
    root_item(e, S, flags=1 << 20)


@case('two root items of one subvolume', 'root-item-twice')
def _(e):
    key, data = e.roots()[S]
    e.add(b.ROOT_TREE, (S, b.ROOT_ITEM, 1), data)


@case('a deletion that has come to no place', 'root-drop-progress-wrong')
def _(e):
    deleted(e)
    root_item(e, S, drop_objectid=1 << 50, drop_level=7)


@case('two subvolumes with one uuid', 'uuid-twice')
def _(e):
    uuid = e.get(b.ROOT_TREE, e.roots()[S][0])[247:263]
    root_item(e, 257, uuid=uuid)
    old = [key for key, data in e.items(b.UUID_TREE, b.UUID_SUBVOL) if data == struct.pack('<Q', 257)]
    e.drop(b.UUID_TREE, *old)
    key = struct.unpack('<QQ', uuid)
    e.set(b.UUID_TREE, (key[0], b.UUID_SUBVOL, key[1]), struct.pack('<QQ', S, 257))


@case('the uuid tree names a subvolume that is not there', 'uuid-item-dangles')
def _(e):
    e.patch(b.UUID_TREE, e.first(b.UUID_TREE, b.UUID_SUBVOL)[0], 0, 'Q', 999)


@case('the uuid tree lacks a subvolume', 'uuid-item-missing')
def _(e):
    e.drop(b.UUID_TREE, next(key for key, data in e.items(b.UUID_TREE, b.UUID_SUBVOL) if data == struct.pack('<Q', S)))


@case('the default subvolume is not there', 'default-subvol-missing')
def _(e):
    e.patch(b.ROOT_TREE, e.first(b.ROOT_TREE, b.DIR_ITEM)[0], 0, 'Q', 999)


@case('an empty subvolume', 'subvol-empty')
def _(e):
    e.header(e.place(S)[0], nritems=0)


# --- Free space ------------------------------------------------------------------------------------------------

@case('a free space extent of the wrong length', 'free-space-item-bad')
def _(e):
    key, data = e.first(b.FREE_SPACE_TREE, b.FREE_EXTENT)
    e.rekey(b.FREE_SPACE_TREE, key, (key[0], key[1], key[2] + 13))


@case('a free space extent that is too long', 'free-space-item-misfit')
def _(e):
    key, data = [(key, data) for key, data in e.items(b.FREE_SPACE_TREE, b.FREE_EXTENT)][-1]
    e.rekey(b.FREE_SPACE_TREE, key, (key[0], key[1], key[2] + (1 << 30)))


@case('a free space extent is lost', 'free-space-lost free-space-count-wrong')
def _(e):
    e.drop(b.FREE_SPACE_TREE, e.first(b.FREE_SPACE_TREE, b.FREE_EXTENT)[0])


@case('free space in use', 'free-space-in-use')
def _(e):
    key, data = e.first(b.FREE_SPACE_TREE, b.FREE_EXTENT)
    e.rekey(b.FREE_SPACE_TREE, key, (key[0] - e.node, key[1], key[2] + e.node))


@case('free space information is missing', 'free-space-info-missing')
def _(e):
    e.drop(b.FREE_SPACE_TREE, e.first(b.FREE_SPACE_TREE, b.FREE_INFO)[0])


@case('free space of no block group, as mkfs.btrfs leaves it', 'free-space-without-group')
def _(e):
    e.add(b.FREE_SPACE_TREE, (65536, b.FREE_INFO, 65536), struct.pack('<II', 1, 0))
    e.add(b.FREE_SPACE_TREE, (65536, b.FREE_EXTENT, 65536), b'')


@case('free space of no block group', 'free-space-outside')
def _(e):
    end = max(c.end for c in e.chunks.values())
    e.add(b.FREE_SPACE_TREE, (end, b.FREE_INFO, 8 << 20), struct.pack('<II', 1, 0))
    e.add(b.FREE_SPACE_TREE, (end, b.FREE_EXTENT, 8 << 20), b'')


@case('a count of free space', 'free-space-count-wrong')
def _(e):
    key, data = e.first(b.FREE_SPACE_TREE, b.FREE_INFO)
    e.patch(b.FREE_SPACE_TREE, key, 0, 'I', 9)


def to_bitmap(e, skip=0):
    """The free space of one group as bitmaps."""
    key, data = next((key, data) for key, data in e.items(b.FREE_SPACE_TREE, b.FREE_INFO)
                     if struct.unpack('<II', data)[0])
    start, end = key[0], key[0] + key[2]
    free = [(k[0], k[0] + k[2]) for k, _ in e.items(b.FREE_SPACE_TREE, b.FREE_EXTENT) if start <= k[0] < end]
    e.drop(b.FREE_SPACE_TREE, *[(lo, b.FREE_EXTENT, hi - lo) for lo, hi in free])
    e.set(b.FREE_SPACE_TREE, key, struct.pack('<II', len(free), 1))
    span = 256 * 8 * e.sector
    for at in range(start, end, span):
        size = min(span, end - at)
        bits = bytearray((size // e.sector + 7) // 8)
        for lo, hi in free:
            for s in range(max(lo, at), min(hi, at + size), e.sector):
                if s >= lo + skip:
                    bits[(s - at) // e.sector // 8] |= 1 << (s - at) // e.sector % 8
        e.add(b.FREE_SPACE_TREE, (at, b.FREE_BITMAP, size), bytes(bits))


@case('free space as bitmaps', '-')
def _(e):
    to_bitmap(e)


@case('a bit of free space is wrong', 'free-space-lost')
def _(e):
    to_bitmap(e, skip=4096)


@case('a bitmap of the wrong size', 'free-space-item-bad')
def _(e):
    to_bitmap(e)
    key, data = e.first(b.FREE_SPACE_TREE, b.FREE_BITMAP)
    e.set(b.FREE_SPACE_TREE, key, data + b'\0')


# --- Several devices -------------------------------------------------------------------------------------------

for base in ('raid1', 'raid10', 'raid5', 'raid6'):
    @case('a device of %s is missing' % base, 'device-missing', on=base, options=['--data'])
    def _(e):
        os.unlink(e.devices[2].path)

    @case('sound, on ' + base, '-', on=base, options=['--data'])
    def _(e):
        pass


@case('sub_stripes of raid10', 'cannot-open', on='raid10')
def _(e):
    e.patch(b.CHUNK_TREE, chunk_key(e), *CHUNK['sub_stripes'], 1)


@case('an odd number of stripes of raid10', 'cannot-open', on='raid10')
def _(e):
    key = chunk_key(e)
    data = e.get(b.CHUNK_TREE, key)
    e.set(b.CHUNK_TREE, key, data[:44] + struct.pack('<H', 3) + data[46:-32])


@case('stripes of one chunk of raid1 on one device', 'stripes-on-one-device', on='raid1')
def _(e):
    key = chunk_key(e)
    data = bytearray(e.get(b.CHUNK_TREE, key))
    data[48 + 32:48 + 40], data[48 + 48:48 + 64] = data[48:56], data[48 + 16:48 + 32]
    e.set(b.CHUNK_TREE, key, bytes(data))


@case('the first superblock is zeroed', 'super-copy-bad', on='raid1')
def _(e):
    with open(e.devices[1].path, 'r+b') as f:
        f.seek(65536)
        f.write(bytes(4096))


@case('the first superblock is rotten', 'super-copy-bad', on='raid1')
def _(e):
    with open(e.devices[1].path, 'r+b') as f:
        f.seek(65536 + 3000)
        f.write(b'rotten')


@case('both superblocks of one device are rotten', 'device-unusable device-missing', on='raid1')
def _(e):
    for at in b.SUPER_AT[:2]:
        with open(e.devices[1].path, 'r+b') as f:
            f.seek(at + 3000)
            f.write(b'rotten')


@case('the second superblock is zeroed', 'super-copy-missing', on='raid1')
def _(e):
    with open(e.devices[1].path, 'r+b') as f:
        f.seek(64 << 20)
        f.write(bytes(4096))


@case('the second superblock is stale', 'super-generation-differs', on='raid1')
def _(e):
    e.set_super(only=1, generation=e.super.generation - 1, chunk_root_generation=e.super.generation - 1)


@case('the second superblock differs', 'super-copy-differs', on='raid1')
def _(e):
    e.set_super(only=1, bytes_used=1)


@case('the superblock of one device is that of the other', 'refused', on='raid1')
def _(e):
    raw = e.devices[2].read(65536, 4096)
    with open(e.devices[1].path, 'r+b') as f:
        f.seek(65536)
        f.write(raw)


@case('a mkfs that was interrupted', 'refused')
def _(e):
    e.set_super(magic=b'!BHRfS_M')


@case('two devices of raid6 are missing', 'device-missing', on='raid6', options=['--data'])
def _(e):
    os.unlink(e.devices[2].path)
    os.unlink(e.devices[4].path)


@case('two devices of raid5 are missing', 'cannot-open', on='raid5')
def _(e):
    os.unlink(e.devices[2].path)
    os.unlink(e.devices[3].path)


for base, parity in (('raid5', 1), ('raid6', 2)):
    for which in range(parity):
        @case('stale %s of metadata on %s' % ('PQ'[which], base), 'block-copy-bad', on=base)
        def _(e, which=which):
            leaf = list(e.leaves(5))[0][1]
            chunk = e.chunk_of(leaf.logical)
            [(index, physical)], _ = chunk.places(leaf.logical)
            row, n = (leaf.logical - chunk.start) // b.STRIPE // chunk.data_stripes, len(chunk.stripes)
            target = (chunk.data_stripes + which + row) % n
            at = chunk.stripes[target][1] + row * b.STRIPE + (leaf.logical - chunk.start) % b.STRIPE
            with open(e.devices[chunk.stripes[target][0]].path, 'r+b') as f:
                f.seek(at)
                f.write(b'\x99' * e.node)


# --- Running ---------------------------------------------------------------------------------------------------

def run(btrkit, scratch, spec):
    name, codes, base, options, path, make = spec
    source = sorted(glob.glob('%s/%s.[0-9]' % (scratch, base)))
    if not source:
        return 'skip', 'needs the filesystem "%s"' % base
    paths = []
    for image in source:
        paths.append(image + '.damaged')
        subprocess.run(['cp', '--sparse=always', image, paths[-1]], check=True)
    try:
        e = treeedit.Editor(paths)
        more = make(e) or []
        for device in e.devices.values():
            os.close(device.fd)
        left = [p for p in paths if os.path.exists(p)]
        try:
            done = subprocess.run([btrkit, 'check', '--json', '--no-scan'] + options + more + left, capture_output=True, timeout=60)
        except subprocess.TimeoutExpired:
            return 'fail', ['hangs']
    finally:
        for p in paths:
            if os.path.exists(p):
                os.unlink(p)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    found = [problem for problem in found if problem['type'] == 'problem']
    said = {problem['code'] for problem in found}
    worst = 4 if any(problem['severity'] in ('error', 'fatal') for problem in found) else 0
    text = ['%s: %s %s' % (p['code'], p["text"], p.get('paths', '')) for p in found][:12]
    text += done.stderr.decode(errors='replace').splitlines()[:5]
    complaints = []
    if codes == ['refused']:
        return ('ok', None) if done.returncode == 8 and not found else ('fail', ['exit status %d' % done.returncode] + text)
    if done.returncode != worst:
        complaints.append('exit status %d, %d by the problems' % (done.returncode, worst))
    if codes == ['-']:
        bad = [p['code'] for p in found if p['severity'] != 'note']
        if bad:
            complaints.append('sound, but: ' + ' '.join(bad))
    else:
        missing = [code for code in codes if code not in said]
        if missing:
            complaints.append('not said: ' + ' '.join(missing))
    if path and not any(p.startswith(path) for problem in found for p in problem.get('paths', [])):
        complaints.append('no problem names ' + path)
    return ('fail', complaints + text) if complaints else ('ok', None)


def main(argv):
    btrkit, scratch, wanted = argv[1], argv[2], argv[3:]
    failed = count = 0
    for spec in CASES:
        if wanted and not any(w in spec[0] for w in wanted):
            continue
        count += 1
        try:
            result, why = run(btrkit, scratch, spec)
        except Exception as error:  # the damage could not be made
            result, why = 'fail', ['not made: %s: %s' % (type(error).__name__, error)]
        label = '%s: %s' % (spec[0], ' '.join(spec[1]) if spec[1] != ['-'] else 'sound')
        if result == 'skip':
            print('ok %d - %s # SKIP %s' % (count, label, why))
        else:
            print('%sok %d - %s' % ('not ' if result == 'fail' else '', count, label))
        failed += result == 'fail'
        for line in why if result == 'fail' else []:
            print('#   ' + line)
        sys.stdout.flush()
    print('1..%d' % count)
    return failed != 0


if __name__ == '__main__':
    sys.exit(main(sys.argv))
