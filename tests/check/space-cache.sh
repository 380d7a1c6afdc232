#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Free space caches, as Linux leaves them, are found right; single changes of them are told as what Linux would make of them.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program mkfs.btrfs python3
images=$scratch/images
mkdir "$images"
[ "$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)" -ge 4 ] && mount -t tmpfs -o size=2g none "$images"

# Caches are for block groups of 100 MiB and more, so devices are large.
with_caches() { # DEVICES mkfs options...
	count=$1
	shift
	devices=
	for i in $(seq "$count"); do
		rm -f "$images/$i" && truncate -s 8G "$images/$i" && devices="$devices $images/$i"
	done
	mkfs.btrfs -q -f -R ^free-space-tree "$@" $devices && btrfs_mount "$scratch/mnt" space_cache=v1 $devices || return 1
	python3 "$srcdir/tests/tools/churn.py" "$scratch/mnt" 1 "$operations" snapshot drop fsync && sync -f "$scratch/mnt" &&
		btrfs_umount "$scratch/mnt"
}
says_nothing() {
	"$BTRKIT" check --data --no-scan $devices >"$scratch/checked"
	status=$?
	cat "$scratch/checked"
	[ $status = 0 ] && ! grep space-cache "$scratch/checked"
}
are_believed() {
	"$BTRKIT" inspect super $1 | tr ' ' '\n' | grep -A2 '^\(cache_\)*generation$' | grep '^[0-9]' | sort | uniq -d | grep . &&
		"$BTRKIT" inspect tree --tree root --no-scan $devices | grep 'key (FREE_SPACE TYPE\.0 '
}
operations=1500
for layout in "2 -d raid0 -m raid1" "4 -d raid10 -m raid1c3" "3 -d raid5 -m raid5" "1 --mixed" "1 -n 4096"; do
	# As much as it takes until there is a bitmap.
	[ "$layout" != "1 -n 4096" ] || operations=7000
	ok "$layout: with caches" with_caches $layout
	ok "$layout: Linux would believe them" are_believed $devices
	ok "$layout: and so does the check" says_nothing
done
# Whether there is one depends on when Linux commits.
for attempt in 1 2 3 4 5 6; do
	python3 "$srcdir/tests/check/space_cache.py" "$BTRKIT" "$images/1" >"$scratch/changes"
	[ $? = 3 ] || break
	echo "# no bitmap after $operations operations, attempt $attempt"
	operations=$((operations + 3000))
	with_caches 1 -n 4096 >"$scratch/again" 2>&1
done
while read -r line; do
	case $line in
	"ok - "*) pass "${line#ok - }" ;;
	"not ok - "*) fail "${line#not ok - }" ;;
	*) echo "$line" ;;
	esac
done <"$scratch/changes"
is "all changes were made" "# $(grep -c 'ok - ' "$scratch/changes") changes" "$(grep '^# [0-9]* changes$' "$scratch/changes")"
done_testing
