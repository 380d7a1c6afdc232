#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Compares `btrkit mkfs --rootdir` with mkfs.btrfs, mkfs.ext4 -d and a floor (tests/bench/floor.c) on the same trees.
# Not a test: nothing here passes or fails. From the build directory, with arguments in BENCH_FLAGS:
#
#	make bench BENCH_FLAGS='--rounds 3 mixed tiny'
#
#	mkfs.sh [options] [mixed] [tiny] [empty] [compress]	(all of them unless some are named)
#
# mixed     a made-up tree of files of up to 1 MiB, half of them text       --mixed-files N (100000: 4.7 GB)
# tiny      a made-up tree of files of up to 512 bytes                      --tiny-files N (1000000)
# empty     a new image of 1 TiB with nothing in it
# compress  the mixed tree with zlib, zstd and lzo, by one thread and by two
#
# --tree DIR     compare on this tree as well (may be given alone)
# --rounds N     rounds (3); in each all programs run in turn, what is printed are medians
# --no-peers     only ours and the floor
# --dir DIR      where trees and images lie (/var/tmp/btrkit-bench); about three times the size of the largest tree
# --threads N    threads of ours and of the floor (as many as there are CPUs)
# --keep         leave the trees there, for the next time
# --verify       let `btrfs check --readonly --check-data-csum` look at our images
# --gentree PROGRAM  what makes the trees: PROGRAM DIR --files N --profile mixed|tiny (bench/gentree of $BTRKIT_SHARED
#                or of ../shared; where that is absent, tests/tools/gentree.py makes smaller-grained ones)
#
# Every program ends with a flush of its image, and what the one before left to be written is flushed before the clock
# starts. The trees are in the page cache when they fit. Columns: wall clock, user and system CPU (seconds), peak
# resident memory (MiB); then ours over the other's, for wall, user, and user and system time: below 1 ours is faster.
# "floor" writes as many bytes as it reads, "floor, image" as many as our image takes.
set -eu

builddir=${builddir:-.}
srcdir=${srcdir:-$(dirname "$0")/../..}
btrkit=${BTRKIT:-$builddir/btrkit}
floor=$builddir/tests/bench/floor
measure=$builddir/tests/bench/measure
shared=${BTRKIT_SHARED:-$srcdir/../shared}
gentree=$shared/bench/gentree
dir=/var/tmp/btrkit-bench
rounds=3
mixed_files=100000
tiny_files=1000000
threads=$(nproc)
keep=
verify=
peers=yes
tree=
what=

usage() {
	sed -n '3,/^set -eu/s/^# \{0,1\}//p' "$0"
	exit "$1"
}

while [ $# -gt 0 ]; do
	case $1 in
	--mixed-files) mixed_files=$2; shift ;;
	--tiny-files) tiny_files=$2; shift ;;
	--tree) tree=$2; shift ;;
	--rounds) rounds=$2; shift ;;
	--dir) dir=$2; shift ;;
	--threads) threads=$2; shift ;;
	--gentree) gentree=$2; shift ;;
	--keep) keep=yes ;;
	--verify) verify=yes ;;
	--no-peers) peers=no ;;
	mixed | tiny | empty | compress) what="$what $1" ;;
	--help | -h) usage 0 ;;
	*) usage 2 >&2 ;;
	esac
	shift
done
[ -n "$what$tree" ] || what="mixed tiny empty compress"
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$dir"
results=$(mktemp -d "$dir/results.XXXXXX")
image=$results/image

# Trees made by this run are kept only when that is wanted; the rest always goes.
made_here=
release() {
	rm -rf "$results"
	for release_tree in $made_here; do
		[ -n "$keep" ] || rm -rf "${dir:?}/$release_tree"
	done
	rmdir "$dir" 2>/dev/null || :
}
trap release EXIT
trap 'exit 1' HUP INT TERM

# make_tree PROFILE FILES: sets $made to a folder that holds such a tree.
make_tree() {
	made=$dir/$1-$2
	[ ! -e "$made" ] || return 0
	echo "making $2 files ($1) ..." >&2
	if [ -x "$gentree" ]; then
		"$gentree" "$made.part" --files "$2" --profile "$1" 2>"$results/gentree.log"
	else
		python3 "$srcdir/tests/tools/gentree.py" "$1" "$made.part" "$2" 2>"$results/gentree.log"
	fi || { cat "$results/gentree.log" >&2; exit 1; }
	mv "$made.part" "$made"
	made_here="$made_here $1-$2"
}

# run NAME PROGRAM...: one measurement on a fresh image, appended to the results of NAME.
run() {
	run_name=$1
	shift
	rm -f "$image"
	sync -f "$dir"
	if ! "$measure" "$@" >>"$results/$run_name" 2>"$results/log"; then
		echo "$run_name failed:" >&2
		cat "$results/log" >&2
		exit 1
	fi
}

