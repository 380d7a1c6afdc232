#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A volume of bcachefs that never had a snapshot is read without the btrees of subvolumes and snapshots when these are damaged. Of one that
# has some they are put together from other keys, here without a loss, which is told, and the exit status is 4. One bad key is replaced
# by what others know of it.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$here/../shared}/fixtures/bcachefs
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
	for btrees in 8 9 "8 9"; do
		case $name:$btrees in v14*:*" "*) continue ;; esac
		cp --sparse=always image.img damaged.img
		for btree in $btrees; do
			ok "$name: btree $btree is damaged" damage damaged.img "$btree"
		done
		"$BTRKIT" ls --recursive --inode damaged.img >listed 2>said
		status=$?
		case $name:$btrees in
		*snap*:8*)
			is "$name: read without btrees $btrees, which is told" \
				"$status $(grep -c 'subvolumes found by the directories at their tops: 1, 2, 3;' said)" '4 1'
			;;
		*snap*:9)
			is "$name: read without btree 9, which is told" \
				"$status $(grep -c 'warning: .*checksum.*: subvolumes and snapshots are as other keys tell' said)" '4 1'
			;;
		*)
			is "$name: read without btrees $btrees, which is told" \
				"$status $(grep -c 'is read as one that has neither subvolumes nor snapshots' said)" '0 1'
			;;
		esac
		ok "$name: all names are there" cmp listed "$name.good"
	done
done

# --- Snapshots that differ, and what restore and check say ---
for path in new_dir/n2 snap1/new_dir/n2; do
	is "$path is that of its own snapshot" "$("$BTRKIT" cat --path $path damaged.img 2>said | cksum)" \
		"$("$BTRKIT" cat --path $path image.img | cksum)"
	ok "$path: that others stand in is an error" grep -q 'error: keys of subvolumes or snapshots are lost' said
done
if [ "$(id -u)" = 0 ]; then
	"$BTRKIT" restore -q image.img good
	"$BTRKIT" restore -q damaged.img out 2>said
	is "restore tells that something is lost" "$?:$(grep -c 'error: keys of subvolumes or snapshots are lost' said)" 4:1
	rm -f good/fifo good/snap1/fifo good/cdev good/snap1/cdev out/fifo out/snap1/fifo out/cdev out/snap1/cdev
	ok "and extracts all the same" diff -r --no-dereference good out
else
	skip "restore" "only root can give files their owners"
fi
"$BTRKIT" check damaged.img >problems 2>&1
is "the check tells both nodes, and of no key that it is of no snapshot" \
	"$(grep -c 'bch-btree-lost\|bch-node' problems | sed 's/[1-9].*/some/') $(grep -c 'bch-key-of-no-snapshot' problems)" "some 0"

# --- One key ---
# The snapshot of subvolume 3, without most of its value: its parent knows it.
cp --sparse=always image.img damaged.img
ok "a bad snapshot" python3 "$here/tests/tools/bcachefs_add_key.py" damaged.img 9 22 0:4294967293:0 8:1
"$BTRKIT" ls --recursive --inode damaged.img >listed 2>said
is "costs nothing" "$?:$(grep -c 'snapshot 4294967293 has a bad key: others tell all that there is to know' said)" 0:1
ok "all names are there" cmp listed "$name.good"
"$BTRKIT" check damaged.img >problems 2>&1
ok "and is a problem" grep -q 'snapshot 4294967293: its key is cut off.*bch-snapshot-bad' problems
# The subvolume, too.
ok "a bad subvolume" python3 "$here/tests/tools/bcachefs_add_key.py" damaged.img 8 21 0:3:0 8:0
"$BTRKIT" ls --recursive --inode damaged.img >listed 2>said
is "that is found by its top" "$?:$(grep -c 'found by the directories at their tops: 3;' said)" 4:1
ok "all names are there" cmp listed "$name.good"
done_testing
