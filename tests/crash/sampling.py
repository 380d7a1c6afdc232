# SPDX-License-Identifier: LGPL-2.1-or-later
"""Random scripts for cases.py. Equal generators of random numbers give equal scripts."""
import os
import stat

# Options of mkfs and of the mount, and how often they are taken.
SHAPES = (
    (4, 'mkfs'),
    (3, 'mkfs -n 4096'),
    (2, 'mkfs -n 4096 -O ^no-holes'),
    (2, 'mkfs -O ^no-holes'),
    (2, 'mkfs -m single'),
    (1, 'mkfs -n 65536'),
    (1, 'mkfs -n 8192 -m single -O ^no-holes,^skinny-metadata'),
    (2, 'mkfs --mixed -n 4096 -m single -d single'),
    (1, 'mkfs --mixed -n 4096 -m dup -d dup -O ^no-holes'),
    (1, 'mkfs --csum xxhash'),
    (1, 'mkfs --csum sha256 -n 4096'),
    (1, 'mkfs --csum blake2'),
    (2, 'mkfs -R ^free-space-tree\nmount space_cache=v1'),
    (1, 'mkfs -R ^free-space-tree -n 4096\nmount nospace_cache'),
    (2, 'mkfs -R quota'),
    (2, 'devices 2\nmkfs -d raid1 -m raid1'),
    (1, 'devices 2\nmkfs -d raid0 -m raid1 -n 4096'),
    (1, 'devices 3\nmkfs -d raid5 -m raid1'),
    (2, 'btrkit-mkfs -O block-group-tree'),
    (1, 'btrkit-mkfs -O block-group-tree -n 4096 --csum xxhash'),
    (1, 'btrkit-mkfs -O squota'),
    (1, 'btrkit-mkfs -O quota,block-group-tree -n 4096'),
)
MOUNTS = (
    (9, ''), (2, 'compress=zlib'), (2, 'compress-force=lzo'), (2, 'compress-force=zstd'), (1, 'compress=zstd:1'),
    (1, 'nodatasum'), (1, 'nodatacow'), (1, 'flushoncommit'), (1, 'max_inline=0'), (1, 'max_inline=4095,nossd'),
)
# Names whose hashes are equal, so that one item of the tree holds both.
SAME_HASH_NAMES = 'jpnjyhda', 'pvbdwrto', 'rujmoglc', 'ykltyuko'
SAME_HASH_XATTRS = 'user.zrsluyei', 'user.nopxytlk', 'user.oiylxjkw', 'user.ybelddnd'
XATTRS = ('user.one', 'user.two', 'user.three', 'trusted.t', 'security.s') + SAME_HASH_XATTRS
LONG_NAME = 'long' * 60
FOLDERS = '', 'a', 'b', 'a/c', 'a/c/d', 's1', 's1/a', 's2'
LEAVES = ('f0', 'f1', 'f2', 'f3', 'f4', 'g', LONG_NAME) + SAME_HASH_NAMES
OFFSETS = 0, 1, 100, 2000, 4095, 4096, 4097, 8192, 12288, 40000, 65536, 131072, 140000, 262144, 1000000
LENGTHS = 1, 10, 100, 1000, 2048, 4095, 4096, 4097, 5000, 12288, 20480, 65536, 100000, 131072, 300000
# A group of blocks that is made in the transaction of an fsync makes it a commit: there must be groups for all sizes.
WARM_UP = 'write warm-small 0 9000 1', 'write warm-medium 0 300000 1', 'reserve warm-large 0 12000000', '--', 'truncate warm-large 100000'


def pick(rng, weighted):
    return rng.choices([what for _, what in weighted], [weight for weight, _ in weighted])[0]


