#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A conversion in which the power fails after each write, with any of those that were not flushed: what is left is the source, untouched,
# or Btrfs, which converting again completes, and which can be rolled back.
. "${srcdir:-.}/tests/tap.sh"
cuts=$(realpath "${builddir:-.}/tests/tools/convert_cuts")
[ -x "$cuts" ] || skip_all "this build has no libext2fs"
need_program python3 mke2fs e2fsck debugfs dumpe2fs mkfs.btrfs
btrkit=$(realpath "${builddir:-.}/btrkit")
tools=$(realpath "$srcdir/tests/tools")
cd "$scratch" || exit 1

mkdir -p tree/dir && python3 - <<'PY'
import random
bits = random.Random(1)
for n in range(40):
    with open('tree/dir/%d' % n, 'wb') as file:
        file.write(bits.randbytes(bits.choice((100, 1500, 5000, 40000, 90000))))
with open('tree/large', 'wb') as file:
    file.write(bits.randbytes(1500000))
PY

# make NAME SIZE [OPTION...]: an ext4 with the tree.
make() {
	make_name=$1 make_size=$2
	shift 2
	truncate -s "$make_size" "$make_name" && mke2fs -q -F -t ext4 -b 4096 "$@" -d tree "$make_name"
}
# cut_power NAME: all cuts, and some of what they leave for e2fsck and btrfs check.
cut_power() {
	mkdir out && ok "$1" "$cuts" "$1" out 16
	diagnose .out
	for state in out/source-*; do
		[ -e "$state" ] || continue
		# A journal that was not replayed is no error, but e2fsck -n does not replay it either.
		if [ "$1" = dirty-journal ]; then
			ok "$1: e2fsck of what a cut left" sh -c 'e2fsck -fy "$1"; [ $? -le 1 ]' sh "$state"
		else
			ok "$1: e2fsck of what a cut left" e2fsck -fn "$state"
		fi
	done
	for state in out/btrfs-*; do
		ok "$1: btrfs check of ${state#out/}" btrfs_check "$state"
	done
	rm -r out
}
# used NAME BLOCK: is it in use?
used() { [ "$(python3 "$tools/ext_used.py" count "$1" $(($2 * 4096)) $(($2 * 4096 + 4096)))" -gt 0 ]; }

make no-mirror 40M
ok "something is where the first superblock will be" used no-mirror 16
cut_power no-mirror

# The second group begins where the second superblock will be, with a superblock of its own.
make mirror 96M -g 16384 -J size=4
ok "something is where the second superblock will be" used mirror 16384
cut_power mirror

# Few inodes: file data begins within the first 64 KiB. Then there is a free block, too, which is not empty.
make head 40M -N 64 -I 256 -O ^resize_inode,^has_journal
inode=$(debugfs -R "icheck 12" head 2>/dev/null | awk 'END { print $2 }')
debugfs -w -R "punch <$inode> 0 0" head >/dev/null 2>&1
ok "data in the first 64 KiB" used head 16
ok "and a free block" test "$(python3 "$tools/ext_used.py" count head 0 65536)" -lt 16
ok "that is a sound ext4" e2fsck -fn head
cut_power head

make inline-data 40M -O inline_data -I 512
cut_power inline-data

make dirty-journal 40M
block=$(debugfs -R "blocks /large" dirty-journal 2>/dev/null | cut -d' ' -f5)
head -c 12288 /dev/urandom >newer
printf 'jo\njw -b %d-%d newer\njc\n' "$block" $((block + 2)) >journal && debugfs -w -f journal dirty-journal >/dev/null 2>&1
ok "a journal with newer contents of a file" sh -c 'dumpe2fs -h dirty-journal 2>/dev/null | grep -q needs_recovery'
cut_power dirty-journal

# The superblocks of an older Btrfs are in blocks that ext4 did not write to.
truncate -s 130M older && mkfs.btrfs -q -f older >/dev/null 2>&1
mke2fs -q -F -t ext4 -b 4096 -E nodiscard -N 64 -O ^resize_inode,^has_journal older 80M
for kib in 64 65536; do
	ok "an older superblock at $kib KiB" sh -c 'dd if=older bs=1024 skip=$1 count=1 status=none | grep -q _BHRfS_M' sh $kib
done
cut_power older

# The same, and that Btrfs comes of a conversion of what was there then. The device is larger, and has other bytes where the second
# superblock would be.
make converted 40M -N 64 -O ^resize_inode,^has_journal
truncate -s 70M converted && head -c 65536 /dev/urandom | dd of=converted bs=65536 seek=1024 conv=notrunc status=none
ok "a first conversion" "$btrkit" convert --no-progress converted
mke2fs -q -F -t ext4 -b 4096 -E nodiscard -N 64 -O ^resize_inode,^has_journal converted 40M
ok "its superblock is still there" sh -c 'dd if=converted bs=1024 skip=64 count=1 status=none | grep -q _BHRfS_M'
cut_power converted
done_testing
