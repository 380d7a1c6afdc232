#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Age a mounted Btrfs filesystem with random operations; the same arguments make the same operations.

  churn.py DIR SEED COUNT [LEAVE-OUT...]

Files are written, overwritten, cut, extended, reserved, punched, cloned, linked, renamed and deleted, with xattrs of all
sizes, in several subvolumes, of which snapshots are made and deleted. LEAVE-OUT names operations that are not to be done.
What is not possible just then (no space, name in use, read-only snapshot) is left out.
"""
import errno
import fcntl
import os
import random
import struct
import sys

SUBVOL_CREATE, SNAP_CREATE_V2, SNAP_DESTROY = 0x5000940e, 0x50009417, 0x5000940f
CLONE_RANGE, SYNC_START, SET_FLAGS, GET_FLAGS = 0x4020940d, 0x80089418, 0x40086602, 0x80086601
NOCOW, COMPRESS, READ_ONLY = 0x00800000, 0x4, 2
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
EXPECTED = {errno.EEXIST, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENOTEMPTY, errno.EROFS, errno.EINVAL, errno.ENOSPC,
            errno.EDQUOT, errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.ETXTBSY, errno.EAGAIN,
            errno.ENODATA, errno.EACCES, errno.ELOOP, errno.ESPIPE, errno.ENOTTY, errno.ENODEV, errno.ENAMETOOLONG}


class Churn:
    def __init__(self, top, seed, left_out):
        self.rng = random.Random(seed)
        self.top = top
        self.subvols = [top]
        self.dirs = [top]
        self.files = []
        self.number = 0
        names = [n[3:] for n in dir(self) if n.startswith('do_')]
        self.operations = [n for n in sorted(names) for _ in range(self.WEIGHTS.get(n, 2)) if n not in left_out]

    WEIGHTS = {'create': 20, 'overwrite': 12, 'append': 6, 'delete': 10, 'truncate': 4, 'clone': 5, 'rename': 4, 'folder': 3,
               'snapshot': 1, 'subvol': 1, 'drop': 1, 'fsync': 1}

    def fresh(self, folder=None):
        self.number += 1
        length = self.rng.choice((3, 8, 8, 20, 20, 60, 200))
        return os.path.join(folder or self.rng.choice(self.dirs), ('%d-' % self.number).ljust(length, 'x'))

    def some_file(self):
        while self.files:
            i = self.rng.randrange(len(self.files))
            if os.path.lexists(self.files[i]):
                return self.files[i]
            self.files[i] = self.files[-1]
            self.files.pop()
        raise FileNotFoundError(errno.ENOENT, 'no files')

    def some_bytes(self, limit):
        size = self.rng.choice((self.rng.randrange(1, 100), self.rng.randrange(1, 5000), self.rng.randrange(1, 40000),
                                self.rng.randrange(1, limit)))
        kind = self.rng.randrange(3)
        if kind == 0:
            return self.rng.randbytes(size)
        if kind == 1:
            return bytes(size)
        return (self.rng.randbytes(50) * (size // 50 + 1))[:size]

    def open_some(self):
        return os.open(self.some_file(), os.O_RDWR | os.O_NOFOLLOW)

    # --- Files ---

    def do_create(self):
        path = self.fresh()
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR)
        try:
            if self.rng.randrange(8) == 0:
                flags = struct.unpack('i', fcntl.ioctl(fd, GET_FLAGS, bytes(4)))[0]
                fcntl.ioctl(fd, SET_FLAGS, struct.pack('i', flags | self.rng.choice((NOCOW, COMPRESS))))
            if self.rng.randrange(10):
                os.pwrite(fd, self.some_bytes(600000), self.rng.choice((0, 0, 0, self.rng.randrange(300000))))
        finally:
            os.close(fd)
        self.files.append(path)

    def do_overwrite(self):
        fd = self.open_some()
        try:
            size = os.fstat(fd).st_size
            for _ in range(self.rng.randrange(1, 8)):
                os.pwrite(fd, self.some_bytes(30000), self.rng.randrange(size + 1))
            if self.rng.randrange(6) == 0:
                os.fsync(fd)
        finally:
            os.close(fd)

    def do_append(self):
        fd = self.open_some()
        try:
            os.pwrite(fd, self.some_bytes(100000), os.fstat(fd).st_size + self.rng.choice((0, 0, 10000)))
        finally:
            os.close(fd)

    def do_truncate(self):
        fd = self.open_some()
        try:
            os.ftruncate(fd, self.rng.randrange(os.fstat(fd).st_size * 3 // 2 + 5000))
        finally:
            os.close(fd)

    def do_reserve(self):
        fd = self.open_some()
        try:
            size = os.fstat(fd).st_size
            at, length = self.rng.randrange(size + 100000), self.rng.randrange(1, 200000)
            mode = self.rng.choice((0, KEEP_SIZE, KEEP_SIZE | PUNCH_HOLE, ZERO_RANGE))
            libc_fallocate(fd, mode, at, length)
        finally:
            os.close(fd)

    def do_clone(self):
        source = self.open_some()
        try:
            path = self.fresh() if self.rng.randrange(2) else self.some_file()
            target = os.open(path, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW)
            try:
                size = os.fstat(source).st_size
                at = self.rng.randrange(size + 1) // 4096 * 4096
                length = 0 if self.rng.randrange(2) else self.rng.randrange(size - at + 1) // 4096 * 4096
                to = self.rng.randrange(os.fstat(target).st_size + 1) // 4096 * 4096
                fcntl.ioctl(target, CLONE_RANGE, struct.pack('qQQQ', source, at, length, to))
            finally:
                os.close(target)
            self.files.append(path)
        finally:
            os.close(source)

    def do_delete(self):
        os.unlink(self.some_file())

    def do_rename(self):
        path = self.fresh() if self.rng.randrange(3) else self.some_file()
        os.rename(self.some_file(), path)
        self.files.append(path)

    def do_link(self):
        path = self.fresh()
        os.link(self.some_file(), path, follow_symlinks=False)
        self.files.append(path)

    def do_special(self):
        path = self.fresh()
        kind = self.rng.randrange(3)
        if kind == 0:
            os.symlink('t' * self.rng.choice((1, 10, 500, 3000)), path)
        elif kind == 1:
            os.mkfifo(path)
        else:
            os.mknod(path, 0o20600, os.makedev(1, 3))
        self.files.append(path)

    def do_attribute(self):
        path = self.some_file()
        for _ in range(self.rng.randrange(1, 5)):
            name = 'trusted.' + 'n' * self.rng.choice((1, 7, 100, 200)) + str(self.rng.randrange(6))
            if self.rng.randrange(4):
                os.setxattr(path, name, self.rng.randbytes(self.rng.choice((0, 1, 30, 1000, 3000))), follow_symlinks=False)
            else:
                os.removexattr(path, name, follow_symlinks=False)

    def do_fsync(self):
        fd = self.open_some()
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    # --- Folders and subvolumes ---

    def do_folder(self):
        path = self.fresh()
        os.mkdir(path)
        self.dirs.append(path)

    def do_subvol(self):
        if len(self.subvols) > 12:
            return
        path = self.fresh()
        self.on_folder(os.path.dirname(path), SUBVOL_CREATE, struct.pack('q4088s', 0, os.path.basename(path).encode()))
        self.subvols.append(path)
        self.dirs.append(path)

    def do_snapshot(self):
        if len(self.subvols) > 12:
            return
        source, path = self.rng.choice(self.subvols), self.fresh()
        fd = os.open(source, os.O_RDONLY)
        try:
            self.on_folder(os.path.dirname(path), SNAP_CREATE_V2,
                           struct.pack('qQQ32x4040s', fd, 0, self.rng.choice((0, 0, READ_ONLY)),
                                       os.path.basename(path).encode()))
        finally:
            os.close(fd)
        self.subvols.append(path)
        self.dirs.append(path)
        for folder, _, names in os.walk(path):
            self.files += [os.path.join(folder, n) for n in names[:20]]

    def do_drop(self):
        path = self.rng.choice(self.subvols)
        if path == self.top or any(other != path and other.startswith(path + '/') for other in self.subvols):
            return
        self.on_folder(os.path.dirname(path), SNAP_DESTROY, struct.pack('q4088s', 0, os.path.basename(path).encode()))
        self.subvols.remove(path)
        self.dirs = [d for d in self.dirs if d != path and not d.startswith(path + '/')]
        self.files = [f for f in self.files if not f.startswith(path + '/')]

    def on_folder(self, folder, request, argument):
        fd = os.open(folder, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, request, bytearray(argument))
        finally:
            os.close(fd)

    def run(self, count):
        done = 0
        for _ in range(count):
            try:
                getattr(self, 'do_' + self.rng.choice(self.operations))()
                done += 1
            except OSError as error:
                if error.errno not in EXPECTED:
                    raise
        return done


def libc_fallocate(fd, mode, at, length):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
    if libc.fallocate(fd, mode, at, length) < 0:
        raise OSError(ctypes.get_errno(), 'fallocate')


if __name__ == '__main__':
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    churn = Churn(sys.argv[1], int(sys.argv[2]), sys.argv[4:])
    if churn.run(int(sys.argv[3])) * 4 < int(sys.argv[3]):
        sys.exit('churn.py: hardly anything could be done')
