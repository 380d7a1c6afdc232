#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What Linux and mkfs.btrfs wrote is listed and extracted as Linux shows it: `btrkit ls`, `cat` and `restore` against the
# kernel's mount, over profiles, node sizes, checksums, compressions and old features, with devices missing and copies damaged.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 mkfs.btrfs btrfs
tools=$srcdir/tests/tools
tab=$(printf '\t')

# What a directory holds. Compression is a property of Btrfs that other hosts do not take; a subvolume that is not there
# shows the time of the day.
manifest() {
	python3 "$tools/manifest" "$1" | sed -e 's/btrfs\.compression=[0-9a-f]*,\{0,1\}//' -e "s/${tab}${tab}/${tab}-${tab}/" \
		-e '/^\(snap\|sub\/inner\/snap-ro\)\/inner\t/s/ [0-9]* -\t/ now -\t/'
}
same() { python3 "$tools/manifest" diff "$@"; }
listed_as_text() { "$BTRKIT" ls --no-scan -lR "$@"; }
listed_as_rows() { "$BTRKIT" ls --no-scan --json -lR "$@" | python3 "$tools/listing.py" json; }

# make NAME COUNT MOUNT-OPTIONS mkfs options...: images of a filled filesystem in $images; what it shows in NAME.*
make() {
	name=$1
	count=$2
	options=$3
	shift 3
	images=
	for i in $(seq "$count"); do
		truncate -s 300M "$scratch/$name.$i" && images="${images:+$images }$scratch/$name.$i"
	done
	# shellcheck disable=SC2086
	mkfs.btrfs -q -f "$@" $images && btrfs_mount "$scratch/mnt" "noatime,$options" $images || return 1
	python3 "$tools/gentree.py" small "$scratch/mnt/tree" 40 && python3 "$tools/genbtrfs.py" "$scratch/mnt" &&
		btrfs filesystem sync "$scratch/mnt" && observe
	status=$?
	btrfs_umount "$scratch/mnt" && return $status
}
observe() {
	manifest "$scratch/mnt" >"$scratch/$name.wanted" &&
		python3 "$tools/listing.py" rows "$scratch/mnt" >"$scratch/$name.rows" &&
		python3 "$tools/listing.py" text "$scratch/mnt" >"$scratch/$name.text"
}

# restores WHAT OPTIONS... IMAGES: extracted without an error, and the same as $name.wanted.
restores() {
	what=$1
	shift
	rm -rf "$scratch/out"
	"$BTRKIT" restore --no-scan "$@" "$scratch/out" >"$scratch/said" 2>&1
	is "$what: extracted" $? 0
	manifest "$scratch/out" >"$scratch/got" 2>"$scratch/said.2"
	ok "$what: the same files" same "$scratch/$name.wanted" "$scratch/got"
	rm -rf "$scratch/out"
}
silent() { is "$1: without a word" "$(grep -v '^Restored ' "$scratch/said")" ""; }
reads() { # as make
	ok "$1: Linux makes it" make "$@"
	# shellcheck disable=SC2086
	restores "$name" $images && silent "$name"
	# shellcheck disable=SC2086
	listed_as_rows $images >"$scratch/got"
	ok "$name: ls --json -lR" diff "$scratch/$name.rows" "$scratch/got"
	# shellcheck disable=SC2086
	listed_as_text $images >"$scratch/got"
	ok "$name: ls -lR" diff -a "$scratch/$name.text" "$scratch/got"
}

# without NAME WHICH...: the devices of these numbers (from 1) are missing.
without() {
	left=
	what=$*
	shift
	for image in $images; do
		case " $* " in *" ${image##*.} "*) ;; *) left="$left $image" ;; esac
	done
	# shellcheck disable=SC2086
	restores "$name without device ${what#"$name" }" $left
}

# with_damage stripe|device NUMBER...: these stripes of all chunks, or the chunks on these devices, are overwritten.
with_damage() {
	what="$name with bad $*"
	kind=$1
	shift
	copies=
	for image in $images; do cp --sparse=always "$image" "$scratch/copy.${image##*.}" && copies="$copies $scratch/copy.${image##*.}"; done
	# shellcheck disable=SC2086
	for number in "$@"; do ok "$what: damaged ($number)" python3 "$tools/damage" "$kind" "$number" $copies; done
	# shellcheck disable=SC2086
	restores "$what" $copies
	rm -f "$scratch"/copy.*
}
told() { ok "$1: it is told" grep -q 'warning: .*; copy [0-9] is good' "$scratch/said"; }

# --- Single devices ---
reads default 1 rw
plain=$images
reads dup 1 compress-force=zstd --csum xxhash -n 4096 -d dup -m dup
with_damage stripe 0
told "$what"
with_damage stripe 1
reads old 1 space_cache=v1,max_inline=0 -n 32768 -m single -O ^no-holes,^skinny-metadata -R ^free-space-tree
reads mixed 1 compress=lzo --mixed -d dup -m dup -n 4096
reads single-8k 1 compress-force=zlib:9 -n 8192 -m single --csum blake2

