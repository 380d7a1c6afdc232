#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Extracting a bcachefs volume and an ext4 of the same tree with btrkit restore, beside tar from the ext4 as Linux mounts it. Not a
# test: nothing here passes or fails. As root, from the build directory:
#
#	make bench-bcachefs BENCH_FLAGS='--grow 20000 --rounds 5'
#
# --image FILE  the volume; more of them for more devices
# --grow N      make one instead, of N files with a large one for each thousand of them, 175 KiB a file; it is checked, and what is
#               extracted compared with what it was made from, before anything is measured
# --shape ARGS  how that volume is made, as tests/tools/bcachefs_grow has it (--node 262144)
# --rounds N    rounds (5); in each all programs run in turn, what is printed are medians
# --dir DIR     where images lie (/var/tmp/btrkit-bench-bcachefs)
# --to DIR      where to extract to (DIR of --dir; a tmpfs shows the reading alone)
#
# Without --image and --grow it is v11-unclean-many of the fixtures in $BTRKIT_SHARED.
#
# Columns: wall clock, user and system CPU (seconds), peak resident memory (MiB); first with all that is read in the page cache, then
# with nothing of it. The floors: cat reads the volume from front to end; copy does, and writes it where files are extracted to.
set -eu

builddir=${builddir:-.}
srcdir=${srcdir:-.}
btrkit=${BTRKIT:-$builddir/btrkit}
images=
grow=
shape='--node 262144'
rounds=5
dir=/var/tmp/btrkit-bench-bcachefs
to=
while [ $# -gt 0 ]; do
	case $1 in
	--image | --grow | --shape | --rounds | --dir | --to)
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
out=${to:-$dir}/btrkit-bench-out
tidy() {
	! mountpoint -q "$dir/mnt" || umount "$dir/mnt"
	rm -rf "$dir" "$out"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM
unpack() {
	xz -dc "${BTRKIT_SHARED:-$srcdir/../shared}/fixtures/bcachefs/$1/image.img.xz" |
		dd of="$2" bs=1M conv=sparse iflag=fullblock status=none
}
same() { "$srcdir/tests/tools/manifest" "$1" >"$dir/manifest" && "$srcdir/tests/tools/manifest" "$2" | cmp - "$dir/manifest"; }

if [ -n "$grow" ]; then
	unpack v131-clean-source "$dir/base"
	python3 "$srcdir/tests/tools/gentree.py" volume "$dir/tree" "$grow"
	# shellcheck disable=SC2086
	"$builddir/tests/tools/bcachefs_grow" $shape "$dir/base" "$dir/tree" "$dir/volume" >&2
	images=$dir/volume
	"$btrkit" check --data "$images" >&2
	"$btrkit" restore -q "$images" "$out"
	same "$dir/tree" "$out"
	rm -rf "$out"
elif [ -z "$images" ]; then
	unpack v11-unclean-many "$dir/volume"
	images=$dir/volume
fi

# --- The same tree on ext4 ------------------------------------------------------------------------------------------
[ -n "$grow" ] || "$btrkit" restore -q $images "$dir/tree"
needed=$(du -sm "$dir/tree" | cut -f 1)
number=$(find "$dir/tree" | wc -l)
truncate -s "$((needed * 13 / 10 + 64))M" "$dir/ext4"
mke2fs -q -F -t ext4 -b 4096 -N $((number * 11 / 10 + 1000)) -d "$dir/tree" "$dir/ext4"
rm -rf "$dir/tree"
echo "$number names, $needed MiB" >&2

# --- Measuring ------------------------------------------------------------------------------------------------------
# forget FILE...: nothing of them stays in the page cache.
forget() {
	for file in "$@"; do
		sync -d "$file"
		dd if="$file" iflag=nocache count=0 status=none
	done
}
remount() {
	! mountpoint -q "$dir/mnt" || umount "$dir/mnt"
	[ "$cache" = warm ] || forget "$dir/ext4"
	mount -o loop,ro "$dir/ext4" "$dir/mnt"
}
# timed NAME COMMAND...: "name wall user sys KiB" is added to the file of results.
timed() {
	name=$1
	shift
	rm -rf "$out"
	mkdir "$out"
	sync -f "$out"
	if [ "$cache" = cold ]; then forget $images "$dir/ext4"; fi
	case $name in *tar*) remount ;; esac
	if [ "$cache" = warm ]; then cat $images "$dir/ext4" >/dev/null; fi
	case $cache:$name in warm:*tar*) tar -C "$dir/mnt" -cf - . | cat >/dev/null ;; esac
	echo "$cache:$name $("$builddir/tests/bench/measure" "$@" 2>/dev/null)" >>"$dir/results"
}
names="cat-volume copy-volume restore-bcachefs restore-ext4 tar-from-mount tar-to-nowhere check-data ls-bcachefs"
one_round() {
	timed cat-volume sh -c 'cat "$@" >/dev/null' cat $images
	timed copy-volume sh -c 'to=$1; shift; cat "$@" >"$to/volume"' copy "$out" $images
	timed restore-bcachefs "$btrkit" restore -q $images "$out"
	timed restore-ext4 "$btrkit" restore -q "$dir/ext4" "$out"
	timed tar-from-mount sh -c 'tar -C "$1" --xattrs --xattrs-include="*" -cf - . | tar -C "$2" --xattrs --xattrs-include="*" -xpf -' \
		tar "$dir/mnt" "$out"
	timed tar-to-nowhere sh -c 'tar -C "$1" --xattrs --xattrs-include="*" -cf - . | cat >/dev/null' tar "$dir/mnt"
	timed check-data "$btrkit" check --data $images
	timed ls-bcachefs sh -c '"$1" ls -lR $2 >"$3/listing"' ls "$btrkit" "$images" "$out"
}
for round in $(seq "$rounds"); do
	for cache in warm cold; do one_round; done
done
for cache in warm cold; do
	printf '\n%-24s %8s %8s %8s %10s\n' "$cache, medians of $rounds" "wall s" "user s" "sys s" "peak MiB"
	for name in $names; do
		set --
		for column in 2 3 4 5; do
			set -- "$@" "$(awk -v n="$cache:$name" -v c=$column '$1 == n {print $c}' "$dir/results" | sort -n |
				awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}')"
		done
		printf '%-24s %8.2f %8.2f %8.2f %10d\n' "$name" "$1" "$2" "$3" $(($4 / 1024))
	done
done
