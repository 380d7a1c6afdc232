#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Chunks and extents that move: `btrkit restripe` and `btrkit device` beside Linux, which does the same on a copy of the same images
# on loop devices, and a floor. Not a test: nothing here passes or fails. As root, from the build directory:
#
#	make bench-reshape BENCH_FLAGS='--gib 2 --rounds 3 balance remove'
#
#	reshape.sh [options] [balance] [dup] [raid0] [raid5] [drop] [remove] [shrink] [compact]   (all of them unless some are named)
#
# balance  all chunks move, one device, data single, metadata twice
# dup      data from single to dup
# raid0    data and metadata from raid1 to raid0, two devices
# raid5    data from raid0 to raid5, three devices
# drop     data and metadata from raid1 to single: one copy stays
# remove   one of three devices goes, raid1
# shrink   to what is nearly used, one device
# compact  data chunks that are half empty: extents move
#
# --gib N      of file data ($BENCH_GIB, or 5), with snapshots
# --snapshots N  between which a part of it changes (20)
# --rounds N   rounds ($BENCH_ROUNDS, or 3); in each all programs run in turn, what is printed are medians
# --dir DIR    where images lie ($BENCH_DIR, or /var/tmp/btrkit-bench-reshape); there has to be room for four times the data
# --cold       without the images in the page cache
# --rst        the table as Documentation/benchmarks.rst has it, instead of in Markdown
#
# Columns: wall clock, user and system CPU (seconds), peak resident memory (MiB), wall clock beside that of the floor, and how many
# times as long Linux took. Each run begins with a fresh copy of the images, in the page cache (but for --cold) and on the disk, and
# ends when all is on the disk again. What Linux does in threads of its own is only in its wall clock. The floor reads what is in use,
# once, and writes what has to be written, one thread.
set -eu

builddir=${builddir:-.}
btrkit=$(realpath "${BTRKIT:-$builddir/btrkit}")
measure=$(realpath "$builddir/tests/bench/measure")
floor=$(realpath "$builddir/tests/bench/reshape_floor")
gib=${BENCH_GIB:-5}
snapshots=20
rounds=${BENCH_ROUNDS:-3}
dir=${BENCH_DIR:-/var/tmp/btrkit-bench-reshape}
is_cold=
is_rst=
what=
while [ $# -gt 0 ]; do
	case $1 in
	--gib | --snapshots | --rounds | --dir)
		[ $# -ge 2 ] || { echo "$1: what?" >&2; exit 2; }
		eval "${1#--}=\$2"
		shift
		;;
	--cold) is_cold=1 ;;
	--rst) is_rst=1 ;;
	balance | dup | raid0 | raid5 | drop | remove | shrink | compact) what="$what $1" ;;
	*) sed -n '4,/^set -eu/s/^#[ \t]\{0,1\}//p' "$0" >&2 && exit 2 ;;
	esac
	shift
done
[ -n "$what" ] || what="balance dup raid0 raid5 drop remove shrink compact"
[ "$(id -u)" = 0 ] || { echo "needs root, to mount" >&2; exit 2; }
PATH=$PATH:/usr/sbin:/sbin
mkdir -p "$dir/mnt"
loops=
detach() {
	! mountpoint -q "$dir/mnt" || umount "$dir/mnt"
	for loop in $loops; do losetup -d "$loop"; done
	loops=
}
tidy() {
	detach
	rm -rf "$dir"
}
trap tidy EXIT
trap 'exit 1' HUP INT TERM

