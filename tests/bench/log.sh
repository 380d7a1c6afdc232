#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The replay of a log of many inodes, beside a mount of the same filesystem, which replays it too, and a floor. Not a test: nothing
# here passes or fails. As root, from the build directory:
#
#	make bench-log BENCH_FLAGS='--rounds 3'
#
# --files N   in the log (100000)
# --rounds N  rounds (3); in each all programs run in turn, what is printed are medians
# --dir DIR   where images lie (/var/tmp/btrkit-bench-log)
#
# Columns: wall clock, user and system CPU (seconds), peak resident memory (MiB). Each run begins with a fresh copy of the image, in
# the page cache and on the disk. The floor reads what a replay has to read, writes as many bytes as it writes to one file, and
# flushes. What a mount costs in threads of Linux is only in its wall clock.
set -eu

builddir=${builddir:-.}
btrkit=${BTRKIT:-$builddir/btrkit}
files=100000
rounds=3
dir=/var/tmp/btrkit-bench-log
while [ $# -gt 0 ]; do
	case $1 in
	--files | --rounds | --dir)
		[ $# -ge 2 ] || { echo "$1: what?" >&2; exit 2; }
		eval "${1#--}=\$2"
		shift
		;;
	*) sed -n '4,/^set -eu/s/^#[ \t]\{0,1\}//p' "$0" >&2 && exit 2 ;;
	esac
	shift
done
[ "$(id -u)" = 0 ] || { echo "needs root, to mount" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$dir/mnt"
loop=
tidy() {
	! mountpoint -q "$dir/mnt" || umount "$dir/mnt"
	[ -z "$loop" ] || losetup -d "$loop"
	rm -rf "$dir"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

# --- The image ------------------------------------------------------------------------------------------------------
attach() { # IMAGE
	loop=$(losetup -f --show "$1")
}
detach() {
	! mountpoint -q "$dir/mnt" || umount "$dir/mnt"
	losetup -d "$loop"
	loop=
}
fill() { # FILES NAME BYTES: in 20 directories, which are fsynced
	python3 - "$dir/mnt" "$@" <<'SOURCE'
import os, sys
top, number, name, size = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
for i in range(20):
    os.makedirs('%s/d%d' % (top, i), exist_ok=True)
for i in range(number):
    with open('%s/d%d/%s%d' % (top, i % 20, name, i), 'wb') as file:
        file.write(b'x' * size)
for i in range(20):
    os.fsync(os.open('%s/d%d' % (top, i), os.O_RDONLY))
SOURCE
}
# Other files come and go first, but for one in a hundred: a new chunk would make Linux commit instead of logging, and it takes back
# what is empty. The image is large, for Linux also commits where much is reserved of little space.
make_log() {
	rm -f "$dir/image"
	truncate -s 100G "$dir/image"
	mkfs.btrfs -q "$dir/image" >/dev/null
	attach "$dir/image"
	mount -o commit=300,noatime,max_inline=2048 "$loop" "$dir/mnt"
	fill $((files * 2)) old 1000
	sync -f "$dir/mnt"
	find "$dir/mnt" -type f ! -name '*00' -delete
	sync -f "$dir/mnt"
	fill "$files" new 200
	cp --sparse=always "$dir/image" "$dir/crashed"
	detach
}
# Now and then it commits for another reason.
for attempt in 1 2 3 4 5; do
	echo "making a log of $files files ..." >&2
	make_log
	said=$("$btrkit" log show "$dir/crashed" | tail -n 1)
	inodes=$(echo "$said" | sed -n 's/.* \([0-9]*\) inodes change.*/\1/p')
	[ "${inodes:-0}" -lt "$files" ] || break
	echo "a log of ${inodes:-0} inodes" >&2
	[ "$attempt" -lt 5 ] || { echo "Linux does not log $files inodes here" >&2; exit 1; }
done
echo "$said"

# --- Measuring ------------------------------------------------------------------------------------------------------
fresh() {
	rm -f "$dir/image"
	cp --sparse=always "$dir/crashed" "$dir/image"
	sync -f "$dir"
}
# timed NAME COMMAND...: "name wall user sys KiB" is added to the file of results.
timed() {
	name=$1
	shift
	echo "$name $("$builddir/tests/bench/measure" "$@")" >>"$dir/results"
}
changed() { # IMAGE IMAGE: how many KiB differ, in pages
	python3 - "$@" <<'SOURCE'
import os, sys
a, b = (os.open(path, os.O_RDONLY) for path in sys.argv[1:])
at, pages, end = 0, 0, os.fstat(b).st_size
while at < end:
    try:
        at = os.lseek(b, at, os.SEEK_DATA)
    except OSError:
        break
    stop = os.lseek(b, at, os.SEEK_HOLE)
    while at < stop:
        old, new = os.pread(a, min(1 << 20, stop - at), at), os.pread(b, min(1 << 20, stop - at), at)
        if old != new:
            pages += sum(old[i:i + 4096] != new[i:i + 4096] for i in range(0, len(new), 4096))
        at += len(new)
print(pages * 4)
SOURCE
}
fresh
"$btrkit" log replay "$dir/image" >/dev/null
written=$(changed "$dir/crashed" "$dir/image")
# Its blocks have 16 KiB.
logged=$(($(echo "$said" | sed -n 's/.*: \([0-9]*\) blocks.*/\1/p') * 16))
head -c $((logged * 1024)) /dev/urandom >"$dir/log"
echo "read: $((logged / 1024)) MiB of log; written: $((written / 1024)) MiB"
for round in $(seq "$rounds"); do
	fresh
	timed btrkit-log-replay "$btrkit" log replay "$dir/image"
	fresh
	attach "$dir/image"
	timed mount mount -o ro "$loop" "$dir/mnt"
	detach
	rm -f "$dir/floor"
	timed floor sh -c 'cat "$1" >/dev/null; head -c "$3"K /dev/zero | dd of="$2" bs=1M iflag=fullblock conv=fsync 2>/dev/null' - \
		"$dir/log" "$dir/floor" "$written"
done
printf '%-20s %8s %8s %8s %10s\n' "medians of $rounds" "wall s" "user s" "sys s" "peak MiB"
for name in btrkit-log-replay mount floor; do
	set --
	for column in 2 3 4 5; do
		set -- "$@" "$(awk -v n="$name" -v c=$column '$1 == n {print $c}' "$dir/results" | sort -n |
			awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}')"
	done
	printf '%-20s %8.2f %8.2f %8.2f %10d\n' "$name" "$1" "$2" "$3" $(($4 / 1024))
done
