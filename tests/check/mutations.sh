#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Every field of every kind of item is changed, and the check notices each change that means something.
. "${srcdir:-.}/tests/tap.sh"
mutate=$builddir/tests/check/mutate

score() { # NAME IMAGE...
	name=$1
	shift
	"$mutate" "$@" >"$scratch/score" 2>&1
	is "$name: nothing is missed" "$? $(grep -c '^not noticed' "$scratch/score")" "0 0"
	diagnose "$scratch/score" 12
}

python3 "$srcdir/tests/tools/gentree.py" small "$scratch/tree" 40
"$BTRKIT" mkfs -q --rootdir "$scratch/tree" --subvol "rw:$(ls "$scratch/tree" | grep '^d' | head -n 1)" --free 1M "$scratch/ours"
score "as mkfs makes it" "$scratch/ours"
if ! can_mount; then
	skip "as Linux leaves it" "needs root, loop devices and btrfs in the kernel"
	done_testing
fi
live() {
	btrfs_mount "$scratch/mnt" compress=zstd "$1" && btrfs -q subvolume create "$scratch/mnt/s" && cp -a "$scratch/tree" "$scratch/mnt/s/" || return 1
	for round in 1 2 3; do
		btrfs -q subvolume snapshot "$scratch/mnt/s" "$scratch/mnt/snap$round" && head -c 300000 /dev/urandom >"$scratch/mnt/s/noise$round" &&
			cp --reflink=always "$scratch/mnt/s/noise$round" "$scratch/mnt/s/clone$round" &&
			head -c 9000 /dev/urandom | dd of="$scratch/mnt/s/clone$round" bs=1000 seek=$((round * 50)) conv=notrunc status=none &&
			ln "$scratch/mnt/s/noise$round" "$scratch/mnt/s/link$round" && fallocate -l 200k "$scratch/mnt/s/reserved$round" &&
			setfattr -n user.x -v y "$scratch/mnt/s/noise$round" && sync -f "$scratch/mnt" || return 1
	done
	for i in $(seq 60); do ln "$scratch/mnt/s/noise1" "$scratch/mnt/s/$(printf '%0150d' "$i")"; done
	btrfs -q subvolume delete "$scratch/mnt/snap2" && mkfifo "$scratch/mnt/s/fifo" && mknod "$scratch/mnt/s/null" c 1 3 &&
		sync -f "$scratch/mnt" && btrfs_umount "$scratch/mnt"
}
# With groups in groups, and data that is older than simple quotas.
counted() { # KIND IMAGE
	btrfs_mount "$scratch/mnt" rw "$2" && btrfs -q subvolume create "$scratch/mnt/a" && head -c 100000 /dev/urandom >"$scratch/mnt/a/old" &&
		btrfs -q subvolume create "$scratch/mnt/old" && sync -f "$scratch/mnt" && python3 "$srcdir/tests/tools/quota_ctl.py" "$1" "$scratch/mnt" && head -c 70000 /dev/urandom >"$scratch/mnt/a/new" &&
		btrfs -q subvolume snapshot "$scratch/mnt/a" "$scratch/mnt/b" && head -c 50000 /dev/urandom >"$scratch/mnt/b/own" &&
		rm "$scratch/mnt/a/new" && btrfs qgroup create 1/1 "$scratch/mnt" && btrfs qgroup create 2/1 "$scratch/mnt" &&
		btrfs -q qgroup assign --no-rescan 0/256 1/1 "$scratch/mnt" && btrfs -q qgroup assign --no-rescan 0/258 1/1 "$scratch/mnt" &&
		btrfs -q qgroup assign --no-rescan 1/1 2/1 "$scratch/mnt" && btrfs qgroup limit 1G 0/256 "$scratch/mnt" &&
		{ [ "$1" = simple ] || btrfs -q quota rescan -w "$scratch/mnt"; } && sync -f "$scratch/mnt" && btrfs_umount "$scratch/mnt"
}
for kind in enable simple; do
	"$BTRKIT" mkfs -q -n 4K -b 200M "$scratch/$kind"
	ok "quotas ($kind)" counted $kind "$scratch/$kind"
	score "quotas ($kind)" "$scratch/$kind"
done
"$BTRKIT" mkfs -q -n 4K -b 300M "$scratch/aged"
ok "Linux ages it" live "$scratch/aged"
score "as Linux leaves it" "$scratch/aged"
"$BTRKIT" mkfs -q -M -O ^no-holes,^skinny-metadata,^free-space-tree,^block-group-tree -b 300M "$scratch/old"
ok "Linux ages an old kind" live "$scratch/old"
score "an old kind" "$scratch/old"
done_testing
