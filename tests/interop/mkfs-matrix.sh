#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Profiles, numbers of devices, node sizes, checksums, features, compression and sizes, every two of them together in at
# least one filesystem: each is clean, Linux shows the tree that went in, writes to it and balances it, and it is still clean.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 btrfs
tools=$srcdir/tests/tools

# In memory, where there is enough: hundreds of commits are slow on a disk.
images=$scratch/images
mkdir "$images"
[ "$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)" -ge 4 ] && mount -t tmpfs -o size=3g none "$images"
python3 "$tools/gentree.py" small "$scratch/tree" 50 || fail "a source"
python3 "$tools/manifest" --holes "$scratch/tree" >"$scratch/wanted"

shows_the_tree() {
	python3 "$tools/manifest" --holes "$scratch/mnt" >"$scratch/got" &&
		python3 "$tools/manifest" diff "$scratch/wanted" "$scratch/got"
}
# btrfs-progs learn simple quota in 6.7.
is_clean() {
	"$BTRKIT" check --strict --data --no-scan $devices || return 1
	case $features in
	*squota*) ;;
	*) btrfs_check $devices || return 1 ;;
	esac
	python3 "$tools/btrfsread.py" verify $1 $devices
}
# Room for a balance on devices that were as small as could be.
grow() {
	for device in $devices; do truncate -s +4G "$device"; done
	btrfs_mount "$scratch/mnt" rw $devices || return 1
	if [ "$room" != roomy ]; then
		for id in $(seq "$count"); do btrfs filesystem resize "$id:max" "$scratch/mnt" || return 1; done
	fi
}
write_and_balance() {
	cp -a "$scratch/tree" "$scratch/mnt/again" && rm -r "$scratch/mnt/d1" &&
		head -c 3M /dev/urandom >"$scratch/mnt/noise" && btrfs subvolume create "$scratch/mnt/sub" &&
		cp -a "$scratch/tree/d2" "$scratch/mnt/sub" && sync -f "$scratch/mnt" &&
		btrfs balance start --full-balance "$scratch/mnt" && rm -r "$scratch/mnt/d2" && btrfs_umount "$scratch/mnt"
}
combination() {
	devices=
	count=${layout%%:*}
	profiles=${layout#*:}
	for i in $(seq "$count"); do
		[ "$room" != roomy ] || truncate -s 4G "$images/$i"
		devices="$devices $images/$i"
	done
	set -- -d "${profiles%:*}" -m "${profiles#*:}"
	case $profiles in
	mixed:*) set -- -M -d "${profiles#*:}" -m "${profiles#*:}" ;;
	esac
	[ "$room" = roomy ] || set -- "$@" --free 32M
	set -- "$@" -n "$nodesize" --csum "$csum" --compress "$compress"
	set -- "$@" -O "$features"
	name="$* on $count"
	ok "$name: made" "$BTRKIT" mkfs -q -r "$scratch/tree" "$@" $devices
	ok "$name: clean" is_clean
	ok "$name: mounted" grow
	ok "$name: the same tree" shows_the_tree
	ok "$name: written to and balanced" write_and_balance
	ok "$name: still clean" is_clean --lenient
	! grep -q "$scratch/mnt" /proc/mounts || btrfs_umount "$scratch/mnt"
	rm -f "$images"/*
}

redundant="3:raid1c3:raid1c3,4:raid1c4:raid1c4,3:raid5:raid5,4:raid6:raid6"
mixed="1:mixed:single,1:mixed:dup,2:mixed:raid1"
# Refused.
set -- not quota=squota skinny=^skinny-metadata
for layout in $(echo $mixed | tr , ' '); do
	for nodesize in 8k 16k 32k 64k; do set -- "$@" not "layout=$layout" "nodesize=$nodesize"; done
done
python3 "$tools/pairwise.py" \
	"layout=1:single:single,1:single:dup,1:dup:dup,2:raid0:raid0,2:raid1:raid1,4:raid10:raid10,$redundant,$mixed" \
	nodesize=4k,8k,16k,32k,64k csum=crc32c,xxhash,sha256,blake2 compress=no,zlib,lzo,zstd room=roomy,exact \
	holes=no-holes,^no-holes space=free-space-tree,^free-space-tree groups=default,^block-group-tree \
	extref=extref,^extref skinny=skinny-metadata,^skinny-metadata quota=none,quota,squota \
	"$@" >"$scratch/combinations" || fail "combinations"
while read -r layout nodesize csum compress room features_1 features_2 features_3 features_4 features_5 features_6; do
	features=$(echo "$features_1,$features_2,$features_3,$features_4,$features_5,$features_6" | sed 's/,default//; s/,none//')
	combination
done <"$scratch/combinations"
done_testing
