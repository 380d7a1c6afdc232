#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What new files take over from their directory: the same is done through a mount and by `btrkit edit`, in two directories, which
# then must hold the same modes, owners, attributes and flags.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program btrfs setfacl setfattr getfattr chattr python3
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
cd "$scratch" || exit 1
umask 022

# What the directories are like: NAME and how Linux makes NAME so.
kinds() {
	cat <<'END_OF_KINDS'
plain true
zstd setfattr -n btrfs.compression -v zstd
level setfattr -n btrfs.compression -v zstd:5
none setfattr -n btrfs.compression -v none
compressed chattr +c
uncompressed chattr +m
nodatacow chattr +C
many chattr +dSAD
setgid chmod 2775
acl setfacl -d -m u:5:rwx,g:6:r-x,o::---
small-acl setfacl -d -m u::rwx,g::r-x,o::---
masked-acl setfacl -d -m u:5:rwx,m::r-x
everything chmod 2770
END_OF_KINDS
}
make_kinds() { # make_kinds SIDE
	mkdir "mnt/$1" && kinds | while read -r name how; do
		mkdir "mnt/$1/$name" && chown 1:77 "mnt/$1/$name" && $how "mnt/$1/$name" || exit 1
	done && setfacl -d -m u:5:rwx,g::rw-,o::r-x "mnt/$1/everything" && setfattr -n btrfs.compression -v lzo "mnt/$1/everything"
}
each_kind() { # each_kind FUNCTION: in each directory
	kinds | while read -r name how; do "$1" "$name" || exit 1; done
}

# cp(1) leaves a directory the set-group-ID bit that it has inherited, though the one that is copied has none.
# property KIND VALUE FILE; what is not copied on write has none.
property() { [ "$1" = nodatacow ] || setfattr -n btrfs.compression -v "$2" "$3"; }
through_mount() {
	(
		cd "mnt/linux/$1" && : >file && echo some >written && mkdir dir && mkdir -m 2701 exact && mkdir -p one/two && : >one/two/file &&
			ln -s target link && mkfifo fifo && mknod device c 1 3 && btrfs -q subvolume create subvol && mkdir subvol/dir &&
			mkdir owned && chown 5:9 owned && : >dir/mode && chmod 640 dir/mode && chmod 2751 dir && : >dir/later &&
			ln -s target one/owned && chown -h 5:9 one/owned &&
			cp -a "$scratch/host/acl" "$scratch/host/plain" "$scratch/host/sub" . && chmod g-s sub &&
			cp -a --reflink=always written copied &&
			echo new >streamed && chmod 606 streamed && property "$1" zlib one && : >one/after && property "$1" no dir &&
			: >dir/after && property "$1" "" one && : >one/last && setfacl -m u:8:r--,m::rwx one/two/file
	)
}
# The last ACL in the kernel's form, on a file of the mode that Linux gave it before.
by_edit() {
	echo some | "$BTRKIT" edit put - "ours/$1/written" image && sed -e "s|@|ours/$1|g" -e "/^[a-z]* btrfs.*nodatacow/d" >batch <<'END_OF_BATCH' || return 1
touch @/file
mkdir @/dir
mkdir -m 701 @/exact
mkdir -p @/one/two
touch @/one/two/file
symlink target @/link
mknod @/fifo p
mknod --device 1:3 @/device c
subvol create @/subvol
mkdir @/subvol/dir
mkdir -o 5:9 @/owned
touch @/dir/mode
chmod 640 @/dir/mode
chmod 2751 @/dir
touch @/dir/later
symlink -o 5:9 target @/one/owned
put host/acl @/acl
put host/plain @/plain
put -r host/sub @/sub
cp @/written @/copied
setxattr btrfs.compression zlib @/one
touch @/one/after
setxattr btrfs.compression no @/dir
touch @/dir/after
setxattr btrfs.compression "" @/one
touch @/one/last
END_OF_BATCH
	"$BTRKIT" edit batch batch image && echo new | "$BTRKIT" edit put -m 606 - "ours/$1/streamed" image &&
		"$BTRKIT" edit setxattr system.posix_acl_access "$(acl_of "mnt.acls/$1")" "ours/$1/one/two/file" image
}
# mkdir -m leaves the set-group-ID bit that is inherited; it was asked for here, so that both sides have it.
same_exact() { "$BTRKIT" edit chmod 2701 "ours/$1/exact" image; }
keep_acl() { mkdir -p mnt.acls && getfattr --only-values -n system.posix_acl_access "mnt/linux/$1/one/two/file" >"mnt.acls/$1"; }
acl_of() { printf 0x && od -An -v -tx1 "$1" | tr -d ' \n'; }

