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

. "$srcdir/tests/check/images.sh"
image_ours "$scratch/ours"
score "as mkfs makes it" "$scratch/ours"
if ! can_mount; then
	skip "as Linux leaves it" "needs root, loop devices and btrfs in the kernel"
	done_testing
fi
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
ok "Linux ages it" image_aged "$scratch/aged"
score "as Linux leaves it" "$scratch/aged"
ok "Linux ages an old kind" image_old "$scratch/old"
score "an old kind" "$scratch/old"
done_testing
