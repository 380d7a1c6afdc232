#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `btrkit mkfs --reflink`: the image shares the blocks of its sources where the host can, and has the same bytes either way.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 mkfs.btrfs filefrag
host=$scratch/host
truncate -s 3G "$scratch/host.img"
mkfs.btrfs -q "$scratch/host.img" >"$scratch/out" && btrfs_mount "$host" noatime "$scratch/host.img" ||
	skip_all "no host that can share blocks"
python3 "$srcdir/tests/tools/gentree.py" small "$host/tree" 300 || fail "a source"
head -c 200M /dev/urandom >"$host/tree/large"
touch -d @1500000000 "$host/tree" "$host/tree/large"
sync -f "$host"
sum() { sha256sum <"$1"; }
# Bytes of the image that other files have, too.
shared_bytes() {
	sync -f "$host"
	filefrag -v -b1 "$1" | awk '/shared/ { split($0, f, ":"); sum += f[4] } END { printf "%.0f\n", sum }'
}

for how in "" "-d dup" "-d raid0 -m raid1" "-n 4k --mixed" "--compress zstd" "--offset 1M -b 1500M"; do
	images=$host/1
	case $how in *raid*) images="$host/1 $host/2" ;; esac
	ok "shared ($how)" "$BTRKIT" mkfs -q --seed s --reflink -r "$host/tree" $how $images
	with=$(sum "$host/1")
	ok "blocks of the sources are in it ($how)" test "$(shared_bytes "$host/1")" -gt 100000000
	case $how in
	*offset*) ;;
	*) ok "clean ($how)" btrfs_check $images ;;
	esac
	rm -f $images
	ok "copied ($how)" "$BTRKIT" mkfs -q --seed s -r "$host/tree" $how $images
	is "the same bytes ($how)" "$with" "$(sum "$host/1")"
	is "without the option nothing is shared ($how)" "$(shared_bytes "$host/1")" 0
	rm -f $images
done
set -- "$host/1" "$host/2" "$host/3"
ok "parity needs the bytes" "$BTRKIT" mkfs -q --reflink -r "$host/tree" -d raid5 -m raid1 "$@"
is "so nothing is shared" "$(shared_bytes "$host/1")" 0
ok "and it is clean" btrfs_check "$@"
rm -f "$@"
ok "to another filesystem it copies" "$BTRKIT" mkfs -q --seed s --reflink -r "$host/tree" "$scratch/image"
ok "and that is clean" btrfs_check "$scratch/image"
tar -C "$host/tree" -cf "$host/tree.tar" .
ok "from an archive it copies" "$BTRKIT" mkfs -q --reflink -r "$host/tree.tar" "$scratch/image.2"
done_testing
