#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A second witness: a small reader of Btrfs, written from the on-disk format alone and sharing no code with btrkit.

  btrfsread.py verify [--no-data] [--lenient] [--offset N] IMAGE...
                                                          everything that must agree with something else; exit 1 and
                                                          one line for each problem when it does not
  btrfsread.py manifest [--root ID] [--no-times] [--no-data] IMAGE...
                                                          the tree of files as tests/tools/manifest prints it
  btrfsread.py super IMAGE...                             the superblock, a field in a line

--lenient forgives what mkfs.btrfs leaves behind: free space infos of its temporary block groups.

Only Python's own library is needed. Data compressed with zstd or lzo is read for `manifest` when libzstd or liblzo2
can be loaded (their compressed bytes are verified in any case).
"""
import bisect
import collections
import ctypes
import ctypes.util
import hashlib
import os
import shlex
import stat
import struct
import subprocess
import sys
import tempfile
import zlib

M64 = (1 << 64) - 1
STRIPE = 65536
SUPER_AT = (65536, 64 << 20, 256 << 30)

ROOT_TREE, EXTENT_TREE, CHUNK_TREE, DEV_TREE, FS_TREE, CSUM_TREE = 1, 2, 3, 4, 5, 7
UUID_TREE, FREE_SPACE_TREE, BLOCK_GROUP_TREE = 9, 10, 11
ORPHAN, TREE_LOG, TREE_RELOC, DATA_RELOC, CSUM_OBJECT = (-5 & M64), (-6 & M64), (-8 & M64), (-9 & M64), (-10 & M64)
FIRST_FREE, LAST_FREE = 256, (-256 & M64)

INODE_ITEM, INODE_REF, INODE_EXTREF, XATTR_ITEM, ORPHAN_ITEM = 1, 12, 13, 24, 48
DIR_ITEM, DIR_INDEX, EXTENT_DATA, EXTENT_CSUM = 84, 96, 108, 128
ROOT_ITEM, ROOT_BACKREF, ROOT_REF = 132, 144, 156
EXTENT_ITEM, METADATA_ITEM, TREE_BLOCK_REF, EXTENT_DATA_REF = 168, 169, 176, 178
EXTENT_OWNER_REF, SHARED_BLOCK_REF, SHARED_DATA_REF = 172, 182, 184
BLOCK_GROUP_ITEM, FREE_INFO, FREE_EXTENT, FREE_BITMAP = 192, 198, 199, 200
DEV_EXTENT, DEV_ITEM, CHUNK_ITEM, UUID_SUBVOL, UUID_RECEIVED = 204, 216, 228, 251, 252

BG_DATA, BG_SYSTEM, BG_METADATA = 1, 2, 4
# flag: name, copies, parity stripes, how a row is laid out
PROFILES = {0: ('single', 1, 0), 8: ('RAID0', 1, 0), 16: ('RAID1', 2, 0), 32: ('DUP', 2, 0), 64: ('RAID10', 2, 0),
            128: ('RAID5', 1, 1), 256: ('RAID6', 1, 2), 512: ('RAID1C3', 3, 0), 1024: ('RAID1C4', 4, 0)}
PROFILE_MASK = sum(PROFILES)
TYPE_OF_MODE = {stat.S_IFREG: 1, stat.S_IFDIR: 2, stat.S_IFCHR: 3, stat.S_IFBLK: 4, stat.S_IFIFO: 5,
                stat.S_IFSOCK: 6, stat.S_IFLNK: 7}
LETTER = {1: 'f', 2: 'd', 3: 'c', 4: 'b', 5: 'p', 6: 's', 7: 'l'}

KEY = struct.Struct('<QBQ')
HEADER = struct.Struct('<32s16sQQ16sQQIB')
ITEM = struct.Struct('<QBQII')
PTR = struct.Struct('<QBQQQ')
DEVICE = struct.Struct('<QQQIIIQQQIBB16s16s')
CHUNK = struct.Struct('<QQQQIIIHH')
STRIPE_ITEM = struct.Struct('<QQ16s')
INODE = struct.Struct('<QQQQQIIIIQQQ32x' + 'qI' * 4)
DIR_ENTRY = struct.Struct('<QBQQHHB')
FILE_EXTENT = struct.Struct('<QQBBHB')
FILE_EXTENT_DISK = struct.Struct('<QQQQ')
DATA_REF = struct.Struct('<QQQI')
SUPER_FIELDS = [('fsid', '16s'), ('bytenr', 'Q'), ('flags', 'Q'), ('magic', '8s'), ('generation', 'Q'), ('root', 'Q'),
                ('chunk_root', 'Q'), ('log_root', 'Q'), ('log_root_transid', 'Q'), ('total_bytes', 'Q'),
                ('bytes_used', 'Q'), ('root_dir', 'Q'), ('num_devices', 'Q'), ('sectorsize', 'I'), ('nodesize', 'I'),
                ('leafsize', 'I'), ('stripesize', 'I'), ('array_size', 'I'), ('chunk_root_generation', 'Q'),
                ('compat', 'Q'), ('compat_ro', 'Q'), ('incompat', 'Q'), ('csum_type', 'H'), ('root_level', 'B'),
                ('chunk_root_level', 'B'), ('log_root_level', 'B'), ('dev_item', '98s'), ('label', '256s'),
                ('cache_generation', 'Q'), ('uuid_tree_generation', 'Q'), ('metadata_uuid', '16s')]
SUPER = struct.Struct('<' + ''.join(kind for _, kind in SUPER_FIELDS))


class Damaged(Exception):
    """The image cannot be read further at this place."""


# --- Checksums -----------------------------------------------------------------------------------

def crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82f63b78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = crc_table()


def crc32c_raw(crc, data):
    for byte in data:
        crc = CRC_TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc


def name_hash(name):
    return crc32c_raw(0xfffffffe, name)


def compiled_crc32c():
    """The same loop compiled, if there is a compiler: Python itself manages about 10 MB/s. None without one."""
    source = """#include <stddef.h>
        unsigned crc(const unsigned *table, const unsigned char *p, size_t n)
        { unsigned c = ~0u; while (n--) c = table[(c ^ *p++) & 255] ^ c >> 8; return ~c; }"""
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(shlex.split(os.environ.get('CC', 'cc')) + ['-O2', '-shared', '-fPIC', '-x', 'c', '-', '-o',
                           folder + '/crc.so'], input=source.encode(), check=True, capture_output=True)
            function = ctypes.CDLL(folder + '/crc.so').crc
        except (OSError, subprocess.CalledProcessError):
            return None
    function.restype = ctypes.c_uint
    function.argtypes = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
    table = (ctypes.c_uint * 256)(*CRC_TABLE)
    return lambda data: struct.pack('<I', function(table, bytes(data), len(data)))


def xxh64(data):
    p1, p2, p3, p4, p5 = (11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579,
                          2870177450012600261)
    rot = lambda x, r: (x << r | x >> (64 - r)) & M64
    mix = lambda acc, word: rot((acc + word * p2) & M64, 31) * p1 & M64
    n, at = len(data), 0
    if n >= 32:
        acc = [(p1 + p2) & M64, p2, 0, -p1 & M64]
        for lanes in struct.iter_unpack('<4Q', data[:n & ~31]):
            acc = [mix(a, w) for a, w in zip(acc, lanes)]
        at = n & ~31
        h = sum(rot(a, r) for a, r in zip(acc, (1, 7, 12, 18))) & M64
        for a in acc:
            h = ((h ^ mix(0, a)) * p1 + p4) & M64
    else:
        h = p5
    h = (h + n) & M64
    while at + 8 <= n:
        h = (rot(h ^ mix(0, struct.unpack_from('<Q', data, at)[0]), 27) * p1 + p4) & M64
        at += 8
    if at + 4 <= n:
        h = (rot(h ^ struct.unpack_from('<I', data, at)[0] * p1 & M64, 23) * p2 + p3) & M64
        at += 4
    for byte in data[at:]:
        h = rot(h ^ byte * p5 & M64, 11) * p1 & M64
    h = (h ^ h >> 33) * p2 & M64
    h = (h ^ h >> 29) * p3 & M64
    return h ^ h >> 32


def checksum_of(kind):
    """The digest function of a superblock's csum_type, and its size."""
    if kind == 0:
        return compiled_crc32c() or (lambda data: struct.pack('<I', crc32c_raw(0xffffffff, data) ^ 0xffffffff)), 4
    if kind == 1:
        return lambda data: struct.pack('<Q', xxh64(data)), 8
    if kind == 2:
        return lambda data: hashlib.sha256(data).digest(), 32
    if kind == 3:
        return lambda data: hashlib.blake2b(data, digest_size=32).digest(), 32
    raise Damaged('superblock: checksum type %d' % kind)