# median NAME COLUMN
median() {
	cut -d' ' -f"$2" "$results/$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

# line NAME: the medians of NAME, and ratios of ours to them.
line() {
	echo "$(median btrkit 1) $(median btrkit 2) $(median btrkit 3) $(median "$1" 1) $(median "$1" 2) $(median "$1" 3)" \
		"$(median "$1" 4)" | awk -v name="$1" '
		function ratio(ours, other) { return other > 0 ? sprintf("%9.3f", ours / other) : sprintf("%9s", "-") }
		{
			printf "%-14s %9.3f %9.3f %9.3f %9.1f", name, $4, $5, $6, $7 / 1024
			print " " ratio($1, $4) " " ratio($2, $5) " " ratio($2 + $3, $5 + $6)
		}'
}

heading() {
	printf '\n%s\n%-14s %9s %9s %9s %9s %9s %9s %9s\n' "$1" "" "wall s" "user s" "sys s" "peak MiB" "wall x" "user x" "cpu x"
}

# What mkfs.ext4 must be told: a size that fits, and enough inodes.
ext4_size() {
	find "$1" -printf '%y %s\n' | awk '
		{ n++; kib += int(($2 + 4095) / 4096) * 4 }
		END { printf "%d %d", n + 1000, kib * 1.1 + n * 0.6 + 200000 }'
}

compare() {
	compare_tree=$1
	compare_entries=$(find "$compare_tree" | wc -l)
	# shellcheck disable=SC2046 # two numbers
	set -- $(ext4_size "$compare_tree")
	"$floor" "$compare_tree" "$image" "$threads" >"$results/read" # warms the page cache
	round=0
	while [ "$round" -lt "$rounds" ]; do
		round=$((round + 1))
		run floor "$floor" "$compare_tree" "$image" "$threads"
		run btrkit "$btrkit" mkfs -q --threads "$threads" --rootdir "$compare_tree" --shrink "$image"
		[ -z "$verify" ] || [ "$round" -gt 1 ] ||
			btrfs check --readonly --check-data-csum "$image" >"$results/log" 2>&1 ||
			{ cat "$results/log" >&2; exit 1; }
		image_bytes=$(du -B 1 "$image" | cut -f 1)
		run "floor, image" "$floor" "$compare_tree" "$image" "$threads" "$image_bytes"
		[ $peers = no ] || ! command -v mkfs.btrfs >/dev/null ||
			run mkfs.btrfs mkfs.btrfs -q --rootdir "$compare_tree" --shrink "$image"
		[ $peers = no ] || ! command -v mkfs.ext4 >/dev/null ||
			run mkfs.ext4 mkfs.ext4 -q -F -N "$1" -d "$compare_tree" "$image" "$2k"
	done
	heading "$compare_tree: $(cat "$results/read"), $rounds rounds, $threads threads"
	for name in btrkit floor "floor, image" mkfs.btrfs mkfs.ext4; do
		[ ! -e "$results/$name" ] || line "$name"
	done
	median btrkit 4 | awk -v n="$compare_entries" '{
		printf "btrkit: %.0f bytes of memory for each of %d entries, after 64 MiB: %.0f\n", $1 * 1024 / n, n,
			($1 > 65536 ? ($1 - 65536) * 1024 / n : 0)
	}'
	rm -f "$results/btrkit" "$results/floor" "$results/floor, image" "$results/mkfs.btrfs" "$results/mkfs.ext4"
}

bench_mixed() {
	make_tree mixed "$mixed_files"
	compare "$made"
}

bench_tiny() {
	make_tree tiny "$tiny_files"
	compare "$made"
}

bench_empty() {
	round=0
	while [ "$round" -lt "$rounds" ]; do
		round=$((round + 1))
		run btrkit "$btrkit" mkfs -q --byte-count 1T "$image"
		rm -f "$image"
		truncate -s 1T "$image.empty"
		! command -v mkfs.btrfs >/dev/null || run mkfs.btrfs mkfs.btrfs -q -f "$image.empty"
		rm -f "$image.empty"
	done
	heading "an empty image of 1 TiB, $rounds rounds"
	line btrkit
	[ ! -e "$results/mkfs.btrfs" ] || line mkfs.btrfs
	rm -f "$results/btrkit" "$results/mkfs.btrfs"
}

bench_compress() {
	make_tree mixed "$mixed_files"
	"$floor" "$made" "$image" "$threads" >"$results/read"
	printf '\ncompressing %s: %s, %s rounds\n%-14s %9s %9s %9s %9s %9s\n' "$made" "$(cat "$results/read")" "$rounds" \
		"" "wall s, 1" "wall s, 2" "user s, 1" "user s, 2" "speed-up"
	for algorithm in zlib zstd lzo; do
		round=0
		while [ "$round" -lt "$rounds" ]; do
			round=$((round + 1))
			for n in 1 2; do
				run "$algorithm.$n" "$btrkit" mkfs -q --threads "$n" --compress "$algorithm" --rootdir "$made" \
					--shrink "$image"
			done
		done
		printf '%-14s %9.3f %9.3f %9.3f %9.3f' "$algorithm" "$(median "$algorithm.1" 1)" "$(median "$algorithm.2" 1)" \
			"$(median "$algorithm.1" 2)" "$(median "$algorithm.2" 2)"
		echo "$(median "$algorithm.1" 1) $(median "$algorithm.2" 1)" | awk '{ printf " %9.2f\n", $1 / $2 }'
		rm -f "$results/$algorithm.1" "$results/$algorithm.2"
	done
}

echo "$(nproc) CPUs, $(uname -sr), $(mkfs.btrfs --version 2>/dev/null || echo no mkfs.btrfs), \
$(mkfs.ext4 -V 2>&1 | head -n 1 || echo no mkfs.ext4)"
[ -z "$tree" ] || compare "$tree"
for name in $what; do
	"bench_$name"
done
