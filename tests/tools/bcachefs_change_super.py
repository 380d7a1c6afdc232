#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""bcachefs_change_super.py IMAGE CHANGE...: change all superblocks of an image of bcachefs on one device, or of one of several, in place.

	clean		left cleanly: as Linux does, the bit is set, and two features that only volumes in use have are cleared
	version=N	of version N (0.11 is 11, 1.31 is 1055)
	replicas=N	so many copies of metadata are wanted

The rest of the volume is as it is.
"""
import struct
import sys

from bcachefs_encrypt import Image

FLAGS = 144
FEATURES = 208
CLEAN = 1 << 1
CRC32C = 1 << 2
FEATURES_IN_USE = 3 << 12


def change(image, what, value):
    flags, = struct.unpack_from('<Q', image.super, FLAGS)
    features, = struct.unpack_from('<Q', image.super, FEATURES)
    if what == 'clean':
        flags |= CLEAN
        features &= ~FEATURES_IN_USE
    elif what == 'version':
        struct.pack_into('<H', image.super, 16, int(value))
    elif what == 'replicas':
        flags = flags & ~(15 << 48) | int(value) << 48
    else:
        sys.exit('what is %s?' % what)
    struct.pack_into('<Q', image.super, FLAGS, flags & ~(63 << 2) | CRC32C)
    struct.pack_into('<Q', image.super, FEATURES, features)


def main():
    image = Image(sys.argv[1])
    for argument in sys.argv[2:]:
        what, _, value = argument.partition('=')
        change(image, what, value)
    image.write_supers()


if __name__ == '__main__':
    main()
