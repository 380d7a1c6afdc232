#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Block groups of filesystems that Linux has aged are emptied by moving their extents: both checks find nothing, Linux shows
# the same content, as much is shared as before, and Linux goes on with it. BTRKIT_TEST_ALL=1 takes all shapes, and
# BTRKIT_TEST_SEED chooses how they are aged.
. "${srcdir:-.}/tests/tap.sh"
need_program python3 mkfs.btrfs btrfs
need_mount
export PYTHONDONTWRITEBYTECODE=1
tools=$srcdir/tests/tools
image=$scratch/image
mnt=$scratch/mnt
seed=${BTRKIT_TEST_SEED:-1}
echo "# seed $seed"

# What is mounted, without the times of folders: those that stand for subvolumes have always the present one.
show() { python3 "$tools/manifest" --holes "$1" | awk -F'\t' -v OFS='\t' '$2 ~ /^d/ { sub(/ [0-9]+ [^ ]*$/, "", $2) } { print }'; }
churn() { # SEED COUNT
	python3 "$tools/churn.py" "$mnt" $((seed * 1000 + $1)) "$2" snapshot drop >/dev/null 2>&1
}
# 20 snapshots, each of what was changed a little since the last one; some data that is not copied when it is written.
age() { # OPERATIONS STEP
	churn 0 "$1"
	mkdir "$mnt/nodatacow" && chattr +C "$mnt/nodatacow" && head -c 300000 /dev/urandom >"$mnt/nodatacow/file" &&
		fallocate -l 1M "$mnt/reserved" && printf 'x%.0s' $(seq 5000) | dd of="$mnt/reserved" bs=4096 seek=30 conv=notrunc 2>/dev/null
	for i in $(seq 20); do
		btrfs subvolume snapshot "$mnt" "$mnt/snapshot-$i" >/dev/null || return 1
		churn "$i" "$2"
	done
	for i in 5 6; do btrfs subvolume delete -C "$mnt/snapshot-$i" >/dev/null; done
	btrfs subvolume sync "$mnt" >/dev/null
}
# As much as the check of btrfs-progs counts.
sums() { grep -E "$1" "$scratch/.check"; }

# case_of NAME WHICH SIZE MKFS-OPTIONS MOUNT-OPTIONS SUMS OPERATIONS STEP PREPARE
case_of() {
	rm -f "$image" && truncate -s "$3" "$image" && mkfs.btrfs -q $4 "$image" >/dev/null 2>&1 && btrfs_mount "$mnt" "$5" "$image" ||
		{ fail "$1: a filesystem"; return; }
	case $9 in quota*) btrfs quota enable "$mnt" ;; esac
	age "$7" "$8" || fail "$1: aged"
	case $9 in *balance) btrfs balance start --full-balance "$mnt" >/dev/null 2>&1 && churn 30 "$8" ;; esac
	show "$mnt" >"$scratch/before"
	btrfs_umount "$mnt"
	ok "$1: is clean in the beginning" btrfs_check "$image"
	sums "$6" >"$scratch/sums"
	ok "$1: block groups are emptied" "$builddir/tests/tools/move_extents" "$2" "$image"
	ok "$1: clean" "$BTRKIT" check --data "$image"
	ok "$1: clean for btrfs-progs" btrfs_check "$image"
	sums "$6" >"$scratch/sums.now"
	ok "$1: as much is shared as before" diff "$scratch/sums" "$scratch/sums.now"
	ok "$1: Linux mounts it" btrfs_mount "$mnt" "$5" "$image"
	show "$mnt" >"$scratch/after"
	ok "$1: the same content" python3 "$tools/manifest" diff "$scratch/before" "$scratch/after"
	# Written in place where that is allowed: no snapshot may see it.
	for i in 1 9 20; do show "$mnt/snapshot-$i"; done >"$scratch/before"
	dd if=/dev/zero of="$mnt/nodatacow/file" bs=4096 count=50 conv=notrunc,fsync 2>/dev/null
	churn 40 "$8"
	ok "$1: balanced by Linux" btrfs balance start --full-balance "$mnt"
	for i in 2 10 19; do btrfs subvolume delete -C "$mnt/snapshot-$i" >/dev/null; done
	btrfs subvolume sync "$mnt" >/dev/null
	for i in 1 9 20; do show "$mnt/snapshot-$i"; done >"$scratch/after"
	ok "$1: snapshots stay while Linux changes the rest" cmp "$scratch/before" "$scratch/after"
	btrfs scrub start -B "$mnt" >"$scratch/scrub" 2>&1
	ok "$1: scrubbed" grep -q 'no errors found' "$scratch/scrub"
	btrfs_umount "$mnt"
	ok "$1: clean after Linux has used it" btrfs_check "$image"
}

all='total fs tree bytes|file data blocks|referenced'
case_of "compressed, 4k" all 2G "-n 4096" compress=zstd "$all" 500 30
case_of "quotas, balanced before" +all 2G "" "" "$all" 300 30 quota-balance
case_of "free space cache of the first version" data 2G "-n 4096 -R ^free-space-tree" space_cache=v1 "total fs tree bytes" 400 20
if [ -n "$BTRKIT_TEST_ALL" ]; then
	case_of "compressed, 4k, at once" +all 2G "-n 4096" compress-force=lzo "$all" 2000 100 balance
	case_of mixed all 700M "-M -n 4096" "" "$all" 600 20
	case_of old +all 2G "-O ^skinny-metadata,^no-holes,^extref -n 4096 -R ^free-space-tree" nospace_cache "$all" 1000 40 balance
	case_of nodatacow all 2G "-n 4096" nodatacow "$all" 1000 40
	case_of "64k, sha256" all 2G "-n 65536 --csum sha256" "" "$all" 1000 40 balance
	case_of "small ones inline" metadata 2G "-n 4096 -m single" max_inline=3000 "$all" 3000 100
fi
done_testing
