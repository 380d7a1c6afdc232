#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Damage is reported with the files that it reaches, in all subvolumes and snapshots: clones, snapshots of different ages, data,
# checksums, extent items, inodes, leaves and nodes. paths.py damages and compares.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 btrfs
"$BTRKIT" check --list-problems --json >/dev/null 2>&1 || skip_all "built without json-c"

build() {
	"$BTRKIT" mkfs -q -n 4K -b 300M "$scratch/image" && btrfs_mount "$scratch/mnt" rw "$scratch/image" || return 1
	s=$scratch/mnt/s
	btrfs -q subvolume create "$s" && mkdir "$s/many" && (cd "$s/many" && seq -f 'file-%05.0f' 1500 | xargs touch) &&
		head -c 300000 /dev/urandom >"$s/noise" && cp --reflink=always "$s/noise" "$s/clone" &&
		head -c 300000 /dev/urandom >"$s/half" && sync -f "$s" && cp --reflink=always "$s/half" "$s/other" &&
		head -c 65536 /dev/urandom | dd of="$s/other" conv=notrunc status=none && touch "$s/nocow" && chattr +C "$s/nocow" &&
		head -c 100000 /dev/urandom >"$s/nocow" && echo first >"$s/early" && mkdir "$s/dir" && ln "$s/noise" "$s/dir/link" &&
		head -c 8000000 /dev/urandom >"$scratch/mnt/big" && sync -f "$s" || return 1
	for i in $(seq -w 12); do
		btrfs -q subvolume snapshot "$s" "$scratch/mnt/snap$i" || return 1
		[ "$i" != 06 ] || { head -c 5000 /dev/urandom >"$s/early" && rm "$s/many/file-01"* && sync -f "$s"; } || return 1
	done
	touch "$scratch/mnt/snap03/many/file-00001" && btrfs -q subvolume snapshot "$s" "$scratch/mnt/snap12/nested" &&
		btrfs_umount "$scratch/mnt"
}
ok "Linux makes snapshots and clones" build
python3 "$srcdir/tests/check/paths.py" "$BTRKIT" "$scratch/image" "$scratch" >"$scratch/tap" 2>"$scratch/errors" ||
	fail "paths.py: $(tail -n 1 "$scratch/errors")"
sed '$d' "$scratch/tap" | sed "s/^\(.*ok\) [0-9]*/\1/" | awk -v n="$tap_count" '/^(not )?ok/ { sub(/ok/, "ok " ++n) } { print }'
tap_failed=$((tap_failed + $(grep -c '^not ok' "$scratch/tap")))
tap_count=$((tap_count + $(tail -n 1 "$scratch/tap")))
done_testing
