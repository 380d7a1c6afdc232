#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bcachefs_encrypt.py IMAGE [PASSPHRASE]: make an image of bcachefs on one device an encrypted one, in place.

Of data only what has entries with room for a MAC is encrypted (checksums of 64 bits or more). Journal and btree nodes get ciphertext and MACs as the format has them; without a passphrase the key is in the superblock as it is. ChaCha20,
Poly1305 and scrypt are RFC 8439's and RFC 7914's, written anew: what the library decrypts was not encrypted by its own code.
"""
import hashlib
import struct
import sys

KEY = bytes(range(7, 39))
MASK = 0xffffffff
CSUM_TYPE = 4


def chacha20_block(key, nonce):
    state = [0x61707865, 0x3320646e, 0x79622d32, 0x6b206574, *struct.unpack('<8I', key), *nonce]
    word = state[:]
    for a, b, c, d in 10 * [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
                            (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]:
        for i, j, k, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            word[i] = word[i] + word[j] & MASK
            mixed = word[k] ^ word[i]
            word[k] = (mixed << n | mixed >> 32 - n) & MASK
    return struct.pack('<16I', *(a + b & MASK for a, b in zip(word, state)))


def chacha20(key, nonce, data):
    out = b''
    for at in range(0, len(data), 64):
        piece = data[at:at + 64]
        stream = chacha20_block(key, [nonce[0] + at // 64 & MASK, *nonce[1:]])[:len(piece)]
        out += (int.from_bytes(piece, 'little') ^ int.from_bytes(stream, 'little')).to_bytes(len(piece), 'little')
    return out


def mac(nonce, data):
    key = chacha20_block(KEY, [*nonce[:3], nonce[3] ^ 1 << 31])[:32]
    r = int.from_bytes(key[:16], 'little') & 0x0ffffffc0ffffffc0ffffffc0fffffff
    acc = 0
    for at in range(0, len(data), 16):
        acc = (acc + int.from_bytes(data[at:at + 16] + b'\1', 'little')) * r % ((1 << 130) - 5)
    return (acc + int.from_bytes(key[16:], 'little') & (1 << 128) - 1).to_bytes(16, 'little')


def crc32c(data):
    table = []
    for n in range(256):
        for _ in range(8):
            n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
        table.append(n)
    crc = MASK
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ MASK


class Image:
    def __init__(self, path):
        self.file = open(path, 'r+b')
        self.super = bytearray(self.read(4096, 752))
        words, = struct.unpack_from('<I', self.super, 124)
        self.super = bytearray(self.read(4096, 752 + words * 8))
        self.block = struct.unpack_from('<H', self.super, 120)[0] * 512
        self.node = (struct.unpack_from('<Q', self.super, 144)[0] >> 12 & 0xffff) * 512
        self.uuid, = struct.unpack_from('<Q', self.super, 40)

    def read(self, at, size):
        self.file.seek(at)
        return self.file.read(size)

    def write(self, at, data):
        self.file.seek(at)
        self.file.write(data)

    def write_supers(self):
        """The superblock to all places of copies, with checksums of crc32c."""
        for i in range(self.super[240 + 18]):
            sector, = struct.unpack_from('<Q', self.super, 240 + 24 + 8 * i)
            struct.pack_into('<Q', self.super, 104, sector)
            self.super[:16] = struct.pack('<QQ', crc32c(self.super[16:]), 0)
            self.write(sector * 512, self.super)

    def sections(self):
        at = 752
        while at < len(self.super):
            words, kind = struct.unpack_from('<II', self.super, at)
            yield kind, bytes(self.super[at + 8:at + words * 8])
            at += words * 8

    def buckets(self):
        """(begin, end) of each of the journal's."""
        sections = dict(self.sections())
        members = sections.get(11)
        bucket_sectors, = struct.unpack_from('<H', members, 8 + 26) if members else struct.unpack_from('<H', sections[1], 26)
        if 9 in sections:
            ranges = struct.iter_unpack('<QQ', sections[9])
            numbers = [first + n for first, count in ranges for n in range(count)]
        else:
            numbers = [number for number, in struct.iter_unpack('<Q', sections[0])]
        return [(n * bucket_sectors * 512, (n + 1) * bucket_sectors * 512) for n in numbers]


