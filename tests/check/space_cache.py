#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Change single fields of free space caches, and see what the check says.

  space_cache.py BTRKIT IMAGE        TAP lines without a plan; exit status 1 when one is not as it should be

IMAGE is a filesystem with caches that Linux would use, one of them with a bitmap (exit status 3: none has). Each change is undone.
"""
import os
import re
import struct
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '../tools'))
import btrfsread as b
import treeedit

ROOTS, FREE_SPACE, PAGE, ENTRY = b.ROOT_TREE, 2**64 - 11, 4096, struct.Struct('<QQB')
NO_BITMAP = 3
WRONG, UNUSABLE, SILENT, FUTURE = 'space-cache-wrong', 'space-cache-unusable', '', 'item-generation-wrong'


class Cache:
    def __init__(self, path, key, data):
        self.path, self.key, self.header = path, key, data
        e = self.open()
        self.ino, _, _, self.generation, self.entries, self.bitmaps = struct.unpack('<QBQQQQ', data)
        self.inode_key = (self.ino, 1, 0)
        self.inode = e.get(ROOTS, self.inode_key)
        item = e.get(ROOTS, (self.ino, 108, 0))
        self.logical, _, skip, self.size = struct.unpack_from('<QQQQ', item, 21)
        self.logical += skip
        self.raw = self.read(e)
        self.first = self.size // PAGE * 4 + 8
        self.used_pages = 1 + (self.first + self.entries * ENTRY.size - 1) // PAGE + self.bitmaps

    def open(self):
        return treeedit.Editor([self.path])

    def read(self, e):
        with open(self.path, 'rb') as f:
            f.seek(e.chunk_of(self.logical).places(self.logical)[0][0][1])
            return f.read(self.size)

    def write(self, raw, do_sum=True):
        raw = bytearray(raw)
        for page in range(self.used_pages if do_sum else 0):
            skip = self.size // PAGE * 4 if page == 0 else 0
            struct.pack_into('<I', raw, page * 4, crc(bytes(raw[page * PAGE + skip:(page + 1) * PAGE])))
        self.open().write_raw(self.logical, bytes(raw))

    def entry(self, nr):
        """Place of entry @nr in the file; pages hold whole entries."""
        at = self.first
        for _ in range(nr):
            at += ENTRY.size
            if PAGE - at % PAGE < ENTRY.size:
                at += PAGE - at % PAGE
        return at

    def changed(self, nr, **fields):
        return self.with_entries({nr: fields})

    def with_entries(self, changes):
        raw = bytearray(self.raw)
        for nr, fields in changes.items():
            start, size, kind = ENTRY.unpack_from(raw, self.entry(nr))
            ENTRY.pack_into(raw, self.entry(nr), start + fields.get('start', 0), size + fields.get('size', 0),
                            fields.get('kind', kind))
        return raw

    def with_header(self, **fields):
        values = {'generation': self.generation, 'entries': self.entries, 'bitmaps': self.bitmaps}
        values.update(fields)
        return self.header[:17] + struct.pack('<QQQ', values['generation'], values['entries'], values['bitmaps'])

    def bits(self, change):
        raw = bytearray(self.raw)
        change(memoryview(raw)[(self.used_pages - 1) * PAGE:self.used_pages * PAGE])
        return raw


def crc(data):
    return b.crc32c_raw(0xffffffff, data) ^ 0xffffffff


def find(path):
    e = treeedit.Editor([path])
    caches = [Cache(path, key, data) for key, data in e.items(ROOTS, 0, FREE_SPACE)]
    if not any(c.bitmaps for c in caches):
        sys.exit(NO_BITMAP)
    return next(c for c in caches if c.bitmaps), max(caches, key=lambda c: (c.bitmaps == 0, c.entries))


def said(btrkit, path):
    done = subprocess.run([btrkit, 'check', '--no-scan', path], capture_output=True, text=True)
    codes = set(re.findall(r'\[([a-z-]+)\]$', done.stdout, re.M))
    return done.returncode, codes, done.stdout


def first_free(bits):
    return next(i for i in range(PAGE * 8) if bits[i // 8] >> i % 8 & 1)


def first_used(bits):
    return next(i for i in range(first_free(bits), PAGE * 8) if not bits[i // 8] >> i % 8 & 1)


def flip(bits, *where):
    for i in where:
        bits[i // 8] ^= 1 << i % 8


def main(btrkit, path):
    with_bits, plain = find(path)
    large = next(nr for nr in range(3, plain.entries) if ENTRY.unpack_from(plain.raw, plain.entry(nr))[1] > 8192)
    other_page = next((nr for nr in range(plain.entries) if plain.entry(nr) >= PAGE), None)
    files = [
        ('nothing', plain, plain.raw, True, SILENT),
        ('where an extent begins', plain, plain.changed(1, start=4096), True, WRONG),
        ('the same, with a wrong checksum', plain, plain.changed(1, start=4096), False, UNUSABLE),
        ('bytes of an extent', plain, plain.changed(1, size=4096), True, UNUSABLE),
        ('bytes of two extents', plain, plain.with_entries({1: {'size': 4096}, large: {'size': -4096}}), True, WRONG),
        ('an extent of 0 bytes', plain, plain.changed(1, size=-ENTRY.unpack_from(plain.raw, plain.entry(1))[1]), True, UNUSABLE),
        ('an extent elsewhere', plain, plain.changed(1, start=1 << 40), True, UNUSABLE),
        ('an extent that is a bitmap', plain, plain.changed(1, kind=2), True, None),
        ('generation of the file', plain, plain.raw[:plain.first - 8] + struct.pack('<Q', 1) + plain.raw[plain.first:], True,
         UNUSABLE),
        ('checksum of page 0', plain, b'\x55' + plain.raw[1:], False, UNUSABLE),
        ('a bit that was free', with_bits, with_bits.bits(lambda bits: flip(bits, first_free(bits))), True, WRONG),
        ('a bit that was not', with_bits, with_bits.bits(lambda bits: flip(bits, first_used(bits))), True, WRONG),
        ('a bit, with a wrong checksum', with_bits, with_bits.bits(lambda bits: flip(bits, first_free(bits))), False, UNUSABLE),
        ('bytes of a bitmap', with_bits, with_bits.changed(bitmap_entry(with_bits), size=4096), True, UNUSABLE),
        ('where a bitmap begins', with_bits, with_bits.changed(bitmap_entry(with_bits), start=4096), True, WRONG),
    ]
    if other_page is not None:
        files.append(('an extent in another page', plain, plain.changed(other_page, start=4096), True, WRONG))
    twice = in_both(with_bits)
    if twice is not None:
        files.append(('a bit of what an extent has, too', with_bits, with_bits.bits(lambda bits: flip(bits, twice)), True, WRONG))
    # Two kinds need what not every cache has; below are nine more.
    print('# %d changes' % (len(files) + 9))
    failed = 0

    def judge(name, wanted):
        nonlocal failed
        status, codes, text = said(btrkit, path)
        if wanted is None:  # any of the two: it depends on what comes next in the file
            is_good = codes in ({WRONG}, {UNUSABLE})
        else:
            is_good = codes == ({wanted} if wanted else set()) and status == (4 if wanted in (WRONG, FUTURE) else 0)
        failed += not is_good
        print('%sok - %s: %s' % ('' if is_good else 'not ', name, wanted or 'told' if wanted is None else wanted or 'silent'))
        if not is_good:
            print('# ' + text.replace('\n', '\n# '))

    for name, cache, raw, do_sum, wanted in files:
        cache.write(raw, do_sum)
        judge(name, wanted)
        cache.write(cache.raw, False)
    for name, fields, wanted in (
            ('generation of the header', {'generation': plain.generation - 1}, SILENT),
            ('one from the future', {'generation': 1 << 40}, FUTURE),
            ('an entry less', {'entries': plain.entries - 1}, UNUSABLE),
            ('an entry more', {'entries': plain.entries + 1}, UNUSABLE),
            ('no entries', {'entries': 0}, SILENT),
            ('a bitmap more', {'bitmaps': plain.bitmaps + 1}, WRONG)):
        plain.open().set(ROOTS, plain.key, plain.with_header(**fields))
        judge(name, wanted)
        plain.open().set(ROOTS, plain.key, plain.header)
    # Linux looks at none of the caches then.
    plain.write(plain.changed(1, start=4096))
    generation = plain.open().super.generation
    for name, value, wanted in (('caches of another time', generation - 1, SILENT), ('caches of now', generation, WRONG)):
        plain.open().set_super(cache_generation=value)
        judge(name, wanted)
    plain.write(plain.raw, False)
    judge('all is as it was', SILENT)
    return failed != 0


def bitmap_entry(cache):
    return next(nr for nr in range(cache.entries) if cache.raw[cache.entry(nr) + 16] == 2)


def in_both(cache):
    """The bit of the beginning of an extent that lies where the bitmap is, too."""
    begin = ENTRY.unpack_from(cache.raw, cache.entry(bitmap_entry(cache)))[0]
    for nr in range(cache.entries):
        start, _, kind = ENTRY.unpack_from(cache.raw, cache.entry(nr))
        if kind == 1 and begin <= start < begin + PAGE * 8 * 4096:
            return (start - begin) // 4096
    return None


if __name__ == '__main__':
    sys.exit(main(sys.argv[1], sys.argv[2]))
