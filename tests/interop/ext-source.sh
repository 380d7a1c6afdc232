#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# ext2, ext3 and ext4 as sources: what is read from the device is what Linux shows when it mounts it, and the bytes in use are
# those that e2fsprogs count, for what mke2fs can make; refused is what cannot be converted.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
list=${builddir:-$PWD}/tests/tools/sourcelist
[ -x "$list" ] || skip_all "this build has no libext2fs"
need_mount ext4
need_program mke2fs mkfs.ext4 debugfs dumpe2fs python3
cd "$scratch" || exit 1
mkdir mnt

. "$here/tests/interop/ext_tree.sh"

# compare NAME IMAGE: the tree, and what is in use.
compare() {
	mount -o loop,ro "$2" mnt || { fail "$1: mounted"; return; }
	python3 "$here/tests/tools/kernellist.py" mnt | LC_ALL=C sort >kernel
	umount mnt
	"$list" "$2" >listed 2>err || diagnose err
	LC_ALL=C sort listed >ours
	diff kernel ours | cut -c1-400 | head -n 6 >differences
	ok "$1: the tree has files" test -s kernel
	is "$1: the tree is what Linux shows" "$(cat differences)" ""
	"$list" --used "$2" | awk '{ for (at = $1; at < $1 + $2; at += 4096) print at / 4096 }' >used
	dumpe2fs "$2" 2>/dev/null | python3 -c '
import re, sys
text = sys.stdin.read()
total = int(re.search(r"^Block count: *(\d+)", text, re.M)[1])
cluster = re.search(r"^Cluster size: *(\d+)", text, re.M) # ranges of free clusters go from first block to first block
ratio = int(cluster[1]) // 4096 if cluster else 1
free = set()
for groups in re.findall(r"^  Free blocks: ?(.*)$", text, re.M):
    for part in filter(None, groups.strip().split(", ")):
        first, _, last = part.partition("-")
        free.update(range(int(first), int(last or first) + ratio))
print("\n".join(str(block) for block in range(total) if block not in free))' >expected
	ok "$1: the blocks in use are those of dumpe2fs" cmp -s used expected
}

# try NAME MKFS-OPTIONS [MOUNT-OPTIONS]
image_of() {
	rm -f image
	truncate -s "${size:-200m}" image
	mke2fs -q -F -b 4096 $1 image 2>err || { diagnose err; return 1; }
	mount -o "loop${2:+,$2}" image mnt 2>err || { diagnose err; return 1; }
	fill mnt || fail "filled with everything: $1"
	umount mnt
}
try() {
	image_of "$2" "$3" || { skip "$1" "mke2fs or Linux refuses it"; return; }
	compare "$1" image
}
try "ext4" "-t ext4"
try "ext2" "-t ext2"
try "ext3" "-t ext3"
try "128-byte inodes" "-t ext4 -I 128"
try "inline data and attributes in inodes" "-t ext4 -I 512 -O inline_data,ea_inode"
ok "a value is in an inode of its own" grep -q user.huge= ours
try "bigalloc" "-t ext4 -O bigalloc -C 65536"
try "meta_bg, no resize_inode, no flex_bg" "-t ext4 -O meta_bg,^resize_inode,^flex_bg -g 8192"
try "sparse_super2" "-t ext4 -O sparse_super2"
try "no checksums, no 64bit, uninit_bg" "-t ext4 -O ^metadata_csum,^64bit,uninit_bg"
try "data=journal" "-t ext4" "data=journal"
try "large_dir, metadata_csum_seed, stable_inodes" "-t ext4 -O large_dir,metadata_csum_seed,stable_inodes"