class Data:
    """What extents point to, encrypted once; and their entries, which get the MACs."""
    EXTENT, REFLINK_V = 6, 16
    SIZES = {0: 8, 1: 8, 2: 16, 3: 24, 4: 8, 5: 8, 6: 8}

    def __init__(self, image):
        self.image = image
        self.macs = {}

    def encrypt(self, version, sector, csize, usize, nonce, compression):
        if compression == 5:
            compression = 0
        words = [((usize << 22 if compression else 0) + nonce * 8) & MASK, version & MASK, version >> 32 & MASK,
                 (version >> 64 | compression << 24) ^ 1 << 28]
        if sector not in self.macs:
            data = chacha20(KEY, words, self.image.read(sector * 512, csize * 512))
            self.image.write(sector * 512, data)
            self.macs[sector] = mac(words, data)
        return self.macs[sector]

    def change_entries(self, value, version):
        """The value of an extent, with entries that go with what is encrypted."""
        value = bytearray(value)
        at = 0
        crc = None
        while at < len(value):
            word, = struct.unpack_from('<Q', value, at)
            kind = (word & -word).bit_length() - 1
            bits = {2: (3, 9, 10, 40), 3: (4, 13, 13, 56)}.get(kind)
            if bits:
                first, width, nonce_width, types = bits
                fields = [word >> first + i * width & (1 << width) - 1 for i in range(3)]
                crc = (at, kind, types, fields[0] + 1, fields[1] + 1, word >> first + 3 * width & (1 << nonce_width) - 1, word >> types + 4 & 15)
            elif kind == 1:
                crc = None
            elif kind == 0 and crc:
                entry, entry_kind, types, csize, usize, nonce, compression = crc
                tag = self.encrypt(version, word >> 4 & (1 << 44) - 1, csize, usize, nonce, compression)
                head, = struct.unpack_from('<Q', value, entry)
                head = head & ~(15 << types) | 3 << types
                if entry_kind == 2:
                    head = head & (1 << 48) - 1 | int.from_bytes(tag[8:10], 'little') << 48
                else:
                    value[entry + 16:entry + 24] = tag[8:10] + bytes(6)
                struct.pack_into('<Q', value, entry, head)
                value[entry + 8:entry + 16] = tag[:8]
            at += self.SIZES[kind]
        return value

    def change_keys(self, keys, form):
        """All keys of a list; @form: key_u64s and bits of each field, and their offsets, of packed ones."""
        at = 0
        while at < len(keys) and keys[at]:
            end = at + keys[at] * 8
            if keys[at + 1] & 127:
                words = 5
                version = int.from_bytes(keys[at + 4:at + 16], 'little')
            else:
                words = form[0]
                packed = int.from_bytes(keys[at:at + words * 8], 'little')
                top = words * 64
                fields = []
                for bits, offset in zip(form[2:8], form[8:]):
                    top -= bits
                    fields.append((packed >> top & (1 << bits) - 1) + offset)
                version = fields[5] | fields[4] << 64
            value = at + words * 8 + (8 if keys[at + 2] == self.REFLINK_V else 0)
            if keys[at + 2] in (self.EXTENT, self.REFLINK_V):
                keys[value:end] = self.change_entries(keys[value:end], version)
            at = end


def encrypt_data_of_journal(image, data, jset):
    at = 56
    while at < len(jset):
        words, kind = struct.unpack_from('<HxxB', jset, at)
        if kind in (0, 11):
            keys = jset[at + 8:at + 8 + words * 8]
            data.change_keys(keys, None)
            jset[at + 8:at + 8 + words * 8] = keys
        at += 8 + words * 8


