#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Compares `btrkit check` with `btrfs check --readonly` in both of its modes on the same images. Not a test: nothing here
# passes or fails. From the build directory:
#
#	make bench-check BENCH_FLAGS='--rounds 3'
#
# files      small files in one subvolume, made from a manifest                --files N (1000000)
# snapshots  the same filesystem with 20 snapshots, each changed a little by Linux (needs root and loop devices)
# memory     many small files in small blocks, with less and less memory      --many-files N (10000000)
# data       one image with data, --data and --check-data-csum                --data-bytes N (2 GiB)
#
# --rounds N    rounds (3); in each all programs run in turn, what is printed are medians
# --only NAME   only this one
# --no-lowmem   leave the peer's slow mode out
# --dir DIR     where images lie (/var/tmp/btrkit-bench-check)
#
# Columns: wall clock, user and system CPU (seconds), peak resident memory (MiB). The images are in the page cache.
set -eu

builddir=${builddir:-.}
btrkit=${BTRKIT:-$builddir/btrkit}
dir=/var/tmp/btrkit-bench-check
rounds=3
files=1000000
many_files=10000000
only=
data_bytes=$((2 << 30))
lowmem=yes
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=$2 && shift ;;
	--files) files=$2 && shift ;;
	--many-files) many_files=$2 && shift ;;
	--only) only=$2 && shift ;;
	--data-bytes) data_bytes=$2 && shift ;;
	--dir) dir=$2 && shift ;;
	--no-lowmem) lowmem= ;;
	*) sed -n '4,21s/^#[ \t]\{0,1\}//p' "$0" >&2 && exit 2 ;;
	esac
	shift
done
mkdir -p "$dir"
trap 'rm -rf "$dir"' EXIT

manifest() { # FILES
	awk -v files="$1" -v dir="$dir" 'BEGIN {
		print "#mtree\n/set uid=0 gid=0 mode=0644 time=1700000000.0\n. type=dir mode=0755"
		for (i = 0; i < files; i++) {
			if (i % 1000 == 0) printf "./d%d type=dir mode=0755\n", i / 1000
			printf "./d%d/file%07d type=file contents=%s/c%d\n", i / 1000, i, dir, i % 64
		}
	}'
}
# timed NAME COMMAND...: "name wall user sys MiB" is added to the file of results.
timed() {
	name=$1
	shift
	/usr/bin/time -o "$dir/time" -f "%e %U %S %M" "$@" >/dev/null 2>&1 || :
	echo "$name $(tail -n 1 "$dir/time")" >>"$dir/results"
}
table() {
	printf '%-24s %8s %8s %8s %10s\n' "$1" "wall s" "user s" "sys s" "peak MiB"
	cut -d' ' -f1 "$dir/results" | awk '!seen[$0]++' | while read -r name; do
		set --
		for column in 2 3 4 5; do
			set -- "$@" "$(awk -v n="$name" -v c=$column '$1 == n {print $c}' "$dir/results" | sort -n |
				awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}')"
		done
		printf '%-24s %8s %8s %8s %10s\n' "$name" "$1" "$2" "$3" $(($4 / 1024))
	done
	: >"$dir/results"
}
compare() { # TITLE IMAGE
	: >"$dir/results"
	cat "$2" >/dev/null
	for round in $(seq "$rounds"); do
		timed btrkit-check "$btrkit" check --no-scan "$2"
		timed btrkit-check-1-thread "$btrkit" check --no-scan --threads 1 "$2"
		timed btrfs-check btrfs check --readonly "$2"
		[ -z "$lowmem" ] || [ "$round" -gt 1 ] || timed btrfs-check-lowmem btrfs check --readonly --mode lowmem "$2"
	done
	table "$1"
}

for i in $(seq 0 63); do head -c $((100 + i * 6)) /dev/urandom >"$dir/c$i"; done
wanted() { [ -z "$only" ] || [ "$only" = "$1" ]; }
bench_files() {
	manifest "$files" >"$dir/tree.mtree"
	"$btrkit" mkfs -q --rootdir "$dir/tree.mtree" --free 2G "$dir/files"
	compare "files: $files" "$dir/files"
	if [ "$(id -u)" = 0 ] && loop=$(losetup -f --show "$dir/files" 2>/dev/null); then
		mkdir -p "$dir/mnt"
		if mount "$loop" "$dir/mnt"; then
			for i in $(seq 20); do
				btrfs -q subvolume snapshot "$dir/mnt" "$dir/mnt/snap$i"
				for j in $(seq 20); do echo changed >"$dir/mnt/d$((i * 7 % 100))/file$(printf '%07d' $((i * 7 % 100 * 1000 + j)))"; done
				sync -f "$dir/mnt"
			done
			umount "$dir/mnt"
		fi
		losetup -d "$loop"
		lowmem=
		compare "20 snapshots of these" "$dir/files"
	fi
	rm -f "$dir/files"
}
bench_memory() {
	# A manifest has a limit: four parts.
	set --
	manifest $((many_files / 4)) >"$dir/tree.mtree"
	for part in 1 2 3 4; do set -- "$@" --rootdir "$dir/tree.mtree:/part$part"; done
	"$btrkit" mkfs -q -n 4K -m single "$@" --free 1G "$dir/many"
	cat "$dir/many" >/dev/null
	for round in $(seq "$rounds"); do
		for memory in 4G 64M 16M; do timed "check-memory-$memory" "$btrkit" check --no-scan --memory "$memory" "$dir/many"; done
	done
	table "memory: $many_files files"
	rm -f "$dir/many"
}
bench_data() {
	head -c "$data_bytes" /dev/urandom >"$dir/c0"
	mkdir "$dir/tree" && mv "$dir/c0" "$dir/tree/data"
	"$btrkit" mkfs -q --rootdir "$dir/tree" "$dir/data"
	cat "$dir/data" >/dev/null
	for round in $(seq "$rounds"); do
		timed btrkit-check-data "$btrkit" check --no-scan --data "$dir/data"
		timed btrfs-check-data btrfs check --readonly --check-data-csum "$dir/data"
		timed cat cat "$dir/data"
	done
	table "data: $data_bytes bytes"
}
if wanted files || wanted snapshots; then bench_files; fi
if wanted memory; then bench_memory; fi
if wanted data; then bench_data; fi
