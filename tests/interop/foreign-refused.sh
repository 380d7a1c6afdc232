#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Commands for Btrfs alone, on a device with bcachefs or ext: one line that says what it holds and what can be done with that, exit status
# as for any failure, and not a byte is changed. What makes a filesystem, or takes the device into one, refuses it unless forced.
. "${srcdir:-.}/tests/tap.sh"
here=$(cd "${srcdir:-.}" && pwd)
fixture=${BTRKIT_SHARED:-$here/../shared}/fixtures/bcachefs/v131-unclean/image.img.xz
cd "$scratch" || exit 1
truncate -s 512M new fs
"$BTRKIT" mkfs -q fs >/dev/null 2>&1 || "$BTRKIT" mkfs fs >/dev/null

# refused STATUS WHAT COMMAND...: with the line for WHAT, "FILE: holds ...".
refused() {
	wanted=$1:$2
	shift 2
	"$BTRKIT" "$@" >out 2>err
	is "btrkit $*" "$?:$(sed 's/^btrkit [a-z -]*: error: //; s/; nothing was changed$//' err)" "$wanted"
}
# refuse_all FILE WHAT
refuse_all() {
	before=$(sha256sum "$1")
	for command in "device add new" "device resize max" "device remove 1" "device replace 1 new" "device list" "device usage" \
		"restripe status" "restripe cancel" "edit rm one" "log show" "log replay" "log clear --yes" \
		"inspect chunks" "inspect summary" "convert --yes --rollback" "convert --yes --finish"; do
		refused 1 "$2" $command "$1"
	done
	"$BTRKIT" mkfs "$1" >out 2>err
	is "btrkit mkfs: refused" "$?:$(grep -c "contains .*, which would be overwritten; force it" err)" 1:1
	"$BTRKIT" device add "$1" fs >out 2>err
	is "btrkit device add: refused as a new device" "$?:$(grep -c "contains .*, which would be overwritten; force it" err)" 1:1
	is "nothing was changed" "$(sha256sum "$1")" "$before"
}

if [ -e "$fixture" ] && command -v xz >/dev/null; then
	xz -dc "$fixture" | cp --sparse=always /dev/stdin volume
	what="volume: holds bcachefs, not Btrfs: btrkit ls, cat, restore, inspect, journal and check read it"
	refuse_all volume "$what"
	refused 1 "$what" convert volume
	ok "the volume is read all the same" "$BTRKIT" ls volume
	ok "it is overwritten when that is forced" "$BTRKIT" mkfs --force volume
	not_ok "and no longer taken for bcachefs" "$BTRKIT" ls --type bcachefs volume
else
	skip "bcachefs" "there are no images of it (BTRKIT_SHARED)"
fi
if command -v mke2fs >/dev/null; then
	truncate -s 256M volume.ext
	mke2fs -q -F -t ext4 -b 4096 volume.ext
	what="volume.ext: holds ext, not Btrfs: btrkit ls, cat, restore and journal read it, and btrkit convert makes it Btrfs"
	refuse_all volume.ext "$what"
	refused 8 "$what" check volume.ext
	refused 1 "$what" inspect super volume.ext
else
	skip "ext" "there is no mke2fs"
fi
done_testing
