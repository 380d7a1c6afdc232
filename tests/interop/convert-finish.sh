#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The end of a conversion: the saved filesystem goes, files stay what they are, and what lay apart lies together.
. "${srcdir:-.}/tests/tap.sh"
need_mount ext4
need_mount btrfs
need_program mke2fs python3 btrfs btrfs-convert
. "$srcdir/tests/interop/conversion_steps.sh"

chunks_of_data() { "$BTRKIT" inspect chunks "$1" | grep -c '^ *[0-9].*data' || :; }
without_image() {
	btrfs_mount mnt ro "$1" || return 1
	[ ! -e mnt/ext2_saved ]
	without_status=$?
	btrfs_umount mnt && return $without_status
}
# Files that grew by turns lie in alternating pieces.
interleave() {
	mount -t ext4 -o loop "$1" ext || return 1
	python3 - <<'END'
import os
files = [open('ext/by-turns-%d' % n, 'wb', 0) for n in range(6)]
for turn in range(60):
    for n, f in enumerate(files):
        f.write(bytes([n + 1]) * 20480)
        os.fsync(f.fileno())
END
	interleaved=$?
	umount ext && return $interleaved
}

ok "made" make_ext fs.ext 300m -t ext4
ok "filled" fill_ext fs.ext all 200
ok "files in many pieces" interleave fs.ext
ok "listed" list_ext fs.ext before
cp --sparse=always fs.ext fs
ok "converted" "$BTRKIT" convert fs
sum=$(sha256sum <fs)
ok "--dry-run" "$BTRKIT" convert --finish --dry-run fs
"$BTRKIT" convert --finish --dry-run fs >plan
ok "it says what will be deleted" grep -q '^the saved ext4 of 300' plan
is "--dry-run changes nothing" "$(sha256sum <fs)" "$sum"
not_ok "nobody to ask" sh -c '"$BTRKIT" convert --finish fs </dev/null'
is "then nothing is changed" "$(sha256sum <fs)" "$sum"
cp --sparse=always fs fs.killed
ok "finished" "$BTRKIT" convert --finish --yes fs
ok "the saved filesystem has gone" without_image fs
ok "every file is as it was, with its times" shows fs before
ok "nothing is wrong" clean fs
"$BTRKIT" convert --finish --dry-run fs >again
ok "nothing lies in many pieces any more" grep -q ' 0 files lie in many pieces' again
ok "again: nothing to do" "$BTRKIT" convert --finish fs
ok "no way back" sh -c '! "$BTRKIT" convert --rollback --yes fs 2>err && grep -q "is gone" err'
ok "Linux uses it" used_by_linux fs
ok "nothing is wrong after that" clean fs

# Killed at any time, and run again.
killed=0
for tenths in 0.02 0.05 0.1 0.2 0.4; do
	timeout -s KILL "$tenths" "$BTRKIT" convert --finish --yes fs.killed >/dev/null 2>&1 || killed=$((killed + 1))
	clean fs.killed >clean.out 2>&1 || { diagnose clean.out; break; }
done
ok "killed, it is sound each time" clean fs.killed
ok "run again" "$BTRKIT" convert --finish --yes fs.killed
ok "every file is as it was" shows fs.killed before
ok "nothing is wrong" clean fs.killed
diagnose_text="killed $killed times"
echo "# $diagnose_text"

# What others share stays.
cp --sparse=always fs.ext fs
ok "converted" "$BTRKIT" convert fs
with_snapshot() { btrfs_mount mnt "" "$scratch/fs" && btrfs -q subvolume snapshot -r mnt mnt/snapshot && btrfs_umount mnt; }
ok "a snapshot" with_snapshot
"$BTRKIT" convert --finish --dry-run fs >plan
ok "files that a snapshot shares are left alone" grep -q ' 0 files lie in many pieces' plan
ok "finished" "$BTRKIT" convert --finish --yes fs
ok "nothing is wrong" clean fs

# That of btrfs-convert, too.
cp --sparse=always fs.ext fs
list_btrfs() { btrfs_mount mnt ro "$scratch/fs" && normal_list mnt >"$1" && btrfs_umount mnt; }
if btrfs-convert fs >convert.out 2>&1; then
	ok "btrfs-convert: what it made" list_btrfs made
	sed -i 1d made # its top directory has the time of the conversion, and of the end
	ok "a conversion by btrfs-convert" "$BTRKIT" convert --finish --yes fs
	ok "the saved filesystem has gone" without_image fs
	ok "every file is listed" list_btrfs now
	sed -i 1d now
	ok "every file is as it was" same_list made now
	ok "nothing is wrong" clean fs
else
	skip "a conversion by btrfs-convert" "btrfs-convert fails on it"
fi

# A subvolume with a file called image that somebody keeps.
mkdir disks && cp --sparse=always fs.ext disks/image
truncate -s 500M kept
"$BTRKIT" mkfs -q kept
kept() { btrfs_mount mnt "" "$scratch/kept" && btrfs -q subvolume create "mnt/$1" && cp --sparse=always fs.ext "mnt/$1/image"; kept_status=$?; btrfs_umount mnt && return $kept_status; }
ok "a subvolume of disk images" kept virtual-machines
not_ok "is not deleted" "$BTRKIT" convert --finish --yes kept
there() { btrfs_mount mnt ro "$scratch/kept" && cmp mnt/virtual-machines/image fs.ext; there_status=$?; btrfs_umount mnt && return $there_status; }
ok "it is there" there
done_testing
