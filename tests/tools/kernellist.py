#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a mounted filesystem shows, one line for each path, as tests/tools/sourcelist prints what a source tells.

  kernellist.py DIR | LC_ALL=C sort

PATH \\t type mode uid gid nlink size rdev flags ino atime mtime ctime otime \\t target \\t crc32 \\t xattrs
"""
import array
import ctypes
import fcntl
import os
import stat
import struct
import sys
import zlib

LETTERS = {stat.S_IFREG: 'f', stat.S_IFDIR: 'd', stat.S_IFLNK: 'l', stat.S_IFCHR: 'c', stat.S_IFBLK: 'b',
           stat.S_IFIFO: 'p', stat.S_IFSOCK: 's'}
# Flags of lsattr and the ones of Btrfs that mean the same.
FLAGS = {0x08: 1 << 5, 0x10: 1 << 6, 0x20: 1 << 7, 0x40: 1 << 8, 0x80: 1 << 9, 0x10000: 1 << 10, 0x400: 1 << 3, 0x04: 1 << 11}
FS_IOC_GETFLAGS = 0x80086601
AT_SYMLINK_NOFOLLOW = 0x100
STATX_BTIME = 0x800
LARGE = 16 << 20
UNIT = 65536
libc = ctypes.CDLL(None, use_errno=True)


def shown(raw):
    return ''.join(chr(c) if 32 < c < 127 and c != 92 else '\\x%02x' % c for c in raw)


def times_of(path):
    """atime, mtime, ctime, btime as (seconds, nanoseconds)."""
    buf = ctypes.create_string_buffer(256)
    if libc.statx(-100, path, AT_SYMLINK_NOFOLLOW, 0xfff, buf):
        raise OSError(ctypes.get_errno(), 'statx', path)
    mask, = struct.unpack_from('I', buf, 0)
    atime, btime, ctime, mtime = (struct.unpack_from('qI', buf, 64 + 16 * i) for i in range(4))
    return atime, mtime, ctime, btime if mask & STATX_BTIME else ctime


def flags_of(path, info):
    if not (stat.S_ISREG(info.st_mode) or stat.S_ISDIR(info.st_mode)):
        return 0
    fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
    try:
        word = array.array('L', [0])
        fcntl.ioctl(fd, FS_IOC_GETFLAGS, word)
    finally:
        os.close(fd)
    return sum(btrfs for ext, btrfs in FLAGS.items() if word[0] & ext)


def crc_of(path, size):
    """Of all contents; of a large file, of its units that are not zeroes, each behind its number."""
    crc = 0
    fd = os.open(path, os.O_RDONLY | os.O_NOATIME)
    with os.fdopen(fd, 'rb', 0) as f:
        if size <= LARGE:
            return '%08x' % zlib.crc32(f.read())
        at = 0
        while at < size:
            try:
                at = os.lseek(fd, at, os.SEEK_DATA) // UNIT * UNIT
            except OSError:
                break
            piece = os.pread(fd, UNIT, at)
            if piece.count(0) != len(piece):
                crc = zlib.crc32(piece, zlib.crc32(struct.pack('<Q', at // UNIT), crc))
            at += UNIT
    return '%08x' % crc


def line_of(top, path):
    full = os.path.join(top, path) if path else top
    info = os.lstat(full)
    kind = stat.S_IFMT(info.st_mode)
    counts = '- -' if kind == stat.S_IFDIR else f'{info.st_nlink} {info.st_size}'
    times = ' '.join('%d.%09d' % time for time in times_of(full))
    target = shown(os.readlink(full)) if kind == stat.S_IFLNK else ''
    crc = crc_of(full, info.st_size) if kind == stat.S_IFREG else ''
    xattrs = ''.join(f'{shown(os.fsencode(name))}={os.getxattr(full, name, follow_symlinks=False).hex()} '
                     for name in sorted(os.listxattr(full, follow_symlinks=False)))
    return (f'{shown(path or b".")}\t{LETTERS[kind]} {stat.S_IMODE(info.st_mode):04o} {info.st_uid} {info.st_gid} {counts} '
            f'{os.major(info.st_rdev)}:{os.minor(info.st_rdev)} {flags_of(full, info):x} {info.st_ino} {times}'
            f'\t{target}\t{crc}\t{xattrs}')


def walk(top, path):
    print(line_of(top, path))
    full = os.path.join(top, path) if path else top
    if stat.S_ISDIR(os.lstat(full).st_mode):
        for name in sorted(os.listdir(full)):
            walk(top, os.path.join(path, name) if path else name)


walk(os.fsencode(sys.argv[1]), b'')
