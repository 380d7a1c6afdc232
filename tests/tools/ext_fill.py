#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Fill a mounted filesystem.

  ext_fill.py all DIR [NAMES]       one of everything that ext4 can have; NAMES files in one directory
  ext_fill.py aged DIR PERCENT SEED fill, delete, fill again up to so many percent: data in many pieces
  ext_fill.py unflagged DIR         clear the flags immutable and append, so that all can be deleted
"""
import array
import ctypes
import fcntl
import os
import random
import struct
import subprocess
import sys

FS_IOC_GETFLAGS, FS_IOC_SETFLAGS = 0x80086601, 0x40086602
IMMUTABLE, APPEND = 0x10, 0x20


def change_flags(path, setting, clearing=0):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        word = array.array('L', [0])
        fcntl.ioctl(fd, FS_IOC_GETFLAGS, word)
        word[0] = word[0] & ~clearing | setting
        fcntl.ioctl(fd, FS_IOC_SETFLAGS, word)
    finally:
        os.close(fd)


def write(path, data):
    with open(path, 'wb') as file:
        file.write(data)


def tolerate(function, *args, **kwargs):
    """What this kind of ext does not have."""
    try:
        function(*args, **kwargs)
    except OSError:
        pass


def fill_names():
    os.mkdir('names')
    for number, name in enumerate((b'x' * 255, b'\xff\xfe not UTF-8', b' ', b'new\nline', b'back\\slash', b'-rf', b'*', b'...',
                                   'größer 例え 🐧'.encode(), b'\x01\x02', b'quote"\'', b'tab\t', b'$(exit)')):
        write(b'names/' + name, b'%d' % number)
    path = 'deep'
    for level in range(60):
        os.mkdir(path)
        write(path + '/file', b'%d' % level)
        path += '/' + 'd' * (level % 50 + 1)
    os.mkdir('empty-dir')
    os.mkdir('removed-from')
    for number in range(700):
        write('removed-from/%s%d' % ('name-that-is-long-' * 3, number), b'')
    for number in range(0, 700, 3):
        os.unlink('removed-from/%s%d' % ('name-that-is-long-' * 3, number))


def fill_data(bits):
    for size in (0, 1, 59, 60, 61, 100, 159, 160, 161, 2047, 2048, 2049, 4095, 4096, 4097, 49152, 49153, 300000, 5000000):
        write('size-%d' % size, bits.randbytes(size))
        os.symlink('t' * min(max(size, 1), 4000), 'link-%d' % size)
    with open('sparse', 'wb') as file:
        for at in (0, 50000, 3 << 20, 1 << 30, 5 << 30):
            file.seek(at)
            file.write(b'data at %d' % at)
    with open('all-hole', 'wb') as file:
        file.truncate(1 << 33)
    with open('allocated', 'wb') as file:
        tolerate(os.posix_fallocate, file.fileno(), 0, 400000)
        file.seek(70000)
        file.write(b'x' * 9000)
    # Where something else was before: must read as zeroes.
    for number in range(20):
        write('secret', b'secret ' * 30000)
        fd = os.open('secret', os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        os.unlink('secret')
        with open('unwritten-%d' % number, 'wb') as file:
            tolerate(subprocess.run, ['fallocate', '-l', '200000', file.name], stderr=subprocess.DEVNULL)
    with open('beyond-the-end', 'wb') as file:
        file.write(b'y' * 5000)
        file.flush()
        subprocess.run(['fallocate', '-n', '-l', '300000', file.name], stderr=subprocess.DEVNULL)
    with open('fragments', 'wb') as one, open('between', 'wb') as other:
        for number in range(300):
            one.seek(number * 8192 * 3)
            one.write(bits.randbytes(4096))
            one.flush()
            if number % 4 == 0:
                os.fsync(one.fileno())
            other.write(bits.randbytes(4096))
            other.flush()
    # ends with zeroes that were written, and in the middle of a block
    write('zeroes', bytes(100000))
    write('half-zeroes', bits.randbytes(8192) + bytes(70001))


def fill_special():
    os.mkfifo('fifo')
    os.mknod('sock', 0o140755)
    os.mknod('old-device', 0o060640, os.makedev(8, 17))
    os.mknod('new-device', 0o020600, os.makedev(300, 70000))
    os.mkdir('links')
    for number in range(300):
        os.link('size-61', 'links/' + 'hard-link-%d' % number)
    os.link('link-60', 'links/symlink')
    os.link('fifo', 'links/fifo')
    os.chown('size-60', 70000, 4000000000)
    os.chmod('size-60', 0o6755)
    os.chmod('removed-from', 0o3777)
    os.chmod('size-1', 0)
    os.chown('link-1', 12, 34, follow_symlinks=False)


def fill_xattrs():
    for name in ('size-1', 'names', 'deep/d'):
        for number in range(3):
            os.setxattr(name, 'user.a%d' % number, b'v' * (number * 40))
    os.setxattr('size-4096', 'user.large', b'w' * 3000)
    os.setxattr('size-4095', 'trusted.x', bytes(range(256)))
    os.setxattr('size-59', 'security.capability', struct.pack('<5I', 0x02000001, 0x3400, 0, 0, 0))
    os.setxattr('size-60', 'security.label', b'some:label\0')
    tolerate(os.setxattr, 'size-100', 'user.huge', bytes(range(250)) * 60) # larger than a block: only with ea_inode
    for number in range(5):
        write('same-%d' % number, b'')
        os.setxattr('same-%d' % number, 'user.shared', b's' * 300)
    os.setxattr('link-159', 'trusted.of-link', b'l', follow_symlinks=False)

    def acl(*entries):
        return struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *entry) for entry in entries)
    nobody = 0xffffffff
    os.setxattr('size-160', 'system.posix_acl_access', acl((1, 6, nobody), (2, 7, 1000), (4, 4, nobody), (8, 4, 33), (16, 6, nobody), (32, 0, nobody)))
    os.setxattr('names', 'system.posix_acl_default', acl((1, 7, nobody), (2, 5, 5), (4, 5, nobody), (16, 5, nobody), (32, 0, nobody)))


def fill_times_and_flags():
    for number, time in enumerate((-2 ** 31, -86400, -1, 0, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 33)):
        write('time-%d' % number, b'')
        tolerate(os.utime, 'time-%d' % number, ns=(time * 10 ** 9 + 123456789, time * 10 ** 9 + 987654321))
    tolerate(os.utime, 'link-4096', ns=(-5 * 10 ** 9, -6 * 10 ** 9 + 7), follow_symlinks=False)
    os.utime('empty-dir', ns=(1, 10 ** 18))
    for path, flags in (('size-159', 0xc0), ('deep', 0x09), ('removed-from', 0x10000), ('size-161', IMMUTABLE), ('links', APPEND),
                        ('size-4097', APPEND), ('names', IMMUTABLE)):
        change_flags(path, flags)


def fill_all(names):
    bits = random.Random(11)
    fill_names()
    fill_data(bits)
    fill_special()
    os.mkdir('many')
    for number in range(names):
        with open('many/entry number %06d' % (number * 7919 % 1000000), 'wb') as file:
            if number % 10 == 0:
                file.write(b'%d' % number)
    fill_xattrs()
    fill_times_and_flags()


def used_percent():
    info = os.statvfs('.')
    return 100 - 100 * info.f_bfree / info.f_blocks


def fill_aged(percent, seed):
    bits = random.Random(seed)
    number = 0
    block = bits.randbytes(1 << 20)
    for goal in (97, 80, 97, 70, percent):
        while used_percent() < goal:
            size = bits.choice((1, 700, 4096, 9000, 20000, 40000, 200000, 800000))
            try:
                write('aged-%06d' % number, block[bits.randrange(1000):][:size])
            except OSError: # full
                os.unlink('aged-%06d' % number)
                break
            number += 1
        fd = os.open('.', os.O_RDONLY)
        ctypes.CDLL(None).syncfs(fd)
        os.close(fd)
        names = sorted(name for name in os.listdir('.') if name.startswith('aged-'))
        bits.shuffle(names)
        while names and used_percent() > goal - (25 if goal == 97 else 0):
            os.unlink(names.pop())


def clear_flags():
    device = os.lstat('.').st_dev
    for top, dirs, files in os.walk('.'):
        dirs[:] = [name for name in dirs if os.lstat(os.path.join(top, name)).st_dev == device] # no other subvolume
        for name in ['.'] + dirs + files:
            path = os.path.join(top, name)
            if not os.path.islink(path) and (os.path.isfile(path) or os.path.isdir(path)):
                change_flags(path, 0, IMMUTABLE | APPEND)


what = sys.argv[1]
os.chdir(sys.argv[2])
if what == 'all':
    fill_all(int(sys.argv[3]) if len(sys.argv) > 3 else 500)
elif what == 'aged':
    fill_aged(int(sys.argv[3]), int(sys.argv[4]))
else:
    clear_flags()
