#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Single structures of bcachefs volumes damaged in turn: read from another copy, or named by the check with the paths that it costs; never
# wrong data. A sample, on one device and on two; every piece of more volumes with BTRKIT_TEST_ALL=1.
. "${srcdir:-.}/tests/tap.sh"
shared=${BTRKIT_SHARED:-$srcdir/../shared}
fixtures=$shared/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "no images of bcachefs: BTRKIT_SHARED"
need_program xz
need_program python3
[ "$(id -u)" = 0 ] || skip_all "needs root: restored owners are compared"
every=3
volumes="v131-unclean v131-unclean-2dev-r2"
[ -z "$BTRKIT_TEST_ALL" ] || { every=1 && volumes=$(cd "$fixtures" && echo v*); }
for name in $volumes; do
	mkdir -p "$scratch/$name/scratch"
	for packed in "$fixtures/$name"/*.img.xz; do
		xz -dc "$packed" >"$scratch/packed" && cp --sparse=always "$scratch/packed" "$scratch/$name/$(basename "$packed" .xz)"
	done
	ok "$name" python3 "$srcdir/tests/tools/bcachefs_damage.py" "$BTRKIT" "$every" "$scratch/$name/scratch" "$scratch/$name"/*.img
	if [ -n "$BTRKIT_TEST_ALL" ] && [ -e "$scratch/$name/image2.img" ]; then
		ok "$name, the second device" python3 "$srcdir/tests/tools/bcachefs_damage.py" "$BTRKIT" 1 "$scratch/$name/scratch" \
			"$scratch/$name/image2.img" "$scratch/$name/image1.img"
	fi
	rm -r "${scratch:?}/$name"
done
done_testing
