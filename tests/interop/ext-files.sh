#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# ls, cat and restore from ext2, ext3 and ext4: what is extracted is what Linux shows when it mounts it, after its replay of the journal;
# of what is damaged, all that can be read, and exit status 4.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
[ -x "${builddir:-$PWD}/tests/tools/sourcelist" ] || skip_all "this build has no libext2fs"
need_mount ext4
need_program mke2fs debugfs python3
cd "$scratch" || exit 1
mkdir mnt to
. "$here/tests/interop/ext_tree.sh"

# What is extracted goes to an ext4 that takes large attributes, and times far away.
truncate -s 1G destination
mke2fs -q -F -t ext4 -I 512 -O ea_inode destination && mount -o loop destination to
restore() {
	rm -rf to/out
	"$BTRKIT" restore -q --no-scan "$@" to/out 2>err
}
manifest() { python3 "$here/tests/tools/manifest" --exclude lost+found "$@"; }
# Space that is reserved and was never written is no hole for Linux; it is not told of files of ext.
holes() { python3 "$here/tests/tools/manifest" --holes --exclude lost+found "$@" | grep -v '^allocated	'; }

# as_linux NAME IMAGE MOUNT-OPTIONS: extract, and compare with a mount.
as_linux() {
	before=$(cksum <"$2")
	restore "$2"
	is "$1: exit status" $? 0
	[ -s err ] && diagnose err
	is "$1: nothing was written" "$(cksum <"$2")" "$before"
	mount -o "loop,$3" "$2" mnt || { fail "$1: mounted"; return; }
	manifest mnt >wanted
	holes mnt >wanted-holes
	umount mnt
	manifest to/out >found
	holes to/out >found-holes
	ok "$1: the tree has files" test -s wanted
	ok "$1: what Linux shows" python3 "$here/tests/tools/manifest" diff wanted found
	ok "$1: holes are holes" cmp wanted-holes found-holes
}
try() {
	rm -f image
	truncate -s 200m image
	mke2fs -q -F $2 image 2>err && mount -o loop image mnt 2>>err || { skip "$1" "$(head -n 1 err)"; return; }
	fill mnt 2>/dev/null
	umount mnt
	as_linux "$1" image ro
}
try "ext4" "-t ext4 -b 4096 -I 512 -O inline_data,ea_inode"
try "ext2 with blocks of 1 KiB" "-t ext2 -b 1024"
try "ext3 with blocks of 2 KiB, 128-byte inodes" "-t ext3 -b 2048 -I 128"
try "bigalloc" "-t ext4 -b 4096 -O bigalloc -C 65536"

# --- Made without Linux ---
mkdir tree tree/dir
echo one >tree/one
ln tree/one tree/dir/two
ln -s ../one tree/dir/link
truncate -s 64m made
mke2fs -q -F -t ext4 -b 1024 -d tree made
as_linux "filled by mke2fs" made ro
is "ls" "$("$BTRKIT" ls --path dir made | xargs)" "link two"
is "ls of one file" "$("$BTRKIT" ls -l --path dir/link made | sed 's/.* dir/dir/')" "dir/link -> ../one"
is "cat through a link" "$("$BTRKIT" cat --path dir/link made)" one
is "the way up" "$("$BTRKIT" cat --path dir/../dir/./two made)" one
is "a type is forced" "$("$BTRKIT" cat --type ext2 --path one made)" one
"$BTRKIT" cat --path dir made 2>err
is "cat of a directory" "$?:$(cat err)" "1:btrkit cat: error: inode $("$BTRKIT" ls -i --path / made | awk '$3 == "dir" { print $2 }') of subvolume 1 is not a regular file"
"$BTRKIT" ls --type bcachefs made 2>err
is "another type is forced" "$?:$(cat err)" "1:btrkit ls: error: made: no filesystem that can be read: no bcachefs"
"$BTRKIT" ls --type xfs made 2>err
is "no type" "$?:$(cat err)" '1:btrkit ls: error: "xfs" is no kind of filesystem that can be read'
for command in "edit rm one made" "device list made" "restripe status made" "log show made"; do
	"$BTRKIT" $command >out.text 2>err
	is "btrkit $command" "$?:$(sed 's/.*error: //' err)" "1:made: holds ext, not Btrfs: btrkit ls, cat, restore and journal read it, and btrkit convert makes it Btrfs"
