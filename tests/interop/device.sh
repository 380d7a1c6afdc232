#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# btrkit device and Linux by turns on one aged filesystem: what one adds, removes and resizes the other mounts, checks and goes on with.
# And devices that were cut under their filesystem.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program python3 mkfs.btrfs btrfs
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
manifest=$(realpath "${srcdir:-.}/tests/tools/manifest")
churn=$(realpath "${srcdir:-.}/tests/tools/churn.py")
export PYTHONDONTWRITEBYTECODE=1
cd "$scratch" || exit 1

# shows_same STEP IMAGE...: Linux mounts it, shows the same files, and its scrub finds nothing.
shows_same() {
	step=$1
	shift
	btrfs_mount mnt '' "$@" || { fail "$step: Linux mounts it" && return; }
	python3 "$manifest" --no-times mnt >now.txt
	btrfs scrub start -B mnt >scrub.txt 2>&1
	btrfs_umount mnt
	ok "$step: the files are the same" cmp files.txt now.txt
	ok "$step: scrub finds nothing" grep -q 'no errors found' scrub.txt
}
# sound STEP IMAGE...: both checks find nothing.
sound() {
	step=$1
	shift
	ok "$step: btrkit check" quietly "$BTRKIT" check --check-data-csum "$@"
	ok "$step: btrfs check" btrfs_check "$@"
}
quietly() { "$@" >out.txt 2>&1; }
# device STEP COMMAND...
device() {
	step=$1
	shift
	ok "$step" quietly "$BTRKIT" device "$@" --scan .
}

for image in a.img b.img c.img; do truncate -s 1G $image; done
mkfs.btrfs -q -d raid0 -m raid1 a.img b.img >/dev/null
btrfs_mount mnt compress=zstd a.img b.img || exit 1
python3 "$churn" mnt 7 1500
python3 "$manifest" --no-times mnt >files.txt
btrfs_umount mnt

device "add a third device" add c.img a.img
sound "added" a.img b.img c.img
shows_same "added" a.img b.img c.img
device "remove the first" remove a.img b.img
sound "removed" b.img c.img
shows_same "removed" b.img c.img
device "shrink one" resize 2:700M c.img
device "shrink the other as far as can be" resize 3:min b.img
sound "shrunk" b.img c.img
shows_same "shrunk" b.img c.img

# Linux goes on with it: grows, adds, removes, balances.
btrfs_mount mnt '' b.img c.img || exit 1
truncate -s 900M d.img
loop_attach d.img
ok "Linux grows one" quietly btrfs filesystem resize 3:max mnt
ok "Linux grows the other" quietly btrfs filesystem resize 2:max mnt
ok "Linux adds one" quietly btrfs device add -f "$loops" mnt
ok "Linux balances" quietly btrfs balance start --full-balance mnt
ok "Linux removes one" quietly btrfs device remove 2 mnt
ok "Linux shrinks one" quietly btrfs filesystem resize 3:800M mnt
added=$loops
btrfs_umount mnt
loop_detach "$added"
device "list what Linux has left" list c.img
sound "by Linux" c.img d.img
device "shrink it again" resize 4:min d.img
sound "by turns" c.img d.img
shows_same "by turns" c.img d.img

# --- Devices that were cut ------------------------------------------------------------------------
# cut NAME PROFILES SIZE: a filesystem on e.img and f.img of which e.img is cut to SIZE.
cut() {
	rm -f e.img f.img && truncate -s 600M e.img && truncate -s 600M f.img
	# shellcheck disable=SC2086
	mkfs.btrfs -q -f $1 e.img f.img >/dev/null
	btrfs_mount mnt '' e.img f.img || exit 1
	python3 "$churn" mnt 9 300
	head -c 20000000 /dev/urandom >mnt/random
	python3 "$manifest" --no-times mnt >files.txt
	btrfs_umount mnt
	truncate -s "$2" e.img
}
cut "-d single -m raid1" 598000001
device "fix-size: only unallocated space is cut" fix-size e.img
sound "fix-size, unallocated" e.img f.img
shows_same "fix-size, unallocated" e.img f.img
cut "-d raid1 -m raid1" 200M
ok "fix-size: chunks are cut: a dry run" quietly "$BTRKIT" device fix-size -n --scan . f.img
ok "fix-size: something has to move" grep -qE 'block groups?, with' out.txt
not_ok "fix-size: Linux does not mount it" quietly btrfs_mount mnt '' e.img f.img
device "fix-size: chunks of which there are copies are cut" fix-size f.img
sound "fix-size, copies" e.img f.img
shows_same "fix-size, copies" e.img f.img
cut "-d single -m raid1" 100M
"$BTRKIT" device fix-size --scan . f.img >out.txt 2>err.txt
is "fix-size: what lies nowhere else: refused" $? 1
ok "fix-size: it says how much" grep -qE 'and [0-9]+ bytes that are in use, [0-9]+ of them metadata, in [0-9]+ chunks' err.txt
done_testing
