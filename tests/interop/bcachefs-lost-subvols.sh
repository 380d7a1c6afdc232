#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A volume of bcachefs that never had a snapshot is read without the btrees of subvolumes and snapshots when these are damaged; one that
# has some is refused then, as nobody could tell which of its keys are seen.
. "${srcdir:-.}/tests/tap.sh"
fixtures=${BTRKIT_SHARED:-$srcdir/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "there are no images of bcachefs (BTRKIT_SHARED)"
need_program xz python3
cd "$scratch" || exit 1

# damage IMAGE BTREE: a byte in the header of each of its nodes.
damage() {
	python3 - "$1" "$2" <<'END'
import struct, sys
path, btree = sys.argv[1], int(sys.argv[2])
with open(path, 'r+b') as f:
    f.seek(4096 + 40)
    magic = struct.pack('<Q', struct.unpack('<Q', f.read(8))[0] ^ 0x90135c78b99e07f5)
    size, nr = f.seek(0, 2), 0
    for at in range(0, size, 4096):
        f.seek(at + 16)
        head = f.read(16)
        if head[:8] == magic and head[8] & 15 == btree:
            f.seek(at + 100)
            byte = f.read(1)[0]
            f.seek(at + 100)
            f.write(bytes([byte ^ 4]))
            nr += 1
sys.exit(nr == 0)
END
}
for name in v14-clean-basic v131-unclean v131-unclean-snap-reflink; do
	xz -dc "$fixtures/$name/image.img.xz" | cp --sparse=always /dev/stdin image.img
	"$BTRKIT" ls --recursive --inode image.img >"$name.good"
	for btree in 8 9; do
		cp --sparse=always image.img damaged.img
		ok "$name: btree $btree is damaged" damage damaged.img $btree
		"$BTRKIT" ls --recursive --inode damaged.img >listed 2>said
		status=$?
		case $name in
		*snap*)
			is "$name: refused without btree $btree" "$status $(grep -c 'error: damaged.img: btree .*checksum' said)" '1 1'
			is "$name: and nothing is listed" "$(cat listed)" ''
			;;
		*)
			is "$name: read without btree $btree, which is told" \
				"$status $(grep -c 'is read as one that has neither subvolumes nor snapshots' said)" '0 1'
			ok "$name: all names are there" cmp listed "$name.good"
			;;
		esac
	done
done
done_testing
