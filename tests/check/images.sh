# SPDX-License-Identifier: LGPL-2.1-or-later
# Sourced after tests/tap.sh by tests that mutate filesystems: small ones with items of many kinds.

image_tree() {
	[ -d "$scratch/tree" ] || python3 "$srcdir/tests/tools/gentree.py" small "$scratch/tree" 40
}
# As mkfs makes it.
image_ours() {
	image_tree && "$BTRKIT" mkfs -q --rootdir "$scratch/tree" \
		--subvol "rw:$(ls "$scratch/tree" | grep '^d' | head -n 1)" --free 1M "$1"
}
# As Linux leaves it: snapshots, one of them being deleted, clones, many links, reserved space.
image_aged() {
	image_tree && "$BTRKIT" mkfs -q -n 4K -b 300M "$1" && live "$1"
}
image_old() {
	image_tree && "$BTRKIT" mkfs -q -M -O ^no-holes,^skinny-metadata,^free-space-tree,^block-group-tree -b 300M "$1" && live "$1"
}
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
