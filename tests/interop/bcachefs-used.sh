#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a bcachefs volume uses of its devices: superblocks, buckets of the journal, every pointer of every extent and of the newest roots
# and nodes that its own tools list are in it; and when all else has been filled with garbage, all files and the check are as before.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$here/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "there are no images of bcachefs (BTRKIT_SHARED)"
need_program xz python3
tree=$(cd "${builddir:-.}" && pwd)/tests/tools/sourcetree
used="$here/tests/tools/bcachefs_used.py"
cd "$scratch" || exit 1
text() { if [ -e "$1/$2" ]; then cat "$1/$2"; else xz -dc "$1/$2.xz"; fi >"$2"; }

for folder in "$fixtures"/*/; do
	folder=${folder%/}
	name=${folder##*/}
	rm -f ./*.img
	for image in "$folder"/*.img.xz; do
		file=${image##*/}
		xz -dc "$image" | cp --sparse=always /dev/stdin "${file%.xz}"
	done
	text "$folder" list.txt
	text "$folder" journal.txt
	ok "$name: ranges in use" sh -c '"$0" --used *.img >used 2>said' "$tree"
	python3 "$used" used list.txt journal.txt ./*.img >differences 2>&1
	is "$name: all that is listed is in them" "$(sed '$d' differences)" ""
	case $name in
	v11-unclean*) ;; # listed without the journal, which has all of them
	v14-clean-basic) ;; # nothing was listed
	*) ok "$name: extents were looked for" grep -q '^[1-9][0-9]* extents' differences ;;
	esac
	case $name in
	v11-unclean-many) nodes='[1-9].*' ;;
	v11-*) nodes='.*' ;; # the tools of 2020 do not list roots
	*) nodes='[1-9].*' ;;
	esac
	ok "$name: nodes, superblocks and the journal, too" grep -q ", $nodes nodes, [1-9].* supers, [1-9].* buckets" differences
	case ${BTRKIT_TEST_ALL:-}:$name in
	1:* | *:v11-unclean-many | *:v131-unclean-2dev-r2 | *:v131-unclean-snap-reflink)
		"$tree" ./*.img >before 2>&1
		"$BTRKIT" check --data ./*.img >checked-before 2>&1
		python3 "$used" --fill used ./*.img
		"$tree" ./*.img >after 2>&1
		is "$name: all files are read beside garbage" "$?" 0
		ok "$name: as before" cmp before after
		"$BTRKIT" check --data ./*.img >checked-after 2>&1
		ok "$name: the check is as before" cmp checked-before checked-after
		;;
	esac
done

# --- What is not known is not left out ---
# Pointers of one in two extents of a node that cannot be read would be missing.
xz -dc "$fixtures/v131-unclean/image.img.xz" | cp --sparse=always /dev/stdin damaged.img
python3 - <<'END'
import struct
with open('damaged.img', 'r+b') as f:
    data = f.read()
    magic = struct.pack('<Q', struct.unpack_from('<Q', data, 4096 + 40)[0] ^ 0x90135c78b99e07f5)
    for at in range(0, len(data), 4096):
        if data[at + 16:at + 24] == magic and data[at + 24] & 15 == 0:
            f.seek(at + 100)
            f.write(bytes([data[at + 100] ^ 4]))
END
"$tree" --used damaged.img >used 2>said
is "a volume with an extents node that is lost" "$?:$(grep -c 'node of the btree extents cannot be read' said):$(wc -c <used)" 1:1:0
done_testing
