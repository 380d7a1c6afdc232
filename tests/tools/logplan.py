#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the files will be after the replay of a log, foretold from its plan.

  logplan.py BTRKIT SCRATCH FOLDER...

Each folder holds crash.img.xz, committed (the manifest without replay) and truth (what Linux showed after it). The inode
numbers come from `btrkit ls`, what happens from `btrkit log show`, contents from `btrkit log export`. Prints "ok NAME", or
"not ok NAME" and why. A manifest is what ../shared/oracle/fsmanifest prints.
"""
import hashlib, json, lzma, os, shutil, subprocess, sys

TOP = (5, 256)
KINDS = {'file': 'f', 'directory': 'd', 'symlink': 'l', 'fifo': 'p', 'socket': 's', 'chardev': 'c', 'blockdev': 'b'}


def raw(text):
    return text.encode('utf-8', 'surrogateescape')


def escaped(name):
    return ''.join(chr(c) if 33 <= c < 127 and c != 0x5c else '\\x%02x' % c for c in name)


def shown_value(value):
    return value.hex() if len(value) <= 64 else 'sha256:' + hashlib.sha256(value).hexdigest()


class Node:
    def __init__(self):
        self.kind, self.mode, self.uid, self.gid = 'f', 0, 0, 0
        self.nlink, self.size, self.mtime, self.rdev = 1, 0, 0, '-'
        self.target, self.sha, self.xattrs = '-', '-', {}
        self.names = {}  # of a directory: name -> node id

    @classmethod
    def from_row(cls, row):
        node = cls()
        _, stat, node.target, node.sha, xattrs, _ = row
        node.kind, mode, uid, gid, nlink, size, mtime, node.rdev = stat.split(' ')
        node.mode, node.uid, node.gid, node.mtime = int(mode, 8), int(uid), int(gid), int(mtime)
        node.nlink = 1 if nlink == '-' else int(nlink)
        node.size = 0 if size == '-' else int(size)
        if xattrs != '-':
            node.xattrs = dict(pair.split('=', 1) for pair in xattrs.split(','))
        return node

    def take_item(self, item):
        self.kind, self.mode, self.uid, self.gid = KINDS[item['type']], item['mode'], item['uid'], item['gid']
        self.size, self.nlink = item['size_bytes'], item['nlink']
        self.mtime = item['mtime']['sec'] * 10**9 + item['mtime']['nsec']
        if 'rdev_major' in item:
            self.rdev = '%d:%d' % (item['rdev_major'], item['rdev_minor'])

    def row(self, path, group):
        is_dir = self.kind == 'd'
        stat = [self.kind, '%04o' % self.mode, str(self.uid), str(self.gid), '-' if is_dir else str(self.nlink),
                '-' if is_dir else str(self.size), str(self.mtime), self.rdev]
        xattrs = ','.join('%s=%s' % pair for pair in sorted(self.xattrs.items())) or '-'
        return '\t'.join([escaped(path), ' '.join(stat), self.target, self.sha, xattrs, escaped(group) if group else '-'])


class Wrong(Exception):
    pass


def expect(holds, text):
    if not holds:
        raise Wrong(text)


def committed_tree(manifest, listing):
    rows = {row[0]: row for row in (line.split('\t') for line in manifest)}
    nodes, ids = {TOP: Node.from_row(rows['.'])}, {b'': TOP}
    for entry in listing:
        path = raw(entry['path']).strip(b'/')
        ids[path] = (entry['subvolume'], entry['inode'])
        nodes.setdefault(ids[path], Node.from_row(rows[escaped(path)]))
    for path, ident in ids.items():
        if path:
            parent, _, name = path.rpartition(b'/')
            nodes[ids[parent]].names[name] = ident
    return nodes


def take_step(nodes, step):
    ident = (step['subvolume'], step['inode'])
    action = step['action']
    if action == 'create':
        nodes[ident] = Node()
    node = nodes[ident]
    if action in ('create', 'set'):
        node.take_item(step['item'])
    elif action in ('link', 'unlink'):
        names = nodes[(step['subvolume'], step['directory'])].names
        name = raw(step['name'])
        if action == 'link':
            expect(name not in names, 'linked twice: %r' % name)
            names[name] = ident
        else:
            expect(names.get(name) == ident, 'not there: %r' % name)
            del names[name]
    elif action == 'set-links':
        node.nlink = step['nlink']
    elif action == 'set-xattr':
        node.xattrs[escaped(raw(step['name']))] = shown_value(raw(step['value']))
    elif action == 'delete-xattr':
        del node.xattrs[escaped(raw(step['name']))]
    elif action == 'orphan':
        expect(node.nlink == 0, 'an orphan with links')


def take_contents(nodes, inodes, subvols, export):
    """Contents as they were exported; whatever the log does not touch keeps its own."""
    for inode in inodes:
        node = nodes[(inode['subvolume'], inode['inode'])]
        if 'path_after' not in inode or node.kind not in 'fl':
            continue
        prefix = subvols[inode['subvolume']]
        path = raw(inode['path_after'])[len(prefix):]
        place = os.path.join(os.fsencode(export), b'%d' % inode['subvolume'] + path)
        if not os.path.lexists(place):
            changed = 'before' not in inode or inode['before']['size_bytes'] != inode['after']['size_bytes']
            expect(not (changed or inode['extents'] or inode['ranges_dropped']), 'not exported: %r' % place)
            continue
        if node.kind == 'l':
            node.target = escaped(os.readlink(place))
        else:
            with open(place, 'rb') as file:
                contents = file.read()
            expect(len(contents) == node.size, 'exported %d bytes of %d' % (len(contents), node.size))
            node.sha = hashlib.sha256(contents).hexdigest()


def walk(nodes, ident, path):
    yield path, nodes[ident], ident
    for name, inner in nodes[ident].names.items():
        yield from walk(nodes, inner, path + b'/' + name if path != b'.' else name)


def foretell(manifest, listing, log, export):
    """The rows of the manifest, and the paths that the log says will be there."""
    nodes = committed_tree(manifest, listing)
    subvols = {e['subvolume']: raw(e['path']).rstrip(b'/') for e in log if e['type'] == 'subvolume'}
    inodes = [e for e in log if e['type'] == 'inode']
    for entry in log:
        expect(entry['type'] != 'loss', 'a loss: ' + entry.get('text', ''))
        if entry['type'] == 'step':
            take_step(nodes, entry)
    take_contents(nodes, inodes, subvols, export)
    rows = sorted(walk(nodes, TOP, b'.'), key=lambda row: row[0])
    first, paths = {}, {}
    for path, node, ident in rows:
        paths.setdefault(ident, set()).add(b'/' if path == b'.' else b'/' + path)
        if node.kind != 'd' and node.nlink > 1:
            first.setdefault(ident, path)
    for inode in inodes:
        ident = (inode['subvolume'], inode['inode'])
        path = raw(inode['path_after']) if 'path_after' in inode else None
        expect(path in paths.get(ident, {None}), 'inode %d is not at %r' % (ident[1], path))
    return [node.row(path, first.get(ident) if node.kind != 'd' else None) for path, node, ident in rows]


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True, errors='surrogateescape')
    expect(done.returncode == 0, '%s: status %d: %s' % (command[1:3], done.returncode, done.stderr))
    return done.stdout.splitlines()


def check(btrkit, scratch, folder):
    image, export = os.path.join(scratch, 'image'), os.path.join(scratch, 'export')
    shutil.rmtree(export, ignore_errors=True)
    with lzma.open(os.path.join(folder, 'crash.img.xz')) as packed, open(image, 'wb') as file:
        while piece := packed.read(1 << 20):
            if piece.count(0) == len(piece):
                file.seek(len(piece), 1)
            else:
                file.write(piece)
        file.truncate(packed.tell())
    manifest, truth = (open(os.path.join(folder, name)).read().splitlines() for name in ('committed', 'truth'))
    listing = [json.loads(line) for line in run(btrkit, 'ls', '--json', '--long', '--recursive', image)]
    log = [json.loads(line) for line in run(btrkit, 'log', 'show', '--json', image)]
    run(btrkit, 'log', 'export', export, image)
    rows = foretell(manifest, listing, log, export)
    expect(rows == truth, '\n'.join(['- ' + row for row in rows if row not in truth] +
                                    ['+ ' + row for row in truth if row not in rows]))


def main(btrkit, scratch, *folders):
    for folder in folders:
        name = os.path.basename(folder.rstrip('/'))
        try:
            check(btrkit, scratch, folder)
            print('ok', name)
        except (Wrong, KeyError, OSError, ValueError) as why:
            print('not ok', name)
            print('\n'.join('# ' + line for line in ('%s: %s' % (type(why).__name__, why)).splitlines()))


main(*sys.argv[1:])
