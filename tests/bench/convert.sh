#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Converting ext4 in place, beside btrfs-convert and a floor; and rolling back. Not a test: nothing here passes or fails. As root,
# from the build directory:
#
#	make bench-convert BENCH_FLAGS='--tree tiny --files 1000000'
#
# --tree KIND   mixed (files of many sizes, 48 KiB on average; the default), tiny (600 bytes on average) or large (2 GiB each)
# --files N     how many (100000; 10 large ones)
# --rounds N    rounds (3); in each all programs run in turn, what is printed are medians
# --dir DIR     where images lie (/var/tmp/btrkit-bench-convert); there has to be room for two
#
# Columns: wall clock, user and system CPU (seconds), peak resident memory (MiB). Each run begins with a fresh copy of the image, in
# the page cache and on the disk. The floor reads all that the filesystem has in use, from front to end, once, with one thread.
set -eu

builddir=${builddir:-.}
btrkit=${BTRKIT:-$builddir/btrkit}
tree=mixed
files=
rounds=3
dir=/var/tmp/btrkit-bench-convert
while [ $# -gt 0 ]; do
	case $1 in
	--tree | --files | --rounds | --dir)
		[ $# -ge 2 ] || { echo "$1: what?" >&2; exit 2; }
		eval "${1#--}=\$2"
		shift
		;;
	*) sed -n '4,/^set -eu/s/^#[ \t]\{0,1\}//p' "$0" >&2 && exit 2 ;;
	esac
	shift
done
case $tree in
mixed | tiny) : "${files:=100000}" ;;
large) : "${files:=10}" ;;
*) echo "--tree $tree: mixed, tiny or large" >&2 && exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "needs root, to mount" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$dir/mnt"
tidy() {
	! mountpoint -q "$dir/mnt" || umount "$dir/mnt"
	rm -rf "$dir"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

# --- The image ------------------------------------------------------------------------------------------------------
# Always the same tree: sizes from a multiplication, contents from a few blocks of random bytes.
fill() {
	python3 - "$dir/mnt" "$tree" "$files" <<'SOURCE'
import os, random, sys
top, kind, number = sys.argv[1], sys.argv[2], int(sys.argv[3])
random.seed(20260101)
block = random.randbytes(1 << 20)
def size(i):
    if kind == 'large':
        return 2 << 30
    if kind == 'tiny':
        return 100 + i * 7919 % 1000
    return min(int(4096 * 1.33 ** (i * 7919 % 14)), 4 << 20) + i % 4096
for i in range(number):
    directory = '%s/d%d/e%d' % (top, i // 10000, i // 200)
    if i % 200 == 0:
        os.makedirs(directory, exist_ok=True)
    left = size(i)
    with open('%s/f%d' % (directory, i), 'wb', buffering=0) as file:
        while left:
            left -= file.write(block[i % 512:][:left])
SOURCE
}
needed=$(case $tree in mixed) echo $((files * 80 / 1024)) ;; tiny) echo $((files * 6 / 1024)) ;; large) echo $((files * 2060)) ;; esac)
truncate -s "$((needed * 14 / 10 + 512))M" "$dir/source"
mkfs.ext4 -q -b 4096 -N $((files * 11 / 10 + 10000)) -E lazy_itable_init=1 "$dir/source"
mount -o loop "$dir/source" "$dir/mnt"
echo "making $files files, $tree ..." >&2
fill
umount "$dir/mnt"
"$btrkit" convert --dry-run "$dir/source"

# --- Measuring ------------------------------------------------------------------------------------------------------
fresh() {
	rm -f "$dir/image"
	cp --sparse=always "$dir/source" "$dir/image"
	sync -f "$dir"
	cat "$dir/image" >/dev/null
}
# timed NAME COMMAND...: "name wall user sys KiB" is added to the file of results.
timed() {
	name=$1
	shift
	echo "$name $("$builddir/tests/bench/measure" "$@")" >>"$dir/results"
}
# The bytes in use, as extents of the file: what was never written is a hole.
cat >"$dir/floor.py" <<'SOURCE'
import os, sys
file = os.open(sys.argv[1], os.O_RDONLY)
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
	fresh
	timed floor python3 "$dir/floor.py" "$dir/image"
	timed btrkit "$btrkit" convert "$dir/image"
	timed btrkit-rollback "$btrkit" convert --rollback --yes "$dir/image"
	fresh
	timed btrkit-verify-none "$btrkit" convert --verify none "$dir/image"
	timed btrkit-rollback-unread "$btrkit" convert --rollback --yes --verify none "$dir/image"
	fresh
	timed btrkit-no-datasum "$btrkit" convert --no-datasum "$dir/image"
	! command -v btrfs-convert >/dev/null || {
		fresh
		timed btrfs-convert btrfs-convert --no-progress "$dir/image"
		timed btrfs-convert-rollback btrfs-convert -r --no-progress "$dir/image"
		fresh
		timed btrfs-convert-no-datasum btrfs-convert --no-progress --no-datasum "$dir/image"
	}
done
printf '%-24s %8s %8s %8s %10s\n' "medians of $rounds" "wall s" "user s" "sys s" "peak MiB"
for name in floor btrkit btrkit-verify-none btrkit-no-datasum btrkit-rollback btrkit-rollback-unread \
	btrfs-convert btrfs-convert-no-datasum btrfs-convert-rollback; do
	grep -q "^$name " "$dir/results" || continue
	set --
	for column in 2 3 4 5; do
		set -- "$@" "$(awk -v n="$name" -v c=$column '$1 == n {print $c}' "$dir/results" | sort -n |
			awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}')"
	done
	printf '%-24s %8.2f %8.2f %8.2f %10d\n' "$name" "$1" "$2" "$3" $(($4 / 1024))
done
