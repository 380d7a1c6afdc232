#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Compares `btrkit check` with `btrfs check --readonly` in both of its modes on the same images. Not a test: nothing here
# passes or fails. From the build directory:
#
#	make bench-check BENCH_FLAGS='--rounds 3 tiny snapshots'
#
#	check.sh [options] [tiny] [snapshots] [mixed] [memory]	(all of them unless some are named)
#
# tiny       small files in one subvolume, made from a manifest                         --files N (1000000)
# snapshots  the same with more files and 20 snapshots; between these, Linux changes
#            thousands of files all over the tree (needs root and loop devices)          --snapshot-files N (2000000)
# mixed      files of up to 1 MiB, 4.7 GB: metadata alone, and with all data             --mixed-files N (100000)
# memory     many small files in small blocks, ours alone, with less and less memory    --many-files N (10000000)
#
# --rounds N    rounds (3); in each all programs run in turn, what is printed are medians
# --no-lowmem   leave the peer's slow mode out; else it runs once for each image, last
# --dir DIR     where images lie (/var/tmp/btrkit-bench-check)
# --keep        leave the images there, for the next time
# --gentree PROGRAM  what makes the mixed tree (bench/gentree of $BTRKIT_SHARED or of ../shared; else tests/tools/gentree.py)
#
# Columns: wall clock, user and system CPU (seconds), peak resident memory (MiB). The images are in the page cache.
set -eu

builddir=${builddir:-.}
srcdir=${srcdir:-$(dirname "$0")/../..}
btrkit=${BTRKIT:-$builddir/btrkit}
gentree=${BTRKIT_SHARED:-$srcdir/../shared}/bench/gentree
dir=/var/tmp/btrkit-bench-check
rounds=3
files=1000000
snapshot_files=2000000
mixed_files=100000
many_files=10000000
lowmem=yes
keep=
what=
while [ $# -gt 0 ]; do
	case $1 in
	--rounds) rounds=$2 && shift ;;
	--files) files=$2 && shift ;;
	--snapshot-files) snapshot_files=$2 && shift ;;
	--mixed-files) mixed_files=$2 && shift ;;
	--many-files) many_files=$2 && shift ;;
	--dir) dir=$2 && shift ;;
	--gentree) gentree=$2 && shift ;;
	--keep) keep=yes ;;
	--no-lowmem) lowmem= ;;
	tiny | snapshots | mixed | memory) what="$what $1" ;;
	*) sed -n '4,/^set -eu/s/^#[ \t]\{0,1\}//p' "$0" >&2 && exit 2 ;;
	esac
	shift
