#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No false alarm: what Linux and mkfs.btrfs make and age, and what mkfs makes, is clean.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program mkfs.btrfs btrfs python3

# Snapshots, reflinks, overwritten and reserved ranges, deletions, hard links by the hundred, special files.
age() {
	btrfs -q subvolume create "$1/s" && python3 "$srcdir/tests/tools/gentree.py" small "$1/s/tree" 150 || return 1
	for round in 1 2 3; do
		btrfs -q subvolume snapshot "$1/s" "$1/snap$round" &&
			head -c 1500000 /dev/urandom >"$1/s/noise$round" && cp --reflink=always "$1/s/noise$round" "$1/s/clone$round" &&
			head -c 9000 /dev/urandom | dd of="$1/s/clone$round" bs=1000 seek=$((round * 50)) conv=notrunc status=none &&
			ln "$1/s/noise$round" "$1/s/link$round" && truncate -s 1234567 "$1/s/clone$round" &&
			fallocate -l 1M "$1/s/reserved$round" &&
			dd if=/dev/urandom of="$1/s/reserved$round" bs=4096 count=7 seek=13 conv=notrunc status=none &&
			mkdir "$1/s/dir$round" && touch "$1/s/dir$round/a" "$1/s/dir$round/b" &&
			rm -rf "$1/s/tree/d$round" && sync -f "$1" || return 1
	done
	for i in $(seq 60); do ln "$1/s/noise1" "$1/s/$(printf '%040d' "$i")"; done
	btrfs -q subvolume delete "$1/snap2" && btrfs -q subvolume snapshot -r "$1/snap3" "$1/s/nested" &&
		touch "$1/s/nocow" && chattr +C "$1/s/nocow" && head -c 300000 /dev/urandom >"$1/s/nocow" && mkfifo "$1/s/fifo" &&
		mknod "$1/s/null" c 1 3 && ln -s target "$1/s/symlink"
}

# aged NAME MOUNT-OPTIONS DEVICES COMMAND [mkfs options...]: made by mkfs.btrfs or $BTRKIT mkfs, aged, then checked. $extra is run before
# the unmount.
aged() {
	name=$1
	options=$2
	count=$3
	shift 3
	images=
	for i in $(seq "$count"); do
		rm -f "$scratch/$i"
		truncate -s 400M "$scratch/$i" && images="$images $scratch/$i"
	done
	"$@" -q -f $images >"$scratch/made" 2>&1 && btrfs_mount "$scratch/mnt" "$options" $images && age "$scratch/mnt" &&
		{ [ -z "$extra" ] || eval "$extra"; }
	made=$?
	sync -f "$scratch/mnt"
	btrfs_umount "$scratch/mnt"
	is "$name: made and aged" $made 0
	"$BTRKIT" check --data --no-scan $images >"$scratch/checked" 2>&1
	is "$name: clean" "$? $(grep -c '^\(error\|fatal\)' "$scratch/checked")" "0 0"
	loop_attach $images && timeout 60 btrfs check --readonly "${loops%% *}" >"$scratch/peer" 2>&1
	is "$name: btrfs check agrees" $? 0
	loop_detach $loops
	[ "$(tail -n 2 "$scratch/checked" | head -n 1 | cut -c1-5)" = clean ] || diagnose "$scratch/checked" 10
}

extra=
aged defaults rw 1 mkfs.btrfs
aged "4k nodes, zstd, xxhash" compress-force=zstd 1 mkfs.btrfs -n 4096 --csum xxhash
aged "raid1, lzo, sha256" compress-force=lzo 2 mkfs.btrfs -d raid1 -m raid1 --csum sha256
aged "raid5 and raid6, blake2" rw 4 mkfs.btrfs -d raid5 -m raid6 --csum blake2
aged "without no-holes, skinny metadata, free space tree" space_cache=v1 2 \
	mkfs.btrfs -O ^no-holes,^skinny-metadata -R ^free-space-tree -d raid0 -m dup
aged "mixed" rw 1 mkfs.btrfs --mixed
aged "ours" compress=zlib 1 "$BTRKIT" mkfs
aged "ours, raid10 and raid1c3, 64k nodes" rw 4 "$BTRKIT" mkfs -d raid10 -m raid1c3 -n 64K
extra='btrfs quota enable "$scratch/mnt"; rm -rf "$scratch/mnt/snap1/tree"; btrfs -q quota rescan -w "$scratch/mnt"'
aged "quotas" rw 1 mkfs.btrfs
extra='btrfs subvolume sync "$scratch/mnt" >/dev/null; btrfs quota enable "$scratch/mnt"; btrfs -q quota rescan -w "$scratch/mnt"; btrfs qgroup create 1/7 "$scratch/mnt"
btrfs -q qgroup assign --no-rescan "0/$(btrfs inspect-internal rootid "$scratch/mnt/snap1")" 1/7 "$scratch/mnt"
btrfs -q quota rescan -w "$scratch/mnt"; cp -a "$scratch/mnt/s/dir1" "$scratch/mnt/snap3/more"; head -c 200000 /dev/urandom >"$scratch/mnt/snap1/own"'
aged "quota groups" rw 1 mkfs.btrfs
extra='btrfs -q balance start --full-balance "$scratch/mnt" >/dev/null'
aged "balanced" rw 2 mkfs.btrfs -m raid1
extra=
truncate -s 400M "$scratch/more"
aged_replaced() {
	images="$scratch/1 $scratch/2"
	rm -f $images
	truncate -s 400M $images
	mkfs.btrfs -q -f -d raid1 -m raid1 $images >/dev/null 2>&1 && btrfs_mount "$scratch/mnt" rw $images && age "$scratch/mnt" &&
		new=$(losetup -f --show "$scratch/more") && btrfs -q replace start -B -f 1 "$new" "$scratch/mnt" && sync -f "$scratch/mnt" &&
		umount "$scratch/mnt" && losetup -d "$new" && loop_detach $(cat "$scratch/mnt.loops")
}
ok "a device is replaced" aged_replaced
ok "replaced: clean" "$BTRKIT" check --data --no-scan "$scratch/more" "$scratch/2"
if command -v btrfs-convert >/dev/null && can_mount ext4; then
	truncate -s 300M "$scratch/ext4"
	mkfs.ext4 -q -F -b 4096 "$scratch/ext4" && mkdir -p "$scratch/tree" && python3 "$srcdir/tests/tools/gentree.py" small "$scratch/tree/x" 200 &&
		loop_attach "$scratch/ext4" && mkdir -p "$scratch/ext" && mount "$loops" "$scratch/ext" &&
		cp -a "$scratch/tree" "$scratch/ext/" && umount "$scratch/ext" && loop_detach $loops
	ok "btrfs-convert converts an ext4" btrfs-convert "$scratch/ext4"
	ok "converted: clean" "$BTRKIT" check --no-scan "$scratch/ext4"
else
	skip "converted: clean" "needs btrfs-convert and ext4"
fi
done_testing
