#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Of a file of bcachefs with an extent that is stored in a way that is not known all else is read, and it is told what is not; a pointer to a
# device that is gone, and stripes without one, are told, too.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$srcdir/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "there are no images of bcachefs (BTRKIT_SHARED)"
need_program xz python3
cd "$scratch" || exit 1
"$BTRKIT" inspect super --json "$here/tests/tap.sh" 2>&1 | grep -q 'without json-c' && skip_all "this build has no json-c"

# The file's second extent of three: sectors 104 to 360.
xz -dc "$fixtures/v11-unclean-nocsum/image.img.xz" | cp --sparse=always /dev/stdin sound.img
"$BTRKIT" cat --path text_big sound.img >whole
"$BTRKIT" ls -lR sound.img >sound.list
cp whole expected
dd if=/dev/zero of=expected bs=512 seek=104 count=256 conv=notrunc status=none

# lost WORD NAME REASON
lost() {
	rm -rf out
	mkdir out
	cp --sparse=always sound.img image.img
	ok "$2" python3 "$here/tests/tools/bcachefs_patch_extent.py" "$BTRKIT" image.img 4163:360:0 "$1"
	is "$2: the status" "$("$BTRKIT" restore image.img out >said 2>&1; echo $?)" 4
	ok "$2: all else of the file" cmp expected out/text_big
	is "$2: what lacks" "$(grep -c "error: text_big: 131072 bytes cannot be read: .*$3" said)" 1
	is "$2: nothing else does" "$(grep -c error: said)" 1
	ok "$2: names are as they were" sh -c '"$0" ls -lR image.img | cmp - sound.list' "$BTRKIT"
	"$BTRKIT" check image.img >checked
	is "$2: check tells" "$(grep -A 1 '^error' checked | grep -c 'file: /text_big')" 1
}
lost 0x200 "an entry of a kind that is not known" 'entry of a kind that is not known (9)'
lost 0x00ff000000000681 "a pointer to a device that is gone" 'has no member 255'
lost 0x10 "stripes alone" 'has no copy'
done_testing
