#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# A filesystem whose UUID was changed: its blocks and devices go on naming the old one, and still it is no seed. It can be
# changed, a log in it can be cleared, and Linux takes the result.
. "${srcdir:-.}/tests/tap.sh"
need_program btrfstune btrfs python3
cd "$scratch" || exit 1
mkdir tree && echo hello >tree/greeting
"$BTRKIT" mkfs -q --size 256M --rootdir tree image
btrfstune -m image >/dev/null 2>&1 || skip_all "this btrfstune cannot change a metadata UUID"
generation() { "$BTRKIT" inspect super image | sed -nE 's/.* generation ([0-9]+) .*/\1/p' | head -n 1; }
old=$(generation)
ok "edit" "$BTRKIT" edit mkdir /made image
is "it was committed" "$(generation)" $((old + 1))
ok "it is there" sh -c '"$1" ls image | grep -qx made' - "$BTRKIT"
ok "btrkit check" "$BTRKIT" check --strict image
ok "btrfs check" btrfs_check image

can_mount || {
	skip "a log" "needs root, loop devices and btrfs in the kernel"
	done_testing
}
btrfs_mount mnt commit=300 image
echo new >mnt/new && python3 -c 'import os; os.fsync(os.open("mnt/new", os.O_RDONLY))'
cp --sparse=always image crash
btrfs_umount mnt
cp --sparse=always crash cleared
ok "log clear" "$BTRKIT" log clear --yes cleared
is "log clear: there is no log" "$("$BTRKIT" log show cleared 2>&1)" "there is no log"
ok "log replay" "$BTRKIT" log replay crash
btrfs_mount mnt ro crash
is "log replay: the file" "$(cat mnt/new)" new
btrfs_umount mnt
done_testing
