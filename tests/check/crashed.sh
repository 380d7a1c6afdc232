#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No false alarm where Linux was cut off: while files are written and fsynced, subvolumes deleted, chunks balanced, devices
# replaced. The devices are parts of one file on another Btrfs filesystem, and the power cut is a reflink of it: one moment
# for all devices. BTRKIT_TEST_ALL=1 cuts much more often; BTRKIT_TEST_SEED chooses what is done.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program mkfs.btrfs btrfs python3
churn=$srcdir/tests/tools/churn.py
seed=${BTRKIT_TEST_SEED:-1}
cuts=4
pause=0.1
[ -z "$BTRKIT_TEST_ALL" ] || cuts=40 pause=0.05
mnt=$scratch/mnt
host=$scratch/host
mkdir "$mnt" "$scratch/memory"
# In memory, where there is enough: there are many commits.
[ "$(awk '/MemAvailable/ { print int($2 / 1048576) }' /proc/meminfo)" -ge 6 ] && mount -t tmpfs -o size=4g none "$scratch/memory"
truncate -s 8G "$scratch/memory/host"
"$BTRKIT" mkfs -q "$scratch/memory/host" && btrfs_mount "$host" nodatasum "$scratch/memory/host" || skip_all "no room for images"

# parts FILE [losetup option]: loop devices of the parts of a file, in $loops.
parts() {
	loops=
	for part in $(seq 0 $((count - 1))); do
		loops="$loops $(losetup -f --show $2 -o $((part * 1048576 * size)) --sizelimit $((1048576 * size)) "$1")" || return 1
	done
}
# begin COUNT MIB MOUNT-OPTIONS DEVICES-USED mkfs.btrfs...: a mounted filesystem.
begin() {
	count=$1
	size=$2
	options=$3
	used=$4
	shift 4
	truncate -s $((count * size))M "$host/devices" && parts "$host/devices" && devices=$loops &&
		"$@" -q -f $(echo $loops | cut -d' ' -f"1-$used") >"$scratch/made" 2>&1 || return 1
	for part in $(echo $loops | cut -d' ' -f"1-$used"); do options=$options,device=$part; done
	mount -t btrfs -o "$options" $(echo $loops | cut -d' ' -f1) "$mnt"
}
end() {
	umount "$mnt" && losetup -d $devices && rm "$host/devices"
}
nr_cuts=0
cut_off() {
	nr_cuts=$((nr_cuts + 1))
	cp --reflink=always "$host/devices" "$host/cut.$nr_cuts"
}
cut_often() {
	for at in $(seq $((cuts * ${1:-1}))); do
		sleep $pause
		cut_off
	done
}
# While COMMAND... runs in the background.
cut_during() {
	"$@" >/dev/null 2>&1 &
	during=$!
	cut_often
	{ kill $during && wait $during; } 2>/dev/null
}

# judge NAME [PATTERN...]: all that was cut off is clean, and says nothing but of logs, of what is unfinished, and of data that
# was written before the size of its file was. Whether the
# moment when the root tree has PATTERN was caught is a matter of luck, so it is told.
judge() {
	name=$1
	shift
	for at in $(seq $nr_cuts); do
		parts "$host/cut.$at" -r
		timeout 200 "$BTRKIT" check --data --no-scan $loops >"$scratch/checked" 2>&1
		status=$?
		"$BTRKIT" inspect tree --tree root --no-scan $loops >>"$scratch/roots" 2>/dev/null
		losetup -d $loops
		grep -v -e '\[log-present\]$' -e '\[log-replayed\]$' -e '\[unfinished\]$' -e '\[free-space-without-group\]$' -e '\[quota-inconsistent\]$' -e '\[file-extent-beyond-size\]$' \
			"$scratch/checked" | grep '^\(note\|warning\|error\|fatal\)' >"$scratch/said"
		[ $status = 0 ] && [ ! -s "$scratch/said" ] || {
			echo "cut $at, exit status $status:" && head -n 5 "$scratch/said"
			[ -z "$BTRKIT_TEST_KEEP" ] || cp --sparse=always "$host/cut.$at" "$BTRKIT_TEST_KEEP/$name.$at"
		} >>"$scratch/bad"
		rm "$host/cut.$at"
	done
	is "$name: $nr_cuts cuts, all clean" "$(cat "$scratch/bad" 2>/dev/null)" ""
	for pattern in "$@"; do
		if grep -q "$pattern" "$scratch/roots"; then
			pass "$name: with $pattern"
		else
			skip "$name: with $pattern" "not caught this time"
		fi
	done
	rm -f "$scratch/bad" "$scratch/roots"
	nr_cuts=0
}