def encrypt_journal(image, data):
    nr = 0
    for begin, end in image.buckets():
        bucket = bytearray(image.read(begin, end - begin))
        at = 0
        while at + 56 <= len(bucket):
            magic, seq, version, flags, words = struct.unpack_from('<QQIII', bucket, at + 16)
            size = 56 + words * 8
            if magic != image.uuid ^ 0x245235c1a3625032 or at + size > len(bucket):
                at += image.block
                continue
            nonce = [0, seq & MASK, seq >> 32, 3 << 28]
            jset = bucket[at:at + size]
            encrypt_data_of_journal(image, data, jset)
            bucket[at:at + size] = jset
            struct.pack_into('<I', bucket, at + 36, flags & ~15 | CSUM_TYPE)
            bucket[at + 44:at + size] = chacha20(KEY, nonce, bytes(bucket[at + 44:at + size]))
            bucket[at:at + 16] = mac(nonce, bytes(bucket[at + 16:at + size]))
            at += -(-size // image.block) * image.block
            nr += 1
        image.write(begin, bucket)
    return nr


def encrypt_node(image, data, begin):
    node = bytearray(image.read(begin, image.node))
    first_seq, = struct.unpack_from('<Q', node, 136)
    form = struct.unpack_from('<8B6Q', node, 80)
    at = 0
    while at < len(node):
        header, payload = (at + 136, at + 160) if at == 0 else (at + 16, at + 40)
        seq, journal_seq, flags, _, words = struct.unpack_from('<QQIHH', node, header)
        end = payload + words * 8
        if seq != first_seq or end > len(node):
            break
        keys = node[payload:end]
        data.change_keys(keys, form)
        node[payload:end] = keys
        struct.pack_into('<I', node, header + 16, flags & ~15 | CSUM_TYPE)
        nonce = [at, seq & MASK, seq >> 32, (journal_seq & MASK) ^ 2 << 28]
        inner = nonce
        if at == 0:
            node[24:136] = chacha20(KEY, nonce, bytes(node[24:136]))
            inner = [nonce[0] + 2, *nonce[1:]]
        node[payload:end] = chacha20(KEY, inner, bytes(node[payload:end]))
        node[at:at + 16] = mac(nonce, bytes(node[at + 16:end]))
        at = -(-end // image.block) * image.block
    image.write(begin, node)


def encrypt_nodes(image, data):
    magic = struct.pack('<Q', image.uuid ^ 0x90135c78b99e07f5)
    size = image.file.seek(0, 2)
    journal = image.buckets()
    nr = at = 0
    while at + image.node <= size:
        if image.read(at + 16, 8) == magic and not any(begin <= at < end for begin, end in journal):
            encrypt_node(image, data, at)
            at += image.node
            nr += 1
        else:
            at += image.block
    return nr


def write_keys(image, passphrase):
    kdf = 4 | 1 << 16
    stored = b'bch**key' + KEY
    if passphrase:
        uuid = struct.unpack('<II', image.super[40:48])
        key = hashlib.scrypt(passphrase.encode(), salt=b'bcache\0', n=16, r=2, p=1, dklen=32)
        stored = chacha20(key, [0, 0, *uuid], stored)
    image.super += struct.pack('<IIQQ', 8, 2, 0, kdf) + stored
    struct.pack_into('<I', image.super, 124, (len(image.super) - 752) // 8)
    flags = list(struct.unpack_from('<2Q', image.super, 144))
    flags[0] = flags[0] & ~(63 << 2) | 1 << 2
    flags[1] |= 1 << 10
    struct.pack_into('<2Q', image.super, 144, *flags)
    image.write_supers()


def main():
    image = Image(sys.argv[1])
    data = Data(image)
    nr = encrypt_journal(image, data), encrypt_nodes(image, data), len(data.macs)
    write_keys(image, sys.argv[2] if len(sys.argv) > 2 else None)
    print('%d journal entries, %d nodes, %d pieces of data' % nr)


if __name__ == '__main__':
    main()
