#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Volumes of bcachefs, most of them crashed: what restore extracts is what the tools of bcachefs show after their own replay, and nothing
# is written. Without the journal it is something else, so that a reader which ignores it would be noticed.
. "${srcdir:-.}/tests/tap.sh"
fixtures=${BTRKIT_SHARED:-$srcdir/../shared}/fixtures/bcachefs
[ -d "$fixtures" ] || skip_all "no images of bcachefs: BTRKIT_SHARED does not lead to any"
[ "$(id -u)" = 0 ] || skip_all "only root can give files their owners"
need_program python3 xz
truth="$(cd "${srcdir:-.}" && pwd)/tests/tools/bcachefs_truth.py"
cd "$scratch" || exit 1
umask 022

# text FOLDER NAME: one of the texts beside the images, unpacked.
text() {
	if [ -e "$1/$2" ]; then cat "$1/$2"; elif [ -e "$1/$2.xz" ]; then xz -dc "$1/$2.xz"; else return 1; fi >"$2"
}
unpack() {
	rm -rf image*.img
	for packed in "$1"/image*.img.xz; do
		name=${packed##*/}
		xz -dc "$packed" | dd of="${name%.xz}" bs=1M conv=sparse iflag=fullblock status=none
	done
}
restore() {
	rm -rf "out"
	"$BTRKIT" restore -q --no-scan "$@" out 2>err
}
# What a list of 2020 lacks is in the journal.
journal_of() { case $1 in v11-*) text "$fixtures/$1" journal.txt && echo journal.txt ;; esac; }

# volume NAME: everything but --no-journal.
volume() {
	folder=$fixtures/$1
	unpack "$folder"
	sums=$(cat image*.img | sha256sum)
	restore image*.img
	is "$1: extracted without a loss" $? 0
	[ -s err ] && diagnose err
	ok "$1: the tree is that of the manifest" python3 "$truth" tree "$folder/manifest.txt" out
	"$BTRKIT" ls -R --json image*.img >listing 2>>err
	if text "$folder" list.txt && grep -q 'type xattr' list.txt || [ -n "$(journal_of "$1")" ]; then
		ok "$1: attributes" python3 "$truth" xattrs list.txt listing out $(journal_of "$1")
	else
		skip "$1: attributes" "its list.txt has no keys"
	fi
	if grep -q 'type subvolume 0:1:0' list.txt; then
		restore --subvol 1 --no-subvolumes image*.img
		ok "$1: names as the list of dirents has them" python3 "$truth" names list.txt 1 out
	fi
	case $1 in
	*unclean* | *crash* | *pins*)
		restore --no-journal image*.img
		not_ok "$1: without the journal it is not" python3 "$truth" tree "$folder/manifest.txt" out
		;;
	esac
	is "$1: nothing was written" "$(cat image*.img | sha256sum)" "$sums"
}
for folder in "$fixtures"/*/; do
	[ -e "$folder/manifest.txt" ] || continue
	name=${folder%/}
	volume "${name##*/}"
done

# --- Subvolumes and snapshots ---
unpack "$fixtures/v131-unclean-snap-reflink"
text "$fixtures/v131-unclean-snap-reflink" list.txt
for subvol in 2 3; do
	restore --subvol $subvol image.img
	is "subvolume $subvol: extracted" $? 0
	ok "subvolume $subvol: names" python3 "$truth" names list.txt $subvol out
done
mv out snapshot
restore --subvol default --no-subvolumes image.img
is "what was written after the snapshot is not in it" "$(stat -c %s out/new_dir/n2 snapshot/new_dir/n2 | xargs)" "300000 0"
ok "all else of it is the same" diff -r --no-dereference -x n2 -x fifo -x cdev out snapshot
is "by path it is the same" "$("$BTRKIT" ls -i --subvol /snap1 image.img)" "$("$BTRKIT" ls -i --subvol 3 image.img)"
is "the way up leads out of it" "$("$BTRKIT" ls --path snap1/dir1/../../odd image.img)" "snap1/dir1/../../odd"
is "a reflink" "$("$BTRKIT" cat --path text_big image.img | sha256sum)" "$("$BTRKIT" cat --path new_dir/n2 image.img | sha256sum)"
"$BTRKIT" ls --subvol 77 image.img 2>err
is "a subvolume that is not there" "$?:$(cat err)" "1:btrkit ls: error: there is no subvolume 77"

# --- Commands that would change it ---
for command in "edit rm odd image.img" "device list image.img" "restripe status image.img"; do
	"$BTRKIT" $command >out.text 2>err
	is "btrkit $command: refused" $? 1
	ok "btrkit $command: says why" grep -q 'bcachefs' err || diagnose err
done

# --- An entry of the journal that is damaged ---
unpack "$fixtures/v14-unclean-copy"
at=$("$BTRKIT" journal list --json image.img | python3 -c 'import json, sys
print([line for line in map(json.loads, sys.stdin) if line["type"] == "entry"][1]["copies"][0]["physical"])')
printf 'damage' | dd of=image.img bs=1 seek=$((at + 1000)) conv=notrunc status=none
restore image.img
is "a damaged entry of the journal: exit status" $? 4
ok "a damaged entry of the journal: it is named" grep -q 'warning: journal entry 7 damaged' err
ok "a damaged entry of the journal: and what it means" grep -q 'error: parts of the journal are lost' err
for command in "ls image.img" "cat --path odd image.img"; do
	"$BTRKIT" $command >out.text 2>err
	is "a damaged entry of the journal: btrkit $command" "$?:$(grep -c 'error: parts of the journal are lost' err)" 4:1
done

# --- One of two devices ---
unpack "$fixtures/v131-unclean-2dev-r2"
text "$fixtures/v131-unclean-2dev-r2" list.txt
"$BTRKIT" ls -R --json image1.img image2.img >listing
for device in 1 2; do
	restore image$device.img
	is "image$device alone: not all is there" $? 4
	ok "image$device alone: what has its only copy on the other is named, and nothing else" \
		python3 "$truth" lost list.txt listing $((2 - device)) err lost
	ok "image$device alone: all else is right" python3 "$truth" tree "$fixtures/v131-unclean-2dev-r2/manifest.txt" out lost
	ok "image$device alone: which device is missing" grep -q "warning: member $((2 - device)) .* is missing" err
done
restore image2.img image1.img
ok "devices in another order" python3 "$truth" tree "$fixtures/v131-unclean-2dev-r2/manifest.txt" out
restore --tree-root 1M image1.img image2.img
is "options of Btrfs are refused" "$?:$(cat err)" "1:btrkit restore: error: --tree-root is for Btrfs, but image1.img holds bcachefs"
done_testing