# --- The images -----------------------------------------------------------------------------------------------------
# devices FOLDER: the images in it, in order.
devices() { ls "$1"/d? | tr '\n' ' '; }
attach() { # FOLDER
	options=noatime
	for image in $(devices "$1"); do
		loop=$(losetup -f --show "$image")
		loops="$loops $loop"
		options="$options,device=$loop"
	done
	mount -t btrfs -o "$options" "${loop}" "$dir/mnt"
}
# Files of 4 KiB to 4 MiB; between two snapshots one in fifty is written to, and one in two hundred replaced.
fill() {
	python3 - "$dir/mnt" "$gib" "$snapshots" <<'SOURCE'
import os, random, subprocess, sys
top, total, snapshots = sys.argv[1], int(float(sys.argv[2]) * (1 << 30)), int(sys.argv[3])
rng = random.Random(20260101)
noise = rng.randbytes(8 << 20)
main = top + '/main'
subprocess.check_call(['btrfs', '-q', 'subvolume', 'create', main])
sizes = []
def write(i):
    folder = '%s/d%d' % (main, i // 200)
    os.makedirs(folder, exist_ok=True)
    size = min(int(4096 * 1.5 ** rng.randrange(18)), 4 << 20) + rng.randrange(4096)
    at = rng.randrange(len(noise) - size)
    with open('%s/f%d' % (folder, i), 'wb', buffering=0) as file:
        file.write(noise[at:at + size])
    return size
while sum(sizes) < total * 9 // 10:
    sizes.append(write(len(sizes)))
for snapshot in range(snapshots):
    for i in rng.sample(range(len(sizes)), len(sizes) // 50):
        with open('%s/d%d/f%d' % (main, i // 200, i), 'r+b', buffering=0) as file:
            os.pwrite(file.fileno(), noise[:rng.randrange(1, 30000)], rng.randrange(sizes[i]))
    for i in rng.sample(range(len(sizes)), len(sizes) // 200):
        sizes[i] = write(i)
    subprocess.check_call(['btrfs', '-q', 'subvolume', 'snapshot', '-r', main, '%s/snap%d' % (top, snapshot)])
print(len(sizes), 'files')
SOURCE
}
# make CASE SIZE-PERCENT COUNT MKFS-OPTION...: images of so many percent of the data each.
make() {
	percent=$1 count=$2
	shift 2
	rm -rf "$dir/made"
	mkdir "$dir/made"
	for i in $(seq "$count"); do truncate -s "$(awk "BEGIN {printf \"%d\", $gib * 1024 * $percent / 100 + 600}")M" "$dir/made/d$i"; done
	# shellcheck disable=SC2046
	mkfs.btrfs -q "$@" $(devices "$dir/made") >/dev/null
	attach "$dir/made"
	# Space that is given back in the end, so that what is in use lies behind it.
	[ "$case" != shrink ] || { fallocate -l "$(awk "BEGIN {printf \"%d\", $gib * 1024}")M" "$dir/mnt/front" && sync -f "$dir/mnt"; }
	fill >"$dir/filled"
	rm -f "$dir/mnt/front"
	[ "$case" != compact ] || thin_out
	detach
	if [ "$case" = shrink ]; then
		attach "$dir/made"
		btrfs -q balance start -dusage=0 "$dir/mnt" >/dev/null
		detach
	fi
	sync -f "$dir"
}
# Half of the files go, and snapshots that hold them.
thin_out() {
	sync -f "$dir/mnt"
	for snapshot in "$dir"/mnt/snap*; do btrfs -q subvolume delete "$snapshot" >/dev/null; done
	find "$dir/mnt/main" -name '*[13579]' -type f -delete
	btrfs subvolume sync "$dir/mnt" >/dev/null
}
fresh() {
	rm -rf "$dir/now" "$dir/floor"
	mkdir "$dir/now"
	for image in $(devices "$dir/made"); do cp --sparse=always "$image" "$dir/now"; done
	sync -f "$dir"
	for image in "$dir/now"/*; do
		if [ "$is_cold" ]; then
			dd if="$image" iflag=nocache count=0 status=none
		else
			cat "$image" >/dev/null
		fi
	done
}

# --- Measuring ------------------------------------------------------------------------------------------------------
# timed NAME COMMAND...: "name wall user sys KiB" is added to the file of results.
timed() {
	name=$1
	shift
	echo "$name $("$measure" "$@")" >>"$dir/results"
}
# bytes FACTOR-DATA FACTOR-METADATA: of what is in use, times that.
bytes() {
	# shellcheck disable=SC2046
	"$btrkit" inspect summary --json --no-scan $(devices "$dir/made") 2>/dev/null | python3 -c '
import json, sys
factors = {"data": float(sys.argv[1])}
print(int(sum(line["used_bytes"] * factors.get(line["kind"], float(sys.argv[2])) for line in json.load(sys.stdin)["allocation"])))' "$1" "$2"
}
# bytes_on DEVID FROM: what is in use of the chunks that have something there from that byte on, on each of their stripes there.
bytes_on() {
	# shellcheck disable=SC2046
	"$btrkit" inspect summary --json --no-scan $(devices "$dir/made") 2>/dev/null | python3 -c '
import json, sys
print(sum(stripe["chunk_used_bytes"] for device in json.load(sys.stdin)["devices"] if device["devid"] == int(sys.argv[1])
          for stripe in device["stripes"] if stripe["physical"] + stripe["length_bytes"] > int(sys.argv[2])))' "$1" "$2"
}
# measure_case READ WRITE OURS LINUX: commands, in which {} is the devices or the mount point.
measure_case() {
	rm -f "$dir/results"
	for round in $(seq "$rounds"); do
		fresh
		timed floor "$floor" "$dir/now/d1" "$dir/floor" "$1" "$2"
		fresh
		# shellcheck disable=SC2046
		timed btrkit sh -c "exec \"\$0\" $(printf '%s' "$3" | sed "s|{}|$(devices "$dir/now")|; s|{dir}|$dir/now|g")" "$btrkit"
		[ "$round" -gt 1 ] || "$btrkit" check --no-scan $(on_it) >/dev/null || echo "$case: check: exit status $?" >&2
		fresh
		attach "$dir/now"
		loop_of=$(echo "$loops" | awk '{print $NF}')
		timed linux sh -c "$(printf '%s' "$4" | sed "s|{}|$dir/mnt|; s|{last}|$loop_of|") && umount '$dir/mnt' && sync -f '$dir/now'"
		detach
	done
	for name in floor btrkit linux; do
		row "$name" "$1" "$2"
	done
}
# median NAME COLUMN of the results.
median() {
	awk -v n="$1" -v c="$2" '$1 == n {print $c}' "$dir/results" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}
line() { # CASE PROGRAM WALL USER SYS PEAK FLOORS LINUX
	format='| %s | %s | %s | %s | %s | %s | %s | %s |\n'
	[ -z "$is_rst" ] || format='%-27s  %-7s  %8s  %8s  %8s  %8s  %8s  %8s\n'
	# shellcheck disable=SC2059
	printf "$format" "$@"
}
rst_rule() {
	eights='======== ======== ======== ======== ======== ========'
	# shellcheck disable=SC2086
	[ -z "$is_rst" ] || line =========================== ======= $eights
}
heading() {
	rst_rule
	line case program 'wall s' 'user s' 'sys s' 'peak MiB' floors Linux
	[ "$is_rst" ] || line --- --- ---: ---: ---: ---: ---: ---:
	rst_rule
}
# row PROGRAM READ WRITTEN
row() {
	wall=$(median "$1" 2)
	what_for=
	[ "$1" != floor ] || what_for="$case, $(($2 >> 20)) + $(($3 >> 20)) MiB"
	[ "$what_for" ] || [ -z "$is_rst" ] || what_for='\'
	line "$what_for" "$1" "$wall" "$(median "$1" 3)" "$(median "$1" 4)" "$(($(median "$1" 5) / 1024))" \
		"$(awk "BEGIN {printf \"%.2f\", $wall / $(median floor 2)}")" "$(awk "BEGIN {printf \"%.1f\", $(median linux 2) / $wall}")"
}
# The devices that are still in it.
on_it() {
	case $case in
	remove) echo "$dir/now/d1 $dir/now/d2" ;;
	*) devices "$dir/now" ;;
	esac
}

echo "$gib GiB, $snapshots snapshots, medians of $rounds, images ${is_cold:+not }in the page cache, in $dir:" \
	"$(uname -sr), $(nproc) cores, load $(cut -d' ' -f1 /proc/loadavg)" >&2
heading
for case in $what; do
	echo "making $case ..." >&2
	case $case in
	balance)
		make 250 1 -d single -m dup
		measure_case "$(bytes 1 1)" "$(bytes 1 2)" "restripe start --full-balance {}" "btrfs -q balance start --full-balance {}"
		;;
	dup)
		make 350 1 -d single -m dup
		measure_case "$(bytes 1 0)" "$(bytes 1 0)" "restripe start -dconvert=dup {}" "btrfs -q balance start -dconvert=dup {}"
		;;
	raid0)
		make 250 2 -d raid1 -m raid1
		measure_case "$(bytes 1 1)" "$(bytes 1 1)" "restripe start -f -dconvert=raid0 -mconvert=raid0 {}" \
			"btrfs -q balance start -f -dconvert=raid0 -mconvert=raid0 {}"
		;;
	raid5)
		make 150 3 -d raid0 -m raid1
		measure_case "$(bytes 1 0)" "$(bytes 1.5 0)" "restripe start -dconvert=raid5 {}" "btrfs -q balance start -dconvert=raid5 {}"
		;;
	drop)
		make 150 2 -d raid1 -m raid1
		measure_case "$(bytes 1 1)" 0 "restripe start -f -dconvert=single -mconvert=single {}" \
			"btrfs -q balance start -f -dconvert=single -mconvert=single {}"
		;;
	remove)
		make 250 3 -d raid1 -m raid1
		moved=$(bytes_on 3 0)
		measure_case "$moved" "$moved" "device remove --no-scan --scan {dir} 3 {dir}/d1" "btrfs device remove 3 {}"
		;;
	shrink)
		make 350 1 -d single -m dup
		to=$(awk "BEGIN {printf \"%d\", $gib * 1024 * 1.35 + 600}")
		moved=$(bytes_on 1 $((to << 20)))
		measure_case "$moved" "$moved" "device resize 1:${to}M {}" "btrfs filesystem resize 1:${to}M {}"
		;;
	compact)
		make 250 1 -d single -m dup
		measure_case "$(bytes 1 0)" "$(bytes 1 0)" "restripe start -dusage=90 {}" "btrfs -q balance start -dusage=90 {}"
		;;
	esac
done
rst_rule
