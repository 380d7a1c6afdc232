#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# One device of a filesystem is named; the others are found among the host's block devices, and nothing else is taken for one.
. "${srcdir:-.}/tests/tap.sh"
[ "$(id -u)" = 0 ] && [ -e /dev/loop-control ] || skip_all "needs root and loop devices"
cd "$scratch" || exit 1

mkdir tree && seq 60000 >tree/numbers
make_pair() { # make_pair FIRST SECOND
	truncate -s 200M "$1" "$2" && "$BTRKIT" mkfs -q -d raid0 -m raid1 --rootdir tree "$1" "$2"
}
ok "a filesystem on two devices" make_pair a b
ok "another one" make_pair x y
loop_attach a b x y || skip_all "no loop devices to be had"
set -- $loops
loop_a=$1 loop_b=$2 loop_x=$3
shift 4

holds_numbers() { "$BTRKIT" cat "$@" --path numbers >got 2>said && cmp got tree/numbers && ! grep -q missing said; }
lacks_device() { ! "$BTRKIT" cat "$@" --path numbers >got 2>said && grep -q "device [12].* is missing" said; }

ok "the first device named" holds_numbers "$loop_a"
ok "the second device named" holds_numbers "$loop_b"
ok "the other filesystem's device named" holds_numbers "$loop_x"
ok "an image named, the other one attached" holds_numbers a
ok "without looking: one is missing" lacks_device --no-scan "$loop_a"
"$BTRKIT" ls "$loop_a" a >/dev/null 2>said
is "a device and the image under it: refused" $? 1
ok "they are told to be the same" grep -q "$loop_a and a are the same device" said
ln -s "$loop_a" link
"$BTRKIT" ls "$loop_a" link >/dev/null 2>said
ok "a device and a link to it: refused" grep -q "$loop_a and link are the same device" said
"$BTRKIT" device add -f "$loop_a" a >/dev/null 2>said
ok "the image of a device is not added to it" grep -q "device 1 of this filesystem already" said

# The same disk over two paths, as a host with several ways to it shows.
cp --sparse=always b b.copy && loop_attach b.copy || skip_all "no loop devices to be had"
loop_copy=$loops
ok "a disk and its like" holds_numbers "$loop_a"
ok "its like alone, without looking" lacks_device --no-scan "$loop_copy"
"$BTRKIT" ls "$loop_a" "$loop_b" "$loop_copy" >/dev/null 2>said
ok "two of one device named: refused" grep -q "both are device 2" said

# It was a device of the filesystem once: the primary superblock is gone, a mirror is left.
loop_detach "$loop_b"
dd if=/dev/zero of=b.copy bs=4096 seek=16 count=1 conv=notrunc 2>/dev/null
loop_detach "$loop_copy" && loop_attach b.copy
ok "a disk that has become something else is not found" lacks_device "$loop_a"
ok "unless it is named" holds_numbers "$loop_a" "$loops"

# Removed while a copy of it was away: it comes first, and is not counted in the place of what is missing.
truncate -s 200M p q r && "$BTRKIT" mkfs -q -d raid1 -m raid1 --rootdir tree p q r
cp --sparse=always q q.old
ok "one of three is removed" "$BTRKIT" device remove --no-progress --no-scan --device q --device r 2 p
loop_attach r q.old p || skip_all "no loop devices to be had"
set -- $loops
ok "what was removed is no device" holds_numbers "$3"
ok "nor when it is named" holds_numbers "$3" "$2"
ok "and it is told of" grep -q "was removed from the filesystem" said
is "two devices" "$("$BTRKIT" device list "$3" 2>/dev/null | grep -c ^devid)" 2
ok "named, it is wiped" "$BTRKIT" device remove --no-progress "$2" "$3"
ok "nothing is told of it then" holds_numbers "$3"
not_ok "nothing is left of it" "$BTRKIT" device list --no-scan "$2"
done_testing
