#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes of bcachefs that were left cleanly need no journal: what is wrong with it, the last entry gone among that, changes nothing. One that
# says it was left cleanly, and has entries with keys behind what its superblock says, is read as any that was not.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$srcdir/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "there are no images of bcachefs (BTRKIT_SHARED)"
need_program xz python3
cd "$scratch" || exit 1
"$BTRKIT" inspect super --json "$here/tests/tap.sh" 2>&1 | grep -q 'without json-c' && skip_all "this build has no json-c"

get() {
	xz -dc "$fixtures/$1/image.img.xz" | cp --sparse=always /dev/stdin "$2"
}

# tree IMAGE INTO: all names and what stands behind them, and the bytes of all files.
tree() {
	"$BTRKIT" ls --recursive --long "$1" >"$2.list" 2>"$2.log" && mkdir "$2" && "$BTRKIT" restore "$1" "$2" >>"$2.log" 2>&1 &&
		(cd "$2" && find . -type f -exec sha256sum {} + | sort) >"$2.sums"
}

same_tree() {
	cmp "$1.list" "$2.list" && cmp "$1.sums" "$2.sums"
}

# Where the last entry of the journal lies.
last_entry() {
	"$BTRKIT" journal list --short --json "$1" | tail -n 1 | sed 's/.*"physical":\([0-9]*\).*/\1/'
}

for name in v11-clean-basic v14-clean-basic v131-clean-source; do
	get $name clean.img
	cp --sparse=always clean.img cut.img
	printf damaged | dd of=cut.img bs=1 seek=$(($(last_entry cut.img) + 64)) conv=notrunc status=none
	ok "$name: as it was" tree clean.img $name
	is "$name: has files" "$([ "$(wc -l <$name.sums)" -gt 20 ] && echo yes)" yes
	is "$name: without the last entry: its status" "$(tree cut.img $name-cut; echo $?)" 0
	ok "$name: without the last entry" same_tree $name $name-cut
	is "$name: nothing is believed of those before" "$(grep -c believed $name-cut.log)" 0
done

get v14-unclean-copy unclean.img
cp --sparse=always unclean.img lie.img
ok "an unclean volume that says that it is clean" python3 "$here/tests/tools/bcachefs_change_super.py" lie.img clean
ok "as it was" tree unclean.img truth
is "the same with the lie: its status" "$(tree lie.img lie; echo $?)" 0
ok "the same with the lie" same_tree truth lie
is "it is told" "$(grep -c 'the journal is believed' lie.log)" 2
problems() {
	"$BTRKIT" check "$1" | sed -n 's/.*\[\(.*\)\]$/\1/p' | sort
}
problems unclean.img >unclean.problems
problems lie.img >lie.problems
is "check tells of the lie, and else the same" "$(diff unclean.problems lie.problems | sed 1d)" "> bch-clean-wrong"
done_testing
