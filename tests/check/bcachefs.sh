#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The check of bcachefs volumes, clean and crashed: nothing is wrong with them, but what the tools that made them left undone. One with
# its first superblock gone, one without its other device, and a device that is none of them.
. "${srcdir:-.}/tests/tap.sh"
shared=${BTRKIT_SHARED:-$srcdir/../shared}
fixtures=$shared/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "no images of bcachefs: BTRKIT_SHARED"
need_program xz
unpack() { # NAME: *.img in its folder below scratch
	mkdir -p "$scratch/$1"
	for packed in "$fixtures/$1"/*.img.xz; do
		xz -dc "$packed" >"$scratch/packed" && cp --sparse=always "$scratch/packed" "$scratch/$1/$(basename "$packed" .xz)"
	done
	rm -f "$scratch/packed"
}
# The codes, without those that an unclean volume has.
codes() { sed -n 's/^[a-z]*: .*\[\(bch-[a-z-]*\)\]$/\1/p' | grep -v -e bch-journal-laid-over -e bch-inodes-deleted | sort -u | tr '\n' ' '; }

for fixture in "$fixtures"/v*/; do
	name=$(basename "$fixture")
	unpack "$name"
	before=$(stat -c '%y %z' "$scratch/$name"/*.img)
	"$BTRKIT" check --data "$scratch/$name"/*.img >"$scratch/output" 2>"$scratch/errors"
	is "$name: nothing is wrong" $? 0 || diagnose "$scratch/output"
	case $name in
	v131-clean*) expected="" ;;
	v131-unclean-snap-reflink) expected="bch-sectors-wrong bch-super-copy-old " ;;
	v131* | v128*) expected="bch-sectors-wrong " ;;
	*) expected="bch-extent-beyond-size " ;;
	esac
	is "$name: and no more is said" "$(codes <"$scratch/output")" "$expected"
	case $name in
	*unclean* | *crash* | *pins*) is "$name: its journal is laid over" "$(grep -c bch-journal-laid-over "$scratch/output")" 1 ;;
	esac
	is "$name: not a byte is written" "$(stat -c '%y %z' "$scratch/$name"/*.img)" "$before"
	[ "$name" = v131-unclean ] || [ "$name" = v131-unclean-2dev-r2 ] || rm -r "$scratch/$name"
done

image=$scratch/v131-unclean/image.img
"$BTRKIT" check "$image" >"$scratch/with"
"$BTRKIT" check --no-journal "$image" >"$scratch/without"
not_ok "without the journal, something else is there" cmp -s "$scratch/with" "$scratch/without"
is "and nothing of the journal is said" "$(grep -c bch-journal "$scratch/without")" 0
"$BTRKIT" check --quick "$image" >"$scratch/quick"
is "superblocks and journal alone" $? 0
"$BTRKIT" check --strict "$image" >/dev/null
is "warnings can count" $? 4
"$BTRKIT" check --type ext4 "$image" >/dev/null 2>"$scratch/errors"
is "other types are refused" $? 16
dd if=/dev/zero of="$image" bs=4096 seek=1 count=1 conv=notrunc status=none
"$BTRKIT" check "$image" >"$scratch/output"
is "without its first superblock, another leads in" "$? $(codes <"$scratch/output")" "4 bch-sectors-wrong bch-super-copy-bad "

"$BTRKIT" check --data "$scratch/v131-unclean-2dev-r2/image1.img" >"$scratch/output"
status=$?
is "a device that is missing is a warning" "$(grep -c bch-device-missing "$scratch/output")" 1
is "with what only it has" "$status" "$(grep -q '^error' "$scratch/output" && echo 4 || echo 0)"
ok "as JSON" "$BTRKIT" check --json "$scratch/v131-unclean-2dev-r2/image1.img" "$scratch/v131-unclean-2dev-r2/image2.img"
truncate -s 8M "$scratch/nothing"
"$BTRKIT" check --type bcachefs "$scratch/nothing" >/dev/null 2>"$scratch/errors"
is "a device without any" "$?" 8
done_testing
