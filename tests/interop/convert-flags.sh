#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Flags of ext4 that mean something to Btrfs are there after a conversion, and do what they say.
. "${srcdir:-.}/tests/tap.sh"
need_mount ext4
need_mount btrfs
need_program mke2fs chattr lsattr btrfs filefrag python3
. "$srcdir/tests/interop/conversion_steps.sh"

make_ext fs.ext 200m -t ext4 || exit 1
mount -o loop fs.ext ext || exit 1
mkdir ext/compressed ext/plain
head -c 500000 /dev/zero | tr '\0' x >ext/old
cp ext/old ext/compressed/old
chattr +c ext/compressed ext/compressed/old
chattr +d ext/plain
umount ext
is_compressed() { filefrag -v "$1" | tee "$scratch/.extents" | grep -q encoded || { diagnose "$scratch/.extents"; return 1; }; }

cp --sparse=always fs.ext fs
ok "converted" "$BTRKIT" convert fs
ok "mounted" btrfs_mount mnt "" "$scratch/fs"
is "compress is there" "$(lsattr -d mnt/compressed mnt/compressed/old mnt/plain | cut -d' ' -f1 | tr -d '\n-')" "ccd"
not_ok "what was there is not compressed" is_compressed mnt/compressed/old
ok "what is made there is written" sh -c 'for f in compressed/new compressed/old plain/new; do head -c 500000 /dev/zero | tr "\\0" y >mnt/$f || exit 1; done && sync -f mnt'
ok "and compressed" is_compressed mnt/compressed/new
ok "so is what is written anew" is_compressed mnt/compressed/old
not_ok "and nothing elsewhere" is_compressed mnt/plain/new
ok "unmounted" btrfs_umount mnt
ok "nothing is wrong" clean fs

cp --sparse=always fs.ext fs
ok "converted without attributes" "$BTRKIT" convert --no-xattr fs
ok "mounted again" btrfs_mount mnt "" "$scratch/fs"
is "compress is gone" "$(lsattr -d mnt/compressed mnt/compressed/old mnt/plain | cut -d' ' -f1 | tr -d '\n-')" "d"
btrfs_umount mnt
done_testing
