#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A device is lost; Linux goes on without it and writes, then it is replaced or removed here, also when it has come back stale. Of two
# that are lost one is replaced here, Linux goes on with what is still degraded, and the other is removed or replaced here.
# BTRKIT_TEST_ALL=1 takes every profile.
. "${srcdir:-.}/tests/tap.sh"
. "${srcdir:-.}/tests/interop/degraded_steps.sh"

# linux_writes FILE...: degraded; new files, some removed, some changed; "before" is what it finds when it has mounted that again, for
# of what it writes to degraded RAID6 it loses something by itself.
linux_writes() {
	btrfs_mount mnt degraded "$@" || return 1
	head -c 7000000 /dev/urandom >mnt/sub/degraded && cp -r mnt/sub/file2? mnt/ && rm mnt/sub/file3? &&
		head -c 5000 /dev/urandom >>mnt/sub/file4 && head -c 20000 /dev/urandom | dd of=mnt/nocow bs=4096 seek=3 conv=notrunc 2>/dev/null &&
		btrfs -q subvolume snapshot -r mnt/sub mnt/later
	linux_status=$?
	let_go && [ $linux_status = 0 ] && btrfs_mount mnt ro,degraded "$@" || return 1
	"$tools/manifest" mnt >before
	linux_status=$?
	let_go && return $linux_status
}
# degraded_reads FILE...: Linux reads everything, and its scrub finds nothing on the devices that are there.
degraded_reads() {
	btrfs_mount mnt ro,degraded "$@" || return 1
	"$tools/manifest" mnt >after && "$tools/manifest" diff before after
	reads_status=$?
	let_go && [ $reads_status = 0 ] || return 1
	scrub degraded "$@"
}
keep() { rm -rf kept && mkdir kept && cp --sparse=always disk* kept/; }
again() { rm -f disk* new* && cp --sparse=always kept/* .; }
# others FIRST LAST: "--device diskFIRST ..." without the last one.
others() { seq -f '--device disk%.0f' "$1" "$(($2 - 1))" | tr '\n' ' '; }

# --- Linux has written without it ----------------------------------------
shapes="raid1:2:--convert-data=single,--convert-metadata=dup raid5:4:"
[ -z "$BTRKIT_TEST_ALL" ] || shapes="$shapes raid1:3: raid10:4:--convert-data=raid1,--convert-metadata=raid1
	raid1c3:3:--convert-data=raid1,--convert-metadata=raid1 raid1c3:4: raid5:3:--convert-data=raid1,--convert-metadata=raid1
	raid6:4:--convert-data=raid1,--convert-metadata=raid1 raid6:5:"
for shape in $shapes; do
	profile=${shape%%:*}
	options=$(echo "${shape##*:}" | tr , ' ')
	nr=$(echo "$shape" | cut -d: -f2)
	name="$profile on $nr, written by Linux without one"
	make_fs "$profile" "$nr" || { fail "$name: Linux makes it"; continue; }
	rm -rf gone && mkdir gone && mv disk1 gone/
	left=$(seq -f disk%.0f 2 "$nr")
	# shellcheck disable=SC2046,SC2086
	{
		ok "$name: it does" linux_writes $left
		keep
		ok "$name: removed" "$BTRKIT" device remove --no-scan --no-progress $(others 2 "$nr") $options missing "disk$nr"
		judge "$name, removed" $left
		again
		truncate -s 600M new1
		ok "$name: replaced" "$BTRKIT" device replace --no-scan --no-progress $(others 2 "$nr") missing new1 "disk$nr"
		judge "$name, replaced" new1 $left
		again
		truncate -s 600M new1
		cp --sparse=always gone/disk1 gone/stale && mv gone/disk1 .
		ok "$name: it is back, stale, and replaced" "$BTRKIT" device replace --no-scan --no-progress $(others 1 "$nr") 1 new1 "disk$nr"
		rm disk1
		judge "$name, stale one replaced" new1 $left
		[ "$profile" = raid5 ] || continue
		again
		mv gone/stale disk1
		not_ok "$name: it is back, stale: it is not overwritten unasked" "$BTRKIT" device replace --no-scan --no-progress $(others 2 "$nr") missing disk1 "disk$nr"
		ok "$name: it is back, stale, and takes its own place" "$BTRKIT" device replace -f --no-scan --no-progress $(others 2 "$nr") missing disk1 "disk$nr"
		judge "$name, the stale one filled again" disk1 $left
	}
done

# --- One of two comes back ----------------------------------------
pairs=raid6:4
[ -z "$BTRKIT_TEST_ALL" ] || pairs="$pairs raid1c3:5 raid6:5"
for pair in $pairs; do
	profile=${pair%%:*}
	nr=${pair##*:}
	name="$profile on $nr, one of two replaced"
	make_fs "$profile" "$nr" || { fail "$name: Linux makes it"; continue; }
	rm disk1 disk2
	truncate -s 600M new1 new2
	left=$(seq -f disk%.0f 3 "$nr")
	# shellcheck disable=SC2046,SC2086
	{
		ok "$name: it is" "$BTRKIT" device replace --no-scan --no-progress $(others 3 "$nr") 1 new1 "disk$nr"
		ok "$name: our check" "$BTRKIT" check --data --no-scan new1 $left
		ok "$name: Linux reads and scrubs it" degraded_reads new1 $left
		ok "$name: Linux writes" linux_writes new1 $left
		ok "$name: the other one" "$BTRKIT" device replace --no-scan --no-progress --device new1 $(others 3 "$nr") missing new2 "disk$nr"
		judge "$name, and then the other" new1 new2 $left
	}
done
done_testing
