#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Make a directory tree that tests and benchmarks use; the same arguments make the same tree.

  gentree.py KIND DIR [COUNT [SEED]]

small   COUNT (200) files of up to 200 KiB in a few folders, links, xattrs, odd sizes
edges   names, sizes, links, xattrs, times, modes and device nodes at and around every limit
many    COUNT (100000) empty files in one directory
links   COUNT (70000) names of one file
tiny    COUNT files of up to 512 bytes, in folders of about a hundred
mixed   COUNT files: most small, some of up to 1 MiB; half of them compress well
volume  COUNT (20000) files as in mixed, and one of 16 to 256 MiB for each thousand of them
What needs root is left out without it, with a line on stderr.
"""
import os
import random
import socket
import stat
import struct
import sys

SECOND = 10**9


def attempt(what, call, *args, **options):
    try:
        call(*args, **options)
    except OSError as error:
        print('left out: %s: %s' % (what, error.strerror), file=sys.stderr)


def write(path, data):
    with open(path, 'wb', buffering=0) as f:
        at = 0
        while at < len(data):
            at += f.write(data[at:])


def text(rng, size):
    words = [rng.randbytes(3).hex()[:rng.randrange(2, 7)] for _ in range(500)]
    out = ' '.join(rng.choice(words) for _ in range(min(size, 20000) // 4 + 1)).encode()
    return (out * (size // len(out) + 1))[:size]


def settle(path, rng):
    """Times that do not depend on when this ran."""
    ns = rng.randrange(10**9, 17 * 10**8) * SECOND + rng.randrange(SECOND)
    os.utime(path, ns=(ns, ns), follow_symlinks=False)


def settle_all(top, seed, kept=()):
    rng = random.Random(seed)
    for folder, folders, files in os.walk(top, topdown=False):
        folders.sort()
        for name in sorted(files + [f for f in folders if os.path.islink(os.path.join(folder, f))]) + [b'.']:
            path = os.path.join(folder, name)
            if not any(path.startswith(k) for k in kept):
                settle(path, rng)


def small(top, count, rng):
    folders = [top] + [os.path.join(top, b'd%d' % i) for i in range(7)]
    for i, folder in enumerate(folders[1:]):
        os.mkdir(folder)
        os.chmod(folder, (0o755, 0o700, 0o1777, 0o2750)[i % 4])
    for i in range(count):
        path = os.path.join(folders[i % 8], b'file-%04d' % i)
        size = (0, 1, 100, 2047, 2048, 2049, 4095, 4096, 4097, 70000, 131072, 131073, rng.randrange(200000))[i % 13]
        write(path, text(rng, size) if i % 2 else rng.randbytes(size))
        os.chmod(path, (0o644, 0o755, 0o600, 0o4755)[i % 4])
        if i % 10 == 0:
            os.link(path, path + b'.again')
            os.symlink(os.path.basename(path), path + b'.symbolic')
        if i % 9 == 0:
            attempt('xattr', os.setxattr, path, 'user.note', b'number %d' % i)
    with open(os.path.join(top, b'sparse'), 'wb') as f:
        for at in (0, 1 << 20, 100 << 20):
            f.seek(at)
            f.write(rng.randbytes(5000))
        f.truncate(300 << 20)
    settle_all(top, count)


def edge_names(top, rng):
    for byte in set(range(1, 256)) - {ord('/')}:
        write(os.path.join(top, b'byte' + bytes([byte])), b'%d' % byte)
    for name in (b'-n', b' ', b'  two', b'...', b'..a', b'\n', b'\\', b'%s%n', b'\xff' * 255, b'x' * 255, b'x' * 254,
                 'żółć'.encode(), 'e\u0301'.encode(), '\u00e9'.encode(), b'CON', b'a:b', b'#x@2'):
        write(os.path.join(top, name), name)
    deep = top
    for i in range(70):
        deep = os.path.join(deep, b'deep%02d-' % i + b'd' * (i % 30))
        os.mkdir(deep)
    write(os.path.join(deep, b'bottom'), b'here')
    # Pairs of names with the same crc32c share one directory item.
    for name in (b'same-ftthsbwro', b'same-excueugsg', b'same-itogmsmlq', b'same-cqqjajbsv'):
        write(os.path.join(top, name), name)


def edge_sizes(top, rng):
    around = [0, 1, 2, 511, 512, 1023, 2047, 2048, 2049, 3000, 3900, 4000, 4095, 4096, 4097, 8191, 8192, 8193, 12288,
              16383, 16384, 65535, 65536, 65537, 131071, 131072, 131073, 262145, (1 << 20) - 1, (1 << 20) + 1, 5000000]
    noise = rng.randbytes(5000000)
    for size in around:
        write(os.path.join(top, b'noise%d' % size), noise[:size])
        write(os.path.join(top, b'text%d' % size), text(rng, size))
        write(os.path.join(top, b'zeroes%d' % size), bytes(size))
    # More than one extent of the largest size; sparse so that it costs little, but with data at both ends of each.
    with open(os.path.join(top, b'over128M'), 'wb') as f:
        f.write(noise * 27)


def edge_sparse(top, rng):
    for name, size, places in ((b'all-hole', 5 << 30, ()), (b'ends', 5 << 30, (0, (5 << 30) - 10)),
                               (b'far', (1 << 40) + 1, (1 << 40,)), (b'middle', 10 << 20, (5 << 20,)),
                               (b'teeth', 4 << 20, range(0, 4 << 20, 65536)), (b'small-hole', 3000, ()),
                               (b'tail-hole', 100000, (0,)), (b'one-sector-hole', 12288, (0, 8192))):
        with open(os.path.join(top, name), 'wb') as f:
            for at in places:
                f.seek(at)
                f.write(rng.randbytes(min(4096, size - at)))
            f.truncate(size)


def edge_special(top, rng):
    attempt('fifo', os.mkfifo, os.path.join(top, b'fifo'), 0o640)
    for name, kind, major, minor in ((b'null', stat.S_IFCHR, 1, 3), (b'zero', stat.S_IFCHR, 0, 0),
                                     (b'big', stat.S_IFBLK, 4095, 1048575), (b'loop', stat.S_IFBLK, 7, 256)):
        attempt('device', os.mknod, os.path.join(top, name), kind | 0o600, os.makedev(major, minor))
    here = os.open('.', os.O_RDONLY)
    os.chdir(top)
    with socket.socket(socket.AF_UNIX) as s:
        attempt('socket', s.bind, b'socket')
    os.fchdir(here)
    os.close(here)
    for i, target in enumerate((b'a', b'/', b'../' * 100, b'\xff\n\\', b'l' * 2048, b'm' * 4000, b'n' * 4095)):
        attempt('symlink', os.symlink, target, os.path.join(top, b'link%d' % i))


def edge_xattrs(top, rng):
    acl = struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *e) for e in (
        (1, 6, 0xffffffff), (2, 7, 1000), (4, 4, 0xffffffff), (16, 7, 0xffffffff), (32, 4, 0xffffffff)))
    for name, pairs in {
            b'empty': [('user.e', b'')],
            b'many': [('user.%s%03d' % ('k' * (i % 50), i), rng.randbytes(i)) for i in range(25)],
            b'large': [('user.large', rng.randbytes(3500))],
            b'long-name': [('user.' + 'n' * 250, b'v')],
            b'acl': [('system.posix_acl_access', acl)],
            b'capability': [('security.capability', struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0))],
            b'trusted': [('trusted.t', b'\0\1\2')]}.items():
        write(os.path.join(top, name), b'x')
        for key, value in pairs:
            attempt(key[:20], os.setxattr, os.path.join(top, name), key, value)
    os.mkdir(os.path.join(top, b'folder'))
    attempt('user.f', os.setxattr, os.path.join(top, b'folder'), 'user.f', b'on a folder')
    attempt('default acl', os.setxattr, os.path.join(top, b'folder'), 'system.posix_acl_default', acl)


def edge_modes(top, rng):
    for mode in (0, 0o1, 0o400, 0o644, 0o1644, 0o2755, 0o4755, 0o7777):
        path = os.path.join(top, b'%04o' % mode)
        write(path, b'm')
        os.chmod(path, mode)
    for owner in (1, 1000, 65534, 65536, 0xfffffffe):
        path = os.path.join(top, b'owner%d' % owner)
        write(path, b'o')
        attempt('owner', os.chown, path, owner, owner - 1)


def edge_times(top, rng):
    for ns in (0, 1, -1, -SECOND, -2**31 * SECOND, 2**31 * SECOND, 2**32 * SECOND + 5, 2**33 * SECOND + 999999999,
               4291747199 * SECOND, 15032385535 * SECOND):
        path = os.path.join(top, b't%d' % ns)
        write(path, b't')
        attempt('time', os.utime, path, ns=(ns, ns))


def edge_links(top, rng):
    first = os.path.join(top, b'first')
    write(first, b'one file')
    for i in range(1500):
        os.link(first, os.path.join(top, b'name' * (i % 60) + b'-%04d' % i))
    os.mkdir(os.path.join(top, b'elsewhere'))
    for i in range(300):
        os.link(first, os.path.join(top, b'elsewhere', b'%d' % i))


def edges(top, count, rng):
    for part in (edge_names, edge_sizes, edge_sparse, edge_special, edge_xattrs, edge_modes, edge_times, edge_links):
        folder = os.path.join(top, part.__name__[5:].encode())
        os.mkdir(folder)
        part(folder, rng)
    os.mkdir(os.path.join(top, b'empty'))
    settle_all(top, 1, kept=[os.path.join(top, b'times', b't')])


def many(top, count, rng):
    for i in range(count):
        os.close(os.open(os.path.join(top, b'entry-%x' % (i * 2654435761 & 0xffffffff)), os.O_CREAT | os.O_WRONLY, 0o644))
    settle_all(top, 2)


def links(top, count, rng):
    """As many names as the host gives one inode; more than 65,000 need a host like xfs, btrfs or tmpfs."""
    write(os.path.join(top, b'first'), b'one inode')
    for i in range(count - 1):
        try:
            os.link(os.path.join(top, b'first'), os.path.join(top, b'name-%05d' % i))
        except OSError as error:
            print('left out: %d links: %s' % (count - 1 - i, error.strerror), file=sys.stderr)
            break
    settle_all(top, 3)


def bulk(top, count, rng, largest):
    words, noise = text(rng, 1 << 20), rng.randbytes(2 << 20)
    folder = top
    for i in range(count):
        if i % 100 == 0:
            folder = os.path.join(top, b'%03d' % (i // 10000), b'%02d' % (i // 100 % 100))
            os.makedirs(folder)
        size = rng.randrange(513) if largest <= 512 or rng.random() < .6 else int(largest ** rng.random())
        at = rng.randrange(len(words) - size + 1) if size < len(words) else 0
        write(os.path.join(folder, b'f%07d' % i), (words if i % 2 else noise)[at:at + size])
    settle_all(top, count)


def volume(top, count, rng):
    bulk(top, count, rng, 1 << 20)
    words, noise = text(rng, 4 << 20), rng.randbytes(16 << 20)
    os.mkdir(os.path.join(top, b'large'))
    for i in range(count // 1000):
        left = rng.randrange(16 << 20, 256 << 20)
        with open(os.path.join(top, b'large', b'l%04d' % i), 'wb', buffering=0) as f:
            while left:
                at = rng.randrange(8 << 20)
                left -= f.write(((words * 4)[:8 << 20] if rng.random() < .25 else noise[at:at + (8 << 20)])[:left])
    settle_all(top, count)


def main(words):
    kinds = {'small': (small, 200), 'edges': (edges, 0), 'many': (many, 100000), 'links': (links, 70000),
             'tiny': (lambda *a: bulk(*a, 512), 100000), 'mixed': (lambda *a: bulk(*a, 1 << 20), 10000),
             'volume': (volume, 20000)}
    if not 2 <= len(words) <= 4 or words[0] not in kinds:
        print(__doc__, file=sys.stderr)
        return 2
    make, count = kinds[words[0]]
    os.umask(0o022)
    top = os.fsencode(words[1])
    os.makedirs(top)
    make(top, int(words[2]) if len(words) > 2 else count, random.Random(int(words[3]) if len(words) > 3 else 1))
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