mkdir tree
fill tree >/dev/null 2>&1
chattr -ia tree/* 2>/dev/null
rm -f tree/sparse
truncate -s 200m made
mkfs.ext4 -q -b 4096 -O quota,project -d tree made 2>err && compare "filled by mkfs.ext4, with quotas" made ||
	skip "filled by mkfs.ext4, with quotas" "$(head -n 1 err)"

# --- A crash: the backing file of a mounted filesystem, copied; Linux's replay is the truth ---
crash() {
	rm -f image crashed
	truncate -s 200m image
	mke2fs -q -F -b 4096 $2 image
	mount -o "loop,commit=300,$3" image mnt || return
	fill mnt
	sync -f mnt
	mkdir mnt/later
	for i in 1 2 3 4 5; do echo "after $i" >"mnt/later/$i"; rm -f "mnt/time-$i"; done
	# Open, but deleted: a mount lets it go.
	exec 9>mnt/deleted
	echo contents >&9
	sync -f mnt
	rm mnt/deleted
	dd if=/dev/urandom of=mnt/size-4097 bs=4096 seek=3 count=20 conv=notrunc 2>/dev/null
	python3 -c 'import os
for path in ("mnt/later", "mnt/size-4097"): os.fsync(os.open(path, os.O_RDONLY))'
	cp --sparse=always image crashed
	exec 9>&-
	umount mnt
	cp --sparse=always crashed replayed
	ok "$1: the journal is needed" sh -c '"$1" --info crashed | grep -q "^has_journal 1"' sh "$list"
	mount -o loop replayed mnt && umount mnt
	mount -o loop,ro,noload replayed mnt
	python3 "$here/tests/tools/kernellist.py" mnt | LC_ALL=C sort >kernel
	umount mnt
	before=$(cksum <crashed)
	"$list" crashed 2>err >listed || diagnose err
	LC_ALL=C sort listed >ours
	diff kernel ours | cut -c1-400 | head -n 6 >differences
	ok "$1: what came last is there" grep -q '^later/5' ours
	is "$1: the tree is what Linux shows after its replay" "$(cat differences)" ""
	is "$1: nothing was written" "$(cksum <crashed)" "$before"
}
crash "ordered data" "-t ext4" "data=ordered"
crash "orphan_file" "-t ext4 -O orphan_file" "data=ordered"
crash "journaled data" "-t ext4" "data=journal"
"$list" --runs crashed >runs 2>/dev/null
ok "journaled data: contents come from the journal" grep -q overlaid runs

# --- Refused ---
refused() {
	"$list" "$2" >out 2>err
	is "$1: refused" $? 1
	ok "$1: and it says why" grep -q "$3" err || diagnose err
}
rm -f image
truncate -s 64m image
mke2fs -q -F -t ext4 -b 1024 image
refused "blocks of 1 KiB" image "mkfs.ext4 -b 4096"
mke2fs -q -F -t ext4 -b 4096 image
truncate -s 60m image
refused "a device that is too short" image "was it shrunk"
truncate -s 64m image
debugfs -w -R "ssv state 2" image 2>/dev/null
refused "errors" image "e2fsck -f"
mke2fs -q -F -t ext2 -b 4096 image
debugfs -w -R "ssv state 0" image 2>/dev/null
refused "ext2 that is not clean" image "not unmounted cleanly"
mke2fs -q -F -t ext4 -b 4096 image
debugfs -w -R "feature FEATURE_I31" image >/dev/null 2>&1
refused "an unknown feature" image "0x80000000"

# A directory that would not tell upper from lower case, as far as its flag goes; what is in it goes with it.
mkdir folded folded/dir folded/dir/sub folded/other
echo 1 >folded/dir/sub/inner
echo 2 >folded/other/both
ln folded/other/both folded/dir/both
mkfs.ext4 -q -F -b 4096 -O casefold,^metadata_csum -d folded image 2>err || diagnose err
"$list" image >listed
is "casefold without such a directory: converted" "$(grep -c '^' listed)" 8
debugfs -w -R "set_inode_field dir flags 0x40080000" image >/dev/null 2>&1
refused "a directory without case" image "/dir does not tell upper from lower case"
"$list" --skip-unsupported image >listed 2>err
is "a directory without case: left out" "$(cut -f 1 listed | LC_ALL=C sort | tr '\n' ' ')" ". lost+found other other/both "
ok "a directory without case: noted" grep -q "^warning: /dir .* is left out" err
is "a directory without case: the links that are left" "$(sed -n 's|^other/both.f [0-7]* [0-9]* [0-9]* \([0-9]*\) .*|\1|p' listed)" 1

# What e2fsck would have to decide. ext2 has no checksums that would tell first.
broken() {
	mke2fs -q -F -t ext2 -b 4096 -d folded image
	block=$(debugfs -R "bmap /other/both 0" image 2>/dev/null)
	debugfs -w -R "$(printf "$2" "$block")" image >/dev/null 2>&1
	refused "$1" image "$3.*e2fsck -f"
}
broken "a block of two files" "set_inode_field dir/sub/inner block[0] %d" "belongs to another file"
broken "a block of the filesystem in a file" "set_inode_field dir/sub/inner block[0] 2" "or to the filesystem"
broken "a block beyond the end" "set_inode_field dir/sub/inner block[0] 99999999" "refers to"
broken "a block that is free" "freeb %d" "marked as free"
broken "a name of a free inode" "clri /other/both" "has a name, but is free"
broken "an inode without a name" "unlink /dir/sub/inner" "in use, but has no name"
broken "a name of an inode that no name may lead to" "link <7> /other/resize" "which no name may"
broken "a directory with two names" "link /dir/sub /other/second" "second name"
head -c 1m /dev/zero >nothing
refused "nothing" nothing "not ext"
mke2fs -q -F -t ext4 -b 4096 -O mmp image
python3 - "$(dumpe2fs -h image 2>/dev/null | sed -n 's/^MMP block number: *//p')" <<'END'
import sys
with open('image', 'r+b') as f: # the sequence behind the magic; the checksum is not looked at
    f.seek(int(sys.argv[1]) * 4096 + 4)
    f.write(b'\1\0\0\0')
END
refused "in use by another host" image "clear_mmp"
done_testing
