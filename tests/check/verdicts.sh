#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# btrkit check and `btrfs check --readonly`, in its default and its lowmem mode, say the same of published images, of sound
# filesystems and of mutations of these; where they do not, verdicts.tsv says who is right, and why. A sample of the mutations,
# unless VERDICTS=whole (`make check-verdicts`: ten minutes).
. "${srcdir:-.}/tests/tap.sh"
need_program btrfs python3
mutate=$builddir/tests/check/mutate
table=$srcdir/tests/check/verdicts.tsv
made_with=$(sed -n 's/^# btrfs-progs //p' "$table")
version=$(btrfs --version | sed -n 's/^btrfs-progs v//p')
mkdir "$scratch/seen"

word() { if [ "$1" = 0 ]; then echo clean; else echo bad; fi; }
# verdicts KIND FIELD IMAGE: a line of the three verdicts in $scratch/seen/images.
verdicts() {
	timeout 60 "$BTRKIT" check --no-scan "$3" >/dev/null 2>&1
	ours=$(word $?)
	timeout 60 btrfs check --readonly "$3" >/dev/null 2>&1
	default=$(word $?)
	timeout 60 btrfs check --readonly --mode lowmem "$3" >/dev/null 2>&1
	lowmem=$(word $?)
	printf '%s\t%s\t-\t%s\t%s\t%s\t-\n' "$1" "$2" "$ours" "$default" "$lowmem" >>"$scratch/seen/images"
}
# mutations NAME IMAGE STRIDE
mutations() {
	verdicts sound "$1" "$2"
	stride=$3
	[ "${VERDICTS:-}" != whole ] || stride=1
	ok "$1: mutations" "$mutate" "$2" --peers "$stride" 1
	grep "$(printf '\t')" "$scratch/.out" >"$scratch/seen/$1"
}

folder=${BTRKIT_SHARED:-$srcdir/../shared}/fixtures/fsck
how=sample
if [ -d "$folder" ] && command -v btrfs-image >/dev/null; then
	[ "${VERDICTS:-}" != whole ] || how=whole
	grep -v '^#' "$srcdir/tests/check/fixtures.tsv" | cut -f1 | while read -r image; do
		[ -n "$image" ] && "$folder/unpack" "$folder/$image" "$scratch/image" >/dev/null 2>&1 && verdicts published "$image" "$scratch/image"
		rm -f "$scratch/image"
	done
else
	skip "published images" "needs ../shared/fixtures/fsck and btrfs-image"
fi
. "$srcdir/tests/check/images.sh"
image_ours "$scratch/ours" && mutations "ours" "$scratch/ours" 23
if can_mount; then
	ok "Linux ages filesystems" image_aged "$scratch/aged"
	mutations "aged" "$scratch/aged" 79
	ok "and one of an old kind" image_old "$scratch/old"
	mutations "old" "$scratch/old" 79
else
	how=sample
	skip "Linux ages filesystems" "needs root, loop devices and btrfs in the kernel"
fi
python3 "$srcdir/tests/tools/verdicts.py" "$table" $how "$scratch"/seen/* >"$scratch/result" 2>&1
status=$?
grep '^#' "$scratch/result"
if [ "$version" = "$made_with" ]; then
	is "each disagreement with btrfs-progs $version has its row" $status 0
else
	skip "each disagreement has its row" "the table is of btrfs-progs $made_with, this is $version"
fi
[ $status = 0 ] || diagnose "$scratch/result" 60
[ -z "${VERDICTS_OUT:-}" ] || cat "$scratch"/seen/* >"$VERDICTS_OUT"
done_testing
