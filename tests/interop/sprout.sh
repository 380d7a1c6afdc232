#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Filesystems that grow from seeds, made here and used by Linux, and the other way round; chains of them; and never a byte of a
# seed that changes.
. "${srcdir:-.}/tests/tap.sh"
need_mount
need_program btrfs sha256sum
BTRKIT=$(realpath "${BTRKIT:-./btrkit}")
manifest=$(realpath "${srcdir:-.}/tests/tools/manifest")
cd "$scratch" || exit 1

mkdir tree tree/dir
head -c 3000000 /dev/urandom >tree/old
head -c 300000 /dev/urandom >tree/changed
for n in $(seq 300); do echo $n >tree/dir/file-$n; done

# What Linux knows of devices by name would outlive this script, and be in the way of others.
forget_all() {
	for of_script in /sys/block/loop*/loop/backing_file; do
		case $(cat "$of_script" 2>/dev/null) in
		"$scratch"/*)
			of_script=${of_script#/sys/block/}
			btrfs device scan --forget "/dev/${of_script%%/*}"
			;;
		esac
	done
}
at_exit forget_all
let_go() {
	umount "$1" || return 1
	# shellcheck disable=SC2013
	for one in $(cat "$1.loops"); do btrfs device scan --forget "$one" && losetup -d "$one"; done
}
hash_of() { sha256sum "$@" | cut -d' ' -f1 | tr '\n' ' '; }
seed_of() { # seed_of PROFILE FILE...
	seed_profile=$1
	shift
	for one in "$@"; do truncate -s 160M "$one"; done
	"$BTRKIT" mkfs -q --rootdir tree -m "$seed_profile" -d single "$@"
}
new_file() { rm -f "$1" && truncate -s 500M "$1"; }
# Linux mounts it, has the files of tree, writes, and all is well afterwards: used_by_linux FILE...
used_by_linux() {
	btrfs_mount mnt rw "$@" || return 1
	diff -r tree mnt && head -c 2000000 /dev/urandom >mnt/by-linux && cp mnt/by-linux by-linux && echo more >>mnt/changed &&
		rm -r mnt/dir && btrfs subvolume snapshot mnt mnt/snapshot && sync -f mnt && btrfs scrub start -B mnt | grep -q "no errors found"
	used_status=$?
	"$manifest" mnt >wanted
	let_go mnt && return $used_status
}
check_both() {
	"$BTRKIT" check --strict --data "$@" && btrfs_check "$@"
}

linux_removes() {
	btrfs_mount mnt rw "$@" || return 1
	# The loops are in the order of the files.
	# shellcheck disable=SC2046
	btrfs device remove $(cut -d' ' -f2- mnt.loops) mnt
	removed_status=$?
	"$manifest" mnt >got
	let_go mnt && return $removed_status
}

# --- Made here, used by Linux -------------------------------------------------------------------
seed_of dup seed
not_ok "what is no seed grows nothing" "$BTRKIT" device sprout seed seed
ok "seed set" "$BTRKIT" device seed set seed
is "a second time" "$("$BTRKIT" device seed set seed | sed 's/^[^ ]* //')" "is a seed already"
before=$(hash_of seed)
chmod 444 seed
new_file new
ok "dry run" "$BTRKIT" device sprout --dry-run seed new
is "writes nothing" "$(hash_of new)" "$(truncate -s 500M zeroes && hash_of zeroes)"
ok "sprout" "$BTRKIT" device sprout -U 01234567-89ab-cdef-0123-456789abcdef seed new
is "it has its own UUID" "$("$BTRKIT" device list new --no-scan 2>/dev/null | sed -n 's/.*uuid: //p')" 01234567-89ab-cdef-0123-456789abcdef
ok "it is sound" check_both new seed
cp --sparse=always new fresh
ok "Linux uses it" used_by_linux new seed
ok "and it is sound then" check_both new seed
ok "what Linux has written is read" sh -c '"$1" cat --no-scan --path by-linux new seed | cmp - by-linux' - "$BTRKIT"
ok "Linux removes the seed" linux_removes new seed
ok "nothing is lost" cmp wanted got
ok "it is sound, alone" check_both new
not_ok "what holds something is not overwritten" "$BTRKIT" device sprout seed new
ok "unless forced" "$BTRKIT" device sprout -f seed new
ok "and is sound" check_both new seed
rm new
mkdir folder && ln -s ../seed folder/seed
ok "changed here; the seed is found" "$BTRKIT" edit put --scan folder --no-scan tree/changed /by-us fresh
ok "it is sound" check_both fresh seed
reads_ours() { btrfs_mount mnt rw "$@" && cmp tree/changed mnt/by-us && let_go mnt; }
ok "Linux reads what was changed here" reads_ours fresh seed

# --- A chain: what grew is a seed in its turn ------------------------------------------------------
ok "what has grown is marked as a seed" "$BTRKIT" device seed set fresh --scan folder --no-scan
middle=$(hash_of fresh)
new_file third
ok "a third grows from it, of which only the last is named" sh -c 'ln fresh folder/fresh && "$1" device sprout --no-scan --scan folder fresh third' - "$BTRKIT"
ok "it is sound" check_both third fresh seed
ok "all are found" sh -c '[ "$("$1" device list --no-scan --scan folder third 2>/dev/null | grep -c "(seed)")" = 2 ]' - "$BTRKIT"
is "or named if one is missing" "$(rm folder/seed && "$BTRKIT" ls --no-scan --scan folder third 2>&1 | grep missing | sed 's/, of.*//')" \
	"btrkit ls: warning: device 1 is missing: a seed"
linux_uses_chain() {
	btrfs_mount mnt rw third fresh seed && cmp tree/old mnt/old && cmp tree/changed mnt/by-us && echo x >mnt/x && let_go mnt
}
ok "Linux uses a chain of three" linux_uses_chain
ok "it is sound then" check_both third fresh seed
is "the one in the middle is what it was" "$(hash_of fresh)" "$middle"
is "the first seed is what it was" "$(hash_of seed)" "$before"

# --- Several devices, and what Linux grows from what was marked here ------------------------------
seed_of raid1 left right
not_ok "a seed is marked as a whole" "$BTRKIT" device seed set --no-scan left
ok "seed set on two devices" "$BTRKIT" device seed set left right
both=$(hash_of left right)
new_file new
ok "sprout from two" "$BTRKIT" device sprout left right new
ok "it is sound" check_both new left right
ok "Linux uses it" used_by_linux new left right
linux_grows() {
	btrfs_mount mnt ro left right && loop_attach new || return 1
	echo "$loops" >>mnt.loops
	btrfs device add -f "$loops" mnt && mount -o remount,rw mnt && head -c 400000 /dev/urandom >mnt/by-linux && rm mnt/changed
	grown_status=$?
	"$manifest" mnt >wanted
	let_go mnt && return $grown_status
}
ok "the seeds are removed here" "$BTRKIT" device remove --device left --device right 1 2 new
ok "it is sound, alone" check_both new
linux_has() { btrfs_mount mnt rw "$@" && "$manifest" mnt >got && touch mnt/again && let_go mnt; }
ok "Linux mounts it" linux_has new
ok "nothing is lost" cmp wanted got
ok "it is sound then" check_both new
new_file new
ok "Linux grows one from what was marked here" linux_grows
ok "it is sound" check_both new left right
ok "it is changed here" "$BTRKIT" edit put --no-scan tree/old /by-us new left right
ok "and taken back" "$BTRKIT" edit rm --no-scan /by-us new left right
ok "Linux mounts it then" linux_has new left right
ok "everything is there" sh -c 'sed 1d wanted >a && sed 1d got >b && cmp a b'
is "the seeds are what they were" "$(hash_of left right)" "$both"
not_ok "a seed is not changed" "$BTRKIT" edit mkdir --no-scan /no left right
not_ok "the mark is not taken away lightly" "$BTRKIT" device seed clear left right
ok "but if forced" "$BTRKIT" device seed clear -f left right
not_ok "what grew from it is not changed then" "$BTRKIT" edit mkdir --no-scan /no new left right
ok "marked again it is the same seed" "$BTRKIT" device seed set left right
is "to the byte" "$(hash_of left right)" "$both"
ok "and what grew from it is sound" check_both new left right
done_testing