list() { # list SIDE: modes and owners, then attributes
	(cd "mnt/$1" && find . -printf '%p %y %m %U %G\n' | LC_ALL=C sort && find . | LC_ALL=C sort | tr '\n' '\0' |
		xargs -0 getfattr -h -d -m - -e hex 2>&1)
}
flags() { # flags SIDE: of all inodes but those of subvolumes, as they are on disk
	"$BTRKIT" inspect tree -t fs --json image | python3 -c '
import json, os, sys
top = sys.argv[1]
flags = {item["key"]["objectid"]: item["flags"] for line in sys.stdin for item in json.loads(line).get("items", ())
         if item["key"]["type"] == 1}
for path, dirs, files in os.walk(top):
    dirs[:] = sorted(name for name in dirs if name != "subvol")
    for name in sorted(dirs + files):
        print(os.path.relpath(os.path.join(path, name), top), flags[os.lstat(os.path.join(path, name)).st_ino])' "mnt/$1"
}

mkdir host host/sub
echo with >host/acl
setfacl -m u:7:rw,g:8:r host/acl || skip_all "needs ACLs in the temporary directory"
echo plain >host/plain
chmod 604 host/plain
chown 3:4 host/plain
echo below >host/sub/file
chmod 750 host/sub
"$BTRKIT" mkfs -q --size 300M image
ok "Linux mounts it" btrfs_mount "$scratch/mnt" "" image
ok "directories of all kinds" make_kinds linux
ok "twice" make_kinds ours
ok "Linux fills the first" each_kind through_mount
ok "an ACL to be set" each_kind keep_acl
btrfs_umount "$scratch/mnt"
ok "we fill the second" each_kind by_edit
ok "with one more bit" each_kind same_exact
ok "our check" "$BTRKIT" check --data image
ok "btrfs check" btrfs_check image
ok "Linux mounts it again" btrfs_mount "$scratch/mnt" ro image
list linux >linux.txt
list ours >ours.txt
flags linux >linux.flags
flags ours >ours.flags
ok "there is something to compare" sh -c 'test $(grep -c posix_acl linux.txt) -ge 40 && test $(grep -c btrfs.compression linux.txt) -ge 20'
is "modes, owners, attributes ($(grep -c '^\.' linux.txt))" "$(diff linux.txt ours.txt | head -n 40)" ""
is "flags ($(grep -c . linux.flags))" "$(diff linux.flags ours.flags | head -n 40)" ""
ok "flags are not all 0" sh -c 'test $(grep -vc " 0$" linux.flags) -ge 60'
btrfs_umount "$scratch/mnt"

# --- What cannot be set -----------------------------------------------------------------------------------
ok "Linux mounts it to be changed" btrfs_mount "$scratch/mnt" "" image
for value in zlib no zip; do
	for dir in nodatacow plain; do
		[ $value = zip ] || [ $dir = nodatacow ] || continue
		not_ok "$dir: Linux does not set $value" setfattr -n btrfs.compression -v $value mnt/linux/$dir
		echo "setxattr btrfs.compression $value ours/$dir" >>wrong
	done
done
btrfs_umount "$scratch/mnt"
while read -r line; do
	not_ok "$line: nor do we" sh -c 'echo "$2" | "$1" edit batch - image 2>said' - "$BTRKIT" "$line"
	ok "$line: says so" grep -q "compression" said
done <wrong

# --- An ACL that is none ----------------------------------------------------------------------------------
"$BTRKIT" edit setxattr system.posix_acl_default 0x0200000001000700ffffffff ours/plain image
not_ok "a damaged default ACL: nothing new in its directory" sh -c '"$1" edit mkdir ours/plain/new image 2>said' - "$BTRKIT"
ok "says so" grep -q "default ACL is damaged" said
done_testing