class Sampler:
    def __init__(self, rng, top):
        self.rng, self.top, self.changed = rng, top, []

    # --- What there is ---
    def look(self):
        """Files, folders and the rest that exist, in an order that does not depend on the filesystem."""
        self.files, self.folders, self.others = [], [''], []
        waiting = ['']
        while waiting:
            folder = waiting.pop()
            for name in sorted(os.listdir(os.path.join(self.top, folder))):
                path = os.path.join(folder, name)
                mode = os.lstat(os.path.join(self.top, path)).st_mode
                if stat.S_ISDIR(mode):
                    self.folders.append(path)
                    waiting.append(path)
                elif not name.startswith('warm'):
                    (self.files if stat.S_ISREG(mode) else self.others).append(path)

    def some_file(self):
        return self.rng.choice(self.files) if self.files and self.rng.random() < .9 else self.new_path()

    def some_folder(self):
        return self.rng.choice(self.folders) or '.'

    def below_top(self):
        """A folder that may be moved: no subvolume."""
        return self.rng.choice([f for f in self.folders if f not in ('', 's1', 's2', 's3', 's4')] or ['a'])

    def anything(self):
        r = self.rng.random()
        if r < .6:
            return self.some_file()
        if r < .85 or not self.others:
            return self.some_folder()
        return self.rng.choice(self.others)

    def movable(self):
        return self.some_file() if self.rng.random() < .7 else self.below_top()

    def new_path(self):
        folder = self.rng.choice(self.folders if self.rng.random() < .9 else FOLDERS)
        return os.path.join(folder, self.rng.choice(LEAVES))

    # --- One line ---
    def number(self, among):
        return self.rng.choice(among) if self.rng.random() < .8 else self.rng.randrange(400000)

    def page(self, among):
        return self.number(among) // 4096 * 4096

    def data(self):
        r, f = self.rng, self.some_file()
        seed, at, length = r.randrange(1000), self.number(OFFSETS), self.number(LENGTHS)
        return pick(r, (
            (12, 'write %s %d %d %d' % (f, at, length, seed)),
            (4, 'append %s %d %d' % (f, length, seed)),
            (2, 'direct %s %d %d %d' % (f, at, length, seed)),
            (1, 'osync %s %d %d %d' % (f, at, length, seed)),
            (3, 'mwrite %s %d %d %d' % (f, at % 50000, length, seed)),
            (1, 'msync %s %d %d %d' % (f, at % 50000, length, seed)),
            (5, 'truncate %s %d' % (f, at)),
            (2, 'truncate %s 0' % f),
            (3, 'reserve %s %d %d' % (f, at, length)),
            (3, 'reserve %s %d %d keep' % (f, at, length)),
            (5, 'punch %s %d %d' % (f, at, length)),
            (3, 'zero %s %d %d' % (f, at, length)),
            (1, 'zero %s %d %d keep' % (f, at, length)),
            (4, 'clone %s %s' % (f, self.some_file())),
            (4, 'clonepart %s %d %d %s %d' % (f, self.page(OFFSETS), self.page(LENGTHS), self.some_file(), self.page(OFFSETS))),
            (1, 'dedupe %s 0 4096 %s 0' % (f, self.some_file())),
            (2, 'flush %s 0 4000000' % f)))

    def names(self):
        r, f, new, number = self.rng, self.some_file(), self.new_path(), self.rng.randrange(1000)
        return pick(r, (
            (4, 'make %s' % new),
            (6, 'write %s 0 %d %d' % (new, self.number(LENGTHS), number)),
            (5, 'unlink %s' % self.rng.choice(self.files + self.others + [f])),
            (3, 'mkdir %s' % (r.choice(FOLDERS[1:5] + FOLDERS[6:7]) if r.random() < .6 else new)),
            (2, 'rmdir %s' % self.below_top()),
            (6, 'link %s %s' % (f, new)),
            (6, 'rename %s %s' % (self.movable(), new)),
            (4, 'rename %s %s' % (f, self.some_file())),
            (3, 'rename %s %s' % (self.below_top(), self.below_top())),
            (4, 'exchange %s %s' % (self.movable(), self.movable())),
            (1, 'whiteout %s %s' % (f, new)),
            (2, 'symlink to%d %s' % (number, new)),
            (1, 'fifo %s' % new),
            (1, 'socket %s' % new),
            (1, 'device %s %s %d 3' % (new, r.choice('bc'), number)),
            (2, 'tmplink %s %d %d' % (new, self.number(LENGTHS), number)),
            (1, 'tmphold %d %d' % (self.number(LENGTHS), number)),
            (2, 'hold %s' % f),
            (1, 'fill %s %d' % (self.some_folder(), r.randrange(2, 30))),
            # So many names of one file that further ones need extended references.
            (.3, 'links %s %s %d 240' % (f, self.some_folder(), r.randrange(5, 25))),
            (.3, 'unlinks %s %d %d 240' % (self.some_folder(), r.randrange(4), r.randrange(4, 9))),
            (1, 'drain %s %d %d' % (self.some_folder(), r.randrange(4), r.randrange(4, 9)))))

    def attributes(self):
        r, x = self.rng, self.anything()
        return pick(r, (
            (6, 'setx %s %s %s' % (x, r.choice(XATTRS), 'v' * r.choice((1, 5, 60, 300, 1500)))),
            (4, 'rmx %s %s' % (x, r.choice(XATTRS))),
            (2, 'chmod %s %s' % (x, r.choice(('0600', '0755', '4755', '1777')))),
            (2, 'chown %s %d %d' % (x, r.randrange(3), r.randrange(3))),
            (2, 'times %s %d' % (x, r.randrange(2 * 10**18))),
            (2, 'flags %s %s' % (x, r.choice(('C', 'c', 'A', 'd', 'm')))),
            (1, 'property %s compression %s' % (x, r.choice(('zlib', 'lzo', 'zstd'))))))

    def subvolumes(self):
        new = self.rng.choice(('s3', 's4'))
        return pick(self.rng, ((1, 'subvol %s' % new), (2, 'snapshot s1 %s' % new), (1, 'snapshot s2 %s ro' % new),
                               (2, 'subvoldel %s' % new)))

    def operation(self):
        self.look()
        line = pick(self.rng, ((50, self.data), (45, self.names), (15, self.attributes)))()
        self.changed += line.split()[1:]
        return line

    def lasting(self):
        """An fsync, mostly of what was changed in this round, as any other does little."""
        self.look()
        changed = [path for path in self.changed if path in self.files] or [self.some_file()]
        folders = [os.path.dirname(path) or '.' for path in self.changed if os.path.dirname(path) in self.folders] or ['.']
        return pick(self.rng, ((12, 'fsync %s' % self.rng.choice(changed)), (5, 'fsync %s' % self.rng.choice(folders)),
                               (2, 'fdatasync %s' % self.rng.choice(changed)), (1, 'fsync %s' % self.anything()), (1, 'fsyncheld')))

    # --- A script ---
    def header(self):
        shape, options = pick(self.rng, SHAPES), pick(self.rng, MOUNTS)
        lines = shape.split('\n')
        if options and not lines[-1].startswith('mount'):
            lines.append('mount ' + options)
        return lines

    def beginning(self):
        yield from WARM_UP
        yield from ('subvol s1', 'subvol s2', 'mkdir a', 'mkdir b', 'mkdir a/c', 'mkdir s1/a')
        for _ in range(self.rng.randrange(3, 9)):
            folder = self.rng.choice(('', '', 'a', 'b', 'a/c', 's1', 's1/a', 's2'))
            yield 'write %s 0 %d %d' % (os.path.join(folder, self.rng.choice(LEAVES)), self.number(LENGTHS), self.rng.randrange(1000))
        if self.rng.random() < .2:
            self.look()
            yield 'fill %s %d' % (self.some_folder(), self.rng.randrange(20, 120))
        for _ in range(self.rng.randrange(12)):
            yield self.operation()
        for _ in range(self.rng.choice((0, 0, 1, 2))):
            yield self.subvolumes()

    def rounds(self, with_fsync):
        """What happens before a cut."""
        self.changed = []
        for _ in range(self.rng.randrange(1, 4)):
            for _ in range(self.rng.randrange(1, 6)):
                yield self.operation()
            if self.rng.random() < .02:
                yield self.subvolumes()
            if with_fsync:
                yield self.lasting()
        if self.rng.random() < .2:
            yield self.operation()

    def script(self, cuts):
        # Some are only cut while a transaction is being made.
        with_fsync = self.rng.random() < .95
        yield from self.header()
        yield from self.beginning()
        yield self.rng.choice(('--', 'remount'))
        for i in range(cuts):
            if i and self.rng.random() < .5:
                yield self.rng.choice(('--', '--', 'remount'))
            yield from self.rounds(with_fsync)
            yield 'cut'
