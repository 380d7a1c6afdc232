# SPDX-License-Identifier: LGPL-2.1-or-later
"""What scripts of the crash tests are made of: one operation a line, paths below the mount point.

  data       write P AT LEN SEED      append P LEN SEED        direct P AT LEN SEED     osync P AT LEN SEED
             mwrite P AT LEN SEED     msync P AT LEN SEED      truncate P SIZE          reserve P AT LEN [keep]
             punch P AT LEN           zero P AT LEN [keep]     clone A B                clonepart A AT LEN B AT
             dedupe A AT LEN B AT     flush P AT LEN
  names      make P    unlink P   mkdir P   rmdir P   link A B   rename A B   exchange A B   whiteout A B
             symlink TARGET P     fifo P    socket P  device P c|b MAJOR MINOR
             tmplink P LEN SEED   (a file without a name that gets one)
             tmphold LEN SEED     (one that gets none, kept open)     hold P   (unlinked, kept open)
             fill DIR COUNT       drain DIR FROM TO        stuff DIR   (files until there is no space for metadata)
             links P DIR COUNT LENGTH      unlinks DIR FROM TO LENGTH
             subvol P             snapshot A B [ro]        subvoldel P
  attributes setx P NAME VALUE [create|replace]     rmx P NAME     chmod P MODE     chown P UID GID
             times P NANOSECONDS      flags P LETTERS  (of chattr, added)           property P NAME VALUE
  lasting    fsync P   fdatasync P   fsyncheld   commit
SEED makes the bytes: of an even one they compress well, of an odd one they do not.
"""
import ctypes
import errno
import fcntl
import mmap
import os
import random
import socket
import stat
import struct

from machine import checked, libc

PAGE = 4096
CLONE, CLONE_RANGE, DEDUPE_RANGE = 0x40049409, 0x4020940d, 0xc0189436
GET_FLAGS, SET_FLAGS = 0x80086601, 0x40086602
FLAGS = {'C': 0x800000, 'c': 4, 'A': 0x80, 'd': 0x40, 'S': 8, 'm': 0x400, 'D': 0x10000}
SUBVOL_MAKE, SUBVOL_SNAPSHOT, SUBVOL_DESTROY, READ_ONLY = 0x50009418, 0x50009417, 0x5000943f, 2
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE = 1, 2, 16
AT_FDCWD, AT_SYMLINK_FOLLOW = -100, 0x400
EXCHANGE, WHITEOUT = 2, 4
WRITE_AND_WAIT = 7


