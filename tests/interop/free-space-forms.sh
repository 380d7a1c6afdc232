#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Free space in many pieces becomes bitmaps, and runs again, at the numbers of runs where Linux does it; each goes on from what the
# other has left.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 btrfs
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
judge=$(realpath "${srcdir:-.}/tests/tools/free_space_forms.py")
cd "$scratch" || exit 1
files=600

note() { { echo "step $2" && "$BTRKIT" inspect tree -t free_space --json image; } >>"$1"; }
# remove WHO FIRST NR: every second file; the last 20 of them one by one.
remove() {
	all=$(seq "$2" 2 $(($2 + 2 * $3 - 2)))
	"$1_removes" $(echo "$all" | head -n -20) && note "$1" "$1 $2" || return 1
	for number in $(echo "$all" | tail -n 20); do
		"$1_removes" "$number" && note "$1" "$1 $number" || return 1
	done
}
linux_removes() {
	for name in "$@"; do rm "mnt/d/f$name" || return 1; done
	sync -f mnt
}
ours_removes() { printf 'rm d/f%s\n' "$@" | "$BTRKIT" edit batch - image; }
# Blocks of one file each, one behind the other, in a data group of their own.
fill() {
	head -c 8388608 /dev/zero >mnt/filler && sync -f mnt && mkdir mnt/d || return 1
	for number in $(seq $files); do head -c 4096 /dev/zero >mnt/d/f$number || return 1; done
	sync -f mnt && note linux filled
}
sound() {
	ok "$1: our check" "$BTRKIT" check --data image
	ok "$1: btrfs check" btrfs_check image
}

"$BTRKIT" mkfs -q --size 1000M image
ok "Linux mounts it" btrfs_mount "$scratch/mnt" max_inline=0 image
ok "Linux writes $files blocks" fill
ok "Linux makes runs" remove linux 2 162
btrfs_umount "$scratch/mnt"
note ours "what Linux left"
ok "we join runs" remove ours 3 112
sound "runs again"
ok "we make runs" remove ours 330 112
sound "bitmaps"
ok "Linux mounts it again" btrfs_mount "$scratch/mnt" max_inline=0 image
note linux "what we left"
ok "Linux joins runs" remove linux 331 112
ok "a scrub finds nothing" sh -c 'btrfs scrub start -B mnt >scrub.txt 2>&1 && grep -q "no errors found" scrub.txt'
btrfs_umount "$scratch/mnt"
sound "in the end"
is "Linux's forms" "$(python3 "$judge" one <linux)" "changes: bitmaps at 158 of 157, runs at 56 of 157"
is "ours" "$(python3 "$judge" all <ours)" "changes: runs at 56 of 157, bitmaps at 158 of 157"
done_testing