# --- Devices and chunks -----------------------------------------------------------------------------

class Super:
    def __init__(self, raw):
        self.raw = raw
        for (name, _), value in zip(SUPER_FIELDS, SUPER.unpack_from(raw, 32)):
            setattr(self, name, value)
        self.array = raw[0x32b:0x32b + min(self.array_size, 2048)]

    def is_sound(self, known={}):
        if self.csum_type not in known:
            known[self.csum_type] = checksum_of(self.csum_type)
        digest, size = known[self.csum_type]
        return digest(self.raw[32:]) == self.raw[:size]


class Device:
    """One image: its superblocks, and reads at physical addresses."""

    def __init__(self, path, offset):
        self.path, self.offset = path, offset
        self.fd = os.open(path, os.O_RDONLY)
        self.size = os.lseek(self.fd, 0, os.SEEK_END) - offset
        self.supers = []
        for mirror, at in enumerate(SUPER_AT):
            raw = self.read(at, 4096) if at + 4096 <= self.size else b''
            if len(raw) == 4096 and raw[64:72] in (b'_BHRfS_M', b'!BHRfS_M'):
                self.supers.append((mirror, at, Super(raw)))

    def read(self, at, size):
        return os.pread(self.fd, size, self.offset + at)


class Chunk:
    def __init__(self, logical, raw):
        (self.length, self.owner, self.stripe_len, self.type, _, _, _, count, self.sub) = CHUNK.unpack_from(raw)
        self.start = logical
        self.end = logical + self.length
        if len(raw) != CHUNK.size + count * STRIPE_ITEM.size or not count:
            raise Damaged('chunk %d: %d bytes for %d stripes' % (logical, len(raw), count))
        self.stripes = [STRIPE_ITEM.unpack_from(raw, CHUNK.size + i * STRIPE_ITEM.size) for i in range(count)]
        if self.type & PROFILE_MASK not in PROFILES:
            raise Damaged('chunk %d: profile %x' % (logical, self.type))
        self.profile, self.copies, self.parity = PROFILES[self.type & PROFILE_MASK]
        n = count
        self.data_stripes = {'RAID0': n, 'RAID10': n // 2, 'RAID5': n - 1, 'RAID6': n - 2}.get(self.profile, 1)
        if self.data_stripes < 1:
            raise Damaged('chunk %d: %d stripes of %s' % (logical, count, self.profile))
        self.stripe_bytes = self.length // self.data_stripes

    def places(self, logical):
        """[(stripe index, physical)] of every copy of a byte, and how many bytes follow it there."""
        at = logical - self.start
        if self.profile in ('single', 'DUP', 'RAID1', 'RAID1C3', 'RAID1C4'):
            return [(i, s[1] + at) for i, s in enumerate(self.stripes)], self.end - logical
        row, column = divmod(at // STRIPE, self.data_stripes)
        inside = at % STRIPE
        if self.profile == 'RAID0':
            where = [column]
        elif self.profile == 'RAID10':
            where = [column * 2, column * 2 + 1]
        else:
            where = [(column + row) % len(self.stripes)]
        return [(i, self.stripes[i][1] + row * STRIPE + inside) for i in where], STRIPE - inside


def times_two(x, nr_bytes):
    """Each byte of a big number times 2 in the field of RAID6."""
    high = x >> 7 & int.from_bytes(b'\1' * nr_bytes, 'little')
    return (x & int.from_bytes(b'\x7f' * nr_bytes, 'little')) << 1 ^ high * 0x1d


class Volume:
    def __init__(self, paths, offset=0):
        self.problems = []
        devices = [Device(path, offset) for path in paths]
        best = None
        for device in devices:
            sound = [s for _, at, s in device.supers if s.is_sound() and s.bytenr == at]
            if not sound:
                raise Damaged('%s: no sound superblock' % device.path)
            device.super = max(sound, key=lambda s: s.generation)
            device.item = DEVICE.unpack(device.super.dev_item)
            if best is None or device.super.generation > best.generation:
                best = device.super
        self.super = best
        self.devices = {d.item[0]: d for d in devices}
        if len(self.devices) != len(devices):
            raise Damaged('two images with the same device id')
        self.digest, self.csum_size = checksum_of(best.csum_type)
        self.sector, self.node = best.sectorsize, best.nodesize
        self.fsid = best.metadata_uuid if best.incompat & 1 << 10 else best.fsid
        self.chunks, self.starts = {}, []
        self.read_array()

    def problem(self, text, *args):
        self.problems.append(text % args if args else text)

    def read_array(self):
        at, array = 0, self.super.array
        while at < len(array):
            objectid, kind, start = KEY.unpack_from(array, at)
            size = CHUNK.size + STRIPE_ITEM.size * struct.unpack_from('<H', array, at + KEY.size + 44)[0]
            if (objectid, kind) != (256, CHUNK_ITEM) or at + KEY.size + size > len(array):
                raise Damaged('superblock: bad system chunk array at %d' % at)
            self.add_chunk(start, array[at + KEY.size:at + KEY.size + size])
            at += KEY.size + size

    def add_chunk(self, start, raw):
        self.chunks[start] = Chunk(start, raw)
        self.starts = sorted(self.chunks)

    def chunk_of(self, logical):
        at = bisect.bisect_right(self.starts, logical) - 1
        chunk = self.chunks[self.starts[at]] if at >= 0 else None
        if chunk is None or logical >= chunk.end:
            raise Damaged('no chunk covers %d' % logical)
        return chunk

    def read_stripe(self, chunk, index, physical, size):
        device = self.devices.get(chunk.stripes[index][0])
        if device is None:
            return None
        data = device.read(physical, size)
        return data if len(data) == size else None

    def read_copies(self, logical, size):
        """Every copy of a range: [bytes, or None where it cannot be read]."""
        chunk = self.chunk_of(logical)
        places, room = chunk.places(logical)
        if size <= room:
            return [self.read_stripe(chunk, i, at, size) for i, at in places]
        copies = [[] for _ in places]
        while size:
            places, room = self.chunk_of(logical).places(logical)
            take = min(room, size)
            for copy, (i, at) in zip(copies, places):
                copy.append(self.read_stripe(chunk, i, at, take))
            logical, size = logical + take, size - take
        return [None if None in copy else b''.join(copy) for copy in copies]

    def rebuild(self, logical, size):
        """A range of RAID5 or RAID6 out of the others in its rows and P."""
        chunk, out = self.chunk_of(logical), []
        if not chunk.parity:
            return None
        while size:
            [(index, at)], room = chunk.places(logical)
            take = min(room, size)
            row, inside = (at - chunk.stripes[index][1]) // STRIPE, (at - chunk.stripes[index][1]) % STRIPE
            skip = {index} | ({(chunk.data_stripes + 1 + row) % len(chunk.stripes)} if chunk.parity == 2 else set())
            value = 0
            for i in range(len(chunk.stripes)):
                if i not in skip:
                    part = self.read_stripe(chunk, i, chunk.stripes[i][1] + row * STRIPE + inside, take)
                    if part is None:
                        return None
                    value ^= int.from_bytes(part, 'little')
            out.append(value.to_bytes(take, 'little'))
            logical, size = logical + take, size - take
        return b''.join(out)

    def read_data(self, logical, size):
        for copy in self.read_copies(logical, size) + [None]:
            if copy is not None:
                return copy
        copy = self.rebuild(logical, size)
        if copy is None:
            raise Damaged('no copy of %d can be read' % logical)
        return copy

    def check_parity(self, chunk, row, used):
        """@used: a number whose bytes are not 0 where some stripe of the row holds something; elsewhere, Linux leaves
        what was there before."""
        n = len(chunk.stripes)
        parts = [self.read_stripe(chunk, i, chunk.stripes[i][1] + row * STRIPE, STRIPE) for i in range(n)]
        if None in parts:
            return
        numbers = [int.from_bytes(p, 'little') for p in parts]
        p = q = 0
        for column in reversed(range(chunk.data_stripes)):
            value = numbers[(column + row) % n]
            p ^= value
            q = times_two(q, STRIPE) ^ value
        if (p ^ numbers[(chunk.data_stripes + row) % n]) & used:
            self.problem('chunk %d row %d: P is wrong', chunk.start, row)
        if chunk.parity == 2 and (q ^ numbers[(chunk.data_stripes + 1 + row) % n]) & used:
            self.problem('chunk %d row %d: Q is wrong', chunk.start, row)


# --- Tree blocks ------------------------------------------------------------------------------------

class Block:
    __slots__ = ('logical', 'raw', 'flags', 'generation', 'owner', 'count', 'level')

    def keys(self):
        size = PTR.size if self.level else ITEM.size
        return [KEY.unpack_from(self.raw, HEADER.size + i * size) for i in range(self.count)]

    def children(self):
        for i in range(self.count):
            objectid, kind, offset, logical, generation = PTR.unpack_from(self.raw, HEADER.size + i * PTR.size)
            yield (objectid, kind, offset), logical, generation

    def items(self):
        for i in range(self.count):
            objectid, kind, offset, at, size = ITEM.unpack_from(self.raw, HEADER.size + i * ITEM.size)
            yield (objectid, kind, offset), self.raw[HEADER.size + at:HEADER.size + at + size]


class Trees(Volume):
    """Tree blocks, read and checked; each only once, however many trees share it."""

    def __init__(self, paths, offset=0):
        super().__init__(paths, offset)
        self.seen = {}
        self.chunk_tree_uuid = None
        for key, item in self.walk(CHUNK_TREE, self.super.chunk_root, self.super.chunk_root_level):
            if key[1] == CHUNK_ITEM and key[2] not in self.chunks:
                self.add_chunk(key[2], item)
        self.seen.clear()

    def fault(self, raw, logical):
        if raw is None:
            return 'cannot be read'
        if self.digest(raw[32:]) != raw[:self.csum_size]:
            return 'checksum is wrong'
        _, fsid, bytenr, _, chunk_uuid, generation, _, count, level = HEADER.unpack_from(raw)
        if bytenr != logical:
            return 'says that it is at %d' % bytenr
        if fsid != self.fsid:
            return 'belongs to another filesystem'
        if self.chunk_tree_uuid not in (None, chunk_uuid):
            return 'has another chunk tree uuid'
        if generation > self.super.generation:
            return 'generation %d is after the superblock' % generation
        if level > 7 or HEADER.size + count * (PTR.size if level else ITEM.size) > self.node:
            return 'level %d, %d items' % (level, count)
        self.chunk_tree_uuid = chunk_uuid
        return None

    def read_block(self, logical, level=None, generation=None, first=None):
        copies = self.read_copies(logical, self.node)
        good = None
        for number, raw in enumerate(copies):
            fault = self.fault(raw, logical)
            if fault is None and good is None:
                good = raw
            elif fault and raw is not None:
                self.problem('block %d copy %d: %s', logical, number, fault)
        if good is None:
            good = self.rebuild(logical, self.node)
            if self.fault(good, logical):
                raise Damaged('block %d: no good copy' % logical)
        block = Block()
        block.logical, block.raw = logical, good
        (_, _, _, block.flags, _, block.generation, block.owner, block.count, block.level) = HEADER.unpack_from(good)
        if level is not None and block.level != level:
            raise Damaged('block %d: level %d, its parent says %d' % (logical, block.level, level))
        if generation is not None and block.generation != generation:
            self.problem('block %d: generation %d, its parent says %d', logical, block.generation, generation)
        self.check_geometry(block, first)
        return block

    def check_geometry(self, block, first):
        keys = block.keys()
        for before, after in zip(keys, keys[1:]):
            if before >= after:
                self.problem('block %d: key %r is not after %r', block.logical, after, before)
        if first is not None and (not keys or keys[0] != first):
            self.problem('block %d: first key %r, its parent says %r', block.logical, keys[:1], first)
        if block.level == 0:
            end = self.node - HEADER.size
            for i in range(block.count):
                _, _, _, at, size = ITEM.unpack_from(block.raw, HEADER.size + i * ITEM.size)
                if at + size != end:
                    self.problem('leaf %d slot %d: data ends at %d instead of %d', block.logical, i, at + size, end)
                end = at
            if end < block.count * ITEM.size:
                raise Damaged('leaf %d: items and their data overlap' % block.logical)

    def walk(self, tree, root, level, generation=None, visit=None):
        """All items of a tree in key order; visit(block, parent block or None, tree) for each block."""
        def below(logical, level, generation, first, parent, limit):
            block = self.read_block(logical, level, generation, first)
            if visit:
                visit(block, parent, tree)
            if block.count == 0 and (parent or level):
                self.problem('block %d: empty', logical)
            keys = block.keys()
            if limit and keys and keys[-1] >= limit:
                self.problem('block %d: key %r is not before %r', logical, keys[-1], limit)
            if level == 0:
                yield from block.items()
                return
            children = list(block.children())
            for i, (key, child, child_generation) in enumerate(children):
                upto = children[i + 1][0] if i + 1 < len(children) else limit
                yield from below(child, level - 1, child_generation, key, block, upto)
        yield from below(root, level, generation, None, None, None)

    def roots(self):
        """{tree id: (key, root item)}"""
        found = {}
        for key, item in self.walk(ROOT_TREE, self.super.root, self.super.root_level):
            if key[1] == ROOT_ITEM:
                found[key[0]] = (key, item)
        return found


def root_place(item):
    """(logical, level, generation) of a root item."""
    generation, _, logical = struct.unpack_from('<QQQ', item, 160)
    return logical, item[238], generation


# --- Items ---------------------------------------------------------------------------------------------

def dir_entries(item):
    """Of DIR_ITEM, DIR_INDEX and XATTR_ITEM: (location key, type, name, value)."""
    at = 0
    while at < len(item):
        objectid, kind, offset, _, data_len, name_len, file_type = DIR_ENTRY.unpack_from(item, at)
        at += DIR_ENTRY.size
        name = item[at:at + name_len]
        value = item[at + name_len:at + name_len + data_len]
        if at + name_len + data_len > len(item):
            raise Damaged('directory item: a name runs over its end')
        yield (objectid, kind, offset), file_type, name, value
        at += name_len + data_len


def inode_refs(key, item):
    """Of INODE_REF and INODE_EXTREF: (parent, index, name)."""
    at = 0
    while at < len(item):
        if key[1] == INODE_REF:
            parent = key[2]
            index, size = struct.unpack_from('<QH', item, at)
            at += 10
        else:
            parent, index, size = struct.unpack_from('<QQH', item, at)
            at += 18
        if at + size > len(item):
            raise Damaged('inode %d: a reference runs over its item' % key[0])
        yield parent, index, item[at:at + size]
        at += size


class FileExtent:
    def __init__(self, offset, item):
        self.offset = offset
        self.generation, self.ram, self.compression, _, _, self.type = FILE_EXTENT.unpack_from(item)
        if self.type == 0:
            self.inline = item[FILE_EXTENT.size:]
            self.logical = self.disk_bytes = self.skip = 0
            self.bytes = self.ram
        else:
            self.inline = None
            self.logical, self.disk_bytes, self.skip, self.bytes = FILE_EXTENT_DISK.unpack_from(item, FILE_EXTENT.size)


def merge(ranges):
    """Sorted (start, end) pairs, joined where they touch."""
    out = []
    for start, end in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([start, end])
    return out


# --- verify ----------------------------------------------------------------------------------------------

class Verifier(Trees):
    def __init__(self, paths, offset=0):
        super().__init__(paths, offset)
        self.wanted = collections.defaultdict(collections.Counter)  # extent start: references that trees make
        self.levels = {}  # tree block: level
        self.data_sizes = {}  # data extent: bytes, as file extents say
        self.summed = []  # data that must have checksums
        self.leaf_refs, self.child_refs = [], []
        self.subvols, self.links, self.back_links, self.uuids = {}, {}, {}, {}
        self.in_uuid_tree = set()

    def run(self, with_data, is_lenient):
        self.is_lenient = is_lenient
        self.check_supers()
        self.load_extents_flags()
        self.sweep()
        self.check_devices()
        self.check_extents()
        self.check_block_groups()
        self.check_free_space()
        self.check_csums(with_data)
        self.check_rows(with_data)
        self.check_subvols()
        return self.problems

    # Superblocks
    def check_supers(self):
        for device in self.devices.values():
            fits = [i for i, at in enumerate(SUPER_AT) if at + 4096 <= min(device.size, device.item[1])]
            have = []
            for mirror, at, s in device.supers:
                if mirror not in fits:
                    continue
                if not s.is_sound():
                    self.problem('%s: superblock %d: checksum is wrong', device.path, mirror)
                if s.bytenr != at:
                    self.problem('%s: superblock %d says that it is at %d', device.path, mirror, s.bytenr)
                if s.raw[72:] != device.super.raw[72:] or s.raw[64:72] != b'_BHRfS_M':
                    self.problem('%s: superblock %d differs from the newest', device.path, mirror)
                have.append(mirror)
            if have != fits:
                self.problem('%s: superblocks %r, room for %r', device.path, have, fits)
            own, common = device.super.raw, self.super.raw
            if own[32:48] != common[32:48] or own[56:0xc9] != common[56:0xc9] or own[0x12b:] != common[0x12b:]:
                self.problem('%s: superblock differs from that of the other devices', device.path)
            if device.item[1] > device.size:
                self.problem('%s: %d bytes, its superblock says %d', device.path, device.size, device.item[1])
            if device.item[13] != self.super.fsid and device.item[13] != self.fsid:
                self.problem('%s: device item has another fsid', device.path)
        if self.super.log_root:
            self.problem('superblock: there is a log tree')
        if self.super.num_devices != len(self.devices):
            self.problem('superblock: %d devices, %d given', self.super.num_devices, len(self.devices))

    # The extent tree first, for FULL_BACKREF decides what a block's pointers count as.
    def load_extents_flags(self):
        self.extents, self.groups = {}, {}
        self.keyed_refs = collections.defaultdict(collections.Counter)
        roots = self.roots()
        self.root_items = roots
        self.extent_items = []
        for key, item in self.walk(EXTENT_TREE, *root_place(roots[EXTENT_TREE][1])):
            if key[1] in (EXTENT_ITEM, METADATA_ITEM):
                self.parse_extent(key, item)
            elif key[1] == TREE_BLOCK_REF:
                self.keyed_refs[key[0]][('tree', key[2])] += 1
            elif key[1] == SHARED_BLOCK_REF:
                self.keyed_refs[key[0]][('shared', key[2])] += 1
            elif key[1] == EXTENT_DATA_REF:
                root, ino, offset, count = DATA_REF.unpack(item)
                self.keyed_refs[key[0]][('data', root, ino, offset)] += count
            elif key[1] == SHARED_DATA_REF:
                self.keyed_refs[key[0]][('shared', key[2])] += struct.unpack('<I', item)[0]
            elif key[1] == BLOCK_GROUP_ITEM:
                self.groups[key[0]] = (key[2],) + struct.unpack('<QQQ', item)
            elif key[1] != EXTENT_OWNER_REF:
                self.problem('extent tree: unexpected key %r', key)
        if BLOCK_GROUP_TREE in roots:
            if self.groups:
                self.problem('block groups in the extent tree beside a block group tree')
            for key, item in self.walk(BLOCK_GROUP_TREE, *root_place(roots[BLOCK_GROUP_TREE][1])):
                self.groups[key[0]] = (key[2],) + struct.unpack('<QQQ', item)

    def parse_extent(self, key, item):
        refs, generation, flags = struct.unpack_from('<QQQ', item)
        at, level, is_data = 24, None, bool(flags & 1)
        size = key[2] if key[1] == EXTENT_ITEM else self.node
        if not is_data:
            level = key[2]
            if key[1] == EXTENT_ITEM:
                level = item[at + 17]
                at += 18
        elif key[1] == METADATA_ITEM:
            self.problem('extent %d: a metadata item flagged as data', key[0])
        if key[0] in self.extents:
            self.problem('extent %d: two items', key[0])
        self.extents[key[0]] = (size, refs, generation, flags, level)
        before = None
        while at < len(item):
            kind = item[at]
            value = struct.unpack_from('<Q', item, at + 1)[0]
            if kind == TREE_BLOCK_REF:
                ref, count, step = ('tree', value), 1, 9
            elif kind == SHARED_BLOCK_REF:
                ref, count, step = ('shared', value), 1, 9
            elif kind == EXTENT_DATA_REF:
                root, ino, offset, count = DATA_REF.unpack_from(item, at + 1)
                ref, step = ('data', root, ino, offset), 29
            elif kind == SHARED_DATA_REF:
                ref, count, step = ('shared', value), struct.unpack_from('<I', item, at + 9)[0], 13
            elif kind == EXTENT_OWNER_REF:
                at += 9
                continue
            else:
                self.problem('extent %d: inline reference of type %d', key[0], kind)
                return
            if before is not None and kind < before:
                self.problem('extent %d: inline references are not in order', key[0])
            before = kind
            self.keyed_refs[key[0]][ref] += count
            at += step
        if at != len(item):
            self.problem('extent %d: its item does not end with a reference', key[0])

    # Every tree, block by block
    def visit(self, block, parent, tree):
        if parent is None:
            self.wanted[block.logical][('shared', block.logical) if tree == TREE_RELOC else ('tree', tree)] += 1
        self.levels[block.logical] = block.level
        if block.logical in self.seen:
            return
        self.seen[block.logical] = block.generation
        is_full = bool(self.extents.get(block.logical, (0, 0, 0, 0))[3] & 1 << 8)
        as_seen = lambda: ('shared', block.logical) if is_full else ('tree', block.owner)
        if block.level:
            for _, child, _ in block.children():
                self.wanted[child][as_seen()] += 1
            return
        for key, item in block.items():
            if key[1] == EXTENT_DATA:
                extent = FileExtent(key[2], item)
                if extent.type and extent.logical:
                    ref = as_seen() if is_full else ('data', block.owner, key[0], key[2] - extent.skip & M64)
                    self.wanted[extent.logical][ref] += 1
                    if self.data_sizes.setdefault(extent.logical, extent.disk_bytes) != extent.disk_bytes:
                        self.problem('data extent %d: its file extents disagree about its size', extent.logical)

    def sweep(self):
        self.items = {}
        for tree, place in ((ROOT_TREE, (self.super.root, self.super.root_level, self.super.generation)),
                            (CHUNK_TREE, (self.super.chunk_root, self.super.chunk_root_level,
                                          self.super.chunk_root_generation))):
            self.items[tree] = list(self.walk(tree, *place, self.visit))
        self.check_inodes(ROOT_TREE, self.items[ROOT_TREE])
        for tree, (key, item) in self.root_items.items():
            place = root_place(item)
            if tree == TREE_LOG:
                continue
            walk = self.walk(tree, *place, self.visit)
            if tree == FS_TREE or FIRST_FREE <= tree <= LAST_FREE or tree == DATA_RELOC:
                if tree != DATA_RELOC:
                    self.subvols[tree] = item
                self.check_inodes(tree, list(walk))
            elif tree in (DEV_TREE, CSUM_TREE, UUID_TREE, FREE_SPACE_TREE):
                self.items[tree] = list(walk)
            else:
                for _ in walk:
                    pass
        for key, item in self.items[ROOT_TREE]:
            if key[1] in (ROOT_REF, ROOT_BACKREF):
                dirid, index, size = struct.unpack_from('<QQH', item)
                pair = (key[0], key[2]) if key[1] == ROOT_REF else (key[2], key[0])
                where = self.links if key[1] == ROOT_REF else self.back_links
                where[pair] = (dirid, index, item[18:18 + size])

    # Chunks against device extents and device items
    def check_devices(self):
        wanted, found, items = {}, {}, {}
        for chunk in self.chunks.values():
            for devid, physical, uuid in chunk.stripes:
                wanted[devid, physical] = (chunk.start, chunk.stripe_bytes)
            if chunk.stripe_len != STRIPE:
                self.problem('chunk %d: stripe length %d', chunk.start, chunk.stripe_len)
            if chunk.length % STRIPE or chunk.length != chunk.stripe_bytes * chunk.data_stripes:
                self.problem('chunk %d: length %d', chunk.start, chunk.length)
            if chunk.parity == 0 and chunk.profile not in ('RAID0', 'RAID10') and len(chunk.stripes) != chunk.copies:
                self.problem('chunk %d: %d stripes of %s', chunk.start, len(chunk.stripes), chunk.profile)
            if chunk.profile not in ('DUP', 'single') and len({s[0] for s in chunk.stripes}) != len(chunk.stripes):
                self.problem('chunk %d: two stripes on one device', chunk.start)
        for key, item in self.items[CHUNK_TREE]:
            if key[1] == DEV_ITEM:
                items[key[2]] = DEVICE.unpack(item)
        for key, item in self.items[DEV_TREE]:
            if key[1] == DEV_EXTENT:
                tree, objectid, logical, length = struct.unpack_from('<QQQQ', item)
                found[key[0], key[2]] = (logical, length)
                if (tree, objectid) != (CHUNK_TREE, 256):
                    self.problem('device extent %r: chunk tree %d, object %d', key, tree, objectid)
                if item[32:48] != self.chunk_tree_uuid and item[32:48] != bytes(16):
                    self.problem('device extent %r: another chunk tree uuid', key)
        for place in sorted(wanted.keys() | found.keys()):
            if wanted.get(place) != found.get(place):
                self.problem('device %d at %d: chunks say %r, device extents %r', *place, wanted.get(place),
                             found.get(place))
        for devid, item in items.items():
            ranges = sorted((at, at + size) for (d, at), (_, size) in found.items() if d == devid)
            for before, after in zip(ranges, ranges[1:]):
                if before[1] > after[0]:
                    self.problem('device %d: extents overlap at %d', devid, after[0])
            if ranges and (ranges[-1][1] > item[1] or ranges[0][0] < 1 << 20):
                self.problem('device %d: extents from %d to %d, device of %d', devid, ranges[0][0], ranges[-1][1], item[1])
            if sum(end - start for start, end in ranges) != item[2]:
                self.problem('device %d: %d bytes used, device extents have %d', devid, item[2],
                             sum(end - start for start, end in ranges))
            device = self.devices.get(devid)
            if device and (device.item[:3] != item[:3] or device.item[12:] != item[12:]):
                self.problem('device %d: its superblock and the chunk tree disagree', devid)
        for chunk in self.chunks.values():
            for devid, physical, uuid in chunk.stripes:
                if devid not in items or items[devid][12] != uuid:
                    self.problem('chunk %d: device %d has another uuid or does not exist', chunk.start, devid)
        if sum(item[1] for item in items.values()) != self.super.total_bytes:
            self.problem('superblock: total_bytes %d, devices have %d', self.super.total_bytes,
                         sum(item[1] for item in items.values()))
        if len(items) != self.super.num_devices:
            self.problem('superblock: %d devices, %d device items', self.super.num_devices, len(items))
        system = sorted(s for s, c in self.chunks.items() if c.type & BG_SYSTEM)
        in_array = sorted(Chunk.start for Chunk in self.array_chunks())
        if system != in_array:
            self.problem('superblock: system chunks %r in its array, chunk tree has %r', in_array, system)

    def array_chunks(self):
        at, array = 0, self.super.array
        while at < len(array):
            start = KEY.unpack_from(array, at)[2]
            size = CHUNK.size + STRIPE_ITEM.size * struct.unpack_from('<H', array, at + KEY.size + 44)[0]
            yield Chunk(start, array[at + KEY.size:at + KEY.size + size])
            at += KEY.size + size

    # Extent items against what trees refer to
    def check_extents(self):
        for logical in sorted(self.wanted.keys() | self.extents.keys()):
            if logical not in self.extents:
                self.problem('extent %d: used, but has no item', logical)
                continue
            size, refs, generation, flags, level = self.extents[logical]
            wanted, found = self.wanted.get(logical, {}), self.keyed_refs[logical]
            if wanted != found:
                self.problem('extent %d: trees refer to it as %r, its item says %r', logical, dict(wanted), dict(found))
            if refs != sum(found.values()):
                self.problem('extent %d: %d references, %d are listed', logical, refs, sum(found.values()))
            if generation > self.super.generation:
                self.problem('extent %d: generation %d', logical, generation)
            if flags & 1:
                if self.data_sizes.get(logical, size) != size:
                    self.problem('extent %d: %d bytes, file extents say %d', logical, size, self.data_sizes[logical])
                if logical in self.levels:
                    self.problem('extent %d: both data and a tree block', logical)
            else:
                if self.levels.get(logical, level) != level:
                    self.problem('extent %d: level %d, block has %d', logical, level, self.levels[logical])
                if self.seen.get(logical, generation) != generation:
                    self.problem('extent %d: generation %d, block has %d', logical, generation, self.seen[logical])
                if logical % STRIPE + size > STRIPE:
                    self.problem('extent %d: tree block crosses a stripe', logical)
            try:
                chunk = self.chunk_of(logical)
            except Damaged as e:
                self.problem('extent %d: %s', logical, e)
                continue
            if logical + size > chunk.end:
                self.problem('extent %d: reaches over its chunk', logical)
            if flags & 1 and not chunk.type & BG_DATA or not flags & 1 and not chunk.type & (BG_METADATA | BG_SYSTEM):
                self.problem('extent %d: in a chunk of type %x', logical, chunk.type)
        ordered = sorted((at, at + e[0]) for at, e in self.extents.items())
        for before, after in zip(ordered, ordered[1:]):
            if before[1] > after[0]:
                self.problem('extents %d and %d overlap', before[0], after[0])
        for start, end in merge(ordered):
            self.check_mirrors_are_free(start, end)

    def check_mirrors_are_free(self, start, end):
        """Nothing allocated may lie where a superblock goes."""
        while start < end:
            try:
                chunk = self.chunk_of(start)
            except Damaged:
                return
            places, room = chunk.places(start)
            take = min(room, end - start, chunk.end - start)
            for index, physical in places:
                for mirror in SUPER_AT:
                    if physical < mirror + STRIPE and mirror < physical + take:
                        self.problem('extent space %d: lies on a superblock of device %d', start, chunk.stripes[index][0])
            start += take

    def check_block_groups(self):
        starts = sorted(self.groups)
        used = dict.fromkeys(starts, 0)
        for logical, extent in self.extents.items():
            at = bisect.bisect_right(starts, logical) - 1
            if at < 0 or logical + extent[0] > starts[at] + self.groups[starts[at]][0]:
                self.problem('extent %d: in no block group', logical)
            else:
                used[starts[at]] += extent[0]
        for start, (length, bytes_used, objectid, flags) in self.groups.items():
            chunk = self.chunks.get(start)
            if chunk is None or chunk.length != length or chunk.type != flags:
                self.problem('block group %d: does not match its chunk', start)
            if bytes_used != used[start]:
                self.problem('block group %d: %d bytes used, extents have %d', start, bytes_used, used[start])
            if objectid != 256:
                self.problem('block group %d: object %d', start, objectid)
        for start in self.chunks.keys() - self.groups.keys():
            self.problem('chunk %d: no block group', start)
        if sum(used.values()) != self.super.bytes_used:
            self.problem('superblock: %d bytes used, extents have %d', self.super.bytes_used, sum(used.values()))

    def check_free_space(self):
        if FREE_SPACE_TREE not in self.items:
            if self.super.compat_ro & 3:
                self.problem('superblock: free space tree flags without the tree')
            return
        if self.super.compat_ro & 3 != 3:
            self.problem('superblock: the free space tree is not flagged as there and valid')
        infos, free = {}, []
        for (start, kind, length), item in self.items[FREE_SPACE_TREE]:
            if kind == FREE_INFO:
                infos[start] = struct.unpack('<II', item) + (length,)
            elif kind == FREE_EXTENT:
                free.append((start, start + length))
            elif kind == FREE_BITMAP:
                if len(item) * 8 * self.sector != length and len(item) != (length // self.sector + 7) // 8:
                    self.problem('free space bitmap %d: %d bytes for %d', start, len(item), length)
                bits = bin(int.from_bytes(item, 'little'))[:1:-1]
                run = bits.find('1')
                while run >= 0:
                    stop = bits.find('0', run)
                    stop = len(bits) if stop < 0 else stop
                    free.append((start + run * self.sector, start + stop * self.sector))
                    run = bits.find('1', stop)
        used = merge((at, at + e[0]) for at, e in self.extents.items())
        free = sorted(free)
        free_starts, used_starts = [r[0] for r in free], [r[0] for r in used]
        for start, (length, _, _, _) in sorted(self.groups.items()):
            end = start + length
            wanted, at = [], start
            for a, b in used[bisect.bisect_left(used_starts, start):bisect.bisect_left(used_starts, end)]:
                # Neighbouring block groups may be merged into one range above: cut it.
                if a > at:
                    wanted.append([at, a])
                at = max(at, min(b, end))
            before = bisect.bisect_left(used_starts, start) - 1
            if before >= 0 and used[before][1] > start and wanted and wanted[0][0] < used[before][1]:
                wanted[0][0] = used[before][1]
                wanted = wanted if wanted[0][0] < wanted[0][1] else wanted[1:]
            elif before >= 0 and used[before][1] > start and not wanted:
                at = max(at, min(used[before][1], end))
            if at < end:
                wanted.append([at, end])
            pieces = free[bisect.bisect_left(free_starts, start):bisect.bisect_left(free_starts, end)]
            found = merge(pieces)
            if found != wanted:
                self.problem('free space of block group %d: %r, extents leave %r', start, found[:5], wanted[:5])
            info = infos.pop(start, None)
            if info is None or info[2] != length:
                self.problem('block group %d: no free space info of its length', start)
            elif info[0] != len(found) or (not info[1] & 1 and len(pieces) != len(found)):
                self.problem('block group %d: free space info counts %d, found %d in %d', start, info[0], len(found),
                             len(pieces))
        for start in infos if not self.is_lenient else ():
            self.problem('free space info %d: no such block group', start)

    def check_csums(self, with_data):
        sums = []
        size = self.csum_size
        for key, item in self.items.get(CSUM_TREE, []):
            if (key[0], key[1]) != (CSUM_OBJECT, EXTENT_CSUM) or len(item) % size or not item:
                self.problem('checksum tree: item %r of %d bytes', key, len(item))
                continue
            sums.append((key[2], key[2] + len(item) // size * self.sector, item))
        for before, after in zip(sums, sums[1:]):
            if before[1] > after[0]:
                self.problem('checksums overlap at %d', after[0])
        covered = merge((a, b) for a, b, _ in sums)
        starts = [r[0] for r in covered]
        for start, end in merge(self.summed):
            at = bisect.bisect_right(starts, start) - 1
            if at < 0 or covered[at][1] < end:
                self.problem('data %d to %d: not all of it has checksums', start, end)
        data = merge((at, at + e[0]) for at, e in self.extents.items() if e[3] & 1)
        starts = [r[0] for r in data]
        for start, end in covered:
            at = bisect.bisect_right(starts, start) - 1
            if at < 0 or data[at][1] < end:
                self.problem('checksums %d to %d: of no data extent', start, end)
        if with_data:
            for start, end, item in sums:
                self.check_data(start, end, item)

    def check_data(self, start, end, item):
        size, sector, digest, at = self.csum_size, self.sector, self.digest, 0
        while start < end:
            take = min(end - start, 1 << 20)
            for number, copy in enumerate(self.read_copies(start, take)):
                if copy is None:
                    continue
                for i in range(take // sector):
                    if digest(copy[i * sector:(i + 1) * sector]) != item[at + i * size:at + (i + 1) * size]:
                        self.problem('data %d copy %d: checksum is wrong', start + i * sector, number)
            start += take
            at += take // sector * size

    def check_rows(self, with_data):
        rows = collections.defaultdict(int)
        for logical, extent in self.extents.items():
            chunk, at, end = self.chunk_of(logical), logical, logical + extent[0]
            if not chunk.parity or (extent[3] & 1 and not with_data):
                continue
            while at < end:
                inside = (at - chunk.start) % STRIPE
                take = min(STRIPE - inside, end - at)
                row = (at - chunk.start) // (chunk.data_stripes * STRIPE)
                rows[chunk.start, row] |= ((1 << 8 * take) - 1) << 8 * inside
                at += take
        for (start, row), used in sorted(rows.items()):
            self.check_parity(self.chunks[start], row, used)

    # Inodes and names of one tree
    def check_inodes(self, tree, items):
        inodes, refs, entries, indexes = {}, collections.defaultdict(dict), {}, {}
        extents, orphans = collections.defaultdict(list), set()
        for key, item in items:
            ino, kind, offset = key
            if kind == INODE_ITEM:
                inodes[ino] = INODE.unpack(item)
            elif kind in (INODE_REF, INODE_EXTREF):
                for parent, index, name in inode_refs(key, item):
                    refs[ino][parent, name] = index
                    if kind == INODE_EXTREF and crc32c_raw(parent & 0xffffffff, name) != offset:
                        self.problem('tree %d inode %d: hash of an extended reference', tree, ino)
            elif kind == DIR_ITEM:
                for location, file_type, name, _ in dir_entries(item):
                    if name_hash(name) != offset:
                        self.problem('tree %d directory %d: hash of %r', tree, ino, name)
                    if (ino, name) in entries:
                        self.problem('tree %d directory %d: %r twice', tree, ino, name)
                    entries[ino, name] = (location, file_type)
            elif kind == DIR_INDEX:
                for location, file_type, name, _ in dir_entries(item):
                    if (ino, name) in indexes:
                        self.problem('tree %d directory %d: two indexes for %r', tree, ino, name)
                    indexes[ino, name] = (location, file_type, offset)
            elif kind == XATTR_ITEM:
                for _, file_type, name, _ in dir_entries(item):
                    if name_hash(name) != offset or file_type != 8:
                        self.problem('tree %d inode %d: xattr %r', tree, ino, name)
            elif kind == EXTENT_DATA:
                extents[ino].append(FileExtent(offset, item))
            elif kind == ORPHAN_ITEM:
                orphans.add(offset)
        if tree != ROOT_TREE:
            self.check_names(tree, inodes, refs, entries, indexes, orphans)
        for ino, inode in inodes.items():
            if stat.S_IFMT(inode[8]) in (stat.S_IFREG, stat.S_IFLNK) and ino not in orphans:
                self.check_file(tree, ino, inode, extents.get(ino, []))
        for ino in extents.keys() - inodes.keys():
            self.problem('tree %d: file extents of inode %d, which does not exist', tree, ino)

    def check_names(self, tree, inodes, refs, entries, indexes, orphans):
        sizes = collections.Counter()
        used_indexes = set()
        for (parent, name), (location, file_type) in entries.items():
            where = 'tree %d directory %d name %r' % (tree, parent, name)
            sizes[parent] += 2 * len(name)
            index = indexes.pop((parent, name), None)
            if index is None or index[:2] != (location, file_type):
                self.problem('%s: no index, or it differs', where)
                continue
            if (parent, index[2]) in used_indexes or index[2] < 2:
                self.problem('%s: index %d', where, index[2])
            used_indexes.add((parent, index[2]))
            if parent not in inodes or not stat.S_ISDIR(inodes[parent][8]):
                self.problem('%s: no such directory', where)
            if location[1] == ROOT_ITEM:
                if self.root_items.get(location[0]) is None:
                    self.problem('%s: subvolume %d does not exist', where, location[0])
                self.uuids.setdefault('named', {})[tree, location[0]] = (parent, index[2], name)
                continue
            inode = inodes.get(location[0])
            if inode is None:
                self.problem('%s: inode %d does not exist', where, location[0])
                continue
            if TYPE_OF_MODE.get(stat.S_IFMT(inode[8])) != file_type:
                self.problem('%s: type %d, mode %o', where, file_type, inode[8])
            if refs[location[0]].get((parent, name)) != index[2]:
                self.problem('%s: inode %d does not refer back to it', where, location[0])
        for parent, name in indexes:
            self.problem('tree %d directory %d: index without item for %r', tree, parent, name)
        for ino, inode in inodes.items():
            mine = refs.get(ino, {})
            if ino == 256:
                if mine != {(256, b'..'): 0} or inode[5] != 1:
                    self.problem('tree %d: top directory has references %r, %d links', tree, mine, inode[5])
            else:
                for parent, name in mine:
                    if (parent, name) not in entries:
                        self.problem('tree %d inode %d: refers to %d/%r, which does not exist', tree, ino, parent, name)
                if inode[5] != len(mine) or (not mine and ino not in orphans):
                    self.problem('tree %d inode %d: %d links, %d names', tree, ino, inode[5], len(mine))
            if stat.S_ISDIR(inode[8]):
                if inode[2] != sizes[ino]:
                    self.problem('tree %d directory %d: size %d, names need %d', tree, ino, inode[2], sizes[ino])
                if inode[5] > 1:
                    self.problem('tree %d directory %d: %d links', tree, ino, inode[5])
        if 256 not in inodes:
            self.problem('tree %d: no top directory', tree)

    def check_file(self, tree, ino, inode, extents):
        where = 'tree %d inode %d' % (tree, ino)
        size, nbytes, flags = inode[2], 0, inode[10]
        rounded = -(-size // self.sector) * self.sector
        end = 0
        for e in extents:
            if e.offset < end:
                self.problem('%s: file extents overlap at %d', where, e.offset)
            if e.offset > end and not self.super.incompat & 1 << 9 and tree != ROOT_TREE and e.type != 2:
                self.problem('%s: no extent item from %d to %d', where, end, e.offset)
            if e.type == 0:
                nbytes += e.ram
                if e.offset or len(extents) > 1 and not all(x.type == 2 for x in extents[1:]):
                    self.problem('%s: an inline extent is not alone', where)
                if not e.compression and len(e.inline) != e.ram:
                    self.problem('%s: inline extent of %d bytes says %d', where, len(e.inline), e.ram)
                end = rounded
                continue
            if (e.offset | e.bytes | e.logical | e.disk_bytes | e.skip) % self.sector or not e.bytes:
                self.problem('%s: file extent at %d is not aligned', where, e.offset)
            if e.logical:
                nbytes += e.bytes
                if e.skip + e.bytes > e.ram:
                    self.problem('%s: file extent at %d reaches over its data', where, e.offset)
                if e.type == 1 and not flags & 1:
                    first = e.logical if e.compression else e.logical + e.skip
                    self.summed.append((first, first + (e.disk_bytes if e.compression else e.bytes)))
                if e.type == 2 and e.compression:
                    self.problem('%s: compressed preallocation', where)
            end = e.offset + e.bytes
            if e.type == 1 and end > rounded:
                self.problem('%s: data to %d, size %d', where, end, size)
        if end < size and not self.super.incompat & 1 << 9 and stat.S_ISREG(inode[8]) and tree != ROOT_TREE:
            self.problem('%s: extent items end at %d, size %d', where, end, size)
        if nbytes != inode[3]:
            self.problem('%s: nbytes %d, extents have %d', where, inode[3], nbytes)
        if stat.S_ISLNK(inode[8]) and (len(extents) != 1 or extents[0].type or len(extents[0].inline) != size):
            self.problem('%s: symbolic link of %d bytes', where, size)

    # Subvolumes: names, references, uuids
    def check_subvols(self):
        named = self.uuids.get('named', {})
        for pair in named.keys() | self.links.keys() | self.back_links.keys():
            if not named.get(pair) == self.links.get(pair) == self.back_links.get(pair):
                self.problem('subvolume %d in %d: named %r, reference %r, back reference %r', pair[1], pair[0],
                             named.get(pair), self.links.get(pair), self.back_links.get(pair))
        in_tree = set()
        for (high, kind, low), item in self.items.get(UUID_TREE, []):
            for (subvol,) in struct.iter_unpack('<Q', item):
                in_tree.add((kind, struct.pack('<QQ', high, low), subvol))
        wanted = set()
        for subvol, item in self.subvols.items():
            refs, dirid = struct.unpack_from('<I', item, 216)[0], struct.unpack_from('<Q', item, 168)[0]
            if dirid != 256 or not refs:
                self.problem('subvolume %d: top directory %d, %d references', subvol, dirid, refs)
            if len(item) >= 439:
                if item[247:263] != bytes(16):
                    wanted.add((UUID_SUBVOL, item[247:263], subvol))
                if item[279:295] != bytes(16):
                    wanted.add((UUID_RECEIVED, item[279:295], subvol))
            if subvol != FS_TREE and not any(pair[1] == subvol for pair in self.links):
                self.problem('subvolume %d: nothing refers to it', subvol)
        if UUID_TREE in self.items:
            for kind, uuid, subvol in sorted(wanted ^ in_tree):
                self.problem('uuid tree: %s of subvolume %d is %s', uuid.hex(), subvol,
                             'missing' if (kind, uuid, subvol) in wanted else 'left over')


# --- manifest -----------------------------------------------------------------------------------------------

def decompressor(compression, sector):
    if compression == 1:
        return lambda data, size: zlib.decompressobj().decompress(data, size)
    if compression == 3:
        lib = ctypes.CDLL(ctypes.util.find_library('zstd') or 'libzstd.so.1')
        lib.ZSTD_decompressStream.restype = lib.ZSTD_initDStream.restype = ctypes.c_size_t
        lib.ZSTD_createDStream.restype = ctypes.c_void_p
        stream = ctypes.c_void_p(lib.ZSTD_createDStream())

        class Buffer(ctypes.Structure):
            _fields_ = [('p', ctypes.c_void_p), ('size', ctypes.c_size_t), ('pos', ctypes.c_size_t)]

        def unzstd(data, size):
            out = ctypes.create_string_buffer(size)
            src = ctypes.create_string_buffer(data, len(data))
            o, i = Buffer(ctypes.addressof(out), size, 0), Buffer(ctypes.addressof(src), len(data), 0)
            lib.ZSTD_initDStream(stream)
            while o.pos < size:
                before = (o.pos, i.pos)
                left = lib.ZSTD_decompressStream(stream, ctypes.byref(o), ctypes.byref(i))
                if left == 0 or left > 1 << 62 or before == (o.pos, i.pos):
                    break
            return out.raw[:o.pos]
        return unzstd
    if compression == 2:
        lib = ctypes.CDLL(ctypes.util.find_library('lzo2') or 'liblzo2.so.2')

        def unlzo(data, size):
            total, at, parts = struct.unpack_from('<I', data)[0], 4, []
            while at < min(total, len(data)) and sum(map(len, parts)) < size:
                if sector - at % sector < 4:
                    at += sector - at % sector
                length = struct.unpack_from('<I', data, at)[0]
                at += 4
                out, got = ctypes.create_string_buffer(sector * 2), ctypes.c_size_t(sector * 2)
                if lib.lzo1x_decompress_safe(data[at:at + length], ctypes.c_size_t(length), out, ctypes.byref(got), None):
                    raise Damaged('lzo data')
                parts.append(out.raw[:got.value])
                at += length
            return b''.join(parts)[:size]
        return unlzo
    raise Damaged('compression %d' % compression)


class Files(Trees):
    def __init__(self, paths, offset=0):
        super().__init__(paths, offset)
        self.root_items = self.roots()
        self.codecs = {}

    def default_subvol(self):
        for key, item in self.walk(ROOT_TREE, self.super.root, self.super.root_level):
            if key[:2] == (self.super.root_dir, DIR_ITEM):
                for location, _, name, _ in dir_entries(item):
                    if name == b'default':
                        return location[0]
        return FS_TREE

    def load(self, tree):
        """{inode: {type: [(offset, item)]}} of one subvolume"""
        inodes = collections.defaultdict(lambda: collections.defaultdict(list))
        for (ino, kind, offset), item in self.walk(tree, *root_place(self.root_items[tree][1])):
            if kind in (INODE_ITEM, XATTR_ITEM, DIR_INDEX, EXTENT_DATA):
                inodes[ino][kind].append((offset, item))
        return inodes

    def unpack(self, compression, data, size):
        if compression not in self.codecs:
            self.codecs[compression] = decompressor(compression, self.sector)
        return self.codecs[compression](data, size)

    def content(self, inode, size):
        """(file offset, bytes) pieces; holes are left out."""
        for offset, item in inode[EXTENT_DATA]:
            e = FileExtent(offset, item)
            if e.type == 0:
                yield 0, (self.unpack(e.compression, e.inline, e.ram) if e.compression else e.inline)[:size]
            elif e.type == 1 and e.logical and e.compression:
                whole = self.unpack(e.compression, self.read_data(e.logical, e.disk_bytes), e.ram).ljust(e.ram, b'\0')
                yield offset, whole[e.skip:e.skip + e.bytes][:max(0, size - offset)]
            elif e.type == 1 and e.logical:
                at, end = 0, min(e.bytes, size - offset)
                while at < end:
                    take = min(end - at, 1 << 20)
                    yield offset + at, self.read_data(e.logical + e.skip + at, -(-take // 4096) * 4096)[:take]
                    at += take

    def sha256(self, inode, size):
        h = hashlib.sha256()
        if size <= 256 << 20:
            at = 0
            for offset, data in self.content(inode, size):
                h.update(bytes(offset - at))
                h.update(data)
                at = offset + len(data)
            h.update(bytes(size - at))
            return h.hexdigest()
        blocks, number = bytearray(65536), None

        def finish():
            length = min(65536, size - (number << 16))
            if any(blocks):
                h.update(b'%d:' % number + blocks[:length])
        for offset, data in self.content(inode, size):
            at = 0
            while at < len(data):
                here, inside = divmod(offset + at, 65536)
                if here != number:
                    if number is not None:
                        finish()
                    number, blocks = here, bytearray(65536)
                take = min(65536 - inside, len(data) - at)
                blocks[inside:inside + take] = data[at:at + take]
                at += take
        if number is not None:
            finish()
        return 'nz:' + h.hexdigest()

    def rows(self, tree, times, with_data):
        found = []
        stack = [(tree, 256, b'', self.load(tree))]
        while stack:
            tree, ino, path, inodes = stack.pop()
            found.append((path or b'.', tree, ino, inodes))
            if stat.S_ISDIR(INODE.unpack(inodes[ino][INODE_ITEM][0][1])[8]):
                for _, item in inodes[ino][DIR_INDEX]:
                    for location, _, name, _ in dir_entries(item):
                        below = path + b'/' + name if path else name
                        if location[1] == ROOT_ITEM:
                            if location[0] in self.root_items:
                                stack.append((location[0], 256, below, self.load(location[0])))
                        else:
                            stack.append((tree, location[0], below, inodes))
        found.sort(key=lambda row: row[0])
        first = {}
        for path, tree, ino, inodes in found:
            first.setdefault((tree, ino), path)
        for path, tree, ino, inodes in found:
            yield self.row(path, first[tree, ino], inodes[ino], times, with_data)

    def row(self, path, first, inode, times, with_data):
        fields = INODE.unpack(inode[INODE_ITEM][0][1])
        size, nlink, uid, gid, mode, rdev = fields[2], *fields[5:10]
        kind = LETTER[TYPE_OF_MODE[stat.S_IFMT(mode)]]
        target = digest = '-'
        if kind == 'l':
            target = plain(b''.join(data for _, data in self.content(inode, size)))
        elif kind == 'f':
            digest = self.sha256(inode, size) if with_data else '?'
        xattrs = []
        for _, item in inode[XATTR_ITEM]:
            for _, _, name, value in dir_entries(item):
                shown = value.hex() if len(value) <= 64 else 'sha256:' + hashlib.sha256(value).hexdigest()
                xattrs.append((os.fsdecode(name), plain(name) + '=' + shown))
        about = [kind, '%04o' % stat.S_IMODE(mode), str(uid), str(gid), '-' if kind == 'd' else str(nlink),
                 '-' if kind == 'd' else str(size), str(fields[16] * 10**9 + fields[17]) if times else '-',
                 '%d:%d' % (rdev >> 20, rdev & 0xfffff) if kind in 'cb' else '-']
        return '\t'.join([plain(path), ' '.join(about), target, digest,
                          ','.join(text for _, text in sorted(xattrs)) or '-',
                          plain(first) if kind != 'd' and nlink > 1 else '-'])


def plain(raw):
    return ''.join(chr(c) if 32 < c < 127 and c != 92 else '\\x%02x' % c for c in raw)


def main(argv):
    words, options, paths = argv[:1], {}, []
    rest = iter(argv[1:])
    for word in rest:
        if word in ('--root', '--offset'):
            options[word] = int(next(rest))
        elif word in ('--no-times', '--no-data', '--lenient'):
            options[word] = True
        else:
            paths.append(word)
    if words not in (['verify'], ['manifest'], ['super']) or not paths:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        offset = options.get('--offset', 0)
        if words == ['super']:
            s = Volume(paths, offset).super
            for name, _ in SUPER_FIELDS:
                value = getattr(s, name)
                print(name, value.rstrip(b'\0').hex() if isinstance(value, bytes) else value)
            return 0
        if words == ['manifest']:
            files = Files(paths, offset)
            for row in files.rows(options.get('--root') or files.default_subvol(), '--no-times' not in options,
                                  '--no-data' not in options):
                print(row)
            return 0
        problems = Verifier(paths, offset).run('--no-data' not in options, '--lenient' in options)
    except Damaged as e:
        problems = [str(e)]
    except (struct.error, IndexError, KeyError) as e:
        problems = ['an item is too short, or something is missing: %r' % e]
    for line in problems[:1000]:
        print(line)
    return 1 if problems else 0


if __name__ == '__main__':
    sys.setrecursionlimit(10000)
    sys.exit(main(sys.argv[1:]))