def content(length, seed):
    """Bytes of a seed: odd ones do not compress, even ones do."""
    rng = random.Random(seed)
    if seed % 2:
        return rng.randbytes(length)
    line = b'%d %s\n' % (seed, rng.randbytes(20).hex().encode())
    return (line * (length // len(line) + 1))[:length]


class Operations:
    def __init__(self, top):
        self.top, self.held, self.opened = top, [], []

    def run(self, line):
        """Carries out a line; OSError if Linux refuses it."""
        word, *arguments = line.split()
        try:
            getattr(self, 'do_' + word)(*(int(a) if a.isdigit() and word != 'chmod' else a for a in arguments))
        finally:
            for fd in self.opened:
                os.close(fd)
            self.opened = []

    def release(self):
        for fd in self.held:
            os.close(fd)
        self.held = []

    def at(self, path):
        return os.path.join(self.top, str(path))

    def open(self, path, flags=os.O_RDWR):
        self.opened.append(os.open(self.at(path), flags | os.O_NONBLOCK | os.O_NOFOLLOW, 0o644))
        return self.opened[-1]

    # --- Data ---
    def do_write(self, path, at, length, seed, flags=0):
        os.pwrite(self.open(path, os.O_RDWR | os.O_CREAT | flags), content(length, seed), at)

    def do_osync(self, path, at, length, seed):
        self.do_write(path, at, length, seed, os.O_SYNC)

    def do_append(self, path, length, seed):
        os.write(self.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), content(length, seed))

    def do_direct(self, path, at, length, seed):
        fd = self.open(path, os.O_RDWR | os.O_CREAT | os.O_DIRECT)
        length = -(-length // PAGE) * PAGE
        with mmap.mmap(-1, length) as aligned:
            aligned[:] = content(length, seed)
            os.pwrite(fd, aligned, at // PAGE * PAGE)

    def mapped(self, path, at, length, seed, is_flushed):
        fd = self.open(path)
        size = os.fstat(fd).st_size
        length = min(length, size - at)
        if length <= 0:
            return
        with mmap.mmap(fd, size) as memory:
            memory[at:at + length] = content(length, seed)
            if is_flushed:
                start = at // PAGE * PAGE
                memory.flush(start, at + length - start)

    def do_mwrite(self, path, at, length, seed):
        self.mapped(path, at, length, seed, False)

    def do_msync(self, path, at, length, seed):
        self.mapped(path, at, length, seed, True)

    def do_truncate(self, path, size):
        os.truncate(self.open(path), size)

    def allocate(self, path, mode, at, length):
        fd = self.open(path, os.O_RDWR | os.O_CREAT)
        checked(libc.fallocate(fd, mode, ctypes.c_long(at), ctypes.c_long(length)))

    def do_reserve(self, path, at, length, keep=''):
        self.allocate(path, KEEP_SIZE if keep else 0, at, length)

    def do_punch(self, path, at, length):
        self.allocate(path, PUNCH_HOLE | KEEP_SIZE, at, length)

    def do_zero(self, path, at, length, keep=''):
        self.allocate(path, ZERO_RANGE | (KEEP_SIZE if keep else 0), at, length)

    def do_clone(self, source, target):
        fd = self.open(source, os.O_RDONLY)
        fcntl.ioctl(self.open(target, os.O_RDWR | os.O_CREAT), CLONE, fd)

    def do_clonepart(self, source, at, length, target, target_at):
        fd = self.open(source, os.O_RDONLY)
        fcntl.ioctl(self.open(target, os.O_RDWR | os.O_CREAT), CLONE_RANGE, struct.pack('qQQQ', fd, at, length, target_at))

    def do_dedupe(self, source, at, length, target, target_at):
        request = struct.pack('QQHHIqQQiI', at, length, 1, 0, 0, self.open(target), target_at, 0, 0, 0)
        fcntl.ioctl(self.open(source), DEDUPE_RANGE, bytearray(request))

    def do_flush(self, path, at, length):
        checked(libc.sync_file_range(self.open(path), ctypes.c_long(at), ctypes.c_long(length), WRITE_AND_WAIT))

    # --- Names ---
    def do_make(self, path):
        self.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)

    def do_unlink(self, path):
        os.unlink(self.at(path))

    def do_mkdir(self, path):
        os.mkdir(self.at(path))

    def do_rmdir(self, path):
        os.rmdir(self.at(path))

    def do_link(self, old, new):
        os.link(self.at(old), self.at(new), follow_symlinks=False)

    def do_rename(self, old, new):
        os.rename(self.at(old), self.at(new))

    def rename_by(self, old, new, how):
        checked(libc.renameat2(AT_FDCWD, os.fsencode(self.at(old)), AT_FDCWD, os.fsencode(self.at(new)), how))

    def do_exchange(self, old, new):
        self.rename_by(old, new, EXCHANGE)

    def do_whiteout(self, old, new):
        self.rename_by(old, new, WHITEOUT)

    def do_symlink(self, target, path):
        os.symlink(str(target), self.at(path))

    def do_fifo(self, path):
        os.mkfifo(self.at(path))

    def do_socket(self, path):
        folder = os.open(os.path.dirname(self.at(path)), os.O_PATH)
        self.opened.append(folder)
        with socket.socket(socket.AF_UNIX) as s:
            s.bind('/proc/self/fd/%d/%s' % (folder, os.path.basename(self.at(path))))

    def do_device(self, path, kind, major, minor):
        os.mknod(self.at(path), 0o600 | (stat.S_IFBLK if kind == 'b' else stat.S_IFCHR), os.makedev(major, minor))

    def do_tmplink(self, path, length, seed):
        fd = self.open(os.path.dirname(path) or '.', os.O_RDWR | os.O_TMPFILE)
        os.write(fd, content(length, seed))
        source = b'/proc/self/fd/%d' % fd
        checked(libc.linkat(AT_FDCWD, source, AT_FDCWD, os.fsencode(self.at(path)), AT_SYMLINK_FOLLOW))

    def do_tmphold(self, length, seed):
        self.held.append(os.open(self.top, os.O_RDWR | os.O_TMPFILE, 0o644))
        os.write(self.held[-1], content(length, seed))

    def do_hold(self, path):
        self.held.append(os.open(self.at(path), os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW))
        os.unlink(self.at(path))

    def do_fill(self, folder, count):
        for i in range(count):
            self.do_write('%s/e%05d' % (folder, i), 0, i * 37 % 211, i)

    def do_stuff(self, folder):
        """Files of about a small block each."""
        try:
            for i in range(10**5):
                path = self.at('%s/e%05d' % (folder, i))
                os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o644))
                os.setxattr(path, 'user.stuff', content(3600, i))
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def do_drain(self, folder, start, end):
        for i in range(start, end):
            os.unlink(self.at('%s/e%05d' % (folder, i)))

    def do_links(self, path, folder, count, length):
        for i in range(count):
            self.do_link(path, '%s/%s' % (folder, ('%04d' % i).ljust(length, 'l')))

    def do_unlinks(self, folder, start, end, length):
        for i in range(start, end):
            os.unlink(self.at('%s/%s' % (folder, ('%04d' % i).ljust(length, 'l'))))

    def subvolume(self, path, code, source=0, flags=0):
        folder = self.open(os.path.dirname(path) or '.', os.O_RDONLY | os.O_DIRECTORY)
        name = os.fsencode(os.path.basename(path))
        fcntl.ioctl(folder, code, bytearray(struct.pack('<qQQ32x4040s', source, 0, flags, name)))

    def do_subvol(self, path):
        self.subvolume(path, SUBVOL_MAKE)

    def do_snapshot(self, source, path, mode=''):
        self.subvolume(path, SUBVOL_SNAPSHOT, self.open(source, os.O_RDONLY), READ_ONLY if mode else 0)

    def do_subvoldel(self, path):
        self.subvolume(path, SUBVOL_DESTROY)

    # --- Attributes ---
    def do_setx(self, path, name, value, how=''):
        flags = {'': 0, 'create': os.XATTR_CREATE, 'replace': os.XATTR_REPLACE}[how]
        os.setxattr(self.at(path), name, str(value).encode(), flags, follow_symlinks=False)

    def do_rmx(self, path, name):
        os.removexattr(self.at(path), name, follow_symlinks=False)

    def do_property(self, path, name, value):
        self.do_setx(path, 'btrfs.' + name, value)

    def do_chmod(self, path, mode):
        os.chmod(self.at(path), int(mode, 8))

    def do_chown(self, path, uid, gid):
        os.chown(self.at(path), uid, gid, follow_symlinks=False)

    def do_times(self, path, nanoseconds):
        os.utime(self.at(path), ns=(nanoseconds, nanoseconds), follow_symlinks=False)

    def do_flags(self, path, letters):
        fd = self.open(path, os.O_RDONLY)
        flags = struct.unpack('l', fcntl.ioctl(fd, GET_FLAGS, bytes(8)))[0]
        fcntl.ioctl(fd, SET_FLAGS, struct.pack('l', flags | sum(FLAGS[c] for c in letters)))

    # --- Lasting ---
    def do_fsync(self, path):
        os.fsync(self.open(path, os.O_RDONLY))

    def do_fdatasync(self, path):
        os.fdatasync(self.open(path, os.O_RDONLY))

    def do_fsyncheld(self):
        for fd in self.held:
            os.fsync(fd)

    def do_commit(self):
        checked(libc.syncfs(self.open('.', os.O_RDONLY)))