done

# --- A crash: the journal is needed ---
rm -f image
truncate -s 200m image
mke2fs -q -F -t ext4 -b 1024 image
mount -o loop,commit=300,data=journal image mnt
cp -a tree/. mnt
sync -f mnt
mkdir mnt/later && echo last >mnt/later/file && rm mnt/one
dd if=/dev/urandom of=mnt/random bs=4096 count=100 2>/dev/null
python3 -c 'import os
for path in ("mnt/later/file", "mnt/later", "mnt/random"): os.fsync(os.open(path, os.O_RDONLY))'
cp --sparse=always image crashed
umount mnt
cp --sparse=always crashed replayed
mount -o loop replayed mnt && umount mnt
restore crashed
manifest to/out >found
mount -o loop,ro,noload replayed mnt
manifest mnt >wanted
umount mnt
ok "after a crash: what came last is there" grep -q '^later/file' found
ok "after a crash: what Linux shows after its replay" python3 "$here/tests/tools/manifest" diff wanted found
restore --no-journal crashed
manifest to/out >without
not_ok "without the journal it is something else" cmp -s without found

# --- Damage: what is left can be read ---
cp made broken
debugfs -w -R "clri one" broken >/dev/null 2>&1
restore broken
is "a free inode with a name: exit status" $? 4
ok "a free inode with a name: it is named" grep -q 'error: dir/two: inode [0-9]* has a name, but is free' err
is "a free inode with a name: the rest is there" "$(ls to/out to/out/dir | xargs)" "to/out: dir lost+found to/out/dir: link"
"$BTRKIT" ls -lR broken >out.text 2>err
is "a free inode with a name: ls says so" $? 4

rm -rf many && mkdir many many/dir
for i in $(seq 300); do echo $i >"many/dir/a-name-that-is-long-enough-for-several-blocks-$i"; done
rm -f image
truncate -s 64m image
mke2fs -q -F -t ext4 -b 1024 -d many image
block=$(debugfs -R "bmap dir 3" image 2>/dev/null)
dd if=/dev/urandom of=image bs=1024 seek="$block" count=1 conv=notrunc 2>/dev/null
restore image
is "a damaged block of a directory: exit status" $? 4
ok "a damaged block of a directory: it is said" grep -q 'warning: directory inode [0-9]*: block 3 has a bad checksum' err
nr=$(ls to/out/dir | wc -l)
ok "a damaged block of a directory: names in others are there ($nr)" test "$nr" -gt 270 -a "$nr" -lt 300

mke2fs -q -F -t ext4 -b 4096 -O encrypt,^metadata_csum -d tree image
debugfs -w -R "set_inode_field one flags 0x80800" image >/dev/null 2>&1
restore image
is "an encrypted file: exit status" $? 4
is "an encrypted file: it is named" "$(grep -c 'error: \(one\|dir/two\): inode [0-9]* is encrypted' err)" 1
is "an encrypted file: the rest is there" "$(readlink to/out/dir/link)" ../one
mke2fs -q -F -t ext4 -b 4096 -O casefold,^metadata_csum -d tree image
debugfs -w -R "set_inode_field dir flags 0x40080000" image >/dev/null 2>&1
restore image
is "names that do not tell upper from lower case: as they are stored" "$?:$(ls to/out/dir | xargs)" "0:link two"
debugfs -w -R "ssv state 2" image 2>/dev/null
restore image
is "errors on record" "$?:$(grep -c 'warning: image: Linux has found errors' err)" 0:1
head -c 1m /dev/zero >nothing
restore nothing
is "nothing" "$?:$(cat err)" "1:btrkit restore: error: nothing: no Btrfs superblock at 65536"
done_testing
