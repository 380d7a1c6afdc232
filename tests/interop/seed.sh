#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A filesystem that grew from a seed: Linux adds a device to one that we made, and what both hold together is read.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program btrfs btrfstune
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
cd "$scratch" || exit 1

mkdir tree
head -c 500000 /dev/urandom >tree/old
head -c 300000 /dev/urandom >tree/changed
echo hi >tree/removed
"$BTRKIT" mkfs -q --rootdir tree --size 150M seed.img
ok "btrfstune makes it a seed" btrfstune -S 1 seed.img
ok "a seed alone is read" sh -c '"$1" cat --path old seed.img | cmp - tree/old' - "$BTRKIT"

sprout() {
	truncate -s 300M sprout.img
	btrfs_mount "$scratch/mnt" ro seed.img && loop_attach sprout.img || return 1
	echo "$loops" >>mnt.loops
	btrfs device add -f "$loops" mnt && mount -o remount,rw mnt &&
		head -c 400000 /dev/urandom >mnt/new && rm mnt/removed && echo more >>mnt/changed &&
		btrfs filesystem sync mnt && cp -a mnt wanted
	sprout_status=$?
	btrfs_umount mnt && return $sprout_status
}
ok "Linux grows it" sprout
for order in "seed.img sprout.img" "sprout.img seed.img"; do
	rm -rf got
	# shellcheck disable=SC2086
	ok "extracted from $order" "$BTRKIT" restore -q --no-scan $order got
	ok "and the same" diff -r wanted got
done
seed_fsid=$(btrfs inspect-internal dump-super seed.img | awk '$1 == "fsid" { print $2 }')
is "the newer one alone tells what it lacks" "$("$BTRKIT" ls --no-scan sprout.img 2>&1)" \
	"btrkit ls: warning: device 1 is missing: a seed, of filesystem $seed_fsid
changed
new
old"
not_ok "and cannot read what the seed has" "$BTRKIT" cat --no-scan --path old sprout.img
ok "but what is its own" sh -c '"$1" cat --no-scan --path new sprout.img 2>/dev/null | cmp - wanted/new' - "$BTRKIT"
mkdir folder && ln seed.img folder/seed && cp --sparse=always seed.img folder/copy
btrfstune -f -S 0 folder/copy >/dev/null 2>&1
ok "the seed is found in a folder, in which there is also one that was changed" \
	sh -c '"$1" cat --no-scan --scan folder --path old sprout.img | cmp - tree/old' - "$BTRKIT"
"$BTRKIT" ls --no-scan --scan folder sprout.img >told 2>&1
not_ok "nothing is wrong with it" grep -q warning told
rm folder/seed
ok "the changed one is told of" sh -c '"$1" ls --no-scan --scan folder sprout.img 2>&1 | grep "folder/copy: was changed"' - "$BTRKIT"
ok "what grew from it is not changed then" sh -c '! "$1" edit mkdir --no-scan --scan folder /new sprout.img 2>&1' - "$BTRKIT"
is "the seed is what it was" "$("$BTRKIT" ls --no-scan seed.img | tr '\n' ' ')" "changed old removed "
done_testing
