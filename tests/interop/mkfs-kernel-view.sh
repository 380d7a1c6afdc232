#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What Linux makes of the rest that mkfs can put into a filesystem: subvolumes, inode flags, compression, quotas, its place on
# block devices and within larger images, its sizes.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 btrfs lsattr filefrag
tools=$srcdir/tests/tools
mnt=$scratch/mnt
image=$scratch/image
cd "$scratch" || exit 1
python3 "$tools/gentree.py" small tree 60 || fail "a source"
head -c 400000 /dev/zero | tr '\000' x >tree/d1/text
python3 "$tools/manifest" tree/d1 >wanted.d1
python3 "$tools/manifest" tree >wanted
made() {
	rm -f "$image"
	ok "$name: made" "$BTRKIT" mkfs -q -r tree "$@" "$image"
	ok "$name: clean" btrfs_check "$image"
}
mounted() { ok "$name: mounted" btrfs_mount "$mnt" "$1" "$image"; }
let_go() { ok "$name: unmounted" btrfs_umount "$mnt"; }
same() { # FOLDER MANIFEST
	python3 "$tools/manifest" "$1" >got
	ok "$name: the same tree${3:+ $3}" python3 "$tools/manifest" diff "$2" got
}

name=subvolumes
made --free 60M --subvol rw:d1 --subvol ro:d2 --subvol d3
mounted rw
same "$mnt" wanted
is "$name: Linux lists them" "$(btrfs subvolume list "$mnt" | sed 's/.* path //' | sort | tr '\n' ' ')" "d1 d2 d3 "
is "$name: one is read-only" "$(btrfs subvolume list -r "$mnt" | sed 's/.* path //')" d2
not_ok "$name: nothing is made in it" touch "$mnt/d2/new"
ok "$name: in the others it is" touch "$mnt/d1/new" "$mnt/d3/new"
ok "$name: a snapshot of each" sh -c "btrfs subvolume snapshot '$mnt/d1' '$mnt/s1' && btrfs subvolume snapshot -r '$mnt/d2' '$mnt/s2'"
ok "$name: one can be sent" sh -c "btrfs send -q '$mnt/d2' >stream && btrfs receive -q '$mnt/d3' <stream"
ok "$name: and deleted" btrfs subvolume delete -C "$mnt/s1"
let_go
ok "$name: still clean" btrfs_check "$image"

name="the default subvolume"
made --subvol default:d1
mounted rw
same "$mnt" wanted.d1
let_go
mounted subvolid=5
same "$mnt" wanted "with subvolid=5"
let_go

name="nested subvolumes"
mkdir -p tree/d1/inner/most && echo deep >tree/d1/inner/most/file && ln tree/d1/inner/most/file tree/other-name
made -u d1 -u default-ro:d1/inner/most -u d1/inner
mounted ro
is "$name: the default one" "$(cat "$mnt/file")" deep
ok "$name: which is read-only" sh -c "btrfs property get '$mnt' ro | grep ro=true"
let_go
mounted subvolid=5
is "$name: the others" "$(cat "$mnt/d1/inner/most/file" "$mnt/other-name" | tr '\n' ' ')" "deep deep "
let_go
rm -r tree/d1/inner tree/other-name
touch -d @1500000000 tree/d1 tree
python3 "$tools/manifest" tree >wanted

name="inode flags"
made --inode-flags nodatacow:d1 --inode-flags nodatasum:d2 --compress zlib --free 60M
mounted rw
same "$mnt" wanted
ok "$name: nodatacow" sh -c "lsattr '$mnt/d1/text' | grep -q '^[^ ]*C'"
ok "$name: for what is made later, too" sh -c "touch '$mnt/d1/later' && lsattr '$mnt/d1/later' | grep -q '^[^ ]*C'"
not_ok "$name: not elsewhere" sh -c "lsattr '$mnt/d3' | grep -q '^[^ ]*C'"
ok "$name: written over" sh -c "head -c 100000 /dev/urandom | dd of='$mnt/d1/text' conv=notrunc status=none"
let_go
ok "$name: still clean" btrfs_check "$image"

name=flags
cat >flags.mtree <<'EOF2'
#mtree
./d1/text flags=schg
./d1 flags=noatime
./d2 flags=sappnd
EOF2
made -r flags.mtree
mounted rw
ok "$name: immutable" sh -c "lsattr '$mnt/d1/text' | grep -q '^[^ ]*i'"
not_ok "$name: and it is" sh -c "echo more >>'$mnt/d1/text'"
not_ok "$name: nothing is taken from what is append-only" sh -c "rm '$mnt'/d2/*"
ok "$name: but added" touch "$mnt/d2/new"
let_go

