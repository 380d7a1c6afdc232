#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""stale_leaf.py IMAGE: data in a leaf that only the tree of an unfinished relocation has becomes reserved space there.

Linux leaves that where a write to reserved space was under way when the relocation began: its tree is as old as the commit
before. Prints the address of the leaf; nothing where there is none.
"""
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, sys.path[0] + '/../tools')
import btrfsread as b
import treeedit

TYPE_AT, REGULAR, RESERVED = 20, 1, 2


def main(path):
    editor = treeedit.Editor([path])
    tree_reloc = 2 ** 64 - 8
    if tree_reloc not in editor.roots():
        return
    current = {leaf.logical for _, leaf in editor.leaves(5)}
    for _, leaf in editor.leaves(tree_reloc):
        items = list(leaf.items())
        for i, (key, data) in enumerate(items):
            if leaf.logical not in current and key[1] == b.EXTENT_DATA and data[TYPE_AT] == REGULAR and any(data[21:29]):
                items[i] = key, data[:TYPE_AT] + bytes([RESERVED]) + data[TYPE_AT + 1:]
                editor.write_block(leaf.logical, editor.pack(leaf, items))
                print(leaf.logical)
                return


main(sys.argv[1])
