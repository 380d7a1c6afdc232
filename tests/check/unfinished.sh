#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No false alarm where Linux was not done yet when it unmounted: in the middle of a balance, a deletion, a count of quotas, or of a
# stream that is received. Each is caught in its middle, judged, taken up again, and judged at its end.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program mkfs.btrfs btrfs python3
. "$srcdir/tests/check/aging.sh"
[ -n "$BTRKIT_TEST_ALL" ] || operations=150

again() { # [OPTIONS]
	[ $# = 0 ] || options=$1
	loop_attach $images && devices=$loops && mount_again
}
fill() { # MIB
	churn && head -c "$1M" /dev/urandom >"$mnt/noise" && sync -f "$mnt"
}
# What a tree has on disk, in $scratch/shown, after the unmount.
has() { # TREE PATTERN IMAGE...
	tree=$1
	pattern=$2
	shift 2
	"$BTRKIT" inspect tree --tree "$tree" --no-scan "$@" >"$scratch/shown" 2>&1 && grep -q "$pattern" "$scratch/shown"
}
# caught NAME TREE PATTERN IMAGES COMMAND...: the command mounts, and leaves while something is in its middle: then the tree has
# the pattern. It is given more to do until it is caught there.
caught() {
	name=$1
	tree=$2
	pattern=$3
	members=$4
	shift 4
	for amount in 1 2 3 4 5; do
		"$@" $amount >"$scratch/caught" 2>&1
		status=$?
		end >>"$scratch/caught" 2>&1
		[ $status = 0 ] || break
		has "$tree" "$pattern" $members && pass "$name" && return
	done
	fail "$name"
	diagnose "$scratch/caught"
}

# --- A device that is lost ---
# What is written without a device has one copy; another device takes its place.
without_one() {
	begin 3 2 rw mkfs.btrfs -d raid1 -m raid1 && churn && umount "$mnt" && losetup -d "$(device 2)" && rm "$scratch/2" &&
		mount -t btrfs -o degraded "$(device 1)" "$mnt" && churn && btrfs -q replace start -B -f 2 "$(device 3)" "$mnt" && churn
}
ok "a lost device is replaced" without_one
umount "$mnt"
losetup -d "$(device 1)" "$(device 3)"
judge "a lost device" "$scratch/1" "$scratch/3"

# --- A balance, into another profile ---
balancing() {
	begin 1 1 rw mkfs.btrfs -m dup && fill $((100 * $1)) || return 1
	btrfs -q balance start -f -dconvert=dup -mconvert=single "$mnt" >/dev/null 2>&1 &
	while btrfs balance status "$mnt" | grep -q -e '^0 out of' -e '^No'; do kill -0 $! || break; done
	btrfs balance pause "$mnt"
	wait $!
	churn
}
caught "a balance is paused" root BALANCE "$scratch/1" balancing
judge "a paused balance" "$scratch/1"
skipped() { again skip_balance && churn && btrfs balance status "$mnt" | grep paused; }
ok "with skip_balance it stays so" skipped
end
judge "a skipped balance" "$scratch/1"
resumed() { again rw && sleep 0.2 && churn; }
ok "it goes on with the next mount" resumed
end
judge "a balance that was left" "$scratch/1"
cancelled_balance() {
	again skip_balance && { btrfs balance cancel "$mnt" || true; } && churn && btrfs balance status "$mnt" | grep 'No balance'
}
ok "it is cancelled" cancelled_balance
end
judge "a cancelled balance" "$scratch/1"

# --- Deletion of subvolumes that share leaves ---
deleting() {
	begin 1 1 rw mkfs.btrfs -n 4096 && btrfs -q subvolume create "$mnt/s" && python3 - "$mnt/s" $1 <<-'PY' || return 1
		import os, sys
		for i in range(6000 * int(sys.argv[2])):
		    with open('%s/f%d' % (sys.argv[1], i), 'w') as f:
		        f.write('x' * (i % 3 * 1500))
	PY
	btrfs -q subvolume snapshot "$mnt/s" "$mnt/t" && touch "$mnt"/t/f*7 && churn && btrfs filesystem sync "$mnt" && btrfs -q subvolume delete "$mnt/s" "$mnt/t" &&
		btrfs filesystem sync "$mnt" && sleep "0.0$(($1 - 1))"
}
caught "a deletion is left in its middle" root 'drop_progress ([1-9]' "$scratch/1" deleting
judge "a deletion" "$scratch/1"
deleted() { again && churn && btrfs -q subvolume sync "$mnt"; }
ok "it goes on with the next mount" deleted
end
judge "a deletion that went on" "$scratch/1"

# --- Quotas while they are counted ---
counting() {
	begin 1 1 rw mkfs.btrfs -n 4096 && churn && btrfs -q subvolume create "$mnt/s" && python3 - "$mnt/s" $1 <<-'PY' || return 1
		import os, sys
		for i in range(3000 * int(sys.argv[2])):
		    with open('%s/f%d' % (sys.argv[1], i), 'w') as f:
		        f.write('x' * 3000)
	PY
	btrfs -q subvolume snapshot "$mnt/s" "$mnt/t" && btrfs quota enable "$mnt"
}
caught "a rescan of quotas is left in its middle" quota 'flags 0x7(ON|RESCAN|INCONSISTENT)' "$scratch/1" counting
judge "a rescan" "$scratch/1"
counted() {
	again && churn && btrfs -q quota rescan -w "$mnt" && churn && btrfs qgroup create 1/1 "$mnt" && btrfs -q subvolume snapshot -i 1/1 "$mnt/s" "$mnt/u" &&
		btrfs -q subvolume delete "$mnt/t" && btrfs -q subvolume sync "$mnt" && churn && btrfs -q quota rescan -w "$mnt"
}
ok "it goes on with the next mount" counted
end
judge "quotas after rescans" "$scratch/1"

# --- A stream that ends too early ---
cut_short() {
	begin 1 1 rw mkfs.btrfs && churn && btrfs -q subvolume create "$mnt/from" && python3 "$srcdir/tests/tools/gentree.py" small "$mnt/from/tree" 60 &&
		btrfs -q subvolume snapshot -r "$mnt/from" "$mnt/one" && rm -r "$mnt/from/tree/d1" && echo more >"$mnt/from/more" &&
		btrfs -q subvolume snapshot -r "$mnt/from" "$mnt/two" && mkdir "$mnt/to" && btrfs -q send "$mnt/one" -f "$scratch/first" &&
		btrfs -q send -p "$mnt/one" "$mnt/two" -f "$scratch/second" && btrfs -q receive "$mnt/to" -f "$scratch/first" || return 1
	truncate -s $(($(stat -c %s "$scratch/second") / 2)) "$scratch/second"
	btrfs -q receive "$mnt/to" -f "$scratch/second" || true
	[ -d "$mnt/to/two" ] && [ ! -e "$mnt/to/two/more" ]
}
ok "half of a stream is received" cut_short
end
judge "half of a stream" "$scratch/1"

# --- A device that has become larger than the filesystem knows, to a size that is not round ---
grown() {
	begin 1 1 rw mkfs.btrfs && churn && umount "$mnt" && truncate -s $((1200 * 1048576 + 5 * 512)) "$scratch/1" && losetup -c "$(device 1)" && mount_again
}
ok "a device grows" grown
end
judge "a device that grew" "$scratch/1"
resized() { again && btrfs filesystem resize max "$mnt" && churn && btrfs filesystem resize -37M "$mnt"; }
ok "so does the filesystem" resized
end
judge "a filesystem that grew" "$scratch/1"
done_testing
