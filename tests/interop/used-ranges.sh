#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a partition cloner needs: the used ranges of an image, copied into an empty file, are the whole filesystem. And the
# other example program of the reader: a file's contents by its path.
. "${srcdir:-.}/tests/tap.sh"
need_program python3 btrfs mkfs.btrfs
tools=$srcdir/tests/tools
shared=${BTRKIT_SHARED:-$srcdir/../shared}
examples=${builddir:-.}/Documentation/examples
cd "$scratch" || exit 1

# clone IMAGE...: IMAGE.copy of each, of its used ranges only. In $part: how much of the first that is, in percent.
clone() {
	for image in "$@"; do
		others=$(for other in "$@"; do [ "$other" = "$image" ] || echo "$other"; done)
		# shellcheck disable=SC2086
		"$examples/used-ranges" "$image" $others >"$image.ranges" || return 1
		python3 - "$image" <<-'PY' || return 1
		import os, sys
		image = sys.argv[1]
		end = 0
		with open(image, 'rb') as source, open(image + '.copy', 'wb') as copy:
		    copy.truncate(os.path.getsize(image))
		    for line in open(image + '.ranges'):
		        words = line.split()
		        if words[1] == 'of':
		            continue
		        start, length = int(words[0]), int(words[1])
		        assert start >= end and length > 0, (line, end)
		        end = start + length
		        source.seek(start)
		        copy.seek(start)
		        copy.write(source.read(length))
		PY
	done
	part=$(awk '/ of / { print int($1 * 100 / $3) }' "$1.ranges")
}
# clones NAME IMAGE...: the copies are clean and show the same files, and are not the whole images.
clones() {
	name=$1
	shift
	ok "$name: copied" clone "$@"
	ok "$name: not all of it" test "$part" -lt 40
	copies=$(for image in "$@"; do echo "$scratch/$image.copy"; done)
	# shellcheck disable=SC2086
	ok "$name: the copy is clean" btrfs_check $copies
	# shellcheck disable=SC2086
	btrfs_mount mnt ro $copies && python3 "$tools/manifest" mnt | sed 's/ [0-9]* -\(.-.-.-.-\)$/ now -\1/' >got && btrfs_umount mnt
	ok "$name: the copy has the same files" python3 "$tools/manifest" diff wanted got
}
fill() { # NAME MOUNT-OPTIONS IMAGE...: what a mount shows in wanted
	options=$2
	shift 2
	# shellcheck disable=SC2046
	btrfs_mount mnt "$options" $(for image in "$@"; do echo "$scratch/$image"; done) || return 1
	python3 "$tools/genbtrfs.py" mnt && btrfs filesystem sync mnt && rm -r mnt/sub/packed && cp mnt/packed/zstd wanted.zstd &&
		btrfs filesystem sync mnt
	btrfs_umount mnt
}
observe() { btrfs_mount mnt ro "$@" && python3 "$tools/manifest" mnt | sed 's/ [0-9]* -\(.-.-.-.-\)$/ now -\1/' >wanted && btrfs_umount mnt; }
# linux NAME COUNT MOUNT-OPTIONS mkfs options...
linux() {
	name=$1
	count=$2
	options=$3
	shift 3
	images=
	for i in $(seq "$count"); do truncate -s 300M "$name.$i" && images="$images $name.$i"; done
	# shellcheck disable=SC2086
	ok "$name: made" mkfs.btrfs -q -f "$@" $images
	# shellcheck disable=SC2086
	fill "$name" "$options" $images
	# shellcheck disable=SC2086
	observe $(for image in $images; do echo "$scratch/$image"; done)
	# shellcheck disable=SC2086
	clones "$name" $images
	# shellcheck disable=SC2086
	"$examples/read-file" $images packed/zstd >out 2>err
	is "$name: read-file" "$? $(cat err)" "0 "
	ok "$name: the contents" cmp out wanted.zstd
	rm -f "$name".*
}

if can_mount; then
	linux default 1 rw
	linux old 1 space_cache=v1 -O ^no-holes,^skinny-metadata -R ^free-space-tree -d dup
	linux mixed 1 rw --mixed
	linux raid5 3 rw -d raid5 -m raid6
	linux raid10 4 compress=zstd -d raid10 -m raid1c3 -n 4096
	# The extent tree knows nothing of what a log holds.
	log=$shared/fixtures/treelog/append
	if [ -e "$log" ]; then
		xz -dkc "$log/crash.img.xz" >log
		ok "with a log: copied" clone log
		cp log.copy log.replayed
		btrfs_mount mnt rw "$scratch/log.replayed" && python3 "$shared/oracle/fsmanifest" mnt >got && btrfs_umount mnt
		cp log log.linux
		btrfs_mount mnt rw "$scratch/log.linux" && python3 "$shared/oracle/fsmanifest" mnt >wanted && btrfs_umount mnt
		ok "with a log: Linux replays the copy as it does the original" cmp wanted got
	else
		skip "with a log" "there is no ../shared"
	fi
else
	skip "used ranges of what Linux made" "needs root, loop devices and Btrfs"
fi
mkdir src && head -c 100000 /dev/urandom >src/file && "$BTRKIT" mkfs -q --rootdir src image
"$examples/read-file" image file >out 2>err
is "read-file" "$? $(cat err)" "0 "
ok "read-file: the contents" cmp out src/file
"$examples/read-file" image none >out 2>err
is "read-file of nothing" "$? $(sed 's/.*read-file: //' err) $(cat out)" "1 none: No such file or directory "
done_testing
