#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No false alarm while Linux replaces a device, and has copied a part of it: as a power cut leaves it, as an unmount does, without
# the new device, when it is cancelled, and when it has gone on to its end.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program mkfs.btrfs btrfs python3
. "$srcdir/tests/check/power_cut.sh"

device() { echo $devices | cut -d' ' -f"$1"; }
# clean NAME DEVICE...: no complaint, no warning either.
clean() {
	name=$1
	shift
	ok "$name: clean" "$BTRKIT" check --strict --data "$@"
}
# agrees NAME DEVICE: nor from btrfs check. What it cannot scan is somebody else's.
agrees() {
	timeout 60 btrfs check --readonly "$2" >"$scratch/peer" 2>&1
	status=$?
	is "$1: btrfs check agrees" $status 0
	[ $status = 0 ] || diagnose "$scratch/peer" 20
}
# while_replacing NAME: clean, whichever devices are named. btrfs check adds the size of the new one to that of the filesystem,
# which Linux does not, and complains; so it has to do without.
while_replacing() {
	for named in "$first" "$old" "$new" "$new $old $first"; do clean "$1, $(echo $named | wc -w) named" $named; done
	clean "$1, without the new device" --no-scan "$first" "$old"
	losetup -d "$new"
	agrees "$1" "$first"
	new=$(losetup -f --show -o $((2 * 1048576 * size)) --sizelimit $((1048576 * size)) "$file") || exit 1
}
both() { # NAME DEVICE...
	clean "$@"
	agrees "$1" "$2"
}
# The replace is in its middle on these devices: a part is copied, not all.
is_halfway() {
	"$BTRKIT" inspect tree --tree dev --no-scan "$@" >"$scratch/shown" && grep -A 2 'DEV_REPLACE' "$scratch/shown" | grep -q 'cursor_left [1-9]' &&
		grep -A 2 'DEV_REPLACE' "$scratch/shown" | grep -qE 'replace_state (1|4)'
}
# Of the replace that goes on, in percent; "finished" and the like if it does not.
share() { btrfs replace status -1 "$mnt" | sed -n 's/^\([0-9.]*\)% done.*/\1/p; t; s/.*\(finished\|cancel\|suspended\).*/\1/p'; }

# --- Caught in its middle ---
start() {
	begin 3 1800 commit=1 2 mkfs.btrfs -d raid1 -m raid1 && python3 "$churn" "$mnt" "$seed" 800 && head -c 300M /dev/urandom >"$mnt/noise" &&
		sync -f "$mnt" && replace 2 "$(device 3)" || return 1
	while :; do
		case $(share) in
		finished | cancel) break ;;
		0.0 | suspended) ;;
		*) sync -f "$mnt" && cut_off && [ $nr_cuts -lt 6 ] || break ;;
		esac
	done
	wait $replacing && [ $nr_cuts -gt 0 ] && end
}
ok "a device is replaced" start
middle=
for at in $(seq $nr_cuts); do
	parts "$host/cut.$at"
	if is_halfway $(echo $loops | cut -d' ' -f1-2); then middle=$at && break; fi
	losetup -d $loops
done
[ -n "$middle" ] && pass "its middle is caught" || fail "its middle is caught"
[ -n "$middle" ] || done_testing
devices=$loops
first=$(device 1)
old=$(device 2)
new=$(device 3)
file=$host/cut.$middle
cp --reflink=always "$file" "$host/copy"
cp --reflink=always "$file" "$host/another"
while_replacing "its middle"

# --- Taken up again ---
mounted() { # DEVICE...
	options=commit=300
	for part in "$@"; do options=$options,device=$part; done
	mount -t btrfs -o "$options" "$1" "$mnt"
}
# other_copy FILE: of the same moment. Linux remembers devices, and would take what is older than they for a copy of them.
other_copy() {
	for part in $first $old $new; do btrfs device scan --forget "$part"; done
	losetup -d $first $old $new
	file=$1
	parts "$file" && devices=$loops && first=$(device 1) && old=$(device 2) && new=$(device 3)
}
goes_on() {
	mounted "$first" "$old" "$new" && python3 "$churn" "$mnt" "$seed" 100 || return 1
	while [ "$(share)" != finished ]; do sleep 0.1; done
	python3 "$churn" "$mnt" "$seed" 100 && umount "$mnt"
}
ok "it goes on by itself" goes_on
both "a replace that went on" "$first" "$new"

# Linux 6.18 notes the chunk that it was in as copied when it unmounts, and does not come back to it: the new device has other
# data there, which is no false alarm. Its scrub finds that, too, and repairs it.
other_copy "$host/another"
left_again() { mounted "$first" "$old" "$new" && umount "$mnt"; }
ok "Linux takes it up, and leaves it" left_again
was_left() {
	while_replacing "left again"
	ok "it goes on then" goes_on
	agrees "a replace that was left" "$first"
	"$BTRKIT" check --strict --data "$first" "$new" >"$scratch/checked"
	scrubbed() { mounted "$first" "$new" && btrfs scrub start -B "$mnt" >"$scratch/scrubbed" 2>&1 && umount "$mnt"; }
	ok "it is scrubbed" scrubbed
	bad=$(grep -c 'copy-bad\]$' "$scratch/checked")
	others=$(grep '^\(fatal\|error\|warning\)' "$scratch/checked" | grep -cv 'on device 2: .*copy-bad\]$')
	is "a replace that was left: nothing but bad copies" "$others" 0
	is "and these only where scrub finds some" $((bad > 0)) "$(grep -c 'Error summary:.*=' "$scratch/scrubbed")"
	clean "and scrubbed" "$first" "$new"
}
if is_halfway "$first" "$old"; then was_left; else skip "left again" "it had ended by then"; fi

# --- The other ways ---
other_copy "$host/copy"
without_new() {
	losetup -d "$new" && mount -t btrfs -o "degraded,device=$first,device=$old" "$first" "$mnt" && python3 "$churn" "$mnt" "$seed" 100 &&
		share | grep suspended && umount "$mnt"
}
ok "Linux mounts it without the new device" without_new
both "without the new device" "$first" "$old"
cancelled() {
	mount -t btrfs -o "degraded,device=$first,device=$old" "$first" "$mnt" && btrfs replace cancel "$mnt" && python3 "$churn" "$mnt" "$seed" 100 &&
		share | grep cancel && umount "$mnt"
}
ok "it is cancelled" cancelled
both "a cancelled replace" "$first" "$old"
losetup -d "$first" "$old"
rm "$host"/cut.* "$host/copy" "$host/another"
done_testing
