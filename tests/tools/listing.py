#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What `btrkit ls` has to print, from what stat(2) says of a mounted filesystem.

  listing.py text DIR     as `btrkit ls -lR` prints it
  listing.py rows DIR     one line for each file: path, type, numbers, times, target
  listing.py json         the same from the output of `btrkit ls --json -lR` on standard input

Subvolumes that are not there (inode 2) have neither times nor owners of their own: only their names are shown.
"""
import json
import os
import stat
import sys
import time

KINDS = {stat.S_IFREG: 'file', stat.S_IFDIR: 'directory', stat.S_IFLNK: 'symlink', stat.S_IFCHR: 'chardev',
         stat.S_IFBLK: 'blockdev', stat.S_IFIFO: 'fifo', stat.S_IFSOCK: 'socket'}


def row(path, kind, inode, *about):
    return '\t'.join(map(str, (ascii(path), kind, inode) + (about if inode != 2 else ())))


def rows_of(top):
    for folder, dirs, files in os.walk(top):
        for name in dirs + files:
            full = os.path.join(folder, name)
            s = os.lstat(full)
            is_link, is_device = stat.S_ISLNK(s.st_mode), stat.S_IFMT(s.st_mode) in (stat.S_IFCHR, stat.S_IFBLK)
            yield row(full[len(top):], KINDS[stat.S_IFMT(s.st_mode)], s.st_ino, stat.S_IMODE(s.st_mode), s.st_nlink,
                      s.st_uid, s.st_gid, s.st_size, s.st_blocks * 512, s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns,
                      '%d:%d' % (os.major(s.st_rdev), os.minor(s.st_rdev)) if is_device else '-',
                      ascii(os.readlink(full)) if is_link else '-')


def rows_of_json(lines):
    for line in lines:
        e = json.loads(line)
        if e['inode'] == 2:
            yield row(e['path'], e['type'], 2)
            continue
        times = [e[t]['sec'] * 10**9 + e[t]['nsec'] for t in ('atime', 'mtime', 'ctime')]
        yield row(e['path'], e['type'], e['inode'], e['mode'], e['nlink'], e['uid'], e['gid'], e['size_bytes'],
                  -(-e['allocated_bytes'] // 4096) * 4096, *times,
                  '%d:%d' % (e['rdev_major'], e['rdev_minor']) if e['type'].endswith('dev') else '-',
                  ascii(e['target']) if 'target' in e else '-')


def escaped(name):
    return b''.join(b'\\\\' if c == 92 else b'\\x%02x' % c if c < 32 or c == 127 else bytes([c]) for c in name)


def text_of(top, folder=b''):
    names = sorted(os.listdir(os.path.join(top, folder)))
    yield b'/' + escaped(folder) + b':'
    inner = []
    for name in names:
        path = os.path.join(folder, name)
        full = os.path.join(top, path)
        s = os.lstat(full)
        mode = stat.filemode(s.st_mode)
        size = str(s.st_size)
        if mode[0] in 'bc':
            size = '%d, %d' % (os.major(s.st_rdev), os.minor(s.st_rdev))
        when = time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(s.st_mtime_ns // 10**9))
        about = '%s %3d %5d %5d %10s %s ' % (mode, s.st_nlink, s.st_uid, s.st_gid, size, when)
        if s.st_ino == 2:
            about = 'd??????????  %-39s ' % '(subvolume that is not there)'
        yield about.encode() + escaped(name) + (b' -> ' + escaped(os.readlink(full)) if mode[0] == 'l' else b'')
        if mode[0] == 'd' and s.st_ino != 2:
            inner.append(path)
    for path in inner:
        yield b''
        yield from text_of(top, path)


def main(words):
    if words[:1] == ['text'] and len(words) == 2:
        sys.stdout.buffer.write(b'\n'.join(text_of(os.fsencode(words[1]))) + b'\n')
    elif words[:1] == ['rows'] and len(words) == 2:
        print('\n'.join(sorted(rows_of(words[1]))))
    elif words == ['json']:
        print('\n'.join(sorted(rows_of_json(sys.stdin))))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
