#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""quota_ctl.py enable|disable|simple MOUNTPOINT: switch quotas; older btrfs-progs do not know simple ones."""
import fcntl
import os
import struct
import sys

QUOTA_CTL = 0xc0109428
fd = os.open(sys.argv[2], os.O_RDONLY)
fcntl.ioctl(fd, QUOTA_CTL, struct.pack('QQ', {'enable': 1, 'disable': 2, 'simple': 4}[sys.argv[1]], 0))
