#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# No false alarm where Linux was cut off: while a device is replaced, removed or shrunk, and while files are open that have no
# name.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program mkfs.btrfs btrfs python3
. "$srcdir/tests/check/power_cut.sh"

device() { echo $devices | cut -d' ' -f"$1"; }

# --- A replace: interrupted, cancelled, finished ---
fill() {
	python3 "$churn" "$mnt" "$seed" 1500 && head -c 150M /dev/urandom >"$mnt/noise" && sync -f "$mnt"
}
replaced() {
	begin 4 600 commit=1 3 mkfs.btrfs -d raid1 -m raid1 && fill || return 1
	replace 2 "$(device 4)" || return 1
	pause=0 cut_often 2
	btrfs -q replace cancel "$mnt"
	wait $replacing
	cut_off
	# If it had ended before that, the spare is in use, and what was replaced is free.
	spare=$(device 4)
	btrfs replace status -1 "$mnt" | grep finished && spare=$(device 2)
	cut_during python3 "$churn" "$mnt" "$((seed + 1))" 100000
	replace 2 "$spare" || return 1
	pause=0 cut_during python3 "$churn" "$mnt" "$((seed + 2))" 100000
	wait $replacing && btrfs replace status -1 "$mnt" | grep finished && cut_off && end
}
ok "a device is replaced" replaced
judge "a device is replaced"

# --- A device goes, or a part of it ---
removed() {
	begin 3 600 commit=1 3 mkfs.btrfs -d raid1 -m raid1 && fill || return 1
	btrfs -q device remove "$(device 1)" "$mnt" &
	removing=$!
	pause=0 cut_often 2
	wait $removing && cut_off && end
}
ok "a device is removed" removed
judge "a device is removed" "TREE_RELOC ROOT_ITEM"
shrunk() {
	begin 1 900 commit=1 1 mkfs.btrfs -m dup && fill && head -c 200M /dev/urandom >"$mnt/more" && rm "$mnt/noise" && sync -f "$mnt" || return 1
	btrfs filesystem resize 1:500M "$mnt" &
	shrinking=$!
	pause=0 cut_during python3 "$churn" "$mnt" "$((seed + 3))" 100000
	wait $shrinking && cut_off && end
}
ok "a device is shrunk" shrunk
judge "a device is shrunk" "TREE_RELOC ROOT_ITEM"

# --- Files without a name: deleted while they are open, and O_TMPFILE ---
nameless() {
	begin 1 600 commit=300 1 mkfs.btrfs -n 4096 && btrfs -q subvolume create "$mnt/s" || return 1
	rm -f "$scratch/ready"
	mkfifo "$scratch/go.on"
	python3 - "$mnt" "$scratch" <<-'PY' &
		import os, sys
		top, scratch = sys.argv[1:]
		files = []
		for folder in (top, top + '/s'):
		    for i in range(300):
		        path = '%s/f%d' % (folder, i)
		        files.append(os.open(path, os.O_CREAT | os.O_RDWR))
		        os.write(files[-1], os.urandom(i * 97))
		        if i % 3:
		            os.fsync(files[-1]) if i % 50 == 0 else None
		            os.unlink(path)
		    for i in range(100):
		        files.append(os.open(folder, os.O_TMPFILE | os.O_RDWR))
		        os.write(files[-1], os.urandom(i * 197))
		        if i % 20 == 0:
		            os.fsync(files[-1])
		open(scratch + '/ready', 'w').close()
		open(scratch + '/go.on').read()
		for i, fd in enumerate(files):
		    os.pwrite(fd, b'more' * 2000, i * 100)
		    if i % 50 == 0:
		        os.fsync(fd)
		open(scratch + '/ready', 'w').close()
		open(scratch + '/go.on').read()
	PY
	holder=$!
	for moment in before after; do
		while [ ! -e "$scratch/ready" ]; do kill -0 $holder || return 1; sleep 0.1; done
		cut_off && sync -f "$mnt" && cut_off && btrfs -q subvolume snapshot "$mnt/s" "$mnt/$moment" && sync -f "$mnt" && cut_off || return 1
		rm "$scratch/ready"
		: >"$scratch/go.on"
	done
	wait $holder && end
}
ok "files have no name" nameless
judge "files have no name"
done_testing
