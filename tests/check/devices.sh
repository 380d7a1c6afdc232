#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Devices that are missing, stale, strangers, failing; seeds. What Linux makes of them is made here with mounts.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
# checked NAME STATUS CODES DEVICES...: these codes are among the problems; "-": there is none.
checked() {
	name=$1
	wanted=$2
	codes=$3
	shift 3
	timeout 60 "$BTRKIT" check --json --data --no-scan "$@" >"$scratch/json" 2>"$scratch/err"
	status=$?
	said=" $(sed -n 's/.*"type":"problem","code":"\([^"]*\)","severity":"\(warning\|error\|fatal\)".*/\1/p' "$scratch/json" | sort -u | tr '\n' ' ')"
	missing=
	if [ "$codes" = - ]; then
		missing=${said# }
	else
		for code in $codes; do
			case $said in *" $code "*) ;; *) missing="$missing $code" ;; esac
		done
	fi
	is "$name: $codes" "$status$missing" "$wanted"
	[ "$status$missing" = "$wanted" ] || { diagnose "$scratch/json" 5 | cut -c1-300 && diagnose "$scratch/err" 3; }
}
mkdir -p "$scratch/tree" "$scratch/mnt"
for i in $(seq 200); do echo "$i" >"$scratch/tree/file-$i"; done
head -c 3000000 /dev/urandom >"$scratch/tree/big"
make() { # PROFILE COUNT [METADATA]
	images=
	for i in $(seq "$2"); do
		rm -f "$scratch/$1.$i"
		images="$images $scratch/$1.$i"
	done
	"$BTRKIT" mkfs -q -b 160M -d "$1" -m "${3:-$1}" --rootdir "$scratch/tree" $images
}
make raid1 2
"$BTRKIT" mkfs -q -b 130M "$scratch/stranger"
checked "a stranger" 8 - "$scratch/raid1.1" "$scratch/stranger"
ok "is called one" grep -q 'different filesystems' "$scratch/err"
cp --sparse=always "$scratch/raid1.1" "$scratch/copy"
checked "two copies of one device" 8 - "$scratch/raid1.1" "$scratch/copy"
ok "are called so" grep -q 'copy' "$scratch/err"
checked "a device of raid1 is missing" 0 device-missing "$scratch/raid1.2"
make raid0 2 raid1
checked "a device of raid0 is missing" 4 "device-missing data-lost" "$scratch/raid0.1"
ok "and the file is named" grep -q '"/big"' "$scratch/json"
make raid0 2
checked "with half of the metadata" 4 "device-missing block-unreadable" "$scratch/raid0.1"
head -c 100000000 "$scratch/raid1.1" >"$scratch/short"
checked "one device is cut short" 4 device-too-small "$scratch/short" "$scratch/raid1.2"
can_mount || {
	skip "what Linux makes" "needs root, loop devices and btrfs in the kernel"
	done_testing
}

# alone IMAGE COMMAND...: mount one device of two, degraded, and change something.
alone() {
	loop_attach "$1" && mount -t btrfs -o "degraded,device=$loops" "$loops" "$scratch/mnt" || return 1
	shift
	"$@"
	sync -f "$scratch/mnt"
	umount "$scratch/mnt"
	loop_detach $loops
}
ok "device 1 moves on without device 2" alone "$scratch/raid1.1" cp -r "$scratch/tree" "$scratch/mnt/more"
checked "a stale device" 4 "super-generation-differs block-copy-bad data-copy-bad" "$scratch/raid1.1" "$scratch/raid1.2"
checked "also when it is named first" 4 "super-generation-differs block-copy-bad" "$scratch/raid1.2" "$scratch/raid1.1"
checked "the newer one alone" 0 device-missing "$scratch/raid1.1"
checked "the stale one alone" 0 device-missing "$scratch/raid1.2"
ok "device 2 moves on without device 1" alone "$scratch/raid1.2" cp "$scratch/tree/big" "$scratch/mnt/other"
checked "devices of two minds" 4 "device-diverged block-copy-bad" "$scratch/raid1.1" "$scratch/raid1.2"

sprout() {
	"$BTRKIT" mkfs -q -b 160M --rootdir "$scratch/tree" "$scratch/seed" && truncate -s 200M "$scratch/sprout" &&
		btrfstune -S 1 "$scratch/seed" >/dev/null 2>&1 && loop_attach "$scratch/seed" "$scratch/sprout" || return 1
	set -- $loops
	mount -t btrfs -o "ro,device=$1" "$1" "$scratch/mnt" && btrfs device add -f "$2" "$scratch/mnt" >/dev/null &&
		mount -o remount,rw "$scratch/mnt" && cp "$scratch/tree/big" "$scratch/mnt/new" && rm "$scratch/mnt/file-7" &&
		sync -f "$scratch/mnt"
	made=$?
	umount "$scratch/mnt"
	loop_detach "$@"
	return $made
}
if command -v btrfstune >/dev/null; then
	ok "a filesystem grows from a seed" sprout
	checked "the seed" 0 - "$scratch/seed"
	checked "what grew from it" 0 - "$scratch/seed" "$scratch/sprout"
	checked "named the other way round" 0 - "$scratch/sprout" "$scratch/seed"
	checked "without the seed" 4 "device-missing block-unreadable files-behind-block" "$scratch/sprout"
else
	skip "a filesystem grows from a seed" "needs btrfstune"
fi

# A disk whose end fails: the kernel gives EIO for what the file behind a loop device has lost.
make raid1 2
loop_attach "$scratch/raid1.1" "$scratch/raid1.2"
set -- $loops
truncate -s 20M "$scratch/raid1.1"
checked "the end of one of two disks fails" 4 "block-copy-bad super-copy-bad" "$@"
ok "which is said in the kernel's words" grep -q 'Input/output error' "$scratch/json"
truncate -s 2M "$scratch/raid1.1"
checked "most of it" 4 "block-copy-bad data-copy-bad" "$@"
truncate -s 20M "$scratch/raid1.2"
checked "both fail" 4 "block-unreadable super-copy-bad" "$@"
truncate -s 1M "$scratch/raid1.1" "$scratch/raid1.2"
checked "nothing but the superblocks can be read" 4 cannot-open "$@"
ok "which is said in the kernel's words" grep -q 'Input/output error' "$scratch/json"
truncate -s 0 "$scratch/raid1.1"
checked "nothing at all can be read" 4 cannot-open "$@"
loop_detach "$@"
done_testing
