#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Filesystems of many sizes, up to the last free block: each is converted, and then Linux can make files in it, or it is refused
# before anything was written, with numbers. BTRKIT_TEST_ALL=1: more of them, compared with btrfs-convert where there is one.
. "${srcdir:-.}/tests/tap.sh"
need_mount btrfs
need_program mke2fs debugfs python3 btrfs
. "$srcdir/tests/interop/conversion_steps.sh"

# filled IMAGE BYTES PERCENT PIECE: by mke2fs alone; PIECE bytes a file. 100 percent: to the last block.
filled() {
	rm -rf tree
	mkdir tree
	python3 - "$2" "$3" "$4" <<'PY'
import os, random, sys
total, percent, piece = (int(argument) for argument in sys.argv[1:])
bits = random.Random(total + percent)
left = total // 100 * percent
block = bits.randbytes(piece)
number = 0
while left > 0:
    with open('tree/%06d' % number, 'wb') as file:
        file.write(block[:min(left, piece)])
    left -= piece + 4096
    number += 1
PY
	rm -f "$1"
	truncate -s "$2" "$1"
	mke2fs -q -F -b 4096 -t ext4 -m 0 -O ^has_journal -N 4000 -d tree "$1" 2>.err || return 1
	[ "$5" = holes ] || return 0
	# Every third file goes: free space in pieces.
	ls tree | awk 'NR % 3 == 0 { print "rm /" $1 }' >.commands
	debugfs -w -f .commands "$1" >/dev/null 2>&1
	e2fsck -fy "$1" >/dev/null 2>&1
	true
}
can_be_used() {
	btrfs_mount mnt "" "$scratch/fs" || return 1
	echo made >mnt/made && btrfs filesystem sync mnt && rm mnt/made && mkdir mnt/dir
	usable=$?
	btrfs_umount mnt && return $usable
}
converted=0 refused=0 peer=0 both=0 only_peer=
tries() { # MIB PERCENT PIECE [holes]
	name="$1 MiB, $2 percent in files of $3${4:+, with holes}"
	filled fs.ext $(($1 * 1048576)) "$2" "$3" "$4" || return
	tried=$((tried + 1))
	cp --sparse=always fs.ext fs
	if "$BTRKIT" convert fs >.said 2>&1; then
		converted=$((converted + 1))
		ours=1
		if ! clean fs >.why 2>&1; then fail "$name: clean" && diagnose .why; fi
		if ! can_be_used >.why 2>&1; then fail "$name: can be used" && diagnose .why; fi
	else
		refused=$((refused + 1))
		ours=0
		cmp -s fs.ext fs || fail "$name: refused, and unchanged"
		grep -q 'free space: [0-9]* bytes needed, [0-9]* there' .said || { fail "$name: refused with numbers"; diagnose .said; }
	fi
	[ -n "$BTRKIT_TEST_ALL" ] && command -v btrfs-convert >/dev/null || return 0
	cp --sparse=always fs.ext fs
	btrfs-convert --no-progress fs >.peer 2>&1 || return 0
	peer=$((peer + 1))
	[ $ours = 1 ] || echo "# only btrfs-convert converts $name: $(grep -o '[0-9]* bytes needed, [0-9]* there' .said)$(
		can_be_used >.why 2>&1 && echo ', and it can be used' || echo ', but no file can be made')"
}
tried=0
if [ -n "$BTRKIT_TEST_ALL" ]; then sizes='8 16 24 32 48 64 65 100 128 200 300 600' percents='5 50 80 90 97 99'; else sizes='8 24 64 150' percents='20 60 92'; fi
for size in $sizes; do
	for percent in $percents; do
		tries $size $percent 300000
		[ $((percent % 2)) = 0 ] || tries $size $percent 40000 holes
	done
	tries $size 90 20000 holes
done
echo "# tried $tried: $converted converted, $refused refused before the first write; btrfs-convert converts $peer"
ok "some are converted" test $converted -gt 0
ok "some are refused" test $refused -gt 0
is "each is one or the other" $((converted + refused)) $tried
done_testing
