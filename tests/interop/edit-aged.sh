#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# `btrkit edit` on what Linux has aged, in turns with Linux; and what it refuses to change, by name.
# BTRKIT_TEST_SEED chooses what is done; BTRKIT_TEST_ALL=1 takes all shapes and many rounds, and BTRKIT_TEST_KEEP=DIR keeps
# filesystems that fail.
. "${srcdir:-.}/tests/tap.sh"
need_program python3
tools=$srcdir/tests/tools
image=$scratch/image
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$tools"

# --- What cannot be changed yet -----------------------------------------------------------------------------
# damaged PYTHON: an image with a subvolume, in which the Editor `e` has done that. Subvolume 256 is "s".
damaged() {
	rm -f "$image"
	"$BTRKIT" mkfs -q --size 200M "$image" && "$BTRKIT" edit subvol create s "$image" &&
		echo text >"$scratch/text" && head -c 300000 /dev/urandom >"$scratch/data" &&
		"$BTRKIT" edit put "$scratch/text" s/text "$image" && "$BTRKIT" edit put "$scratch/data" s/data "$image" &&
		printf 'import sys, struct, btrfsread as b, treeedit\ne = treeedit.Editor([sys.argv[1]])\n%s\n' "$1" | python3 - "$image" ||
		fail "an image for: $1"
	cp --sparse=always "$image" "$image.before"
}
refused() { # TEXT COMMAND...
	text=$1
	shift
	not_ok "$1 $2: refused, as $text" sh -c '"$@" >"$0" 2>&1' "$scratch/said" "$BTRKIT" edit "$@" "$image"
	ok "$1 $2: says so" grep -F -- "$text" "$scratch/said"
	ok "$1 $2: nothing was written" cmp "$image" "$image.before"
}
for state in 1 4; do
	damaged "e.add(4, (0, 250, 0), struct.pack('<9Q', 1, 1 << 20, 1 << 20, 0, $state, 1, 0, 0, 0))"
	refused "the replacement of device 1 is not finished" mkdir s/more
done
root_item="next(k for k, data in e.items(1, 132, 256))"
damaged "e.patch(1, $root_item, 216, 'I', 0)"
for command in "subvol delete 256" "snapshot 256 t" "subvol set-default 256" "subvol set-read-only 256"; do
	refused "subvolume 256 is being deleted" $command
done
damaged "e.patch(1, $root_item, 220, 'Q', 257)"
refused "tree 256 is deleted in part" subvol delete 256
refused "subvolume 256 is deleted in part" snapshot 256 t
# Somebody else's reference to an extent that says that it has one.
damaged "
for key, data in e.items(2, 168):
    if struct.unpack_from('<Q', data, 16)[0] == 1:
        e.add(2, (key[0], 184, 1 << 30), struct.pack('<I', 1))
        break"
refused "does not have as many references as it counts" rm s/data

# --- In turns with Linux ------------------------------------------------------------------------------------
if ! can_mount; then
	skip "in turns with Linux" "needs root, loop devices and btrfs in the kernel"
	done_testing
fi
for program in mkfs.btrfs btrfs btrfstune btrfs-convert mkfs.ext4; do
	command -v $program >/dev/null || { skip "in turns with Linux" "needs $program"; done_testing; }
done
seed=${BTRKIT_TEST_SEED:-1}
rounds=2
shapes="4k raid5 simple-quotas"
[ -z "$BTRKIT_TEST_ALL" ] || rounds=25 shapes=all
truncate -s 12G "$scratch/host" && "$BTRKIT" mkfs -q "$scratch/host" && btrfs_mount "$scratch/mnt" nodatasum "$scratch/host" ||
	{ skip "in turns with Linux" "no room for images"; done_testing; }
echo "# seed $seed"
python3 "$tools/edit_aged.py" "$BTRKIT" "$scratch/mnt" "$seed" $rounds $shapes >"$scratch/turns"
while IFS= read -r line; do
	case $line in
	"ok "*) pass "${line#* - }" ;;
	"not ok "*) fail "${line#* - }" ;;
	*) printf '%s\n' "$line" ;;
	esac
done <"$scratch/turns"
ok "there were turns" grep -q "^ok" "$scratch/turns"
done_testing
