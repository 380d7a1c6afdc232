# SPDX-License-Identifier: LGPL-2.1-or-later
# ext2, ext3 and ext4, through libext2fs.