# --- Single files ---
# cats NAME IMAGES: what cat writes of each file that has data has the checksum that Linux saw.
cats() {
	grep -aE "^(packed|specials|snap/packed)/[a-z-]*${tab}f " "$scratch/$1.wanted" >"$scratch/files"
	shift
	while IFS=$tab read -r path about target sum rest; do
		[ "$("$BTRKIT" cat --no-scan --path "$path" "$@" | sha256sum)" = "$sum  -" ] || { echo "$path" && return 1; }
	done <"$scratch/files"
	[ "$(wc -l <"$scratch/files")" -gt 20 ]
}
ok "cat of each file" cats default "$plain"
ok "cat of each file with explicit holes" cats old "$scratch/old.1"

# --- Several devices ---
reads raid0 3 rw -d raid0 -m raid0 --csum sha256
reads raid1 2 compress-force=lzo -d raid1 -m raid1 --csum blake2
without raid1 1
without raid1 2
with_damage device 1
with_damage device 2
reads raid1c3 3 rw -d raid1c3 -m raid1c3
without raid1c3 1 3
reads raid1c4 4 rw -d raid1c4 -m raid1c4
without raid1c4 1 2 4
reads raid10 4 rw -d raid10 -m raid10 -n 65536
without raid10 2
with_damage device 3
reads raid5 3 compress-force=zstd -d raid5 -m raid5
for i in 1 2 3; do without raid5 $i; done
with_damage device 2
reads raid6 4 rw -d raid6 -m raid6
without raid6 1
without raid6 2 4
without raid6 3 4
with_damage device 1
with_damage device 2 3
told "$what"

# --- Finding the filesystem ---
name=raid1
images="$scratch/raid1.1 $scratch/raid1.2"
mkdir "$scratch/devices" && cp --sparse=always $images "$scratch/devices" && echo no device >"$scratch/devices/a file" &&
	mkfifo "$scratch/devices/fifo"
name=raid0
cp --sparse=always "$scratch"/raid0.? "$scratch/devices"
restores "raid0, one device named, the others found" --scan "$scratch/devices" "$scratch/devices/raid0.2"
silent "raid0, one device named, the others found"
restores "raid0, one device named twice found" --scan "$scratch/devices" "$scratch/raid0.2"
is "one of three is not enough" "$("$BTRKIT" ls --no-scan "$scratch/raid0.2" 2>&1 | grep -c 'error: .*missing')" 1

name=default
truncate -s 3M "$scratch/shifted" && cat "$plain" >>"$scratch/shifted"
restores "at an offset" --offset 3M "$scratch/shifted"
silent "at an offset"
"$BTRKIT" ls "$scratch/shifted" >"$scratch/said" 2>&1
is "without the offset: refused" "$? $(cat "$scratch/said")" "1 btrkit ls: error: $scratch/shifted: no Btrfs superblock at 65536"
rm "$scratch/shifted"
cp --sparse=always "$plain" "$scratch/copy"
head -c 4096 /dev/zero | dd of="$scratch/copy" bs=64k seek=1 conv=notrunc status=none
restores "without the first superblock" "$scratch/copy"
restores "by the second superblock" --super 1 "$plain"
"$BTRKIT" ls --super 0 "$scratch/copy" >"$scratch/said" 2>&1
is "the first superblock alone: refused" "$? $(wc -l <"$scratch/said")" "1 1"
rm "$scratch/copy"

# --- Every limit that Linux has: names, sizes, holes, links, attributes, times, devices ---
name=edges
images=$scratch/edges.1
truncate -s 2G "$images" && mkfs.btrfs -q -n 65536 "$images" >"$scratch/mkfs.said" && btrfs_mount "$scratch/mnt" noatime "$images"
ok "edges: made" python3 "$tools/gentree.py" edges "$scratch/mnt/edges"
sync -f "$scratch/mnt"
observe
oracle=${BTRKIT_SHARED:-$srcdir/../shared}/oracle/fsmanifest
[ ! -e "$oracle" ] || python3 "$oracle" "$scratch/mnt" >"$scratch/edges.oracle"
btrfs_umount "$scratch/mnt"
if [ -e "$oracle" ]; then
	"$BTRKIT" restore --no-scan "$images" "$scratch/out" >"$scratch/said" && python3 "$oracle" "$scratch/out" >"$scratch/got"
	ok "edges: the same for the oracle" python3 "$oracle" diff "$scratch/edges.oracle" "$scratch/got"
else
	skip "edges: the same for the oracle" "there is no ../shared"
fi
restores edges "$images"
silent edges
listed_as_rows "$images" >"$scratch/got"
ok "edges: ls --json -lR" diff "$scratch/edges.rows" "$scratch/got"
listed_as_text "$images" >"$scratch/got"
ok "edges: ls -lR" diff -a "$scratch/edges.text" "$scratch/got"
done_testing