raw=$("$BTRKIT" mkfs --dry-run --json -r tree x.img | sed -n 's/.*"data_bytes": *\([0-9]*\).*/\1/p')
for algo in zlib lzo zstd; do
	name="compression $algo"
	made --free 60M --compress $algo
	mounted rw
	same "$mnt" wanted
	ok "$name: Linux sees it" sh -c "filefrag -v '$mnt/d1/text' | grep -q encoded"
	ok "$name: it saves" test "$(btrfs filesystem df --raw "$mnt" | sed -n 's/^Data,.*used=//p')" -lt "$raw"
	ok "$name: written over" sh -c "head -c 100000 /dev/urandom | dd of='$mnt/d1/text' seek=3 bs=30000 conv=notrunc status=none"
	ok "$name: defragmented" btrfs filesystem defragment -r -c"$algo" "$mnt"
	let_go
	ok "$name: still clean" btrfs_check "$image"
done

# What mkfs counted is what Linux counts.
name=quota
made --free 60M -O quota -u d1 -u d2 --compress zstd
mounted rw
btrfs qgroup show --raw "$mnt" >before 2>err || diagnose err
btrfs quota rescan -w "$mnt" >/dev/null 2>err || diagnose err
btrfs qgroup show --raw "$mnt" >after
ok "$name: as Linux counts" cmp before after
is "$name: a group for each" "$(grep -c '^0/' before)" 3
ok "$name: it counts on" sh -c "head -c 1M /dev/urandom >'$mnt/d1/new' && sync -f '$mnt'"
btrfs qgroup show --raw "$mnt" >grown
group() { awk '$1 == "0/256" { print $2 }' "$1"; }
ok "$name: by what was added" test "$(group grown)" -ge $(($(group before) + 1048576))
let_go
ok "$name: still clean" btrfs_check "$image"

# Within a larger image, and on block devices.
name=offset
rm -f "$image"
ok "$name: made" "$BTRKIT" mkfs -q -r tree --offset 1M --size 300M "$image"
device=$(losetup -f --show -o 1M "$image")
ok "$name: clean" btrfs check --readonly --check-data-csum "$device"
ok "$name: mounted" mount -t btrfs "$device" "$mnt"
same "$mnt" wanted
umount "$mnt"
losetup -d "$device"

name="block devices"
for i in 1 2 3; do truncate -s 400M "$scratch/$i"; done
loop_attach "$scratch/1" "$scratch/2" "$scratch/3"
ok "$name: made" "$BTRKIT" mkfs -q -r tree -d raid1 -m raid1c3 $loops
first=${loops%% *}
ok "$name: clean" btrfs check --readonly --check-data-csum "$first"
ok "$name: mounted" mount -t btrfs -o "device=$(echo $loops | sed 's/ /,device=/g')" "$first" "$mnt"
same "$mnt" wanted
not_ok "$name: not made again while mounted" "$BTRKIT" mkfs -q -f $loops
ok "$name: scrubbed" btrfs scrub start -B "$mnt"
umount "$mnt"
ok "$name: made again, smaller, on one" "$BTRKIT" mkfs -q -f --shrink -r tree "$first"
ok "$name: mounted again" mount -t btrfs "$first" "$mnt"
same "$mnt" wanted
ok "$name: grown to the whole" btrfs filesystem resize max "$mnt"
is "$name: its size" "$(btrfs filesystem show --raw "$mnt" | sed -n 's/.*devid *1 size \([0-9]*\) .*/\1/p')" $((400 << 20))
umount "$mnt"
loop_detach $loops

# An exact fit can be mounted and changed, and grows with its file.
name="exact fit"
made
mounted rw
same "$mnt" wanted
ok "$name: a file is removed" rm "$mnt/d1/text"
ok "$name: and one made" sh -c "echo text >'$mnt/d1/text' && sync -f '$mnt'"
let_go
ok "$name: still clean" btrfs_check "$image"
name="exact fit with room"
made --free 100M
mounted rw
ok "$name: so much fits" sh -c "head -c 100M /dev/zero >'$mnt/zeroes' && sync -f '$mnt'"
let_go
ok "$name: still clean" btrfs_check "$image"
done_testing
