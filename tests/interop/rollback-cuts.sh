#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A rollback in which the power fails after each write, with any of those that were not flushed: what is left is Btrfs, which can be
# rolled back again, or what it was before the conversion.
. "${srcdir:-.}/tests/tap.sh"
need_program python3 btrfs-convert mkfs.ext4 dumpe2fs
tools=$(realpath "$srcdir/tests/tools")
cuts=$(realpath "${builddir:-.}/tests/tools/rollback_cuts")
cd "$scratch" || exit 1

# Blocks on the second superblock's place are in use, as bad ones: small files would not reach so far.
mkdir tree && python3 - <<'PY'
import random
bits = random.Random(1)
for n in range(60):
    with open('tree/%d' % n, 'wb') as file:
        file.write(bits.randbytes(bits.choice((100, 5000, 40000, 90000))))
PY
make() {
	truncate -s $((160 * 1048576 + 12288)) before && seq 16384 16390 >bad && mkfs.ext4 -q -F -b 4096 -N 512 -l bad -d tree before &&
		head -c 28672 /dev/urandom | dd of=before bs=4096 seek=16384 conv=notrunc status=none &&
		python3 "$tools/ext_used.py" ranges before >ranges && cp --sparse=always before converted &&
		btrfs-convert --no-progress converted
}
cut() {
	ok "$1" "$cuts" "$2" before ranges $3
	diagnose .out
}
ok "an ext4, converted" make
ok "with data where the second superblock is" test "$(python3 "$tools/ext_used.py" count before 67108864 67174400)" -gt 0
cut "as converted" converted
if ! can_mount; then
	skip "after a mount" "needs root, loop devices and btrfs in the kernel"
	done_testing
fi
use() {
	btrfs_mount mnt "" "$scratch/converted" && cp -r tree mnt/new && rm mnt/1* && btrfs -q subvolume snapshot mnt mnt/snap &&
		btrfs_umount mnt
}
ok "mounted and used" use
cut "after that" converted
balance() {
	btrfs_mount mnt "" "$scratch/converted" && btrfs balance start -dvrange=1048576..1048577 mnt && btrfs_umount mnt
}
ok "a balance has moved the first chunk" balance
cut "moved home" converted relocate
done_testing
