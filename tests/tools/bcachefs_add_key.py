#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bcachefs_add_key.py IMAGE BTREE TYPE INODE:OFFSET:SNAPSHOT VALUE...: put a key into the newest flushed entry of a crashed volume's journal.

BTREE and TYPE are numbers. VALUE: parts of the value as BYTES:NUMBER, little endian, so many that they make a multiple of 8 bytes. The
volume lies on one device, and its metadata have crc32c.
"""
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from bcachefs_encrypt import Image, crc32c  # noqa: E402

NO_FLUSH = 1 << 5
HEAD = 56


def entries_of(image):
    """(sequence, place, flags, words, end of the bucket) of all that look like entries."""
    for begin, end in image.buckets():
        bucket = image.read(begin, end - begin)
        at = 0
        while at + HEAD <= len(bucket):
            magic, seq, _, flags, words = struct.unpack_from('<QQIII', bucket, at + 16)
            size = HEAD + words * 8
            if magic == image.uuid ^ 0x245235c1a3625032 and at + size <= len(bucket):
                yield seq, begin + at, flags, words, end
                at += -(-size // image.block) * image.block
            else:
                at += image.block


def main():
    path, btree, kind, position, *parts = sys.argv[1:]
    inode, offset, snapshot = (int(number) for number in position.split(':'))
    value = b''.join(int(number).to_bytes(int(size), 'little') for size, number in (part.split(':') for part in parts))
    assert len(value) % 8 == 0
    key = struct.pack('<BBBBQIIIQQ', 5 + len(value) // 8, 1, int(kind), 0, 0, 0, 0, snapshot, offset, inode) + value
    image = Image(path)
    entries = list(entries_of(image))
    _, at, flags, words, end = max(entry for entry in entries if not entry[2] & NO_FLUSH)
    assert flags & 15 == 1, 'crc32c'
    entry = bytearray(image.read(at, HEAD + words * 8))
    entry += struct.pack('<HBBBxxx', len(key) // 8, int(btree), 0, 0) + key
    struct.pack_into('<I', entry, 40, words + 1 + len(key) // 8)
    assert at + len(entry) <= end
    assert not any(at < other[1] < at + len(entry) for other in entries), 'no room behind the entry'
    struct.pack_into('<QQ', entry, 0, crc32c(bytes(entry[16:])), 0)
    image.write(at, entry)
    image.file.close()


if __name__ == '__main__':
    main()
