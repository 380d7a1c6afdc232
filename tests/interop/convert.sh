#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# ext2, ext3 and ext4 that Linux has filled become Btrfs: what Linux shows before is what it shows afterwards, the checks find
# nothing, the old filesystem can still be seen as it was, and the new one be used. BTRKIT_TEST_ALL=1: with all features.
. "${srcdir:-.}/tests/tap.sh"
need_mount ext4
need_mount btrfs
need_program mke2fs dumpe2fs debugfs python3 btrfs e2fsck fallocate
. "$srcdir/tests/interop/conversion_steps.sh"

# converts NAME SIZE NAMES MKE2FS-OPTIONS...
converts() {
	name=$1
	size=$2
	names=$3
	shift 3
	make_ext fs.ext "$size" "$@" || { skip "$name" "mke2fs refuses it: $(head -n 1 .err)"; return; }
	fill_ext fs.ext all "$names" || { skip "$name" "Linux refuses it: $(tail -n 1 .err)"; return; }
	[ -z "$age" ] || ok "$name: filled to $age percent, in pieces" fill_ext fs.ext aged "$age" 7
	list_ext fs.ext before
	cp --sparse=always fs.ext fs
	ok "$name: converted" "$BTRKIT" convert $options fs
	ok "$name: every file is as it was" shows fs before
	ok "$name: nothing is wrong" clean fs
	ok "$name: the old filesystem is in the image" saved fs before
}
# goes_on NAME: and is used
goes_on() {
	ok "$1: Linux uses it: scrub, snapshot, deletes, writes, balance, scrub" used_by_linux fs
	ok "$1: nothing is wrong after that" clean fs
	ok "$1: the saved filesystem is deleted" delete_saved
	ok "$1: nothing is wrong without it" clean fs
}
delete_saved() {
	btrfs_mount mnt "" "$scratch/fs" || return 1
	btrfs -q subvolume delete --commit-after mnt/ext2_saved && btrfs -q subvolume sync mnt && scrubbed
	deleted=$?
	btrfs_umount mnt && return $deleted
}
age=
options=
converts "ext4" 300m 20000 -t ext4
goes_on "ext4"
converts "ext2" 200m 300 -t ext2
converts "128-byte inodes, no checksums" 200m 300 -t ext4 -I 128 -O ^metadata_csum,^64bit,uninit_bg
converts "inline data, attributes in inodes, bigalloc" 200m 300 -t ext4 -I 512 -O inline_data,ea_inode,bigalloc -C 65536
age=95
converts "nearly full" 900m 300 -t ext4 -m 0
age=
[ -n "$BTRKIT_TEST_ALL" ] || done_testing

converts "ext3" 600m 300 -t ext3
# A balance of data needs as much unallocated space as the largest chunk has.
goes_on "ext3"
converts "no extents" 200m 300 -t ext4 -O ^extent,^64bit
converts "no 64bit" 200m 300 -t ext4 -O ^64bit
converts "meta_bg, no resize_inode, no flex_bg" 300m 300 -t ext4 -O meta_bg,^resize_inode,^flex_bg -g 8192
converts "bigalloc" 300m 300 -t ext4 -O bigalloc -C 65536
goes_on "bigalloc"
converts "bigalloc of 16 KiB" 300m 300 -t ext4 -O bigalloc -C 16384
converts "inline data" 600m 3000 -t ext4 -I 256 -O inline_data
goes_on "inline data"
converts "ea_inode" 200m 300 -t ext4 -O ea_inode
converts "large_dir" 300m 20000 -t ext4 -O large_dir
converts "metadata_csum_seed" 200m 300 -t ext4 -O metadata_csum_seed,metadata_csum
converts "sparse_super2" 300m 300 -t ext4 -O sparse_super2,^resize_inode
converts "orphan_file" 200m 300 -t ext4 -O orphan_file
converts "quota and project" 200m 300 -t ext4 -O quota,project
converts "flex_bg of 4, stride 8, stripe 32" 600m 300 -t ext4 -G 4 -g 4096 -E stride=8,stripe_width=32
converts "no journal" 200m 300 -t ext4 -O ^has_journal
converts "no filetype, no dir_index" 200m 300 -t ext4 -O ^filetype,^dir_index
converts "1024-byte inodes" 200m 300 -t ext4 -I 1024
converts "an odd end" $((203 * 1048576 + 12288)) 300 -t ext4
converts "large" 6g 3000 -t ext4
goes_on "large"
age=98
converts "full" 2g 300 -t ext4 -m 0
done_testing
