# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the crash tests need of the machine: image files, loop devices, mounts, and a look into a log.

Loop devices are set up so that they go away with their mount, whatever happens to this process. Before Linux is let at an
image that may be replayed, refuses_linux() has to be asked: Linux 6.18 dies of some logs with extended references.
"""
import ctypes
import errno
import fcntl
import functools
import os
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'tools'))
sys.dont_write_bytecode = True
import btrfsread  # noqa: E402
import old_log  # noqa: E402

libc = ctypes.CDLL(None, use_errno=True)
# A compiled checksum is made once, not for each image.
btrfsread.checksum_of = functools.lru_cache(None)(btrfsread.checksum_of)

MS_RDONLY, MS_NOATIME = 1, 1024
LOOP_SET_UP, LOOP_FREE_NUMBER, LOOP_AUTOCLEAR = 0x4c0a, 0x4c82, 4
FORGET_DEVICE = 0x50009405
SUPER_BYTES = 4096
LOG_ROOT_AT, GENERATION_AT, LOG_LEVEL_AT = 0x60, 0x48, 0xc8


def checked(result):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


# --- Images ---------------------------------------------------------------------------------------

def data_pieces(fd, size):
    """(start, end) of what an image file holds, holes left out."""
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:
                return
            raise
        at = os.lseek(fd, start, os.SEEK_HOLE)
        yield start, at


def copy_image(source, target):
    """A sparse copy. Superblocks are read before the rest, as they point to what must already be there."""
    with open(source, 'rb', buffering=0) as a, open(target, 'wb', buffering=0) as b:
        size = os.fstat(a.fileno()).st_size
        b.truncate(size)
        supers = [(at, os.pread(a.fileno(), SUPER_BYTES, at)) for at in btrfsread.SUPER_AT if at < size]
        for start, end in data_pieces(a.fileno(), size):
            while start < end:
                block = os.pread(a.fileno(), min(end - start, 1 << 20), start)
                if block.strip(b'\0'):
                    os.pwrite(b.fileno(), block, start)
                start += len(block)
        for at, raw in supers:
            os.pwrite(b.fileno(), raw, at)


def read_super(image, mirror=0):
    with open(image, 'rb') as f:
        return os.pread(f.fileno(), SUPER_BYTES, btrfsread.SUPER_AT[mirror])


def super_mirrors(image):
    """The raw superblocks of an image, primary first."""
    size = os.path.getsize(image)
    return [read_super(image, i) for i, at in enumerate(btrfsread.SUPER_AT) if at + SUPER_BYTES <= size]


def generation_of(raw):
    return struct.unpack_from('<Q', raw, GENERATION_AT)[0]


def log_root_of(raw):
    return struct.unpack_from('<Q', raw, LOG_ROOT_AT)[0]


def clear_log(images):
    """The null replay: forget the log, change nothing else."""
    for image in images:
        raw = bytearray(read_super(image))
        struct.pack_into('<Q', raw, LOG_ROOT_AT, 0)
        raw[LOG_LEVEL_AT] = 0
        digest, size = btrfsread.checksum_of(struct.unpack_from('<H', raw, 0xc4)[0])
        raw[:32] = digest(bytes(raw[32:]))[:size].ljust(32, b'\0')
        with open(image, 'r+b') as f:
            os.pwrite(f.fileno(), raw, btrfsread.SUPER_AT[0])


class LogReader(btrfsread.Trees):
    """The trees of a log, whose blocks are one generation ahead of the superblock."""

    def __init__(self, images):
        super().__init__(images)
        self.super.generation += 1

    def items(self):
        """(subvolume, key, item) of each item of each log."""
        for key, item in self.walk(btrfsread.TREE_LOG, self.super.log_root, self.super.log_root_level):
            if key[1] != btrfsread.ROOT_ITEM:
                continue
            logical, level, generation = btrfsread.root_place(item)
            for inner, content in self.walk(btrfsread.TREE_LOG, logical, level, generation):
                yield key[2], inner, content

    def close(self):
        for device in self.devices.values():
            os.close(device.fd)


def make_log_old(image):
    reader = LogReader([image])
    try:
        old_log.make_old(reader, image)
    finally:
        reader.close()


def log_kinds(images):
    """{key type: how many} of the items in an image's logs; None if there is no log."""
    if not log_root_of(read_super(images[0])):
        return None
    reader, kinds = LogReader(images), {}
    try:
        for _, key, _ in reader.items():
            kinds[key[1]] = kinds.get(key[1], 0) + 1
        if reader.problems:
            raise btrfsread.Damaged(reader.problems[0])
    finally:
        reader.close()
    return kinds


def refuses_linux(images):
    """Linux must not replay this image: an INODE_EXTREF item may be its end."""
    kinds = log_kinds(images)
    return kinds is not None and btrfsread.INODE_EXTREF in kinds


# --- Loop devices and mounts ----------------------------------------------------------------------

def attach(image):
    """(fd, path) of a loop device for an image, which lives as long as somebody has it open."""
    for _ in range(200):
        with open('/dev/loop-control', 'rb', buffering=0) as control:
            path = '/dev/loop%d' % fcntl.ioctl(control, LOOP_FREE_NUMBER)
        try:
            loop = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            time.sleep(.01)
            continue
        backing = os.open(image, os.O_RDWR)
        try:
            name = os.fsencode(os.path.abspath(image))[:63]
            config = bytearray(struct.pack('<II', backing, 0) + bytes(296))
            struct.pack_into('<I64s', config, 8 + 52, LOOP_AUTOCLEAR, name)
            fcntl.ioctl(loop, LOOP_SET_UP, config)
            return loop, path
        except OSError as error:
            os.close(loop)
            if error.errno != errno.EBUSY:
                raise
            time.sleep(.005)
        finally:
            os.close(backing)
    raise RuntimeError('no loop device is free')


class Attached:
    """Loop devices of images while the block runs."""

    def __init__(self, images):
        self.images = images

    def __enter__(self):
        self.loops = []
        try:
            for image in self.images:
                self.loops.append(attach(image))
        except BaseException:
            self.__exit__()
            raise
        return [path for _, path in self.loops]

    def __exit__(self, *error):
        for fd, _ in self.loops:
            os.close(fd)


def mount(images, options, top, flags=MS_NOATIME):
    """Mounts images at top and returns the paths of their loop devices, which go away on umount."""
    with Attached(images) as devices:
        words = [options] + ['device=' + path for path in devices[1:]]
        checked(libc.mount(devices[0].encode(), os.fsencode(top), b'btrfs', flags, ','.join(filter(None, words)).encode()))
    return devices


def unmount(top, devices):
    for attempt in range(100):
        try:
            checked(libc.umount2(os.fsencode(top), 0))
            break
        except OSError as error:
            if error.errno != errno.EBUSY or attempt == 99:
                raise
            time.sleep(.02)
    if len(devices) < 2:
        return
    # Linux remembers the members of a filesystem by their paths, which soon belong to others.
    with open('/dev/btrfs-control', 'rb', buffering=0) as control:
        for path in devices:
            try:
                fcntl.ioctl(control, FORGET_DEVICE, bytearray(struct.pack('<q4088s', 0, path.encode())))
            except OSError:
                pass


class Mounted:
    """A filesystem on images, mounted while the block runs."""

    def __init__(self, images, options, top, flags=MS_NOATIME):
        self.images, self.options, self.top, self.flags = images, options, top, flags

    def __enter__(self):
        self.devices = mount(self.images, self.options, self.top, self.flags)
        return self.top

    def __exit__(self, *error):
        unmount(self.top, self.devices)
