#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Random insertions and deletions in a tree of many items, in transactions; for scale, the same in LMDB (where its
# headers are) and by extended attributes on a mounted filesystem (as root). Not a test: nothing here passes or fails.
# From the build directory:
#
#	make bench-items BENCH_FLAGS='--rounds 3'
#
# --items N     items, and changes (1000000)
# --batch N     changes in each transaction (100000)
# --nodesize N  bytes (16384)
# --rounds N    rounds (1)
# --dir DIR     where images lie (/var/tmp/btrkit-bench-items)
set -eu

builddir=${builddir:-.}
srcdir=${srcdir:-$(dirname "$0")/../..}
items=1000000
batch=100000
nodesize=16384
rounds=1
dir=/var/tmp/btrkit-bench-items
while [ $# -gt 0 ]; do
	case $1 in
	--items | --batch | --nodesize | --rounds | --dir)
		[ $# -ge 2 ] || { echo "$1: what?" >&2; exit 2; }
		eval "${1#--}=\$2"
		shift
		;;
	*)
		echo "$1: not an option" >&2
		exit 2
		;;
	esac
	shift
done

mkdir -p "$dir"
mounted=
tidy() {
	[ -z "$mounted" ] || umount "$dir/mnt"
	rm -rf "$dir"
}
trap tidy EXIT
trap 'exit 1' INT TERM

lmdb=
if ${CC:-cc} -O2 -I "$srcdir" -o "$dir/items_lmdb" "$srcdir/tests/bench/items_lmdb.c" -llmdb 2>/dev/null; then
	lmdb=yes
else
	echo "no LMDB here: left out"
fi
for round in $(seq "$rounds"); do
	"$builddir/tests/bench/items" btrkit "$dir/image" "$items" "$batch" "$nodesize"
	if [ "$lmdb" ]; then
		rm -f "$dir/lmdb" "$dir/lmdb-lock"
		"$dir/items_lmdb" "$dir/lmdb" "$items" "$batch"
		rm -f "$dir/lmdb" "$dir/lmdb-lock"
	fi
	if [ "$(id -u)" = 0 ] && command -v mkfs.btrfs >/dev/null; then
		rm -f "$dir/image"
		truncate -s 8G "$dir/image"
		mkfs.btrfs -q -m single -n "$nodesize" "$dir/image"
		mkdir -p "$dir/mnt"
		mount -o loop,noatime "$dir/image" "$dir/mnt"
		mounted=yes
		"$builddir/tests/bench/items" mounted "$dir/mnt" "$items" "$batch"
		umount "$dir/mnt"
		mounted=
	else
		echo "not root, or no mkfs.btrfs: nothing is mounted"
	fi
	rm -f "$dir/image"
done
