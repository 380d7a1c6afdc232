#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# After random changes through <btrkit/edit.h>, Linux mounts the filesystem, sees what btrkit sees, and goes on writing.
. "${srcdir:-.}/tests/tap.sh"
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
model=$(realpath "${builddir:-.}/tests/model/test-edit-model")
manifest=$(realpath "${srcdir:-.}/tests/tools/manifest")
[ -x "$model" ] || skip_all "tests/model/test-edit-model is not built"
[ "$(id -u)" = 0 ] || skip_all "needs root"
command -v btrfs >/dev/null || skip_all "needs btrfs-progs"
grep -qw btrfs /proc/filesystems || skip_all "needs Btrfs in the kernel"
cd "$scratch" || exit 1
mkdir mnt
seed=${BTRKIT_SEED:-$(date +%s)}
echo "# seed $seed, steps ${BTRKIT_STEPS:=600}; the same again: BTRKIT_SEED=$seed"

loops_of() { # attach the files, print their loop devices
	for file in "$@"; do losetup -f --show "$file"; done
}
for shape in deep oldest zlib raid1 raid5; do
	if ! "$model" "$shape" "$seed" "$BTRKIT_STEPS" "$scratch/$shape" >"$shape.txt" 2>&1; then
		fail "$shape: the model and the filesystem agree"
		sed 's/^/# /' "$shape.txt"
		continue
	fi
	pass "$shape:$(sed -n 's/^#.*: / /p' "$shape.txt")"
	set -- "$shape"
	[ -e "$shape" ] || set -- "$shape".[0-9]
	devices=$(loops_of "$@")
	# shellcheck disable=SC2086
	set -- $devices
	# Of RAID5, btrfs-progs 6.2 makes a wrong second copy of extents that reach over the end of a stripe; a scrub knows better.
	with=--check-data-csum
	[ "$shape" != raid5 ] || with=--readonly
	ok "$shape: btrfs check" sh -c 'btrfs check --readonly "$2" "$1" >progs.txt 2>&1 || { cat progs.txt; exit 1; }' - "$1" "$with"
	ok "$shape: restore" "$BTRKIT" restore -q "$@" restored
	for device in "$@"; do btrfs device scan "$device" >/dev/null 2>&1; done
	ok "$shape: Linux mounts it" mount -o subvolid=5 "$1" mnt
	"$manifest" mnt >linux.txt
	"$manifest" restored >ours.txt
	# What stands for subvolumes that are not there has no attributes; Linux makes some up.
	tab=$(printf '\t')
	LC_ALL=C grep -a "${tab}d 0755 0 0 - - 0 -" ours.txt | cut -f 1 >empty.txt
	for list in ours linux; do
		LC_ALL=C awk -F "$tab" 'NR == FNR { empty[$1]; next } !($1 in empty)' empty.txt "$list.txt" >"$list.rest"
	done
	is "$shape: Linux sees the same ($(grep -c . linux.rest))" "$(diff ours.rest linux.rest | head -n 20)" ""
	ok "$shape: Linux writes to it" sh -c 'head -c 3000000 /dev/urandom >mnt/written && sync -f mnt && rm mnt/written && sync -f mnt'
	ok "$shape: a scrub finds nothing" sh -c 'btrfs scrub start -B mnt >scrub.txt 2>&1 && grep -q "no errors found" scrub.txt'
	umount mnt
	ok "$shape: the check finds nothing" sh -c '"$@" >check.txt 2>&1 || { cat check.txt >&2; exit 1; }' - "$BTRKIT" check "$@"
	for device in "$@"; do losetup -d "$device"; done
	rm -rf restored "$shape" "$shape".[0-9]
done
done_testing
