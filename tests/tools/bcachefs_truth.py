#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What was extracted from a bcachefs volume, compared with what its own tools have said of it.

  bcachefs_truth.py tree MANIFEST DIR [LOST]   all columns of manifest.txt but what it could not enter, and contents of paths in LOST
  bcachefs_truth.py lost LIST LISTING DEVICE ERRORS PATHS
                files that have data on this device alone are those that ERRORS of restore name; writes them to PATHS
  bcachefs_truth.py xattrs LIST LISTING DIR [JOURNAL]
                attributes in list.txt, which tools of 2020 wrote without regard of journal.txt, and cut off; LISTING: of
                btrkit ls -R --json
  bcachefs_truth.py names LIST SUBVOL DIR      names of a subvolume, worked out from list.txt alone

Differences are printed, one to a line; exit status 1 if there are any.
"""
import hashlib
import json
import os
import re
import stat
import sys

TYPES = {stat.S_IFREG: 'f', stat.S_IFDIR: 'd', stat.S_IFLNK: 'l', stat.S_IFIFO: 'p', stat.S_IFCHR: 'c',
         stat.S_IFBLK: 'b', stat.S_IFSOCK: 's'}
TEXT_BYTES = 25  # of a key that tools of 2020 show at least


def lines_of(path):
    with open(path, 'rb') as f:
        return f.read().decode('utf-8', 'surrogateescape').splitlines()


def line_of(root, path):
    full = root if path == '/' else root + path
    st = os.lstat(full)
    kind = TYPES[stat.S_IFMT(st.st_mode)]
    device = '%d:%d' % (os.major(st.st_rdev), os.minor(st.st_rdev)) if kind in 'bc' else '-'
    digest = '-'
    if kind == 'f':
        with open(full, 'rb') as f:
            digest = hashlib.sha256(f.read()).hexdigest()
    return [path, kind, '%o' % stat.S_IMODE(st.st_mode), str(st.st_uid), str(st.st_gid),
            '0' if kind == 'd' else str(st.st_size), str(st.st_nlink), str(st.st_mtime_ns), device,
            os.readlink(full) if kind == 'l' else '-', digest]


def paths_below(root):
    for folder, dirs, files in os.walk(root):
        relative = folder[len(root):]
        for name in dirs + files:
            yield relative + '/' + name


def tree(manifest, root, lost=None):
    wanted, unknown = {}, set()
    no_contents = set(lines_of(lost)) if lost else set()
    for line in lines_of(manifest):
        fields = line.split('\t')
        if line.startswith('#') or not line:
            continue
        if fields[1].startswith('ERR'):
            unknown.add(fields[0])
            continue
        if fields[1] == 'd':
            fields[5] = '0'
        wanted[fields[0]] = fields
    bad = []
    for path in ['/'] + sorted(paths_below(root)):
        if any(path == u or path.startswith(u + '/') for u in unknown):
            wanted.pop(path, None)
            continue
        found = line_of(root, path)
        expected = wanted.pop(path, None)
        # Tools before 1.31 gave links a NUL behind the target, and counted it. No other filesystem has such.
        if expected and expected[1] == 'l' and int(expected[5]) == len(os.fsencode(expected[9])) + 1:
            expected[5] = str(int(expected[5]) - 1)
        if expected and path == '/' and unknown:
            expected[6] = found[6]  # links of the top: with subvolumes or without, as the tool had it
        if expected and path in no_contents and found[10] != expected[10]:
            found[10] = expected[10]
        if found != expected:
            bad.append('found    %s\nexpected %s' % ('\t'.join(found), '\t'.join(expected) if expected else 'nothing'))
    return bad + ['missing  ' + path for path in wanted if not (path in no_contents and wanted[path][1] == 'l')]


def keys_of(listing, kind, before=''):
    """Inode, offset, snapshot and the text of each key of a type."""
    at = re.compile(before + r'u64s \d+ type %s (\d+):(\d+)(?:(?::| snap )(U32_MAX|\d+))?(?: len \d+ ver [\d:]+)?:? ?(.*)' % kind)
    for line in lines_of(listing):
        match = at.match(line)
        if match:
            snapshot = 0xffffffff if match[3] == 'U32_MAX' else int(match[3] or 0)
            yield int(match[1]), int(match[2]), snapshot, match[4]


def xattrs(listing, ls, root, journal=None):
    keys = {key[:2]: key[3] for key in keys_of(listing, 'xattr')}
    if journal:
        for inode, offset, _, text in keys_of(journal, '(?:xattr|deleted|hash_whiteout)', ' *btree xattrs l 0: '):
            keys[inode, offset] = text
    cut = TEXT_BYTES if journal else None
    wanted = {(key[0], text[:cut]) for key, text in keys.items() if text}
    found = set()
    for line in lines_of(ls):
        entry = json.loads(line)
        path = root + entry['path']
        for name in os.listxattr(path, follow_symlinks=False):
            value = os.getxattr(path, name, follow_symlinks=False).decode('utf-8', 'surrogateescape')
            found.add((entry['inode'], (name + ':' + value.split('\0')[0])[:cut]))  # as much as the list shows
    if not wanted:
        return ['no attributes in ' + listing]
    return ['found    %d %s' % pair for pair in sorted(found - wanted)] + \
        ['missing  %d %s' % pair for pair in sorted(wanted - found)]


def lost(listing, ls, device, errors, paths):
    inode, devices, inodes = 0, set(), set()
    for line in lines_of(listing) + ['u64s']:
        pointer = re.match(r'  ptr: \S+ (\d+):\d+:\d+ gen', line)
        if pointer:
            devices.add(pointer[1])
        elif line.startswith('u64s'):
            if devices == {device} and inode:
                inodes.add(inode)
            extent = re.match(r'u64s \d+ type extent (\d+):', line)
            inode, devices = int(extent[1]) if extent else 0, set()
    entries = [json.loads(line) for line in lines_of(ls)]
    by_path = {entry['path']: entry['inode'] for entry in entries}
    with open(paths, 'w') as f:
        f.writelines(entry['path'] + '\n' for entry in entries if entry['inode'] in inodes)
    said = [re.match('btrkit restore: error: ([^:]*): .*missing$', line) for line in lines_of(errors) if ' error: ' in line]
    named = [by_path.get('/' + match[1]) if match else None for match in said]
    return ['lost and not said: %d' % inode for inode in inodes - set(named)] + \
        ['said and not lost: %s' % inode for inode in set(named) - inodes] + \
        ([] if inodes and len(named) == len(inodes) else ['%d lines for %d files' % (len(named), len(inodes))])


def names(listing, subvol, root):
    parents = {key[1]: int(re.search(r'parent +(\d+)', key[3])[1]) for key in keys_of(listing, 'snapshot')}
    subvols = {key[1]: key[3] for key in keys_of(listing, 'subvolume')}
    text = subvols[int(subvol)]
    top, snapshot = int(re.search(r'root (\d+)', text)[1]), int(re.search(r'snapshot id (\d+)', text)[1])
    seen = []
    while snapshot:
        seen.append(snapshot)
        snapshot = parents.get(snapshot, 0)
    entries = {}
    for kind in ('dirent', 'hash_whiteout', 'whiteout'):
        for inode, offset, of, text in keys_of(listing, kind):
            if of in seen or of == 0:
                rank = seen.index(of) if of in seen else len(seen)
                if (inode, offset) not in entries or entries[inode, offset][0] > rank:
                    entries[inode, offset] = (rank, kind, text)
    below = {}
    for (inode, _), (_, kind, text) in entries.items():
        match = re.match(r'(.*) -> (\d+)(?: type (\S+))?', text) if kind == 'dirent' else None
        if match:
            below.setdefault(inode, []).append((match[1], int(match[2]), match[3]))
    wanted, queue = set(), [('', top)]
    while queue:
        path, inode = queue.pop()
        for name, child, kind in below.get(inode, []):
            if kind == 'subvol' or ' -> ' in name:
                continue
            wanted.add(path + '/' + name)
            if kind == 'dir':
                queue.append((path + '/' + name, child))
    found = set(paths_below(root))
    return ['found    ' + path for path in sorted(found - wanted)] + ['missing  ' + path for path in sorted(wanted - found)]



if len(sys.argv) < 4 or sys.argv[1] not in ('tree', 'lost', 'xattrs', 'names'):
    sys.exit(__doc__)
differences = globals()[sys.argv[1]](*sys.argv[2:])
if differences:
    print('\n'.join(d.encode('utf-8', 'backslashreplace').decode() for d in differences[:20]))
sys.exit(bool(differences))