# --- A log, which is in the first superblock only ---
fsynced() {
	begin 1 400 commit=300 1 mkfs.btrfs && echo a >"$mnt/a" && sync -f "$mnt" && echo b >"$mnt/b" && sync "$mnt/b" && cut_off && end
}
ok "fsynced" fsynced
judge "fsynced"

# --- Writing ---
begin 1 1000 compress=zstd,commit=1 1 mkfs.btrfs
cut_during python3 "$churn" "$mnt" "$seed" 100000
end
judge "files come and go"

# --- Subvolumes that share most of their leaves are deleted, over many commits ---
delete_subvols() {
	begin 1 1500 commit=1 1 mkfs.btrfs -n 4096 && btrfs -q subvolume create "$mnt/s" || return 1
	python3 - "$mnt" <<-'PY' || return 1
		import os, subprocess, sys
		def write(subvol, first, text):
		    for i in range(first, 12000, 1 if first == 0 else 7):
		        with open('%s/%s/d%d/f%d' % (sys.argv[1], subvol, i % 40, i), 'wb') as f:
		            f.write(text * (i % 3 * 1500))
		for i in range(40):
		    os.mkdir('%s/s/d%d' % (sys.argv[1], i))
		write('s', 0, b'ab')
		for t in range(1, 7):
		    subprocess.run(['btrfs', '-q', 'subvolume', 'snapshot', sys.argv[1] + '/s', '%s/t%d' % (sys.argv[1], t)], check=True)
		    write('t%d' % t, t, b'cd')
	PY
	sync -f "$mnt" && touch "$scratch/go" || return 1
	while [ -e "$scratch/go" ]; do btrfs filesystem sync "$mnt"; done &
	btrfs -q subvolume delete "$mnt/s" "$mnt"/t*
	pause=0 cut_often 5
	rm "$scratch/go" && wait && end
}
ok "subvolumes are deleted" delete_subvols
judge "subvolumes are deleted" "ORPHAN ORPHAN_ITEM" "drop_progress ([1-9]"

# --- A balance, while files are written; paused in the end ---
balance() {
	begin 1 1500 commit=1 1 mkfs.btrfs -n 4096 && python3 "$churn" "$mnt" "$seed" 4000 || return 1
	btrfs -q balance start --full-balance "$mnt" >/dev/null 2>&1 &
	cut_during python3 "$churn" "$mnt" "$((seed + 1))" 100000
	pause=0 cut_often 2
	btrfs balance pause "$mnt"
	cut_off && wait && end
}
ok "a balance is interrupted" balance
judge "a balance is interrupted" BALANCE "TREE_RELOC ROOT_ITEM"

# --- Quotas of both kinds ---
with_quotas() { # KIND
	begin 1 1500 commit=1 1 mkfs.btrfs -n 4096 && python3 "$churn" "$mnt" "$seed" 3000 && python3 "$srcdir/tests/tools/quota_ctl.py" "$1" "$mnt" &&
		btrfs subvolume create "$mnt/first" && btrfs subvolume create "$mnt/second" && btrfs qgroup create 1/1 "$mnt" &&
		btrfs qgroup create 2/1 "$mnt" && echo more >"$mnt/first/file" &&
		for id in $(btrfs subvolume list "$mnt" | cut -d' ' -f2 | tail -n 3); do btrfs -q qgroup assign --no-rescan "0/$id" 1/1 "$mnt" || return 1; done &&
		btrfs -q qgroup assign --no-rescan 1/1 2/1 "$mnt" && sync -f "$mnt" || return 1
	[ "$1" = simple ] || btrfs -q quota rescan -w "$mnt" || return 1
	cut_during python3 "$churn" "$mnt" "$((seed + 2))" 100000
	# Of data that a balance moves while it is written, Linux 6.18 sometimes counts too much as exclusive; its own rescan
	# counts what the check does. Simple quotas it counts right.
	if [ "$1" = simple ]; then
		btrfs -q balance start --full-balance "$mnt" >/dev/null 2>&1 &
		cut_during python3 "$churn" "$mnt" "$((seed + 3))" 100000
		btrfs balance cancel "$mnt"
		wait
	fi
	btrfs -q subvolume delete "$mnt/first"
	btrfs filesystem sync "$mnt"
	cut_off && end
}
ok "quotas" with_quotas enable
judge "quotas"
ok "simple quotas" with_quotas simple
judge "simple quotas"
done_testing
