#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Converted although blocks could not be read: Linux has an error where these were, everything else is as before, and it can be rolled back.
. "${srcdir:-.}/tests/tap.sh"
need_mount ext4
need_mount btrfs
need_program mke2fs debugfs dumpe2fs e2fsck btrfs python3 cmp
. "$srcdir/tests/interop/conversion_steps.sh"
faulty=$(realpath "${builddir:-$PWD}")/tests/tools/convert_faulty

make_ext fs.ext 600m -t ext4 || exit 1
mount -o loop fs.ext ext || exit 1
mkdir -p ext/dir/below ext/kept
head -c 300000 /dev/urandom >ext/large
head -c 1000 /dev/urandom >ext/small
head -c 70000000 /dev/urandom >ext/larger
echo lost >ext/dir/below/file
ln -s "$(head -c 500 /dev/zero | tr '\0' t)" ext/kept/link
for i in 1 2 3 4 5 6 7 8 9; do echo "$i" >ext/kept/file-$i; done
cp -r ext list
umount ext
list_ext fs.ext before

# Numbers of blocks: the one with byte 8192 of /large, /small's, one of /larger, the only one of /dir, the target of /kept/link.
block() { debugfs -R "bmap $1 $2" fs.ext 2>/dev/null; }
bad="$(block /large 2) $(block /small 0) $(block /larger 9000) $(block /dir 0) $(block /kept/link 0)"
is "five blocks are bad" "$(for b in $bad; do [ "$b" -gt 0 ] && echo x; done | wc -l)" 5
cp --sparse=always fs.ext fs
ok "converted" "$faulty" fs $bad
is "what is lost is told" "$(LC_ALL=C sort .out)" "/dir: has names that cannot be read
/kept/link: cannot be read
/large: cannot be read in part
/larger: cannot be read in part
/small: cannot be read in part"

# reads_as_error FILE BLOCK
reads_as_error() {
	! dd if="$1" bs=4096 skip="$2" count=1 status=none >part 2>.err && [ ! -s part ] && grep -q 'Input/output' .err
}
same_without() { # FILE BLOCK: but for that block
	{ head -c $(($2 * 4096)) "$1" && tail -c +$((($2 + 1) * 4096 + 1)) "$1"; } | cmp - expected
}
is_as_told() {
	ok "$1: a block that could not be read is an error" reads_as_error mnt/large 2
	ok "$1: so it is for a small file" reads_as_error mnt/small 0
	ok "$1: and for one at some other place" reads_as_error mnt/larger 9000
	{ head -c 8192 list/large && tail -c +12289 list/large; } >expected
	ok "$1: all around it is there" same_without mnt/large 2
	{ head -c $((9000 * 4096)) list/larger && tail -c +$((9001 * 4096 + 1)) list/larger; } >expected
	ok "$1: in the larger file too" same_without mnt/larger 9000
	ok "$1: what can be read is as it was" sh -c 'for i in 1 2 3 4 5 6 7 8 9; do cmp mnt/kept/file-$i list/kept/file-$i || exit 1; done'
	is "$1: what is left out is not there" "$(ls mnt/dir) $(ls mnt/kept | wc -l)" " 9"
}
ok "Linux mounts it" btrfs_mount mnt "" "$scratch/fs"
is_as_told "now"
ok "a scrub finds nothing else" scrubbed
ok "a balance of everything" btrfs -q balance start --full-balance mnt
is_as_told "after a balance"
ok "what is written there anew can be read" sh -c \
	'dd if=list/large of=mnt/large bs=4096 skip=2 seek=2 count=1 conv=notrunc status=none && sync -f mnt && cmp mnt/large list/large'
btrfs_umount mnt
"$BTRKIT" check --data fs >out
is "the check finds nothing but checksums that are missing" "$(grep -c 'have no checksums' out) $(grep -c '^error' out)" "3 3"

cp --sparse=always fs.ext fs
ok "converted once more" "$faulty" fs $bad
ok "rolled back" "$BTRKIT" convert --rollback --yes fs
ok "every used block is as it was" python3 "$tools/ext_used.py" compare fs.ext fs
ok "e2fsck finds nothing" e2fsck -fn fs
ok "Linux shows the same" list_ext fs after
ok "to the last" same_list before after
done_testing
