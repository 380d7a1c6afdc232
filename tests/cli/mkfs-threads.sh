#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# However many threads read a directory, compress it and write it, the image is the same. Small files in many folders:
# threads look at the table of files while it is filled and while compressed data is added. No root.
. "${srcdir:-.}/tests/tap.sh"
cd "$scratch" || exit 1
python3 "$srcdir/tests/tools/gentree.py" tiny tree 6000 2>/dev/null
python3 "$srcdir/tests/tools/gentree.py" small tree/more 2>/dev/null

# image THREADS ARGS...: sha256 of the image that so many threads make.
image() {
	image_threads=$1
	shift
	rm -f image
	"$BTRKIT" mkfs -q --seed s --threads "$image_threads" --rootdir tree "$@" image 2>err || echo "failed: $? ($image_threads)"
	[ ! -e image ] || sha256sum <image
}

for how in "" "--compress zlib" "--compress zstd" "--compress lzo" "--compress zstd --csum sha256 -n 4k"; do
	# shellcheck disable=SC2086
	one=$(image 1 $how)
	if [ ! -e image ] && grep -q "not built in\|without" err; then
		skip "threads ($how)" "$(cat err)"
		continue
	fi
	for threads in 2 3 8 2 8; do
		# shellcheck disable=SC2086
		is "$threads threads make what one makes ($how)" "$(image $threads $how)" "$one"
	done
done
done_testing
