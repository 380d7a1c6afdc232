#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bcachefs_clean.py IMAGE: make the superblocks of an image of bcachefs on one device say that it was left cleanly, in place.

As Linux does when it leaves a volume: the bit is set, and two features that only volumes in use have are cleared. The rest is as it is.
"""
import struct
import sys

from bcachefs_encrypt import Image

CLEAN = 1 << 1
CRC32C = 1 << 2
FEATURES_IN_USE = 3 << 12


def main():
    image = Image(sys.argv[1])
    flags, = struct.unpack_from('<Q', image.super, 144)
    features, = struct.unpack_from('<Q', image.super, 208)
    struct.pack_into('<Q', image.super, 144, flags & ~(63 << 2) | CRC32C | CLEAN)
    struct.pack_into('<Q', image.super, 208, features & ~FEATURES_IN_USE)
    image.write_supers()


if __name__ == '__main__':
    main()
