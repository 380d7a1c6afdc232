#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""replace_ctl.py DEVID DEVICE MOUNTPOINT: replace a device, and end when that has ended; 0: Linux says that it is finished.

btrfs replace takes loop devices of one file for one device, and refuses.
"""
import fcntl
import os
import struct
import sys

DEV_REPLACE = 0xca289435
START, NO_ERROR = 0, 0
fd = os.open(sys.argv[3], os.O_RDONLY)
args = bytearray(struct.pack('=QQQQ1025s1025s6x512x', START, 0, int(sys.argv[1]), 0, b'', sys.argv[2].encode()))
fcntl.ioctl(fd, DEV_REPLACE, args)
sys.exit(struct.unpack_from('=Q', args, 8)[0] != NO_ERROR)
