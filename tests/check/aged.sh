#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No false alarm: devices that were replaced, removed and resized, subvolumes that were sent and received, swap files, files
# without copy-on-write or checksums, and what was scrubbed, defragmented or converted is clean, warnings included. Longer with
# BTRKIT_TEST_ALL=1; BTRKIT_TEST_SEED chooses what is done.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program mkfs.btrfs btrfs python3
. "$srcdir/tests/check/aging.sh"

replaced_and_removed() {
	begin 4 3 rw mkfs.btrfs -d raid1 -m raid1 && churn && btrfs -q replace start -B 2 "$(device 4)" "$mnt" && churn &&
		btrfs -q device remove "$(device 1)" "$mnt" && churn
}
ok "one of three devices is replaced, another removed" replaced_and_removed
end
judge "replaced and removed" "$scratch/3" "$scratch/4"

shrunk_and_grown() {
	begin 1 1 rw mkfs.btrfs && churn && btrfs filesystem resize 1:600M "$mnt" && churn && btrfs filesystem resize 1:max "$mnt" && churn
}
ok "a device is shrunk, and grows" shrunk_and_grown
end
judge "shrunk and grown" "$scratch/1"

sent_and_received() {
	begin 1 1 compress=zstd mkfs.btrfs && churn && btrfs -q subvolume create "$mnt/from" && mkdir "$mnt/to" &&
		python3 "$srcdir/tests/tools/gentree.py" small "$mnt/from/tree" 60 && btrfs -q subvolume snapshot -r "$mnt/from" "$mnt/one" &&
		rm -r "$mnt/from/tree/d1" && echo more >"$mnt/from/more" && btrfs -q subvolume snapshot -r "$mnt/from" "$mnt/two" &&
		btrfs -q send "$mnt/one" -f "$scratch/sent" && btrfs -q receive "$mnt/to" -f "$scratch/sent" &&
		btrfs -q send -p "$mnt/one" "$mnt/two" -f "$scratch/sent" && btrfs -q receive "$mnt/to" -f "$scratch/sent" &&
		btrfs -q subvolume snapshot -r "$mnt/to/two" "$mnt/three" && btrfs -q subvolume snapshot "$mnt/to/two" "$mnt/four" &&
		btrfs property set -f "$mnt/to/one" ro false && echo more >"$mnt/to/one/more" && btrfs -q subvolume delete "$mnt/one"
}
ok "subvolumes are sent and received" sent_and_received
end
judge "sent and received" "$scratch/1"

# What makes a swap file is its extents; nobody's memory needs to go there.
without_cow() {
	begin 1 1 rw mkfs.btrfs && touch "$mnt/swap" && chattr +C "$mnt/swap" && fallocate -l 40M "$mnt/swap" && mkswap "$mnt/swap" &&
		mount -o remount,nodatacow "$mnt" && churn && mount -o remount,datacow,nodatasum "$mnt" && churn &&
		mount -o remount,datasum,compress=lzo "$mnt" && churn
}
ok "files without copy-on-write and checksums" without_cow
end
judge "without copy-on-write" "$scratch/1"

cared_for() {
	begin 2 2 autodefrag mkfs.btrfs -d raid1 -m raid1 && churn && btrfs -q scrub start -B "$mnt" &&
		btrfs -q filesystem defragment -r -czstd "$mnt" && churn && btrfs -q filesystem defragment -r "$mnt" && btrfs -q scrub start -B "$mnt"
}
ok "scrubbed and defragmented" cared_for
end
judge "scrubbed and defragmented" "$scratch/1" "$scratch/2"

# --- What btrfs-convert makes, with its image of what was before; that image deleted; and then used ---
converted() { # NAME OPTIONS...
	name=$1
	shift
	rm -f "$scratch/1"
	cp --sparse=always "$scratch/ext4" "$scratch/1"
	ok "$name: made" btrfs-convert --no-progress "$@" "$scratch/1"
	judge "$name" "$scratch/1"
	ok "$name: used" use_converted
	end
	judge "$name, used" "$scratch/1"
}
use_converted() {
	used=1
	options=rw
	loop_attach "$scratch/1" && devices=$loops && mount_again && churn && btrfs -q subvolume snapshot "$mnt/ext2_saved" "$mnt/kept" &&
		btrfs -q subvolume delete "$mnt/ext2_saved" && churn && btrfs -q subvolume delete "$mnt/kept" && churn
}
if command -v btrfs-convert >/dev/null && can_mount ext4; then
	truncate -s 500M "$scratch/ext4"
	mkdir "$scratch/ext"
	mkfs.ext4 -q -F -b 4096 "$scratch/ext4" && loop_attach "$scratch/ext4" && mount "$loops" "$scratch/ext" &&
		python3 "$srcdir/tests/tools/gentree.py" small "$scratch/ext/tree" 150 && umount "$scratch/ext" && loop_detach $loops
	converted "converted, 4k nodes" -N 4096
	converted "converted without checksums" -d
	if [ -n "$BTRKIT_TEST_ALL" ]; then
		converted "converted, nothing inline" -n
		converted "converted, xxhash" --csum xxhash -O ^no-holes
		converted "converted, 64k nodes, sha256" -N 65536 --csum sha256
	fi
else
	skip "converted" "needs btrfs-convert and ext4"
fi
done_testing