done
[ -n "$what" ] || what="tiny snapshots mixed memory"
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$dir"
results=$(mktemp -d "$dir/results.XXXXXX")
release() {
	! mountpoint -q "$results/mnt" || umount "$results/mnt"
	for loop in $(losetup -j "$dir/snapshots-$snapshot_files.part" 2>/dev/null | cut -d: -f1); do losetup -d "$loop"; done
	rm -rf "$results" "$dir"/*.part
	[ -n "$keep" ] || rm -f "$dir/tiny-$files" "$dir/snapshots-$snapshot_files" "$dir/mixed-$mixed_files" "$dir/memory-$many_files"
	rmdir "$dir" 2>/dev/null || :
}
trap release EXIT
trap 'exit 1' HUP INT TERM

# --- Images ---------------------------------------------------------------------------------------------------------
manifest() { # FILES
	awk -v files="$1" -v dir="$results" 'BEGIN {
		print "#mtree\n/set uid=0 gid=0 mode=0644 time=1700000000.0\n. type=dir mode=0755"
		for (i = 0; i < files; i++) {
			if (i % 1000 == 0) printf "./d%d type=dir mode=0755\n", i / 1000
			printf "./d%d/file%07d type=file contents=%s/c%d\n", i / 1000, i, dir, i % 64
		}
	}'
}
make_contents() {
	for i in $(seq 0 63); do head -c $((100 + i * 6)) /dev/urandom >"$results/c$i"; done
}
make_files() { # FILES IMAGE
	make_contents
	manifest "$1" >"$results/tree.mtree"
	# With little free space Linux runs out of what it reserves for metadata.
	"$btrkit" mkfs -q --rootdir "$results/tree.mtree" --free 48G "$2"
	rm -f "$results/tree.mtree"
}
# Between two snapshots 3000 files are touched, 300 go, 300 come.
change_files() { # ROUND FILES: from within the tree
	awk -v round="$1" -v files="$2" 'BEGIN {
		srand(round)
		for (i = 0; i < 3300; i++) {
			n = int(rand() * files)
			printf "d%d/file%07d\n", n / 1000, n
		}
	}' >"$results/changed"
	head -n 3000 "$results/changed" | xargs -n 500 sh -c 'touch "$@" && sync -f .' -
	tail -n 300 "$results/changed" | xargs rm -f
	mkdir "new$1" && cd "new$1" && seq 300 | xargs -I{} cp "$results/c1" {} && cd ..
}
make_snapshots() { # FILES IMAGE
	make_files "$1" "$2"
	mkdir "$results/mnt"
	mount -o loop "$2" "$results/mnt"
	for round in $(seq 20); do
		btrfs -q subvolume snapshot "$results/mnt" "$results/mnt/snap$round"
		(cd "$results/mnt" && change_files "$round" "$1")
		sync -f "$results/mnt"
	done
	umount "$results/mnt"
}
make_mixed() { # FILES IMAGE
	if [ -x "$gentree" ]; then
		"$gentree" "$results/tree" --files "$1" --profile mixed >/dev/null 2>&1
	else
		python3 "$srcdir/tests/tools/gentree.py" mixed "$results/tree" "$1"
	fi
	"$btrkit" mkfs -q --rootdir "$results/tree" "$2"
	rm -rf "$results/tree"
}
make_many() { # FILES IMAGE
	make_contents
	out=$2
	manifest $(($1 / 4)) >"$results/tree.mtree" # which has a limit: four parts
	set --
	for part in 1 2 3 4; do set -- "$@" --rootdir "$results/tree.mtree:/part$part"; done
	"$btrkit" mkfs -q -n 4K -m single "$@" --free 1G "$out"
	rm -f "$results/tree.mtree"
}
# image KIND FILES HOW: sets $image.
image() {
	image=$dir/$1-$2
	[ ! -e "$image" ] || return 0
	echo "making $2 files ($1) ..." >&2
	"make_$3" "$2" "$image.part"
	sync -f "$dir"
	mv "$image.part" "$image"
}

# --- Measuring ------------------------------------------------------------------------------------------------------
# timed NAME COMMAND...: "name wall user sys KiB" is added to the file of results.
timed() {
	name=$1
	shift
	/usr/bin/time -o "$results/time" -f "%e %U %S %M" "$@" >/dev/null 2>&1 || :
	echo "$name $(tail -n 1 "$results/time")" >>"$results/all"
}
table() {
	printf '\n%-26s %8s %8s %8s %10s\n' "$1" "wall s" "user s" "sys s" "peak MiB"
	cut -d' ' -f1 "$results/all" | awk '!seen[$0]++' | while read -r name; do
		set --
		for column in 2 3 4 5; do
			set -- "$@" "$(awk -v n="$name" -v c=$column '$1 == n {print $c}' "$results/all" | sort -n |
				awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}')"
		done
		printf '%-26s %8s %8s %8s %10s\n' "$name" "$1" "$2" "$3" $(($4 / 1024))
	done
	rm -f "$results/all"
}
compare() { # TITLE
	"$btrkit" check --no-scan "$image" >/dev/null # now it is in the page cache
	for round in $(seq "$rounds"); do
		timed btrkit-check "$btrkit" check --no-scan "$image"
		timed btrkit-check-1-thread "$btrkit" check --no-scan --threads 1 "$image"
		timed btrfs-check btrfs check --readonly "$image"
	done
	[ -z "$lowmem" ] || timed btrfs-check-lowmem btrfs check --readonly --mode lowmem "$image"
	table "$1"
}
compare_memory() { # TITLE
	"$btrkit" check --no-scan "$image" >/dev/null
	for round in $(seq "$rounds"); do
		for memory in 4G 64M 16M; do timed "check-memory-$memory" "$btrkit" check --no-scan --memory "$memory" "$image"; done
	done
	table "$1"
}
compare_data() {
	cat "$image" >/dev/null
	for round in $(seq "$rounds"); do
		timed btrkit-check-data "$btrkit" check --no-scan --data "$image"
		timed btrkit-check-data-1-thread "$btrkit" check --no-scan --data --threads 1 "$image"
		timed btrfs-check-data btrfs check --readonly --check-data-csum "$image"
		timed cat cat "$image"
	done
	table "with data"
}

for kind in $what; do
	case $kind in
	tiny)
		image tiny "$files" files
		compare "tiny: $files files"
		;;
	snapshots)
		if [ "$(id -u)" != 0 ]; then
			echo "snapshots: needs root" >&2
			continue
		fi
		image snapshots "$snapshot_files" snapshots
		compare "snapshots: $snapshot_files files, 20 snapshots"
		;;
	mixed)
		image mixed "$mixed_files" mixed
		compare "mixed: $mixed_files files"
		compare_data
		;;
	memory)
		image memory "$many_files" many
		compare_memory "memory: $many_files files"
		;;
	esac
done
