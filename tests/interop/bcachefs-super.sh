#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Superblocks of bcachefs as `btrkit inspect super` shows them are what its own tools of three generations showed; a copy that is bad is
# shown with the reason beside the good ones; nothing is written to a device.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$srcdir/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "there are no images of bcachefs (BTRKIT_SHARED)"
need_program xz python3 sha256sum
cd "$scratch" || exit 1
"$BTRKIT" inspect super --json "$here/tests/tap.sh" 2>&1 | grep -q 'without json-c' && skip_all "this build has no json-c"

nr=0
for folder in "$fixtures"/*/; do
	name=$(basename "$folder")
	[ -e "$folder/super.txt" ] || continue
	rm -f ./*.img
	for packed in "$folder"/image*.img.xz; do
		xz -dc "$packed" | cp --sparse=always /dev/stdin "$(basename "$packed" .xz)"
	done
	[ "$nr" -gt 1 ] || before=$(sha256sum ./*.img)
	first=$(ls ./*.img | head -n 1)
	"$BTRKIT" inspect super --full --all --json "$first" >all.json
	ok "$name: all copies agree with super.txt" python3 "$here/tests/tools/bcachefs_super.py" "$folder/super.txt" all.json
	ok "$name: so does the text" sh -c '"$0" inspect super "$1" | grep -q "version $2"' "$BTRKIT" "$first" \
		"$(sed -nE 's/^Version: *([0-9.]+).*/\1/p' "$folder/super.txt" | sed 's/^\([0-9]*\)$/0.\1/')"
	[ "$nr" -gt 1 ] || is "$name: the image is as it was" "$(sha256sum ./*.img)" "$before"
	nr=$((nr + 1))
done
ok "there were images" [ "$nr" -gt 0 ]

# The last image, its first copy damaged: one byte of a member.
printf x | dd of="$first" bs=1 seek=$((4096 + 1000)) conv=notrunc status=none
"$BTRKIT" inspect super --all "$first" >damaged
is "one copy is bad" "$(grep -c 'wrong .* checksum' damaged)" 1
ok "the others are not" grep -q '  copy 1 ' damaged
not_ok "a copy that is not there" "$BTRKIT" inspect super --super 2 "$here/tests/tap.sh"
is "what is no bcachefs is refused as what it is not" \
	"$("$BTRKIT" inspect super "$here/tests/tap.sh" 2>&1 | grep -c 'Btrfs\|too small')" 1
done_testing
