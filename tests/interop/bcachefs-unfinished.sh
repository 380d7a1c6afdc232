#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Files of bcachefs that were being truncated when the volume was left are shown as recovery leaves them, in the subvolume where that was,
# by every command; of one in which a range was being moved a warning tells.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$here/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "there are no images of bcachefs (BTRKIT_SHARED)"
need_program xz python3
tree=$(cd "${builddir:-.}" && pwd)/tests/tools/sourcetree
cd "$scratch" || exit 1
add_key() { python3 "$here/tests/tools/bcachefs_add_key.py" image.img "$@"; }
xz -dc "$fixtures/v131-unclean-snap-reflink/image.img.xz" | cp --sparse=always /dev/stdin image.img

inode_of() { "$BTRKIT" ls -li ${2:+--path "$2"} image.img | awk -v name="$1" '$NF == name { print $2 }'; }
ino=$(inode_of text_big)
moved=$(inode_of file_0006 many)
"$BTRKIT" cat --path text_big image.img >whole
head -c 100001 whole >expected
"$BTRKIT" ls -lR image.img | grep -v ' text_big$' >others

ok "an operation of subvolume 1" add_key 17 32 0:7:0 4:1 4:0 "8:$ino" 8:100001
"$BTRKIT" ls -lR image.img >listed 2>said
is "it is listed without a word" "$?:$(cat said)" 0:
is "in one subvolume it has the new size, in the snapshot the old one" \
	"$(awk '$NF == "text_big" { print $5 }' listed | sort -n | xargs)" "100001 300000"
ok "all others are as they were" sh -c 'grep -v " text_big$" listed | cmp - others'
"$BTRKIT" cat --path text_big image.img >got
ok "cat gives what will be left" cmp expected got
"$BTRKIT" cat --path snap1/text_big image.img >got
ok "and of the snapshot all" cmp whole got
if [ "$(id -u)" = 0 ]; then
	ok "restore" "$BTRKIT" restore -q image.img out
	ok "gives what will be left" cmp expected out/text_big
	ok "and of the snapshot all" cmp whole out/snap1/text_big
else
	skip "restore" "only root can give files their owners"
fi
ok "a scan" "$tree" --scan image.img
is "its tree has that size" "$("$tree" image.img | awk -F '\t' '$1 == "/text_big" { print $6 }')" 100001
"$BTRKIT" check --data image.img >problems 2>&1
is "the check" $? 0
is "tells of the operation, and of nothing beyond the size" \
	"$(grep -c 'truncation was not finished' problems):$(grep -c 'beyond' problems)" 1:0
ok "with its path" grep -q '/text_big' problems

ok "a range of another file was being moved" add_key 17 33 0:9:0 4:1 4:1 "8:$moved" 8:8 8:0 8:0
"$BTRKIT" ls image.img >listed 2>said
is "which is told with its path" "$?:$(grep -c 'warning: /many/file_0006: a range was being inserted or removed' said)" 0:1
ok "an operation that is cut off" add_key 17 32 0:10:0 4:1 4:0
"$BTRKIT" ls image.img >listed 2>said
is "is told" "$?:$(grep -c 'warning: when the volume was left, .* cut off' said)" 0:1
done_testing
