#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Btrees of bcachefs as `btrkit inspect tree` shows them, with the journal laid over: every key of extents, inodes, names, attributes,
# reflink, subvolumes and snapshots is what the tools of bcachefs listed of the same images after they had replayed the journal; and
# without the journal it is not. A node that is lost costs its own range, and another copy of it costs nothing.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixtures=${BTRKIT_SHARED:-$srcdir/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "there are no images of bcachefs (BTRKIT_SHARED)"
need_program xz python3
cd "$scratch" || exit 1
"$BTRKIT" inspect tree --json "$here/tests/tap.sh" 2>&1 | grep -q 'without json-c' && skip_all "this build has no json-c"

unpack() {
	rm -f ./*.img
	for packed in "$1"/image*.img.xz; do
		xz -dc "$packed" | cp --sparse=always /dev/stdin "$(basename "$packed" .xz)"
	done
}
# compare FOLDER [OPTION]: shown.json with what was listed.
compare() {
	bucket_kib=$(sed -nE 's/^ *Bucket size:[ \t]*([0-9]+)(\.0)? ?K.*/\1/p' "$1/super.txt" | head -n 1)
	list=$1/list.txt
	[ -e "$list" ] || list=$list.xz
	python3 "$here/tests/tools/bcachefs_tree.py" "$list" shown.json "$((bucket_kib * 2))" ${2:+"$2"}
}

nr=0
for folder in "$fixtures"/*/; do
	name=$(basename "$folder")
	[ -e "$folder/list.txt" ] || [ -e "$folder/list.txt.xz" ] || continue
	unpack "$folder"
	nr=$((nr + 1))
	ok "$name: all btrees are shown" sh -c '"$0" inspect tree --json "$@" >shown.json' "$BTRKIT" ./*.img
	# Version 1.4 was listed by newer tools, which first deleted what had no name any more; those of 2020 did not replay.
	option=
	case $name in
	v14-clean-basic)
		# Of this one the tools listed nothing.
		is "$name: names are as many as in the manifest" "$(grep -c '"type":"dirent"' shown.json)" \
			"$(cut -f 1 "$folder/manifest.txt" | grep -cvE '^(#.*|/)$')"
		continue
		;;
	v14*) option=--deleted ;;
	v11-unclean*)
		not_ok "$name: the journal has something to say" compare "$folder"
		"$BTRKIT" inspect tree --json --no-journal ./*.img >shown.json
		;;
	esac
	ok "$name: all keys are those that were listed" compare "$folder" "$option"
	case $name in
	v1[34]*-unclean* | v128* | v14-crash*)
		"$BTRKIT" inspect tree --json --no-journal ./*.img >shown.json
		not_ok "$name: without the journal they are not" compare "$folder" "$option"
		;;
	esac
done
ok "there were images" [ "$nr" -gt 0 ]

# The two devices have a copy each of all nodes.
folder=$fixtures/v131-unclean-2dev-r2
unpack "$folder"
# damage IMAGE: a byte in each node of dirents, wherever one is, and be it an old one.
damage() {
	python3 - "$1" <<'END'
import sys
with open(sys.argv[1], "r+b") as image:
	data = image.read()
	magic = int.from_bytes(data[4096 + 40:4096 + 48], "little") ^ 0x90135C78B99E07F5
	at = data.find(magic.to_bytes(8, "little"))
	while at >= 0:
		if data[at + 8] & 15 == 2:
			image.seek(at + 80)
			image.write(bytes([data[at + 80] ^ 1]))
		at = data.find(magic.to_bytes(8, "little"), at + 1)
END
}
ok "one device alone" sh -c '"$0" inspect tree --json image2.img >shown.json' "$BTRKIT"
ok "has all keys" compare "$folder"
damage image1.img
ok "nodes with a bad copy" sh -c '"$0" inspect tree --json *.img >shown.json 2>said' "$BTRKIT"
ok "have all keys" compare "$folder"
ok "and the bad copy is told" grep -q 'warning: btree dirents, level 0, node .*checksum .* another replica is good' said
damage image2.img
"$BTRKIT" inspect tree --json ./*.img >lost.json 2>said
is "exit status when both are bad" "$?" 4
ok "the range that is lost is shown" grep -q '"btree":"dirents","lost_from":"POS_MIN","lost_to":"SPOS_MAX","why":".*checksum' lost.json
is "all others have their keys" "$(grep -vE '"(btree|tree)":"dirents"' lost.json | cksum)" \
	"$(grep -vE '"(btree|tree)":"dirents"' shown.json | cksum)"

# One btree, as text, and what there is.
"$BTRKIT" inspect tree --tree xattrs image1.img image2.img >text
is "one btree as text" "$(sed -n '1p;/user.color/s/ [0-9]*:[0-9]*:U32/ N:N:U32/p' text)" "== btree xattrs
u64s 7 type xattr N:N:U32_MAX len 0 ver 0: user.color:red"
is "by its number it is the same" "$("$BTRKIT" inspect tree --tree 3 ./*.img | cksum)" "$(cksum <text)"
is "roots" "$("$BTRKIT" inspect tree --roots ./*.img | sed -n 4p)" "    3  xattrs                level 0"
not_ok "no such btree" "$BTRKIT" inspect tree --tree 99 ./*.img
not_ok "what only Btrfs has" "$BTRKIT" inspect tree --path / ./*.img
done_testing
