#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Extracting a bcachefs volume and an ext4 of the same tree with btrkit restore, beside tar from the ext4 as Linux mounts it. Not a
# test: nothing here passes or fails. As root, from the build directory:
#
#	make bench-bcachefs BENCH_FLAGS='--image /srv/large.img --rounds 5'
#
# --image FILE  the volume (v11-unclean-many of the fixtures in $BTRKIT_SHARED, unpacked); more of them for more devices
# --rounds N    rounds (5); in each all programs run in turn, what is printed are medians
# --dir DIR     where images and what is extracted lie (/var/tmp/btrkit-bench-bcachefs)
#
# Columns: wall clock, user and system CPU (seconds), peak resident memory (MiB). Everything is read from the page cache. The floor
# reads all that the volume's image has, from front to end, once, with one thread.
set -eu

builddir=${builddir:-.}
btrkit=${BTRKIT:-$builddir/btrkit}
images=
rounds=5
dir=/var/tmp/btrkit-bench-bcachefs
while [ $# -gt 0 ]; do
	case $1 in
	--image | --rounds | --dir)
		[ $# -ge 2 ] || { echo "$1: what?" >&2; exit 2; }
		case $1 in
		--image) images="$images $(realpath "$2")" ;;
		*) eval "${1#--}=\$2" ;;
		esac
		shift
		;;
	*) sed -n '4,/^set -eu/s/^#[ \t]\{0,1\}//p' "$0" >&2 && exit 2 ;;
	esac
	shift
done
[ "$(id -u)" = 0 ] || { echo "needs root, to mount" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$dir/mnt"
tidy() {
	! mountpoint -q "$dir/mnt" || umount "$dir/mnt"
	rm -rf "$dir"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM
if [ -z "$images" ]; then
	xz -dc "${BTRKIT_SHARED:-../shared}/fixtures/bcachefs/v11-unclean-many/image.img.xz" |
		dd of="$dir/volume" bs=1M conv=sparse iflag=fullblock status=none
	images=$dir/volume
fi

# --- The same tree on ext4 ------------------------------------------------------------------------------------------
"$btrkit" restore -q $images "$dir/tree"
needed=$(du -sm "$dir/tree" | cut -f 1)
number=$(find "$dir/tree" | wc -l)
truncate -s "$((needed * 13 / 10 + 64))M" "$dir/ext4"
mke2fs -q -F -t ext4 -b 4096 -N $((number * 11 / 10 + 1000)) -d "$dir/tree" "$dir/ext4"
rm -rf "$dir/tree"
mount -o loop,ro "$dir/ext4" "$dir/mnt"
echo "$number names, $needed MiB" >&2

# --- Measuring ------------------------------------------------------------------------------------------------------
# timed NAME COMMAND...: "name wall user sys KiB" is added to the file of results.
timed() {
	name=$1
	shift
	rm -rf "$dir/out"
	mkdir "$dir/out"
	sync -f "$dir"
	echo "$name $("$builddir/tests/bench/measure" "$@" 2>/dev/null)" >>"$dir/results"
}
cat >"$dir/floor.py" <<'SOURCE'
import os, sys
for path in sys.argv[1:]:
    file = os.open(path, os.O_RDONLY)
    end, at, buf = os.fstat(file).st_size, 0, bytearray(1 << 20)
    while at < end:
        try:
            at = os.lseek(file, at, os.SEEK_DATA)
        except OSError:
            break
        stop = os.lseek(file, at, os.SEEK_HOLE)
        while at < stop:
            at += os.preadv(file, [memoryview(buf)[:min(len(buf), stop - at)]], at)
SOURCE
for round in $(seq "$rounds"); do
	cat $images "$dir/ext4" >/dev/null
	timed floor python3 "$dir/floor.py" $images
	timed restore-bcachefs "$btrkit" restore -q $images "$dir/out"
	timed restore-ext4 "$btrkit" restore -q "$dir/ext4" "$dir/out"
	timed tar-from-mount sh -c 'tar -C "$1" --xattrs --xattrs-include="*" -cf - . | tar -C "$2" --xattrs --xattrs-include="*" -xpf -' \
		tar "$dir/mnt" "$dir/out"
	timed ls-bcachefs sh -c '"$1" ls -lR $2 >"$3/out/listing"' ls "$btrkit" "$images" "$dir"
done
printf '%-24s %8s %8s %8s %10s\n' "medians of $rounds" "wall s" "user s" "sys s" "peak MiB"
for name in floor restore-bcachefs restore-ext4 tar-from-mount ls-bcachefs; do
	set --
	for column in 2 3 4 5; do
		set -- "$@" "$(awk -v n="$name" -v c=$column '$1 == n {print $c}' "$dir/results" | sort -n |
			awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}')"
	done
	printf '%-24s %8.2f %8.2f %8.2f %10d\n' "$name" "$1" "$2" "$3" $(($4 / 1024))
done
