# SPDX-License-Identifier: LGPL-2.1-or-later
"""All that a mounted tree shows: the columns of tests/tools/manifest, and behind them what only Btrfs can tell.

The further columns are: inode number, size, blocks, access, birth and change time, attribute flags, the order in which
readdir gives the names, the extents with their addresses. A change time after the power cut is that of a replay, which
differs each time: it shows as "replay".
"""
import ctypes
import fcntl
import hashlib
import importlib.machinery
import importlib.util
import os
import stat
import struct

from machine import HERE, checked, libc
from operations import GET_FLAGS

FIEMAP = 0xc020660b
EXTENTS_AT_ONCE, LAST_EXTENT, SHARED_EXTENT = 256, 1, 0x2000
AT_FDCWD, NO_FOLLOW, ALL_FIELDS = -100, 0x100, 0xfff
STATX_TIMES = (('a', 64), ('b', 80), ('c', 96))


def load_manifest():
    path = os.path.join(HERE, '..', 'tools', 'manifest')
    loader = importlib.machinery.SourceFileLoader('manifest', path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('manifest', loader))
    loader.exec_module(module)
    return module


manifest = load_manifest()


def times_of(path):
    raw = ctypes.create_string_buffer(256)
    checked(libc.statx(AT_FDCWD, path, NO_FOLLOW, ALL_FIELDS, raw))
    return {name: int.from_bytes(raw[at:at + 8], 'little', signed=True) * 10**9 + int.from_bytes(raw[at + 8:at + 12], 'little')
            for name, at in STATX_TIMES}


def extents_of(fd):
    """
    logical+length@address/flags of each extent, as FIEMAP tells them. Whether it is shared depends on whether files without
    a name are gone already, which a replay may leave to the next mount.
    """
    extents, start = [], 0
    while True:
        request = bytearray(struct.pack('<QQIIII', start, (1 << 63) - 1, 0, 0, EXTENTS_AT_ONCE, 0)) + bytes(56 * EXTENTS_AT_ONCE)
        fcntl.ioctl(fd, FIEMAP, request)
        count = struct.unpack_from('<I', request, 20)[0]
        for i in range(count):
            logical, physical, length, _, _, flags = struct.unpack_from('<QQQQQI', request, 32 + 56 * i)
            extents.append('%d+%d@%d/%x' % (logical, length, physical, flags & ~SHARED_EXTENT))
            start = logical + length
        if not count or flags & LAST_EXTENT:
            return extents


def flags_and_extents(path, kind):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        try:
            flags = struct.unpack('l', fcntl.ioctl(fd, GET_FLAGS, bytes(8)))[0] & 0xffffffff
        except OSError:
            # Where a snapshot does not take a subvolume along, there is an empty folder that has none.
            return 'none', ''
        return '%x' % flags, ','.join(extents_of(fd)) if stat.S_ISREG(kind) else ''
    finally:
        os.close(fd)


class Row:
    """What one path shows. The basic columns are a line of the manifest, with its path first."""

    def __init__(self, top, path, first, cut):
        full = top if path == b'.' else os.path.join(top, path)
        s = os.lstat(full)
        self.path, self.inode, self.device, self.stat = path, s.st_ino, s.st_dev, s
        self.basic = manifest.line(top, path, first, True, False).split('\t')
        self.times = times_of(full)
        flags, extents, self.order = '', '', None
        if stat.S_ISREG(s.st_mode) or stat.S_ISDIR(s.st_mode):
            flags, extents = flags_and_extents(full, s.st_mode)
        if stat.S_ISDIR(s.st_mode):
            self.order = os.listdir(full)
        order = hashlib.sha1(b'/'.join(self.order)).hexdigest()[:12] if self.order is not None else ''
        if flags == 'none':
            # Such a folder was never made: it is as old as the look at it.
            self.basic[1] = self.basic[1].replace(str(s.st_mtime_ns), '-')
            self.times = {'a': 0, 'b': 0, 'c': 0}
        change = 'replay' if cut and self.times['c'] > cut else self.times['c']
        about = self.basic[1].split(' ')
        # What an fsync makes last whatever becomes of the names: neither nlink nor the first path of several.
        self.lasting = [about[:4] + about[5:]] + self.basic[2:5] + [s.st_ino, self.times['b'], flags]
        self.deep = 'ino=%d size=%d blocks=%d a=%d b=%d c=%s flags=%s order=%s extents=%s' % (
            s.st_ino, s.st_size, s.st_blocks, self.times['a'], self.times['b'], change, flags, order, extents)

    def of_inode(self):
        """What does not depend on the path."""
        return self.basic[1:5] + [self.deep]

    def line(self):
        return '\t'.join(self.basic + [self.deep])


def view(top, cut=None):
    """A row for each path, sorted by raw bytes. @cut: when the power was cut, in nanoseconds."""
    top, first = os.fsencode(top), {}
    return [Row(top, path, first, cut) for path in sorted(manifest.paths_below(top, set()))]


def lines(rows):
    return [row.line() for row in rows]


def basic_lines(rows):
    return ['\t'.join(row.basic) for row in rows]


def difference(wanted, got, limit=6):
    """Lines that only one side has, and in the end what else there is to say; empty if both are equal."""
    missing, extra = set(wanted) - set(got), set(got) - set(wanted)
    found = ['- ' + line for line in wanted if line in missing] + ['+ ' + line for line in got if line in extra]
    if not found and wanted != got:
        found = ['the same lines in another order']
    return found[:limit]
