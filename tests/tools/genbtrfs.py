#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fill a mounted Btrfs with what only Btrfs holds; the same arguments make the same files.

  genbtrfs.py [--no-subvolumes] DIR

packed     files compressed with zlib, lzo and zstd, inline and not, overwritten and shared in parts, with holes
specials   preallocated, punched and truncated files, hard links, odd names, a fifo, a socket and a device
sub, snap  subvolumes within each other, snapshots of them, read-only ones too, and one that is being deleted
"""
import fcntl
import os
import random
import socket
import stat
import struct
import subprocess
import sys

FICLONERANGE, SECTOR = 0x4020940d, 65536
FALLOC_KEEP_SIZE, FALLOC_PUNCH = 1, 2


def btrfs(*words):
    subprocess.run(('btrfs', '-q') + words, check=True, stdout=subprocess.DEVNULL)


def write(path, data, at=0):
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o644), 'r+b') as f:
        f.seek(at)
        f.write(data)
        f.flush()
        os.fsync(f.fileno())


def clone(source, start, length, target, at):
    with open(source, 'rb') as s, open(target, 'r+b') as t:
        fcntl.ioctl(t.fileno(), FICLONERANGE, struct.pack('=qQQQ', s.fileno(), start, length, at))


def fallocate(path, mode, at, length):
    how = [name for bit, name in ((FALLOC_KEEP_SIZE, '-n'), (FALLOC_PUNCH, '-p')) if mode & bit]
    subprocess.run(['fallocate', *how, '-o', str(at), '-l', str(length), path], check=True)


def packed(top, rng):
    os.mkdir(top)
    words = [b'line %d of many\n' % i for i in range(1000)]
    for kind in ('zlib', 'lzo', 'zstd'):
        for name in ('', '-inline', '-pieces', '-noise'):
            path = os.path.join(top, kind + name)
            write(path, b'')
            os.setxattr(path, 'btrfs.compression', kind.encode())
        path = os.path.join(top, kind)
        write(path, b''.join(rng.choices(words, k=40000)) + rng.randbytes(300000) + bytes(200000))
        write(path, b'OVERWRITTEN' * 9000, 55555)
        write(path + '-inline', b'abc' * 600)
        write(path + '-noise', rng.randbytes(100001))
        os.truncate(path + '-pieces', 900001)
        clone(path, SECTOR, 3 * SECTOR, path + '-pieces', 2 * SECTOR)
        clone(path, 5 * SECTOR, 2 * SECTOR, path + '-pieces', 8 * SECTOR)
        write(path + '-pieces', b'small change', 9 * SECTOR - 7)
        fallocate(path, FALLOC_KEEP_SIZE | FALLOC_PUNCH, 3 * SECTOR, SECTOR)
        fallocate(path, FALLOC_KEEP_SIZE, 4 << 20, 1 << 20)


def specials(top, rng):
    os.mkdir(top)
    at = os.path.join(top, '')
    write(at + 'reserved', b'')
    fallocate(at + 'reserved', 0, 0, 400000)
    write(at + 'reserved', b'inside' * 1000, 100000)
    write(at + 'punched', rng.randbytes(600000))
    fallocate(at + 'punched', FALLOC_KEEP_SIZE | FALLOC_PUNCH, 100000, 200000)
    os.truncate(at + 'punched', 550001)
    os.chown(at + 'punched', 1000, 4242)
    write(at + 'longer', b'and then nothing')
    os.truncate(at + 'longer', 3 << 20)
    for i, byte in enumerate(b'\x01\n\\\xff"'):
        path = os.fsencode(at) + b'odd' + bytes([byte])
        write(path, b'%d' % byte)
        os.symlink(path, path + b'-link')
        os.link(path, os.fsencode(at) + b'again%d' % i)
    os.mkfifo(at + 'fifo', 0o640)
    os.mknod(at + 'device', stat.S_IFBLK | 0o600, os.makedev(77, 1234))
    with socket.socket(socket.AF_UNIX) as s:
        here = os.getcwd()
        os.chdir(top)
        s.bind('socket')
        os.chdir(here)


def subvolumes(top, rng):
    def path(*names):
        return os.path.join(top, *names)
    btrfs('subvolume', 'create', path('sub'))
    btrfs('subvolume', 'create', path('sub', 'inner'))
    write(path('sub', 'inner', 'file'), b'inner')
    packed(path('sub', 'packed'), rng)
    btrfs('subvolume', 'snapshot', path('sub'), path('snap'))
    btrfs('subvolume', 'snapshot', '-r', path('snap'), path('sub', 'inner', 'snap-ro'))
    os.unlink(path('snap', 'packed', 'zlib'))
    write(path('snap', 'packed', 'lzo'), b'changed in the snapshot', 100000)
    btrfs('subvolume', 'create', path('gone'))
    packed(path('gone', 'packed'), rng)
    btrfs('filesystem', 'sync', top)
    btrfs('subvolume', 'delete', path('gone'))


def main(words):
    with_subvolumes = '--no-subvolumes' not in words
    tops = [w for w in words if not w.startswith('-')]
    if len(tops) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    os.umask(0o022)
    rng = random.Random(7)
    packed(os.path.join(tops[0], 'packed'), rng)
    specials(os.path.join(tops[0], 'specials'), rng)
    if with_subvolumes:
        subvolumes(tops[0], rng)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
